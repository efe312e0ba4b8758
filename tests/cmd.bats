#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cnoded and cnode as a user meets them: the command line, every way it can be wrong, and
# what they do with a live Erlang node. Each file run has an epmd of its own.

load bats_help

setup_file() {
	mkdir -p "$BATS_FILE_TMPDIR/modules" "$BATS_FILE_TMPDIR/home"
	export HOME=$BATS_FILE_TMPDIR/home
	export CNODE_CONFIG=/dev/null
	unset CNODE_COOKIE_FILE CREDENTIALS_DIRECTORY CNODE_MODULE_PATH XDG_CONFIG_HOME JOURNAL_STREAM NOTIFY_SOCKET
	(umask 077; printf secret >"$HOME/.erlang.cookie"; chmod 400 "$HOME/.erlang.cookie")
	export ERL_EPMD_PORT; ERL_EPMD_PORT=$(free_port)
	module adder '
#include <cnode/cnode.h>
static int init(cnode_process *self, void *state, const cnode_start *how)
{ (void)self; return cnode_scan(how->args, "[~q]", (int64_t *)state); }
static int call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{ int64_t n, *total = state; (void)self;
  if (cnode_scan(request, "{add,~q}", &n) == 0) return cnode_reply(from, "~q", *total += n);
  return cnode_reply(from, "{error,bad_request}"); }
static int cast(cnode_process *self, void *state, cnode_term message)
{ int64_t n, *total = state; (void)self;
  if (cnode_scan(message, "{add,~q}", &n) == 0) *total += n;
  return 0; }
static const cnode_behaviour adder = { CNODE_BEHAVIOUR_INIT, .state_size = sizeof(int64_t), .init = init,
  .handle_call = call, .handle_cast = cast };
static int start(cnode_node *node, void **state)
{ cnode_term args; int rc = cnode_factory_add(node, "adder", &adder, 0, CNODE_NO_NODES); *state = 0;
  if (rc == 0) rc = cnode_factory_add(node, "closed", &adder, 0, CNODE_NO_NODES);
  if (rc == 0) rc = cnode_function_allow(node, "cnode", "*", "admin@127.0.0.1");
  if (rc == 0) rc = cnode_parse("[7]", &args, 0);
  if (rc == 0) { rc = cnode_process_start(node, "adder", &adder, 0, args, 0); cnode_term_drop(args); }
  return rc; }
CNODE_MODULE("adder", start, 0)'
	module opens '
#include <cnode/cnode.h>
static int start(cnode_node *node, void **state) { *state = 0; return cnode_function_allow(node, "erlang", "*", CNODE_ALL_NODES); }
CNODE_MODULE("opens", start, 0)'
	module other_abi '#include <cnode/cnode.h>
__attribute__((visibility("default"))) const cnode_module cnode_module_entry = { CNODE_MODULE_ABI + 1, sizeof(cnode_module), "other_abi", 0, 0 };'
	module other_size '#include <cnode/cnode.h>
__attribute__((visibility("default"))) const cnode_module cnode_module_entry = { CNODE_MODULE_ABI, sizeof(cnode_module) - 8, "other_size", 0, 0 };'
	module later '
#include <cnode/cnode.h>
static int start(cnode_node *node, void **state) { (void)node; *state = 0; return 0; }
struct later { cnode_module entry; void *more; };
__attribute__((visibility("default"))) const struct later cnode_module_entry = { { CNODE_MODULE_ABI, sizeof(struct later), "later", start, 0 }, 0 };'
	module no_start '#include <cnode/cnode.h>
CNODE_MODULE("no_start", 0, 0)'
	module no_symbol 'int nothing_of_cnode;'
	module unresolved 'extern int nobody_has_this(void); int f(void) { return nobody_has_this(); }'
	module stuck '
#include <cnode/cnode.h>
#include <unistd.h>
static int init(cnode_process *self, void *state, const cnode_start *how)
{ (void)state; (void)how; return cnode_register(self, "stuck"); }
static int call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{ (void)self; (void)state; (void)request; cnode_reply(from, "ok"); sleep(300); return 0; }
static const cnode_behaviour stuck = { CNODE_BEHAVIOUR_INIT, .init = init, .handle_call = call };
static int start(cnode_node *node, void **state)
{ cnode_term args; int rc = cnode_parse("[]", &args, 0); *state = 0;
  if (rc == 0) { rc = cnode_process_start(node, 0, &stuck, 0, args, 0); cnode_term_drop(args); }
  return rc; }
CNODE_MODULE("stuck", start, 0)'
	module refuses '#include <cnode/cnode.h>
static int start(cnode_node *node, void **state) { (void)node; *state = 0; return CNODE_ENOMEM; }
CNODE_MODULE("refuses", start, 0)'
	echo text >"$BATS_FILE_TMPDIR/modules/text.so"
	if command -v epmd >/dev/null && command -v erl >/dev/null; then
		epmd -port "$ERL_EPMD_PORT" >/dev/null 2>&1 3>&- </dev/null &
		export EPMD_PID=$!
		until epmd -names >/dev/null 2>&1; do kill -0 $EPMD_PID || return 1; done
		start BEAM up erl -noinput -name beam@127.0.0.1 -eval '
			register(sink, spawn(fun F() -> receive {_, P} when is_pid(P) -> P ! ok, F(); _ -> F() end end)),
			register(stopper, spawn(fun() -> receive {_, F, _} -> exit({told, F}) end end)),
			io:format("up~n")'
		export BEAM
	fi
	if test -n "${BEAM-}"; then
		start CNODED ready "$bin/cnoded" -name cn@127.0.0.1 -load "$BATS_FILE_TMPDIR/modules/adder" -allow adder
		export CNODED
	fi
}

# A node that a failed test has left behind. KILL, so that it cannot start an epmd of its own.
teardown() {
	test -z "${N-}" || kill -KILL "$N" 2>/dev/null || :
}

teardown_file() {
	local pid
	for pid in ${CNODED-} ${BEAM-}; do kill -KILL "$pid" 2>/dev/null; done
	# The nodes first: one that outlives its epmd starts another.
	for pid in ${CNODED-} ${BEAM-}; do gone "$pid" || :; done
	test -z "${EPMD_PID-}" || kill "$EPMD_PID" 2>/dev/null
	return 0
}

# ---- cnoded: the command line ----

@test "cnoded -help and -version go to stdout with status 0" {
	run "$bin/cnoded" --help
	test "$status" -eq 0
	[[ $output == "usage: cnoded "* ]]
	run "$bin/cnoded" -version
	[[ $status -eq 0 && $output == "cnoded "*"module ABI 1"* ]]
	test -z "$("$bin/cnoded" -help 2>&1 >/dev/null)"
}

