%% SPDX-License-Identifier: Apache-2.0
%% Process groups in clusters: what OTP's pg_SUITE does between two nodes and its peers, in the clusters of cf_case_cluster,
%% any node being one of OTP or under test. cf_case_pg has what two servers say to each other.
-module(cf_case_groups).
-export([cases/0]).
-import(cf_cluster, [names/1, others/2, ask/3, later/4, answer/1, answer/2, puppet/1, together/1, apart/1]).

cases() ->
    [{list_to_atom(lists:concat(["pg.", Id, "_", Suffix])), lists:concat([Sentence, ": ", Who]), lists:concat(["pg_SUITE.erl, ", Id]),
      Options ++ [{needs, [pg, global]}, {only, visible}, {lane, Suffix}, {timeout, 90000}],
      fun(T) -> cf_cluster:with(T, Shape, fun(C) -> in_scope(C, Fun) end) end}
     || {Suffix, Who, Shape, Options} <- shapes(),
        {Id, Sentence, Fun} <-
            [{exchange, "scopes start one after the other, each with members: all know all of them", fun exchange/2},
             {netsplit, "each node in turn is lost and comes back with other members than before", fun netsplit/2},
             {trisplit, "all are parted and meet again, each with other members than before", fun trisplit/2},
             {scope_restart, "the scope of each node in turn ends and starts: its members are gone, and may come again", fun scope_restart/2},
             {thundering_herd, "the scopes of all nodes but one start again and again at once: all agree at the end", fun thundering_herd/2},
             {leave_exit_race, "on every node at once 100 processes leave and end: nobody is left, and every scope lives", fun leave_exit_race/2}]].

%% Of several releases: those that OTP's own servers can stand. Before 26 they end with badarg for the discover of 29.
shapes() ->
    At = fun(Judge, Releases) -> [{from, Judge}, {to, Judge}, {uses, Releases}] end,
    [Shape || {_, _, _, []} = Shape <- cf_case_cluster:shapes()]
    ++ [{mixed_first, "one node, sorting first, and OTP 25 and 27", [{nut, "a"}, {{otp, 25}, "m"}, {{otp, 27}, "n"}], At(25, [25, 27])},
        {mixed_last, "OTP 27 and 29 and one node, sorting last", [{{otp, 29}, "k"}, {{otp, 27}, "m"}, {nut, "z"}], At(27, [27, 29])},
        {mixed_old, "OTP 23 and 25 and one node between them", [{{otp, 23}, "a"}, {nut, "m"}, {{otp, 25}, "z"}], At(25, [23, 25])}].

%% A scope of the case's own, which ends with it.
in_scope(C, Fun) ->
    together(C),
    Scope = cf:unique("cluster_scope"),
    Value = Fun(C, Scope),
    [ok = ask(N, pg_stop, [Scope]) || N <- names(C)],
    Value.

%% The pid of each node's server.
start(C, Scope) -> [{N, start_on(N, Scope)} || N <- names(C)].
start_on(N, Scope) ->
    ok = ask(N, pg_start, [Scope]),
    ask(N, whereis, [Scope]).

lives(Servers, Scope) -> [cf:same(S, ask(N, whereis, [Scope]), lists:concat(["the scope on ", N])) || {N, S} <- Servers].

join(P, Scope, Group) -> ok = ask(P, pg_join, [Scope, Group]).
leave(P, Scope, Group) -> ok = ask(P, pg_leave, [Scope, Group]).

%% These nodes say that exactly these are members.
agree(Nodes, Scope, Group, Pids) ->
    Expected = lists:sort(Pids),
    cf:wait(io_lib:format("~p has ~p members everywhere", [Group, length(Pids)]), fun() ->
        case [{N, Has} || N <- Nodes, Has <- [lists:sort(ask(N, pg_members, [Scope, Group]))], Has =/= Expected] of
            [] -> true;
            Others -> [{N, {lacks, Expected -- Has}, {has, Has -- Expected}} || {N, Has} <- Others]
        end
    end, 20000).

