%% SPDX-License-Identifier: Apache-2.0
%% The node's own net_kernel:monitor_nodes/2: what it tells of nodes that come and go, and when.
-module(cf_case_nodes).
-export([cases/0]).

-define(RULE, "net_kernel(3), monitor_nodes/2").
-define(AUTO, "erl_distribution: auto-connect; erlang(3)").
-define(NEEDS, {needs, [monitor_nodes]}).

cases() ->
    [{'nodes.up_and_down', "it tells nodeup and nodedown with type, connection_id and reason", ?RULE, [raw, ?NEEDS, {varies, [visible]}], fun up_and_down/1},
     {'nodes.reason_it_disconnects', "its own disconnect is the reason disconnect", ?RULE, [raw, {needs, [monitor_nodes, disconnect]}], fun reason_it_disconnects/1},
     {'nodes.reason_tick', "a peer that falls silent: net_tick_timeout", ?RULE, [raw, fresh, slow, ?NEEDS, {timeout, 30000}], fun reason_tick/1},
     {'nodes.types', "visible and hidden nodes are told to those who asked for them", ?RULE, [raw, fresh, ?NEEDS, {only, visible}], fun types/1},
     {'nodes.counted', "three subscriptions give three messages, and one call ends all of the same options", ?RULE, [raw, ?NEEDS], fun counted/1},
     {'nodes.ends_with_process', "a subscription ends with its process", ?RULE, [raw, ?NEEDS], fun ends_with_process/1},
     {'nodes.not_for_connected', "nodes that are connected already are not told", ?RULE, [raw, ?NEEDS], fun not_for_connected/1},
     {'nodes.before_messages', "nodeup comes before the first message of the connection", ?RULE, [raw, ?NEEDS, {timeout, 40000}], fun before_messages/1},
     {'nodes.behind_signals', "nodedown comes behind all that the connection brought, EXIT, DOWN and monitor_node's nodedown",
      ?RULE, [raw, {needs, [monitor_nodes, monitor, link, monitor_node]}], fun behind_signals/1},
     {'nodes.down_before_up', "100 connections of one name: nodeup and nodedown alternate, connection_id grows", ?RULE, [raw, ?NEEDS, {timeout, 60000}], fun down_before_up/1},
     {'nodes.connects_to_send', "a message to a pid of a node that is not connected connects", ?AUTO, [raw, {needs, [connect]}], connects(send)},
     {'nodes.connects_to_monitor', "a monitor of a pid connects", ?AUTO, [raw, {needs, [monitor]}], connects(monitor)},
     {'nodes.connects_to_monitor_name', "a monitor of a name connects", ?AUTO, [raw, {needs, [monitor]}], connects(monitor_name)},
     {'nodes.connects_to_link', "a link connects", ?AUTO, [raw, {needs, [link]}], connects(link)},
     {'nodes.connects_to_exit', "exit/2 connects", ?AUTO, [raw, {needs, [link]}], connects(exit_signal)},
     {'nodes.connects_to_spawn', "a spawn request connects", ?AUTO, [raw, {needs, [spawn_out]}], connects(spawn_request)},
     {'nodes.connects_to_call', "gen_server:call connects", ?AUTO, [raw, {needs, [gen_out]}], connects(call)},
     {'nodes.connects_to_monitor_node', "monitor_node connects", ?AUTO, [raw, {needs, [monitor_node]}], connects(monitor_node)},
     {'nodes.cannot_connect', "where nobody is: DOWN, EXIT and spawn_reply with noconnection", ?AUTO,
      [raw, {needs, [monitor, link, spawn_out]}], fun cannot_connect/1},
     {'nodes.many', "300 subscribers each hear of it once", ?RULE, [raw, ?NEEDS, {timeout, 40000}], fun many/1}].

%% A puppet that reports to a connection that stays.
watcher(C, Type) ->
    alone(C),
    P = cf_fake:puppet(C),
    ok = cf_fake:call(C, P, watch, [cf_fake:pid(C, 77)]),
    ok = cf_fake:call(C, P, monitor_nodes, [true, Type]),
    P.

%% The node learns in its own time that the fakes of cases before this one are gone: no watcher is to be told of these.
alone(C) ->
    Ours = [Name || {Name, _} <- get(cf_fakes)],
    cf:wait("fakes of other cases are gone there", fun() ->
        case [N || N <- cf_fake:call(C, nodes, [connected]), lists:prefix("fake", atom_to_list(N)), not lists:member(N, Ours)] of
            [] -> true;
            Others -> Others
        end
    end).

