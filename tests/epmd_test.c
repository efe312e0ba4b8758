/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epmd: asking one, being one, staying registered with one. Against ourselves, and where
 * OTP is installed against its epmd and a BEAM node.
 */
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cnode/conn/conn.h"
#include "tests/alloc_fail.h"
#include "tests/free_port.h"
#include "tests/tap.h"

extern char **environ;

static struct cn_loop *loop;
static uint64_t ahead;          /* our clock before the real one */

static uint64_t test_clock(void *context)
{
	(void)context;
	return cn_now() + ahead;
}

static void setup(void)
{
	unsetenv("ERL_EPMD_PORT");
	unsetenv("ERL_EPMD_ADDRESS");
	ck_assert_int_eq(cn_loop_new(&(struct cn_loop_config){ .now = test_clock }, &loop), 0);
	cn_lead_take(loop);
}
static void teardown(void)
{
	cn_lead_release(loop);
	cn_loop_free(loop);
}

#define UNTIL(cond) \
	do { \
		uint64_t end_ = cn_now() + 100 * CN_NS_PER_S; \
		while (!(cond)) { \
			ck_assert_msg(cn_now() < end_, "never: " #cond); \
			cn_loop_poll(loop, cn_loop_clock(loop) + 20 * CN_NS_PER_MS); \
		} \
	} while (0)

/* ---- questions ---- */

struct asked {
	struct cn_epmd_query query;
	int answers, rc;
	uint16_t port;
	char names[512];
};

static void on_answer(struct cn_epmd_query *q, int rc)
{
	struct asked *a = CN_CONTAINER(q, struct asked, query);
	a->answers++;
	a->rc = rc;
	a->port = rc == 0 ? q->node.port : 0;
	a->names[0] = 0;
	if (rc != 0 || q->op != CN_EPMD_NAMES)
		return;
	struct cn_epmd_node node;
	while (cn_epmd_next_name(&q->names, &node) == 1) {
		size_t size = strlen(a->names);
		snprintf(a->names + size, sizeof a->names - size, "%.*s:%u ", (int)node.name_size, node.name, node.port);
	}
}

static int ask(struct asked *a, uint16_t port, const char *name)
{
	a->answers = 0;
	cn_epmd_ask(&a->query, loop, "127.0.0.1", 0, port, name, name ? strlen(name) : 0, on_answer);
	ck_assert_int_eq(a->answers, 0);
	UNTIL(a->answers == 1);
	return a->rc;
}

static struct cn_epmd_server *serve(void)
{
	struct cn_epmd_server *s;
	ck_assert_int_eq(cn_epmd_server_new(loop, NULL, 0, &s), 0);
	return s;
}

static void add(struct cn_epmd_server *s, const char *name, uint16_t port)
{
	uint32_t creation;
	const struct cn_epmd_node node = { .name = name, .name_size = (uint16_t)strlen(name), .port = port, .type = 'M',
					   .high = 6, .low = 5 };
	ck_assert_int_eq(cn_epmd_server_add(s, &node, &creation), 0);
	ck_assert_uint_ge(creation, 4);
}

START_TEST(answers_questions_about_nodes)
{
	struct cn_epmd_server *s = serve();
	uint16_t port = cn_epmd_server_port(s);
	struct asked a;
	ck_assert_int_eq(ask(&a, port, "x"), CNODE_ENOTREG);
	add(s, "x", 4711);
	add(s, "y", 4712);
	ck_assert_int_eq(ask(&a, port, "x"), 0);
	ck_assert_uint_eq(a.port, 4711);
	ck_assert_int_eq(ask(&a, port, NULL), 0);
	ck_assert(strstr(a.names, "x:4711 ") && strstr(a.names, "y:4712 "));
	ck_assert_uint_eq(a.query.epmd_port, port);
	cn_epmd_server_free(s);
	ck_assert_int_eq(ask(&a, port, "x"), CNODE_EEPMD);
	ck_assert_int_eq(ask(&a, port, NULL), CNODE_EEPMD);
}
END_TEST

START_TEST(gives_up_a_question_that_nobody_answers)
{
	int fd;
	struct cn_address at;
	const struct cn_address any = cn_address_loopback(4, 0);
	struct asked a = { .answers = 0 };
	ck_assert_int_eq(cn_socket_listen(&any, &fd, &at), 0);
	cn_epmd_ask(&a.query, loop, "127.0.0.1", 0, at.port, "x", 1, on_answer);
	for (int i = 0; i < 5; i++)
		cn_loop_poll(loop, cn_loop_clock(loop) + CN_NS_PER_MS);
	ck_assert_int_eq(a.answers, 0);
	ahead += CN_EPMD_TIME;
	UNTIL(a.answers == 1);
	ck_assert_int_eq(a.rc, CNODE_ETIMEOUT);

	a.answers = 0;
	cn_epmd_ask(&a.query, loop, "127.0.0.1", 0, at.port, "x", 1, on_answer);
	cn_loop_poll(loop, 0);
	cn_epmd_cancel(&a.query);
	cn_epmd_cancel(&a.query);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(a.answers, 0);
	cn_epmd_ask(&a.query, loop, "127.0.0.1", 0, at.port, "", 0, on_answer);
	UNTIL(a.answers == 1);
	ck_assert_int_eq(a.rc, CNODE_EBADNAME);
	cn_socket_close(fd);
}
END_TEST

/* A stranger that speaks bytes. */
struct stranger {
	int fd;
	uint8_t in[256];
	size_t size;
	int rc;                 /* 0 while it is connected */
};

static void listen_to(struct stranger *s)
{
	size_t moved;
	if (s->rc == 0)
		s->rc = cn_socket_read(s->fd, &(struct iovec){ s->in + s->size, sizeof s->in - s->size }, 1, &moved);
	if (s->rc == 0)
		s->size += moved;
}
static void say(struct stranger *s, uint16_t port, const void *bytes, size_t size)
{
	struct cn_address to = cn_address_loopback(4, port);
	size_t moved = 0;
	*s = (struct stranger){ .fd = -1 };
	ck_assert_int_eq(cn_socket_connect(&to, &s->fd), 0);
	ck_assert_int_eq(cn_socket_write(s->fd, &(struct iovec){ (void *)bytes, size }, 1, &moved), 0);
	ck_assert_uint_eq(moved, size);
}

START_TEST(closes_on_strangers_that_speak_nonsense)
{
	struct cn_epmd_server *s = serve();
	static const struct { const char *bytes; size_t size; } bad[] = {
		{ "\0\0", 2 }, { "\xff\xffz", 3 }, { "\0\001q", 3 }, { "\0\003zab\0\001n", 8 }, { "\0\001d", 3 },
		{ "\0\003sab", 5 }, { "\0\004x\1\1\1", 6 },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		struct stranger c;
		say(&c, cn_epmd_server_port(s), bad[i].bytes, bad[i].size);
		UNTIL((listen_to(&c), c.rc < 0));
		ck_assert_uint_eq(c.size, 0);
		cn_socket_close(c.fd);
	}
	struct stranger c;
	say(&c, cn_epmd_server_port(s), "\0\001k", 3);
	UNTIL((listen_to(&c), c.rc < 0));
	ck_assert_mem_eq(c.in, "NO", 2);
	cn_socket_close(c.fd);
	cn_epmd_server_free(s);
}
END_TEST

START_TEST(closes_on_idle_strangers_but_not_on_nodes)
{
	struct cn_epmd_server *s = serve();
	struct stranger idle, node;
	struct asked a;
	static const char alive[] = "\0\017x\x12\x67M\0\0\006\0\005\0\002aa\0\0";
	say(&idle, cn_epmd_server_port(s), "\0", 1);
	say(&node, cn_epmd_server_port(s), alive, sizeof alive - 1);
	UNTIL((listen_to(&node), node.size == 6));
	ck_assert_mem_eq(node.in, "v\0", 2);
	ck_assert_int_eq(ask(&a, cn_epmd_server_port(s), "aa"), 0);
	ck_assert_uint_eq(a.port, 0x1267);
	size_t moved;
	ahead += CN_EPMD_IDLE / 2;
	cn_loop_poll(loop, 0);
	cn_socket_write(idle.fd, &(struct iovec){ (void *)"\003", 1 }, 1, &moved);
	cn_loop_poll(loop, 0);
	ahead += CN_EPMD_IDLE / 2;
	UNTIL((listen_to(&idle), idle.rc < 0));
	listen_to(&node);
	ck_assert_int_eq(node.rc, 0);

	/* A second node of that name is refused; when the first has gone, its name is free. */
	struct stranger other;
	say(&other, cn_epmd_server_port(s), alive, sizeof alive - 1);
	UNTIL((listen_to(&other), other.rc < 0));
	ck_assert_mem_eq(other.in, "v\1", 2);
	cn_socket_close(other.fd);
	cn_socket_close(node.fd);
	UNTIL(ask(&a, cn_epmd_server_port(s), "aa") == CNODE_ENOTREG);
	cn_socket_close(idle.fd);
	cn_epmd_server_free(s);
}
END_TEST

START_TEST(serves_where_the_environment_says)
{
	struct cn_epmd_server *s, *second;
	setenv("ERL_EPMD_ADDRESS", "127.0.0.2, 127.0.0.3", 1);
	s = serve();
	for (uint8_t i = 1; i <= 3; i++) {
		struct cn_address to = cn_address_loopback(4, cn_epmd_server_port(s));
		int fd;
		to.ip[3] = i;
		ck_assert_int_eq(cn_socket_connect(&to, &fd), 0);
		ck_assert_int_eq(cn_socket_outcome(fd), 0);
		cn_socket_close(fd);
	}
	ck_assert_int_eq(cn_epmd_server_new(loop, NULL, cn_epmd_server_port(s), &second), CNODE_EADDRINUSE);
	setenv("ERL_EPMD_ADDRESS", "nonsense", 1);
	ck_assert_int_eq(cn_epmd_server_new(loop, NULL, 0, &second), CNODE_EBADARG);
	unsetenv("ERL_EPMD_ADDRESS");
	cn_epmd_server_free(s);
}
END_TEST

/* Debian's epmd gives up at each of these, because it would listen twice. */
START_TEST(serves_an_address_once_however_often_it_is_named)
{
	static const struct {
		const char *list, *at;
	} rows[] = {
		{ "127.0.0.2,127.0.0.2", "127.0.0.2" }, { "127.0.0.1,127.0.0.1", "127.0.0.1" }, { "0.0.0.0", "127.0.0.9" },
		{ "127.0.0.2,0.0.0.0", "127.0.0.2" }, { "127.0.0.2,0.0.0.0,0.0.0.0", "127.0.0.9" }, { "0.0.0.0,::", "127.0.0.9" },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(rows); i++) {
		struct cn_epmd_server *s;
		struct cn_address to;
		int fd;
		setenv("ERL_EPMD_ADDRESS", rows[i].list, 1);
		ck_assert_msg(cn_epmd_server_new(loop, NULL, 0, &s) == 0, "%s", rows[i].list);
		ck_assert(cn_address_parse(rows[i].at, cn_epmd_server_port(s), &to));
		ck_assert_int_eq(cn_socket_connect(&to, &fd), 0);
		ck_assert_msg(cn_socket_outcome(fd) == 0, "%s", rows[i].list);
		cn_socket_close(fd);
		cn_epmd_server_free(s);
	}
	unsetenv("ERL_EPMD_ADDRESS");
}
END_TEST

START_TEST(says_what_is_wrong_in_the_environment)
{
	static const char *const bad_ports[] = { "70000", "0", "abc", "4369x", " 4369", "-1", "4369.0", "99999999999999999999" };
	static const char *const bad_lists[] = { "nonsense", "127.0.0.1,localhost", "1.2.3", "127.0.0.1:4369", "::1,[::1]",
		"1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15" };
	static const char *const good_lists[] = { "", " ", "127.0.0.1", "127.0.0.1,::1", ", 10.0.0.1 ,, fe80::1 " };
	char text[200];
	uint16_t port;
	ck_assert_int_eq(cn_epmd_environment(&port, true, text, sizeof text), 0);
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad_ports); i++) {
		setenv("ERL_EPMD_PORT", bad_ports[i], 1);
		ck_assert_int_eq(cn_epmd_environment(&port, true, text, sizeof text), CNODE_EEPMD);
		ck_assert_msg(strstr(text, bad_ports[i]) && strstr(text, "1 to 65535"), "%s", text);
		ck_assert_int_eq(cn_epmd_environment(NULL, true, text, sizeof text), 0);
	}
	setenv("ERL_EPMD_PORT", "", 1);
	ck_assert_int_eq(cn_epmd_environment(&port, true, text, sizeof text), 0);
	ck_assert_uint_eq(port, 4369);
	setenv("ERL_EPMD_PORT", "65535", 1);
	ck_assert_int_eq(cn_epmd_environment(&port, true, text, sizeof text), 0);
	ck_assert_uint_eq(port, 65535);
	for (size_t i = 0; i < CN_ARRAY_SIZE(good_lists); i++) {
		setenv("ERL_EPMD_ADDRESS", good_lists[i], 1);
		ck_assert_int_eq(cn_epmd_environment(&port, true, text, sizeof text), 0);
	}
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad_lists); i++) {
		setenv("ERL_EPMD_ADDRESS", bad_lists[i], 1);
		ck_assert_msg(cn_epmd_environment(&port, true, text, sizeof text) == CNODE_EEPMD, "%s", bad_lists[i]);
		ck_assert_ptr_nonnull(strstr(text, "ERL_EPMD_ADDRESS"));
		ck_assert_int_eq(cn_epmd_environment(&port, false, text, sizeof text), 0);
	}
}
END_TEST

