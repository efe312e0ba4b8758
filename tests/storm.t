#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# 100,000 spawn requests from two BEAM nodes at once, a tenth of them refused (storm.erl); 1,000,000, and judged by
# their speed, with CNODE_LONG_TESTS.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
fixtures=$build/conformance/fixtures
skip() { echo "1..0 # SKIP $1"; exit 0; }
test -x "$build/cnode/cmd/cnoded" || skip 'cnoded is not built'
command -v erl >/dev/null && command -v epmd >/dev/null || skip 'no Erlang here'
test -r /proc/self/status || skip 'no /proc here: the memory cannot be seen'
tmp=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; rm -rf "$tmp"' EXIT
HOME=$tmp
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
pids=$!
erlc -o "$tmp" "$top/tests/storm.erl" || { echo 'Bail out! storm.erl does not compile'; exit 1; }

# started NAME COMMAND...: waits until it has written a line with up or ready; its standard input stays open.
started() {
	name=$1; shift
	mkfifo "$tmp/$name.in"
	"$@" <"$tmp/$name.in" >"$tmp/$name.out" 2>&1 &
	last=$!
	pids="$pids $last"
	case $name in
		node) exec 7>"$tmp/$name.in" ;;
		beam) exec 8>"$tmp/$name.in" ;;
		second) exec 9>"$tmp/$name.in" ;;
	esac
	until grep -Eq 'up|ready' "$tmp/$name.out" 2>/dev/null; do
		kill -0 $last 2>/dev/null || { sed 's/^/# /' "$tmp/$name.out"; echo "Bail out! $name does not start"; exit 1; }
	done
}

started node "$build/cnode/cmd/cnoded" -name c@127.0.0.1 -setcookie storm -epmd external \
	-load "$fixtures/noop" -load "$fixtures/busy" -allow noop
node=$last
started beam erl -noinput -noshell -name beam@127.0.0.1 -setcookie storm -connect_all false -pa "$tmp" -s storm target
started second erl -noinput -noshell -name second@127.0.0.1 -setcookie storm -connect_all false -pa "$tmp" -s storm second
count=100000
test -z "$CNODE_LONG_TESTS" || count=1000000
erl -noinput -noshell -name first@127.0.0.1 -setcookie storm -connect_all false -pa "$tmp" -s storm main -extra c@127.0.0.1 "$node" $count