@test "cnoded names a flag that it does not know, and the one that was meant" {
	daemon 2 "unknown option -nmae" -nmae x
	daemon 2 "did you mean -net_ticktime?" -sname x -net-tick 5
	daemon 2 "unknown option -hiden; did you mean -hidden?" -sname x -hiden
}

@test "cnoded wants a value where one is needed, and none where not" {
	daemon 2 "option -sname needs a value" -sname
	daemon 2 "option -setcookie needs a value" -sname x -setcookie -hidden
	daemon 2 "option -visible takes no value" -sname x -visible=yes
}

@test "cnoded takes one and two dashes, and - as _" {
	daemon 2 "-shutdown_timeout 0: a whole number" --sname x --shutdown-timeout=0
	daemon 2 "-shutdown_timeout x: a whole number" -sname x -shutdown_timeout x
	daemon 2 "-threads 99999: a whole number from 1" -sname x -threads 99999
	daemon 2 "-net_ticktime 1.5: a whole number" -sname x -net_ticktime 1.5
}

@test "cnoded refuses contradictions and words that are no options" {
	daemon 2 "a name is missing"
	daemon 2 "-sname and -name contradict each other" -sname x -name y@z.d
	daemon 2 "-hidden and -visible contradict each other" -sname x -hidden -visible
	daemon 2 "-setcookie and -cookie_file contradict each other" -sname x -setcookie a -cookie_file b
	daemon 2 "what is 'word'?" -sname x word
	daemon 2 "-epmd maybe: auto" -sname x -epmd maybe
	daemon 2 "-overlap maybe: obey, report or ignore" -sname x -overlap maybe
	daemon 2 "-busy_wait 50: short, none or long" -sname x -busy_wait 50
	daemon 2 "-global_timeout 0: a whole number from 1" -sname x -global_timeout 0
	daemon 2 "-log loud: error" -sname x -log loud
}

