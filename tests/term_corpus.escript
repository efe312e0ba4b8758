#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% Records the corpus of the term room from this machine's Erlang (written with OTP 25):
%%   term_corpus.escript FOLDER > tests/term_corpus.h
%% The header holds each term's bytes, its rank in Erlang's order and its text (~0tp); FOLDER
%% gets the same bytes (without version) for the fuzzer. Not run by the tests.
-mode(compile).

main([Folder]) ->
    io:setopts(standard_io, [{encoding, unicode}]),
    Terms = terms() ++ [{N, binary_to_term(B), B} || {N, B} <- raw()],
    Ranks = ranks(lists:sort(fun({_, A, _}, {_, B, _}) -> A =< B end, Terms)),
    io:format("/* SPDX-License-Identifier: Apache-2.0 */~n"
              "/* Made by tests/term_corpus.escript with OTP ~s. Do not edit. */~n"
              "#ifndef TESTS_TERM_CORPUS_H~n#define TESTS_TERM_CORPUS_H~n#include <stddef.h>~n"
              "static const struct corpus_term {~n"
              "\tconst char *name;~n"
              "\tint rank;             /* in Erlang's order; terms that are == have the same */~n"
              "\tconst char *text;     /* as ~~0tp prints it; NULL: means something in that VM only */~n"
              "\tconst unsigned char *bytes;~n"
              "\tsize_t size;~n"
              "} corpus[] = {~n", [erlang:system_info(otp_release)]),
    [one(Folder, T, Ranks) || T <- Terms],
    io:format("};~n#endif~n").

one(Folder, {Name, Term, <<131, Bytes/binary>>}, Ranks) ->
    ok = file:write_file(filename:join(Folder, Name), Bytes),
    Text = case local(Bytes) orelse lists:prefix("map_33", Name) orelse lists:prefix("map_100", Name) orelse Name =:= "map_unsorted" of
               true -> "NULL";
               false -> [$", escape(unicode:characters_to_binary(io_lib:format("~0tp", [Term]))), $"]
           end,
    io:format("\t{ \"~s\", ~b, ~s,~n\t  (const unsigned char *)~n~s\t  , ~b },~n",
              [Name, maps:get(Name, Ranks), Text, lines(Bytes), byte_size(Bytes)]).

%% Pids, ports, references and local funs are printed with numbers of this VM; maps of more than 32 keys
%% in another order than they are sent.
local(Bytes) -> binary:match(Bytes, [<<"a@b">>, <<"n@h">>, <<"host">>, <<"@127">>]) =/= nomatch.

escape(Bin) -> [ if C >= 32, C < 127, C =/= $", C =/= $\\, C =/= $? -> C;
                    true -> io_lib:format("\\~3.8.0b", [C]) end || <<C>> <= Bin ].

lines(<<Line:40/binary, Rest/binary>>) when Rest =/= <<>> -> [line(Line) | lines(Rest)];
lines(Line) -> [line(Line)].
line(Line) -> ["\t  \"", [io_lib:format("\\~3.8.0b", [C]) || <<C>> <= Line], "\"\n"].

