/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the nodes of a cluster: what a source names is connected to, again and again, so
 * that a node that comes later is found and one that has gone is not looked for. Which source
 * it is, is a text (cnode_discover): nodes by name, an epmd, or DNS, as Kubernetes' headless
 * services have it. Holder of the lead.
 */
#include "cnode/node/peer.h"

#include <stdio.h>

#define ROUND (5 * CN_NS_PER_S)         /* between two rounds; jittered */
#define ROUND_FAILED_MAX (30 * CN_NS_PER_S)

/* ---- what is found ---- */

static void found(struct cn_source *s, const char *peer)
{
	struct cn_cluster *cluster = s->cluster;
	const char *own = cluster->config.name;
	size_t size = strlen(own);
	/* Itself, with its port or without; the host may be an IPv6 address. */
	if (strncmp(peer, own, size) == 0 && (peer[size] == 0 || (peer[size] == ':' && !strchr(strchr(own, '@'), ':'))))
		return;
	int rc = cn_cluster_connect(cluster, peer, false, NULL, NULL);
	if (rc != 0)
		cn_log_line(cluster->log, CNODE_LOG_INFO, "discover %s: %s: %s", s->text, peer, cnode_strerror(rc));
}

static void found_at(struct cn_source *s, const char *name, size_t size, const char *host, uint16_t port)
{
	char peer[CNODE_NAME_SIZE + 8];
	int n = port ? snprintf(peer, sizeof peer, "%.*s@%s:%u", (int)size, name, host, port)
		     : snprintf(peer, sizeof peer, "%.*s@%s", (int)size, name, host);
	if (n > 0 && (size_t)n < sizeof peer)
		found(s, peer);
}

/* ---- rounds ---- */

static void round_over(struct cn_source *s)
{
	struct cn_cluster *cluster = s->cluster;
	if (s->failed != 0 && s->failed != s->told)
		cn_log_line(cluster->log, CNODE_LOG_NOTICE, "discover %s: %s; trying again", s->text, cnode_strerror(s->failed));
	else if (s->failed == 0 && s->told != 0)
		cn_log_line(cluster->log, CNODE_LOG_NOTICE, "discover %s: it answers again", s->text);
	s->told = s->failed;
	s->failures = s->failed != 0 ? s->failures + 1 : 0;
	uint64_t wait = ROUND << (s->failures < 4 ? s->failures : 4);
	cn_timer_set(&s->again, cn_loop_now(cluster->loop) + cn_jitter(wait < ROUND_FAILED_MAX ? wait : ROUND_FAILED_MAX));
}

/* The next of entries that commas part: its size; 0: there is none. */
static size_t entry(const char *at)
{
	return at ? strcspn(at, ",") : 0;
}

static char *after(char *at)
{
	at += strcspn(at, ",");
	return *at ? at + 1 : NULL;
}

static void list_round(struct cn_source *s)
{
	for (char *at = s->rest; at; at = after(at)) {
		char peer[CNODE_NAME_SIZE + 8];
		size_t size = entry(at);
		if (size < sizeof peer) {
			memcpy(peer, at, size);
			peer[size] = 0;
			found(s, peer);
		}
	}
	round_over(s);
}

static void epmd_next(struct cn_source *s);

static void epmd_answered(struct cn_epmd_query *q, int rc)
{
	struct cn_source *s = CN_CONTAINER(q, struct cn_source, epmd);
	struct cn_epmd_node node;
	size_t size = entry(s->at);
	const char *sign = memchr(s->at, '@', size);
	const char *begin = sign ? sign + 1 : s->at;
	char host[CNODE_NAME_SIZE], pattern[CNODE_NAME_SIZE], name[CN_EPMD_NAME_BYTES + 1];
	snprintf(host, sizeof host, "%.*s", (int)(size - (size_t)(begin - s->at)), begin);
	snprintf(pattern, sizeof pattern, "%.*s", sign ? (int)(sign - s->at) : 1, sign ? s->at : "*");
	int more = 0;
	while (rc == 0 && (more = cn_epmd_next_name(&q->names, &node)) > 0) {
		snprintf(name, sizeof name, "%.*s", (int)node.name_size, (const char *)node.name);
		if (cn_access_match(pattern, name) || CN_MUTANT(discover_any_name))
			found_at(s, name, strlen(name), host, 0);
	}
	if (rc == 0 && more < 0)
		rc = more;
	s->failed = s->failed ? s->failed : rc;
	s->at = after(s->at);
	epmd_next(s);
}

static void epmd_next(struct cn_source *s)
{
	if (!s->at) {
		round_over(s);
		return;
	}
	char host[CNODE_NAME_SIZE];
	size_t size = entry(s->at);
	const char *sign = memchr(s->at, '@', size);
	const char *begin = sign ? sign + 1 : s->at;
	snprintf(host, sizeof host, "%.*s", (int)(size - (size_t)(begin - s->at)), begin);
	cn_epmd_ask(&s->epmd, s->cluster->loop, host, 0, s->cluster->config.epmd_port, NULL, 0, epmd_answered);
}

