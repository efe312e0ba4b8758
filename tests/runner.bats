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

# again WHEN: a node that does not start, judged by one case. WHEN: in the first job, or always.
again() {
	cat >"$BATS_TEST_TMPDIR/node" <<-END
		#!/bin/sh
		case $1-\$PWD in always-* | first-*hidden) exit 1 ;; esac
		exec "$suite/nodes/otp/start" "\$@"
	END
	chmod 755 "$BATS_TEST_TMPDIR/node"
	run "$suite/cnode-conformance" --node "$BATS_TEST_TMPDIR/node" --release "$release" --only ping.pong --dial driver --hidden \
		--report "$BATS_TEST_TMPDIR/report" --junit "$BATS_TEST_TMPDIR/junit" </dev/null
}

@test "a case that fails fails the run" { again first; [ "$status" -eq 1 ]; }

@test "CONFORMANCE_AGAIN gives it a second try, which passes and is told" {
	CONFORMANCE_AGAIN=1 again first
	[ "$status" -eq 0 ]
	[[ $output == *"ok 1 - "*UNSTEADY*"# 1 passed, 0 failed"*"unsteady (passed in a second try, alone): ping.pong"* ]]
	grep -q '<flakyFailure' "$BATS_TEST_TMPDIR/junit"
	grep -q "'ping.pong',fail" "$BATS_TEST_TMPDIR/report/results"
}

@test "it gives no third one" {
	CONFORMANCE_AGAIN=1 again always
	[ "$status" -eq 1 ]
	[[ $output == *"not ok 1 - "*"tried again alone"* ]]
}
