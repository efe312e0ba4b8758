/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names, by c-ares. Its channel lives only while questions are open: the next one
 * reads resolv.conf again, which a laptop or a container may have changed meanwhile.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <sys/time.h>

#include "cnode/loop/inner.h"

#define TRY_MS 1500                     /* the first try with each server; c-ares doubles it */
#define TRIES 2

struct resolver {
	struct cn_loop *loop;
	ares_channel channel;
	struct cn_timer timeout;
	struct dns_socket *sockets;
	unsigned open;                  /* questions c-ares has not answered */
	bool deaf;                      /* memory lacked to wait for a socket of theirs: they are over */
};

/* One socket of c-ares'. */
struct dns_socket {
	struct dns_socket *next;
	struct resolver *resolver;
	struct cn_io io;
};

struct cn_resolve_query {
	struct cn_resolve *asker;       /* NULL: cancelled */
	struct resolver *resolver;
};

/* c-ares' set-up is not safe in several threads; that it runs once per program is enough. */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_rc;

static void library_start(void)
{
	library_rc = ares_library_init(ARES_LIB_INIT_ALL);
}

static void set_timeout(struct resolver *r)
{
	struct timeval tv;
	if (r->deaf) {
		cn_timer_set(&r->timeout, 0);
		return;
	}
	if (!ares_timeout(r->channel, NULL, &tv)) {
		cn_timer_stop(&r->timeout);
		return;
	}
	uint64_t wait = (uint64_t)tv.tv_sec * CN_NS_PER_S + (uint64_t)tv.tv_usec * 1000;
	cn_timer_set(&r->timeout, cn_loop_clock(r->loop) + wait);
}

static void timeout_fired(struct cn_timer *t)
{
	struct resolver *r = CN_CONTAINER(t, struct resolver, timeout);
	if (r->deaf) {
		r->deaf = false;
		ares_cancel(r->channel);
	} else {
		ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	}
	set_timeout(r);
}

static void socket_ready(struct cn_io *io, unsigned events)
{
	struct dns_socket *s = CN_CONTAINER(io, struct dns_socket, io);
	struct resolver *r = s->resolver;
	int fd = io->fd;
	/* s may be gone when this returns. */
	ares_process_fd(r->channel, events & CN_READ ? fd : ARES_SOCKET_BAD, events & CN_WRITE ? fd : ARES_SOCKET_BAD);
	set_timeout(r);
}

/* c-ares tells what it waits for; nothing (both 0) comes before it closes the socket. */
static void socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = data;
	struct dns_socket **at = &r->sockets;
	while (*at && (*at)->io.fd != fd)
		at = &(*at)->next;
	struct dns_socket *s = *at;
	if (!readable && !writable) {
		if (!s)
			return;
		*at = s->next;
		cn_io_forget(&s->io);
		cn_free(s);
		return;
	}
	if (!s) {
		s = cn_calloc(1, sizeof *s);
		if (!s) {
			r->deaf = true;
			return;
		}
		s->resolver = r;
		cn_io_init(&s->io, r->loop, fd, socket_ready);
		s->next = r->sockets;
		r->sockets = s;
	}
	cn_io_set(&s->io, (readable ? CN_READ : 0) | (writable ? CN_WRITE : 0));
}

static int channel_open(struct resolver *r)
{
	char lookups[] = "fb";          /* files, then DNS */
	struct ares_options options = {
		.timeout = TRY_MS,
		.tries = TRIES,
		.lookups = lookups,
		.sock_state_cb = socket_state,
		.sock_state_cb_data = r,
	};
	pthread_once(&library_once, library_start);
	if (library_rc != ARES_SUCCESS)
		return CNODE_ESYSLIMIT;
	int rc = ares_init_options(&r->channel, &options,
				   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
	if (rc == ARES_SUCCESS && r->loop->dns) {
		rc = ares_set_servers_ports_csv(r->channel, r->loop->dns);
		if (rc != ARES_SUCCESS)
			ares_destroy(r->channel);
	}
	if (rc == ARES_SUCCESS)
		return 0;
	r->channel = NULL;
	return rc == ARES_ENOMEM ? CNODE_ENOMEM : CNODE_EHOST;
}

static void channel_close(struct resolver *r)
{
	if (!r->channel)
		return;
	ares_destroy(r->channel);
	r->channel = NULL;
	cn_timer_stop(&r->timeout);
}

void cn_resolver_free(struct resolver *r)
{
	if (!r)
		return;
	channel_close(r);
	cn_free(r);
}

static int code_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOMEM:
	case ARES_ECANCELLED:           /* deaf */
		return CNODE_ENOMEM;
	case ARES_ETIMEOUT:
	case ARES_ECONNREFUSED:
		return CNODE_ETIMEOUT;
	default:
		return CNODE_EHOST;
	}
}

