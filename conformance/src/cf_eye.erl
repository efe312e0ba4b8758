%% SPDX-License-Identifier: Apache-2.0
%% The third eye. In the job: what the fakes send and receive is written down as they understand it. In the runner: tshark
%% reads the capture of the whole job (conformance/eye), and the two must agree, packet by packet, in length and operation.
-module(cf_eye).
-export([open/1, up/1, packet/4, by_hand/1, close/0, judge/2, keep/4, cases/0, usable/1]).

%% The cases that the eye adds to a job; never run as others are.
cases() ->
    [{'eye.well_formed', "tshark finds no malformed packet among all that passed", "Wireshark's epmd and erldp dissectors", [], fun(_) -> ok end},
     {'eye.agrees', "tshark sees every packet with the length and operation that the suite means", "Wireshark's erldp dissector", [], fun(_) -> ok end}].

%% Left out are groups whose cases send what no node may send, and what the dissectors are known not to read:
%% - a message of 100 MB in 1,600 fragments: put together, it is called malformed (4.0.17), as smaller ones are at times;
%% - STRING_EXT: its length is taken for all of it, so what follows is read out of step (4.0.17). A packet with one, or with a
%%   fragment, is compared in length and operation, but being called malformed is not held against it (conformance/eye);
%% - two messages of a handshake in one segment, behind which a direction is not read at all: nobody sends them so;
%% - limits: links that are cut in the middle of large packets, of which not all that was sent has passed;
%% - a link that the node made to where a case's own epmd sent it: no port tells that it is one;
%% - operations from 33 on (ALIAS_SEND, UNLINK_ID, …) have no names, but their numbers are read, and compared.
usable({Id, _, _, _, _} = Case) ->
    not lists:member(cf_cases:group(Case), ["hostile", "terms", "framing", "flags", "handshake", "limits"])
        andalso not lists:member(Id, ['send.pings_during_100mb']).

%% ---- in the job ----

%% File none: nobody watches.
open(none) -> ok;
open(File) ->
    Owner = self(),
    Pid = spawn_link(fun() ->
              {ok, F} = file:open(File, [write, raw, delayed_write]),
              register(?MODULE, self()),
              Owner ! {self(), open},
              writer(F, filename:join(filename:dirname(File), "capture.pcapng"))
          end),
    receive {Pid, open} -> ok end.

writer(F, Capture) ->
    receive
        {close, From} ->
            file:close(F),
            drained(Capture),
            From ! {?MODULE, closed};
        Line -> ok = file:write(F, Line), writer(F, Capture)
    end.

%% What dumpcap has not taken yet when it is ended is lost: a datagram of ours behind all the rest must be in its file.
drained(Capture) ->
    Mark = iolist_to_binary(io_lib:format("the last packet of ~s ~p", [os:getpid(), make_ref()])),
    {ok, S} = gen_udp:open(0),
    ok = gen_udp:send(S, {127,0,0,1}, 9, Mark),
    gen_udp:close(S),
    cf:wait("the capture is complete", fun() -> tail_has(Capture, Mark) end).

tail_has(File, Mark) ->
    {ok, F} = file:open(File, [read, raw, binary]),
    {ok, Size} = file:position(F, eof),
    Tail = file:pread(F, max(0, Size - 65536), 65536),
    file:close(F),
    case Tail of
        {ok, Bytes} -> binary:match(Bytes, Mark) =/= nomatch;
        eof -> false
    end.

close() ->
    case whereis(?MODULE) of
        undefined -> ok;
        Pid -> Pid ! {close, self()}, receive {?MODULE, closed} -> ok end
    end.

say(Format, Args) ->
    case whereis(?MODULE) of
        undefined -> ok;
        Pid -> Pid ! io_lib:format(Format, Args), ok
    end.

%% A link of a fake stands, on this socket; its packets follow. Returns what they are told by: its two ports, or none.
up(S) ->
    case {whereis(?MODULE), inet:sockname(S), inet:peername(S)} of
        {Pid, {ok, {_, Mine}}, {ok, {_, Theirs}}} when is_pid(Pid) ->
            say("up ~p ~p~n", [Mine, Theirs]),
            {Mine, Theirs};
        _ -> none                       % nobody watches, or it has ended already
    end.

%% Op: a number, or '-' where it is not known or not in one packet.
packet(none, _, _, _) -> ok;
packet(_, _, 0, _) -> ok;                               % a tick
packet({Mine, Theirs}, Way, Size, Op) -> say("~s ~p ~p ~p ~s~n", [Way, Mine, Theirs, Size, if is_integer(Op) -> integer_to_list(Op); true -> "-" end]).

%% From here on the case writes bytes itself: no packets are to be expected.
by_hand(none) -> ok;
by_hand({Mine, Theirs}) -> say("hand ~p ~p~n", [Mine, Theirs]).

%% ---- in the runner ----

