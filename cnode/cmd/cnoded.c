/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cnoded: the daemon. Makes a node as the command line and the configuration say, loads
 * modules into it, opens factories, joins the cluster, reads the configuration again on
 * SIGHUP, and leaves in order on SIGTERM. Uses nothing but what <cnode/…> offers to any
 * program.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cnode/cmd/conf.h"
#include "cnode/cmd/cookie.h"
#include "cnode/cmd/lists.h"
#include "cnode/cmd/modules.h"
#include "cnode/cmd/notify.h"
#include "cnode/cmd/options.h"
#include "cnode/cmd/say.h"
#include "cnode/cmd/settings.h"
#include "cnode/cmd/status.h"
#include "cnode/cnode.h"

static void help(void)
{
	puts("usage: cnoded -sname NAME | -name NAME [options]\n"
	     "\n"
	     "Joins an Erlang cluster as a C node and runs the modules that it loads.\n"
	     "\n"
	     "options (one dash or two, '-' and '_' alike):");
	cn_opt_help(cn_options_table);
	puts("\n"
	     "signals: SIGTERM and SIGINT stop the node in order, the second one at once;\n"
	     "         SIGHUP reads the lists and the log level again.\n"
	     "status:  0 stopped, 1 failed, 2 wrong command line or configuration, 3 module,\n"
	     "         4 cookie, 5 name taken, 6 epmd or port, 7 stopped but processes were\n"
	     "         left behind.\n"
	     "\n"
	     "More in cnoded(8) and cnoded.conf(5); the tool to look at nodes is cnode(1).");
}

/* ---- signals ---- */

static cnode_node *signalled;           /* set before the handlers are */
static volatile sig_atomic_t stopping;
static struct timespec stopped;         /* when the first signal came */
static int reload_pipe[2] = { -1, -1 }; /* a byte for each SIGHUP */

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

static void on_reload_signal(int number)
{
	int saved = errno;
	ssize_t n = write(reload_pipe[1], "", 1);

	(void)number;
	(void)n;                                /* a full pipe says it already */
	errno = saved;
}

/* From the beginning on, so that a SIGHUP that comes early is kept, and ends nothing. */
static bool catch_reload_signal(void)
{
	struct sigaction reload = { .sa_handler = on_reload_signal, .sa_flags = SA_RESTART };

	sigemptyset(&reload.sa_mask);
	return pipe2(reload_pipe, O_CLOEXEC | O_NONBLOCK) == 0 && sigaction(SIGHUP, &reload, NULL) == 0;
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
	sigaction(SIGPIPE, &ignore, NULL);      /* stderr may be a pipe that has gone */
}

/* ---- from options to a node ---- */

static _Atomic bool quiet;              /* log "none"; a reload may change it */

static void write_log(void *context, enum cnode_log_level level, const char *text)
{
	if (!quiet)
		cn_say_log(context, level, text);
}

static int usage(const char *message)
{
	cn_say(CNODE_LOG_ERROR, "%s", message);
	return CN_DAEMON_USAGE;
}

/* The level that the node is to log at; it has none that is "none". */
static enum cnode_log_level take_log_level(enum cnode_log_level level)
{
	quiet = level == CNODE_LOG_NONE;
	return level == CNODE_LOG_NONE ? CNODE_LOG_ERROR : level;
}

