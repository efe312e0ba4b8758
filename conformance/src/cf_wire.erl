%% SPDX-License-Identifier: Apache-2.0
%% Packets of an established link (erl_dist_protocol.html "Protocol between Connected Nodes", erl_ext_dist.html
%% "Distribution Header"): pass-through, distribution header with atom cache, fragments. Pure: bytes in, events out.
-module(cf_wire).
-export([new/1, decode/2, packet/3, header/1, with_header/3, fragments/4, frame/1, op_name/1]).

%% How the link is framed follows from the negotiated flags.
new(Flags) ->
    Cache = Flags band 16#2000 =/= 0,
    Fragments = Flags band 16#800000 =/= 0,
    #{format => if Cache; Fragments -> header; true -> pass end, cache => Cache, slots => #{}, open => #{}}.

%% One packet's body -> {Event, State}. Events:
%%   tick
%%   {signal, Control, Payload | none, Info}   Info: raw payload bytes, atoms, header refs, number of fragments
%%   {part, SeqId, FragId}                     a fragment that does not complete its message
%%   {bad, Why, Body}                          something that no node may send
decode(<<>>, State) -> {tick, State};
decode(Body, State) ->
    try packet_in(Body, State)
    catch throw:Why -> {{bad, Why, Body}, State};
          error:Why -> {{bad, {undecodable, Why}, Body}, State}
    end.

