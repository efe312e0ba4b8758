%% SPDX-License-Identifier: Apache-2.0
%% The driver: measures every subject in turn, round after round, and prints medians, the
%% spread, and what of the targets was reached. Started by tests/bench/run.sh.
%%
%%   KIND=NODE=PID …   kind cnode, beam or ei; the OS process whose CPU time counts
%%   rounds=N scale=N  N rounds; scale in percent of the normal number of messages
%%   bin=DIR           where port_echo, raw_echo, pair and nif_echo.so are
%%   cookie=C
%%   helper=NODE       a BEAM node that drives too, where one is not enough
%%   tcp=NAME          the kernel's congestion control, for the title
-module(bench).
-export([main/0]).
%% For bench_names.
-export([drive/1, argument/3, round/3, times/1, numbers/2, cell/3, target/2]).
%% For the helper.
-export([spawn_many/3]).

main() -> drive(fun run/1).

%% A driver: runs with the arguments, and ends the node with what came of it.
drive(Run) ->
    try Run(init:get_plain_arguments()) of
        ok -> halt(0)
    catch
        Class:Reason:Stack ->
            io:format(standard_error, "bench: ~p: ~p~n    ~p~n", [Class, Reason, Stack]),
            halt(1)
    end.

run(Args) ->
    Get = fun(Key, Default) -> argument(Args, Key, Default) end,
    Rounds = list_to_integer(Get("rounds", "7")),
    put(scale, list_to_integer(Get("scale", "100"))),
    put(bin, Get("bin", ".")),
    put(cookie, Get("cookie", "")),
    put(helper, list_to_atom(Get("helper", ""))),
    put(tty, Get("tty", "no")),
    Nodes = [{list_to_atom(Kind), {list_to_atom(Node), Pid}}
             || A <- Args, Kind <- ["cnode", "beam", "ei"], lists:prefix(Kind ++ "=", A),
                [_, Node, Pid] <- [string:split(A, "=", all)]],
    %% A message through each connection before anything is measured.
    [pong = ping_once(Node) || {_, {Node, _}} <- Nodes],
    ok = bench_nif:load(filename:join(get(bin), "nif_echo")),
    Steps = steps(Nodes),
    [pong = rpc:call(get(helper), net_adm, ping, [Node]) || {Kind, {Node, _}} <- Nodes, Kind =/= ei],
    title(Rounds, Get("tcp", "?")),
    Results = lists:append([round(R, Rounds, Steps) || R <- lists:seq(1, Rounds)]),
    report(Results, Nodes).

argument(Args, Key, Default) ->
    case [V || A <- Args, [K, V] <- [string:split(A, "=")], K =:= Key] of
        [V | _] -> V;
        [] -> Default
    end.

ping_once(Node) ->
    Ref = make_ref(),
    {echo, Node} ! {ping, self(), Ref, x},
    receive {pong, Ref, x} -> pong after 10000 -> {no_answer, Node} end.

title(Rounds, Tcp) ->
    {ok, Version} = file:read_file(filename:join([code:root_dir(), "releases", erlang:system_info(otp_release), "OTP_VERSION"])),
    io:format("OTP ~s, ~b schedulers, Linux ~s, TCP ~s; ~b interleaved rounds: medians [lowest to highest]~n~n",
              [string:trim(Version), erlang:system_info(schedulers_online),
               string:trim(os:cmd("uname -r")), Tcp, Rounds]).

%% ---- what is measured ----

