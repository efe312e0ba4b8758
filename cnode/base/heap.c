/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pairing heap of deadlines. Intrusive, so that starting a timer cannot fail; adding is
 * O(1), removing O(log n) amortised, and no step recurses.
 */
#include "cnode/base/base.h"

static struct cn_heap_node *meld(struct cn_heap_node *a, struct cn_heap_node *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->due < a->due) {
		struct cn_heap_node *t = a;
		a = b;
		b = t;
	}
	b->back = a;
	b->next = a->child;
	if (a->child)
		a->child->back = b;
	a->child = b;
	return a;
}

/* Melds siblings two by two from the left, then the pairs from the right. */
static struct cn_heap_node *meld_children(struct cn_heap_node *first)
{
	struct cn_heap_node *pairs = NULL;
	while (first) {
		struct cn_heap_node *a = first, *b = first->next;
		first = b ? b->next : NULL;
		a->next = a->back = NULL;
		if (b)
			b->next = b->back = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	struct cn_heap_node *root = NULL;
	while (pairs) {
		struct cn_heap_node *next = pairs->next;
		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

void cn_heap_add(struct cn_heap *h, struct cn_heap_node *n)
{
	n->child = n->next = n->back = NULL;
	h->first = meld(h->first, n);
}

void cn_heap_remove(struct cn_heap *h, struct cn_heap_node *n)
{
	struct cn_heap_node *rest = meld_children(n->child);
	n->child = NULL;
	if (n == h->first) {
		h->first = rest;
		return;
	}
	if (n->back->child == n)
		n->back->child = n->next;
	else
		n->back->next = n->next;
	if (n->next)
		n->next->back = n->back;
	n->next = n->back = NULL;
	h->first = meld(h->first, rest);
}
