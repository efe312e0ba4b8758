%% SPDX-License-Identifier: Apache-2.0
%% The client with live C nodes. EUnit runs it (all_test_/0), and cnode_tap where there is no EUnit.
%% CNODE_BUILD names a build of the C side. The node is made distributed if it is not.
-module(cnode_tests).
-include_lib("stdlib/include/assert.hrl").
-export([all_test_/0, cases/0, setup/0, cleanup/1]).
%% Run in other BEAMs.
-export([on_no_node/0, hold_and_die/0, without_epmd/0]).

-define(N, 'cnode_tests_c1@127.0.0.1').
-define(N2, 'cnode_tests_c2@127.0.0.1').

all_test_() ->
    {setup, fun setup/0, fun cleanup/1,
     fun(_) -> [{spawn, {timeout, 60, {Title, Fun}}} || {Title, Fun} <- cases()] end}.

setup() ->
    logger:set_primary_config(level, none),
    is_alive() orelse net_kernel:start([list_to_atom("cnode_tests_" ++ os:getpid() ++ "@127.0.0.1"), longnames]).

cleanup(_) -> ok.

cases() ->
    [{"a process of a factory is a gen_server like others", fun starts/0},
     {"what cannot be started has a reason", fun refusals/0},
     {"a node without a name gets not_alive, and stays without a name", fun not_alive/0},
     {"an option that does not exist is named", fun bad_options/0},
     {"a name that is taken leads to who has it", fun taken/0},
     {"what init ended with is the reason, whole", fun init_fails/0},
     {"what starts too late is ended by its node", fun init_late/0},
     {"the options of a spawn reach the process", fun options/0},
     {"a name can be a global one from the beginning", fun registers_globally/0},
     {"a node tells its factories to those it lets ask", fun factories/0},
     {"start_link links, and a failed start sends no exit signal", fun links/0},
     {"start_monitor monitors", fun monitors/0},
     {"a node that does not answer is a timeout, and no message comes late", fun late/0},
     {"get_or_start starts one process for many callers, by a local name", fun one_local/0},
     {"get_or_start starts one process for many callers, by a global name", fun one_global/0},
     {"await_nodes waits for nodes that start later, and names those that are missing", fun awaits/0},
     {"a keeper's C process is called by via", fun via/0},
     {"a C process that ends, ends its keeper by its reason", fun keeper_ends/0},
     {"a keeper that ends takes its C process along, killed or not", fun keeper_takes_along/0},
     {"a start that can never work is an error at once", fun keeper_refused/0},
     {"a node that is killed costs no restart", fun node_killed/0},
     {"a node that stops in order costs no restart", fun node_stops/0},
     {"keepers of a node that is not there yet wait for it", fun node_comes/0},
     {"a program starts, is restarted as a new incarnation, and ends with its supervisor", fun program/0},
     {"a crash in C is the loss of the node, and is recovered from", fun crash/0},
     {"the cookie is in no command line and no environment", fun cookie_hidden/0},
     {"a program reads the configuration it is given, and no other", fun program_config/0},
     {"a program that cannot start says why", fun program_fails/0},
     {"a program that is not ready in time is killed", fun program_late/0},
     {"a program that does not stop in time is killed", fun program_stuck/0},
     {"a program of one's own is held the same way", fun own_program/0},
     {"a name that epmd has not let go yet is waited for", fun name_lingers/0},
     {"the program ends when its BEAM is killed", fun beam_dies/0},
     {"a pool spreads calls over its workers, and has those that end replaced", fun pool/0},
     {"the workers of a node that is lost move to those that are left", fun pool_moves/0},
     {"a pool places its workers and chooses among them as it is told", fun pool_strategies/0},
     {"a pool without workers is noproc", fun pool_empty/0},
     {"routes reach nodes that no epmd knows", fun routes/0}].

%%---- processes ----

