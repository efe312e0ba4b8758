%% SPDX-License-Identifier: Apache-2.0
%% Process groups: the scope of the node under test beside that of the driver's own node, and beside fakes.
%% Many are cases of OTP's pg_SUITE, made again for a node that is driven by orders.
-module(cf_case_pg).
-export([cases/0]).

-define(RULE, "pg(3)").
-define(SUITE(Case), "pg_SUITE.erl, " Case).
-define(PG, {needs, [pg]}, {only, visible}).

cases() ->
    [{'pg.discover', "its members are known here and ours there once both have the scope", ?RULE, [?PG], fun discover/1},
     {'pg.two', "join and leave on both sides", ?SUITE("two"), [?PG], fun two/1},
     {'pg.local_members', "local members and local groups are those of its own processes", ?RULE, [?PG], fun local_members/1},
     {'pg.again', "who joins twice is there twice, and leaves twice", ?RULE, [?PG], fun again/1},
     {'pg.not_joined', "leaving a group that was not joined is not_joined, and nobody is told", ?RULE, [?PG], fun not_joined/1},
     {'pg.end', "a process that ends leaves all its groups, on both sides", ?RULE, [?PG], fun ends/1},
     {'pg.names', "group names are terms, equal however they are written", ?RULE, [?PG], fun names/1},
     {'pg.empty_group_by_remote_leave', "a group is gone with its last member", ?SUITE("empty_group_by_remote_leave"), [?PG], fun empty_group/1},
     {'pg.netsplit', "a lost connection takes the members away, a new one brings those of now back", ?SUITE("netsplit"), [?PG], fun netsplit/1},
     {'pg.trisplit', "of three nodes one is lost and comes back", ?SUITE("trisplit"), [?PG, fresh, {timeout, 60000}], fun trisplit/1},
     {'pg.exchange', "10 groups of 100 members on each side are exchanged", ?SUITE("exchange"), [?PG, {timeout, 60000}], fun exchange/1},
     {'pg.scope_restart', "the scope here is restarted: its members are new here and there", ?SUITE("scope_restart"), [?PG], fun scope_restart/1},
     {'pg.its_scope_restart', "its scope is restarted: its members are gone, and come again", ?SUITE("scope_restart"), [?PG], fun its_scope_restart/1},
     {'pg.missing_scope_join', "who has no scope takes no harm from those who have, and learns when it starts it", ?SUITE("missing_scope_join"), [?PG], fun missing_scope/1},
     {'pg.double', "two scopes at once know nothing of each other", ?SUITE("double"), [?PG], fun double/1},
     {'pg.forced_sync', "a sync replaces what was known", ?SUITE("forced_sync"), [?PG], fun forced_sync/1},
     {'pg.thundering_herd', "2,000 syncs to a scope of 10,000 groups do not keep it from answering", ?SUITE("thundering_herd"), [?PG, {timeout, 90000}], fun thundering_herd/1},
     {'pg.leave_exit_race', "leaving and ending at once is told once: the scope here lives", ?SUITE("leave_exit_race"), [?PG, {timeout, 40000}], fun leave_exit_race/1},
     {'pg.storm', "500 random joins, leaves and ends: the scope here lives, and both sides agree at the end", ?RULE, [?PG, {timeout, 90000}], fun storm/1},
     %% pg.erl of these releases tells a leave to a server that may not have had its sync yet, which ends for it (badkey).
     {'pg.storm_netsplit', "the same with lost connections", ?RULE, [?PG, {timeout, 90000}, {otp_fails, [23, 25, 27]}], fun storm_netsplit/1},
     {'pg.kill', "kill -9 takes its members away", ?RULE, [?PG, fresh], fun kill/1},
     {'pg.monitor', "it monitors a group: the members first, then each change", ?RULE, [{needs, [pg, pg_monitor]}, ?PG], fun monitor_group/1},
     {'pg.monitor_scope', "it monitors a scope", ?RULE, [{needs, [pg, pg_monitor]}, ?PG], fun monitor_all/1},
     {'pg.monitor_netsplit', "a lost connection is a leave of each member for who monitors", ?RULE, [{needs, [pg, pg_monitor]}, ?PG], fun monitor_netsplit/1},
     {'pg.says_hello', "a scope that starts discovers a visible node, and a node that connects", ?RULE, [?PG], fun says_hello/1},
     {'pg.answers_discover', "a discover is answered with a sync, of an unknown server also with a discover", ?RULE, [?PG], fun answers_discover/1},
     {'pg.answers_discover_1', "a discover with a version is answered so that its sender can read it", ?RULE, [?PG, {from, 26}], fun answers_discover_1/1},
     {'pg.server_ends', "the members of a server that ends are gone", ?RULE, [?PG], fun server_ends/1},
     {'pg.unknown_server', "joins and leaves of a server that nobody knows are ignored", ?RULE, [?PG], fun unknown_server/1},
     {'pg.not_before_sync', "nothing is told to a server before its first sync: it might not survive that", "global.md 5.2", [?PG], fun not_before_sync/1},
     %% pg.erl ends for each of these, and is restarted without its members.
     {'pg.junk', "junk to its scope does it no harm", "issue 6", [?PG, {otp_fails, [23, 25, 27, 29]}], fun junk/1},
     {'pg.servers_in_a_row', "a scope that starts again and again at a peer is heard each time, before the ends of those before it", ?RULE, [?PG], fun servers_in_a_row/1},
     {'pg.speaks_for_others', "what a node says of processes of others is not believed", "issue 6", [?PG, {otp_fails, [23, 25, 27, 29]}], fun speaks_for_others/1}].

