%% SPDX-License-Identifier: Apache-2.0
%% Messages: to pids, to names, to nobody.
-module(cf_case_send).
-export([cases/0]).

cases() ->
    [{'send.to_name', "a message to a registered name arrives", "erl_dist_protocol.html REG_SEND",
      [{varies, [dial, visible]}], fun to_name/1}].

to_name(T) ->
    hello = cf_live:ask(T, echo, [hello]),
    ok.
