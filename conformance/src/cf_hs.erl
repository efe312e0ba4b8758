%% SPDX-License-Identifier: Apache-2.0
%% The handshake by hand (erl_dist_protocol.html "Distribution Handshake"): each message can be sent, withheld or
%% spoilt on its own. Sockets are passive and raw; both roles.
-module(cf_hs).
-export([flags/1, hidden/1, mandatory/1, without/2, digest/2]).
-export([open/2, open/3, send/2, bytes/2, recv/1, recv/2, is_closed/1, close/1]).
-export([name6/3, name5/2, challenge6/4, challenge5/3, reply/2, ack/1, status/1, complement/2, parse/1, parse_name/1]).
-export([dial/2, dial_until/3, answer/2, answer_from/3, listen/2]).

%% Well under a peer's setup time (7 s), so that being given up is not taken for being refused.
-define(TIMEOUT, 5000).

%% What a visible node of each release offers (seen on the wire).
flags(23) -> 16#101df7fbd;
flags(24) -> 16#d03df7fbd;
flags(R) when R >= 25, R =< 27 -> 16#d07df7fbd;
flags(28) -> 16#2d07df7fbd;
flags(R) when R >= 29 -> 16#6d07df7fbd.

hidden(Flags) -> Flags band bnot 1.
without(Flags, Bits) -> Flags band bnot Bits.

%% What each release demands (dist.hrl / dist.h DFLAG_DIST_MANDATORY).
mandatory(R) when R < 25 -> 16#50184;
mandatory(25) -> 16#1070f94;
mandatory(_) -> 16#403070f94.

digest(Cookie, Challenge) ->
    erlang:md5([atom_to_list(Cookie), integer_to_list(Challenge)]).

%% A connection to a node that epmd knows, or to {Host, Port}.
open(Node, EpmdPort) -> open(Node, EpmdPort, []).
open({Host, Port}, _, Options) ->
    gen_tcp:connect(Host, Port, [binary, {active, false}, {packet, 0}, {nodelay, true} | Options], ?TIMEOUT);
