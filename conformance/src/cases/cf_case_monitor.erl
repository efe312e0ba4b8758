%% SPDX-License-Identifier: Apache-2.0
%% Monitors: by pid and by name, each fires exactly once, with the right reason.
-module(cf_case_monitor).
-export([cases/0]).

-define(DOC, "Reference Manual, Processes: monitors").
-define(WIRE, "erl_dist_protocol.html MONITOR_P, DEMONITOR_P, MONITOR_P_EXIT").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{Id, What, Rule, [{needs, [monitor | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'monitor.exit_reason', "a monitored process ends: DOWN with its reason", ?DOC, [], [?ALL], fun exit_reason/1},
      {'monitor.exit_normal', "it ends normally: DOWN normal", ?DOC, [], [], fun exit_normal/1},
      {'monitor.exit_big_reason', "a reason of 200 kB comes whole", ?DOC, [], [], fun exit_big/1},
      {'monitor.killed', "it is killed from here: DOWN killed", ?DOC, [link], [], fun killed/1},
      {'monitor.dead', "a monitor on a dead process: DOWN noproc", ?DOC, [], [?ALL], fun dead/1},
      {'monitor.by_name', "a monitor by name: DOWN with {Name, Node}", ?DOC, [register], [?ALL], fun by_name/1},
      {'monitor.unknown_name', "a monitor on an unknown name: DOWN noproc at once", ?DOC, [], [?ALL], fun unknown_name/1},
      {'monitor.name_moves', "a monitor by name stays with the process that had the name", ?DOC, [register], [], fun name_moves/1},
      {'monitor.demonitor', "after demonitor no DOWN comes", ?DOC, [], [], fun demonitored/1},
      {'monitor.demonitor_info', "demonitor of a monitor on a living process says it was there", ?DOC, [], [], fun demonitor_info/1},
      {'monitor.many_on_one', "five monitors on one process: five DOWN", ?DOC, [], [], fun many_on_one/1},
      {'monitor.thousand', "1,000 monitored processes end: 1,000 DOWN, each once", ?DOC, [], [], fun thousand/1},
      {'monitor.disconnect', "the connection ends: DOWN noconnection", ?DOC, [], [?ALL], fun disconnect/1},
      {'monitor.disconnect_by_name', "the connection ends: DOWN noconnection with {Name, Node}", ?DOC, [], [], fun disconnect_by_name/1},
      {'monitor.node_monitors', "it monitors our process: DOWN with the reason there", ?DOC, [], [?ALL], fun node_monitors/1},
      {'monitor.node_monitors_name', "it monitors our name: DOWN with {Name, Node} there", ?DOC, [], [], fun node_monitors_name/1},
      {'monitor.node_monitors_dead', "it monitors our dead process: DOWN noproc there", ?DOC, [], [], fun node_monitors_dead/1},
      {'monitor.node_monitors_unknown_name', "it monitors a name that nobody has here: DOWN noproc there", ?DOC, [], [], fun node_monitors_unknown_name/1},
      {'monitor.node_demonitors', "it demonitors: no DOWN there", ?DOC, [], [], fun node_demonitors/1},
      {'monitor.node_disconnect', "the connection ends: its monitor fires with noconnection", ?DOC, [], [], fun node_disconnect/1},
      {'monitor.node_to_unreachable', "its monitor on a process of a node that is not there: noconnection", ?DOC, [], [], fun node_to_unreachable/1},
      {'monitor.local_in_node', "monitors between two of its own processes", ?DOC, [], [], fun local/1},
      {'monitor.exit_then_down', "linked and monitored: both EXIT and DOWN come, once", ?DOC, [link], [], fun exit_then_down/1},
      {'monitor.auto_connects', "a monitor connects by itself", ?DOC, [], [raw, {varies, [visible]}], fun auto_connects/1},
      {'monitor.wire_sent', "its monitor is MONITOR_P with its own reference, its demonitor has the same", ?WIRE, [], [raw], fun wire_sent/1},
      {'monitor.wire_sent_name', "its monitor by name carries the atom", ?WIRE, [], [raw], fun wire_sent_name/1},
      {'monitor.wire_down', "DOWN carries the pid that was monitored and our reference, word for word", ?WIRE, [], [raw], fun wire_down/1},
      {'monitor.wire_down_name', "DOWN of a monitor by name carries the atom", ?WIRE, [register], [raw], fun wire_down_name/1},
      {'monitor.wire_noproc_name', "MONITOR_P of an unknown name is answered noproc, with the atom", ?WIRE, [], [raw], fun wire_noproc_name/1},
      {'monitor.wire_noproc_pid', "MONITOR_P of a missing process is answered noproc", ?WIRE, [], [raw], fun wire_noproc_pid/1},
      {'monitor.wire_stale', "MONITOR_P of a process of an old incarnation is answered noproc", ?WIRE, [], [raw], fun wire_stale/1},
      {'monitor.wire_ref_1_word', "a reference of one word is echoed", ?WIRE, [], [raw], fun(T) -> wire_ref(T, 1) end},
      {'monitor.wire_ref_5_words', "a reference of five words is echoed", ?WIRE, [], [raw, {from, 24}], fun(T) -> wire_ref(T, 5) end},
      {'monitor.wire_once', "two ends, one DOWN: nothing more comes after it", ?WIRE, [], [raw], fun wire_once/1},
      {'monitor.wire_demonitor', "after DEMONITOR_P the end sends nothing", ?WIRE, [], [raw], fun wire_demonitor/1},
      {'monitor.wire_demonitor_name_gone', "DEMONITOR_P by a name that nobody has any more ends the monitor", ?WIRE, [register], [raw], fun wire_demonitor_name_gone/1},
      {'monitor.wire_demonitor_name_moved', "DEMONITOR_P by a name that another process has now ends the monitor of the one that had it", ?WIRE, [register], [raw], fun wire_demonitor_name_moved/1},
      {'monitor.wire_exit_21', "MONITOR_P_EXIT (21) is understood although EXIT_PAYLOAD was negotiated", "dist.c hopeful data", [], [raw], fun(T) -> wire_exit(T, fun(Me, P, R) -> {{21, Me, P, R, why}, none} end) end},
      {'monitor.wire_exit_28', "PAYLOAD_MONITOR_P_EXIT (28) is understood", ?WIRE, [], [raw], fun(T) -> wire_exit(T, fun(Me, P, R) -> {{28, Me, P, R}, why} end) end},
      {'monitor.wire_exit_from_third', "a DOWN by name counts from the node that was monitored only (OTP believes any node)", ?WIRE, [], [raw, {otp_fails, [23, 25, 27, 29]}], fun wire_exit_from_third/1},
      {'monitor.wire_exit_twice', "a second DOWN for the same monitor is ignored", ?WIRE, [], [raw], fun wire_exit_twice/1}]].

exit_reason(T) -> P = cf_live:puppet(T), M = monitor(process, P), ok = cf_live:ask(T, P, exit, [{why, 1}]), cf:same({P, {why, 1}}, cf_live:down(M, cf:ms(8000))).
exit_normal(T) -> P = cf_live:puppet(T), M = monitor(process, P), ok = cf_live:ask(T, P, exit, [normal]), cf:same({P, normal}, cf_live:down(M, cf:ms(8000))).
exit_big(T) ->
    P = cf_live:puppet(T), M = monitor(process, P), R = {big, binary:copy(<<"x">>, 200000)},
    ok = cf_live:ask(T, P, exit, [R]),
    cf:check(R =:= cf_live:down(M), "the reason came changed").
killed(T) -> P = cf_live:puppet(T), M = monitor(process, P), exit(P, kill), cf:same(killed, cf_live:down(M)).

dead_puppet(T) -> P = cf_live:puppet(T), M = monitor(process, P), ok = cf_live:ask(T, P, exit, [normal]), cf_live:down(M), P.
dead(T) -> P = dead_puppet(T), M = monitor(process, P), cf:same({P, noproc}, cf_live:down(M, cf:ms(8000))).

named(T) -> P = cf_live:puppet(T), Name = cf:unique("name"), true = cf_live:ask(T, P, register, [Name]), {P, Name}.

by_name(#{nut := Nut} = T) ->
    {P, Name} = named(T), M = monitor(process, {Name, Nut}),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same({{Name, Nut}, bye}, cf_live:down(M, cf:ms(8000))).

unknown_name(#{nut := Nut}) -> M = monitor(process, {nobody_here, Nut}), cf:same({{nobody_here, Nut}, noproc}, cf_live:down(M, cf:ms(8000))).

name_moves(#{nut := Nut} = T) ->
    {P, Name} = named(T), M = monitor(process, {Name, Nut}),
    cf_live:fence(T),
    true = cf_live:ask(T, P, unregister, [Name]),
    Q = cf_live:puppet(T), true = cf_live:ask(T, Q, register, [Name]),
    ok = cf_live:ask(T, Q, exit, [wrong_one]),
    ok = cf_live:ask(T, P, exit, [right_one]),
    cf:same(right_one, cf_live:down(M)).

none(T, M) -> cf_live:fence(T), cf:not_got(fun({'DOWN', X, _, _, _}) when X =:= M -> ok end).

demonitored(T) -> P = cf_live:puppet(T), M = monitor(process, P), demonitor(M), ok = cf_live:ask(T, P, exit, [bye]), none(T, M).
demonitor_info(T) -> P = cf_live:puppet(T), M = monitor(process, P), cf_live:fence(T), cf:same(true, demonitor(M, [info])).

many_on_one(T) ->
    P = cf_live:puppet(T), Ms = [monitor(process, P) || _ <- lists:seq(1, 5)],
    ok = cf_live:ask(T, P, exit, [bye]),
    [cf:same(bye, cf_live:down(M)) || M <- Ms].

thousand(T) ->
    Ps = [cf_live:puppet(T) || _ <- lists:seq(1, 1000)],
    Ms = [{P, monitor(process, P)} || P <- Ps],
    [P ! {exit, self(), make_ref(), [{bye, P}]} || P <- Ps],
    [cf:same({P, {bye, P}}, cf_live:down(M, cf:ms(8000))) || {P, M} <- Ms],
    cf_live:fence(T),
    cf:not_got(fun({'DOWN', _, _, _, _}) -> ok end).

disconnect(T) -> P = cf_live:puppet(T), M = monitor(process, P), cf_live:disconnect(T), cf:same({P, noconnection}, cf_live:down(M, cf:ms(8000))).
disconnect_by_name(#{nut := Nut} = T) ->
    M = monitor(process, {conformance, Nut}), cf_live:disconnect(T),
    cf:same({{conformance, Nut}, noconnection}, cf_live:down(M, cf:ms(8000))).

ours() -> spawn(fun() -> receive {die, R} -> exit(R) end end).

node_monitors(T) ->
    P = cf_live:watched(T), A = ours(), M = cf_live:ask(T, P, monitor, [A]),
    A ! {die, {our, end_}},
    cf:same({'DOWN', M, process, A, {our, end_}}, cf_live:saw(P)).

node_monitors_name(T) ->
    P = cf_live:watched(T), A = ours(), Name = cf:unique("ours"), register(Name, A),
    M = cf_live:ask(T, P, monitor, [{Name, node()}]),
    A ! {die, bye},
    cf:same({'DOWN', M, process, {Name, node()}, bye}, cf_live:saw(P)).

node_monitors_dead(T) ->
    P = cf_live:watched(T), {A, X} = spawn_monitor(fun() -> ok end), receive {'DOWN', X, _, _, _} -> ok end,
    M = cf_live:ask(T, P, monitor, [A]),
    cf:same({'DOWN', M, process, A, noproc}, cf_live:saw(P)).

node_monitors_unknown_name(T) ->
    P = cf_live:watched(T), M = cf_live:ask(T, P, monitor, [{nobody_here, node()}]),
    cf:same({'DOWN', M, process, {nobody_here, node()}, noproc}, cf_live:saw(P)).

node_demonitors(T) ->
    P = cf_live:watched(T), A = ours(), M = cf_live:ask(T, P, monitor, [A]),
    true = cf_live:ask(T, P, demonitor, [M]),
    A ! {die, bye},
    cf_live:fence(T),
    alive = cf_live:ask(T, P, echo, [alive]),
    cf:not_got(fun({saw, X, _}) when X =:= P -> ok end).

%% What its processes see while there is no connection waits in a second watcher there.
node_disconnect(T) ->
    P = cf_live:puppet(T), Keeper = cf_live:puppet(T), A = ours(),
    M = cf_live:ask(T, P, monitor, [A]),
    ok = cf_live:ask(T, P, watch, [Keeper]),
    ok = cf_live:ask(T, Keeper, watch, [self()]),
    cf_live:disconnect(T),
    cf_live:connect(T),
    {saw, Keeper, {saw, P, {'DOWN', M2, process, A2, Why}}} = cf:got(fun({saw, _, _} = X) -> X end),
    cf:same({M, A, noconnection}, {M2, A2, Why}).

node_to_unreachable(T) ->
    P = cf_live:watched(T), Away = cf_etf:external({'$pid', 'nobody_at_all@127.0.0.1', 5, 0, 77}),
    M = cf_live:ask(T, P, monitor, [Away]),
    cf:same({'DOWN', M, process, Away, noconnection}, cf_live:saw(P)).

local(T) ->
    [P, Q] = [cf_live:watched(T), cf_live:puppet(T)], M = cf_live:ask(T, P, monitor, [Q]),
    ok = cf_live:ask(T, Q, exit, [bye]),
    cf:same({'DOWN', M, process, Q, bye}, cf_live:saw(P)).

exit_then_down(T) ->
    process_flag(trap_exit, true),
    P = cf_live:puppet(T), M = monitor(process, P), link(P),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)), cf:same(bye, cf_live:down(M)),
    none(T, M), cf:not_got(fun({'EXIT', X, _}) when X =:= P -> ok end).

auto_connects(#{nut := Nut} = T) ->
    case lists:member(Nut, nodes(connected)) of true -> cf_live:disconnect(T); false -> ok end,
    M = monitor(process, {conformance, Nut}),
    P = cf_live:puppet(T), _ = P,
    cf:not_got(fun({'DOWN', X, _, _, _}) when X =:= M -> ok end),
    demonitor(M).

pair(T) -> C = cf_fake:dial(T, #{}), {C, cf_fake:puppet(C), cf_fake:pid(C)}.

down(C, Ref) ->
    cf_fake:take(C, fun({signal, {21, F, To, R, Why}, _, _}) when R =:= Ref -> {F, To, Why};
                       ({signal, {28, F, To, R}, Why, _}) when R =:= Ref -> {F, To, Why} end).
downs(C, Ref) ->
    cf_fake:seen(C, fun({signal, {21, F, To, R, Why}, _, _}) when R =:= Ref -> {F, To, Why};
                       ({signal, {28, F, To, R}, Why, _}) when R =:= Ref -> {F, To, Why} end).

wire_sent(T) ->
    {C, P, Me} = pair(T),
    Ref = cf_fake:call(C, P, monitor, [Me]),
    cf_fake:take(C, fun({signal, {19, F, To, R}, none, _}) when F =:= P, To =:= Me, R =:= Ref -> ok end),
    true = cf_fake:call(C, P, demonitor, [Ref]),
    cf_fake:take(C, fun({signal, {20, F, To, R}, none, _}) when F =:= P, To =:= Me, R =:= Ref -> ok end).

wire_sent_name(T) ->
    {C, P, _} = pair(T),
    Ref = cf_fake:call(C, P, monitor, [{somebody, maps:get(name, C)}]),
    cf_fake:take(C, fun({signal, {19, F, somebody, R}, none, _}) when F =:= P, R =:= Ref -> ok end).

wire_ref(T, Words) ->
    {C, P, Me} = pair(T), Ref = cf_fake:ref(C, Words),
    cf_fake:send(C, {19, Me, P, Ref}),
    cf_fake:call(C, P, exit, [bye]),
    cf:same({P, Me, bye}, down(C, Ref)).
wire_down(T) -> wire_ref(T, 3).

wire_down_name(T) ->
    {C, P, Me} = pair(T), Ref = cf_fake:ref(C), Name = cf:unique("name"),
    true = cf_fake:call(C, P, register, [Name]),
    cf_fake:send(C, {19, Me, Name, Ref}),
    cf_fake:call(C, P, exit, [bye]),
    cf:same({Name, Me, bye}, down(C, Ref)).

wire_noproc_name(T) ->
    {C, _, Me} = pair(T), Ref = cf_fake:ref(C),
    cf_fake:send(C, {19, Me, nobody_here, Ref}),
    cf:same({nobody_here, Me, noproc}, down(C, Ref)).

wire_noproc_pid(T) ->
    {C, P, Me} = pair(T), Ref = cf_fake:ref(C),
    cf_fake:call(C, P, exit, [normal]),
    cf:wait("gone", fun() -> cf_fake:call(C, is_alive, [P]) =:= false end),
    cf_fake:send(C, {19, Me, P, Ref}),
    cf:same({P, Me, noproc}, down(C, Ref)).

wire_stale(T) ->
    {C, {'$pid', N, I, S, Cr}, Me} = pair(T), Ref = cf_fake:ref(C),
    Stale = {'$pid', N, I, S, Cr bxor 16#55},
    cf_fake:send(C, {19, Me, Stale, Ref}),
    cf:same({Stale, Me, noproc}, down(C, Ref)).

wire_once(T) ->
    {C, P, Me} = pair(T), Ref = cf_fake:ref(C),
    cf_fake:send(C, {19, Me, P, Ref}),
    cf_fake:send(C, {8, Me, P, kill}),
    cf_fake:send(C, {8, Me, P, kill}),
    cf:same({P, Me, killed}, down(C, Ref)),
    cf_fake:fence(C),
    cf:same([], downs(C, Ref)).

wire_demonitor(T) ->
    {C, P, Me} = pair(T), Ref = cf_fake:ref(C),
    cf_fake:send(C, {19, Me, P, Ref}),
    cf_fake:send(C, {20, Me, P, Ref}),
    cf_fake:call(C, P, exit, [bye]),
    cf_fake:fence(C),
    cf:same([], downs(C, Ref)).

wire_demonitor_name_gone(T) -> demonitor_name(T, fun(_, _) -> ok end).
wire_demonitor_name_moved(T) ->
    demonitor_name(T, fun(C, Name) -> Q = cf_fake:call(C, spawn, []), true = cf_fake:call(C, Q, register, [Name]) end).

demonitor_name(T, Then) ->
    {C, P, Me} = pair(T), Ref = cf_fake:ref(C), Kept = cf_fake:ref(C), Name = cf:unique("name"),
    true = cf_fake:call(C, P, register, [Name]),
    cf_fake:send(C, {19, Me, Name, Ref}),
    cf_fake:send(C, {19, Me, Name, Kept}),
    true = cf_fake:call(C, P, unregister, [Name]),
    Then(C, Name),
    cf_fake:send(C, {20, Me, Name, Ref}),
    cf_fake:call(C, P, exit, [bye]),
    cf:same({Name, Me, bye}, down(C, Kept)),
    cf_fake:fence(C),
    cf:same([], downs(C, Ref)).

watching(T) ->
    {C, P, Me} = pair(T),
    cf_fake:call(C, P, watch, [cf_fake:pid(C)]),
    Ref = cf_fake:call(C, P, monitor, [Me]),
    {C, P, Me, Ref}.

wire_exit(T, Make) ->
    {C, P, Me, Ref} = watching(T),
    {Control, Payload} = Make(Me, P, Ref),
    cf_fake:send(C, Control, Payload),
    cf_fake:take(C, fun({signal, _, {saw, X, {'DOWN', R, process, Y, why}}, _}) when X =:= P, R =:= Ref, Y =:= Me -> ok end).

wire_exit_from_third(T) ->
    {C, P, Me} = pair(T), Third = cf_fake:dial(T, #{}),
    cf_fake:call(C, P, watch, [Me]),
    Ref = cf_fake:call(C, P, monitor, [{somebody, maps:get(name, C)}]),
    cf_fake:send(Third, {21, somebody, P, Ref, wrong}),
    alive = cf_fake:call(Third, P, echo, [alive]),
    cf_fake:send(C, {21, somebody, P, Ref, right}),
    right = cf_fake:take(C, fun({signal, _, {saw, _, {'DOWN', R, process, _, Why}}, _}) when R =:= Ref -> Why end).

wire_exit_twice(T) ->
    {C, P, Me, Ref} = watching(T),
    cf_fake:send(C, {21, Me, P, Ref, why}),
    cf_fake:send(C, {21, Me, P, Ref, why}),
    alive = cf_fake:call(C, P, echo, [alive]),
    cf:same(1, length(cf_fake:seen(C, fun({signal, _, {saw, _, {'DOWN', _, _, _, _}}, _}) -> ok end)), "DOWN messages").
