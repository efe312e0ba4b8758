/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for peers that ask for one (-sname undefined): made of a random number and the peer's host. A name that was
 * in use goes to the next that asks from the same host, with the creation that follows, so that a node which
 * comes and goes does not leave a new name in everybody's atom table each time. Holder of the lead only.
 *
 * Follows: ensure_node_name/2, generate_node_name/2 and delete_connection/4 in net_kernel.erl (dyn_name_pool).
 */
#include "cnode/node/peer.h"

#define POOL_MAX 1024       /* names kept for later: authenticated peers could ask for any number, each from a host of its own */

struct cn_dynamic {
	struct cn_dynamic *next;
	const struct cn_conn *conn; /* that has it; NULL: it is free */
	uint32_t creation;
	bool used;                  /* a connection of this creation was up */
	bool kept;                  /* it is from the pool */
	char name[];
};

/* Might a peer of this name be there? Names are no secrets: anybody can take a free one. */
static bool is_taken(struct cn_cluster *cluster, const char *name)
{
	cnode_name number;
	if (strcmp(name, cluster->config.name) == 0 || cnode_name_of(name, &number) != 0)
		return true;
	cn_mutex_lock(&cluster->lock);
	const struct cn_peer *peer = cn_peer_find(cluster, number);
	bool taken = peer && peer->state != CN_PEER_IDLE;
	cn_mutex_unlock(&cluster->lock);
	return taken;
}

static struct cn_dynamic *free_name(struct cn_cluster *cluster, const char *host)
{
	struct cn_dynamic *d = cluster->dynamic;
	if (CN_MUTANT(dynamic_always_new))
		return NULL;
	while (d && ((d->conn && !CN_MUTANT(dynamic_one_for_all)) || strcmp(strchr(d->name, '@') + 1, host) != 0 || (is_taken(cluster, d->name) && !CN_MUTANT(dynamic_one_for_all))))
		d = d->next;
	return d;
}

static struct cn_dynamic *new_name(struct cn_cluster *cluster, const char *host)
{
	char name[CNODE_NAME_SIZE];
	uint64_t random;
	uint32_t creation;
	if (cn_random(&random, sizeof random) != 0 || cn_random(&creation, sizeof creation) != 0)
		return NULL;
	cn_node_name_dynamic(random, host, name);
	if (!cn_node_name_valid(name, strlen(name)))
		return NULL;
	struct cn_dynamic *d = cn_malloc(sizeof *d + strlen(name) + 1);
	if (!d)
		return NULL;
	*d = (struct cn_dynamic){ .next = cluster->dynamic, .creation = creation < 4 ? creation + 4 : creation };
	memcpy(d->name, name, strlen(name) + 1);
	cluster->dynamic = d;
	return d;
}

static struct cn_dynamic *of(struct cn_cluster *cluster, const struct cn_conn *c)
{
	struct cn_dynamic *d = cluster->dynamic;
	while (d && d->conn != c)
		d = d->next;
	return d;
}

bool cn_dynamic_give(struct cn_cluster *cluster, const struct cn_conn *c, const char *host, struct cn_hello *answer)
{
	struct cn_dynamic *d = free_name(cluster, host);
	if (!d)
		d = new_name(cluster, host);
	if (!d)
		return false;
	d->conn = c;
	memcpy(answer->name, d->name, strlen(d->name) + 1);
	answer->creation = d->creation;
	return true;
}

void cn_dynamic_up(struct cn_cluster *cluster, const struct cn_conn *c)
{
	struct cn_dynamic *d = of(cluster, c);
	if (d)
		d->used = true;
}

/* Takes out the names that nobody has beyond the newest POOL_MAX, and this one (may be NULL). */
static void tidy(struct cn_cluster *cluster, const struct cn_dynamic *unused)
{
	unsigned count = 0;
	for (struct cn_dynamic **at = &cluster->dynamic, *d; (d = *at);) {
		if (d == unused || (!d->conn && ++count > POOL_MAX)) {
			*at = d->next;
			cn_free(d);
		} else {
			at = &d->next;
		}
	}
}

void cn_dynamic_down(struct cn_cluster *cluster, const struct cn_conn *c)
{
	struct cn_dynamic *d = of(cluster, c);
	if (!d)
		return;
	d->conn = NULL;
	if (d->used) {
		if (!CN_MUTANT(dynamic_creation_kept))
			d->creation = d->creation + 1 < 4 ? 4 : d->creation + 1;
		d->kept = true;
		d->used = false;
	}
	/* Strangers, who never prove that they know the cookie, leave nothing behind. */
	tidy(cluster, d->kept ? NULL : d);
}

void cn_dynamic_free(struct cn_cluster *cluster)
{
	while (cluster->dynamic) {
		struct cn_dynamic *d = cluster->dynamic;
		cluster->dynamic = d->next;
		cn_free(d);
	}
}
