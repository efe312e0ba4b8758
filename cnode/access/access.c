/* SPDX-License-Identifier: Apache-2.0 */
/* Access lists as ordered rules. */
#include "cnode/access/access.h"

#define NAME_BYTES_MAX (255 * 4)

bool cn_access_match(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;
	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == 0;
}

/* Cuts the next entry off `who`; false at the end. */
static bool next_entry(const char **who, const char **entry, size_t *size)
{
	const char *p = *who;
	if (!p || !*p)
		return false;
	const char *end = strchr(p, ',');
	*who = end ? end + 1 : p + strlen(p);
	if (!end)
		end = p + strlen(p);
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*entry = p;
	*size = (size_t)(end - p);
	return true;
}

/* Takes the '!' off an entry that denies. */
static bool is_denial(const char **entry, size_t *size)
{
	bool denies = *size > 0 && **entry == '!';
	*entry += denies;
	*size -= denies;
	return denies;
}

static bool valid_entry(const char *entry, size_t size)
{
	if (size == 0 || size > NAME_BYTES_MAX || *entry == '!' || memchr(entry, ' ', size) || memchr(entry, '\t', size))
		return false;
	if (size == 1 && *entry == '*')
		return true;
	const char *at = memchr(entry, '@', size);
	return at && at > entry && at < entry + size - 1 &&
	       !memchr(at + 1, '@', (size_t)(entry + size - at - 1));
}

int cn_access_check(const char *who, const char **bad)
{
	const char *entry;
	size_t size, count = 0;
	/* A comma at the end stands before an empty entry. */
	if (who && *who && who[strlen(who) - 1] == ',') {
		if (bad)
			*bad = who + strlen(who) - 1;
		return CNODE_EBADARG;
	}
	while (next_entry(&who, &entry, &size)) {
		const char *node = entry;
		count++;
		(void)is_denial(&node, &size);
		if (!valid_entry(node, size)) {
			if (bad)
				*bad = entry;
			return CNODE_EBADARG;
		}
	}
	return count > CNODE_ACCESS_ENTRIES_MAX ? CNODE_EBADARG : 0;
}

static void rules_free(struct cn_access_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->count; i++)
		cn_free(rules->at[i].pattern);
	cn_free(rules);
}

/*
 * ---- the index of rules: a hash table of the plain names, and one of the patterns by their ends ----
 *
 * What a pattern matches begins as the pattern does, up to its first '*', and ends as it does behind the last. So for each
 * pair of lengths that there is among the patterns, a name's own ends of these lengths say which may match it.
 */

/* Where in the table the name is, or would be put. */
static uint32_t *slot_of(const struct cn_access_rules *rules, const char *name)
{
	size_t i = (size_t)cn_hash_of(name, strlen(name)) & rules->mask;
	while (rules->names[i] && strcmp(rules->at[rules->names[i] - 1].pattern, name) != 0)
		i = (i + 1) & rules->mask;
	return &rules->names[i];
}

static struct cn_access_ends ends_of(const struct cn_access_rules *rules, const char *pattern)
{
	size_t head = strcspn(pattern, "*"), tail = strlen(strrchr(pattern, '*') + 1);
	return (struct cn_access_ends){ (uint16_t)(head - head % rules->grain), (uint16_t)(tail - tail % rules->grain) };
}

/* The chain of what has the ends that this text has. */
static uint32_t *chain_of(const struct cn_access_rules *rules, struct cn_access_ends ends, const char *text, size_t size)
{
	uint64_t hash = cn_hash_of(text, ends.head) + 3 * cn_hash_of(text + size - ends.tail, ends.tail);
	return &rules->wide[(size_t)hash & rules->mask];
}

/* The greatest rule with a '*' that matches the text, if it is greater than `last`; else that. */
static uint32_t last_wide(const struct cn_access_rules *rules, const char *text, uint32_t last)
{
	size_t size = strlen(text);
	for (size_t k = 0; k < rules->ends_count; k++) {
		if ((size_t)rules->ends[k].head + rules->ends[k].tail > size)
			continue;
		for (uint32_t i = *chain_of(rules, rules->ends[k], text, size); i; i = rules->next[i - 1])
			if (i > last && cn_access_match(rules->at[i - 1].pattern, text))
				last = i;
	}
	return last;
}

static bool has_ends(const struct cn_access_rules *rules, struct cn_access_ends ends)
{
	size_t k = 0;
	while (k < rules->ends_count && (rules->ends[k].head != ends.head || rules->ends[k].tail != ends.tail))
		k++;
	return k < rules->ends_count;
}

