/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a spawn request: those of spawn_request/5 as far as they leave the
 * requesting node (reply and reply_tag are its own business), and ours, which a BEAM node
 * passes on as they are. The table is in cnode/spawn.h.
 * Follows: erlang:spawn_opt/5, spawn_request/5; erts/emulator/beam/bif.c (badopt).
 */
#include "cnode/spawn/inner.h"

/* Options of {Key, Value} that mean something to a BEAM's memory or scheduler only. */
static const char *const beams_own[] = {
	"priority", "fullsweep_after", "min_heap_size", "min_bin_vheap_size", "max_heap_size",
	"message_queue_data", "async_dist", "scheduler",
};

static bool is_beams_own(const cnode_atom *key)
{
	for (size_t i = 0; i < CN_ARRAY_SIZE(beams_own); i++)
		if (strcmp(beams_own[i], key->text) == 0)
			return true;
	return false;
}

/* Milliseconds, or infinity: 0. */
static bool read_time(cnode_term value, uint64_t *ns)
{
	int64_t ms;
	*ns = 0;
	if (cn_term_is_atom(value, "infinity"))
		return true;
	if (cnode_scan(value, "~q", &ms) != 0 || ms < 0 || ms > INT64_MAX / (int64_t)CN_NS_PER_MS)
		return false;
	/* None at all is over as soon as it is looked at. */
	*ns = ms > 0 ? (uint64_t)ms * CN_NS_PER_MS : 1;
	return true;
}

/* A level of OTP's logger: those above error are error here. */
static bool read_level(cnode_term value, enum cnode_log_level *level)
{
	cnode_atom word;
	if (cnode_scan(value, "~a", &word) != 0)
		return false;
	if (strcmp(word.text, "emergency") == 0 || strcmp(word.text, "alert") == 0 || strcmp(word.text, "critical") == 0)
		*level = CNODE_LOG_ERROR;
	else if (strcmp(word.text, "all") == 0)
		*level = CNODE_LOG_DEBUG;
	else
		return cnode_log_level_parse(word.text, level) == 0;
	return true;
}

static bool read_registration(cnode_term value, struct cn_wishes *w)
{
	if (cn_term_is_atom(value, "none"))
		w->registration = CN_REGISTER_NONE;
	else if (cn_term_is_atom(value, "local"))
		w->registration = CN_REGISTER_LOCAL;
	else if (cn_term_is_atom(value, "global"))
		w->registration = CN_REGISTER_GLOBAL;
	else
		return false;
	w->says_registration = true;
	return true;
}

/* N, {N, exit} or {N, drop}. */
static bool read_mailbox(cnode_term value, struct cn_wishes *w)
{
	int64_t n;
	cnode_term policy = { 0 };
	if (cnode_scan(value, "~q", &n) != 0 && cnode_scan(value, "{~q,~t}", &n, &policy) != 0)
		return false;
	if (n < 1 || n > UINT32_MAX)
		return false;
	w->max_messages = (uint32_t)n;
	w->drops = cn_term_is_atom(policy, "drop");
	return w->drops || policy.size_ == 0 || cn_term_is_atom(policy, "exit");
}

bool cn_env_key(cnode_term key, const char **text, size_t *size)
{
	switch (cnode_term_type(key)) {
	case CNODE_TYPE_ATOM:
		*text = cn_term_atom(key, size);
		break;
	case CNODE_TYPE_BINARY:
		if (cnode_scan(key, "~z", text, size) != 0)
			return false;
		break;
	default:
		return false;
	}
	return *text && *size > 0 && *size <= CN_ENV_KEY_MAX;
}

/* A proper list of {Key, Value}. */
static bool read_env(cnode_term value, struct cn_wishes *w)
{
	cnode_reader r = cnode_read(value);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--) {
			cnode_term key, what;
			const char *text;
			size_t size;
			if (cnode_scan(cnode_read_term(&r), "{~t,~t}", &key, &what) != 0 || !cn_env_key(key, &text, &size))
				return false;
		}
	w->env = value;
	return !r.error;
}

/* A name that a process can have. */
static bool read_name(cnode_term value, cnode_atom *name)
{
	return cnode_scan(value, "~a", name) == 0 && name->size > 0 && strcmp(name->text, "undefined") != 0;
}

static bool read_option(cnode_term option, struct cn_wishes *w)
{
	cnode_term value;
	cnode_atom key;
	if (cn_term_is_atom(option, "link"))
		return w->link = true;
	if (cn_term_is_atom(option, "monitor"))
		return w->monitor = true;
	if (cnode_scan(option, "{~a,~t}", &key, &value) != 0)
		return false;
	if (strcmp(key.text, "monitor") == 0)
		return w->monitor = true;           /* OTP 23 sends it as it was given */
	if (strcmp(key.text, "link") == 0)
		return w->link = true;
	if (strcmp(key.text, "name") == 0)
		return read_name(value, &w->name);
	if (strcmp(key.text, "registration") == 0)
		return read_registration(value, w);
	if (strcmp(key.text, "init_timeout") == 0)
		return read_time(value, &w->init_ns);
	if (strcmp(key.text, "timeout") == 0)
		return read_time(value, &w->start_ns);
	if (strcmp(key.text, "env") == 0)
		return read_env(value, w);
	if (strcmp(key.text, "log_level") == 0)
		return w->says_level = read_level(value, &w->level);
	if (strcmp(key.text, "application") == 0)
		return cnode_scan(value, "~a", &w->application) == 0;
	if (strcmp(key.text, "mailbox") == 0)
		return read_mailbox(value, w);
	if (strcmp(key.text, "answer") == 0)
		return (w->at_once = cn_term_is_atom(value, "creation")) || cn_term_is_atom(value, "init");
	if (strcmp(key.text, "failure") == 0)
		return w->tells_failure = cnode_scan(value, "~r", &w->failure_to) == 0 || cn_term_is_atom(value, "message");
	return CN_MUTANT(any_spawn_option) || is_beams_own(&key);
}

bool cn_wishes_read(struct cn_wishes *w, cnode_term list)
{
	cnode_reader r = cnode_read(list);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--)
			if (!read_option(cnode_read_term(&r), w) || r.error)
				return false;
	return !r.error;
}

bool cn_wishes_fit(const struct cn_wishes *w)
{
	/* To be registered there must be a name; a name alone is registered here. */
	return w->name.size > 0 || !w->says_registration || w->registration == CN_REGISTER_NONE;
}
