/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding nodes: by an epmd, by DNS (a small server of the test's own), by a list. Three whole
 * nodes in one program on loopback; that one was found is told by its nodeup.
 */
#include <sched.h>
#include <stdlib.h>

#include "cnode/cnode.h"
#include "tests/dns_server.h"
#include "tests/free_port.h"
#include "tests/tap.h"


/* ---- nodes ---- */

static cnode_node *a, *b, *c;
static cnode_mailbox *mb;           /* on a, and hears of nodes */
static _Atomic unsigned notices, losses;

static void count_notices(void *context, enum cnode_log_level level, const char *text)
{
	(void)context;
	if (level <= CNODE_LOG_NOTICE && strncmp(text, "discover", 8) == 0)
		atomic_fetch_add(&notices, 1);
	if (level <= CNODE_LOG_NOTICE && strcmp(text, "b@127.0.0.1: the connection is lost, trying again") == 0)
		atomic_fetch_add(&losses, 1);
}

static cnode_node *node_at(const char *name, const char *listen, enum cnode_epmd_mode epmd, uint16_t epmd_port)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	char servers[32];
	snprintf(servers, sizeof servers, "127.0.0.1:%u", dns_port);
	cfg.name = name;
	cfg.cookie = "secret";
	cfg.listen = listen;
	cfg.hidden = true;          /* global would have its own ideas of who is to be connected */
	cfg.epmd = epmd;
	cfg.epmd_port = epmd_port;
	cfg.log = count_notices;
	cfg.dns = dns_port ? servers : NULL;
	ck_assert_msg(cnode_node_new(&cfg, &node) == 0, "%s", cnode_node_error(node));
	ck_assert_msg(cnode_node_start(node) == 0, "%s", cnode_node_error(node));
	return node;
}

static void listen_to_nodes(void)
{
	ck_assert_int_eq(cnode_mailbox_open(a, NULL, &mb), 0);
	ck_assert_int_eq(cnode_monitor_nodes(cnode_mailbox_process(mb), CNODE_NODES_VISIBLE | CNODE_NODES_HIDDEN, true), 0);
}

/* The node of the next nodeup (or nodedown). */
static const char *next_node(enum cnode_info_kind kind)
{
	static char text[CNODE_NAME_SIZE];
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, kind);
	ck_assert_int_eq(cnode_name_text(info.peer, text), 0);
	return text;
}

static void teardown(void)
{
	cnode_mailbox_close(mb);
	cnode_node_free(a);
	cnode_node_free(b);
	cnode_node_free(c);
	a = b = c = NULL;
	mb = NULL;
	if (dns_fd >= 0)
		dns_close();
	dns_fd = -1;
	dns_port = 0;
}

static void route(const char *name, cnode_node *to)
{
	char address[64];
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(to));
	ck_assert_int_eq(cnode_node_route(a, name, address), 0);
}

/* ---- tests ---- */

START_TEST(finds_the_nodes_of_an_epmd)
{
	const uint16_t port = free_port();
	b = node_at("b@127.0.0.1", "127.0.0.1", CNODE_EPMD_EMBEDDED, port);
	c = node_at("other@127.0.0.1", "127.0.0.1", CNODE_EPMD_EXTERNAL, port);
	a = node_at("a@127.0.0.1", "127.0.0.1", CNODE_EPMD_EXTERNAL, port);
	listen_to_nodes();
	/* By pattern first; itself is never one of them. */
	ck_assert_int_eq(cnode_discover(a, "epmd:oth*@127.0.0.1"), 0);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "other@127.0.0.1");
	ck_assert_int_eq(cnode_discover(a, "epmd:127.0.0.1"), 0);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "b@127.0.0.1");
	/* One that was lost is found by the next round. */
	ck_assert_int_eq(cnode_disconnect(c, "a@127.0.0.1"), 0);
	ck_assert_str_eq(next_node(CNODE_NODEDOWN), "other@127.0.0.1");
	ck_assert_str_eq(next_node(CNODE_NODEUP), "other@127.0.0.1");
}
END_TEST

START_TEST(finds_nodes_at_the_addresses_of_a_name)
{
	dns_open();
	row(0, "app.test", 1, "127.0.0.2", 0);
	row(1, "app.test", 1, "127.0.0.3", 0);
	row(2, "app.test", 1, "127.0.0.1", 0);
	b = node_at("app@127.0.0.2", "127.0.0.1", CNODE_EPMD_NONE, 0);
	c = node_at("app@127.0.0.3", "127.0.0.1", CNODE_EPMD_NONE, 0);
	a = node_at("app@127.0.0.1", "127.0.0.1", CNODE_EPMD_NONE, 0);
	route("app@127.0.0.2", b);
	route("app@127.0.0.3", c);
	atomic_store(&rows[1].on, false);
	listen_to_nodes();
	ck_assert_int_eq(cnode_discover(a, "dns:app@app.test"), 0);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "app@127.0.0.2");
	/* One that comes later. */
	atomic_store(&rows[1].on, true);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "app@127.0.0.3");
	/* One that is not named any more is not looked for: two rounds that find the other again pass. */
	atomic_store(&rows[1].on, false);
	ck_assert_int_eq(cnode_disconnect(a, "app@127.0.0.3"), 0);
	ck_assert_str_eq(next_node(CNODE_NODEDOWN), "app@127.0.0.3");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(cnode_disconnect(a, "app@127.0.0.2"), 0);
		ck_assert_str_eq(next_node(CNODE_NODEDOWN), "app@127.0.0.2");
		ck_assert_str_eq(next_node(CNODE_NODEUP), "app@127.0.0.2");
	}
}
END_TEST