static void answer(struct cn_resolve *r, int rc)
{
	r->rc = rc;
	r->query = NULL;
	cn_timer_set(&r->answer, 0);
}

static void answer_fired(struct cn_timer *t)
{
	struct cn_resolve *r = CN_CONTAINER(t, struct cn_resolve, answer);
	r->done(r, r->rc);
}

static void query_done(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct cn_resolve_query *q = arg;
	struct cn_resolve *r = q->asker;
	(void)timeouts;
	q->resolver->open--;
	cn_free(q);
	if (r) {
		for (const struct ares_addrinfo_node *n = info ? info->nodes : NULL; n && r->count < CN_RESOLVE_MAX;
		     n = n->ai_next) {
			struct cn_address *a = &r->found[r->count];
			cn_address_from(a, n->ai_addr);
			a->port = r->port;
			if (a->family)
				r->count++;
		}
		int rc = code_of(status);
		answer(r, rc == 0 && r->count == 0 ? CNODE_EHOST : rc);
	}
	if (info)
		ares_freeaddrinfo(info);
}

/* The loop's resolver with a channel. 0, CNODE_ENOMEM, CNODE_EHOST, CNODE_ESYSLIMIT. */
static int resolver_open(struct cn_loop *loop, struct resolver **resolver)
{
	struct resolver *s = loop->resolver;
	if (!s) {
		s = cn_calloc(1, sizeof *s);
		if (!s)
			return CNODE_ENOMEM;
		s->loop = loop;
		cn_timer_init(&s->timeout, loop, timeout_fired);
		loop->resolver = s;
	}
	if (s->open == 0)
		channel_close(s);
	*resolver = s;
	return s->channel ? 0 : channel_open(s);
}

void cn_resolve_start(struct cn_resolve *r, struct cn_loop *loop, const char *host, int family, uint16_t port,
		      void (*done)(struct cn_resolve *, int))
{
	CN_LEAD(loop);
	*r = (struct cn_resolve){ .done = done, .loop = loop, .port = port };
	cn_timer_init(&r->answer, loop, answer_fired);

	if (cn_address_parse(host, port, &r->found[0])) {
		bool fits = family == 0 || family == r->found[0].family;
		r->count = fits;
		answer(r, fits ? 0 : CNODE_EHOST);
		return;
	}
	struct resolver *s = NULL;
	int rc = resolver_open(loop, &s);
	struct cn_resolve_query *q = rc == 0 ? cn_malloc(sizeof *q) : NULL;
	if (!q) {
		answer(r, rc != 0 ? rc : CNODE_ENOMEM);
		return;
	}
	*q = (struct cn_resolve_query){ .asker = r, .resolver = s };
	r->query = q;
	s->open++;
	struct ares_addrinfo_hints hints = {
		.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	ares_getaddrinfo(s->channel, host, NULL, &hints, query_done, q);
	set_timeout(s);
}

void cn_resolve_cancel(struct cn_resolve *r)
{
	if (!r->loop)
		return;
	if (r->query)
		r->query->asker = NULL;
	r->query = NULL;
	cn_timer_stop(&r->answer);
}

/* ---- all that DNS knows under a name ---- */

struct cn_dns_query {
	struct cn_dns *asker;           /* NULL: cancelled */
	struct resolver *resolver;
};

static void dns_clear(struct cn_dns *q)
{
	for (unsigned i = 0; i < q->count; i++)
		cn_free(q->answer[i].target);
	cn_free(q->answer);
	q->answer = NULL;
	q->count = 0;
}

static void dns_answer(struct cn_dns *q, int rc)
{
	q->rc = rc;
	q->query = NULL;
	cn_timer_set(&q->told, 0);
}

static void dns_told(struct cn_timer *t)
{
	struct cn_dns *q = CN_CONTAINER(t, struct cn_dns, told);
	q->done(q, q->rc);
	dns_clear(q);
}

/* 0, CNODE_ENOMEM. */
static int dns_add(struct cn_dns *q, const char *target, uint16_t port)
{
	if (q->count == CN_DNS_MAX)
		return 0;
	if (!q->answer)
		q->answer = cn_calloc(CN_DNS_MAX, sizeof *q->answer);
	char *copy = q->answer ? cn_strdup(target) : NULL;
	if (!copy)
		return CNODE_ENOMEM;
	q->answer[q->count++] = (struct cn_dns_answer){ copy, port };
	return 0;
}

/* Who asked, NULL if nobody does any more; the question is over. */
static struct cn_dns *dns_over(struct cn_dns_query *query)
{
	struct cn_dns *q = query->asker;
	query->resolver->open--;
	cn_free(query);
	return q;
}

static void dns_end(struct cn_dns *q, int rc)
{
	dns_answer(q, rc == 0 && q->count == 0 ? CNODE_EHOST : rc);
}

static void dns_hosts(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct cn_dns *q = dns_over(arg);
	int rc = code_of(status);
	(void)timeouts;
	if (q) {
		for (const struct ares_addrinfo_node *n = info ? info->nodes : NULL; n && rc == 0; n = n->ai_next) {
			struct cn_address a;
			char text[INET6_ADDRSTRLEN];
			cn_address_from(&a, n->ai_addr);
			if (a.family && inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.ip, text, sizeof text))
				rc = dns_add(q, text, 0);
		}
		dns_end(q, rc);
	}
	if (info)
		ares_freeaddrinfo(info);
}

