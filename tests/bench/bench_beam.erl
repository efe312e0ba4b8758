%% SPDX-License-Identifier: Apache-2.0
%% The echo contract on a BEAM node.
-module(bench_beam).
-export([start/0]).

start() ->
    register(echo, spawn(fun() -> echo(0) end)),
    io:format("ready~n").

echo(Sunk) ->
    receive
        {sink, _} -> echo(Sunk + 1);
        {ping, Pid, Ref, X} -> Pid ! {pong, Ref, X}, echo(Sunk);
        {sync, Pid, Ref} -> Pid ! {synced, Ref, Sunk}, echo(Sunk);
        {'$gen_call', From, _} -> gen_server:reply(From, {error, bad_request}), echo(Sunk);
        _ -> echo(Sunk)
    end.
