%% SPDX-License-Identifier: Apache-2.0
%% The handshake, both roles, message by message. "acceptor" cases dial the node under test; "dialler" cases have it
%% dial a listener of ours.
-module(cf_case_handshake).
-export([cases/0]).

-define(DOC, "erl_dist_protocol.html Distribution Handshake").
-define(UTIL, "dist_util.erl").

cases() -> acceptor() ++ dialler() ++ [{list_to_atom("handshake.cut_" ++ Name), "a peer that leaves " ++ When ++ " disturbs nobody",
                                        ?UTIL, [raw], fun(T) -> cut(T, Step) end}
                                       || {Name, When, Step} <- cuts()].

acceptor() ->
    R = [raw],
    [{'handshake.accept', "a whole handshake, hello v6, leads to a link", ?DOC, [raw, {varies, [visible]}], fun accept/1},
     {'handshake.status_ok', "a new peer is answered ok", ?DOC, R, fun status_ok/1},
     {'handshake.challenge_name', "the challenge carries the node's full name", ?DOC, R, fun challenge_name/1},
     {'handshake.challenge_creation', "the challenge carries the node's creation", ?DOC, R, fun challenge_creation/1},
     {'handshake.challenge_fresh', "each challenge is another number", ?DOC, R, fun challenge_fresh/1},
     {'handshake.challenge_exact', "the challenge has no bytes behind the name", ?DOC, R, fun challenge_exact/1},
     {'handshake.ack_digest', "the ack proves that the node knows the cookie", ?DOC, R, fun ack_digest/1},
     {'handshake.ack_digest_zero', "the ack is right for challenge 0 and for challenge 2^32-1", ?DOC, R, fun ack_digest_edges/1},
     {'handshake.old_hello', "the old hello n with a complement leads to a link", ?DOC, [raw, {needs, [old_hello]}], fun old_hello/1},
     {'handshake.hello_tail', "bytes behind the name in the hello are skipped", ?DOC, R, fun hello_tail/1},
     {'handshake.wrong_cookie', "a wrong digest is answered by closing, without an ack", ?DOC, R, fun wrong_cookie/1},
     {'handshake.replayed_digest', "the digest of another challenge is refused", ?DOC, R, fun replayed_digest/1},
     {'handshake.zero_digest', "an all-zero digest is refused", ?DOC, R, fun zero_digest/1},
     {'handshake.reflected_digest', "our own challenge sent back with its digest is refused", ?DOC, R, fun reflected_digest/1},
     {'handshake.short_reply', "a reply without the whole digest is refused", ?DOC, R, fun short_reply/1},
     {'handshake.packet_before_reply', "an ack in place of the reply is refused", ?UTIL, R, fun ack_for_reply/1},
     {'handshake.byte_by_byte', "a handshake sent byte by byte leads to a link", ?DOC, R, fun byte_by_byte/1},
     {'handshake.split_hello', "the hello may be split at every position", ?DOC, R, fun split_hello/1},
     {'handshake.split_reply', "the reply may be split at every position", ?DOC, R, fun split_reply/1},
     {'handshake.alive', "a second connection of a connected name is answered alive", ?UTIL, R, fun alive/1},
     {'handshake.alive_true', "alive answered true: the new link replaces the old one", ?UTIL, [raw, {from, 25}], fun alive_true/1},
     {'handshake.alive_false', "alive answered false: the old link stays", ?UTIL, R, fun alive_false/1},
     {'handshake.alive_wrong_cookie', "an impostor with a wrong cookie does not cut the link", "dist_util.erl (25)", [raw, {from, 25}], fun alive_wrong_cookie/1},
     {'handshake.alive_nonsense', "alive answered with nonsense: the old link stays", ?UTIL, R, fun alive_nonsense/1},
     {'handshake.own_name', "a peer with the node's own name gets no link", ?UTIL, R, fun own_name/1},
     {'handshake.reconnect', "a peer may come back at once with another creation", ?UTIL, R, fun reconnect/1},
     {'handshake.many_at_once', "20 peers may shake hands at the same time", ?UTIL, R, fun many_at_once/1},
     {'handshake.slow_peer', "a peer that says nothing is dropped after the setup time (7 s), and delays nobody", "dist_util.erl net_setuptime",
      [raw, slow, {timeout, 30000}], fun slow_peer/1},
     {'handshake.dynamic_name', "a peer that asks for a name gets one, and NAME_ME is echoed", "erl_dist_protocol.html NAME_ME (23)",
      [raw, {needs, [dynamic_names]}], fun dynamic_name/1},
     {'handshake.dynamic_names_differ', "two such peers get different names", "erl_dist_protocol.html NAME_ME (23)",
      [raw, {needs, [dynamic_names]}], fun dynamic_names_differ/1},
     {'handshake.dynamic_name_again', "a name that is free again goes to the next that asks from that host, with the next creation",
      "net_kernel.erl, dyn_name_pool", [raw, {needs, [dynamic_names]}], fun dynamic_name_again/1},
     {'handshake.dynamic_name_host', "a peer that asks for a name and says a name with @ as its host gets none",
      "net_kernel.erl, ensure_node_name", [raw, {needs, [dynamic_names]}], fun dynamic_name_host/1}]
        ++ [{list_to_atom("handshake.refuses_" ++ Id), "a hello with " ++ What ++ " gets no link", ?UTIL, R, fun(T) -> refused_hello(T, Make) end}
            || {Id, What, Make} <- bad_hellos()].

