%% SPDX-License-Identifier: Apache-2.0
%% Clusters of OTP nodes and nodes under test (cf_cluster): what OTP's global_SUITE does, with any node in a peer's place,
%% its name sorting first and last, alone among OTP nodes and with one OTP node among its own.
-module(cf_case_cluster).
-export([cases/0, shapes/0]).
-import(cf_cluster, [names/1, others/2, ask/3, ask/4, later/4, answer/1, puppet/1, watched/1, connect/2, together/1, apart/1, known/1, visible/1, free/2]).

-define(SUITE, "global_SUITE.erl").

%% {Suffix of the case, how the sentence says it, shape, options}.
shapes() ->
    [{first, "one node, sorting first, and two of OTP", [{nut, "a"}, {peer, "m"}, {peer, "n"}], []},
     {last, "two nodes of OTP and one, sorting last", [{peer, "m"}, {peer, "n"}, {nut, "z"}], []},
     {most, "three nodes and one of OTP", [{nut, "a"}, {nut, "m"}, {peer, "n"}, {nut, "z"}], []}]
    ++ mixed().

%% Clusters of several releases: whoever judges, so in the runs of OTP 25 only.
mixed() ->
    Once = fun(Releases) -> [{from, 25}, {to, 25}, {uses, Releases}] end,
    [{mixed_first, "one node, sorting first, and OTP 25, 27 and 29", [{nut, "a"}, {{otp, 25}, "m"}, {{otp, 27}, "n"}, {{otp, 29}, "o"}], Once([25, 27, 29])},
     {mixed_last, "OTP 25, 27 and 29 and one node, sorting last", [{{otp, 29}, "k"}, {{otp, 25}, "m"}, {{otp, 27}, "n"}, {nut, "z"}], Once([25, 27, 29])},
     {mixed_old, "OTP 23 and 25 and one node between them", [{{otp, 23}, "a"}, {nut, "m"}, {{otp, 25}, "z"}], Once([23, 25])}].

