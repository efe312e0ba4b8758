%% SPDX-License-Identifier: Apache-2.0
%% Records what a real OTP node sends, for the C room's unit tests and fuzzing: a fake node stands on the other end
%% of the wire and the bytes go to corpus/<release>/<kind>/NNN-name.bin, with a line each in corpus/<release>/INDEX.
-module(cf_record).
-export([main/3]).

-define(COOKIE, 'corpus').

main(Release, Erl, Out) ->
    Dir = filename:join(Out, integer_to_list(Release)),
    Epmd = cf_proc:free_port(),
    put(dir, Dir), put(count, #{}), put(index, []),
    cf_epmd:start(Epmd),
    T = cf_nut:start(#{nut => 'otp@127.0.0.1', cookie => ?COOKIE, epmd => Epmd, release => Release, visible => true,
                       dial => driver, dir => ".", job => "r",
                       command => filename:join(cf:home(), "nodes/otp/start"),
                       env => [{"NUT_ERL", Erl}, {"NUT_BEAMS", os:getenv("NUT_BEAMS")}]}),
    epmd_frames(T),
    handshakes(T),
    links(T, cached, cf_hs:flags(Release)),
    links(T, fragments, cf_hs:without(cf_hs:flags(Release), 16#2000)),
    links(T, pass, cf_hs:without(cf_hs:flags(Release), 16#802000)),
    terms(T),
    ok = file:write_file(filename:join(Dir, "INDEX"), lists:sort(get(index))),
    cf_nut:kill(T),
    io:format("OTP ~p: ~p files in ~s~n", [Release, length(get(index)), Dir]),
    halt(0).

save(Kind, Name, Bytes, What) ->
    Count = get(count),
    N = maps:get(Kind, Count, 0) + 1,
    put(count, Count#{Kind => N}),
    File = lists:flatten(io_lib:format("~s/~3..0b-~s.bin", [Kind, N, Name])),
    Path = filename:join(get(dir), File),
    ok = filelib:ensure_dir(Path),
    ok = file:write_file(Path, Bytes),
    put(index, [io_lib:format("~s\t~p\t~ts~n", [File, iolist_size(Bytes), What]) | get(index)]).

epmd_frames(#{epmd := Epmd}) ->
    save(epmd, "port2-known", cf_epmd:request(Epmd, [122, "otp"]), "PORT2_RESP of the node"),
    save(epmd, "port2-unknown", cf_epmd:request(Epmd, [122, "nobody"]), "PORT2_RESP error"),
    save(epmd, "names", cf_epmd:request(Epmd, [110]), "NAMES_RESP"),
    {ok, S} = gen_tcp:connect({127,0,0,1}, Epmd, [binary, {active, false}]),
    Body = cf_epmd:alive2_body("taker", #{port => 4711}),
    ok = gen_tcp:send(S, [<<(iolist_size(Body)):16>>, Body]),
    {ok, Answer} = gen_tcp:recv(S, 0),
    save(epmd, "alive2-accepted", Answer, "ALIVE2_X_RESP"),
    {ok, S2} = gen_tcp:connect({127,0,0,1}, Epmd, [binary, {active, false}]),
    ok = gen_tcp:send(S2, [<<(iolist_size(Body)):16>>, Body]),
    {ok, Refusal} = gen_tcp:recv(S2, 0),
    save(epmd, "alive2-taken", Refusal, "ALIVE2_X_RESP, name taken"),
    gen_tcp:close(S), gen_tcp:close(S2),
    %% What the node itself asks of an epmd: one of ours listens on a port of its own.
    ok.

%% Both roles; each message with its u16 length.
handshakes(#{release := Release} = T) ->
    Me = cf_fake:identity(T, #{flags => cf_hs:flags(Release), name => 'recorder@127.0.0.1'}),
    dialled(T, Me, 6, "v6"),
    case Release of
        25 -> ok;                               % 25.0 - 25.2 close on the old hello
        _ -> dialled(T, Me#{name => 'oldhello@127.0.0.1'}, 5, "v5-hello")
    end,
    {status, S1, NotAllowed} = cf_hs:dial_until(status, maps:get(nut, T), Me#{name => 'flagless@127.0.0.1', flags => 0}),
    save(handshake, "status-not-allowed", framed([$s, NotAllowed]), "answer to an offer without the mandatory flags"),
    gen_tcp:close(S1),
    C = cf_fake:dial(T, #{name => 'alive@127.0.0.1'}),
    {status, S2, Alive} = cf_hs:dial_until(status, maps:get(nut, T), cf_fake:identity(T, #{name => 'alive@127.0.0.1'})),
    save(handshake, "status-alive", framed([$s, Alive]), "a connection to that name is up"),
    gen_tcp:close(S2), cf_fake:close(C),
    NameMe = cf_fake:identity(T, #{name => '127.0.0.1', creation => 0,
                                   flags => cf_hs:hidden(cf_hs:flags(Release)) bor (1 bsl 33)}),
    {status, S3, Named} = cf_hs:dial_until(status, maps:get(nut, T), NameMe),
    save(handshake, "status-named", framed([$s, Named]), "the name it gives a node that asked for one"),
    gen_tcp:close(S3),
    accepted(T, 'acceptor@127.0.0.1').

framed(Body) -> [<<(iolist_size(Body)):16>>, Body].

dialled(#{nut := Nut}, #{epmd := Epmd, flags := Flags, name := Name, cookie := Cookie, creation := Creation}, Hello, Title) ->
    {ok, S} = cf_hs:open(Nut, Epmd),
    ok = cf_hs:send(S, case Hello of 6 -> cf_hs:name6(Name, Flags, Creation); 5 -> cf_hs:name5(Name, Flags band 16#ffffffff) end),
    {ok, Status} = cf_hs:recv(S),
    {ok, Challenge} = cf_hs:recv(S),
    {challenge, #{challenge := Theirs}} = cf_hs:parse(Challenge),
    Hello =:= 5 andalso (ok = cf_hs:send(S, cf_hs:complement(Flags bsr 32, Creation))),
    ok = cf_hs:send(S, cf_hs:reply(16#12345678, cf_hs:digest(Cookie, Theirs))),
    {ok, Ack} = cf_hs:recv(S),
    save(handshake, Title ++ "-status", framed(Status), "as acceptor"),
    save(handshake, Title ++ "-challenge", framed(Challenge), "as acceptor"),
    save(handshake, Title ++ "-ack", framed(Ack), "as acceptor; cookie corpus, our challenge 16#12345678"),
    gen_tcp:close(S).

accepted(T, Name) ->
    Me = cf_fake:listen(T, #{name => Name, flags => cf_hs:flags(maps:get(release, T))}),
    cf:nut_connect(T, Name),
    {ok, S} = gen_tcp:accept(maps:get(listener, Me), 5000),
    {ok, Hello} = cf_hs:recv(S),
    save(handshake, "v6-name", framed(Hello), "as dialler"),
    ok = cf_hs:send(S, cf_hs:status("ok")),
    ok = cf_hs:send(S, cf_hs:challenge6(Name, maps:get(flags, Me), 16#7fffffff, maps:get(creation, Me))),
    {ok, Reply} = cf_hs:recv(S),
    save(handshake, "v6-reply", framed(Reply), "as dialler; cookie corpus, our challenge 16#7fffffff"),
    <<114, Theirs:32, _/binary>> = Reply,
    ok = cf_hs:send(S, cf_hs:ack(cf_hs:digest(?COOKIE, Theirs))),
    {ok, First} = gen_tcp:recv(S, 0, 5000),
    save(stream, "first-bytes-visible-link", First, "what it sends right after the handshake on a visible link"),
    gen_tcp:close(S), cf_fake:unlisten(Me).

%% One link with given flags: everything that crosses it, packet by packet, in the order of arrival, so that the
%% atom cache of a later packet stands on the earlier ones. Each packet with its u32 length.
links(T, Kind, Flags) ->
    C = cf_fake:dial(T, #{flags => Flags, name => list_to_atom("rec_" ++ atom_to_list(Kind) ++ "@127.0.0.1")}),
    P = cf_fake:puppet(C),
    Me = cf_fake:pid(C),
    cf_fake:call(C, P, watch, [Me]),
    cf_fake:call(C, P, trap_exit, [true]),
    [cf_fake:call(C, P, echo, [Term]) || Term <- [hello, {a, [b, c], "text", <<"bytes">>}, 1.5, [], #{k => v}]],
    %% signals both ways
    cf_fake:call(C, P, link, [Me]),
    cf_fake:send(C, {3, Me, P, boom}),
    Ref = cf_fake:call(C, P, monitor, [Me]),
    cf_fake:call(C, P, demonitor, [Ref]),
    cf_fake:call(C, P, monitor, [{some_name, maps:get(name, C)}]),
    cf_fake:call(C, P, link, [Me]),
    cf_fake:call(C, P, unlink, [Me]),
    cf_fake:call(C, P, exit_signal, [Me, {shutdown, now}]),
    cf_fake:call(C, P, send, [{some_name, maps:get(name, C)}, by_name]),
    cf_fake:call(C, P, group_leader, [Me, P]),
    cf_fake:call(C, P, group_leader, [P, Me]),
    case lists:member(alias, cf_fake:call(C, capabilities, [])) of
        true ->
            cf_fake:call(C, P, send, [{'$ref', maps:get(name, C), maps:get(creation, C), [1, 2, 3]}, to_alias]),
            cf_fake:call(C, P, monitor_alias, [Me, explicit_unalias]);
        false -> ok
    end,
    %% its answers to ours
    M1 = cf_fake:ref(C), cf_fake:send(C, {19, Me, P, M1}),
    M2 = cf_fake:ref(C), cf_fake:send(C, {19, Me, no_such_name, M2}),
    cf_fake:send(C, {1, Me, P}),
    R1 = cf_fake:ref(C), cf_fake:send(C, {29, R1, Me, Me, {noop, start, 1}, [link, monitor]}, [[1, 2]]),
    R2 = cf_fake:ref(C), cf_fake:send(C, {29, R2, Me, Me, {erlang, abs, 1}, [no_such_option]}, [1]),
    cf_fake:take(C, fun({signal, {31, R, _, _, _}, _, _}) when R =:= R2 -> ok end),
    cf_fake:to(C, P, {exit, Me, cf_fake:ref(C), [{done, [1, 2, 3]}]}),
    cf_fake:take(C, fun({signal, Ctl, _, _}) when element(1, Ctl) =:= 21; element(1, Ctl) =:= 28 -> element(4, Ctl) =:= M1 end),
    %% what a live caller sends: gen calls, spawn requests, rpc
    Q = cf_fake:puppet(C),
    Node = maps:get(name, C),
    Ask = fun(Op, Args, Until) ->
              cf_fake:to(C, Q, {Op, Me, cf_fake:ref(C), Args}),
              cf_fake:take(C, Until)
          end,
    Pending = Ask(call, [{server, Node}, request, infinity],
                  fun({signal, {6, _, _, server}, {'$gen_call', {_, _}, request} = M, _}) -> M end),
    {_, {Caller, Tag}, _} = Pending,
    cf_fake:to(C, Caller, {case Tag of [alias | R] -> [alias | R]; R -> R end, answer}),
    Q2 = cf_fake:puppet(C),
    cf_fake:to(C, Q2, {erpc, Me, cf_fake:ref(C), [Node, erlang, node, []]}),
    {Req, Spawner} = cf_fake:take(C, fun({signal, Ctl, _, _}) when element(1, Ctl) =:= 29 -> {element(2, Ctl), element(3, Ctl)} end),
    cf_fake:send(C, {31, Req, Spawner, 0, badopt}),
    %% atoms: many new ones, then the same again from the cache
    Atoms = [list_to_atom("atom_" ++ integer_to_list(N)) || N <- lists:seq(1, 40)],
    cf_fake:call(C, echo, [Atoms]),
    cf_fake:call(C, echo, [Atoms]),
    cf_fake:call(C, echo, [[list_to_atom(lists:duplicate(255, 16#e9)), list_to_atom("n\x{e5}r"), list_to_atom([16#65e5, 16#672c])]]),
    %% fragments: more than 64 KiB
    cf_fake:call(C, echo, [{big, binary:copy(<<"0123456789abcdef">>, 4500)}]),
    [save(Kind, packet_name(Kind, Flags, N, Body), cf_wire:frame(Body), what(Body))
     || {N, {in, Body}} <- number([F || {in, _} = F <- cf_fake:frames(C)])],
    cf_fake:close(C).

number(L) -> lists:zip(lists:seq(1, length(L)), L).

packet_name(_, _, _, <<>>) -> "tick";
packet_name(_, _, _, <<131, 70, _/binary>>) -> "fragment";
packet_name(_, _, _, <<131, Type, R/binary>>) when Type =:= 68; Type =:= 69 ->
    R1 = case Type of 68 -> R; 69 -> <<_:16/binary, R2/binary>> = R, R2 end,
    Title = case Type of 68 -> ""; 69 -> "first-fragment-" end,
    Title ++ op(R1);
packet_name(_, _, _, <<112, 131, R/binary>>) ->
    {Control, _} = cf_etf:decode(R, {}),
    dashed(cf_wire:op_name(Control)).

%% The op of a packet behind a distribution header: the control tuple starts after the references.
op(<<0, R/binary>>) -> op_at(R);
op(<<N, R/binary>>) ->
    Size = N div 2 + 1,
    <<F:Size/binary, R1/binary>> = R,
    Nibbles = lists:append([[B band 15, B bsr 4] || <<B>> <= F]),
    Width = case lists:nth(N + 1, Nibbles) of 0 -> 8; _ -> 16 end,
    op_at(skip(lists:sublist(Nibbles, N), Width, R1)).

skip([], _, R) -> R;
skip([X | More], Width, <<_, R/binary>>) when X band 8 =:= 0 -> skip(More, Width, R);
skip([_ | More], Width, <<_, R/binary>>) ->
    <<L:Width, _:L/binary, R1/binary>> = R,
    skip(More, Width, R1).

op_at(<<104, _, 97, Op, _/binary>>) -> dashed(cf_wire:op_name({Op})).
dashed(Atom) -> [case C of $_ -> $-; _ -> C end || C <- atom_to_list(Atom)].

what(<<>>) -> "a tick";
what(<<131, 68, N, _/binary>>) -> io_lib:format("distribution header, ~p atom references", [N]);
what(<<131, 69, Seq:64, Frag:64, _/binary>>) -> io_lib:format("first of ~p fragments, sequence ~p", [Frag, Seq]);
what(<<131, 70, Seq:64, Frag:64, _/binary>>) -> io_lib:format("fragment id ~p of sequence ~p", [Frag, Seq]);
what(<<112, _/binary>>) -> "pass-through".

%% Every kind of term as this release itself encodes it, with the version byte, no cache.
terms(#{release := Release} = T) ->
    C = cf_fake:dial(T, #{flags => cf_hs:without(cf_hs:flags(Release), 16#802000), name => 'rec_terms@127.0.0.1'}),
    Eval = fun(Name, Source) ->
               {signal, _, Value, #{raw := Raw}} = cf_rpc(C, Source),
               {_, _} = Value,
               <<104, 2, R/binary>> = Raw,
               {_, Term} = cf_etf:decode(R, {}),
               save(term, Name, [131, Term], Source)
           end,
    [Eval(Name, Source) || {Name, Source, From} <- sources(), Release >= From],
    cf_fake:close(C).

%% Have the node evaluate an expression and send us {Ref, Value}.
cf_rpc(C, Source) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C), Req = cf_fake:ref(C),
    cf_fake:send(C, {29, Req, Me, Me, {evaluator, start, 3}, []}, [Me, Ref, Source]),
    cf_fake:take(C, fun({signal, Ctl, {R, _}, _} = S) when R =:= Ref, element(1, Ctl) =/= 31 -> S end).

sources() ->
    [{"small-integer", "255", 23}, {"integer", "256", 23}, {"integer-negative", "-1", 23},
     {"integer-min", "-2147483648", 23}, {"small-big", "2147483648", 23}, {"small-big-negative", "-(1 bsl 64)", 23},
     {"small-big-255", "(1 bsl 2040) - 1", 23}, {"large-big-256", "1 bsl 2040", 23},
     {"float", "3.14", 23}, {"float-minus-zero", "-0.0", 23}, {"float-max", "1.7976931348623157e308", 23},
     {"atom", "hello", 23}, {"atom-empty", "''", 23}, {"atom-utf8", "list_to_atom([16#65e5,16#672c])", 23},
     {"atom-255-characters", "list_to_atom(lists:duplicate(255, 16#e9))", 23},
     {"tuple-empty", "{}", 23}, {"tuple", "{a,1,{b}}", 23}, {"tuple-large", "list_to_tuple(lists:seq(1,256))", 23},
     {"nil", "[]", 23}, {"string", "\"text\"", 23}, {"list", "[a,1,256]", 23}, {"list-improper", "[a|b]", 23},
     {"list-long-bytes", "lists:duplicate(65536, 7)", 23},
     {"binary", "<<1,2,3>>", 23}, {"binary-empty", "<<>>", 23}, {"bit-binary", "<<5:3>>", 23}, {"bit-binary-11", "<<1:11>>", 23},
     {"map-empty", "#{}", 23}, {"map", "#{a => 1, \"b\" => [2], {c} => #{}}", 23}, {"map-40", "maps:from_list([{N,N} || N <- lists:seq(1,40)])", 23},
     {"pid", "self()", 23}, {"port", "hd(erlang:ports())", 23}, {"reference", "make_ref()", 23},
     {"export", "fun lists:map/2", 23}, {"fun", "fun(X) -> X end", 23}, {"fun-with-environment", "(fun(Y) -> fun(X) -> {X,Y} end end)(17)", 23},
     {"alias", "erlang:alias()", 24},
     {"nested-100", "lists:foldl(fun(_, A) -> {A} end, x, lists:seq(1,100))", 23},
     {"exception", "try erlang:error(oops) catch C:R:S -> {C,R,S} end", 23}].
