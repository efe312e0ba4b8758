%% SPDX-License-Identifier: Apache-2.0
%% What a node says to epmd and does with what epmd says.
-module(cf_case_epmd).
-export([cases/0]).

-define(DOC, "erl_dist_protocol.html EPMD Protocol").

cases() ->
    Raw = [raw],
    Fresh = [raw, fresh],
    [{'epmd.port', "epmd knows the node, and its port accepts connections", ?DOC, [raw, {varies, [visible]}], fun port/1},
     {'epmd.name', "the registered name is the part before the @", ?DOC, Raw, fun name/1},
     {'epmd.type', "the node type is M (77) or a hidden type", ?DOC, [raw, {varies, [visible]}], fun type/1},
     {'epmd.protocol', "the protocol is 0 (TCP over IPv4)", ?DOC, Raw, fun protocol/1},
     {'epmd.versions', "the version range holds 6", ?DOC, Raw, fun versions/1},
     {'epmd.listed', "NAMES_REQ lists the node with its port", ?DOC, Raw, fun listed/1},
     {'epmd.held', "nobody else can register the name while the node lives", ?DOC, Raw, fun held/1},
     {'epmd.sigterm_frees', "SIGTERM ends the node and frees its name", "CONTRACT.md; epmd_srv.c", Fresh, fun sigterm_frees/1},
     {'epmd.kill_frees', "kill -9 of the node frees its name", "epmd_srv.c", Fresh, fun kill_frees/1},
     {'epmd.stdin_ends', "closing standard input ends the node", "CONTRACT.md", Fresh, fun stdin_ends/1},
     {'epmd.name_taken', "a node whose name is taken does not get ready, and ends", "net_kernel.erl", Fresh, fun name_taken/1},
     {'epmd.creation_changes', "a restarted node has another creation, never 0..3", "erl_dist_protocol.html ALIVE2_X_RESP", Fresh, fun creation_changes/1},
     {'epmd.reregisters', "when epmd dies and comes back the node registers again, with its creation", "erl_epmd.erl (23.3)",
      [raw, fresh, {from, 25}, {timeout, 30000}], fun reregisters/1},
     {'epmd.links_survive', "links live on while epmd is dead", "erl_epmd.erl", [raw, fresh, {from, 25}], fun links_survive/1},
     {'epmd.alive2_request', "ALIVE2_REQ has its documented layout", ?DOC, Fresh, fun alive2_request/1},
     {'epmd.alive2_socket_kept', "the registration's socket stays open and silent", ?DOC, Fresh, fun alive2_socket_kept/1},
     {'epmd.alive2_in_pieces', "ALIVE2_X_RESP may come byte by byte", ?DOC, [{otp_fails, [23, 25, 27, 29]} | Fresh], fun alive2_in_pieces/1},
     {'epmd.alive2_old_answer', "the old ALIVE2_RESP with a 16-bit creation is understood", ?DOC, Fresh, fun alive2_old_answer/1},
     {'epmd.alive2_refused', "a refusal keeps the node from getting ready", ?DOC, Fresh, fun alive2_refused/1},
     {'epmd.alive2_closed', "an epmd that just closes keeps the node from getting ready", ?DOC, Fresh, fun alive2_closed/1},
     {'epmd.port2_request', "PORT2_REQ carries the alive name of the wanted node", ?DOC, [raw, fresh, {needs, [connect]}], fun port2_request/1}]
        ++ [{list_to_atom("epmd.port2_" ++ Name), Sentence, ?DOC, [raw, fresh, {needs, [connect]}], fun(T) -> port2(T, Answer, Expected) end}
            || {Name, Sentence, Answer, Expected} <- port2_answers()].