cases() ->
    [{list_to_atom(lists:concat([Group, ".", Id, "_", Suffix])), lists:concat([Sentence, ": ", Who]), ?SUITE,
      O ++ Options ++ [{needs, [global | Needs]}, {only, visible}, {lane, Suffix}, {timeout, 60000}],
      fun(T) -> cf_cluster:with(T, Shape, fun(C) -> Fun(C#{t => T}) end) end}
     || {Suffix, Who, Shape, Options} <- shapes(), {Group, Id, Sentence, Needs, O, Fun} <- everywhere(), fits(Shape, Id)]
    ++ rings()
    ++ [{'global.external', "a hidden node's name, registered through a node of OTP, is known to all and ends with its process", ?SUITE,
         [{needs, [global_external]}, {only, visible}, {lane, external}, {timeout, 40000}],
         fun(T) -> cf_cluster:with(T, [{hidden_nut, "h"}, {peer, "m"}, {peer, "n"}], fun external/1) end},
        {'global.resolve_halt', "a resolver halts the node that it runs on: the others have the name, and no lock is left", ?SUITE,
         [{needs, [global, global_resolve]}, {only, visible}, {lane, external}, {timeout, 60000}],
         fun(T) -> cf_cluster:with(T, [{nut, "a"}, {nut, "m"}, {peer, "z"}], fun resolve_halt/1) end}].

%% OTP 23 does not prevent overlapping partitions, and cannot leave all at once.
fits(Shape, Id) -> not (lists:keymember({otp, 23}, 1, Shape) andalso lists:member(Id, [lost_connection, disconnect, disconnect_quick])).

everywhere() ->
    [{global, sync, "sync, register_name, set_lock and trans of every node return promptly", [], [], fun prompt/1},
     {global, names, "a name registered on each node is known on each; taken it is refused; unregistered it is gone", [], [], fun all_names/1},
     {global, names_move, "re_register moves a name from node to node", [], [], fun names_move/1},
     {global, names_send, "global:send from each node reaches a process on each", [], [], fun names_send/1},
     {global, names_die, "names end with their processes, killed or not, on all nodes", [], [], fun names_die/1},
     {global, names_race, "all nodes register one name at once: one yes, 10 rounds", [], [], fun names_race/1},
     {global, one_name, "a process gets no second name", [], [], fun one_name/1},
     {locks, exclusive, "a lock of one node keeps all others out until it is given back", [], [], fun exclusive/1},
     {locks, shared, "one requester may have a lock from all nodes; the last one frees it", [], [], fun shared/1},
     {locks, some_nodes, "a lock on some of the nodes leaves the others free", [], [], fun some_nodes/1},
     {locks, holder_dies, "a lock ends with its process", [], [], fun holder_dies/1},
     {locks, trans, "all nodes run trans on one resource: never two inside, everybody in the end", [], [], fun all_trans/1},
     {locks, trans_aborted, "trans without retries is aborted while somebody else is inside", [], [], fun trans_aborted/1},
     {locks, and_names, "names are registered while locks of other resources are held everywhere", [], [], fun locks_and_names/1},
     {locks, global_held, "register_name waits for who has `global` locked", [], [], fun global_held/1},
     {locks, name_exit, "a name ends with its process while somebody has `global` locked", [], [], fun name_exit/1},
     {global, garbage, "garbage to global_name_server of each node: names go on", [], [], fun garbage/1},
     {global, paused, "a registration waits while a node is stopped, and ends when it goes on", [], [], fun paused/1},
     {global, newcomer, "each node in turn joins the others through each: all know all, and all names", [], [{timeout, 180000}], fun newcomer/1},
     {global, newcomers, "all join one node at once", [], [], fun newcomers/1},
     {global, everybody_dials, "everybody dials everybody at once", [], [], fun everybody_dials/1},
     {global, register_1, "a node joins in the middle of a registration", [], [], fun register_1/1},
     {global, resolve, "each node in turn comes with names that the others have: one winner, as every method says", [], [{timeout, 180000}], fun resolve/1},
     {global, resolve_own, "the same with resolvers of the nodes' own", [global_resolve], [{timeout, 180000}], fun resolve_own/1},
     {global, resolve_disconnect, "a resolver ends the connection: both sides go on, and meet again", [global_resolve], [{timeout, 180000}], fun resolve_disconnect/1},
     {global, lost_connection, "two nodes lose each other: no partitions that overlap are left, whoever they are", [global_pop], [{from, 25}, {timeout, 180000}], fun lost_connection/1},
     {global, disconnect, "each node in turn leaves: it is alone, the others stay together", [global_disconnect], [{from, 25}, {timeout, 180000}], fun disconnect/1},
     {global, disconnect_quick, "a node leaves and comes back five times in a row", [global_disconnect], [{from, 25}], fun disconnect_quick/1},
     {global, mass_death, "a node with 100 names and a lock is killed: all are gone everywhere; it comes back under its name and is a member again", [], [], fun mass_death/1},
     {global, shutdown, "a node is told to end: it accuses nobody, the others lose no connection, and its names are gone", [monitor], [], fun shutdown/1}].

%% ---- help ----

name() -> cf:unique("cluster_name").

%% All nodes say that the name is this process's.
agree(C, Name, What) -> agree_on(names(C), Name, What).

agree_on(Nodes, Name, What) ->
    cf:wait(io_lib:format("~p is ~p everywhere", [Name, What]), fun() ->
        case [{N, W} || N <- Nodes, W <- [ask(N, global_whereis, [Name])], W =/= What] of [] -> true; Others -> Others end
    end).

at_once(C, Name, What) ->
    [cf:same(What, ask(N, global_whereis, [Name]), lists:concat(["the name on ", N])) || N <- names(C)].

no_lock(C) -> no_lock(C, global).
no_lock(C, Resource) -> cf:wait(io_lib:format("~p is free everywhere", [Resource]), fun() -> free(names(C), Resource) end).

nuts(C) -> cf_cluster:names(C, nut).

%% How long Fun takes, at most Limit ms.
within(Limit, What, Fun) ->
    Began = cf:clock(),
    Value = Fun(),
    {_, Took} = cf:took(Began),
    cf:check(Took =< Limit, "~s took ~p ms", [What, Took]),
    Value.

%% ---- one cluster, all at peace ----

prompt(C) ->
    together(C),
    [begin
         P = puppet(N), Name = name(), R = name(),
         ok = within(2000, lists:concat(["sync on ", N]), fun() -> ask(P, global_sync, []) end),
         yes = within(2000, lists:concat(["register_name on ", N]), fun() -> ask(P, global_register, [Name]) end),
         true = within(2000, lists:concat(["set_lock on ", N]), fun() -> ask(P, global_set_lock, [{R, P}]) end),
         true = within(2000, lists:concat(["del_lock on ", N]), fun() -> ask(P, global_del_lock, [{R, P}]) end),
         left = within(2000, lists:concat(["trans on ", N]), fun() -> inside(later(P, global_trans, [{R, P}, names(C), 5, self()], self())) end)
     end || N <- names(C)],
    no_lock(C).

%% A trans that was ordered has got in: let it out.
inside({Ref, _, _} = Asked) ->
    receive {inside, Holder, Ref} -> Holder ! {leave, Ref}, answer(Asked)
    after cf:ms(15000) -> cf:fail("trans never got in")
    end.

all_names(C) ->
    together(C),
    Named = [{N, name(), puppet(N)} || N <- names(C)],
    [yes = ask(P, global_register, [Name]) || {_, Name, P} <- Named],
    [at_once(C, Name, P) || {_, Name, P} <- Named],
    [cf:same(no, ask(puppet(Other), global_register, [Name]), lists:concat(["taken, on ", Other])) || {N, Name, _} <- Named, Other <- others(C, N)],
    [cf:check(lists:member(Name, ask(N, global_names, [])), "~p is not listed on ~p", [Name, N]) || N <- names(C), {_, Name, _} <- Named],
    %% Each is unregistered by the next node.
    [ok = ask(puppet(By), global_unregister, [Name]) || {By, {_, Name, _}} <- lists:zip(tl(names(C)) ++ [hd(names(C))], Named)],
    [at_once(C, Name, undefined) || {_, Name, _} <- Named],
    no_lock(C).

names_move(C) ->
    together(C),
    Name = name(),
    [begin
         P = puppet(N),
         yes = ask(P, global_re_register, [Name]),
         at_once(C, Name, P)
     end || N <- names(C) ++ names(C)],
    no_lock(C).

names_send(C) ->
    together(C),
    [begin
         P = watched(N), Name = name(),
         yes = ask(P, global_register, [Name]),
         [begin
              P = ask(From, global_send, [Name, {hello, From}]),
              cf:same({hello, From}, cf_live:saw(P))
          end || From <- names(C)]
     end || N <- names(C)].

names_die(C) ->
    together(C),
    Named = [{How, name(), puppet(N)} || N <- names(C), How <- [normal, bye, kill]],
    [yes = ask(P, global_register, [Name]) || {_, Name, P} <- Named],
    [case How of kill -> exit(P, kill); _ -> ok = ask(P, exit, [How]) end || {How, _, P} <- Named],
    [agree(C, Name, undefined) || {_, Name, _} <- Named].

names_race(C) ->
    together(C),
    [begin
         Name = name(),
         Asked = [{P, later(P, global_register, [Name], self())} || N <- names(C), P <- [puppet(N)]],
         Answers = [{P, answer(A)} || {P, A} <- Asked],
         case [P || {P, yes} <- Answers] of
             [Winner] -> at_once(C, Name, Winner);
             Winners -> cf:fail("~p say that they have the name", [Winners])
         end
     end || _ <- lists:seq(1, 10)],
    no_lock(C).

one_name(C) ->
    together(C),
    [begin
         P = puppet(N), [A, B] = [name(), name()],
         yes = ask(P, global_register, [A]),
         cf:same(no, ask(P, global_register, [B]), "the second name"),
         at_once(C, B, undefined)
     end || N <- names(C)].

exclusive(C) ->
    together(C),
    [begin
         R = name(), P = puppet(N),
         true = ask(P, global_set_lock, [{R, P}]),
         [cf:same(false, ask(Q, global_set_lock, [{R, Q}, names(C), 0]), lists:concat(["the lock for ", Other])) || Other <- others(C, N), Q <- [puppet(Other)]],
         true = ask(P, global_set_lock, [{R, P}, names(C), 0]),
         true = ask(P, global_del_lock, [{R, P}]),
         no_lock(C, R)
     end || N <- names(C)].

shared(C) ->
    together(C),
    R = name(),
    Ps = [puppet(N) || N <- names(C)],
    [true = ask(P, global_set_lock, [{R, "together"}]) || P <- Ps],
    [begin
         cf:check(free(names(C), R) =/= true, "free although ~p has it", [P]),
         true = ask(P, global_del_lock, [{R, "together"}])
     end || P <- Ps],
    true = free(names(C), R).

some_nodes(C) ->
    together(C),
    [A, B | Rest] = names(C),
    R = name(), P = puppet(A), Q = puppet(B), S = puppet(lists:last(Rest)),
    true = ask(P, global_set_lock, [{R, P}, [A, B], 0]),
    false = ask(Q, global_set_lock, [{R, Q}, [B], 0]),
    true = free(Rest, R),
    true = ask(S, global_set_lock, [{R, S}, Rest, 0]),
    true = ask(P, global_del_lock, [{R, P}, [A, B]]),
    true = ask(Q, global_set_lock, [{R, Q}, [A, B], 0]),
    false = ask(Q, global_set_lock, [{R, Q}, names(C), 0]),
    true = ask(S, global_del_lock, [{R, S}, Rest]),
    true = ask(Q, global_del_lock, [{R, Q}, [A, B]]),
    no_lock(C, R).

holder_dies(C) ->
    together(C),
    [begin
         R = name(), P = puppet(N),
         true = ask(P, global_set_lock, [{R, P}]),
         case How of kill -> exit(P, kill); _ -> ok = ask(P, exit, [How]) end,
         no_lock(C, R)
     end || N <- names(C), How <- [kill, normal]].

all_trans(C) ->
    together(C),
    R = name(), Each = 4, Self = self(),
    Asked = [later(P, global_trans, [{R, P}, names(C), infinity, Self], Self) || N <- names(C), _ <- lists:seq(1, Each), P <- [puppet(N)]],
    turns(Asked, []),
    no_lock(C, R).

%% One at a time comes in; while it is there, nobody else does.
turns([], []) -> ok;
turns(Waiting, _) ->
    receive
        {inside, Holder, Ref} ->
            receive {inside, Second, _} -> cf:fail("~p and ~p are inside", [Holder, Second]) after 10 -> ok end,
            Holder ! {leave, Ref},
            {_, Whom, Op} = lists:keyfind(Ref, 1, Waiting),
            left = left(Ref, Whom, Op),
            turns(lists:keydelete(Ref, 1, Waiting), [])
    after cf:ms(30000) -> cf:fail("~p of them never got in", [length(Waiting)])
    end.

%% The next one may be in before this one's answer is here.
left(Ref, Whom, Op) -> answer({Ref, Whom, Op}).

trans_aborted(C) ->
    together(C),
    R = name(), [A | _] = names(C), P = puppet(A),
    First = {Ref, _, _} = later(P, global_trans, [{R, P}, names(C), 0, self()], self()),
    receive {inside, Holder, Ref} -> ok after cf:ms(8000) -> Holder = cf:fail("the first never got in") end,
    [aborted = ask(Q, global_trans, [{R, Q}, names(C), 0, self()]) || N <- names(C), Q <- [puppet(N)]],
    Holder ! {leave, Ref},
    left = answer(First),
    no_lock(C, R).

locks_and_names(C) ->
    together(C),
    Held = [{P, {name(), P}} || N <- names(C), P <- [puppet(N)]],
    [true = ask(P, global_set_lock, [Id]) || {P, Id} <- Held],
    all_names(C),
    [true = ask(P, global_del_lock, [Id]) || {P, Id} <- Held].

global_held(C) ->
    together(C),
    [begin
         P = puppet(N), Name = name(),
         true = ask(P, global_set_lock, [{global, P}]),
         Asked = [{Q, later(Q, global_register, [Q], self())} || Other <- names(C), Q <- [puppet(Other)]],
         [cf:same(undefined, ask(Other, global_whereis, [Name])) || Other <- names(C)],
         true = ask(P, global_del_lock, [{global, P}]),
         [begin yes = answer(A), at_once(C, Q, Q) end || {Q, A} <- Asked]
     end || N <- names(C)],
    no_lock(C).

name_exit(C) ->
    together(C),
    [begin
         [Holder, P] = [puppet(N), puppet(hd(others(C, N)))],
         yes = ask(P, global_register, [P]),
         true = ask(Holder, global_set_lock, [{global, Holder}]),
         exit(P, kill),
         agree(C, P, undefined),
         true = ask(Holder, global_del_lock, [{global, Holder}])
     end || N <- names(C)],
    no_lock(C).

garbage(C) ->
    together(C),
    Junk = [junk, {junk, 1}, [], <<1>>, {'$gen_cast', junk}, {init_connect_ack, x}, {'$gen_cast', {exchange, x}}, {nodeup, x}],
    [{Name, N} ! M || N <- names(C), Name <- [global_name_server], M <- Junk],
    [begin P = puppet(N), yes = ask(P, global_register, [P]), at_once(C, P, P) end || N <- names(C)],
    no_lock(C).

paused(#{nodes := Nodes} = C) ->
    together(C),
    [begin
         Name = name(), P = puppet(hd(others(C, N))),
         cf_proc:pause(Proc),
         Asked = {Ref, _, _} = later(P, global_register, [Name], self()),
         receive {Ref, Early} -> cf:fail("~p although ~p is stopped", [Early, N]) after 100 -> ok end,
         cf_proc:resume(Proc),
         yes = answer(Asked),
         at_once(C, Name, P)
     end || #{name := N, proc := Proc} <- Nodes],
    no_lock(C).

%% ---- nodes that come ----

joined(C) -> [cf_cluster:wait_known(N, others(C, N)) || N <- names(C)].

newcomer(C) ->
    [begin
         apart(C),
         Others = [First | More] = others(C, N),
         [connect(First, O) || O <- More],
         [cf_cluster:wait_known(O, Others -- [O]) || O <- Others],
         Named = [{P, P} || O <- names(C), P <- [puppet(O)]],
         [yes = ask(P, global_register, [Name]) || {Name, P} <- Named],
         connect(N, Via),
         joined(C),
         [agree(C, Name, P) || {Name, P} <- Named],
         no_lock(C)
     end || N <- names(C), Via <- [case nuts(C) -- [N] of [Nut | _] -> Nut; [] -> lists:last(others(C, N)) end]].

newcomers(C) ->
    [begin
         apart(C),
         Named = [{P, P} || O <- names(C), P <- [puppet(O)]],
         [yes = ask(P, global_register, [Name]) || {Name, P} <- Named],
         Asked = [later(puppet(N), connect, [Hub], self()) || N <- others(C, Hub)],
         [true = answer(A) || A <- Asked],
         joined(C),
         [agree(C, Name, P) || {Name, P} <- Named],
         no_lock(C)
     end || Hub <- nuts(C)].

everybody_dials(C) ->
    apart(C),
    Named = [{P, P} || O <- names(C), P <- [puppet(O)]],
    [yes = ask(P, global_register, [Name]) || {Name, P} <- Named],
    Asked = [later(puppet(N), connect, [M], self()) || N <- names(C), M <- others(C, N)],
    [answer(A) || A <- Asked],
    joined(C),
    [agree(C, Name, P) || {Name, P} <- Named],
    no_lock(C).

%% Somebody is waiting for the lock on `global`, and it is given back only after a node has come.
register_1(C) ->
    apart(C),
    [A, B | More] = names(C),
    connect(A, B),
    [cf_cluster:wait_known(X, [Y]) || {X, Y} <- [{A, B}, {B, A}]],
    %% Their meeting gives the lock back after they know each other.
    no_lock(C),
    P = puppet(A), Name = name(), Q = puppet(B),
    true = ask(P, global_set_lock, [{global, P}, [A, B], 0]),
    Asked = later(Q, global_register, [Name], self()),
    [connect(B, N) || N <- More],
    true = ask(P, global_del_lock, [{global, P}, [A, B]]),
    yes = answer(Asked),
    joined(C),
    agree(C, Name, Q),
    no_lock(C).

%% ---- conflicts ----

%% One node and all others, then they meet: Lone connects to Via, while the names are on another of the others.
resolve(C) -> resolve(C, [random_exit_name, random_notify_name, notify_all_name], global).
resolve_own(C) -> resolve(C, [first, second, none, bad, crash], conformance_resolver).

resolve(C, Functions, Module) ->
    [cf_cluster:twice(C, atom_to_list(Lone), fun() -> resolve(C, Functions, Module, Lone) end) || Lone <- names(C)].

resolve(C, Functions, Module, Lone) ->
    apart(C),
    Others = [First | More] = others(C, Lone),
    [connect(First, O) || O <- More],
    [cf_cluster:wait_known(O, Others -- [O]) || O <- Others],
    Via = hd(Others), Holder = lists:last(Others),
    Rows = [{F, name(), watched(Lone), watched(Holder)} || F <- Functions],
    [begin
         yes = ask(P, global_register, [Name, P, {Module, F}]),
         yes = ask(Q, global_register, [Name, Q, {Module, F}])
     end || {F, Name, P, Q} <- Rows],
    connect(Lone, Via),
    joined(C),
    %% The lesser of the two that met decides; Pid2 is the one of its own side.
    [begin
         {Pid1, Pid2} = if Lone < Via -> {Q, P}; true -> {P, Q} end,
         decided(C, F, Name, Pid1, Pid2)
     end || {F, Name, P, Q} <- Rows],
    no_lock(C).

%% Whoever decides cuts itself off, in the middle of it.
resolve_disconnect(C) ->
    [begin
         apart(C),
         [Via | _] = Others = others(C, Lone),
         [connect(Via, O) || O <- Others -- [Via]],
         [cf_cluster:wait_known(O, Others -- [O]) || O <- Others],
         Name = name(), [P, Q] = [puppet(Lone), puppet(Via)],
         yes = ask(P, global_register, [Name, P, {conformance_resolver, disconnect}]),
         yes = ask(Q, global_register, [Name, Q, {conformance_resolver, disconnect}]),
         connect(Lone, Via),
         no_lock(C),
         %% What was decided may have arrived before the connection ended, or have brought it up again.
         exit(Q, kill),
         together(C),
         cf:wait("all say the same of the name", fun() ->
             case lists:usort([ask(N, global_whereis, [Name]) || N <- names(C)]) of
                 [P] -> true; [undefined] -> true; Several -> Several
             end
         end),
         no_lock(C)
     end || Lone <- names(C)].

decided(C, F, Name, Pid1, Pid2) ->
    {Min, Max} = if node(Pid1) < node(Pid2) -> {Pid1, Pid2}; true -> {Pid2, Pid1} end,
    agree(C, Name, case F of
                       first -> Pid1; second -> Pid2; crash -> Pid1;
                       none -> undefined; bad -> undefined; notify_all_name -> undefined;
                       _ -> Min
                   end),
    case F of
        random_exit_name -> cf:wait("the loser is dead", fun() -> not ask(node(Max), is_alive, [Max]) end);
        random_notify_name -> cf:same({global_name_conflict, Name}, cf_live:saw(Max));
        notify_all_name ->
            cf:same({global_name_conflict, Name, Pid2}, cf_live:saw(Pid1)),
            cf:same({global_name_conflict, Name, Pid1}, cf_live:saw(Pid2));
        _ -> [true = ask(node(P), is_alive, [P]) || P <- [Pid1, Pid2]]
    end.

%% ---- nodes that go ----

lost_connection(C) ->
    [cf_cluster:twice(C, io_lib:format("~p", [[A, B]]), fun() -> lost_connection(C, A, B) end) || A <- names(C), B <- others(C, A), A < B],
    together(C).

lost_connection(C, A, B) ->
    together(C),
    true = ask(A, disconnect, [B]),
    cf:wait("they are apart", fun() -> not lists:member(B, visible(A)) andalso not lists:member(A, visible(B)) end),
    cf_cluster:no_overlap(C),
    no_lock(C).

disconnect(C) ->
    [begin
         together(C),
         Others = others(C, N),
         P = puppet(N), Q = puppet(hd(Others)),
         yes = ask(P, global_register, [P]),
         yes = ask(Q, global_register, [Q]),
         cf:same(lists:sort(Others), lists:sort(ask(puppet(N), global_disconnect, [])), "whom it left"),
         cf_cluster:wait_known(N, []),
         [cf_cluster:wait_known(O, Others -- [O]) || O <- Others],
         cf:wait("each side has its own name only", fun() ->
             {P, undefined} =:= {ask(N, global_whereis, [P]), ask(N, global_whereis, [Q])} andalso
                 [] =:= [O || O <- Others, {undefined, Q} =/= {ask(O, global_whereis, [P]), ask(O, global_whereis, [Q])}]
         end)
     end || N <- names(C)].

disconnect_quick(C) ->
    together(C),
    [Nut | _] = nuts(C),
    [begin
         ask(puppet(Nut), global_disconnect, []),
         cf_cluster:wait_known(Nut, []),
         [cf_cluster:wait_known(N, others(C, Nut) -- [N]) || N <- others(C, Nut)],
         cf_cluster:settle(C),
         connect(Nut, lists:last(others(C, Nut))),
         joined(C)
     end || _ <- lists:seq(1, 5)],
    P = puppet(Nut),
    yes = ask(P, global_register, [P]),
    agree(C, P, P),
    no_lock(C).

mass_death(#{t := T} = C) ->
    together(C),
    [Nut | _] = nuts(C),
    Left = others(C, Nut),
    Named = [puppet(Nut) || _ <- lists:seq(1, 100)],
    Asked = [later(P, global_register, [P], self()) || P <- Named],
    [yes = answer(A) || A <- Asked],
    at_once(C, hd(Named), hd(Named)),
    R = name(), Holder = hd(Named),
    true = ask(Holder, global_set_lock, [{R, Holder}]),
    true = ask(Holder, global_set_lock, [{global, Holder}]),
    cf_cluster:kill(C, Nut),
    cf:wait("nobody knows a name of it", fun() ->
        [] =:= [P || N <- Left, P <- ask(N, global_names, []), is_pid(P), node(P) =:= Nut]
    end),
    [cf:wait("its locks are free", fun() -> free(Left, What) end) || What <- [R, global]],
    [cf_cluster:wait_known(N, Left -- [N]) || N <- Left],
    [within(5000, "register_name after it", fun() -> P = puppet(N), yes = ask(P, global_register, [P]) end) || N <- Left],
    Back = cf_cluster:again(T, C, Nut),
    together(Back),
    [begin P = puppet(N), yes = ask(P, global_register, [P]), at_once(Back, P, P) end || N <- [Nut | Left]],
    no_lock(Back).

%% Global.md T2: one that reported its losses while it closes its connections would tear the others apart.
shutdown(#{nodes := Nodes} = C) ->
    together(C),
    [Nut | _] = nuts(C),
    Left = others(C, Nut),
    Pairs = [{watched(A), puppet(B)} || A <- Left, B <- Left, A =/= B],
    [_ = ask(P, monitor, [Q]) || {P, Q} <- Pairs],
    P = puppet(Nut), Q = puppet(hd(Left)),
    [yes = ask(X, global_register, [X]) || X <- [P, Q]],
    cf_cluster:died(Nut),
    [begin cf_proc:signal(Proc, "TERM"), {exited, _} = cf_proc:wait_exit(Proc, 10000) end || #{name := N, proc := Proc} <- Nodes, N =:= Nut],
    [cf_cluster:wait_known(N, Left -- [N]) || N <- Left],
    cf_cluster:settle(C#{nodes := [Node || #{name := N} = Node <- Nodes, N =/= Nut]}),
    [cf:same({undefined, Q}, {ask(N, global_whereis, [P]), ask(N, global_whereis, [Q])}, lists:concat(["the names on ", N])) || N <- Left],
    [cf:same(W, ask(W, self, []), "who watches is there") || {W, _} <- Pairs],
    receive {saw, W, {'DOWN', _, _, Lost, Why}} -> cf:fail("~p lost ~p: ~p", [W, Lost, Why]) after 0 -> ok end,
    cf:wait("`global` is free", fun() -> free(Left, global) end).

%% ---- rings and lines ----

rings() ->
    [{list_to_atom(lists:concat(["global.", Id, "_", Suffix])), lists:concat([Sentence, ": ", Who]), ?SUITE,
      Options ++ [{needs, [global]}, {only, visible}, {lane, list_to_atom(lists:concat([ring, "_", Suffix]))}, {timeout, 120000}],
      fun(T) -> cf_cluster:with(T, Shape, Fun) end}
     || {Suffix, Who, Shape, Options} <-
            [{one, "one node and five of OTP", [{peer, "a"}, {peer, "b"}, {nut, "c"}, {peer, "d"}, {peer, "e"}, {peer, "f"}], []},
             {most, "five nodes and one of OTP", [{nut, "a"}, {nut, "b"}, {nut, "c"}, {peer, "d"}, {nut, "e"}, {nut, "f"}], []}
             | [Shape || {Id, _, _, _} = Shape <- mixed(), Id =/= mixed_old]],
        {Id, Sentence, Fun} <- [{ring, "nodes with one same name connect in a ring at once: one has it", fun(C) -> meet(C, ring) end},
                                {line, "nodes with one same name connect in a line at once: one has it", fun(C) -> meet(C, line) end},
                                {simple_ring, "nodes with one same name connect in a ring one after the other: one has it", fun(C) -> meet(C, simple_ring) end},
                                {simple_line, "nodes with one same name connect in a line one after the other: one has it", fun(C) -> meet(C, simple_line) end}]].

meet(C, How) -> cf_cluster:twice(C, atom_to_list(How), fun() -> meet_once(C, How) end).

meet_once(C, How) ->
    apart(C),
    Name = name(),
    Ps = [puppet(N) || N <- names(C)],
    [yes = ask(P, global_register, [Name]) || P <- Ps],
    Names = [First | _] = names(C),
    Pairs = lists:zip(lists:droplast(Names), tl(Names)) ++ [{lists:last(Names), First} || How =:= ring orelse How =:= simple_ring],
    case How =:= ring orelse How =:= line of
        true -> [answer(A) || A <- [later(puppet(A), connect, [B], self()) || {A, B} <- Pairs]];
        false -> [connect(A, B) || {A, B} <- Pairs]
    end,
    joined(C),
    cf:wait("all have one holder", fun() ->
        case lists:usort([ask(N, global_whereis, [Name]) || N <- Names]) of
            [Winner] when is_pid(Winner) -> [Winner] =:= [P || P <- Ps, ask(node(P), is_alive, [P])];
            Several -> Several
        end
    end),
    no_lock(C).

%% ---- a hidden node ----

external(#{nodes := [#{name := Hidden} | _]} = C) ->
    [M, N] = others(C, Hidden),
    connect(M, N),
    [cf_cluster:wait_known(X, [Y]) || {X, Y} <- [{M, N}, {N, M}]],
    P = puppet(Hidden), Name = name(),
    yes = ask(P, global_register_external, [M, Name]),
    [cf:wait("the name is known", fun() -> ask(X, global_whereis, [Name]) =:= P end) || X <- [M, N]],
    ok = ask(P, exit, [bye]),
    [cf:wait("the name is gone", fun() -> ask(X, global_whereis, [Name]) =:= undefined end) || X <- [M, N]].

%% The lesser node's side decides, and the process that has the name there is on the third node.
resolve_halt(C) ->
    apart(C),
    [A, M, Z] = names(C),
    connect(A, M),
    [cf_cluster:wait_known(X, [Y]) || {X, Y} <- [{A, M}, {M, A}]],
    Name = name(), [P, Q] = [puppet(M), puppet(Z)],
    [yes = ask(X, global_register, [Name, X, {conformance_resolver, halt}]) || X <- [P, Q]],
    cf_cluster:died(M),
    connect(Z, A),
    [cf_cluster:wait_known(X, [Y]) || {X, Y} <- [{A, Z}, {Z, A}]],
    agree_on([A, Z], Name, Q),
    cf:wait("global is free", fun() -> free([A, Z], global) end).
