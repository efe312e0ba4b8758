%% SPDX-License-Identifier: Apache-2.0
%% External term format, written from erl_ext_dist.html and independent of the emulator's own codec, so that the
%% suite can send any byte and see every byte. Identifiers keep all their words:
%%   {'$pid', Node, Id, Serial, Creation}   {'$port', Node, Id, Creation}   {'$ref', Node, Creation, [Word]}
%%   {'$export', M, F, A}                   {'$fun', Bytes}                 {'$record', Bytes}
%% and {'$raw', Bytes} encodes as these bytes. Encoding is canonical: the bytes that a BEAM itself would send.
-module(cf_etf).
-export([fun_parts/1, encode/1, decode/2, decode_all/2, external/1, internal/1, walk/2]).

%% Term -> iodata, without the version byte.
encode({'$raw', Bytes}) -> Bytes;
encode({'$pid', Node, Id, Serial, Creation}) -> [88, encode(Node), <<Id:32, Serial:32, Creation:32>>];
encode({'$port', Node, Id, Creation}) when Id < 1 bsl 28 -> [89, encode(Node), <<Id:32, Creation:32>>];
encode({'$port', Node, Id, Creation}) -> [120, encode(Node), <<Id:64, Creation:32>>];
encode({'$ref', Node, Creation, Words}) ->
    [<<90, (length(Words)):16>>, encode(Node), <<Creation:32>>, [<<W:32>> || W <- Words]];
encode({'$export', M, F, A}) -> [113, encode(M), encode(F), encode(A)];
encode({'$fun', Bytes}) -> Bytes;
encode({'$record', Bytes}) -> Bytes;
encode(T) when is_integer(T), T >= 0, T =< 255 -> <<97, T>>;
encode(T) when is_integer(T), T >= -16#80000000, T =< 16#7fffffff -> <<98, T:32>>;
encode(T) when is_integer(T) -> big(if T < 0 -> 1; true -> 0 end, binary:encode_unsigned(abs(T), little));
encode(T) when is_float(T) -> <<70, T/float>>;
encode(T) when is_atom(T) ->
    Text = unicode:characters_to_binary(atom_to_list(T)),
    case byte_size(Text) of
        N when N < 256 -> [<<119, N>>, Text];
        N -> [<<118, N:16>>, Text]
    end;
encode(T) when is_tuple(T), tuple_size(T) < 256 -> [<<104, (tuple_size(T))>> | elements(T)];
encode(T) when is_tuple(T) -> [<<105, (tuple_size(T)):32>> | elements(T)];
encode([]) -> <<106>>;
encode(T) when is_list(T) -> list(T);
encode(T) when is_binary(T) -> [<<109, (byte_size(T)):32>>, T];
encode(T) when is_bitstring(T) ->
    Bits = bit_size(T) rem 8, Pad = 8 - Bits,
    [<<77, ((bit_size(T) + Pad) div 8):32, Bits>>, <<T/bitstring, 0:Pad>>];
encode(T) when is_map(T) ->
    [<<116, (maps:size(T)):32>> | [[encode(K), encode(V)] || {K, V} <- maps:to_list(T)]];
encode(T) when is_function(T) -> <<131, Bytes/binary>> = term_to_binary(T), Bytes;
%% The emulator's own identifiers, so that a case may put its own pid in a term.
encode(T) -> encode(internal(T)).

elements(T) -> [encode(E) || E <- tuple_to_list(T)].

big(Sign, Digits) when byte_size(Digits) < 256 -> [<<110, (byte_size(Digits)), Sign>>, Digits];
big(Sign, Digits) -> [<<111, (byte_size(Digits)):32, Sign>>, Digits].

list(T) ->
    case is_string(T, 0) of
        true -> [<<107, (length(T)):16>>, T];
        false ->
            {Elements, Tail} = split(T, []),
            [<<108, (length(Elements)):32>>, [encode(E) || E <- Elements], encode(Tail)]
    end.

is_string([], _) -> true;
is_string([C | T], N) when is_integer(C), C >= 0, C =< 255, N < 65535 -> is_string(T, N + 1);
is_string(_, _) -> false.

split([H | T], Acc) -> split(T, [H | Acc]);
split(Tail, Acc) -> {lists:reverse(Acc), Tail}.

%% A pid, port or reference of this emulator as its words.
internal(T) when is_pid(T); is_port(T); is_reference(T) ->
    <<131, Bytes/binary>> = term_to_binary(T),
    {Words, <<>>} = decode(Bytes, {}),
    Words;
internal(T) when is_list(T) -> [internal(H) || H <- T];
internal(T) when is_tuple(T) -> list_to_tuple(internal(tuple_to_list(T)));
internal(T) -> T.

%% The other way: words as an identifier of this emulator.
external(T) -> binary_to_term(iolist_to_binary([131, encode(T)])).

