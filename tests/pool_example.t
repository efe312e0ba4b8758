#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The worker pool of the examples: alone, with workers on a C node, on a BEAM node, and on whichever of the two has less to do; and
# a pool that loses one of its nodes, a BEAM node or a C node (pool_program.c).
build=$(cd "${builddir:-.}" && pwd)
pool=$build/examples/pool
if ! test -x "$pool"; then echo '1..0 # SKIP the examples are not built'; exit 0; fi
top=$(cd "${srcdir:-.}" && pwd)
echo 1..6
tmp=$(mktemp -d)
worker=
trap 'test -z "$worker" || kill "$worker" 2>/dev/null; rm -rf "$tmp"' EXIT
want='task 12: 144
4 workers have processed 12 tasks'

check() {
	if test "$(tail -n "${3:-2}" "$tmp/out")" = "$want"; then echo "ok $1 - $2"; return; fi
	sed 's/^/# /' "$tmp/out" "$tmp/err"
	echo "not ok $1 - $2"
	failed=1
}

failed=
timeout 200 "$pool" >"$tmp/out" 2>"$tmp/err"
check 1 'a pool on one node without network does its tasks'

# An epmd of their own, which the first of them starts within itself.
HOME=$tmp
ERL_EPMD_PORT=$("$top/tests/free_port")
PATH_OF_EPMD=$(command -v epmd || :)
export HOME ERL_EPMD_PORT
printf pool >"$tmp/.erlang.cookie"
chmod 400 "$tmp/.erlang.cookie"
: >"$tmp/out"
if test -z "$PATH_OF_EPMD"; then
	for n in 2 3 4 5 6; do echo "ok $n - workers on other nodes # SKIP no epmd here: install erlang-base"; done
	exit 0
fi
"$PATH_OF_EPMD" >/dev/null 2>&1 </dev/null &
epmd=$!
beam=           # or another node that is to die
trap 'kill $worker $epmd $beam 2>/dev/null; rm -rf "$tmp"' EXIT
"$pool" worker w1@127.0.0.1 >/dev/null 2>"$tmp/worker" </dev/null &
worker=$!
# The pool waits for a node that is not there yet.
timeout 200 "$pool" master m@127.0.0.1 w1@127.0.0.1 >"$tmp/out" 2>"$tmp/err"
check 2 'a pool with workers on another node does its tasks'

mkdir "$tmp/src" && cp "$top/tests/pool_worker.erl" "$tmp/src/worker.erl" && erlc -o "$tmp" "$tmp/src/worker.erl" || exit 1
mkfifo "$tmp/in"
erl -noinput -noshell -name b1@127.0.0.1 -connect_all false -pa "$tmp" -s worker node_up <"$tmp/in" >"$tmp/up" 2>&1 &
beam=$!
exec 9>"$tmp/in"
timeout 200 "$pool" master m2@127.0.0.1 b1@127.0.0.1 >"$tmp/out" 2>"$tmp/err"
check 3 'a pool with workers on a BEAM node does its tasks'
timeout 200 "$pool" master m3@127.0.0.1 w1@127.0.0.1,b1@127.0.0.1 >"$tmp/out" 2>"$tmp/err"
check 4 'a pool that chooses between a C node and a BEAM node by their load does its tasks'

want='request 1: the connection to the node was lost or cannot be made
request 2: the connection to the node was lost or cannot be made
request 3: the connection to the node was lost or cannot be made
4 workers, 0 of them on the lost node'
timeout 200 "$build/tests/pool_program" m4@127.0.0.1 w1@127.0.0.1,b1@127.0.0.1 b1@127.0.0.1 3 >"$tmp/out" 2>"$tmp/err"
wait "$beam" 2>/dev/null
check 5 'kill -9 of a BEAM node under a pool: what was in flight is told so, and its workers are replaced on the C node' 4

"$build/tests/pool_program" worker c1@127.0.0.1 >/dev/null 2>"$tmp/worker" </dev/null &
beam=$!
# Not there yet, it would get no worker, and the pool no reason to look again.
"$build/cnode/cmd/cnode" -timeout 100 await c1@127.0.0.1 >/dev/null
timeout 200 "$build/tests/pool_program" m5@127.0.0.1 w1@127.0.0.1,c1@127.0.0.1 c1@127.0.0.1 3 >"$tmp/out" 2>"$tmp/err"
check 6 'and so with kill -9 of a C node' 4
test -z "$failed"
