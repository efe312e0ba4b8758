%% SPDX-License-Identifier: Apache-2.0
%% `global` beside nodes that are no ordinary members: hidden ones, which have tables of their own, and nodes of OTP that do
%% not prevent overlapping partitions.
-module(cf_case_outsiders).
-export([cases/0]).
-import(cf_cluster, [names/1, names/2, others/2, ask/3, puppet/1, connect/2, known/1, visible/1, free/2]).

-define(SUITE, "global_SUITE.erl").
-define(POP_OFF, #{options => "-kernel prevent_overlapping_partitions false"}).

cases() ->
    [{list_to_atom(lists:concat([Group, ".", Id, "_", Suffix])), lists:concat([Sentence, ": ", Who]), ?SUITE,
      [{needs, [global]}, {only, visible}, {lane, list_to_atom(lists:concat([hidden, "_", Suffix]))}, {timeout, 40000}],
      fun(T) -> cf_cluster:with(T, Shape, fun(C) -> Fun(C, beside(C)) end) end}
     || {Suffix, Who, Shape} <-
            [{one, "one node, one of OTP, and a hidden one of OTP", [{nut, "a"}, {peer, "m"}, {hidden_peer, "h"}]},
             {most, "three nodes, and a hidden one of OTP", [{nut, "a"}, {nut, "m"}, {nut, "z"}, {hidden_peer, "h"}]},
             {it, "two nodes of OTP, and a hidden one", [{peer, "m"}, {peer, "n"}, {hidden_nut, "h"}]}],
        {Group, Id, Sentence, Fun} <-
            [{global, names_hidden, "names here and names of the hidden node are strangers, also if they are the same", fun names_hidden/2},
             {locks, locks_hidden, "the hidden node is no part of locks, but may take one of the others'", fun locks_hidden/2}],
        %% A hidden node under test may have its names registered by another node: global.external.
        {Suffix, Id} =/= {it, names_hidden}]
    ++
    [{list_to_atom(lists:concat(["global.", Id])), Sentence, "kernel(6), prevent_overlapping_partitions",
      [{needs, [global]}, {only, visible}, {from, 25}, {lane, pop_off}, {timeout, 60000}],
      fun(T) -> cf_cluster:with(T, [{nut, "a"}, {peer, "m", ?POP_OFF}, {peer, "n", ?POP_OFF}], Fun) end}
     || {Id, Sentence, Fun} <-
            [{pop_off_theirs, "two of OTP that do not prevent overlapping partitions lose each other: it stays with both", fun pop_off_theirs/1},
             {pop_off_its, "it loses one of two that do not prevent overlapping partitions: these stay together, and it comes back", fun pop_off_its/1}]].

%% ---- hidden nodes ----

%% {The hidden node, the others}: those all members, each connected with the hidden one.
beside(C) ->
    [Hidden] = [N || R <- [hidden_nut, hidden_peer], N <- names(C, R)],
    Visible = others(C, Hidden),
    [connect(A, B) || A <- Visible, B <- Visible, A < B],
    [cf_cluster:wait_known(N, Visible -- [N]) || N <- Visible],
    [connect(N, Hidden) || N <- Visible],
    [cf:check(lists:member(Hidden, ask(N, nodes, [hidden])), "~p is not hidden on ~p", [Hidden, N]) || N <- Visible],
    {Hidden, Visible}.

holders(Nodes, Name) -> [ask(N, global_whereis, [Name]) || N <- Nodes].
all(What, Nodes) -> [What || _ <- Nodes].

%% A name of each side, and one that both have.
names_hidden(_, {Hidden, Visible}) ->
    [Own, Theirs, Same] = [cf:unique("hidden_name") || _ <- [1, 2, 3]],
    [P, Q, R, S] = [puppet(N) || N <- [hd(Visible), lists:last(Visible), Hidden, Hidden]],
    [yes = ask(Who, global_register, [Name, Who]) || {Who, Name} <- [{P, Own}, {R, Theirs}, {Q, Same}, {S, Same}]],
    cf:same(all(P, Visible), holders(Visible, Own)),
    cf:same([undefined], holders([Hidden], Own), "a name of the others, on the hidden node"),
    cf:same([R], holders([Hidden], Theirs)),
    cf:same(all(undefined, Visible), holders(Visible, Theirs), "a name of the hidden node, on the others"),
    cf:same({all(Q, Visible), [S]}, {holders(Visible, Same), holders([Hidden], Same)}, "the name that both sides have"),
    [cf:check(not lists:member(Theirs, ask(N, global_names, [])), "~p is listed on ~p", [Theirs, N]) || N <- Visible],
    [cf:check(not lists:member(Hidden, known(N)), "~p knows the hidden node", [N]) || N <- Visible],
    %% What the one side does changes nothing for the other.
    ok = ask(S, global_unregister, [Same]),
    cf:same({all(Q, Visible), [undefined]}, {holders(Visible, Same), holders([Hidden], Same)}, "when the hidden node has unregistered it"),
    ok = ask(P, exit, [done]),
    cf:wait("the name is gone", fun() -> holders(Visible, Own) =:= all(undefined, Visible) end),
    [begin
         true = ask(Hidden, disconnect, [N]),
         cf:wait("it is gone", fun() -> not lists:member(Hidden, ask(N, nodes, [connected])) end)
     end || N <- Visible],
    cf:same(all(Q, Visible), holders(Visible, Same), "without the hidden node"),
    [ok = ask(puppet(N), global_sync, []) || N <- Visible].

locks_hidden(_, {Hidden, Visible}) ->
    R = cf:unique("hidden_lock"),
    P = puppet(hd(Visible)), Q = puppet(lists:last(Visible)), H = puppet(Hidden),
    %% Each side locks its own nodes.
    true = ask(P, global_set_lock, [{R, P}]),
    false = ask(Q, global_set_lock, [{R, Q}, Visible, 0]),
    cf:check(free([Hidden], R), "the hidden node is locked, too"),
    true = ask(H, global_set_lock, [{R, H}, [Hidden], 0]),
    false = ask(H, global_set_lock, [{R, H}, Visible, 0]),
    true = ask(P, global_del_lock, [{R, P}]),
    cf:check(free(Visible, R), "the others are locked, too"),
    true = ask(H, global_del_lock, [{R, H}, [Hidden]]),
    %% It takes the others' lock, and has it until it ends.
    true = ask(H, global_set_lock, [{R, H}, Visible, 0]),
    false = ask(P, global_set_lock, [{R, P}, Visible, 0]),
    ok = ask(H, exit, [done]),
    cf:wait("the lock ended with its process", fun() -> free(Visible, R) end),
    true = ask(P, global_set_lock, [{R, P}, Visible, 0]),
    true = ask(P, global_del_lock, [{R, P}, Visible]).

%% ---- overlapping partitions that nobody prevents ----

seen(C, Views) ->
    cf:wait("the connections are as they should be", fun() ->
        Now = [{N, visible(N), known(N)} || N <- names(C)],
        Now =:= [{N, lists:sort(V), lists:sort(V)} || {N, V} <- Views] orelse Now
    end).

pop_off_theirs(C) ->
    cf_cluster:together(C),
    [A, M, N] = names(C),
    true = ask(M, disconnect, [N]),
    seen(C, [{A, [M, N]}, {M, [A]}, {N, [A]}]),
    cf_cluster:settle(C),
    seen(C, [{A, [M, N]}, {M, [A]}, {N, [A]}]),
    P = puppet(M), Name = cf:unique("overlap_name"),
    yes = ask(P, global_register, [Name]),
    cf:same([P, P, undefined], holders([A, M, N], Name), "the name while they are apart"),
    connect(N, M),
    seen(C, [{A, [M, N]}, {M, [A, N]}, {N, [A, M]}]),
    cf:wait("all know the name", fun() -> holders([A, M, N], Name) =:= [P, P, P] end),
    cf:wait("global is free", fun() -> free([A, M, N], global) end).

pop_off_its(C) ->
    cf_cluster:together(C),
    [A, M, N] = names(C),
    P = puppet(M), Name = cf:unique("overlap_name"),
    yes = ask(P, global_register, [Name]),
    true = ask(A, disconnect, [M]),
    seen(C, [{A, [N]}, {M, [N]}, {N, [A, M]}]),
    cf_cluster:settle(C),
    cf:same([undefined, P, P], holders([A, M, N], Name), "the name while they are apart"),
    connect(A, M),
    seen(C, [{A, [M, N]}, {M, [A, N]}, {N, [A, M]}]),
    cf:wait("all know the name", fun() -> holders([A, M, N], Name) =:= [P, P, P] end),
    cf:wait("global is free", fun() -> free([A, M, N], global) end).