START_TEST(finds_nodes_by_service_records_with_their_ports)
{
	dns_open();
	b = node_at("app@app-0.app.test", "127.0.0.1", CNODE_EPMD_NONE, 0);
	c = node_at("app@app-1.app.test", "127.0.0.1", CNODE_EPMD_NONE, 0);
	a = node_at("app@app-2.app.test", "127.0.0.1", CNODE_EPMD_NONE, 0);
	row(0, "_dist._tcp.app.test", 33, "app-0.app.test", cnode_node_port(b));
	row(1, "_dist._tcp.app.test", 33, "app-1.app.test", cnode_node_port(c));
	row(2, "_dist._tcp.app.test", 33, "app-2.app.test", cnode_node_port(a));
	row(3, "app-0.app.test", 1, "127.0.0.1", 0);
	row(4, "app-1.app.test", 1, "127.0.0.1", 0);
	row(5, "app-2.app.test", 1, "127.0.0.1", 0);
	listen_to_nodes();
	ck_assert_int_eq(cnode_discover(a, "srv:app@_dist._tcp.app.test"), 0);
	char first[CNODE_NAME_SIZE];
	snprintf(first, sizeof first, "%s", next_node(CNODE_NODEUP));
	const char *second = next_node(CNODE_NODEUP);
	ck_assert(strcmp(first, second) != 0);
	ck_assert(strcmp(first, "app@app-0.app.test") == 0 || strcmp(second, "app@app-0.app.test") == 0);
	ck_assert(strcmp(first, "app@app-1.app.test") == 0 || strcmp(second, "app@app-1.app.test") == 0);
}
END_TEST

/* A service of epmd's port: the node's own port is epmd's to say. */
START_TEST(finds_nodes_by_service_records_of_epmd)
{
	const uint16_t port = free_port();
	dns_open();
	row(0, "_epmd._tcp.app.test", 33, "app-0.app.test", port);
	row(1, "app-0.app.test", 1, "127.0.0.1", 0);
	b = node_at("app@app-0.app.test", "127.0.0.1", CNODE_EPMD_EMBEDDED, port);
	a = node_at("app@app-2.app.test", "127.0.0.1", CNODE_EPMD_NONE, port);
	listen_to_nodes();
	ck_assert_int_eq(cnode_discover(a, "srv:app@_epmd._tcp.app.test"), 0);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "app@app-0.app.test");
}
END_TEST

START_TEST(a_source_that_fails_is_asked_again_and_said_once)
{
	dns_open();
	row(0, "app.test", 1, "127.0.0.2", 0);
	atomic_store(&dns_fails, true);
	b = node_at("app@127.0.0.2", "127.0.0.1", CNODE_EPMD_NONE, 0);
	a = node_at("app@127.0.0.1", "127.0.0.1", CNODE_EPMD_NONE, 0);
	route("app@127.0.0.2", b);
	listen_to_nodes();
	atomic_store(&notices, 0);
	ck_assert_int_eq(cnode_discover(a, "dns:app@app.test"), 0);
	/* Said, and then another round. */
	while (atomic_load(&notices) == 0 || atomic_load(&asked) == 0)
		sched_yield();
	atomic_store(&dns_fails, false);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "app@127.0.0.2");
	/* That it answers again is the second and last word. */
	while (atomic_load(&notices) < 2)
		sched_yield();
	ck_assert_uint_eq(atomic_load(&notices), 2);
}
END_TEST

START_TEST(connects_to_a_list)
{
	b = node_at("b@127.0.0.1", "127.0.0.1", CNODE_EPMD_NONE, 0);
	a = node_at("a@127.0.0.1", "127.0.0.1", CNODE_EPMD_NONE, 0);
	listen_to_nodes();
	char source[100];
	snprintf(source, sizeof source, "list:a@127.0.0.1,b@127.0.0.1:%u", cnode_node_port(b));
	ck_assert_int_eq(cnode_discover(a, source), 0);
	ck_assert_str_eq(next_node(CNODE_NODEUP), "b@127.0.0.1");
}
END_TEST

