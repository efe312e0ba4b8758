/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epmd: asking one, being one, and staying registered with one. Part of this room's door:
 * others get it with conn.h. Everything here belongs to the holder of the lead.
 *
 * Follows: erl_dist_protocol, "EPMD Protocol"; erts/epmd/src/epmd_srv.c; lib/kernel/src/erl_epmd.erl.
 */
#ifndef CN_CONN_EPMD_H
#define CN_CONN_EPMD_H

#include "cnode/base/base.h"
#include "cnode/loop/loop.h"
#include "cnode/wire/wire.h"

/*
 * What the environment says: into *port $ERL_EPMD_PORT, or 4369 if that is not set or empty (port NULL: it does not
 * count); and, if `serves` is true, whether the addresses an epmd of our own would serve at make sense.
 * 0, or CNODE_EEPMD with a sentence in text. Any thread that may read the environment.
 */
int cn_epmd_environment(uint16_t *port, bool serves, char *text, size_t room);

/* ---- asking one ---- */

#define CN_EPMD_TIME (5 * CN_NS_PER_S)    /* for one question, all addresses of the host together */

struct cn_epmd_query {
	/*
	 * Once. 0: the answer is in node (PORT2) or names (NAMES), borrowed until it returns.
	 * CNODE_ENOTREG; CNODE_EEPMD (no epmd there, or no answer of one), CNODE_EHOST, CNODE_ETIMEOUT, CNODE_ENOMEM,
	 * CNODE_EFDS. The query may be freed or started again in it.
	 */
	void (*done)(struct cn_epmd_query *q, int rc);
	/* May be set behind cn_epmd_ask: the host has been resolved; its addresses are in resolve. */
	void (*resolved)(struct cn_epmd_query *q);
	struct cn_epmd_node node;
	struct cn_rd names;               /* for cn_epmd_next_name */
	uint16_t epmd_port;               /* as epmd says it */
	struct cn_address address;        /* of the epmd that answered */
	struct cn_loop *loop;             /* the rest is its own */
	struct cn_resolve resolve;
	struct cn_io io;
	struct cn_timer deadline;
	struct cn_buf out, in;
	unsigned next;                    /* of the addresses found */
	enum cn_epmd_op op;
	bool connected, running;
	int last;                         /* why the previous address did not do */
};
/* name: the part before the @ for PORT2, NULL for NAMES. Zero nothing before. Never calls `done` itself. */
void cn_epmd_ask(struct cn_epmd_query *q, struct cn_loop *loop, const char *host, int family, uint16_t port,
		 const void *name, size_t size, void (*done)(struct cn_epmd_query *, int));
/* `done` is not called any more. No-op when it was. */
void cn_epmd_cancel(struct cn_epmd_query *q);

/* ---- being one ---- */

#define CN_EPMD_IDLE (60 * CN_NS_PER_S)   /* a connection without a complete request */
#define CN_EPMD_CLIENTS 512               /* connections at once: strangers using up our descriptors */

struct cn_epmd_server;
/*
 * Serves on `port` at the addresses of $ERL_EPMD_ADDRESS (and then always on loopback), or on
 * all. CNODE_EADDRINUSE (an epmd runs already), CNODE_EACCES, CNODE_ENOMEM, CNODE_EFDS, CNODE_EBADARG (the list).
 */
int cn_epmd_server_new(struct cn_loop *loop, struct cn_log *log, uint16_t port, struct cn_epmd_server **server);
void cn_epmd_server_free(struct cn_epmd_server *s);      /* takes NULL. */
uint16_t cn_epmd_server_port(const struct cn_epmd_server *s);
/* Registers the own node without a socket. As cn_epmd_registry_add. */
int cn_epmd_server_add(struct cn_epmd_server *s, const struct cn_epmd_node *node, uint32_t *creation);

/* ---- staying registered with one ---- */

enum cn_epmd_mode {
	CN_EPMD_AUTO,             /* the one that runs; else start `epmd -daemon`; else our own */
	CN_EPMD_EXTERNAL,
	CN_EPMD_EMBEDDED,
	CN_EPMD_NONE,
};

struct cn_registrar_config {
	struct cn_loop *loop;
	struct cn_log *log;
	enum cn_epmd_mode mode;
	uint16_t epmd_port;
	const char *name;                 /* before the @; copied */
	uint16_t port;                    /* our listener's */
	bool visible;
	/*
	 * Once: how the first registration went. 0 with epmd's creation (0 in mode none);
	 * CNODE_ENAMETAKEN, CNODE_EEPMD (with a sentence in text), CNODE_EADDRINUSE, …: the registrar
	 * has given up. After 0 it keeps the registration for ever: it is back within a second of
	 * epmd's coming back, and logs each loss and each return.
	 */
	void (*registered)(void *context, int rc, uint32_t creation, const char *text);
	void *context;
};
struct cn_registrar;
/* Starts; `registered` is called by a later round. CNODE_ENOMEM, CNODE_EBADNAME. */
int cn_registrar_new(const struct cn_registrar_config *config, struct cn_registrar **r);
/* Leaves epmd. Takes NULL. */
void cn_registrar_free(struct cn_registrar *r);
/* True while epmd holds our name (mode none: always). */
bool cn_registrar_is_registered(const struct cn_registrar *r);
/* "external", "embedded" or "none": what became of auto. */
const char *cn_registrar_kind(const struct cn_registrar *r);

#endif
