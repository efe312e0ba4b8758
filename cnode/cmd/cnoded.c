/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cnoded: the daemon. Makes a node as the command line says, loads modules into it,
 * opens factories, joins the cluster, and leaves it in order on SIGTERM. Uses nothing but
 * what <cnode/…> offers to any program.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cnode/cmd/cookie.h"
#include "cnode/cmd/modules.h"
#include "cnode/cmd/notify.h"
#include "cnode/cmd/options.h"
#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cnode.h"

struct options {
	const char *sname, *name;
	const char *setcookie, *cookie_file;
	bool hidden, visible;
	struct cn_opt_list load, allow, connect, discover, route;
	const char *listen, *epmd, *dns, *log;
	long net_ticktime, shutdown_timeout, threads;
	bool help, version;
};

#define AT(member) offsetof(struct options, member)
static const struct cn_opt table[] = {
	{ "sname", "NAME", CN_OPT_TEXT, AT(sname), 0, 0,
	  "the node's name, with the short name of this host added unless it has an @" },
	{ "name", "NAME", CN_OPT_TEXT, AT(name), 0, 0,
	  "the same with long names: NAME@HOST, where HOST has a dot or is an address" },
	{ "setcookie", "COOKIE", CN_OPT_TEXT, AT(setcookie), 0, 0,
	  "the cookie; everybody on this machine can see it in ps" },
	{ "cookie_file", "FILE", CN_OPT_TEXT, AT(cookie_file), 0, 0,
	  "the file with the cookie, readable for its owner only; default: $CNODE_COOKIE_FILE, "
	  "$CREDENTIALS_DIRECTORY/cookie, ~/.erlang.cookie" },
	{ "hidden", NULL, CN_OPT_FLAG, AT(hidden), 0, 0, "be a hidden node (the default)" },
	{ "visible", NULL, CN_OPT_FLAG, AT(visible), 0, 0, "be seen in nodes() of the others" },
	{ "load", "MODULE", CN_OPT_LIST, AT(load), 0, 0,
	  "load a module: the name of an installed one, or a path; may be repeated" },
	{ "allow", "FACTORY[=NODE,...]", CN_OPT_LIST, AT(allow), 0, 0,
	  "let these nodes spawn from a factory; without nodes: every node; may be repeated" },
	{ "connect", "NODE[,NODE...]", CN_OPT_LIST, AT(connect), 0, 0,
	  "connect to these nodes, again and again if need be; NAME@HOST:PORT goes without epmd; "
	  "may be repeated" },
	{ "discover", "SOURCE", CN_OPT_LIST, AT(discover), 0, 0,
	  "look for nodes and connect to them: epmd:[PATTERN@]HOST,..., dns:NAME@QUESTION, "
	  "srv:NAME@QUESTION or list:NODE,...; may be repeated" },
	{ "dns", "ADDR[:PORT],...", CN_OPT_TEXT, AT(dns), 0, 0, "DNS servers to ask; default: the system's" },
	{ "listen", "ADDR[:PORT]", CN_OPT_TEXT, AT(listen), 0, 0,
	  "the address to listen on, [ADDR]:PORT for IPv6, :PORT for all; default: all, any port" },
	{ "epmd", "MODE", CN_OPT_TEXT, AT(epmd), 0, 0,
	  "auto: use the epmd that runs, else start it, else be one; external: use the one that "
	  "runs; embedded: be one; none: do without (peers need a route)" },
	{ "route", "NODE=HOST:PORT", CN_OPT_LIST, AT(route), 0, 0,
	  "where a node listens, instead of asking epmd; may be repeated" },
	{ "net_ticktime", "SECONDS", CN_OPT_NUMBER, AT(net_ticktime), 1, 86400,
	  "how long a peer may be silent; the same on all nodes; default: 60" },
	{ "threads", "N", CN_OPT_NUMBER, AT(threads), 1, 1024,
	  "threads to begin with; default: one more than there are processors" },
	{ "log", "LEVEL", CN_OPT_TEXT, AT(log), 0, 0,
	  "error, warning, notice (the default), info, debug or none" },
	{ "shutdown_timeout", "SECONDS", CN_OPT_NUMBER, AT(shutdown_timeout), 1, 86400,
	  "how long processes may take to end; default: 5" },
	{ "help", NULL, CN_OPT_FLAG, AT(help), 0, 0, "show this text" },
	{ "version", NULL, CN_OPT_FLAG, AT(version), 0, 0, "show the version" },
	{ .name = NULL },
};
#undef AT

