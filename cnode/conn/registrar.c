/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staying registered: with the epmd that runs, one that we start, or our own. The socket of
 * the registration is the registration; when it ends, we register again, with whatever epmd
 * there is by then. The creation of the first time stays (erl_epmd.erl does the same).
 */
#include "cnode/conn/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#define ASK_TIME (3 * CN_NS_PER_S)              /* for one attempt */
#define AGAIN_LEAST (300 * CN_NS_PER_MS)        /* after a loss: between this … */
#define AGAIN_MOST (800 * CN_NS_PER_MS)         /* … and this, so that a host's nodes do not come all at once */
#define AGAIN_SOON (50 * CN_NS_PER_MS)          /* while an epmd is starting */
#define START_TIME (3 * CN_NS_PER_S)            /* for a started epmd to answer */
#define TAKEN_TIME (1 * CN_NS_PER_S)            /* for the name's last owner to go, at the first time */
#define PATIENCE (3 * CN_NS_PER_S)              /* a lost epmd may come back by itself before we start one */
#define GIVE_UP (10 * CN_NS_PER_S)              /* the first registration, whatever happens */

extern char **environ;

struct cn_registrar {
	struct cn_registrar_config config;
	char *name;
	struct cn_io io;                        /* to epmd; with a registration, it is the registration */
	struct cn_timer timer;                  /* the deadline of an attempt, or until the next one */
	struct cn_buf out, in;
	bool connecting, asking, held;          /* held: epmd has our name */
	bool told;                              /* `registered` was called */
	bool over;                              /* given up */
	bool spawned;                           /* an epmd was started in this outage */
	uint64_t since;                         /* when this outage began */
	uint64_t spawned_at;
	pid_t child;                            /* `epmd -daemon` until it was reaped; 0 */
	struct cn_epmd_server *server;
	struct cn_log_gate gate;
	uint32_t random;
};

static void attempt(struct cn_registrar *r);

static void tell(struct cn_registrar *r, int rc, uint32_t creation, const char *text)
{
	if (r->told)
		return;
	r->told = true;
	r->config.registered(r->config.context, rc, creation, text);
}

static void give_up(struct cn_registrar *r, int rc, const char *text)
{
	r->over = true;
	cn_timer_stop(&r->timer);
	tell(r, rc, 0, text);
}

static void again_after(struct cn_registrar *r, uint64_t ns)
{
	cn_timer_set(&r->timer, cn_loop_clock(r->config.loop) + ns);
}

static uint64_t jitter(struct cn_registrar *r)
{
	/* Not a secret: any spread does. */
	r->random = r->random * 1664525u + 1013904223u;
	return AGAIN_LEAST + (AGAIN_MOST - AGAIN_LEAST) * (r->random >> 16) / 0xffff;
}

static void hang_up(struct cn_registrar *r)
{
	cn_io_close(&r->io);
	cn_buf_clear(&r->out);
	cn_buf_clear(&r->in);
	r->connecting = r->asking = false;
}

static void own_node(const struct cn_registrar *r, struct cn_epmd_node *node)
{
	*node = (struct cn_epmd_node){
		.name = r->name,
		.name_size = (uint16_t)strlen(r->name),
		.port = r->config.port,
		.type = r->config.visible ? 'M' : 'H',
		.high = CN_MUTANT(epmd_old_versions) ? 5 : 6,
		.low = 5,
	};
}

static void got_it(struct cn_registrar *r, uint32_t creation)
{
	cn_timer_stop(&r->timer);
	r->held = true;
	r->asking = false;
	r->spawned = false;
	if (r->told)
		cn_log_line(r->config.log, CNODE_LOG_NOTICE, "registered as %s with epmd again", r->name);
	tell(r, 0, creation, "");
}

/* ---- when no epmd answers ---- */

static void reap(struct cn_registrar *r)
{
	/* Gone also if the program reaps its children itself. */
	if (r->child > 0 && waitpid(r->child, NULL, WNOHANG) != 0)
		r->child = 0;
}

static bool start_daemon(struct cn_registrar *r)
{
	char port[8];
	char *argv[] = { (char[]){ "epmd" }, (char[]){ "-port" }, port, (char[]){ "-daemon" }, NULL };
	snprintf(port, sizeof port, "%u", r->config.epmd_port);
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	if (posix_spawn_file_actions_init(&files) != 0)
		return false;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return false;
	}
	/* Our threads block every signal; a daemon that inherited that could not be stopped. */
	sigset_t none, defaults;
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGCHLD);
	int rc = posix_spawnattr_setsigmask(&attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(&attr, &defaults);
	if (rc == 0)
		rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	for (int fd = 0; rc == 0 && fd < 3; fd++)
		rc = posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	if (rc == 0)
		rc = posix_spawnp(&r->child, "epmd", &files, &attr, argv, environ);
	if (rc != 0)
		r->child = 0;
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return rc == 0;
}

