%% SPDX-License-Identifier: Apache-2.0
%% A supervised C node is killed with -9 again and again while it is called from all sides; prints TAP. The number of times
%% and the folder of the build follow -extra.
-module(kill9_test).
-behaviour(supervisor).
-export([main/0, init/1]).

-define(N, 'kill9@127.0.0.1').
-define(KEEPERS, [k1, k2, k3, k4]).
-define(LOADERS, 8).
-define(CALLS, 20).             % answered to each loader before the next kill
-define(TIMEOUT, 100000).

main() ->
    spawn(fun() ->
                  [Times, Build] = init:get_plain_arguments(),
                  logger:set_primary_config(level, none),
                  put(n, 0),
                  put(failed, 0),
                  try run(list_to_integer(Times), Build)
                  catch Class:What:Stack -> ok(false, io_lib:format("no ~p ~p ~p", [Class, What, Stack]))
                  end,
                  io:format("1..~b~n", [get(n)]),
                  halt(min(1, get(failed)))
          end).

ok(Good, Sentence) ->
    put(n, get(n) + 1),
    Good orelse put(failed, get(failed) + 1),
    io:format("~s ~b - ~ts~n", [case Good of true -> "ok"; false -> "not ok" end, get(n), re:replace(Sentence, "\\s+", " ", [global])]).

%% Restarts of the program are what it is about; a keeper may not need one.
init(Build) ->
    Program = cnode_program:child_spec(#{name => program, node => ?N, cnoded => filename:join(Build, "cnode/cmd/cnoded"),
                                         load => [filename:join(Build, "examples/counter")], allow => ["counter=*@127.0.0.1"]}),
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, [Program]}}.

keepers() ->
    {ok, {#{strategy => one_for_one, intensity => 0, period => 1},
          [cnode_process:child_spec(#{name => K, node => ?N, factory => counter, args => [0]}) || K <- ?KEEPERS]}}.

run(Times, Build) ->
    process_flag(trap_exit, true),
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    {ok, Programs} = supervisor:start_link(?MODULE, Build),
    {ok, Keepers} = supervisor:start_link(cnode_tests_sup, element(2, keepers())),
    ok(receive {nodeup, ?N, _} -> true after ?TIMEOUT -> false end, "the supervisor starts a C node"),
    Self = self(),
    Loaders = [spawn_link(fun() -> load(Self, lists:nth(1 + I rem length(?KEEPERS), ?KEEPERS)) end) || I <- lists:seq(1, ?LOADERS)],
    Before = [whereis(K) || K <- ?KEEPERS],
    Start = erlang:monotonic_time(millisecond),
    Killed = [kill(Loaders) || _ <- lists:seq(1, Times)],
    Took = erlang:monotonic_time(millisecond) - Start,
    working(Loaders),
    ok(length(lists:usort([O || {O, _} <- Killed])) =:= Times,
       io_lib:format("~b times kill -9 under load, and each time another process is there (~b ms)", [Times, Took])),
    ok([D || {_, D} <- Killed] =:= lists:duplicate(Times, once) andalso nothing_more(), "each kill is one nodedown, for monitor_nodes and for monitor_node"),
    ok([whereis(K) || K <- ?KEEPERS] =:= Before andalso is_process_alive(Keepers), "no keeper of a C process needed a restart"),
    ok([X || {'EXIT', _, _} = X <- element(2, process_info(self(), messages))] =:= [], "no caller saw another error than the loss of the node"),
    [begin unlink(L), exit(L, kill) end || L <- Loaders],
    Last = cnode_program:os_pid(program),
    [begin unlink(S), R = monitor(process, S), exit(S, shutdown), receive {'DOWN', R, _, _, _} -> ok end end || S <- [Keepers, Programs]],
    ok([O || O <- [Last | [O || {O, _} <- Killed]], is_running(O)] =:= [] andalso named() =:= [], "no process of the operating system is left").

%% One kill, when all loaders have been answered since the last.
kill(Loaders) ->
    working(Loaders),
    OsPid = cnode_program:os_pid(program),
    true = monitor_node(?N, true),
    os:cmd("kill -9 " ++ integer_to_list(OsPid)),
    Own = receive {nodedown, ?N} -> once after ?TIMEOUT -> never end,
    All = receive {nodedown, ?N, _} -> once after ?TIMEOUT -> never end,
    receive {nodeup, ?N, _} -> ok after ?TIMEOUT -> exit(no_nodeup) end,
    {OsPid, case {Own, All, nothing_more()} of {once, once, true} -> once; Other -> Other end}.

nothing_more() -> receive {nodedown, ?N} -> false; {nodedown, ?N, _} -> false after 0 -> true end.

working(Loaders) ->
    [L ! {say, self()} || L <- Loaders],
    [receive {working, L} -> ok; {'EXIT', L, Why} -> exit({loader, Why}) after ?TIMEOUT -> exit({not_answered, L}) end || L <- Loaders].

%% Calls on and on; asked to say so, says when so many calls were answered since.
load(Parent, Keeper) ->
    receive {say, Parent} -> load(Parent, Keeper, ?CALLS)
    after 0 -> call(Keeper), load(Parent, Keeper)
    end.

load(Parent, Keeper, 0) -> Parent ! {working, self()}, load(Parent, Keeper);
load(Parent, Keeper, Left) ->
    case call(Keeper) of
        true -> load(Parent, Keeper, Left - 1);
        false -> load(Parent, Keeper, Left)
    end.

call(Keeper) ->
    try is_integer(gen_server:call({via, cnode_process, Keeper}, {add, 1}, ?TIMEOUT))
    catch
        exit:{noproc, _} -> receive after 1 -> false end;      % there is no process just now: not to spin
        exit:{noconnection, _} -> false;
        exit:{{nodedown, ?N}, _} -> false
    end.

is_running(OsPid) -> filelib:is_file("/proc/" ++ integer_to_list(OsPid) ++ "/exe").

named() ->
    [P || P <- filelib:wildcard("/proc/[0-9]*"),
          {ok, Line} <- [file:read_file(P ++ "/cmdline")], binary:match(Line, <<"kill9@127.0.0.1\0-cookie_file">>) =/= nomatch].
