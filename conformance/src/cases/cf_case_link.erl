%% SPDX-License-Identifier: Apache-2.0
%% Links: both ways, trap_exit, normal and kill, unlink and its acknowledgement, dead and unreachable processes.
-module(cf_case_link).
-export([cases/0]).

-define(DOC, "Reference Manual, Processes: links").
-define(WIRE, "erl_dist_protocol.html LINK, EXIT, UNLINK_ID").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{Id, What, Rule, [{needs, [link | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'link.exit_reason', "a linked process of the node ends: EXIT with its reason here", ?DOC, [], [?ALL], fun exit_reason/1},
      {'link.exit_normal', "it ends normally: EXIT normal here", ?DOC, [], [], fun exit_normal/1},
      {'link.exit_big_reason', "a reason of 200 kB comes whole", ?DOC, [], [], fun exit_big/1},
      {'link.from_node', "it links to us and ends: EXIT here", ?DOC, [], [?ALL], fun from_node/1},
      {'link.both_sides', "both sides link: one EXIT", ?DOC, [], [], fun both_sides/1},
      {'link.twice', "linking twice: one EXIT", ?DOC, [], [], fun twice/1},
      {'link.we_end', "our process ends: its linked process ends with the reason", ?DOC, [monitor], [?ALL], fun we_end/1},
      {'link.we_end_normally', "our process ends normally: its linked process lives on", ?DOC, [], [], fun we_end_normally/1},
      {'link.we_end_trapped', "our process ends: a trapping process gets the message", ?DOC, [], [?ALL], fun we_end_trapped/1},
      {'link.we_end_normally_trapped', "our process ends normally: a trapping process gets {'EXIT', Pid, normal}", ?DOC, [], [], fun we_end_normally_trapped/1},
      {'link.kill_reason', "our process is killed: the linked one sees killed", ?DOC, [], [], fun kill_reason/1},
      {'link.exit_kill_as_reason', "a linked process that ends with reason kill: ours gets EXIT kill and traps it", ?DOC, [], [], fun exit_kill_as_reason/1},
      {'link.unlink', "after unlink the other's end is not seen", ?DOC, [], [], fun unlink_here/1},
      {'link.unlink_by_node', "after its unlink our end is not seen there", ?DOC, [], [], fun unlink_there/1},
      {'link.relink', "link, unlink, link: EXIT comes once", ?DOC, [], [], fun relink/1},
      {'link.unlink_race', "1,000 times link and unlink in a row leave no link", ?DOC, [], [], fun unlink_race/1},
      {'link.to_dead', "a link to a dead process: EXIT noproc", ?DOC, [], [?ALL], fun to_dead/1},
      {'link.node_to_dead', "its link to our dead process: it gets EXIT noproc", ?DOC, [], [], fun node_to_dead/1},
      {'link.disconnect', "the connection ends: EXIT noconnection on both sides", ?DOC, [], [?ALL], fun disconnect/1},
      {'link.chain', "an exit goes through a chain here - there - here", ?DOC, [], [], fun chain/1},
      {'link.thousand', "1,000 linked processes end: 1,000 EXIT, each once", ?DOC, [], [], fun thousand/1},
      {'link.local_in_node', "links between two of its own processes", ?DOC, [monitor], [], fun local/1},
      {'link.to_unreachable', "its link to a process of a node that is not there: EXIT noconnection", ?DOC, [], [], fun to_unreachable/1},
      {'link.wire_link', "its link is LINK {1, From, To} from its own pid", ?WIRE, [], [raw], fun wire_link/1},
      {'link.wire_noproc', "LINK to a missing process is answered by EXIT noproc from that pid", ?WIRE, [], [raw], fun wire_noproc/1},
      {'link.wire_stale', "LINK to a process of an old incarnation is answered by EXIT noproc", ?WIRE, [], [raw], fun wire_stale/1},
      {'link.wire_link_twice', "LINK twice, then its end: one EXIT", ?WIRE, [], [raw], fun wire_twice/1},
      {'link.wire_unlink_ack', "UNLINK_ID is acknowledged with its id", ?WIRE, [], [raw, {from, 25}], fun wire_unlink_ack/1},
      {'link.wire_unlink_ack_64_bits', "an unlink id of 64 bits is acknowledged", ?WIRE, [], [raw, {from, 25}], fun(T) -> unlink_ack(T, 16#fedcba9876543210) end},
      {'link.wire_unlink_unknown', "UNLINK_ID without a link is acknowledged too", ?WIRE, [], [raw, {from, 25}], fun wire_unlink_unknown/1},
      {'link.wire_unlink_dead', "UNLINK_ID to a process that is gone is acknowledged too", ?WIRE, [], [raw, {from, 25}], fun wire_unlink_dead/1},
      {'link.wire_unlink_then_exit', "after UNLINK_ID its end sends no EXIT", ?WIRE, [], [raw, {from, 25}], fun wire_unlink_then_exit/1},
      {'link.wire_unlink_sent', "its unlink sends UNLINK_ID with a non-zero id", ?WIRE, [], [raw, {from, 25}], fun wire_unlink_sent/1},
      {'link.wire_unacked', "an EXIT that crosses its UNLINK_ID is not seen", ?WIRE, [], [raw, {from, 25}], fun wire_unacked/1},
      {'link.wire_relink_unacked', "linking again before the ack works: LINK is sent again", ?WIRE, [], [raw, {from, 25}], fun wire_relink_unacked/1},
      {'link.wire_stray_ack', "an ack with another id does not undo a link", ?WIRE, [], [raw, {from, 25}], fun wire_stray_ack/1},
      {'link.wire_exit_3', "EXIT (3) is understood although EXIT_PAYLOAD was negotiated", "dist.c hopeful data", [], [raw], fun(T) -> wire_exit(T, 0, fun(Me, P) -> {{3, Me, P, why}, none} end) end},
      {'link.wire_exit_24', "PAYLOAD_EXIT (24) is understood", ?WIRE, [], [raw], fun(T) -> wire_exit(T, 16#400000, fun(Me, P) -> {{24, Me, P}, why} end) end},
      {'link.wire_exit_13', "EXIT_TT (13) is understood", ?WIRE, [seq_trace], [raw], fun(T) -> wire_exit(T, 0, fun(Me, P) -> {{13, Me, P, {0, l, 1, Me, 0}, why}, none} end) end},
      {'link.wire_exit_25', "PAYLOAD_EXIT_TT (25) is understood", ?WIRE, [seq_trace], [raw], fun(T) -> wire_exit(T, 16#400000, fun(Me, P) -> {{25, Me, P, {0, l, 1, Me, 0}}, why} end) end}]].

trapping() -> process_flag(trap_exit, true).

exit_reason(T) -> trapping(), P = cf_live:puppet(T), link(P), ok = cf_live:ask(T, P, exit, [{why, "so"}]), cf:same({why, "so"}, cf_live:exit_of(P)).
exit_normal(T) -> trapping(), P = cf_live:puppet(T), link(P), ok = cf_live:ask(T, P, exit, [normal]), cf:same(normal, cf_live:exit_of(P)).

exit_big(T) ->
    trapping(), P = cf_live:puppet(T), link(P),
    Reason = {big, binary:copy(<<"x">>, 200000)},
    ok = cf_live:ask(T, P, exit, [Reason]),
    cf:check(Reason =:= cf_live:exit_of(P), "the reason came changed").

from_node(T) ->
    trapping(), P = cf_live:puppet(T),
    true = cf_live:ask(T, P, link, [self()]),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)).

once(T, P) ->
    cf_live:fence(T),
    cf:not_got(fun({'EXIT', X, _}) when X =:= P -> ok end).

both_sides(T) ->
    trapping(), P = cf_live:puppet(T), link(P),
    true = cf_live:ask(T, P, link, [self()]),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)), once(T, P).

twice(T) ->
    trapping(), P = cf_live:puppet(T), link(P), link(P),
    true = cf_live:ask(T, P, link, [self()]),
    true = cf_live:ask(T, P, link, [self()]),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)), once(T, P).

%% A process of ours that links to P and ends when told.
linked_to(P) ->
    Self = self(),
    Pid = spawn(fun() -> link(P), Self ! {linked, self()}, receive {die, Reason} -> exit(Reason) end end),
    receive {linked, Pid} -> Pid end.

we_end(T) ->
    P = cf_live:puppet(T), M = monitor(process, P),
    linked_to(P) ! {die, {our, reason}},
    cf:same({our, reason}, cf_live:down(M)).

we_end_normally(T) ->
    P = cf_live:puppet(T), A = linked_to(P), M = monitor(process, A),
    A ! {die, normal},
    receive {'DOWN', M, _, _, _} -> ok end,
    cf:same(alive, cf_live:ask(T, P, echo, [alive])).

trapped(T) -> P = cf_live:watched(T), cf_live:ask(T, P, trap_exit, [true]), P.

we_end_trapped(T) -> P = trapped(T), A = linked_to(P), A ! {die, {our, reason}}, cf:same({'EXIT', A, {our, reason}}, cf_live:saw(P)).
we_end_normally_trapped(T) -> P = trapped(T), A = linked_to(P), A ! {die, normal}, cf:same({'EXIT', A, normal}, cf_live:saw(P)).
kill_reason(T) -> P = trapped(T), A = linked_to(P), exit(A, kill), cf:same({'EXIT', A, killed}, cf_live:saw(P)).

exit_kill_as_reason(T) ->
    trapping(), P = cf_live:puppet(T), link(P),
    ok = cf_live:ask(T, P, exit, [kill]),
    cf:same(kill, cf_live:exit_of(P)).

unlink_here(T) ->
    trapping(), P = cf_live:puppet(T),
    link(P), unlink(P),
    cf_live:ended(T, P, bye), once(T, P).

unlink_there(T) ->
    P = trapped(T), A = spawn(fun() -> receive {die, R} -> exit(R) end end),
    true = cf_live:ask(T, P, link, [A]),
    true = cf_live:ask(T, P, unlink, [A]),
    A ! {die, bye},
    cf_live:fence(T),
    cf:same(still, cf_live:ask(T, P, echo, [still])),
    cf:not_got(fun({saw, X, {'EXIT', _, _}}) when X =:= P -> ok end).

relink(T) ->
    trapping(), P = cf_live:puppet(T),
    link(P), unlink(P), link(P),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)), once(T, P).

unlink_race(T) ->
    trapping(), P = cf_live:puppet(T),
    [begin link(P), unlink(P) end || _ <- lists:seq(1, 1000)],
    cf_live:ended(T, P, bye), once(T, P).

dead_puppet(T) -> P = cf_live:puppet(T), cf_live:ended(T, P, normal), P.

to_dead(T) -> trapping(), P = dead_puppet(T), link(P), cf:same(noproc, cf_live:exit_of(P)).

node_to_dead(T) ->
    P = trapped(T), {Dead, M} = spawn_monitor(fun() -> ok end), receive {'DOWN', M, _, _, _} -> ok end,
    true = cf_live:ask(T, P, link, [Dead]),
    cf:same({'EXIT', Dead, noproc}, cf_live:saw(P)).

disconnect(T) ->
    trapping(), P = cf_live:puppet(T), link(P),
    cf_live:disconnect(T),
    cf:same(noconnection, cf_live:exit_of(P)),
    cf_live:connect(T),
    cf:wait("the process there has ended too", fun() -> cf_live:ask(T, is_alive, [P]) =:= false end).

chain(T) ->
    trapping(),
    [P, Q] = [cf_live:puppet(T), cf_live:puppet(T)],
    link(Q), A = linked_to(P), true = cf_live:ask(T, Q, link, [A]),
    ok = cf_live:ask(T, P, exit, [through]),
    cf:same(through, cf_live:exit_of(Q)).

thousand(T) ->
    trapping(),
    Ps = [cf_live:puppet(T) || _ <- lists:seq(1, 1000)],
    [link(P) || P <- Ps],
    [P ! {exit, self(), make_ref(), [{bye, P}]} || P <- Ps],
    [cf:same({bye, P}, cf_live:exit_of(P)) || P <- Ps],
    cf_live:fence(T),
    cf:not_got(fun({'EXIT', _, _}) -> ok end).

local(T) ->
    [P, Q] = [cf_live:puppet(T), cf_live:puppet(T)], M = monitor(process, Q),
    true = cf_live:ask(T, P, link, [Q]),
    ok = cf_live:ask(T, P, exit, [together]),
    cf:same(together, cf_live:down(M)).

to_unreachable(T) ->
    P = trapped(T),
    Away = cf_etf:external({'$pid', 'nobody_at_all@127.0.0.1', 5, 0, 77}),
    true = cf_live:ask(T, P, link, [Away]),
    cf:same({'EXIT', Away, noconnection}, cf_live:saw(P)).

%% On the wire.
pair(T) -> C = cf_fake:dial(T, #{}), {C, cf_fake:puppet(C), cf_fake:pid(C)}.

exit_to(C, P, Me) ->
    cf_fake:take(C, fun({signal, {3, F, To, R}, _, _}) when F =:= P, To =:= Me -> R;
                       ({signal, {24, F, To}, R, _}) when F =:= P, To =:= Me -> R end).
exits(C, P, Me) ->
    cf_fake:seen(C, fun({signal, {3, F, To, R}, _, _}) when F =:= P, To =:= Me -> R;
                       ({signal, {24, F, To}, R, _}) when F =:= P, To =:= Me -> R end).
links(C, P, Me) -> cf_fake:take(C, fun({signal, {1, F, To}, none, _}) when F =:= P, To =:= Me -> ok end).

wire_link(T) -> {C, P, Me} = pair(T), true = cf_fake:call(C, P, link, [Me]), links(C, P, Me).

wire_noproc(T) ->
    {C, P, Me} = pair(T),
    cf_fake:call(C, P, exit, [normal]),
    cf:wait("gone", fun() -> cf_fake:call(C, is_alive, [P]) =:= false end),
    cf_fake:send(C, {1, Me, P}),
    cf:same(noproc, exit_to(C, P, Me)).

wire_stale(T) ->
    {C, {'$pid', N, I, S, Cr}, Me} = pair(T),
    Stale = {'$pid', N, I, S, Cr bxor 16#55},
    cf_fake:send(C, {1, Me, Stale}),
    cf:same(noproc, exit_to(C, Stale, Me)).

wire_twice(T) ->
    {C, P, Me} = pair(T),
    cf_fake:send(C, {1, Me, P}), cf_fake:send(C, {1, Me, P}),
    cf_fake:call(C, P, exit, [bye]),
    cf:same(bye, exit_to(C, P, Me)),
    cf_fake:fence(C),
    cf:same([], exits(C, P, Me)).

acked(C, Id, P, Me) -> cf_fake:take(C, fun({signal, {36, I, F, To}, none, _}) when I =:= Id, F =:= P, To =:= Me -> ok end).

has_unlink_id(C) -> maps:get(flags, C) band 16#2000000 =/= 0 orelse throw({not_applicable, "the node does not offer UNLINK_ID"}).

unlink_ack(T, Id) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    cf_fake:send(C, {1, Me, P}),
    cf_fake:send(C, {35, Id, Me, P}),
    acked(C, Id, P, Me).
wire_unlink_ack(T) -> unlink_ack(T, 4711).

wire_unlink_unknown(T) -> {C, P, Me} = pair(T), has_unlink_id(C), cf_fake:send(C, {35, 12, Me, P}), acked(C, 12, P, Me).

wire_unlink_dead(T) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    cf_fake:call(C, P, exit, [normal]),
    cf:wait("gone", fun() -> cf_fake:call(C, is_alive, [P]) =:= false end),
    cf_fake:send(C, {35, 12, Me, P}),
    acked(C, 12, P, Me).

wire_unlink_then_exit(T) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    cf_fake:send(C, {1, Me, P}),
    cf_fake:send(C, {35, 3, Me, P}),
    acked(C, 3, P, Me),
    cf_fake:call(C, P, exit, [bye]),
    cf_fake:fence(C),
    cf:same([], exits(C, P, Me)).

unlink_sent(C, P, Me) -> cf_fake:take(C, fun({signal, {35, Id, F, To}, none, _}) when F =:= P, To =:= Me -> Id end).

wire_unlink_sent(T) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    true = cf_fake:call(C, P, link, [Me]), links(C, P, Me),
    true = cf_fake:call(C, P, unlink, [Me]),
    Id = unlink_sent(C, P, Me),
    cf:check(is_integer(Id) andalso Id >= 1 andalso Id < 1 bsl 64, "unlink id ~p", [Id]),
    cf_fake:send(C, {36, Id, Me, P}),
    cf_fake:fence(C).

wire_unacked(T) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    W = cf_fake:pid(C),
    cf_fake:call(C, P, trap_exit, [true]), cf_fake:call(C, P, watch, [W]),
    true = cf_fake:call(C, P, link, [Me]),
    true = cf_fake:call(C, P, unlink, [Me]),
    unlink_sent(C, P, Me),
    cf_fake:send(C, {3, Me, P, crossed}),
    alive = cf_fake:call(C, P, echo, [alive]),
    cf:same([], cf_fake:seen(C, fun({signal, _, {saw, _, M}, _}) -> M end)).

wire_relink_unacked(T) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    true = cf_fake:call(C, P, link, [Me]), links(C, P, Me),
    true = cf_fake:call(C, P, unlink, [Me]), Id = unlink_sent(C, P, Me),
    true = cf_fake:call(C, P, link, [Me]), links(C, P, Me),
    cf_fake:send(C, {36, Id, Me, P}),
    cf_fake:fence(C),
    cf_fake:call(C, P, exit, [bye]),
    cf:same(bye, exit_to(C, P, Me)).

wire_stray_ack(T) ->
    {C, P, Me} = pair(T), has_unlink_id(C),
    true = cf_fake:call(C, P, link, [Me]), links(C, P, Me),
    cf_fake:send(C, {36, 99, Me, P}),
    cf_fake:call(C, P, exit, [bye]),
    cf:same(bye, exit_to(C, P, Me)).

wire_exit(T, Flag, Make) ->
    {C, P, Me} = pair(T),
    cf_fake:agreed(C, Flag, "EXIT_PAYLOAD"),
    W = cf_fake:pid(C),
    cf_fake:call(C, P, trap_exit, [true]), cf_fake:call(C, P, watch, [W]),
    true = cf_fake:call(C, P, link, [Me]), links(C, P, Me),
    {Control, Payload} = Make(Me, P),
    cf_fake:send(C, Control, Payload),
    cf_fake:take(C, fun({signal, _, {saw, X, {'EXIT', F, why}}, _}) when X =:= P, F =:= Me -> ok end).