ranks([{N, T, _} | Rest]) -> ranks(Rest, T, 0, #{N => 0}).
ranks([], _, _, M) -> M;
ranks([{N, T, _} | Rest], Last, R, M) ->
    R1 = if T == Last -> R; true -> R + 1 end,
    ranks(Rest, T, R1, M#{N => R1}).

%% What term_to_binary writes, in its two forms of atoms.
terms() ->
    lists:append([[{N ++ "_utf8", T, term_to_binary(T, [{minor_version, 2}])} || has_atom(T)] ++
                  [{N, T, term_to_binary(T, [{minor_version, 1}])}] || {N, T} <- values()]).

has_atom(T) -> term_to_binary(T, [{minor_version, 2}]) =/= term_to_binary(T, [{minor_version, 1}]).

values() ->
    Big = 1 bsl 70,
    ints() ++ floats() ++
    [{"atom_ok", ok}, {"atom_empty", ''}, {"atom_quoted", 'Hello World'}, {"atom_upper", 'Upper'},
     {"atom_quote", 'it\'s'}, {"atom_newline", 'a\nb'}, {"atom_latin1", 'sm\x{f8}rbr\x{f8}d'},
     {"atom_unicode", '\x{43f}\x{440}\x{438}\x{432}\x{435}\x{442}'}, {"atom_emoji", '\x{1f600}'},
     {"atom_255", list_to_atom(lists:duplicate(255, $a))},
     {"atom_255_wide", list_to_atom(lists:duplicate(255, 16#1f600))},
     {"atom_reserved", 'when'}, {"atom_at", node@host}, {"atom_control", 'a\x{1}\x{7f}\x{80}\x{9f}\x{a0}b'},
     {"atom_elixir", 'Elixir.My.Codec'}, {"atom_nul", 'a\x{0}b'},
     {"nil", []}, {"tuple_0", {}}, {"tuple_1", {a}}, {"tuple_2", {a, 2}}, {"tuple_3", {1, 2, 3}},
     {"tuple_255", list_to_tuple(lists:seq(1, 255))}, {"tuple_256", list_to_tuple(lists:seq(1, 256))},
     {"list_atoms", [a, b, c]}, {"list_improper", [a | b]}, {"list_improper_2", [1, 2 | 3]},
     {"list_nested", [[[], [[]]], [1, [2, [3]]]]}, {"list_tuples", [{a, 1}, {b, 2.5}, {c, <<"x">>}]},
     {"list_ints", [1, 2, 300]}, {"list_alias", [alias | a_ref]}, {"list_bytes_rest", [1, 2, 3, x]},
     {"list_unicode", [1087, 1088]}, {"list_negative", [-1]},
     {"string", "hello"}, {"string_1", [1]}, {"string_escapes", "a\"b\\c\n\t\e\b\f\v\r'"}, {"string_del", [127]},
     {"string_latin1", [233, 160, 255]}, {"string_c1", [128]}, 
     {"string_long", lists:duplicate(300, $y)}, {"list_strings", ["abc", "def", []]}, {"list_string_tail", ["abc" | "def"]},
     {"list_charlist_big", "abc" ++ [300]}, {"list_97_x", [97 | x]},
     {"binary_0", <<>>}, {"binary_text", <<"hello">>}, {"binary_bytes", <<0, 1, 2, 255>>},
     {"binary_utf8", <<"h\x{e9}llo"/utf8>>}, {"binary_wide", <<"\x{43f}\x{440}"/utf8>>}, {"binary_latin1", <<"h\x{e9}">>},
     {"binary_300", binary:copy(<<"z">>, 300)}, {"binary_quote", <<"a\"b\\">>}, {"binary_newline", <<"a\nb">>},
     {"binary_del", <<127>>}, {"binary_utf8_c1", <<194, 128>>},
     {"bits_1", <<1:1>>}, {"bits_0", <<0:1>>}, {"bits_7", <<127:7>>}, {"bits_11", <<255, 5:3>>}, {"bits_9", <<255, 1:1>>},
     {"binary_255_127", <<255, 127>>},
     {"map_0", #{}}, {"map_1", #{a => 1}}, {"map_1_float", #{a => 1.0}}, {"map_1_two", #{a => 2}}, {"map_2", #{a => 1, b => 2}},
     {"map_2_c", #{a => 1, c => 0}}, {"map_2_rev", #{a => 2, b => 1}}, {"map_keys", #{1 => int, 1.0 => float, "1" => string, <<"1">> => bin}},
     {"map_int_key", #{1 => 2}}, {"map_float_key", #{1.0 => 1}}, {"map_nested", #{m => #{n => #{}}, #{k => v} => [#{}]}},
     {"map_33", maps:from_list([{I, I * I} || I <- lists:seq(1, 33)])},
     {"map_100", maps:from_list([{{k, I}, [I]} || I <- lists:seq(1, 100)])},
     {"map_100_last", maps:from_list([{{k, I}, [I]} || I <- lists:seq(1, 99)] ++ [{{k, 100}, other}])},
     {"fun_export", fun lists:map/2}, {"fun_export_b", fun lists:map/1}, {"fun_export_c", fun 'Elixir.Foo':'bar!'/255},
     {"fun_export_d", fun erlang:'+'/2},
     {"gen_call", {'$gen_call', {alias_pid, [alias | make]}, {add, 5}}},
     {"deep_tuple", lists:foldl(fun(_, A) -> {A} end, x, lists:seq(1, 200))},
     {"deep_list", lists:foldl(fun(_, A) -> [A] end, x, lists:seq(1, 200))},
     {"deep_map", lists:foldl(fun(_, A) -> #{A => A} end, 1, lists:seq(1, 8))},
     {"int_in_list_1", [1, a]}, {"float_in_list_1", [1.0, b]}, {"big_in_tuple", {Big, -Big}},
     {"big_float", {float(Big)}}].

ints() ->
    Edges = lists:append([[X - 1, X, X + 1, -X - 1, -X, -X + 1] ||
                          X <- [1, 128, 256, 1 bsl 27, 1 bsl 31, 1 bsl 32, 1 bsl 53, 1 bsl 59, 1 bsl 60, 1 bsl 62, 1 bsl 63,
                                1 bsl 64, 1 bsl 65, 1 bsl 127, 1 bsl 1024]]),
    Wide = [1 bsl 2039 - 1, 1 bsl 2040, -(1 bsl 2040), 1 bsl 8000 + 12345, 123456789012345678901234567890],
    numbered("int", lists:usort(Edges ++ Wide)).

floats() ->
    Plain = [0.1, 0.001, 0.0001, 0.00001, 1.234e-5, 0.00123, 0.012, 123456.789, 1.0, 2.0, 1.5, 10.0, 99999.0, 100000.0, 1000000.0, 12345678.0,
             1.0e10, 1.2e10, 1.0e15, 123000000000000.0, 1.0e16, 1.0e22, 1.0e23, 1.0e100, 1.5e300, 1.7976931348623157e308, 5.0e-324,
             2.2250738585072014e-308, 2.0e-44, 5.684341886080802e-14, 0.30000000000000004, 9007199254740991.0, 9007199254740992.0,
             9007199254740994.0, 4503599627370497.5, 1.8446744073709552e19, 9.223372036854775807e18, 3.402823669209385e38, 1.157920892373162e77,
             9.223372036854778e18, 1.2345678901234568e17, 3.141592653589793, 1.0e-7, 1.0e-10, 255.0, 4294967296.0, 256.5],
    Random = [begin <<F/float>> = <<(X band 16#bfefffffffffffff):64>>, F end ||
              X <- [erlang:phash2({I, a}, 1 bsl 32) bsl 32 bor erlang:phash2({I, b}, 1 bsl 32) || I <- lists:seq(1, 60)]],
    numbered("float", [0.0, -0.0] ++ Plain ++ [-F || F <- Plain] ++ Random).

numbered(Name, Values) ->
    [{lists:flatten(io_lib:format("~s_~3..0b", [Name, I])), V} || {I, V} <- lists:zip(lists:seq(1, length(Values)), Values)].

%% Forms that term_to_binary does not write, or only with names of this VM in them; binary_to_term takes them all.
raw() ->
    Node = <<119, 3, "a@b">>, Other = <<119, 3, "n@h">>, Old = <<100, 0, 3, "a@b">>,
    Pid = fun(N, Id, S, C) -> <<131, 88, N/binary, Id:32, S:32, C:32>> end,
    Ref = fun(N, C, Words) -> <<131, 90, (length(Words)):16, N/binary, C:32, << <<W:32>> || W <- Words >>/binary>> end,
    Port = fun(N, Id, C) -> <<131, 120, N/binary, Id:64, C:32>> end,
    Fun = fun(Size, Index, Uniq, Free) ->
                  Body = <<2, 0:128, 7:32, (length(Free)):32, 119, 3, "mod", 97, Index, 98, Uniq:32,
                           88, Node/binary, 1:32, 0:32, 5:32, << <<B/binary>> || <<131, B/binary>> <- Free >>/binary>>,
                  <<131, 112, (byte_size(Body) + 4 + Size):32, Body/binary>>
          end,
    [{"pid", Pid(Node, 9, 0, 5)}, {"pid_id", Pid(Node, 10, 0, 5)}, {"pid_serial", Pid(Node, 9, 1, 5)},
     {"pid_creation", Pid(Node, 9, 0, 6)}, {"pid_node", Pid(Other, 9, 0, 5)}, {"pid_wide", Pid(Node, 16#ffffffff, 16#ffffffff, 16#ffffffff)},
     {"pid_node_low_id", Pid(Other, 1, 0, 5)}, {"pid_atom_ext", Pid(Old, 9, 0, 5)},
     {"pid_ext", <<131, 103, Node/binary, 9:32, 0:32, 3>>},
     {"port", Port(Node, 9, 5)}, {"port_id", Port(Node, 10, 5)}, {"port_creation", Port(Node, 1, 6)}, {"port_node", Port(Other, 1, 5)},
     {"port_wide", Port(Node, 16#ffffffffffffffff, 5)}, {"port_new", <<131, 89, Node/binary, 77:32, 5:32>>},
     {"port_ext", <<131, 102, Node/binary, 78:32, 2>>},
     {"ref", Ref(Node, 5, [1, 2, 3])}, {"ref_low", Ref(Node, 5, [9, 2, 3])}, {"ref_high", Ref(Node, 5, [1, 2, 4])},
     {"ref_1", Ref(Node, 5, [1])}, {"ref_2", Ref(Node, 5, [1, 2])}, {"ref_5", Ref(Node, 5, [1, 2, 3, 4, 5])},
     {"ref_5_zero", Ref(Node, 5, [1, 2, 3, 0, 0])}, {"ref_creation", Ref(Node, 6, [0, 0, 0])}, {"ref_node", Ref(Other, 5, [0, 0, 0])},
     {"ref_new", <<131, 114, 3:16, Node/binary, 3, 1:32, 2:32, 3:32>>}, {"ref_old", <<131, 101, Node/binary, 17:32, 3>>},
     {"fun_local", Fun(0, 1, 100, [])}, {"fun_local_size", Fun(50, 1, 101, [])}, {"fun_local_free", Fun(0, 1, 100, [<<131, 97, 5>>])},
     {"fun_local_free_2", Fun(0, 1, 100, [<<131, 97, 6>>])}, {"fun_local_index", Fun(0, 2, 99, [])},
     {"fun_local_odd", Fun(9, 4, 99, [])}]
     ++ [{"fun_local_env", Fun(0, 3, 99, [Fun(0, 1, 1, []), term_to_binary([x, {y}])])},
     {"float_text", <<131, 99, "1.50000000000000000000e+00", 0, 0, 0, 0, 0>>},
     {"float_text_neg", <<131, 99, "-2.50000000000000000000e-10", 0, 0, 0, 0>>},
     {"int_as_int32", <<131, 98, 5:32>>}, {"int_as_big", <<131, 110, 1, 0, 5>>}, {"int_as_big_zeros", <<131, 110, 4, 1, 5, 0, 0, 0>>},
     {"int_as_big_0", <<131, 110, 0, 0>>}, {"int_as_big_minus_0", <<131, 110, 1, 1, 0>>}, {"int_as_large_big", <<131, 111, 2:32, 0, 1, 1>>},
     {"tuple_large_form", <<131, 105, 2:32, 97, 1, 97, 2>>}, {"string_as_list", <<131, 108, 3:32, 97, $a, 97, $b, 97, $c, 106>>},
     {"list_in_parts", <<131, 108, 1:32, 97, 1, 108, 1:32, 97, 2, 108, 1:32, 97, 3, 106>>},
     {"list_parts_string", <<131, 108, 1:32, 97, 1, 107, 2:16, 2, 3>>}, {"list_of_none", <<131, 108, 0:32, 106>>},
     {"list_of_none_int", <<131, 108, 0:32, 97, 5>>}, {"list_none_inside", <<131, 108, 2:32, 108, 0:32, 97, 1, 97, 2, 108, 0:32, 106>>},
     {"string_empty", <<131, 107, 0:16>>}, {"bits_8", <<131, 77, 2:32, 8, 1, 2>>}, {"bits_none", <<131, 77, 0:32, 0>>},
     {"bits_slack", <<131, 77, 2:32, 3, 255, 255>>},
     {"atom_utf8_short", <<131, 118, 2:16, "ok">>}, {"atom_small_ext", <<131, 115, 2, "ok">>}, {"atom_small_latin1", <<131, 115, 2, 233, $a>>},
     {"map_unsorted", <<131, 116, 3:32, 97, 3, 97, 0, 97, 1, 97, 0, 97, 2, 97, 0>>},
     {"ping_message", <<131, 104, 4, 119, 4, "ping", 88, 119, 16, "abcdef@127.0.0.1", 5:32, 6:32, 77:32, 98, 100000:32, 109, 16:32, 0:128, 0:0>>},
     {"spawn_request", <<131, 104, 6, 97, 29, 90, 3:16, 119, 14, "n25@otherhost.", 7:32, 1:32, 2:32, 3:32, 88, 119, 14, "n25@otherhost.", 1:32, 0:32, 7:32,
        88, 119, 14, "n25@otherhost.", 2:32, 0:32, 7:32, 104, 3, 119, 7, "counter", 119, 5, "start", 97, 1, 108, 1:32, 119, 4, "link", 106>>}].