static void help(void)
{
	puts("usage: cnoded -sname NAME | -name NAME [options]\n"
	     "\n"
	     "Joins an Erlang cluster as a C node and runs the modules that it loads.\n"
	     "\n"
	     "options (one dash or two, '-' and '_' alike):");
	cn_opt_help(table);
	puts("\n"
	     "signals: SIGTERM and SIGINT stop the node in order, the second one at once.\n"
	     "status:  0 stopped, 1 failed, 2 wrong command line, 3 module, 4 cookie, 5 name\n"
	     "         taken, 6 epmd or port, 7 stopped but processes were left behind.\n"
	     "\n"
	     "More in cnoded(8); the tool to look at nodes is cnode(1).");
}

/* ---- signals ---- */

static cnode_node *signalled;           /* set before the handlers are */
static volatile sig_atomic_t stopping;
static struct timespec stopped;         /* when the first signal came */

#define SAME_SIGNAL_NS INT64_C(250000000)

/* timeout(1) and others signal the process and then its group: what comes at once is the same signal. */
static bool is_same_signal(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)(now.tv_sec - stopped.tv_sec) * 1000000000 + (now.tv_nsec - stopped.tv_nsec) < SAME_SIGNAL_NS;
}

static void on_stop_signal(int number)
{
	static const char text[] = "cnoded: stopped at once by a second signal\n";

	if (stopping && is_same_signal())
		return;
	if (stopping) {
		ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
		(void)n;                        /* it ends in any case */
		_exit(CN_DAEMON_SIGNAL + number);
	}
	clock_gettime(CLOCK_MONOTONIC, &stopped);
	stopping = 1;
	int saved = errno;
	cnode_node_stop(signalled);
	errno = saved;
}

static void catch_signals(cnode_node *node)
{
	struct sigaction stop = { .sa_handler = on_stop_signal, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	signalled = node;
	sigemptyset(&stop.sa_mask);
	sigaddset(&stop.sa_mask, SIGTERM);
	sigaddset(&stop.sa_mask, SIGINT);
	sigemptyset(&ignore.sa_mask);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGHUP, &ignore, NULL);       /* kept free for reading a configuration again */
	sigaction(SIGPIPE, &ignore, NULL);      /* stderr may be a pipe that has gone */
}

/* ---- from options to a node ---- */

static void discard_log(void *context, enum cnode_log_level level, const char *text)
{
	(void)context;
	(void)level;
	(void)text;
}

static int usage(const char *message)
{
	cn_say(CNODE_LOG_ERROR, "%s", message);
	return CN_DAEMON_USAGE;
}

static bool read_log_level(const char *word, cnode_config *config)
{
	config->log = cn_say_log;
	if (word == NULL)
		return true;
	if (strcmp(word, "none") == 0) {
		config->log = discard_log;
		config->log_level = CNODE_LOG_ERROR;
		return true;
	}
	return cnode_log_level_parse(word, &config->log_level) == 0;
}

static bool read_epmd_mode(const char *word, enum cnode_epmd_mode *mode)
{
	static const struct {
		const char *word;
		enum cnode_epmd_mode mode;
	} modes[] = {
		{ "auto", CNODE_EPMD_AUTO },
		{ "external", CNODE_EPMD_EXTERNAL },
		{ "embedded", CNODE_EPMD_EMBEDDED },
		{ "none", CNODE_EPMD_NONE },
	};

	*mode = CNODE_EPMD_AUTO;
	if (word == NULL)
		return true;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(modes[i].word, word) == 0) {
			*mode = modes[i].mode;
			return true;
		}
	return false;
}