%% Steps: {Subject, fun() -> [{Metric, Value}]}; in every round each runs once. The subjects of one
%% measurement follow each other directly, so that they meet the same state of the machine.
steps(Nodes) ->
    Small = <<"0123456789abcdef">>,
    Per = fun(Fun) -> [{Kind, fun() -> Fun(Kind, Node, Pid) end} || {Kind, {Node, Pid}} <- Nodes] end,
    Drop = fun(Metric, Payload, N) -> [{drop, fun() -> drop(Metric, Payload, N) end} || lists:keymember(cnode, 1, Nodes)] end,
    Spawning = fun(Fun) -> [{Kind, fun() -> Fun(Kind, Node, Pid) end} || {Kind, {Node, Pid}} <- Nodes, Kind =/= ei] end,
    [
     [{raw, fun raw_pair/0}, {raw_beam, fun raw_beam/0}]
         ++ Per(fun(_, Node, _) -> round_trip({echo, Node}, 5000) end)
         ++ [{port, fun port/0}, {nif, fun nif/0}],
     Per(fun(_, Node, _) -> parallel({echo, Node}, 16, 1500) end),
     Per(fun(_, Node, Pid) -> sink(sink16, Node, Pid, Small, 400000) end) ++ Drop(sink16, Small, 400000)
         ++ [{pair, fun() -> pair(Node) end} || {cnode, {Node, _}} <- Nodes],
     Per(fun(_, Node, Pid) -> sink(sink4k, Node, Pid, binary:copy(<<7>>, 4096), 40000) end) ++ Drop(sink4k, binary:copy(<<7>>, 4096), 40000),
     Per(fun(_, Node, Pid) -> sink(sink64k, Node, Pid, binary:copy(<<7>>, 65536), 5000) end) ++ Drop(sink64k, binary:copy(<<7>>, 65536), 5000),
     Per(fun(_, Node, Pid) -> sink(sink1m, Node, Pid, binary:copy(<<7>>, 1048576), 300) end) ++ Drop(sink1m, binary:copy(<<7>>, 1048576), 300),
     Per(fun(_, Node, Pid) -> sink(nested, Node, Pid, nested(), 15000) end) ++ Drop(nested, nested(), 15000),
     Spawning(fun(_, Node, _) -> spawn_pipelined(Node, 30000, 500) end),
     Spawning(fun(_, Node, _) -> spawn_by_two(Node, 30000, 500) end),
     Spawning(fun(_, Node, _) -> spawn_sequential(Node, 4000) end),
     Spawning(fun(_, Node, _) -> beside_busy(Node, 1500) end)
    ].