dialler() ->
    R = [raw, {needs, [connect]}],
    [{'handshake.dial', "it dials: a whole handshake leads to a link", ?DOC, [raw, {needs, [connect]}, {varies, [visible]}], fun dial/1},
     {'handshake.dial_hello', "its hello is v6, with its name and creation and nothing behind", ?DOC, R, fun dial_hello/1},
     {'handshake.dial_same_flags', "it offers the same flags as dialler and as acceptor", ?DOC, R, fun dial_same_flags/1},
     {'handshake.dial_published', "it offers PUBLISHED exactly when it is visible", ?DOC, [raw, {needs, [connect]}, {varies, [visible]}], fun dial_published/1},
     {'handshake.dial_reply', "its reply is a challenge and the right digest", ?DOC, R, fun dial_reply/1},
     {'handshake.dial_digest_edges', "its digest is right for challenge 0 and for challenge 2^32-1", ?DOC, R, fun dial_digest_edges/1},
     {'handshake.dial_waits_for_ack', "it sends nothing between its reply and our ack", ?UTIL, R, fun dial_waits_for_ack/1},
     {'handshake.dial_wrong_ack', "it closes on a wrong digest in the ack", ?DOC, R, fun(T) -> dial_refused(T, "ok", fun wrong_ack/2) end},
     {'handshake.dial_short_ack', "it closes on a short ack", ?DOC, R, fun(T) -> dial_refused(T, "ok", fun short_ack/2) end},
     {'handshake.dial_mirrored', "its own challenge, handed back by whom it dials, is not answered", "reliability: challenge relay; OTP answers it",
      [{otp_fails, [23, 25, 27, 29]} | R], fun dial_mirrored/1},
     {'handshake.dial_wrong_name', "it closes when the challenge names another node", ?UTIL, R, fun dial_wrong_name/1},
     {'handshake.dial_challenge_tail', "bytes behind the name in the challenge are skipped", ?DOC, R, fun dial_challenge_tail/1},
     {'handshake.dial_ok_simultaneous', "ok_simultaneous is as good as ok", ?DOC, R, fun dial_ok_simultaneous/1},
     {'handshake.dial_alive', "it answers alive with true and goes on", ?UTIL, R, fun dial_alive/1},
     {'handshake.dial_nok_then_accept', "after nok it takes the connection that the peer dials", ?UTIL, R, fun dial_nok_then_accept/1},
     {'handshake.dial_byte_by_byte', "it takes a handshake that comes byte by byte", ?DOC, R, fun dial_byte_by_byte/1},
     {'handshake.dial_ack_with_data', "the ack and the first packets may come in one segment", "inet_tcp_dist.erl", R, fun dial_ack_with_data/1},
     {'handshake.dial_peer_silent', "a peer that accepts and says nothing is given up after the setup time (7 s)", "dist_util.erl net_setuptime",
      [raw, slow, {needs, [connect]}, {timeout, 30000}], fun dial_peer_silent/1},
     {'handshake.tie_greater_peer', "both dial, the peer's name is greater: ok_simultaneous, and the own attempt ends", ?UTIL, R, fun tie_greater_peer/1},
     {'handshake.tie_smaller_peer', "both dial, the peer's name is smaller: nok, and the own attempt goes on", ?UTIL, R, fun tie_smaller_peer/1}]
        ++ [{list_to_atom("handshake.dial_" ++ Id), "it gives up when the status is " ++ Id, ?UTIL, R,
             fun(T) -> dial_refused(T, Status, fun(_, S) -> S end) end}
            || {Id, Status} <- [{"not_allowed", "not_allowed"}, {"unknown_status", "whatever"}, {"status_prefix", "ok2"}, {"empty_status", ""}]].