starts() ->
    with_node(fun() ->
        {ok, Pid} = cnode:start(?N, counter, [10]),
        ?assertEqual(?N, node(Pid)),
        ?assertEqual(15, gen_server:call(Pid, {add, 5})),
        {ok, Named} = cnode:start(?N, counter, [1], #{name => mine}),
        ?assertEqual(1, gen_server:call({mine, ?N}, get)),
        ?assertEqual(Named, element(2, sys:get_status({mine, ?N})))
    end).

refusals() ->
    with_node(fun() ->
        ?assertEqual({error, badarg}, cnode:start(?N, counter, [ten])),
        ?assertEqual({error, undef}, cnode:start(?N, no_such_factory, [])),
        ?assertEqual({error, not_allowed}, cnode:start(?N, codec, [])),
        ?assertEqual({error, badopt}, cnode:start(?N, counter, [1], [{spawn_opt, [{no_such_option, 1}]}]))
    end),
    ?assertEqual({error, {nodedown, 'nobody@127.0.0.1'}}, cnode:start('nobody@127.0.0.1', counter, [1])),
    ?assertEqual({error, {nodedown, 'nobody@127.0.0.1'}}, cnode:factories('nobody@127.0.0.1')).

not_alive() -> ?assertEqual("ok", other_beam("", on_no_node)).

on_no_node() ->
    Error = {error, not_alive},
    Error = cnode:start(?N, counter, [1]),
    Error = cnode:await_nodes([?N], 10),
    Error = cnode:factories(?N),
    Error = cnode_pool:start_link(#{name => p, nodes => [?N], factory => counter}),
    process_flag(trap_exit, true),
    Error = cnode_process:start_link(#{node => ?N, factory => counter}),
    Error = cnode_program:start_link(#{node => ?N}),
    false = is_alive(),
    io:format("ok").

bad_options() ->
    ?assertEqual({error, {badopt, {colour, red}}}, cnode:start(?N, counter, [1], [{colour, red}])),
    ?assertEqual({error, {badopt, {timeout, soon}}}, cnode:start(?N, counter, [1], #{timeout => soon})),
    ?assertEqual({error, {badopt, {spawn_opt, [{reply_tag, x}]}}}, cnode:start(?N, counter, [1], [{spawn_opt, [{reply_tag, x}]}])),
    ?assertEqual({error, {badopt, {spawn_opt, [monitor]}}}, cnode:start(?N, counter, [1], [{spawn_opt, [monitor]}])),
    process_flag(trap_exit, true),
    ?assertEqual({error, {badopt, [colour]}}, cnode_program:start_link(#{node => ?N, colour => red})),
    ?assertEqual({error, {badopt, [load]}}, cnode_program:start_link(#{node => ?N, program => "x", load => []})),
    ?assertEqual({error, {badopt, {node, c}}}, cnode_program:start_link(#{node => c})),
    ?assertEqual({error, {badopt, {load, "counter"}}}, cnode_program:start_link(#{node => ?N, load => "counter"})),
    ?assertEqual({error, {badopt, {allow, <<"counter">>}}}, cnode_program:start_link(#{node => ?N, allow => <<"counter">>})).

taken() ->
    with_node(fun() ->
        {ok, Pid} = cnode:start(?N, counter, [1], [{name, one}]),
        ?assertEqual({error, {already_started, Pid}}, cnode:start(?N, counter, [1], [{name, one}])),
        ?assertEqual({error, {already_started, Pid}}, cnode:start_link(?N, counter, [1], [{name, one}])),
        exit(Pid, kill),
        {ok, _} = until(fun() -> {ok, _} = cnode:start(?N, counter, [1], [{name, one}]) end)
    end).

init_fails() ->
    process_flag(trap_exit, true),
    with_node(fun() ->
        Reason = {no_disk, [<<"/dev/sdb">>]},
        ?assertEqual({error, {init, Reason}}, cnode:start(?N, moody, [{fail, Reason}])),
        ?assertEqual({error, {init, broken}}, cnode:start_link(?N, moody, [{fail, broken}])),
        ?assertEqual({error, {init, Reason}}, cnode_process:start_link(#{node => ?N, factory => moody, args => [{fail, Reason}]})),
        ?assertEqual(none, receive {spawn_failed, _, _} = Message -> Message after 0 -> none end)
    end).

init_late() ->
    with_node(fun() ->
        ?assertEqual({error, {timeout, 100}}, cnode:start(?N, moody, [{sleep, 60000}], [{name, sleepy}, {timeout, 100}])),
        ?assertEqual({error, {timeout, 50}}, cnode:start(?N, moody, [{sleep, 60000}], [{name, sleepy}, {init_timeout, 50}])),
        {ok, _} = until(fun() -> {ok, _} = cnode:start(?N, moody, [], [{name, sleepy}]) end)
    end).

options() ->
    with_node(fun() ->
        {ok, Pid} = cnode:start(?N, moody, [], #{env => [{colour, red}], application => painting, log_level => warning}),
        ?assertEqual({painting, red}, gen_server:call(Pid, env)),
        {ok, Nameless} = cnode:start(?N, moody, [], [{name, nobody}, {registration, none}]),
        ?assertEqual({'', none}, gen_server:call(Nameless, env)),
        {ok, _} = cnode:start(?N, moody, [], [{name, nobody}])
    end).

registers_globally() ->
    {ok, Program} = start_node(?N, #{visible => true}),
    ok = global:sync(),
    Options = #{name => cnode_tests_global, registration => global},
    {ok, Pid} = cnode:start(?N, counter, [5], Options),
    ?assertEqual(5, gen_server:call({global, cnode_tests_global}, get)),
    ?assertEqual({error, {already_started, Pid}}, cnode:start(?N, counter, [5], Options)),
    gen_server:stop(Program),
    until(fun() -> undefined = global:whereis_name(cnode_tests_global) end).

factories() ->
    with_node(fun() -> ?assertMatch({error, _}, cnode:factories(?N)) end),
    {ok, Program} = start_node(?N, #{args => ["-allow_fun", "cnode:factories"]}),
    {ok, Factories} = cnode:factories(?N),
    ?assertMatch(#{counter := all, codec := none}, maps:from_list([{F, M} || #{name := F, mode := M} <- Factories])),
    gen_server:stop(Program).

links() ->
    process_flag(trap_exit, true),
    with_node(fun() ->
        {ok, Pid} = cnode:start_link(?N, counter, [1]),
        Pid ! {exit, oops},
        ?assertEqual(oops, receive {'EXIT', Pid, Why} -> Why after 5000 -> late end),
        {error, badarg} = cnode:start_link(?N, counter, [one]),
        ?assertEqual({error, {nodedown, 'nobody@127.0.0.1'}}, cnode:start_link('nobody@127.0.0.1', counter, [1])),
        {ok, Last} = cnode:start(?N, counter, [1]),
        1 = gen_server:call(Last, get),
        ?assertEqual(none, receive {'EXIT', _, _} = Message -> Message after 0 -> none end)
    end).

monitors() ->
    with_node(fun() ->
        {ok, {Pid, Ref}} = cnode:start_monitor(?N, counter, [1]),
        Pid ! {exit, oops},
        ?assertEqual(oops, receive {'DOWN', Ref, process, Pid, Why} -> Why after 5000 -> late end),
        ?assertEqual({error, badarg}, cnode:start_monitor(?N, counter, [one]))
    end).

late() ->
    with_node(fun(Program) ->
        {ok, Known} = cnode:start(?N, counter, [1]),
        OsPid = integer_to_list(cnode_program:os_pid(Program)),
        os:cmd("kill -STOP " ++ OsPid),
        %% Each thread stops when it gets to it.
        until(fun() -> ["T"] = lists:usort(string:lexemes(os:cmd("ps -L -o state= -p " ++ OsPid), "\n ")) end),
        ?assertEqual({error, {timeout, 100}}, cnode:start(?N, counter, [1], [{timeout, 100}])),
        ?assertEqual({error, {timeout, 100}}, cnode:start_link(?N, counter, [1], [{timeout, 100}, {name, orphan}])),
        ?assertEqual({error, {timeout, 100}}, cnode:start(?N, moody, [{fail, late}], [{timeout, 100}, {name, broken}])),
        os:cmd("kill -CONT " ++ OsPid),
        %% Behind the answers that came late.
        1 = gen_server:call(Known, get),
        ?assertEqual(none, receive {spawn_reply, _, _, _} = Message -> Message after 0 -> none end),
        %% The name is free again when that init has failed; why it did was for an alias that had ended. (OTP 23 has none.)
        {error, {init, late}} = until(fun() -> {error, {init, late}} = cnode:start(?N, moody, [{fail, late}], [{name, broken}]) end),
        Late = receive {spawn_failed, _, _} = Failed -> Failed after 0 -> none end,
        ?assert(Late =:= none orelse not erlang:function_exported(erlang, alias, 1)),
        %% The linked one was ended by its link.
        {ok, _} = until(fun() -> {ok, _} = cnode:start(?N, counter, [1], [{name, orphan}]) end)
    end).

one_local() -> with_node(fun() -> one({local, single}) end).
one_global() ->
    with_node(fun() ->
        {ok, Before} = cnode:start(?N, counter, [1]),
        one({global, {single, make_ref()}}),
        {ok, After} = cnode:start(?N, counter, [1]),
        %% One, and another when that one was killed: a C node counts its processes.
        ?assertEqual(3, number(After) - number(Before))
    end).

number(Pid) ->
    [_, Number, _] = string:lexemes(pid_to_list(Pid), "."),
    list_to_integer(Number).

one(Name) ->
    Self = self(),
    Callers = [spawn_link(fun() -> Self ! {self(), cnode:get_or_start(Name, ?N, counter, [1])} end) || _ <- lists:seq(1, 100)],
    [{ok, Pid}] = lists:usort([receive {C, Result} -> Result end || C <- Callers]),
    ?assertEqual({ok, Pid}, cnode:get_or_start(Name, ?N, counter, [1])),
    exit(Pid, kill),
    {ok, Next} = until(fun() -> {ok, P} = cnode:get_or_start(Name, ?N, counter, [1]), true = P =/= Pid, {ok, P} end),
    ?assertEqual(1, gen_server:call(Next, get)).

awaits() ->
    Self = self(),
    ?assertEqual({error, {timeout, [?N]}}, cnode:await_nodes([?N, node()], 100)),
    Waiter = spawn_link(fun() -> Self ! {self(), cnode:await_nodes([?N, ?N2], 20000)} end),
    with_node(?N, fun(_) ->
        with_node(?N2, fun(_) ->
            ?assertEqual(ok, receive {Waiter, Result} -> Result after 20000 -> late end),
            ?assertEqual(ok, cnode:await_nodes([?N, ?N2], 0)),
            ?assertEqual({messages, []}, process_info(Self, messages))
        end)
    end).

%%---- keepers ----

via() ->
    with_node(fun() ->
        {ok, Keeper} = keep(#{name => hits, args => [5]}),
        ?assertEqual(6, gen_server:call({via, cnode_process, hits}, {add, 1})),
        ?assertEqual(ok, gen_server:cast({via, cnode_process, hits}, {add, 1})),
        ?assertEqual(7, gen_server:call({via, cnode_process, Keeper}, get)),
        ?assertEqual(?N, node(cnode_process:pid(hits))),
        gen_server:stop(Keeper),
        ?assertExit({noproc, _}, gen_server:call({via, cnode_process, hits}, get))
    end).

keeper_ends() ->
    process_flag(trap_exit, true),
    with_node(fun() ->
        {ok, Keeper} = keep(#{}),
        cnode_process:pid(Keeper) ! {exit, {oops, 1}},
        ?assertEqual({oops, 1}, receive {'EXIT', Keeper, Why} -> Why after 5000 -> late end)
    end).

keeper_takes_along() ->
    process_flag(trap_exit, true),
    with_node(fun() ->
        [begin
             {ok, Keeper} = keep(#{}),
             Ref = monitor(process, cnode_process:pid(Keeper)),
             exit(Keeper, Reason),
             ?assertEqual(Seen, receive {'DOWN', Ref, _, _, Why} -> Why after 5000 -> late end),
             receive {'EXIT', Keeper, _} -> ok end
         end || {Reason, Seen} <- [{shutdown, shutdown}, {kill, killed}]]
    end).

keeper_refused() ->
    process_flag(trap_exit, true),
    with_node(fun() ->
        ?assertEqual({error, undef}, keep(#{factory => no_such_factory})),
        ?assertEqual({error, not_allowed}, keep(#{factory => codec, args => []})),
        ?assertEqual({error, badarg}, keep(#{args => [one]}))
    end).

node_killed() -> node_down("KILL", {exit_status, 137}).
node_stops() -> node_down("TERM", {exit_status, 0}).

%% Under a supervisor that allows no restart at all.
node_down(Signal, Status) ->
    process_flag(trap_exit, true),
    {ok, First} = start_node(?N),
    {ok, Sup} = supervise([keeper_spec(#{id => I}) || I <- [1, 2, 3]]),
    Keepers = [K || {_, K, _, _} <- supervisor:which_children(Sup)],
    Pids = [cnode_process:pid(K) || K <- Keepers],
    os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(cnode_program:os_pid(First))),
    ?assertEqual(Status, receive {'EXIT', First, Why} -> Why after 10000 -> late end),
    [until(fun() -> undefined = cnode_process:pid(K) end) || K <- Keepers],
    {ok, Second} = start_node(?N),
    New = [begin {ok, Pid} = cnode_process:await(K, 10000), Pid end || K <- Keepers],
    ?assertEqual([], [P || P <- New, lists:member(P, Pids)]),
    ?assertEqual([1, 1, 1], [gen_server:call(P, get) || P <- New]),
    ?assertEqual(lists:sort(Keepers), lists:sort([K || {_, K, _, _} <- supervisor:which_children(Sup)])),
    end_supervisor(Sup),
    ok = gen_server:stop(Second).

node_comes() ->
    process_flag(trap_exit, true),
    {ok, Sup} = supervise([keeper_spec(#{name => early})]),
    ?assertExit({noproc, _}, gen_server:call({via, cnode_process, early}, get)),
    ?assertEqual({error, {timeout, 50}}, cnode_process:await(early, 50)),
    with_node(fun() ->
        {ok, Pid} = cnode_process:await(early, 10000),
        ?assertEqual(1, gen_server:call(Pid, get))
    end),
    end_supervisor(Sup).

%%---- programs ----

program() ->
    process_flag(trap_exit, true),
    {ok, Sup} = supervise([cnode_program:child_spec(node_options(?N, #{name => prog}))], 10),
    OsPid = cnode_program:os_pid(prog),
    ?assert(is_running(OsPid)),
    ?assert(is_integer(cnode_program:port_number(prog))),
    {ok, Old} = cnode:start(?N, counter, [1]),
    net_kernel:monitor_nodes(true, [{node_type, all}]),
    os:cmd("kill -9 " ++ integer_to_list(OsPid)),
    ?assertEqual(nodedown, receive {nodedown, ?N, _} -> nodedown after 10000 -> late end),
    ?assertEqual(nodeup, receive {nodeup, ?N, _} -> nodeup after 10000 -> late end),
    Next = until(fun() -> P = cnode_program:os_pid(prog), true = P =/= OsPid, P end),
    {ok, New} = until(fun() -> {ok, _} = cnode:start(?N, counter, [1]) end),
    %% The same numbers, another incarnation.
    ?assertNotEqual(Old, New),
    ?assertExit({noproc, _}, gen_server:call(Old, get)),
    end_supervisor(Sup),
    ?assertNot(is_running(Next)),
    ?assertEqual(nodedown, receive {nodedown, ?N, _} -> nodedown after 10000 -> late end),
    net_kernel:monitor_nodes(false, [{node_type, all}]).

crash() ->
    process_flag(trap_exit, true),
    {ok, Sup} = supervise([cnode_program:child_spec(node_options(?N, #{name => prog})),
                           keeper_spec(#{name => steady, args => [1]})], 10),
    Other = cnode_process:pid(steady),
    Ref = monitor(process, Other),
    ?assertEqual({error, noconnection}, cnode:start(?N, moody, [crash])),
    ?assertEqual(noconnection, receive {'DOWN', Ref, _, _, Why} -> Why after 5000 -> late end),
    {ok, New} = until(fun() -> {ok, P} = cnode_process:await(steady, 10000), true = P =/= Other, {ok, P} end),
    ?assertEqual(1, gen_server:call(New, get)),
    end_supervisor(Sup).

cookie_hidden() ->
    with_node(fun(Program) ->
        Proc = "/proc/" ++ integer_to_list(cnode_program:os_pid(Program)),
        Cookie = atom_to_binary(erlang:get_cookie(), utf8),
        [begin
             {ok, Bytes} = file:read_file(Proc ++ File),
             ?assertEqual(nomatch, binary:match(Bytes, Cookie))
         end || File <- ["/cmdline", "/environ"]],
        ?assertMatch({match, _}, re:run(element(2, file:read_file(Proc ++ "/cmdline")), "cookie_file"))
    end).

program_config() ->
    process_flag(trap_exit, true),
    File = filename:join(os:getenv("HOME"), "cnode_tests.conf"),
    ok = file:write_file(File, "no_such_key = 1\n"),
    true = os:putenv("CNODE_CONFIG", File),
    with_node(fun() -> ?assertNot(lists:member(?N, nodes())) end),
    true = os:unsetenv("CNODE_CONFIG"),
    {error, {exit_status, 2, Lines}} = cnode_program:start_link(node_options(?N, #{config => File})),
    ?assertMatch({match, _}, re:run(Lines, "no_such_key")),
    {ok, Visible} = start_node(?N, #{visible => true}),
    ?assert(lists:member(?N, nodes())),
    gen_server:stop(Visible).

program_fails() ->
    process_flag(trap_exit, true),
    ?assertEqual({error, {no_program, "no_such_program"}}, cnode_program:start_link(#{node => ?N, cnoded => "no_such_program"})),
    {error, {exit_status, 3, Lines}} = cnode_program:start_link(node_options(?N, #{load => ["no_such_module"]})),
    ?assertMatch({match, _}, re:run(Lines, "no_such_module")),
    {error, {exit_status, 2, [Option | _]}} = cnode_program:start_link(node_options(?N, #{args => ["-no_such_option"]})),
    ?assertMatch({match, _}, re:run(Option, "no_such_option")),
    ?assertEqual({error, {needs_epmd_module, cnode_epmd}}, cnode_program:start_link(node_options(?N, #{epmd => none}))),
    %% What is no UTF-8 harms nobody.
    Odd = #{node => ?N, program => "sh", args => ["-c", "read cookie; printf '\\377 \\200\\n'"], log => info},
    {error, {exit_status, 0, [<<"\x{ff} \x{80}"/utf8>>]}} = cnode_program:start_link(Odd),
    {error, {exit_status, 0, [_]}} = cnode_program:start_link(Odd#{ready => "\\bup\\b"}),
    {error, {exit_status, 0, [<<"hello">>]}} = cnode_program:start_link(#{node => ?N, program => "sh", args => ["-c", "read cookie; echo hello"]}).

program_late() ->
    process_flag(trap_exit, true),
    Options = #{node => ?N, program => "sh", args => ["-c", "echo $$; trap '' TERM; exec sleep 1000"],
                start_timeout => 300, stop_timeout => 100},
    {error, {start_timeout, 300, [OsPid]}} = cnode_program:start_link(Options),
    ?assertNot(is_running(binary_to_integer(OsPid))),
    {error, {start_timeout, 300, [Next]}} = cnode_program:start_link(Options#{ready => connect}),
    ?assertNot(is_running(binary_to_integer(Next))).

program_stuck() ->
    process_flag(trap_exit, true),
    {ok, Program} = cnode_program:start_link(node_options(?N, #{stop_timeout => 200})),
    OsPid = cnode_program:os_pid(Program),
    os:cmd("kill -STOP " ++ integer_to_list(OsPid)),
    gen_server:stop(Program),
    ?assertNot(is_running(OsPid)).

own_program() ->
    process_flag(trap_exit, true),
    {ok, Program} = cnode_program:start_link(#{node => ?N, program => build("examples/supervised"), args => [atom_to_list(?N)],
                                               ready => connect}),
    OsPid = cnode_program:os_pid(Program),
    {ok, Pid} = cnode:start(?N, where, []),
    ?assertEqual(atom_to_binary(?N, utf8), gen_server:call(Pid, where)),
    Ref = monitor(process, Pid),
    gen_server:stop(Program),
    ?assertEqual(shutdown, receive {'DOWN', Ref, _, _, Why} -> Why after 5000 -> late end),
    ?assertNot(is_running(OsPid)),
    start_killed().

%% The keeper of the program is killed: nothing but the end of standard input tells the program.
start_killed() ->
    {ok, Program} = cnode_program:start_link(#{node => ?N, program => build("examples/supervised"), args => [atom_to_list(?N)],
                                               ready => connect}),
    OsPid = cnode_program:os_pid(Program),
    exit(Program, kill),
    until(fun() -> false = is_running(OsPid) end).

name_lingers() ->
    %% A live node has the name at first.
    process_flag(trap_exit, true),
    Self = self(),
    {ok, First} = start_node(?N),
    spawn_link(fun() ->
                       {ok, Second} = cnode_program:start_link(node_options(?N, #{log => fun(L) -> Self ! {line, L} end})),
                       Self ! {self(), up},
                       receive stop -> gen_server:stop(Second), Self ! {self(), stopped} end
               end),
    receive {line, Line} -> ?assertMatch({match, _}, re:run(Line, "taken|in use|another node")) end,
    gen_server:stop(First),
    Starter = receive {S, up} -> S after 15000 -> late end,
    ?assertEqual(pong, net_adm:ping(?N)),
    Starter ! stop,
    receive {Starter, stopped} -> ok end.

beam_dies() ->
    Line = other_beam("-name cnode_tests_held@127.0.0.1", hold_and_die),
    {match, [OsPid]} = re:run(Line, "held ([0-9]+)", [{capture, all_but_first, list}]),
    until(fun() -> false = is_running(list_to_integer(OsPid)) end).

hold_and_die() ->
    {ok, Program} = start_node(?N),
    io:format("held ~b~n", [cnode_program:os_pid(Program)]),
    os:cmd("kill -9 " ++ os:getpid()).

%%---- pools ----

pool() ->
    process_flag(trap_exit, true),
    with_node(fun() ->
        {ok, Pool} = cnode_pool:start_link(#{name => counters, nodes => [?N], factory => counter, args => [0], size => 3}),
        ok = cnode_pool:await(counters, 5000),
        ?assertEqual([1, 1, 1, 2, 2, 2], lists:sort([cnode_pool:call(counters, {add, 1}) || _ <- lists:seq(1, 6)])),
        [ok = cnode_pool:cast(counters, {add, 1}) || _ <- [1, 2, 3]],
        Workers = cnode_pool:workers(counters),
        ?assertEqual([{W, {ok, 3}} || W <- lists:sort(Workers)], lists:sort(cnode_pool:call_all(counters, get, 5000))),
        hd(Workers) ! {exit, oops},
        until(fun() -> [_] = cnode_pool:workers(counters) -- Workers end),
        ?assertEqual(3, length(cnode_pool:workers(counters))),
        unlink(Pool),
        ok = cnode_pool:stop(counters),
        ?assertEqual([], cnode_pool:workers(counters))
    end).

pool_moves() ->
    process_flag(trap_exit, true),
    {ok, First} = start_node(?N),
    {ok, Second} = start_node(?N2),
    {ok, Pool} = cnode_pool:start_link(#{name => movers, nodes => [?N, ?N2], factory => counter, args => [0], per_node => 2}),
    ok = cnode_pool:await(movers, 5000),
    ?assertEqual([?N, ?N, ?N2, ?N2], lists:sort([node(W) || W <- cnode_pool:workers(movers)])),
    os:cmd("kill -9 " ++ integer_to_list(cnode_program:os_pid(First))),
    receive {'EXIT', First, _} -> ok end,
    until(fun() -> [?N2, ?N2, ?N2, ?N2] = [node(W) || W <- cnode_pool:workers(movers)] end),
    ?assertEqual(1, cnode_pool:call(movers, {add, 1})),
    {ok, Again} = start_node(?N),
    %% It is used again by workers to come.
    lists:foreach(fun(W) -> W ! {exit, oops} end, cnode_pool:workers(movers)),
    until(fun() -> [?N, ?N, ?N2, ?N2] = lists:sort([node(W) || W <- cnode_pool:workers(movers)]) end),
    unlink(Pool),
    cnode_pool:stop(movers),
    [gen_server:stop(P) || P <- [Again, Second]].

pool_strategies() ->
    process_flag(trap_exit, true),
    with_node(?N, fun(_) ->
        with_node(?N2, fun(_) ->
            Nodes = [?N, ?N2],
            Placed = fun(Options) ->
                             {ok, Pool} = cnode_pool:start_link(Options#{name => placed, factory => counter, args => [0],
                                                                         nodes => Nodes, size => 4}),
                             ok = cnode_pool:await(placed, 5000),
                             Workers = cnode_pool:workers(placed),
                             Answers = [cnode_pool:call(placed, {add, 1}) || _ <- lists:seq(1, 8)],
                             unlink(Pool),
                             cnode_pool:stop(placed),
                             {lists:sort([node(W) || W <- Workers]), lists:sort(Answers)}
                     end,
            ?assertEqual({[?N, ?N, ?N2, ?N2], [1, 1, 1, 1, 2, 2, 2, 2]}, Placed(#{placement => round_robin})),
            {ok, _} = cnode:start(?N, counter, [1]),
            {_, Random} = Placed(#{placement => random, strategy => random}),
            ?assertEqual(8, length(Random)),
            ?assertMatch({[?N, ?N, ?N2, ?N2], _}, Placed(#{placement => local_first})),
            ?assertEqual({[?N2, ?N2, ?N2, ?N2], lists:seq(1, 8)},
                         Placed(#{placement => fun(Ns) -> lists:last(Ns) end, strategy => fun(Ws) -> lists:min(Ws) end})),
            %% The first node gets a load of its own.
            Load = [element(2, {ok, _} = cnode:start(?N, counter, [I])) || I <- lists:seq(1, 20)],
            ?assertMatch({[?N2, ?N2, ?N2, ?N2], _}, Placed(#{placement => least_loaded})),
            [exit(P, kill) || P <- Load]
        end)
    end).

pool_empty() ->
    ?assertExit({noproc, _}, cnode_pool:call(no_such_pool, get)),
    ?assertEqual(ok, cnode_pool:cast(no_such_pool, get)),
    {ok, Pool} = cnode_pool:start_link(#{name => nobody, nodes => ['nobody@127.0.0.1'], factory => counter, args => [0]}),
    ?assertEqual({error, no_workers}, cnode_pool:worker(nobody)),
    ?assertExit({noproc, _}, cnode_pool:call(nobody, get)),
    ?assertEqual({error, {timeout, 0}}, cnode_pool:await(nobody, 50)),
    unlink(Pool),
    cnode_pool:stop(nobody).

%%---- without epmd ----

routes() ->
    %% A node that no epmd knows, at a port of its choice.
    Self = self(),
    Log = fun(Line) -> Self ! {line, Line} end,
    Port = open_port({spawn_executable, build("cnode/cmd/cnoded")},
                     [{args, ["-name", atom_to_list(?N2), "-epmd", "none", "-listen", "127.0.0.1", "-cookie_file", "-", "-stop_at_eof"]},
                      {line, 1000}, binary, stderr_to_stdout, exit_status]),
    port_command(Port, [atom_to_list(erlang:get_cookie()), $\n]),
    At = receive
             {Port, {data, {eol, Line}}} ->
                 Log(Line),
                 {match, [P]} = re:run(Line, "ready \\(port ([0-9]+)", [{capture, all_but_first, list}]),
                 P
         end,
    ?assertEqual(pang, net_adm:ping(?N2)),
    %% A BEAM that has no epmd to ask either.
    Arguments = "-name cnode_tests_routed@127.0.0.1 -start_epmd false -epmd_module cnode_epmd -cnode_register false"
        " -cnode_route nonsense -cnode_route " ++ atom_to_list(?N2) ++ "=127.0.0.1:" ++ At,
    ?assertEqual("ok", other_beam("ERL_EPMD_PORT=1 ", Arguments, without_epmd)),
    port_close(Port).

without_epmd() ->
    pong = net_adm:ping(?N2),
    [{?N2, {{127, 0, 0, 1}, _}}] = cnode_epmd:routes(),
    {ok, Program} = start_node(?N, #{epmd => none, listen => "127.0.0.1"}),
    {ok, Pid} = cnode:start(?N, counter, [7]),
    7 = gen_server:call(Pid, get),
    [?N, ?N2] = [N || {N, _} <- cnode_epmd:routes()],
    gen_server:stop(Program),
    [?N2] = [N || {N, _} <- cnode_epmd:routes()],
    pang = net_adm:ping(?N),
    ok = application:load(cnode),
    {_, {_, Port}} = lists:keyfind(?N2, 1, cnode_epmd:routes()),
    ok = application:set_env(cnode, routes, [{'elsewhere@127.0.0.1', {"127.0.0.1", Port}}]),
    [_, _] = cnode_epmd:routes(),
    io:format("ok").

%%---- help ----

build(File) ->
    case os:getenv("CNODE_BUILD") of
        false -> error("CNODE_BUILD must name a build of the C side");
        Build -> filename:join(Build, File)
    end.

node_options(Node, More) ->
    maps:merge(#{node => Node, cnoded => build("cnode/cmd/cnoded"), allow => ["counter", "moody"], log => none,
                 load => [build("examples/counter"), build("examples/codec"), build("tests/beam_moody")]}, More).

start_node(Node) -> start_node(Node, #{}).
start_node(Node, More) -> cnode_program:start_link(node_options(Node, More)).

with_node(Fun) when is_function(Fun, 0) -> with_node(?N, fun(_) -> Fun() end);
with_node(Fun) -> with_node(?N, Fun).

with_node(Node, Fun) ->
    {ok, Program} = start_node(Node),
    try Fun(Program) after ok = gen_server:stop(Program) end.

keep(Options) -> cnode_process:start_link(maps:merge(#{node => ?N, factory => counter, args => [1]}, Options)).

keeper_spec(Options) -> cnode_process:child_spec(maps:merge(#{node => ?N, factory => counter, args => [1]}, Options)).

supervise(Children) -> supervise(Children, 0).
supervise(Children, Restarts) ->
    {ok, Sup} = supervisor:start_link(cnode_tests_sup, {#{intensity => Restarts, period => 60}, []}),
    [{ok, _} = supervisor:start_child(Sup, Child) || Child <- Children],
    {ok, Sup}.

end_supervisor(Sup) ->
    Ref = monitor(process, Sup),
    unlink(Sup),
    exit(Sup, shutdown),
    ?assertEqual(shutdown, receive {'DOWN', Ref, _, _, Why} -> Why after 20000 -> late end).

is_running(OsPid) ->
    case file:read_file("/proc/" ++ integer_to_list(OsPid) ++ "/stat") of
        {ok, Stat} -> re:run(Stat, "\\) Z ") =:= nomatch;
        {error, _} -> false
    end.

%% Tries again until it neither fails nor takes too long.
until(Fun) -> until(Fun, erlang:monotonic_time(millisecond) + 15000).
until(Fun, Deadline) ->
    try Fun()
    catch Class:What:Stack ->
        case erlang:monotonic_time(millisecond) > Deadline of
            true -> erlang:raise(Class, What, Stack);
            false -> receive after 20 -> until(Fun, Deadline) end
        end
    end.

%% Runs a function of this module in a BEAM of its own, and returns what it wrote.
other_beam(Arguments, Function) -> other_beam("", Arguments, Function).

other_beam(Environment, Arguments, Function) ->
    Path = lists:append([" -pa " ++ D || D <- lists:usort([filename:dirname(code:which(M)) || M <- [?MODULE, cnode]])]),
    Cookie = " -setcookie " ++ atom_to_list(erlang:get_cookie()),
    string:trim(os:cmd(Environment ++ os:getenv("ERL", "erl") ++ " -noshell -noinput " ++ Arguments ++ case Arguments of "" -> ""; _ -> Cookie end ++ Path
                       ++ " -eval 'logger:set_primary_config(level, none), " ++ atom_to_list(?MODULE) ++ ":" ++ atom_to_list(Function)
                       ++ "(), halt().' 2>&1")).
