/* SPDX-License-Identifier: Apache-2.0 */
/* api: one node by itself, its configuration and its cookie file. What two nodes do is api_test.c's matter. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"


static cnode_node *a, *b;
static cnode_mailbox *mb;

static int counter_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	return cnode_scan(how->args, "[~q]", (int64_t *)state);
}

static int counter_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	int64_t n, *total = state;
	(void)self;
	return cnode_scan(request, "{add,~q}", &n) == 0 ? cnode_reply(from, "~q", *total += n) : CNODE_EBADARG;
}

static const cnode_behaviour counter = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(int64_t), .init = counter_init, .handle_call = counter_call,
};

static cnode_node *new_node(const char *name)
{
	cnode_config cfg = loopback_config(name);
	cnode_node *node = NULL;
	ck_assert_msg(cnode_node_new(&cfg, &node) == 0, "%s", cnode_node_error(node));
	return node;
}

static void start(cnode_node *node)
{
	ck_assert_msg(cnode_node_start(node) == 0, "%s", cnode_node_error(node));
}

START_TEST(a_node_without_a_name_has_processes_and_no_network)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_term reply, list;
	cnode_pid pid;
	int64_t n;
	ck_assert_int_eq(cnode_format(&list, "[1]"), 0);
	ck_assert_int_eq(cnode_node_new(&cfg, &a), 0);
	ck_assert_str_eq(cnode_node_name(a), "nonode@nohost");
	ck_assert_int_eq(cnode_process_start(a, "c", &counter, NULL, list, &pid), 0);
	ck_assert_int_eq(cnode_process_start(a, "c", &counter, NULL, list, &pid), CNODE_ENAMETAKEN);
	start(a);
	ck_assert_int_eq(cnode_mailbox_open(a, NULL, &mb), 0);
	ck_assert_int_eq(cnode_call_name(mb, "c", NULL, TAP_WAIT_MS, &reply, "{add,1}"), 0);
	ck_assert_int_eq(cnode_scan(reply, "~q", &n), 0);
	ck_assert_int_eq(n, 2);
	cnode_term_drop(reply);
	ck_assert_int_eq(cnode_call_name(mb, "c", "b@127.0.0.1", TAP_WAIT_MS, &reply, "{add,1}"), CNODE_ENOCONNECTION);
	cnode_term_drop(list);
	cnode_mailbox_close(mb);
	cnode_node_free(a);
}
END_TEST

START_TEST(bad_configurations_are_refused_with_a_sentence)
{
	static const struct { const char *name, *cookie, *listen; int code; } bad[] = {
		{ "a b@127.0.0.1", "c", NULL, CNODE_EBADNAME },
		{ "a@b@c", "c", NULL, CNODE_EBADNAME },
		{ "@h", "c", NULL, CNODE_EBADNAME },
		{ "a@", "c", NULL, CNODE_EBADNAME },
		{ "a@127.0.0.1", "", NULL, CNODE_EBADARG },
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		cnode_config cfg = CNODE_CONFIG_INIT;
		cnode_node *node;
		cfg.name = bad[i].name;
		cfg.cookie = bad[i].cookie;
		ck_assert_msg(cnode_node_new(&cfg, &node) == bad[i].code, "%s", bad[i].name);
		ck_assert_int_gt(strlen(cnode_node_error(node)), 10);
		cnode_node_free(node);
	}
	cnode_config cfg = loopback_config("a@127.0.0.1");
	for (int i = 0; i < 3; i++) {
		cnode_config odd = cfg;
		int *mode[] = { (int *)&odd.epmd, (int *)&odd.overlap, (int *)&odd.busy_wait };
		*mode[i] = 7;
		ck_assert_int_eq(cnode_node_new(&odd, &a), CNODE_EBADARG);
		ck_assert_ptr_nonnull(strstr(cnode_node_error(a), " 7"));
		cnode_node_free(a);
	}
	b = new_node("b@127.0.0.1");
	start(b);
	char listen[64];
	snprintf(listen, sizeof listen, "127.0.0.1:%u", (unsigned)cnode_node_port(b));
	cfg.listen = listen;
	ck_assert_int_eq(cnode_node_new(&cfg, &a), 0);
	ck_assert_int_eq(cnode_node_start(a), CNODE_EADDRINUSE);
	cnode_node_free(a);
	cnode_node_free(b);
}
END_TEST

START_TEST(the_stop_descriptor_is_readable_once_the_node_is_asked_to_stop)
{
	b = new_node("b@127.0.0.1");
	start(b);
	struct pollfd fd = { .fd = cnode_node_stop_fd(b), .events = POLLIN };
	ck_assert_int_eq(poll(&fd, 1, 0), 0);
	cnode_node_stop(b);
	ck_assert_int_eq(poll(&fd, 1, TAP_WAIT_MS), 1);
	ck_assert_int_eq(cnode_node_wait(b), 0);
	ck_assert_int_eq(poll(&fd, 1, 0), 1);
	cnode_node_free(b);
}
END_TEST

static const char *start_of_ten(void *context, const char *key)
{
	return strcmp(key, "start") == 0 ? context : NULL;
}

START_TEST(a_module_is_told_what_its_section_says)
{
	char ten[] = "10";
	b = new_node("b@127.0.0.1");
	ck_assert_ptr_null(cnode_module_option(b, "start"));
	cnode_module_set_options(b, start_of_ten, ten);
	ck_assert_str_eq(cnode_module_option(b, "start"), "10");
	ck_assert_ptr_null(cnode_module_option(b, "stop"));
	cnode_module_set_options(b, NULL, NULL);
	ck_assert_ptr_null(cnode_module_option(b, "start"));
	cnode_node_free(b);
}
END_TEST

/* ---- a callback that does not return while the node stops ---- */