packet_in(<<112, 131, R/binary>>, #{format := pass} = State) ->
    {Control, R1} = cf_etf:decode(R, {}),
    case R1 of
        <<>> -> {signal(Control, none, {}, #{}), State};
        <<131, Payload/binary>> -> {signal(Control, Payload, {}, #{}), State}
    end;
packet_in(<<131, 68, R/binary>>, #{format := header} = State) ->
    {Refs, Atoms, R1, State1} = header_in(R, State),
    {Control, Payload} = cf_etf:decode(R1, Atoms),
    {signal(Control, Payload, Atoms, #{refs => Refs}), State1};
packet_in(<<131, 69, Seq:64, Frag:64, R/binary>>, #{format := header, open := Open} = State) ->
    {Refs, Atoms, R1, State1} = header_in(R, State),
    {Control, Payload} = cf_etf:decode(R1, Atoms),
    maps:is_key(Seq, Open) andalso throw({sequence_already_open, Seq}),
    Info = #{refs => Refs, fragments => Frag, seq => Seq, sizes => [byte_size(R1)]},
    if Seq =:= 0; Frag =:= 0 -> throw({zero_sequence_or_fragment_id, Seq, Frag});
       Frag =:= 1 -> {signal(Control, Payload, Atoms, Info), State1};
       true -> {{part, Seq, Frag}, State1#{open => Open#{Seq => {Frag - 1, Control, Atoms, Info, [Payload]}}}}
    end;
packet_in(<<131, 70, Seq:64, Frag:64, Part/binary>>, #{format := header, open := Open} = State) ->
    case Open of
        #{Seq := {Frag, Control, Atoms, Info, Parts}} ->
            #{sizes := Sizes} = Info,
            Info1 = Info#{sizes => [byte_size(Part) | Sizes]},
            if Frag > 1 ->
                   {{part, Seq, Frag}, State#{open => Open#{Seq => {Frag - 1, Control, Atoms, Info1, [Part | Parts]}}}};
               true ->
                   Whole = iolist_to_binary(lists:reverse(Parts, [Part])),
                   {signal(Control, Whole, Atoms, Info1), State#{open => maps:remove(Seq, Open)}}
            end;
        #{Seq := {Expected, _, _, _, _}} -> throw({fragment_out_of_order, Seq, Frag, Expected});
        _ -> throw({no_such_sequence, Seq})
    end;
packet_in(<<Start:2/binary, _/binary>>, #{format := Format}) -> throw({wrong_start, Start, Format}).

signal(Control, <<>>, Atoms, Info) -> signal(Control, none, Atoms, Info);
signal(Control, none, Atoms, Info) -> {signal, Control, none, Info#{atoms => Atoms}};
signal(Control, Bytes, Atoms, Info) ->
    {signal, Control, cf_etf:decode_all(Bytes, Atoms), Info#{raw => Bytes, atoms => Atoms}}.

%% Distribution header after its tag -> {Refs, Atoms, Rest, State}.
header_in(<<0, R/binary>>, State) -> {[], {}, R, State};
header_in(<<_, _/binary>>, #{cache := false}) -> throw(atom_cache_not_negotiated);
header_in(<<N, R/binary>>, #{slots := Slots} = State) ->
    Size = N div 2 + 1,
    <<FlagBytes:Size/binary, R1/binary>> = R,
    Nibbles = lists:append([[B band 15, B bsr 4] || <<B>> <= FlagBytes]),
    Width = case lists:nth(N + 1, Nibbles) of 0 -> 8; 1 -> 16 end,
    {Refs, R2, Slots1} = refs_in(lists:sublist(Nibbles, N), Width, R1, Slots, []),
    {Refs, list_to_tuple([A || {_, _, A} <- Refs]), R2, State#{slots => Slots1}}.

refs_in([], _, R, Slots, Acc) -> {lists:reverse(Acc), R, Slots};
refs_in([Nibble | More], Width, <<Internal, R/binary>>, Slots, Acc) ->
    Slot = (Nibble band 7) bsl 8 bor Internal,
    case Nibble band 8 of
        0 ->
            case Slots of
                #{Slot := Atom} -> refs_in(More, Width, R, Slots, [{old, Slot, Atom} | Acc]);
                _ -> throw({empty_atom_slot, Slot})
            end;
        8 ->
            <<N:Width, Text:N/binary, R1/binary>> = R,
            Atom = binary_to_atom(Text, utf8),
            refs_in(More, Width, R1, Slots#{Slot => Atom}, [{new, Slot, Atom} | Acc])
    end.

%% A packet's body that carries Control and Payload (a term, none, or {'$raw', Bytes}), no cache.
packet(#{format := Format}, Control, Payload) -> packet(Format, Control, Payload);
packet(pass, Control, none) -> [112, 131, cf_etf:encode(Control)];
packet(pass, Control, Payload) -> [112, 131, cf_etf:encode(Control), 131, cf_etf:encode(Payload)];
packet(header, Control, Payload) -> with_header([], Control, Payload).

with_header(Refs, Control, none) -> [<<131, 68>>, header(Refs), cf_etf:encode(Control)];
with_header(Refs, Control, Payload) ->
    [<<131, 68>>, header(Refs), cf_etf:encode(Control), cf_etf:encode(Payload)].

%% Refs: {new, Slot, Text} | {old, Slot}. Long text makes all new entries long, as the format has it.
header([]) -> <<0>>;
header(Refs) ->
    Texts = [T || {new, _, T} <- Refs],
    {Long, Width} = case [T || T <- Texts, byte_size(T) > 255] of [] -> {0, 8}; _ -> {1, 16} end,
    Nibbles = [case Ref of {new, Slot, _} -> 8 bor (Slot bsr 8); {old, Slot} -> Slot bsr 8 end || Ref <- Refs],
    [length(Refs), nibbles(Nibbles ++ [Long]),
     [case Ref of
          {new, Slot, T} -> [Slot band 255, <<(byte_size(T)):Width>>, T];
          {old, Slot} -> Slot band 255
      end || Ref <- Refs]].

nibbles([Low, High | More]) -> [<<High:4, Low:4>> | nibbles(More)];
nibbles([Low]) -> [<<0:4, Low:4>>];
nibbles([]) -> [].

%% The message as fragments: bodies of 'E' and 'F' packets, the payload cut at the given sizes.
fragments(Seq, Refs, Control, {Payload, Sizes}) ->
    Bytes = iolist_to_binary(cf_etf:encode(Payload)),
    [First | Parts] = cut(Bytes, Sizes),
    Count = length(Parts) + 1,
    [[<<131, 69, Seq:64, Count:64>>, header(Refs), cf_etf:encode(Control), First]
     | [[<<131, 70, Seq:64, Id:64>>, Part] || {Id, Part} <- lists:zip(lists:seq(Count - 1, 1, -1), Parts)]].

cut(Bytes, []) -> [Bytes];
cut(Bytes, [Size | More]) when Size =< byte_size(Bytes) ->
    <<Part:Size/binary, Rest/binary>> = Bytes,
    [Part | cut(Rest, More)];
cut(Bytes, _) -> [Bytes].

frame(Body) -> [<<(iolist_size(Body)):32>>, Body].

op_name(Control) when is_tuple(Control), tuple_size(Control) > 0 ->
    maps:get(element(1, Control),
             #{1 => link, 2 => send, 3 => exit, 4 => unlink, 5 => node_link, 6 => reg_send, 7 => group_leader,
               8 => exit2, 12 => send_tt, 13 => exit_tt, 16 => reg_send_tt, 18 => exit2_tt, 19 => monitor_p,
               20 => demonitor_p, 21 => monitor_p_exit, 22 => send_sender, 23 => send_sender_tt,
               24 => payload_exit, 25 => payload_exit_tt, 26 => payload_exit2, 27 => payload_exit2_tt,
               28 => payload_monitor_p_exit, 29 => spawn_request, 30 => spawn_request_tt, 31 => spawn_reply,
               32 => spawn_reply_tt, 33 => alias_send, 34 => alias_send_tt, 35 => unlink_id,
               36 => unlink_id_ack, 37 => altact_sig_send}, unknown);
op_name(_) -> not_a_control_tuple.