static void dns_srv(void *arg, int status, int timeouts, unsigned char *bytes, int size)
{
	struct cn_dns *q = dns_over(arg);
	struct ares_srv_reply *found = NULL;
	(void)timeouts;
	if (!q)
		return;
	if (status == ARES_SUCCESS)
		status = ares_parse_srv_reply(bytes, size, &found);
	int rc = code_of(status);
	/* "." says that there is no such service (RFC 2782). */
	for (const struct ares_srv_reply *s = found; s && rc == 0; s = s->next)
		if (s->host[0] && strcmp(s->host, ".") != 0)
			rc = dns_add(q, s->host, s->port);
	if (found)
		ares_free_data(found);
	dns_end(q, rc);
}

void cn_dns_start(struct cn_dns *q, struct cn_loop *loop, enum cn_dns_kind kind, const char *name,
		  void (*done)(struct cn_dns *, int))
{
	CN_LEAD(loop);
	*q = (struct cn_dns){ .done = done, .loop = loop };
	cn_timer_init(&q->told, loop, dns_told);
	struct resolver *s = NULL;
	int rc = resolver_open(loop, &s);
	struct cn_dns_query *query = rc == 0 ? cn_malloc(sizeof *query) : NULL;
	if (!query) {
		dns_answer(q, rc != 0 ? rc : CNODE_ENOMEM);
		return;
	}
	*query = (struct cn_dns_query){ .asker = q, .resolver = s };
	q->query = query;
	s->open++;
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	if (kind == CN_DNS_HOST)
		ares_getaddrinfo(s->channel, name, NULL, &hints, dns_hosts, query);
	else
		ares_search(s->channel, name, C_IN, T_SRV, dns_srv, query);
	set_timeout(s);
}

void cn_dns_cancel(struct cn_dns *q)
{
	if (!q->loop)
		return;
	if (q->query)
		q->query->asker = NULL;
	q->query = NULL;
	cn_timer_stop(&q->told);
	dns_clear(q);
}

bool cn_dns_servers_valid(const char *servers)
{
	char host[256];
	uint16_t port;
	struct cn_address a;
	for (const char *at = servers; at; at = *at ? at + 1 : NULL) {
		char one[256];
		size_t size = strcspn(at, ",");
		if (size == 0 || size >= sizeof one)
			return false;
		memcpy(one, at, size);
		one[size] = 0;
		if (!cn_address_parse(one, 0, &a) &&
		    (cn_address_split(one, host, sizeof host, &port) != 0 || !cn_address_parse(host, port, &a)))
			return false;
		at += size;
		if (!*at)
			break;
	}
	return true;
}
