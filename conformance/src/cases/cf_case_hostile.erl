%% SPDX-License-Identifier: Apache-2.0
%% Packets and signals that no node may send: the link of the sender ends (or the signal is ignored, where the BEAM
%% ignores it), and the node and every other link go on. Rules: dist.c erts_net_message, external.c.
-module(cf_case_hostile).
-export([cases/0]).

-define(DIST, "dist.c erts_net_message").
-define(HEADER, "external.c erts_prepare_dist_ext").

cases() ->
    [{id("hostile.packet_", Id), "ends the link: " ++ What, ?HEADER, [raw | O], fun(T) -> packet(T, Flags, Make) end}
     || {Id, What, Flags, Make, O} <- packets()]
        ++ [{id("hostile.control_", Id), "ends the link: " ++ What, ?DIST, [raw | O], fun(T) -> control(T, Make) end}
            || {Id, What, Make, O} <- controls()]
        ++ [{id("hostile.ignored_", Id), "is ignored, the link stays: " ++ What, ?DIST, [raw | O], fun(T) -> ignored(T, Make) end}
            || {Id, What, Make, O} <- ignored()]
        ++ [{'hostile.others_unharmed', "while one peer sends garbage 50 times, another's calls are all answered", ?DIST, [raw], fun others_unharmed/1},
            {'hostile.random_packets', "300 packets of random bytes: each ends its link at most", ?DIST, [raw, {timeout, 60000}], fun random_packets/1},
            {'hostile.mutated_packets', "a good packet with any one byte changed never ends the node", ?DIST, [raw, {timeout, 60000}], fun mutated_packets/1},
            {'hostile.cut_in_packet', "a peer that leaves in the middle of a packet disturbs nobody", ?DIST, [raw], fun cut_in_packet/1},
            {'hostile.reset', "a peer that resets its connection disturbs nobody", ?DIST, [raw], fun reset/1},
            {'hostile.slow_reader', "a peer that reads nothing does not delay another", "dist.c busy ports", [raw, {timeout, 40000}], fun slow_reader/1},
            {'hostile.messages_to_echo', "malformed requests to a registered process are ignored", "CONTRACT.md", [raw], fun junk_to_echo/1}].

id(A, B) -> list_to_atom(A ++ B).

