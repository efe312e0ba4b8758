/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that only the holder of the lead can answer. A question is posted to the loop;
 * who asked waits for its answer or for his deadline, and whoever is last frees it.
 */
#include "cnode/api/api.h"

#include <stdio.h>

#include "compat/compat.h"

#define STEPS 3                         /* of cn_watch_fn */

struct ask {
	struct cn_task task;
	cnode_node *node;
	_Atomic int refs;           /* who asked, and who answers */
	char *text;                 /* peer or host */
	bool keep;
	struct cn_epmd_query query;
	struct cn_buf names;        /* for each: port, size, text */
	struct cn_mutex lock;       /* guards what follows */
	struct cn_cond answered;
	bool done;
	int code;
	char sentence[CN_ERROR_TEXT];
	int steps;                  /* that connecting got on */
	char step[STEPS][128];      /* what each said */
};

static struct ask *ask_new(cnode_node *node, const char *text, void (*run)(struct cn_task *))
{
	struct ask *a = cn_calloc(1, sizeof *a);
	if (!a)
		return NULL;
	a->text = cn_strdup(text);
	if (!a->text) {
		cn_free(a);
		return NULL;
	}
	a->node = node;
	atomic_init(&a->refs, 2);
	cn_task_init(&a->task, run);
	cn_buf_init(&a->names, 0);
	cn_mutex_init(&a->lock);
	cn_cond_init(&a->answered);
	return a;
}

static void ask_unref(struct ask *a)
{
	if (atomic_fetch_sub(&a->refs, 1) != 1)
		return;
	cn_cond_fini(&a->answered);
	cn_mutex_fini(&a->lock);
	cn_buf_fini(&a->names);
	cn_free(a->text);
	cn_free(a);
}

/* The answer; gives the answering reference back. */
static void answer(struct ask *a, int code, const char *sentence)
{
	cn_mutex_lock(&a->lock);
	a->done = true;
	a->code = code;
	snprintf(a->sentence, sizeof a->sentence, "%s", sentence);
	cn_cond_signal(&a->answered);
	cn_mutex_unlock(&a->lock);
	ask_unref(a);
}

/* Tells who asked of the steps he has not heard of. With the lock, but without it while telling. */
static void tell_steps(struct ask *a, struct cn_ask_steps *steps)
{
	while (steps && steps->done < a->steps) {
		const char *text = a->step[steps->done];        /* written once */
		cn_mutex_unlock(&a->lock);
		steps->tell(steps->context, steps->done++, text);
		cn_mutex_lock(&a->lock);
	}
}

/* Waits for the answer. CNODE_ETIMEOUT, or its code. */
static int await(struct ask *a, uint64_t deadline, struct cn_ask_steps *steps)
{
	cnode_node *node = a->node;
	cn_mutex_lock(&a->lock);
	for (;;) {
		tell_steps(a, steps);
		if (a->done)
			break;
		if (node->threadless) {
			cn_mutex_unlock(&a->lock);
			if (cn_now() >= deadline || cn_api_life(node) == CN_LIFE_DOWN)
				return CNODE_ETIMEOUT;
			cn_api_drive(node, deadline);
			cn_mutex_lock(&a->lock);
		} else if (!cn_cond_wait_until(&a->answered, &a->lock, deadline)) {
			break;
		}
	}
	int rc = a->done ? a->code : CNODE_ETIMEOUT;
	cn_mutex_unlock(&a->lock);
	return rc;
}

/* ---- connecting ---- */

static void connected(void *ctx, int code, const char *text)
{
	struct ask *a = ctx;
	if (code <= 0) {
		answer(a, code, text);
		return;
	}
	cn_mutex_lock(&a->lock);
	/* A second attempt (the peer's own came to nothing) does not tell again. */
	if (code == a->steps + 1 && code <= STEPS) {
		snprintf(a->step[a->steps], sizeof a->step[0], "%s", text);
		a->steps = code;
		cn_cond_signal(&a->answered);
	}
	cn_mutex_unlock(&a->lock);
}

static void run_connect(struct cn_task *task)
{
	struct ask *a = CN_CONTAINER(task, struct ask, task);
	int rc = cn_cluster_connect(a->node->cluster, a->text, false, connected, a);
	if (rc != 0)
		answer(a, rc, rc == CNODE_EBADNAME ? "it is not the name of another node: NAME@HOST or NAME@HOST:PORT"
						   : cnode_strerror(rc));
}

