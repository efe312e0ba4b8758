/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_spawn: who may start what, where. Two nodes in one program: `worker` offers the
 * factory "worker", `scheduler1` spawns from it. Each function below is one step, in the
 * order of the remote spawn document of Ergo (examples/README.md says which is which); it
 * shows what happens and ends the program with status 1 if that is not what should.
 *
 *     cc remote_spawn.c $(pkg-config --cflags --libs cnode) -o remote_spawn && ./remote_spawn
 */
#include <cnode/cnode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKER "worker@127.0.0.1"
#define SCHEDULER "scheduler1@127.0.0.1"

static cnode_node *worker_node, *scheduler_node;
static cnode_mailbox *box;              /* the process on scheduler1 that spawns */

static void check(bool good, const char *sentence)
{
	printf("%s %s\n", good ? "  " : "NOT:", sentence);
	if (!good)
		exit(1);
}

/* ---- what is spawned ---- */

struct worker { int64_t id, batch_size; };

static int worker_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct worker *w = state;
	(void)self;
	if (cnode_scan(how->args, "[]") == 0)
		return 0;
	return cnode_scan(how->args, "[#{worker_id := ~q, batch_size := ~q}]", &w->id, &w->batch_size);
}

static int worker_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct worker *w = state;
	const char *job;
	size_t size;
	cnode_term region;
	if (cnode_scan(request, "{work,~z}", &job, &size) == 0)
		return cnode_reply(from, "{done,~z}", job);
	if (cnode_scan(request, "config") == 0)
		return cnode_reply(from, "{~q,~q}", w->id, w->batch_size);
	if (cnode_scan(request, "parent") == 0)
		return cnode_reply(from, "~p", cnode_parent(self));
	if (cnode_scan(request, "inherited") == 0) {
		if (cnode_env(self, "REGION", &region) == 0)
			return cnode_reply(from, "{~a,~t}", cnode_application(self), region);
		return cnode_reply(from, "{~a,none}", cnode_application(self));
	}
	return cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour worker = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct worker), .init = worker_init, .handle_call = worker_call,
};
static const cnode_behaviour another = { CNODE_BEHAVIOUR_INIT };

/* ---- the node that is spawned on ---- */

static cnode_node *start_node(const char *name)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cfg.name = name;
	cfg.long_names = true;
	cfg.cookie = "a cookie of this program";
	cfg.listen = "127.0.0.1";
	cfg.epmd = CNODE_EPMD_NONE;             /* the two find each other by a route */
	cfg.log_level = CNODE_LOG_ERROR;
	cfg.expose_env_remote_spawn = "REGION"; /* what a spawn may carry of a process's environment; default: nothing */
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)
		rc = cnode_node_start(node);
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", name, node != NULL ? cnode_node_error(node) : cnode_strerror(rc));
		exit(1);
	}
	return node;
}

/* Spawns from the mailbox, and says how it went. */
static int spawn(cnode_term args, const cnode_spawn_options *options, cnode_pid *pid)
{
	return cnode_spawn_remote(box, WORKER, "worker", args, options, pid);
}

static int spawn_plain(void)
{
	cnode_pid pid;
	cnode_term none;
	int rc = cnode_format(&none, "[]");
	if (rc == 0) {
		rc = spawn(none, NULL, &pid);
		cnode_term_drop(none);
	}
	return rc;
}

/* The global switch: off, nothing can be spawned whatever the lists say. */
static void global_switch(void)
{
	cnode_factory_enable(worker_node, false);
	check(cnode_factory_add(worker_node, "worker", &worker, NULL, CNODE_ALL_NODES) == 0, "a factory is there");
	check(spawn_plain() == CNODE_ENOTALLOWED, "the switch is off: not allowed");
	cnode_factory_enable(worker_node, true);
	check(spawn_plain() == 0, "the switch is on");
	check(cnode_factory_remove(worker_node, "worker") == 0, "it begins again without factories");
}

/* Nothing can be spawned but what was added. */
static void enable(void)
{
	check(spawn_plain() == CNODE_EUNDEF, "no factory: undef");
	check(cnode_factory_add(worker_node, "worker", &worker, NULL, CNODE_ALL_NODES) == 0, "enabled for all nodes");
	check(spawn_plain() == 0, "any node may spawn it");
	check(cnode_factory_add(worker_node, "worker", &another, NULL, CNODE_ALL_NODES) == CNODE_EEXIST,
	      "the name belongs to one behaviour");
}

