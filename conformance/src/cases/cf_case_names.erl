%% SPDX-License-Identifier: Apache-2.0
%% global and pg: names, locks and groups that the cluster shares with a visible node.
-module(cf_case_names).
-export([cases/0]).

-define(GLOBAL, "global.erl").
-define(PG, "pg.erl").

cases() ->
    [{Id, What, ?GLOBAL, [{needs, [global | Needs]}, {only, visible} | O], Fun} || {Id, What, Needs, O, Fun} <-
     [{'global.sync', "global:sync() here ends with the node in the cluster", [], [{varies, [dial]}], fun sync/1},
      {'global.register_there', "a name registered there is found here", [], [{varies, [dial]}], fun register_there/1},
      {'global.register_here', "a name registered here is found there", [], [{varies, [dial]}], fun register_here/1},
      {'global.whereis_unknown', "an unknown name is undefined there", [], [], fun whereis_unknown/1},
      {'global.names_listed', "its list of names has what is registered here", [], [], fun names_listed/1},
      {'global.no_duplicate', "a name that is taken is refused, either side first", [], [], fun no_duplicate/1},
      {'global.unregister_there', "a name unregistered there is gone here", [], [], fun unregister_there/1},
      {'global.unregister_here', "a name unregistered here is gone there", [], [], fun unregister_here/1},
      {'global.re_register', "re_register moves a name", [], [], fun re_register/1},
      {'global.moves_in_a_flood', "a name that moves between its processes while messages come in: each comes once, in order, and to one of them", [], [], fun moves_in_a_flood/1},
      {'global.process_ends', "a name ends with its process there", [], [], fun process_ends/1},
      {'global.our_process_ends', "a name ends with its process here", [], [], fun our_process_ends/1},
      {'global.process_killed', "a name ends with its killed process", [link], [], fun process_killed/1},
      {'global.call_via', "gen_server calls by {global, Name} reach it", [spawn, gen], [], fun call_via/1},
      {'global.send_there', "global:send here to a process there", [], [], fun send_there/1},
      {'global.send_from_there', "its global:send to a process here", [], [], fun send_from_there/1},
      {'global.any_term', "a name may be any term", [], [], fun any_term/1},
      {'global.node_dies', "kill -9 of the node: its names are gone here", [], [raw, fresh, {timeout, 40000}], fun node_dies/1},
      {'global.late_joiner', "a node that joins later learns the names, and gives its own", [], [raw, fresh, {timeout, 40000}], fun late_joiner/1},
      {'global.reconnect', "after a disconnect and reconnect both know all names again", [], [{timeout, 40000}], fun reconnect/1},
      {'global.lock_there', "a lock set there keeps us out until it is given back", [], [], fun lock_there/1},
      {'global.lock_here', "a lock set here keeps it out until it is given back", [], [], fun lock_here/1},
      {'global.lock_shared', "the same requester may have a lock from both sides", [], [], fun lock_shared/1},
      {'global.lock_process_ends', "a lock ends with its process there", [], [], fun lock_process_ends/1},
      {'global.trans', "global:trans here with the node in the cluster", [], [], fun trans/1},
      {'global.lock_contention', "50 turns of trans here and locks there, never both inside", [], [{timeout, 60000}], fun lock_contention/1},
      {'global.conflict', "the same name on both sides of a new connection: one holder after it", [], [raw, fresh, {timeout, 40000}], fun conflict/1},
      {'global.garbage', "garbage to global_name_server does no harm", [], [], fun garbage/1}]]
    ++
    [{Id, What, ?PG, [{needs, [pg | Needs]}, {only, visible} | O], Fun} || {Id, What, Needs, O, Fun} <-
     [{'pg.join_there', "a process that joins there is a member here", [], [{varies, [dial]}], fun join_there/1},
      {'pg.join_here', "a process that joins here is a member there", [], [{varies, [dial]}], fun join_here/1},
      {'pg.leave_there', "one that leaves there is gone here", [], [], fun leave_there/1},
      {'pg.leave_here', "one that leaves here is gone there", [], [], fun leave_here/1},
      {'pg.join_twice', "joining twice counts twice, and needs leaving twice", [], [], fun join_twice/1},
      {'pg.process_ends', "a member that ends there is gone here", [], [], fun member_ends/1},
      {'pg.our_process_ends', "a member that ends here is gone there", [], [], fun our_member_ends/1},
      {'pg.disconnect', "the connection ends: its members are gone here, and back after the next", [], [{timeout, 40000}], fun pg_disconnect/1},
      {'pg.scopes', "scopes are separate", [], [], fun scopes/1},
      {'pg.late_scope', "a scope that starts there later exchanges its members", [], [], fun late_scope/1},
      {'pg.many_groups', "200 groups", [], [], fun many_groups/1},
      {'pg.any_group_name', "a group may be any term", [], [], fun any_group/1}]].