me(#{nut := Nut, epmd := Epmd}) ->
    [Alive, _] = string:tokens(atom_to_list(Nut), "@"),
    {ok, Info} = cf_epmd:port2(Epmd, Alive),
    {Alive, Info}.

port(T) ->
    {_, #{port := Port}} = me(T),
    {ok, S} = gen_tcp:connect({127,0,0,1}, Port, [], 5000),
    gen_tcp:close(S).

name(T) ->
    {Alive, #{name := Name}} = me(T),
    cf:same(list_to_binary(Alive), Name).

type(T) ->
    {_, #{type := Type}} = me(T),
    cf:check(lists:member(Type, [77, 72, 104]), "node type ~p", [Type]).

protocol(T) -> {_, #{protocol := P}} = me(T), cf:same(0, P).

versions(T) ->
    {_, #{high := High, low := Low}} = me(T),
    cf:check(High >= 6 andalso Low =< 6 andalso Low >= 5, "versions ~p to ~p", [Low, High]).

listed(#{epmd := Epmd} = T) ->
    {Alive, #{port := Port}} = me(T),
    {Own, Names} = cf_epmd:names(Epmd),
    cf:same(Epmd, Own, "epmd's own port"),
    cf:check(lists:member({Alive, Port}, Names), "not listed: ~p", [Names]).

held(#{epmd := Epmd} = T) ->
    {Alive, _} = me(T),
    {error, _} = cf_epmd:alive2(Epmd, Alive, 4711, #{}),
    ok.

gone(#{epmd := Epmd}, Alive) ->
    cf:wait("epmd has forgotten " ++ Alive, fun() -> cf_epmd:port2(Epmd, Alive) =:= {error, 1} end).

sigterm_frees(T) ->
    N = cf_nut:start(fresh(T)),
    {Alive, _} = me(N),
    {exited, _} = cf_nut:stop(N),
    gone(N, Alive).

kill_frees(T) ->
    N = cf_nut:start(fresh(T)),
    {Alive, _} = me(N),
    cf_nut:kill(N),
    gone(N, Alive).

%% Its input is a pipe whose other end we close; the leash itself holds on.
stdin_ends(#{command := Command, dir := Dir} = T) ->
    Pipe = filename:join(Dir, "stdin"),
    "" = os:cmd("mkfifo '" ++ Pipe ++ "'"),
    Holder = cf_proc:start("holder", ["sh", "-c", "exec cat >'" ++ Pipe ++ "'"], []),
    N = cf_nut:start(fresh(T#{command => Command ++ " <'" ++ Pipe ++ "'"})),
    {Alive, _} = me(N),
    cf_proc:stop(Holder),
    {exited, _} = cf_proc:wait_exit(maps:get(proc, N), 10000),
    gone(N, Alive).

name_taken(T) ->
    N = cf_nut:start(fresh(T)),
    Again = try cf_nut:start(N), started catch throw:{case_failed, _} -> refused end,
    cf:same(refused, Again),
    cf:check(cf_nut:alive(N), "the first one died").

creation(T) ->
    {challenge, S, #{creation := C}} = cf_hs:dial_until(challenge, maps:get(nut, T), cf_fake:identity(T, #{})),
    gen_tcp:close(S),
    C.

creation_changes(T) ->
    N = cf_nut:start(fresh(T)),
    Creations = [creation(N) | [begin put(n, cf_nut:restart(N)), creation(get(n)) end || _ <- [1]]],
    cf_nut:kill(get(n)),
    cf:check(lists:all(fun(C) -> C > 3 end, Creations), "creations ~p", [Creations]),
    cf:check(length(lists:usort(Creations)) =:= 2, "the same creation twice: ~p", [Creations]).

own_epmd(T) ->
    Port = cf_proc:free_port(),
    E = cf_epmd:start(Port),
    {E, fresh(T#{epmd => Port})}.

reregisters(T) ->
    {E, T1} = own_epmd(T),
    N = cf_nut:start(T1),
    Before = creation(N),
    {Alive, #{port := Port}} = me(N),
    cf_proc:kill(E),
    cf_epmd:start(maps:get(epmd, N)),
    cf:wait("it has registered again", fun() ->
        case cf_epmd:port2(maps:get(epmd, N), Alive) of {ok, #{port := Port}} -> true; Other -> Other end
    end, 15000),
    cf:same(Before, creation(N), "creation").

links_survive(T) ->
    {E, T1} = own_epmd(T),
    N = cf_nut:start(T1),
    C = cf_fake:dial(N, #{}),
    cf_proc:kill(E),
    cf_fake:fence(C).

%% A node whose epmd is ours.
with_epmd(T, Alive, Other) ->
    E = cf_fake_epmd:start(fun(<<120, _/binary>> = R, S) -> Alive(R, S); (R, S) -> Other(R, S) end),
    {_, Port} = E,
    {E, fresh(T#{epmd => Port})}.

ok_alive(_, S) -> cf_fake_epmd:alive_ok(S).
no_other(_, S) -> gen_tcp:send(S, <<119, 1>>), close.

alive2_request(T) ->
    {_, T1} = with_epmd(T, fun ok_alive/2, fun no_other/2),
    N = cf_nut:start(T1),
    Request = receive {epmd_request, <<120, _/binary>> = R} -> R after 0 -> cf:fail("no ALIVE2_REQ") end,
    [Alive, _] = string:tokens(atom_to_list(maps:get(nut, N)), "@"),
    Name = list_to_binary(Alive), Size = byte_size(Name),
    case Request of
        <<120, Port:16, Type, 0, High:16, Low:16, Size:16, Name:Size/binary, E:16, _:E/binary>> ->
            cf:check(lists:member(Type, [77, 72, 104]), "node type ~p", [Type]),
            cf:check(High >= 6 andalso Low =< 6, "versions ~p to ~p", [Low, High]),
            {ok, S} = gen_tcp:connect({127,0,0,1}, Port, [], 5000),
            gen_tcp:close(S);
        _ -> cf:fail("ALIVE2_REQ was ~s", [cf:hex(Request)])
    end.

alive2_socket_kept(T) ->
    Self = self(),
    {_, T1} = with_epmd(T, fun(_, S) ->
                               cf_fake_epmd:alive_ok(S),
                               Self ! {held, gen_tcp:recv(S, 0, 1500)},
                               keep
                           end, fun no_other/2),
    cf_nut:start(T1),
    receive {held, {error, timeout}} -> ok;
            {held, Other} -> cf:fail("on the registration's socket: ~p", [Other])
    after cf:ms(8000) -> cf:fail("nothing heard of the socket")
    end.

alive2_in_pieces(T) ->
    {_, T1} = with_epmd(T, fun(_, S) -> cf_fake_epmd:in_pieces(S, <<118, 0, 16#12345678:32>>), keep end, fun no_other/2),
    cf_nut:start(T1),
    ok.

alive2_old_answer(T) ->
    {_, T1} = with_epmd(T, fun(_, S) -> gen_tcp:send(S, <<121, 0, 2:16>>), keep end, fun no_other/2),
    cf_nut:start(T1),
    ok.

does_not_start(T) ->
    Result = try cf_nut:start(T), started catch throw:{case_failed, _} -> refused end,
    cf:same(refused, Result).

alive2_refused(T) ->
    {_, T1} = with_epmd(T, fun(_, S) -> gen_tcp:send(S, <<118, 1, 99:32>>), keep end, fun no_other/2),
    does_not_start(T1).

alive2_closed(T) ->
    {_, T1} = with_epmd(T, fun(_, _) -> close end, fun no_other/2),
    does_not_start(T1).

port2_request(T) ->
    {_, T1} = with_epmd(T, fun ok_alive/2, fun no_other/2),
    N = cf_nut:start(T1),
    C = dial_known(N),
    false = cf_fake:call(C, connect, ['wanted@127.0.0.1']),
    receive {epmd_request, <<122, Name/binary>>} ->
        cf:check(lists:member(Name, [<<"wanted">>, <<"wanted", 0>>]), "asked for ~p", [Name])
    after 0 -> cf:fail("no PORT2_REQ")
    end.

%% Dial a node that is registered with a fake epmd: its port stands in its ALIVE2_REQ.
dial_known(#{nut := Nut} = T) ->
    Port = receive {epmd_request, <<120, P:16, _/binary>>} -> P after 0 -> cf:fail("no ALIVE2_REQ") end,
    Me = cf_fake:identity(T, #{}),
    {ok, S, Peer} = cf_hs:dial({{127,0,0,1}, Port}, Me),
    cf:same(list_to_binary(atom_to_list(Nut)), maps:get(name, Peer)),
    cf_fake:adopt(S, Peer, Me).

%% What epmd may answer to PORT2_REQ, and whether the node then finds the peer.
port2_answers() ->
    Good = fun(Port) -> <<119, 0, Port:16, 77, 0, 6:16, 5:16, 6:16, "wanted", 0:16>> end,
    [{"found", "a PORT2_RESP leads to the peer", fun(S, P) -> gen_tcp:send(S, Good(P)), close end, true},
     {"in_pieces", "PORT2_RESP may come byte by byte", fun(S, P) -> cf_fake_epmd:in_pieces(S, Good(P)), close end, true},
     {"extra", "an extra field in PORT2_RESP is skipped",
      fun(S, P) -> gen_tcp:send(S, <<119, 0, P:16, 72, 0, 6:16, 6:16, 6:16, "wanted", 3:16, "abc">>), close end, true},
     {"not_found", "PORT2_RESP with an error: not connected", fun(S, _) -> gen_tcp:send(S, <<119, 1>>), close end, false},
     {"closed", "epmd closes without an answer: not connected", fun(_, _) -> close end, false},
     {"garbage", "garbage from epmd: not connected, the node goes on", fun(S, _) -> gen_tcp:send(S, <<1, 2, 3, 4>>), close end, false},
     {"truncated", "a truncated PORT2_RESP: not connected", fun(S, _) -> gen_tcp:send(S, <<119, 0, 1>>), close end, false},
     {"dead_port", "a port where nobody listens: not connected", fun(S, _) -> gen_tcp:send(S, Good(1)), close end, false}].

port2(T, Answer, Expected) ->
    {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {packet, 0}, {nodelay, true}, {ip, {127,0,0,1}}]),
    {ok, Port} = inet:port(L),
    {_, T1} = with_epmd(T, fun ok_alive/2, fun(_, S) -> Answer(S, Port) end),
    N = cf_nut:start(T1),
    C = dial_known(N),
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:to(C, conformance, {connect, Me, Ref, ['wanted@127.0.0.1']}),
    if Expected ->
           case cf_hs:answer(L, cf_fake:identity(T, #{name => 'wanted@127.0.0.1'})) of
               {ok, _, _} -> ok;
               Error -> cf:fail("it did not come: ~p", [Error])
           end;
       true -> ok
    end,
    Result = cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end),
    cf:same(Expected, Result, "connect"),
    cf_fake:fence(C).

fresh(#{nut := _} = T) -> T#{nut => list_to_atom("fresh" ++ integer_to_list(erlang:unique_integer([positive])) ++ "@127.0.0.1")}.
