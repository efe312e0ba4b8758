#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The worker pool of the examples: alone, and with workers on a node of their own.
build=$(cd "${builddir:-.}" && pwd)
pool=$build/examples/pool
if ! test -x "$pool"; then echo '1..0 # SKIP the examples are not built'; exit 0; fi
echo 1..2
tmp=$(mktemp -d)
worker=
trap 'test -z "$worker" || kill "$worker" 2>/dev/null; rm -rf "$tmp"' EXIT
want='task 12: 144
4 workers have processed 12 tasks'

check() {
	if test "$(tail -n 2 "$tmp/out")" = "$want"; then echo "ok $1 - $2"; return; fi
	sed 's/^/# /' "$tmp/out" "$tmp/err"
	echo "not ok $1 - $2"
	failed=1
}

failed=
timeout 60 "$pool" >"$tmp/out" 2>"$tmp/err"
check 1 'a pool on one node without network does its tasks'

# An epmd of their own, which the first of them starts within itself.
HOME=$tmp
ERL_EPMD_PORT=$(( 20000 + $$ % 20000 ))
PATH_OF_EPMD=$(command -v epmd || :)
export HOME ERL_EPMD_PORT
printf pool >"$tmp/.erlang.cookie"
chmod 400 "$tmp/.erlang.cookie"
: >"$tmp/out"
if test -z "$PATH_OF_EPMD"; then
	echo 'ok 2 - workers on another node # SKIP no epmd here'
	exit 0
fi
"$PATH_OF_EPMD" >/dev/null 2>&1 </dev/null &
epmd=$!
trap 'kill $worker $epmd 2>/dev/null; rm -rf "$tmp"' EXIT
"$pool" worker w1@127.0.0.1 >/dev/null 2>"$tmp/worker" </dev/null &
worker=$!
# The pool waits for a node that is not there yet.
timeout 60 "$pool" master m@127.0.0.1 w1@127.0.0.1 >"$tmp/out" 2>"$tmp/err"
check 2 'a pool with workers on another node does its tasks'
test -z "$failed"