/* ---- staying registered ---- */

struct owner {
	struct cn_registrar *registrar;
	int calls, rc;
	uint32_t creation;
	char text[256];
};

static void on_registered(void *context, int rc, uint32_t creation, const char *text)
{
	struct owner *o = context;
	o->calls++;
	o->rc = rc;
	o->creation = creation;
	snprintf(o->text, sizeof o->text, "%s", text);
}

static void enroll(struct owner *o, enum cn_epmd_mode mode, uint16_t epmd_port, const char *name)
{
	*o = (struct owner){ .rc = 1 };
	const struct cn_registrar_config config = { .loop = loop, .mode = mode, .epmd_port = epmd_port, .name = name,
						    .port = 4713, .registered = on_registered, .context = o };
	ck_assert_int_eq(cn_registrar_new(&config, &o->registrar), 0);
	ck_assert_int_eq(o->calls, 0);
	UNTIL(o->calls == 1);
}

/* Within a second: a machine that has other things to do may take longer once, and not each time. */
#define TRIES 5
static uint64_t time_to_register(struct cn_registrar *r)
{
	uint64_t start = cn_now();
	UNTIL(cn_registrar_is_registered(r));
	return cn_now() - start;
}

START_TEST(registers_and_comes_back_within_a_second)
{
	struct cn_epmd_server *s = serve();
	uint16_t port = cn_epmd_server_port(s);
	struct owner o;
	struct asked a;
	enroll(&o, CN_EPMD_EXTERNAL, port, "r1");
	ck_assert_int_eq(o.rc, 0);
	ck_assert_uint_ge(o.creation, 4);
	ck_assert(cn_registrar_is_registered(o.registrar));
	ck_assert_str_eq(cn_registrar_kind(o.registrar), "external");
	ck_assert_int_eq(ask(&a, port, "r1"), 0);
	ck_assert_uint_eq(a.port, 4713);

	uint64_t least = CN_NEVER;
	for (int tries = 0; tries < TRIES && least > CN_NS_PER_S; tries++) {
		cn_epmd_server_free(s);
		UNTIL(!cn_registrar_is_registered(o.registrar));
		uint64_t down = cn_now() + 700 * CN_NS_PER_MS;
		UNTIL(cn_now() > down);
		ck_assert_int_eq(cn_epmd_server_new(loop, NULL, port, &s), 0);
		uint64_t took = time_to_register(o.registrar);
		least = took < least ? took : least;
	}
	ck_assert_uint_le(least, CN_NS_PER_S);
	ck_assert_int_eq(o.calls, 1);
	ck_assert_int_eq(ask(&a, port, "r1"), 0);
	cn_registrar_free(o.registrar);
	UNTIL(ask(&a, port, "r1") == CNODE_ENOTREG);
	cn_epmd_server_free(s);
}
END_TEST