/* Fills the config. Returns an exit status. */
static int configure(const struct cn_settings *s, struct cn_cookie *cookie, cnode_config *config)
{
	const struct cn_options *o = &s->o;
	char message[CN_COOKIE_MESSAGE];
	enum cnode_log_level level;

	config->name = o->name != NULL ? o->name : o->sname;
	config->long_names = o->name != NULL;
	config->hidden = o->hidden;
	config->listen = o->listen;
	config->dns = o->dns;
	config->threads = (int)o->threads;
	config->net_ticktime = (uint32_t)o->net_ticktime;
	config->global_timeout = (uint32_t)o->global_timeout;
	(void)cn_overlap_read(o->overlap, &config->overlap);    /* checked with the settings */
	(void)cn_busy_wait_read(o->busy_wait, &config->busy_wait);
	config->shutdown_timeout = (uint32_t)o->shutdown_timeout;
	config->stop_at_eof = o->stop_at_eof;
	config->max_threads = (int)s->limits.max_threads;
	config->max_run_threads = (int)s->limits.max_run_threads;
	config->net_setuptime = (uint32_t)s->limits.net_setuptime;
	config->max_message = (uint64_t)s->limits.max_message;
	config->max_connections = (uint32_t)s->limits.max_connections;
	config->max_processes = (uint32_t)s->limits.max_processes;
	config->max_mailbox = (uint64_t)s->limits.max_mailbox;
	config->out_high_water = (uint64_t)s->limits.out_high_water;
	config->out_limit = (uint64_t)s->limits.out_limit;
	(void)cn_epmd_mode_read(o->epmd, &config->epmd);
	(void)cn_log_level_read(o->log, &level);
	config->log = write_log;
	config->log_level = take_log_level(level);
	int rc = cn_cookie_choose(o->setcookie, o->cookie_file, cookie, config, message);
	if (rc == 0 && o->check && config->cookie == NULL && config->cookie_file == NULL)
		config->cookie = "unchecked";   /* or the library would make ~/.erlang.cookie */
	if (rc == 0)
		return 0;
	cn_say(CNODE_LOG_ERROR, "%s", message);
	return rc == CNODE_EBADARG ? CN_DAEMON_USAGE : CN_DAEMON_COOKIE;
}