full(#{release := R}) -> cf_hs:hidden(cf_hs:flags(R)).
flags(T, all) -> full(T);
flags(T, pass) -> cf_hs:without(full(T), 16#802000);
flags(T, cache) -> cf_hs:without(full(T), 16#800000);
flags(T, fragments) -> cf_hs:without(full(T), 16#2000).

e(Term) -> cf_etf:encode(Term).

%% A control that any packet may carry, to a name that nobody has.
harmless(C) -> e({6, cf_fake:pid(C), '', nobody_here}).

%% {Id, sentence, flags, packet body from the connection, options}
packets() ->
    [{"pass_on_header_link", "pass-through on a link with headers", all, fun(C) -> [112, 131, harmless(C), 131, e(x)] end, []},
     {"header_on_pass_link", "a distribution header on a pass-through link", pass, fun(C) -> [131, 68, 0, harmless(C), e(x)] end, []},
     {"no_version", "a packet without version byte", all, fun(C) -> [68, 0, harmless(C), e(x)] end, []},
     {"unknown_type", "an unknown packet type", all, fun(C) -> [131, 71, 0, harmless(C), e(x)] end, []},
     {"one_byte", "a packet of one byte", all, fun(_) -> [131] end, []},
     {"two_bytes", "a packet that ends after its type", all, fun(_) -> [131, 68] end, []},
     {"pass_one_byte", "a pass-through packet of one byte", pass, fun(_) -> [112] end, []},
     {"pass_no_control", "a pass-through packet that ends before its control", pass, fun(_) -> [112, 131] end, []},
     {"header_no_control", "a header without a control behind it", all, fun(_) -> [131, 68, 0] end, []},
     {"empty_slot", "a reference to a slot that was never filled", cache, fun(C) -> [cf_wire:with_header([{old, 1234}], {6, cf_fake:pid(C), '', nobody_here}, x)] end, []},
     {"header_cut_in_flags", "a header cut in its flag bytes", cache, fun(_) -> [131, 68, 10, 16#88] end, []},
     {"header_cut_in_refs", "a header cut in its references", cache, fun(_) -> [131, 68, 2, 16#88, 0, 5, 3, "abc"] end, []},
     {"header_cut_in_atom", "a header cut inside an atom", cache, fun(_) -> [131, 68, 1, 8, 5, 30, "abc"] end, []},
     {"header_atom_too_long", "a header with an atom of 256 characters", cache,
      fun(C) -> cf_wire:with_header([{new, 5, binary:copy(<<"a">>, 256)}], {6, cf_fake:pid(C), '', nobody_here}, x) end, []},
     {"header_atom_bad_utf8", "a header with an atom that is no UTF-8", cache,
      fun(C) -> cf_wire:with_header([{new, 5, <<16#c3, 16#28>>}], {6, cf_fake:pid(C), '', nobody_here}, x) end, []},
     {"reference_beyond", "a reference beyond the header's own", cache,
      fun(C) -> cf_wire:with_header([{new, 5, <<"abc">>}], {6, cf_fake:pid(C), '', {'$raw', <<82, 1>>}}, x) end, []},
     {"continuation_unknown", "a continuation of an unknown sequence", all, fun(_) -> [<<131, 70, 77:64, 1:64>>, "abc"] end, []},
     {"continuation_skips", "a continuation that skips a fragment", all,
      fun(C) ->
          [First, _, Last] = cf_wire:fragments(77, [], {6, cf_fake:pid(C), '', nobody_here}, {<<"0123456789">>, [4, 4]}),
          cf_fake:packet(C, First),
          Last
      end, []},
     {"continuation_short", "a continuation cut in its ids", all, fun(_) -> <<131, 70, 77:64, 1>> end, []},
     {"first_fragment_short", "a first fragment cut in its ids", all, fun(_) -> <<131, 69, 77:64, 1>> end, []},
     {"control_no_tuple", "a control that is no tuple", pass, fun(_) -> [112, 131, e(hello)] end, []},
     {"control_empty_tuple", "a control that is an empty tuple", pass, fun(_) -> [112, 131, e({})] end, []},
     {"control_op_atom", "an operation that is an atom", pass, fun(C) -> [112, 131, e({send, '', cf_fake:pid(C)}), 131, e(x)] end, []},
     {"control_cut", "a control cut in the middle", pass, fun(C) -> B = iolist_to_binary(harmless(C)), [112, 131, binary:part(B, 0, byte_size(B) - 3)] end, []},
     {"control_list", "a control that is a list", pass, fun(_) -> [112, 131, e([6, a, b])] end, []}].

packet(T, Kind, Make) ->
    C = cf_fake:dial(T, #{flags => flags(T, Kind)}),
    cf_fake:fence(C),
    Witness = cf_fake:dial(T, #{}),
    cf_fake:packet(C, Make(C)),
    cf_fake:closed(C),
    cf_fake:fence(Witness).

stale(C) -> {'$pid', Node, Id, Serial, Creation} = cf_fake:call(C, self, []), {'$pid', Node, Id, Serial, Creation bxor 16#55}.
local(C) -> cf_fake:call(C, spawn, []).
%% A list of one element that ends behind its length.
no_term() -> {'$raw', <<108, 1:32>>}.
third() -> {'$pid', 'third@127.0.0.1', 5, 0, 77}.

%% {Id, sentence, {Control, Payload} from the connection, options}
controls() ->
    Two = fun(Control) -> {Control, none} end,
    [{"unknown_op", "operation 99", fun(_) -> Two({99}) end, []},
     {"op_0", "operation 0", fun(C) -> Two({0, cf_fake:pid(C)}) end, []},
     {"op_negative", "a negative operation", fun(C) -> Two({-1, cf_fake:pid(C)}) end, []},
     {"send_no_payload", "SEND without a message", fun(C) -> Two({2, '', local(C)}) end, []},
     {"send_to_no_pid", "SEND to what is no pid", fun(_) -> {{2, '', 17}, x} end, []},
     {"send_arity", "SEND with an element too many", fun(C) -> {{2, '', local(C), a, b}, x} end, []},
     {"reg_send_from_no_pid", "REG_SEND from what is no pid", fun(_) -> {{6, me, '', conformance}, x} end, []},
     {"reg_send_name_no_atom", "REG_SEND to what is no atom", fun(C) -> {{6, cf_fake:pid(C), '', "conformance"}, x} end, []},
     {"reg_send_no_payload", "REG_SEND without a message", fun(C) -> Two({6, cf_fake:pid(C), '', conformance}) end, []},
     {"send_sender_no_payload", "SEND_SENDER without a message", fun(C) -> Two({22, cf_fake:pid(C), local(C)}) end, []},
     {"link_from_third", "LINK from a process of a third node", fun(C) -> Two({1, third(), local(C)}) end, []},
     {"link_from_no_pid", "LINK from what is no pid", fun(C) -> Two({1, me, local(C)}) end, []},
     {"link_arity", "LINK with an element missing", fun(C) -> Two({1, cf_fake:pid(C)}) end, []},
     {"monitor_from_third", "MONITOR_P from a process of a third node", fun(C) -> Two({19, third(), local(C), cf_fake:ref(C)}) end, []},
     {"monitor_of_number", "MONITOR_P of a number", fun(C) -> Two({19, cf_fake:pid(C), 17, cf_fake:ref(C)}) end, []},
     {"monitor_ref_no_ref", "MONITOR_P whose reference is an atom", fun(C) -> Two({19, cf_fake:pid(C), local(C), ref}) end, []},
     {"exit_from_third", "EXIT from a process of a third node", fun(C) -> Two({3, third(), local(C), why}) end, []},
     {"exit2_from_third", "EXIT2 from a process of a third node", fun(C) -> Two({8, third(), local(C), why}) end, []},
     {"exit_to_stale", "EXIT to a process of an old incarnation", fun(C) -> Two({3, cf_fake:pid(C), stale(C), why}) end, []},
     {"payload_exit_no_payload", "PAYLOAD_EXIT without a reason", fun(C) -> Me = cf_fake:pid(C), P = local(C), cf_fake:send(C, {1, Me, P}), Two({24, Me, P}) end, []},
     {"payload_exit2_no_payload", "PAYLOAD_EXIT2 without a reason", fun(C) -> Two({26, cf_fake:pid(C), local(C)}) end, []},
     {"unlink_id_0", "UNLINK_ID with id 0", fun(C) -> Two({35, 0, cf_fake:pid(C), local(C)}) end, [{from, 25}]},
     {"unlink_id_to_stale", "UNLINK_ID to a process of an old incarnation", fun(C) -> Two({35, 5, cf_fake:pid(C), stale(C)}) end, [{from, 25}]},
     {"old_unlink", "UNLINK, which 26 removed", fun(C) -> Two({4, cf_fake:pid(C), local(C)}) end, [{from, 26}]},
     {"spawn_arity_atom", "SPAWN_REQUEST with an atom for the arity", fun(C) -> P = cf_fake:pid(C), {{29, cf_fake:ref(C), P, P, {noop, start, a}, []}, []} end, []},
     {"spawn_no_payload", "SPAWN_REQUEST without arguments", fun(C) -> P = cf_fake:pid(C), Two({29, cf_fake:ref(C), P, P, {noop, start, 0}, []}) end, []},
     {"spawn_from_no_pid", "SPAWN_REQUEST from what is no pid", fun(C) -> P = cf_fake:pid(C), {{29, cf_fake:ref(C), me, P, {noop, start, 0}, []}, []} end, []},
     {"spawn_mfa_no_tuple", "SPAWN_REQUEST whose function is no triple", fun(C) -> P = cf_fake:pid(C), {{29, cf_fake:ref(C), P, P, noop, []}, []} end, []},
     {"spawn_ref_no_ref", "SPAWN_REQUEST whose id is no reference", fun(C) -> P = cf_fake:pid(C), {{29, 17, P, P, {noop, start, 0}, []}, []} end, []},
     {"unlink_id_from_third", "UNLINK_ID from a process of a third node", fun(C) -> Two({35, 5, third(), local(C)}) end, [{from, 25}]},
     {"demonitor_from_third", "DEMONITOR_P from a process of a third node", fun(C) -> Two({20, third(), local(C), cf_fake:ref(C)}) end, []},
     {"spawn_from_third", "SPAWN_REQUEST from a process of a third node (OTP obeys it)",
      fun(C) -> {{29, cf_fake:ref(C), third(), third(), {noop, start, 0}, []}, []} end, [{otp_fails, [23, 25, 27, 29]}]},
     {"spawn_arguments_no_term", "SPAWN_REQUEST whose arguments cannot be decoded", fun(C) -> P = cf_fake:pid(C), {{29, cf_fake:ref(C), P, P, {noop, start, 1}, []}, no_term()} end, []},
     {"exit2_reason_no_term", "PAYLOAD_EXIT2 whose reason cannot be decoded", fun(C) -> {{26, cf_fake:pid(C), local(C)}, no_term()} end, []},
     {"exit_reason_no_term", "PAYLOAD_EXIT whose reason cannot be decoded",
      fun(C) -> Me = cf_fake:pid(C), P = local(C), true = cf_fake:call(C, P, link, [Me]), {{24, Me, P}, no_term()} end, [{needs, [link]}]},
     {"group_leader_no_pid", "GROUP_LEADER that is no pid", fun(C) -> Two({7, leader, local(C)}) end, []}].

control(T, Make) ->
    C = cf_fake:dial(T, #{}),
    {Control, Payload} = Make(C),
    Witness = cf_fake:dial(T, #{}),
    cf_fake:send(C, Control, Payload),
    cf_fake:closed(C),
    cf_fake:fence(Witness).

%% A node that does not offer all of it is sent none of it.
monitors(C) -> cf_fake:agreed(C, 16#28, "DIST_MONITOR and DIST_MONITOR_NAME").

%% What a node that did not offer it would rightly close the link for is not sent to such.
ignored() ->
    Two = fun(Control) -> {Control, none} end,
    [{"send_to_dead", "SEND to a process that is gone", fun(C) -> P = local(C), cf_fake:call(C, P, exit, [normal]), {{2, '', P}, x} end, []},
     {"send_to_stale", "SEND to a process of an old incarnation", fun(C) -> {{2, '', stale(C)}, x} end, []},
     {"send_to_third", "SEND to a process of a third node", fun(_) -> {{2, '', third()}, x} end, []},
     {"reg_send_unknown", "REG_SEND to a name that nobody has", fun(C) -> {{6, cf_fake:pid(C), '', nobody_here}, x} end, []},
     {"reg_send_from_third", "REG_SEND from a process of a third node, to a name that nobody has", fun(_) -> {{6, third(), '', nobody_here}, x} end, []},
     {"exit_to_dead", "EXIT to a process that is gone", fun(C) -> P = local(C), cf_fake:call(C, P, exit, [normal]), Two({3, cf_fake:pid(C), P, why}) end, []},
     {"exit_unlinked", "EXIT to a process that is not linked", fun(C) -> Two({3, cf_fake:pid(C), local(C), why}) end, []},
     {"exit2_to_dead", "EXIT2 to a process that is gone", fun(C) -> P = local(C), cf_fake:call(C, P, exit, [normal]), Two({8, cf_fake:pid(C), P, why}) end, []},
     {"exit2_to_stale", "EXIT2 to a process of an old incarnation", fun(C) -> Two({8, cf_fake:pid(C), stale(C), why}) end, []},
     {"demonitor_unknown", "DEMONITOR_P of an unknown reference", fun(C) -> monitors(C), Two({20, cf_fake:pid(C), local(C), cf_fake:ref(C)}) end, []},
     {"demonitor_to_stale", "DEMONITOR_P of a process of an old incarnation", fun(C) -> monitors(C), Two({20, cf_fake:pid(C), stale(C), cf_fake:ref(C)}) end, []},
     {"monitor_exit_unknown", "MONITOR_P_EXIT for an unknown reference", fun(C) -> monitors(C), Two({21, cf_fake:pid(C), local(C), cf_fake:ref(C), why}) end, []},
     {"monitor_exit_to_stale", "MONITOR_P_EXIT to a process of an old incarnation", fun(C) -> monitors(C), Two({21, cf_fake:pid(C), stale(C), cf_fake:ref(C), why}) end, []},
     {"spawn_reply_unknown", "SPAWN_REPLY for an unknown request",
      fun(C) -> cf_fake:agreed(C, 1 bsl 32, "SPAWN"), {'$pid', Node, _, _, Creation} = P = local(C), Two({31, {'$ref', Node, Creation, [1, 2, 3]}, P, 0, badopt}) end, []},
     {"alias_unknown", "ALIAS_SEND to an unknown alias",
      fun(C) -> cf_fake:agreed(C, 1 bsl 35, "ALIAS"), {'$pid', Node, _, _, Creation} = local(C), {{33, cf_fake:pid(C), {'$ref', Node, Creation, [1, 2, 3]}}, x} end, [{from, 24}]},
     {"unlink_ack_unknown", "UNLINK_ID_ACK that nobody waits for", fun(C) -> cf_fake:agreed(C, 16#2000000, "UNLINK_ID"), Two({36, 5, cf_fake:pid(C), local(C)}) end, [{from, 24}]},
     {"extra_bytes", "bytes behind the payload", fun(C) -> {{6, cf_fake:pid(C), '', nobody_here}, {'$raw', [e(x), "more"]}} end, []}].

ignored(T, Make) ->
    C = cf_fake:dial(T, #{}),
    {Control, Payload} = Make(C),
    cf_fake:send(C, Control, Payload),
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun(closed) -> closed end)).

others_unharmed(T) ->
    Good = cf_fake:dial(T, #{}),
    [begin
         Bad = cf_fake:dial(T, #{}),
         cf_fake:packet(Bad, [131, 99, N]),
         N = cf_fake:call(Good, echo, [N]),
         cf_fake:closed(Bad)
     end || N <- lists:seq(1, 50)].

random_packets(T) ->
    rand:seed(exsplus, {1, 2, 3}),
    [begin
         C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), 16#2000)}),
         Body = list_to_binary([rand:uniform(256) - 1 || _ <- lists:seq(1, rand:uniform(60))]),
         Start = lists:nth(1 + N rem 3, [<<131, 68, 0>>, <<131, 69, 1:64, 2:64, 0>>, <<>>]),
         cf_fake:packet(C, [Start, Body]),
         cf_fake:close(C)
     end || N <- lists:seq(1, 300)],
    cf_fake:fence(cf_fake:dial(T, #{})).

%% Positions in the payload and the control after the header; the header's own count of references stays 0, since a
%% BEAM's whole VM falls when it is not and the cache was not negotiated.
mutated_packets(T) ->
    C0 = cf_fake:dial(T, #{}),
    Make = fun(C) -> Me = cf_fake:pid(C, 1), iolist_to_binary(cf_wire:packet(#{format => header}, {6, Me, '', conformance}, {echo, Me, {'$ref', maps:get(name, C), maps:get(creation, C), [1, 2, 3]}, [{a, "b", 1.5}]})) end,
    Size = byte_size(Make(C0)),
    [begin
         C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), 16#2000)}),
         <<A:At/binary, B, Rest/binary>> = Make(C),
         cf_fake:packet(C, <<A/binary, (B bxor X), Rest/binary>>),
         cf_fake:close(C)
     end || At <- lists:seq(3, Size - 1), X <- [1, 16#80]],
    cf_fake:fence(cf_fake:dial(T, #{})).

cut_in_packet(T) ->
    [begin
         C = cf_fake:dial(T, #{}),
         cf_fake:bytes(C, [<<1000:32>>, binary:copy(<<131>>, N)]),
         cf_fake:close(C)
     end || N <- [0, 1, 2, 100, 999]],
    cf_fake:fence(cf_fake:dial(T, #{})).

reset(T) ->
    [begin
         C = cf_fake:dial(T, #{}),
         inet:setopts(cf_fake:socket(C), [{linger, {true, 0}}]),
         cf_fake:close(C)
     end || _ <- lists:seq(1, 10)],
    cf_fake:fence(cf_fake:dial(T, #{})).

%% A link whose socket nobody reads is asked for 20 MB; another link works meanwhile.
slow_reader(T) ->
    Me = cf_fake:identity(T, #{}),
    {ok, S, #{flags := Flags}} = cf_hs:dial(maps:get(nut, T), Me),
    Wire = cf_wire:new(Flags),
    Pid = {'$pid', maps:get(name, Me), 1, 0, maps:get(creation, Me)},
    Ref = {'$ref', maps:get(name, Me), maps:get(creation, Me), [1, 2, 3]},
    Order = cf_wire:frame(cf_wire:packet(Wire, {6, Pid, '', conformance}, {spawn, Pid, Ref, []})),
    ok = gen_tcp:send(S, Order),
    {ok, Body} = packet(S),
    {{signal, _, {Ref, Puppet}, _}, _} = cf_wire:decode(Body, Wire),
    Big = cf_wire:frame(cf_wire:packet(Wire, {2, '', Puppet}, {echo, Pid, Ref, [binary:copy(<<1>>, 1048576)]})),
    [ok = gen_tcp:send(S, Big) || _ <- lists:seq(1, 20)],
    Other = cf_fake:dial(T, #{}),
    [cf:same(I, cf_fake:call(Other, echo, [I])) || I <- lists:seq(1, 100)],
    gen_tcp:close(S),
    cf_fake:fence(Other).

%% The next one that is no tick.
packet(S) ->
    case gen_tcp:recv(S, 4, cf:ms(5000)) of
        {ok, <<0:32>>} -> packet(S);
        {ok, <<N:32>>} -> gen_tcp:recv(S, N, cf:ms(5000))
    end.

junk_to_echo(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    [cf_fake:to(C, echo, Junk) || Junk <- [junk, {ping}, {ping, 1, 2, 3, 4}, [], <<>>, {'$gen_call', x, y, z}, 17]],
    cf_fake:to(C, echo, {ping, Me, Ref, still_here}),
    cf_fake:take(C, fun({signal, _, {pong, R, still_here}, _}) when R =:= Ref -> ok end).