open(Node, EpmdPort, Options) ->
    [Alive, Host] = string:tokens(atom_to_list(Node), "@"),
    case cf_epmd:port2(EpmdPort, Alive) of
        {ok, #{port := Port}} ->
            {ok, Address} = inet:getaddr(Host, inet),
            open({Address, Port}, EpmdPort, Options);
        Error -> Error
    end.

send(S, Body) -> gen_tcp:send(S, [<<(iolist_size(Body)):16>>, Body]).
bytes(S, Bytes) -> gen_tcp:send(S, Bytes).
close(S) -> gen_tcp:close(S).

%% {ok, Body} | closed | timeout
recv(S) -> recv(S, ?TIMEOUT).
recv(S, Timeout) ->
    case gen_tcp:recv(S, 2, Timeout) of
        {ok, <<0:16>>} -> {ok, <<>>};
        {ok, <<N:16>>} ->
            case gen_tcp:recv(S, N, Timeout) of
                {ok, Body} -> {ok, Body};
                {error, timeout} -> timeout;
                {error, _} -> closed
            end;
        {error, timeout} -> timeout;
        {error, _} -> closed
    end.

%% True when the peer closes without a further byte.
is_closed(S) ->
    case gen_tcp:recv(S, 0, ?TIMEOUT) of
        {error, timeout} -> still_open;
        {error, _} -> true;
        {ok, Bytes} -> {got, Bytes}
    end.

name6(Name, Flags, Creation) ->
    N = text(Name), [78, <<Flags:64, Creation:32, (byte_size(N)):16>>, N].
name5(Name, Flags) -> [110, <<5:16, Flags:32>>, text(Name)].
challenge6(Name, Flags, Challenge, Creation) ->
    N = text(Name), [78, <<Flags:64, Challenge:32, Creation:32, (byte_size(N)):16>>, N].
challenge5(Name, Flags, Challenge) -> [110, <<5:16, Flags:32, Challenge:32>>, text(Name)].
status(Text) -> [115, Text].
complement(FlagsHigh, Creation) -> <<99, FlagsHigh:32, Creation:32>>.
reply(Challenge, Digest) -> [114, <<Challenge:32>>, Digest].
ack(Digest) -> [97, Digest].

text(Name) when is_atom(Name) -> list_to_binary(atom_to_list(Name));
text(Name) -> iolist_to_binary(Name).

%% As a dialler sees and as an acceptor sees: the two 'N' messages differ in length only.
parse(<<115, Status/binary>>) -> {status, Status};
parse(<<78, Flags:64, Challenge:32, Creation:32, N:16, Name:N/binary, Tail/binary>>) ->
    {challenge, #{flags => Flags, challenge => Challenge, creation => Creation, name => Name, tail => Tail}};
parse(<<110, 5:16, Flags:32, Challenge:32, Name/binary>>) ->
    {challenge5, #{flags => Flags, challenge => Challenge, name => Name}};
parse(<<99, High:32, Creation:32>>) -> {complement, #{flags => High bsl 32, creation => Creation}};
parse(<<114, Challenge:32, Digest:16/binary>>) -> {reply, #{challenge => Challenge, digest => Digest}};
parse(<<97, Digest:16/binary>>) -> {ack, Digest};
parse(Other) -> {unknown, Other}.

parse_name(<<78, Flags:64, Creation:32, N:16, Name:N/binary, Tail/binary>>) ->
    {name6, #{flags => Flags, creation => Creation, name => Name, tail => Tail}};
parse_name(<<110, Version:16, Flags:32, Name/binary>>) ->
    {name5, #{version => Version, flags => Flags, name => Name}};
parse_name(Other) -> {unknown, Other}.

%% The whole handshake as the dialling side. Options: name, flags, creation, cookie, epmd; hello => 5 for the old
%% hello; on_alive => true | false. {ok, Socket, Peer} | {error, Step, What}; Peer: flags negotiated, offered, …
dial(Node, Options) ->
    case dial_until(up, Node, Options) of
        {up, S, Peer} -> {ok, S, Peer};
        Error -> Error
    end.

%% Stop at a step: name (sent), status, challenge, reply (sent), up. {Step, Socket, What} | {error, Step, What}.
dial_until(Step, Node, #{epmd := Epmd} = O) ->
    case open(Node, Epmd) of
        {ok, S} -> send_name(Step, S, O);
        {error, Why} -> {error, open, Why}
    end.

send_name(Step, S, #{name := Name, flags := Flags, creation := Creation} = O) ->
    Hello = case maps:get(hello, O, 6) of
                6 -> name6(Name, Flags, Creation);
                5 -> name5(Name, Flags band 16#ffffffff)
            end,
    ok = send(S, Hello),
    if Step =:= name -> {name, S, Hello}; true -> await_status(Step, S, O) end.

await_status(Step, S, O) ->
    case recv(S) of
        {ok, <<115, Status/binary>>} when Step =:= status -> {status, S, Status};
        {ok, <<"s", Ok/binary>>} when Ok =:= <<"ok">>; Ok =:= <<"ok_simultaneous">> -> await_challenge(Step, S, O);
        {ok, <<"salive">>} ->
            ok = send(S, status(atom_to_list(maps:get(on_alive, O, true)))),
            await_challenge(Step, S, O);
        {ok, <<"snamed:", N:16, Name:N/binary, Creation:32, _/binary>>} ->
            await_challenge(Step, S, O#{name => binary_to_atom(Name, utf8), creation => Creation});
        Other -> {error, status, Other}
    end.

await_challenge(Step, S, #{flags := Flags, cookie := Cookie} = O) ->
    case recv(S) of
        {ok, Body} ->
            case parse(Body) of
                {challenge, C} when Step =:= challenge -> {challenge, S, C};
                {challenge, #{flags := Offered, challenge := Theirs} = C} ->
                    case maps:get(hello, O, 6) of
                        5 -> ok = send(S, complement(Flags bsr 32, maps:get(creation, O)));
                        6 -> ok
                    end,
                    Mine = rand:uniform(16#ffffffff),
                    ok = send(S, reply(Mine, digest(Cookie, Theirs))),
                    Peer = C#{offered => Offered, flags => Flags band expand(Offered),
                              my_name => maps:get(name, O), my_creation => maps:get(creation, O)},
                    if Step =:= reply -> {reply, S, Peer#{mine => Mine}};
                       true -> await_ack(S, Mine, Cookie, Peer)
                    end;
                Other -> {error, challenge, Other}
            end;
        Other -> {error, challenge, Other}
    end.

await_ack(S, Mine, Cookie, Peer) ->
    Digest = digest(Cookie, Mine),
    case recv(S) of
        {ok, <<97, Digest:16/binary>>} -> {up, S, Peer};
        {ok, Other} -> {error, ack, parse(Other)};
        Other -> {error, ack, Other}
    end.

%% MANDATORY_25_DIGEST stands for the whole set of OTP 25.
expand(Flags) when Flags band 16#4000000 =/= 0 -> Flags bor 16#1070f94;
expand(Flags) -> Flags.

listen(Name, EpmdPort) ->
    {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {packet, 0}, {nodelay, true}, {ip, {127,0,0,1}}]),
    {ok, Port} = inet:port(L),
    [Alive, _] = string:tokens(atom_to_list(Name), "@"),
    case cf_epmd:alive2(EpmdPort, Alive, Port, #{type => 72}) of
        {ok, E, Creation} -> {ok, L, E, Creation};
        Error -> Error
    end.

%% The whole handshake as the accepting side.
answer(L, O) ->
    case gen_tcp:accept(L, ?TIMEOUT) of
        {ok, S} ->
            case recv(S) of
                {ok, Body} -> answer_from(S, parse_name(Body), O);
                Other -> {error, name, Other}
            end;
        {error, Why} -> {error, accept, Why}
    end.

%% From after the name on; {Kind, Name} as parse_name gives it. Options: status (default "ok").
answer_from(S, {Kind, #{name := PeerName, flags := Offered} = Hello}, O) when Kind =:= name6; Kind =:= name5 ->
    #{name := Name, flags := Flags, creation := Creation, cookie := Cookie} = O,
    ok = send(S, status(maps:get(status, O, "ok"))),
    Mine = rand:uniform(16#ffffffff),
    ok = send(S, challenge6(Name, Flags, Mine, Creation)),
    High = case Kind of
               name6 -> {ok, 0, maps:get(creation, Hello, 0)};
               name5 ->
                   case recv(S) of
                       {ok, <<99, H:32, C:32>>} -> {ok, H bsl 32, C};
                       Other -> Other
                   end
           end,
    Digest = digest(Cookie, Mine),
    case {High, recv(S)} of
        {{ok, Bits, PeerCreation}, {ok, <<114, Theirs:32, Digest:16/binary>>}} ->
            ok = send(S, ack(digest(Cookie, Theirs))),
            {ok, S, #{name => PeerName, flags => Flags band expand(Offered bor Bits), offered => Offered bor Bits,
                      creation => PeerCreation, hello => Kind, my_name => Name, my_creation => Creation,
                      tail => maps:get(tail, Hello, <<>>)}};
        {{ok, _, _}, {ok, Other1}} -> {error, reply, parse(Other1)};
        {{ok, _, _}, Other1} -> {error, reply, Other1};
        {Other1, _} -> {error, complement, Other1}
    end;
answer_from(_, Other, _) -> {error, name, Other}.
