% SPDX-License-Identifier: Apache-2.0
% What the cases about `global` on the wire have in common: one node under test, alone but for the case's fake members.
-module(cf_lone).
-export([cases/1, dial/2, dial/3, name/0, internal/1, exit_name/0, there/3, not_there/2, locked/2, unlocked/2, knows/2, its_monitor/2, down/4, version_8/1, healthy/2, locker_fence/3]).

-define(LANES, 3).

% Rows {Id, Sentence, Needs, Fun} or {Id, Sentence, Needs, Options, Fun}, Fun(T, Nut), as cases.
cases(Rows) ->
    Full = [case Row of {Id, What, Needs, Fun} -> {Id, What, Needs, [], Fun}; _ -> Row end || Row <- Rows],
    [{Id, What, "global.erl", [{needs, [global | Needs]}, {only, visible}, {lane, lane(N)} | O], fun(T) -> alone(T, Fun) end}
     || {N, {Id, What, Needs, O, Fun}} <- lists:zip(lists:seq(0, length(Full) - 1), Full)].

lane(N) -> list_to_atom("lone" ++ integer_to_list(N rem ?LANES)).

alone(T, Fun) ->
    cf_cluster:with(T, [{nut, "nut"}], fun(C) -> [Nut] = cf_cluster:names(C), Fun(T, Nut) end).

dial(T, Nut) -> cf_member:dial(T, Nut).
dial(T, Nut, O) -> cf_member:dial(T, Nut, O).

name() -> cf:unique("wire_name").
internal(P) -> cf_etf:internal(P).
exit_name() -> {'$export', global, random_exit_name, 3}.

there(Nut, Name, What) ->
    cf:wait(io_lib:format("~P is ~p there", [Name, 10, What]), fun() ->
        case internal(cf_cluster:ask(Nut, global_whereis, [Name])) of What -> true; Other -> Other end
    end).

not_there(Nut, Name) -> cf:same(undefined, cf_cluster:ask(Nut, global_whereis, [Name]), "the name there").

locked(Nut, Resource) -> cf:check(cf_cluster:free([Nut], Resource) =/= true, "~p is not locked there", [Resource]).
unlocked(Nut, Resource) -> cf:wait(io_lib:format("~p is free there", [Resource]), fun() -> cf_cluster:free([Nut], Resource) end).

%% The peers that the node knows, in the end.
knows(Nut, Members) ->
    Names = lists:sort([cf_member:me(M) || M <- Members]),
    cf:wait(io_lib:format("the node knows ~p", [Names]), fun() -> case cf_cluster:known(Nut) of Names -> true; Other -> Other end end).

%% What its locker was told before has been dealt with: one that it does not know it tells so (global.erl, not_there).
locker_fence(T, Nut, Locker) ->
    C = dial(T, Nut, #{flags => cf_hs:hidden(cf_hs:flags(maps:get(release, T)))}), Me = cf_fake:pid(C),
    cf_fake:send(C, {22, Me, Locker}, {lock_set, Me, true, []}),
    cf_fake:take(C, fun({signal, {_, _, To}, {lock_set, P, false, _}, _}) when To =:= Me, P =:= Locker -> ok end),
    cf_fake:close(C).

its_monitor(C, Pid) ->
    cf_member:await(C, fun({signal, {19, From, P, Ref}, none, _}) when P =:= Pid -> {From, Ref} end).

down(C, Pid, {From, Ref}, Reason) -> cf_fake:send(C, {28, Pid, From, Ref}, Reason).

%% What only one who speaks version 8 can be asked.
version_8(#{vsn := 8}) -> ok;
version_8(#{vsn := V}) -> throw({not_applicable, lists:flatten(io_lib:format("the node speaks version ~p of the protocol, not 8", [V]))}).

healthy(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_cluster:puppet(Nut),
    cf_member:join(C),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    there(Nut, N, internal(P)),
    unlocked(Nut, global),
    C.
