%% SPDX-License-Identifier: Apache-2.0
%% The external term format on the wire: what a BEAM sends comes back byte for byte; other encodings that a BEAM
%% accepts come back as the same value; what no node may send costs the sender its link and nobody else anything.
-module(cf_case_terms).
-export([cases/0]).

-define(EXT, "erl_ext_dist.html").
-define(EXTERNAL, "external.c dec_term").

cases() ->
    lists:append(
      [[{id("terms.exact_", Name), "comes back byte for byte: " ++ words(Name), ?EXT, [raw | From], fun(T) -> exact(T, Make) end}
        || {Name, Make, From} <- exact_terms()],
       [{id("terms.accepts_", Name), "is accepted: " ++ What, ?EXTERNAL, [raw | O], fun(T) -> accepts(T, Bytes, Value) end}
        || {Name, What, Bytes, Value, O} <- accepted_terms()],
       [{id("terms.refuses_", Name), "ends the sender's link: " ++ What, ?EXTERNAL, [raw | O], fun(T) -> refuses(T, Bytes) end}
        || {Name, What, Bytes, O} <- refused_terms()],
       [{'terms.truncated_everywhere', "a term cut at any byte ends the sender's link, never the node", ?EXTERNAL, [raw, {timeout, 60000}], fun truncated/1},
        {'terms.corpus', "every term recorded from OTP 23 to 29 that this release can hold comes back byte for byte", "corpus/", [raw], fun corpus/1},
        {'terms.own_pid_tag', "its pids are NEW_PID with a 32-bit creation", ?EXT, [raw], fun own_pid/1},
        {'terms.own_pid_15_bits', "its pids stay within 15 and 13 bits for the oldest peers", "external.c of OTP 23", [raw, {to, 25}], fun own_pid_bits/1},
        {'terms.own_reference', "its references have 3 words at most, the first within 18 bits", ?EXT, [raw, {needs, [monitor]}], fun own_reference/1}]]).

id(Prefix, Name) -> list_to_atom(Prefix ++ Name).
words(Name) -> [case C of $_ -> $\s; _ -> C end || C <- Name].

