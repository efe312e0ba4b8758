/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding nodes while memory lacks, at every allocation in turn: by an epmd, by DNS, by a list, and as a seed that is to be
 * kept. Each attempt ends (with an error, or in a next one that is due), and with memory again the node that is looked for is
 * dialled by it. The epmd, the DNS server and the node are a thread of the test's own, which uses no allocator; that time
 * passes until the next attempt is due is said to the loop. What leaks is the sanitizer's to find.
 */
#include <poll.h>

#include "cnode/node/peer.h"
#include "tests/alloc_fail.h"
#include "tests/dns_server.h"
#include "tests/tap.h"

#define WAIT (TAP_WAIT_MS * CN_NS_PER_MS)

/* ---- the host that is looked for: its epmd, and the node b, which hangs up on everybody ---- */

static int epmd_fd = -1, node_fd = -1;
static uint16_t epmd_port, node_port;
static pthread_t host_thread;
static _Atomic unsigned dialled;    /* connections that came to the node */

static int listen_at(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* One question of an epmd: NAMES (110) or PORT2 (122), erl_dist_protocol. */
static void answer_epmd(int fd)
{
	uint8_t in[512], out[64] = { 0 };
	size_t size = 0, wanted = 2;
	while (size < wanted) {
		ssize_t n = read(fd, in + size, sizeof in - size);
		if (n <= 0)
			return;
		size += (size_t)n;
		if (size >= 2)
			wanted = 2 + ((size_t)in[0] << 8 | in[1]);
	}
	if (in[2] == 110) {
		size = 4 + (size_t)snprintf((char *)out + 4, sizeof out - 4, "name b at port %u\n", node_port);
		put16(out + 2, epmd_port);
	} else {
		const uint8_t found[] = { 119, 0, (uint8_t)(node_port >> 8), (uint8_t)node_port, 72, 0, 0, 6, 0, 5, 0, 1, 'b', 0, 0 };
		size = sizeof found;
		memcpy(out, found, size);
	}
	if (write(fd, out, size) < 0)
		return;                     /* who asked has gone */
}

static void *host(void *arg)
{
	(void)arg;
	for (;;) {
		struct pollfd p[] = { { .fd = epmd_fd, .events = POLLIN }, { .fd = node_fd, .events = POLLIN } };
		if (poll(p, 2, -1) < 0)
			continue;
		/* What was shut down has nobody to accept. */
		for (int i = 0; i < 2; i++) {
			if (!p[i].revents)
				continue;
			int fd = accept(p[i].fd, NULL, NULL);
			if (fd < 0)
				return NULL;
			if (i == 0)
				answer_epmd(fd);
			else
				atomic_fetch_add(&dialled, 1);
			close(fd);
		}
	}
}

/* ---- this node ---- */

static struct cn_loop *loop;
static struct cn_procs *procs;
static struct cn_cluster *cluster;
static uint64_t passed;             /* beside the clock's time */

static uint64_t now(void *context)
{
	(void)context;
	return cn_now() + passed;
}

static void open_host(void)
{
	char servers[32];
	alloc_fail_install();
	epmd_fd = listen_at(&epmd_port);
	node_fd = listen_at(&node_port);
	ck_assert_int_eq(pthread_create(&host_thread, NULL, host, NULL), 0);
	dns_open();
	row(0, "app.test", 1, "127.0.0.1", 0);
	row(1, "_dist._tcp.app.test", 33, "app.test", node_port);
	snprintf(servers, sizeof servers, "127.0.0.1:%u", dns_port);
	const struct cn_loop_config config = { .now = now, .dns = servers };
	struct cn_procs_config process_config = { .creation = 5 };
	ck_assert_int_eq(cnode_name_of("me@127.0.0.1", &process_config.node), 0);
	ck_assert_int_eq(cn_loop_new(&config, &loop), 0);
	cn_lead_take(loop);
	ck_assert_int_eq(cn_procs_new(&process_config, NULL, NULL, &procs), 0);
}

static void close_host(void)
{
	cn_procs_free(procs);
	cn_lead_release(loop);
	cn_loop_free(loop);
	dns_close();
	shutdown(epmd_fd, SHUT_RD);
	pthread_join(host_thread, NULL);
	close(epmd_fd);
	close(node_fd);
}

static void open_cluster(void)
{
	static const struct cn_cluster_ops ops = { 0 };
	struct cn_cluster_config config = { .name = "me@127.0.0.1", .networked = true, .cookie = "secret", .epmd_port = epmd_port };
	ck_assert_int_eq(cn_cluster_new(&config, loop, procs, NULL, &ops, NULL, &cluster), 0);
}

static struct cn_peer *seed(void)
{
	cnode_name b;
	ck_assert_int_eq(cnode_name_of("b@127.0.0.1", &b), 0);
	return cn_peer_find(cluster, b);
}

/* The attempt is over: the next one is due some time, and nothing goes on. */
static bool is_over(void)
{
	const struct cn_peer *b = seed();
	bool again = cluster->sources ? cluster->sources->again.running : b && b->again.running;
	return again && cn_net_count(cluster->net) == 0;
}

static void until_over(const char *what, long k)
{
	uint64_t begin = cn_now();
	do {
		cn_loop_poll(loop, cn_loop_clock(loop) + 10 * CN_NS_PER_MS);
		ck_assert_msg(cn_now() - begin < WAIT, "%s: nothing comes of it when allocation %ld fails", what, k);
	} while (!is_over());
}

/* The next attempt, at once. */
static void next_attempt(const char *what, long k)
{
	uint64_t due = cn_loop_due(loop), at = cn_loop_clock(loop);
	ck_assert_msg(due != CN_NEVER, "%s: no next attempt when allocation %ld has failed", what, k);
	passed += due > at ? due - at : 0;
	cn_loop_poll(loop, 0);
	until_over(what, k);
}

/* ---- ways to find it; 0 or a code ---- */

static int by_text(const char *format, unsigned port)
{
	char text[100];
	snprintf(text, sizeof text, format, port);
	return cn_cluster_discover(cluster, text);
}

static int by_epmd(void) { return by_text("epmd:b@127.0.0.1", 0); }
static int by_hosts(void) { return by_text("dns:b@app.test", 0); }
static int by_services(void) { return by_text("srv:b@_dist._tcp.app.test", 0); }
static int by_list(void) { return by_text("list:me@127.0.0.1,b@127.0.0.1:%u", node_port); }

static int as_seed(void) { return cn_cluster_connect(cluster, "b@127.0.0.1", true, NULL, NULL); }

static int as_seed_at_a_port(void)
{
	char text[100];
	snprintf(text, sizeof text, "b@127.0.0.1:%u", node_port);
	return cn_cluster_connect(cluster, text, true, NULL, NULL);
}

static const struct {
	const char *name;
	int (*begin)(void);
} ways[] = {
	{ "epmd", by_epmd }, { "dns", by_hosts }, { "srv", by_services }, { "list", by_list }, { "seed", as_seed },
	{ "seed with a port", as_seed_at_a_port },
};

START_TEST(what_is_looked_for_is_found_when_there_is_memory_again)
{
	const char *name = ways[_i / 2].name;
	int rest = _i % 2;
	bool reached = true;
	long k;
	for (k = 1; reached; k++) {
		open_cluster();
		alloc_fail_at(k, rest);
		int rc = ways[_i / 2].begin();
		if (rc == 0)
			until_over(name, k);
		reached = alloc_fail_never();
		ck_assert_msg(rc == 0 || (rc == CNODE_ENOMEM && reached), "%s: %s", name, cnode_strerror(rc));
		/* An error leaves nothing behind, and it may be asked for again. */
		if (rc != 0) {
			ck_assert(!cluster->sources && !seed() && cn_net_count(cluster->net) == 0);
			ck_assert_int_eq(ways[_i / 2].begin(), 0);
			until_over(name, k);
		}
		unsigned before = atomic_load(&dialled);
		for (int tries = 0; tries < 3 && atomic_load(&dialled) == before; tries++)
			next_attempt(name, k);
		ck_assert_msg(atomic_load(&dialled) > before, "%s: not found after allocation %ld has failed", name, k);
		cn_cluster_free(cluster);
	}
	ck_assert_int_gt(k, 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("discover_memory");
	TCase *t = tcase_create("ways");
	tcase_add_checked_fixture(t, open_host, close_host);
	tcase_add_loop_test(t, what_is_looked_for_is_found_when_there_is_memory_again, 0, 2 * CN_ARRAY_SIZE(ways));
	suite_add_tcase(s, t);
	return tap_run(s);
}
