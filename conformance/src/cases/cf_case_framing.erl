%% SPDX-License-Identifier: Apache-2.0
%% Packets: pass-through, distribution header, atom cache, fragments, ticks, and any segmentation by TCP.
-module(cf_case_framing).
-export([cases/0]).

-define(DOC, "erl_ext_dist.html Distribution Header").
-define(FRAG, "erl_ext_dist.html Distribution Header for fragmented messages").
-define(PASS, "erl_dist_protocol.html Protocol between Connected Nodes").
-define(CACHE, 16#2000).
-define(FRAGMENTS, 16#800000).

cases() ->
    R = [raw],
    [{'framing.pass_both_ways', "without atom cache and fragments every packet is pass-through", ?PASS, R, fun pass_both_ways/1},
     {'framing.header_both_ways', "with them every packet has a distribution header", ?DOC, R, fun header_both_ways/1},
     {'framing.no_cache_no_refs', "with fragments only, headers carry no atom references", ?DOC, R, fun no_cache_no_refs/1},
     {'framing.cache_out', "its own headers fill the cache before they use it", ?DOC, R, fun cache_out/1},
     {'framing.cache_out_300_atoms', "a message with 300 atoms comes whole: 255 references at most", ?DOC, R, fun(T) -> atoms_out(T, 300) end},
     {'framing.cache_out_5000_atoms', "5,000 distinct atoms, more than the cache has slots", ?DOC, R, fun cache_out_5000/1},
     {'framing.cache_new', "a new cache entry is understood", ?DOC, R, fun(T) -> cached(T, [[{new, 5, alpha}]], alpha) end},
     {'framing.cache_reuse', "a later header may refer to an earlier entry", ?DOC, R, fun(T) -> cached(T, [[{new, 5, alpha}], [{old, 5, alpha}]], alpha) end},
     {'framing.cache_overwrite', "a slot may be given another atom", ?DOC, R, fun(T) -> cached(T, [[{new, 5, alpha}], [{new, 5, beta}], [{old, 5, beta}]], beta) end},
     {'framing.cache_same_atom_twice', "one atom may stand in several slots", ?DOC, R, fun(T) -> cached(T, [[{new, 5, alpha}], [{new, 6, alpha}], [{old, 5, alpha}], [{old, 6, alpha}]], alpha) end},
     {'framing.cache_segments', "every segment of the cache works", ?DOC, R,
      fun(T) -> cached(T, [[{new, S * 256 + 7, list_to_atom("seg" ++ integer_to_list(S))}] || S <- lists:seq(0, 7)]
                           ++ [[{old, S * 256 + 7, list_to_atom("seg" ++ integer_to_list(S))}] || S <- lists:seq(0, 7)], seg7) end},
     {'framing.cache_last_slot', "the first and the last slot work", ?DOC, R, fun(T) -> cached(T, [[{new, 0, zero}], [{new, 2047, last}], [{old, 0, zero}], [{old, 2047, last}]], last) end},
     {'framing.cache_used_at_once', "a reference may use an entry made before it in the same header", ?DOC, R, fun(T) -> cached(T, [[{new, 5, alpha}, {old, 5, alpha}]], alpha) end},
     {'framing.cache_utf8', "a cached atom may be UTF-8", ?DOC, R, fun(T) -> A = list_to_atom([16#65e5, 16#672c]), cached(T, [[{new, 5, A}]], A) end},
     {'framing.cache_long', "long atoms: lengths of 16 bits", ?DOC, R, fun(T) -> A = long_atom(), cached(T, [[{new, 5, A}]], A) end},
     {'framing.cache_long_mixed', "with one long atom all lengths of the header are 16 bits", ?DOC, R, fun(T) -> cached(T, [[{new, 5, long_atom()}, {new, 6, short}]], short) end},
     {'framing.cache_empty_atom', "the empty atom may be cached", ?DOC, R, fun(T) -> cached(T, [[{new, 5, ''}]], '') end},
     {'framing.cache_in_pid', "the node name of a pid may be a cache reference", ?DOC, R, fun cache_in_pid/1},
     {'framing.cache_many_links', "each link has caches of its own", ?DOC, R, fun cache_many_links/1},
     {'framing.cache_other_messages', "entries made by one message serve another sender's", ?DOC, R, fun cache_other_messages/1}]
        ++ [{list_to_atom("framing.cache_" ++ integer_to_list(N) ++ "_refs"), "a header with " ++ integer_to_list(N) ++ " references: its nibbles fall right", ?DOC, R,
             fun(T) -> many_refs(T, N) end} || N <- [2, 3, 4, 7, 8, 254, 255]]
        ++ [{list_to_atom("framing.in_" ++ Id), What, ?FRAG, R, Fun} || {Id, What, Fun} <- fragments_in()]
        ++ [{list_to_atom("framing.out_" ++ Id), What, ?FRAG, R ++ [{needs, Needs} || Needs =/= []], Fun} || {Id, What, Needs, Fun} <- fragments_out()]
        ++ [{list_to_atom("framing." ++ Id), What, "inet packet 4; TCP has no borders", R, Fun} || {Id, What, Fun} <- segments()].

full(#{release := R}) -> cf_hs:hidden(cf_hs:flags(R)).
plain(T) -> cf_fake:dial(T, #{flags => cf_hs:without(full(T), ?CACHE bor ?FRAGMENTS)}).
fragments_only(T) -> cf_fake:dial(T, #{flags => cf_hs:without(full(T), ?CACHE)}).
cache_only(T) -> cf_fake:dial(T, #{flags => cf_hs:without(full(T), ?FRAGMENTS)}).
long_atom() -> list_to_atom(lists:duplicate(200, 16#e9)).

%% Whether the node negotiated these with us; where it did not there is nothing to judge.
negotiated(#{flags := Flags}, Bits) ->
    Flags band Bits =:= Bits orelse throw({not_applicable, "the node does not offer this"}).

bad(C) ->
    case cf_fake:seen(C, fun({bad, Why, _}) -> Why end) of [] -> ok; Bad -> cf:fail("malformed packets: ~p", [Bad]) end.

pass_both_ways(T) ->
    C = plain(T),
    #{format := pass} = maps:get(wire, C),
    P = cf_fake:puppet(C),
    cf_fake:call(C, P, send, [cf_fake:pid(C), {a, [b]}]),
    bad(C).

header_both_ways(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE),
    #{format := header} = maps:get(wire, C),
    P = cf_fake:puppet(C),
    cf_fake:call(C, P, send, [cf_fake:pid(C), {a, [b]}]),
    bad(C).

no_cache_no_refs(T) ->
    C = fragments_only(T),
    negotiated(C, ?FRAGMENTS),
    cf_fake:call(C, echo, [[a, b, c, {d, e}]]),
    cf_fake:call(C, echo, [[a, b, c, {d, e}]]),
    bad(C).

%% The decoder refuses references to slots that were not filled; here the values must be right as well.
cache_out(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE),
    [begin
         Atoms = [list_to_atom("atom" ++ integer_to_list((N * 7) rem 40)) || N <- lists:seq(Round, Round + 20)],
         cf:same(Atoms, cf_fake:call(C, echo, [Atoms]))
     end || Round <- lists:seq(1, 20)],
    bad(C).

atoms_out(T, Count) ->
    C = cf_fake:dial(T, #{}),
    Atoms = [list_to_atom("m" ++ integer_to_list(N)) || N <- lists:seq(1, Count)],
    cf:same(Atoms, cf_fake:call(C, echo, [Atoms])),
    cf:same(Atoms, cf_fake:call(C, echo, [Atoms])),
    bad(C).

cache_out_5000(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         Atoms = [list_to_atom("d" ++ integer_to_list(N)) || N <- lists:seq(From, From + 99)],
         cf:same(Atoms, cf_fake:call(C, echo, [Atoms]))
     end || From <- lists:seq(1, 5000, 100)],
    First = [list_to_atom("d" ++ integer_to_list(N)) || N <- lists:seq(1, 100)],
    cf:same(First, cf_fake:call(C, echo, [First])),
    bad(C).

text(Atom) -> unicode:characters_to_binary(atom_to_list(Atom)).

%% Echo orders whose payload is a list of references 0..n-1, one per header given; the last message's last atom is Last.
cached(T, Headers, Last) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE),
    Got = [echo_refs(C, Refs) || Refs <- Headers],
    Expected = [[A || {_, _, A} <- Refs] || Refs <- Headers],
    cf:same(Expected, Got),
    cf:same(Last, lists:last(lists:last(Got))).

wire_refs(Refs) -> [case Ref of {new, Slot, A} -> {new, Slot, text(A)}; {old, Slot, _} -> {old, Slot} end || Ref <- Refs].

echo_refs(C, Refs) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    List = [{'$raw', <<82, I>>} || I <- lists:seq(0, length(Refs) - 1)],
    cf_fake:packet(C, cf_wire:with_header(wire_refs(Refs), {6, Me, '', conformance}, {echo, Me, Ref, [List]})),
    cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end).

many_refs(T, N) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE),
    Refs = [{new, (I * 37) rem 2048, list_to_atom("many" ++ integer_to_list(I))} || I <- lists:seq(1, N)],
    cf:same([A || {_, _, A} <- Refs], echo_refs(C, Refs), "new entries"),
    cf:same([A || {_, _, A} <- Refs], echo_refs(C, [{old, S, A} || {_, S, A} <- Refs]), "cached entries").

cache_in_pid(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE),
    #{name := Name, creation := Creation} = C,
    Ref = cf_fake:ref(C),
    Pid = {'$raw', <<88, 82, 0, 77:32, 0:32, Creation:32>>},
    cf_fake:packet(C, cf_wire:with_header([{new, 300, text(Name)}, {new, 301, <<"conformance">>}],
                                          {6, Pid, '', {'$raw', <<82, 1>>}}, {echo, Pid, Ref, [ok]})),
    cf_fake:take(C, fun({signal, Ctl, {R, ok}, _}) when R =:= Ref -> {'$pid', Name, 77, 0, Creation} = element(3, Ctl) end).

cache_many_links(T) ->
    Cs = [cf_fake:dial(T, #{}) || _ <- [1, 2, 3]],
    [negotiated(C, ?CACHE) || C <- Cs],
    [echo_refs(C, [{new, 9, list_to_atom("link" ++ integer_to_list(N))}]) || {N, C} <- lists:zip([1, 2, 3], Cs)],
    [cf:same([list_to_atom("link" ++ integer_to_list(N))], echo_refs(C, [{old, 9, x}])) || {N, C} <- lists:zip([1, 2, 3], Cs)].

cache_other_messages(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE),
    %% The entry comes with a message to a name that nobody has; it counts all the same.
    cf_fake:packet(C, cf_wire:with_header([{new, 40, <<"from_a_lost_message">>}], {6, cf_fake:pid(C), '', nobody_here}, {'$raw', <<82, 0>>})),
    cf:same([from_a_lost_message], echo_refs(C, [{old, 40, x}])).

%% Fragments to the node.
fragments_in() ->
    [{"two_fragments", "a message in two fragments", fun(T) -> in_parts(T, [1000]) end},
     {"ten_fragments", "a message in ten fragments", fun(T) -> in_parts(T, lists:duplicate(9, 200)) end},
     {"one_byte_fragments", "fragments of one byte", fun(T) -> in_parts(T, lists:duplicate(300, 1)) end},
     {"empty_fragments", "empty fragments", fun(T) -> in_parts(T, [0, 0, 100, 0, 100, 0]) end},
     {"empty_first", "a first fragment without payload bytes", fun(T) -> in_parts(T, [0, 500]) end},
     {"single_fragment", "a whole message as a single fragment, id 1", fun single/1},
     {"big_fragments", "4 MB in fragments of 64 KiB", fun big_in/1},
     {"large_sequence_id", "a sequence id of 64 bits", fun large_sequence/1},
     {"sequence_reused", "a sequence id may be used again when its message is complete", fun reused/1},
     {"interleaved", "fragments of three senders, interleaved", fun interleaved/1},
     {"small_between", "a small message between fragments is handled at once", fun small_between/1},
     {"tick_between", "ticks between fragments", fun tick_between/1},
     {"references_kept", "atom references are those of the first fragment, though slots change meanwhile", fun references_kept/1},
     {"many_open", "50 sequences open at the same time", fun many_open/1},
     {"unfragmented_1mb", "an unfragmented packet of 1 MB, fragments negotiated or not", fun unfragmented/1},
     {"fragments_only", "fragments on a link without atom cache", fun in_fragments_only/1},
     {"exit_reason", "a reason payload in fragments", fun exit_reason/1},
     {"reasons_interleaved", "reasons of EXIT, EXIT2 and DOWN and a message, each in fragments, interleaved", fun reasons_interleaved/1},
     {"reasons_cut", "a peer that dies in the middle of these: noconnection once each, nothing of what was cut", fun reasons_cut/1},
     {"left_open", "a peer that leaves with sequences open disturbs nobody", fun left_open/1}].

order(C, Ref, Term) -> Me = cf_fake:pid(C), {{6, Me, '', conformance}, {echo, Me, Ref, [Term]}}.

await(C, Ref) -> cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end, 15000).

seq() -> erlang:unique_integer([positive]) + 1000.

packets_of(C, Ref, Term, Sizes) -> packets_of(C, Ref, Term, Sizes, []).
packets_of(C, Ref, Term, Sizes, Refs) ->
    {Control, Payload} = order(C, Ref, Term),
    cf_wire:fragments(seq(), Refs, Control, {Payload, Sizes}).

send_all(C, Packets) -> [cf_fake:packet(C, P) || P <- Packets].

in_parts(T, Sizes) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Term = {binary:copy(<<"fragmented">>, 300), [some, atoms], 17},
    Ref = cf_fake:ref(C),
    send_all(C, packets_of(C, Ref, Term, Sizes)),
    cf:same(Term, await(C, Ref)).

single(T) -> in_parts(T, []).

big_in(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Term = binary:copy(<<"0123456789abcdef">>, 262144),
    Ref = cf_fake:ref(C),
    send_all(C, packets_of(C, Ref, Term, lists:duplicate(64, 65536))),
    cf:same(Term, await(C, Ref)).

large_sequence(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Ref = cf_fake:ref(C),
    {Control, Payload} = order(C, Ref, hello),
    send_all(C, cf_wire:fragments(16#fedcba9876543210, [], Control, {Payload, [5, 5]})),
    cf:same(hello, await(C, Ref)).

reused(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    [begin
         Ref = cf_fake:ref(C),
         {Control, Payload} = order(C, Ref, N),
         send_all(C, cf_wire:fragments(99, [], Control, {Payload, [3, 3]})),
         cf:same(N, await(C, Ref))
     end || N <- [1, 2, 3]].

interleaved(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Orders = [{cf_fake:ref(C), {N, binary:copy(<<N>>, 500)}} || N <- [1, 2, 3]],
    [A, B, D] = [packets_of(C, Ref, Term, [100, 100, 100]) || {Ref, Term} <- Orders],
    send_all(C, lists:append([[X, Y, Z] || {X, Y, Z} <- lists:zip3(A, B, D)])),
    [cf:same(Term, await(C, Ref)) || {Ref, Term} <- Orders].

small_between(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Ref = cf_fake:ref(C),
    [First | Rest] = packets_of(C, Ref, binary:copy(<<7>>, 3000), [1000, 1000]),
    cf_fake:packet(C, First),
    cf_fake:fence(C),
    send_all(C, Rest),
    cf:same(binary:copy(<<7>>, 3000), await(C, Ref)).

tick_between(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Ref = cf_fake:ref(C),
    [begin cf_fake:packet(C, P), cf_fake:bytes(C, <<0:32, 0:32>>) end || P <- packets_of(C, Ref, hello, [4, 4, 4])],
    cf:same(hello, await(C, Ref)).

references_kept(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?CACHE bor ?FRAGMENTS),
    Ref = cf_fake:ref(C),
    [First | Rest] = packets_of(C, Ref, [{'$raw', <<82, 0>>}, {'$raw', <<82, 1>>}, more], [2, 2], [{new, 10, <<"old_ten">>}, {new, 11, <<"old_eleven">>}]),
    cf_fake:packet(C, First),
    cf:same([new_ten, new_eleven], echo_refs(C, [{new, 10, new_ten}, {new, 11, new_eleven}])),
    send_all(C, Rest),
    cf:same([old_ten, old_eleven, more], await(C, Ref)).

many_open(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    Orders = [{cf_fake:ref(C), N} || N <- lists:seq(1, 50)],
    Split = [packets_of(C, Ref, N, [4]) || {Ref, N} <- Orders],
    [cf_fake:packet(C, First) || [First, _] <- Split],
    [cf_fake:packet(C, Last) || [_, Last] <- lists:reverse(Split)],
    [cf:same(N, await(C, Ref)) || {Ref, N} <- Orders].

unfragmented(T) ->
    Term = binary:copy(<<"0123456789abcdef">>, 65536),
    [cf:same(Term, cf_fake:call(C, echo, [Term])) || C <- [cf_fake:dial(T, #{}), cache_only(T), plain(T)]].

in_fragments_only(T) ->
    C = fragments_only(T),
    negotiated(C, ?FRAGMENTS),
    Ref = cf_fake:ref(C),
    send_all(C, packets_of(C, Ref, {hello, world}, [3, 3, 3])),
    cf:same({hello, world}, await(C, Ref)).

exit_reason(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS bor 16#400000),
    P = cf_fake:puppet(C),
    Me = cf_fake:pid(C),
    cf_fake:call(C, P, trap_exit, [true]),
    cf_fake:call(C, P, watch, [Me]),
    send_all(C, cf_wire:fragments(seq(), [], {26, Me, P}, {{reason, binary:copy(<<1>>, 2000)}, [500, 500]})),
    cf_fake:take(C, fun({signal, _, {saw, W, {'EXIT', From, {reason, <<1, _/binary>>}}}, _}) when W =:= P, From =:= Me -> ok end).

%% Signals with payload of four processes of C to P, which is linked to the first, monitors the third and traps exits; with what
%% P is to see of them. Ask: the connection of somebody whom P obeys.
reasons(Ask, C, P) ->
    negotiated(C, ?FRAGMENTS bor 16#400000),
    [Linked, Exits, Watched, Sends] = [cf_fake:pid(C) || _ <- [1, 2, 3, 4]],
    Reason = fun(Word) -> {Word, binary:copy(<<Word>>, 900), [lists:seq(1, 50)]} end,
    cf_fake:call(Ask, P, trap_exit, [true]),
    cf_fake:send(C, {1, Linked, P}),
    Ref = cf_fake:call(Ask, P, monitor, [Watched]),
    cf_fake:take(C, fun({signal, {19, By, Of, R}, _, _}) when By =:= P, Of =:= Watched, R =:= Ref -> ok end),
    [{{24, Linked, P}, Reason(1), {'EXIT', Linked, Reason(1)}},
     {{26, Exits, P}, Reason(2), {'EXIT', Exits, Reason(2)}},
     {{28, Watched, P, Ref}, Reason(3), {'DOWN', Ref, process, Watched, Reason(3)}},
     {{22, Sends, P}, Reason(4), Reason(4)}].

in_turn(Lists) ->
    case [{H, T} || [H | T] <- Lists] of
        [] -> [];
        Some -> [H || {H, _} <- Some] ++ in_turn([T || {_, T} <- Some])
    end.

reasons_interleaved(T) ->
    C = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C),
    cf_fake:call(C, P, watch, [cf_fake:pid(C)]),
    Signals = reasons(C, C, P),
    send_all(C, in_turn([cf_wire:fragments(seq(), [], Control, {Payload, [7, 300, 0, 400]}) || {Control, Payload, _} <- Signals])),
    [cf_fake:take(C, fun({signal, _, {saw, X, What}, _}) when X =:= P, What =:= Expected -> ok end) || {_, _, Expected} <- Signals],
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun({signal, _, {saw, _, What}, _}) -> What end), "seen beyond that").

%% The witness is another peer. All but the last fragment come, behind them a whole message; then the connection is cut, in the
%% middle of a packet, and the peer comes back and goes on as if nothing had been.
reasons_cut(T) ->
    W = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(W),
    cf_fake:call(W, P, watch, [cf_fake:pid(W)]),
    C = #{name := Name, creation := Creation} = cf_fake:dial(T, #{}),
    [{{24, Linked, P}, _, _}, _, {{28, Watched, P, Ref}, _, _}, _] = Signals = reasons(W, C, P),
    Packets = [cf_wire:fragments(seq(), [], Control, {Payload, [7, 300, 0, 400]}) || {Control, Payload, _} <- Signals],
    send_all(C, in_turn([lists:droplast(Ps) || Ps <- Packets])),
    cf_fake:send(C, {22, cf_fake:pid(C), P}, whole),
    Last = iolist_to_binary(cf_wire:frame(lists:last(hd(Packets)))),
    cf_fake:bytes(C, binary:part(Last, 0, byte_size(Last) - 1)),
    cf_fake:close(C),
    [cf_fake:take(W, fun({signal, _, {saw, X, What}, _}) when X =:= P, What =:= Expected -> ok end)
     || Expected <- [whole, {'EXIT', Linked, noconnection}, {'DOWN', Ref, process, Watched, noconnection}]],
    [begin
         Again = cf_fake:dial(T, #{name => Name, creation => Creation + N}),
         cf_fake:fence(Again),
         cf_fake:packet(Again, lists:last(Ps)),
         cf_fake:closed(Again)
     end || {N, Ps} <- lists:zip(lists:seq(1, length(Packets)), Packets)],
    cf_fake:fence(W),
    fence = cf_fake:call(W, P, echo, [fence]),
    cf:same([], cf_fake:seen(W, fun({signal, _, {saw, _, What}, _}) -> What end), "seen beyond that").

left_open(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    [cf_fake:packet(C, hd(packets_of(C, cf_fake:ref(C), N, [4]))) || N <- lists:seq(1, 20)],
    cf_fake:close(C),
    cf_fake:fence(cf_fake:dial(T, #{})).

%% Fragments from the node.
fragments_out() ->
    [{"large_message", "a message of 300 kB comes whole, its fragments well formed", [], fun(T) -> large_out(T, 300000) end},
     {"at_the_edge", "messages around 64 KiB come whole", [], fun edge_out/1},
     {"large_4mb", "a message of 4 MB comes whole", [], fun(T) -> large_out(T, 4194304) end},
     {"without_fragments", "a peer without fragments gets one packet", [], fun out_unfragmented/1},
     {"two_senders", "two large messages of two senders both come whole", [], fun two_out/1},
     {"small_overtakes", "a small message of another process does not wait for a large one", [], fun small_overtakes/1},
     {"sender_in_order", "a sender's later signals come after its own unfinished message", [link], fun sender_in_order/1}].

large_out(T, Size) ->
    C = cf_fake:dial(T, #{}),
    Term = binary:copy(<<"0123456789">>, Size div 10),
    cf:same(Term, cf_fake:call(C, echo, [Term])),
    bad(C).

edge_out(T) ->
    C = cf_fake:dial(T, #{}),
    [cf:same(Size, byte_size(cf_fake:call(C, echo, [binary:copy(<<1>>, Size)]))) || Size <- lists:seq(65400, 65600, 20)],
    bad(C).

out_unfragmented(T) ->
    C = cache_only(T),
    Term = binary:copy(<<"0123456789">>, 30000),
    cf:same(Term, cf_fake:call(C, echo, [Term])),
    bad(C).

two_out(T) ->
    C = cf_fake:dial(T, #{}),
    [P, Q] = [cf_fake:puppet(C), cf_fake:puppet(C)],
    Me = cf_fake:pid(C), [R1, R2] = [cf_fake:ref(C), cf_fake:ref(C)],
    cf_fake:to(C, P, {echo, Me, R1, [binary:copy(<<1>>, 16000000)]}),
    cf_fake:to(C, Q, {echo, Me, R2, [binary:copy(<<2>>, 16000000)]}),
    cf:same(binary:copy(<<1>>, 16000000), await(C, R1)),
    cf:same(binary:copy(<<2>>, 16000000), await(C, R2)),
    bad(C).

%% The large one is 32 MB and we do not read while it is being sent, so it cannot all be on the wire before the small.
small_overtakes(T) ->
    C = cf_fake:dial(T, #{}),
    negotiated(C, ?FRAGMENTS),
    [P, Q] = [cf_fake:puppet(C), cf_fake:puppet(C)],
    Me = cf_fake:pid(C), [R1, R2] = [cf_fake:ref(C), cf_fake:ref(C)],
    cf_fake:to(C, P, {echo, Me, R1, [binary:copy(<<1>>, 33554432)]}),
    cf_fake:to(C, Q, {echo, Me, R2, [small]}),
    small = cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= R2 -> V end, 15000),
    case cf_fake:seen(C, fun({signal, _, {R, _}, _}) when R =:= R1 -> large_was_first end) of
        [] -> ok;
        _ -> cf:fail("the large message was whole before the small one came")
    end,
    33554432 = byte_size(await(C, R1)).

sender_in_order(T) ->
    C = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(C),
    Me = cf_fake:pid(C),
    cf_fake:send(C, {1, Me, P}),
    cf_fake:to(C, P, {echo, Me, cf_fake:ref(C), [binary:copy(<<1>>, 2000000)]}),
    cf_fake:to(C, P, {exit, Me, cf_fake:ref(C), [done]}),
    cf_fake:take(C, fun({signal, Ctl, _, _}) when element(1, Ctl) =:= 24; element(1, Ctl) =:= 3 -> ok end, 15000),
    [_] = cf_fake:seen(C, fun({signal, _, {_, B}, _}) when byte_size(B) =:= 2000000 -> ok end),
    bad(C).

%% TCP.
segments() ->
    [{"byte_by_byte", "packets that come byte by byte", fun byte_by_byte/1},
     {"split_everywhere", "a packet split at every position", fun split_everywhere/1},
     {"many_in_one", "500 packets in one segment", fun many_in_one/1},
     {"length_split", "the length field split", fun length_split/1},
     {"ticks", "1,000 ticks in a row", fun ticks/1}].

small_packet(C, Ref) ->
    {Control, Payload} = order(C, Ref, x),
    iolist_to_binary(cf_wire:frame(cf_wire:packet(maps:get(wire, C), Control, Payload))).

byte_by_byte(T) ->
    C = cf_fake:dial(T, #{}),
    Ref = cf_fake:ref(C),
    cf_fake_epmd:in_pieces(cf_fake:socket(C), small_packet(C, Ref)),
    cf:same(x, await(C, Ref)).

split_everywhere(T) ->
    C = cf_fake:dial(T, #{}),
    Size = byte_size(small_packet(C, cf_fake:ref(C))),
    [begin
         Ref = cf_fake:ref(C),
         <<A:At/binary, B/binary>> = small_packet(C, Ref),
         cf_fake:bytes(C, A),
         cf_fake:bytes(C, B),
         cf:same(x, await(C, Ref))
     end || At <- lists:seq(1, Size - 1)].

many_in_one(T) ->
    C = cf_fake:dial(T, #{}),
    Refs = [cf_fake:ref(C) || _ <- lists:seq(1, 500)],
    cf_fake:bytes(C, [small_packet(C, Ref) || Ref <- Refs]),
    [cf:same(x, await(C, Ref)) || Ref <- Refs].

length_split(T) ->
    C = cf_fake:dial(T, #{}),
    Ref = cf_fake:ref(C),
    <<L:3/binary, Rest/binary>> = small_packet(C, Ref),
    cf_fake:bytes(C, L),
    Other = cf_fake:dial(T, #{}),
    cf_fake:fence(Other),
    cf_fake:bytes(C, Rest),
    cf:same(x, await(C, Ref)).

ticks(T) ->
    C = cf_fake:dial(T, #{}),
    cf_fake:bytes(C, binary:copy(<<0:32>>, 1000)),
    cf_fake:fence(C).
