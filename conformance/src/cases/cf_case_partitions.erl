%% SPDX-License-Identifier: Apache-2.0
%% Networks that break and heal between nodes of a cluster (cf_net), and nodes that do anything in any order for a while.
-module(cf_case_partitions).
-export([cases/0]).
-import(cf_cluster, [names/1, others/2, ask/3, later/4, answer/1, puppet/1, watched/1, connect/2, together/1, apart/1, heal/1, known/1, visible/1, free/2]).

-define(SUITE, "global_SUITE.erl").

%% {Suffix of the case, how the sentence says it, shape, options}.
shapes() ->
    [{first, "one node, sorting first, and three of OTP", [{nut, "a"}, {peer, "m"}, {peer, "n"}, {peer, "o"}], []},
     {last, "three nodes of OTP and one, sorting last", [{peer, "m"}, {peer, "n"}, {peer, "o"}, {nut, "z"}], []},
     {most, "three nodes and one of OTP", [{nut, "a"}, {nut, "m"}, {peer, "n"}, {nut, "z"}], []},
     {mixed_first, "one node, sorting first, and OTP 25, 27 and 29", [{nut, "a"}, {{otp, 25}, "m"}, {{otp, 27}, "n"}, {{otp, 29}, "o"}], mixed()},
     {mixed_last, "OTP 25, 27 and 29 and one node, sorting last", [{{otp, 29}, "k"}, {{otp, 25}, "m"}, {{otp, 27}, "n"}, {nut, "z"}], mixed()}].

%% Clusters of several releases: whoever judges, so in the runs of OTP 25 only.
mixed() -> [{from, 25}, {to, 25}, {uses, [25, 27, 29]}].

%% Of several releases, what has to do with what they tell each other when they meet; the rest is of the network.
fits(Options, Id) -> Options =:= [] orelse lists:member(Id, [heal, three]).

%% How many seeds: with CNODE_LONG_TESTS all that issue 6 asks for.
seeds([]) -> case long() of true -> 50; false -> 3 end;
seeds(_Mixed) -> case long() of true -> 50; false -> 2 end.
long() -> is_set("CNODE_LONG_TESTS").
is_set(Variable) -> not lists:member(os:getenv(Variable, ""), ["", "0", "no"]).

%% Seconds that partitions.random goes on, and the one of several releases.
seconds() -> case {long(), is_set("CNODE_QUICK_TESTS")} of {true, _} -> 600; {_, true} -> 15; _ -> 60 end.
seconds_mixed() -> case long() of true -> 600; false -> 15 end.