START_TEST(says_that_a_name_is_taken_and_that_no_epmd_is_there)
{
	struct cn_epmd_server *s = serve();
	uint16_t port = cn_epmd_server_port(s);
	struct owner first, second;
	enroll(&first, CN_EPMD_EXTERNAL, port, "r2");
	enroll(&second, CN_EPMD_EXTERNAL, port, "r2");
	ck_assert_int_eq(second.rc, CNODE_ENAMETAKEN);
	ck_assert_ptr_nonnull(strstr(second.text, "r2"));
	cn_registrar_free(second.registrar);
	cn_registrar_free(first.registrar);
	cn_epmd_server_free(s);
	enroll(&first, CN_EPMD_EXTERNAL, port, "r2");
	ck_assert_int_eq(first.rc, CNODE_EEPMD);
	cn_registrar_free(first.registrar);
}
END_TEST

START_TEST(keeps_trying_when_its_name_was_taken_meanwhile)
{
	struct cn_epmd_server *s = serve();
	uint16_t port = cn_epmd_server_port(s);
	struct owner o;
	enroll(&o, CN_EPMD_EXTERNAL, port, "r3");
	cn_epmd_server_free(s);
	UNTIL(!cn_registrar_is_registered(o.registrar));
	ck_assert_int_eq(cn_epmd_server_new(loop, NULL, port, &s), 0);
	struct stranger thief;
	static const char alive[] = "\0\017x\x12\x67M\0\0\006\0\005\0\002r3\0\0";
	say(&thief, port, alive, sizeof alive - 1);
	UNTIL((listen_to(&thief), thief.size == 6));
	uint64_t while_taken = cn_now() + CN_NS_PER_S;
	UNTIL(cn_now() > while_taken);
	ck_assert(!cn_registrar_is_registered(o.registrar));
	cn_socket_close(thief.fd);
	UNTIL(cn_registrar_is_registered(o.registrar));
	ck_assert_int_eq(o.calls, 1);
	cn_registrar_free(o.registrar);
	cn_epmd_server_free(s);
}
END_TEST

