/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon: a program that was there before it met Erlang. It has its own main, a thread
 * that measures, and its own poll loop; now it also joins a cluster, calls a gen_server
 * there and answers requests. Nothing of its structure had to change: the mailbox is one
 * more descriptor in its loop.
 *
 *     cc daemon.c $(pkg-config --cflags --libs cnode) -lpthread -o daemon
 *     ./daemon daemon@127.0.0.1 COOKIE [NODE SERVER]
 *
 * With NODE and SERVER it introduces itself: gen_server:call({SERVER,NODE}, {joined,Pid}).
 * Then any BEAM node may ask it, with its registered name `meter`:
 *
 *     gen_server:call({meter, 'daemon@127.0.0.1'}, read).         {ok, Load, Samples}
 *     {meter, 'daemon@127.0.0.1'} ! {read, self(), Ref}.          {reading, Ref, Load}
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* ppoll */
#endif
#include <cnode/cnode.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- what the program did before ---- */

static struct {
	pthread_mutex_t lock;
	double load;
	int64_t samples;
	bool ending;
} meter = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int wake[2];             /* the thread tells the loop that it has measured */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void *measure(void *unused)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	bool ending = false;
	while (!ending) {
		double load = 0;
		bool good = getloadavg(&load, 1) == 1;
		pthread_mutex_lock(&meter.lock);
		if (good) {
			meter.load = load;
			meter.samples++;
		}
		ending = meter.ending;
		pthread_mutex_unlock(&meter.lock);
		if (write(wake[1], "", 1) < 0 && errno != EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return unused;
}

static void look(double *load, int64_t *samples)
{
	pthread_mutex_lock(&meter.lock);
	*load = meter.load;
	*samples = meter.samples;
	pthread_mutex_unlock(&meter.lock);
}

/* ---- what is new ---- */

/* Tells a gen_server of the cluster that we are here. */
static int introduce(cnode_mailbox *box, const char *server, const char *node)
{
	cnode_term reply;
	cnode_pid self = cnode_self(cnode_mailbox_process(box));
	int rc = cnode_call_name(box, server, node, 5000, &reply, "{joined,~p}", self);
	if (rc != 0) {
		fprintf(stderr, "daemon: %s\n", cnode_mailbox_error(box));
		return rc;
	}
	char *text = cnode_term_text(reply);
	printf("daemon: %s answered %s\n", server, text != NULL ? text : "");
	cnode_free(text);
	cnode_term_drop(reply);
	return 0;
}

/*
 * A mailbox gets messages as they are. A gen_server call is {'$gen_call', {Pid,Tag}, Request}
 * and its answer {Tag, Reply}; newer callers put an alias into the tag and listen there.
 */
static int answer(cnode_process *self, cnode_pid from, cnode_term tag, cnode_term request)
{
	double load;
	int64_t samples;
	cnode_ref alias;
	cnode_term reply;
	look(&load, &samples);
	int rc = cnode_scan(request, "read") == 0 ? cnode_format(&reply, "{ok,~f,~q}", load, samples)
						  : cnode_format(&reply, "{error,bad_request}");
	if (rc != 0)
		return rc;
	if (cnode_scan(tag, "[alias|~r]", &alias) == 0)
		rc = cnode_send_alias(self, alias, "{~t,~t}", tag, reply);
	else
		rc = cnode_send(self, from, "{~t,~t}", tag, reply);
	cnode_term_drop(reply);
	return rc;
}

/* Takes what has arrived, and never waits. */
static int take_messages(cnode_mailbox *box)
{
	cnode_process *self = cnode_mailbox_process(box);
	cnode_info info = { .size = sizeof info };
	cnode_term tag, request;
	cnode_pid from;
	cnode_ref ref;
	double load;
	int64_t samples;
	int rc;
	while ((rc = cnode_receive(box, &info, 0)) == 0) {
		if (info.kind != CNODE_MESSAGE)
			continue;
		if (cnode_scan(info.message, "{'$gen_call',{~p,~t},~t}", &from, &tag, &request) == 0) {
			rc = answer(self, from, tag, request);
		} else if (cnode_scan(info.message, "{read,~p,~r}", &from, &ref) == 0) {
			look(&load, &samples);
			rc = cnode_send(self, from, "{reading,~r,~f}", ref, load);
		}
		if (rc != 0)
			fprintf(stderr, "daemon: no answer sent: %s\n", cnode_strerror(rc));
	}
	return rc == CNODE_ETIMEOUT ? 0 : rc;
}

/* The loop it always had, with one descriptor more. Signals arrive only while it waits. */
static int loop(cnode_mailbox *box, const sigset_t *waiting)
{
	char drained[64];
	struct pollfd fds[2] = {
		{ .fd = wake[0], .events = POLLIN },
		{ .fd = cnode_mailbox_fd(box), .events = POLLIN },
	};
	if (fds[1].fd < 0)
		return fds[1].fd;
	while (!interrupted) {
		if (ppoll(fds, 2, NULL, waiting) < 0) {
			if (errno == EINTR)
				continue;
			return CNODE_EIO;
		}
		if (fds[0].revents != 0 && read(wake[0], drained, sizeof drained) < 0 && errno != EAGAIN)
			return CNODE_EIO;
		if (fds[1].revents != 0) {
			int rc = take_messages(box);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cnode_mailbox *box = NULL;
	pthread_t thread;
	sigset_t ours, before;
	const struct sigaction act = { .sa_handler = on_signal };

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: daemon NAME COOKIE [NODE SERVER]\n");
		return 2;
	}
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	pthread_sigmask(SIG_BLOCK, &ours, &before);
	if (pipe(wake) != 0 || fcntl(wake[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(wake[1], F_SETFL, O_NONBLOCK) != 0
	    || pthread_create(&thread, NULL, measure, NULL) != 0) {
		fprintf(stderr, "daemon: the meter cannot be started\n");
		return 1;
	}

	cfg.name = argv[1];
	cfg.long_names = true;
	cfg.cookie = argv[2];
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)
		rc = cnode_node_start(node);
	if (rc == 0)
		rc = cnode_mailbox_open(node, "meter", &box);
	if (rc != 0)
		fprintf(stderr, "daemon: %s\n", node != NULL ? cnode_node_error(node) : cnode_strerror(rc));
	if (rc == 0 && argc == 5)
		rc = introduce(box, argv[4], argv[3]);
	if (rc == 0) {
		printf("daemon: %s ready\n", cnode_node_name(node));
		fflush(stdout);
		rc = loop(box, &before);
		if (rc != 0)
			fprintf(stderr, "daemon: %s\n", cnode_strerror(rc));
	}
	cnode_mailbox_close(box);
	cnode_node_free(node);

	pthread_mutex_lock(&meter.lock);
	meter.ending = true;
	pthread_mutex_unlock(&meter.lock);
	pthread_join(thread, NULL);
	return rc != 0;
}
