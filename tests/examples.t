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
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
epmd=$!
# What comes before the TAP of the others: programs that check themselves.
n=0
last="all steps done"
runs() { # sentence, command…: succeeds, and its last line is $last
	sentence=$1
	shift
	n=$((n + 1))
	if "$@" >"$tmp/out" 2>&1 </dev/null && test "$(tail -n 1 "$tmp/out")" = "$last"; then
		echo "ok $n - $sentence"
	else
		sed 's/^/# /' "$tmp/out"
		echo "not ok $n - $sentence"
		bad=1
	fi
}
bad=0
cnoded=$build/cnode/cmd/cnoded
runs "remote_spawn takes all its steps" "$build/examples/remote_spawn"
last="4 workers have processed 12 tasks"
runs "pool has its tasks done without a network" "$build/examples/pool"
last="all steps done"
mkdir "$tmp/ebin" "$tmp/ex"
erlc -o "$tmp/ebin" "$top"/cnode/beam/src/*.erl "$top/examples/worker_pool.erl" || { echo 'Bail out! worker_pool.erl does not compile'; exit 1; }
runs "worker_pool takes all its steps" erl -noshell -noinput -name coordinator@127.0.0.1 -setcookie examples -pa "$tmp/ebin" \
	-s worker_pool main -extra "$cnoded" "$build/examples/worker"
if command -v elixirc >/dev/null; then
	elixirc -o "$tmp/ex" -pa "$tmp/ebin" "$top"/cnode/beam/lib/cnode.ex "$top"/cnode/beam/lib/cnode/*.ex >"$tmp/log" 2>&1 </dev/null
	runs "two_nodes takes all its steps" elixir -pa "$tmp/ebin" -pa "$tmp/ex" "$top/examples/two_nodes.exs" "$cnoded" "$build/examples/worker"
else
	n=$((n + 1))
	echo "ok $n - two_nodes takes all its steps # SKIP no Elixir here: install elixir"
fi
# The table of counterparts in examples/README.md: | … | `file` | `function`, `function` |
n=$((n + 1))
awk -F '|' '/^\| (Ergo|noex|Mesh) / { split($4, f, "`"); m = split($5, w, "`"); for (i = 2; i <= m; i += 2) print f[2], w[i] }' "$top/examples/README.md" >"$tmp/pairs"
missing=
while read -r file word; do
	grep -q "$word" "$top/examples/$file" || missing="$missing $file:$word"
done <"$tmp/pairs"
if test -s "$tmp/pairs" && test -z "$missing"; then
	echo "ok $n - every counterpart in the table is there ($(wc -l <"$tmp/pairs"))"
else
	echo "# missing:$missing"
	echo "not ok $n - every counterpart in the table is there"
	bad=1
fi

erlc -o "$tmp" "$top/tests/examples_test.erl" || { echo 'Bail out! examples_test.erl does not compile'; exit 1; }
erl -noshell -noinput -name t@127.0.0.1 -setcookie examples -pa "$tmp" -s examples_test main -extra "$build/examples" "$n" 2>"$tmp/log"
status=$?
sed 's/^/# /' "$tmp/log"
test $bad -eq 0 && exit $status