/* NAME@QUESTION: each address or target that is answered has a node NAME. */
static void dns_answered(struct cn_dns *q, int rc)
{
	struct cn_source *s = CN_CONTAINER(q, struct cn_source, dns);
	size_t size = strcspn(s->rest, "@");
	uint16_t epmd = s->cluster->config.epmd_port;
	for (unsigned i = 0; rc == 0 && i < q->count; i++)
		/* A service of epmd's port has its nodes behind epmd; another port is the node's own. */
		found_at(s, s->rest, size, q->answer[i].target, q->answer[i].port == epmd ? 0 : q->answer[i].port);
	s->failed = rc;
	round_over(s);
}

static void begin(struct cn_source *s)
{
	s->failed = 0;
	switch (s->kind) {
	case LIST:
		list_round(s);
		break;
	case EPMD:
		s->at = s->rest;
		epmd_next(s);
		break;
	case DNS:
	case SRV:
		cn_dns_start(&s->dns, s->cluster->loop, s->kind == DNS ? CN_DNS_HOST : CN_DNS_SRV, strchr(s->rest, '@') + 1, dns_answered);
		break;
	}
}

static void again(struct cn_timer *timer)
{
	struct cn_source *s = CN_CONTAINER(timer, struct cn_source, again);
	if (!s->cluster->stopping && !CN_MUTANT(discover_once))
		begin(s);
}

/* ---- texts ---- */

static const struct {
	const char *prefix;
	enum cn_source_kind kind;
} kinds[] = { { "list:", LIST }, { "epmd:", EPMD }, { "dns:", DNS }, { "srv:", SRV } };

/* A name before the @ of a node, with '*' if it is a pattern. */
static bool is_plain(const char *text, size_t size, bool pattern)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-", text[i]) &&
		    !(pattern && text[i] == '*'))
			return false;
	return size > 0;
}

static bool is_host(const char *text, size_t size)
{
	return size > 0 && size < 256 && !memchr(text, '@', size) && !memchr(text, ' ', size);
}

static bool is_entry(enum cn_source_kind kind, const char *at, size_t size)
{
	const char *sign = memchr(at, '@', size);
	size_t before = sign ? (size_t)(sign - at) : 0;
	if (!sign)
		return kind == EPMD && is_host(at, size);
	return is_plain(at, before, kind == EPMD) && is_host(sign + 1, size - before - 1);
}

static int parse(const char *text, enum cn_source_kind *kind, const char **rest, const char **why)
{
	*why = "a source is list:, epmd:, dns: or srv:, and what belongs to it";
	*rest = NULL;
	for (size_t i = 0; i < CN_ARRAY_SIZE(kinds); i++)
		if (strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) == 0) {
			*kind = kinds[i].kind;
			*rest = text + strlen(kinds[i].prefix);
		}
	if (!*rest)
		return CNODE_EBADARG;
	static const char *const wanted[] = {
		[LIST] = "list: wants NAME@HOST or NAME@HOST:PORT, with commas between",
		[EPMD] = "epmd: wants HOST or PATTERN@HOST, with commas between",
		[DNS] = "dns: wants NAME@QUESTION, where DNS knows the addresses of QUESTION",
		[SRV] = "srv: wants NAME@QUESTION, where DNS knows the services of QUESTION",
	};
	*why = wanted[*kind];
	const char *at = *rest;
	for (bool more = true; more;) {
		size_t size = strcspn(at, ",");
		more = at[size] == ',';
		if (!is_entry(*kind, at, size) || (more && *kind >= DNS))
			return CNODE_EBADARG;
		at += size + more;
	}
	return 0;
}

int cn_discover_check(const char *text, const char **why)
{
	enum cn_source_kind kind;
	const char *rest;
	return parse(text, &kind, &rest, why);
}

static void source_free(struct cn_source *s)
{
	cn_free(s->text);
	cn_free(s->rest);
	cn_free(s);
}

int cn_cluster_discover(struct cn_cluster *cluster, const char *text)
{
	CN_LEAD(cluster->loop);
	enum cn_source_kind kind;
	const char *rest, *why;
	int rc = parse(text, &kind, &rest, &why);
	if (rc != 0)
		return rc;
	if (cluster->stopping)
		return CNODE_ESHUTDOWN;
	struct cn_source *s = cn_calloc(1, sizeof *s);
	if (!s)
		return CNODE_ENOMEM;
	s->cluster = cluster;
	s->kind = kind;
	s->text = cn_strdup(text);
	s->rest = cn_strdup(rest);
	if (!s->text || !s->rest) {
		source_free(s);
		return CNODE_ENOMEM;
	}
	cn_timer_init(&s->again, cluster->loop, again);
	s->next = cluster->sources;
	cluster->sources = s;
	begin(s);
	return 0;
}

void cn_sources_stop(struct cn_cluster *cluster)
{
	for (struct cn_source *s; (s = cluster->sources);) {
		cluster->sources = s->next;
		cn_timer_stop(&s->again);
		cn_epmd_cancel(&s->epmd);
		cn_dns_cancel(&s->dns);
		source_free(s);
	}
}
