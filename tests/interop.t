#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Nodes that are neither ours nor BEAMs: erl_call, a program on plain ei, a Java node on jinterface. Each calls, links where
# it can, and gets replies.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
cc=${CC:-cc}
if ! command -v epmd >/dev/null; then echo '1..0 # SKIP no epmd here'; exit 0; fi
tmp=$(mktemp -d)
pids=
cleanup() {
	for p in $pids; do kill -KILL "$p" 2>/dev/null; done
	rm -rf "$tmp"
}
trap cleanup EXIT
HOME=$tmp
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
pids="$pids $!"
mkfifo "$tmp/stdin"
# The node under test of the suite: a puppet, a server `echo`, and functions that are open.
(
	NUT_NAME=i@127.0.0.1 NUT_COOKIE=interop NUT_VISIBLE=false NUT_TICKTIME=60 NUT_OPTIONS= CNODE_BUILD=$build
	export NUT_NAME NUT_COOKIE NUT_VISIBLE NUT_TICKTIME NUT_OPTIONS CNODE_BUILD
	exec sh "$top/conformance/nodes/cnode/start"
) <"$tmp/stdin" >"$tmp/node.log" 2>&1 &
daemon=$!
pids="$pids $daemon"
exec 7>"$tmp/stdin"             # held open: the node ends with its standard input
touch "$tmp/node.log"           # the shell may not have made it yet
timeout 200 tail -n +1 -f --pid=$daemon "$tmp/node.log" 2>/dev/null | grep -q ready ||
	{ sed 's/^/# /' "$tmp/node.log"; echo 'Bail out! the node does not start'; exit 1; }
port=$(sed -n 's/.*ready (port \([0-9]*\),.*/\1/p' "$tmp/node.log")

n=0
report() { # status, sentence, file
	n=$((n + 1))
	if test "$1" = 0; then echo "ok $n - $2"; else
		tail -n 30 "$3" | sed 's/^/# /'; echo "not ok $n - $2"; fi
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
say() { # TAP lines of a program, numbered
	while IFS= read -r line; do
		case $line in
		"ok - "*) n=$((n + 1)); echo "ok $n - ${line#ok - }" ;;
		"not ok - "*) n=$((n + 1)); echo "not ok $n - ${line#not ok - }" ;;
		*) printf '# %s\n' "$line" ;;
		esac
	done <"$1"
}

# erl_call: its answers go to standard output.
if command -v erl_call >/dev/null; then
	called() { # sentence, what must be in the output, arguments…
		sentence=$1 wanted=$2
		shift 2
		timeout 200 erl_call -c interop -address "127.0.0.1:$port" "$@" >"$tmp/call" 2>&1 </dev/null
		grep -Fq -- "$wanted" "$tmp/call"
		report $? "$sentence" "$tmp/call"
	}
	called "erl_call -a calls a function and shows its value" "i@127.0.0.1" -a 'erlang node []'
	called "erl_call -a with arguments" "<" -a 'erlang whereis [rex]'
	called "erl_call -a of an unknown function shows badrpc" "undef" -a 'no_such_module f [1]'
	if erl_call 2>&1 | grep -q fetch_stdout; then
		called "erl_call -fetch_stdout shows what the function writes" "written by a function" -fetch_stdout -no_result_term \
			-a 'io put_chars ["written by a function"]'
	else
		skip "erl_call -fetch_stdout shows what the function writes" "this erl_call has no such option"
	fi
else
	skip "erl_call -a calls a function and shows its value" "no erl_call here"
fi

# A program on plain ei.
ei=$(erl -noshell -eval 'io:format("~s", [code:lib_dir(erl_interface)]), halt().' 2>/dev/null)
if ! test -f "$ei/include/ei.h"; then
	for d in /usr/lib/erlang/lib/erl_interface-*; do ei=$d; done
fi
if test -f "$ei/include/ei.h"; then
	$cc -I"$ei/include" "$top/tests/interop_ei.c" -o "$tmp/interop_ei" -L"$ei/lib" -lei -lpthread >"$tmp/cc" 2>&1
	report $? "the program on ei compiles" "$tmp/cc"
	timeout 200 "$tmp/interop_ei" interop i@127.0.0.1 >"$tmp/ei" 2>&1 </dev/null
	status=$?
	say "$tmp/ei"
	report $status "and ends well" "$tmp/ei"
else
	skip "the program on ei compiles" "no erl_interface here"
fi

# A Java node.
jar=
for j in /usr/share/java/OtpErlang.jar /usr/lib/erlang/lib/jinterface-*/priv/OtpErlang.jar; do
	if test -f "$j"; then jar=$j; break; fi
done
if test -z "$jar" || ! command -v javac >/dev/null; then
	skip "a Java node pings it" "no jinterface or no javac here"
else
	javac -cp "$jar" -d "$tmp" "$top/tests/Interop.java" >"$tmp/javac" 2>&1
	report $? "the Java node compiles" "$tmp/javac"
	timeout 200 java -cp "$jar:$tmp" Interop interop i@127.0.0.1 >"$tmp/java" 2>&1 </dev/null
	status=$?
	say "$tmp/java"
	report $status "and ends well" "$tmp/java"
fi

kill -TERM $daemon
wait $daemon
report $? "the node has taken no harm and leaves in order" "$tmp/node.log"
echo "1..$n"
