/* SPDX-License-Identifier: Apache-2.0 */
/* Making a node: what its configuration says, the rooms that it is made of, and what lower rooms need of higher ones. */
#include "cnode/api/api.h"

#include <stdio.h>
#include <stdlib.h>

#include "cnode/api/cookie.h"
#include "cnode/api/mailbox.h"
#include "cnode/api/own.h"
#include "compat/compat.h"

/* ---- what lower rooms need (cn_procs_ops, cn_cluster_ops) ---- */

static int send_signal(void *ctx, const struct cn_signal *sig, unsigned flags)
{
	cnode_node *node = ctx;
	return cn_cluster_send(node->cluster, sig, flags);
}

static int epoch_of(void *ctx, cnode_name peer, uint64_t *epoch)
{
	cnode_node *node = ctx;
	return cn_cluster_epoch(node->cluster, peer, epoch);
}

static int want(void *ctx, cnode_name peer)
{
	cnode_node *node = ctx;
	return cn_cluster_want(node->cluster, peer);
}

static bool has_alias(void *ctx, cnode_name peer)
{
	cnode_node *node = ctx;
	return cn_cluster_has_alias(node->cluster, peer);
}

static void runnable(void *ctx, bool prompt, enum cn_call how)
{
	cnode_node *node = ctx;
	if (node->pool)
		cn_pool_runnable(node->pool, prompt, how);
}

static void timers_due(void *ctx)
{
	cnode_node *node = ctx;
	if (node->pool)
		cn_pool_due(node->pool);
}

static bool may_exit(void *ctx, cnode_name peer, const struct cn_exit_target *target)
{
	cnode_node *node = ctx;
	/* The loser of a conflict of names is killed by whoever decides it. */
	return cn_global_may_exit(node->global, target->pid, target->reason) || cn_spawn_may_exit(node->factories, peer, target);
}

static void process_gone(void *ctx, cnode_pid pid, void *origin)
{
	cnode_node *node = ctx;
	(void)pid;
	if (origin)
		cn_spawn_gone(node->factories, origin);
	cn_trim_gone(&node->trim);
	if (atomic_load(&node->stop))
		cn_wake_post(node->loop, &node->look);
}

static int thread_take(void *ctx, struct cnode_process *self, cnode_mailbox **mailbox)
{
	cnode_node *node = ctx;
	return node->threads ? cn_threads_take(node->threads, self, mailbox) : CNODE_ENOTSUP;
}

static void thread_wait(cnode_mailbox *mailbox)
{
	(void)cn_mailbox_wait(mailbox, CN_NEVER);
}

static const struct cn_procs_ops procs_ops = {
	.send = send_signal, .epoch = epoch_of, .connect = want, .has_alias = has_alias,
	.runnable = runnable, .due = timers_due, .gone = process_gone, .may_exit = may_exit,
	.thread_take = thread_take, .thread_run = cn_threads_run, .thread_give = cn_threads_give,
	.thread_wake = cn_mailbox_wake, .thread_wait = thread_wait,
};

static void spawn_request(void *ctx, const struct cn_spawn_request *request)
{
	cnode_node *node = ctx;
	cn_spawn_requested(node->factories, node->cluster, request);
}

static const struct cn_cluster_ops cluster_ops = { .spawn_request = spawn_request, .ready = cn_api_ready };

/* cn_pg_ops.peers */
struct each_peer {
	int (*each)(void *context, const char *name, bool visible);
	void *context;
};

static int one_peer(void *context, const cnode_peer *peer)
{
	struct each_peer *e = context;
	return e->each(e->context, peer->name, peer->visible);
}

static int all_peers(void *ctx, int (*each)(void *context, const char *name, bool visible), void *context)
{
	struct each_peer e = { each, context };
	return cnode_peers(ctx, one_peer, &e);
}

static const struct cn_pg_ops pg_ops = { .peers = all_peers };

/* ---- services that have ended are started again, by the holder of the lead ---- */

static void supervise(struct supervision *s)
{
	cn_timer_set(&s->timer, cn_supervisor_run(s->supervisor, cn_loop_now(s->timer.loop)));
}

static void supervise_task(struct cn_task *task)
{
	supervise(CN_CONTAINER(task, struct supervision, task));
}

static void supervise_timer(struct cn_timer *timer)
{
	supervise(CN_CONTAINER(timer, struct supervision, timer));
}