%% The results of the eye's cases for a job that ended: [{Id, Verdict, Ms, Why}].
judge(Dir, Epmd) ->
    Began = erlang:monotonic_time(millisecond),
    Believed = [string:tokens(L, " ") || L <- lines(filename:join(Dir, "believed"))],
    %% The dissectors learn from epmd's answers where nodes listen; of an epmd that a case plays itself they know nothing.
    Ports = lists:usort([P || ["up", _, P] <- Believed]),
    Out = os:cmd("'" ++ filename:join(cf:home(), "eye") ++ "' read '" ++ filename:join(Dir, "capture.pcapng") ++ "' "
                 ++ string:join([integer_to_list(Epmd) | Ports], " ") ++ " >'" ++ filename:join(Dir, "tshark") ++ "' 2>&1; echo $?"),
    Seen = [string:tokens(L, " ") || L <- lines(filename:join(Dir, "tshark"))],
    Packets = length([x || ["packet" | _] <- Seen]),
    Known = length([x || [Way | _] <- Believed, Way =:= "out" orelse Way =:= "in"]),
    Ms = erlang:monotonic_time(millisecond) - Began,
    Bad = [L || ["bad" | _] = L <- Seen],
    Differ = compare(seen(Seen), believed(Believed)),
    %% Each job asks the node for its capabilities, so something is always known.
    [{'eye.well_formed', if Out =/= "0\n"; Known =:= 0; Packets < Known -> fail; Bad =/= [] -> fail; true -> pass end, Ms,
      io_lib:format("tshark read ~p packets of at least ~p; bad: ~p", [Packets, Known, lists:sublist(Bad, 10)])},
     {'eye.agrees', case Differ of [] -> pass; _ -> fail end, 0,
      lists:join("\n", lists:sublist(Differ, 10))}].

lines(File) ->
    case file:read_file(File) of
        {ok, Text} -> string:tokens(binary_to_list(Text), "\n");
        {error, _} -> []
    end.

%% #{{Fake, Peer} => [{Out, In}]}, for the links between these ports in order: lists of {Length, Op}, in order too.
believed(Lines) -> group(Lines, fun believe/2).

believe(["up", F, P], M) -> next({F, P}, M);
believe(["hand", F, P], M) -> add({F, P}, out, by_hand, M);
believe([Way, F, P, Size, Op], M) -> add({F, P}, list_to_atom(Way), {Size, Op}, M).

seen(Lines) -> group(Lines, fun see/2).

%% Both directions are noted under both orders of the ports: who of the two is the fake is not known here.
see(["up", _, S, D], M) -> next({S, D}, next({D, S}, M));
see(["packet", _, _, _, "0", _], M) -> M;
see(["packet", _, S, D, Size, Op], M) -> add({S, D}, out, {Size, Op}, add({D, S}, in, {Size, Op}, M));
see(_, M) -> M.

group(Lines, Fun) ->
    maps:map(fun(_, Links) -> lists:reverse([{lists:reverse(Out), lists:reverse(In)} || {Out, In} <- Links]) end,
             lists:foldl(Fun, #{}, Lines)).

next(Pair, M) -> M#{Pair => [{[], []} | maps:get(Pair, M, [])]}.

add(Pair, Way, What, M) ->
    [{Out, In} | Before] = maps:get(Pair, M, [{[], []}]),
    M#{Pair => [case Way of out -> {[What | Out], In}; in -> {Out, [What | In]} end | Before]}.

compare(Seen, Believed) ->
    lists:append([links(Pair, Links, maps:get(Pair, Seen)) || {Pair, Links} <- lists:sort(maps:to_list(Believed)), maps:is_key(Pair, Seen)]).

%% A port is used again, and some links that tshark sees are those of real nodes, of which nothing is believed: each link of a
%% fake has to be one of those seen, in the same order.
links(_, [], _) -> [];
links(Pair, [Link | Links], Seen) ->
    case lists:dropwhile(fun(S) -> link(Pair, Link, S) =/= [] end, Seen) of
        [_ | Later] -> links(Pair, Links, Later);
        [] -> stranger(Pair, Link, Seen) ++ links(Pair, Links, Seen)
    end.

stranger(Pair, Link, [First | _]) -> link(Pair, Link, First);
stranger(_, {_, []}, []) -> [];                         % ended before it was of any use
stranger(Pair, _, []) -> [io_lib:format("link ~0p: only the suite knows of it", [Pair])].

%% What a fake sent just before a link ended may not have left, and what came then may not have been read.
link(Pair, {Out, In}, {SeenOut, SeenIn}) ->
    differ(Pair, "to the node", Out, SeenOut) ++ differ(Pair, "from the node", SeenIn, In).

%% The second list must be a beginning of the first.
differ(Pair, Way, Longer, Shorter) -> differ(Pair, Way, 1, Longer, Shorter).

differ(_, _, _, _, []) -> [];
differ(_, _, _, [by_hand | _], _) -> [];
differ(Pair, Way, N, [A | As], [B | Bs]) ->
    case same(A, B) of
        true -> differ(Pair, Way, N + 1, As, Bs);
        false -> [io_lib:format("link ~0p, packet ~p ~s: {length, operation} is ~0p to one and ~0p to the other", [Pair, N, Way, A, B])]
    end;
differ(Pair, Way, N, [], [B | _]) ->
    [io_lib:format("link ~0p, packet ~p ~s: only one of the two knows of ~0p", [Pair, N, Way, B])].

same({Size, A}, {Size, B}) -> A =:= B orelse A =:= "-" orelse B =:= "-";
same(_, _) -> false.

%% The packets of a failed case, cut out of the job's capture; times in milliseconds.
keep(Dir, Id, From, To) ->
    File = filename:join(Dir, atom_to_list(Id) ++ ".pcapng"),
    os:cmd(io_lib:format("'~s' cut '~s' ~.3f ~.3f '~s'", [filename:join(cf:home(), "eye"), filename:join(Dir, "capture.pcapng"), From / 1000, To / 1000, File])),
    File.