/* Fills the config. Returns an exit status. */
static int configure(const struct options *o, struct cn_cookie *cookie, cnode_config *config)
{
	char message[CN_COOKIE_MESSAGE];

	if (o->name != NULL && o->sname != NULL)
		return usage("give -sname or -name, not both");
	if (o->name == NULL && o->sname == NULL)
		return usage("a name is missing: give -sname NAME or -name NAME@HOST (see -help)");
	if (o->hidden && o->visible)
		return usage("give -hidden or -visible, not both");
	const char *host = o->sname != NULL ? strchr(o->sname, '@') : NULL;
	if (host != NULL && strpbrk(host, ".:") != NULL)
		return usage("the host of a short name has no dot: use -name instead of -sname");
	config->name = o->name != NULL ? o->name : o->sname;
	config->long_names = o->name != NULL;
	config->visible = o->visible;
	config->listen = o->listen;
	config->dns = o->dns;
	config->threads = (int)o->threads;
	config->net_ticktime = (uint32_t)o->net_ticktime;
	config->shutdown_timeout = (uint32_t)o->shutdown_timeout;
	if (!read_epmd_mode(o->epmd, &config->epmd)) {
		cn_say(CNODE_LOG_ERROR, "-epmd %s: auto, external, embedded or none is wanted", o->epmd);
		return CN_DAEMON_USAGE;
	}
	if (!read_log_level(o->log, config)) {
		cn_say(CNODE_LOG_ERROR,
		       "-log %s: error, warning, notice, info, debug or none is wanted", o->log);
		return CN_DAEMON_USAGE;
	}
	int rc = cn_cookie_choose(o->setcookie, o->cookie_file, cookie, config, message);
	if (rc == 0)
		return 0;
	cn_say(CNODE_LOG_ERROR, "%s", message);
	return rc == CNODE_EBADARG ? CN_DAEMON_USAGE : CN_DAEMON_COOKIE;
}

static int make_node(const cnode_config *config, cnode_node **node)
{
	int rc = cnode_node_new(config, node);

	if (rc == 0)
		return 0;
	cn_say(CNODE_LOG_ERROR, "%s", *node != NULL ? cnode_node_error(*node) : cnode_strerror(rc));
	switch (rc) {
	case CNODE_EBADNAME: return CN_DAEMON_USAGE;
	case CNODE_EBADARG: return config->cookie != NULL ? CN_DAEMON_USAGE : CN_DAEMON_COOKIE;
	case CNODE_EACCES:
	case CNODE_ENOENT:
	case CNODE_EIO: return CN_DAEMON_COOKIE;
	default: return CN_DAEMON_FAILED;
	}
}

static int add_routes(const struct cn_opt_list *routes, cnode_node *node)
{
	for (size_t i = 0; i < routes->count; i++) {
		const char *text = routes->item[i];
		size_t size = strcspn(text, "=");
		char *peer = strndup(text, size);
		int rc = peer == NULL ? CNODE_ENOMEM :
			 text[size] == '\0' ? CNODE_EBADARG :
			 cnode_node_route(node, peer, text + size + 1);

		free(peer);
		if (rc == 0)
			continue;
		if (rc == CNODE_ENOMEM) {
			cn_say(CNODE_LOG_ERROR, "%s", cnode_strerror(rc));
			return CN_DAEMON_FAILED;
		}
		cn_say(CNODE_LOG_ERROR, "-route %s: NAME@HOST=ADDRESS:PORT is wanted", text);
		return CN_DAEMON_USAGE;
	}
	return 0;
}

static int load_modules(const struct cn_opt_list *names, cnode_node *node, struct cn_modules *modules)
{
	char message[CN_MODULE_MESSAGE];

	for (size_t i = 0; i < names->count; i++)
		if (cn_modules_load(modules, node, names->item[i], message) != 0) {
			cn_say(CNODE_LOG_ERROR, "%s", message);
			return CN_DAEMON_MODULE;
		}
	return 0;
}