static int find_worker(void *context, const cnode_factory_info *f)
{
	(void)context;
	return strcmp(f->name, "worker") == 0;
}

static int print_factory(void *context, const cnode_factory_info *f)
{
	(void)context;
	printf("   factory %s: %s %s, %llu alive, %llu refused\n", f->name, f->mode, f->allowed, (unsigned long long)f->processes,
	       (unsigned long long)f->refused);
	return 0;
}

/* What is there, and is this there? */
static void list_factories(void)
{
	cnode_factory_list(worker_node, print_factory, NULL);
	check(cnode_factory_list(worker_node, find_worker, NULL) == 1, "there is a factory worker");
}

/* Only these nodes. */
static void enable_for_a_list(void)
{
	check(cnode_factory_set(worker_node, "worker", "scheduler2@127.0.0.1,scheduler3@127.0.0.1") == 0, "enabled for two others");
	check(spawn_plain() == CNODE_ENOTALLOWED, "scheduler1 is not on the list");
	cnode_factory_list(worker_node, print_factory, NULL);
}

/* The same again adds to the list. */
static void update_the_list(void)
{
	check(cnode_factory_add(worker_node, "worker", &worker, NULL, SCHEDULER) == 0, "scheduler1 is added");
	check(spawn_plain() == 0, "and may");
	cnode_factory_list(worker_node, print_factory, NULL);
}

static void disable_for_a_node(void)
{
	check(cnode_factory_deny(worker_node, "worker", SCHEDULER) == 0, "scheduler1 is denied, the others stay");
	check(spawn_plain() == CNODE_ENOTALLOWED, "so it may not");
}

static void disable(void)
{
	check(cnode_factory_remove(worker_node, "worker") == 0, "disabled altogether");
	check(spawn_plain() == CNODE_EUNDEF, "so there is no such factory");
}

static void enable_again_for_all(void)
{
	check(cnode_factory_add(worker_node, "worker", &worker, NULL, CNODE_ALL_NODES) == 0, "enabled again, for all");
	check(spawn_plain() == 0, "any node may");
}

/* ---- the node that spawns ---- */

/* Connects, and has the error if that cannot be. */
static void get_node(void)
{
	check(cnode_connect_wait(box, "nobody@nowhere.invalid", 5000) == CNODE_EHOST, "no such host: an error that says so");
	check(cnode_connect_wait(box, WORKER, 5000) == 0, "connected");
}

static void spawn_and_send(void)
{
	cnode_pid pid;
	cnode_term args, reply;
	const char *job;
	size_t size;
	check(cnode_format(&args, "[]") == 0 && spawn(args, NULL, &pid) == 0, "spawned");
	check(cnode_call(box, pid, 5000, &reply, "{work,~z}", "process-data") == 0, "it answers");
	check(cnode_scan(reply, "{done,~z}", &job, &size) == 0 && size == 12, "with its work done");
	cnode_term_drop(reply);
	cnode_term_drop(args);
}

static void spawn_with_arguments(void)
{
	cnode_pid pid;
	cnode_term args, reply;
	int64_t id, batch;
	check(cnode_format(&args, "[#{worker_id => ~q, batch_size => ~q}]", (int64_t)42, (int64_t)100) == 0, "arguments");
	check(spawn(args, NULL, &pid) == 0, "reach init");
	check(cnode_call(box, pid, 5000, &reply, "config") == 0 && cnode_scan(reply, "{~q,~q}", &id, &batch) == 0 && id == 42
	      && batch == 100, "as they were given");
	cnode_term_drop(reply);
	cnode_term_drop(args);
	check(cnode_format(&args, "[wrong]") == 0 && spawn(args, NULL, &pid) == CNODE_EBADARG, "others are refused: badarg");
	cnode_term_drop(args);
}

static void spawn_with_registration(void)
{
	cnode_spawn_options options = CNODE_SPAWN_INIT;
	cnode_pid pid;
	cnode_term args, reply;
	options.name = "worker-001";
	check(cnode_format(&args, "[]") == 0 && spawn(args, &options, &pid) == 0, "spawned with a name");
	check(cnode_call_name(box, "worker-001", WORKER, 5000, &reply, "config") == 0, "which finds it");
	cnode_term_drop(reply);
	check(spawn(args, &options, &pid) == CNODE_ENAMETAKEN, "a second of that name cannot be");
	cnode_term_drop(args);
}

