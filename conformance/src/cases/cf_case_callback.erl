%% SPDX-License-Identifier: Apache-2.0
%% Servers whose callbacks do what they should not: what callers, monitors and links see of it.
-module(cf_case_callback).
-export([cases/0]).

-define(GEN, "gen_server.erl").

cases() ->
    [{Id, What, Rule, [{needs, [spawn, gen, rude | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'callback.twice', "of two replies the first is the call's, and the second disturbs no later call", ?GEN, [], [{from, 24}, {varies, [dial, visible]}], fun twice/1},
      {'callback.never', "no reply: the call times out, the server goes on", ?GEN, [], [], fun never/1},
      {'callback.never_killed', "no reply, then the server is killed: its caller gets the reason", ?GEN, [], [], fun never_killed/1},
      {'callback.later', "a reply that was kept comes by another call", ?GEN, [], [], fun later/1},
      {'callback.later_gone', "a kept reply to a caller that has gone hurts nobody", ?GEN, [], [], fun later_gone/1},
      {'callback.error', "a callback that fails ends its process, and the caller gets the reason", ?GEN, [monitor], [], fun fails/1},
      {'callback.error_linked', "a callback that fails: EXIT to who is linked", ?GEN, [link], [], fun error_linked/1},
      {'callback.cast_error', "so does one of a cast", ?GEN, [monitor], [], fun cast_error/1},
      {'callback.error_alone', "no other process notices", ?GEN, [], [], fun error_alone/1},
      {'callback.stop', "a stop in a call without a reply: the caller gets the reason", ?GEN, [], [], fun stop/1},
      {'callback.stop_normal', "a normal stop in a call without a reply: the caller gets normal", ?GEN, [], [], fun stop_normal/1},
      {'callback.reply_stop', "a reply and then a stop: the caller has the reply, the monitor the reason", ?GEN, [monitor], [], fun reply_stop/1},
      {'callback.waiting_calls', "calls that wait when the server stops all get its reason", ?GEN, [], [], fun waiting_calls/1},
      {'callback.bad_term', "a term that no node takes is an error to the callback, and never leaves", ?GEN, [], [], fun bad_term/1},
      {'callback.init_stop', "a start that stops at once: the spawn succeeds, DOWN has the reason", ?GEN, [monitor], [], fun init_stop/1}]].

rude(#{nut := Nut}) -> spawn(Nut, rude, start, []).

exits(Fun) -> try {value, Fun()} catch exit:{Why, {gen_server, _, _}} -> Why end.

twice(T) ->
    P = rude(T),
    cf:same(first, gen_server:call(P, twice)),
    cf:same({error, bad_request}, gen_server:call(P, x)),
    cf:same(first, gen_server:call(P, twice)).

never(T) ->
    P = rude(T),
    cf:same(timeout, exits(fun() -> gen_server:call(P, never, 50) end)),
    cf:same({error, bad_request}, gen_server:call(P, x)).

never_killed(T) ->
    P = rude(T),
    {_, M} = spawn_monitor(fun() -> exit(exits(fun() -> gen_server:call(P, never, infinity) end)) end),
    cf:same({error, bad_request}, gen_server:call(P, x)),
    cf_live:fence(T),
    exit(P, kill),
    cf:same(killed, cf_live:down(M)).

later(T) ->
    P = rude(T),
    R = gen_server:send_request(P, keep),
    timeout = gen_server:wait_response(R, 0),
    cf:same(given, gen_server:call(P, give)),
    cf:same({reply, kept}, gen_server:wait_response(R, cf:ms(8000))).

later_gone(T) ->
    P = rude(T),
    {_, M} = spawn_monitor(fun() -> gen_server:send_request(P, keep) end),
    normal = cf_live:down(M),
    cf:same(given, gen_server:call(P, give)).

abnormal(Why) -> cf:check(not lists:member(Why, [normal, shutdown, noproc, noconnection]), "the reason is ~p", [Why]).

fails(T) ->
    P = rude(T), M = monitor(process, P),
    Why = exits(fun() -> gen_server:call(P, error) end),
    abnormal(Why),
    cf:same(Why, cf_live:down(M)).

error_linked(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    P = spawn_link(Nut, rude, start, []),
    Why = exits(fun() -> gen_server:call(P, error) end),
    cf:same(Why, cf_live:exit_of(P)).

cast_error(T) -> P = rude(T), M = monitor(process, P), gen_server:cast(P, error), abnormal(cf_live:down(M)).

error_alone(T) ->
    P = rude(T), Q = rude(T),
    _ = exits(fun() -> gen_server:call(P, error) end),
    cf:same({error, bad_request}, gen_server:call(Q, x)).

stop(T) -> P = rude(T), cf:same({so, be, it}, exits(fun() -> gen_server:call(P, {stop, {so, be, it}}) end)).
stop_normal(T) -> P = rude(T), cf:same(normal, exits(fun() -> gen_server:call(P, {stop, normal}) end)).

reply_stop(T) ->
    P = rude(T), M = monitor(process, P),
    cf:same(bye, gen_server:call(P, {reply_stop, enough})),
    cf:same(enough, cf_live:down(M)).

waiting_calls(T) ->
    P = rude(T),
    Ms = [element(2, spawn_monitor(fun() -> exit(exits(fun() -> gen_server:call(P, never, infinity) end)) end)) || _ <- lists:seq(1, 20)],
    cf_live:fence(T),
    cf:same(enough, exits(fun() -> gen_server:call(P, {stop, enough}) end)),
    [cf:check(lists:member(cf_live:down(M), [enough, noproc]), "another reason") || M <- Ms].

bad_term(T) -> P = rude(T), cf:same(refused, gen_server:call(P, bad_term)), cf:same({error, bad_request}, gen_server:call(P, x)).

init_stop(#{nut := Nut}) ->
    {P, M} = spawn_monitor(Nut, rude, start, [{stop, enough}]),
    cf:check(node(P) =:= Nut, "the pid is ~p", [P]),
    cf:same(enough, cf_live:down(M)).
