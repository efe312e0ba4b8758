# SPDX-License-Identifier: Apache-2.0
# What the bats files share: programs in the background, modules, and the two commands.

top=$(cd "${srcdir:-.}" && pwd)
bin=$(cd "${builddir:-.}" && pwd)/cnode/cmd

# A port on which nobody answers.
free_port() { "$top/tests/free_port"; }

# start VAR LINE COMMAND...: runs a program in the background and waits for a line of its
# output that contains LINE (or for its end). The pid goes into VAR, the output into $VAR.out.
start() {
	local name=$1 line=$2; shift 2
	local out=$BATS_FILE_TMPDIR/$name.out fifo=$BATS_FILE_TMPDIR/$name.fifo text
	rm -f "$fifo"; mkfifo "$fifo"
	"$@" >"$fifo" 2>&1 3>&- 8>&- </dev/null &
	printf -v "$name" %s $!
	exec 9<"$fifo"
	: >"$out"
	while IFS= read -r -t 30 text <&9; do
		printf '%s\n' "$text" >>"$out"
		[[ $text == *"$line"* ]] && break
	done
	cat <&9 >>"$out" 2>/dev/null 3>&- 8>&- 9<&0 &
	exec 9<&-
	grep -qF -- "$line" "$out" || { cat "$out" >&2; return 1; }
}

# gone PID: waits until a process that may be no child of this shell has ended (tail ends with it).
gone() { timeout 200 tail -s 0.02 -f --pid="$1" /dev/null; }

# stop PID: ends a background program and waits for it; its status is the result.
stop() { kill -TERM "$1" 2>/dev/null; wait "$1"; }

module() { # NAME C-TEXT: builds $BATS_FILE_TMPDIR/modules/NAME.so
	printf '%s\n' "$2" >"$BATS_FILE_TMPDIR/$1.c"
	${CC:-cc} -shared -fPIC -I"$top" -o "$BATS_FILE_TMPDIR/modules/$1.so" "$BATS_FILE_TMPDIR/$1.c"
}

# heard VAR TEXT [COUNT]: waits, a minute at most, until the program that start began has written lines with the text, COUNT of them.
heard() {
	local pid=$1 out=$BATS_FILE_TMPDIR/$1.out fifo=$BATS_FILE_TMPDIR/$1.heard reader seen
	rm -f "$fifo"; mkfifo "$fifo"
	timeout 200 tail -n +1 -f --pid="${!pid}" "$out" >"$fifo" 2>/dev/null 3>&- &
	reader=$!
	seen=$(grep -F -m "${3:-1}" -- "$2" <"$fifo" | wc -l)
	kill "$reader" 2>/dev/null || :
	test "$seen" -eq "${3:-1}" || { cat "$out" >&2; return 1; }
}

needs_beam() { test -n "${BEAM-}" || skip "no erl here"; }

# daemon STATUS TEXT ARGUMENTS...: cnoded ends with the status and one line that has the text.
daemon() {
	local status_wanted=$1 text=$2; shift 2
	run timeout 200 "$bin/cnoded" "$@" 3>&-
	echo "$output"
	test "$status" -eq "$status_wanted"
	test "${#lines[@]}" -eq 1
	[[ ${lines[0]} == "cnoded: "*"$text"* ]]
}

# tool STATUS TEXT ARGUMENTS...: cnode ends with the status; its output has the text.
tool() {
	local status_wanted=$1 text=$2; shift 2
	run timeout 200 "$bin/cnode" "$@" 3>&-
	echo "$output"
	test "$status" -eq "$status_wanted"
	[[ $output == *"$text"* ]]
}
