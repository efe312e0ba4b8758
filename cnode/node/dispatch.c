/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a message of a peer means: checks who may say it, and hands it on as a signal.
 *
 * The receiver's checks are those of dist.c (erts_net_message): who links, monitors, exits
 * or spawns must be a process of the peer itself, and to whom must be of this node, or the
 * connection is closed. What is addressed to an old incarnation is answered by proc.
 */
#include "cnode/node/peer.h"

/* The name in a control message, terminated. An atom has at most 255 characters. */
struct name {
	char text[CN_ATOM_BYTES + 1];
};

static const char *terminate(struct name *n, struct cn_atom_text atom)
{
	memcpy(n->text, atom.text, atom.size);
	n->text[atom.size] = 0;
	return n->text;
}

static int deliver(struct cn_cluster *cluster, const struct cn_peer *peer, struct cn_signal *sig, struct cn_packet *m)
{
	sig->from = m->control.from;
	sig->to = m->control.to;
	sig->ref = m->control.ref;
	sig->epoch = peer->epoch;
	sig->term = m->payload;
	sig->node = peer->name;
	return cn_procs_deliver(cluster->procs, sig);
}

/* To a peer that may not reach it a registered name does not exist. */
static bool may_reach(struct cn_cluster *cluster, const struct cn_peer *peer, const char *name)
{
	return cn_guard_may_reach(cluster->config.guard, peer->text, name);
}

/* A monitor of a name that is not there for this peer: it hears noproc, as of any name that nobody has. */
static int monitor_nothing(struct cn_cluster *cluster, const struct cn_peer *peer, const struct cn_control *c, const char *name)
{
	static const uint8_t noproc[] = { CN_SMALL_ATOM_UTF8, 6, 'n', 'o', 'p', 'r', 'o', 'c' };
	struct cn_signal down = {
		.kind = CN_SIG_DOWN,
		.from_name = name,
		.to = c->from,
		.node = peer->name,
		.ref = c->ref,
		.epoch = peer->epoch,
		.term = cn_term_static(noproc, sizeof noproc),
	};
	int rc = cn_cluster_send(cluster, &down, 0);
	return rc < 0 ? rc : 0;
}

static void spawn_request(struct cn_cluster *cluster, struct cn_peer *peer, const struct cn_packet *m)
{
	const struct cn_control *c = &m->control;
	struct name module, function;
	struct cn_spawn_request request = {
		.peer = peer->text,
		.peer_name = peer->name,
		.epoch = peer->epoch,
		.request = c->ref,
		.from = c->from,
		.leader = c->leader,
		.module = terminate(&module, c->module),
		.function = terminate(&function, c->function),
		.arity = c->arity,
		.options = c->opts,
		.args = m->payload,
	};
	cluster->ops->spawn_request(cluster->ctx, &request);
}

