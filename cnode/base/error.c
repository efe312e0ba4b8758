/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the one error list, cnode/error.h. */
#include "cnode/base/base.h"

const char *cnode_strerror(int code)
{
	switch (code) {
	case CNODE_OK:
		return "ok";
#define TEXT(name, code_, atom, text) case code_: return text;
	CNODE_ERROR_MAP(TEXT)
#undef TEXT
	default:
		return "unknown error";
	}
}

const char *cnode_error_atom(int code)
{
	switch (code) {
	case CNODE_OK:
		return "ok";
#define ATOM(name, code_, atom, text) case code_: return atom;
	CNODE_ERROR_MAP(ATOM)
#undef ATOM
	default:
		return "unknown_error";
	}
}