static pthread_mutex_t door_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t door_moved = PTHREAD_COND_INITIALIZER;
static bool inside, opened;
static int releases;

static void set(bool *what)
{
	pthread_mutex_lock(&door_lock);
	*what = true;
	pthread_cond_broadcast(&door_moved);
	pthread_mutex_unlock(&door_lock);
}

static void wait_for(const bool *what)
{
	pthread_mutex_lock(&door_lock);
	while (!*what)
		pthread_cond_wait(&door_moved, &door_lock);
	pthread_mutex_unlock(&door_lock);
}

static int stuck_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)state;
	(void)request;
	set(&inside);
	wait_for(&opened);
	/* Dead for everybody else for long. */
	ck_assert(cnode_cancelled(self));
	ck_assert_int_eq(cnode_send(self, cnode_self(self), "late"), CNODE_EEXITED);
	return cnode_reply(from, "late");
}

static void stuck_release(void *state)
{
	(void)state;
	releases++;
}

static const cnode_behaviour stuck = {
	CNODE_BEHAVIOUR_INIT, .state_size = 1, .handle_call = stuck_call, .release = stuck_release,
};

static void *call_stuck(void *pid)
{
	static int code;
	cnode_term reply;
	code = cnode_call(mb, *(cnode_pid *)pid, CNODE_INFINITY, &reply, "hello");
	return &code;
}

START_TEST(a_callback_that_stays_keeps_no_caller_waiting_and_is_left_behind)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_term none;
	cnode_pid pid;
	pthread_t caller;
	void *code;
	cfg.shutdown_timeout = 1;
	cfg.log_level = CNODE_LOG_NONE;
	ck_assert_int_eq(cnode_node_new(&cfg, &a), 0);
	ck_assert_int_eq(cnode_format(&none, "[]"), 0);
	ck_assert_int_eq(cnode_process_start(a, NULL, &stuck, NULL, none, &pid), 0);
	cnode_term_drop(none);
	start(a);
	ck_assert_int_eq(cnode_mailbox_open(a, NULL, &mb), 0);
	ck_assert_int_eq(pthread_create(&caller, NULL, call_stuck, &pid), 0);
	wait_for(&inside);
	cnode_node_stop(a);
	pthread_join(caller, &code);
	ck_assert_msg(*(int *)code == CNODE_EEXITED || *(int *)code == CNODE_ESHUTDOWN, "%d: %s", *(int *)code, cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_node_wait(a), CNODE_ETIMEOUT);
	ck_assert_ptr_nonnull(strstr(cnode_node_error(a), "left behind: they did not end in 1 s"));
	ck_assert_int_eq(releases, 0);
	set(&opened);
	cnode_mailbox_close(mb);
	cnode_node_free(a);
	ck_assert_int_eq(releases, 1);
}
END_TEST

/* ---- a mailbox that closes while the node stops ---- */

static bool begun, in_free, free_goes_on;
static _Thread_local bool closes;

/* Of a mailbox that closes the memory of its process is the first that is freed: it is gone then, and the mailbox is not. */
static void blocking_free(void *p)
{
	if (p && closes) {
		closes = false;
		set(&in_free);
		wait_for(&free_goes_on);
	}
	free(p);
}

static void *close_mailbox(void *box)
{
	closes = true;
	cnode_mailbox_close(box);
	return NULL;
}

static int takes_leave_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)state;
	(void)how;
	cnode_trap_exit(self, true);
	set(&begun);
	return 0;
}

static void takes_leave(cnode_process *self, void *state, cnode_term reason)
{
	(void)state;
	(void)reason;
	set(&inside);
	wait_for(&opened);
	ck_assert(!cnode_cancelled(self));
	ck_assert_int_eq(cnode_send(self, cnode_self(self), "late"), 0);
	releases++;
}

static const cnode_behaviour leaver = {
	CNODE_BEHAVIOUR_INIT, .state_size = 1, .init = takes_leave_init, .terminate = takes_leave,
};

