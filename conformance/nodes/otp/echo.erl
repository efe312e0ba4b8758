%% SPDX-License-Identifier: Apache-2.0
%% The registered process `echo`: the contract that the benchmark uses too. See CONTRACT.md.
-module(echo).
-export([start/1]).

start(Starter) ->
    true = register(echo, self()),
    Starter ! {named, echo},
    loop(0).

loop(Count) ->
    receive
        {ping, Pid, Ref, X} -> Pid ! {pong, Ref, X}, loop(Count);
        {sink, _} -> loop(Count + 1);
        {sync, Pid, Ref} -> Pid ! {synced, Ref, Count}, loop(Count);
        {'$gen_call', From, _} -> gen_server:reply(From, {error, bad_request}), loop(Count);
        _ -> loop(Count)
    end.
