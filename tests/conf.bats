#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The configuration of cnoded: what stands in files, every way it can be wrong, and what a
# running node takes over on SIGHUP, seen by a live Erlang node.

load bats_help

setup_file() {
	mkdir -p "$BATS_FILE_TMPDIR/modules" "$BATS_FILE_TMPDIR/home"
	export HOME=$BATS_FILE_TMPDIR/home
	unset CNODE_COOKIE_FILE CREDENTIALS_DIRECTORY CNODE_CONFIG XDG_CONFIG_HOME JOURNAL_STREAM NOTIFY_SOCKET
	export CNODE_MODULE_PATH=$BATS_FILE_TMPDIR/modules
	(umask 077; printf secret >"$HOME/.erlang.cookie"; chmod 400 "$HOME/.erlang.cookie")
	export ERL_EPMD_PORT; ERL_EPMD_PORT=$(free_port)
	# Two factories, one of them open as its module wants it, and two functions; says what its section told it.
	module shop '
#include <cnode/cnode.h>
#include <stdio.h>
#include <string.h>
static int init(cnode_process *self, void *state, const cnode_start *how)
{ (void)self; (void)state; (void)how; return 0; }
static int call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{ (void)self; (void)state; (void)request; return cnode_reply(from, "{error,bad_request}"); }
static const cnode_behaviour item = { CNODE_BEHAVIOUR_INIT, .init = init, .handle_call = call };
static int seven(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{ (void)self; (void)context; (void)args; return cnode_format(result, "7"); }
static int start(cnode_node *node, void **state)
{ const char *sign = cnode_module_option(node, "sign"); int rc; *state = 0;
  if (sign) fprintf(stderr, "the sign is %s\n", sign);
  rc = cnode_factory_add(node, "closed", &item, 0, CNODE_NO_NODES);
  if (rc == 0) rc = cnode_factory_add(node, "open", &item, 0, CNODE_ALL_NODES);
  if (rc == 0) rc = cnode_function_export(node, "shop", "seven", 0, seven, 0, CNODE_NO_NODES);
  if (rc == 0) rc = cnode_function_export(node, "shop", "eight", 0, seven, 0, CNODE_NO_NODES);
  cnode_term args;
  if (rc == 0) rc = cnode_parse("[]", &args, 0);
  if (rc == 0) { rc = cnode_process_start(node, "keeper", &item, 0, args, 0); cnode_term_drop(args); }
  return rc; }
CNODE_MODULE("shop", start, 0)'
	module early '
#include <cnode/cnode.h>
#include <signal.h>
static int start(cnode_node *node, void **state) { (void)node; *state = 0; return raise(SIGHUP); }
CNODE_MODULE("early", start, 0)'
	module other_abi '#include <cnode/cnode.h>
__attribute__((visibility("default"))) const cnode_module cnode_module_entry = { CNODE_MODULE_ABI + 1, sizeof(cnode_module), "other_abi", 0, 0 };'
	module no_symbol 'int nothing_of_cnode;'
	if command -v epmd >/dev/null && command -v erl >/dev/null; then
		epmd -port "$ERL_EPMD_PORT" >/dev/null 2>&1 3>&- </dev/null &
		export EPMD_PID=$!
		until epmd -names >/dev/null 2>&1; do kill -0 $EPMD_PID || return 1; done
		# The buyer: spawns and calls when told to, and counts the nodes that went down.
		start BEAM up erl -noinput -name beam@127.0.0.1 -eval '
			Shop = list_to_atom("shop@127.0.0.1"),
			Spawn = fun(Node, Factory) ->
				Id = spawn_request(Node, Factory, start, [], []),
				receive {spawn_reply, Id, ok, _} -> ok; {spawn_reply, Id, error, Why} -> Why end end,
			register(buyer, spawn(fun() ->
				net_kernel:monitor_nodes(true, #{node_type => all}),
				(fun Loop(Downs) -> receive
					{nodedown, Shop, _} -> Loop(Downs + 1);
					{Updown, _, _} when Updown =:= nodeup; Updown =:= nodedown -> Loop(Downs);
					{_, From, {spawn, To, Factory}} -> gen_server:reply(From, Spawn(To, Factory)), Loop(Downs);
					{_, From, {storm, To, Factory}} ->
						gen_server:reply(From, ok),
						Loop(Downs + (fun Storm(Ok) -> receive
							{_, Stop, calm} -> gen_server:reply(Stop, Ok), 0
							after 0 -> Storm(case Spawn(To, Factory) of ok -> Ok + 1; _ -> Ok end)
						end end)(0));
					{_, From, downs} -> gen_server:reply(From, Downs), Loop(Downs)
				end end)(0) end)),
			io:format("up~n")'
		export BEAM
	fi
}

setup() {
	dir=$BATS_TEST_TMPDIR
	conf=$dir/cnoded.conf
	cd "$dir"
}

teardown() {
	test -z "${N-}" || kill -KILL "$N" 2>/dev/null || :
}

teardown_file() {
	test -z "${BEAM-}" || { kill -KILL "$BEAM" 2>/dev/null; gone "$BEAM" || :; }
	test -z "${EPMD_PID-}" || kill "$EPMD_PID" 2>/dev/null
	return 0
}

# wrong STATUS TEXT LINES: `cnoded -check` refuses these lines below a good first one, in one line with the text.
wrong() {
	printf 'sname = x # line 1\n%s' "$3" >"$conf"
	daemon "$1" "$2" -check -config "$conf"
}

# good ARGUMENTS...: `cnoded -check` finds nothing wrong, and warns of nothing.
good() {
	run timeout 200 "$bin/cnoded" -check "$@" 3>&-
	echo "$output"
	test "$status" -eq 0
	test "${#lines[@]}" -eq 1
	[[ $output == "cnoded: "*" good;"* ]]
}

# buys WANTED FACTORY: what the spawn of the BEAM node ends with.
buys() { test "$("$bin/cnode" call beam@127.0.0.1 buyer "{spawn,'shop@127.0.0.1',$2}")" = "$1"; }
calls() { [[ $("$bin/cnode" rpc beam@127.0.0.1 rpc call "['shop@127.0.0.1',shop,$2,[]]") == "$1" ]]; }
downs() { "$bin/cnode" call beam@127.0.0.1 buyer downs; }

# ---- what stands in a file ----

@test "a configuration is read, with comments, quotes and every kind of value" {
	cat >"$conf" <<-'EOF'
		# a comment // with more # in it
		name = "c1@127.0.0.1"   // another one
		cookie_file = '/nonexistent'
		/* one of
		   several lines */ visible = yes
		epmd = none
		listen = 127.0.0.1
		load = { shop }
		net_ticktime = 30 shutdown_timeout=7 overlap = report global_timeout = 20 busy_wait = long
		route = { a@10.0.0.1=10.0.0.1:9100, "b@::1=[::1]:9100" }
		factory closed { allow = { worker*@127.0.0.*, "a@10.0.0.1" } deny = worker7@127.0.0.1 }
		function shop:* { allow = all }
		limits { max_message = 64M max_processes = 5000 out_limit = 1G }
	EOF
	daemon 4 /nonexistent -check -config "$conf"
	sed -i /cookie_file/d "$conf"
	good -config "$conf"
}

@test "a mistake is named with its file and its line, behind comments too" {
	wrong 2 "$conf:6: threads x: a whole number from 1 to 1024" $'# 2\n/* 3\n 4 */ // 4\n  # 5\nthreads = x\n'
	wrong 2 "$conf:3: unknown key lissten; did you mean listen?" $'\nlissten = x'
	wrong 2 "$conf:2: unknown key nonsense" 'nonsense = x'
	wrong 2 "$conf:2: unknown key help" 'help = yes'
	wrong 2 "$conf:3: unknown key alow in a section factory; did you mean allow?" $'factory f {\n alow = all }'
	wrong 2 "$conf:2: unknown key max_messages in a section limits; did you mean max_message?" 'limits { max_messages = 1M }'
	wrong 2 "$conf:3: threads is there twice, in line 2 too" $'threads = 1\nthreads = 2'
	wrong 2 "$conf:3: allow is there twice, in line 2 too" $'factory f { allow = all\nallow = none }'
	wrong 2 "$conf:4: factory f is there twice, in line 2 too" $'factory f { }\n\nfactory f { }'
}

@test "what is no configuration at all is refused with its line" {
	wrong 2 "$conf:3: the string has no closing \" in its line" $'\nlisten = "x\n"'
	wrong 2 "$conf:2: the string has no closing ' in its line" "listen = 'x"
	wrong 2 "$conf:2: the comment that begins here has no end" $'/* listen = x\n\n'
	wrong 2 "$conf:2: this '{' has no '}'" $'factory f {\n allow = all'
	wrong 2 "$conf:3: this '{' has no '}'" $'\nload = { a,\n b'
	wrong 2 "$conf:2: unexpected closing brace" '}'
	wrong 2 "$conf:2: unexpected token '{'" 'threads = { 1 }'
	wrong 2 "$conf:2: threads: '=' is missing behind it" 'threads 1'
	wrong 2 "$conf:2: limits: '{' is missing behind it" 'limits x { }'
	wrong 2 "$conf:2: missing title for section 'factory'" 'factory { }'
	wrong 2 "$conf:2: missing opening brace for section 'factory'" 'factory f = x'
	wrong 2 '\q in a string' 'listen = "\q"'
	wrong 2 "$conf:2: unexpected token '('" '( )'
	wrong 3 "$conf:2: module m: " 'module m { path = /nonexistent/m }'
	wrong 2 "$conf:2: k: a key of a module has one value, not a list" 'module shop { k = {a, b} }'
	wrong 2 "$conf:2: a control character (byte 1)" $'\001'
	printf 'sname = x\nlisten = "\0"' >"$conf"
	daemon 2 "$conf:2: a control character (byte 0): is this a text file?" -check -config "$conf"
	head -c 5000000 /dev/zero >"$conf"
	daemon 2 "$conf: too large" -check -config "$conf"
}

@test "a string without end does not spoil what is read next" {
	command -v erl >/dev/null || skip "no erl here"
	printf 'sname = x\nepmd = none\nlog = notice' >"$conf"
	start N ready "$bin/cnoded" -config "$conf"
	printf 'log = "x' >"$conf"
	kill -HUP "$N"; heard N "stays as it was: $conf:1: the string has no closing"
	printf 'sname = x\nepmd = none\nthreads = nonsense' >"$conf"
	kill -HUP "$N"; heard N "stays as it was: $conf:3: threads nonsense"
	stop "$N"
}

@test "variables are expanded, and one that is not set is an error" {
	wrong 2 "$conf:2: the variable NOSUCH is not set; \${NOSUCH:-DEFAULT} would give a default" 'listen = ${NOSUCH}'
	wrong 2 "$conf:2: the variable NOSUCH is not set" 'listen = "a${NOSUCH}"'
	wrong 2 "$conf:2: a variable has no end" 'listen = "${HOME"'
	wrong 2 '${1}: ${NAME} or ${NAME:-DEFAULT} is wanted' 'listen = ${1}'
	wrong 2 "$conf:2: log loud: error" 'log = ${NOSUCH:-loud}'
	EMPTY= wrong 2 "$conf:2: log loud: error" 'log = lo${EMPTY:-ud}'
	LEVEL=nope wrong 2 "$conf:2: log nope: error" 'log = "${LEVEL}"'
	WORDS=$'a\nb' wrong 2 "$conf:2: the variable WORDS has a control character" 'log = ${WORDS}'
	printf %s "sname = x listen = '\${NOSUCH}' # \${NOSUCH}" >"$conf"
	daemon 2 '${NOSUCH}' -config "$conf" -epmd none -setcookie c
}

@test "a folder is cnoded.conf and then conf.d in order: the later replaces, += adds" {
	mkdir conf.d
	daemon 2 "$dir: the folder has neither cnoded.conf nor conf.d/*.conf" -check -config "$dir"
	daemon 2 "/nonexistent: No such file" -check -config /nonexistent
	printf 'sname = x\nlog = bad\nload = shop\nfactory closed { allow = all }\n' >"$conf"
	printf 'log = worse\nfactory closed { deny = "a@h" }\n' >conf.d/1.conf
	daemon 2 "$dir/conf.d/1.conf:1: log worse" -check -config "$dir"
	printf 'log = error\nload += { nosuch }\n' >conf.d/2.conf
	daemon 3 "$dir/conf.d/2.conf:2: load: module nosuch not found" -check -config "$dir"
	printf 'load = { }\n' >conf.d/3.conf
	printf 'this is not read' >conf.d/3.conf~
	printf 'nor this' >conf.d/.hidden.conf
	good -config "$dir"
	[[ $output == *"$conf, $dir/conf.d/1.conf, $dir/conf.d/2.conf, $dir/conf.d/3.conf are good"* ]]
	CNODE_CONFIG=$dir good
	CNODE_CONFIG=$dir daemon 2 "a name is missing" -check -config /dev/null
	chmod 000 conf.d/3.conf
	test "$(id -u)" -eq 0 || daemon 2 "$dir/conf.d/3.conf: Permission denied" -check -config "$dir"
}

@test "the command line counts more than the files" {
	printf 'name = nohost\nsetcookie = a\nvisible = yes\nthreads = 2\nlog = bad\nload = nosuch\nconnect = nohost\n' >"$conf"
	chmod o-r "$conf"
	printf 'secret' >cookie; chmod 400 cookie
	good -config "$conf" -sname x -cookie_file cookie -hidden -log error -load shop -connect a@b
	printf 'sname = x\nhidden = no\nfactory closed { allow = nohost }\n' >"$conf"
	daemon 2 "closed: allow: 'nohost'" -check -config "$conf"
	good -config "$conf" -allow closed=a@b
}

@test "contradictions are named with both places" {
	wrong 2 "$conf:1: sname and $conf:2: name contradict each other" 'name = x@y.z'
	wrong 2 "$conf:2: hidden and $conf:3: visible contradict" $'hidden = yes\nvisible = yes'
	wrong 2 "$conf:2: setcookie and $conf:3: cookie_file contradict" $'setcookie = a\ncookie_file = b'
	wrong 2 "$conf:3: factory closed: $conf:2: allow names it too" $'allow = closed\nfactory closed { allow = none }'
	wrong 2 "$conf:3: function a:b: $conf:2: allow_fun names it too" $'allow_fun = a:b\nfunction a:b { allow = none }'
}

@test "words, numbers and sizes are checked" {
	wrong 2 "$conf:2: visible maybe: yes or no is wanted" 'visible = maybe'
	wrong 2 "$conf:2: epmd maybe: auto, external, embedded or none" 'epmd = maybe'
	wrong 2 "$conf:2: overlap maybe: obey, report or ignore" 'overlap = maybe'
	wrong 2 "$conf:2: busy_wait maybe: short, none or long" 'busy_wait = maybe'
	wrong 2 "$conf:2: global_timeout x: a whole number from 1" 'global_timeout = x'
	wrong 2 "$conf:2: net_ticktime 0: a whole number from 1" 'net_ticktime = 0'
	wrong 2 "$conf:2: limits: max_message 1X: bytes from 65536" 'limits { max_message = 1X }'
	wrong 2 "$conf:2: limits: max_message 4G: bytes" 'limits { max_message = 4G }'
	wrong 2 "$conf:2: limits: max_mailbox 99999999999G: bytes" 'limits { max_mailbox = 99999999999G }'
	wrong 2 "$conf:2: limits: max_processes 3: a whole number" 'limits { max_processes = 3 }'
	wrong 2 "$conf:2: connect nohost: NAME@HOST" 'connect = nohost'
	wrong 2 "$conf:3: route a@b: NAME@HOST=ADDRESS:PORT" $'route = { a@c=d:1,\n a@b }'
	wrong 2 "$conf:2: listen x:y: ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT is wanted, PORT up to 65535" 'listen = x:y'
	wrong 2 "$conf:2: dns x:y: ADDRESS or ADDRESS:PORT is wanted" 'dns = x:y'
	wrong 2 "$conf:2: a list stands in braces, { A, B }, not in brackets" 'load = ["a", "b"]'
	wrong 2 "$conf:2: a list stands in braces, { A, B }, not in brackets" 'load = [a, b]'
	wrong 2 "$conf:2: discover nonsense: a source is" 'discover = nonsense'
	wrong 4 "$conf:2: cookie_file /nonexistent/cookie: it does not exist" 'cookie_file = /nonexistent/cookie'
	printf 'sname = "a b"' >"$conf"
	daemon 2 "$conf:1: sname a b@" -check -config "$conf"
	printf 'sname = x\nsetcookie = c\nepmd = none\nlisten = 192.0.2.1:0' >"$conf"; chmod o-r "$conf"
	daemon 6 "($conf:4: listen 192.0.2.1:0)" -config "$conf"
	printf 'sname = a@b.c' >"$conf"
	daemon 2 "$conf:1: sname a@b.c: the host of a short name has no dot" -check -config "$conf"
}

@test "names and lists that are none are refused, and what matches nothing is warned of" {
	local long; printf -v long %300s; long=${long// /x}
	wrong 2 "$conf:2: factory : the name is empty" 'factory "" { }'
	wrong 2 "the name is no atom: it has at most 255 characters of UTF-8" "factory $long { }"
	wrong 2 "the name is no atom" $'factory "\377" { }'
	wrong 2 "the name is no atom" "function a:$long { }"
	wrong 2 "$conf:2: function x: 'x' is no function: MODULE:FUNCTION" 'function x { }'
	wrong 2 "$conf:2: allow_fun x:: 'x:' is no function" 'allow_fun = x:'
	wrong 2 "$conf:3: factory f: allow: 'a': it has no '@'" $'factory f { allow = {\n a } }'
	wrong 2 "'a@': it has nothing before or behind the '@'" 'factory f { deny = a@ }'
	wrong 2 "'a@b@c': it has two '@'" 'factory f { deny = a@b@c }'
	wrong 2 "'': an entry is empty" 'factory f { allow = "" }'
	wrong 2 "'': an entry is empty" 'factory f { allow = { a@b, "" } }'
	wrong 2 "'': an entry is empty" 'factory f { allow = "a@b," }'
	wrong 2 "it is longer than 255 characters" "factory f { allow = a@$long }"
	wrong 2 "'!a@b': what is denied stands in the key deny" 'factory f { allow = "!a@b" }'
	local many; printf -v many '"n%s@h",' {1..10000}
	printf 'sname = x load = shop\nfactory closed { allow = { %s } }' "${many%,}" >"$conf"
	good -config "$conf"
	wrong 2 "$conf:2: access a: deny: a list has at most 10000 entries: '*@g' is one more" "access a { allow = { ${many%,} } deny = \"*@g\" }"
	wrong 2 "'all' stands alone" 'factory f { allow = { all, a@b } }'
	wrong 2 "$conf:2: allow f=: FACTORY or FACTORY=NAME@HOST,... is wanted" 'allow = "f="'
	printf 'sname = x load = shop factory closed { allow = {} } factory open { allow = none }' >"$conf"
	good -config "$conf"
	printf 'sname = x load = shop\nfactory closed { allow = "a@b.c" } function shop:* { allow = a*@* }' >"$conf"
	run timeout 200 "$bin/cnoded" -check -config "$conf"
	[[ $status -eq 0 && ${lines[0]} == "cnoded: $conf:2: factory closed: allow: 'a@b.c' matches no node: this node has a short name"* ]]
}

@test "a cookie in a file that everybody can read is refused" {
	printf 'sname = x\nsetcookie = c\n' >"$conf"
	chmod 644 "$conf"
	daemon 4 "$conf:2: setcookie: everybody can read this file" -check -config "$conf"
	chmod 640 "$conf"
	good -config "$conf"
}

@test "the sample is good, also with all that is commented out" {
	good -config "$top/cnode/cmd/cnoded.conf" -setcookie c
	sed -E 's/^# ([a-z_]+ = |[a-z_]+ ("[^"]*" |[a-z]+ )?\{|\}|    )/\1/' "$top/cnode/cmd/cnoded.conf" >"$conf"
	grep -q '^limits {' "$conf"
	# All of it is read and understood, up to files that are not here.
	daemon 4 /etc/cnode/cookie -check -config "$conf"
	daemon 3 "module counter not found" -check -config "$conf" -setcookie c
}

# ---- modules ----

@test "a module has its section in its start hook, and a key it does not ask for is an error" {
	printf 'sname = x\nepmd = none\nmodule shop {\n  sign = "open ${DAY:-daily}" }\nfactory closed { }\nfactory nosuch { }\n' >"$conf"
	run timeout 200 "$bin/cnoded" -config "$conf" -setcookie c 3>&-
	echo "$output"
	[[ $status -eq 2 && ${lines[0]} == "the sign is open daily" ]]
	[[ ${lines[1]} == "cnoded: $conf:6: factory nosuch: there is no factory nosuch; the loaded modules have closed, open" ]]
	printf 'sname = x\nepmd = none\nload = shop\nmodule shop {\n  sing = x }\n' >"$conf"
	daemon 3 "$conf:5: the module shop has no key sing" -config "$conf" -setcookie c
	good -config "$conf"
}

@test "a module that cannot be loaded is named with its section" {
	wrong 3 "$conf:2: module nosuch: module nosuch not found" 'module nosuch { }'
	wrong 3 "$conf:2: module other_abi: module $CNODE_MODULE_PATH/other_abi.so is built for module ABI 2, this cnoded has ABI 1" 'module other_abi { }'
	wrong 3 "lacks the symbol cnode_module_entry" 'module no_symbol { }'
	wrong 3 "$conf:2: module other: $CNODE_MODULE_PATH/shop.so is the module shop" "module other { path = $CNODE_MODULE_PATH/shop.so }"
	wrong 3 "$conf:3: load: module nosuch not found" $'load = { shop,\n nosuch }'
}

# ---- functions ----

@test "functions are closed, and opened by -allow-fun and by sections" {
	needs_beam
	start N ready "$bin/cnoded" -name shop@127.0.0.1 -load shop
	calls "{badrpc,{'EXIT',not_allowed}}" seven
	stop "$N"
	start N ready "$bin/cnoded" -name shop@127.0.0.1 -load shop -allow-fun shop:seven=beam@127.0.0.1
	calls 7 seven
	calls "{badrpc,{'EXIT',not_allowed}}" eight
	stop "$N"
	start N ready "$bin/cnoded" -name shop@127.0.0.1 -load shop -allow-fun 'shop:*'
	calls 7 eight
	stop "$N"
	printf 'name = shop@127.0.0.1\nload = shop\nfunction shop:* { allow = all deny = beam@127.0.0.1 }\n' >"$conf"
	start N ready "$bin/cnoded" -config "$conf"
	calls "{badrpc,{'EXIT',not_allowed}}" eight
	stop "$N"
	start N ready "$bin/cnoded" -config "$conf" -allow_fun 'shop:*=b*@127.0.0.1'
	calls 7 eight
	stop "$N"
	daemon 2 "-allow_fun x: 'x' is no function" -sname x -epmd none -allow-fun x
	daemon 2 "-allow_fun shop:seven=c: 'c': it has no '@'" -sname x -epmd none -load shop -allow-fun shop:seven=c
	start N ready "$bin/cnoded" -name shop@127.0.0.1 -load shop -allow-fun shop:nine
	heard N "-allow_fun shop:nine: shop:nine matches no function that a loaded module exports"
	stop "$N"
}

# ---- names and quotas ----

@test "access and quota sections are checked" {
	wrong 2 "$conf:2: access : the name is empty" 'access "" { allow = all }'
	wrong 2 "$conf:2: access db: allow: 'x': it has no '@'" 'access db { allow = x }'
	wrong 2 "$conf:2: unknown key alloww in a section access; did you mean allow?" 'access db { alloww = x }'
	wrong 2 "$conf:2: factory f: processes 0: a whole number from 1" 'factory f { processes = 0 }'
	wrong 2 "$conf:2: quota q: spawns_per_second x: a whole number" 'quota q { spawns_per_second = x }'
	wrong 2 "$conf:2: quota q: neither processes nor spawns_per_second is given" 'quota q { nodes = a@b }'
	wrong 2 "$conf:2: quota q: nodes: 'x': it has no '@'" 'quota q { nodes = x processes = 1 }'
	wrong 2 "$conf:3: access f: exit: another section says it too" $'factory f { exit = all }\naccess f { exit = none }'
	printf 'sname = x epmd = none setcookie = c load = shop\nquota q { factory = nosuch processes = 1 }' >"$conf"; chmod o-r "$conf"
	daemon 2 "$conf:2: quota q: there is no factory nosuch; the loaded modules have closed, open" -config "$conf"
}

@test "names are guarded and quotas hold, and SIGHUP changes both" {
	needs_beam
	printf 'name = shop@127.0.0.1\nload = shop\naccess keeper { deny = beam@127.0.0.1 }\nfactory open { processes = 2 }\n' >"$conf"
	start N ready "$bin/cnoded" -config "$conf"
	tool 1 noproc rpc beam@127.0.0.1 gen_server call "[{keeper,'shop@127.0.0.1'},hello]"
	tool 0 "{error,bad_request}" call shop@127.0.0.1 keeper hello
	buys ok open; buys ok open; buys system_limit open
	printf 'name = shop@127.0.0.1\nload = shop\naccess keeper { allow = beam@127.0.0.1 }\nquota all { processes = 3 }\n' >"$conf"
	kill -HUP "$N"; heard N "read the configuration again"
	tool 0 bad_request rpc beam@127.0.0.1 gen_server call "[{keeper,'shop@127.0.0.1'},hello]"
	tool 1 "no process is registered as keeper" call shop@127.0.0.1 keeper hello
	buys ok open; buys system_limit open
	printf 'name = shop@127.0.0.1\nload = shop\n' >"$conf"
	kill -HUP "$N"; heard N "read the configuration again" 2
	tool 0 "{error,bad_request}" call shop@127.0.0.1 keeper hello
	buys ok open; buys ok open
	stop "$N"
}

# ---- SIGHUP ----

@test "SIGHUP opens and closes lists without dropping a connection" {
	needs_beam
	printf 'name = shop@127.0.0.1\nload = shop\nfactory closed { allow = all }\nfunction shop:seven { allow = all }\n' >"$conf"
	start N ready "$bin/cnoded" -config "$conf"
	buys ok closed
	buys ok open
	calls 7 seven
	local before; before=$(downs)
	printf 'name = shop@127.0.0.1\nload = shop\nfactory closed { deny = b* }\n' >"$conf"
	kill -HUP "$N"; heard N "stays as it was: $conf:3: factory closed: deny: 'b*': it has no '@'"
	buys ok closed
	printf 'name = shop@127.0.0.1\nload = shop\nfactory closed { allow = all deny = beam@127.0.0.1 }\nfactory open { allow = "x@127.0.0.1" }\n' >"$conf"
	kill -HUP "$N"; heard N "read the configuration again ($conf)"
	buys not_allowed closed
	buys not_allowed open
	calls "{badrpc,{'EXIT',not_allowed}}" seven
	# Without a section a factory is again as its module made it.
	printf 'name = shop@127.0.0.1\nload = shop\n' >"$conf"
	kill -HUP "$N"; heard N "read the configuration again" 2
	buys not_allowed closed
	buys ok open
	printf 'name = shop@127.0.0.1\nload = shop\nallow = closed=b*@127.0.0.1\nallow_fun = shop:*\n' >"$conf"
	kill -HUP "$N"; heard N "read the configuration again" 3
	buys ok closed
	calls 7 eight
	test "$(downs)" = "$before"
	stop "$N"
	! grep -q "connection with beam@127.0.0.1.* ended: the peer" "$BATS_FILE_TMPDIR/N.out"
}

@test "who is denied before and after a reload is denied during it" {
	needs_beam
	local some='name = shop@127.0.0.1 load = shop factory closed { allow = "x@127.0.0.1" }'
	local most='name = shop@127.0.0.1 load = shop factory closed { allow = all deny = beam@127.0.0.1 }'
	printf '%s\n' "$some" >"$conf"
	start N ready "$bin/cnoded" -config "$conf" -log error
	"$bin/cnode" call beam@127.0.0.1 buyer "{storm,'shop@127.0.0.1',closed}"
	for i in $(seq 1 50); do
		if test $((i % 2)) = 0; then printf '%s\n' "$some"; else printf '%s\n' "$most"; fi >"$conf.new"
		mv "$conf.new" "$conf"
		kill -HUP "$N"; heard N "read the configuration again" "$i"
	done
	test "$("$bin/cnode" call beam@127.0.0.1 buyer calm)" = 0
	stop "$N"
}

@test "SIGHUP changes the log level, and says what takes effect later" {
	needs_beam
	printf 'name = shop@127.0.0.1\nload = shop\nlog = none\nmodule shop { sign = a }' >"$conf"
	start N ready "$bin/cnoded" -config "$conf"
	tool 0 pong ping shop@127.0.0.1
	printf 'name = shop@127.0.0.1\nlisten = 127.0.0.1\nlog = info\nlimits { max_processes = 99 }\nmodule shop { sign = b }\nmodule early { }\n' >"$conf"
	kill -HUP "$N"; heard N "read the configuration again"
	for what in listen load "the limit max_processes" "module shop" "module early"; do
		grep -q "^cnoded: $what has changed: it takes effect when cnoded starts again" "$BATS_FILE_TMPDIR/N.out"
	done
	! grep -q " info: \| notice: \|cnoded: name has changed" "$BATS_FILE_TMPDIR/N.out"
	tool 0 pong ping shop@127.0.0.1
	heard N " info: "
	stop "$N"
}

@test "a SIGHUP that comes while cnoded starts is kept, and SIGTERM still ends it" {
	printf 'sname = x\nepmd = none\nsetcookie = c\nload = early\n' >"$conf"; chmod o-r "$conf"
	start N "read the configuration again" "$bin/cnoded" -config "$conf"
	stop "$N"
	# Without any file there is nothing to read, and nothing to say against it.
	start N ready "$bin/cnoded" -sname x -epmd none -setcookie c -config /dev/null
	kill -HUP "$N"; heard N "read the configuration again (/dev/null)"
	kill -INT "$N"; wait "$N"
}

@test "a reload after the file has gone keeps what there was" {
	needs_beam
	printf 'name = shop@127.0.0.1\nload = shop\nfactory closed { allow = all }\n' >"$conf"
	start N ready "$bin/cnoded" -config "$conf"
	rm "$conf"
	kill -HUP "$N"; heard N "stays as it was: $conf: No such file"
	buys ok closed
	stop "$N"
}

@test "systemd hears that cnoded reloads, and how it went" {
	printf 'sname = x\nepmd = none\nsetcookie = c\n' >"$conf"; chmod o-r "$conf"
	start SYSTEMD listening perl -MIO::Socket::UNIX -e '
		$| = 1; $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die; print "listening\n";
		while (1) { $s->recv($m, 4096); $m =~ s/\n/ /g; print "told $m\n" }' "$dir/notify"
	NOTIFY_SOCKET=$dir/notify start N ready "$bin/cnoded" -config "$conf"
	heard SYSTEMD "told READY=1 STATUS=port"
	kill -HUP "$N"
	heard SYSTEMD "told RELOADING=1 MONOTONIC_USEC="
	heard SYSTEMD "told READY=1 STATUS=read the configuration again"
	echo '}' >>"$conf"; kill -HUP "$N"
	heard SYSTEMD "told READY=1 STATUS=could not read the configuration again: $conf:4"
	stop "$N"; kill "$SYSTEMD"
}

@test "a socket for systemd in the abstract namespace is told, and one that nobody has changes nothing" {
	printf 'sname = x\nepmd = none\nsetcookie = c\n' >"$conf"; chmod o-r "$conf"
	start SYSTEMD listening perl -MIO::Socket::UNIX -e '
		$| = 1; $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "\0$ARGV[0]") or die; print "listening\n";
		while (1) { $s->recv($m, 4096); $m =~ s/\n/ /g; print "told $m\n" }' "cnode-$$"
	NOTIFY_SOCKET=@cnode-$$ start N ready "$bin/cnoded" -config "$conf"
	heard SYSTEMD "told READY=1 STATUS=port"
	stop "$N"; kill "$SYSTEMD"
	for at in "$dir/nobody" @cnode-nobody nonsense "$(printf '/%0300d' 1)" ""; do
		NOTIFY_SOCKET=$at start N ready "$bin/cnoded" -config "$conf"
		stop "$N"
	done
}
