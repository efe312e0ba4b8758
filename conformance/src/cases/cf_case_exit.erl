%% SPDX-License-Identifier: Apache-2.0
%% exit/2 across the wire: reasons, trapping, kill, normal.
-module(cf_case_exit).
-export([cases/0]).

-define(DOC, "Reference Manual, Processes: exit signals; erlang:exit/2").
-define(WIRE, "erl_dist_protocol.html EXIT2").

cases() ->
    [{Id, What, Rule, [{needs, [link, monitor | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'exit.reason', "exit(Pid, Reason) ends it with Reason", ?DOC, [], [{varies, [dial, visible]}], fun(T) -> ends(T, boom, boom) end},
      {'exit.normal_ignored', "exit(Pid, normal) from another is ignored", ?DOC, [], [], fun normal_ignored/1},
      {'exit.normal_trapped', "exit(Pid, normal) is a message when exits are trapped", ?DOC, [], [], fun(T) -> trapped(T, normal, normal) end},
      {'exit.kill', "exit(Pid, kill) ends it with killed", ?DOC, [], [], fun(T) -> ends(T, kill, killed) end},
      {'exit.kill_trapping', "kill ends also a process that traps exits", ?DOC, [], [], fun kill_trapping/1},
      {'exit.killed_trapped', "the reason killed is trapped like any other", ?DOC, [], [], fun(T) -> trapped(T, killed, killed) end},
      {'exit.trapped', "a trapped exit signal is {'EXIT', Sender, Reason}", ?DOC, [], [{varies, [dial, visible]}], fun(T) -> trapped(T, {a, "reason"}, {a, "reason"}) end},
      {'exit.shutdown', "shutdown is a reason like any other", ?DOC, [], [], fun(T) -> ends(T, shutdown, shutdown) end},
      {'exit.big_reason', "a reason of 200 kB arrives", ?DOC, [], [], fun(T) -> R = binary:copy(<<1>>, 200000), trapped(T, R, R) end},
      {'exit.trap_off', "trap_exit off again: the signal ends it", ?DOC, [], [], fun trap_off/1},
      {'exit.trap_flag_result', "trap_exit gives the old value", ?DOC, [], [], fun trap_flag/1},
      {'exit.dead', "exit/2 to a dead process does nothing", ?DOC, [], [], fun dead/1},
      {'exit.not_for_links', "exit/2 from one that is not linked works", ?DOC, [], [], fun(T) -> ends(T, unlinked, unlinked) end},
      {'exit.linked_see_it', "processes linked to it see the reason", ?DOC, [], [], fun linked_see_it/1},
      {'exit.by_node', "its exit/2 ends our process with the reason", ?DOC, [], [{varies, [dial, visible]}], fun by_node/1},
      {'exit.by_node_trapped', "its exit/2 is a message to a process of ours that traps", ?DOC, [], [], fun by_node_trapped/1},
      {'exit.by_node_kill', "its exit(Pid, kill) kills our trapping process", ?DOC, [], [], fun by_node_kill/1},
      {'exit.names_free_at_once', "after DOWN the name of the process is free", ?DOC, [register], [], fun names_free/1},
      {'exit.hundred', "100 processes killed: 100 DOWN killed", ?DOC, [], [], fun hundred/1},
      {'exit.wire_8', "EXIT2 (8) is understood although EXIT_PAYLOAD was negotiated", "dist.c hopeful data", [], [raw], fun(T) -> wire(T, fun(Me, P) -> {{8, Me, P, why}, none} end) end},
      {'exit.wire_26', "PAYLOAD_EXIT2 (26) is understood", ?WIRE, [], [raw], fun(T) -> wire(T, fun(Me, P) -> {{26, Me, P}, why} end) end},
      {'exit.wire_18', "EXIT2_TT (18) is understood", ?WIRE, [seq_trace], [raw], fun(T) -> wire(T, fun(Me, P) -> {{18, Me, P, {0, l, 1, Me, 0}, why}, none} end) end},
      {'exit.wire_27', "PAYLOAD_EXIT2_TT (27) is understood", ?WIRE, [seq_trace], [raw], fun(T) -> wire(T, fun(Me, P) -> {{27, Me, P, {0, l, 1, Me, 0}}, why} end) end},
      {'exit.group_leader', "GROUP_LEADER sets the group leader", "erl_dist_protocol.html GROUP_LEADER", [group_leader], [], fun group_leader_set/1}]].

ends(T, Signal, Reason) ->
    P = cf_live:puppet(T), M = monitor(process, P),
    exit(P, Signal),
    cf:same(Reason, cf_live:down(M)).

trapping(T) -> P = cf_live:watched(T), cf_live:ask(T, P, trap_exit, [true]), P.

trapped(T, Signal, Reason) -> P = trapping(T), exit(P, Signal), cf:same({'EXIT', self(), Reason}, cf_live:saw(P)).

normal_ignored(T) -> P = cf_live:puppet(T), exit(P, normal), cf:same(alive, cf_live:ask(T, P, echo, [alive])).

kill_trapping(T) -> P = trapping(T), M = monitor(process, P), exit(P, kill), cf:same(killed, cf_live:down(M)).

trap_off(T) ->
    P = trapping(T), M = monitor(process, P),
    cf_live:ask(T, P, trap_exit, [false]),
    exit(P, boom),
    cf:same(boom, cf_live:down(M)).

trap_flag(T) ->
    P = cf_live:puppet(T),
    cf:same([false, true, false], [cf_live:ask(T, P, trap_exit, [V]) || V <- [true, false, true]]).

dead(T) ->
    P = cf_live:puppet(T), M = monitor(process, P),
    ok = cf_live:ask(T, P, exit, [normal]), cf_live:down(M),
    exit(P, boom), cf_live:fence(T).

linked_see_it(T) ->
    process_flag(trap_exit, true),
    P = cf_live:puppet(T), link(P),
    Other = spawn(fun() -> exit(P, from_other) end), _ = Other,
    cf:same(from_other, cf_live:exit_of(P)).

%% spawn_monitor: a monitor that is made behind the spawn may wait in our scheduler while the node's signal comes by another way.
by_node(T) ->
    {A, M} = spawn_monitor(fun() -> receive never -> ok end end),
    true = cf_live:ask(T, exit_signal, [A, {node, says}]),
    cf:same({node, says}, cf_live:down(M)).

by_node_trapped(T) ->
    process_flag(trap_exit, true),
    P = cf_live:puppet(T),
    true = cf_live:ask(T, P, exit_signal, [self(), hello]),
    cf:same(hello, cf_live:exit_of(P)).

by_node_kill(T) ->
    {A, M} = spawn_monitor(fun() -> process_flag(trap_exit, true), receive never -> ok end end),
    true = cf_live:ask(T, exit_signal, [A, kill]),
    cf:same(killed, cf_live:down(M)).

names_free(T) ->
    Name = cf:unique("name"),
    [begin
         P = cf_live:puppet(T), M = monitor(process, P),
         true = cf_live:ask(T, P, register, [Name]),
         exit(P, kill),
         killed = cf_live:down(M)
     end || _ <- lists:seq(1, 20)].

hundred(T) ->
    Ms = [begin P = cf_live:puppet(T), {P, monitor(process, P)} end || _ <- lists:seq(1, 100)],
    [exit(P, kill) || {P, _} <- Ms],
    [cf:same({P, killed}, cf_live:down(M, cf:ms(8000))) || {P, M} <- Ms].

wire(T, Make) ->
    C = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C), Me = cf_fake:pid(C),
    cf_fake:call(C, P, trap_exit, [true]),
    cf_fake:call(C, P, watch, [cf_fake:pid(C)]),
    {Control, Payload} = Make(Me, P),
    cf_fake:send(C, Control, Payload),
    cf_fake:take(C, fun({signal, _, {saw, X, {'EXIT', F, why}}, _}) when X =:= P, F =:= Me -> ok end).

group_leader_set(T) ->
    P = cf_live:puppet(T),
    true = group_leader(self(), P),
    cf:same(self(), cf_live:ask(T, P, group_leader, [])).