%% A hundred items of every common type, about 6 kB.
nested() ->
    [{item, I, I * 1.5, <<"name ", (integer_to_binary(I))/binary>>, "text", #{id => I, tags => [a, b, {c, I * 1000000}]}}
     || I <- lists:seq(1, 100)].

round(R, Rounds, Steps) ->
    progress("\rround ~b of ~b ", [R, Rounds]),
    Found = [{Metric, Subject, R, Value} || Step <- Steps, {Subject, Fun} <- rotate(R, Step), {Metric, Value} <- alone(Fun)],
    progress("\r                    \r", []),
    Found.

%% In a process of its own, as work on a BEAM node is: what others have left in its memory would be in the figures.
alone(Fun) ->
    Known = get(),
    {Pid, Ref} = spawn_monitor(fun() -> [put(K, V) || {K, V} <- Known], exit({found, Fun()}) end),
    receive
        {'DOWN', Ref, process, Pid, {found, Found}} -> Found;
        {'DOWN', Ref, process, Pid, Reason} -> error(Reason)
    end.

%% On a terminal only.
progress(Format, Args) ->
    case get(tty) of
        "yes" -> io:format(standard_error, Format, Args);
        _ -> ok
    end.

rotate(R, List) ->
    {Front, Back} = lists:split(R rem max(1, length(List)), List),
    Back ++ Front.

times(N) -> max(10, N * get(scale) div 100).

now_ns() -> erlang:monotonic_time(nanosecond).

round_trip(To, N0) ->
    N = times(N0),
    Self = self(),
    quantiles(rt_p50, rt_p99,
              [begin
                   Ref = make_ref(),
                   T0 = now_ns(),
                   To ! {ping, Self, Ref, I},
                   receive {pong, Ref, _} -> now_ns() - T0 after 20000 -> error({no_answer, To}) end
               end || I <- lists:seq(1, N)]).

quantiles(P50, P99, Times) ->
    Sorted = list_to_tuple(lists:sort(Times)),
    N = size(Sorted),
    [{P50, element(max(1, N div 2), Sorted) / 1000}, {P99, element(max(1, N * 99 div 100), Sorted) / 1000}].

parallel(To, Processes, N0) ->
    N = times(N0),
    Self = self(),
    T0 = now_ns(),
    Pids = [spawn_link(fun() -> round_trips(To, N), Self ! {self(), done} end) || _ <- lists:seq(1, Processes)],
    [receive {P, done} -> ok after 60000 -> error({no_answer, To}) end || P <- Pids],
    [{parallel, Processes * N / ((now_ns() - T0) / 1.0e9) / 1000}].

round_trips(_, 0) -> ok;
round_trips(To, N) ->
    Ref = make_ref(),
    To ! {ping, self(), Ref, N},
    receive {pong, Ref, _} -> round_trips(To, N - 1) end.

%% Messages per second (small, nested) or megabytes per second, and the CPU time of the receiver.
sink(Metric, Node, Pid, Payload, N0) ->
    N = times(N0),
    Before = sync(Node),
    Cpu0 = cpu_us(Pid),
    T0 = now_ns(),
    sink_all({echo, Node}, {sink, Payload}, N),
    After = sync(Node),
    Seconds = (now_ns() - T0) / 1.0e9,
    Cpu = (cpu_us(Pid) - Cpu0) / N,
    N = After - Before,
    [{Metric, rate(Metric, Payload, N, Seconds)}, {{cpu, Metric}, Cpu}].

rate(Metric, _, N, Seconds) when Metric =:= sink16; Metric =:= nested -> N / Seconds / 1000;
rate(_, Payload, N, Seconds) -> N * byte_size(Payload) / Seconds / 1.0e6.

%% The same, into a program that reads and drops it, and says how long that took.
drop(Metric, Payload, N0) ->
    N = times(N0),
    [Name, Host] = string:lexemes(atom_to_list(node()), "@"),
    {port, Tcp, _} = erl_epmd:port_please(Name, Host),
    Node = 'bz@127.0.0.1',
    Port = open_port({spawn_executable, filename:join(get(bin), "drop")},
                     [{args, [atom_to_list(Node), get(cookie), atom_to_list(node()), integer_to_list(Tcp)]}, {line, 80}, exit_status]),
    "up" = line(Port),
    %% It is ready a moment before this node knows of the connection.
    true = wait_connected(Node, 1000),
    sink_all({echo, Node}, {sink, Payload}, N),
    [_Bytes, Ns] = [list_to_integer(W) || W <- string:lexemes(line(Port), " ")],
    erlang:disconnect_node(Node),
    receive {Port, {exit_status, 0}} -> ok after 10000 -> error({drop, stays}) end,
    [{Metric, rate(Metric, Payload, N, Ns / 1.0e9)}].

wait_connected(_, 0) -> false;
wait_connected(Node, Tries) ->
    case lists:member(Node, nodes(connected)) of
        true -> true;
        false -> timer:sleep(5), wait_connected(Node, Tries - 1)
    end.

line(Port) ->
    receive
        {Port, {data, {eol, Line}}} -> Line;
        {Port, {exit_status, Status}} -> error({drop, Status})
    after 60000 -> error({drop, silent})
    end.

sink_all(_, _, 0) -> ok;
sink_all(To, Message, N) -> To ! Message, sink_all(To, Message, N - 1).

sync(Node) ->
    Ref = make_ref(),
    {echo, Node} ! {sync, self(), Ref},
    receive {synced, Ref, Count} -> Count after 60000 -> error({no_answer, Node}) end.

%% User and system time of a process so far: fields 14 and 15 of its stat, in ticks of 10 ms.
cpu_us(Pid) ->
    {ok, Stat} = file:read_file("/proc/" ++ Pid ++ "/stat"),
    [_, Rest] = binary:split(Stat, <<") ">>),
    Fields = binary:split(Rest, <<" ">>, [global]),
    (binary_to_integer(lists:nth(12, Fields)) + binary_to_integer(lists:nth(13, Fields))) * 10000.

spawn_pipelined(Node, N0, Window) ->
    N = times(N0),
    T0 = now_ns(),
    ok = spawn_many(Node, N, Window),
    [{spawn_pipelined, N / ((now_ns() - T0) / 1.0e9) / 1000}].

%% One BEAM process is not fast enough to keep a node busy: two, on nodes of their own.
spawn_by_two(Node, N0, Window) ->
    N = times(N0),
    T0 = now_ns(),
    Keys = [rpc:async_call(Driver, ?MODULE, spawn_many, [Node, N, Window]) || Driver <- [node(), get(helper)]],
    [ok = rpc:yield(Key) || Key <- Keys],
    [{spawn_by_two, 2 * N / ((now_ns() - T0) / 1.0e9) / 1000}].

spawn_many(Node, N, Window) ->
    [spawn_request(Node, noop, start, []) || _ <- lists:seq(1, min(N, Window))],
    spawn_rest(Node, N, N - min(N, Window)).

spawn_rest(_, 0, _) -> ok;
spawn_rest(Node, Left, Unsent) ->
    spawned(Node),
    if Unsent > 0 -> spawn_request(Node, noop, start, []), spawn_rest(Node, Left - 1, Unsent - 1);
       true -> spawn_rest(Node, Left - 1, 0)
    end.

spawned(Node) ->
    receive
        {spawn_reply, _, ok, _} -> ok;
        {spawn_reply, _, error, Reason} -> error({spawn_refused, Node, Reason})
    after 20000 -> error({no_spawn_reply, Node})
    end.

spawn_sequential(Node, N0) ->
    N = times(N0),
    T0 = now_ns(),
    [begin spawn_request(Node, noop, start, []), spawned(Node) end || _ <- lists:seq(1, N)],
    [{spawn_sequential, N / ((now_ns() - T0) / 1.0e9) / 1000}].

%% Pings while one process of the node is kept in callbacks of 1 ms, against pings just before.
beside_busy(Node, N) ->
    [{_, Idle}, _] = round_trip({echo, Node}, N),
    Busy = spawn(Node, busy, start, []),
    Caller = spawn(fun() -> keep_busy(Busy) end),
    done = gen_server:call(Busy, {spin, 1}, 10000),
    [{_, P50}, {_, P99}] = round_trip({echo, Node}, N),
    exit(Caller, kill),
    Watch = monitor(process, Busy),
    exit(Busy, kill),
    receive {'DOWN', Watch, _, _, _} -> ok after 10000 -> error({no_down, Node}) end,
    [{busy_idle, Idle}, {busy_p50, P50}, {busy_p99, P99}, {busy_ratio, P50 / Idle}].

keep_busy(Busy) -> gen_server:call(Busy, {spin, 1}, infinity), keep_busy(Busy).

%% ---- other ways to reach C ----

port() ->
    Port = open_port({spawn_executable, filename:join(get(bin), "port_echo")}, [{packet, 4}, binary]),
    N = times(5000),
    Result = quantiles(rt_p50, rt_p99,
        [begin
             T0 = now_ns(),
             true = port_command(Port, term_to_binary({ping, self(), make_ref(), I})),
             receive {Port, {data, Data}} -> {ping, _, _, I} = binary_to_term(Data) after 10000 -> error(port) end,
             now_ns() - T0
         end || I <- lists:seq(1, N)]),
    port_close(Port),
    Result.

%% Too short to be timed one by one.
nif() ->
    Batch = 1000,
    quantiles(rt_p50, rt_p99,
        [begin
             T0 = now_ns(),
             nif_calls(Batch),
             (now_ns() - T0) / Batch
         end || _ <- lists:seq(1, times(100))]).

nif_calls(0) -> ok;
nif_calls(N) -> {ping, N} = bench_nif:echo({ping, N}), nif_calls(N - 1).

%% As many bytes as a ping has on the wire.
-define(PING, 90).

raw_pair() ->
    [P50, P99] = numbers("raw_echo", ["pair", integer_to_list(times(5000)), integer_to_list(?PING)]),
    [{rt_p50, P50 / 1000}, {rt_p99, P99 / 1000}].

%% The same driver as for the nodes, but over a socket of its own.
raw_beam() ->
    Server = open_port({spawn_executable, filename:join(get(bin), "raw_echo")}, [{args, ["server"]}, {line, 80}]),
    Tcp = receive {Server, {data, {eol, Line}}} -> list_to_integer(Line) after 10000 -> error(raw_echo) end,
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Tcp, [binary, {packet, 4}, {nodelay, true}, {active, true}]),
    Frame = binary:copy(<<0>>, ?PING - 4),
    Result = quantiles(rt_p50, rt_p99,
        [begin
             T0 = now_ns(),
             ok = gen_tcp:send(Socket, Frame),
             receive {tcp, Socket, Frame} -> ok after 10000 -> error(raw_echo) end,
             now_ns() - T0
         end || _ <- lists:seq(1, times(5000))]),
    gen_tcp:close(Socket),
    catch port_close(Server),           % it may have ended with its client
    Result.