static void supervise_wake(void *ctx)
{
	cnode_node *node = ctx;
	cn_wake_post(node->loop, &node->supervision.task);
}

static int make_supervisor(cnode_node *node)
{
	const struct cn_supervisor_config config = { .procs = node->procs, .log = node->log, .wake = supervise_wake, .ctx = node };
	cn_task_init(&node->supervision.task, supervise_task);
	cn_timer_init(&node->supervision.timer, node->loop, supervise_timer);
	return cn_supervisor_new(&config, &node->supervision.supervisor);
}

/* ---- making ---- */

static void write_stdout(void *context, const char *text, size_t size)
{
	(void)context;
	fwrite(text, 1, size, stdout);
	fflush(stdout);
}

/* What erl takes as the part before the '@' (net_kernel.erl, valid_name_head). */
static bool is_plain(const char *name)
{
	size_t size = strcspn(name, "@");
	return size > 0 && strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") == size;
}

static int make_name(cnode_node *node, const cnode_config *cfg)
{
	char host[256];
	if (!cfg->name) {
		node->name = cn_strdup("nonode@nohost");
		return node->name ? 0 : CNODE_ENOMEM;
	}
	node->networked = true;
	if (strchr(cfg->name, '@')) {
		node->name = cn_strdup(cfg->name);
	} else {
		if (cn_host_name(host, sizeof host, cfg->long_names) != 0)
			return cn_api_fail(node, CNODE_EBADNAME, "%s: this host has no %sname to complete it with: give NAME@HOST",
					   cfg->name, cfg->long_names ? "full " : "");
		node->name = cn_asprintf("%s@%s", cfg->name, host);
	}
	if (!node->name)
		return CNODE_ENOMEM;
	if (!cn_node_name_valid(node->name, strlen(node->name)) || !is_plain(node->name))
		return cn_api_fail(node, CNODE_EBADNAME,
				   "%s: not a node name: it must be NAME@HOST, NAME of letters, digits, _ and -, at most 255 characters in all",
				   node->name);
	const char *at = strchr(node->name, '@');
	if (cfg->long_names && !strpbrk(at, ".:"))
		return cn_api_fail(node, CNODE_EBADNAME, "%s: a long name needs a host with a dot or an address", node->name);
	return 0;
}

static int take_cookie(cnode_node *node, const cnode_config *cfg, char cookie[CN_COOKIE_MAX + 1])
{
	int rc = 0;
	char *made = NULL;
	struct cn_buf why;
	cn_buf_init(&why, 0);
	cookie[0] = 0;
	if (cfg->cookie) {
		if (!*cfg->cookie || strlen(cfg->cookie) > CN_COOKIE_MAX)
			rc = cn_api_fail(node, CNODE_EBADARG, "%s: a cookie has 1 to 255 characters", node->name);
		else
			memcpy(cookie, cfg->cookie, strlen(cfg->cookie) + 1);
	} else if (node->networked) {
		rc = cn_cookie_load(cfg->cookie_file, cookie, &why, &made);
		if (rc != 0)
			cn_api_fail(node, rc, "%s: %.*s", node->name, (int)why.size, (char *)why.data);
	}
	if (made)
		cn_log_line(node->log, CNODE_LOG_NOTICE, "made the cookie file %s", made);
	const char *weakness = rc == 0 && node->networked ? cn_cookie_weakness(cookie) : NULL;
	if (weakness)
		cn_log_line(node->log, CNODE_LOG_INFO, "the cookie is easy to guess: %s", weakness);
	cn_free(made);
	cn_buf_fini(&why);
	return rc;
}