%% What a watcher saw next, of all that it saw.
saw(C, P) -> cf_fake:take(C, fun({signal, _, {saw, X, M}, _}) when X =:= P -> M end).
nothing_more(C, P) ->
    cf_fake:fence(C),
    echoed = cf_fake:call(C, P, echo, [echoed]),
    cf:same([], cf_fake:seen(C, fun({signal, _, {saw, X, M}, _}) when X =:= P -> M end)).

name(#{name := Name}) -> Name.

up_and_down(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all),
    D = cf_fake:dial(T, #{}), N = name(D),
    {nodeup, N, Up} = saw(C, P),
    #{node_type := hidden, connection_id := Id} = Up,
    cf:same(2, maps:size(Up)),
    cf:check(is_integer(Id), "connection_id ~p", [Id]),
    cf_fake:close(D),
    {nodedown, N, Down} = saw(C, P),
    cf:same(#{node_type => hidden, connection_id => Id, nodedown_reason => connection_closed}, Down).

reason_it_disconnects(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all),
    D = cf_fake:dial(T, #{}), N = name(D),
    {nodeup, N, _} = saw(C, P),
    true = cf_fake:call(C, disconnect, [N]),
    {nodedown, N, #{nodedown_reason := Reason}} = saw(C, P),
    cf:same(disconnect, Reason).

reason_tick(T) ->
    S = cf_nut:start(T#{nut => list_to_atom(atom_to_list(cf:unique("fresh")) ++ "@127.0.0.1")}, #{ticktime => 4}),
    C = cf_fake:dial(S, #{}), P = watcher(C, all),
    D = cf_fake:dial(S, #{ticks => false}), N = name(D),
    {nodeup, N, _} = saw(C, P),
    cf_fake:closed(D, 15000),
    {nodedown, N, #{nodedown_reason := Reason}} = saw(C, P),
    cf:same(net_tick_timeout, Reason).

types(T) ->
    S = cf_nut:start(T#{nut => list_to_atom(atom_to_list(cf:unique("fresh")) ++ "@127.0.0.1")}),
    C = cf_fake:dial(S, #{}), V = watcher(C, visible), H = watcher(C, hidden),
    Flags = cf_hs:flags(maps:get(release, T)),
    D = cf_fake:dial(S, #{flags => Flags}), N = name(D),
    {nodeup, N, #{node_type := visible}} = saw(C, V),
    nothing_more(C, H),
    E = cf_fake:dial(S, #{}), M = name(E),
    {nodeup, M, #{node_type := hidden}} = saw(C, H),
    nothing_more(C, V),
    cf_fake:close(D),
    {nodedown, N, #{node_type := visible}} = saw(C, V),
    nothing_more(C, H).

counted(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all),
    ok = cf_fake:call(C, P, monitor_nodes, [true, all]),
    ok = cf_fake:call(C, P, monitor_nodes, [true, all]),
    ok = cf_fake:call(C, P, monitor_nodes, [true, hidden]),
    D = cf_fake:dial(T, #{}), N = name(D),
    [{nodeup, N, _} = saw(C, P) || _ <- [1, 2, 3, 4]],
    nothing_more(C, P),
    ok = cf_fake:call(C, P, monitor_nodes, [false, all]),
    cf_fake:close(D),
    {nodedown, N, _} = saw(C, P),
    nothing_more(C, P).

ends_with_process(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all), Q = watcher(C, all),
    ok = cf_fake:call(C, P, exit, [done]),
    D = cf_fake:dial(T, #{}), N = name(D),
    {nodeup, N, _} = saw(C, Q),
    cf_fake:close(D),
    {nodedown, N, _} = saw(C, Q).

not_for_connected(T) ->
    C = cf_fake:dial(T, #{}), D = cf_fake:dial(T, #{}),
    cf_fake:fence(D),
    P = watcher(C, all),
    nothing_more(C, P).

before_messages(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all),
    [begin
         D = cf_fake:dial(T, #{}), N = name(D),
         cf_fake:to(D, P, {first, I}),
         {nodeup, N, _} = saw(C, P),
         {first, I} = saw(C, P),
         cf_fake:close(D),
         {nodedown, N, _} = saw(C, P)
     end || I <- lists:seq(1, 30)].

behind_signals(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all),
    D = cf_fake:dial(T, #{}), N = name(D),
    {nodeup, N, _} = saw(C, P),
    cf_fake:call(C, P, trap_exit, [true]),
    Far = cf_fake:pid(D),
    true = cf_fake:call(C, P, monitor_node, [N, true]),
    Ref = cf_fake:call(C, P, monitor, [Far]),
    true = cf_fake:call(C, P, link, [Far]),
    %% What was not read when D closes would make its kernel send a reset, which takes what the node has not read with it.
    cf_fake:fence(D),
    [cf_fake:to(D, P, {last, I}) || I <- lists:seq(1, 50)],
    cf_fake:close(D),
    [{last, I} = saw(C, P) || I <- lists:seq(1, 50)],
    %% The order of these is nobody's promise.
    Ended = lists:sort([{'EXIT', Far, noconnection}, {'DOWN', Ref, process, Far, noconnection}, {nodedown, N}]),
    cf:same(Ended, lists:sort([saw(C, P) || _ <- Ended])),
    {nodedown, N, _} = saw(C, P),
    nothing_more(C, P).

down_before_up(T) ->
    C = cf_fake:dial(T, #{}), P = watcher(C, all),
    #{name := Name} = cf_fake:identity(T, #{}),
    lists:foldl(fun(_, Last) ->
        D = cf_fake:dial(T, #{name => Name}),
        {nodeup, Name, #{connection_id := Id}} = saw(C, P),
        cf:check(Id > Last, "connection ~p behind ~p", [Id, Last]),
        cf_fake:close(D),
        {nodedown, Name, #{connection_id := Same}} = saw(C, P),
        cf:same(Id, Same),
        Id
    end, -1, lists:seq(1, 100)),
    nothing_more(C, P).

many(T) ->
    C = cf_fake:dial(T, #{}),
    Ps = [watcher(C, all) || _ <- lists:seq(1, 300)],
    D = cf_fake:dial(T, #{}), N = name(D),
    [{nodeup, N, _} = saw(C, P) || P <- Ps],
    cf_fake:close(D),
    [{nodedown, N, _} = saw(C, P) || P <- Ps].

%% ---- connecting for what is to be said ----

%% An order to a puppet, and what a fake that is not connected yet sees of it.
connects(Op) ->
    fun(T) ->
        #{name := Name, creation := Creation} = Me = cf_fake:listen(T, #{}),
        C = cf_fake:dial(T, #{}), P = cf_fake:puppet(C),
        Far = {'$pid', Name, 700, 0, Creation},
        {Order, Args, Seen} = order(Op, P, Far, Name),
        cf_fake:to(C, P, {Order, cf_fake:pid(C), cf_fake:ref(C), Args}),
        D = cf_fake:accept(T, Me),
        if Seen =:= connected -> cf_fake:fence(D); true -> cf_fake:take(D, Seen) end,
        cf_fake:unlisten(Me)
    end.

order(send, _, Far, _) -> {send, [Far, hello], fun({signal, {_, _, To}, hello, _}) when To =:= Far -> ok end};
order(monitor, P, Far, _) -> {monitor, [Far], fun({signal, {19, X, To, _}, _, _}) when X =:= P, To =:= Far -> ok end};
order(monitor_name, P, _, Name) -> {monitor, [{server, Name}], fun({signal, {19, X, server, _}, _, _}) when X =:= P -> ok end};
order(link, P, Far, _) -> {link, [Far], fun({signal, {1, X, To}, _, _}) when X =:= P, To =:= Far -> ok end};
order(exit_signal, P, Far, _) -> {exit_signal, [Far, why], fun({signal, {26, X, To}, why, _}) when X =:= P, To =:= Far -> ok; ({signal, {8, X, To, why}, _, _}) when X =:= P, To =:= Far -> ok end};
order(spawn_request, P, _, Name) -> {spawn_request, [Name, m, f, [], []], fun({signal, {29, _, X, _, {m, f, 0}, _}, [], _}) when X =:= P -> ok end};
order(call, P, _, Name) -> {call, [{server, Name}, question, 5000], fun({signal, {6, X, _, server}, {'$gen_call', _, question}, _}) when X =:= P -> ok end};
order(monitor_node, _, _, Name) -> {monitor_node, [Name, true], connected}.

cannot_connect(T) ->
    C = cf_fake:dial(T, #{}), P = cf_fake:puppet(C),
    ok = cf_fake:call(C, P, watch, [cf_fake:pid(C, 77)]),
    cf_fake:call(C, P, trap_exit, [true]),
    Far = {'$pid', 'nobody_at_all@127.0.0.1', 700, 0, 77},
    Ref = cf_fake:call(C, P, monitor, [Far]),
    {'DOWN', Ref, process, Far, noconnection} = saw(C, P),
    Name = cf_fake:call(C, P, monitor, [{server, 'nobody_at_all@127.0.0.1'}]),
    {'DOWN', Name, process, {server, 'nobody_at_all@127.0.0.1'}, noconnection} = saw(C, P),
    true = cf_fake:call(C, P, link, [Far]),
    {'EXIT', Far, noconnection} = saw(C, P),
    Req = cf_fake:call(C, P, spawn_request, ['nobody_at_all@127.0.0.1', m, f, [], []]),
    {spawn_reply, Req, error, noconnection} = saw(C, P),
    ok = cf_fake:call(C, P, send, [Far, lost]),
    nothing_more(C, P).
