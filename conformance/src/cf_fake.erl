%% SPDX-License-Identifier: Apache-2.0
%% A fake node: a raw socket that has done the handshake, and a process that cuts and decodes its packets. Its
%% events wait in a queue until a case takes the one that it expects, in any order.
-module(cf_fake).
-export([dial/2, link/2, accept/2, listen/2, unlisten/1, adopt/3, close/1, identity/2]).
-export([agreed/3, send/2, send/3, packet/2, bytes/2, socket/1, pid/1, pid/2, ref/1, ref/2]).
-export([dump/0, take/2, take/3, seen/2, closed/1, closed/2, frames/1, call/3, call/4, fence/1, to/3, puppet/1]).

-define(TIMEOUT, cf:ms(8000)).

%% Who a fake is by default: a hidden node of the release under test, with a fresh name.
identity(#{cookie := Cookie, epmd := Epmd, release := Release} = T, Overrides) ->
    N = erlang:unique_integer([positive]),
    %% All of one length: cases go through the bytes of a packet by position, each with a name of its own.
    Name = list_to_atom(lists:flatten(io_lib:format("fake~8..0b_~s@127.0.0.1", [N, maps:get(job, T, "0")]))),
    maps:merge(#{name => Name, flags => cf_hs:hidden(cf_hs:flags(Release)), creation => 16#10000 + N,
                 cookie => Cookie, epmd => Epmd}, Overrides).

