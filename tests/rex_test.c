/* SPDX-License-Identifier: Apache-2.0 */
/* api, with kernel below it: functions that another node calls by rex and erpc, two whole nodes in one program. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/api_nodes.h"

START_TEST(calls_functions_by_rpc)
{
	cnode_term list = args("[21]"), negative = args("[-1]"), result;
	int64_t n;
	ck_assert_msg(cnode_rpc(mb, "b@127.0.0.1", "math", "twice", list, TAP_WAIT_MS, &result) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_scan(result, "~q", &n), 0);
	ck_assert_int_eq(n, 42);
	cnode_term_drop(result);
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "twice", negative, TAP_WAIT_MS, &result), CNODE_EEXITED);
	ck_assert_int_eq(cnode_scan(result, "{throw,{negative,~q}}", &n), 0);
	cnode_term_drop(result);
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "closed", list, TAP_WAIT_MS, &result), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "unknown", list, TAP_WAIT_MS, &result), CNODE_EEXITED);
	ck_assert_int_eq(cnode_scan(result, "{error,undef,[{math,unknown,[21],[]}]}"), 0);
	cnode_term_drop(result);
	cnode_term_drop(list);
	cnode_term_drop(negative);
}
END_TEST

static int note_function(void *context, const cnode_function_info *function)
{
	char *text = context;
	size_t used = strlen(text);
	/* The node has functions of its own. */
	if (strcmp(function->module, "math") == 0)
		snprintf(text + used, 256 - used, "%s:%s/%d(%s) ", function->module, function->name, function->arity, function->who);
	return 0;
}

START_TEST(functions_are_opened_and_closed_by_name_while_the_node_runs)
{
	cnode_term list = args("[21]"), result;
	char text[256] = "";
	ck_assert_int_eq(cnode_function_list(b, note_function, text), 0);
	ck_assert_str_eq(text, "math:closed/1() math:twice/1(*) ");
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "closed", list, TAP_WAIT_MS, &result), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_function_set(b, "math", "*", "a@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "closed", list, TAP_WAIT_MS, &result), 0);
	cnode_term_drop(result);
	ck_assert_int_eq(cnode_function_set(b, "math", "*", "*,!a@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "closed", list, TAP_WAIT_MS, &result), CNODE_ENOTALLOWED);
	/* What the export itself allows is not taken away. */
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "twice", list, TAP_WAIT_MS, &result), 0);
	cnode_term_drop(result);
	ck_assert_int_eq(cnode_function_set(b, "math", "closed", "nohost"), CNODE_EBADARG);
	ck_assert_int_eq(cnode_function_set(b, "", "closed", "*"), CNODE_EBADNAME);
	cnode_term_drop(list);
}
END_TEST

static int nothing(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self; (void)context; (void)args; (void)result;
	return 0;
}

START_TEST(a_function_without_a_result_is_an_error_to_who_calls_it)
{
	cnode_term list, reply;
	ck_assert_int_eq(cnode_function_export(b, "empty", "f", 0, nothing, NULL, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_format(&list, "[]"), 0);
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "empty", "f", list, TAP_WAIT_MS, &reply), CNODE_EEXITED);
	cnode_term_drop(reply);
	cnode_term_drop(list);
	static const char *const ways[] = { "call", "block_call" };
	for (int i = 0; i < 2; i++) {
		int rc = cnode_call_name(mb, "rex", "b@127.0.0.1", 5000, &reply, "{~a,empty,f,[],user}", ways[i]);
		ck_assert_msg(rc == 0, "%s: %s", ways[i], cnode_mailbox_error(mb));
		ck_assert_int_eq(cnode_scan(reply, "{badrpc,{'EXIT',_}}"), 0);
		cnode_term_drop(reply);
	}
}
END_TEST

/* ---- block_calls ---- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opened = PTHREAD_COND_INITIALIZER;
static bool gate_open;

static int pass_gate(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	int64_t n;
	(void)self;
	(void)context;
	if (cnode_scan(args, "[~q]", &n) != 0)
		return CNODE_EBADARG;
	pthread_mutex_lock(&gate_lock);
	while (!gate_open)
		pthread_cond_wait(&gate_opened, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	return cnode_format(result, "~q", n);
}

START_TEST(block_calls_wait_in_line_and_the_line_has_an_end)
{
	enum { LINE = 10000, MORE = 3 };        /* WAITING_MAX of rex.c; one more runs */
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_pid me = cnode_self(self);
	cnode_info m = { .size = sizeof m };
	int64_t tag, value;
	ck_assert_int_eq(cnode_function_export(b, "gate", "pass", 1, pass_gate, NULL, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_connect_wait(mb, "b@127.0.0.1", TAP_WAIT_MS), 0);
	for (int64_t i = 0; i <= LINE + MORE; i++)
		ck_assert_int_eq(cnode_send_name(self, "rex", "b@127.0.0.1", "{'$gen_call',{~p,~q},{block_call,gate,pass,[~q],~p}}", me, i, i, me), 0);
	for (int64_t i = LINE + 1; i <= LINE + MORE; i++) {
		ck_assert_int_eq(cnode_receive(mb, &m, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_scan(m.message, "{~q,{badrpc,{'EXIT',system_limit}}}", &tag), 0);
		ck_assert_int_eq(tag, i);
	}
	pthread_mutex_lock(&gate_lock);
	gate_open = true;
	pthread_cond_broadcast(&gate_opened);
	pthread_mutex_unlock(&gate_lock);
	for (int64_t i = 0; i <= LINE; i++) {
		ck_assert_int_eq(cnode_receive(mb, &m, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_scan(m.message, "{~q,~q}", &tag, &value), 0);
		ck_assert_int_eq(tag, i);
		ck_assert_int_eq(value, i);
	}
}
END_TEST

static void add_common(TCase *tc)
{
	tcase_add_test(tc, calls_functions_by_rpc);
	tcase_add_test(tc, functions_are_opened_and_closed_by_name_while_the_node_runs);
	tcase_add_test(tc, a_function_without_a_result_is_an_error_to_who_calls_it);
}

int main(void)
{
	Suite *s = suite_create("rex");
	TCase *tc = tcase_create("two nodes");
	tcase_add_checked_fixture(tc, open_nodes, close_nodes);
	add_common(tc);
	tcase_add_test(tc, block_calls_wait_in_line_and_the_line_has_an_end);
	suite_add_tcase(s, tc);
	tc = tcase_create("without threads");
	tcase_add_checked_fixture(tc, open_without_threads, close_nodes);
	add_common(tc);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