static int make_cluster(cnode_node *node, const cnode_config *cfg, uint32_t creation)
{
	char cookie[CN_COOKIE_MAX + 1];
	struct cn_address address;
	char host[256] = "";
	uint16_t port = 0;
	if (cfg->listen && (cn_address_split(cfg->listen, host, sizeof host, &port) != 0 ||
			    (*host && !cn_address_parse(host, port, &address))))
		return cn_api_fail(node, CNODE_EBADARG, "listen %s: ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT is wanted, PORT up to 65535", cfg->listen);
	static const enum cn_epmd_mode modes[] = {
		[CNODE_EPMD_AUTO] = CN_EPMD_AUTO, [CNODE_EPMD_EXTERNAL] = CN_EPMD_EXTERNAL,
		[CNODE_EPMD_EMBEDDED] = CN_EPMD_EMBEDDED, [CNODE_EPMD_NONE] = CN_EPMD_NONE,
	};
	if ((unsigned)cfg->epmd >= CN_ARRAY_SIZE(modes))
		return cn_api_fail(node, CNODE_EBADARG, "%s: unknown epmd mode %d", node->name, (int)cfg->epmd);
	int rc = take_cookie(node, cfg, cookie);
	if (rc != 0)
		return rc;
	struct cn_cluster_config config = {
		.name = node->name,
		.networked = node->networked,
		.creation = creation,
		.visible = !cfg->hidden,
		.cookie = cookie,
		.listen = cfg->listen,
		.epmd = modes[cfg->epmd],
		.epmd_port = node->epmd_port,
		.tick_ns = cfg->net_ticktime * CN_NS_PER_S,
		.setup_ns = cfg->net_setuptime * CN_NS_PER_S,
		.max_message = cfg->max_message,
		.max_connections = cfg->max_connections,
		.out_high_water = cfg->out_high_water,
		.out_limit = cfg->out_limit,
		.guard = node->guard,
	};
	cn_lead_take(node->loop);
	rc = cn_cluster_new(&config, node->loop, node->procs, node->log, &cluster_ops, node, &node->cluster);
	cn_lead_release(node->loop);
	cn_secure_clear(cookie, sizeof cookie);
	return rc;
}

/* cn_pool_config.shrunk. */
static void shrunk(void *ctx)
{
	cnode_node *node = ctx;
	cn_trim_shrunk(&node->trim);
}

static int make_rooms(cnode_node *node, const cnode_config *cfg)
{
	uint32_t creation;
	int rc = cn_random(&creation, sizeof creation);
	if (rc != 0)
		return cn_api_fail(node, rc, "%s: the system gives no random numbers", node->name);
	if (creation < 4)
		creation += 4;              /* 0 to 3 are what nodes before OTP 23 had */
	if (cfg->dns && !cn_dns_servers_valid(cfg->dns))
		return cn_api_fail(node, CNODE_EBADARG, "dns %s: ADDRESS or ADDRESS:PORT is wanted, with commas between them", cfg->dns);
	struct cn_loop_config loop = {
		.max_fds = (cfg->max_connections ? cfg->max_connections : 1024) + 64,
		.dns = cfg->dns,
	};
	rc = cn_loop_new(&loop, &node->loop);
	if (rc != 0)
		return rc;
	node->stop_fd = cn_event_open();
	node->asked_fd = cn_event_open();
	if (node->stop_fd < 0 || node->asked_fd < 0)
		return CNODE_EFDS;
	cnode_name name;
	rc = cnode_name_of(node->name, &name);
	if (rc != 0)
		return rc;
	struct cn_procs_config procs = {
		.node = name,
		.creation = creation,
		.wide_ids = !cfg->old_ids,
		.max_processes = cfg->max_processes,
		.max_mailbox = cfg->max_mailbox,
		.log = node->log,
		.handle = node,
	};
	rc = cn_procs_new(&procs, &procs_ops, node, &node->procs);
	if (rc == 0)
		rc = cn_guard_new(node->log, &node->guard);
	if (rc == 0)
		rc = cn_functions_new(node->guard, &node->functions);
	if (rc == 0)
		rc = make_supervisor(node);
	if (rc == 0)
		rc = cn_pg_new(node->procs, node->supervision.supervisor, node->log, &pg_ops, node, &node->pg);
	if (rc == 0)
		rc = cn_factories_new(node->procs, node->log, node->guard, &node->factories);
	if (rc == 0)
		rc = cn_factories_expose(node->factories, cfg->expose_env_remote_spawn);
	if (rc == 0)
		rc = make_cluster(node, cfg, creation);
	if (rc != 0)
		return rc;
	static const uint64_t busy_waits[] = {          /* ns */
		[CNODE_BUSY_WAIT_SHORT] = 50000, [CNODE_BUSY_WAIT_NONE] = 0, [CNODE_BUSY_WAIT_LONG] = 300000,
	};
	if ((unsigned)cfg->busy_wait >= CN_ARRAY_SIZE(busy_waits))
		return cn_api_fail(node, CNODE_EBADARG, "%s: unknown busy_wait %d", node->name, (int)cfg->busy_wait);
	int processors = cn_processors(), threads = cfg->threads > 0 ? cfg->threads : processors + 1;
	struct cn_pool_config pool = {
		.loop = node->loop,
		.procs = node->procs,
		.net = cn_cluster_net(node->cluster),
		.log = node->log,
		.threads = threads,
		.max_threads = cfg->max_threads > 0 ? cfg->max_threads : 64,
		.processors = processors,
		.busy_wait = busy_waits[cfg->busy_wait],
		.turn = cn_api_turn,
		.shrunk = shrunk,
		.ctx = node,
	};
	rc = cn_pool_new(&pool, &node->pool);
	if (rc == 0 && !node->threadless)
		rc = cn_threads_new(node, cfg->max_run_threads > 0 ? cfg->max_run_threads : 256, &node->threads);
	struct cn_kernel_config kernel = {
		.procs = node->procs,
		.supervisor = node->supervision.supervisor,
		.cluster = node->cluster,
		.factories = node->factories,
		.functions = node->functions,
		.output = &node->output,
		.log = node->log,
	};
	if (rc == 0)
		rc = cn_kernel_start(&kernel, &node->kernel);
	return rc == 0 ? cn_api_global(node, cfg) : rc;
}

