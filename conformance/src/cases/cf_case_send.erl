%% SPDX-License-Identifier: Apache-2.0
%% Messages: to pids, names, aliases and nobody; order; both directions.
-module(cf_case_send).
-export([cases/0]).

-define(DOC, "erl_dist_protocol.html Control Messages").
-define(ORDER, "Reference Manual, Processes: signal order").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{'send.to_name', "a message to a registered name arrives", ?DOC, [?ALL], fun to_name/1},
     {'send.to_pid', "a message to a pid arrives", ?DOC, [?ALL], fun to_pid/1},
     {'send.from_node_to_pid', "its message to a pid arrives", ?DOC, [?ALL], fun from_node_to_pid/1},
     {'send.from_node_to_name', "its message to {Name, Node} arrives", ?DOC, [?ALL], fun from_node_to_name/1},
     {'send.local_in_node', "a message between two of its own processes arrives", ?DOC, [], fun local_in_node/1},
     {'send.to_own_name', "a process of its own may be addressed by name, locally and as {Name, Node}", ?DOC, [{needs, [register]}], fun to_own_name/1},
     {'send.unknown_name', "a message to an unknown name is dropped", ?DOC, [], fun unknown_name/1},
     {'send.dead_pid', "a message to a dead process is dropped", ?DOC, [], fun dead_pid/1},
     {'send.name_given_up', "after unregister the name gets nothing, and may be taken by another", ?DOC, [{needs, [register]}], fun name_given_up/1},
     {'send.name_dies_with_process', "a name goes with its process", ?DOC, [{needs, [register]}], fun name_dies/1},
     {'send.order_in', "1,000 messages arrive in order", ?ORDER, [], fun order_in/1},
     {'send.order_out', "1,000 messages from it arrive in order", ?ORDER, [], fun order_out/1},
     {'send.order_mixed_sizes', "small and large messages of one sender keep their order, both ways", ?ORDER, [], fun order_mixed/1},
     {'send.order_name_and_pid', "messages by name and by pid from one sender keep their order", ?ORDER, [{needs, [register]}], fun order_name_and_pid/1},
     {'send.message_then_exit', "a message sent before an exit signal is seen before it", ?ORDER, [{needs, [link]}], fun message_then_exit/1},
     {'send.message_before_down', "a message of a process comes before the DOWN of its end", ?ORDER, [{needs, [monitor]}], fun message_before_down/1},
     {'send.ten_thousand_calls', "10,000 round trips are all answered", "issue 2", [{timeout, 60000}], fun ten_thousand/1},
     {'send.fifty_senders', "50 senders with 100 messages each: every message once, each sender's in order", ?ORDER, [], fun fifty_senders/1},
     {'send.binary_10mb', "a binary of 10 MB goes there and back", ?DOC, [], fun binary_10mb/1},
     {'send.pings_during_100mb', "while 100 MB go there and back, small messages take less than a second", "issue 2", [{timeout, 90000}], fun pings_during_100mb/1},
     {'send.many_atoms', "5,000 distinct atoms go there and back", "issue 2", [], fun many_atoms/1},
     {'send.live_terms', "every kind of Erlang term goes there and back", "erl_ext_dist.html", [?ALL], fun live_terms/1},
     {'send.own_identifiers', "the driver's own pid, port, reference and fun come back equal", "erl_ext_dist.html", [], fun own_identifiers/1},
     {'send.third_identifiers', "identifiers of a third node come back equal", "erl_ext_dist.html", [], fun third_identifiers/1},
     {'send.deep_terms', "a list 100,000 deep goes there and back", "erl_ext_dist.html", [{needs, [deep_terms]}], fun deep/1},
     {'send.noconnect', "a message with noconnect needs no connection and starts none", "erlang:send/3", [raw], fun noconnect/1},
     {'send.op_send', "SEND (2) is understood although SEND_SENDER was negotiated", "erl_dist_protocol.html; dist.c hopeful data", [raw], fun(T) -> op(T, fun(_, P) -> {2, '', P} end) end},
     {'send.op_send_sender', "SEND_SENDER (22) is understood", ?DOC, [raw], fun(T) -> op(T, fun(C, P) -> send_sender(C), {22, cf_fake:pid(C), P} end) end},
     {'send.op_send_tt', "SEND_TT (12) is understood", ?DOC, [raw, {needs, [seq_trace]}], fun(T) -> op(T, fun(C, P) -> {12, '', P, token(C)} end) end},
     {'send.op_send_sender_tt', "SEND_SENDER_TT (23) is understood", ?DOC, [raw, {needs, [seq_trace]}], fun(T) -> op(T, fun(C, P) -> send_sender(C), {23, cf_fake:pid(C), P, token(C)} end) end},
     {'send.op_reg_send_tt', "REG_SEND_TT (16) is understood", ?DOC, [raw, {needs, [seq_trace]}], fun reg_send_tt/1},
     {'send.op_altact', "ALTACT_SIG_SEND (37) to a pid and to a name is understood", "erl_dist_protocol.html (28)", [raw, {from, 28}], fun altact/1},
     {'send.reg_send_third_sender', "REG_SEND may carry a sender of a third node", "dist.c", [raw], fun third_sender/1},
     {'send.echo_contract', "the echo process answers pings and counts", "CONTRACT.md", [], fun echo_contract/1},
     {'send.echo_bad_call', "the echo process answers a gen_server call with {error, bad_request}", "CONTRACT.md", [{needs, [gen]}], fun echo_bad_call/1}].

