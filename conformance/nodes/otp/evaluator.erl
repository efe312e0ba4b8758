%% SPDX-License-Identifier: Apache-2.0
%% Evaluates Erlang text and sends {Ref, Value} to a pid: for the recorder, which wants terms of every kind.
-module(evaluator).
-export([start/3]).

start(To, Ref, Source) ->
    {ok, Tokens, _} = erl_scan:string(Source ++ "."),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Expressions, []),
    To ! {Ref, Value}.
