/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cnode node that talks to another's echo: pings from a mailbox, on the program's own
 * thread, and many small messages from a C process.
 *
 *     pair NAME COOKIE NODE MESSAGES ROUNDS
 *
 * Prints "messages-per-second p50 p99", the last two in nanoseconds.
 */
#include <cnode/cnode.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Waits for {Tag, Ref, _}; anything else is dropped. */
static int await(cnode_mailbox *box, const char *format, cnode_ref ref, cnode_term *value)
{
	for (;;) {
		cnode_info info = { .size = sizeof info };
		cnode_ref got;
		int rc = cnode_receive(box, &info, 60000);
		if (rc != 0)
			return rc;
		if (info.kind == CNODE_MESSAGE && cnode_scan(info.message, format, &got, value) == 0 && cnode_ref_equal(got, ref))
			return 0;
	}
}

static int ping(cnode_mailbox *box, const char *node, size_t rounds, int64_t *took)
{
	cnode_process *self = cnode_mailbox_process(box);
	cnode_pid pid = cnode_self(self);
	for (size_t i = 0; i < rounds; i++) {
		cnode_ref ref;
		cnode_term x;
		int64_t began = now_ns();
		int rc = cnode_make_ref(self, &ref);
		if (rc == 0)
			rc = cnode_send_name(self, "echo", node, "{ping,~p,~r,~q}", pid, ref, (int64_t)i);
		if (rc == 0)
			rc = await(box, "{pong,~r,~t}", ref, &x);
		if (rc != 0)
			return rc;
		took[i] = now_ns() - began;
	}
	qsort(took, rounds, sizeof *took, by_size);
	return 0;
}

/*
 * The sender is a C process, as the receiver is: what one run of a callback sends leaves
 * together, and if the peer is slower the process pauses behind the callback.
 */
struct sender {
	int64_t left;
	cnode_atom node;
	cnode_pid owner;
	cnode_ref ref;
};

static int sender_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct sender *s = state;
	int rc = cnode_scan(how->args, "[~q,~a,~p,~r]", &s->left, &s->node, &s->owner, &s->ref);
	return rc != 0 ? rc : cnode_send(self, cnode_self(self), "go");
}

static int sender_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct sender *s = state;
	(void)info;
	for (int i = 0; i < 1000 && s->left > 0; i++, s->left--) {
		int rc = cnode_send_name(self, "echo", s->node.text, "{sink,~b}", "0123456789abcdef", (size_t)16);
		if (rc != 0)
			return rc;
	}
	if (s->left > 0)
		return cnode_send(self, cnode_self(self), "go");
	int rc = cnode_send_name(self, "echo", s->node.text, "{sync,~p,~r}", s->owner, s->ref);
	return rc != 0 ? rc : cnode_stop(self, "normal");
}

static const cnode_behaviour sender = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct sender),
	.init = sender_init,
	.handle_info = sender_info,
};

static int sink(cnode_node *node, cnode_mailbox *box, const char *peer, int64_t messages, double *per_second)
{
	cnode_process *self = cnode_mailbox_process(box);
	cnode_term args, count;
	cnode_pid pid;
	cnode_ref ref;
	int rc = cnode_make_ref(self, &ref);
	if (rc != 0)
		return rc;
	rc = cnode_format(&args, "[~q,~a,~p,~r]", messages, peer, cnode_self(self), ref);
	if (rc != 0)
		return rc;
	int64_t began = now_ns();
	rc = cnode_process_start(node, NULL, &sender, NULL, args, &pid);
	cnode_term_drop(args);
	if (rc == 0)
		rc = await(box, "{synced,~r,~t}", ref, &count);
	*per_second = (double)messages * 1e9 / (double)(now_ns() - began);
	return rc;
}

int main(int argc, char **argv)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cnode_mailbox *box = NULL;
	double per_second = 0;
	if (argc != 6)
		return 2;
	size_t rounds = (size_t)atol(argv[5]);
	int64_t *took = calloc(rounds + 1, sizeof *took);
	cfg.name = argv[1];
	cfg.long_names = true;
	cfg.cookie = argv[2];
	int rc = took != NULL ? cnode_node_new(&cfg, &node) : CNODE_ENOMEM;
	if (rc == 0)
		rc = cnode_node_start(node);
	if (rc == 0)
		rc = cnode_mailbox_open(node, NULL, &box);
	if (rc == 0)
		rc = cnode_connect_wait(box, argv[3], 5000);
	if (rc == 0)
		rc = ping(box, argv[3], rounds, took);
	if (rc == 0)
		rc = sink(node, box, argv[3], atol(argv[4]), &per_second);
	if (rc == 0)
		printf("%.0f %lld %lld\n", per_second, (long long)took[rounds / 2], (long long)took[rounds * 99 / 100]);
	else
		fprintf(stderr, "pair: %s: %s\n", cnode_strerror(rc), node != NULL ? cnode_node_error(node) : "");
	cnode_mailbox_close(box);
	cnode_node_free(node);
	free(took);
	return rc != 0;
}