/* ---- factories ---- */

/* Text that grows by phrases and is cut when it is full. */
struct phrase {
	char text[1024];
	size_t size, count;
};

static void add(struct phrase *p, const char *separator, const char *word)
{
	int n = snprintf(p->text + p->size, sizeof p->text - p->size, "%s%s",
			 p->count++ ? separator : "", word);
	if (n > 0 && (size_t)n < sizeof p->text - p->size)
		p->size += (size_t)n;
	else
		p->text[p->size] = '\0';
}

static int name_factory(void *context, const cnode_factory_info *factory)
{
	add(context, ", ", factory->name);
	return 0;
}

/* The factories that somebody may spawn from. */
static int name_open_factory(void *context, const cnode_factory_info *factory)
{
	if (strcmp(factory->mode, "none") != 0)
		add(context, ", ", factory->name);
	return 0;
}

static int allow_factories(const struct cn_opt_list *rules, cnode_node *node)
{
	for (size_t i = 0; i < rules->count; i++) {
		const char *rule = rules->item[i];
		size_t size = strcspn(rule, "=");
		char *factory = strndup(rule, size);
		const char *nodes = rule[size] == '=' ? rule + size + 1 : CNODE_ALL_NODES;
		int rc = factory == NULL ? CNODE_ENOMEM :
			 size == 0 || *nodes == '\0' ? CNODE_EBADARG :
			 cnode_factory_allow(node, factory, nodes);

		free(factory);
		if (rc == 0)
			continue;
		if (rc == CNODE_ENOENT) {
			struct phrase known = { .size = 0 };
			(void)cnode_factory_list(node, name_factory, &known);
			cn_say(CNODE_LOG_ERROR, "-allow %s: there is no factory %.*s; %s%s", rule, (int)size,
			       rule, known.count ? "the loaded modules have " : "no loaded module has any",
			       known.text);
			return CN_DAEMON_USAGE;
		}
		if (rc == CNODE_ENOMEM) {
			cn_say(CNODE_LOG_ERROR, "%s", cnode_strerror(rc));
			return CN_DAEMON_FAILED;
		}
		cn_say(CNODE_LOG_ERROR, "-allow %s: FACTORY or FACTORY=NAME@HOST,... is wanted", rule);
		return CN_DAEMON_USAGE;
	}
	return 0;
}

/* ---- peers ---- */

/* Calls cnode_connect, or only checks the names (check), for all nodes of all lists. */
static int connect_peers(const struct cn_opt_list *lists, cnode_node *node, bool check)
{
	for (size_t i = 0; i < lists->count; i++) {
		const char *at = lists->item[i];
		for (bool more = true; more;) {
			size_t size = strcspn(at, ",");
			char *peer = strndup(at, size);
			cnode_name name;
			int rc = peer == NULL ? CNODE_ENOMEM :
				 check ? cnode_name_of(peer, &name) : cnode_connect(node, peer);

			free(peer);
			if (rc != 0) {
				cn_say(CNODE_LOG_ERROR, "-connect %.*s: %s", (int)size, at,
				       rc == CNODE_EBADNAME ? "NAME@HOST or NAME@HOST:PORT is wanted"
							    : cnode_strerror(rc));
				return rc == CNODE_EBADNAME ? CN_DAEMON_USAGE : CN_DAEMON_FAILED;
			}
			more = at[size] == ',';
			at += size + more;
		}
	}
	return 0;
}

static int discover_nodes(const struct cn_opt_list *sources, cnode_node *node)
{
	for (size_t i = 0; i < sources->count; i++) {
		int rc = cnode_discover(node, sources->item[i]);
		if (rc == 0)
			continue;
		cn_say(CNODE_LOG_ERROR, "-%s", cnode_node_error(node));
		return rc == CNODE_ENOMEM ? CN_DAEMON_FAILED : CN_DAEMON_USAGE;
	}
	return 0;
}

/* ---- the life of the daemon ---- */

