#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Live BEAM nodes against this library under load: servers that are killed with SIGKILL in the middle of calls, links and
# monitors; nodes that hammer processes; leaks after many spawns. CNODE_LONG_TESTS in the environment: 4 nodes, 10,000 processes, a minute, and
# 100,000 spawns under valgrind (tests/run.sh --long); otherwise a short round of each.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! test -x "$build/tests/live_program"; then echo '1..0 # SKIP live_program is not built'; exit 0; fi
if ! command -v erl >/dev/null; then echo '1..0 # SKIP no Erlang here'; exit 0; fi
if test -n "${CNODE_LONG_TESTS:-}"; then nodes=4 processes=2500 seconds=60 spawns=100000; else nodes=2 processes=250 seconds=3 spawns=2000; fi
sanitized=
if nm -D "$build/.libs/libcnode.so" 2>/dev/null | grep -q '__[atu][sb]*san_'; then sanitized=1; CNODE_SLOW=1; export CNODE_SLOW; fi
tmp=$(mktemp -d)
pids=
cleanup() {
	for p in $pids; do kill -KILL "$p" 2>/dev/null; done
	rm -rf "$tmp"
}
trap cleanup EXIT
HOME=$tmp
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
pids="$pids $!"
erlc -o "$tmp" "$top/tests/live_test.erl" || { echo 'Bail out! live_test.erl does not compile'; exit 1; }
n=0
report() { # status, sentence, file with what was said
	n=$((n + 1))
	if test "$1" = 0; then echo "ok $n - $2"; else
		tail -n 40 "$3" | sed 's/^/# /'; echo "not ok $n - $2"; fi
}
say() { # TAP lines of a program, numbered
	while IFS= read -r line; do
		case $line in
		"ok - "*) n=$((n + 1)); echo "ok $n - ${line#ok - }" ;;
		"not ok - "*) n=$((n + 1)); echo "not ok $n - ${line#not ok - }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$1"
}
wait_for() { # text, file, pid
	touch "$2"              # the shell may not have made it yet
	timeout 200 tail -n +1 -f --pid="$3" "$2" 2>/dev/null | grep -q "$1"
}
victim() { # name
	erl -noinput -name "$1@127.0.0.1" -setcookie live -start_epmd false +P 1000000 +sbwt none -pa "$tmp" -s live_test server \
		>"$tmp/$1.log" 2>&1 </dev/null &
	pids="$pids $!"
	wait_for up "$tmp/$1.log" $!
}
run() { "$build/libtool" --mode=execute "$@"; }

for what in calls relations; do
	victim "v$what"
	run timeout 200 "$build/tests/live_program" "$what" live "v$what@127.0.0.1" >"$tmp/$what" 2>&1 </dev/null
	status=$?
	say "$tmp/$what"
	report $status "the program that did this ended well ($what)" "$tmp/$what"
done

cnoded() { # command in front…; in the background only, so that $! is its own
	exec "$build/libtool" --mode=execute "$@" "$build/cnode/cmd/cnoded" -name h@127.0.0.1 -setcookie live -epmd external -load "$build/examples/counter" -allow counter \
		-load "$build/conformance/fixtures/noop" -allow noop
}

# Nodes that hammer it.
cnoded env >"$tmp/cnoded.log" 2>&1 </dev/null &
daemon=$!
pids="$pids $daemon"
wait_for ready "$tmp/cnoded.log" $daemon
victim verrors
run timeout 200 "$build/tests/live_program" errors live verrors@127.0.0.1 h@127.0.0.1 >"$tmp/errors" 2>&1 </dev/null
status=$?
say "$tmp/errors"
report $status "the program that did this ended well (errors)" "$tmp/errors"

hammers=
i=0
while test $i -lt $nodes; do
	i=$((i + 1))
	erl -noinput -name "b$i@127.0.0.1" -setcookie live -hidden -start_epmd false +sbwt none -pa "$tmp" \
		-run live_test hammer h@127.0.0.1 $processes $seconds >"$tmp/b$i.log" 2>&1 </dev/null &
	hammers="$hammers $!"
	pids="$pids $!"
done
status=0
for h in $hammers; do wait "$h" || status=1; done
cat "$tmp"/b*.log >"$tmp/hammer.log"
sed 's/^/# /' "$tmp/hammer.log"
report $status "$nodes nodes hammer $((nodes * processes)) processes for $seconds s: every call, DOWN and spawn is answered" "$tmp/hammer.log"
kill -TERM $daemon
wait $daemon
status=$?
report $status "the node that was hammered leaves in order" "$tmp/cnoded.log"
if grep -q 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer\|runtime error:' "$tmp/cnoded.log"; then status=1; else status=0; fi
report $status "and no sanitizer has anything to say" "$tmp/cnoded.log"

# Leaks.
if test -n "$sanitized" || ! command -v valgrind >/dev/null; then
	n=$((n + 1))
	echo "ok $n - no definite leak after $spawns spawns # SKIP no valgrind here, or a sanitizer looks for leaks itself"
else
	cnoded valgrind --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 \
		>"$tmp/valgrind.log" 2>&1 </dev/null &
	daemon=$!
	pids="$pids $daemon"
	wait_for ready "$tmp/valgrind.log" $daemon
	erl -noinput -name s@127.0.0.1 -setcookie live -hidden -start_epmd false +sbwt none -pa "$tmp" \
		-run live_test spawns h@127.0.0.1 $spawns >"$tmp/spawns.log" 2>&1 </dev/null
	status=$?
	report $status "$spawns processes are spawned and end, under valgrind" "$tmp/spawns.log"
	kill -TERM $daemon
	wait $daemon
	status=$?
	grep 'definitely lost' "$tmp/valgrind.log" | sed 's/^/# /'
	report $status "no definite leak, and no other error that valgrind sees" "$tmp/valgrind.log"
fi
echo "1..$n"