%% global exchanges its names after the connection stands; everything here begins when both sides say that it is done.
synced(T) ->
    ok = global:sync(),
    ok = cf_live:ask(T, global_sync, []),
    T.

name() -> cf:unique("global_name").
ours() -> spawn(fun() -> receive {die, R} -> exit(R) end end).
here(Name, What) -> cf:wait(io_lib:format("~p is ~p here", [Name, What]), fun() -> case global:whereis_name(Name) of What -> true; Other -> Other end end).
there(T, Name, What) -> cf:wait(io_lib:format("~p is ~p there", [Name, What]), fun() -> case cf_live:ask(T, global_whereis, [Name]) of What -> true; Other -> Other end end).

sync(T) -> synced(T).

register_there(T) ->
    synced(T), P = cf_live:puppet(T), N = name(),
    yes = cf_live:ask(T, P, global_register, [N]),
    cf:same(P, global:whereis_name(N)).

register_here(T) ->
    synced(T), N = name(),
    yes = global:register_name(N, self()),
    cf:same(self(), cf_live:ask(T, global_whereis, [N])).

whereis_unknown(T) -> synced(T), cf:same(undefined, cf_live:ask(T, global_whereis, [name()])).

names_listed(T) ->
    synced(T), N = name(),
    yes = global:register_name(N, self()),
    cf:check(lists:member(N, cf_live:ask(T, global_names, [])), "not listed").

no_duplicate(T) ->
    synced(T), P = cf_live:puppet(T), [A, B] = [name(), name()],
    yes = global:register_name(A, self()),
    cf:same(no, cf_live:ask(T, P, global_register, [A])),
    yes = cf_live:ask(T, P, global_register, [B]),
    cf:same(no, global:register_name(B, self())).

unregister_there(T) ->
    synced(T), P = cf_live:puppet(T), N = name(),
    yes = cf_live:ask(T, P, global_register, [N]),
    cf_live:ask(T, P, global_unregister, [N]),
    here(N, undefined).

unregister_here(T) ->
    synced(T), N = name(),
    yes = global:register_name(N, self()),
    global:unregister_name(N),
    there(T, N, undefined).

re_register(T) ->
    synced(T), P = cf_live:puppet(T), N = name(),
    yes = global:register_name(N, self()),
    yes = cf_live:ask(T, P, global_re_register, [N]),
    here(N, P),
    yes = global:re_register_name(N, self()),
    there(T, N, self()).

%% global:send looks into the table of the sender's node; a re_register that was answered is in all tables.
moves_in_a_flood(T) ->
    synced(T), N = name(), [P, Q] = Both = [cf_live:watched(T), cf_live:watched(T)],
    yes = cf_live:ask(T, P, global_register, [N]),
    Sender = spawn_link(fun() -> send_batches(N, 0) end),
    [begin
         Sender ! {batch, 20},
         yes = cf_live:ask(T, To, global_re_register, [N]),
         cf:same({To, To}, {global:whereis_name(N), cf_live:ask(T, global_whereis, [N])})
     end || To <- lists:append(lists:duplicate(15, [Q, P]))],
    Sender ! {stop, self()},
    Sent = receive {sent, S} -> S end,
    Got = [receive {saw, Who, {n, I}} -> {I, Who} after cf:ms(8000) -> cf:fail("only ~p of ~p came", [K - 1, Sent]) end || K <- lists:seq(1, Sent)],
    cf:same(lists:seq(1, Sent), lists:sort([I || {I, _} <- Got])),
    [cf:same(lists:sort(Is), Is) || Who <- Both, Is <- [[I || {I, W} <- Got, W =:= Who]]],
    cf_live:fence(T),
    cf:not_got(fun({saw, _, {n, _}}) -> ok end).

send_batches(N, Sent) ->
    receive
        {batch, K} ->
            _ = [global:send(N, {n, I}) || I <- lists:seq(Sent + 1, Sent + K)],
            send_batches(N, Sent + K);
        {stop, To} ->
            To ! {sent, Sent}
    end.

process_ends(T) ->
    synced(T), P = cf_live:puppet(T), N = name(),
    yes = cf_live:ask(T, P, global_register, [N]),
    ok = cf_live:ask(T, P, exit, [bye]),
    here(N, undefined),
    there(T, N, undefined).

our_process_ends(T) ->
    synced(T), P = ours(), N = name(),
    yes = global:register_name(N, P),
    P ! {die, bye},
    there(T, N, undefined),
    here(N, undefined).

process_killed(T) ->
    synced(T), P = cf_live:puppet(T), N = name(),
    yes = cf_live:ask(T, P, global_register, [N]),
    exit(P, kill),
    here(N, undefined),
    there(T, N, undefined).

