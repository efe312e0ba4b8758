%% SPDX-License-Identifier: Apache-2.0
%% Nodes coming and going: nodes(), nodeup and nodedown, ticks, restarts with another creation, kill and stop.
-module(cf_case_node).
-export([cases/0]).

-define(KERNEL, "net_kernel.erl; erlang:monitor_node/2").
-define(TICK, "kernel_app: net_ticktime, net_tickintensity").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{'node.listed', "nodes() has it when it is visible, nodes(hidden) when not", ?KERNEL, [?ALL], fun listed/1},
     {'node.lists_us', "its own node lists have us", ?KERNEL, [{needs, [nodes]}, ?ALL], fun lists_us/1},
     {'node.disconnect', "we disconnect: nodedown here", ?KERNEL, [?ALL], fun disconnect/1},
     {'node.it_disconnects', "it disconnects: nodedown here", ?KERNEL, [{needs, [disconnect]}, ?ALL], fun it_disconnects/1},
     {'node.reconnect', "disconnecting and connecting 20 times", ?KERNEL, [?ALL, {timeout, 40000}], fun reconnect/1},
     {'node.monitor_nodes', "net_kernel:monitor_nodes tells of nodeup and nodedown, in this order", ?KERNEL, [], fun monitor_nodes/1},
     {'node.monitor_node_many', "monitor_node three times: three nodedown", ?KERNEL, [], fun monitor_node_many/1},
     {'node.it_monitors', "its monitor_node of us: nodedown there", ?KERNEL, [{needs, [monitor_node]}], fun it_monitors/1},
     {'node.it_monitors_unreachable', "its monitor_node of a node that is not there: nodedown there", ?KERNEL, [{needs, [monitor_node]}], fun it_monitors_unreachable/1},
     {'node.connect_false', "its connect to a node that is not there is false", ?KERNEL, [{needs, [connect]}], fun connect_false/1},
     {'node.connect_again', "its connect to a connected node is true at once", ?KERNEL, [{needs, [connect]}], fun connect_again/1},
     {'node.auto_connect_send', "its message to a name elsewhere connects by itself", ?KERNEL, [raw, {needs, [connect]}, {varies, [visible]}], fun auto_connect/1},
     {'node.kill', "kill -9: nodedown, DOWN and EXIT within a second", ?KERNEL, [raw, fresh, {needs, [link, monitor]}, {varies, [visible]}], fun kill/1},
     {'node.kill_thousand', "kill -9 with 1,000 links and monitors: each exactly once, within 2 s", "issue 4", [raw, fresh, {needs, [link, monitor]}, {timeout, 40000}], fun kill_thousand/1},
     {'node.sigterm', "SIGTERM: nodedown", "CONTRACT.md", [raw, fresh], fun sigterm/1},
     {'node.restart_creation', "after a restart its pids have another creation", "erl_dist_protocol.html creation", [raw, fresh], fun restart_creation/1},
     {'node.restart_old_pids', "old pids reach nobody in the new incarnation: noproc", "erl_dist_protocol.html creation", [raw, fresh, {needs, [link, monitor]}], fun restart_old_pids/1},
     {'node.restart_ten_times', "ten restarts with the same name, each joins again", ?KERNEL, [raw, fresh, {timeout, 60000}], fun restart_ten/1},
     {'node.tick_sent', "an idle node sends ticks within its tick interval", ?TICK, [raw, fresh, slow, {timeout, 60000}], fun tick_sent/1},
     {'node.tick_timeout', "a peer that falls silent is given up within 1.25 net_ticktime", ?TICK, [raw, fresh, slow, {timeout, 60000}], fun tick_timeout/1},
     {'node.tick_keeps', "a peer that only ticks is kept", ?TICK, [raw, fresh, slow, {timeout, 30000}], fun tick_keeps/1},
     {'node.tick_by_data', "a peer that sends data and no ticks is kept", ?TICK, [raw, fresh, slow, {timeout, 30000}], fun tick_by_data/1},
     {'node.tick_while_busy', "busy processes do not keep it from ticking", ?TICK, [raw, fresh, {needs, [spawn, busy]}, {timeout, 60000}], fun tick_while_busy/1},
     {'node.stopped', "SIGSTOP: the peer with a short net_ticktime sees nodedown; after SIGCONT it joins again", ?TICK,
      [raw, fresh, slow, {needs, [connect, nodes]}, {timeout, 60000}], fun stopped/1},
     {'node.simultaneous', "200 rounds of both sides dialling at once: one link each time, both agree", "dist_util.erl", [raw, fresh, {needs, [connect, nodes]}, {timeout, 120000}], fun simultaneous/1},
     {'node.wrong_cookie_live', "a node with another cookie gets no connection", ?KERNEL, [raw, fresh], fun wrong_cookie/1},
     {'node.wrong_cookie_dial', "with another cookie its own dialling is refused", ?KERNEL, [raw, fresh, {needs, [connect]}], fun wrong_cookie_dial/1},
     {'node.discover_list', "nodes that a source names are connected to, and again when they are lost", "CONTRACT.md, discover",
      [raw, fresh, slow, {needs, [discover]}, {timeout, 60000}], fun discover_list/1},
     {'node.discover_epmd', "of the nodes that an epmd knows those are connected to that the pattern fits", "CONTRACT.md, discover",
      [raw, fresh, slow, {needs, [discover]}, {timeout, 60000}], fun discover_epmd/1},
     {'node.two_nodes', "two nodes under test talk to each other", ?KERNEL, [raw, fresh, {needs, [connect]}, {varies, [visible]}], fun two_nodes/1},
     {'node.two_nodes_kill', "kill -9 of one: the other's monitors fire", ?KERNEL, [raw, fresh, {needs, [connect, monitor]}], fun two_nodes_kill/1}].