%% Two cnode nodes with each other.
pair(Node) ->
    [Rate, P50, P99] = numbers("pair", ["bp@127.0.0.1", get(cookie), atom_to_list(Node),
                                        integer_to_list(times(300000)), integer_to_list(times(5000))]),
    [{sink16, Rate / 1000}, {rt_p50, P50 / 1000}, {rt_p99, P99 / 1000}].

numbers(Program, Args) ->
    Port = open_port({spawn_executable, filename:join(get(bin), Program)}, [{args, Args}, exit_status, stderr_to_stdout]),
    Out = collect(Port, Program, []),
    [list_to_integer(W) || W <- string:lexemes(Out, " \n")].

collect(Port, Program, Out) ->
    receive
        {Port, {data, Data}} -> collect(Port, Program, [Out, Data]);
        {Port, {exit_status, 0}} -> lists:flatten(Out);
        {Port, {exit_status, Status}} -> error({Program, Status, lists:flatten(Out)})
    after 300000 -> error({Program, timeout})
    end.

%% ---- the report ----

report(Results, Nodes) ->
    Cnode = lists:keymember(cnode, 1, Nodes),
    Kinds = [K || {K, _} <- Nodes],
    Has = fun(K) -> K =/= cnode orelse Cnode end,
    io:format("Round trip of a small message, seen from a BEAM process~n"),
    io:format("  ~-34s~20s~20s~n", ["", "p50, us", "p99, us"]),
    [io:format("  ~-34s~20s~20s~n", [Name, cell(Results, rt_p50, S), cell(Results, rt_p99, S)])
     || {S, Name} <- [{cnode, "cnode, a C process"}, {beam, "a process on another BEAM"}, {ei, "ei, a plain loop in C"},
                      {port, "a port, {packet,4}"}, {nif, "a NIF (inside the BEAM)"}, {raw_beam, "TCP echo in C, no distribution"}],
        Has(S), values(Results, rt_p50, S) =/= []],
    io:format("and seen from C~n"),
    [io:format("  ~-34s~20s~20s~n", [Name, cell(Results, rt_p50, S), cell(Results, rt_p99, S)])
     || {S, Name} <- [{pair, "cnode to cnode, from a mailbox"}, {raw, "TCP echo, C to C"}], values(Results, rt_p50, S) =/= []],
    Columns = Kinds ++ [drop || Cnode],
    io:format("~nFrom one BEAM node to~n  ~-34s" ++ lists:append(["~22s" || _ <- Columns]) ++ "~n",
              ["" | [atom_to_list(K) || K <- Kinds]] ++ ["read and dropped" || Cnode]),
    [io:format("  ~-34s" ++ lists:append(["~22s" || _ <- Columns]) ++ "~n", [Name | [cell(Results, M, K) || K <- Columns]])
     || {M, Name} <- [{parallel, "16 ping-pongs, k/s"}, {sink16, "sink of 16 B, k messages/s"}, {sink4k, "sink of 4 kB, MB/s"},
                      {sink64k, "sink of 64 kB, MB/s"}, {sink1m, "sink of 1 MB, MB/s"}, {nested, "sink of 100 nested items, k/s"},
                      {spawn_pipelined, "spawns pipelined, k/s"},
                      {spawn_by_two, "the same from two BEAM nodes, k/s"}, {spawn_sequential, "spawns one by one, k/s"},
                      {busy_p50, "ping beside 1 ms callbacks, us"}, {busy_idle, "the same ping when idle, us"},
                      {{cpu, sink16}, "receiver's CPU, us per 16 B"}, {{cpu, nested}, "receiver's CPU, us per nested"}]],
    case values(Results, sink16, pair) of
        [] -> ok;
        _ -> io:format("~nBetween two nodes of a kind, k small messages/s~n  ~-34s~20s~n  ~-34s~20s~n",
                       ["cnode to cnode", cell(Results, sink16, pair), "BEAM to BEAM", cell(Results, sink16, beam)])
    end,
    case Cnode of
        true -> targets(Results);
        false -> ok
    end,
    readme(Results).

