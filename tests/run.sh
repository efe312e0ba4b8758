#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh: sets up everything and runs all tests. What CI runs.
#
#   run.sh            build, tests under ASan and UBSan and under TSan, packaging, every OTP release, RabbitMQ, Elixir, tshark's
#                     view, 28 mutants
#   run.sh --quick    for work in progress: one build, its tests, one OTP release
#   run.sh --long     everything, also a whole live release under each sanitizer, all mutants, and what takes hours
#   run.sh --list     the names of the stages
#   run.sh --only S   only the stages named (S: names separated by commas)
#
# Each stage prints its name and its time; the first that fails ends the run, with the end of
# its log. The last stage's output, the closing lines of `make prove`, is the end of ours.
# Builds go to build-test, build-asan and build-tsan; logs to build-test-logs.
set -eu
top=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
cd "$top"

mode=full
only=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) mode=quick ;;
	--long) mode=long ;;
	--list) mode=list ;;
	--only) only=${2:?which stages?}; shift ;;
	-h | --help) sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
	*) echo "run.sh: I do not know $1 (try --help)" >&2; exit 2 ;;
	esac
	shift
done

jobs=$(nproc 2>/dev/null || echo 2)
logs=$top/build-test-logs
releases="23 25 27 29"
# Of some 6,000 live cases against real clusters, this many per release may need a second try, alone. Each is named in the output,
# and is a fault to be found. Nothing else gets one, and what a sanitizer reports fails in any case.
again=2
sanitized_release=27
if [ "$mode" = quick ]; then releases=25; CNODE_QUICK_TESTS=yes; export CNODE_QUICK_TESTS; fi
if [ "$mode" = long ]; then CNODE_LONG_TESTS=yes; export CNODE_LONG_TESTS; fi

# ---- the stages ----

packages() { tests/deps.sh test; }

otp() { conformance/otp.sh get $releases; }

bootstrap() { ./bootstrap; }

# configure DIR [OPTION]…: a VPATH build; a configured source tree would be in its way.
build_in() {
	dir=$1
	shift
	if [ -e config.status ]; then
		echo "this source tree was configured in place; say 'make distclean' first"
		return 1
	fi
	mkdir -p "$dir"
	(cd "$dir" && ../configure --enable-werror --enable-tests=yes "$@") &&
		make -C "$dir" -j"$jobs" all
}

# Work in progress does without the static library, for which every file is compiled a second time (install.t says so).
# `make prove` would compile them one by one.
build_tests() { make --no-print-directory -C "$1" -j"$jobs" check TESTS=; }

build() { build_in build-test $(if [ "$mode" = quick ]; then echo --disable-static; fi); }

# The tests that a stage under a sanitizer runs: those that run what we compiled. `make
# list-tests` knows the list; what only reads sources or packages files is left out there,
# and for TSan what has one thread (so are cases within programs: tap_one_thread in tests/tap.h).
compiled_tests() {
	for t in $(make -s -C "$1" list-tests); do
		case $1/$t in
		*/layers.t | */headers.t | */musl.t | */release.t | */symbols.t | */traps.t | */install.t | */readme.t | */load.t | */runner.t | */deps.t | *.sh | */man.t) ;;
		build-tsan/*/fuzz/* | build-tsan/*/wire_*.t | build-tsan/*/gen.t | build-tsan/*/proc.t | build-tsan/*/proc_sched.t | build-tsan/*/proc_spawn.t) ;;
		*) printf '%s ' "$t" ;;
		esac
	done
}

# live RELEASE…: the conformance suite's programs for these releases.
live() {
	for r in "$@"; do
		if [ -e "conformance/otp$r.t" ]; then printf '%s ' "conformance/otp$r.t"; fi
	done
}