%% ---- both sides ----

%% A scope of its own for each case, started here and there. Servers end with the case's process or job.
scope() -> list_to_atom("scope_" ++ atom_to_list(cf:unique("s"))).

here(Scope) ->
    {ok, Pid} = pg:start(Scope),
    Pid.

both(T) ->
    Scope = scope(),
    ok = cf_live:ask(T, pg_start, [Scope]),
    {Scope, here(Scope)}.

members(Scope, Group) -> lists:sort(pg:get_members(Scope, Group)).
theirs(T, Scope, Group) -> lists:sort(cf_live:ask(T, pg_members, [Scope, Group])).

%% Both sides have exactly these members.
agree(T, Scope, Group, Pids) ->
    Expected = lists:sort(Pids),
    cf:wait(io_lib:format("~p has ~p members here", [Group, length(Pids)]), fun() -> members(Scope, Group) =:= Expected orelse {here, members(Scope, Group)} end),
    cf:wait(io_lib:format("~p has ~p members there", [Group, length(Pids)]), fun() -> theirs(T, Scope, Group) =:= Expected orelse {there, theirs(T, Scope, Group)} end).

join(T, Scope, Group, P) -> ok = cf_live:ask(T, P, pg_join, [Scope, Group]).
leave(T, Scope, Group, P) -> ok = cf_live:ask(T, P, pg_leave, [Scope, Group]).

own() -> spawn_link(fun() -> receive stop -> ok end end).
alive(Server) -> cf:check(is_process_alive(Server), "the scope here ended: it was sent what it does not know").

discover(T) ->
    Scope = scope(),
    P = cf_live:puppet(T),
    ok = cf_live:ask(T, pg_start, [Scope]),
    join(T, Scope, g, P),
    S = here(Scope),
    agree(T, Scope, g, [P]),
    ok = pg:join(Scope, g, self()),
    agree(T, Scope, g, [P, self()]),
    alive(S).

two(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T), Q = cf_live:puppet(T),
    join(T, Scope, two, P), join(T, Scope, two, Q),
    ok = pg:join(Scope, two, [self()]),
    agree(T, Scope, two, [P, Q, self()]),
    leave(T, Scope, two, P),
    agree(T, Scope, two, [Q, self()]),
    ok = pg:leave(Scope, two, self()),
    agree(T, Scope, two, [Q]),
    cf:same([two], cf_live:ask(T, pg_groups, [Scope])),
    cf:same([two], pg:which_groups(Scope)),
    alive(S).

local_members(T) ->
    {Scope, _} = both(T),
    P = cf_live:puppet(T),
    join(T, Scope, both, P), join(T, Scope, its, P),
    ok = pg:join(Scope, both, self()), ok = pg:join(Scope, ours, self()),
    agree(T, Scope, both, [P, self()]), agree(T, Scope, ours, [self()]),
    cf:same([P], cf_live:ask(T, pg_local_members, [Scope, both])),
    cf:same([], cf_live:ask(T, pg_local_members, [Scope, ours])),
    cf:same([both, its], lists:sort(cf_live:ask(T, pg_local_groups, [Scope]))),
    cf:same([both, its, ours], lists:sort(cf_live:ask(T, pg_groups, [Scope]))),
    cf:same([], cf_live:ask(T, pg_members, [Scope, nobody])),
    cf:same([self()], pg:get_local_members(Scope, both)).

