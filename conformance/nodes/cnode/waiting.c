/* SPDX-License-Identifier: Apache-2.0 */
/* waiting: orders that wait for a peer. Each runs on its own thread with a mailbox, so the puppet and the node go on. */
#include <pthread.h>
#include <string.h>

#include "conformance/nodes/cnode/puppet.h"

#define CONNECT_MS 20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned threads;

struct job {
	cnode_node *node;
	waiting_fn *what;
	cnode_pid from;
	cnode_ref ref;
	cnode_term args;
};

int waiting_connect(cnode_mailbox *mailbox, cnode_term args, cnode_term *result)
{
	cnode_atom node;
	int rc = cnode_scan(args, "[~a]", &node);
	if (rc != 0)
		return rc;
	return cnode_format(result, "~a", cnode_connect_wait(mailbox, node.text, CONNECT_MS) == 0 ? "true" : "false");
}

int waiting_ping(cnode_mailbox *mailbox, cnode_term args, cnode_term *result)
{
	cnode_atom node;
	int rc = cnode_scan(args, "[~a]", &node);
	if (rc != 0)
		return rc;
	return cnode_format(result, "~a", cnode_ping(mailbox, node.text, CONNECT_MS, NULL, NULL) == 0 ? "pong" : "pang");
}

static int call(cnode_mailbox *mailbox, cnode_term args, cnode_term *value, int *status)
{
	cnode_atom node, module, function;
	cnode_term list;
	int rc = cnode_scan(args, "[~a,~a,~a,~t]", &node, &module, &function, &list);
	if (rc != 0)
		return rc;
	*status = cnode_rpc(mailbox, node.text, module.text, function.text, list, CNODE_INFINITY, value);
	return 0;
}

/* As rpc:call tells what erpc:call raises: rpc.erl, rpc_check. */
int waiting_rpc(cnode_mailbox *mailbox, cnode_term args, cnode_term *result)
{
	cnode_term value, reason, stack;
	int status;
	int rc = call(mailbox, args, &value, &status);
	if (rc != 0)
		return rc;
	if (status == 0) {
		*result = value;
		return 0;
	}
	if (status == CNODE_ENOCONNECTION)
		return cnode_format(result, "{badrpc,nodedown}");
	if (status != CNODE_EEXITED)
		return cnode_format(result, "{badrpc,~a}", cnode_error_atom(status));
	if (cnode_scan(value, "{throw,~t}", &reason) == 0)
		rc = cnode_format(result, "~t", reason);
	else if (cnode_scan(value, "{error,~t,~t}", &reason, &stack) == 0)
		rc = cnode_format(result, "{badrpc,{'EXIT',{~t,~t}}}", reason, stack);
	else if ((rc = cnode_scan(value, "{_,~t}", &reason)) == 0)
		rc = cnode_format(result, "{badrpc,{'EXIT',~t}}", reason);
	cnode_term_drop(value);
	return rc;
}

int waiting_erpc(cnode_mailbox *mailbox, cnode_term args, cnode_term *result)
{
	cnode_term value, reason, stack;
	int status;
	int rc = call(mailbox, args, &value, &status);
	if (rc != 0)
		return rc;
	if (status != 0 && status != CNODE_EEXITED)
		return cnode_format(result, "{error,{erpc,~a}}", cnode_error_atom(status));
	if (status == 0)
		rc = cnode_format(result, "{ok,~t}", value);
	else if (cnode_scan(value, "{throw,~t}", &reason) == 0)
		rc = cnode_format(result, "{throw,~t}", reason);
	else if (cnode_scan(value, "{exit,~t}", &reason) == 0)
		rc = cnode_format(result, "{exit,{exception,~t}}", reason);
	else if (cnode_scan(value, "{signal,~t}", &reason) == 0)
		rc = cnode_format(result, "{exit,{signal,~t}}", reason);
	else if ((rc = cnode_scan(value, "{error,~t,~t}", &reason, &stack)) == 0)
		rc = cnode_format(result, "{error,{exception,~t,~t}}", reason, stack);
	cnode_term_drop(value);
	return rc;
}

static void finish(void)
{
	pthread_mutex_lock(&lock);
	threads--;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static void *run(void *context)
{
	struct job *job = context;
	cnode_mailbox *mailbox;
	cnode_term result = { 0 };
	if (cnode_mailbox_open(job->node, NULL, &mailbox) == 0) {
		cnode_process *self = cnode_mailbox_process(mailbox);
		int rc = job->what(mailbox, job->args, &result);
		/* What cannot be sent is an order without an answer, which fails the case that gave it. */
		(void)(rc == 0 ? cnode_send(self, job->from, "{~r,~t}", job->ref, result)
			       : cnode_send(self, job->from, "{~r,{refused,error,~a}}", job->ref, cnode_error_atom(rc)));
		cnode_term_drop(result);
		cnode_mailbox_close(mailbox);
	}
	cnode_term_drop(job->args);
	free(job);
	finish();
	return NULL;
}

static int begin(void *(*body)(void *), void *context)
{
	pthread_t thread;
	pthread_mutex_lock(&lock);
	threads++;
	pthread_mutex_unlock(&lock);
	if (pthread_create(&thread, NULL, body, context) != 0) {
		finish();
		return CNODE_ESYSLIMIT;
	}
	pthread_detach(thread);
	return 0;
}

int waiting_start(cnode_node *node, waiting_fn *what, cnode_pid from, cnode_ref ref, cnode_term args)
{
	struct job *job = calloc(1, sizeof *job);
	if (job == NULL)
		return CNODE_ENOMEM;
	*job = (struct job){ .node = node, .what = what, .from = from, .ref = ref };
	int rc = cnode_term_keep(args, &job->args);
	if (rc == 0)
		rc = begin(run, job);
	if (rc != 0) {
		cnode_term_drop(job->args);
		free(job);
	}
	return rc;
}

void waiting_close(void)
{
	pthread_mutex_lock(&lock);
	while (threads > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}
