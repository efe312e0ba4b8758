%% SPDX-License-Identifier: Apache-2.0
%% gen_server calls and casts in both directions, every form of reply tag, and system messages.
-module(cf_case_gen).
-export([cases/0]).

-define(GEN, "gen.erl, gen_server.erl").
-define(SYS, "sys.erl").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{Id, What, Rule, [{needs, [spawn, gen | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'gen.call', "gen_server:call is answered", ?GEN, [], [?ALL], fun call/1},
      {'gen.call_by_name', "a call to {Name, Node} is answered", ?GEN, [register], [], fun call_by_name/1},
      {'gen.cast', "gen_server:cast is obeyed", ?GEN, [], [], fun cast/1},
      {'gen.cast_by_name', "a cast to {Name, Node} that nobody has is dropped", ?GEN, [], [], fun cast_nobody/1},
      {'gen.bad_request', "an unknown request is answered {error, bad_request}", "CONTRACT.md", [], [], fun bad_request/1},
      {'gen.unknown_message', "unknown messages and casts are ignored", "CONTRACT.md", [], [], fun unknown_message/1},
      {'gen.thousand', "1,000 calls in a row count right", ?GEN, [], [], fun thousand/1},
      {'gen.concurrent', "calls from 50 processes at once count right", ?GEN, [], [], fun concurrent/1},
      {'gen.send_request', "send_request and wait_response", ?GEN, [], [], fun send_request/1},
      {'gen.multi_call', "multi_call reaches a named server", ?GEN, [register], [], fun multi_call/1},
      {'gen.call_dead', "a call to a dead server exits with noproc", ?GEN, [], [], fun call_dead/1},
      {'gen.call_unknown_name', "a call to an unknown name exits with noproc, with timeout infinity too", ?GEN, [], [], fun call_unknown_name/1},
      {'gen.dies_in_call', "the server ends while it is called: the caller gets its reason", ?GEN, [], [], fun dies_in_call/1},
      {'gen.timeout', "a call that times out leaves nothing behind", ?GEN, [busy], [], fun timeout/1},
      {'gen.stop_cast', "the cast stop ends it normally", "CONTRACT.md", [], [], fun stop_cast/1},
      {'gen.exit_message', "{exit, Reason} ends it with the reason", "CONTRACT.md", [], [], fun exit_message/1},
      {'gen.connection_lost', "the connection ends during a call: {nodedown, Node}", ?GEN, [busy], [], fun connection_lost/1},
      {'gen.busy_delays_nobody', "a busy server delays no other process", "design.md rule 4", [busy], [], fun busy/1},
      {'gen.killed_while_busy', "a busy process that is killed: DOWN at once", "design.md rule 11", [busy], [], fun killed_while_busy/1},
      {'gen.tag_reference', "the tag may be a reference: the reply goes to the pid", ?GEN, [], [raw], fun(T) -> tag(T, fun(R) -> R end, [pid]) end},
      {'gen.tag_alias', "the tag [alias|Ref]: the reply goes to the alias, the tag comes back whole", ?GEN, [], [raw, {from, 24}], fun(T) -> tag(T, fun(R) -> [alias | R] end, [alias, pid]) end},
      {'gen.tag_alias_multi', "the tag [[alias|Ref]|Ref]: the reply goes to the inner alias", ?GEN, [], [raw, {from, 26}], fun tag_alias_multi/1},
      {'gen.tag_tuple', "any other tag comes back as it was", ?GEN, [], [raw], fun tag_any/1},
      {'gen.tag_unanswerable', "a call that cannot be answered does not end the server: a tag too wide for its sender's own flags", ?GEN, [], [raw, {from, 24}, {to, 25}], fun tag_unanswerable/1},
      {'gen.out_call', "its call to our server is answered", ?GEN, [gen_out], [?ALL], fun out_call/1},
      {'gen.out_call_by_name', "its call to {Name, Node} is answered", ?GEN, [gen_out], [], fun out_call_by_name/1},
      {'gen.out_cast', "its cast arrives", ?GEN, [gen_out], [], fun out_cast/1},
      {'gen.out_noproc', "its call to a dead process fails with noproc", ?GEN, [gen_out], [], fun out_noproc/1},
      {'gen.out_unknown_name', "its call to an unknown name fails with noproc", ?GEN, [gen_out], [], fun out_unknown_name/1},
      {'gen.out_timeout', "its call times out", ?GEN, [gen_out], [], fun out_timeout/1},
      {'gen.out_late_reply', "a reply after the timeout is not taken for the next one", ?GEN, [gen_out], [], fun out_late_reply/1},
      {'gen.out_dies', "our server ends during its call: the reason there", ?GEN, [gen_out], [], fun out_dies/1},
      {'gen.out_nodedown', "its call to a node that is not there fails with nodedown", ?GEN, [gen_out], [], fun out_nodedown/1},
      {'gen.out_wire', "its call is MONITOR_P, then the request, then DEMONITOR_P", ?GEN, [gen_out], [raw], fun out_wire/1},
      {'sys.get_state', "sys:get_state gives the state", ?SYS, [sys], [?ALL], fun get_state/1},
      {'sys.get_status', "sys:get_status has the documented shape", ?SYS, [sys], [], fun get_status/1},
      {'sys.suspend', "a suspended server answers no calls until it is resumed", ?SYS, [sys], [], fun suspend/1},
      {'sys.replace_state', "sys:replace_state with a fun gives a state or a clean error", ?SYS, [sys], [], fun replace_state/1},
      {'sys.terminate', "sys:terminate ends it with the reason", ?SYS, [sys], [], fun terminate/1},
      {'sys.stop', "gen_server:stop ends it normally", ?SYS, [sys], [], fun stop/1},
      {'sys.unknown', "an unknown system message is an error, not the end", ?SYS, [sys], [], fun unknown_system/1},
      {'sys.suspend_twice', "suspend and resume twice are ok", ?SYS, [sys], [], fun suspend_twice/1},
      {'sys.suspended_cast', "casts and messages to a suspended server wait in their order", ?SYS, [sys], [], fun suspended_cast/1},
      {'sys.suspended_get_state', "a suspended server still shows its state", ?SYS, [sys], [], fun suspended_get_state/1},
      {'sys.suspended_terminate', "a suspended server can be terminated", ?SYS, [sys], [], fun suspended_terminate/1},
      {'sys.suspended_exit', "a suspended server still ends by an exit signal", ?SYS, [sys, exit], [], fun suspended_exit/1},
      {'sys.suspended_monitored', "DOWN of a suspended server comes at once", ?SYS, [sys, monitor], [], fun suspended_monitored/1},
      {'sys.stop_reason', "gen_server:stop with a reason and a timeout", ?SYS, [sys], [], fun stop_reason/1},
      {'sys.stop_dead', "gen_server:stop of a dead one exits with noproc", ?SYS, [sys], [], fun stop_dead/1},
      {'sys.proc_lib_stop', "proc_lib:stop ends it with the reason", ?SYS, [sys], [], fun proc_lib_stop/1},
      {'sys.busy', "a system call to a busy server waits and is answered", ?SYS, [sys, busy], [], fun sys_busy/1},
      {'sys.get_state_timeout', "sys:get_state of a busy server times out, and its late answer is no message", ?SYS, [sys, busy], [{from, 24}], fun get_state_timeout/1},
      {'gen.statem_call', "gen_statem:call and cast reach it as a call and a cast", "gen_statem.erl", [], [], fun statem_call/1},
      {'gen.statem_send_request', "gen_statem:send_request is answered", "gen_statem.erl", [], [], fun statem_send_request/1},
      {'gen.event_ignored', "what gen_event sends is no call to a gen_server", "gen_event.erl", [], [], fun event_ignored/1},
      {'gen.fsm_ignored', "what gen_fsm sends is no call to a gen_server", "gen_fsm.erl", [], [], fun fsm_ignored/1},
      {'gen.reply_late', "a caller that has gone when the reply comes hurts nobody", ?GEN, [busy], [], fun reply_late/1},
      {'gen.abcast', "gen_server:abcast reaches a named server", ?GEN, [register], [], fun abcast/1},
      {'sys.nonsense', "malformed system messages are dropped", ?SYS, [sys], [], fun nonsense_system/1}]].

counter(#{nut := Nut}) -> spawn(Nut, counter, start, [0]).

call(T) -> P = counter(T), cf:same(5, gen_server:call(P, {add, 5})), cf:same(5, gen_server:call(P, get, infinity)).

call_by_name(#{nut := Nut} = T) ->
    Name = cf:unique("serves"), P = cf_live:puppet(T), true = cf_live:ask(T, P, register, [Name]),
    ok = cf_live:ask(T, P, watch, [self()]),
    {Q, M} = spawn_monitor(fun() -> exit({answer, gen_server:call({Name, Nut}, question)}) end), _ = Q,
    {'$gen_call', From, question} = cf_live:saw(P),
    gen_server:reply(From, fine),
    cf:same({answer, fine}, cf_live:down(M)).

cast(T) -> P = counter(T), ok = gen_server:cast(P, {add, 7}), cf:same(7, gen_server:call(P, get)).
cast_nobody(#{nut := Nut} = T) -> ok = gen_server:cast({nobody_here, Nut}, hello), cf_live:fence(T).
bad_request(T) -> P = counter(T), [cf:same({error, bad_request}, gen_server:call(P, R)) || R <- [nonsense, {add, x}, {add}, [], 1.5]].

unknown_message(T) ->
    P = counter(T),
    [P ! M || M <- [junk, {}, {exit}, {'$gen_cast'}, {'$gen_call', x}, <<>>, [a]]],
    gen_server:cast(P, junk),
    cf:same(0, gen_server:call(P, get)).

thousand(T) -> P = counter(T), [N = gen_server:call(P, {add, 1}) || N <- lists:seq(1, 1000)], ok.

concurrent(T) ->
    P = counter(T),
    Ws = [spawn_monitor(fun() -> [gen_server:call(P, {add, 1}) || _ <- lists:seq(1, 20)] end) || _ <- lists:seq(1, 50)],
    [normal = cf_live:down(M) || {_, M} <- Ws],
    cf:same(1000, gen_server:call(P, get)).

send_request(T) ->
    P = counter(T),
    R = gen_server:send_request(P, {add, 3}),
    cf:same({reply, 3}, gen_server:wait_response(R, 8000)).

multi_call(#{nut := Nut}) -> cf:same({[{Nut, {error, bad_request}}], []}, gen_server:multi_call([Nut], echo, hello, 8000)).

dead(T) -> P = counter(T), M = monitor(process, P), gen_server:cast(P, stop), normal = cf_live:down(M), P.

exits(Fun) -> try {value, Fun()} catch exit:{Why, {gen_server, _, _}} -> Why end.

call_dead(T) -> P = dead(T), cf:same(noproc, exits(fun() -> gen_server:call(P, get) end)).
call_unknown_name(#{nut := Nut}) -> cf:same(noproc, exits(fun() -> gen_server:call({nobody_here, Nut}, get, infinity) end)).

dies_in_call(T) ->
    P = cf_live:puppet(T),
    {_, M} = spawn_monitor(fun() -> exit(exits(fun() -> gen_server:call(P, get, infinity) end)) end),
    cf_live:fence(T),
    exit(P, last_words),
    cf:same(last_words, cf_live:down(M)).

busy_server(#{nut := Nut}) -> spawn(Nut, busy, start, []).

timeout(T) ->
    P = busy_server(T),
    cf:same(timeout, exits(fun() -> gen_server:call(P, {spin, 300}, 50) end)),
    cf:same(done, gen_server:call(P, {spin, 1}, 8000)),
    case erlang:system_info(otp_release) of
        "23" -> ok;                              % its late reply comes as a message
        _ -> cf:not_got(fun({_, done}) -> ok end)
    end.

stop_cast(T) -> P = counter(T), M = monitor(process, P), gen_server:cast(P, stop), cf:same(normal, cf_live:down(M)).
exit_message(T) -> P = counter(T), M = monitor(process, P), P ! {exit, {so, be, it}}, cf:same({so, be, it}, cf_live:down(M)).

connection_lost(#{nut := Nut} = T) ->
    P = busy_server(T),
    {_, M} = spawn_monitor(fun() -> exit(exits(fun() -> gen_server:call(P, {spin, 1000}, infinity) end)) end),
    cf_live:fence(T),
    cf_live:disconnect(T),
    cf:same({nodedown, Nut}, cf_live:down(M)).

%% Counted, not timed: on a loaded machine everything is slow, but nothing may wait for the busy one.
busy(T) ->
    P = busy_server(T), C = counter(T),
    R = gen_server:send_request(P, {spin, 1000}),
    Answered = calls_until(R, C, 0),
    cf:check(Answered >= 5, "only ~p calls were answered while another process was busy for a second", [Answered]).

calls_until(R, C, N) ->
    _ = gen_server:call(C, {add, 1}, 8000),
    case gen_server:wait_response(R, 0) of
        timeout -> calls_until(R, C, N + 1);
        {reply, done} -> N
    end.

killed_while_busy(T) ->
    P = busy_server(T), M = monitor(process, P),
    _ = gen_server:send_request(P, {spin, 6000}),
    cf_live:fence(T),
    Began = erlang:monotonic_time(millisecond),
    exit(P, kill),
    cf:same(killed, cf_live:down(M)),
    Ms = erlang:monotonic_time(millisecond) - Began,
    cf:check(Ms < 3000, "DOWN took ~p ms", [Ms]).

%% On the wire: our request by hand, the reply wherever it comes.
start_counter(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Me, Me, {counter, start, 1}, []}, [0]),
    {C, cf_fake:take(C, fun({signal, {31, R, _, _, P}, _, _}) when R =:= Ref -> P end)}.

reply(C) ->
    cf_fake:take(C, fun({signal, {2, _, To}, {Tag, 1}, _}) -> {To, Tag};
                       ({signal, {22, _, To}, {Tag, 1}, _}) -> {To, Tag};
                       ({signal, {33, _, To}, {Tag, 1}, _}) -> {To, Tag};
                       ({signal, {37, 4, _, To}, {Tag, 1}, _}) -> {To, Tag} end).

tag(T, Make, Allowed) ->
    {C, P} = start_counter(T),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C), Tag = Make(Ref),
    cf_fake:to(C, P, {'$gen_call', {Me, Tag}, {add, 1}}),
    {To, Got} = reply(C),
    cf:same(Tag, Got, "tag"),
    Where = if To =:= Me -> pid; To =:= Ref -> alias; true -> To end,
    cf:check(lists:member(Where, Allowed), "the reply went to ~p", [Where]).

tag_alias_multi(T) ->
    {C, P} = start_counter(T),
    Me = cf_fake:pid(C), A = cf_fake:ref(C, 5), Tag = [[alias | A] | cf_fake:ref(C)],
    cf_fake:to(C, P, {'$gen_call', {Me, Tag}, {add, 1}}),
    cf:same({A, Tag}, reply(C)).

tag_any(T) ->
    {C, P} = start_counter(T),
    Me = cf_fake:pid(C),
    [begin
         cf_fake:to(C, P, {'$gen_call', {Me, Tag}, {add, N}}),
         cf_fake:take(C, fun({signal, _, {X, V}, _}) when X =:= Tag, is_integer(V) -> ok end)
     end || {N, Tag} <- [{1, {cf_fake:ref(C), node}}, {2, 17}, {3, [a | b]}]].

%% A reference of 5 words, from a peer that takes 3 (no V4_NC, which OTP 26 and later insist on).
tag_unanswerable(T) ->
    {C, P} = start_counter(T),
    Narrow = cf_fake:dial(T, #{flags => cf_hs:without(cf_hs:hidden(cf_hs:flags(maps:get(release, T))), 16#400000000)}),
    [cf_fake:to(Narrow, P, {'$gen_call', {cf_fake:pid(Narrow), Tag}, {add, 1}})
     || Tag <- [cf_fake:ref(Narrow, 5), [alias | cf_fake:ref(Narrow, 5)]]],
    cf_fake:fence(Narrow),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:to(C, P, {'$gen_call', {Me, Ref}, {add, 1}}),
    cf_fake:take(C, fun({signal, _, {R, N}, _}) when R =:= Ref, is_integer(N) -> ok end).

serve(Fun) -> spawn_link(fun() -> serve_loop(Fun) end).
serve_loop(Fun) -> receive {'$gen_call', From, Request} -> Fun(From, Request), serve_loop(Fun) end.

out_call(T) -> S = serve(fun(F, {double, N}) -> gen_server:reply(F, 2 * N) end), cf:same({ok, 42}, cf_live:ask(T, call, [S, {double, 21}, 5000])).

out_call_by_name(T) ->
    S = serve(fun(F, R) -> gen_server:reply(F, {got, R}) end), Name = cf:unique("server"), register(Name, S),
    cf:same({ok, {got, x}}, cf_live:ask(T, call, [{Name, node()}, x, infinity])).

out_cast(T) -> ok = cf_live:ask(T, cast, [self(), news]), {'$gen_cast', news} = cf:got(fun({'$gen_cast', _} = M) -> M end).

out_noproc(T) ->
    {P, M} = spawn_monitor(fun() -> ok end), receive {'DOWN', M, _, _, _} -> ok end,
    cf:same({error, noproc}, cf_live:ask(T, call, [P, x, 5000])).

out_unknown_name(T) -> cf:same({error, noproc}, cf_live:ask(T, call, [{nobody_here, node()}, x, infinity])).
out_timeout(T) -> S = serve(fun(_, _) -> ok end), cf:same({error, timeout}, cf_live:ask(T, call, [S, x, 50])).

out_late_reply(T) ->
    Self = self(),
    S = serve(fun(F, first) -> Self ! {held, F};
                 (F, {during, Other}) -> gen_server:reply(Other, wrong), gen_server:reply(F, right) end),
    P = cf_live:puppet(T),
    {error, timeout} = cf_live:ask(T, P, call, [S, first, 50]),
    F = receive {held, X} -> X end,
    gen_server:reply(F, wrong),
    cf:same({ok, right}, cf_live:ask(T, P, call, [S, {during, F}, 5000])).

out_dies(T) ->
    S = spawn(fun() -> receive {'$gen_call', _, _} -> exit(last_words) end end),
    cf:same({error, last_words}, cf_live:ask(T, call, [S, x, 5000])).

out_nodedown(T) -> cf:same({error, {nodedown, 'nobody_at_all@127.0.0.1'}}, cf_live:ask(T, call, [{x, 'nobody_at_all@127.0.0.1'}, x, 5000])).

out_wire(T) ->
    C = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C), Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:to(C, P, {call, Me, Ref, [{server, maps:get(name, C)}, question, infinity]}),
    {Caller, Tag} = cf_fake:take(C, fun({signal, {6, _, _, server}, {'$gen_call', {X, G}, question}, _}) -> {X, G} end),
    [Mon] = cf_fake:seen(C, fun({signal, {19, F, server, R}, _, _}) when F =:= Caller -> R end),
    cf_fake:to(C, Caller, {Tag, answer}),
    cf_fake:take(C, fun({signal, {20, F, server, R}, _, _}) when F =:= Caller, R =:= Mon -> ok end),
    {ok, answer} = cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end).

get_state(T) -> P = counter(T), gen_server:call(P, {add, 9}), cf:same(9, sys:get_state(P)).

get_status(T) ->
    P = counter(T),
    {status, P, {module, Module}, [PDict, running, Parent, Debug, _]} = sys:get_status(P),
    cf:check(is_atom(Module) andalso is_list(PDict) andalso is_pid(Parent) andalso is_list(Debug), "shape").

suspend(T) ->
    P = counter(T),
    ok = sys:suspend(P),
    R = gen_server:send_request(P, {add, 1}),
    {status, P, _, [_, suspended | _]} = sys:get_status(P),
    timeout = gen_server:wait_response(R, 0),
    ok = sys:resume(P),
    cf:same({reply, 1}, gen_server:wait_response(R, 8000)).

replace_state(T) ->
    P = counter(T),
    case catch_any(fun() -> sys:replace_state(P, fun(N) -> N + 100 end) end) of
        100 -> cf:same(100, gen_server:call(P, get));
        {error, {callback_failed, {_, system_replace_state}, {error, _}}} -> cf:same(0, gen_server:call(P, get))
    end.

catch_any(Fun) -> try Fun() catch _:Why -> {error, Why} end.

terminate(T) -> P = counter(T), M = monitor(process, P), ok = sys:terminate(P, enough), cf:same(enough, cf_live:down(M)).
stop(T) -> P = counter(T), M = monitor(process, P), ok = gen_server:stop(P), cf:same(normal, cf_live:down(M)).

suspend_twice(T) ->
    P = counter(T),
    ok = sys:suspend(P), ok = sys:suspend(P), ok = sys:resume(P), ok = sys:resume(P),
    cf:same(1, gen_server:call(P, {add, 1})).

suspended_cast(T) ->
    P = counter(T), M = monitor(process, P),
    ok = sys:suspend(P),
    gen_server:cast(P, {add, 1}), gen_server:cast(P, {add, 2}), P ! junk,
    R = gen_server:send_request(P, {add, 3}),
    gen_server:cast(P, stop),
    cf:same(0, sys:get_state(P)),
    ok = sys:resume(P),
    cf:same({reply, 6}, gen_server:wait_response(R, 8000)),
    cf:same(normal, cf_live:down(M)).

suspended_get_state(T) -> P = counter(T), 4 = gen_server:call(P, {add, 4}), ok = sys:suspend(P), cf:same(4, sys:get_state(P)).
suspended_terminate(T) -> P = counter(T), M = monitor(process, P), ok = sys:suspend(P), ok = sys:terminate(P, out), cf:same(out, cf_live:down(M)).
suspended_exit(T) -> P = counter(T), M = monitor(process, P), ok = sys:suspend(P), exit(P, enough), cf:same(enough, cf_live:down(M)).
suspended_monitored(T) -> P = counter(T), ok = sys:suspend(P), exit(P, kill), M = monitor(process, P), true = lists:member(cf_live:down(M), [killed, noproc]), ok.
stop_reason(T) -> P = counter(T), M = monitor(process, P), ok = gen_server:stop(P, {shutdown, so}, 8000), cf:same({shutdown, so}, cf_live:down(M)).
stop_dead(T) -> P = dead(T), cf:same(noproc, (try gen_server:stop(P) catch exit:Why -> Why end)).
proc_lib_stop(T) -> P = counter(T), M = monitor(process, P), ok = proc_lib:stop(P, shutdown, 8000), cf:same(shutdown, cf_live:down(M)).

sys_busy(T) ->
    P = busy_server(T),
    R = gen_server:send_request(P, {spin, 200}),
    {status, P, _, _} = sys:get_status(P, 8000),
    cf:same({reply, done}, gen_server:wait_response(R, 8000)).

get_state_timeout(T) ->
    P = busy_server(T),
    R = gen_server:send_request(P, {spin, 300}),
    {timeout, {sys, get_state, _}} = (try sys:get_state(P, 20) catch exit:Why -> Why end),
    {reply, done} = gen_server:wait_response(R, 8000),
    done = gen_server:call(P, {spin, 1}, 8000),
    cf:not_got(fun({_, {ok, _}}) -> ok; ({[alias | _], _}) -> ok end).

statem_call(T) -> P = counter(T), cf:same(5, gen_statem:call(P, {add, 5})), ok = gen_statem:cast(P, {add, 1}), cf:same(6, gen_statem:call(P, get, infinity)).
statem_send_request(T) -> P = counter(T), R = gen_statem:send_request(P, {add, 2}), cf:same({reply, 2}, gen_statem:wait_response(R, 8000)).

event_ignored(T) ->
    P = counter(T), R = make_ref(),
    [P ! M || M <- [{notify, e}, {self(), {self(), R}, which_handlers}, {self(), {self(), R}, {sync_notify, e}}, {self(), {self(), R}, {call, h, q}}]],
    cf:same(0, gen_server:call(P, get)),
    cf:not_got(fun({Ref, _}) when Ref =:= R -> ok end).

fsm_ignored(T) ->
    P = counter(T), R = make_ref(),
    [P ! M || M <- [{'$gen_event', e}, {'$gen_all_state_event', e}, {'$gen_sync_event', {self(), R}, e}, {'$gen_sync_all_state_event', {self(), R}, e}]],
    cf:same(0, gen_server:call(P, get)),
    cf:not_got(fun({Ref, _}) when Ref =:= R -> ok end).

reply_late(T) ->
    P = busy_server(T),
    {_, M} = spawn_monitor(fun() -> gen_server:send_request(P, {spin, 100}) end),
    normal = cf_live:down(M),
    cf:same(done, gen_server:call(P, {spin, 1}, 8000)).

abcast(#{nut := Nut} = T) ->
    Name = cf:unique("casts"), P = cf_live:puppet(T), true = cf_live:ask(T, P, register, [Name]),
    ok = cf_live:ask(T, P, watch, [self()]),
    abcast = gen_server:abcast([Nut], Name, news),
    cf:same({'$gen_cast', news}, cf_live:saw(P)).

unknown_system(T) ->
    P = counter(T), R = make_ref(),
    P ! {system, {self(), R}, no_such_request},
    receive {R, {error, {unknown_system_msg, no_such_request}}} -> ok; {R, Other} -> cf:fail("answered ~p", [Other]) after 8000 -> cf:fail("no answer") end,
    cf:same(0, gen_server:call(P, get)).

nonsense_system(T) ->
    P = counter(T),
    [P ! M || M <- [{system}, {system, x}, {system, 1, 2, 3}]],
    cf:same(0, gen_server:call(P, get)).