START_TEST(a_mailbox_that_closes_meanwhile_ends_no_stage_of_a_stop_early)
{
	static const cnode_allocator blocking = { malloc, realloc, blocking_free };
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_mailbox *closing;
	cnode_term none, reply;
	cnode_pid pid;
	pthread_t closer;
	cnode_allocator_set(&blocking);
	ck_assert_int_eq(cnode_node_new(&cfg, &a), 0);
	ck_assert_int_eq(cnode_format(&none, "[]"), 0);
	ck_assert_int_eq(cnode_process_start(a, NULL, &leaver, NULL, none, &pid), 0);
	cnode_term_drop(none);
	start(a);
	wait_for(&begun);
	ck_assert_int_eq(cnode_mailbox_open(a, NULL, &mb), 0);
	cnode_trap_exit(cnode_mailbox_process(mb), true);
	ck_assert_int_eq(cnode_mailbox_open(a, NULL, &closing), 0);
	ck_assert_int_eq(pthread_create(&closer, NULL, close_mailbox, closing), 0);
	wait_for(&in_free);
	cnode_node_stop(a);
	wait_for(&inside);
	/* Whoever still runs needs the services: they end in the next stage, each answer took a turn in which it could have come. */
	for (int i = 0; i < 50; i++) {
		int rc = cnode_call_name(mb, "net_kernel", NULL, TAP_WAIT_MS, &reply, "{is_auth,x}");
		ck_assert_msg(rc == 0, "%d: %s", i, cnode_mailbox_error(mb));
		cnode_term_drop(reply);
	}
	set(&free_goes_on);
	pthread_join(closer, NULL);
	set(&opened);
	ck_assert_int_eq(cnode_node_wait(a), 0);
	ck_assert_int_eq(releases, 1);
	cnode_mailbox_close(mb);
	cnode_node_free(a);
}
END_TEST

/* ---- the cookie file ---- */

#define MAKERS 8

/* A process that makes a node when `gate` is closed, and ends with 0 if it has got one. */
static pid_t make_node(int gate[2])
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node;
	char none;
	cfg.name = "a@127.0.0.1";
	cfg.log_level = CNODE_LOG_ERROR;
	cfg.threads = CNODE_THREADS_NONE;
	close(gate[1]);
	int rc = read(gate[0], &none, 1) == 0 ? cnode_node_new(&cfg, &node) : CNODE_EIO;
	_exit(rc != 0);
}

/* What is in the folder: the number of files; the last one's name. */
static int files_in(const char *folder, char name[256])
{
	int count = 0;
	DIR *dir = opendir(folder);
	ck_assert_ptr_nonnull(dir);
	for (struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			snprintf(name, 256, "%s", e->d_name);
			count++;
		}
	closedir(dir);
	return count;
}

START_TEST(nodes_that_make_the_cookie_file_at_once_agree_and_see_no_half_of_it)
{
	char home[] = "/tmp/cnode-home-XXXXXX", file[64], name[256], text[64];
	struct stat st;
	ck_assert_ptr_nonnull(mkdtemp(home));
	snprintf(file, sizeof file, "%s/.erlang.cookie", home);
	setenv("HOME", home, 1);
	unsetenv("XDG_CONFIG_HOME");
	for (int round = 0; round < 100; round++) {
		pid_t makers[MAKERS];
		int gate[2], status;
		ck_assert_int_eq(pipe(gate), 0);
		for (int i = 0; i < MAKERS; i++)
			ck_assert_int_gt(makers[i] = make_node(gate), 0);
		close(gate[0]);
		close(gate[1]);
		for (int i = 0; i < MAKERS; i++) {
			ck_assert_int_eq(waitpid(makers[i], &status, 0), makers[i]);
			ck_assert_int_eq(status, 0);
		}
		ck_assert_int_eq(files_in(home, name), 1);
		ck_assert_str_eq(name, ".erlang.cookie");
		ck_assert_int_eq(stat(file, &st), 0);
		ck_assert_int_eq(st.st_mode & 0777, 0400);
		FILE *f = fopen(file, "r");
		ck_assert_ptr_nonnull(f);
		ck_assert_uint_eq(fread(text, 1, sizeof text, f), 20);
		fclose(f);
		unlink(file);
	}
	rmdir(home);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("api");
	TCase *tc = tcase_create("one node");
	tcase_add_test(tc, a_node_without_a_name_has_processes_and_no_network);
	tcase_add_test(tc, bad_configurations_are_refused_with_a_sentence);
	tcase_add_test(tc, the_stop_descriptor_is_readable_once_the_node_is_asked_to_stop);
	tcase_add_test(tc, a_module_is_told_what_its_section_says);
	tcase_add_test(tc, a_callback_that_stays_keeps_no_caller_waiting_and_is_left_behind);
	tcase_add_test(tc, a_mailbox_that_closes_meanwhile_ends_no_stage_of_a_stop_early);
	suite_add_tcase(s, tc);
	tc = tcase_create("processes");
	tap_one_thread(tc);
	tcase_add_test(tc, nodes_that_make_the_cookie_file_at_once_agree_and_see_no_half_of_it);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