int cn_ask_connect(cnode_node *node, const char *peer, uint64_t deadline, struct cn_ask_steps *steps, char *text,
		   size_t room)
{
	struct ask *a = ask_new(node, peer, run_connect);
	if (!a) {
		snprintf(text, room, "%s", cnode_strerror(CNODE_ENOMEM));
		return CNODE_ENOMEM;
	}
	cn_wake_post(node->loop, &a->task);
	int rc = await(a, deadline, steps);
	cn_mutex_lock(&a->lock);
	snprintf(text, room, "%s", a->done ? a->sentence : "it takes longer than allowed");
	cn_mutex_unlock(&a->lock);
	ask_unref(a);
	return rc;
}

static void run_keep(struct cn_task *task)
{
	struct ask *a = CN_CONTAINER(task, struct ask, task);
	int rc = cn_cluster_connect(a->node->cluster, a->text, true, NULL, NULL);
	if (rc != 0)
		cn_log_line(a->node->log, CNODE_LOG_ERROR, "%s: cannot connect: %s", a->text, cnode_strerror(rc));
	answer(a, rc, "");
}

static void run_discover(struct cn_task *task)
{
	struct ask *a = CN_CONTAINER(task, struct ask, task);
	int rc = cn_cluster_discover(a->node->cluster, a->text);
	if (rc != 0 && rc != CNODE_ESHUTDOWN)
		cn_log_line(a->node->log, CNODE_LOG_ERROR, "discover %s: %s", a->text, cnode_strerror(rc));
	answer(a, rc, "");
}

static void run_disconnect(struct cn_task *task)
{
	struct ask *a = CN_CONTAINER(task, struct ask, task);
	answer(a, cn_cluster_disconnect(a->node->cluster, a->text), "");
}

static int post(cnode_node *node, const char *peer, void (*run)(struct cn_task *))
{
	struct ask *a = ask_new(node, peer, run);
	if (!a)
		return CNODE_ENOMEM;
	cn_wake_post(node->loop, &a->task);
	ask_unref(a);
	return 0;
}

int cn_ask_keep(cnode_node *node, const char *peer)
{
	return post(node, peer, run_keep);
}

int cn_ask_discover(cnode_node *node, const char *source)
{
	return post(node, source, run_discover);
}

int cn_ask_disconnect(cnode_node *node, const char *peer)
{
	return post(node, peer, run_disconnect);
}

/* ---- epmd's names ---- */

static void got_names(struct cn_epmd_query *q, int rc)
{
	struct ask *a = CN_CONTAINER(q, struct ask, query);
	struct cn_epmd_node node;
	int more = 0;
	while (rc == 0 && (more = cn_epmd_next_name(&q->names, &node)) > 0) {
		cn_put_u16(&a->names, node.port);
		cn_put_u16(&a->names, node.name_size);
		cn_put(&a->names, node.name, node.name_size);
	}
	if (rc == 0)
		rc = more < 0 ? more : a->names.err;
	answer(a, rc, cnode_strerror(rc));
}

static void run_names(struct cn_task *task)
{
	struct ask *a = CN_CONTAINER(task, struct ask, task);
	cn_epmd_ask(&a->query, a->node->loop, a->text, 0, a->node->epmd_port, NULL, 0, got_names);
}

int cn_ask_names(cnode_node *node, const char *host, uint64_t deadline,
		 void (*each)(void *context, const char *name, uint16_t port), void *context)
{
	struct ask *a = ask_new(node, host ? host : "localhost", run_names);
	if (!a)
		return CNODE_ENOMEM;
	cn_wake_post(node->loop, &a->task);
	int rc = await(a, deadline, NULL);
	struct cn_rd rd = cn_rd_init(a->names.data, rc == 0 ? a->names.size : 0);
	while (cn_rd_left(&rd) > 0) {
		char name[CN_EPMD_NAME_BYTES + 1];
		uint16_t port = cn_rd_u16(&rd), size = cn_rd_u16(&rd);
		const uint8_t *bytes = cn_rd_bytes(&rd, size);
		if (!bytes || size >= sizeof name)
			break;
		memcpy(name, bytes, size);
		name[size] = 0;
		each(context, name, port);
	}
	ask_unref(a);
	return rc;
}