%% Names of ours that sort before and after the node's.
smaller() -> cf:unique("aaa").
greater() -> cf:unique("zzz").
at(Name) -> list_to_atom(atom_to_list(Name) ++ "@127.0.0.1").

me(T) -> cf_fake:identity(T, #{}).

accept(T) -> cf_fake:fence(cf_fake:dial(T, #{})).

status_ok(T) ->
    {status, _, Status} = cf_hs:dial_until(status, maps:get(nut, T), me(T)),
    cf:same(<<"ok">>, Status).

challenge(T) ->
    {challenge, S, C} = cf_hs:dial_until(challenge, maps:get(nut, T), me(T)),
    {S, C}.

challenge_name(#{nut := Nut} = T) ->
    {_, #{name := Name}} = challenge(T),
    cf:same(atom_to_list(Nut), binary_to_list(Name)).

challenge_creation(T) ->
    {_, #{creation := Creation}} = challenge(T),
    C = cf_fake:dial(T, #{}),
    {'$pid', _, _, _, Own} = cf_fake:call(C, self, []),
    cf:same(Own, Creation, "creation of its pids and of its challenge"),
    cf:check(Creation > 3, "creation ~p", [Creation]).

challenge_fresh(T) ->
    Seen = [begin {_, #{challenge := C}} = challenge(T), C end || _ <- lists:seq(1, 5)],
    cf:same(5, length(lists:usort(Seen)), "different challenges of 5").

challenge_exact(T) ->
    {_, #{tail := Tail}} = challenge(T),
    cf:same(<<>>, Tail).

%% Finish a handshake by hand with a given challenge of ours; the digest in the ack.
ack_for(#{cookie := Cookie} = T, Mine) ->
    {S, #{challenge := Theirs}} = challenge(T),
    ok = cf_hs:send(S, cf_hs:reply(Mine, cf_hs:digest(Cookie, Theirs))),
    {ok, <<97, Digest/binary>>} = cf_hs:recv(S),
    Digest.

ack_digest(#{cookie := Cookie} = T) -> cf:same(cf_hs:digest(Cookie, 4711), ack_for(T, 4711)).

ack_digest_edges(#{cookie := Cookie} = T) ->
    [cf:same(cf_hs:digest(Cookie, N), ack_for(T, N), "digest") || N <- [0, 16#ffffffff, 16#80000000]].

old_hello(T) ->
    C = cf_fake:dial(T, #{hello => 5}),
    cf_fake:fence(C).

hello_tail(#{nut := Nut, epmd := Epmd, cookie := Cookie} = T) ->
    #{name := Name, flags := Flags, creation := Creation} = Me = me(T),
    {ok, S} = cf_hs:open(Nut, Epmd),
    ok = cf_hs:send(S, [cf_hs:name6(Name, Flags, Creation), "future"]),
    finish(S, Cookie, Me, T).

%% From the status on to a link that answers.
finish(S, Cookie, #{flags := Flags} = Me, _) ->
    {ok, <<"sok">>} = cf_hs:recv(S),
    {ok, Body} = cf_hs:recv(S),
    {challenge, #{challenge := Theirs, flags := Offered}} = cf_hs:parse(Body),
    ok = cf_hs:send(S, cf_hs:reply(1, cf_hs:digest(Cookie, Theirs))),
    {ok, <<97, _/binary>>} = cf_hs:recv(S),
    C = cf_fake:adopt(S, #{my_name => maps:get(name, Me), my_creation => maps:get(creation, Me), flags => Flags band Offered}, Me),
    cf_fake:fence(C).

refuses_reply(T, Make) ->
    {S, #{challenge := Theirs}} = challenge(T),
    ok = cf_hs:send(S, Make(Theirs)),
    cf:same(true, cf_hs:is_closed(S), "closed without a word").

wrong_cookie(T) -> refuses_reply(T, fun(Theirs) -> cf_hs:reply(1, cf_hs:digest(not_the_cookie, Theirs)) end).
replayed_digest(#{cookie := Cookie} = T) -> refuses_reply(T, fun(Theirs) -> cf_hs:reply(1, cf_hs:digest(Cookie, Theirs bxor 1)) end).
zero_digest(T) -> refuses_reply(T, fun(_) -> cf_hs:reply(1, <<0:128>>) end).
reflected_digest(T) ->
    %% We do not know the cookie; a digest of the node's own, got from a second connection, is for our number, not its.
    Other = ack_for(T, 4711),
    refuses_reply(T, fun(Theirs) -> cf_hs:reply(Theirs, Other) end).
short_reply(#{cookie := Cookie} = T) ->
    refuses_reply(T, fun(Theirs) -> <<D:15/binary, _>> = cf_hs:digest(Cookie, Theirs), cf_hs:reply(1, D) end).
ack_for_reply(#{cookie := Cookie} = T) -> refuses_reply(T, fun(Theirs) -> cf_hs:ack(cf_hs:digest(Cookie, Theirs)) end).

framed(Body) -> iolist_to_binary([<<(iolist_size(Body)):16>>, Body]).

byte_by_byte(#{nut := Nut, epmd := Epmd, cookie := Cookie} = T) ->
    #{name := Name, flags := Flags, creation := Creation} = Me = me(T),
    {ok, S} = cf_hs:open(Nut, Epmd),
    cf_fake_epmd:in_pieces(S, framed(cf_hs:name6(Name, Flags, Creation))),
    {ok, <<"sok">>} = cf_hs:recv(S),
    {ok, Body} = cf_hs:recv(S),
    {challenge, #{challenge := Theirs, flags := Offered}} = cf_hs:parse(Body),
    cf_fake_epmd:in_pieces(S, framed(cf_hs:reply(1, cf_hs:digest(Cookie, Theirs)))),
    {ok, <<97, _/binary>>} = cf_hs:recv(S),
    C = cf_fake:adopt(S, #{my_name => Name, my_creation => Creation, flags => Flags band Offered}, Me),
    cf_fake:fence(C).

%% Two segments, the second sent when the first has surely been read: the peer's TCP has acknowledged it.
in_two(S, Bytes, At) ->
    <<A:At/binary, B/binary>> = Bytes,
    ok = cf_hs:bytes(S, A),
    cf:wait("the first part is on the other side", fun() -> inet:getstat(S, [send_pend]) =:= {ok, [{send_pend, 0}]} end),
    erlang:yield(),
    ok = cf_hs:bytes(S, B).

split_hello(#{nut := Nut, epmd := Epmd} = T) ->
    Sample = framed(hello(me(T))),
    [begin
         {ok, S} = cf_hs:open(Nut, Epmd),
         in_two(S, framed(hello(me(T))), At),
         {ok, <<"sok">>} = cf_hs:recv(S),
         {ok, <<78, _/binary>>} = cf_hs:recv(S),
         gen_tcp:close(S)
     end || At <- lists:seq(1, byte_size(Sample) - 2)].

hello(#{name := Name, flags := Flags, creation := Creation}) -> cf_hs:name6(Name, Flags, Creation).

split_reply(#{cookie := Cookie} = T) ->
    [begin
         {S, #{challenge := Theirs}} = challenge(T),
         in_two(S, framed(cf_hs:reply(1, cf_hs:digest(Cookie, Theirs))), At),
         {ok, <<97, _/binary>>} = cf_hs:recv(S),
         gen_tcp:close(S)
     end || At <- lists:seq(1, 22)].

again(T, C) -> cf_hs:dial_until(status, maps:get(nut, T), cf_fake:identity(T, #{name => maps:get(name, C)})).

alive(T) ->
    C = cf_fake:dial(T, #{}),
    {status, _, Status} = again(T, C),
    cf:same(<<"alive">>, Status),
    cf_fake:fence(C).

alive_true(T) ->
    C = cf_fake:dial(T, #{}),
    New = cf_fake:dial(T, #{name => maps:get(name, C), on_alive => true}),
    cf_fake:closed(C),
    cf_fake:fence(New).

alive_false(T) ->
    C = cf_fake:dial(T, #{}),
    {status, S, <<"alive">>} = again(T, C),
    ok = cf_hs:send(S, cf_hs:status("false")),
    cf:same(true, cf_hs:is_closed(S)),
    cf_fake:fence(C).

alive_nonsense(T) ->
    C = cf_fake:dial(T, #{}),
    {status, S, <<"alive">>} = again(T, C),
    ok = cf_hs:send(S, cf_hs:status("perhaps")),
    cf:same(true, cf_hs:is_closed(S)),
    cf_fake:fence(C).

alive_wrong_cookie(T) ->
    C = cf_fake:dial(T, #{}),
    {error, ack, closed} = cf_hs:dial(maps:get(nut, T), (cf_fake:identity(T, #{name => maps:get(name, C)}))#{cookie => wrong}),
    cf_fake:fence(C).

own_name(#{nut := Nut} = T) ->
    {error, _, _} = cf_hs:dial(Nut, cf_fake:identity(T, #{name => Nut})),
    accept(T).

reconnect(T) ->
    C = cf_fake:dial(T, #{}),
    cf_fake:close(C),
    D = cf_fake:dial(T, #{name => maps:get(name, C), creation => maps:get(creation, C) + 1, on_alive => true}),
    cf_fake:fence(D).

many_at_once(T) ->
    Half = [begin {S, _} = Made = challenge(T), true = is_port(S), Made end || _ <- lists:seq(1, 20)],
    accept(T),
    [begin
         ok = cf_hs:send(S, cf_hs:reply(1, cf_hs:digest(maps:get(cookie, T), Theirs))),
         {ok, <<97, _/binary>>} = cf_hs:recv(S)
     end || {S, #{challenge := Theirs}} <- lists:reverse(Half)].

slow_peer(#{nut := Nut, epmd := Epmd} = T) ->
    {ok, Silent} = cf_hs:open(Nut, Epmd),
    {ok, Partial} = cf_hs:open(Nut, Epmd),
    ok = cf_hs:bytes(Partial, <<0>>),
    {NoReply, _} = challenge(T),
    Clocks = [cf:clock() || _ <- [silent, partial, no_reply]],
    accept(T),
    Waits = [begin
                 Closed = gen_tcp:recv(S, 0, cf:ms(15000)),
                 {Closed, cf:took(Began)}
             end || {S, Began} <- lists:zip([Silent, Partial, NoReply], Clocks)],
    [cf:check(element(1, Got) =:= error andalso element(2, Got) =/= timeout andalso Ms > 4000 andalso Net < 12000,
              "closed ~p after ~p ms", [Got, Ms]) || {Got, {Ms, Net}} <- Waits].

name_me(T) ->
    Me = cf_fake:identity(T, #{}),
    Me#{name => '127.0.0.1', creation => 0, flags => maps:get(flags, Me) bor (1 bsl 33)}.

named(T) ->
    {status, S, <<"named:", N:16, Name:N/binary, Creation:32, _/binary>>} =
        cf_hs:dial_until(status, maps:get(nut, T), name_me(T)),
    {S, Name, Creation}.

dynamic_name(T) ->
    {_, _, C} = named_link(T),
    cf_fake:fence(C).

named_link(#{cookie := Cookie} = T) ->
    {S, Name, Creation} = named(T),
    {match, _} = re:run(Name, "^[^@]+@127\\.0\\.0\\.1$"),
    {ok, Body} = cf_hs:recv(S),
    {challenge, #{flags := Offered, challenge := Theirs}} = cf_hs:parse(Body),
    cf:check(Offered band (1 bsl 33) =/= 0, "NAME_ME is not echoed in the flags ~.16b", [Offered]),
    ok = cf_hs:send(S, cf_hs:reply(1, cf_hs:digest(Cookie, Theirs))),
    {ok, <<97, _/binary>>} = cf_hs:recv(S),
    #{flags := Flags} = Me = name_me(T),
    {Name, Creation, cf_fake:adopt(S, #{my_name => binary_to_atom(Name, utf8), my_creation => Creation, flags => Flags band Offered}, Me)}.

%% The node learns of each end in its own time, and until then the name is not free.
dynamic_name_again(T) ->
    put(given, []),
    cf:wait("a name that was given before", fun() -> is_again(named_link(T)) end),
    accept(T).

is_again({Name, Creation, C}) ->
    cf_fake:fence(C),
    cf_fake:close(C),
    Given = put(given, [{Name, Creation} | get(given)]),
    case lists:keyfind(Name, 1, Given) of
        {_, Before} -> cf:same((Before + 1) band 16#ffffffff, Creation), true;
        false -> false
    end.

dynamic_name_host(T) ->
    Me = name_me(T),
    {error, _, closed} = cf_hs:dial_until(status, maps:get(nut, T), Me#{name => 'x@127.0.0.1'}),
    accept(T).

dynamic_names_differ(T) ->
    {_, A, _} = named(T),
    {_, B, _} = named(T),
    cf:check(A =/= B, "both are called ~s", [A]).

%% Each makes the body of a first message that no link may come from.
bad_hellos() ->
    V6 = fun(Name) -> fun(#{flags := F, creation := C}) -> cf_hs:name6(Name, F, C) end end,
    [{"no_at", "a name without @", V6("nohost")},
     {"no_alive_part", "a name that begins with @", V6("@127.0.0.1")},
     {"no_host_part", "a name that ends with @", V6("name@")},
     {"two_ats", "a name with two @", V6("a@b@127.0.0.1")},
     {"empty_name", "an empty name", V6("")},
     {"long_name", "a name of 300 characters", V6(lists:duplicate(290, $n) ++ "@127.0.0.1")},
     {"name_length_beyond", "a name length that goes beyond the message",
      fun(#{flags := F, creation := C}) -> [78, <<F:64, C:32, 200:16>>, "short@127.0.0.1"] end},
     {"name_length_huge", "a name length of 65535",
      fun(#{flags := F, creation := C}) -> [78, <<F:64, C:32, 65535:16>>, "short@127.0.0.1"] end},
     {"short_v6", "v6 cut inside the flags", fun(_) -> <<78, 0, 0, 0>> end},
     {"short_v6_creation", "v6 cut inside the creation", fun(#{flags := F}) -> <<78, F:64, 0>> end},
     {"short_v5", "v5 cut inside the flags", fun(_) -> <<110, 0, 5, 0>> end},
     {"unknown_tag", "an unknown first byte", fun(_) -> <<"Xhello">> end},
     {"empty_message", "no body at all", fun(_) -> <<>> end},
     {"one_byte", "nothing but the N", fun(_) -> <<78>> end},
     {"status_first", "a status in its place", fun(_) -> <<"sok">> end},
     {"reply_first", "a reply in its place", fun(_) -> cf_hs:reply(1, <<0:128>>) end},
     {"ack_first", "an ack in its place", fun(_) -> cf_hs:ack(<<0:128>>) end},
     {"http", "the beginning of an HTTP request", fun(_) -> <<"T / HTTP/1.1\r\nHost: x\r\n\r\n">> end}].

refused_hello(#{nut := Nut, epmd := Epmd} = T, Make) ->
    {ok, S} = cf_hs:open(Nut, Epmd),
    ok = cf_hs:send(S, Make(me(T))),
    case cf_hs:recv(S) of
        closed -> ok;
        {ok, <<"snot_allowed">>} -> ok;
        {ok, <<"snok">>} -> ok;
        Other -> cf:fail("the answer was ~p", [Other])
    end,
    accept(T).

cuts() -> [{"connected", "right after connecting", open}, {"hello", "after the hello", name}, {"status", "after the status", status},
           {"challenge", "after the challenge", challenge}, {"reply", "after its reply", reply}, {"up", "right after the ack", up}].

cut(#{nut := Nut, epmd := Epmd} = T, open) -> [begin {ok, S} = cf_hs:open(Nut, Epmd), gen_tcp:close(S) end || _ <- lists:seq(1, 10)], accept(T);
cut(#{nut := Nut} = T, Step) ->
    [begin {Step, S, _} = cf_hs:dial_until(Step, Nut, me(T)), inet:setopts(S, [{linger, {true, 0}}]), gen_tcp:close(S) end || _ <- lists:seq(1, 10)],
    accept(T).

%% Dialling side. Have the node dial us and give the socket that it came on; asking goes over a link of its own.
dialled(T) -> dialled(T, #{}).
dialled(T, Overrides) ->
    Asker = cf_fake:dial(T, #{}),
    P = cf_fake:puppet(Asker),
    #{name := Name, listener := L} = Me = cf_fake:listen(T, Overrides),
    Ref = cf_fake:ref(Asker),
    cf_fake:to(Asker, P, {connect, cf_fake:pid(Asker), Ref, [Name]}),
    case gen_tcp:accept(L, cf:ms(8000)) of
        {ok, S} ->
            {ok, Hello} = cf_hs:recv(S),
            Result = fun() -> cf_fake:take(Asker, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end, 12000) end,
            {S, Hello, Me, Result};
        {error, Why} -> cf:fail("the node does not dial ~s: ~p", [Name, Why])
    end.

hello_of(<<78, Flags:64, Creation:32, N:16, Name:N/binary, Tail/binary>>) ->
    #{kind => 6, flags => Flags, creation => Creation, name => Name, tail => Tail};
hello_of(<<110, 5:16, Flags:32, Name/binary>>) ->
    #{kind => 5, flags => Flags, name => Name, tail => <<>>}.

%% Our side's next steps.
send_challenge(S, #{name := Name, flags := Flags, creation := Creation}, Number) ->
    ok = cf_hs:send(S, cf_hs:challenge6(Name, Flags, Number, Creation)).

reply_of(S) ->
    {ok, <<114, Theirs:32, Digest:16/binary>>} = cf_hs:recv(S),
    {Theirs, Digest}.

go_up(S, Hello, #{cookie := Cookie, flags := Flags, name := Name, creation := Creation} = Me, Result) ->
    send_challenge(S, Me, 77),
    {Theirs, Digest} = reply_of(S),
    cf:same(cf_hs:digest(Cookie, 77), Digest, "digest"),
    ok = cf_hs:send(S, cf_hs:ack(cf_hs:digest(Cookie, Theirs))),
    #{flags := Offered} = hello_of(Hello),
    C = cf_fake:adopt(S, #{my_name => Name, my_creation => Creation, flags => Flags band Offered}, Me),
    cf:same(true, Result(), "connect"),
    cf_fake:fence(C).

dial(T) ->
    {S, Hello, Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    go_up(S, Hello, Me, Result).

dial_hello(#{nut := Nut} = T) ->
    {_, Hello, _, _} = dialled(T),
    #{kind := Kind, name := Name, tail := Tail, creation := Creation} = hello_of(Hello),
    cf:same({6, atom_to_list(Nut), <<>>}, {Kind, binary_to_list(Name), Tail}),
    {_, #{creation := Own}} = challenge(T),
    cf:same(Own, Creation, "creation as dialler and as acceptor").

dial_same_flags(T) ->
    {_, Hello, _, _} = dialled(T),
    {_, #{flags := Own}} = challenge(T),
    #{flags := Flags} = hello_of(Hello),
    cf:same(Own, Flags, "flags").

dial_published(#{visible := Visible} = T) ->
    {_, Hello, _, _} = dialled(T),
    #{flags := Flags} = hello_of(Hello),
    cf:same(Visible, Flags band 1 =:= 1, "PUBLISHED").

dial_reply(#{cookie := Cookie} = T) ->
    {S, _, Me, _} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    send_challenge(S, Me, 123456),
    {_, Digest} = reply_of(S),
    cf:same(cf_hs:digest(Cookie, 123456), Digest).

dial_digest_edges(#{cookie := Cookie} = T) ->
    [begin
         {S, _, Me, _} = dialled(T),
         ok = cf_hs:send(S, cf_hs:status("ok")),
         send_challenge(S, Me, N),
         {_, Digest} = reply_of(S),
         cf:same(cf_hs:digest(Cookie, N), Digest, "digest"),
         gen_tcp:close(S)
     end || N <- [0, 16#ffffffff, 16#80000000]].

dial_waits_for_ack(T) ->
    {S, Hello, #{cookie := Cookie, flags := Flags, name := Name, creation := Creation} = Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    send_challenge(S, Me, 5),
    {Theirs, _} = reply_of(S),
    {error, timeout} = gen_tcp:recv(S, 1, 100),
    ok = cf_hs:send(S, cf_hs:ack(cf_hs:digest(Cookie, Theirs))),
    #{flags := Offered} = hello_of(Hello),
    C = cf_fake:adopt(S, #{my_name => Name, my_creation => Creation, flags => Flags band Offered}, Me),
    true = Result(),
    cf_fake:fence(C).

%% The node gives up: closes, and its connect is false.
dial_refused(T, Status, Act) ->
    {S, _, Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status(Status)),
    Act(Me, S),
    cf:same(true, cf_hs:is_closed(S), "closed"),
    cf:same(false, Result(), "connect"),
    accept(T).

wrong_ack(Me, S) ->
    send_challenge(S, Me, 5),
    {_, _} = reply_of(S),
    ok = cf_hs:send(S, cf_hs:ack(<<1:128>>)).

short_ack(#{cookie := Cookie} = Me, S) ->
    send_challenge(S, Me, 5),
    {Theirs, _} = reply_of(S),
    <<Short:15/binary, _>> = cf_hs:digest(Cookie, Theirs),
    ok = cf_hs:send(S, cf_hs:ack(Short)).

%% We hand the dialling node the challenge that it gave us when we dialled it under another name: its answer there would
%% be all that we need here, without the cookie.
dial_mirrored(#{nut := Nut} = T) ->
    {challenge, S, #{challenge := Mirrored}} = cf_hs:dial_until(challenge, Nut, cf_fake:identity(T, #{})),
    dial_refused(T, "ok", fun(Me, Dialled) -> send_challenge(Dialled, Me, Mirrored) end),
    cf_hs:close(S).

dial_wrong_name(T) ->
    dial_refused(T, "ok", fun(Me, S) -> send_challenge(S, Me#{name => 'somebody_else@127.0.0.1'}, 5) end).

dial_challenge_tail(T) ->
    {S, Hello, #{name := Name, flags := Flags, creation := Creation, cookie := Cookie} = Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    ok = cf_hs:send(S, [cf_hs:challenge6(Name, Flags, 9, Creation), "future"]),
    {Theirs, _} = reply_of(S),
    ok = cf_hs:send(S, cf_hs:ack(cf_hs:digest(Cookie, Theirs))),
    #{flags := Offered} = hello_of(Hello),
    C = cf_fake:adopt(S, #{my_name => Name, my_creation => Creation, flags => Flags band Offered}, Me),
    true = Result(),
    cf_fake:fence(C).

dial_ok_simultaneous(T) ->
    {S, Hello, Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("ok_simultaneous")),
    go_up(S, Hello, Me, Result).

dial_alive(T) ->
    {S, Hello, Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("alive")),
    {ok, <<"strue">>} = cf_hs:recv(S),
    go_up(S, Hello, Me, Result).

dial_nok_then_accept(T) ->
    {S, _, Me, Result} = dialled(T, #{name => at(greater())}),
    {ok, Mine} = cf_hs:open(maps:get(nut, T), maps:get(epmd, T)),
    ok = cf_hs:send(Mine, hello(Me)),
    {ok, <<"sok_simultaneous">>} = cf_hs:recv(Mine),
    cf_hs:send(S, cf_hs:status("nok")),
    {ok, Body} = cf_hs:recv(Mine),
    up_from_challenge(Mine, Body, Me),
    cf:same(true, Result(), "connect").

up_from_challenge(S, Body, #{cookie := Cookie, flags := Flags} = Me) ->
    {challenge, #{challenge := Theirs, flags := Offered}} = cf_hs:parse(Body),
    ok = cf_hs:send(S, cf_hs:reply(1, cf_hs:digest(Cookie, Theirs))),
    {ok, <<97, _/binary>>} = cf_hs:recv(S),
    C = cf_fake:adopt(S, #{my_name => maps:get(name, Me), my_creation => maps:get(creation, Me), flags => Flags band Offered}, Me),
    cf_fake:fence(C).

dial_byte_by_byte(#{cookie := Cookie} = T) ->
    {S, Hello, #{name := Name, flags := Flags, creation := Creation} = Me, Result} = dialled(T),
    cf_fake_epmd:in_pieces(S, framed(cf_hs:status("ok"))),
    cf_fake_epmd:in_pieces(S, framed(cf_hs:challenge6(Name, Flags, 9, Creation))),
    {Theirs, _} = reply_of(S),
    cf_fake_epmd:in_pieces(S, framed(cf_hs:ack(cf_hs:digest(Cookie, Theirs)))),
    #{flags := Offered} = hello_of(Hello),
    C = cf_fake:adopt(S, #{my_name => Name, my_creation => Creation, flags => Flags band Offered}, Me),
    true = Result(),
    cf_fake:fence(C).

dial_ack_with_data(#{cookie := Cookie} = T) ->
    {S, Hello, #{name := Name, flags := Flags, creation := Creation} = Me, Result} = dialled(T),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    send_challenge(S, Me, 9),
    {Theirs, _} = reply_of(S),
    #{flags := Offered} = hello_of(Hello),
    Wire = cf_wire:new(Flags band Offered),
    From = {'$pid', Name, 7, 0, Creation}, Ref = {'$ref', Name, Creation, [1, 2, 3]},
    Packet = cf_wire:packet(Wire, {6, From, '', conformance}, {echo, From, Ref, [first]}),
    ok = cf_hs:bytes(S, [framed(cf_hs:ack(cf_hs:digest(Cookie, Theirs))), <<0:32>>, cf_wire:frame(Packet)]),
    C = cf_fake:adopt(S, #{my_name => Name, my_creation => Creation, flags => Flags band Offered}, Me),
    cf_fake:take(C, fun({signal, _, {R, first}, _}) when R =:= Ref -> ok end),
    true = Result().

dial_peer_silent(T) ->
    {S, _, _, Result} = dialled(T),
    Began = cf:clock(),
    cf:same({error, closed}, gen_tcp:recv(S, 1, cf:ms(15000))),
    {Ms, Net} = cf:took(Began),
    cf:check(Ms > 4000 andalso Net < 12000, "gave up after ~p ms", [Ms]),
    false = Result().

%% Its attempt to us waits for our status while we dial it.
tie(T, Name) ->
    {S, Hello, Me, Result} = dialled(T, #{name => at(Name)}),
    {ok, Mine} = cf_hs:open(maps:get(nut, T), maps:get(epmd, T)),
    ok = cf_hs:send(Mine, hello(Me)),
    {ok, Status} = cf_hs:recv(Mine),
    {S, Mine, Status, Hello, Me, Result}.

tie_greater_peer(T) ->
    {S, Mine, Status, _, Me, Result} = tie(T, greater()),
    cf:same(<<"sok_simultaneous">>, Status),
    cf:same(true, cf_hs:is_closed(S), "its own attempt is closed"),
    {ok, Body} = cf_hs:recv(Mine),
    up_from_challenge(Mine, Body, Me),
    cf:same(true, Result(), "connect").

tie_smaller_peer(T) ->
    {S, _, Status, Hello, Me, Result} = tie(T, smaller()),
    cf:same(<<"snok">>, Status),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    go_up(S, Hello, Me, Result).