START_TEST(becomes_the_epmd_where_there_is_none)
{
	uint16_t port = free_port();
	struct owner o, second, none;
	struct asked a;
	setenv("PATH", "/nonexistent", 1);
	enroll(&o, CN_EPMD_AUTO, port, "e1");
	ck_assert_int_eq(o.rc, 0);
	ck_assert_str_eq(cn_registrar_kind(o.registrar), "embedded");
	enroll(&second, CN_EPMD_AUTO, port, "e2");
	ck_assert_int_eq(second.rc, 0);
	ck_assert_str_eq(cn_registrar_kind(second.registrar), "external");
	ck_assert_int_eq(ask(&a, port, NULL), 0);
	ck_assert(strstr(a.names, "e1:4713 ") && strstr(a.names, "e2:4713 "));

	/* The first leaves, and its epmd with it: the second takes over. */
	cn_registrar_free(o.registrar);
	UNTIL(!cn_registrar_is_registered(second.registrar));
	ahead += 4 * CN_NS_PER_S;
	UNTIL(cn_registrar_is_registered(second.registrar));
	ck_assert_str_eq(cn_registrar_kind(second.registrar), "embedded");

	enroll(&none, CN_EPMD_EMBEDDED, port, "e3");
	ck_assert_int_eq(none.rc, CNODE_EADDRINUSE);
	cn_registrar_free(none.registrar);
	enroll(&none, CN_EPMD_NONE, port, "e4");
	ck_assert_int_eq(none.rc, 0);
	ck_assert_str_eq(cn_registrar_kind(none.registrar), "none");
	cn_registrar_free(none.registrar);
	cn_registrar_free(second.registrar);
}
END_TEST

