%% SPDX-License-Identifier: Apache-2.0
%% rpc and erpc in both directions, and rex.
-module(cf_case_rpc).
-export([cases/0]).

-define(RPC, "rpc.erl").
-define(ERPC, "erpc.erl").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{Id, What, Rule, [{needs, Needs} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'rpc.call', "rpc:call of erlang:node() gives the node's name", ?RPC, [rpc], [?ALL], fun call/1},
      {'rpc.call_registered', "rpc:call of erlang:registered() lists conformance", ?RPC, [rpc], [], fun call_registered/1},
      {'rpc.call_whereis', "rpc:call of erlang:whereis(conformance) gives its pid", ?RPC, [rpc], [], fun call_whereis/1},
      {'rpc.call_undef', "an unknown function is {badrpc, …}, not silence", ?RPC, [rpc], [?ALL], fun call_undef/1},
      {'rpc.call_timeout', "rpc:call with a timeout is answered within it", ?RPC, [rpc], [], fun call_timeout/1},
      {'rpc.cast', "rpc:cast does no harm", ?RPC, [rpc], [], fun cast/1},
      {'rpc.multicall', "rpc:multicall gives the node's value", ?RPC, [rpc], [], fun multicall/1},
      {'rpc.concurrent', "100 calls at once", ?RPC, [rpc], [], fun concurrent/1},
      {'rpc.async', "async_call and yield", ?RPC, [rpc], [], fun async/1},
      {'rpc.nodedown', "rpc:call to a node that has gone: {badrpc, nodedown}", ?RPC, [rpc], [raw, fresh], fun nodedown/1},
      {'rpc.exception', "a function that throws, exits or fails: as on a BEAM", ?RPC, [rpc, spawn_anything], [], fun exception/1},
      {'erpc.call', "erpc:call gives the value", ?ERPC, [erpc], [?ALL], fun ecall/1},
      {'erpc.undef', "erpc:call of an unknown function is an error, not silence", ?ERPC, [erpc], [], fun eundef/1},
      {'erpc.exceptions', "each class of exception", ?ERPC, [erpc, spawn_anything], [], fun eexceptions/1},
      {'erpc.timeout', "a timeout is {erpc, timeout}", ?ERPC, [erpc, spawn_anything], [], fun etimeout/1},
      {'erpc.send_request', "erpc:send_request and receive_response", ?ERPC, [erpc], [], fun esend_request/1},
      {'erpc.multicall', "erpc:multicall", ?ERPC, [erpc], [], fun emulticall/1},
      {'erpc.cast', "erpc:cast does no harm", ?ERPC, [erpc], [], fun ecast/1},
      {'erpc.noconnection', "erpc:call to a node that has gone: {erpc, noconnection}", ?ERPC, [erpc], [raw, fresh], fun enoconnection/1},
      {'erpc.wire', "reply with monitor, then DOWN with {ResRef, return, Value}", ?ERPC, [erpc], [raw], fun wire/1},
      {'erpc.wire_cast', "execute_cast is answered by a reply too", ?ERPC, [erpc], [raw], fun wire_cast/1},
      {'rpc.no_list', "what apply/3 does not take (arguments that are no proper list, or no atoms) is badarg of erlang:apply/3", ?RPC, [rpc], [?ALL], fun no_list/1},
      {'erpc.no_list', "the same for erpc:call, and an erpc:cast of it does no harm", ?ERPC, [erpc], [], fun eno_list/1},
      {'rex.no_list', "the same for all calls that rex takes", "rpc.erl", [rex, rpc], [], fun rex_no_list/1},
      {'erpc.wire_no_list', "the same for a request that no erpc.erl would make", ?ERPC, [erpc], [raw], fun wire_no_list/1},
      {'erpc.too_many', "a function of 256 arguments is undef", ?ERPC, [rpc, erpc], [], fun too_many/1},
      {'rpc.out', "its rpc:call here gives the value", ?RPC, [rpc_out], [?ALL], fun out/1},
      {'rpc.out_undef', "its rpc:call of an unknown function here: {badrpc, {'EXIT', {undef, _}}}", ?RPC, [rpc_out], [], fun out_undef/1},
      {'rpc.out_nodedown', "its rpc:call to a node that is not there: {badrpc, nodedown}", ?RPC, [rpc_out], [], fun out_nodedown/1},
      {'erpc.out', "its erpc:call here gives the value", ?ERPC, [erpc_out], [?ALL], fun eout/1},
      {'erpc.out_exceptions', "its erpc:call here gets each class of exception", ?ERPC, [erpc_out], [], fun eout_exceptions/1},
      {'erpc.out_noconnection', "its erpc:call to a node that is not there: {erpc, noconnection}", ?ERPC, [erpc_out], [], fun eout_noconnection/1},
      {'rex.block_call', "rpc:block_call gives the value", ?RPC, [rex, rpc], [?ALL], fun block_call/1},
      {'rex.block_call_undef', "block_call of an unknown function is {badrpc, _}", ?RPC, [rex, rpc], [], fun block_call_undef/1},
      {'rex.block_call_blocks', "block_calls run one after the other, other calls beside them", ?RPC, [rex, rpc, io], [], fun block_call_blocks/1},
      {'rex.block_call_many', "twenty block_calls at once are all answered", ?RPC, [rex, rpc], [], fun block_call_many/1},
      {'rex.server_call', "a call of rex as OTP 23 makes it: {call, M, F, A, Leader}", ?RPC, [rex], [], fun server_call/1},
      {'rex.server_call_undef', "of an unknown function: {badrpc, _}", ?RPC, [rex], [], fun server_call_undef/1},
      {'rex.features', "features_request is answered", "rpc.erl (23)", [rex], [raw], fun features/1},
      {'rex.old_call', "the old {call, …} of ei and erl_call is answered {rex, Result}", "rpc.erl; ei_rpc", [rex], [raw], fun old_call/1},
      {'rex.old_call_undef', "an unknown function in it: {rex, {badrpc, …}}", "rpc.erl", [rex], [raw], fun old_call_undef/1},
      {'rex.sbcast', "rpc:sbcast reaches the name on the node and says so; without that name it is a bad node", ?RPC, [rex, register], [?ALL], fun sbcast/1},
      {'rex.send', "{send, Name, Message}: the name gets {From, Message}, who asks hears nothing; without that name nonexisting_name", "rpc.erl",
       [rex, register], [], fun send/1},
      {'rex.nonsense', "nonsense to rex is dropped", "rpc.erl", [rex], [raw], fun nonsense/1}]].

