#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cnode-gdb.py lists processes and shows mailboxes, in a running program, by gdb in batch mode.
top=$(cd "${srcdir:-.}" && pwd)
program=${builddir:-.}/tests/gdb_program
if ! command -v gdb >/dev/null; then echo '1..0 # SKIP no gdb here'; exit 0; fi
if ! gdb -nx -batch -ex 'python print(1)' 2>/dev/null | grep -q 1; then echo '1..0 # SKIP this gdb has no Python'; exit 0; fi
if nm -D "${builddir:-.}/.libs/libcnode.so" 2>/dev/null | grep -q '__[atu][sb]*san_'; then echo '1..0 # SKIP a sanitized program'; exit 0; fi
out=$(timeout 200 "${builddir:-.}/libtool" --mode=execute gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'handle SIGPIPE nostop noprint' \
	-ex 'set breakpoint pending on' -ex "source $top/cnode/cnode-gdb.py" -ex 'break stop_here' -ex run \
	-ex 'cnode processes' -ex 'cnode mailbox shelf' -ex 'cnode mailbox nobody' -ex 'cnode' "$program" 2>&1 </dev/null)
if printf '%s\n' "$out" | grep -q 'ptrace: Operation not permitted\|Could not trace the inferior'; then
	echo '1..0 # SKIP this machine lets nobody trace a program'; exit 0
fi
n=0
has() { # sentence, extended regular expression
	n=$((n + 1))
	if printf '%s\n' "$out" | grep -Eq -- "$2"; then echo "ok $n - $1"; else
		printf '%s\n' "$out" | tail -n 40 | sed 's/^/# /'; echo "not ok $n - $1"; fi
}
has 'kernel services are listed with name and state' '^<[0-9]+\.0> +rex +rex +(waiting|runnable|running) '
has 'a mailbox is listed with its messages' '^<[0-9]+\.0> +shelf +mailbox +own thread +3 '
has 'messages are shown as Erlang terms' "^ *1 message \\{hello,1,-2,\\[116,101,120,116\\],<<\"binary\">>\\}"
has 'maps, floats, improper lists and pids too' "^ *2 message #\\{.*key => \\[1\\.5\\|tail\\].*\\}"
has 'and integers of any size' '^ *3 message 123456789012345678901234567890$'
has 'their number is told' '^3 messages$'
has 'an unknown process is said to be none' 'no process is called nobody'
has 'the command without words says what it takes' 'cnode processes \| cnode mailbox'
echo "1..$n"
