%% SPDX-License-Identifier: Apache-2.0
%% Clusters of several nodes, all of them obeying CONTRACT.md: nodes under test and OTP nodes of any release. The
%% driver's own connection to each is hidden, so it is no member. The cases of a lane (cf_driver) take turns with one.
-module(cf_cluster).
-export([with/3, finish/1, name/2, names/1, names/2, others/2, caps/2, ask/3, ask/4, later/4, answer/1, answer/2,
         puppet/1, watched/1]).
-export([connect/2, together/1, apart/1, heal/1, leave/2, settle/1, no_overlap/1, known/1, visible/1, free/2, kill/2, died/1, again/3, release/1, wait_known/2, twice/3]).

%% Shape: a list of {Role, Prefix} or {Role, Prefix, More}, Role :: nut | hidden_nut | peer | hidden_peer | {otp, Release}; or
%% {net, List} with the connections between the nodes led through the suite's own relays (cf_net). The node's name begins with
%% Prefix, so one says who sorts first. More: options => words for the command line; global_timeout => seconds (CONTRACT.md).
%% Fun gets the cluster: #{nodes => [#{name, role, caps, ...}], net => Net | none}.
with(T, Shape, Fun) ->
    Key = {maps:get(lane, T), Shape},
    put(cf_puppets, []),
    put(cf_killed, []),
    Cluster = case ets:lookup(cf_clusters, Key) of
                  [{_, C}] -> ets:delete(cf_clusters, Key), ready(C);
                  [] -> start(T, Shape)
              end,
    try Fun(Cluster) of
        Value ->
            Dead = [Name || #{name := Name, proc := P} <- maps:get(nodes, Cluster), cf_proc:exited(P) =/= false],
            case Dead -- get(cf_killed) of
                [] -> ok;
                Died -> cf:fail("~p ended in this case", [Died])
            end,
            [exit(P, kill) || P <- get(cf_puppets)],
            if Dead =:= [] -> ets:insert(cf_clusters, {Key, Cluster}); true -> stop(Cluster) end,
            Value
    catch Class:Why:Stack ->
        stop(Cluster),
        erlang:raise(Class, Why, Stack)
    end.

%% A lane is through: its clusters are not needed any more.
finish(Lane) ->
    [begin ets:delete(cf_clusters, Key), stop(C) end || {{L, _} = Key, C} <- ets:tab2list(cf_clusters), L =:= Lane],
    ok.

stop(#{nodes := Nodes, net := Net, owner := Owner}) ->
    [cf_proc:stop(P) || #{proc := P} <- Nodes],
    Net =:= none orelse cf_net:stop(Net),
    Owner ! stop,
    ok.

%% A process of its own owns the nodes, as they outlive the case that needed them first.
start(T, Shape) ->
    Self = self(),
    {Owner, Mon} = spawn_monitor(fun() -> process_flag(trap_exit, true), own(Self, T, Shape) end),
    receive
        {Owner, {ok, Cluster}} -> demonitor(Mon, [flush]), Cluster#{owner => Owner};
        {Owner, {failed, Why}} -> demonitor(Mon, [flush]), throw({case_failed, Why});
        {'DOWN', Mon, _, _, Why} -> cf:fail("starting the cluster ~p failed: ~p", [Shape, Why])
    end.

own(Case, T, Shape) ->
    Case ! {self(), try {ok, launch(T, Shape)} catch throw:{case_failed, Why} -> {failed, Why} end},
    rest().

rest() -> receive stop -> ok; _ -> rest() end.

launch(#{epmd := Epmd} = T, {net, Specs}) ->
    Net = cf_net:start(Epmd),
    launch(T, Specs, Net);
launch(T, Specs) -> launch(T, Specs, none).

launch(T, Specs, Net) ->
    Launched = [begin
                    {Role, Prefix, More} = spec(Spec),
                    Name = name(T, Prefix),
                    {Role, More, cf_nut:launch(environment(Role, T, More), options(Role, Name, Net, maps:get(ticktime, T, 60), More))}
                end || Spec <- Specs],
    Nodes = [begin
                 #{nut := Name, proc := P} = cf_nut:ready(N),
                 hidden(Name),
                 #{name => Name, role => Role, more => More, proc => P, caps => ask(Name, capabilities, [])}
             end || {Role, More, N} <- Launched],
    #{nodes => Nodes, net => Net}.

spec({Role, Prefix}) -> {Role, Prefix, #{}};
spec({_, _, _} = Spec) -> Spec.

hidden(Name) ->
    true =:= net_kernel:hidden_connect_node(Name) orelse cf:fail("~s could not connect to ~s", [node(), Name]).

name(#{job := Job}, Prefix) ->
    list_to_atom(lists:concat([Prefix, "_", Job, "_", erlang:unique_integer([positive]), "@127.0.0.1"])).

%% An OTP node that is no node under test gets no mutation.
environment(Role, #{env := Env} = T, More) when Role =:= nut; Role =:= hidden_nut ->
    Timeout = case More of #{global_timeout := S} -> integer_to_list(S); _ -> false end,
    T#{visible => Role =:= nut, env => [{"NUT_GLOBAL_TIMEOUT", Timeout} | Env]};
environment(Role, T, _) ->
    {Erl, Beams} = release(case Role of {otp, R} -> R; _ -> maps:get(release, T) end),
    T#{visible => Role =/= hidden_peer, command => filename:join([cf:home(), "nodes", "otp", "start"]),
       env => [{"NUT_ERL", Erl}, {"NUT_BEAMS", Beams}, {"NUT_MUTANT", false}]}.

options(Role, Name, Net, TickTime, More) ->
    [Short | _] = string:tokens(atom_to_list(Name), "@"),
    O = #{name => Name, ticktime => TickTime, options => maps:get(options, More, ""), log => if Role =:= nut; Role =:= hidden_nut -> "nut.log"; true -> Short ++ ".log" end},
    if Net =:= none -> O; true -> O#{epmd => cf_net:epmd(Net, Name)} end.

%% {Erl, Beams} of an OTP release that is here; the runner has compiled the suite for it.
release(R) ->
    Lines = [string:tokens(L, " ") || L <- string:tokens(os:getenv("CONFORMANCE_RELEASES", ""), "\n")],
    case [{Erl, Beams} || [Release, _, Erl, Beams] <- Lines, Release =:= integer_to_list(R)] of
        [{Erl, Beams} | _] -> {Erl, Beams};
        [] -> throw({not_applicable, lists:flatten(io_lib:format("OTP ~p is not here (conformance/otp.sh get ~p)", [R, R]))})
    end.

names(#{nodes := Nodes}) -> lists:sort([Name || #{name := Name} <- Nodes]).
names(#{nodes := Nodes}, Role) -> [Name || #{name := Name, role := R} <- Nodes, R =:= Role].
others(C, Name) -> names(C) -- [Name].
caps(#{nodes := Nodes}, Name) -> hd([Caps || #{name := N, caps := Caps} <- Nodes, N =:= Name]).

%% Orders, to a node's conformance process or to a puppet. Limit is how long it may take.
ask(Whom, Op, Args) -> ask(Whom, Op, Args, 15000).
ask(Whom, Op, Args, Limit) -> answer(later(Whom, Op, Args, self()), Limit).

later(Node, Op, Args, From) when is_atom(Node) -> later({conformance, Node}, Op, Args, From);
later(Whom, Op, Args, From) ->
    Ref = make_ref(),
    Whom ! {Op, From, Ref, Args},
    {Ref, Whom, Op}.

answer(Asked) -> answer(Asked, 15000).
answer({Ref, Whom, Op}, Limit) ->
    receive {Ref, Result} -> Result
    after cf:ms(Limit) -> cf:fail("no answer to ~p from ~p within ~p ms", [Op, Whom, Limit])
    end.

%% A process on that node; it ends with the case.
puppet(Node) ->
    P = ask(Node, spawn, []),
    put(cf_puppets, [P | get(cf_puppets)]),
    P.

watched(Node) ->
    P = puppet(Node),
    ok = ask(P, watch, [self()]),
    P.

connect(A, B) ->
    true =:= ask(puppet(A), connect, [B]) orelse cf:fail("~s could not connect to ~s", [A, B]).

%% What global on a node says of itself.
known(Node) -> lists:sort(gen_server:call({global_name_server, Node}, get_known, cf:ms(15000))).
visible(Node) -> lists:sort(ask(Node, nodes, [visible])).

wait_known(Node, Expected) ->
    Sorted = lists:sort(Expected),
    cf:wait(io_lib:format("~s knows ~p", [Node, Sorted]), fun() ->
        case {known(Node), visible(Node)} of {Sorted, Sorted} -> true; Other -> Other end
    end, 20000).

%% What nodes have told each other about a node that went away has been dealt with: an accusation that arrives after
%% that node has come back would remove it again.
settle(C) ->
    [ask(N, call, [{global_name_server, M}, get_known, 5000]) || N <- names(C), M <- visible(N)],
    [known(N) || N <- names(C)],
    ok.

%% All in one cluster, everything exchanged.
together(C) ->
    settle(C),
    Names = names(C),
    cf:wait("all are together", fun() ->
        Views = [{N, visible(N), known(N)} || N <- Names],
        case [V || {N, Seen, Known} = V <- Views, Seen =/= Names -- [N] orelse Known =/= Names -- [N]] of
            [] -> true;
            Lacking -> [ask(puppet(N), connect, [M]) || {N, Seen, _} <- Lacking, M <- Names -- [N | Seen], N < M], Lacking
        end
    end, 20000),
    [ok = ask(puppet(N), global_sync, []) || N <- Names],
    ok.

%% Everybody is connected with exactly those that he knows, and they agree on it: no partitions overlap.
no_overlap(C) ->
    cf:wait("no partitions overlap", fun() ->
        Views = [{N, lists:sort([N | visible(N)]), lists:sort([N | known(N)])} || N <- names(C)],
        case [V || {N, Seen, Known} = V <- Views,
                   Seen =/= Known orelse lists:any(fun({M, Theirs, _}) -> lists:member(M, Seen) andalso M =/= N andalso Theirs =/= Seen end, Views)] of
            [] -> true;
            Overlapping -> Overlapping
        end
    end, 15000).

%% Each alone.
apart(C) ->
    Names = names(C),
    cf:wait("all nodes are alone", fun() ->
        case [{N, V} || N <- Names, V <- [visible(N)], V =/= []] of
            [] -> [] =:= [K || N <- Names, K <- known(N)];
            Left -> [leave(C, N) || {N, _} <- Left], Left
        end
    end, 20000).

%% The network is whole again. Before that all dials that the cut was to refuse have been: whoever dials a third node for
%% global says in_sync when he is through, also when the two have let go of each other meanwhile (sync_other in
%% global.erl), and then OTP's nodes wait for each other for ever. To dial once more is to wait for a dial that is under way.
heal(#{net := Net} = C) ->
    Dials = [later(puppet(A), connect, [B], self()) || A <- names(C), B <- others(C, A), cf_net:closed(Net, A, B)],
    [cf:same(false, answer(D), "a dial into a connection that is cut") || D <- Dials],
    [known(N) || N <- names(C)],
    cf_net:heal(Net).

%% It ends its connections with all others, if it can as one who goes for good.
leave(C, Name) ->
    case lists:member(global_disconnect, caps(C, Name)) of
        true -> ask(puppet(Name), global_disconnect, []);
        false -> [ask(Name, disconnect, [V]) || V <- visible(Name)]
    end.

%% Meetings after which OTP itself is not always of one mind (in some hundred of them one node misses a name): what fails
%% is noted and tried once more, and has to succeed then.
twice(C, What, Fun) ->
    try Fun()
    catch throw:{case_failed, Why} ->
        cf:note("~s, tried again: ~s", [What, Why]),
        ready(C),
        apart(C),
        try Fun() catch throw:{case_failed, Again} -> cf:fail("~s, twice: ~s", [What, Again]) end
    end.

%% True when nobody has that lock on any of the nodes.
free(Nodes, Resource) ->
    Id = {Resource, {free, self()}},
    Calls = [{N, gen_server:call({global_name_server, N}, {set_lock, Id})} || N <- Nodes],
    [true = gen_server:call({global_name_server, N}, {del_lock, Id}) || {N, true} <- Calls],
    case [N || {N, false} <- Calls] of [] -> true; Locked -> {locked_on, Locked} end.

%% Between two cases: nothing of the last one is left.
ready(#{net := Net} = C) ->
    Net =:= none orelse heal(C),
    [lists:member(N, nodes(hidden)) orelse hidden(N) || N <- names(C)],
    case names(C) of
        [Lone] -> wait_known(Lone, []);
        _ -> ok
    end,
    C.

%% A killed node again, under the same name; it ends with the case. The cluster with it.
again(T, #{nodes := Nodes, net := Net} = C, Name) ->
    {value, #{role := Role, more := More} = Node, Others} = take_named(Name, Nodes),
    #{proc := P} = cf_nut:ready(cf_nut:launch(environment(Role, T, More), options(Role, Name, Net, 60, More))),
    hidden(Name),
    C#{nodes => [Node#{proc => P} | Others]}.

take_named(Name, Nodes) ->
    [Node] = [N || #{name := X} = N <- Nodes, X =:= Name],
    {value, Node, Nodes -- [Node]}.

kill(#{nodes := Nodes}, Name) ->
    died(Name),
    [cf_proc:kill(P) || #{name := N, proc := P} <- Nodes, N =:= Name],
    ok.

%% It is meant to be dead.
died(Name) -> put(cf_killed, [Name | get(cf_killed)]).