/* Seeds (cnode_connect): there is nobody yet, then somebody, then he is lost, each time without end. */
START_TEST(stays_with_a_seed)
{
	a = node_at("a@127.0.0.1", "127.0.0.1", CNODE_EPMD_NONE, 0);
	listen_to_nodes();
	char peer[64], listen[64];
	const unsigned port = free_port();
	snprintf(peer, sizeof peer, "b@127.0.0.1:%u", port);
	snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
	ck_assert_int_eq(cnode_connect(a, peer), 0);
	/* Refused at least once: the attempt is over when it is told. */
	ck_assert_int_lt(cnode_connect_wait(mb, peer, TAP_WAIT_MS), 0);
	for (int i = 0; i < 2; i++) {
		b = node_at("b@127.0.0.1", listen, CNODE_EPMD_NONE, 0);
		ck_assert_str_eq(next_node(CNODE_NODEUP), "b@127.0.0.1");
		cnode_node_free(b);
		b = NULL;
		ck_assert_str_eq(next_node(CNODE_NODEDOWN), "b@127.0.0.1");
		while (atomic_load(&losses) < (unsigned)i + 1)
			sched_yield();
	}
	/* Once it is forgotten nobody comes back by himself. */
	ck_assert_int_eq(cnode_disconnect(a, "b@127.0.0.1"), 0);
}
END_TEST

/* Every pair dials at the same time, and has one connection: nobody is lost or told twice. */
START_TEST(a_crowd_that_dials_at_once_is_a_full_mesh)
{
	enum { N = 16 };
	static cnode_node *node[N];
	static cnode_mailbox *box[N];
	char source[N * 40] = "list:", name[40];
	size_t used = strlen(source);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "n%d@127.0.0.1", i);
		node[i] = node_at(name, "127.0.0.1", CNODE_EPMD_NONE, 0);
		used += (size_t)snprintf(source + used, sizeof source - used, "%s%s:%u", i ? "," : "", name,
					 (unsigned)cnode_node_port(node[i]));
		ck_assert_int_eq(cnode_mailbox_open(node[i], NULL, &box[i]), 0);
		ck_assert_int_eq(cnode_monitor_nodes(cnode_mailbox_process(box[i]), CNODE_NODES_VISIBLE | CNODE_NODES_HIDDEN, true), 0);
	}
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(cnode_discover(node[i], source), 0);
	for (int i = 0; i < N; i++) {
		bool seen[N] = { false };
		for (int n = 0; n < N - 1; n++) {
			cnode_info info;
			char peer[CNODE_NAME_SIZE];
			ck_assert_int_eq(cnode_receive(box[i], &info, TAP_WAIT_MS), 0);
			ck_assert_int_eq(info.kind, CNODE_NODEUP);
			ck_assert_int_eq(cnode_name_text(info.peer, peer), 0);
			int k = atoi(peer + 1);
			ck_assert(k != i && !seen[k]);
			seen[k] = true;
		}
	}
	for (int i = 0; i < N; i++) {
		cnode_info info;
		ck_assert_int_eq(cnode_receive(box[i], &info, 0), CNODE_ETIMEOUT);
		cnode_mailbox_close(box[i]);
	}
	for (int i = 0; i < N; i++)
		cnode_node_free(node[i]);
}
END_TEST

START_TEST(refuses_sources_that_make_no_sense)
{
	static const char *const bad[] = {
		"", "x", "epm:h", "epmd:", "epmd:,", "epmd:a,", "epmd:a b", "epmd:@h", "epmd:a@", "epmd:a@b@c", "epmd:a!@h", "dns:", "dns:app",
		"dns:app@", "dns:@q", "dns:a*@q", "dns:a@q,b@r", "srv:app", "srv:app@q,b@r", "list:", "list:a", "list:a@", "list:@h",
		"list:a@h,", "list:a@h,,b@h",
	};
	a = node_at("a@127.0.0.1", "127.0.0.1", CNODE_EPMD_NONE, 0);
	listen_to_nodes();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_msg(cnode_discover(a, bad[i]) == CNODE_EBADARG, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(cnode_node_error(a), "discover "));
	}
	ck_assert_int_eq(cnode_discover(a, NULL), CNODE_EBADARG);
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	ck_assert_int_eq(cnode_node_new(&cfg, &node), 0);
	ck_assert_int_eq(cnode_discover(node, "dns:a@b"), CNODE_ESTATE);
	cnode_node_free(node);
	cfg.name = "x@127.0.0.1";
	cfg.cookie = "secret";
	static const char *const servers[] = { "", "a", "127.0.0.1:x", "127.0.0.1,", "127.0.0.1:99999" };
	for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
		cfg.dns = servers[i];
		ck_assert_msg(cnode_node_new(&cfg, &node) == CNODE_EBADARG, "%s", servers[i]);
		ck_assert_ptr_nonnull(strstr(cnode_node_error(node), "dns "));
		cnode_node_free(node);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("discover");
	TCase *t = tcase_create("sources");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, finds_the_nodes_of_an_epmd);
	tcase_add_test(t, finds_nodes_at_the_addresses_of_a_name);
	tcase_add_test(t, finds_nodes_by_service_records_with_their_ports);
	tcase_add_test(t, finds_nodes_by_service_records_of_epmd);
	tcase_add_test(t, a_source_that_fails_is_asked_again_and_said_once);
	tcase_add_test(t, connects_to_a_list);
	tcase_add_test(t, stays_with_a_seed);
	tcase_add_test(t, a_crowd_that_dials_at_once_is_a_full_mesh);
	tcase_add_test(t, refuses_sources_that_make_no_sense);
	suite_add_tcase(s, t);
	return tap_run(s);
}