%% {Term, Rest}; Atoms is the tuple that ATOM_CACHE_REF points into. Throws {bad_term, Why}.
decode(<<97, N, R/binary>>, _) -> {N, R};
decode(<<98, N:32/signed, R/binary>>, _) -> {N, R};
decode(<<110, N, S, D:N/binary, R/binary>>, _) -> {sign(S, D), R};
decode(<<111, N:32, S, D:N/binary, R/binary>>, _) -> {sign(S, D), R};
decode(<<70, F/float, R/binary>>, _) -> {F, R};
decode(<<99, Text:31/binary, R/binary>>, _) ->
    [Digits | _] = binary:split(Text, <<0>>),
    {binary_to_float(Digits), R};
decode(<<82, I, R/binary>>, Atoms) when I < tuple_size(Atoms) -> {element(I + 1, Atoms), R};
decode(<<82, I, _/binary>>, _) -> throw({bad_term, {no_such_atom_reference, I}});
decode(<<119, N, A:N/binary, R/binary>>, _) -> {binary_to_atom(A, utf8), R};
decode(<<118, N:16, A:N/binary, R/binary>>, _) -> {binary_to_atom(A, utf8), R};
decode(<<100, N:16, A:N/binary, R/binary>>, _) -> {binary_to_atom(A, latin1), R};
decode(<<115, N, A:N/binary, R/binary>>, _) -> {binary_to_atom(A, latin1), R};
decode(<<104, N, R/binary>>, Atoms) -> tuple(N, R, Atoms);
decode(<<105, N:32, R/binary>>, Atoms) -> tuple(N, R, Atoms);
decode(<<106, R/binary>>, _) -> {[], R};
decode(<<107, N:16, S:N/binary, R/binary>>, _) -> {binary_to_list(S), R};
decode(<<108, N:32, R/binary>>, Atoms) ->
    {Elements, R1} = many(N, R, Atoms, []),
    {Tail, R2} = decode(R1, Atoms),
    {lists:reverse(Elements, Tail), R2};
decode(<<109, N:32, B:N/binary, R/binary>>, _) -> {B, R};
decode(<<77, N:32, Bits, B:N/binary, R/binary>>, _) when N > 0, Bits > 0, Bits =< 8 ->
    Size = (N - 1) * 8 + Bits,
    <<T:Size/bitstring, _/bitstring>> = B,
    {T, R};
