#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node under load, seen by a real BEAM node: load/load_test.erl. 30 s of spinning with
# CNODE_LONG_TESTS=yes, a third of it otherwise.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! command -v erl >/dev/null; then echo '1..0 # SKIP no Erlang here'; exit 0; fi
seconds=10
if [ "${CNODE_LONG_TESTS:-no}" = yes ]; then seconds=30; fi
tmp=$(mktemp -d)
epmd=
trap 'test -z "$epmd" || kill "$epmd" 2>/dev/null; rm -rf "$tmp"' EXIT
HOME=$tmp
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME ERL_EPMD_PORT
printf load >"$tmp/.erlang.cookie"
chmod 400 "$tmp/.erlang.cookie"
epmd >/dev/null 2>&1 </dev/null &
epmd=$!
erlc -o "$tmp" "$top/tests/load/load_test.erl" || { echo 'Bail out! load_test.erl does not compile'; exit 1; }
erl -noshell -noinput -name t@127.0.0.1 -kernel net_ticktime 4 -pa "$tmp" -s load_test main \
	-extra "$build/cnode/cmd/cnoded" "$build" "$seconds" 2>"$tmp/log"
status=$?
sed 's/^/# /' "$tmp/log"
exit $status