# What OTP judges the node on that was built with a sanitizer: with --long everything, else what has
# most to do with memory and threads, in one direction of dialling. Not in a cluster under TSan: so slow a
# node still dials what a case has ended when the next begins, and then lets go of who told of it, as OTP does.
sanitized_groups=spawn,link,monitor,hostile,framing,terms,acl
live_sanitized() {
	if [ "$mode" = long ]; then
		"$@" conformance/cnode-conformance --node cnode --release "$sanitized_release" --quiet
	else
		"$@" conformance/cnode-conformance --node cnode --release "$sanitized_release" --quiet --dial driver --only "$sanitized_groups"
	fi
}

# sanitized DIR COMMAND…: live cases and `make prove` in DIR, run by COMMAND. A report in a process
# that the test does not wait for (a daemon) fails the stage too: reports go to files.
sanitized() {
	dir=$1
	shift
	rc=0
	rm -f "$logs/$dir".report.*
	CNODE_BUILD=$top/$dir CNODE_SANITIZED=yes CONFORMANCE_PATIENCE=4 CONFORMANCE_AGAIN=$again
	export CNODE_BUILD CNODE_SANITIZED CONFORMANCE_PATIENCE CONFORMANCE_AGAIN
	build_tests "$dir" || return
	live_sanitized "$@" || rc=$?
	"$@" make --no-print-directory -C "$dir" prove TEST_TIMEOUT=1200 TESTS="$(compiled_tests "$dir")" || rc=$?
	for f in "$logs/$dir".report.*; do
		if [ -e "$f" ]; then cat "$f"; rc=1; fi
	done
	return "$rc"
}

asan() {
	build_in build-asan --with-sanitizer=address,undefined || return
	sanitized_groups=$sanitized_groups,global,pg
	ASAN_OPTIONS=log_path=$logs/build-asan.report:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=log_path=$logs/build-asan.report:print_stacktrace=1 \
		sanitized build-asan env
}

# Randomised addresses beyond what TSan expects are switched off for it.
tsan() {
	build_in build-tsan --with-sanitizer=thread || return
	TSAN_OPTIONS=log_path=$logs/build-tsan.report:second_deadlock_stack=1:history_size=4 \
	CK_EXCLUDE_TAGS=one_thread \
		sanitized build-tsan setarch "$(uname -m)" -R
}

# A tarball builds, tests, installs and uninstalls from a read-only source; the tests that
# show it are few, all of them run below.
distcheck() {
	make -C build-test distcheck AM_DISTCHECK_CONFIGURE_FLAGS=--enable-tests=yes \
		TESTS="tests/base.t tests/layers.t"
}

# The suite notices a node that is broken on purpose: one mutant of each kind, with --long all of them, and OTP's too.
mutants() {
	build_in build-mutants --enable-mutants --enable-tests=no || return
	CNODE_BUILD=$top/build-mutants
	export CNODE_BUILD
	if [ "$mode" = long ]; then
		conformance/mutants --node cnode --jobs "$jobs" && conformance/mutants --node otp --jobs "$jobs"
	else
		conformance/mutants --node cnode --jobs "$jobs" acl_ignored alias_answers_twice cache_slot_off_by_one down_twice \
			epmd_old_versions erpc_result_thrown fragment_order global_lost_ignored global_no_in_sync global_wrong_winner \
			init_timeout_ignored kill_is_trapped late_spawn_reply late_ticks link_without_noproc no_cookie_check \
			no_flag_check no_nodedown no_unlink_ack nodedown_twice pg_leave_untold ping_says_no quota_ignored \
			reply_tag_lost spawn_name_lost spoofed_sender suspend_ignored wrong_creation
	fi
}

# What stands beside the releases: the third eye, and neighbours that are more than an OTP node.
besides() {
	if [ "$mode" != quick ]; then
		for t in eye elixir rabbitmq; do
			if [ -e "conformance/$t.t" ]; then printf '%s ' "conformance/$t.t"; fi
		done
	fi
}

