%% SPDX-License-Identifier: Apache-2.0
%% Kernel services that end and are started again: what others were told by them is not true any more, and nobody may wait for it.
%% An OTP node ends with its kernel services and is not asked (CONTRACT.md, service_restart).
-module(cf_case_restart).
-export([cases/0]).
-import(cf_cluster, [names/1, ask/3, puppet/1, together/1, free/2]).

cases() ->
    [{'global.restart', "global_name_server of the node ends: the others lose its names and go on; it joins anew", "global.erl: terminate; kernel.erl",
      [{needs, [global, service_restart]}, {only, visible}, {lane, restart}, {timeout, 60000}],
      fun(T) -> cf_cluster:with(T, [{nut, "a"}, {peer, "m"}, {peer, "n"}], fun global/1) end},
     {'node.restart', "net_kernel, rex and user of the node end: ping, rpc and output work again", "kernel.erl",
      [{needs, [service_restart, ping, rpc]}, {only, visible}, {lane, restart}, {timeout, 60000}],
      fun(T) -> cf_cluster:with(T, [{nut, "a"}], fun services/1) end},
     {'pg.restart', "a scope's server of the node ends: its members are members here again, and ours there", "pg.erl; kernel.erl: kernel_safe_sup",
      [{needs, [pg, service_restart]}, {only, visible}, {from, 25}], fun scope/1}].

%% Ask(Order, Arguments) asks the node. Another process has the name in the end.
ended(Ask, Name) ->
    Old = Ask(whereis, [Name]),
    cf:check(is_pid(Old), "~p is ~p", [Name, Old]),
    true = Ask(exit_signal, [Old, kill]),
    cf:wait(lists:concat([Name, " is there again"]), fun() ->
        case Ask(whereis, [Name]) of New when is_pid(New), New =/= Old -> true; Other -> Other end
    end).

global(C) ->
    together(C),
    [A, M, N] = names(C),
    Names = [{X, cf:unique("restart_name"), puppet(X)} || X <- [A, M, N]],
    [yes = ask(P, global_register, [Name]) || {_, Name, P} <- Names],
    ended(fun(Order, Args) -> ask(A, Order, Args) end, global_name_server),
    {A, Lost, Pa} = hd(Names),
    [cf:wait("its name is gone there", fun() -> ask(X, global_whereis, [Lost]) =:= undefined end) || X <- [M, N]],
    %% They do not wait for it.
    Other = cf:unique("restart_name"), Pm = puppet(M),
    ok = ask(Pm, global_unregister, [element(2, lists:nth(2, Names))]),
    yes = ask(Pm, global_register, [Other]),
    together(C),
    [cf:wait("the names are known everywhere", fun() -> ask(X, global_whereis, [Name]) =:= P end)
     || X <- [A, M, N], {Name, P} <- [{Lost, Pa}, {Other, Pm}, {element(2, lists:nth(3, Names)), element(3, lists:nth(3, Names))}]],
    cf:wait("global is free everywhere", fun() -> free([A, M, N], global) end).

services(C) ->
    [A] = names(C),
    [ended(fun(Order, Args) -> ask(A, Order, Args) end, Name) || Name <- [net_kernel, rex, user]],
    pong = net_adm:ping(A),
    A = rpc:call(A, erlang, node, []),
    A = gen_server:call({rex, A}, {call, erlang, node, [], group_leader()}).

%% Its members stay, unlike OTP's: nobody tells them to join again. Ours are told anew.
scope(T) ->
    Scope = cf:unique("restart_scope"),
    ok = cf_live:ask(T, pg_start, [Scope]),
    {ok, S} = pg:start(Scope),
    P = cf_live:puppet(T), Me = self(),
    ok = cf_live:ask(T, P, pg_join, [Scope, g]),
    ok = pg:join(Scope, g, Me),
    Agreed = fun() -> {lists:sort(pg:get_members(Scope, g)), lists:sort(cf_live:ask(T, pg_members, [Scope, g]))} =:= {lists:sort([P, Me]), lists:sort([P, Me])} end,
    cf:wait("both have both members", Agreed),
    ended(fun(Order, Args) -> cf_live:ask(T, Order, Args) end, Scope),
    cf:wait("both have both members again", Agreed),
    ok = cf_live:ask(T, P, pg_join, [Scope, h]),
    cf:wait("what follows is told", fun() -> pg:get_members(Scope, h) =:= [P] end),
    cf:check(is_process_alive(S), "the scope here ended: it was sent what it does not know").