to_name(T) -> cf:same(hello, cf_live:ask(T, echo, [hello])).
to_pid(T) -> P = cf_live:puppet(T), cf:same(hello, cf_live:ask(T, P, echo, [hello])).

from_node_to_pid(T) ->
    ok = cf_live:ask(T, send, [self(), {news, 1}]),
    {news, 1} = cf:got(fun({news, _} = M) -> M end).

from_node_to_name(T) ->
    Name = cf:unique("receiver"),
    register(Name, self()),
    ok = cf_live:ask(T, send, [{Name, node()}, {news, 2}]),
    {news, 2} = cf:got(fun({news, _} = M) -> M end).

local_in_node(T) ->
    [P, Q] = [cf_live:puppet(T), cf_live:watched(T)],
    ok = cf_live:ask(T, P, send, [Q, across]),
    cf:same(across, cf_live:saw(Q)).

to_own_name(#{nut := Nut} = T) ->
    P = cf_live:watched(T), Name = cf:unique("name"),
    true = cf_live:ask(T, P, register, [Name]),
    cf:same(P, cf_live:ask(T, whereis, [Name])),
    ok = cf_live:ask(T, send, [{Name, Nut}, as_pair]),
    cf:same(as_pair, cf_live:saw(P)),
    ok = cf_live:ask(T, send, [Name, as_atom]),
    cf:same(as_atom, cf_live:saw(P)),
    {Name, Nut} ! from_here,
    cf:same(from_here, cf_live:saw(P)).

unknown_name(#{nut := Nut} = T) -> {nobody_here, Nut} ! hello, cf_live:fence(T).

dead_pid(T) ->
    P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, exit, [normal]),
    P ! hello,
    cf_live:fence(T),
    false = cf_live:ask(T, is_alive, [P]).

name_given_up(#{nut := Nut} = T) ->
    [P, Q] = [cf_live:watched(T), cf_live:watched(T)], Name = cf:unique("name"),
    true = cf_live:ask(T, P, register, [Name]),
    true = cf_live:ask(T, P, unregister, [Name]),
    {Name, Nut} ! nobody_gets_this,
    true = cf_live:ask(T, Q, register, [Name]),
    {Name, Nut} ! for_q,
    cf:same(for_q, cf_live:saw(Q)),
    cf_live:fence(T),
    cf:not_got(fun({saw, _, nobody_gets_this}) -> ok end).

name_dies(T) ->
    P = cf_live:puppet(T), Name = cf:unique("name"),
    true = cf_live:ask(T, P, register, [Name]),
    cf_live:ended(T, P, normal),
    cf:same(undefined, cf_live:ask(T, whereis, [Name])).

order_in(T) ->
    P = cf_live:watched(T),
    [P ! {n, N} || N <- lists:seq(1, 1000)],
    cf:same([{n, N} || N <- lists:seq(1, 1000)], [cf_live:saw(P) || _ <- lists:seq(1, 1000)]).

order_out(T) ->
    P = cf_live:puppet(T),
    [P ! {send, self(), make_ref(), [self(), {n, N}]} || N <- lists:seq(1, 1000)],
    cf:same(lists:seq(1, 1000), [receive {n, N} -> N after cf:ms(8000) -> cf:fail("message missing") end || _ <- lists:seq(1, 1000)]).

order_mixed(T) ->
    P = cf_live:watched(T),
    Sizes = [1, 200000, 2, 70000, 3, 1000000, 4, 5],
    [P ! binary:copy(<<1>>, S) || S <- Sizes],
    cf:same(Sizes, [byte_size(cf_live:saw(P)) || _ <- Sizes]).

order_name_and_pid(#{nut := Nut} = T) ->
    P = cf_live:watched(T), Name = cf:unique("name"),
    true = cf_live:ask(T, P, register, [Name]),
    [begin P ! {pid, N}, {Name, Nut} ! {name, N} end || N <- lists:seq(1, 100)],
    cf:same(lists:append([[{pid, N}, {name, N}] || N <- lists:seq(1, 100)]), [cf_live:saw(P) || _ <- lists:seq(1, 200)]).

message_then_exit(T) ->
    P = cf_live:watched(T),
    cf_live:ask(T, P, trap_exit, [true]),
    P ! first,
    exit(P, second),
    cf:same(first, cf_live:saw(P)),
    cf:same({'EXIT', self(), second}, cf_live:saw(P)).

message_before_down(T) ->
    P = cf_live:puppet(T), M = monitor(process, P),
    [P ! {send, self(), make_ref(), [self(), {last, N}]} || N <- lists:seq(1, 100)],
    P ! {exit, self(), make_ref(), [done]},
    Seen = (fun Loop(Acc) -> receive {last, N} -> Loop([N | Acc]); {'DOWN', M, _, _, done} -> lists:reverse(Acc) after cf:ms(8000) -> cf:fail("no DOWN") end end)([]),
    cf:same(lists:seq(1, 100), Seen).

ten_thousand(T) ->
    P = cf_live:puppet(T),
    [N = cf_live:ask(T, P, echo, [N]) || N <- lists:seq(1, 10000)],
    ok.

fifty_senders(T) ->
    P = cf_live:watched(T),
    [spawn_link(fun() -> [P ! {S, N} || N <- lists:seq(1, 100)] end) || S <- lists:seq(1, 50)],
    All = [cf_live:saw(P) || _ <- lists:seq(1, 5000)],
    [cf:same(lists:seq(1, 100), [N || {X, N} <- All, X =:= S]) || S <- lists:seq(1, 50)].

binary_10mb(T) ->
    B = binary:copy(<<"0123456789">>, 1048576),
    cf:check(B =:= cf_live:ask(T, echo, [B]), "the binary came back changed").

pings_during_100mb(T) ->
    P = cf_live:puppet(T), Q = cf_live:puppet(T),
    B = binary:copy(<<"0123456789abcdef">>, 6553600), Ref = make_ref(), Self = self(),
    spawn_link(fun() -> P ! {echo, Self, Ref, [B]} end),
    Slowest = pings(T, Q, Ref, 0),
    cf:note("slowest small message during 100 MB: ~p ms", [Slowest]),
    cf:check(Slowest < 1000, "a small message took ~p ms", [Slowest]).

pings(T, Q, Ref, Slowest) ->
    Began = cf:clock(),
    small = cf_live:ask(T, Q, echo, [small]),
    {_, Ms} = cf:took(Began),
    Took = max(Slowest, Ms),
    receive {Ref, B} when byte_size(B) =:= 104857600 -> Took
    after 0 -> pings(T, Q, Ref, Took)
    end.

many_atoms(T) ->
    Atoms = [list_to_atom("live" ++ integer_to_list(N)) || N <- lists:seq(1, 5000)],
    cf:same(Atoms, cf_live:ask(T, echo, [Atoms])).

live_terms(T) ->
    [cf:same(Term, cf_live:ask(T, echo, [Term])) ||
        Term <- [0, -1, 1 bsl 31, -(1 bsl 62), 1 bsl 3000, 1.0e-300, -0.5, a, '', list_to_atom([16#65e5]), {}, {a}, [], "abc", [a | b],
                 <<>>, <<"bin">>, <<1:3>>, #{}, #{a => #{1 => 2}}, fun lists:map/2, [[[]]], lists:seq(1, 300), {self(), make_ref()}]].

own_identifiers(T) ->
    X = 17,
    [cf:same(Term, cf_live:ask(T, echo, [Term])) || Term <- [self(), hd(erlang:ports()), make_ref(), fun erlang:node/0]],
    F = cf_live:ask(T, echo, [fun(Y) -> X + Y end]),
    cf:same(20, F(3)).

third_identifiers(T) ->
    Terms = [cf_etf:external(W) || W <- [{'$pid', 'third@127.0.0.1', 5, 1, 77}, {'$ref', 'third@127.0.0.1', 77, [1, 2, 3]}, {'$port', 'third@127.0.0.1', 9, 77}]],
    cf:same(Terms, cf_live:ask(T, echo, [Terms])).

deep(T) ->
    Term = lists:foldl(fun(_, A) -> [A] end, [], lists:seq(1, 100000)),
    cf:check(Term =:= cf_live:ask(T, echo, [Term]), "changed").

noconnect(#{nut := Nut} = T) ->
    case lists:member(Nut, nodes(connected)) of true -> cf_live:disconnect(T); false -> ok end,
    noconnect = erlang:send({conformance, Nut}, hello, [noconnect]),
    false = lists:member(Nut, nodes(connected)),
    ok.

op(T, Control) ->
    C = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C), Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, Control(C, P), {echo, Me, Ref, [x]}),
    cf_fake:take(C, fun({signal, _, {R, x}, _}) when R =:= Ref -> ok end).

send_sender(C) -> cf_fake:agreed(C, 16#80000, "SEND_SENDER").

token(C) -> {0, label, 1, cf_fake:pid(C), 0}.

reg_send_tt(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {16, Me, '', conformance, token(C)}, {echo, Me, Ref, [x]}),
    cf_fake:take(C, fun({signal, _, {R, x}, _}) when R =:= Ref -> ok end).

altact(T) ->
    C = cf_fake:dial(T, #{}),
    cf_fake:agreed(C, 1 bsl 37, "ALTACT_SIG"),
    P = cf_fake:puppet(C), Me = cf_fake:pid(C),
    [begin
         Ref = cf_fake:ref(C),
         cf_fake:send(C, {37, Flags, Me, To}, {echo, Me, Ref, [x]}),
         cf_fake:take(C, fun({signal, _, {R, x}, _}) when R =:= Ref -> ok end)
     end || {Flags, To} <- [{0, P}, {8, conformance}, {1, P}, {9, conformance}]].

third_sender(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {6, {'$pid', 'third@127.0.0.1', 5, 0, 77}, '', conformance}, {echo, Me, Ref, [x]}),
    cf_fake:take(C, fun({signal, _, {R, x}, _}) when R =:= Ref -> ok end).

echo_contract(#{nut := Nut}) ->
    Ref = make_ref(),
    {echo, Nut} ! {sync, self(), Ref},
    Before = receive {synced, Ref, N} -> N after cf:ms(5000) -> cf:fail("no answer to sync") end,
    [{echo, Nut} ! {sink, X} || X <- lists:seq(1, 100)],
    {echo, Nut} ! {ping, self(), Ref, payload},
    payload = receive {pong, Ref, X} -> X after cf:ms(5000) -> cf:fail("no answer to ping") end,
    {echo, Nut} ! {sync, self(), Ref},
    cf:same(Before + 100, receive {synced, Ref, M} -> M after cf:ms(5000) -> cf:fail("no answer to sync") end).

echo_bad_call(#{nut := Nut}) -> cf:same({error, bad_request}, gen_server:call({echo, Nut}, anything)).
