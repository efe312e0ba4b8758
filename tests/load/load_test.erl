%% SPDX-License-Identifier: Apache-2.0
%% 32 processes of a C node burn CPU in their callbacks while 32 others call each other without
%% pause, with a net_ticktime of 4 s: the node stays, answers, and lets go of what is killed. TAP.
%%
%%   -extra DAEMON MODULES SECONDS: cnoded, where its modules are, and for how long they spin
-module(load_test).
-export([main/0]).

-define(NODE, 'load@127.0.0.1').
-define(TICK, 4).                   % s

main() ->
    spawn(fun() ->
              [Daemon, Modules, Seconds] = init:get_plain_arguments(),
              put(n, 0),
              put(failed, 0),
              try run(Daemon, Modules, list_to_integer(Seconds) * 1000)
              catch Class:What:Stack -> ok(false, io_lib:format("~p ~p ~p", [Class, What, Stack]))
              end,
              io:format("1..~b~n", [get(n)]),
              halt(min(1, get(failed)))
          end).

ok(Good, Sentence) ->
    put(n, get(n) + 1),
    Good orelse put(failed, get(failed) + 1),
    io:format("~s ~b - ~s~n", [case Good of true -> "ok"; false -> "not ok" end, get(n), re:replace(Sentence, "\\s+", " ", [global])]).

run(Daemon, Modules, Ms) ->
    Load = lists:append([["-load", filename:join(Modules, M)] || M <- ["tests/load/chatter", "conformance/fixtures/busy", "examples/counter"]]),
    Port = open_port({spawn_executable, Daemon},
                     [{args, ["-name", atom_to_list(?NODE), "-net_ticktime", integer_to_list(?TICK), "-stop_at_eof",
                              "-allow", "chatter", "-allow", "busy", "-allow", "counter" | Load]},
                      {line, 4096}, stderr_to_stdout, exit_status]),
    ready(Port),
    pong = net_adm:ping(?NODE),
    Other = another(),
    ok = net_kernel:monitor_nodes(true),
    Spinning = [spawn(?NODE, busy, start, []) || _ <- lists:seq(1, 32)],
    Chatters = [spawn(?NODE, chatter, start, []) || _ <- lists:seq(1, 32)],
    Watches = [monitor(process, P) || P <- Chatters],
    Counter = spawn(?NODE, counter, start, [0]),
    1 = gen_server:call(Counter, {add, 1}),
    %% A counter without load first: what the machine itself takes.
    {Idle, _} = lists:unzip(latencies(Counter, Other, erlang:monotonic_time(millisecond) + 1000)),
    [gen_server:cast(A, {chat, B}) || {A, B} <- lists:zip(Chatters, tl(Chatters) ++ [hd(Chatters)])],
    io:format("# calls of a counter when idle: p50 ~.1f ms, p99 ~.1f ms~n", [p(50, Idle), p(99, Idle)]),
    Spins = [gen_server:send_request(P, {spin, Ms}) || P <- Spinning],
    %% On a machine that has other things to do, a BEAM node's answers are late as well, and tell how late is late.
    {Times, Others} = lists:unzip(latencies(Counter, Other, erlang:monotonic_time(millisecond) + Ms * 9 div 10)),
    io:format("# beside 32 spinning and 32 chatting processes: p50 ~.1f ms, p99 ~.1f ms, worst ~.1f ms of ~b; another BEAM node's p99 ~.1f ms~n",
              [p(50, Times), p(99, Times), lists:max(Times), length(Times), p(99, Others)]),
    ok(p(99, Times) < max(200.0, 2 * p(99, Others)), "a counter answers in under 200 ms (p99) beside 32 spinning and 32 chatting processes"),
    [{reply, done} = gen_server:wait_response(R, 60000) || R <- Spins],
    {Victims, Survivors} = lists:split(5, Spinning),
    Requests = [gen_server:send_request(P, {spin, 1000}) || P <- Survivors],
    Downs = lists:sort([killed(P, Ms) || P <- Victims]),
    io:format("# DOWN of a spinning process ~.2f to ~.2f ms after exit(Pid, kill), median ~.2f~n",
              [hd(Downs), lists:last(Downs), lists:nth(3, Downs)]),
    ok(lists:nth(3, Downs) < 50, "exit(Pid, kill) of a spinning process gives DOWN in under 50 ms (median of 5)"),
    Answers = [gen_server:wait_response(R, 60000) || R <- Requests],
    ok([A || A <- Answers, A =/= {reply, done}] =:= [], "each of the spinning ones answers when it is through"),
    Calls = [gen_server:call(P, calls, 60000) || P <- Chatters],
    io:format("# each chatter had ~b to ~b answers~n", [lists:min(Calls), lists:max(Calls)]),
    ok(lists:min(Calls) > 0, "no chatter was left out"),
    ok(receive {'DOWN', W, process, _, Reason} -> {lists:member(W, Watches), Reason} after 0 -> none end =:= none,
       "no chatter waited in vain"),
    ok(receive {nodedown, N} -> N after 0 -> none end =:= none, "nobody lost the node, though its ticks were due every second"),
    {os_pid, Os} = erlang:port_info(Port, os_pid),
    [] = os:cmd("kill " ++ integer_to_list(Os)),
    ok(exit_status(Port) =:= 0, "SIGTERM ends it well").

