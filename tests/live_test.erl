%% SPDX-License-Identifier: Apache-2.0
%% The BEAM side of live.t: a server that is killed by the C program, processes to be watched, nodes that hammer.
-module(live_test).
-export([server/0, hammer/1, spawns/1]).

%% Registered as victim. Answers {echo, N} until it is told to hold; makes processes.
server() ->
    register(victim, spawn(fun() -> serve([]) end)),
    io:format("up~n").

serve(Held) ->
    receive
        {'$gen_call', From, {echo, N}} -> gen_server:reply(From, {echoed, N}), serve(Held);
        {'$gen_call', From, {hold, _}} -> serve([From | Held]);
        {'$gen_call', From, held} -> gen_server:reply(From, length(Held)), serve(Held);
        {'$gen_call', From, pid} -> gen_server:reply(From, list_to_integer(os:getpid())), serve(Held);
        {'$gen_call', From, {processes, N}} ->
            gen_server:reply(From, [spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, N)]),
            serve(Held);
        {'$gen_call', From, fence} -> gen_server:reply(From, ok), serve(Held);
        _ -> serve(Held)
    end.

%% Spawns Count counters on the node and calls, links, monitors, casts to and kills them for so long.
hammer([Node, Count, Seconds]) ->
    process_flag(trap_exit, true),
    N = list_to_atom(Node),
    wait(N, 10),
    Ps = list_to_tuple([counter(N) || _ <- lists:seq(1, list_to_integer(Count))]),
    Until = erlang:monotonic_time(millisecond) + list_to_integer(Seconds) * 1000,
    Workers = [spawn_monitor(fun() -> process_flag(trap_exit, true), hit(N, Ps, Until, 0) end) || _ <- lists:seq(1, 8)],
    Done = [receive {'DOWN', M, process, _, Why} -> Why end || {_, M} <- Workers],
    case [W || W <- Done, not is_integer(W) orelse W =:= 0] of
        [] -> io:format("hammered ~p~n", [lists:sum(Done)]), halt(0);
        Bad -> io:format("bad: ~p~n", [Bad]), halt(1)
    end.

%% It has said that it is ready; under a sanitizer or valgrind a handshake may take too long all the same.
wait(N, Tries) when Tries > 0 -> net_adm:ping(N) =:= pong orelse wait(N, Tries - 1).

counter(N) -> spawn_link(N, counter, start, [0]).

hit(N, Ps, Until, Count) ->
    case erlang:monotonic_time(millisecond) > Until of
        true -> exit(Count);
        false ->
            P = element(rand:uniform(tuple_size(Ps)), Ps),
            case rand:uniform(6) of
                1 -> _ = gen_server:call(P, {add, 1}, infinity);
                2 -> gen_server:cast(P, {add, 1});
                3 -> M = monitor(process, P), _ = gen_server:call(P, get, infinity), demonitor(M, [flush]);
                4 -> link(P), P ! junk, unlink(P);
                5 -> {Q, M} = spawn_monitor(N, counter, start, [1]), exit(Q, kill), receive {'DOWN', M, _, _, killed} -> ok end;
                6 -> {_, M} = spawn_monitor(N, noop, start, []), receive {'DOWN', M, _, _, _} -> ok end
            end,
            hit(N, Ps, Until, Count + 1)
    end.

%% Count short-lived processes, a hundred at a time.
spawns([Node, Count]) ->
    N = list_to_atom(Node),
    wait(N, 10),
    rounds(N, list_to_integer(Count) div 100),
    io:format("spawned~n"),
    halt(0).

rounds(_, 0) -> ok;
rounds(N, Left) ->
    Ms = [element(2, spawn_monitor(N, noop, start, [])) || _ <- lists:seq(1, 100)],
    [receive {'DOWN', M, process, _, _} -> ok end || M <- Ms],
    rounds(N, Left - 1).