call_via(#{nut := Nut} = T) ->
    synced(T), P = spawn(Nut, counter, start, [1]), N = name(),
    yes = global:register_name(N, P),
    cf:same(3, gen_server:call({global, N}, {add, 2})),
    cf:same({ok, 3}, cf_live:ask(T, call, [{global, N}, get, 5000])).

send_there(T) ->
    synced(T), P = cf_live:watched(T), N = name(),
    yes = cf_live:ask(T, P, global_register, [N]),
    P = global:send(N, hello),
    cf:same(hello, cf_live:saw(P)).

send_from_there(T) ->
    synced(T), N = name(),
    yes = global:register_name(N, self()),
    cf:same(self(), cf_live:ask(T, global_send, [N, {hello, there}])),
    {hello, there} = cf:got(fun({hello, _} = M) -> M end).

any_term(T) ->
    synced(T),
    [begin
         P = cf_live:puppet(T),
         yes = cf_live:ask(T, P, global_register, [{N, cf:unique("x")}]),
         ok = cf_live:ask(T, P, exit, [normal])
     end || N <- ["string", 17, 1.5, [a | b], #{k => v}, <<"binary">>, {nested, {term}}]].

fresh(T) -> T#{nut => list_to_atom(atom_to_list(cf:unique("fresh")) ++ "@127.0.0.1")}.

started(T) ->
    S = cf_nut:start(fresh(T)),
    true = net_kernel:connect_node(maps:get(nut, S)),
    synced(S).

node_dies(T) ->
    S = started(T), P = cf_live:puppet(S), N = name(),
    yes = cf_live:ask(S, P, global_register, [N]),
    P = global:whereis_name(N),
    cf_nut:kill(S),
    here(N, undefined).

late_joiner(T) ->
    [A, B] = [name(), name()],
    yes = global:register_name(A, self()),
    S = cf_nut:start(fresh(T)),
    C = cf_fake:dial(S, #{}), P = cf_fake:puppet(C),
    yes = cf_fake:call(C, P, global_register, [B]),
    true = net_kernel:connect_node(maps:get(nut, S)),
    there(S, A, self()),
    here(B, cf_etf:external(P)).

reconnect(T) ->
    synced(T), [A, B] = [name(), name()], P = cf_live:puppet(T),
    yes = global:register_name(A, self()),
    yes = cf_live:ask(T, P, global_register, [B]),
    cf_live:disconnect(T),
    here(B, undefined),
    cf_live:connect(T),
    there(T, A, self()),
    here(B, P).

lock_there(#{nut := Nut} = T) ->
    synced(T), P = cf_live:puppet(T), Id = {name(), P},
    true = cf_live:ask(T, P, global_set_lock, [Id, [node(), Nut], 0]),
    cf:same(false, global:set_lock({element(1, Id), self()}, [node(), Nut], 0)),
    true = cf_live:ask(T, P, global_del_lock, [Id, [node(), Nut]]),
    cf:same(true, global:set_lock({element(1, Id), self()}, [node(), Nut], 5)),
    global:del_lock({element(1, Id), self()}, [node(), Nut]).

lock_here(#{nut := Nut} = T) ->
    synced(T), P = cf_live:puppet(T), R = name(),
    true = global:set_lock({R, self()}, [node(), Nut], 0),
    cf:same(false, cf_live:ask(T, P, global_set_lock, [{R, P}, [node(), Nut], 0])),
    true = global:del_lock({R, self()}, [node(), Nut]),
    cf:same(true, cf_live:ask(T, P, global_set_lock, [{R, P}, [node(), Nut], 5])).

lock_shared(#{nut := Nut} = T) ->
    synced(T), P = cf_live:puppet(T), Id = {name(), the_requester},
    true = global:set_lock(Id, [node(), Nut], 0),
    cf:same(true, cf_live:ask(T, P, global_set_lock, [Id, [node(), Nut], 0])),
    true = global:del_lock(Id, [node(), Nut]).

lock_process_ends(#{nut := Nut} = T) ->
    synced(T), P = cf_live:puppet(T), R = name(),
    true = cf_live:ask(T, P, global_set_lock, [{R, P}, [node(), Nut], 0]),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:wait("the lock is free", fun() -> global:set_lock({R, self()}, [node(), Nut], 0) end),
    global:del_lock({R, self()}, [node(), Nut]).

trans(#{nut := Nut} = T) ->
    synced(T),
    cf:same(inside, global:trans({name(), self()}, fun() -> inside end, [node(), Nut])).

lock_contention(#{nut := Nut} = T) ->
    synced(T), R = name(), Nodes = [node(), Nut],
    Inside = ets:new(inside, [public]), ets:insert(Inside, {n, 0}),
    P = cf_live:puppet(T), Self = self(),
    Enter = fun() -> 1 = ets:update_counter(Inside, n, 1), erlang:yield(), ets:update_counter(Inside, n, -1) end,
    W = spawn_link(fun() -> [global:trans({R, self()}, Enter, Nodes) || _ <- lists:seq(1, 50)], Self ! {self(), done} end),
    [begin
         true = cf_live:ask(T, P, global_set_lock, [{R, P}, Nodes, 200]),
         Enter(),
         true = cf_live:ask(T, P, global_del_lock, [{R, P}, Nodes])
     end || _ <- lists:seq(1, 50)],
    receive {W, done} -> ok after cf:ms(30000) -> cf:fail("our side never got its 50 turns") end.

conflict(T) ->
    N = name(),
    A = ours(),
    yes = global:register_name(N, A),
    S = cf_nut:start(fresh(T)),
    C = cf_fake:dial(S, #{}), P = cf_fake:puppet(C),
    yes = cf_fake:call(C, P, global_register, [N]),
    true = net_kernel:connect_node(maps:get(nut, S)),
    Theirs = cf_etf:external(P),
    cf:wait("both agree on one holder", fun() ->
        Here = global:whereis_name(N), There = cf_etf:external(cf_fake:call(C, global_whereis, [N])),
        Here =:= There andalso lists:member(Here, [A, Theirs])
    end, 15000).

garbage(#{nut := Nut} = T) ->
    synced(T),
    [{global_name_server, Nut} ! M || M <- [junk, {junk, 1}, {'$gen_cast', junk}, [], <<1>>]],
    register_there(T).

%% pg.
pg(Function, Args) -> apply(pg, Function, Args).

scope(T) ->
    S = cf:unique("scope"),
    {ok, _} = pg(start_link, [S]),
    ok = cf_live:ask(T, pg_start, [S]),
    S.

members_here(S, G, Expected) -> cf:wait(io_lib:format("members here are ~p", [Expected]), fun() -> sorted(pg(get_members, [S, G])) =:= sorted(Expected) end).
members_there(T, S, G, Expected) -> cf:wait(io_lib:format("members there are ~p", [Expected]), fun() -> sorted(cf_live:ask(T, pg_members, [S, G])) =:= sorted(Expected) end).
sorted(L) -> lists:sort(L).

join_there(T) ->
    S = scope(T), P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, pg_join, [S, group]),
    members_here(S, group, [P]).

join_here(T) -> S = scope(T), ok = pg(join, [S, group, self()]), members_there(T, S, group, [self()]).

leave_there(T) ->
    S = scope(T), P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, pg_join, [S, group]), members_here(S, group, [P]),
    ok = cf_live:ask(T, P, pg_leave, [S, group]), members_here(S, group, []).

leave_here(T) ->
    S = scope(T),
    ok = pg(join, [S, group, self()]), members_there(T, S, group, [self()]),
    ok = pg(leave, [S, group, self()]), members_there(T, S, group, []).

join_twice(T) ->
    S = scope(T), P = cf_live:puppet(T),
    [ok = cf_live:ask(T, P, pg_join, [S, group]) || _ <- [1, 2]],
    members_here(S, group, [P, P]),
    ok = cf_live:ask(T, P, pg_leave, [S, group]), members_here(S, group, [P]).

member_ends(T) ->
    S = scope(T), P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, pg_join, [S, group]), members_here(S, group, [P]),
    ok = cf_live:ask(T, P, exit, [bye]), members_here(S, group, []).

our_member_ends(T) ->
    S = scope(T), A = ours(),
    ok = pg(join, [S, group, A]), members_there(T, S, group, [A]),
    A ! {die, bye}, members_there(T, S, group, []).

pg_disconnect(T) ->
    S = scope(T), P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, pg_join, [S, group]), members_here(S, group, [P]),
    cf_live:disconnect(T),
    members_here(S, group, []),
    cf_live:connect(T),
    members_here(S, group, [P]).

scopes(T) ->
    [S, R] = [scope(T), scope(T)], P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, pg_join, [S, group]), members_here(S, group, [P]),
    cf:same([], pg(get_members, [R, group])).

late_scope(T) ->
    S = cf:unique("scope"),
    {ok, _} = pg(start_link, [S]),
    ok = pg(join, [S, group, self()]),
    cf_live:fence(T),
    ok = cf_live:ask(T, pg_start, [S]),
    members_there(T, S, group, [self()]).

many_groups(T) ->
    S = scope(T), P = cf_live:puppet(T),
    [ok = cf_live:ask(T, P, pg_join, [S, {group, N}]) || N <- lists:seq(1, 200)],
    cf:wait("200 groups here", fun() -> length(pg(which_groups, [S])) =:= 200 end).

any_group(T) ->
    S = scope(T), P = cf_live:puppet(T),
    [begin ok = cf_live:ask(T, P, pg_join, [S, G]), members_here(S, G, [P]) end || G <- ["string", 17, <<"b">>, {a, [b]}, #{k => 1}]].
