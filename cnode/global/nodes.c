/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of nodes, and the orders that all nodes of a cluster must agree on. */
#include "cnode/global/inner.h"

bool nodes_has(const struct node_list *l, cnode_name node)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->at[i] == node)
			return true;
	return false;
}

int nodes_add(struct node_list *l, cnode_name node)
{
	if (nodes_has(l, node))
		return 0;
	if (l->count == l->room) {
		size_t room = l->room ? l->room * 2 : 8;
		cnode_name *at = cn_realloc(l->at, room * sizeof *at);
		if (!at)
			return CNODE_ENOMEM;
		l->at = at;
		l->room = room;
	}
	l->at[l->count++] = node;
	return 0;
}

void nodes_remove(struct node_list *l, cnode_name node)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->at[i] == node) {
			l->at[i] = l->at[--l->count];
			return;
		}
}

void nodes_remove_all(struct node_list *l, const struct node_list *others)
{
	for (size_t i = 0; i < others->count; i++)
		nodes_remove(l, others->at[i]);
}

void nodes_fini(struct node_list *l)
{
	cn_free(l->at);
	*l = (struct node_list){ 0 };
}

int nodes_compare(cnode_name a, cnode_name b)
{
	char x[CNODE_NAME_SIZE], y[CNODE_NAME_SIZE];
	if (a == b)
		return 0;
	/* One that was forgotten has an empty text, and is the least. */
	(void)cnode_name_text(a, x);
	(void)cnode_name_text(b, y);
	int c = strcmp(x, y);
	return (c > 0) - (c < 0);
}

cnode_name nodes_boss(const cnode_name *nodes, size_t count)
{
	cnode_name boss = count ? nodes[0] : 0;
	for (size_t i = 1; i < count; i++)
		if (nodes_compare(nodes[i], boss) > 0)
			boss = nodes[i];
	return boss;
}

int pids_compare(cnode_pid a, cnode_pid b)
{
	if (a.serial != b.serial)
		return a.serial < b.serial ? -1 : 1;
	if (a.id != b.id)
		return a.id < b.id ? -1 : 1;
	int c = nodes_compare(a.node, b.node);
	if (c == 0 && a.creation != b.creation)
		c = a.creation < b.creation ? -1 : 1;
	return c;
}

int lock_id_term(cnode_pid a, cnode_pid b, cnode_term *id)
{
	return (pids_compare(a, b) <= 0) != CN_MUTANT(global_lock_id_order) ? cnode_format(id, "[~p,~p]", a, b) : cnode_format(id, "[~p,~p]", b, a);
}
