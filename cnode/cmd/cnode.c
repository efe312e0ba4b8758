/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cnode: the tool. Joins a cluster for a moment as a hidden node that epmd does not know,
 * does one thing, and leaves. Terms go in and come out as Erlang writes them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cnode/cmd/cookie.h"
#include "cnode/cmd/options.h"
#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cmd/tool.h"
#include "cnode/cnode.h"

#define DEFAULT_TIMEOUT_MS 5000
#define AWAIT_TIMEOUT_MS 60000

struct options {
	const char *sname, *name;
	const char *setcookie, *cookie_file;
	long timeout_ms;
	bool verbose, help, version;
};

#define AT(member) offsetof(struct options, member)
static const struct cn_opt table[] = {
	{ "sname", "ME", CN_OPT_TEXT, AT(sname), 0, 0,
	  "the tool's own short name; default: one that nobody else has" },
	{ "name", "ME", CN_OPT_TEXT, AT(name), 0, 0, "the tool's own long name" },
	{ "setcookie", "COOKIE", CN_OPT_TEXT, AT(setcookie), 0, 0,
	  "the cookie; everybody on this machine can see it in ps" },
	{ "cookie_file", "FILE", CN_OPT_TEXT, AT(cookie_file), 0, 0,
	  "the file with the cookie, readable for its owner only; default: $CNODE_COOKIE_FILE, "
	  "$CREDENTIALS_DIRECTORY/cookie, ~/.erlang.cookie" },
	{ "timeout", "SECONDS", CN_OPT_SECONDS, AT(timeout_ms), 1, 86400000,
	  "how long it all may take; default: 5, await 60" },
	{ "v", NULL, CN_OPT_FLAG, AT(verbose), 0, 0, "ping: show each step and its time" },
	{ "help", NULL, CN_OPT_FLAG, AT(help), 0, 0, "show this text" },
	{ "version", NULL, CN_OPT_FLAG, AT(version), 0, 0, "show the version" },
	{ .name = NULL },
};
#undef AT

enum { NO_NODE = 1, VERBOSE = 2, WAITS_LONG = 4, LIST = 8, CONNECT = 16, OPTIONAL = 32 };

static const struct command {
	const char *name;
	const char *words;          /* as the help shows them */
	size_t least, most;         /* how many */
	size_t term;                /* which of them is a term, counted from 1; 0: none */
	unsigned flags;
	int (*run)(struct cn_tool *tool);
	const char *help;
} commands[] = {
	{ "ping", "NODE", 1, 1, 0, VERBOSE, cn_tool_ping,
	  "say pong if the node can be reached, else pang and why" },
	{ "await", "NODE", 1, 1, 0, WAITS_LONG, cn_tool_await, "wait until the node can be reached" },
	{ "names", "[HOST]", 0, 1, 0, NO_NODE, cn_tool_names,
	  "list the nodes that a host's epmd knows; default: this host" },
	{ "info", "NODE", 1, 1, 0, 0, cn_tool_info, "show what can be known about the node" },
	{ "ps", "NODE", 1, 1, 0, CONNECT | LIST, cn_tool_ps, "list the processes of the node" },
	{ "rpc", "NODE MODULE FUNCTION ['ARGS']", 3, 4, 4, LIST | CONNECT, cn_tool_rpc,
	  "call a function (erpc:call) and show its value; ARGS is a list, default []" },
	{ "call", "NODE NAME 'REQUEST'", 3, 3, 3, CONNECT, cn_tool_call,
	  "call a registered gen_server (gen_server:call) and show its reply" },
	{ "cast", "NODE NAME 'TERM'", 3, 3, 3, CONNECT, cn_tool_cast,
	  "cast to a registered gen_server (gen_server:cast)" },
	{ "send", "NODE NAME 'TERM'", 3, 3, 3, CONNECT, cn_tool_send,
	  "send a message to a registered process" },
	{ "global", "NODE list|locks|whereis NAME|register NAME PROCESS|unregister NAME", 2, 4, 3, CONNECT | OPTIONAL,
	  cn_tool_global, "the names and locks of the cluster (global), as the node has them; NAME is a term" },
	{ "spawn", "NODE FACTORY ['ARGS']", 2, 3, 3, LIST | CONNECT, cn_tool_spawn,
	  "spawn FACTORY:start(ARGS...) and show its pid; ARGS is a list, default []" },
	{ "factories", "NODE", 1, 1, 0, CONNECT, cn_tool_factories,
	  "list what a C node lets others spawn, who may, and how often it was asked" },
	{ "allow", "NODE FACTORY WHO", 3, 3, 0, CONNECT, cn_tool_allow,
	  "let nodes spawn the factory; WHO is all or NODE[,NODE...], '*' in a name is any text" },
	{ "deny", "NODE FACTORY WHO", 3, 3, 0, CONNECT, cn_tool_deny,
	  "let nodes spawn the factory no more" },
};

