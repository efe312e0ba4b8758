/* SPDX-License-Identifier: Apache-2.0 */
/* api: cookies, the node's and those for one peer alone, between two whole nodes in one program. */
#include "tests/api_nodes.h"

START_TEST(another_cookie_is_told_from_a_node_that_is_not_there)
{
	open_with("wrong", CNODE_THREADS_AUTO);
	ck_assert_int_eq(cnode_connect_wait(mb, "b@127.0.0.1", TAP_WAIT_MS), CNODE_ECOOKIE);
	ck_assert_int_eq(cnode_node_set_cookie(a, "b@127.0.0.1", "secret"), 0);
	ck_assert_msg(cnode_connect_wait(mb, "b@127.0.0.1", TAP_WAIT_MS) == 0, "%s", cnode_mailbox_error(mb));
	close_nodes();
}
END_TEST

START_TEST(a_cookie_may_be_for_one_node_alone)
{
	cnode_pid pid;
	open_with("another", CNODE_THREADS_AUTO);
	ck_assert_int_ne(spawn("counter", "[1]", NULL, &pid), 0);
	/* Of the side that dials, then of the one that is dialled. */
	ck_assert_int_eq(cnode_node_set_cookie(a, "b@127.0.0.1", "secret"), 0);
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), 0);
	cnode_info info;
	ck_assert_int_eq(cnode_monitor_node(cnode_mailbox_process(mb), "b@127.0.0.1", true), 0);
	ck_assert_int_eq(cnode_disconnect(a, "b@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_node_set_cookie(a, "b@127.0.0.1", "another"), 0);
	ck_assert_int_ne(spawn("counter", "[1]", NULL, &pid), 0);
	ck_assert_int_eq(cnode_node_set_cookie(b, "a@127.0.0.1", "another"), 0);
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), 0);
	close_nodes();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cookie");
	TCase *tc = tcase_create("two nodes");
	tcase_add_test(tc, another_cookie_is_told_from_a_node_that_is_not_there);
	tcase_add_test(tc, a_cookie_may_be_for_one_node_alone);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