/* Which ends there are. With grain 2048 all are 0. */
static void ends_find(struct cn_access_rules *rules)
{
	rules->grain = 1;
	for (size_t i = 0; i < rules->count; i++) {
		if (!strchr(rules->at[i].pattern, '*'))
			continue;
		struct cn_access_ends ends = ends_of(rules, rules->at[i].pattern);
		if (has_ends(rules, ends))
			continue;
		if (rules->ends_count < CN_ACCESS_ENDS) {
			rules->ends[rules->ends_count++] = ends;
			continue;
		}
		rules->grain *= 2;
		rules->ends_count = 0;
		i = (size_t)-1;         /* once more from the first */
	}
}

static void index_add(struct cn_access_rules *rules, size_t i)
{
	const char *pattern = rules->at[i].pattern;
	uint32_t *slot = strchr(pattern, '*') ? chain_of(rules, ends_of(rules, pattern), pattern, strlen(pattern))
					      : slot_of(rules, pattern);
	rules->next[i] = *slot;         /* of a plain name: 0, or the same name */
	*slot = (uint32_t)i + 1;
}

/*
 * Does a rule that is in the index cover the pattern, that is match whatever it matches? Reading it as plain text is enough
 * to be sure: its '*' can then only be taken by a '*' of the wider one.
 */
static bool is_covered(const struct cn_access_rules *rules, const char *pattern)
{
	return *slot_of(rules, pattern) != 0 || last_wide(rules, pattern, 0) != 0;
}

/* Room for `count` rules, in one piece with their index. */
static struct cn_access_rules *rules_new(size_t count)
{
	size_t slots = 4;
	while (slots < 2 * count)
		slots *= 2;
	struct cn_access_rules *rules =
		cn_calloc(1, sizeof *rules + count * sizeof rules->at[0] + (2 * slots + count) * sizeof rules->names[0]);
	if (!rules)
		return NULL;
	rules->names = (uint32_t *)&rules->at[count];
	rules->wide = rules->names + slots;
	rules->next = rules->wide + slots;
	rules->mask = slots - 1;
	return rules;
}

static int add_copy(struct cn_access_rules *rules, bool allow, const char *pattern, size_t size)
{
	char *copy = cn_strndup(pattern, size);
	if (!copy)
		return CNODE_ENOMEM;
	rules->at[rules->count++] = (struct cn_access_rule){ allow, copy };
	return 0;
}

/*
 * Leaves out the rules that a later one covers, from the last to the first: what covers a rule that is left out itself is
 * covered by the same, so those that stay are enough to compare with. Then the index is that of what is left.
 */
static void leave_out_covered(struct cn_access_rules *rules, bool partial)
{
	size_t kept = 0;
	ends_find(rules);
	for (size_t i = rules->count; i-- > 0;) {
		if (!is_covered(rules, rules->at[i].pattern)) {
			index_add(rules, i);
			continue;
		}
		cn_free(rules->at[i].pattern);
		rules->at[i].pattern = NULL;
	}
	/* Both tables. */
	memset(rules->names, 0, 2 * (rules->mask + 1) * sizeof rules->names[0]);
	for (size_t i = 0; i < rules->count; i++) {
		struct cn_access_rule rule = rules->at[i];
		/* A deny in front of every allow decides nothing where the answer without a rule is no. */
		if (rule.pattern && (rule.allow || kept > 0 || partial)) {
			rules->at[kept] = rule;
			index_add(rules, kept++);
		} else {
			cn_free(rule.pattern);
		}
	}
	rules->count = kept;
}

/*
 * The old rules (may be NULL) with those of `who` behind them, without those that no longer decide
 * anything. `partial`: the list is one.
 */
static int rules_extend(const struct cn_access_rules *old, bool allow, const char *who, bool partial,
			struct cn_access_rules **made)
{
	size_t count = old ? old->count : 0, size;
	const char *entry, *rest = who;
	while (next_entry(&rest, &entry, &size))
		count++;
	struct cn_access_rules *rules = rules_new(count);
	int rc = rules ? 0 : CNODE_ENOMEM;
	for (size_t i = 0; old && i < old->count && rc == 0; i++)
		rc = add_copy(rules, old->at[i].allow, old->at[i].pattern, strlen(old->at[i].pattern));
	while (rc == 0 && next_entry(&who, &entry, &size)) {
		bool denies = is_denial(&entry, &size);
		rc = add_copy(rules, allow && !denies, entry, size);
	}
	if (rc != 0) {
		rules_free(rules);
		return rc;
	}
	leave_out_covered(rules, partial);
	*made = rules;
	return 0;
}

void cn_access_init(struct cn_access *a)
{
	cn_mutex_init(&a->changing);
	cn_mutex_init(&a->lock);
	a->partial = false;
	a->rules = NULL;
}

