%% SPDX-License-Identifier: Apache-2.0
%% Output: processes of the node to their group leader, processes here to the node's user.
-module(cf_case_io).
-export([cases/0]).

-define(IO, "stdlib: The Erlang I/O Protocol").

cases() ->
    [{Id, What, Rule, [{needs, [io | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'io.print', "what a process prints comes to its spawner's group leader", ?IO, [spawn], [{varies, [dial, visible]}], fun print/1},
      {'io.print_unicode', "text beyond Latin-1 comes as it was", ?IO, [spawn], [], fun print_unicode/1},
      {'io.print_empty', "an empty text is no harm", ?IO, [spawn], [], fun print_empty/1},
      {'io.print_big', "100,000 characters come whole", ?IO, [spawn], [], fun print_big/1},
      {'io.print_order', "what is printed one after the other comes in that order", ?IO, [spawn], [], fun print_order/1},
      {'io.reply_is_no_message', "the io server's reply is no message to the process that printed", ?IO, [spawn], [], fun reply_is_no_message/1},
      {'io.change_leader', "after group_leader/2 the output goes to the new leader", ?IO, [spawn, group_leader], [], fun change_leader/1},
      {'io.dead_leader', "a leader that has ended hurts nobody", ?IO, [spawn], [], fun dead_leader/1},
      {'io.shell', "the output appears on a real group leader's device", ?IO, [spawn], [], fun shell/1},
      {'io.rpc', "what a function prints comes to the leader of who called it by rpc", ?IO, [rpc], [], fun rpc/1},
      {'io.erpc', "and by erpc", ?IO, [erpc], [], fun erpc/1},
      {'io.block_call', "and by block_call", ?IO, [rex], [], fun block_call/1},
      {'io.rex_cast', "and by a cast to rex, as rpc:cast once was", ?IO, [rex], [], fun cast/1},
      {'io.rex_stdout', "send_stdout_to_caller: {rex_stdout, Text} comes to the caller, before {rex, Result}", "rpc.erl (25)", [rex],
       [raw, {from, 25}], fun rex_stdout/1},
      {'io.spawned_leader', "what it spawns here has its spawner's group leader", ?IO, [spawn, spawn_out], [], fun spawned_leader/1},
      {'io.spawned_user', "what its own process spawns here can print and goes on", ?IO, [spawn_out], [], fun spawned_user/1},
      {'io.user', "its user takes characters and formats", ?IO, [], [], fun user/1},
      {'io.user_formats', "its user formats every control sequence that io:format sends", ?IO, [], [], fun user_formats/1},
      {'io.user_write', "its user takes io:write and io:nl", ?IO, [], [], fun user_write/1},
      {'io.user_bad_format', "a format that does not fit is an error to the caller", ?IO, [], [], fun user_bad_format/1},
      {'io.user_latin1', "its user takes Latin-1", ?IO, [], [], fun user_latin1/1},
      {'io.user_requests', "several requests in one are answered once", ?IO, [], [], fun user_requests/1},
      {'io.user_requests_bad', "of several requests the first that fails ends them with {error, _}", ?IO, [], [{otp_fails, [29]}], fun user_requests_bad/1},
      {'io.user_bad_chars', "what is no text is {error, _}", ?IO, [], [], fun user_bad_chars/1},
      {'io.user_unknown', "an unknown request is {error, _}", ?IO, [], [], fun user_unknown/1},
      {'io.user_nonsense', "nonsense to user is dropped", ?IO, [], [], fun user_nonsense/1}]].

%% An io server that answers, and says what was written as {wrote, Self, Binary}.
leader() ->
    To = self(),
    spawn_link(fun() -> leader(To) end).

leader(To) ->
    receive
        {io_request, From, As, Request} ->
            To ! {wrote, self(), written(Request)},
            From ! {io_reply, As, ok},
            leader(To);
        stop -> ok
    end.

written({put_chars, Encoding, Chars}) -> unicode:characters_to_binary(Chars, Encoding);
written({put_chars, Encoding, M, F, A}) -> unicode:characters_to_binary(apply(M, F, A), Encoding).

wrote(L) -> cf:got(fun({wrote, P, Text}) when P =:= L -> Text end).

%% Runs Fun with another group leader.
led_by(L, Fun) ->
    Mine = group_leader(),
    group_leader(L, self()),
    try Fun() after group_leader(Mine, self()) end.

%% A puppet of the node with this leader.
puppet(#{nut := Nut}, L) -> led_by(L, fun() -> spawn(Nut, puppet, start, []) end).

print(T, P, Text) -> ok = cf_live:ask(T, P, print, [Text]).

print(T) -> L = leader(), P = puppet(T, L), print(T, P, <<"hello\n">>), cf:same(<<"hello\n">>, wrote(L)).

print_unicode(T) ->
    L = leader(), P = puppet(T, L),
    Text = unicode:characters_to_binary([$a, 228, 8364, 128512, $\n]),
    print(T, P, Text),
    cf:same(Text, wrote(L)).

print_empty(T) ->
    L = leader(), P = puppet(T, L),
    print(T, P, <<>>),
    print(T, P, <<"x">>),
    <<"x">> = case wrote(L) of <<>> -> wrote(L); Text -> Text end.

print_big(T) ->
    L = leader(), P = puppet(T, L), Text = binary:copy(<<"0123456789">>, 10000),
    print(T, P, Text),
    cf:same(byte_size(Text), byte_size(wrote(L))).

print_order(T) ->
    L = leader(), P = puppet(T, L),
    Lines = [iolist_to_binary(io_lib:format("~b~n", [N])) || N <- lists:seq(1, 100)],
    [print(T, P, Line) || Line <- Lines],
    cf:same(Lines, [wrote(L) || _ <- Lines]).

reply_is_no_message(T) ->
    L = leader(), P = puppet(T, L),
    ok = cf_live:ask(T, P, watch, [self()]),
    print(T, P, <<"hello">>),
    <<"hello">> = wrote(L),
    %% The reply left the leader before this does, for the same node.
    P ! behind_the_reply,
    cf:same(behind_the_reply, cf_live:saw(P)),
    cf_live:fence(T),
    cf:not_got(fun({saw, _, {io_reply, _, _}}) -> ok end).

change_leader(T) ->
    L1 = leader(), L2 = leader(), P = puppet(T, L1),
    print(T, P, <<"one">>),
    <<"one">> = wrote(L1),
    group_leader(L2, P),
    print(T, P, <<"two">>),
    cf:same(<<"two">>, wrote(L2)).

dead_leader(T) ->
    L = leader(), P = puppet(T, L), M = monitor(process, L),
    L ! stop,
    _ = cf_live:down(M),
    case cf_live:ask(T, P, print, [<<"lost">>]) of
        ok -> ok;
        {refused, error, _} -> ok
    end,
    cf:same(P, cf_live:ask(T, P, self, [])).

%% The group leader of a file: what a shell's would do with it.
shell(T) ->
    {ok, L} = file:open("io.shell.out", [write, {encoding, utf8}]),
    P = puppet(T, L),
    print(T, P, unicode:characters_to_binary(["on the shell ", 8364, "\n"])),
    cf:wait("it is in the file", fun() ->
        {ok, _} = file:position(L, cur),
        file:read_file("io.shell.out") =:= {ok, unicode:characters_to_binary(["on the shell ", 8364, "\n"])}
    end),
    ok = file:close(L).

rpc(#{nut := Nut}) -> L = leader(), ok = led_by(L, fun() -> rpc:call(Nut, io, put_chars, [<<"by rpc">>]) end), cf:same(<<"by rpc">>, wrote(L)).
erpc(#{nut := Nut}) -> L = leader(), ok = led_by(L, fun() -> erpc:call(Nut, io, put_chars, [<<"by erpc">>]) end), cf:same(<<"by erpc">>, wrote(L)).

block_call(#{nut := Nut}) ->
    L = leader(),
    ok = led_by(L, fun() -> rpc:block_call(Nut, io, put_chars, [<<"blocked">>]) end),
    cf:same(<<"blocked">>, wrote(L)).

cast(#{nut := Nut}) ->
    L = leader(),
    ok = gen_server:cast({rex, Nut}, {cast, io, put_chars, [<<"by cast">>], L}),
    cf:same(<<"by cast">>, wrote(L)).

rex_stdout(T) ->
    C = cf_fake:dial(T, #{}), Me = cf_fake:pid(C),
    cf_fake:to(C, rex, {Me, {call, io, put_chars, [<<"for me">>], send_stdout_to_caller}}),
    Next = fun() -> cf_fake:take(C, fun({signal, Ctl, {Tag, X}, _}) when element(3, Ctl) =:= Me -> {Tag, X} end) end,
    cf:same({rex_stdout, <<"for me">>}, Next()),
    cf:same({rex, ok}, Next()),
    cf_fake:to(C, rex, {Me, {call, no_such_module, f, [], send_stdout_to_caller}}),
    {rex, {badrpc, _}} = Next().

spawned_leader(T) ->
    L = leader(), P = puppet(T, L),
    _ = cf_live:ask(T, P, spawn_request, [node(), io, put_chars, [<<"from its child">>], []]),
    cf:same(<<"from its child">>, wrote(L)).

spawned_user(T) ->
    P = cf_live:watched(T),
    Ref = cf_live:ask(T, P, spawn_request, [node(), io, format, ["~p: ~s~n", [node(), "printed"]], [monitor]]),
    {spawn_reply, Ref, ok, _} = cf_live:saw(P),
    {'DOWN', Ref, process, _, normal} = cf_live:saw(P).

at(T) -> P = cf_live:ask(T, whereis, [user]), true = is_pid(P), P.

user(T) ->
    cf:same(ok, io:put_chars(at(T), "a text\n")),
    cf:same(ok, io:put_chars(at(T), [<<"deep">>, [" ", $t, [<<"ext">>]], $\n])),
    cf:same(ok, io:format(at(T), "~p and ~s~n", [{a, "b", <<"c">>}, "text"])).

user_formats(T) ->
    [cf:same(ok, io:format(at(T), F, A)) || {F, A} <-
     [{"~w ~p ~W ~P", ["ab", "ab", "abcdef", 3, "abcdef", 3]}, {"~s ~ts ~10s ~-10s| ~5.2s ~5.2.*s", ["a", [8364], "b", c, <<"def">>, $x, "ghi"]},
      {"~c ~3c ~tc", [$a, $b, 8364]}, {"~b ~B ~8b ~.16b ~.16B ~8.16.0b", [1, -2, 3, 255, 255, 255]}, {"~.16# ~.16+", [255, 255]},
      {"~x ~X", [17, "0x", 255, "16#"]}, {"~f ~.2f ~e ~g ~10.3f", [1.5, 2.25, 3.5, 4.5, 5.125]}, {"~i~~~3~~2n", [ignored]},
      {"~.16b ~.36B ~.7x ~.2#", [1 bsl 80, -(1 bsl 80), 1 bsl 80, "0", 1 bsl 64]}, {"~W ~P", [{a, #{b => [c, d]}}, -1, [<<"abcdefgh">>, {x, y}], 0]},
      {"~*s ~-*s|", [5, "a", 5, "b"]}, {"~tp ~tw ~0p", ["abc", 'atom here', #{a => [1, 2.0]}]}, {<<"binary ~p">>, [self()]}]].

user_write(T) ->
    cf:same(ok, io:write(at(T), {a, [1, 2]})),
    cf:same(ok, io:nl(at(T))).

user_bad_format(T) ->
    [case (try io:format(at(T), F, A) catch error:Why -> {error, Why} end) of
         {error, badarg} -> ok;
         {error, format} -> ok;
         Other -> cf:fail("~p with ~p gave ~p", [F, A, Other])
     end || {F, A} <- [{"~p ~p~n", [1]}, {"~p~n", [1, 2]}, {"~b~n", [atom]}, {"~c~n", [x]}, {"~P~n", [a, b]}]],
    cf:same(ok, io:put_chars(at(T), "still there\n")).

request(T, Request) ->
    As = make_ref(),
    at(T) ! {io_request, self(), As, Request},
    cf:got(fun({io_reply, Ref, Reply}) when Ref =:= As -> Reply end).

user_latin1(T) ->
    cf:same(ok, request(T, {put_chars, latin1, <<"gr", 252, "n\n">>})),
    cf:same(ok, request(T, {put_chars, <<"old form\n">>})).

user_requests(T) ->
    cf:same(ok, request(T, {requests, [{put_chars, unicode, <<"one ">>}, {put_chars, unicode, <<"two\n">>}]})).

%% The user of OTP 29.1 ends at it, and the node with it.
user_requests_bad(T) ->
    {error, _} = request(T, {requests, [{put_chars, unicode, <<"one\n">>}, nonsense, {put_chars, unicode, <<"never\n">>}]}).

user_bad_chars(T) ->
    {error, _} = request(T, {put_chars, unicode, nonsense}),
    {error, _} = request(T, {put_chars, unicode, no_such_module, f, []}),
    cf:same(ok, request(T, {put_chars, unicode, <<"still there\n">>})).

user_unknown(T) ->
    {error, _} = request(T, nonsense),
    {error, _} = request(T, {no_such_request, 1}).

user_nonsense(T) ->
    [at(T) ! M || M <- [junk, {io_request}, {io_request, self(), make_ref()}, {io_reply, make_ref(), ok}, 17]],
    cf:same(ok, request(T, {put_chars, unicode, <<"still there\n">>})).