again(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    join(T, Scope, g, P), join(T, Scope, g, P), join(T, Scope, g, P),
    ok = pg:join(Scope, g, [self(), self()]),
    agree(T, Scope, g, [P, P, P, self(), self()]),
    leave(T, Scope, g, P), ok = pg:leave(Scope, g, self()),
    agree(T, Scope, g, [P, P, self()]),
    leave(T, Scope, g, P), leave(T, Scope, g, P),
    agree(T, Scope, g, [self()]),
    alive(S).

not_joined(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    cf:same(not_joined, cf_live:ask(T, P, pg_leave, [Scope, g])),
    join(T, Scope, h, P),
    ok = pg:join(Scope, g, self()),
    agree(T, Scope, g, [self()]),
    cf:same(not_joined, cf_live:ask(T, P, pg_leave, [Scope, g])),
    agree(T, Scope, h, [P]),
    alive(S).

ends(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T), Q = own(),
    [begin join(T, Scope, G, P), ok = pg:join(Scope, G, Q) end || G <- [a, b, a, c]],
    agree(T, Scope, a, [P, P, Q, Q]), agree(T, Scope, c, [P, Q]),
    ok = cf_live:ask(T, P, exit, [done]),
    [agree(T, Scope, G, Pids) || {G, Pids} <- [{a, [Q, Q]}, {b, [Q]}, {c, [Q]}]],
    Q ! stop,
    [agree(T, Scope, G, []) || G <- [a, b, c]],
    cf:same([], cf_live:ask(T, pg_groups, [Scope])),
    alive(S).

names(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    Names = ["text", [1, 2, 3], [a | b], {tuple, "name", 1}, #{k => 1, "l" => [2.5]}, <<"binary">>, <<5:3>>, 1.5, 1 bsl 80, -1, [],
             self(), make_ref(), fun lists:map/2, '', 'atom with spaces', 'Grüße', {1, 1.0}, {1.0, 1}, binary:copy(<<"x">>, 100000)],
    [join(T, Scope, N, P) || N <- Names],
    [agree(T, Scope, N, [P]) || N <- Names],
    [ok = pg:join(Scope, N, self()) || N <- Names],
    [agree(T, Scope, N, [P, self()]) || N <- Names],
    [leave(T, Scope, N, P) || N <- Names],
    [agree(T, Scope, N, [self()]) || N <- Names],
    cf:same(length(Names), length(cf_live:ask(T, pg_groups, [Scope]))),
    alive(S).

empty_group(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    join(T, Scope, g, P),
    agree(T, Scope, g, [P]),
    leave(T, Scope, g, P),
    agree(T, Scope, g, []),
    cf:same({[], []}, {pg:which_groups(Scope), cf_live:ask(T, pg_groups, [Scope])}),
    join(T, Scope, g, P),
    agree(T, Scope, g, [P]),
    alive(S).

%% ---- connections that end ----

netsplit(#{nut := Nut} = T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T), Q = cf_live:puppet(T), R = own(),
    join(T, Scope, g, P), join(T, Scope, gone, P),
    ok = pg:join(Scope, g, R), ok = pg:join(Scope, here, R),
    agree(T, Scope, g, [P, R]),
    lose(T, Scope, R, 3),
    ok = pg:join(Scope, late, R), ok = pg:leave(Scope, here, R),
    %% What it does meanwhile is asked by another connection.
    C = cf_fake:dial(T, #{}),
    cf:wait("its own are left", fun() -> cf_fake:call(C, pg_members, [Scope, g]) =:= [mark(P)] end),
    ok = cf_fake:call(C, mark(Q), pg_join, [Scope, g]),
    ok = cf_fake:call(C, mark(P), pg_leave, [Scope, gone]),
    cf:check(not lists:member(Nut, nodes()), "it connected by itself"),
    cf_live:connect(T),
    agree(T, Scope, g, [P, Q, R]),
    agree(T, Scope, late, [R]), agree(T, Scope, here, []), agree(T, Scope, gone, []),
    alive(S).

%% A locker of global that is in the middle of a joining asks whom it knows, which connects (in OTP too): then once more.
lose(#{nut := Nut} = T, Scope, R, Tries) ->
    cf_live:disconnect(T),
    Left = fun() -> members(Scope, g) =:= [R] end,
    cf:wait("only ours are left", fun() -> Left() orelse (Tries > 1 andalso lists:member(Nut, nodes(connected))) end),
    Left() orelse lose(T, Scope, R, Tries - 1).

mark(Pid) -> cf_etf:internal(Pid).

fresh(T) ->
    S = cf_nut:start(T#{nut => list_to_atom(atom_to_list(cf:unique("fresh")) ++ "@127.0.0.1")}),
    true = net_kernel:connect_node(maps:get(nut, S)),
    S.

%% The driver, A and B.
trisplit(T) ->
    A = fresh(T), B = fresh(T),
    NameA = maps:get(nut, A), NameB = maps:get(nut, B),
    cf:wait("A and B are connected", fun() -> cf_live:ask(A, connect, [NameB]) end),
    Scope = scope(),
    S = here(Scope),
    [ok = cf_live:ask(X, pg_start, [Scope]) || X <- [A, B]],
    P = cf_live:puppet(A), Q = cf_live:puppet(B),
    join(A, Scope, three, P), join(B, Scope, three, Q),
    ok = pg:join(Scope, three, self()),
    [agree(X, Scope, three, [P, Q, self()]) || X <- [A, B]],
    %% B is lost for A, not for us.
    [C, D] = [cf_fake:dial(X, #{}) || X <- [A, B]],
    true = cf_fake:call(C, disconnect, [NameB]),
    cf:wait("A has lost B", fun() -> not lists:member(mark(Q), cf_fake:call(C, pg_members, [Scope, three])) end),
    %% Each of them accuses the other to us (prevent_overlapping_partitions) whenever it gets to it, so a connection that
    %% stands again may be lost once more, and with it a question. So they are asked by connections that global does not
    %% see, and connected until it is over.
    Expected = lists:sort([mark(X) || X <- [P, Q, self()]]),
    cf:wait("all three are connected again and agree", fun() ->
        Up = [net_kernel:connect_node(NameA), net_kernel:connect_node(NameB), cf_fake:call(C, connect, [NameB])],
        Views = [[mark(X) || X <- members(Scope, three)] | [cf_fake:call(X, pg_members, [Scope, three]) || X <- [C, D]]],
        {Up, [lists:sort(V) || V <- Views]} =:= {[true, true, true], [Expected, Expected, Expected]} orelse {Up, Views}
    end, 20000),
    alive(S).

exchange(T) ->
    Scope = scope(),
    ok = cf_live:ask(T, pg_start, [Scope]),
    Theirs = [cf_live:puppet(T) || _ <- lists:seq(1, 100)],
    Ours = [own() || _ <- lists:seq(1, 100)],
    Groups = [{exchange, N} || N <- lists:seq(1, 10)],
    [join(T, Scope, G, P) || G <- Groups, P <- Theirs],
    S = here(Scope),
    [ok = pg:join(Scope, G, Ours) || G <- Groups],
    [agree(T, Scope, G, Theirs ++ Ours) || G <- Groups],
    alive(S).

scope_restart(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    join(T, Scope, g, P),
    ok = pg:join(Scope, g, self()),
    agree(T, Scope, g, [P, self()]),
    Ref = monitor(process, S), exit(S, kill), killed = cf_live:down(Ref),
    cf:wait("ours are gone there", fun() -> theirs(T, Scope, g) =:= [P] end),
    S1 = here(Scope),
    agree(T, Scope, g, [P]),
    ok = pg:join(Scope, g, self()),
    agree(T, Scope, g, [P, self()]),
    alive(S1).

its_scope_restart(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    join(T, Scope, g, P),
    ok = pg:join(Scope, g, self()),
    agree(T, Scope, g, [P, self()]),
    ok = cf_live:ask(T, pg_stop, [Scope]),
    cf:wait("its are gone here", fun() -> members(Scope, g) =:= [self()] end),
    ok = cf_live:ask(T, pg_start, [Scope]),
    agree(T, Scope, g, [self()]),
    join(T, Scope, g, P),
    agree(T, Scope, g, [P, self()]),
    alive(S).

missing_scope(T) ->
    Scope = scope(),
    S = here(Scope),
    ok = pg:join(Scope, g, self()),
    cf_live:fence(T),
    ok = cf_live:ask(T, pg_start, [Scope]),
    agree(T, Scope, g, [self()]),
    alive(S).

double(T) ->
    {One, S1} = both(T), {Two, S2} = both(T),
    P = cf_live:puppet(T),
    join(T, One, g, P),
    ok = pg:join(Two, g, self()),
    agree(T, One, g, [P]), agree(T, Two, g, [self()]),
    alive(S1), alive(S2).

%% What only a server can say is said in the name of ours.
server_of(T, Scope) -> cf_live:ask(T, whereis, [Scope]).

forced_sync(T) ->
    {Scope, _} = both(T),
    ok = pg:join(Scope, g, self()),
    agree(T, Scope, g, [self()]),
    There = server_of(T, Scope),
    [A, B, C] = [own(), own(), own()],
    gen_server:cast(There, {sync, whereis(Scope), [{g, [A, B]}, {other, [C]}]}),
    cf:wait("it has what the sync says", fun() -> theirs(T, Scope, g) =:= lists:sort([A, B]) end),
    gen_server:cast(There, {sync, whereis(Scope), [{g, [self()]}]}),
    agree(T, Scope, g, [self()]), agree(T, Scope, other, []).

thundering_herd(T) ->
    {Scope, S} = both(T),
    P = cf_live:puppet(T),
    %% Orders without waiting for each answer.
    Refs = [begin R = make_ref(), P ! {pg_join, self(), R, [Scope, {group, N}]}, R end || N <- lists:seq(1, 10000)],
    [receive {R, ok} -> ok after cf:ms(20000) -> cf:fail("a join was not answered") end || R <- Refs],
    There = server_of(T, Scope),
    Other = own(),
    [gen_server:cast(There, {sync, S, [{{group, 1}, [Other, Other]}]}) || _ <- lists:seq(1, 2000)],
    join(T, Scope, {group, 1}, P),
    cf:wait("it has the last sync", fun() -> theirs(T, Scope, {group, 1}) =:= lists:sort([P, P, Other, Other]) end, 20000),
    alive(S).

leave_exit_race(T) ->
    {Scope, S} = both(T),
    [begin
         P = cf_live:puppet(T),
         join(T, Scope, race, P),
         P ! {pg_leave, self(), make_ref(), [Scope, race]},
         P ! {exit, self(), make_ref(), [done]}
     end || _ <- lists:seq(1, 300)],
    agree(T, Scope, race, []),
    alive(S).

storm(T) -> storm(T, 92).
storm_netsplit(T) -> storm(T, 100).

storm(T, Steps) ->
    {Scope, S} = both(T),
    Seed = erlang:phash2(make_ref()),
    cf:note("pg.storm: seed ~p", [Seed]),
    rand:seed(exsss, {Seed, 1, 2}),
    Groups = [{storm, N} || N <- lists:seq(1, 6)],
    Theirs = lists:foldl(fun(_, Ps) -> step(T, Scope, Groups, Ps, Steps) end, [cf_live:puppet(T) || _ <- [1, 2, 3, 4]], lists:seq(1, 500)),
    alive(S),
    cf_live:connect(T),
    %% What was ordered is done.
    [done = cf_live:ask(T, P, echo, [done]) || P <- Theirs],
    [begin
         Local = cf_live:ask(T, pg_local_members, [Scope, G]),
         [cf:check(lists:member(P, Theirs), "~p is no member that lives", [P]) || P <- Local],
         agree(T, Scope, G, Local ++ pg:get_local_members(Scope, G))
     end || G <- Groups],
    alive(S).

step(T, Scope, Groups, Ps, Steps) ->
    G = lists:nth(rand:uniform(length(Groups)), Groups),
    P = lists:nth(rand:uniform(length(Ps)), Ps),
    case rand:uniform(Steps) of
        N when N =< 40 -> P ! {pg_join, self(), make_ref(), [Scope, G]}, Ps;
        N when N =< 65 -> P ! {pg_leave, self(), make_ref(), [Scope, G]}, Ps;
        N when N =< 75 -> ok = pg:join(Scope, G, self()), Ps;
        N when N =< 85 -> _ = pg:leave(Scope, G, self()), Ps;
        N when N =< 92 ->
            P ! {exit, self(), make_ref(), [done]},
            [another(T) | lists:delete(P, Ps)];
        _ ->
            #{nut := Nut} = T,
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            case erlang:disconnect_node(Nut) of
                true -> receive {nodedown, Nut, _} -> ok after cf:ms(8000) -> cf:fail("no nodedown") end;
                _ -> ok
            end,
            ok = net_kernel:monitor_nodes(false, [{node_type, all}]),
            %% OTP's own nodes may need more than one try while global tidies up.
            cf:wait("it is connected again", fun() -> net_kernel:connect_node(Nut) =:= true end, 20000),
            Ps
    end.

%% Asked again when the question is lost with a connection: global may end one that comes right behind another.
another(#{nut := Nut} = T) ->
    Ref = make_ref(),
    {conformance, Nut} ! {spawn, self(), Ref, []},
    monitor_node(Nut, true),
    receive
        {Ref, P} -> monitor_node(Nut, false), P;
        {nodedown, Nut} ->
            cf:wait("it is connected again", fun() -> net_kernel:connect_node(Nut) =:= true end, 20000),
            another(T)
    after cf:ms(8000) -> cf:fail("no answer to spawn")
    end.

kill(T) ->
    A = fresh(T),
    Scope = scope(),
    S = here(Scope),
    ok = cf_live:ask(A, pg_start, [Scope]),
    P = cf_live:puppet(A),
    join(A, Scope, g, P),
    agree(A, Scope, g, [P]),
    cf_nut:kill(A),
    cf:wait("its member is gone", fun() -> members(Scope, g) =:= [] end),
    alive(S).

%% ---- monitors ----

monitor_group(T) ->
    {Scope, _} = both(T),
    W = cf_live:watched(T), P = cf_live:puppet(T), Me = self(),
    ok = pg:join(Scope, g, Me),
    agree(T, Scope, g, [Me]),
    {Ref, [Me]} = cf_live:ask(T, W, pg_monitor, [Scope, g]),
    join(T, Scope, other, P), join(T, Scope, g, P),
    {Ref, join, g, [P]} = cf_live:saw(W),
    ok = pg:join(Scope, g, [Me, Me]),
    {Ref, join, g, [Me, Me]} = cf_live:saw(W),
    ok = pg:leave(Scope, g, Me),
    {Ref, leave, g, [Me]} = cf_live:saw(W),
    ok = cf_live:ask(T, P, exit, [done]),
    {Ref, leave, g, [P]} = cf_live:saw(W),
    ok = cf_live:ask(T, W, pg_demonitor, [Scope, Ref]),
    ok = pg:leave(Scope, g, Me),
    agree(T, Scope, g, [Me]),
    done = cf_live:ask(T, W, echo, [done]),
    cf:not_got(fun({saw, _, M}) -> M end).

monitor_all(T) ->
    {Scope, _} = both(T),
    W = cf_live:watched(T), P = cf_live:puppet(T), Me = self(),
    ok = pg:join(Scope, g, Me),
    join(T, Scope, h, P),
    agree(T, Scope, g, [Me]),
    {Ref, Now} = cf_live:ask(T, W, pg_monitor_scope, [Scope]),
    cf:same(#{g => [Me], h => [P]}, Now),
    ok = pg:leave(Scope, g, Me),
    {Ref, leave, g, [Me]} = cf_live:saw(W),
    join(T, Scope, "new", P),
    {Ref, join, "new", [P]} = cf_live:saw(W).

monitor_netsplit(T) ->
    {Scope, _} = both(T),
    Me = self(),
    ok = pg:join(Scope, g, [Me, Me]),
    agree(T, Scope, g, [Me, Me]),
    C = cf_fake:dial(T, #{}), W = cf_fake:puppet(C), Far = cf_fake:pid(C),
    ok = cf_fake:call(C, W, watch, [Far]),
    {Ref, [_, _]} = cf_fake:call(C, W, pg_monitor, [Scope, g]),
    cf_live:disconnect(T),
    cf_fake:take(C, fun({signal, _, {saw, _, {R, leave, g, [_, _]}}, _}) when R =:= Ref -> ok end),
    cf_live:connect(T),
    cf_fake:take(C, fun({signal, _, {saw, _, {R, join, g, [_, _]}}, _}) when R =:= Ref -> ok end).

%% ---- beside a fake ----

visible(T) -> cf_fake:dial(T, #{flags => cf_hs:flags(maps:get(release, T))}).

%% A discover to the name of the scope, with a version (OTP 29) or without.
hello(C, Scope) ->
    cf_fake:take(C, fun({signal, {6, _, _, Name}, {discover, Pid}, _}) when Name =:= Scope -> Pid;
                       ({signal, {6, _, _, Name}, {discover, Pid, 1}, _}) when Name =:= Scope -> Pid end).

says_hello(T) ->
    Scope = scope(),
    C = visible(T),
    cf_fake:fence(C),
    ok = cf_fake:call(C, pg_start, [Scope]),
    S = hello(C, Scope),
    cf:same(S, cf_fake:call(C, whereis, [Scope])),
    D = visible(T),
    S = hello(D, Scope).

%% A fake with a server that the scope knows; the groups that the first sync had.
met(T) ->
    Scope = scope(),
    C = visible(T),
    ok = cf_fake:call(C, pg_start, [Scope]),
    S = hello(C, Scope),
    Me = cf_fake:pid(C, 500),
    cf_fake:to(C, S, {discover, Me}),
    Groups = sync(C, Me, S),
    cf_fake:take(C, fun({signal, {2, _, To}, {discover, X}, _}) when To =:= Me, X =:= S -> ok;
                       ({signal, {22, _, To}, {discover, X}, _}) when To =:= Me, X =:= S -> ok;
                       ({signal, {_, _, To}, {discover, X, 1}, _}) when To =:= Me, X =:= S -> ok end),
    {C, Scope, S, Me, Groups}.

sync(C, Me, S) ->
    cf_fake:take(C, fun({signal, {_, _, To}, {'$gen_cast', {sync, X, Groups}}, _}) when To =:= Me, X =:= S -> Groups end).

answers_discover(T) ->
    {C, Scope, S, Me, []} = met(T),
    cf_fake:take(C, fun({signal, {19, X, To, _}, _, _}) when X =:= S, To =:= Me -> ok end),
    P = cf_fake:puppet(C),
    ok = cf_fake:call(C, P, pg_join, [Scope, g]),
    cf_fake:take(C, fun({signal, {_, _, To}, {join, X, g, Who}, _}) when To =:= Me, X =:= S, Who =:= P orelse Who =:= [P] -> ok end),
    ok = cf_fake:call(C, P, pg_join, [Scope, h]),
    ok = cf_fake:call(C, P, pg_leave, [Scope, g]),
    cf_fake:take(C, fun({signal, {_, _, To}, {leave, X, Who, [g]}, _}) when To =:= Me, X =:= S, Who =:= P orelse Who =:= [P] -> ok end),
    %% A server that is known gets a sync only.
    cf_fake:to(C, S, {discover, Me}),
    cf:same([{h, [P]}], sync(C, Me, S)).

answers_discover_1(T) ->
    Scope = scope(),
    C = visible(T),
    ok = cf_fake:call(C, pg_start, [Scope]),
    S = hello(C, Scope),
    Me = cf_fake:pid(C, 500),
    cf_fake:to(C, S, {discover, Me, 1}),
    cf_fake:take(C, fun({signal, {_, _, To}, {'$gen_cast', {sync, X, []}}, _}) when To =:= Me, X =:= S -> ok;
                       ({signal, {_, _, To}, {'$gen_cast', {_, X, 1, M}}, _}) when To =:= Me, X =:= S, M =:= #{} -> ok end).

theirs_by(C, Scope, Group) -> lists:sort(cf_fake:call(C, pg_members, [Scope, Group])).

server_ends(T) ->
    {C, Scope, S, Me, _} = met(T),
    Ref = cf_fake:take(C, fun({signal, {19, X, To, R}, _, _}) when X =:= S, To =:= Me -> R end),
    P = cf_fake:pid(C, 600),
    cf_fake:to(C, S, {join, Me, g, [P, P]}),
    cf_fake:to(C, S, {join, Me, h, P}),
    cf:wait("they are there", fun() -> theirs_by(C, Scope, g) =:= [P, P] andalso theirs_by(C, Scope, h) =:= [P] end),
    cf_fake:send(C, {21, Me, S, Ref, killed}),
    cf:wait("they are gone", fun() -> theirs_by(C, Scope, g) =:= [] andalso cf_fake:call(C, pg_groups, [Scope]) =:= [] end),
    %% Its last words come too late.
    cf_fake:to(C, S, {join, Me, g, P}),
    cf:same([], theirs_by(C, Scope, g)).

unknown_server(T) ->
    Scope = scope(),
    C = visible(T),
    ok = cf_fake:call(C, pg_start, [Scope]),
    S = hello(C, Scope),
    Me = cf_fake:pid(C, 501), P = cf_fake:pid(C, 600),
    cf_fake:to(C, S, {join, Me, g, P}),
    cf_fake:to(C, S, {leave, Me, P, [g]}),
    cf:same([], theirs_by(C, Scope, g)),
    cf:same(S, cf_fake:call(C, whereis, [Scope])).

not_before_sync(T) ->
    Scope = scope(),
    C = visible(T),
    ok = cf_fake:call(C, pg_start, [Scope]),
    S = hello(C, Scope),
    P = cf_fake:puppet(C), Q = cf_fake:puppet(C),
    ok = cf_fake:call(C, P, pg_join, [Scope, g]),
    ok = cf_fake:call(C, Q, pg_join, [Scope, h]),
    ok = cf_fake:call(C, P, pg_leave, [Scope, g]),
    Me = cf_fake:pid(C, 502),
    cf_fake:to(C, S, {discover, Me}),
    cf:same([{h, [Q]}], sync(C, Me, S)),
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun({signal, {_, _, To}, M, _}) when To =:= Me, element(1, M) =:= leave -> M;
                                   ({signal, {_, _, To}, M, _}) when To =:= Me, element(1, M) =:= join -> M end)).

junk(T) ->
    {C, Scope, S, Me, _} = met(T),
    P = cf_fake:puppet(C), X = cf_fake:pid(C, 600),
    ok = cf_fake:call(C, P, pg_join, [Scope, g]),
    cf_fake:to(C, S, {join, Me, g, X}),
    Junk = [x, {}, [], #{}, 1.5, {discover}, {discover, x}, {discover, Me, 1, 2}, {join, Me, g, x}, {join, Me, g, [X | x]}, {join, Me, g, [x]},
            {join, Me}, {leave, Me, X, x}, {leave, Me, X, [g | x]}, {leave, Me, x, [g]}, {leave, Me, X, [nosuch]}, {leave, Me, [X, X, X], [nosuch, h]},
            {update, Me, x}, {nodeup, a}, {nodedown, 1}, {'DOWN', x, process, Me, y}, {'$gen_cast', x}, {'$gen_cast', {sync, Me, x}},
            {'$gen_cast', {sync, Me, [x]}}, {'$gen_cast', {sync, Me, [{g, x} | y]}}, {'$gen_cast', {sync, x, []}},
            {'$gen_cast', {local_data, Me, 1, x}}, {'$gen_call', {Me, cf_fake:ref(C)}, x}, {'$gen_call', x, y}, {system, x, y},
            {'EXIT', Me, junk}, {timeout, cf_fake:ref(C), x}, binary:copy(<<1>>, 1000000)],
    [begin cf_fake:to(C, S, J), cf_fake:to(C, Scope, J) end || J <- Junk],
    cf:same(S, cf_fake:call(C, whereis, [Scope])),
    cf:same(lists:sort([P, X]), theirs_by(C, Scope, g)),
    ok = cf_fake:call(C, P, pg_leave, [Scope, g]),
    cf_fake:take(C, fun({signal, {_, _, To}, {leave, Y, _, [g]}, _}) when To =:= Me, Y =:= S -> ok end).

speaks_for_others(T) ->
    {C, Scope, S, Me, _} = met(T),
    {D, _} = {visible(T), x},
    Other = cf_fake:pid(D, 600), P = cf_fake:puppet(C),
    cf_fake:to(C, S, {join, Me, g, Other}),
    cf_fake:to(C, S, {join, Me, g, P}),
    cf_fake:to(C, S, {discover, Other}),
    cf_fake:to(C, S, {'$gen_cast', {sync, Other, [{g, [Other]}]}}),
    cf_fake:to(C, S, {'$gen_cast', {sync, Me, [{g, [Other]}]}}),
    cf:same([], theirs_by(C, Scope, g)),
    cf:same(S, cf_fake:call(C, whereis, [Scope])).

%% Twelve servers of one node, none of which has ended yet as far as the scope knows.
servers_in_a_row(T) ->
    {C, Scope, S, _, _} = met(T),
    P = cf_fake:puppet(C),
    ok = cf_fake:call(C, P, pg_join, [Scope, g]),
    [begin
         Me = cf_fake:pid(C, N),
         cf_fake:to(C, S, {discover, Me}),
         cf:same([{g, [P]}], sync(C, Me, S))
     end || N <- lists:seq(1001, 1011)],
    Newest = cf_fake:pid(C, 1011), X = cf_fake:pid(C, 600),
    cf_fake:to(C, S, {'$gen_cast', {sync, Newest, []}}),
    cf_fake:to(C, S, {join, Newest, h, X}),
    cf:wait("what the newest says is known", fun() -> theirs_by(C, Scope, h) =:= [X] end),
    ok = cf_fake:call(C, P, pg_leave, [Scope, g]),
    cf_fake:take(C, fun({signal, {_, _, To}, {leave, Y, _, [g]}, _}) when To =:= Newest, Y =:= S -> ok end).