/* Becomes the host's epmd. */
static void be_epmd(struct cn_registrar *r)
{
	struct cn_epmd_node node;
	uint32_t creation;
	char text[200];
	int rc = cn_epmd_server_new(r->config.loop, r->config.log, r->config.epmd_port, &r->server);
	if (rc == 0) {
		own_node(r, &node);
		rc = cn_epmd_server_add(r->server, &node, &creation);
		if (rc == 0) {
			cn_log_line(r->config.log, CNODE_LOG_NOTICE, "this node is the epmd of this host, at port %u",
				    r->config.epmd_port);
			got_it(r, creation);
			return;
		}
		cn_epmd_server_free(r->server);
		r->server = NULL;
	}
	/* Another node was faster. */
	if (r->config.mode == CN_EPMD_AUTO && (r->told || rc == CNODE_EADDRINUSE)) {
		again_after(r, jitter(r));
		return;
	}
	snprintf(text, sizeof text, "this node cannot be the epmd at port %u: %s", r->config.epmd_port,
		 rc == CNODE_EHOST        ? "ERL_EPMD_ADDRESS has an address that is none of this host"
		 : rc == CNODE_EADDRINUSE ? "it is in use, by an epmd if that answers: let this node choose another mode"
					  : cnode_strerror(rc));
	give_up(r, rc, text);
}

static void nobody_there(struct cn_registrar *r, int rc)
{
	uint64_t now = cn_loop_clock(r->config.loop);
	char text[200];
	hang_up(r);
	if (r->config.mode == CN_EPMD_EXTERNAL) {
		if (r->told) {
			again_after(r, jitter(r));
			return;
		}
		snprintf(text, sizeof text, "no epmd answers at 127.0.0.1 port %u: start one, or let this node choose another mode",
			 r->config.epmd_port);
		give_up(r, CNODE_EEPMD, text);
		return;
	}
	/* A socket could not be had: that is not epmd's absence. */
	if (rc == CNODE_EFDS || rc == CNODE_ENOMEM || (r->told && now - r->since < PATIENCE)) {
		if (!r->told && now - r->since > GIVE_UP)
			give_up(r, rc, "epmd cannot be asked");
		else
			again_after(r, jitter(r));
		return;
	}
	if (!r->spawned) {
		r->spawned = true;
		r->spawned_at = now;
		if (start_daemon(r)) {
			cn_log_line(r->config.log, CNODE_LOG_INFO, "no epmd answers; starting epmd -daemon");
			again_after(r, AGAIN_SOON);
			return;
		}
		be_epmd(r);
		return;
	}
	reap(r);
	if (now - r->spawned_at < START_TIME)
		again_after(r, AGAIN_SOON);
	else
		be_epmd(r);
}

/* ---- an attempt ---- */

static void name_taken(struct cn_registrar *r)
{
	uint64_t now = cn_loop_clock(r->config.loop);
	char text[200];
	uint32_t held;
	hang_up(r);
	if (r->told) {
		/* Somebody may have our name for good: that must not go unnoticed. */
		if (cn_log_pass(&r->gate, 1, &held))
			cn_log_line(r->config.log, CNODE_LOG_WARNING,
				    "epmd refuses the name %s: another node has it; trying again", r->name);
		again_after(r, jitter(r));
		return;
	}
	/* A node of this name that was killed a moment ago is still being forgotten. */
	if (now - r->since < TAKEN_TIME) {
		again_after(r, AGAIN_SOON);
		return;
	}
	snprintf(text, sizeof text, "the name %s is in use on this host", r->name);
	give_up(r, CNODE_ENAMETAKEN, text);
}

static void no_epmds_answer(struct cn_registrar *r)
{
	char text[200];
	hang_up(r);
	if (r->told || cn_loop_clock(r->config.loop) - r->since < ASK_TIME) {
		again_after(r, jitter(r));
		return;
	}
	snprintf(text, sizeof text, "what listens at 127.0.0.1 port %u does not answer as epmd does", r->config.epmd_port);
	give_up(r, CNODE_EEPMD, text);
}

static void lost(struct cn_registrar *r)
{
	hang_up(r);
	r->held = false;
	r->since = cn_loop_clock(r->config.loop);
	cn_log_line(r->config.log, CNODE_LOG_WARNING, "epmd has gone; connections stay, %s registers again when it is back", r->name);
	if (!CN_MUTANT(epmd_never_again))
		again_after(r, jitter(r));
}