static void help(void)
{
	puts("usage: cnode [options] COMMAND ...\n"
	     "\n"
	     "Talks to Erlang nodes and C nodes. NODE is NAME@HOST, NAME (on this host), or\n"
	     "NAME@HOST:PORT to go without epmd. Terms are written as in Erlang.\n"
	     "\n"
	     "commands:");
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		char label[128];
		snprintf(label, sizeof label, "%s %s", commands[i].name, commands[i].words);
		cn_opt_help_line(label, commands[i].help);
	}
	puts("\noptions (before or behind the command; one dash or two, '-' and '_' alike):");
	cn_opt_help(table);
	puts("\n"
	     "status: 0 good, 1 the other side answered with an error, 2 wrong command line or\n"
	     "        term, 3 the node cannot be reached, 4 it refused, 5 timeout, 6 a problem\n"
	     "        of this machine.\n"
	     "\n"
	     "More in cnode(1).");
}

/* ---- what the commands share ---- */

uint64_t cn_tool_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t cn_tool_left(const struct cn_tool *tool)
{
	uint64_t now = cn_tool_now();
	return now + 1000000 < tool->deadline_ns ? (tool->deadline_ns - now) / 1000000 : 1;
}

int cn_tool_failed(const struct cn_tool *tool, int code)
{
	const char *why = cnode_mailbox_error(tool->mailbox);
	const char *advice = cn_advice(code);

	cn_say(CNODE_LOG_ERROR, "%s", why != NULL && *why != '\0' ? why : cnode_strerror(code));
	if (*advice != '\0')
		cn_say_more("  %s", advice);
	return cn_tool_status(code);
}

char *cn_tool_text(cnode_term term)
{
	char *text = cnode_term_text(term);
	if (text == NULL)
		cn_say(CNODE_LOG_ERROR, "%s", cnode_strerror(CNODE_ENOMEM));
	return text;
}

int cn_tool_print(cnode_term term)
{
	char *text = cn_tool_text(term);
	if (text == NULL)
		return CN_TOOL_LOCAL;
	puts(text);
	cnode_free(text);
	return CN_TOOL_OK;
}

/* ---- the command line ---- */

static int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cn_say(CNODE_LOG_ERROR, "%s", text);
	return CN_TOOL_USAGE;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Shows the line of `text` that has byte `at`, with a caret under it; long lines are cut around it. */
static void show_caret(const char *text, size_t at)
{
	const size_t before = 60, behind = 16;
	size_t start = at, column = 0;

	while (start > 0 && text[start - 1] != '\n' && at - start < before)
		start--;
	while (start < at && ((unsigned char)text[start] & 0xc0) == 0x80)
		start++;                        /* not in the middle of a character */
	size_t end = at + strcspn(text + at, "\n");
	if (end > at + behind)
		end = at + behind;
	while (((unsigned char)text[end] & 0xc0) == 0x80)
		end++;
	for (size_t i = start; i < at; i++)
		column += ((unsigned char)text[i] & 0xc0) != 0x80;
	cn_say_more("  %.*s", (int)(end - start), text + start);
	cn_say_more("  %*s^", (int)column, "");
}

