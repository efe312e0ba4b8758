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

/*
 * Does `wide` match whatever `narrow` matches? Reading narrow as plain text is enough to
 * be sure: its '*' can then only be taken by a '*' of wide.
 */
static bool covers(const char *wide, const char *narrow)
{
	return cn_access_match(wide, narrow);
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
	return count > CN_ACCESS_ENTRIES_MAX ? CNODE_EBADARG : 0;
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
	struct cn_access_rules *rules = cn_calloc(1, sizeof *rules + count * sizeof rules->at[0]);
	if (!rules)
		return CNODE_ENOMEM;
	for (size_t i = 0; old && i < old->count; i++) {
		char *copy = cn_strdup(old->at[i].pattern);
		if (!copy)
			goto no_memory;
		rules->at[rules->count++] = (struct cn_access_rule){ old->at[i].allow, copy };
	}
	while (next_entry(&who, &entry, &size)) {
		bool denies = is_denial(&entry, &size);
		char *copy = cn_strndup(entry, size);
		if (!copy)
			goto no_memory;
		size_t kept = 0;
		for (size_t i = 0; i < rules->count; i++) {
			if (covers(copy, rules->at[i].pattern))
				cn_free(rules->at[i].pattern);
			else
				rules->at[kept++] = rules->at[i];
		}
		rules->count = kept;
		rules->at[rules->count++] = (struct cn_access_rule){ allow && !denies, copy };
	}

	/* A deny in front of every allow decides nothing where the answer without a rule is no. */
	size_t first = 0;
	while (!partial && first < rules->count && !rules->at[first].allow)
		cn_free(rules->at[first++].pattern);
	memmove(rules->at, rules->at + first, (rules->count - first) * sizeof rules->at[0]);
	rules->count -= first;
	*made = rules;
	return 0;

no_memory:
	rules_free(rules);
	return CNODE_ENOMEM;
}

void cn_access_init(struct cn_access *a)
{
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
}

void cn_access_swap(struct cn_access *a, struct cn_access *b)
{
	cn_mutex_lock(&a->lock);
	struct cn_access_rules *rules = a->rules;
	a->rules = b->rules;
	b->rules = rules;
	cn_mutex_unlock(&a->lock);
}

enum cn_access_answer cn_access_ask(struct cn_access *a, const char *node)
{
	enum cn_access_answer answer = CN_ACCESS_UNSAID;
	cn_mutex_lock(&a->lock);
	for (size_t i = a->rules ? a->rules->count : 0; i-- > 0;) {
		if (cn_access_match(a->rules->at[i].pattern, node)) {
			answer = a->rules->at[i].allow ? CN_ACCESS_YES : CN_ACCESS_NO;
			break;
		}
	}
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
	struct cn_access_rules *made, *old = NULL, *nobody = NULL;
	/* A partial list that is set says of all the others that they may not. */
	if (from_nothing && a->partial && (rc = rules_extend(NULL, false, "*", true, &nobody)) != 0)
		return rc;
	cn_mutex_lock(&a->lock);
	rc = rules_extend(from_nothing ? nobody : a->rules, allow, who, a->partial, &made);
	if (rc == 0 && made->count > CN_ACCESS_ENTRIES_MAX) {
		rules_free(made);
		rc = CNODE_EBADARG;
	}
	if (rc == 0) {
		old = a->rules;
		a->rules = made;
	}
	cn_mutex_unlock(&a->lock);
	rules_free(old);
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