# Work in progress is judged with one test more at a time than there are processors: many mostly wait. What CI runs, one after the other.
# What takes longest stands last in the list; side by side it has to begin first. load.t measures how soon a busy node answers,
# which nothing beside it leaves true.
all_tests() {
	if [ "$mode" = quick ]; then
		echo "run.sh: --quick leaves out tests/load.t, which wants the machine for itself, and what packages and the suite's runner are" \
			"judged by (install.t, musl.t, runner.t)" >&2
		make -s -C build-test list-tests | tr ' ' '\n' | grep -Ev '/(load|install|musl|runner)\.t' | tac | tr '\n' ' '
	else
		make -s -C build-test list-tests
	fi
}

matrix() {
	CNODE_BUILD=$top/build-test CONFORMANCE_PATIENCE=3 CONFORMANCE_AGAIN=$again
	export CNODE_BUILD CONFORMANCE_PATIENCE CONFORMANCE_AGAIN
	build_tests build-test || return
	make --no-print-directory -C build-test prove TEST_TIMEOUT=2400 \
		PROVE_FLAGS="-f -o$(if [ "$mode" = quick ]; then echo " -j$((jobs + 1))"; fi)" \
		TESTS="$(live $releases)$(besides)$(all_tests)"
}

stages="packages otp bootstrap build asan tsan distcheck mutants matrix"
describe() {
	case $1 in
	packages) echo "Debian packages" ;;
	otp) echo "Erlang/OTP $releases" ;;
	bootstrap) echo "bootstrap" ;;
	build) echo "configure and make" ;;
	asan) echo "tests under AddressSanitizer and UBSan" ;;
	tsan) echo "tests under ThreadSanitizer" ;;
	distcheck) echo "make distcheck" ;;
	mutants) echo "the suite notices broken nodes" ;;
	matrix) echo "all tests, OTP $releases" ;;
	esac
}
if [ "$mode" = list ]; then
	for s in $stages; do printf '%-10s %s\n' "$s" "$(describe "$s")"; done
	exit 0
fi
if [ "$mode" = quick ]; then stages="packages otp bootstrap build matrix"; fi
if [ -n "$only" ]; then stages=$(printf %s "$only" | tr , ' '); fi
if ! [ -e conformance/otp.sh ]; then stages=$(printf ' %s ' "$stages" | sed 's/ otp / /'); fi

# ---- running them ----

now() { date +%s; }

# What a log accuses, which may stand far before its end: a live case fails, and a thousand tests pass after it.
accused() { grep -E -A 12 '^not ok|^Bail out|Sanitizer: |runtime error: ' "$1" | head -n 200; }

mkdir -p "$logs"
# Tests must not meet the user's cluster, cookie or locale.
HOME=$logs/home LC_ALL=C.UTF-8
CONFORMANCE_CACHE=${CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)/.cache}/cnode/otp}
export HOME LC_ALL CONFORMANCE_CACHE
CNODE_CONFIG=/dev/null
export CNODE_CONFIG
unset ERL_EPMD_PORT ERL_EPMD_ADDRESS ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS CNODE_COOKIE_FILE CNODE_MODULE_PATH MAKEFLAGS
mkdir -p "$HOME"

start=$(now)
n=0
total=$(echo $stages | wc -w)
for s in $stages; do
	n=$((n + 1))
	began=$(now)
	printf '== %d/%d %s\n' "$n" "$total" "$(describe "$s")"
	log=$logs/$s.log
	rc=0
	if [ "$n" -eq "$total" ]; then
		# The last one talks itself, so that its closing lines are ours.
		printf '== so far: %d s\n' $(($(now) - start))
		"$s" 2>&1 || exit
	else
		("$s") >"$log" 2>&1 </dev/null || rc=$?
		if [ "$rc" -ne 0 ]; then
			tail -n 100 "$log" | sed 's/^/    /'
			accused "$log" | sed 's/^/    /'
			printf 'run.sh: FAILED: stage "%s" (%s), status %d; the whole log is %s\n' "$s" "$(describe "$s")" "$rc" "$log" >&2
			exit 1
		fi
		printf '   %d s\n' $(($(now) - began))
	fi
done
