%% SPDX-License-Identifier: Apache-2.0
%% The BEAM's side of the factory `busy`.
-module(busy).
-export([start/0]).

start() ->
    receive
        {'$gen_call', From, {spin, Ms}} ->
            spin(erlang:monotonic_time(microsecond) + Ms * 1000),
            gen_server:reply(From, done)
    end,
    start().

spin(End) ->
    case erlang:monotonic_time(microsecond) < End of
        true -> spin(End);
        false -> ok
    end.