static void say_ready(cnode_node *node, const cnode_config *config, const struct cn_modules *modules)
{
	struct phrase p = { .size = 0 }, open = { .size = 0 };
	char port[16];

	snprintf(port, sizeof port, "port %u", cnode_node_port(node));
	add(&p, "", port);
	add(&p, ", ", config->visible ? "visible" : "hidden");
	for (size_t i = 0; i < modules->count; i++)
		add(&p, i == 0 ? "; modules " : ", ", modules->item[i].entry->name);
	(void)cnode_factory_list(node, name_open_factory, &open);
	if (open.count > 0)
		add(&p, "; factories ", open.text);
	cn_say(CNODE_LOG_NOTICE, "%s ready (%s)", cnode_node_name(node), p.text);
	cn_notify_ready(p.text);
}

/* From a started node to its end. Returns an exit status. */
static int live(const struct options *o, cnode_node *node, const cnode_config *config,
		const struct cn_modules *modules)
{
	int status = connect_peers(&o->connect, node, false);

	if (status != 0)
		cnode_node_stop(node);
	else
		say_ready(node, config, modules);
	int rc = cnode_node_wait(node);
	if (status != 0 || rc == 0)
		return status;
	if (rc != CNODE_ETIMEOUT) {
		cn_say(CNODE_LOG_ERROR, "%s", cnode_node_error(node));
		return CN_DAEMON_FAILED;
	}
	cn_say(CNODE_LOG_WARNING, "processes that did not end within -shutdown_timeout were left behind");
	return CN_DAEMON_LEFT;
}

static int run(const struct options *o)
{
	struct cn_cookie cookie;
	struct cn_modules modules = { .count = 0 };
	cnode_config config = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	int status = configure(o, &cookie, &config);

	if (status == 0)
		status = make_node(&config, &node);
	if (status == 0)
		status = connect_peers(&o->connect, node, true);
	if (status == 0)
		status = add_routes(&o->route, node);
	if (status == 0)
		status = discover_nodes(&o->discover, node);
	if (status == 0)
		status = load_modules(&o->load, node, &modules);
	if (status == 0)
		status = allow_factories(&o->allow, node);
	if (status == 0) {
		catch_signals(node);
		int rc = cnode_node_start(node);
		status = cn_daemon_start_status(rc);
		if (rc != 0)
			cn_say(CNODE_LOG_ERROR, "%s%s%s%s", cnode_node_error(node), o->listen ? " (-listen " : "",
			       o->listen ? o->listen : "", o->listen ? ")" : "");
		else
			status = live(o, node, &config, &modules);
	}
	/* Callbacks that were left behind still run: nothing under them may be freed. */
	if (status == CN_DAEMON_LEFT)
		_exit(status);
	cn_modules_stop(&modules, node);
	cnode_node_free(node);
	cn_modules_free(&modules);
	return status;
}

int main(int argc, char *argv[])
{
	struct options o = { .sname = NULL };
	struct cn_opt_list words = { .count = 0 };
	char message[CN_OPT_MESSAGE];
	int status = 0;

	cn_say_init("cnoded");
	int rc = cn_opt_parse(argc, argv, table, &o, &words, message);
	if (rc != 0)
		status = usage(rc == CNODE_EBADARG ? message : cnode_strerror(rc));
	else if (o.help)
		help();
	else if (o.version)
		printf("cnoded %s (module ABI %d, modules in %s)\n", PACKAGE_VERSION, CNODE_MODULE_ABI,
		       CN_MODULEDIR);
	else if (words.count > 0) {
		snprintf(message, sizeof message, "what is '%.100s'? cnoded takes options only (see -help)",
			 words.item[0]);
		status = usage(message);
	} else {
		status = run(&o);
	}
	cn_opt_list_free(&words);
	cn_opt_list_free(&o.load);
	cn_opt_list_free(&o.allow);
	cn_opt_list_free(&o.connect);
	cn_opt_list_free(&o.discover);
	cn_opt_list_free(&o.route);
	return status;
}
