/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest NIF: returns its argument, inside the BEAM. */
#include <erl_nif.h>

static ERL_NIF_TERM echo(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])
{
	(void)env;
	(void)argc;
	return argv[0];
}

static ErlNifFunc functions[] = { { "echo", 1, echo, 0 } };

ERL_NIF_INIT(bench_nif, functions, NULL, NULL, NULL, NULL)