int cn_peer_packet(struct cn_peer *peer, struct cn_packet *m, const char **why)
{
	struct cn_cluster *cluster = peer->cluster;
	const struct cn_control *c = &m->control;
	struct cn_signal sig = { 0 };
	struct name name;

	cn_trace_control(cluster, false, peer->text, c, m->payload);
	switch (c->signal) {
	case CN_SIGNAL_SEND:
	case CN_SIGNAL_REG_SEND:
	case CN_SIGNAL_ALIAS_SEND:
		break;
	case CN_SIGNAL_GROUP_LEADER:
		break;
	case CN_SIGNAL_MONITOR_EXIT:
		if (!cnode_pid_is_none(c->from) && c->from.node != peer->name)
			goto not_its_own;
		break;
	case CN_SIGNAL_SPAWN_REPLY:
		if (!cnode_pid_is_none(c->from) && c->from.node != peer->name)
			goto not_its_own;
		break;
	default:
		if (c->from.node != peer->name && !CN_MUTANT(spoofed_sender))
			goto not_its_own;
		if (!cnode_pid_is_none(c->to) && c->to.node != cluster->name) {
			*why = "a signal is addressed to a process of another node";
			return CNODE_EPROTO;
		}
		/* The end of a link comes by the connection that the link was made on: its process is of this incarnation. */
		if ((c->signal == CN_SIGNAL_EXIT || c->signal == CN_SIGNAL_UNLINK || c->signal == CN_SIGNAL_UNLINK_ACK) &&
		    !cn_procs_is_own(cluster->procs, c->to)) {
			*why = "the end of a link is addressed to a process of an earlier incarnation of this node";
			return CNODE_EPROTO;
		}
	}

	switch (c->signal) {
	case CN_SIGNAL_SEND:
		if (c->to.node != cluster->name)
			return 0;       /* for somebody else: dropped, as the BEAM does */
		sig.kind = CN_SIG_MESSAGE;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_REG_SEND:
		sig.kind = CN_SIG_MESSAGE;
		sig.to_name = terminate(&name, c->name);
		return may_reach(cluster, peer, sig.to_name) ? deliver(cluster, peer, &sig, m) : 0;
	case CN_SIGNAL_ALIAS_SEND:
		if (c->ref.node != cluster->name || CN_MUTANT(alias_send_lost))
			return 0;
		sig.kind = CN_SIG_MESSAGE;
		sig.alias = &c->ref;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_LINK:
		sig.kind = CN_SIG_LINK;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_UNLINK:
		if (c->id == 0 && !CN_MUTANT(old_unlink_taken) && cn_conn_info(peer->conn)->flags & CN_DFLAG_UNLINK_ID) {
			*why = "it uses UNLINK although UNLINK_ID is agreed on";
			return CNODE_EPROTO;
		}
		sig.kind = CN_SIG_UNLINK;
		sig.unlink_id = c->id;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_UNLINK_ACK:
		sig.kind = CN_SIG_UNLINK_ACK;
		sig.unlink_id = c->id;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_EXIT:
		sig.kind = CN_SIG_EXIT;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_EXIT2:
		/* To a pid, or (ALTACT_SIG_SEND of OTP 28) to a name or an alias. */
		sig.kind = CN_SIG_EXIT2;
		if (cnode_pid_is_none(c->to) && c->name.size > 0)
			sig.to_name = terminate(&name, c->name);
		else if (cnode_pid_is_none(c->to))
			sig.alias = &c->ref;
		return !sig.to_name || may_reach(cluster, peer, sig.to_name) ? deliver(cluster, peer, &sig, m) : 0;
	case CN_SIGNAL_MONITOR:
	case CN_SIGNAL_DEMONITOR:
		sig.kind = c->signal == CN_SIGNAL_MONITOR ? CN_SIG_MONITOR : CN_SIG_DEMONITOR;
		if (cnode_pid_is_none(c->to))
			sig.to_name = terminate(&name, c->name);
		if (sig.kind == CN_SIG_MONITOR && sig.to_name && !may_reach(cluster, peer, sig.to_name))
			return monitor_nothing(cluster, peer, c, sig.to_name);
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_MONITOR_EXIT:
		if (c->to.node != cluster->name)
			return 0;
		sig.kind = CN_SIG_DOWN;
		if (cnode_pid_is_none(c->from))
			sig.from_name = terminate(&name, c->name);
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_GROUP_LEADER:
		if (c->to.node != cluster->name)
			return 0;
		sig.kind = CN_SIG_GROUP_LEADER;
		if (CN_MUTANT(group_leader_ignored))
			return 0;
		sig.leader = c->leader;
		return deliver(cluster, peer, &sig, m);
	case CN_SIGNAL_SPAWN_REQUEST:
		spawn_request(cluster, peer, m);
		return 0;
	case CN_SIGNAL_SPAWN_REPLY:
		return cn_orders_answered(cluster, peer, c);
	case CN_SIGNAL_NONE:
		break;
	}
	*why = "an unknown control message";
	return CNODE_EPROTO;

not_its_own:
	*why = "it speaks for a process that is not its own";
	return CNODE_EPROTO;
}