@test "cnoded refuses values that are empty or too long" {
	local long; printf -v long %300s; long=${long// /x}
	daemon 2 "-sname: the value is empty: NAME is wanted" -sname ''
	daemon 2 "-listen: the value is empty: ADDR[:PORT] is wanted" -sname x -listen ''
	daemon 2 "-setcookie: the value is empty" -sname x -setcookie=
	daemon 2 "-log: the value is empty" -sname x -log ''
	daemon 2 "the path of the configuration is empty" -sname x -config ''
	daemon 2 "not a node name: it must be NAME@HOST" -sname "$long" -epmd none
	daemon 2 "a cookie has 1 to 255 characters" -sname x -setcookie "$long" -epmd none
}

@test "cnoded refuses bad node names" {
	daemon 2 "" -sname 'a@b@c' -epmd none
	daemon 2 "" -sname 'a b' -epmd none
	daemon 2 "" -sname 'a@long.name' -epmd none
	daemon 2 "" -name 'a@short' -epmd none
	daemon 2 "-connect nohost" -sname x -epmd none -connect nohost
	daemon 2 "-connect " -sname x -epmd none -connect a@b,
	daemon 2 "-discover epm:host: a source is" -sname x -epmd none -discover epm:host
	daemon 2 "-discover dns:app: dns: wants NAME@QUESTION" -sname x -epmd none -discover dns:app
	daemon 2 "dns nowhere: ADDRESS" -sname x -epmd none -dns nowhere
	daemon 2 "-route a@b" -sname x -epmd none -route a@b
	daemon 2 "-route a@b=c" -sname x -epmd none -route a@b=c
	daemon 2 "-route a=c:1" -sname x -epmd none -route a=c:1
	daemon 2 "" -sname x -epmd none -listen 127.0.0.1:port
	daemon 2 "" -sname x -epmd none -listen '[::1'
}

# ---- cnoded: the cookie ----

@test "cnoded refuses a cookie file that is missing, empty, a folder or open to others" {
	local f=$BATS_TEST_TMPDIR/cookie
	daemon 4 "$f" -sname x -epmd none -cookie_file "$f"
	mkdir "$f"; daemon 4 "$f" -sname x -epmd none -cookie_file "$f"; rmdir "$f"
	: >"$f"; chmod 400 "$f"; daemon 4 "$f" -sname x -epmd none -cookie_file "$f"; rm -f "$f"
	printf secret >"$f"
	for mode in 640 604 444 660; do
		chmod $mode "$f"
		daemon 4 "$f" -sname x -epmd none -cookie_file "$f"
		CNODE_COOKIE_FILE=$f daemon 4 "$f" -sname x -epmd none
	done
}

# As a user who has no rights over the files of others.
unprivileged="setpriv --bounding-set -all --inh-caps -all --reuid 65534 --regid 65534 --clear-groups"

@test "cnoded and cnode say that they may not read the cookie" {
	test "$(id -u)" -eq 0 && command -v setpriv >/dev/null || skip "needs root and setpriv"
	local d; d=$(mktemp -d /tmp/cnode-cookie.XXXXXX); chmod 711 "$d"
	printf secret >"$d/cookie"; chmod 600 "$d/cookie"
	run $unprivileged "$bin/cnoded" -sname x -epmd none -cookie_file "$d/cookie" 3>&-
	local daemon_status=$status daemon_output=$output
	run $unprivileged env CREDENTIALS_DIRECTORY="$d" "$bin/cnoded" -sname x -epmd none 3>&-
	local credential_status=$status credential_output=$output
	run $unprivileged "$bin/cnode" -cookie_file "$d/cookie" ping a@b 3>&-
	rm -rf "$d"
	[[ $daemon_status -eq 4 && $daemon_output == "cnoded: "*"cookie_file $d/cookie: it cannot be opened for reading" ]]
	[[ $credential_status -eq 4 && $credential_output == "cnoded: cannot read the cookie in $d/cookie: Permission denied" ]]
	[[ $status -eq 6 && $output == "cnode: "*"cookie file $d/cookie: it cannot be opened for reading" ]]
}

# As auth.erl reads it: blanks before the end of the line belong to the cookie, and so do words behind the first.
@test "a cookie is the same one as on a BEAM node, from a file and from a credential" {
	local d=$BATS_TEST_TMPDIR
	needs_beam
	printf 'two words \r\n \n' >"$d/cookie"; chmod 400 "$d/cookie"
	start N ready "$bin/cnoded" -name file@127.0.0.1 -cookie_file "$d/cookie"
	tool 0 pong -setcookie 'two words ' ping file@127.0.0.1
	stop "$N"
	CREDENTIALS_DIRECTORY=$d start N ready "$bin/cnoded" -name file@127.0.0.1
	tool 0 pong -setcookie 'two words ' ping file@127.0.0.1
	stop "$N"
}

@test "cnoded reads the credential of systemd, also when its group may" {
	local d=$BATS_TEST_TMPDIR
	: >"$d/cookie"
	CREDENTIALS_DIRECTORY=$d daemon 4 "is empty" -sname x -epmd none
	for bad in 'tab\t\n' 'nul\0byte' 'two\nlines'; do
		printf "$bad" >"$d/cookie"
		CREDENTIALS_DIRECTORY=$d daemon 4 "the cookie in $d/cookie has a character that a cookie cannot have" -sname x -epmd none
	done
	printf '%256s' a >"$d/cookie"
	CREDENTIALS_DIRECTORY=$d daemon 4 "the cookie in $d/cookie is too long" -sname x -epmd none
	printf 'wrong\n' >"$d/cookie"; chmod 440 "$d/cookie"
	needs_beam
	CREDENTIALS_DIRECTORY=$d start N ready "$bin/cnoded" -name cred@127.0.0.1
	tool 0 pong -setcookie wrong ping cred@127.0.0.1
	tool 4 "cookie" -setcookie secret ping cred@127.0.0.1
	stop "$N"
	chmod 640 "$d/cookie"; printf 'two words \n' >"$d/cookie"
	CREDENTIALS_DIRECTORY=$d start N ready "$bin/cnoded" -name cred@127.0.0.1
	tool 0 pong -setcookie 'two words ' ping cred@127.0.0.1
	stop "$N"
}

# As systemd makes it for a user of its own: what is readable for nobody else, in a folder that nobody else may enter.
@test "cnoded reads the credential of systemd as the service's user, and nobody else does" {
	test "$(id -u)" -eq 0 && command -v setpriv >/dev/null || skip "needs root and setpriv"
	needs_beam
	local d; d=$(mktemp -d /tmp/cnode-credentials.XXXXXX)
	printf 'wrong\n' >"$d/cookie"; chmod 400 "$d/cookie"; chown -R 65534:65534 "$d"; chmod 500 "$d"
	start N ready $unprivileged env CREDENTIALS_DIRECTORY="$d" "$bin/cnoded" -name user@127.0.0.1
	tool 0 pong -setcookie wrong ping user@127.0.0.1
	stop "$N"
	chown -R 65533 "$d"
	run $unprivileged env CREDENTIALS_DIRECTORY="$d" "$bin/cnoded" -name user@127.0.0.1 3>&-
	rm -rf "$d"
	[[ $status -eq 4 && $output == "cnoded: cannot read the cookie in $d/cookie: Permission denied" ]]
}

# ---- cnoded: modules and factories ----

@test "what is too long is cut into UTF-8, and what is no UTF-8 is not printed" {
	local long; long=$(printf 'é%.0s' $(seq 3000))
	for pad in '' x; do
		run "$bin/cnoded" -sname x -setcookie c -epmd none -load "/$pad$long" 3>&-
		[[ $status -ne 0 && $output == "cnoded: module /$pad"*"é"*" not found: there is no "* ]]
		iconv -f utf-8 -t utf-8 <<<"$output" >/dev/null
	done
	run "$bin/cnoded" -sname x -setcookie c -epmd none -load "/"$'a\xe9b\xf0\x9f\x9b' 3>&-
	[[ $output == "cnoded: module /a?b??? not found: there is no "* ]]
}

@test "cnoded names every place where a module was looked for" {
	daemon 3 "/modules-1/nosuch.so" -sname x -epmd none -load nosuch
	CNODE_MODULE_PATH=/nowhere:/too daemon 3 "there is no /nowhere/nosuch.so, /nowhere/.libs/nosuch.so, /too/nosuch.so" \
		-sname x -epmd none -load nosuch
	daemon 3 "there is no ./nosuch, ./nosuch.so, ./.libs/nosuch.so" -sname x -epmd none -load ./nosuch
}

@test "cnoded finds modules by path, with .so, in .libs and in CNODE_MODULE_PATH" {
	local m=$BATS_FILE_TMPDIR/modules
	daemon 3 "lacks the symbol" -sname x -epmd none -load "$m/no_symbol.so"
	daemon 3 "lacks the symbol" -sname x -epmd none -load "$m/no_symbol"
	mkdir "$BATS_TEST_TMPDIR/.libs"; cp "$m/no_symbol.so" "$BATS_TEST_TMPDIR/.libs"
	daemon 3 "lacks the symbol" -sname x -epmd none -load "$BATS_TEST_TMPDIR/no_symbol"
	CNODE_MODULE_PATH=/nowhere:$m daemon 3 "lacks the symbol" -sname x -epmd none -load no_symbol
	CNODE_MODULE_PATH=$BATS_TEST_TMPDIR daemon 3 "lacks the symbol" -sname x -epmd none -load no_symbol
}

@test "cnoded never takes a bare name from the current folder" {
	cd "$BATS_FILE_TMPDIR/modules"
	daemon 3 "not found" -sname x -epmd none -load no_symbol
	daemon 3 "not found" -sname x -epmd none -load no_symbol.so
	CNODE_MODULE_PATH=: daemon 3 "not found" -sname x -epmd none -load no_symbol
	LD_LIBRARY_PATH=$PWD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} daemon 3 "not found" -sname x -epmd none -load no_symbol.so
}

@test "cnoded refuses what is no module, or one of another ABI" {
	local m=$BATS_FILE_TMPDIR/modules
	daemon 3 "cnode_module_entry" -sname x -epmd none -load "$m/no_symbol"
	daemon 3 "module ABI 2, this cnoded has ABI 1" -sname x -epmd none -load "$m/other_abi"
	daemon 3 "bytes, this cnoded expects" -sname x -epmd none -load "$m/other_size"
	daemon 0 "is good" -check -sname x -epmd none -load "$m/later"
	daemon 3 "has no start hook" -sname x -epmd none -load "$m/no_start"
	daemon 3 "nobody_has_this" -sname x -epmd none -load "$m/unresolved"
	daemon 3 "$m/text.so" -sname x -epmd none -load "$m/text"
	daemon 3 "module refuses cannot start: " -sname x -epmd none -load "$m/refuses"
	daemon 3 "module adder is loaded already" -sname x -epmd none -load "$m/adder" -load "$m/adder.so"
}

@test "cnoded names a factory that nobody has, and those there are" {
	local m=$BATS_FILE_TMPDIR/modules
	daemon 2 "there is no factory nosuch; no loaded module has any" -sname x -epmd none -allow nosuch
	daemon 2 "there is no factory nosuch; the loaded modules have adder, closed" -sname x -epmd none \
		-load "$m/adder" -allow nosuch
	daemon 2 "-allow adder=nohost: 'nohost': it has no '@'" -sname x -epmd none -load "$m/adder" -allow adder=nohost
	daemon 2 "-allow adder=: FACTORY or" -sname x -epmd none -load "$m/adder" -allow adder=
}

# ---- cnoded: the network ----