static void registrar_read(struct cn_registrar *r)
{
	uint8_t *room = cn_buf_reserve(&r->in, 64);
	size_t moved = 0;
	uint32_t creation;
	if (!room) {
		no_epmds_answer(r);
		return;
	}
	bool closed = cn_socket_read(r->io.fd, &(struct iovec){ room, 64 }, 1, &moved) < 0;
	if (r->held) {
		/* epmd has nothing to say to a registered node. */
		lost(r);
		return;
	}
	r->in.size += moved;
	int rc = cn_epmd_read_alive2(r->in.data, r->in.size, closed, &creation);
	if (rc == 0 && !closed)
		return;
	if (rc == CNODE_ENAMETAKEN)
		name_taken(r);
	else if (rc <= 0 || closed)
		no_epmds_answer(r);
	else
		got_it(r, creation);
}

static void registrar_ready(struct cn_io *io, unsigned events)
{
	struct cn_registrar *r = CN_CONTAINER(io, struct cn_registrar, io);
	if (r->connecting) {
		int rc = cn_socket_outcome(io->fd);
		if (rc != 0) {
			nobody_there(r, rc);
			return;
		}
		r->connecting = false;
		r->asking = true;
	}
	if ((events & CN_WRITE) && r->out.size > 0) {
		size_t moved;
		if (cn_socket_write(io->fd, &(struct iovec){ r->out.data, r->out.size }, 1, &moved) < 0) {
			no_epmds_answer(r);
			return;
		}
		cn_buf_consume(&r->out, moved);
	}
	cn_io_set(io, r->out.size > 0 ? CN_READ | CN_WRITE : CN_READ);
	if (events & CN_READ)
		registrar_read(r);
}

static void attempt(struct cn_registrar *r)
{
	struct cn_epmd_node node;
	const struct cn_address to = cn_address_loopback(4, r->config.epmd_port);
	int fd;
	own_node(r, &node);
	cn_buf_clear(&r->out);
	cn_buf_clear(&r->in);
	int rc = cn_epmd_put_alive2(&r->out, &node);
	if (rc == 0)
		rc = cn_socket_connect(&to, &fd);
	if (rc != 0) {
		nobody_there(r, rc);
		return;
	}
	r->connecting = true;
	cn_io_init(&r->io, r->config.loop, fd, registrar_ready);
	cn_io_set(&r->io, CN_WRITE);
	again_after(r, ASK_TIME);
}

static void registrar_due(struct cn_timer *t)
{
	struct cn_registrar *r = CN_CONTAINER(t, struct cn_registrar, timer);
	reap(r);
	if (r->connecting || r->asking)
		no_epmds_answer(r);
	else if (r->config.mode == CN_EPMD_NONE)
		got_it(r, 0);
	else if (r->config.mode == CN_EPMD_EMBEDDED)
		be_epmd(r);
	else
		attempt(r);
}

/* ---- the door ---- */

int cn_registrar_new(const struct cn_registrar_config *config, struct cn_registrar **made)
{
	CN_LEAD(config->loop);
	if (!cn_epmd_name_valid(config->name, strlen(config->name)))
		return CNODE_EBADNAME;
	struct cn_registrar *r = cn_calloc(1, sizeof *r);
	if (!r)
		return CNODE_ENOMEM;
	r->name = cn_strdup(config->name);
	if (!r->name) {
		cn_free(r);
		return CNODE_ENOMEM;
	}
	r->config = *config;
	r->config.name = r->name;
	cn_buf_init(&r->out, 0);
	cn_buf_init(&r->in, 0);
	cn_io_init(&r->io, config->loop, -1, registrar_ready);
	cn_timer_init(&r->timer, config->loop, registrar_due);
	r->since = cn_loop_clock(config->loop);
	r->random = (uint32_t)r->since;
	cn_timer_set(&r->timer, 0);
	*made = r;
	return 0;
}

void cn_registrar_free(struct cn_registrar *r)
{
	if (!r)
		return;
	cn_timer_stop(&r->timer);
	cn_io_close(&r->io);
	cn_epmd_server_free(r->server);
	reap(r);
	cn_buf_fini(&r->out);
	cn_buf_fini(&r->in);
	cn_free(r->name);
	cn_free(r);
}

bool cn_registrar_is_registered(const struct cn_registrar *r)
{
	return r->held;
}

const char *cn_registrar_kind(const struct cn_registrar *r)
{
	return r->config.mode == CN_EPMD_NONE ? "none" : r->server ? "embedded" : "external";
}