/* Reads the term of the command line into tool->term. Returns a status. */
static int read_term(const struct command *command, const char *text, cnode_term *term)
{
	size_t at = 0;
	int rc = cnode_parse(text, term, &at);

	if (rc == CNODE_EBADARG) {
		cn_say(CNODE_LOG_ERROR, "this is no Erlang term; it goes wrong at byte %zu:", at + 1);
		show_caret(text, at);
		return CN_TOOL_USAGE;
	}
	if (rc != 0) {
		cn_say(CNODE_LOG_ERROR, "the term cannot be read: %s", cnode_strerror(rc));
		return cn_tool_status(rc);
	}
	enum cnode_type type = cnode_term_type(*term);
	if (!(command->flags & LIST) || type == CNODE_TYPE_LIST || type == CNODE_TYPE_NIL)
		return CN_TOOL_OK;
	return usage("%s: the arguments must be a list, such as '[1,two,\"three\"]'", command->name);
}

/* Checks the words and fills what the command needs from them. */
static int read_words(const struct command *command, const struct options *o,
		      const struct cn_opt_list *words, struct cn_tool *tool)
{
	char message[CN_TARGET_MESSAGE];
	size_t count = words->count - 1;

	if (count < command->least || count > command->most)
		return usage("%s: usage: cnode %s %s", count < command->least ? "too few words" : "too many words",
			     command->name, command->words);
	if (o->verbose && !(command->flags & VERBOSE))
		return usage("-v is for ping only");
	if (o->name != NULL && o->sname != NULL)
		return usage("give -sname or -name, not both");
	tool->word = words->item + 1;
	tool->verbose = o->verbose;
	long timeout = o->timeout_ms != 0 ? o->timeout_ms :
		       command->flags & WAITS_LONG ? AWAIT_TIMEOUT_MS : DEFAULT_TIMEOUT_MS;
	tool->deadline_ns = cn_tool_now() + (uint64_t)timeout * 1000000;
	if (!(command->flags & NO_NODE)) {
		const char *own = o->name != NULL ? o->name : o->sname;
		if (cn_target_read(tool->word[0], own, &tool->target, message) != 0)
			return usage("%s", message);
	}
	if (command->term == 0)
		return command->flags & LIST ? read_term(command, "[]", &tool->term) : CN_TOOL_OK;
	if ((command->flags & OPTIONAL) && count < command->term)
		return CN_TOOL_OK;
	return read_term(command, count >= command->term ? tool->word[command->term - 1] : "[]", &tool->term);
}

/* ---- the node ---- */

static void discard_log(void *context, enum cnode_log_level level, const char *text)
{
	(void)context;
	(void)level;
	(void)text;
}

static int node_failed(const struct cn_tool *tool, int code)
{
	const char *why = tool->node != NULL ? cnode_node_error(tool->node) : NULL;
	cn_say(CNODE_LOG_ERROR, "%s", why != NULL && *why != '\0' ? why : cnode_strerror(code));
	return code == CNODE_EBADNAME ? CN_TOOL_USAGE : CN_TOOL_LOCAL;
}