%% The column of README.md's table, to be copied as it stands.
readme(Results) ->
    io:format("~nFor README.md, us per call: ~s~n",
              [lists:join("; ", [[Name, $\s, short(values(Results, rt_p50, S))]
                                 || {S, Name} <- [{cnode, "cnode"}, {nif, "NIF"}, {port, "port"}, {ei, "ei"}, {raw_beam, "TCP echo"}],
                                    values(Results, rt_p50, S) =/= []])]).

short(Vs) ->
    case median(Vs) < 1 of
        true -> number(median(Vs));
        false -> io_lib:format("~b (~b to ~b)", [round(median(Vs)), round(lists:min(Vs)), round(lists:max(Vs))])
    end.

targets(Results) ->
    io:format("~nTargets (medians of the ratios within a round)~n"),
    [target(Results, T) || T <-
        [{"round trip / TCP echo, same driver", {rt_p50, cnode}, {rt_p50, raw_beam}, at_most, 1.15},
         {"round trip / TCP echo, C to C", {rt_p50, cnode}, {rt_p50, raw}, at_most, 1.15},
         {"sink 16 B / ei", {sink16, cnode}, {sink16, ei}, at_least, 0.95},
         {"sink 4 kB / ei", {sink4k, cnode}, {sink4k, ei}, at_least, 0.95},
         {"sink 64 kB / ei", {sink64k, cnode}, {sink64k, ei}, at_least, 0.95},
         {"sink 1 MB / ei", {sink1m, cnode}, {sink1m, ei}, at_least, 0.95},
         {"sink nested / ei", {nested, cnode}, {nested, ei}, at_least, 0.95},
         {"ping beside 1 ms callbacks / idle", {busy_p50, cnode}, {busy_idle, cnode}, at_most, 2.0},
         {"pipelined spawn / BEAM", {spawn_pipelined, cnode}, {spawn_pipelined, beam}, at_least, 1.5},
         {"the same from two nodes / BEAM", {spawn_by_two, cnode}, {spawn_by_two, beam}, at_least, 1.5},
         {"CPU per small message / ei", {{cpu, sink16}, cnode}, {{cpu, sink16}, ei}, at_most, 0.5},
         {"cnode-cnode / BEAM-BEAM messages", {sink16, pair}, {sink16, beam}, at_least, 5.0}]],
    io:format("~nSinks against what the sender gives whoever reads and drops it, fragments and all (no target)~n"),
    [io:format("  ~-36s ~s~n", [Name, spread([X / Y || {X, Y} <- lists:zip(values(Results, M, S), values(Results, M, drop))],
                                             fun(V) -> io_lib:format("~.2f", [float(V)]) end)])
     || {M, Size} <- [{sink16, "16 B"}, {sink4k, "4 kB"}, {sink64k, "64 kB"}, {sink1m, "1 MB"}, {nested, "nested"}],
        {S, Name} <- [{cnode, Size ++ ", cnode"}, {ei, Size ++ ", ei (no fragments)"}]],
    ok.

