%% SPDX-License-Identifier: Apache-2.0
%% What sys shows of a running server: log, trace, statistics; and what it cannot do there.
-module(cf_case_debug).
-export([cases/0]).

-define(SYS, "sys.erl, debug_cmd").

cases() ->
    [{Id, What, Rule, [{needs, [spawn, gen, sys | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'sys.log', "sys:log keeps what came in and what went out", ?SYS, [], [], fun log/1},
      {'sys.log_size', "sys:log with a size keeps the newest", ?SYS, [], [], fun log_size/1},
      {'sys.log_off', "sys:log with false forgets", ?SYS, [], [], fun log_off/1},
      {'sys.log_print', "sys:log with print writes to the group leader", ?SYS, [io], [], fun log_print/1},
      {'sys.trace', "sys:trace writes each event to the group leader as it happens, until it is off", ?SYS, [io], [], fun trace/1},
      {'sys.statistics', "sys:statistics counts messages from when it is on", ?SYS, [], [], fun counts/1},
      {'sys.statistics_off', "sys:statistics that is off is no_statistics", ?SYS, [], [], fun statistics_off/1},
      {'sys.no_debug', "sys:no_debug ends all of it", ?SYS, [io], [], fun no_debug/1},
      {'sys.log_to_file', "sys:log_to_file of what cannot be opened is open_file", ?SYS, [], [], fun log_to_file/1},
      {'sys.install', "sys:install is done or is an error, and the server goes on", ?SYS, [], [], fun install/1},
      {'sys.remove', "sys:remove of what was never installed is ok", ?SYS, [], [], fun remove/1},
      {'sys.unknown_debug', "an unknown debug command is unknown_debug", ?SYS, [], [], fun unknown_debug/1},
      {'sys.log_stop', "a server whose messages are logged ends as any other", ?SYS, [monitor], [], fun log_stop/1}]].

counter(#{nut := Nut}) -> spawn(Nut, counter, start, [0]).

log(T) ->
    P = counter(T), Self = self(),
    cf:same(ok, sys:log(P, true)),
    5 = gen_server:call(P, {add, 5}),
    gen_server:cast(P, {add, 1}),
    P ! anything,
    6 = gen_server:call(P, get),
    {ok, Events} = sys:log(P, get),
    [{in, {'$gen_call', {Self, _}, {add, 5}}}, Out | Rest] = Events,
    cf:same([out, 5], [element(1, Out), element(2, Out)]),
    [{in, {'$gen_cast', {add, 1}}}, Cast, {in, anything}, Info, {in, {'$gen_call', {Self, _}, get}}, Last] = Rest,
    cf:same([noreply, noreply, out, 6], [element(1, Cast), element(1, Info), element(1, Last), element(2, Last)]),
    {status, P, _, [_, _, _, _, Shown]} = sys:get_status(P),
    cf:same([Events], [L || {data, Data} <- Shown, {"Logged events", L} <- Data]).

log_size(T) ->
    P = counter(T),
    ok = sys:log(P, {true, 3}),
    [gen_server:call(P, {add, 1}) || _ <- lists:seq(1, 10)],
    {ok, [A, {in, {'$gen_call', _, {add, 1}}}, B]} = sys:log(P, get),
    cf:same([out, 9, out, 10], [element(1, A), element(2, A), element(1, B), element(2, B)]).

log_off(T) ->
    P = counter(T),
    cf:same({ok, []}, sys:log(P, get)),
    ok = sys:log(P, true),
    0 = gen_server:call(P, get),
    cf:same(ok, sys:log(P, false)),
    cf:same({ok, []}, sys:log(P, get)).

%% A counter whose group leader tells us what is written.
led(T) ->
    Self = self(), Mine = group_leader(),
    Leader = spawn_link(fun() -> leader(Self) end),
    group_leader(Leader, self()),
    P = counter(T),
    0 = gen_server:call(P, get),
    group_leader(Mine, self()),
    P.

leader(Owner) ->
    receive
        {io_request, From, As, Request} ->
            From ! {io_reply, As, ok},
            Owner ! {written, unicode:characters_to_list(chars(Request))},
            leader(Owner)
    end.

chars({put_chars, _, Chars}) -> Chars;
chars({put_chars, _, M, F, A}) -> apply(M, F, A).

line(Words) ->
    receive
        {written, Text} ->
            [cf:check(string:find(Text, W) =/= nomatch, "~s is not in ~s", [W, Text]) || W <- Words]
    after cf:ms(8000) -> cf:fail("nothing was written")
    end.

silence(P) ->
    0 = gen_server:call(P, {add, 0}),
    receive {written, Text} -> cf:fail("~s was written", [Text]) after 0 -> ok end.

log_print(T) ->
    P = led(T),
    ok = sys:log(P, true),
    0 = gen_server:call(P, get),
    cf:same(ok, sys:log(P, print)),
    line(["*DBG*", "got call get"]),
    line(["*DBG*", "sent 0"]).

trace(T) ->
    P = led(T),
    cf:same(ok, sys:trace(P, true)),
    gen_server:cast(P, {add, 0}),
    line(["*DBG*", "got cast {add,0}"]),
    line(["*DBG*", "new state"]),
    P ! hello,
    line(["*DBG*", "got hello"]),
    line(["*DBG*", "new state"]),
    cf:same(ok, sys:trace(P, false)),
    silence(P).

counts(T) ->
    P = counter(T),
    1 = gen_server:call(P, {add, 1}),
    cf:same(ok, sys:statistics(P, true)),
    gen_server:cast(P, {add, 1}),
    2 = gen_server:call(P, get),
    3 = gen_server:call(P, {add, 1}),
    {ok, [{start_time, {{_, _, _}, {_, _, _}} = Start}, {current_time, {{_, _, _}, {_, _, _}} = Now}, {reductions, R} | Counts]} =
        sys:statistics(P, get),
    cf:check(calendar:datetime_to_gregorian_seconds(Now) >= calendar:datetime_to_gregorian_seconds(Start), "the times"),
    cf:check(is_integer(R) andalso R >= 0, "the reductions"),
    cf:same([{messages_in, 3}, {messages_out, 2}], Counts).

statistics_off(T) ->
    P = counter(T),
    cf:same({ok, no_statistics}, sys:statistics(P, get)),
    ok = sys:statistics(P, true),
    cf:same(ok, sys:statistics(P, false)),
    cf:same({ok, no_statistics}, sys:statistics(P, get)).

no_debug(T) ->
    P = led(T),
    [ok, ok, ok] = [sys:trace(P, true), sys:log(P, true), sys:statistics(P, true)],
    cf:same(ok, sys:no_debug(P)),
    silence(P),
    cf:same([{ok, []}, {ok, no_statistics}], [sys:log(P, get), sys:statistics(P, get)]).

log_to_file(T) ->
    P = counter(T),
    cf:same({error, open_file}, sys:log_to_file(P, "/no/such/folder/there/is")),
    cf:same(ok, sys:log_to_file(P, false)),
    cf:same(0, gen_server:call(P, get)).

install(T) ->
    P = counter(T),
    Said = sys:install(P, {fun(_, _, _) -> done end, none}),
    cf:check(lists:member(Said, [ok, {error, notsup}]), "it said ~p", [Said]),
    cf:same(1, gen_server:call(P, {add, 1})).

remove(T) ->
    P = counter(T),
    cf:same(ok, sys:remove(P, never_installed)),
    cf:same(0, gen_server:call(P, get)).

unknown_debug(T) ->
    P = counter(T),
    cf:same({ok, unknown_debug}, gen:call(P, system, {debug, {no, such, thing}}, cf:ms(8000))),
    cf:same({ok, unknown_debug}, gen:call(P, system, {debug, {log, {true, 0}}}, cf:ms(8000))),
    cf:same(0, gen_server:call(P, get)).

log_stop(T) ->
    P = counter(T), M = monitor(process, P),
    ok = sys:log(P, true),
    ok = sys:statistics(P, true),
    1 = gen_server:call(P, {add, 1}),
    P ! {exit, {so, be, it}},
    cf:same({so, be, it}, cf_live:down(M)).
