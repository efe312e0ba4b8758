%% SPDX-License-Identifier: Apache-2.0
%% The contract of CONTRACT.md on a real OTP node of any release from 23 on: what every case must pass against.
-module(conformance_node).
-export([start/0]).

start() ->
    Self = self(),
    spawn(fun() -> puppet:named(conformance, Self) end),
    receive {named, conformance} -> ok end,
    spawn(fun() -> echo:start(Self) end),
    receive {named, echo} -> ok end,
    spawn(fun end_with_stdin/0),
    io:format("~s ready~n", [node()]).

end_with_stdin() ->
    case io:get_line('') of
        L when is_list(L); is_binary(L) -> end_with_stdin();
        _ -> erlang:halt(0)
    end.