/* $CNODE_TRACE; not where it could be somebody else's (a set-user-ID program). */
static int read_trace(cnode_node *node, unsigned *mask)
{
	const char *text = secure_getenv("CNODE_TRACE"), *bad;
	if (!text || cn_trace_parse(text, mask, &bad) == 0)
		return 0;
	return cn_api_fail(node, CNODE_EBADARG,
			   "CNODE_TRACE=%s: I do not know '%.*s'; it takes handshake, frames, signals, spawn, separated by commas, or all",
			   text, (int)strcspn(bad, ","), bad);
}

/* Once, here: a program may change its environment while the threads of the node dial. */
static int read_epmd_environment(cnode_node *node, const cnode_config *cfg)
{
	char wrong[200];
	bool serves = node->networked && (cfg->epmd == CNODE_EPMD_AUTO || cfg->epmd == CNODE_EPMD_EMBEDDED);
	node->epmd_port = cfg->epmd_port;
	int rc = cn_epmd_environment(cfg->epmd_port ? NULL : &node->epmd_port, serves, wrong, sizeof wrong);
	return rc == 0 ? 0 : cn_api_fail(node, rc, "%s: %s", node->name, wrong);
}

static void look(struct cn_task *task)
{
	(void)task;             /* the round that runs it looks */
}

int cnode_node_new(const cnode_config *config, cnode_node **made)
{
	cnode_config cfg = { 0 };
	*made = NULL;
	if (!config || config->size < offsetof(cnode_config, cookie))
		return CNODE_EBADARG;
	memcpy(&cfg, config, config->size < sizeof cfg ? config->size : sizeof cfg);
	cnode_node *node = cn_calloc(1, sizeof *node);
	if (!node)
		return CNODE_ENOMEM;
	cn_mutex_init(&node->lock);
	cn_mutex_init(&node->drops.lock);
	cn_cond_init(&node->changed);
	cn_task_init(&node->look, look);
	node->stop_fd = node->asked_fd = -1;
	node->output = (struct cn_output){ cfg.output ? cfg.output : write_stdout, cfg.output_context };
	node->threadless = cfg.threads == CNODE_THREADS_NONE;
	node->stop_at_eof = cfg.stop_at_eof;
	node->shutdown_ns = (cfg.shutdown_timeout ? cfg.shutdown_timeout : 5) * CN_NS_PER_S;
	*made = node;
	unsigned trace = 0;
	int rc = cn_log_new(cfg.log_level ? cfg.log_level : CNODE_LOG_NOTICE, cfg.log, cfg.log_context, &node->log);
	if (rc == 0)
		rc = read_trace(node, &trace);
	if (rc == 0)
		cn_log_set_trace(node->log, trace);
	if (rc == 0)
		rc = make_name(node, &cfg);
	if (rc == 0)
		rc = read_epmd_environment(node, &cfg);
	if (rc == 0)
		rc = make_rooms(node, &cfg);
	if (rc != 0 && !*node->error)
		cn_api_fail(node, rc, "%s: %s", node->name ? node->name : "node", cnode_strerror(rc));
	return rc;
}