%% Whoever reads while a server takes in a sync may see a part of it: pg.erl writes one group after the other too.
groups(Nodes, Scope, Count) ->
    cf:wait(io_lib:format("there are ~p groups everywhere", [Count]), fun() ->
        case [{N, Has} || N <- Nodes, Has <- [length(ask(N, pg_groups, [Scope]))], Has =/= Count] of [] -> true; Others -> Others end
    end, 20000).

exchange(C, Scope) ->
    Groups = [{exchange, N} || N <- lists:seq(1, 10)],
    Members = [begin
                   start_on(N, Scope),
                   Ps = [puppet(N) || _ <- lists:seq(1, 10)],
                   [answer(A) || A <- [later(P, pg_join, [Scope, G], self()) || G <- Groups, P <- Ps]],
                   Ps
               end || N <- names(C)],
    [agree(names(C), Scope, G, lists:append(Members)) || G <- Groups].

netsplit(C, Scope) ->
    start(C, Scope),
    First = [{N, puppet(N)} || N <- names(C)],
    [join(P, Scope, g) || {_, P} <- First],
    agree(names(C), Scope, g, [P || {_, P} <- First]),
    lists:foldl(fun(N, Members) -> netsplit(C, Scope, N, Members) end, First, names(C)).

netsplit(C, Scope, N, Members) ->
    cf_cluster:leave(C, N),
    cf:wait(lists:concat([N, " is alone"]), fun() -> cf_cluster:visible(N) =:= [] end),
    {[{N, Old}], Others} = lists:partition(fun({M, _}) -> M =:= N end, Members),
    agree([N], Scope, g, [Old]),
    agree(others(C, N), Scope, g, [P || {_, P} <- Others]),
    New = puppet(N),
    join(New, Scope, g), leave(Old, Scope, g),
    together(C),
    Now = [{N, New} | Others],
    agree(names(C), Scope, g, [P || {_, P} <- Now]),
    Now.

trisplit(C, Scope) ->
    start(C, Scope),
    Members = [{puppet(N), puppet(N)} || N <- names(C)],
    [join(P, Scope, g) || {P, _} <- Members],
    agree(names(C), Scope, g, [P || {P, _} <- Members]),
    apart(C),
    [agree([node(P)], Scope, g, [P]) || {P, _} <- Members],
    [begin join(Q, Scope, g), join(Q, Scope, late), leave(P, Scope, g) end || {P, Q} <- Members],
    together(C),
    [agree(names(C), Scope, G, [Q || {_, Q} <- Members]) || G <- [g, late]].

scope_restart(C, Scope) ->
    start(C, Scope),
    Members = [puppet(N) || N <- names(C)],
    [join(P, Scope, g) || P <- Members],
    agree(names(C), Scope, g, Members),
    [begin
         ok = ask(node(P), pg_stop, [Scope]),
         agree(others(C, node(P)), Scope, g, Members -- [P]),
         start_on(node(P), Scope),
         agree(names(C), Scope, g, Members -- [P]),
         join(P, Scope, g),
         agree(names(C), Scope, g, Members)
     end || P <- Members].

thundering_herd(C, Scope) ->
    [Still | Restarting] = names(C),
    start(C, Scope),
    P = puppet(Still),
    [answer(A, 30000) || A <- [later(P, pg_join, [Scope, {herd, N}], self()) || N <- lists:seq(1, 1000)]],
    [[ok = answer(A, 30000) || A <- [later(N, Op, [Scope], self()) || N <- Restarting]] || _ <- lists:seq(1, 10), Op <- [pg_stop, pg_start]],
    Ps = [puppet(N) || N <- Restarting],
    [join(Q, Scope, {herd, 1}) || Q <- Ps],
    agree(names(C), Scope, {herd, 1}, [P | Ps]),
    agree(names(C), Scope, {herd, 1000}, [P]),
    groups(names(C), Scope, 1000).

leave_exit_race(C, Scope) ->
    Servers = start(C, Scope),
    Racers = [puppet(N) || _ <- lists:seq(1, 100), N <- names(C)],
    [join(P, Scope, race) || P <- Racers],
    agree(names(C), Scope, race, Racers),
    [begin later(P, pg_leave, [Scope, race], self()), later(P, exit, [done], self()) end || P <- Racers],
    agree(names(C), Scope, race, []),
    groups(names(C), Scope, 0),
    lives(Servers, Scope).