%% Pass-through, so that the bytes are what they are; then with a header.
exact(T, Make) ->
    [begin
         C = cf_fake:dial(T, #{flags => Flags}),
         Bytes = iolist_to_binary(Make(C)),
         {Value, Raw} = echo(C, Bytes),
         Expected = cf_etf:decode_all(Bytes, {}),
         case Value of
             {'$fun', Fun} -> cf:same(fun_parts(Expected), cf_etf:fun_parts(Fun), "fun");
             _ -> cf:same(Expected, Value, "value")
         end,
         case Value of
             {'$fun', _} -> ok;                       % the creator's pid is dropped from 27 on, sizes with it
             #{} when map_size(Value) > 1 -> ok;      % key order is the sender's own
             _ -> same_bytes(Bytes, Raw, "bytes")
         end
     end || Flags <- [cf_hs:without(full(T), 16#802000), cf_hs:without(full(T), 16#2000)]].

same_bytes(Bytes, Bytes, _) -> ok;
same_bytes(Bytes, Raw, What) -> cf:same(cf:hex(start(Bytes)), cf:hex(start(Raw)), What), cf:fail("~s: the ends differ", [What]).

start(Bytes) -> binary:part(Bytes, 0, min(300, byte_size(Bytes))).

fun_parts({'$fun', Bytes}) -> cf_etf:fun_parts(Bytes).

full(#{release := R}) -> cf_hs:hidden(cf_hs:flags(R)).

%% Send {echo, …, [Term]} with these bytes; {Value, Bytes} of the term in the answer.
echo(C, Bytes) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:to(C, conformance, {echo, Me, Ref, {'$raw', [<<108, 1:32>>, Bytes, 106]}}),
    cf_fake:take(C, fun({signal, _, {R, V}, #{raw := <<104, 2, Raw/binary>>, atoms := Atoms}}) when R =:= Ref ->
                            {_, Term} = cf_etf:decode(Raw, Atoms),
                            {V, Term}
                    end).

e(Term) -> fun(_) -> cf_etf:encode(Term) end.
atom(Text) -> <<119, (byte_size(Text)), Text/binary>>.

exact_terms() ->
    Node = <<"other@127.0.0.1">>,
    [{"integer_0", e(0), []}, {"integer_255", e(255), []}, {"integer_256", e(256), []}, {"integer_minus_1", e(-1), []},
     {"integer_max_32", e(16#7fffffff), []}, {"integer_min_32", e(-16#80000000), []},
     {"big_2_31", e(16#80000000), []}, {"big_minus_2_31_1", e(-16#80000001), []}, {"big_2_59", e(1 bsl 59), []}, {"big_minus_2_59", e(-(1 bsl 59)), []},
     {"big_2_60", e(1 bsl 60), []}, {"big_2_63", e(1 bsl 63), []}, {"big_minus_2_63", e(-(1 bsl 63)), []}, {"big_2_64", e(1 bsl 64), []},
     {"big_255_bytes", e((1 bsl 2040) - 1), []}, {"big_256_bytes", e(1 bsl 2040), []}, {"big_1000_bytes_negative", e(-(1 bsl 7999)), []},
     {"float_0", e(0.0), []}, {"float_minus_0", fun(_) -> <<70, 16#8000000000000000:64>> end, []}, {"float_1_5", e(1.5), []},
     {"float_max", e(1.7976931348623157e308), []}, {"float_smallest", fun(_) -> <<70, 1:64>> end, []},
     {"atom", e(hello), []}, {"atom_empty", e(''), []}, {"atom_latin1", e(list_to_atom([16#e5])), []}, {"atom_utf8", e(list_to_atom([16#65e5, 16#672c])), []},
     {"atom_255_ascii", e(list_to_atom(lists:duplicate(255, $a))), []}, {"atom_255_two_bytes", e(list_to_atom(lists:duplicate(255, 16#e9))), []},
     {"atom_255_four_bytes", e(list_to_atom(lists:duplicate(255, 16#10348))), []},
     {"tuple_empty", e({}), []}, {"tuple_1", e({a}), []}, {"tuple_255", e(list_to_tuple(lists:seq(1, 255))), []}, {"tuple_256", e(list_to_tuple(lists:seq(1, 256))), []},
     {"tuple_nested", e({{{{}}}, {a, {b}}}), []},
     {"nil", e([]), []}, {"string", e("string"), []}, {"string_one_byte", e([0]), []}, {"string_65535", e(lists:duplicate(65535, 1)), []},
     {"list_65536_bytes", e(lists:duplicate(65536, 1)), []}, {"list", e([a, 300, {b}]), []}, {"list_improper", e([a | b]), []},
     {"list_improper_alias", fun(C) -> cf_etf:encode([alias | cf_fake:ref(C)]) end, []}, {"list_nested", e([[[[a]]], []]), []},
     {"list_bytes_and_atom", e([1, 2, a]), []}, {"list_byte_and_256", e([1, 256]), []},
     {"binary_empty", e(<<>>), []}, {"binary", e(<<1, 2, 3>>), []}, {"binary_64_bytes", e(binary:copy(<<1>>, 64)), []}, {"binary_65_bytes", e(binary:copy(<<1>>, 65)), []},
     {"binary_1mb", e(binary:copy(<<1>>, 1048576)), []},
     {"bits_1", e(<<1:1>>), []}, {"bits_7", e(<<5:7>>), []}, {"bits_9", e(<<257:9>>), []},
     {"map_empty", e(#{}), []}, {"map_1", e(#{key => "value"}), []}, {"map_32", e(maps:from_list([{N, N} || N <- lists:seq(1, 32)])), []},
     {"map_33", e(maps:from_list([{N, N} || N <- lists:seq(1, 33)])), []}, {"map_1_and_1_0", e(#{1 => a, 1.0 => b}), []}, {"map_nested", e(#{#{a => b} => #{c => #{}}}), []},
     {"own_pid", fun(C) -> cf_etf:encode(cf_fake:pid(C)) end, []},
     {"foreign_pid", fun(_) -> [88, atom(Node), <<1:32, 2:32, 77:32>>] end, []},
     {"foreign_pid_creation_32_bits", fun(_) -> [88, atom(Node), <<1:32, 2:32, 16#ffffffff:32>>] end, []},
     {"foreign_pid_15_13_bits", fun(_) -> [88, atom(Node), <<16#7fff:32, 16#1fff:32, 77:32>>] end, []},
     {"foreign_pid_32_bits", fun(_) -> [88, atom(Node), <<16#ffffffff:32, 16#ffffffff:32, 77:32>>] end, [{from, 24}]},
     {"foreign_port", fun(_) -> [89, atom(Node), <<1:32, 77:32>>] end, [{to, 25}]},
     {"foreign_v4_port", fun(_) -> [120, atom(Node), <<16#123456789abc:64, 77:32>>] end, [{from, 24}]},
     {"foreign_reference_1_word", fun(_) -> [<<90, 1:16>>, atom(Node), <<77:32, 1:32>>] end, []},
     {"foreign_reference_3_words", fun(_) -> [<<90, 3:16>>, atom(Node), <<77:32, 1:32, 2:32, 3:32>>] end, []},
     {"foreign_reference_5_words", fun(_) -> [<<90, 5:16>>, atom(Node), <<77:32, 1:32, 2:32, 3:32, 4:32, 5:32>>] end, [{from, 24}]},
     {"export", fun(_) -> [113, atom(<<"lists">>), atom(<<"map">>), 97, 2] end, []},
     {"export_unknown", fun(_) -> [113, atom(<<"no_such_module">>), atom(<<"f">>), 97, 17] end, []},
     {"fun", fun(_) -> new_fun([]) end, []}, {"fun_with_environment", fun(_) -> new_fun([cf_etf:encode({free, [1, 2]}), cf_etf:encode(x)]) end, []},
     {"depth_1000", e(lists:foldl(fun(_, A) -> {A} end, x, lists:seq(1, 1000))), []},
     {"list_depth_1000", e(lists:foldl(fun(_, A) -> [A, a] end, x, lists:seq(1, 1000))), []},
     {"list_100000", e([a || _ <- lists:seq(1, 100000)]), []},
     {"tuple_100000", e(list_to_tuple(lists:seq(1, 100000))), []}].

new_fun(Free) ->
    Body = [<<2, 1:128, 3:32, (length(Free)):32>>, atom(<<"some_module">>), <<97, 5>>, <<98, 70000:32>>,
            88, atom(<<"other@127.0.0.1">>), <<1:32, 2:32, 77:32>>, Free],
    [<<112, (iolist_size(Body) + 4):32>>, Body].

%% {Name, sentence, bytes, the value, options}
accepted_terms() ->
    N = atom(<<"other@127.0.0.1">>),
    [{"integer_for_small", "a small number as INTEGER", <<98, 5:32>>, 5, []},
     {"small_big_for_small", "a small number as SMALL_BIG", <<110, 1, 0, 5>>, 5, []},
     {"small_big_leading_zeros", "a SMALL_BIG with leading zeros", <<110, 4, 0, 5, 0, 0, 0>>, 5, []},
     {"small_big_without_digits", "a SMALL_BIG without digits", <<110, 0, 0>>, 0, []},
     {"large_big_for_small", "a small number as LARGE_BIG", <<111, 1:32, 1, 5>>, -5, []},
     {"float_text", "a FLOAT as text", [99, "1.50000000000000000000e+00", 0, 0, 0, 0, 0], 1.5, []},
     {"atom_latin1", "an ATOM", <<100, 2:16, "ab">>, ab, []}, {"small_atom_latin1", "a SMALL_ATOM", <<115, 2, "ab">>, ab, []},
     {"small_atom_latin1_high", "a SMALL_ATOM with a Latin-1 letter", <<115, 1, 16#e5>>, list_to_atom([16#e5]), []},
     {"atom_utf8_short", "a short ATOM_UTF8", <<118, 2:16, "ab">>, ab, []},
     {"large_tuple_small", "a LARGE_TUPLE of arity 1", <<105, 1:32, 97, 7>>, {7}, []},
     {"large_tuple_empty", "a LARGE_TUPLE of arity 0", <<105, 0:32>>, {}, []},
     {"list_of_bytes", "bytes as LIST", <<108, 2:32, 97, 1, 97, 2, 106>>, [1, 2], []},
     {"list_empty", "a LIST without elements", <<108, 0:32, 106>>, [], []},
     {"string_empty", "a STRING without bytes", <<107, 0:16>>, [], []},
     {"bits_8", "a BIT_BINARY with 8 bits in its last byte", <<77, 2:32, 8, 1, 2>>, <<1, 2>>, []},
     {"pid_ext", "a PID with an 8-bit creation", [103, N, <<1:32, 2:32, 3>>], {'$pid', 'other@127.0.0.1', 1, 2, 3}, []},
     {"port_ext", "a PORT with an 8-bit creation", [102, N, <<1:32, 3>>], {'$port', 'other@127.0.0.1', 1, 3}, []},
     {"new_port", "a NEW_PORT", [89, N, <<1:32, 77:32>>], {'$port', 'other@127.0.0.1', 1, 77}, []},
     {"v4_port_small", "a V4_PORT with a small id", [120, N, <<1:64, 77:32>>], {'$port', 'other@127.0.0.1', 1, 77}, [{from, 24}]},
     {"reference_ext", "a REFERENCE", [101, N, <<1:32, 3>>], {'$ref', 'other@127.0.0.1', 3, [1]}, []},
     {"new_reference", "a NEW_REFERENCE", [<<114, 2:16>>, N, <<3, 1:32, 2:32>>], {'$ref', 'other@127.0.0.1', 3, [1, 2]}, []},
     {"map_any_order", "a map with its keys in any order", <<116, 2:32, 97, 9, 97, 1, 97, 3, 97, 2>>, #{9 => 1, 3 => 2}, []},
     {"fun_size_too_large", "a NEW_FUN whose size field is too large", fun_wrong_size(), fun_value, [{from, 25}]}].

fun_wrong_size() -> <<112, Size:32, Rest/binary>> = iolist_to_binary(new_fun([])), <<112, (Size + 40):32, Rest/binary>>.

accepts(T, Bytes, Value) ->
    C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), 16#802000)}),
    {Got, _} = echo(C, Bytes),
    case Value of
        fun_value -> {'$fun', _} = Got;
        _ -> cf:same(Value, Got)
    end.

refused_terms() ->
    N = atom(<<"other@127.0.0.1">>),
    [{"no_such_tag", "an unknown tag", <<0>>, []}, {"tag_255", "tag 255", <<255>>, []},
     {"float_nan", "a NEW_FLOAT that is NaN", <<70, 16#7ff8000000000000:64>>, []},
     {"float_infinite", "a NEW_FLOAT that is infinite", <<70, 16#7ff0000000000000:64>>, []},
     {"float_text_nonsense", "a FLOAT that is no number", [99, lists:duplicate(31, $x)], []},
     {"atom_256_characters", "an atom of 256 characters", <<118, 256:16, (binary:copy(<<"a">>, 256))/binary>>, []},
     {"atom_bad_utf8", "an atom that is no UTF-8", <<119, 2, 16#c3, 16#28>>, []},
     {"atom_overlong_utf8", "an atom with an overlong UTF-8 sequence", <<119, 2, 16#c0, 16#80>>, []},
     {"atom_surrogate", "an atom with a surrogate", <<119, 3, 16#ed, 16#a0, 16#80>>, []},
     {"atom_beyond", "an atom longer than the packet", <<119, 200, "abc">>, []},
     {"cache_reference", "an atom cache reference where there is no cache", <<82, 0>>, []},
     {"tuple_beyond", "a tuple of 4 billion elements in a few bytes", <<105, 16#ffffffff:32, 97, 1>>, []},
     {"list_beyond", "a list of 4 billion elements in a few bytes", <<108, 16#ffffffff:32, 97, 1>>, []},
     {"list_no_tail", "a list without its tail", <<108, 1:32, 97, 1>>, []},
     {"binary_beyond", "a binary longer than the packet", <<109, 16#7fffffff:32, 1>>, []},
     {"binary_4gb", "a binary of 4 GB in a few bytes", <<109, 16#ffffffff:32, 1>>, []},
     {"string_beyond", "a string longer than the packet", <<107, 65535:16, 1>>, []},
     {"bits_0", "a BIT_BINARY with bytes and 0 bits in the last", <<77, 1:32, 0, 1>>, []},
     {"bits_9", "a BIT_BINARY with 9 bits in its last byte", <<77, 1:32, 9, 1>>, []},
     {"bits_empty", "a BIT_BINARY without bytes (from 27)", <<77, 0:32, 0>>, [{from, 27}, {needs, [strict_terms]}]},
     {"big_beyond", "a big integer longer than the packet", <<110, 200, 0, 1>>, []},
     {"large_big_beyond", "a LARGE_BIG of 4 GB in a few bytes", <<111, 16#ffffffff:32, 0, 1>>, []},
     {"map_beyond", "a map of 4 billion pairs in a few bytes", <<116, 16#ffffffff:32, 97, 1, 97, 1>>, []},
     {"map_odd", "a map that ends after a key", <<116, 1:32, 97, 1>>, []},
     {"map_duplicate", "a map with the same key twice", <<116, 2:32, 97, 1, 97, 1, 97, 1, 97, 2>>, [{needs, [strict_terms]}]},
     {"pid_node_no_atom", "a pid whose node is no atom", <<88, 97, 1, 1:32, 2:32, 3:32>>, []},
     {"pid_short", "a pid cut short", [88, N, <<1:32, 2>>], []},
     {"reference_6_words", "a reference of 6 words", [<<90, 6:16>>, N, <<77:32, 1:32, 2:32, 3:32, 4:32, 5:32, 6:32>>], []},
     {"reference_words_missing", "a reference with fewer words than it says", [<<90, 5:16>>, N, <<77:32, 1:32>>], []},
     {"fun_ext", "the old FUN (removed in 23)", [<<117, 0:32>>, 88, N, <<1:32, 2:32, 77:32>>, atom(<<"m">>), 97, 1, 97, 1], []},
     {"fun_pid_no_pid", "a NEW_FUN whose creator is no pid", [<<112, 60:32, 1, 1:128, 1:32, 0:32>>, atom(<<"m">>), 97, 1, 97, 1, 97, 1], [{otp_fails, [25]}]},
     {"export_arity_no_integer", "an EXPORT whose arity is an atom", [113, atom(<<"m">>), atom(<<"f">>), atom(<<"a">>)], []},
     {"export_module_no_atom", "an EXPORT whose module is a number", [113, 97, 1, atom(<<"f">>), 97, 1], []},
     {"compressed", "a compressed term", [<<80, 2:32>>, zlib:compress(<<97, 1>>)], []},
     {"version_inside", "a version byte inside", <<131, 97, 1>>, []},
     {"local_ext", "a LOCAL_EXT (26)", <<121, 0:32, 97, 1>>, []},
     {"depth_1000000_cut", "a million nested tuples that end nowhere", binary:copy(<<104, 1>>, 1000000), []}].

refuses(T, Bytes) ->
    C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), 16#802000)}),
    Me = cf_fake:pid(C),
    cf_fake:to(C, conformance, {echo, Me, cf_fake:ref(C), {'$raw', [<<108, 1:32>>, Bytes, 106]}}),
    cf_fake:closed(C),
    cf_fake:fence(cf_fake:dial(T, #{})).

%% One connection per cut; the message is cut, its packet's length is right.
truncated(T) ->
    Term = {atom, 300, 1.5, "string", [a, {b}], <<"binary">>, #{k => v}, 1 bsl 100, <<5:3>>},
    Bytes = iolist_to_binary(cf_etf:encode(Term)),
    Cut = fun(At) ->
              C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), 16#802000)}),
              Whole = iolist_to_binary(cf_etf:encode({echo, cf_fake:pid(C), cf_fake:ref(C), {'$raw', [<<108, 1:32>>, Bytes]}})),
              cf_fake:to(C, conformance, {'$raw', binary:part(Whole, 0, byte_size(Whole) - At)}),
              cf_fake:closed(C),
              cf_fake:close(C)
          end,
    [Cut(At) || At <- lists:seq(0, byte_size(Bytes))],
    cf_fake:fence(cf_fake:dial(T, #{})).

corpus(#{release := Release} = T) ->
    C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), 16#802000)}),
    Files = [F || R <- [23, 25, 27, 29], R =< Release,
                  F <- filelib:wildcard(filename:join([cf:home(), "corpus", integer_to_list(R), "term", "*.bin"]))],
    Files =/= [] orelse cf:fail("no recorded terms"),
    [begin
         {ok, <<131, Bytes/binary>>} = file:read_file(F),
         {Value, Raw} = echo(C, Bytes),
         Expected = cf_etf:decode_all(Bytes, {}),
         case Value of
             {'$fun', Fun} -> cf:same(fun_parts(Expected), cf_etf:fun_parts(Fun), F);
             _ -> cf:same(Expected, Value, F)
         end,
         case {Value, binary:part(Bytes, 0, 1)} of
             {#{}, _} -> ok;
             {_, <<89>>} -> ok;                        % NEW_PORT comes back as V4_PORT from 26 on
             {_, <<112>>} -> ok;                       % a fun's creator pid is dropped from 27 on
             _ -> same_bytes(Bytes, Raw, F)
         end
     end || F <- Files].

own(C) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:to(C, conformance, {self, Me, Ref, []}),
    cf_fake:take(C, fun({signal, _, {R, V}, #{raw := <<104, 2, Raw/binary>>, atoms := A}}) when R =:= Ref ->
                            {_, Term} = cf_etf:decode(Raw, A), {V, Term} end).

own_pid(T) ->
    {{'$pid', Node, _, _, Creation}, <<88, _/binary>>} = own(cf_fake:dial(T, #{})),
    cf:same(maps:get(nut, T), Node),
    cf:check(Creation > 3, "creation ~p", [Creation]).

own_pid_bits(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         {'$pid', _, Id, Serial, _} = cf_fake:puppet(C),
         cf:check(Id =< 16#7fff andalso Serial =< 16#1fff, "pid ~p.~p", [Id, Serial])
     end || _ <- lists:seq(1, 20)].

own_reference(T) ->
    C = cf_fake:dial(T, #{}),
    {'$ref', Node, _, [First | _] = Words} = cf_fake:call(C, cf_fake:puppet(C), monitor, [cf_fake:pid(C)]),
    cf:same(maps:get(nut, T), Node),
    cf:check(length(Words) =< 3 andalso First < 1 bsl 18, "words ~p", [Words]).