static bool begins(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* Says why there is no node, and where in the files that comes from, if it does. Returns an exit status. */
static int say_no_node(const struct cn_settings *s, const cnode_config *config, int rc, const char *why)
{
	const struct cn_options *o = &s->o;
	const char *key = "cookie_file", *text = o->cookie_file;
	int status = CN_DAEMON_COOKIE;

	if (begins(why, "dns ") || begins(why, "listen ")) {
		key = begins(why, "dns ") ? "dns" : "listen";
		text = begins(why, "dns ") ? o->dns : o->listen;
		status = CN_DAEMON_USAGE;
	} else if (rc == CNODE_EBADNAME) {
		key = o->name != NULL ? "name" : "sname";
		text = config->name;
		status = CN_DAEMON_USAGE;
	} else if (rc == CNODE_EBADARG && o->setcookie != NULL) {
		key = "setcookie";
		text = o->setcookie;
		status = CN_DAEMON_USAGE;
	} else if (rc == CNODE_EBADARG && config->cookie != NULL) {
		status = CN_DAEMON_USAGE;       /* a credential */
	} else if (rc == CNODE_EEPMD) {
		text = NULL;                    /* its environment */
		status = CN_DAEMON_NETWORK;
	} else if (rc != CNODE_EBADARG && rc != CNODE_EACCES && rc != CNODE_ENOENT && rc != CNODE_EIO) {
		text = NULL;
		status = CN_DAEMON_FAILED;
	}
	if (text == NULL) {
		cn_say(CNODE_LOG_ERROR, "%s", why);
		return status;
	}
	/* The label says the key: the node's name before what the library says, and a key that it names, are too much then. */
	const char *label = cn_settings_label(s, key, text), *behind = strstr(why, ": ");
	if (behind == NULL || strcmp(key, "name") == 0 || strcmp(key, "sname") == 0)
		cn_say(CNODE_LOG_ERROR, "%s %s", label, why);
	else if (begins(why, key))
		cn_say(CNODE_LOG_ERROR, "%s%s", label, why + strlen(key));
	else if (begins(behind, ": cookie file "))
		cn_say(CNODE_LOG_ERROR, "%s %s", label, behind + strlen(": cookie file "));
	else
		cn_say(CNODE_LOG_ERROR, "%s%s", label, behind);
	return status;
}

static int make_node(const struct cn_settings *s, const cnode_config *config, cnode_node **node)
{
	int rc = cnode_node_new(config, node);

	return rc == 0 ? 0 : say_no_node(s, config, rc, *node != NULL ? cnode_node_error(*node) : cnode_strerror(rc));
}

static int add_routes(const struct cn_settings *s, cnode_node *node)
{
	for (size_t i = 0; i < s->o.route.count; i++) {
		const char *text = s->o.route.item[i];
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
		cn_say(CNODE_LOG_ERROR, "%s %s: NAME@HOST=ADDRESS:PORT is wanted", cn_settings_label(s, "route", text), text);
		return CN_DAEMON_USAGE;
	}
	return 0;
}

/* Those of load, then those that have a section. With node NULL they are only looked at. */
static int load_modules(const struct cn_settings *s, cnode_node *node, struct cn_modules *modules)
{
	char message[CN_MODULE_MESSAGE];
	int rc = 0;

	for (size_t i = 0; i < s->o.load.count; i++) {
		const char *name = s->o.load.item[i];
		if (cn_modules_load(modules, node, &s->conf, name, message) == 0)
			continue;
		char room[CN_CONF_LABEL];
		(void)cn_conf_label(&s->conf, "", name, room);
		cn_say(CNODE_LOG_ERROR, "%s%s%s", *room == '-' ? "" : room, *room == '-' ? "" : ": ", message);
		return CN_DAEMON_MODULE;
	}
	for (size_t i = 0; i < s->conf.count && rc == 0; i++)
		if (strcmp(s->conf.section[i].kind, "module") == 0)
			rc = cn_modules_load_section(modules, node, &s->conf, &s->conf.section[i], message);
	if (rc == 0)
		return 0;
	cn_say(CNODE_LOG_ERROR, "%s", message);
	return CN_DAEMON_MODULE;
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

/* The factories that somebody may spawn from. */
static int name_open_factory(void *context, const cnode_factory_info *factory)
{
	if (strcmp(factory->mode, "none") != 0)
		add(context, ", ", factory->name);
	return 0;
}

/* Makes and sets the lists for the first time. Returns an exit status. */
static int open_lists(const struct cn_settings *s, cnode_node *node, struct cn_lists *modules, struct cn_lists *lists)
{
	char message[CN_LISTS_MESSAGE];
	struct cn_lists_source source = { .conf = &s->conf, .allow = &s->o.allow, .allow_fun = &s->o.allow_fun };
	const struct cn_lists none = { .count = 0 };
	bool check = s->o.check;
	int rc = cn_lists_of_modules(node, modules);

	if (rc == 0)
		rc = cn_lists_make(&source, check ? NULL : node, cnode_node_name(node), modules, lists, message);
	if (rc == CNODE_EBADARG) {
		cn_say(CNODE_LOG_ERROR, "%s", message);
		return CN_DAEMON_USAGE;
	}
	if (rc == 0 && !check)
		rc = cn_lists_set(lists, &none, modules, node);
	if (rc == 0)
		return 0;
	cn_say(CNODE_LOG_ERROR, "%s", cnode_strerror(rc));
	return CN_DAEMON_FAILED;
}

/* ---- peers ---- */

/* Calls cnode_connect, or only checks the names (check), for all nodes of all lists. */
static int connect_peers(const struct cn_settings *s, cnode_node *node, bool check)
{
	const struct cn_opt_list *lists = &s->o.connect;

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
				cn_say(CNODE_LOG_ERROR, "%s %.*s: %s", cn_settings_label(s, "connect", lists->item[i]), (int)size, at,
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

static int discover_nodes(const struct cn_settings *s, cnode_node *node)
{
	const struct cn_opt_list *sources = &s->o.discover;

	for (size_t i = 0; i < sources->count; i++) {
		const char *source = sources->item[i];
		int rc = cnode_discover(node, source);
		if (rc == 0)
			continue;
		/* "discover SOURCE: why" */
		cn_say(CNODE_LOG_ERROR, "%s %s%s", cn_settings_label(s, "discover", source), source,
		       cnode_node_error(node) + strlen("discover ") + strlen(source));
		return rc == CNODE_EBADARG ? CN_DAEMON_USAGE : CN_DAEMON_FAILED;
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
	add(&p, ", ", config->hidden ? "hidden" : "visible");
	for (size_t i = 0; i < modules->count; i++)
		add(&p, i == 0 ? "; modules " : ", ", modules->item[i].entry->name);
	(void)cnode_factory_list(node, name_open_factory, &open);
	if (open.count > 0)
		add(&p, "; factories ", open.text);
	cn_say(CNODE_LOG_NOTICE, "%s ready (%s)", cnode_node_name(node), p.text);
	cn_notify_ready(p.text);
}

/* The daemon as it runs. */
struct daemon {
	const struct cn_options *flags;
	struct cn_settings settings;
	struct cn_modules modules;
	struct cn_lists of_modules, lists;      /* as the modules gave them, and as they are set */
	cnode_config config;
	cnode_node *node;
};

/* ---- reading it again ---- */

/* The factories that are there now, each with the list that its module gave it. Frees `all` on failure. */
static int look_again(struct daemon *d, struct cn_lists *all)
{
	int rc = cn_lists_of_modules(d->node, all);

	for (size_t i = 0; i < all->count && rc == 0; i++)
		for (size_t j = 0; j < d->of_modules.count && rc == 0; j++) {
			if (strcmp(all->item[i].name, d->of_modules.item[j].name) != 0)
				continue;
			char *who = strdup(d->of_modules.item[j].who);
			rc = who == NULL ? CNODE_ENOMEM : 0;
			free(who != NULL ? all->item[i].who : NULL);
			all->item[i].who = who != NULL ? who : all->item[i].who;
		}
	if (rc != 0)
		cn_lists_free(all);
	return rc;
}

static void name_files(const struct cn_conf *conf, struct phrase *files)
{
	for (size_t i = 0; i < conf->files; i++)
		add(files, ", ", conf->file[i]);
}

/* All of it, or nothing. `files` gets what was read. Returns an exit status, with a sentence unless it is 0. */
static int reload(struct daemon *d, struct phrase *files, char message[CN_LISTS_MESSAGE])
{
	struct cn_settings settings;
	struct cn_lists all = { .count = 0 }, lists = { .count = 0 };
	enum cnode_log_level level;
	int status = cn_settings_read(d->flags, &settings, message), rc = 0;

	if (status == 0) {
		struct cn_lists_source source = {
			.conf = &settings.conf, .allow = &settings.o.allow, .allow_fun = &settings.o.allow_fun,
		};
		rc = look_again(d, &all);
		if (rc == 0)
			rc = cn_lists_make(&source, d->node, cnode_node_name(d->node), &all, &lists, message);
		if (rc == 0)
			rc = cn_lists_set(&lists, &d->lists, &all, d->node);
		if (rc == CNODE_ENOMEM)
			snprintf(message, CN_LISTS_MESSAGE, "%s", cnode_strerror(rc));
	}
	if (status != 0 || rc != 0) {
		cn_lists_free(&all);
		cn_lists_free(&lists);
		cn_settings_free(&settings, d->flags);
		return status != 0 ? status : CN_DAEMON_FAILED;
	}
	(void)cn_log_level_read(settings.o.log, &level);
	cnode_node_set_log_level(d->node, take_log_level(level));
	/* The first settings stay, for the modules; what changes is said against them. */
	cn_settings_say_changes(&d->settings, &settings);
	cn_lists_free(&d->of_modules);
	cn_lists_free(&d->lists);
	d->of_modules = all;
	d->lists = lists;
	name_files(&settings.conf, files);
	cn_settings_free(&settings, d->flags);
	return 0;
}

static void reload_and_say(struct daemon *d)
{
	char message[CN_LISTS_MESSAGE];
	struct phrase files = { .size = 0 }, p = { .size = 0 };

	cn_notify_reloading();
	int status = reload(d, &files, message);
	if (status != 0) {
		cn_say(CNODE_LOG_ERROR, "the configuration stays as it was: %s", message);
		add(&p, "", "could not read the configuration again: ");
		add(&p, "", message);
	} else {
		cn_say(CNODE_LOG_NOTICE, "read the configuration again (%s)", files.count > 0 ? files.text : "there is none");
		add(&p, "", "read the configuration again");
	}
	cn_notify_ready(p.text);
}

/* ---- from start to end ---- */

/* Until the node is asked to stop. */
static void serve(struct daemon *d)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = cnode_node_stop_fd(d->node), .events = POLLIN },
			{ .fd = reload_pipe[0], .events = POLLIN },
		};
		char bytes[64];
		if (poll(fds, 2, -1) < 0)
			continue;               /* a signal; what it did shows next time */
		if (fds[0].revents != 0)
			return;
		while (read(reload_pipe[0], bytes, sizeof bytes) > 0)
			continue;
		reload_and_say(d);
	}
}

/* Waits for the end of a node that was asked to stop. Returns an exit status. */
static int await_end(struct daemon *d)
{
	int rc = cnode_node_wait(d->node);

	if (rc == 0)
		return 0;
	if (rc != CNODE_ETIMEOUT) {
		cn_say(CNODE_LOG_ERROR, "%s", cnode_node_error(d->node));
		return CN_DAEMON_FAILED;
	}
	cn_say(CNODE_LOG_WARNING, "processes that did not end within -shutdown_timeout were left behind");
	return CN_DAEMON_LEFT;
}

/* From a started node to its end. Returns an exit status. */
static int live(struct daemon *d)
{
	int status = connect_peers(&d->settings, d->node, false);

	if (status != 0)
		cnode_node_stop(d->node);
	else
		say_ready(d->node, &d->config, &d->modules);
	serve(d);
	int end = await_end(d);
	return status != 0 ? status : end;
}

/* What -check says in the end. */
static void say_good(const struct cn_settings *s)
{
	struct phrase files = { .size = 0 };

	name_files(&s->conf, &files);
	printf("cnoded: %s %s good; factories and the keys of modules are checked when modules start\n",
	       files.count > 0 ? files.text : "the options", files.count == 1 ? "is" : "are");
}

/* With the option that it is about, if it is about one. */
static void say_no_start(const struct cn_settings *s, const char *why)
{
	const struct cn_options *o = &s->o;
	const char *key = "listen", *text = o->listen;

	if (strstr(why, "another mode") != NULL) {
		key = "epmd";
		text = o->epmd != NULL ? o->epmd : "auto";
	} else if (strstr(why, "listen at ") == NULL) {
		text = NULL;
	}
	if (text != NULL)
		cn_say(CNODE_LOG_ERROR, "%s (%s %s)", why, cn_settings_label(s, key, text), text);
	else
		cn_say(CNODE_LOG_ERROR, "%s", why);
}

static int start(struct daemon *d)
{
	catch_signals(d->node);
	int rc = cnode_node_start(d->node);
	if (rc == 0)
		return live(d);
	if (rc == CNODE_ESHUTDOWN)              /* asked to stop before it was ready, which is no failure */
		return await_end(d);
	say_no_start(&d->settings, cnode_node_error(d->node));
	return cn_daemon_start_status(rc);
}

static int run(const struct cn_options *flags)
{
	struct daemon d = { .flags = flags, .config = CNODE_CONFIG_INIT };
	struct cn_cookie cookie;
	char message[CN_LISTS_MESSAGE];
	bool check = flags->check;

	if (!catch_reload_signal()) {
		cn_say(CNODE_LOG_ERROR, "SIGHUP cannot be caught: %s", strerror(errno));
		return CN_DAEMON_FAILED;
	}
	int status = cn_settings_read(flags, &d.settings, message);
	if (status != 0)
		cn_say(CNODE_LOG_ERROR, "%s", message);
	if (status == 0)
		status = configure(&d.settings, &cookie, &d.config);
	if (status == 0)
		status = make_node(&d.settings, &d.config, &d.node);
	if (status == 0)
		status = connect_peers(&d.settings, d.node, true);
	if (status == 0)
		status = add_routes(&d.settings, d.node);
	if (status == 0)
		status = discover_nodes(&d.settings, d.node);
	if (status == 0)
		status = load_modules(&d.settings, check ? NULL : d.node, &d.modules);
	if (status == 0)
		status = open_lists(&d.settings, d.node, &d.of_modules, &d.lists);
	if (status == 0 && check)
		say_good(&d.settings);
	else if (status == 0)
		status = start(&d);
	/* Callbacks that were left behind still run: nothing under them may be freed. */
	if (status == CN_DAEMON_LEFT)
		_exit(status);
	cn_modules_stop(&d.modules, d.node);
	cnode_node_free(d.node);
	cn_modules_free(&d.modules);
	cn_lists_free(&d.of_modules);
	cn_lists_free(&d.lists);
	cn_settings_free(&d.settings, flags);
	return status;
}

int main(int argc, char *argv[])
{
	struct cn_options o = { .sname = NULL };
	struct cn_opt_list words = { .count = 0 };
	char message[CN_OPT_MESSAGE];
	int status = 0;

	cn_say_init("cnoded");
	int rc = cn_opt_parse(argc, argv, cn_options_table, &o, &words, message);
	if (rc != 0)
		status = usage(rc == CNODE_EBADARG ? message : cnode_strerror(rc));
	else if (o.help)
		help();
	else if (o.version)
		printf("cnoded %s (module ABI %d, modules in %s, configuration in %s)\n", PACKAGE_VERSION,
		       CNODE_MODULE_ABI, CN_MODULEDIR, CN_CONFDIR);
	else if (words.count > 0) {
		snprintf(message, sizeof message, "what is '%.100s'? cnoded takes options only (see -help)",
			 words.item[0]);
		status = usage(message);
	} else {
		status = run(&o);
	}
	cn_opt_list_free(&words);
	cn_options_free(&o);
	return status;
}
