#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The example programs, with a real BEAM node: examples_test.erl starts them and talks to them.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! test -x "$build/examples/daemon"; then echo '1..0 # SKIP the examples are not built'; exit 0; fi
if ! command -v erl >/dev/null; then echo '1..0 # SKIP no Erlang here'; exit 0; fi
tmp=$(mktemp -d)
epmd=
trap 'test -z "$epmd" || kill "$epmd" 2>/dev/null; rm -rf "$tmp"' EXIT
HOME=$tmp
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
ERL_EPMD_PORT=$(erl -noshell -eval '{ok, S} = gen_tcp:listen(0, []), {ok, P} = inet:port(S), io:format("~b", [P]), halt().')
export HOME ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
epmd=$!
erlc -o "$tmp" "$top/tests/examples_test.erl" || { echo 'Bail out! examples_test.erl does not compile'; exit 1; }
erl -noshell -noinput -name t@127.0.0.1 -setcookie examples -pa "$tmp" -s examples_test main -extra "$build/examples" 2>"$tmp/log"
status=$?
sed 's/^/# /' "$tmp/log"
exit $status
