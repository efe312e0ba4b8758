/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Io servers: `user`, which writes to the program's standard output and is the group leader
 * of what the program itself starts, and the group leader of functions that rex runs for a
 * caller who wants to have the output himself.
 *
 * Other nodes' processes have such a leader too when they are spawned from here, and wait for
 * its answers: what it cannot do is an error to them, never silence.
 * Follows: "The Erlang I/O Protocol" (stdlib user's guide), lib/kernel/src/rpc.erl.
 */
#include "cnode/kernel/io.h"

/* ---- the protocol ---- */

struct request {
	cnode_process *self;
	void *state;
	cn_io_put *put;
	int failed;                 /* a code of `put` */
};

/* Puts what was built; the word of the answer. */
static const char *put_built(struct request *q, struct cn_buf *b, bool good)
{
	if (good && b->err == 0)
		q->failed = q->put(q->self, q->state, b->data ? (const char *)b->data : "", b->size);
	const char *word = b->err ? cnode_error_atom(b->err) : !good ? "put_chars" : q->failed ? "terminated" : "ok";
	cn_buf_fini(b);
	return word;
}

static const char *put_chars(struct request *q, cnode_term chars, bool latin1)
{
	struct cn_buf b;
	cn_buf_init(&b, 0);
	bool good = cn_io_chars(&b, chars, latin1);
	return put_built(q, &b, good);
}

/* {put_chars, Encoding, Module, Function, Args}: only io_lib is here. */
static const char *put_call(struct request *q, const char *module, const char *function, cnode_term args)
{
	cnode_term format, values;
	struct cn_buf b;
	bool good = false;
	cn_buf_init(&b, CN_IO_FORMAT_MAX);
	if (strcmp(module, "io_lib") != 0)
		return "put_chars";
	if ((strcmp(function, "format") == 0 || strcmp(function, "fwrite") == 0) && cnode_scan(args, "[~t,~t]", &format, &values) == 0) {
		good = cn_io_format(&b, format, values);
	} else if (strcmp(function, "write") == 0 && cnode_scan(args, "[~t]", &values) == 0) {
		char *text = cn_term_text_to(values, true, CN_ANY_DEPTH);
		good = true;
		b.limit = 0;            /* a term's text is no larger than what it came in makes it */
		if (text)
			cn_put(&b, text, strlen(text));
		else
			b.err = CNODE_ENOMEM;
		cn_free(text);
	} else if (strcmp(function, "nl") == 0) {
		good = true;
		cn_put_u8(&b, '\n');
	}
	return put_built(q, &b, good);
}

/* The word of the answer: "ok", "eof", or the reason of {error, Reason}. */
static const char *one(struct request *q, cnode_term request)
{
	cnode_term chars, args;
	cnode_atom encoding, module, function, word;
	if (cnode_scan(request, "{put_chars,~a,~t}", &encoding, &chars) == 0)
		return put_chars(q, chars, strcmp(encoding.text, "latin1") == 0);
	if (cnode_scan(request, "{put_chars,~t}", &chars) == 0)
		return put_chars(q, chars, true);
	if (cnode_scan(request, "{put_chars,~a,~a,~a,~t}", &encoding, &module, &function, &args) == 0 ||
	    cnode_scan(request, "{put_chars,~a,~a,~t}", &module, &function, &args) == 0)
		return put_call(q, module.text, function.text, args);
	cnode_reader r = cnode_read(request);
	if (cnode_read_type(&r) == CNODE_TYPE_TUPLE && cnode_read_tuple(&r) > 0 && cnode_read_type(&r) == CNODE_TYPE_ATOM &&
	    cnode_scan(cnode_read_term(&r), "~a", &word) == 0) {
		if (strcmp(word.text, "get_line") == 0 || strcmp(word.text, "get_chars") == 0 ||
		    strcmp(word.text, "get_until") == 0 || strcmp(word.text, "get_password") == 0)
			return "eof";   /* there is no input */
		if (strcmp(word.text, "setopts") == 0 || strcmp(word.text, "get_geometry") == 0)
			return "enotsup";
	}
	return cn_term_is_atom(request, "getopts") ? "enotsup" : "request";
}

/* {requests, List}: up to the first that fails. */
static const char *all(struct request *q, cnode_term list)
{
	cnode_reader r = cnode_read(list);
	const char *word = "ok";
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			if (strcmp(word = one(q, cnode_read_term(&r)), "ok") != 0)
				return word;
	return r.error ? "request" : word;
}

int cn_io_serve(cnode_process *self, void *state, cnode_term message, cn_io_put *put)
{
	struct request q = { .self = self, .state = state, .put = put };
	cnode_pid from;
	cnode_term as, request, list;
	if (cnode_scan(message, "{io_request,~p,~t,~t}", &from, &as, &request) != 0)
		return 0;
	const char *word = cnode_scan(request, "{requests,~t}", &list) == 0 ? all(&q, list) : one(&q, request);
	int rc;
	if (strcmp(word, "ok") == 0 || strcmp(word, "eof") == 0)
		rc = cnode_send(self, from, "{io_reply,~t,~a}", as, word);
	else
		rc = cnode_send(self, from, "{io_reply,~t,{error,~a}}", as, word);
	if (q.failed)
		return q.failed;
	/* Without memory for the answer who waits hears of the end of his io server, as rex has it. */
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

/* ---- user ---- */

static int user_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	*(const struct cn_output **)state = how->context;
	return 0;
}

static int user_put(cnode_process *self, void *state, const char *text, size_t size)
{
	const struct cn_output *output = *(const struct cn_output **)state;
	(void)self;
	output->write(output->context, text, size);
	return 0;
}

static int user_info(cnode_process *self, void *state, const cnode_info *info)
{
	return info->kind == CNODE_MESSAGE ? cn_io_serve(self, state, info->message, user_put) : 0;
}

const cnode_behaviour cn_kernel_user = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CN_GEN_LAST,           /* not prompt: standard output may be stuck */
	.state_size = sizeof(const struct cn_output *),
	.init = user_init,
	.handle_info = user_info,
};

/* ---- the leader of a function whose output the caller of rex wants ---- */

static int stdout_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	return cnode_scan(how->args, "[~p]", (cnode_pid *)state);
}

static int stdout_put(cnode_process *self, void *state, const char *text, size_t size)
{
	int rc = cnode_send(self, *(cnode_pid *)state, "{rex_stdout,~b}", text, size);
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

static int stdout_info(cnode_process *self, void *state, const cnode_info *info)
{
	cnode_pid to;
	cnode_term value;
	if (info->kind != CNODE_MESSAGE)
		return 0;
	if (cnode_scan(info->message, "{rex_answer,~p,~t}", &to, &value) != 0)
		return cn_io_serve(self, state, info->message, stdout_put);
	int rc = cnode_send(self, to, "{rex,~t}", value);
	return rc == CNODE_ENOMEM ? rc : cnode_stop(self, "normal");
}

const cnode_behaviour cn_kernel_rex_stdout = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(cnode_pid),
	.init = stdout_init,
	.handle_info = stdout_info,
};