@test "cnoded says that a port is in use" {
	needs_beam
	local port=$(free_port)
	start N ready "$bin/cnoded" -name one@127.0.0.1 -listen 127.0.0.1:$port
	daemon 6 "$port" -name two@127.0.0.1 -listen 127.0.0.1:$port
	stop "$N"
}

@test "cnoded says that it may not listen on a port" {
	test "$(id -u)" -ne 0 || ! command -v setpriv >/dev/null && skip "needs a port that is forbidden"
	test "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)" -gt 79 ||
		skip "every port is allowed here"
	run setpriv --bounding-set -all --inh-caps -all --reuid 65534 --clear-groups \
		"$bin/cnoded" -name x@127.0.0.1 -setcookie c -epmd none -listen 127.0.0.1:79 3>&-
	echo "$output"
	[[ $status -eq 6 && ${#lines[@]} -eq 1 && $output == *permission*":79"* ]]
}

@test "cnoded says that an address is not of this machine" {
	daemon 6 "192.0.2.1" -name x@127.0.0.1 -epmd none -listen 192.0.2.1:0
}

@test "cnoded and cnode say what is wrong with epmd's environment" {
	local port
	for port in abc 0 70000 -1; do
		ERL_EPMD_PORT=$port daemon 6 "c1@127.0.0.1: ERL_EPMD_PORT is $port in the environment: a port from 1 to 65535 is wanted" -name c1@127.0.0.1
		ERL_EPMD_PORT=$port tool 6 "ERL_EPMD_PORT is $port in the environment: a port from 1 to 65535 is wanted" ping nobody@127.0.0.1
	done
	ERL_EPMD_ADDRESS=10.0.0.1,here daemon 6 "c1@127.0.0.1: ERL_EPMD_ADDRESS has here in the environment: at most 14 IP addresses are wanted, with commas between" -name c1@127.0.0.1
}

@test "cnoded says that its name is taken" {
	needs_beam
	daemon 5 "beam" -name beam@127.0.0.1
	daemon 5 "in use on this host" -name beam@127.0.0.1 -listen 127.0.0.1
	[[ $output != *listen* ]]
}

@test "cnoded says that there is no epmd with -epmd external" {
	ERL_EPMD_PORT=$(free_port) daemon 6 "another mode (-epmd external)" -name x@127.0.0.1 -epmd external
}

@test "cnoded tells when it is ready and leaves in order on SIGTERM" {
	needs_beam
	start N ready "$bin/cnoded" -name life@127.0.0.1 -load "$BATS_FILE_TMPDIR/modules/adder" -allow 'adder=*@127.0.0.1'
	grep -q '^cnoded: life@127.0.0.1 ready (port [0-9]*, visible; modules adder; factories adder)$' "$BATS_FILE_TMPDIR/N.out"
	tool 0 "name life at port" names
	stop "$N"
	run "$bin/cnode" names
	[[ $output != *life* ]]
}

# start_stuck NAME ARGUMENTS...: a node with a process that will never return from its callback.
# cnoded leaves it and its thread behind and ends with _exit, which is no leak to report.
start_stuck() {
	local name=$1; shift
	TSAN_OPTIONS=${TSAN_OPTIONS-}:report_thread_leaks=0 \
		start N ready "$bin/cnoded" -name "$name" -load "$BATS_FILE_TMPDIR/modules/stuck" "$@"
	tool 0 ok call "$name" stuck x
}

@test "cnoded leaves a process behind that does not end, and says so by its status" {
	needs_beam
	start_stuck stuck@127.0.0.1 -shutdown_timeout 1
	local status=0
	stop "$N" || status=$?
	test "$status" -eq 7
}

@test "cnoded takes signals that come together for one" {
	needs_beam
	start_stuck twice@127.0.0.1 -shutdown_timeout 1
	kill -TERM "$N"; kill -INT "$N"; kill -TERM "$N"
	local status=0
	wait "$N" || status=$?
	test "$status" -eq 7
}

@test "cnoded ends at once by a second signal" {
	needs_beam
	start_stuck stuck@127.0.0.1 -shutdown_timeout 250
	kill -INT "$N"
	# One that comes too soon counts as the same, so it is sent until it counts.
	while sleep 0.05; do kill -TERM "$N"; done 3>&- &
	local sender=$! status=0
	wait "$N" || status=$?
	kill "$sender"
	test "$status" -eq 143
}

@test "cnoded ignores SIGHUP and ends by SIGINT too" {
	needs_beam
	start N ready "$bin/cnoded" -name hup@127.0.0.1
	kill -HUP "$N"
	tool 0 pong ping hup@127.0.0.1
	kill -INT "$N"; wait "$N"
}

@test "cnoded says that no file descriptor is left to start with" {
	local n
	for n in 8 10; do
		run sh -c 'ulimit -n $1 && exec timeout 200 "$2/cnoded" -name x@127.0.0.1 -setcookie c -epmd none -listen 127.0.0.1' - $n "$bin" 3>&-
		echo "$n: $output"
		[[ $status -ne 0 && ${#lines[@]} -eq 1 ]]
		[[ $output == "cnoded: "*"no file descriptor is left"* ]]
	done
}

@test "cnoded without file descriptors keeps its connections, says so once, and accepts again" {
	needs_beam
	command -v prlimit >/dev/null && command -v perl >/dev/null || skip "needs prlimit and perl"
	local port strays=$BATS_TEST_TMPDIR/strays
	start N ready "$bin/cnoded" -name full@127.0.0.1 -load "$BATS_FILE_TMPDIR/modules/adder"
	port=$(sed -n 's/.*ready (port \([0-9]*\).*/\1/p' "$BATS_FILE_TMPDIR/N.out")
	# The Erlang node is connected, and stays so.
	tool 0 7 rpc beam@127.0.0.1 gen_server call "[{adder,'full@127.0.0.1'},{add,0}]"
	prlimit --pid "$N" --nofile=$(($(ls "/proc/$N/fd" | wc -l) + 2))
	mkfifo "$strays"
	perl -MIO::Socket::INET -e '
		push @s, IO::Socket::INET->new("127.0.0.1:$ARGV[0]") || die for 1 .. 20; open($f, "<", $ARGV[1]); <$f>' \
		"$port" "$strays" 3>&- &
	local holder=$!
	heard N "no connection can be accepted: no file descriptor is left"
	tool 0 8 rpc beam@127.0.0.1 gen_server call "[{adder,'full@127.0.0.1'},{add,1}]"
	tool 5 "" -timeout 0.5 ping "full@127.0.0.1:$port"
	echo >"$strays"; wait "$holder"
	heard N "connections are accepted again"
	tool 0 pong ping "full@127.0.0.1:$port" || { cat "$BATS_FILE_TMPDIR/N.out"; false; }
	tool 0 9 rpc beam@127.0.0.1 gen_server call "[{adder,'full@127.0.0.1'},{add,1}]"
	stop "$N"
	test "$(grep -c "no connection can be accepted" "$BATS_FILE_TMPDIR/N.out")" -eq 1
	! grep "connection with beam@127.0.0.1.*ended" "$BATS_FILE_TMPDIR/N.out"
}

@test "cnoded takes its cookie from standard input, and stops when that is closed" {
	local input=$BATS_TEST_TMPDIR/input
	mkfifo "$input"
	exec 8<>"$input"
	printf 'from-a-pipe\nwhat follows is nobody'"'"'s\n' >&8
	start P " ready" sh -c 'exec "$0" -name piped@127.0.0.1 -cookie_file - -stop_at_eof <"$1"' "$bin/cnoded" "$input"
	tool 0 pong -setcookie from-a-pipe ping piped@127.0.0.1
	tool 4 "cookie" -setcookie secret ping piped@127.0.0.1
	printf 'still here\n' >&8
	tool 0 pong -setcookie from-a-pipe ping piped@127.0.0.1
	exec 8>&-
	wait "$P"                                # status 0, or the test fails
	until grep -q "standard input has ended" "$BATS_FILE_TMPDIR/P.out"; do :; done
}

@test "cnoded does not wait for ever for processes when standard input is closed" {
	local input=$BATS_TEST_TMPDIR/input status=0
	mkfifo "$input"
	exec 8<>"$input"
	start P " ready" sh -c 'exec "$0" -name eof@127.0.0.1 -stop_at_eof -load "$2" -shutdown_timeout 1 <"$1"' \
		"$bin/cnoded" "$input" "$BATS_FILE_TMPDIR/modules/stuck"
	tool 0 ok call eof@127.0.0.1 stuck x
	exec 8>&-
	wait "$P" || status=$?
	test "$status" -eq 7
}

@test "cnoded ends well when it is asked to stop while it starts" {
	run sh -c 'echo a-cookie | "$0" -name early@127.0.0.1 -epmd none -cookie_file - -stop_at_eof 3>&-' "$bin/cnoded"
	[[ $status -eq 0 && $output == *"standard input has ended"* ]]
	# It may have been ready by then, but has nothing to complain of.
	[[ -z $(grep "cnoded: " <<<"$output" | grep -v " ready") ]]
}

@test "cnoded says what is wrong with a cookie from standard input" {
	run "$bin/cnoded" -name x@127.0.0.1 -epmd none -cookie_file - 3>&- </dev/null
	[[ $status -eq 4 && $output == *"standard input has ended without a cookie"* ]]
	run sh -c 'head -c 2000 /dev/zero | tr "\0" a | "$0" -name x@127.0.0.1 -epmd none -cookie_file - 3>&-' "$bin/cnoded"
	[[ $status -eq 4 && $output == *"too long for a cookie"* ]]
}

@test "cnoded can be the epmd of its host" {
	command -v epmd >/dev/null || skip "no epmd here"
	export ERL_EPMD_PORT; ERL_EPMD_PORT=$(free_port)
	start N ready "$bin/cnoded" -name self@127.0.0.1 -epmd embedded
	epmd -names | grep '^name self at port'
	tool 0 pong ping self@127.0.0.1
	daemon 6 "$ERL_EPMD_PORT" -name other@127.0.0.1 -epmd embedded
	stop "$N"
}

@test "cnoded does without epmd, by ports and routes, on IPv6 too" {
	export ERL_EPMD_PORT; ERL_EPMD_PORT=$(free_port)
	test -e /proc/net/if_inet6 && grep -q ' lo$' /proc/net/if_inet6 || skip "no IPv6 here"
	local port=$(free_port) second
	start N ready "$bin/cnoded" -name six@::1 -epmd none -listen "[::1]:$port"
	tool 0 pong ping "six@[::1]:$port"
	start second "connected" "$bin/cnoded" -name seven@127.0.0.1 -epmd none -route "six@::1=[::1]:$port" \
		-connect six@::1 -log info
	stop "$second"
	stop "$N"
}

@test "cnoded -connect joins a cluster, visible if told so" {
	needs_beam
	start N ready "$bin/cnoded" -name joined@127.0.0.1 -visible -connect beam@127.0.0.1
	tool 0 "true" rpc beam@127.0.0.1 erlang apply '[erlang, is_list, [[]]]'
	run timeout 200 sh -c "until '$bin/cnode' rpc beam@127.0.0.1 erlang nodes | grep joined@127.0.0.1; do :; done"
	test "$status" -eq 0
	stop "$N"
}

@test "a short name reaches a node with a long one, which only does not dial the other kind itself" {
	needs_beam
	tool 0 pong -sname "me$$" ping beam@127.0.0.1
}

@test "a tool that is through is no event in the log" {
	needs_beam
	start N ready "$bin/cnoded" -name quiet@127.0.0.1 -connect beam@127.0.0.1
	tool 0 pong ping quiet@127.0.0.1
	tool 0 pong ping quiet@127.0.0.1
	stop "$N"
	! grep -q "connection with cnode-" "$BATS_FILE_TMPDIR/N.out"
}

@test "cnoded -discover finds the nodes that epmd knows" {
	needs_beam
	start N ready "$bin/cnoded" -name finder@127.0.0.1 -discover "epmd:bea*@127.0.0.1"
	run timeout 200 sh -c "until '$bin/cnode' rpc beam@127.0.0.1 erlang nodes '[connected]' | grep finder@127.0.0.1; do :; done"
	test "$status" -eq 0
	stop "$N"
}

@test "cnode global lists, finds, registers and unregisters names, on a BEAM node and on a C node" {
	needs_beam
	start N ready "$bin/cnoded" -name member@127.0.0.1 -connect beam@127.0.0.1
	run timeout 200 sh -c "until '$bin/cnode' rpc beam@127.0.0.1 gen_server call '[global_name_server,get_known]' | grep member@; do :; done"
	test "$status" -eq 0
	tool 0 "" global beam@127.0.0.1 register '{job,1}' sink
	tool 0 "" global member@127.0.0.1 register here rex
	for node in beam member; do
		tool 0 "{job,1} <beam@127.0.0.1." global $node@127.0.0.1 list
		tool 0 "here <member@127.0.0.1." global $node@127.0.0.1 list
		tool 0 "<beam@127.0.0.1." global $node@127.0.0.1 whereis '{job,1}'
		tool 1 "no process is registered as nobody" global $node@127.0.0.1 whereis nobody
		tool 1 "taken" global $node@127.0.0.1 register here "$(test $node = beam && echo sink || echo net_kernel)"
		tool 1 "no process is registered as nosuch" global $node@127.0.0.1 register there nosuch
		tool 0 "" global $node@127.0.0.1 locks
	done
	tool 0 "" global member@127.0.0.1 unregister '{job,1}'
	tool 0 "" global beam@127.0.0.1 unregister here
	tool 0 "" global member@127.0.0.1 list
	test -z "$output"
	tool 2 "usage: cnode global NODE" global member@127.0.0.1 whereis
	stop "$N"
	printf 'access "*" { register = none }\n' >"$BATS_TEST_TMPDIR/closed.conf"
	start N ready "$bin/cnoded" -name member@127.0.0.1 -config "$BATS_TEST_TMPDIR/closed.conf"
	tool 1 "member@127.0.0.1 does not let this node register or unregister here" global member@127.0.0.1 register here rex
	tool 1 "member@127.0.0.1 does not let this node register or unregister here" global member@127.0.0.1 unregister here
	stop "$N"
}

@test "cnoded says in one line why it cannot join" {
	needs_beam
	start N "cookie" "$bin/cnoded" -name misfit@127.0.0.1 -setcookie other -connect beam@127.0.0.1
	kill "$N"
	start N "nosuch" "$bin/cnoded" -name misfit@127.0.0.1 -connect nosuch@127.0.0.1
	kill "$N"
}

@test "cnoded begins lines with their priority for the journal only" {
	run env JOURNAL_STREAM=1:1 "$bin/cnoded" -sname
	[[ $output == "cnoded: "* ]]
	run sh -c 'exec 2>"$2"; JOURNAL_STREAM=$(stat -c %d:%i "$2") "$1/cnoded" -sname; cat "$2"' - "$bin" "$BATS_TEST_TMPDIR/log"
	[[ $output == "<3>cnoded: "* ]]
}

# ---- cnode: the command line ----

@test "cnode -help and -version go to stdout with status 0" {
	tool 0 "usage: cnode " -help
	tool 0 "usage: cnode " ping --help
	tool 0 "cnode " -version
}

@test "cnode says that it cannot have the name of the node it is to talk to" {
	tool 2 "beam@127.0.0.1 is the name that -name gives the tool" -setcookie c -name beam@127.0.0.1 ping beam@127.0.0.1
}

@test "cnode and cnoded refuse an ERL_EPMD_PORT that is no port" {
	ERL_EPMD_PORT=43b tool 6 "ERL_EPMD_PORT is 43b" -setcookie c ping beam@127.0.0.1
	ERL_EPMD_PORT=70000 daemon 6 "ERL_EPMD_PORT is 70000" -name d@127.0.0.1 -setcookie c
}

@test "the help of cnode and cnoded is not cut, and fits 80 columns" {
	run "$bin/cnode" -help
	[[ $output == *"unregister NAME"* ]]
	test -z "$(printf '%s\n' "$output" | grep -E '.{81}')"
	run "$bin/cnoded" -help
	test -z "$(printf '%s\n' "$output" | grep -E '.{81}')"
}

@test "cnode refuses unknown commands, options, and wrong counts of words" {
	tool 2 "a command is missing"
	tool 2 "unknown command 'pong'" pong x
	tool 2 "unknown option -q" -q ping x
	tool 2 "too few words: usage: cnode ping NODE" ping
	tool 2 "too many words: usage: cnode ping NODE" ping a b
	tool 2 "too few words" rpc a@b m
	tool 2 "-v is for ping only" info -v a@b
	tool 2 "seconds from" -timeout 0 ping a@b
	tool 2 "is no node name" ping a@b@c
	tool 2 "is no node name" ping a@b:port
	tool 2 "is no node name" ping a@b:0
	tool 2 "is no node name" ping a@
}

@test "cnode shows with a caret where a term goes wrong, before it connects" {
	run "$bin/cnode" call a@b x '{add, 5'
	echo "$output"
	test "$status" -eq 2
	[[ ${lines[0]} == "cnode: this is no Erlang term"*"byte 8"* ]]
	test "${lines[1]}" = '  {add, 5'
	test "${lines[2]}" = '         ^'
	run "$bin/cnode" cast a@b x '{"žluť", }'
	echo "$output"
	test "${lines[1]}" = '  {"žluť", }'
	test "${lines[2]}" = '           ^'
	tool 2 "no Erlang term" send a@b x ''
	tool 2 "must be a list" rpc a@b m f '{1}'
	tool 2 "must be a list" spawn a@b m 42
}

@test "cnode takes a negative number as a term" {
	needs_beam
	tool 0 "" send beam@127.0.0.1 sink -5
}

# ---- cnode with live nodes ----

@test "cnode ping says pong to a BEAM node and to a C node" {
	needs_beam
	tool 0 pong ping beam@127.0.0.1
	tool 0 pong ping cn@127.0.0.1
	test "$("$bin/cnode" ping cn@127.0.0.1 2>&1)" = pong
}

@test "cnode ping -v shows the five steps" {
	needs_beam
	run "$bin/cnode" ping -v beam@127.0.0.1
	echo "$output"
	test "$status" -eq 0
	test "${#lines[@]}" -eq 6
	[[ ${lines[0]} == resolve*ok* && ${lines[1]} == epmd*ok* && ${lines[2]} == tcp*ok* ]]
	[[ ${lines[3]} == handshake*ok* && ${lines[4]} == ping*ok* && ${lines[5]} == pong ]]
}

@test "cnode ping -v names the step that fails: no such host" {
	tool 3 "resolve    FAILED" -setcookie c ping -v a@nosuch.invalid
	[[ $output == *"check the spelling"*pang ]]
}

@test "cnode ping -v names the step that fails: no epmd" {
	ERL_EPMD_PORT=$(free_port) tool 3 "epmd       FAILED" ping -v beam@127.0.0.1
	[[ $output == *"check that epmd runs there"* ]]
}

@test "cnode ping -v names the step that fails: not registered" {
	needs_beam
	tool 3 "epmd       FAILED" ping -v nosuch@127.0.0.1
	[[ $output == *"cnode names HOST"* ]]
}

@test "cnode ping -v names the step that fails: the port is closed" {
	tool 3 "tcp        FAILED" ping -v "beam@127.0.0.1:$(free_port)"
	[[ $output == *"as given, epmd is not asked"* ]]
}

@test "cnode ping -v names the step that fails: wrong cookie" {
	needs_beam
	tool 4 "handshake  FAILED" -setcookie wrong ping -v beam@127.0.0.1
	[[ $output == *"-cookie_file"*pang ]]
}

@test "cnode ping -v names the step that fails: the node refuses the name" {
	needs_beam
	start N up erl -noinput -name guard@127.0.0.1 -eval \
		'net_kernel:allow([list_to_atom("friend@127.0.0.1")]), io:format("up~n")'
	tool 4 "handshake  FAILED" -name stranger@127.0.0.1 ping -v guard@127.0.0.1
	[[ $output == *"net_kernel:allow/1"* ]]
	tool 0 pong -name friend@127.0.0.1 ping guard@127.0.0.1
	kill "$N"
}

@test "cnode ping -v names the step that fails: short against long names" {
	needs_beam
	local port; port=$("$bin/cnode" names 127.0.0.1 | sed -n 's/^name beam at port //p')
	test -n "$port"
	tool 4 "handshake  FAILED" -setcookie c ping -v "beam@localhost:$port"
	[[ $output == *"the node there is beam@127.0.0.1"*"-sname has no dot in its host"*pang ]]
}

@test "cnode ping -v names the step that fails: a flag that every node has is missing" {
	needs_beam
	start N port erl -noinput -eval '
		{ok, L} = gen_tcp:listen(0, [binary, {packet, 2}, {active, false}, {ip, {127, 0, 0, 1}}]), {ok, P} = inet:port(L),
		io:format("port ~b~n", [P]), {ok, S} = gen_tcp:accept(L), {ok, _} = gen_tcp:recv(S, 0), ok = gen_tcp:send(S, "sok"),
		Name = <<"old@127.0.0.1">>, ok = gen_tcp:send(S, [$N, <<0:64, 1:32, 5:32, (byte_size(Name)):16>>, Name]),
		gen_tcp:recv(S, 0)'
	tool 4 "handshake  FAILED" -setcookie c ping -v "old@127.0.0.1:$(sed -n 's/^port //p' "$BATS_FILE_TMPDIR/N.out")"
	[[ $output == *"lacks mandatory flags: "*BIG_CREATION*"older than OTP 23"*pang ]]
	kill "$N" 2>/dev/null || :
}

@test "cnode ping says pang and why on stderr" {
	needs_beam
	run sh -c '"$1/cnode" -setcookie wrong ping beam@127.0.0.1 2>/dev/null' - "$bin"
	test "$output" = pang
	tool 4 "cnode: " -setcookie wrong ping beam@127.0.0.1
}

@test "cnode await waits for a node that comes later, and only so long" {
	needs_beam
	tool 5 "late" -timeout 0.5 await late@127.0.0.1
	"$bin/cnode" -timeout 100 await late@127.0.0.1 3>&- &
	local waiter=$!
	start N ready "$bin/cnoded" -name late@127.0.0.1
	wait "$waiter"
	stop "$N"
}

@test "cnode names lists what epmd knows, without a cookie" {
	needs_beam
	run env HOME=/nonexistent "$bin/cnode" names 127.0.0.1
	echo "$output"
	test "$status" -eq 0
	[[ $output == *"name beam at port "* && $output == *"name cn at port "* ]]
	ERL_EPMD_PORT=$(free_port) tool 3 "epmd" names
	tool 3 "nosuch.invalid" names nosuch.invalid
}

@test "cnode rpc shows the value, or what was raised" {
	needs_beam
	tool 0 "[1,2,3]" rpc beam@127.0.0.1 lists seq '[1, 3].'
	test "$output" = "[1,2,3]"
	tool 0 "beam@127.0.0.1" rpc beam@127.0.0.1 erlang node
	tool 0 '#{a => {1.5,<<"x">>}}' rpc beam@127.0.0.1 maps from_list '[[{a, {1.5, <<"x">>}}]]'
	tool 1 "erlang:hd on beam@127.0.0.1 raised error: badarg" rpc beam@127.0.0.1 erlang hd '[[]]'
	tool 1 "raised throw: {ball,1}" rpc beam@127.0.0.1 erlang throw '[{ball,1}]'
	tool 1 "raised exit: done" rpc beam@127.0.0.1 erlang exit '[done]'
	tool 1 "undef" rpc beam@127.0.0.1 no_module no_function
	tool 5 "" -timeout 0.3 rpc beam@127.0.0.1 timer sleep '[10000]'
	tool 3 "" rpc nosuch@127.0.0.1 erlang node
	tool 4 "cookie" -setcookie wrong rpc beam@127.0.0.1 erlang node
}

@test "cnode rpc to a C node is answered clearly" {
	needs_beam
	tool 1 "" rpc cn@127.0.0.1 lists seq '[1, 3]'
}

@test "cnode call, cast and send reach a registered process" {
	needs_beam
	tool 0 "10" call cn@127.0.0.1 adder '{add, 3}'
	tool 0 "" cast cn@127.0.0.1 adder '{add, 5}'
	test -z "$output"
	tool 0 "15" call cn@127.0.0.1 adder '{add, 0}'
	tool 0 "{error,bad_request}" call cn@127.0.0.1 adder hello
	tool 0 "" send beam@127.0.0.1 stopper '{a, b, "c"}'
	run timeout 200 sh -c "until '$bin/cnode' rpc beam@127.0.0.1 erlang whereis '[stopper]' | grep undefined; do :; done"
	test "$status" -eq 0
	tool 1 "no process is registered as nobody on beam@127.0.0.1" send beam@127.0.0.1 nobody hello
	tool 1 "no process is registered as nobody on cn@127.0.0.1" cast cn@127.0.0.1 nobody hello
	tool 1 "no process is registered as nobody" call beam@127.0.0.1 nobody hello
	tool 1 "called Elixir.My.Server" call beam@127.0.0.1 My.Server hello
	tool 5 "" -timeout 0.3 call beam@127.0.0.1 sink hello
}

@test "cnode spawn starts a process from a factory and says why it may not" {
	needs_beam
	tool 0 "<" spawn cn@127.0.0.1 adder '[1]'
	tool 1 "does not take these arguments" spawn cn@127.0.0.1 adder '[one]'
	tool 1 "not allow" spawn cn@127.0.0.1 closed '[1]'
	[[ $output == *"-allow closed=ME"* ]]
	tool 1 "cnode factories cn@127.0.0.1" spawn cn@127.0.0.1 nosuch '[1]'
}

@test "cnode factories, allow and deny show and change who may spawn" {
	needs_beam
	tool 1 "does not let" factories cn@127.0.0.1
	[[ $output == *"-allow_fun 'cnode:*=ME'"* ]]
	tool 1 "no C node that can be asked" factories beam@127.0.0.1
	tool 0 "FACTORY" -name admin@127.0.0.1 factories cn@127.0.0.1
	[[ $output == *"closed"*"none "* ]]
	tool 0 "" -name admin@127.0.0.1 allow cn@127.0.0.1 closed 'a@127.0.0.1,guest*@127.0.0.1'
	tool 0 "list" -name admin@127.0.0.1 factories cn@127.0.0.1
	[[ $output == *"a@127.0.0.1,guest*@127.0.0.1"* ]]
	tool 0 "<" -name guest1@127.0.0.1 spawn cn@127.0.0.1 closed '[1]'
	tool 0 "" -name admin@127.0.0.1 allow cn@127.0.0.1 closed all
	tool 0 "" -name admin@127.0.0.1 deny cn@127.0.0.1 closed guest1@127.0.0.1
	tool 1 "not allow" -name guest1@127.0.0.1 spawn cn@127.0.0.1 closed '[1]'
	tool 0 "!guest1@127.0.0.1" -name admin@127.0.0.1 factories cn@127.0.0.1
	tool 0 "" -name admin@127.0.0.1 deny cn@127.0.0.1 closed all
	tool 1 "has no factory nosuch" -name admin@127.0.0.1 deny cn@127.0.0.1 nosuch all
	tool 2 "neither all nor" -name admin@127.0.0.1 allow cn@127.0.0.1 closed 'a@h,,b@h'
	tool 2 "neither all nor" -name admin@127.0.0.1 allow cn@127.0.0.1 closed ''
	tool 1 "" -name admin@127.0.0.1 allow cn@127.0.0.1 closed no_at
}

@test "cnode info shows what is known of a node" {
	needs_beam
	tool 0 "otp_release: " info beam@127.0.0.1
	[[ $output == "node: beam@127.0.0.1"*creation* ]]
	tool 0 "node: cn@127.0.0.1" info cn@127.0.0.1
}

@test "cnode ps lists the processes of a BEAM node, and of a C node that allows it" {
	needs_beam
	tool 0 " kernel_sup " ps beam@127.0.0.1
	[[ ${lines[0]} == PID*NAME*STATUS*QUEUE*REDUCTIONS*BYTES* ]]
	start N ready "$bin/cnoded" -name seen@127.0.0.1 -load "$BATS_FILE_TMPDIR/modules/adder" -load "$BATS_FILE_TMPDIR/modules/opens"
	tool 0 " adder " ps seen@127.0.0.1
	[[ $output == *" rex "* && $output == *" net_kernel "* ]]
	stop "$N"
	tool 1 "not allow" ps cn@127.0.0.1
	[[ $output == *"-allow_fun 'erlang:*'"* ]]
	start N ready "$bin/cnoded" -name seen@127.0.0.1 -allow_fun 'erlang:*'
	tool 0 " net_kernel " ps seen@127.0.0.1
	stop "$N"
}

@test "CNODE_TRACE logs one Erlang term for each event, and never the cookie" {
	needs_beam
	CNODE_TRACE=handshake,spawn start N ready "$bin/cnoded" -name traced@127.0.0.1 -load "$BATS_FILE_TMPDIR/modules/adder" -allow adder
	tool 0 "<" spawn traced@127.0.0.1 adder '[1]'
	tool 0 8 call traced@127.0.0.1 adder '{add,1}'
	stop "$N"
	local log=$BATS_FILE_TMPDIR/N.out
	grep -q "trace: {handshake,in,'',{send_name,'cnode[^']*',16#[0-9a-f]*,[0-9]*}}$" "$log"
	grep -q "trace: {handshake,out,'[^']*',{status,'ok'}}$" "$log"
	grep -q "trace: {handshake,in,'[^']*',challenge_reply}$" "$log"
	grep -q "trace: {handshake,done,'[^']*',ok}$" "$log"
	grep -q "trace: {spawn,in,'[^']*',{spawn_request,#Ref<[^>]*>,<[^>]*>,<[^>]*>,{'adder','start',1},\[.*\]},\[1\]}$" "$log"
	grep -q "trace: {spawn,out,'[^']*',{spawn_reply,#Ref<[^>]*>,<[^>]*>,0,<traced@127.0.0.1[^>]*>}}$" "$log"
	! grep -q "trace: {signal\|trace: {frame\|secret" "$log"
}

@test "CNODE_TRACE=frames,signals logs frames and signals" {
	needs_beam
	CNODE_TRACE=frames,signals start N ready "$bin/cnoded" -name traced@127.0.0.1 -load "$BATS_FILE_TMPDIR/modules/adder"
	tool 0 8 call traced@127.0.0.1 adder '{add,1}'
	stop "$N"
	local log=$BATS_FILE_TMPDIR/N.out
	grep -q "trace: {frame,in,'[^']*',message,[0-9]*}$" "$log"
	grep -q "trace: {frame,out,'[^']*',message,[0-9]*}$" "$log"
	grep -q "trace: {signal,in,'[^']*',{monitor,<[^>]*>,'adder',#Ref<[^>]*>}}$" "$log"
	grep -q "trace: {signal,in,'[^']*',{reg_send,<[^>]*>,'adder'},{'\$gen_call',{.*},{add,1}}}$" "$log"
	grep -q "trace: {signal,out,'[^']*',{alias_send,.*},{\[alias|.*\],8}}$" "$log"
	! grep -q "trace: {handshake\|secret" "$log"
}

@test "CNODE_TRACE with a word that it does not know is refused by name" {
	CNODE_TRACE=frames,singals daemon 4 "I do not know 'singals'; it takes handshake, frames, signals, spawn" -name x@127.0.0.1
}

@test "a crash is logged with what OTP's crash report has" {
	needs_beam
	echo 'access adder { exit = all }' >"$BATS_TEST_TMPDIR/exit.conf"
	start N ready "$bin/cnoded" -config "$BATS_TEST_TMPDIR/exit.conf" -name crashes@127.0.0.1 \
		-load "$BATS_FILE_TMPDIR/modules/adder" -allow adder
	run "$bin/cnode" rpc beam@127.0.0.1 erlang spawn "['crashes@127.0.0.1',adder,start,[one]]"
	tool 0 "" rpc beam@127.0.0.1 sys terminate "[{adder,'crashes@127.0.0.1'},{why,so}]"
	stop "$N"
	cat "$BATS_FILE_TMPDIR/N.out"
	grep -Eq 'error: process <[0-9]+\.0> adder \(adder\) terminated: \{why,so\}; initial call: adder:init/1, registered_name: adder, ancestors: \[\], message_queue_len: 0, links: \[\], trap_exit: false, messages handled: [0-9]+, run time: [0-9]+ us$' "$BATS_FILE_TMPDIR/N.out"
}

@test "cnode reaches a node by its port, without epmd" {
	needs_beam
	local port
	port=$("$bin/cnode" names | sed -n 's/^name cn at port //p')
	ERL_EPMD_PORT=$(free_port) tool 0 pong ping "cn@127.0.0.1:$port"
}

@test "cnode says when stdout cannot take the answer" {
	needs_beam
	test -w /dev/full || skip "no /dev/full"
	run sh -c '"$1/cnode" rpc beam@127.0.0.1 erlang node >/dev/full' - "$bin"
	[[ $status -eq 6 && $output == *"cannot write to stdout"* ]]
}
