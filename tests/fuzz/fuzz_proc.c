/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any sequence of signals and calls against a model of the tables in erl_dist_protocol:
 * what must leave for the peer, and what must lie in the mailboxes, is predicted for each
 * step. Two processes that trap exits, four pids of a peer, monitors both ways.
 */
#include "tests/proc_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOCALS 2
#define REMOTES 4
#define REFS 16
#define KINDS (CN_SIG_GROUP_LEADER + 1)

enum link { NONE, ACTIVE, UNLINKING };

struct local {
	struct cnode_process *process;
	enum link link[REMOTES];
	uint64_t unlink_id[REMOTES];
	uint64_t next_id;
	struct { cnode_ref ref; int target; bool open; } watch[REFS];
	bool watched[REMOTES][REFS];
	int exits, downs;               /* messages that must be there */
};
static struct local local[LOCALS];
static int expected[KINDS], seen[KINDS];

static void count(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	seen[sig->kind]++;
}

#define MUST(c) do { if (!(c)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); abort(); } } while (0)

static void fresh(struct local *l)
{
	memset(l, 0, sizeof *l);
	l->process = hand(NULL);
	MUST(l->process);
	cnode_trap_exit(l->process, true);
}

/* Everything that it has goes, with a signal for each. */
static void dies(struct local *l)
{
	for (int r = 0; r < REMOTES; r++) {
		expected[CN_SIG_EXIT] += l->link[r] == ACTIVE;
		for (int i = 0; i < REFS; i++)
			expected[CN_SIG_DOWN] += l->watched[r][i];
	}
	for (int i = 0; i < REFS; i++)
		expected[CN_SIG_DEMONITOR] += l->watch[i].open;
}

static void drain(struct local *l)
{
	struct cn_message *m;
	while ((m = cn_process_receive(l->process, NULL, NULL))) {
		l->exits -= m->kind == CN_MSG_EXIT;
		l->downs -= m->kind == CN_MSG_DOWN;
		cn_message_free(l->process, m);
	}
	MUST(l->exits == 0);
	MUST(l->downs == 0);
}

static void connection_ends(void)
{
	uint64_t ended = atomic_fetch_add(&W.epoch, 1);
	while (!cn_procs_nodedown(W.procs, W.peer, ended, "noconnection", 3))
		;
	for (int i = 0; i < LOCALS; i++) {
		struct local *l = &local[i];
		for (int r = 0; r < REMOTES; r++) {
			l->exits += l->link[r] == ACTIVE;
			l->link[r] = NONE;
			memset(l->watched[r], 0, sizeof l->watched[r]);
		}
		for (int k = 0; k < REFS; k++) {
			l->downs += l->watch[k].open;
			l->watch[k].open = false;
		}
	}
}

static void step(uint8_t op, uint8_t arg)
{
	struct local *l = &local[arg & 1];
	int r = arg >> 1 & 3, k = arg >> 4 & 15;
	cnode_pid self = cnode_self(l->process), peer = remote((uint32_t)r + 1);
	struct cn_signal sig = FROM_PEER(LINK, peer, self, .ref = remote_ref((uint32_t)k), .unlink_id = (uint64_t)k);
	switch (op % 14) {
	case 0:
		MUST(cnode_link(l->process, peer) == 0);
		expected[CN_SIG_LINK] += l->link[r] != ACTIVE;
		l->link[r] = ACTIVE;
		break;
	case 1:
		MUST(cnode_unlink(l->process, peer) == 0);
		if (l->link[r] == ACTIVE) {
			expected[CN_SIG_UNLINK]++;
			l->link[r] = UNLINKING;
			l->unlink_id[r] = ++l->next_id;
		}
		break;
	case 2:
		deliver(&sig);
		if (l->link[r] == NONE)
			l->link[r] = ACTIVE;
		break;
	case 3:
		sig.kind = CN_SIG_UNLINK;
		deliver(&sig);
		expected[CN_SIG_UNLINK_ACK] += sig.unlink_id != 0;
		if (l->link[r] == ACTIVE)
			l->link[r] = NONE;
		break;
	case 4:
		sig.kind = CN_SIG_UNLINK_ACK;
		deliver(&sig);
		if (l->link[r] == UNLINKING && l->unlink_id[r] == sig.unlink_id)
			l->link[r] = NONE;
		break;
	case 5:
		deliver_term(FROM_PEER(EXIT, peer, self), k % 2 ? "normal" : "boom");
		l->exits += l->link[r] == ACTIVE;
		if (l->link[r] == ACTIVE)
			l->link[r] = NONE;
		break;
	case 6:
		sig.kind = CN_SIG_MONITOR;
		deliver(&sig);
		l->watched[r][k] = true;
		break;
	case 7:
		sig.kind = CN_SIG_DEMONITOR;
		deliver(&sig);
		l->watched[r][k] = false;
		break;
	case 8:
		if (l->watch[k].open)
			break;
		MUST(cnode_monitor(l->process, peer, &l->watch[k].ref) == 0);
		expected[CN_SIG_MONITOR]++;
		l->watch[k].open = true;
		l->watch[k].target = r;
		break;
	case 9:
		MUST(cnode_demonitor(l->process, l->watch[k].ref, 0) == 0);
		expected[CN_SIG_DEMONITOR] += l->watch[k].open;
		l->watch[k].open = false;
		break;
	case 10:
		deliver_term(FROM_PEER(DOWN, peer, self, .ref = l->watch[k].ref), "boom");
		l->downs += l->watch[k].open;
		l->watch[k].open = false;
		break;
	case 11:
		if (k < 14) {
			deliver_term(FROM_PEER(EXIT2, peer, self), "{shutdown,1}");
			l->exits++;
			break;
		}
		drain(l);
		dies(l);
		deliver_term(FROM_PEER(EXIT2, peer, self), "kill");
		MUST(cnode_cancelled(l->process));
		hand_exit(l->process, "normal");
		fresh(l);
		break;
	case 12:
		if (k == 0)
			connection_ends();
		break;
	default:
		drain(l);
		/* To one that is not there: always an answer. */
		self.id += 5000;
		sig.to = self;
		deliver(&sig);
		sig.kind = CN_SIG_MONITOR;
		deliver(&sig);
		expected[CN_SIG_EXIT]++;
		expected[CN_SIG_DOWN]++;
		break;
	}
	MUST(memcmp(expected, seen, sizeof seen) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MUST(world_open(NULL) == 0);
	W.hook = count;
	atomic_store(&W.drop, true);
	memset(expected, 0, sizeof expected);
	memset(seen, 0, sizeof seen);
	for (int i = 0; i < LOCALS; i++)
		fresh(&local[i]);
	for (size_t i = 0; i + 1 < size && i < 8192; i += 2)
		step(data[i], data[i + 1]);
	for (int i = 0; i < LOCALS; i++) {
		drain(&local[i]);
		dies(&local[i]);
		hand_exit(local[i].process, "normal");
	}
	MUST(memcmp(expected, seen, sizeof seen) == 0);
	MUST(cn_procs_count(W.procs) == 0);
	world_close();
	return 0;
}