listed(#{nut := Nut, visible := Visible}) ->
    cf:same({Visible, not Visible}, {lists:member(Nut, nodes()), lists:member(Nut, nodes(hidden))}).

lists_us(#{visible := Visible} = T) ->
    cf:wait("it lists us", fun() -> lists:member(node(), cf_live:ask(T, nodes, [connected])) end),
    cf:same({Visible, not Visible}, {lists:member(node(), cf_live:ask(T, nodes, [visible])), lists:member(node(), cf_live:ask(T, nodes, [hidden]))}).

disconnect(T) -> cf_live:disconnect(T), cf_live:connect(T), cf_live:fence(T).

nodedown(N) -> nodedown(N, 8000).
nodedown(N, Timeout) -> receive {nodedown, N} -> ok after cf:ms(Timeout) -> cf:fail("no nodedown for ~s within ~p ms", [N, Timeout]) end.

it_disconnects(#{nut := Nut} = T) ->
    monitor_node(Nut, true),
    {conformance, Nut} ! {disconnect, self(), make_ref(), [node()]},
    nodedown(Nut),
    cf_live:connect(T), cf_live:fence(T).

reconnect(T) -> [begin cf_live:disconnect(T), cf_live:connect(T), cf_live:fence(T) end || _ <- lists:seq(1, 20)].

monitor_nodes(#{nut := Nut} = T) ->
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    cf_live:disconnect(T),
    cf_live:connect(T),
    Events = (fun Loop(Acc) -> receive {nodedown, Nut, _} -> Loop([down | Acc]); {nodeup, Nut, _} -> lists:reverse([up | Acc]) after cf:ms(8000) -> cf:fail("events ~p", [Acc]) end end)([]),
    ok = net_kernel:monitor_nodes(false, [{node_type, all}]),
    cf:same([down, up], Events).

monitor_node_many(#{nut := Nut} = T) ->
    [monitor_node(Nut, true) || _ <- [1, 2, 3]],
    erlang:disconnect_node(Nut),
    [nodedown(Nut) || _ <- [1, 2, 3]],
    cf:not_got(fun({nodedown, _}) -> ok end),
    cf:wait("gone", fun() -> not lists:member(Nut, nodes(connected)) end),
    cf_live:connect(T).

it_monitors(T) ->
    C = cf_fake:dial(T, #{}), D = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C), W = cf_fake:pid(C),
    cf_fake:call(C, P, watch, [W]),
    true = cf_fake:call(C, P, monitor_node, [maps:get(name, D), true]),
    cf_fake:close(D),
    Name = maps:get(name, D),
    cf_fake:take(C, fun({signal, _, {saw, X, {nodedown, N}}, _}) when X =:= P, N =:= Name -> ok end).

it_monitors_unreachable(T) ->
    P = cf_live:watched(T),
    true = cf_live:ask(T, P, monitor_node, ['nobody_at_all@127.0.0.1', true]),
    cf:same({nodedown, 'nobody_at_all@127.0.0.1'}, cf_live:saw(P)).

connect_false(T) -> cf:same(false, cf_live:ask(T, connect, ['nobody_at_all@127.0.0.1'])).
connect_again(T) -> cf:same(true, cf_live:ask(T, connect, [node()])).

auto_connect(T) ->
    #{name := Name} = Me = cf_fake:listen(T, #{}),
    C = cf_fake:dial(T, #{}),
    cf_fake:to(C, conformance, {send, cf_fake:pid(C), cf_fake:ref(C), [{somebody, Name}, hello]}),
    D = cf_fake:accept(T, Me),
    cf_fake:take(D, fun({signal, {6, _, _, somebody}, hello, _}) -> ok end),
    cf_fake:unlisten(Me).

fresh(T) -> T#{nut => list_to_atom(atom_to_list(cf:unique("fresh")) ++ "@127.0.0.1")}.
started(T) -> started(T, #{}).
started(T, Options) ->
    S = cf_nut:start(fresh(T), Options),
    true = net_kernel:connect_node(maps:get(nut, S)),
    S.

kill(T) ->
    process_flag(trap_exit, true),
    #{nut := N} = S = started(T),
    P = cf_live:puppet(S), link(P), M = monitor(process, P), monitor_node(N, true),
    cf_live:fence(S),
    Began = cf:clock(),
    cf_proc:signal(maps:get(proc, S), "KILL"),
    cf:same(noconnection, cf_live:exit_of(P)),
    cf:same(noconnection, cf_live:down(M)),
    nodedown(N),
    {_, Ms} = cf:took(Began),
    cf:check(Ms < 1000, "it took ~p ms", [Ms]).

kill_thousand(T) ->
    process_flag(trap_exit, true),
    S = started(T),
    Ps = [begin P = cf_live:puppet(S), link(P), {P, monitor(process, P)} end || _ <- lists:seq(1, 1000)],
    Began = cf:clock(),
    cf_proc:signal(maps:get(proc, S), "KILL"),
    [begin noconnection = cf_live:exit_of(P), noconnection = cf_live:down(M) end || {P, M} <- Ps],
    {_, Ms} = cf:took(Began),
    cf:check(Ms < 2000, "it took ~p ms", [Ms]),
    cf:not_got(fun({'EXIT', P, _}) when node(P) =/= node() -> ok; ({'DOWN', _, _, _, _}) -> ok end).

sigterm(T) ->
    #{nut := N} = S = started(T),
    monitor_node(N, true),
    {exited, _} = cf_nut:stop(S),
    nodedown(N).

%% The same name again after its end.
restarted(#{nut := N} = S) ->
    monitor_node(N, true),
    cf_nut:kill(S),
    nodedown(N),
    S1 = cf_nut:start(S),
    true = net_kernel:connect_node(N),
    S1.

restart_creation(T) ->
    S = started(T), {'$pid', _, _, _, Before} = cf_etf:internal(cf_live:ask(S, self, [])),
    S1 = restarted(S), {'$pid', _, _, _, After} = cf_etf:internal(cf_live:ask(S1, self, [])),
    cf:check(Before =/= After andalso After > 3, "creations ~p and ~p", [Before, After]).

restart_old_pids(T) ->
    process_flag(trap_exit, true),
    S = started(T),
    Old = [cf_live:puppet(S) || _ <- lists:seq(1, 20)],
    S1 = restarted(S),
    New = [cf_live:watched(S1) || _ <- lists:seq(1, 20)],
    [begin
         P ! not_for_you, exit(P, not_for_you),
         M = monitor(process, P), noproc = cf_live:down(M),
         link(P), noproc = cf_live:exit_of(P)
     end || P <- Old],
    [alive = cf_live:ask(S1, P, echo, [alive]) || P <- New],
    cf:not_got(fun({saw, _, _} = M) -> M end).

restart_ten(T) -> lists:foldl(fun(_, S) -> S1 = restarted(S), cf_live:fence(S1), S1 end, started(T), lists:seq(1, 10)).

%% Ticks: a node with net_ticktime 4 and a fake that does as it likes.
ticking(T, Fake) -> S = cf_nut:start(fresh(T), #{ticktime => 4}), {S, cf_fake:dial(S, Fake)}.

tick_sent(T) ->
    {_, C} = ticking(T, #{}),
    Began = cf:clock(),
    cf_fake:take(C, fun(tick) -> ok end),
    cf_fake:take(C, fun(tick) -> ok end),
    {_, Ms} = cf:took(Began),
    cf:check(Ms < 4000, "two ticks took ~p ms with net_ticktime 4", [Ms]).

tick_timeout(T) ->
    {_, C} = ticking(T, #{ticks => false}),
    Began = cf:clock(),
    cf_fake:closed(C, 15000),
    {Ms, Net} = cf:took(Began),
    cf:check(Ms > 2500 andalso Net < 6000, "closed after ~p ms with net_ticktime 4", [Ms]).

%% More than two net_ticktimes, with something every half of one: each time a whole tick interval passes in silence.
kept(C, S, Send) ->
    [begin Send(), receive after 2000 -> ok end end || _ <- lists:seq(1, 5)],
    cf:same([], cf_fake:seen(C, fun(closed) -> closed end)),
    cf:check(cf_nut:alive(S), "the node ended").

tick_keeps(T) -> {S, C} = ticking(T, #{ticks => false}), kept(C, S, fun() -> cf_fake:bytes(C, <<0:32>>) end).
tick_by_data(T) -> {S, C} = ticking(T, #{ticks => false}), kept(C, S, fun() -> cf_fake:to(C, nobody_here, data) end).

tick_while_busy(T) ->
    {_, C} = ticking(T, #{}),
    Me = cf_fake:pid(C),
    [begin
         Ref = cf_fake:ref(C),
         cf_fake:send(C, {29, Ref, Me, Me, {busy, start, 0}, []}, []),
         P = cf_fake:take(C, fun({signal, {31, R, _, _, X}, _, _}) when R =:= Ref -> X end),
         cf_fake:to(C, P, {'$gen_call', {Me, cf_fake:ref(C)}, {spin, 8000}})
     end || _ <- lists:seq(1, 8)],
    Began = cf:clock(),
    [cf_fake:take(C, fun(tick) -> ok end, 4000) || _ <- [1, 2, 3]],
    {_, Ms} = cf:took(Began),
    cf:check(Ms < 6500, "three ticks took ~p ms", [Ms]).

%% The node is stopped; a peer with net_ticktime 4 (another node under test) gives it up and takes it back.
stopped(T) ->
    S = started(T, #{ticktime => 4}),
    #{nut := Peer} = Q = started(T, #{ticktime => 4}),
    true = cf_live:ask(S, connect, [Peer]),
    C = cf_fake:dial(Q, #{}),
    Name = maps:get(nut, S),
    Connected = fun() -> lists:member(Name, cf_fake:call(C, nodes, [connected])) end,
    cf:wait("they are connected", Connected),
    cf_nut:pause(S),
    cf:wait("the peer has given it up", fun() -> not Connected() end, 10000),
    cf_nut:resume(S),
    cf:wait("it is back", fun() -> cf_fake:call(C, connect, [Name]) =:= true end, 15000).

simultaneous(T) ->
    #{nut := N} = S = started(T),
    C = cf_fake:dial(S, #{}), P = cf_fake:puppet(C),
    [begin
         case lists:member(N, nodes(connected)) of true -> monitor_node(N, true), erlang:disconnect_node(N), nodedown(N); false -> ok end,
         cf:wait("both sides have let go", fun() -> not lists:member(N, nodes(connected)) andalso not lists:member(node(), cf_fake:call(C, nodes, [connected])) end),
         Ref = cf_fake:ref(C),
         cf_fake:to(C, P, {connect, cf_fake:pid(C), Ref, [node()]}),
         true = net_kernel:connect_node(N),
         true = cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end),
         cf_live:fence(S)
     end || _ <- lists:seq(1, 200)].

wrong_cookie(T) ->
    #{nut := N} = cf_nut:start(fresh(T), #{cookie => another_cookie}),
    cf:same(false, net_kernel:connect_node(N)).

wrong_cookie_dial(T) ->
    S = cf_nut:start(fresh(T), #{cookie => another_cookie}),
    C = cf_fake:dial(S#{cookie => another_cookie}, #{}),
    cf:same(false, cf_fake:call(C, connect, [node()])).

two(T) ->
    A = cf_nut:start(fresh(T)), B = cf_nut:start(fresh(T)),
    C = cf_fake:dial(A, #{}), D = cf_fake:dial(B, #{}),
    true = cf_fake:call(C, connect, [maps:get(nut, B)]),
    {A, B, C, D}.

two_nodes(T) ->
    {_, _, C, D} = two(T),
    P = cf_fake:puppet(D), W = cf_fake:pid(D),
    cf_fake:call(D, P, watch, [W]),
    ok = cf_fake:call(C, send, [P, across]),
    cf_fake:take(D, fun({signal, _, {saw, X, across}, _}) when X =:= P -> ok end),
    B = cf_fake:call(D, echo, [binary:copy(<<1>>, 200000)]),
    ok = cf_fake:call(C, send, [P, {big, B}]),
    cf_fake:take(D, fun({signal, _, {saw, X, {big, Y}}, _}) when X =:= P, Y =:= B -> ok end).

two_nodes_kill(T) ->
    {_, B, C, D} = two(T),
    P = cf_fake:puppet(D),
    Q = cf_fake:puppet(C), W = cf_fake:pid(C),
    cf_fake:call(C, Q, watch, [W]),
    Ref = cf_fake:call(C, Q, monitor, [P]),
    cf_nut:kill(B),
    cf_fake:take(C, fun({signal, _, {saw, X, {'DOWN', R, process, Y, noconnection}}, _}) when X =:= Q, R =:= Ref, Y =:= P -> ok end).

%% A source is looked at every few seconds, at the latest after five.
discovered(#{listener := L} = Me) ->
    {ok, S} = gen_tcp:accept(L, cf:ms(20000)),
    {ok, Hello} = cf_hs:recv(S),
    {ok, S, Peer} = cf_hs:answer_from(S, cf_hs:parse_name(Hello), Me),
    cf_fake:adopt(S, Peer, Me).

discover_list(T) ->
    S = cf_nut:start(fresh(T)),
    #{name := Name} = Me = cf_fake:listen(S, #{}),
    C = cf_fake:dial(S, #{}),
    ok = cf_fake:call(C, discover, ["list:" ++ atom_to_list(Name)]),
    [begin
         D = discovered(Me),
         cf_fake:fence(D),
         cf_fake:close(D)
     end || _ <- [first, again]],
    cf_fake:unlisten(Me).

%% When a round comes again, all that the one before it found has been dialled.
discover_epmd(T) ->
    S = cf_nut:start(fresh(T)),
    Alive = atom_to_list(cf:unique("wanted")),
    Me = cf_fake:listen(S, #{name => list_to_atom(Alive ++ "_here@127.0.0.1")}),
    #{listener := Other} = NotMe = cf_fake:listen(S, #{name => list_to_atom("un" ++ Alive ++ "@127.0.0.1")}),
    C = cf_fake:dial(S, #{}),
    ok = cf_fake:call(C, discover, ["epmd:" ++ Alive ++ "_*@127.0.0.1"]),
    [begin
         D = discovered(Me),
         cf_fake:fence(D),
         cf_fake:close(D)
     end || _ <- [first, again]],
    cf:same({error, timeout}, gen_tcp:accept(Other, 0)),
    [cf_fake:unlisten(X) || X <- [Me, NotMe]].