cases() ->
    [{list_to_atom(lists:concat(["partitions.", Id, "_", Suffix])), lists:concat([Sentence, ": ", Who]), ?SUITE,
      [{needs, [global | Needs]}, {only, visible}, {lane, list_to_atom(lists:concat([net, "_", Suffix]))} | O ++ Options],
      fun(T) -> cf_cluster:with(T, {net, Shape}, Fun) end}
     || {Suffix, Who, Shape, Options} <- shapes(),
        {Id, Sentence, Needs, O, Fun} <-
            [{relay, "the cluster works through the suite's relays", [], [{timeout, 60000}], fun through/1},
             {heal, "split at random, the same names on both sides, healed: one winner everywhere within 5 s", [], [{timeout, 60000 + 20000 * seeds(Options)}], fun(C) -> healed(C, lists:seq(1, seeds(Options))) end},
             {cut, "the connection of two is cut: no partitions that overlap; healed, all are together again", [global_pop], [{from, 25}, {timeout, 180000}], fun cut/1},
             {refused, "a node that some cannot reach: no partitions that overlap", [global_pop], [{from, 25}, {timeout, 150000}], fun refused/1},
             {registering, "the network splits while everybody registers: all come to an end, no lock is left", [], [{timeout, 60000}], fun registering/1},
             {joining, "the network splits while a node joins: healed, it joins", [], [{timeout, 60000}], fun joining/1},
             {three, "three ways: each part has its own name, healed one has it", [], [{timeout, 60000}], fun three/1}],
        fits(Options, Id)]
    ++
    [{'partitions.silent', "a network that swallows everything: nodedown after the tick time, one winner after it", ?SUITE,
      [{needs, [global]}, {only, visible}, {lane, net_silent}, {timeout, 60000}],
      fun(T) -> cf_cluster:with(T#{ticktime => 4}, {net, [{nut, "a"}, {peer, "m"}, {nut, "z"}]}, fun silent/1) end},
     random('partitions.random', "two nodes of OTP and three", [{nut, "a"}, {peer, "b"}, {nut, "m"}, {peer, "y"}, {nut, "z"}], seconds(), []),
     random('partitions.random_mixed', "OTP 25, 27 and 29 and two nodes",
            [{nut, "a"}, {{otp, 27}, "b"}, {{otp, 25}, "m"}, {{otp, 29}, "y"}, {nut, "z"}], seconds_mixed(), mixed())].

random(Id, Who, Shape, Seconds, Options) ->
    {Id, Who ++ ": register, unregister, kill, disconnect, reconnect by seed; at each quiet point all tables are equal and no lock is left", ?SUITE,
     [{needs, [global]}, {only, visible}, {lane, Id}, {timeout, 90000 + 1350 * Seconds} | Options],
     fun(T) -> cf_cluster:with(T, Shape, fun(C) -> random(C, Seconds) end) end}.

%% ---- help ----

name() -> cf:unique("split_name").
net(#{net := Net}) -> Net.
settled(C) -> [cf_cluster:wait_known(N, others(C, N)) || N <- names(C)], ok.

agree(C, Name, What, Limit) ->
    cf:wait(io_lib:format("~p is ~p everywhere", [Name, What]), fun() ->
        case [{N, W} || N <- names(C), W <- [ask(N, global_whereis, [Name])], W =/= What] of [] -> true; Others -> Others end
    end, Limit).

no_lock(C) -> cf:wait("global is free everywhere", fun() -> free(names(C), global) end).

%% Split, and each part is a cluster by itself.
split(C, Parts, How) ->
    ok = cf_net:split(net(C), Parts, How),
    [cf:wait(lists:concat([N, " sees the split"]), fun() -> case visible(N) -- Part of [] -> true; Left -> Left end end) || Part <- Parts, N <- Part],
    %% A node of another part may have been accused before its own part was.
    [rejoin(Part) || Part <- Parts],
    ok.

rejoin([_]) -> ok;
rejoin([First | More] = Part) ->
    cf:wait(io_lib:format("~p are together", [Part]), fun() ->
        Views = [{N, known(N)} || N <- Part],
        case [V || {N, Known} = V <- Views, Known =/= lists:sort(Part -- [N])] of
            [] -> true;
            Apart -> [ask(puppet(First), connect, [N]) || N <- More], Apart
        end
    end, 20000).

winner(C, Name, Candidates, Limit) ->
    cf:wait("one winner everywhere", fun() ->
        case lists:usort([ask(N, global_whereis, [Name]) || N <- names(C)]) of
            [W] when is_pid(W) -> lists:member(W, Candidates) andalso [W] =:= [P || P <- Candidates, ask(node(P), is_alive, [P])];
            Several -> Several
        end
    end, Limit).

%% A seed makes the same choices again.
seed(N) -> rand:seed(exsplus, {17, 4, N}).
pick(L) -> lists:nth(rand:uniform(length(L)), L).
shuffle(L) -> [X || {_, X} <- lists:sort([{rand:uniform(), X} || X <- L])].

%% ---- splits ----

through(C) ->
    together(C),
    [begin P = puppet(N), yes = ask(P, global_register, [P]), agree(C, P, P, 2000) end || N <- names(C)],
    no_lock(C).

healed(C, Seeds) -> [cf_cluster:twice(C, io_lib:format("seed ~p", [S]), fun() -> healed_one(C, S) end) || S <- Seeds].

healed_one(C, Seed) ->
    seed(Seed),
    together(C),
    Shuffled = shuffle(names(C)),
    {A, B} = lists:split(rand:uniform(length(Shuffled) - 1), Shuffled),
    split(C, [A, B], close),
    Rows = [{name(), Method, puppet(pick(A)), puppet(pick(B))} || Method <- [random_exit_name, random_exit_name, notify_all_name]],
    [begin
         yes = ask(P, global_register, [Name, P, {global, Method}]),
         yes = ask(Q, global_register, [Name, Q, {global, Method}])
     end || {Name, Method, P, Q} <- Rows],
    Only = [{P, P} || P <- [puppet(pick(A)), puppet(pick(B))]],
    [yes = ask(P, global_register, [Name]) || {Name, P} <- Only],
    heal(C),
    Began = erlang:monotonic_time(millisecond),
    connect(pick(A), pick(B)),
    Left = fun() -> max(1, 5000 - (erlang:monotonic_time(millisecond) - Began) div cf:ms(1)) end,
    [case Method of
         notify_all_name -> agree(C, Name, undefined, Left());
         _ -> winner(C, Name, [P, Q], Left())
     end || {Name, Method, P, Q} <- Rows],
    [agree(C, Name, P, Left()) || {Name, P} <- Only],
    settled(C),
    no_lock(C).

cut(C) ->
    [cf_cluster:twice(C, io_lib:format("~p", [[A, B]]), fun() -> cut(C, A, B) end) || A <- names(C), B <- others(C, A), A < B],
    together(C).

cut(C, A, B) ->
    together(C),
    ok = cf_net:cut(net(C), A, B, close),
    cf:wait("they are apart", fun() -> not lists:member(B, visible(A)) andalso not lists:member(A, visible(B)) end),
    cf_cluster:no_overlap(C),
    no_lock(C),
    heal(C),
    cf_cluster:no_overlap(C).

%% The first two cannot reach each other from the beginning; the third brings them together.
refused(C) ->
    Names = names(C),
    [cf_cluster:twice(C, io_lib:format("~p", [[A, B]]), fun() -> refused(C, A, B) end)
     || [A, B] <- [lists:sublist(Names, 2), lists:nthtail(2, Names)]],
    together(C).

refused(C, A, B) ->
    apart(C),
    [Hub | _] = names(C) -- [A, B],
    ok = cf_net:cut(net(C), A, B, close),
    connect(A, Hub),
    connect(B, Hub),
    cf_cluster:no_overlap(C),
    no_lock(C),
    heal(C).

registering(C) ->
    [begin
         seed(Seed),
         together(C),
         [A, B | More] = shuffle(names(C)),
         Asked = [{P, later(P, global_register, [P], self())} || N <- names(C), _ <- [1, 2, 3], P <- [puppet(N)]],
         ok = cf_net:split(net(C), [[A, B], More], close),
         [cf:check(lists:member(answer(X), [yes, no]), "no answer for ~p", [P]) || {P, X} <- Asked],
         no_lock(C),
         overlap_if_pop(C),
         heal(C),
         together(C)
     end || Seed <- [1, 2, 3]].

overlap_if_pop(C) -> pop(C) andalso cf_cluster:no_overlap(C).

%% Do all of them prevent overlapping partitions? If not, a single connection must not be cut.
pop(#{nodes := Nodes}) -> lists:all(fun(#{caps := Caps}) -> lists:member(global_pop, Caps) end, Nodes).

joining(C) ->
    [begin
         apart(C),
         Others = [First | More] = others(C, N),
         [connect(First, O) || O <- More],
         [cf_cluster:wait_known(O, Others -- [O]) || O <- Others],
         Asked = later(puppet(N), connect, [First], self()),
         ok = cf_net:split(net(C), [[N], Others], close),
         _ = answer(Asked),
         cf_cluster:wait_known(N, []),
         no_lock(C),
         heal(C),
         together(C)
     end || N <- names(C)].

three(C) ->
    together(C),
    [A, B, X, Y] = names(C),
    Parts = [[B], [A, X], [Y]],
    split(C, Parts, close),
    Name = name(),
    Ps = [puppet(hd(Part)) || Part <- Parts],
    [yes = ask(P, global_register, [Name]) || P <- Ps],
    heal(C),
    [answer(Q) || Q <- [later(puppet(B), connect, [A], self()), later(puppet(Y), connect, [X], self())]],
    winner(C, Name, Ps, 10000),
    settled(C),
    no_lock(C).

silent(C) ->
    together(C),
    [A, M, Z] = names(C),
    ok = cf_net:split(net(C), [[A, M], [Z]], silent),
    %% Asking all of them all the time keeps the driver's own connections busy: it ticks for a longer tick time.
    cf:wait("the tick time is over", fun() ->
        case [{N, visible(N), known(N)} || N <- names(C)] of
            [{A, [M], [M]}, {M, [A], [A]}, {Z, [], []}] -> true;
            Other -> Other
        end
    end, 20000),
    Name = name(), [P, Q] = [puppet(A), puppet(Z)],
    [yes = ask(X, global_register, [Name]) || X <- [P, Q]],
    heal(C),
    connect(Z, M),
    winner(C, Name, [P, Q], 5000),
    settled(C),
    no_lock(C).

%% ---- anything, for a while ----

random(C, Seconds) ->
    Seed = list_to_integer(os:getenv("CNODE_SEED", "1")),
    Until = erlang:monotonic_time(millisecond) + 1000 * Seconds,
    seed(Seed),
    put(unequal, 0),
    try rounds(C, [{shared, N} || N <- lists:seq(1, 8)], Until, 0)
    catch throw:{case_failed, Why} -> cf:fail("seed ~p (CNODE_SEED): ~s", [Seed, Why])
    end.

rounds(C, Names, Until, Round) ->
    case erlang:monotonic_time(millisecond) < Until of
        true ->
            together(C),
            Ps = [puppet(N) || N <- names(C), _ <- lists:seq(1, 4)],
            [step(C, Names, Ps) || _ <- [1, 2, 3]],
            peace(C, Names, Round),
            [exit(P, kill) || P <- Ps],
            put(cf_puppets, []),
            rounds(C, Names, Until, Round + 1);
        false -> cf:note("~p rounds, ~p times unequal", [Round, get(unequal)])
    end.

%% Names come and go all the time. Connections are lost one after the other, as not even OTP's tables are equal after
%% two losses at once.
step(C, Names, Ps) ->
    named([name_act(rand:uniform(100), Names, Ps) || _ <- lists:seq(1, 12)]),
    A = pick(names(C)), B = pick(others(C, A)),
    case rand:uniform(3) =:= 1 orelse not pop(C) of
        true -> cf_cluster:leave(C, A);
        false -> ask(A, disconnect, [B])
    end,
    stand(C),
    named([name_act(rand:uniform(100), Names, Ps) || _ <- lists:seq(1, 8)]),
    Connects = [later(puppet(X), connect, [Y], self()) || _ <- lists:seq(1, rand:uniform(3)), X <- [pick(names(C))], Y <- [pick(others(C, X))]],
    Meanwhile = [name_act(rand:uniform(100), Names, Ps) || _ <- lists:seq(1, 6)],
    [answer(X) || X <- Connects],
    named(Meanwhile),
    stand(C).

stand(C) ->
    overlap_if_pop(C),
    cf_cluster:settle(C),
    overlap_if_pop(C).

name_act(N, Names, Ps) when N =< 50 -> later(pick(Ps), global_register, [pick(Names)], self());
name_act(N, Names, Ps) when N =< 65 -> later(pick(Ps), global_re_register, [pick(Names)], self());
name_act(N, Names, Ps) when N =< 85 -> later(pick(Ps), global_unregister, [pick(Names)], self());
name_act(_, _, Ps) -> P = pick(Ps), Asked = later(P, self, [], self()), exit(P, kill), Asked.

%% Those that were killed have no answer.
named(Asked) -> [answered(A) || A <- Asked].

answered({Ref, Whom, Op}) ->
    Mon = monitor(process, Whom),
    receive
        {Ref, _} -> demonitor(Mon, [flush]);
        {'DOWN', Mon, _, _, _} -> receive {Ref, _} -> true after 0 -> true end
    after cf:ms(30000) -> cf:fail("no answer to ~p from ~p", [Op, Whom])
    end.

%% OTP's own tables are not always equal: in some hundred meetings one node misses a name. Then it is noted, and they must
%% be equal when all have left and met again; one such round in twenty is too many.
peace(C, Names, Round) ->
    try quiet(C, Names, Round)
    catch throw:{case_failed, Why} ->
        cf:note("round ~p: ~s", [Round, Why]),
        put(unequal, get(unequal) + 1) < 2 + Round div 20 orelse cf:fail("for the ~pth time: ~s", [get(unequal), Why]),
        apart(C),
        quiet(C, Names, Round)
    end.

%% All together again: one table, each name a living process, no lock.
quiet(C, Names, Round) ->
    together(C),
    no_lock(C),
    cf:wait(io_lib:format("all tables are equal (round ~p)", [Round]), fun() ->
        Tables = [{N, [{Name, ask(N, global_whereis, [Name])} || Name <- Names], lists:sort(ask(N, global_names, []))} || N <- names(C)],
        case lists:usort([{Table, Listed} || {_, Table, Listed} <- Tables]) of
            [{Table, _}] -> [] =:= [P || {_, P} <- Table, is_pid(P), not ask(node(P), is_alive, [P])];
            _ -> differ(Tables)
        end
    end).

%% What not all say the same of: {Name, [{Node, What}]}.
differ(Tables) ->
    Rows = [{Name, N, What} || {N, Table, _} <- Tables, {Name, What} <- Table]
        ++ [{listed, N, Listed} || {N, _, Listed} <- Tables],
    [{Name, [{N, W} || {X, N, W} <- Rows, X =:= Name]} || Name <- lists:usort([Name || {Name, _, _} <- Rows]),
                                                            length(lists:usort([W || {X, _, W} <- Rows, X =:= Name])) > 1].