decode(<<116, N:32, R/binary>>, Atoms) ->
    {Flat, R1} = many(2 * N, R, Atoms, []),
    Map = pairs(Flat, #{}),
    maps:size(Map) =:= N orelse throw({bad_term, duplicate_keys}),
    {Map, R1};
decode(<<88, R/binary>>, Atoms) ->
    {Node, <<Id:32, Serial:32, Creation:32, R1/binary>>} = decode(R, Atoms),
    {{'$pid', Node, Id, Serial, Creation}, R1};
decode(<<103, R/binary>>, Atoms) ->
    {Node, <<Id:32, Serial:32, Creation, R1/binary>>} = decode(R, Atoms),
    {{'$pid', Node, Id, Serial, Creation}, R1};
decode(<<89, R/binary>>, Atoms) ->
    {Node, <<Id:32, Creation:32, R1/binary>>} = decode(R, Atoms),
    {{'$port', Node, Id, Creation}, R1};
decode(<<120, R/binary>>, Atoms) ->
    {Node, <<Id:64, Creation:32, R1/binary>>} = decode(R, Atoms),
    {{'$port', Node, Id, Creation}, R1};
decode(<<102, R/binary>>, Atoms) ->
    {Node, <<Id:32, Creation, R1/binary>>} = decode(R, Atoms),
    {{'$port', Node, Id, Creation}, R1};
decode(<<90, N:16, R/binary>>, Atoms) ->
    {Node, <<Creation:32, R1/binary>>} = decode(R, Atoms),
    {Words, R2} = words(N, R1, []),
    {{'$ref', Node, Creation, Words}, R2};
decode(<<114, N:16, R/binary>>, Atoms) ->
    {Node, <<Creation, R1/binary>>} = decode(R, Atoms),
    {Words, R2} = words(N, R1, []),
    {{'$ref', Node, Creation, Words}, R2};
decode(<<101, R/binary>>, Atoms) ->
    {Node, <<Id:32, Creation, R1/binary>>} = decode(R, Atoms),
    {{'$ref', Node, Creation, [Id]}, R1};
decode(<<113, R/binary>>, Atoms) ->
    {[A, F, M], R1} = many(3, R, Atoms, []),
    {{'$export', M, F, A}, R1};
decode(<<112, _Size:32, Arity, Uniq:16/binary, Index:32, Free:32, R/binary>>, Atoms) ->
    {Terms, R1} = many(4 + Free, R, Atoms, []),
    Body = [<<Arity>>, Uniq, <<Index:32, Free:32>>, [encode(T) || T <- lists:reverse(Terms)]],
    {{'$fun', iolist_to_binary([<<112, (iolist_size(Body) + 4):32>>, Body])}, R1};
decode(<<67, N:32, Flags, R/binary>>, Atoms) ->
    {Terms, R1} = many(2 + 2 * N, R, Atoms, []),
    {{'$record', iolist_to_binary([<<67, N:32, Flags>>, [encode(T) || T <- lists:reverse(Terms)]])}, R1};
decode(<<Tag, _/binary>>, _) -> throw({bad_term, {tag_or_length, Tag}});
decode(<<>>, _) -> throw({bad_term, truncated}).

%% What makes a fun that fun: all but the creator's pid, which OTP 27 and later replace.
fun_parts(<<112, _Size:32, Arity, Uniq:16/binary, Index:32, Free:32, R/binary>>) ->
    {Terms, <<>>} = many(4 + Free, R, {}, []),
    [Module, OldIndex, OldUniq, {'$pid', _, _, _, _} | Environment] = lists:reverse(Terms),
    {Arity, Uniq, Index, Module, OldIndex, OldUniq, Environment}.

%% Exactly one term.
decode_all(Bytes, Atoms) ->
    case decode(Bytes, Atoms) of
        {Term, <<>>} -> Term;
        {_, Rest} -> throw({bad_term, {bytes_after_term, byte_size(Rest)}})
    end.

tuple(N, R, Atoms) ->
    {Elements, R1} = many(N, R, Atoms, []),
    {list_to_tuple(lists:reverse(Elements)), R1}.

many(0, R, _, Acc) -> {Acc, R};
many(N, R, Atoms, Acc) ->
    {T, R1} = decode(R, Atoms),
    many(N - 1, R1, Atoms, [T | Acc]).

words(0, R, Acc) -> {lists:reverse(Acc), R};
words(N, <<W:32, R/binary>>, Acc) -> words(N - 1, R, [W | Acc]);
words(_, _, _) -> throw({bad_term, truncated_reference}).

pairs([V, K | Rest], Map) -> pairs(Rest, Map#{K => V});
pairs([], Map) -> Map.

sign(0, D) -> binary:decode_unsigned(<<0, (reverse(D))/binary>>);
sign(_, D) -> -binary:decode_unsigned(<<0, (reverse(D))/binary>>).

reverse(D) -> list_to_binary(lists:reverse(binary_to_list(D))).

%% The top-level tags of a term and all inside it, in order: which encodings a peer used.
walk(Bytes, Atoms) ->
    {_, Rest} = decode(Bytes, Atoms),
    Used = binary:part(Bytes, 0, byte_size(Bytes) - byte_size(Rest)),
    lists:reverse(tags(Used, [])).

tags(<<>>, Acc) -> Acc;
tags(<<T, R/binary>>, Acc) -> tags(body(T, R), [T | Acc]).

body(97, <<_, R/binary>>) -> R;
body(98, <<_:32, R/binary>>) -> R;
body(110, <<N, _, _:N/binary, R/binary>>) -> R;
body(111, <<N:32, _, _:N/binary, R/binary>>) -> R;
body(70, <<_:64, R/binary>>) -> R;
body(99, <<_:31/binary, R/binary>>) -> R;
body(82, <<_, R/binary>>) -> R;
body(T, <<N, _:N/binary, R/binary>>) when T =:= 119; T =:= 115 -> R;
body(T, <<N:16, _:N/binary, R/binary>>) when T =:= 118; T =:= 100; T =:= 107 -> R;
body(104, <<_, R/binary>>) -> R;
body(T, <<_:32, R/binary>>) when T =:= 105; T =:= 108; T =:= 116 -> R;
body(106, R) -> R;
body(109, <<N:32, _:N/binary, R/binary>>) -> R;
body(77, <<N:32, _, _:N/binary, R/binary>>) -> R;
body(113, R) -> R;
body(88, R) -> atom_then(R, 12);
body(103, R) -> atom_then(R, 9);
body(89, R) -> atom_then(R, 8);
body(120, R) -> atom_then(R, 12);
body(102, R) -> atom_then(R, 5);
body(90, <<N:16, R/binary>>) -> atom_then(R, 4 + 4 * N);
body(114, <<N:16, R/binary>>) -> atom_then(R, 1 + 4 * N);
body(112, <<_:32, _, _:16/binary, _:32, _:32, R/binary>>) -> R;
body(67, <<_:32, _, R/binary>>) -> R.

atom_then(<<T, R/binary>>, Size) ->
    <<_:Size/binary, R1/binary>> = body(T, R),
    R1.