call(#{nut := Nut}) -> cf:same(Nut, rpc:call(Nut, erlang, node, [])).
call_registered(#{nut := Nut}) -> cf:check(lists:member(conformance, rpc:call(Nut, erlang, registered, [])), "conformance is not listed").
call_whereis(#{nut := Nut} = T) -> cf:same(cf_live:ask(T, self, []), rpc:call(Nut, erlang, whereis, [conformance])).
call_undef(#{nut := Nut}) ->
    case rpc:call(Nut, no_such_module, f, [1]) of {badrpc, {'EXIT', _}} -> ok; Other -> cf:fail("got ~p", [Other]) end.
call_timeout(#{nut := Nut}) -> cf:same(Nut, rpc:call(Nut, erlang, node, [], 5000)).
cast(#{nut := Nut} = T) -> true = rpc:cast(Nut, erlang, node, []), cf_live:fence(T).
multicall(#{nut := Nut}) -> cf:same({[Nut], []}, rpc:multicall([Nut], erlang, node, [])).
concurrent(#{nut := Nut}) ->
    Ws = [spawn_monitor(fun() -> exit(rpc:call(Nut, erlang, node, [])) end) || _ <- lists:seq(1, 100)],
    [cf:same(Nut, cf_live:down(M)) || {_, M} <- Ws].
async(#{nut := Nut}) -> K = rpc:async_call(Nut, erlang, node, []), cf:same(Nut, rpc:yield(K)).

nodedown(T) ->
    N = gone(T),
    cf:same({badrpc, nodedown}, rpc:call(N, erlang, node, [], 10000)).

gone(T) ->
    #{nut := N} = S = cf_nut:start(T#{nut => list_to_atom(atom_to_list(cf:unique("gone")) ++ "@127.0.0.1")}),
    true = net_kernel:connect_node(N),
    monitor_node(N, true),
    cf_nut:kill(S),
    receive {nodedown, N} -> N after cf:ms(8000) -> cf:fail("no nodedown") end.

exception(#{nut := Nut}) ->
    cf:same(thrown, rpc:call(Nut, erlang, throw, [thrown])),
    {badrpc, {'EXIT', exited}} = rpc:call(Nut, erlang, exit, [exited]),
    {badrpc, {'EXIT', {failed, _}}} = rpc:call(Nut, erlang, error, [failed]).

ecall(#{nut := Nut}) -> cf:same(Nut, erpc:call(Nut, erlang, node, [])).

caught(Fun) -> try {value, Fun()} catch Class:Reason -> {Class, Reason} end.

eundef(#{nut := Nut}) ->
    case caught(fun() -> erpc:call(Nut, no_such_module, f, [1], cf:ms(8000)) end) of
        {error, {exception, undef, _}} -> ok;
        {error, {erpc, Why}} when Why =/= timeout, Why =/= noconnection -> ok;
        Other -> cf:fail("got ~p", [Other])
    end.

eexceptions(#{nut := Nut}) ->
    {throw, t} = caught(fun() -> erpc:call(Nut, erlang, throw, [t]) end),
    {exit, {exception, x}} = caught(fun() -> erpc:call(Nut, erlang, exit, [x]) end),
    {error, {exception, e, _}} = caught(fun() -> erpc:call(Nut, erlang, error, [e]) end).

etimeout(#{nut := Nut}) -> {error, {erpc, timeout}} = caught(fun() -> erpc:call(Nut, timer, sleep, [5000], 50) end).
esend_request(#{nut := Nut}) -> R = erpc:send_request(Nut, erlang, node, []), cf:same(Nut, erpc:receive_response(R, cf:ms(8000))).
emulticall(#{nut := Nut}) -> cf:same([{ok, Nut}], erpc:multicall([Nut], erlang, node, [], cf:ms(8000))).
ecast(#{nut := Nut} = T) -> ok = erpc:cast(Nut, erlang, node, []), cf_live:fence(T).
enoconnection(T) -> N = gone(T), {error, {erpc, noconnection}} = caught(fun() -> erpc:call(N, erlang, node, []) end).

wire(T) ->
    C = cf_fake:dial(T, #{}),
    cf:same({return, maps:get(nut, T)}, executed(C, erlang, node, [])).

executed(C, M, Fun, A) ->
    Me = cf_fake:pid(C), Req = cf_fake:ref(C), Res = cf_fake:ref(C),
    cf_fake:send(C, {29, Req, Me, Me, {erpc, execute_call, 4}, [monitor]}, [Res, M, Fun, A]),
    P = cf_fake:take(C, fun({signal, {31, R, To, 2, X}, none, _}) when R =:= Req, To =:= Me -> X end),
    Why = cf_fake:take(C, fun({signal, {21, F, To, R, W}, _, _}) when F =:= P, To =:= Me, R =:= Req -> W;
                             ({signal, {28, F, To, R}, W, _}) when F =:= P, To =:= Me, R =:= Req -> W end),
    case Why of
        {Res, return, Value} -> {return, Value};
        {Res, error, Reason, Stack} -> {Reason, Stack};
        _ -> cf:fail("it ended with ~p", [Why])
    end.

%% OTP has more to say of the place since 24: {error_info, _}.
of_apply({badarg, [{erlang, apply, A, _} | _]}) -> A.
of_apply_exit({badrpc, {'EXIT', Why}}) -> of_apply(Why).

no_list(#{nut := Nut}) ->
    A = [conformance | x], cf:same([erlang, whereis, A], of_apply_exit(rpc:call(Nut, erlang, whereis, A))).

eno_list(#{nut := Nut} = T) ->
    A = [[a | b] | c], ok = erpc:cast(Nut, erlang, whereis, A),
    {error, {exception, Why, Stack}} = caught(fun() -> erpc:call(Nut, erlang, whereis, A, cf:ms(8000)) end),
    cf:same([erlang, whereis, A], of_apply({Why, Stack})),
    cf_live:fence(T).

rex_no_list(#{nut := Nut}) ->
    [begin
         cf:same([M, F, A], of_apply_exit(gen_server:call({rex, Nut}, {Op, M, F, A, group_leader()}, cf:ms(8000)))),
         {rex, Nut} ! {self(), {call, M, F, A, group_leader()}},
         cf:same([M, F, A], of_apply_exit(receive {rex, R} -> R after cf:ms(8000) -> none end))
     end || Op <- [call, block_call],
            {M, F, A} <- [{erlang, whereis, [conformance | x]}, {erlang, node, none}, {17, node, []}, {erlang, {node}, []}]].

wire_no_list(T) ->
    C = cf_fake:dial(T, #{}),
    [cf:same([M, F, A], of_apply(executed(C, M, F, A)))
     || {M, F, A} <- [{erlang, whereis, [conformance | x]}, {erlang, node, none}, {17, node, []}]],
    %% A list may come in two parts, and counts as one.
    {undef, [{erlang, whereis, [1, 2], _} | _]} = executed(C, erlang, whereis, {'$raw', <<108, 1:32, 97, 1, 108, 1:32, 97, 2, 106>>}).

too_many(#{nut := Nut}) ->
    A = lists:duplicate(256, a),
    {badrpc, {'EXIT', {undef, [{erlang, whereis, A, _} | _]}}} = rpc:call(Nut, erlang, whereis, A),
    {error, {exception, undef, [{erlang, whereis, A, _} | _]}} = caught(fun() -> erpc:call(Nut, erlang, whereis, A, cf:ms(8000)) end).

wire_cast(T) ->
    C = cf_fake:dial(T, #{}), Me = cf_fake:pid(C), Req = cf_fake:ref(C),
    cf_fake:send(C, {29, Req, Me, Me, {erpc, execute_cast, 3}, []}, [erlang, node, []]),
    cf_fake:take(C, fun({signal, {31, R, To, 0, _}, none, _}) when R =:= Req, To =:= Me -> ok end).

out(T) -> cf:same(node(), cf_live:ask(T, rpc, [node(), erlang, node, []])).
out_undef(T) -> {badrpc, {'EXIT', {undef, _}}} = cf_live:ask(T, rpc, [node(), no_such_module, f, [1]]).
out_nodedown(T) -> cf:same({badrpc, nodedown}, cf_live:ask(T, rpc, ['nobody_at_all@127.0.0.1', erlang, node, []])).
eout(T) -> cf:same({ok, node()}, cf_live:ask(T, erpc, [node(), erlang, node, []])).
eout_exceptions(T) ->
    {throw, t} = cf_live:ask(T, erpc, [node(), erlang, throw, [t]]),
    {exit, {exception, x}} = cf_live:ask(T, erpc, [node(), erlang, exit, [x]]),
    {error, {exception, e, _}} = cf_live:ask(T, erpc, [node(), erlang, error, [e]]).
eout_noconnection(T) -> cf:same({error, {erpc, noconnection}}, cf_live:ask(T, erpc, ['nobody_at_all@127.0.0.1', erlang, node, []])).

block_call(#{nut := Nut}) -> cf:same(Nut, rpc:block_call(Nut, erlang, node, [])).
block_call_undef(#{nut := Nut}) -> {badrpc, {'EXIT', {undef, _}}} = rpc:block_call(Nut, no_such_module, f, [1]).

block_call_blocks(#{nut := Nut}) ->
    Me = self(),
    spawn_link(fun() -> Me ! {first, rpc:block_call(Nut, timer, sleep, [400])} end),
    cf:wait("the first runs", fun() -> rpc:block_call(Nut, erlang, node, [], 1) =:= {badrpc, timeout} end),
    spawn_link(fun() -> Me ! {second, rpc:block_call(Nut, erlang, node, [])} end),
    cf:same(Nut, rpc:call(Nut, erlang, node, [])),
    cf:not_got(fun({first, _}) -> ok; ({second, _}) -> ok end),
    Next = fun() -> receive {Which, Value} when Which =:= first; Which =:= second -> {Which, Value} after cf:ms(8000) -> none end end,
    cf:same({first, ok}, Next()),
    cf:same({second, Nut}, Next()).

block_call_many(#{nut := Nut}) ->
    Ws = [spawn_monitor(fun() -> exit(rpc:block_call(Nut, erlang, node, [])) end) || _ <- lists:seq(1, 20)],
    [cf:same(Nut, cf_live:down(M)) || {_, M} <- Ws].

server_call(#{nut := Nut}) -> cf:same(Nut, gen_server:call({rex, Nut}, {call, erlang, node, [], group_leader()}, cf:ms(8000))).
server_call_undef(#{nut := Nut}) -> {badrpc, _} = gen_server:call({rex, Nut}, {call, no_such_module, f, [1], group_leader()}, cf:ms(8000)).

features(T) ->
    C = cf_fake:dial(T, #{}), Me = cf_fake:pid(C),
    cf_fake:to(C, rex, {Me, features_request}),
    {Nut, Features} = cf_fake:take(C, fun({signal, _, {features_reply, N, F}, _}) -> {N, F} end),
    cf:same(maps:get(nut, T), Nut),
    cf:check(is_list(Features) andalso lists:all(fun is_atom/1, Features), "features ~p", [Features]).

old(C, M, F, A) ->
    Me = cf_fake:pid(C),
    cf_fake:to(C, rex, {Me, {call, M, F, A, user}}),
    cf_fake:take(C, fun({signal, Ctl, {rex, R}, _}) when element(3, Ctl) =:= Me -> R end).

old_call(T) -> C = cf_fake:dial(T, #{}), cf:same(maps:get(nut, T), old(C, erlang, node, [])).
old_call_undef(T) -> C = cf_fake:dial(T, #{}), {badrpc, _} = old(C, no_such_module, f, []).

sbcast(#{nut := Nut} = T) ->
    P = cf_live:watched(T), Name = cf:unique("name"),
    true = cf_live:ask(T, P, register, [Name]),
    cf:same({[Nut], []}, within(fun() -> rpc:sbcast([Nut], Name, {news, 1}) end)),
    cf:same({news, 1}, cf_live:saw(P)),
    cf:same({[], [Nut]}, within(fun() -> rpc:sbcast([Nut], cf:unique("nobody"), {news, 2}) end)).

%% sbcast waits for ever for who does not answer.
within(Fun) ->
    {P, M} = spawn_monitor(fun() -> exit({came, Fun()}) end),
    receive {'DOWN', M, process, P, {came, Result}} -> Result;
            {'DOWN', M, process, P, Reason} -> cf:fail("it ended with ~p", [Reason])
    after cf:ms(8000) -> exit(P, kill), cf:fail("no answer") end.

send(#{nut := Nut} = T) ->
    P = cf_live:watched(T), Name = cf:unique("name"), Nobody = cf:unique("nobody"), Me = self(),
    true = cf_live:ask(T, P, register, [Name]),
    {rex, Nut} ! {Me, {send, Name, {news, 1}}},
    cf:same({Me, {news, 1}}, cf_live:saw(P)),
    {rex, Nut} ! {Me, {send, Nobody, {news, 2}}},
    receive {rex, Nut, Answer} -> cf:same({nonexisting_name, Nobody}, Answer) after cf:ms(8000) -> cf:fail("no answer") end.

nonsense(T) ->
    C = cf_fake:dial(T, #{}),
    [cf_fake:to(C, rex, M) || M <- [junk, {}, {cf_fake:pid(C)}, {cf_fake:pid(C), junk}, {call}, 17]],
    cf:same(maps:get(nut, T), old(C, erlang, node, [])).