/* The spawned process gets the application and log level of the one that spawns, and knows it. */
static void spawn_from_a_process(void)
{
	cnode_process *self = cnode_mailbox_process(box);
	cnode_pid pid, parent;
	cnode_term args, reply;
	cnode_atom application;
	check(cnode_set_application(self, "billing") == 0, "this process belongs to an application");
	check(cnode_format(&args, "[]") == 0 && spawn(args, NULL, &pid) == 0, "and spawns");
	check(cnode_call(box, pid, 5000, &reply, "inherited") == 0 && cnode_scan(reply, "{~a,none}", &application) == 0
	      && strcmp(application.text, "billing") == 0, "what it spawns belongs to it too");
	cnode_term_drop(reply);
	check(cnode_call(box, pid, 5000, &reply, "parent") == 0 && cnode_scan(reply, "~p", &parent) == 0
	      && cnode_pid_equal(parent, cnode_self(self)), "and knows its parent");
	cnode_term_drop(reply);
	cnode_term_drop(args);
}

/* The same with a name, and with a link that works: Ergo's documents disagree about theirs. */
static void spawn_from_a_process_with_registration(void)
{
	cnode_process *self = cnode_mailbox_process(box);
	cnode_spawn_options options = CNODE_SPAWN_INIT;
	cnode_info info = { .size = sizeof info };
	cnode_pid pid;
	cnode_term args;
	options.name = "worker-002";
	options.link = true;
	check(cnode_trap_exit(self, true) == 0 && cnode_format(&args, "[]") == 0 && spawn(args, &options, &pid) == 0,
	      "spawned with a name and a link");
	check(cnode_exit(self, pid, "kill") == 0, "it is killed");
	check(cnode_receive(box, &info, 5000) == 0 && info.kind == CNODE_EXIT && cnode_scan(info.reason, "killed") == 0,
	      "and its parent has the exit signal");
	cnode_term_drop(args);
}

/* The environment goes along only where the configuration names the keys (expose_env_remote_spawn above). */
static void inherit_environment(void)
{
	cnode_process *self = cnode_mailbox_process(box);
	cnode_pid pid;
	cnode_term args, reply, value;
	check(cnode_format(&value, "north") == 0 && cnode_set_env(self, "REGION", value) == 0, "a key that is exposed");
	check(cnode_set_env(self, "PASSWORD", value) == 0, "and one that is not");
	cnode_term_drop(value);
	check(cnode_format(&args, "[]") == 0 && spawn(args, NULL, &pid) == 0, "spawned");
	check(cnode_call(box, pid, 5000, &reply, "inherited") == 0 && cnode_scan(reply, "{billing,north}") == 0,
	      "what is exposed is inherited");
	cnode_term_drop(reply);
	cnode_term_drop(args);
}

int main(void)
{
	static const struct { const char *title; void (*run)(void); } steps[] = {
		{ "get_node", get_node },
		{ "global_switch", global_switch },
		{ "enable", enable },
		{ "list_factories", list_factories },
		{ "enable_for_a_list", enable_for_a_list },
		{ "update_the_list", update_the_list },
		{ "disable_for_a_node", disable_for_a_node },
		{ "disable", disable },
		{ "enable_again_for_all", enable_again_for_all },
		{ "spawn_and_send", spawn_and_send },
		{ "spawn_with_arguments", spawn_with_arguments },
		{ "spawn_with_registration", spawn_with_registration },
		{ "spawn_from_a_process", spawn_from_a_process },
		{ "spawn_from_a_process_with_registration", spawn_from_a_process_with_registration },
		{ "inherit_environment", inherit_environment },
	};
	char address[32];
	worker_node = start_node(WORKER);
	scheduler_node = start_node(SCHEDULER);
	snprintf(address, sizeof address, "127.0.0.1:%u", cnode_node_port(worker_node));
	check(cnode_node_route(scheduler_node, WORKER, address) == 0, "a route to the worker");
	check(cnode_mailbox_open(scheduler_node, NULL, &box) == 0, "a process to spawn from");
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		printf("%s\n", steps[i].title);
		steps[i].run();
	}
	cnode_mailbox_close(box);
	cnode_node_free(scheduler_node);
	cnode_node_free(worker_node);
	printf("all steps done\n");
	return 0;
}
