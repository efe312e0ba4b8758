%% SPDX-License-Identifier: Apache-2.0
%% The worker of examples/pool.c as a BEAM node has it: the pool spawns worker:start() there. See pool_example.t.
-module(worker).
-export([start/0, node_up/0]).

start() -> loop(0, 0).

%% So many requests are in flight, and none is ever answered.
die_with_request(0) -> os:cmd("kill -9 " ++ os:getpid());
die_with_request(More) -> receive {'$gen_call', _, {process_task, {die_with_request, _}}} -> die_with_request(More - 1) end.

loop(Processed, Failed) ->
    receive
        {'$gen_call', From, {process_task, {square, N}}} ->
            gen_server:reply(From, {ok, N * N}),
            loop(Processed + 1, Failed);
        {'$gen_call', _, {process_task, {die_with_request, N}}} ->
            die_with_request(N - 1);
        {'$gen_call', From, {process_task, _}} ->
            gen_server:reply(From, {error, unknown_task}),
            loop(Processed, Failed + 1);
        {'$gen_call', From, get_stats} ->
            gen_server:reply(From, #{processed => Processed, failed => Failed}),
            loop(Processed, Failed)
    end.

%% The node itself: says that it is there, and ends with its standard input.
node_up() ->
    io:format("up~n"),
    case io:get_line('') of _ -> halt(0) end.