void cn_access_init_partial(struct cn_access *a)
{
	cn_access_init(a);
	a->partial = true;
}

void cn_access_fini(struct cn_access *a)
{
	rules_free(a->rules);
	a->rules = NULL;
	cn_mutex_fini(&a->lock);
	cn_mutex_fini(&a->changing);
}

void cn_access_swap(struct cn_access *a, struct cn_access *b)
{
	cn_mutex_lock(&a->changing);
	cn_mutex_lock(&a->lock);
	struct cn_access_rules *rules = a->rules;
	a->rules = b->rules;
	b->rules = rules;
	cn_mutex_unlock(&a->lock);
	cn_mutex_unlock(&a->changing);
}

enum cn_access_answer cn_access_ask(struct cn_access *a, const char *node)
{
	enum cn_access_answer answer = CN_ACCESS_UNSAID;
	cn_mutex_lock(&a->lock);
	const struct cn_access_rules *rules = a->rules;
	uint32_t last = rules ? last_wide(rules, node, *slot_of(rules, node)) : 0;
	if (last != 0)
		answer = rules->at[last - 1].allow ? CN_ACCESS_YES : CN_ACCESS_NO;
	cn_mutex_unlock(&a->lock);
	return answer;
}

bool cn_access_allowed(struct cn_access *a, const char *node)
{
	return cn_access_ask(a, node) == CN_ACCESS_YES;
}

static int change(struct cn_access *a, bool from_nothing, bool allow, const char *who)
{
	int rc = cn_access_check(who, NULL);
	if (rc != 0)
		return rc;
	struct cn_access_rules *made, *nobody = NULL;
	/* A partial list that is set says of all the others that they may not. */
	if (from_nothing && a->partial && (rc = rules_extend(NULL, false, "*", true, &nobody)) != 0)
		return rc;
	cn_mutex_lock(&a->changing);
	rc = rules_extend(from_nothing ? nobody : a->rules, allow, who, a->partial, &made);
	if (rc == 0 && made->count > CNODE_ACCESS_ENTRIES_MAX) {
		rules_free(made);
		rc = CNODE_EBADARG;
	}
	if (rc == 0) {
		struct cn_access_rules *old = a->rules;
		cn_mutex_lock(&a->lock);
		a->rules = made;
		cn_mutex_unlock(&a->lock);
		rules_free(old);
	}
	cn_mutex_unlock(&a->changing);
	rules_free(nobody);
	return rc;
}

int cn_access_allow(struct cn_access *a, const char *who)
{
	return change(a, false, true, who);
}

int cn_access_deny(struct cn_access *a, const char *who)
{
	/* What is not to be denied has no place here. */
	if (who && strchr(who, '!'))
		return CNODE_EBADARG;
	return change(a, false, false, who);
}

int cn_access_set(struct cn_access *a, const char *who)
{
	return change(a, true, true, who);
}

const char *cn_access_mode_name(enum cn_access_mode mode)
{
	return mode == CN_ACCESS_ALL ? "all" : mode == CN_ACCESS_LIST ? "list" : mode == CN_ACCESS_DEFAULT ? "default" : "none";
}

int cn_access_describe(struct cn_access *a, enum cn_access_mode *mode, struct cn_buf *allowed, struct cn_buf *denied)
{
	*mode = a->partial ? CN_ACCESS_DEFAULT : CN_ACCESS_NONE;
	cn_mutex_lock(&a->lock);
	for (size_t i = 0; a->rules && i < a->rules->count; i++) {
		const struct cn_access_rule *r = &a->rules->at[i];
		/* It covers all that could stand before it, so it stands first. */
		if (strcmp(r->pattern, "*") == 0) {
			*mode = r->allow ? CN_ACCESS_ALL : CN_ACCESS_NONE;
			continue;
		}
		if (r->allow && *mode == CN_ACCESS_NONE)
			*mode = CN_ACCESS_LIST;
		struct cn_buf *b = r->allow ? allowed : denied;
		cn_put_text(b, "%s%s", b->size ? "," : "", r->pattern);
	}
	cn_mutex_unlock(&a->lock);
	return allowed->err || denied->err ? CNODE_ENOMEM : 0;
}

int cn_access_text(struct cn_access *a, struct cn_buf *who)
{
	cn_mutex_lock(&a->lock);
	for (size_t i = 0; a->rules && i < a->rules->count; i++)
		cn_put_text(who, "%s%s%s", i ? "," : "", a->rules->at[i].allow ? "" : "!", a->rules->at[i].pattern);
	cn_mutex_unlock(&a->lock);
	return who->err ? CNODE_ENOMEM : 0;
}
