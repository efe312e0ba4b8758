/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message that is too large for the receive buffer, or comes in fragments. Its bytes are
 * put where they will stay; the memory grows as they arrive, beyond 2 MiB never from what was announced;
 * the payload is verified alongside.
 */
#include "cnode/wire/frame.h"

#define FIRST_ROOM 131072u

struct cn_assembly *cn_assembly_new(size_t room)
{
	struct cn_assembly *a = cn_calloc(1, sizeof *a);
	if (!a)
		return NULL;
	a->fragment = 1;
	a->blob = cn_blob_new(room);
	if (!a->blob) {
		cn_free(a);
		return NULL;
	}
	cn_verify_init(&a->verify, NULL, 0);
	return a;
}

void cn_assembly_free(struct cn_assembly *a)
{
	if (!a)
		return;
	cn_verify_fini(&a->verify);
	cn_blob_unref(a->blob);
	cn_free(a->atoms);
	cn_free(a);
}

int cn_assembly_room(struct cn_assembly *a, size_t more, size_t most)
{
	size_t need = a->used + more;
	if (need <= a->blob->size)
		return 0;
	size_t room = a->used * 2;
	if (room < FIRST_ROOM)
		room = FIRST_ROOM;
	if (room > most)
		room = most;
	if (room < need)
		room = need;
	struct cn_blob *b = cn_blob_resize(a->blob, room);
	if (!b)
		return CNODE_ENOMEM;
	a->blob = b;
	return 0;
}

int cn_assembly_atoms(struct cn_assembly *a, const struct cn_header *h)
{
	size_t text_size = 0;
	for (unsigned i = 0; i < h->count; i++)
		text_size += h->atoms[i].size;
	if (h->count == 0)
		return 0;
	a->atoms = cn_malloc(h->count * sizeof *a->atoms + text_size);
	if (!a->atoms)
		return CNODE_ENOMEM;
	uint8_t *text = (uint8_t *)(a->atoms + h->count);
	for (unsigned i = 0; i < h->count; i++) {
		memcpy(text, h->atoms[i].text, h->atoms[i].size);
		a->atoms[i] = (struct cn_atom_text){ text, h->atoms[i].size };
		text += h->atoms[i].size;
	}
	a->atom_count = h->count;
	a->text_size = text_size;
	return 0;
}

void cn_assembly_payload(struct cn_assembly *a, size_t payload_at, uint32_t depth, uint64_t limit)
{
	struct cn_term_limits limits = { .bytes = limit, .depth = depth };
	a->payload_at = payload_at;
	a->verified = !a->has_payload;
	cn_verify_init(&a->verify, &limits, a->atom_count);
}

int cn_assembly_verify(struct cn_assembly *a, size_t budget, bool complete, const char **reason)
{
	if (a->verified)
		return 1;
	if (a->used <= a->payload_at) {
		if (!complete)
			return 0;
		*reason = "a message without its payload";
		return CNODE_EPROTO;
	}
	int rc = cn_verify_step(&a->verify, a->blob->bytes + a->payload_at, a->used - a->payload_at, budget);
	if (rc == CN_VERIFY_DONE) {
		a->verified = true;
		return 1;
	}
	if (rc == CN_VERIFY_MORE && complete) {
		*reason = "a message whose payload is cut off";
		return CNODE_EBADTERM;
	}
	if (rc < 0)
		*reason = rc == CNODE_ENOMEM ? "out of memory for a message" : a->verify.reason;
	return rc < 0 ? rc : 0;
}

/* The same layout as cn_blob_new_atoms: table and texts behind the bytes, one allocation. */
static void attach(struct cn_assembly *a, size_t table, size_t texts)
{
	struct cn_blob *b = a->blob;
	struct cn_atoms *t = (struct cn_atoms *)(void *)((char *)b + table);
	uint8_t *to = (uint8_t *)b + texts;
	memcpy(to, a->atoms[0].text, a->text_size);
	t->count = (uint16_t)a->atom_count;
	for (unsigned i = 0; i < a->atom_count; i++) {
		t->at[i] = (struct cn_atom_text){ to, a->atoms[i].size };
		to += a->atoms[i].size;
	}
	b->atoms = t;
}

struct cn_blob *cn_assembly_blob(struct cn_assembly *a)
{
	size_t align = _Alignof(struct cn_atoms);
	size_t head = offsetof(struct cn_blob, bytes);
	size_t table = (head + a->used + align - 1) / align * align;
	size_t texts = table + sizeof(struct cn_atoms) + a->atom_count * sizeof(struct cn_atom_text);
	size_t room = a->atom_count ? texts + a->text_size - head : a->used;
	struct cn_blob *b = a->blob;
	/* A little too much is cheaper kept than moved. */
	if (room > b->size || b->size - room > room / 8) {
		b = cn_blob_resize(a->blob, room);
		if (!b && room > a->blob->size)
			return NULL;
		if (b)
			a->blob = b;
	}
	if (a->atom_count)
		attach(a, table, texts);
	b = a->blob;
	b->size = a->used;
	a->blob = NULL;
	return b;
}