%% A BEAM node in a process of its own. It ends with its standard input.
another() ->
    Port = open_port({spawn_executable, os:find_executable("erl")},
                     [{args, ["-noshell", "-name", "other@127.0.0.1", "-kernel", "net_ticktime", integer_to_list(?TICK), "-eval", "io:format(\"other ready~n\"), io:get_line(\"\"), halt()."]},
                      {line, 4096}]),
    ready(Port),
    pong = net_adm:ping('other@127.0.0.1'),
    'other@127.0.0.1'.

ready(Port) ->
    receive
        {Port, {data, {_, Line}}} ->
            case string:find(Line, " ready") of
                nomatch -> ready(Port);
                _ -> ok
            end;
        {Port, {exit_status, S}} -> error({cnoded, S})
    end.

exit_status(Port) ->
    receive
        {Port, {data, _}} -> exit_status(Port);
        {Port, {exit_status, S}} -> S
    end.

%% Kills a process that spins; how long until DOWN is here, in ms.
killed(Pid, Ms) ->
    Request = gen_server:send_request(Pid, {spin, Ms * 10}),
    Ref = monitor(process, Pid),
    T0 = erlang:monotonic_time(microsecond),
    exit(Pid, kill),
    killed = receive {'DOWN', Ref, process, Pid, Why} -> Why end,
    Took = (erlang:monotonic_time(microsecond) - T0) / 1000,
    {error, {killed, _}} = gen_server:wait_response(Request, 60000),
    Took.

%% Calls of the counter and of another BEAM's process in turn, until then: how long each took, in ms.
latencies(Counter, Other, Until) ->
    {get, Took} = timed(fun() -> is_integer(gen_server:call(Counter, get, 60000)) andalso get end),
    {pong, Control} = timed(fun() -> net_ping(Other) end),
    %% A pair each ms or so: more would measure ourselves.
    receive after 1 -> ok end,
    case erlang:monotonic_time(millisecond) >= Until of
        true -> [{Took, Control}];
        false -> [{Took, Control} | latencies(Counter, Other, Until)]
    end.

net_ping(Node) -> gen_server:call({net_kernel, Node}, {is_auth, node()}, 60000) =:= yes andalso pong.

timed(Fun) ->
    T0 = erlang:monotonic_time(microsecond),
    Value = Fun(),
    {Value, (erlang:monotonic_time(microsecond) - T0) / 1000}.

p(Percent, Times) ->
    Sorted = lists:sort(Times),
    lists:nth(max(1, length(Sorted) * Percent div 100), Sorted).
