%% SPDX-License-Identifier: Apache-2.0
%% Process aliases (OTP 24): references as addresses.
-module(cf_case_alias).
-export([cases/0]).

-define(DOC, "erlang:alias/1, monitor/3; erl_dist_protocol.html ALIAS_SEND").

cases() ->
    [{Id, What, ?DOC, [{needs, [alias | Needs]}, {from, 24} | O], Fun} || {Id, What, Needs, O, Fun} <-
     [{'alias.to_node', "a message to its alias arrives", [], [{varies, [dial, visible]}], fun to_node/1},
      {'alias.from_node', "its message to our alias arrives", [], [{varies, [dial, visible]}], fun from_node/1},
      {'alias.unalias', "after unalias messages to it are dropped", [], [], fun unaliased/1},
      {'alias.reply_once', "a reply alias takes one message only", [], [], fun reply_once/1},
      {'alias.explicit_many', "an explicit alias takes many", [], [], fun explicit_many/1},
      {'alias.dies_with_process', "messages to the alias of a dead process are dropped", [], [], fun dies/1},
      {'alias.monitor_demonitor', "monitor with alias demonitor: DOWN ends the alias", [monitor], [], fun monitor_demonitor/1},
      {'alias.monitor_reply_demonitor', "monitor with alias reply_demonitor: a reply ends alias and monitor", [monitor], [], fun reply_demonitor/1},
      {'alias.monitor_explicit', "monitor with alias explicit_unalias: the alias outlives DOWN", [monitor], [], fun explicit/1},
      {'alias.our_inactive', "its message to an alias of ours that is off is dropped here", [], [], fun our_inactive/1},
      {'alias.words', "an alias comes back word for word", [], [raw], fun words/1},
      {'alias.wire_33', "ALIAS_SEND (33) is understood", [], [raw], fun(T) -> wire(T, fun(Me, A) -> {33, Me, A} end) end},
      {'alias.wire_34', "ALIAS_SEND_TT (34) is understood", [seq_trace], [raw], fun(T) -> wire(T, fun(Me, A) -> {34, Me, A, {0, l, 1, Me, 0}} end) end},
      {'alias.wire_37', "ALTACT_SIG_SEND (37) to an alias is understood", [], [raw], fun altact/1},
      {'alias.wire_37_used', "with ALTACT_SIG negotiated it uses 37 or 33 for aliases", [], [raw], fun altact_used/1}]].

to_node(T) -> P = cf_live:watched(T), A = cf_live:ask(T, P, alias, [[]]), A ! hello, cf:same(hello, cf_live:saw(P)).

our_alias() -> apply(erlang, alias, []).

from_node(T) ->
    A = our_alias(),
    ok = cf_live:ask(T, send, [A, {by_alias, 1}]),
    {by_alias, 1} = cf:got(fun({by_alias, _} = M) -> M end).

nothing(T, P) -> alive = cf_live:ask(T, P, echo, [alive]), cf:not_got(fun({saw, X, _}) when X =:= P -> ok end).

unaliased(T) ->
    P = cf_live:watched(T), A = cf_live:ask(T, P, alias, [[]]),
    true = cf_live:ask(T, P, unalias, [A]),
    A ! hello, nothing(T, P).

reply_once(T) ->
    P = cf_live:watched(T), A = cf_live:ask(T, P, alias, [[reply]]),
    A ! first, A ! second,
    cf:same(first, cf_live:saw(P)), nothing(T, P).

explicit_many(T) ->
    P = cf_live:watched(T), A = cf_live:ask(T, P, alias, [[explicit_unalias]]),
    [A ! N || N <- [1, 2, 3]],
    cf:same([1, 2, 3], [cf_live:saw(P) || _ <- [1, 2, 3]]).

dies(T) ->
    P = cf_live:puppet(T), A = cf_live:ask(T, P, alias, [[]]),
    ok = cf_live:ask(T, P, exit, [normal]),
    A ! hello, cf_live:fence(T).

ours() -> spawn(fun() -> receive {die, R} -> exit(R) end end).

monitor_demonitor(T) ->
    P = cf_live:watched(T), O = ours(), A = cf_live:ask(T, P, monitor_alias, [O, demonitor]),
    A ! before,
    cf:same(before, cf_live:saw(P)),
    O ! {die, bye},
    cf:same({'DOWN', A, process, O, bye}, cf_live:saw(P)),
    A ! too_late, nothing(T, P).

reply_demonitor(T) ->
    P = cf_live:watched(T), O = ours(), A = cf_live:ask(T, P, monitor_alias, [O, reply_demonitor]),
    A ! reply,
    cf:same(reply, cf_live:saw(P)),
    O ! {die, bye}, A ! too_late,
    cf_live:fence(T), nothing(T, P).

explicit(T) ->
    P = cf_live:watched(T), O = ours(), A = cf_live:ask(T, P, monitor_alias, [O, explicit_unalias]),
    O ! {die, bye},
    cf:same({'DOWN', A, process, O, bye}, cf_live:saw(P)),
    A ! still_here,
    cf:same(still_here, cf_live:saw(P)).

our_inactive(T) ->
    A = our_alias(),
    apply(erlang, unalias, [A]),
    ok = cf_live:ask(T, send, [A, too_late]),
    cf_live:fence(T),
    cf:not_got(fun(too_late) -> ok end).

alias_of(T) ->
    C = cf_fake:dial(T, #{}),
    cf_fake:agreed(C, 1 bsl 35, "ALIAS"),
    P = cf_fake:puppet(C),
    cf_fake:call(C, P, watch, [cf_fake:pid(C)]),
    {C, P, cf_fake:call(C, P, alias, [[]])}.

words(T) -> {C, _, A} = alias_of(T), cf:same(A, cf_fake:call(C, echo, [A])).

wire(T, Make) ->
    {C, P, A} = alias_of(T),
    cf_fake:send(C, Make(cf_fake:pid(C), A), hello),
    cf_fake:take(C, fun({signal, _, {saw, X, hello}, _}) when X =:= P -> ok end).

altact(T) ->
    {C, P, A} = alias_of(T),
    cf_fake:agreed(C, 1 bsl 37, "ALTACT_SIG"),
    [begin
         cf_fake:send(C, {37, Flags, cf_fake:pid(C), A}, hello),
         cf_fake:take(C, fun({signal, _, {saw, X, hello}, _}) when X =:= P -> ok end)
     end || Flags <- [4, 5]].

altact_used(T) ->
    {C, P, _} = alias_of(T),
    Mine = cf_fake:ref(C, 5),
    cf_fake:call(C, P, send, [Mine, hello]),
    cf_fake:take(C, fun({signal, {33, _, To}, hello, _}) when To =:= Mine -> ok;
                       ({signal, {37, 4, _, To}, hello, _}) when To =:= Mine -> ok end).
