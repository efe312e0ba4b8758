#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A supervised C node is killed with -9 a hundred times under load (20 times under a sanitizer, unless CNODE_LONG_TESTS is set).
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! command -v erlc >/dev/null; then echo '1..0 # SKIP no Erlang here: install erlang-base'; exit 0; fi
if ! test -x "$build/cnode/cmd/cnoded"; then echo '1..0 # SKIP cnoded is not built'; exit 0; fi
times=100
# A node under a sanitizer takes long to start.
if nm -D "$build/.libs/libcnode.so" 2>/dev/null | grep -q "__[atu][sb]*san_" && test -z "${CNODE_LONG_TESTS:-}"; then times=20; fi
tmp=$(mktemp -d)
epmd=
trap 'test -z "$epmd" || kill "$epmd" 2>/dev/null; rm -rf "$tmp"' EXIT
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS CNODE_MODULE_PATH
HOME=$tmp
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
epmd=$!
erlc -o "$tmp" "$top"/cnode/beam/src/*.erl "$top/cnode/beam/test/cnode_tests_sup.erl" "$top/tests/kill9_test.erl" ||
	{ echo 'Bail out! the test does not compile'; exit 1; }
erl -noshell -noinput -name kill9_test@127.0.0.1 -setcookie "$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')" -pa "$tmp" \
	-s kill9_test main -extra "$times" "$build"
