#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who ends the conformance suite's runner ends all that it has started, however it was done, and its status tells that this
# was no run that passed.

load bats_help

setup_file() {
	export suite=$top/conformance node=$BATS_FILE_TMPDIR/node
	# With which release does not matter; 25 is the one that runs the runner itself, where it is.
	export release; release=$("$suite/otp.sh" list | awk 'NR == 1 || $1 == 25 { r = $1 } END { print r }')
	# A node under test that says that it is there, and never ends by itself.
	cat >"$node" <<-'END'
		#!/bin/sh
		trap '' HUP INT TERM
		echo here >"$RUNNER_TEST/began"
		while :; do read -r _; done <>"$RUNNER_TEST/never"
	END
	chmod 755 "$node"
}

# The processes that have come from the runner, whoever their parents are now.
left() { grep -lszxF "RUNNER_TEST=$BATS_TEST_TMPDIR" /proc/[0-9]*/environ | cut -d / -f 3; }

teardown() {
	local pid
	for pid in $(left); do kill -KILL "$pid" 2>/dev/null || :; done
}

# ended SIGNAL STATUS [-]: sends the runner a signal while it waits for a node (-: its process group too, as a terminal does).
ended() {
	mkfifo "$BATS_TEST_TMPDIR/began" "$BATS_TEST_TMPDIR/never"
	exec 7<>"$BATS_TEST_TMPDIR/began"
	# A session of its own, and SIGINT as a shell in front of a person has it: what runs in the background ignores it.
	setsid env --default-signal=INT RUNNER_TEST="$BATS_TEST_TMPDIR" "$suite/cnode-conformance" --node "$node" --release "$release" \
		--only ping --report "$BATS_TEST_TMPDIR/report" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- 7>&- </dev/null &
	local runner=$! status=0 word pids pid
	read -r -t 300 word <&7 || { cat "$BATS_TEST_TMPDIR/out"; return 1; }
	exec 7>&-
	left | grep -qx "$runner"
	test "$(left | wc -l)" -gt 4             # the runner, its driver, epmd, the node, and those that hold their leashes
	kill "-$1" -- "${3-}$runner"
	wait "$runner" || status=$?
	test "$status" -eq "$2"
	while pids=$(left) && test -n "$pids"; do
		for pid in $pids; do gone "$pid"; done
	done
}

@test "SIGTERM ends the runner and all that it has started" { ended TERM 143; }

@test "SIGINT does" { ended INT 130; }

@test "SIGINT of a terminal, which all of them get, does" { ended INT 130 -; }

@test "SIGKILL does" { ended KILL 137; }
