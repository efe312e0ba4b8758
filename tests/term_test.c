/* SPDX-License-Identifier: Apache-2.0 */
/* The term room: the verifier, values, building, node names. */
#include "tests/term_test.h"

int main(void)
{
	Suite *s = suite_create("term");
	suite_add_tcase(s, verify_case());
	suite_add_tcase(s, memory_case());
	suite_add_tcase(s, value_case());
	suite_add_tcase(s, order_case());
	suite_add_tcase(s, text_case());
	suite_add_tcase(s, build_case());
	suite_add_tcase(s, handed_case());
	suite_add_tcase(s, name_case());
	return tap_run(s);
}