/* Makes the node and opens the mailbox. Returns a status. */
static int join(const struct command *command, const struct options *o, struct cn_tool *tool)
{
	char own[CNODE_NAME_SIZE], message[CN_COOKIE_MESSAGE];
	struct cn_cookie cookie;
	cnode_config config = CNODE_CONFIG_INIT;
	bool given = o->name != NULL || o->sname != NULL;

	int rc = cn_cookie_choose(o->setcookie, o->cookie_file, &cookie, &config, message);
	if (rc != 0) {
		cn_say(CNODE_LOG_ERROR, "%s", message);
		return rc == CNODE_EBADARG ? CN_TOOL_USAGE : CN_TOOL_LOCAL;
	}
	if (command->flags & NO_NODE)
		config.cookie = "unused";       /* a machine without a cookie may ask epmd */
	cn_target_own_name(&tool->target, own);
	config.name = o->name != NULL ? o->name : o->sname != NULL ? o->sname : own;
	config.long_names = o->name != NULL || (o->sname == NULL && tool->target.long_names);
	config.hidden = true;
	config.listen = "127.0.0.1";            /* nobody is meant to dial us */
	config.epmd = CNODE_EPMD_NONE;
	config.threads = 1;
	config.log = discard_log;               /* what goes wrong is told by the command */
	config.log_level = CNODE_LOG_ERROR;
	rc = cnode_node_new(&config, &tool->node);
	if (rc == CNODE_EBADNAME && !given && config.long_names && strchr(own, '@') == NULL) {
		/* A machine without a domain can still talk to nodes with long names. */
		cnode_node_free(tool->node);
		tool->node = NULL;
		cn_target_add_host(own);
		rc = cnode_node_new(&config, &tool->node);
	}
	if (rc == 0 && !(command->flags & NO_NODE) && strcmp(cnode_node_name(tool->node), tool->target.node) == 0)
		return usage("%s is the name that -%s gives the tool: a node does not talk to itself; give another, or none",
			     tool->target.node, o->name != NULL ? "name" : "sname");
	if (rc == 0 && tool->target.address[0] != '\0')
		rc = cnode_node_route(tool->node, tool->target.node, tool->target.address);
	if (rc == 0)
		rc = cnode_node_start(tool->node);
	if (rc == 0)
		rc = cnode_mailbox_open(tool->node, NULL, &tool->mailbox);
	return rc == 0 ? CN_TOOL_OK : node_failed(tool, rc);
}

static int run(const struct command *command, const struct options *o, const struct cn_opt_list *words)
{
	struct cn_tool tool = { .word = NULL };
	int status = read_words(command, o, words, &tool);

	if (status == CN_TOOL_OK)
		status = join(command, o, &tool);
	/* A call to a node that cannot be reached says noconnection; connecting says why. */
	if (status == CN_TOOL_OK && command->flags & CONNECT) {
		int rc = cnode_connect_wait(tool.mailbox, tool.target.node, cn_tool_left(&tool));
		if (rc != 0)
			status = cn_tool_failed(&tool, rc);
	}
	if (status == CN_TOOL_OK)
		status = command->run(&tool);
	cnode_mailbox_close(tool.mailbox);
	cnode_node_free(tool.node);
	cnode_term_drop(tool.term);
	return status;
}

int main(int argc, char *argv[])
{
	struct options o = { .sname = NULL };
	struct cn_opt_list words = { .count = 0 };
	char message[CN_OPT_MESSAGE];
	const struct command *command;
	int status = CN_TOOL_OK;

	cn_say_init("cnode");
	int rc = cn_opt_parse(argc, argv, table, &o, &words, message);
	if (rc != 0)
		status = usage("%s", rc == CNODE_EBADARG ? message : cnode_strerror(rc));
	else if (o.help)
		help();
	else if (o.version)
		printf("cnode %s\n", PACKAGE_VERSION);
	else if (words.count == 0)
		status = usage("a command is missing: ping, await, names, info, ps, rpc, call, cast, send, spawn, factories, allow, deny or global (see -help)");
	else if ((command = find_command(words.item[0])) == NULL)
		status = usage("unknown command '%.100s' (see -help)", words.item[0]);
	else
		status = run(command, &o, &words);
	cn_opt_list_free(&words);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cn_say(CNODE_LOG_ERROR, "cannot write to stdout: %s", strerror(errno));
		status = CN_TOOL_LOCAL;
	}
	return status;
}
