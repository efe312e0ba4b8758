%% SPDX-License-Identifier: Apache-2.0
%% What a node does with more than it can take: peers that read nothing, mailboxes that nobody empties.
-module(cf_case_limits).
-export([cases/0]).

-define(BUSY, "dist.c busy ports; erlang:system_flag dist_buf_busy_limit").

cases() ->
    [{'limits.reader_waits', "who sends to a peer that reads nothing waits, nobody else does, and all of it comes once the peer reads", ?BUSY,
      [raw, {timeout, 60000}], fun reader_waits/1},
     {'limits.reader_cut', "a peer that reads nothing while more waits for it than the limit allows is let go of, and nobody else",
      "CONTRACT.md, out_limit", [raw, fresh, {needs, [out_limit]}, {timeout, 40000}], fun reader_cut/1},
     {'limits.mailbox_bytes', "a process whose mailbox is over the limit of bytes ends with mailbox_overflow, and nobody else",
      "CONTRACT.md, mailbox_bytes", [raw, fresh, {needs, [mailbox_bytes, spawn, straight, monitor]}], fun mailbox_bytes/1}].

%% A peer that has shaken hands and reads nothing: {Socket, what cf_fake:adopt wants, a packet's bytes for an order}.
deaf(T) ->
    Me = cf_fake:identity(T, #{}),
    {ok, S, #{flags := Flags} = Peer} = cf_hs:dial(maps:get(nut, T), Me),
    ok = inet:setopts(S, [{send_timeout, 30000}]),
    Wire = cf_wire:new(Flags),
    {S, Peer, Me, fun(To, Message) -> ok = gen_tcp:send(S, cf_wire:frame(cf_wire:packet(Wire, {2, '', To}, Message))) end}.

%% P owes the deaf peer 32 MB, more than any socket's buffers hold, and after that an answer to another. Q, asked later, has
%% done as much work for that other one when the answer is looked for.
reader_waits(T) ->
    Megabyte = binary:copy(<<1>>, 1048576),
    C = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C), Q = cf_fake:puppet(C), Self = cf_fake:pid(C),
    {S, Peer, Me, Tell} = deaf(T),
    From = {'$pid', maps:get(name, Me), 1, 0, maps:get(creation, Me)},
    Ref = fun(N) -> {'$ref', maps:get(name, Me), maps:get(creation, Me), [N, 2, 3]} end,
    [Tell(P, {echo, From, Ref(N), [Megabyte]}) || N <- lists:seq(1, 32)],
    Tell(P, {send, From, Ref(33), [Self, at_last]}),
    [Megabyte = cf_fake:call(C, Q, echo, [Megabyte]) || _ <- lists:seq(1, 32)],
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun({signal, _, at_last, _}) -> it_did_not_wait end)),
    D = cf_fake:adopt(S, Peer, Me),
    [cf_fake:take(D, fun({signal, _, {R, B}, _}) when byte_size(B) =:= 1048576 -> cf:same(Ref(N), R, "order"), ok end) || N <- lists:seq(1, 32)],
    cf_fake:take(C, fun({signal, _, at_last, _}) -> ok end).

%% Each of 64 puppets owes it 256 kB, which is more than the limit and what sockets hold.
reader_cut(T) ->
    N = limited(T, "out_high_water=65536 out_limit=65536"),
    C = cf_fake:dial(N, #{}),
    Ps = [cf_fake:puppet(C) || _ <- lists:seq(1, 64)],
    {_, _, Me, Tell} = deaf(N),
    Deaf = maps:get(name, Me),
    Connected = fun() -> lists:member(Deaf, cf_fake:call(C, nodes, [connected])) end,
    cf:wait("it is connected", Connected),
    From = {'$pid', Deaf, 1, 0, maps:get(creation, Me)},
    Part = binary:copy(<<1>>, 262144),
    %% The socket may be closed before the last of them.
    try [Tell(P, {echo, From, {'$ref', Deaf, maps:get(creation, Me), [1, 2, 3]}, [Part]}) || P <- Ps]
    catch error:{badmatch, {error, _}} -> ok
    end,
    cf:wait("it is let go of", fun() -> not Connected() end),
    [cf:same(here, cf_fake:call(C, P, echo, [here])) || P <- Ps].

mailbox_bytes(T) ->
    N = limited(T, "max_mailbox=200000"),
    C = cf_fake:dial(N, #{}),
    [P, Q] = [start_straight(C) || _ <- [1, 2]],
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C), Mon = cf_fake:ref(C),
    cf_fake:send(C, {19, Me, P, Mon}),
    %% It waits for another message; these lie there.
    cf_fake:to(C, P, {pick, Me, Ref, never}),
    [cf_fake:to(C, P, {heap, binary:copy(<<1>>, 1000)}) || _ <- lists:seq(1, 300)],
    Why = cf_fake:take(C, fun({signal, Control, _, _}) when element(1, Control) =:= 21, element(4, Control) =:= Mon -> element(5, Control);
                             ({signal, Control, Payload, _}) when element(1, Control) =:= 28, element(4, Control) =:= Mon -> Payload end),
    cf:same(mailbox_overflow, Why),
    cf_fake:to(C, Q, {echo, Me, Ref, here}),
    cf_fake:take(C, fun({signal, _, {R, here}, _}) when R =:= Ref -> ok end).

start_straight(C) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Me, Me, {straight, start, 0}, []}, []),
    cf_fake:take(C, fun({signal, {31, R, _, _, X}, _, _}) when R =:= Ref -> X end).

limited(#{env := Env} = T, Limits) ->
    cf_nut:start(T#{nut => list_to_atom(atom_to_list(cf:unique("fresh")) ++ "@127.0.0.1"), env => [{"NUT_LIMITS", Limits} | Env]}).