%% Dial the node under test; fails the case if the handshake does not come to its end.
dial(#{nut := Nut} = T, Overrides) ->
    Me = identity(T, Overrides),
    case cf_hs:dial(Nut, Me) of
        {ok, S, Peer} -> adopt(S, Peer, Me);
        {error, Step, What} -> cf:fail("~s: handshake with ~s stopped at ~p: ~p", [maps:get(name, Me), Nut, Step, What])
    end.

%% A connection in the direction that the job asks for.
link(#{dial := driver} = T, Overrides) -> dial(T, Overrides);
link(#{dial := nut} = T, Overrides) ->
    Me = listen(T, Overrides),
    cf:nut_connect(T, maps:get(name, Me)),
    Conn = accept(T, Me),
    unlisten(Me),
    Conn.

listen(#{epmd := Epmd} = T, Overrides) ->
    Me = identity(T, Overrides),
    {ok, L, E, _} = cf_hs:listen(maps:get(name, Me), Epmd),
    Me#{listener => L, epmd_socket => E}.

unlisten(#{listener := L, epmd_socket := E}) ->
    gen_tcp:close(L),
    gen_tcp:close(E).

accept(_T, #{listener := L} = Me) ->
    case cf_hs:answer(L, Me) of
        {ok, S, Peer} -> adopt(S, Peer, Me);
        {error, Step, What} -> cf:fail("~s: accepting stopped at ~p: ~p", [maps:get(name, Me), Step, What])
    end.

%% What both sides have to offer before a case may use it.
agreed(#{flags := Flags}, Bits, Name) ->
    Flags band Bits =:= Bits orelse throw({not_applicable, "the node does not offer " ++ Name}),
    ok.

%% Take over a socket after the handshake. Me may say ticks => false to leave the peer's ticks unanswered.
adopt(S, #{my_name := Name, my_creation := Creation, flags := Flags} = Peer, Me) ->
    Owner = self(),
    Ports = cf_eye:up(S),
    Pid = spawn_link(fun() ->
              receive go -> ok end,
              inet:setopts(S, [{active, 50}]),
              loop(#{socket => S, wire => cf_wire:new(Flags), buffer => {[], 4}, queue => [], waiting => none, ports => Ports,
                     owner => Owner, frames => [], closed => false, ticks => maps:get(ticks, Me, true)})
          end),
    ok = gen_tcp:controlling_process(S, Pid),
    Pid ! go,
    put(cf_fakes, [{Name, Pid} | case get(cf_fakes) of undefined -> []; Others -> Others end]),
    #{conn => Pid, socket => S, name => Name, creation => Creation, flags => Flags, peer => Peer, ports => Ports,
      wire => cf_wire:new(Flags)}.

loop(#{socket := S} = State) ->
    receive
        {tcp, S, Bytes} -> loop(answer(cut(Bytes, State)));
        {tcp_passive, S} -> inet:setopts(S, [{active, 50}]), loop(State);
        {tcp_closed, S} -> loop(answer(event(closed, State#{closed => true})));
        {tcp_error, S, _} -> loop(State);
        {take, From, Ref, Fun} -> loop(answer(State#{waiting => {From, Ref, Fun}}));
        {untake, From, Ref} ->
            From ! {untaken, Ref},
            case State of
                #{waiting := {_, Ref, _}} -> loop(State#{waiting => none});
                _ -> loop(State)
            end;
        {queue, From, Ref} -> From ! {Ref, lists:reverse(maps:get(queue, State))}, loop(State);
        {frames, From, Ref} -> From ! {Ref, lists:reverse(maps:get(frames, State))}, loop(State);
        {sent, Body} -> loop(frame(out, Body, State));
        {close, From, Ref} -> gen_tcp:close(S), From ! {Ref, ok}
    end.

%% Of a packet that is not whole its parts, the last first, and how many bytes are missing at least. (A packet of 4 MB comes in
%% some thousand parts; to put each behind the others is to copy gigabytes.)
cut(Bytes, #{buffer := {Parts, Missing}} = State) when byte_size(Bytes) < Missing ->
    State#{buffer => {[Bytes | Parts], Missing - byte_size(Bytes)}};
cut(Bytes, #{buffer := {Parts, _}} = State) -> packets(iolist_to_binary(lists:reverse([Bytes | Parts])), State).

packets(<<N:32, Body:N/binary, Rest/binary>>, #{wire := Wire, ports := Ports} = State) ->
    {Event, Wire1} = cf_wire:decode(Body, Wire),
    case {Event, State} of
        {tick, #{ticks := true, socket := S}} -> gen_tcp:send(S, <<0:32>>);
        _ -> ok
    end,
    cf_eye:packet(Ports, in, N, op(Event)),
    packets(Rest, event(Event, frame(in, Body, State#{wire => Wire1})));
packets(<<N:32, Part/binary>> = Rest, State) -> State#{buffer => {[Rest], N - byte_size(Part)}};
packets(Rest, State) -> State#{buffer => {[Rest], 4 - byte_size(Rest)}}.

op({signal, _, _, #{fragments := N}}) when N > 1 -> '-';
op({signal, Control, _, _}) -> element(1, Control);
op(_) -> '-'.

event(Event, #{queue := Queue} = State) -> State#{queue => [Event | Queue]}.

frame(Way, Body, #{frames := Frames} = State) -> State#{frames => [{Way, Body} | lists:sublist(Frames, 199)]}.

answer(#{waiting := none} = State) -> State;
answer(#{waiting := {From, Ref, Fun}, queue := Queue} = State) ->
    case first(Fun, lists:reverse(Queue), []) of
        {Value, Left} -> From ! {Ref, Value}, State#{waiting => none, queue => Left};
        no -> State
    end.

first(_, [], _) -> no;
first(Fun, [Event | More], Before) ->
    case matches(Fun, Event) of
        {yes, Value} -> {Value, lists:reverse(More) ++ Before};
        no -> first(Fun, More, [Event | Before])
    end.

%% A fun that has no clause for an event does not match it.
matches(Fun, Event) ->
    try {yes, Fun(Event)}
    catch error:function_clause -> no;
          error:{case_clause, _} -> no
    end.

ask(#{conn := Pid}, Question) ->
    Ref = make_ref(),
    Pid ! {Question, self(), Ref},
    receive {Ref, Answer} -> Answer after cf:ms(?TIMEOUT) -> exit(fake_is_stuck) end.

close(#{conn := Pid} = C) ->
    unlink(Pid),
    case is_process_alive(Pid) of true -> ask(C, close); false -> ok end.

frames(C) -> ask(C, frames).

%% The packets of every fake of this process, as text: what a failed case leaves behind.
dump() ->
    [[io_lib:format("~s~n", [Name]),
      [io_lib:format("  ~s ~s~n      ~s~n", [Way, short(Body), cf:hex(binary:part(Body, 0, min(400, byte_size(Body))))])
       || {Way, Body} <- frames(#{conn => Pid})]]
     || {Name, Pid} <- lists:reverse(case get(cf_fakes) of undefined -> []; L -> L end), is_process_alive(Pid)].

short(<<>>) -> "tick";
short(<<131, 68, N, _/binary>>) -> io_lib:format("header, ~p references", [N]);
short(<<131, 69, Seq:64, Frag:64, _/binary>>) -> io_lib:format("first fragment ~p of sequence ~p", [Frag, Seq]);
short(<<131, 70, Seq:64, Frag:64, _/binary>>) -> io_lib:format("fragment ~p of sequence ~p", [Frag, Seq]);
short(Body) -> io_lib:format("~p bytes", [byte_size(Body)]).

%% The first event that Fun accepts, with Fun's value; fails the case when it does not come.
take(C, Fun) -> take(C, Fun, ?TIMEOUT).
take(#{conn := Pid} = C, Fun, Limit) ->
    Timeout = cf:ms(Limit),
    Ref = make_ref(),
    Pid ! {take, self(), Ref, Fun},
    receive {Ref, Value} -> Value
    after Timeout ->
        Pid ! {untake, self(), Ref},
        receive {untaken, Ref} -> ok after cf:ms(?TIMEOUT) -> exit(fake_is_stuck) end,
        receive {Ref, Late} -> Late
        after 0 -> cf:fail("the expected event did not come within ~p ms; events here: ~0P", [Timeout, [plain(E) || E <- ask(C, queue)], 120])
        end
    end.

%% An event without how it was encoded.
plain({signal, Control, Payload, _}) -> {Control, Payload};
plain(Event) -> Event.

%% Of the events that have come and were not taken, those that Fun accepts.
seen(C, Fun) -> [V || E <- ask(C, queue), {yes, V} <- [matches(Fun, E)]].

closed(C) -> closed(C, ?TIMEOUT).
closed(C, Timeout) -> take(C, fun(closed) -> ok end, Timeout).

socket(#{socket := S}) -> S.

send(C, Control) -> send(C, Control, none).
send(#{wire := Wire} = C, Control, Payload) -> packet(C, cf_wire:packet(Wire, Control, Payload), element(1, Control)).

packet(C, Body) -> packet(C, Body, '-').

%% The eye is told here and not by the link's process: that ends with the case, and what it has not taken then is lost.
packet(#{conn := Pid, socket := S, ports := Ports}, Body, Op) ->
    Pid ! {sent, iolist_to_binary(Body)},
    cf_eye:packet(Ports, out, iolist_size(Body), Op),
    gen_tcp:send(S, cf_wire:frame(Body)).

bytes(#{socket := S, ports := Ports}, Bytes) ->
    cf_eye:by_hand(Ports),
    gen_tcp:send(S, Bytes).

pid(C) -> pid(C, erlang:unique_integer([positive]) band 16#7fff).
pid(#{name := Name, creation := Creation}, N) -> {'$pid', Name, N, 0, Creation}.

ref(C) -> ref(C, 3).
ref(#{name := Name, creation := Creation}, Words) ->
    N = erlang:unique_integer([positive]),
    {'$ref', Name, Creation, [N band 16#3ffff | [16#1000 + W || W <- lists:seq(2, Words)]]}.

%% Send a message to a pid or a registered name of the node under test.
to(C, Name, Message) when is_atom(Name) -> send(C, {6, pid(C, 1), '', Name}, Message);
to(C, To, Message) -> send(C, {2, '', To}, Message).

%% Ask the conformance process, or another puppet, for Op.
call(C, Op, Args) -> call(C, conformance, Op, Args).
call(C, Whom, Op, Args) ->
    Me = pid(C), Ref = ref(C),
    to(C, Whom, {Op, Me, Ref, Args}),
    take(C, fun({signal, {2, _, To}, {R, Result}, _}) when To =:= Me, R =:= Ref -> Result;
               ({signal, {22, _, To}, {R, Result}, _}) when To =:= Me, R =:= Ref -> Result
            end).

%% A fresh puppet.
puppet(C) -> call(C, spawn, []).

%% When this returns, all that we sent before has been handled by the link, and all that was answered at once is here.
fence(C) -> fence = call(C, echo, [fence]).