/* ---- OTP's ---- */

/* Whatever it writes goes to `out` (-1: nowhere): a program that outlives us must not hold our pipes. */
static pid_t start(const char *const *argv, int out)
{
	posix_spawn_file_actions_t files;
	pid_t pid = -1;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", 0, 0);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&files, out, 1);
	else
		posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", 1, 0);
	if (posix_spawnp(&pid, argv[0], &files, NULL, (char **)(uintptr_t)argv, environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&files);
	return pid;
}

/* What a program prints until it ends, while our loop runs. */
static bool output_of(const char *const *argv, char *text, size_t room)
{
	int fd[2];
	size_t size = 0;
	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = start(argv, fd[1]);
	close(fd[1]);
	for (;;) {
		struct pollfd p = { .fd = fd[0], .events = POLLIN };
		cn_loop_poll(loop, cn_loop_clock(loop) + CN_NS_PER_MS);
		if (poll(&p, 1, 0) == 0)
			continue;
		ssize_t n = read(fd[0], text + size, room - 1 - size);
		if (n <= 0)
			break;
		size += (size_t)n;
	}
	text[size] = 0;
	close(fd[0]);
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static bool have(const char *program)
{
	char path[4096], file[4200];
	snprintf(path, sizeof path, "%s", getenv("PATH"));
	for (char *save, *dir = strtok_r(path, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		snprintf(file, sizeof file, "%s/%s", dir, program);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

START_TEST(is_an_epmd_to_epmd_names_and_to_a_beam_node)
{
	if (!have("epmd") || !have("erl"))
		return;
	struct cn_epmd_server *s = serve();
	char port[8], text[4096];
	snprintf(port, sizeof port, "%u", cn_epmd_server_port(s));
	setenv("ERL_EPMD_PORT", port, 1);
	add(s, "here", 4714);
	ck_assert(output_of((const char *[]){ "epmd", "-names", NULL }, text, sizeof text));
	ck_assert_ptr_nonnull(strstr(text, "name here at port 4714"));
	ck_assert(output_of((const char *[]){ "epmd", "-kill", NULL }, text, sizeof text));
	ck_assert(output_of((const char *[]){ "erl", "-name", "beam@127.0.0.1", "-start_epmd", "false", "-noinput", "-eval",
		"{ok, Names} = erl_epmd:names(\"127.0.0.1\"), {port, P, V} = erl_epmd:port_please(\"here\", \"127.0.0.1\"),"
		"io:format(\"~p ~p ~p~n\", [lists:sort([N || {N, _} <- Names]), P, V]), halt().", NULL }, text, sizeof text));
	ck_assert_str_eq(text, "[\"beam\",\"here\"] 4714 6\n");
	cn_epmd_server_free(s);
}
END_TEST

static pid_t start_epmd(uint16_t port)
{
	char text[8];
	snprintf(text, sizeof text, "%u", port);
	return start((const char *[]){ "epmd", "-port", text, NULL }, -1);
}

START_TEST(registers_with_otps_epmd_and_again_after_it_was_killed)
{
	if (!have("epmd"))
		return;
	uint16_t port = free_port();
	struct owner o;
	struct asked a;
	pid_t epmd = start_epmd(port);
	UNTIL(ask(&a, port, NULL) == 0);
	enroll(&o, CN_EPMD_AUTO, port, "o1");
	ck_assert_int_eq(o.rc, 0);
	ck_assert_str_eq(cn_registrar_kind(o.registrar), "external");
	ck_assert_int_eq(ask(&a, port, "o1"), 0);
	uint64_t least = CN_NEVER;
	for (int tries = 0; tries < TRIES && least > CN_NS_PER_S; tries++) {
		kill(epmd, SIGKILL);
		waitpid(epmd, NULL, 0);
		UNTIL(!cn_registrar_is_registered(o.registrar));
		epmd = start_epmd(port);
		UNTIL(ask(&a, port, NULL) == 0);
		uint64_t took = time_to_register(o.registrar);
		least = took < least ? took : least;
	}
	ck_assert_uint_le(least, CN_NS_PER_S);
	ck_assert_int_eq(ask(&a, port, "o1"), 0);
	cn_registrar_free(o.registrar);
	kill(epmd, SIGKILL);
	waitpid(epmd, NULL, 0);
}
END_TEST

START_TEST(starts_otps_epmd_where_it_is_installed)
{
	if (!have("epmd"))
		return;
	uint16_t port = free_port();
	char text[8], out[256];
	struct owner o;
	enroll(&o, CN_EPMD_AUTO, port, "o2");
	ck_assert_int_eq(o.rc, 0);
	ck_assert_str_eq(cn_registrar_kind(o.registrar), "external");
	cn_registrar_free(o.registrar);
	/* It stays, as epmd -daemon does; this one is ours to end, once it has seen that the node left. */
	snprintf(text, sizeof text, "%u", port);
	setenv("ERL_EPMD_PORT", text, 1);
	struct asked a;
	UNTIL(ask(&a, port, "o2") == CNODE_ENOTREG);
	ck_assert(output_of((const char *[]){ "epmd", "-kill", NULL }, out, sizeof out));
	UNTIL(ask(&a, port, NULL) == CNODE_EEPMD);
}
END_TEST

/* ---- memory ---- */

static void scenario(void)
{
	struct cn_epmd_server *s = NULL;
	if (cn_loop_new(&(struct cn_loop_config){ .now = test_clock }, &loop) != 0)
		return;
	cn_lead_take(loop);
	int rc = cn_epmd_server_new(loop, NULL, 0, &s);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	struct owner o = { .rc = 1 };
	struct asked a = { .answers = 0 };
	if (rc == 0) {
		const struct cn_registrar_config config = { .loop = loop, .mode = CN_EPMD_EXTERNAL, .name = "m",
			.epmd_port = cn_epmd_server_port(s), .port = 1, .registered = on_registered, .context = &o };
		if (cn_registrar_new(&config, &o.registrar) == 0) {
			cn_epmd_ask(&a.query, loop, "127.0.0.1", 0, cn_epmd_server_port(s), NULL, 0, on_answer);
			for (int i = 0; i < 300 && !(o.calls && a.answers); i++) {
				ahead += 20 * CN_NS_PER_MS;
				cn_loop_poll(loop, 0);
			}
			ck_assert_int_eq(a.answers, 1);
			ck_assert_int_eq(o.calls, 1);
			cn_registrar_free(o.registrar);
		}
	}
	cn_epmd_server_free(s);
	cn_lead_release(loop);
	cn_loop_free(loop);
}

START_TEST(survives_every_failed_allocation)
{
	alloc_fail_each(scenario);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("epmd");
	TCase *tc = tcase_create("ours"), *otp = tcase_create("OTP's"), *memory = tcase_create("memory");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(otp, setup, teardown);
	tcase_add_test(tc, answers_questions_about_nodes);
	tcase_add_test(tc, gives_up_a_question_that_nobody_answers);
	tcase_add_test(tc, closes_on_strangers_that_speak_nonsense);
	tcase_add_test(tc, closes_on_idle_strangers_but_not_on_nodes);
	tcase_add_test(tc, serves_where_the_environment_says);
	tcase_add_test(tc, serves_an_address_once_however_often_it_is_named);
	tcase_add_test(tc, says_what_is_wrong_in_the_environment);
	tcase_add_test(tc, registers_and_comes_back_within_a_second);
	tcase_add_test(tc, says_that_a_name_is_taken_and_that_no_epmd_is_there);
	tcase_add_test(tc, keeps_trying_when_its_name_was_taken_meanwhile);
	tcase_add_test(tc, becomes_the_epmd_where_there_is_none);
	tcase_add_test(otp, is_an_epmd_to_epmd_names_and_to_a_beam_node);
	tcase_add_test(otp, registers_with_otps_epmd_and_again_after_it_was_killed);
	tcase_add_test(otp, starts_otps_epmd_where_it_is_installed);
	tcase_add_test(memory, survives_every_failed_allocation);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, otp);
	suite_add_tcase(s, memory);
	return tap_run(s);
}