%% Of a ratio within each round, or of a figure by itself.
target(Results, {Name, {M1, S1}, {M2, S2}, How, Wanted}) ->
    A = values(Results, M1, S1),
    B = values(Results, M2, S2),
    target(Name, [X / Y || {X, Y} <- lists:zip(A, B), Y > 0], How, Wanted);
target(Results, {Name, {Metric, Subject}, How, Wanted}) ->
    target(Name, values(Results, Metric, Subject), How, Wanted).

target(Name, Ratios, How, Wanted) ->
    case Ratios of
        [] -> io:format("  ~-36s not measured~n", [Name]);
        _ ->
            R = median(Ratios),
            Good = case How of at_most -> R =< Wanted; at_least -> R >= Wanted end,
            io:format("  ~-36s ~-22s ~s ~.2f: ~s~n",
                      [Name, spread(Ratios, fun(V) -> io_lib:format("~.2f", [float(V)]) end),
                       case How of at_most -> "at most "; at_least -> "at least" end, Wanted,
                       case Good of true -> "reached"; false -> "MISSED" end])
    end.

values(Results, Metric, Subject) -> [V || {M, S, _, V} <- Results, M =:= Metric, S =:= Subject].

cell(Results, Metric, Subject) ->
    case values(Results, Metric, Subject) of
        [] -> "-";
        Vs -> spread(Vs, fun number/1)
    end.

spread(Vs, Show) ->
    lists:flatten([Show(median(Vs)), " [", Show(lists:min(Vs)), " to ", Show(lists:max(Vs)), "]"]).

number(V) when V >= 100 -> integer_to_list(round(V));
number(V) when V >= 10 -> io_lib:format("~.1f", [float(V)]);
number(V) -> io_lib:format("~.2f", [float(V)]).

median(Vs) ->
    Sorted = lists:sort(Vs),
    N = length(Sorted),
    case N rem 2 of
        1 -> lists:nth(N div 2 + 1, Sorted);
        0 -> (lists:nth(N div 2, Sorted) + lists:nth(N div 2 + 1, Sorted)) / 2
    end.
