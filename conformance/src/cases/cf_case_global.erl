%% SPDX-License-Identifier: Apache-2.0
%% The protocol of `global` on the wire, message by message: sessions, conflicts, accusations, and peers that misbehave.
-module(cf_case_global).
-export([cases/0]).
-import(cf_lone, [dial/2, dial/3, name/0, internal/1, exit_name/0, there/3, not_there/2, locked/2, unlocked/2, knows/2, version_8/1, healthy/2]).

cases() -> cf_lone:cases(connecting() ++ conflicts() ++ hostile()).

connecting() ->
    [{'global.wire_init_connect', "a visible peer gets init_connect with version, tag and locker", [], fun init_connect/2},
     {'global.wire_hidden_nothing', "a hidden peer gets none of it", [], fun hidden_nothing/2},
     {'global.wire_new_tag', "each connection has a tag of its own", [], fun new_tag/2},
     {'global.wire_ack', "init_connect of version 8 is acknowledged with both tags", [], fun wire_ack/2},
     {'global.wire_no_ack_7', "init_connect of version 7 is not acknowledged", [], fun no_ack_7/2},
     {'global.wire_long_version', "a version of more than two elements is taken", [], fun long_version/2},
     {'global.wire_any_tag', "a tag may be any term and comes back as it was", [], fun any_tag/2}]
    ++
    [{list_to_atom("global.wire_join_" ++ integer_to_list(V)), lists:concat(["a peer of version ", V, " joins; its locker begins"]), [],
      fun(T, Nut) -> join(T, Nut, V) end} || V <- [5, 6, 7, 8]]
    ++
    [{list_to_atom("global.wire_invited_" ++ integer_to_list(V)), lists:concat(["a peer of version ", V, " joins; the node's locker begins"]), [],
      fun(T, Nut) -> invited(T, Nut, V) end} || V <- [5, 6, 7, 8]]
    ++
    [{'global.wire_lock_order_low', "the two lockers' pids are in Erlang's order: ours with the small id", [], fun(T, Nut) -> lock_order(T, Nut, "zz", 1, 0) end},
     {'global.wire_lock_order_high', "the two lockers' pids are in Erlang's order: ours with the big id", [], fun(T, Nut) -> lock_order(T, Nut, "aa", 32767, 0) end},
     {'global.wire_lock_order_serial', "the two lockers' pids are in Erlang's order: the serial counts more than the id", [], fun(T, Nut) -> lock_order(T, Nut, "aa", 1, 3) end},
     {'global.wire_lock_order_node', "the two lockers' pids are in Erlang's order: the node decides between equals", [], fun lock_order_node/2},
     {'global.wire_refused', "its lock is refused: it gives all back and tries again", [], fun refused/2},
     {'global.wire_lock_set_false', "lock_set false: it gives its locks back and tries again", [], fun lock_set_false/2},
     {'global.wire_lock_set_false_plain', "lock_set false as a message to the locker itself, as from one that does not know the session: the same", [], fun lock_set_false_plain/2},
     {'global.wire_stale_lock_set', "lock_set with another session's tag counts for nothing", [], fun stale_lock_set/2},
     {'global.wire_exchange_early', "exchange that comes before the locks are set is kept until then", [], fun exchange_early/2},
     {'global.wire_resolved_early', "resolved that comes before exchange is kept until then", [], fun resolved_early/2},
     {'global.wire_stale_exchange', "exchange with another session's tag is ignored", [], fun stale_exchange/2},
     {'global.wire_stale_resolved', "resolved with another session's tag is ignored", [], fun stale_resolved/2},
     {'global.wire_cancel', "cancel_connect: a new session with a new tag", [], fun cancel/2},
     {'global.wire_cancel_locked', "cancel_connect after the locks are set: they are given back", [], fun cancel_locked/2},
     {'global.wire_stale_cancel', "cancel_connect with another session's tag is ignored", [], fun stale_cancel/2},
     {'global.wire_wrong_ack', "an acknowledgement with wrong tags: cancel_connect and a new session", [], fun wrong_ack/2},
     {'global.wire_init_connect_twice', "a second init_connect in a session: cancel_connect and a new session (OTP 25 goes round in circles: issue 9117)", [], [{otp_fails, [25]}], fun twice/2},
     {'global.wire_in_sync', "in_sync ends the session: synced, and nothing more is exchanged", [], fun in_sync/2},
     {'global.wire_in_sync_elsewhere', "in_sync comes from any process of the node, in the middle of a session that the locks are taken for", [], fun in_sync_elsewhere/2},
     {'global.wire_in_sync_stale', "in_sync of a peer that goes on with its session, as OTP says to a node that it has let go of meanwhile: another session (OTP waits for ever)", [], [{otp_fails, [23, 25, 27, 29]}], fun in_sync_stale/2},
     {'global.wire_known_forms', "the known nodes of init_connect may be a list, or a map with any keys", [], fun known_forms/2}].

conflicts() ->
    [{'global.wire_it_decides', "the same name on both sides, ours the greater node: it decides, and kills the loser", [], [], fun it_decides/2},
     {'global.wire_it_notifies', "it decides by random_notify_name: the loser hears of it", [], [], fun it_notifies/2},
     {'global.wire_it_drops', "it decides by notify_all_name: both hear of it, the name is gone", [], [], fun it_drops/2},
     {'global.wire_we_decide', "the same name on both sides, ours the smaller node: it decides nothing and obeys", [], [], fun we_decide/2},
     {'global.wire_resolve_it', "erpc of global:resolve_it for a process of its own: answered, the loser dies", [], [], fun resolve_it/2},
     {'global.wire_resolve_it_fun', "the same with the default method, a fun of module global", [], [], fun resolve_it_fun/2},
     {'global.wire_resolver_first', "its resolver says ours: it is ours on both sides", [global_resolve], [], fun(T, Nut) -> resolver(T, Nut, first, ours) end},
     {'global.wire_resolver_second', "its resolver says its own: it is its on both sides", [global_resolve], [], fun(T, Nut) -> resolver(T, Nut, second, its) end},
     {'global.wire_resolver_none', "its resolver says none: the name is gone", [global_resolve], [], fun(T, Nut) -> resolver(T, Nut, none, gone) end},
     {'global.wire_resolver_bad', "its resolver says what is no process: the name is gone", [global_resolve], [], fun(T, Nut) -> resolver(T, Nut, bad, gone) end},
     {'global.wire_resolver_crash', "its resolver fails: the other side's process has the name", [global_resolve], [], fun(T, Nut) -> resolver(T, Nut, crash, ours) end},
     {'global.wire_resolver_hang', "its resolver never answers: the node goes on answering, and is free again when we are gone", [global_resolve], [], fun resolver_hang/2},
     {'global.wire_lost', "lost_connection: it tells the lost node remove_connection, forgets it and passes the news on", [global_pop], [], fun lost/2},
     {'global.wire_lost_once', "lost_connection that was seen already is not passed on again", [global_pop], [], fun lost_once/2},
     {'global.wire_lost_it', "lost_connection that names the node itself: the accuser is left", [global_pop], [], fun lost_it/2},
     {'global.wire_lost_unknown', "lost_connection of a node that it does not know is only passed on", [global_pop], [], fun lost_unknown/2},
     {'global.wire_lost_old', "a lost node of version 6 is disconnected", [global_pop], [], fun lost_old/2},
     {'global.wire_remove', "remove_connection: the connection ends", [global_pop], [], fun remove/2}].

hostile() ->
    [{'global.wire_junk', "junk to global_name_server: it goes on", [], [], fun junk/2},
     {'global.wire_junk_locker', "junk to the locker: it goes on", [], [], fun junk_locker/2},
     {'global.wire_junk_registrar', "junk to the process that registers: it goes on", [], [], fun junk_registrar/2},
     {'global.wire_unknown_call', "an unknown call is not answered, and does no harm", [], [], fun unknown_call/2},
     {'global.wire_old_casts', "casts of releases before R14 are ignored", [], [], fun old_casts/2},
     {'global.wire_flood', "1,000 init_connects in a row: it answers others meanwhile, and another peer joins afterwards (OTP 23 is never the same again)", [], [{otp_fails, [23]}, {timeout, 40000}], fun flood/2},
     {'global.wire_cancel_flood', "200 cancel_connects, each for the newest session: it answers others meanwhile", [], [{timeout, 40000}], fun cancel_flood/2},
     {'global.wire_silent_hello', "a peer that stops after init_connect: gone, it leaves no lock", [], [{timeout, 40000}], fun(T, Nut) -> silent(T, Nut, hello) end},
     {'global.wire_silent_locked', "a peer that stops after lock_set: gone, it leaves no lock", [], [], fun(T, Nut) -> silent(T, Nut, locked) end},
     {'global.wire_silent_exchanged', "a peer that stops after exchange: gone, it leaves no lock", [], [], fun(T, Nut) -> silent(T, Nut, exchanged) end},
     {'global.wire_silent_resolved', "a peer that stops after exchange and never resolves, of version 5", [], [], fun(T, Nut) -> silent(T, Nut, exchanged, 5) end},
     {'global.wire_never_grants', "a peer that never answers set_lock: when it is gone the next one joins", [], [{timeout, 40000}], fun never_grants/2},
     {'global.wire_same_name', "two nodes of the same name: the second takes over, a new session begins, the old names are gone", [], [{from, 25}], fun same_name/2},
     {'global.wire_restart', "a peer that comes back within the second: new session, old names gone, new ones there", [], [{timeout, 40000}], fun restart/2},
     {'global.wire_resolved_no_nodes', "resolved names a node that cannot be reached: the join comes to its end", [], [{timeout, 40000}], fun unreachable/2}].

%% ---- connecting ----

init_connect(T, Nut) ->
    C = dial(T, Nut),
    #{vsn := V, node := Node, locker := {'$pid', Nut, _, _, _}} = cf_member:his(C),
    cf:same(Nut, Node, "the node in init_connect"),
    cf:check(is_integer(V) andalso V >= 5 andalso V =< 8, "version ~p", [V]),
    cf:same(V, cf_member:call(C, get_protocol_version), "get_protocol_version").

hidden_nothing(T, Nut) ->
    C = dial(T, Nut, #{flags => cf_hs:hidden(cf_hs:flags(maps:get(release, T)))}),
    cf_member:none(C, fun({signal, {6, _, _, global_name_server}, {'$gen_cast', _}, _}) -> ok end),
    knows(Nut, []).

new_tag(T, Nut) ->
    A = dial(T, Nut), #{tag := One} = cf_member:his(A),
    B = dial(T, Nut), #{tag := Two} = cf_member:his(B),
    cf:check(One =/= Two, "both have the tag ~p", [One]).

wire_ack(T, Nut) ->
    C = dial(T, Nut), S = cf_member:his(C), version_8(S),
    cf_member:init_connect(C),
    ok = cf_member:got_ack(C, S).

no_ack_7(T, Nut) ->
    C = dial(T, Nut, #{vsn => 7}), cf_member:his(C),
    cf_member:init_connect(C),
    cf_member:none(C, fun({signal, _, {init_connect_ack, _, _, _}, _}) -> ok end).

long_version(T, Nut) ->
    C = #{tag := Tag, locker := L} = dial(T, Nut), S = cf_member:his(C),
    cf_member:cast(C, {init_connect, {8, Tag, more, "and more"}, cf_member:me(C), {locker, no_longer_a_pid, [], L}}),
    cf_member:version(C, S) < 8 orelse begin cf_member:ack(C, S), cf_member:got_ack(C, S) end,
    cf_member:join(C, #{session => S}),
    knows(Nut, [C]).

any_tag(T, Nut) ->
    C = dial(T, Nut, #{tag => {tag, "any", [1.5 | <<"term">>], #{}}}),
    cf_member:join(C),
    knows(Nut, [C]).

join(T, Nut, V) ->
    C = dial(T, Nut, #{vsn => V}),
    #{resolved := #{node := Node, known := [], ops := []}} = cf_member:join(C),
    cf:same(Nut, Node, "the node in resolved"),
    knows(Nut, [C]),
    cf:same([cf_member:me(C)], cf_member:call(C, get_synced), "get_synced"),
    unlocked(Nut, global).

%% The node's locker waits a moment, then locks us and begins.
invited(T, Nut, V) ->
    C = dial(T, Nut, #{vsn => V}),
    S = cf_member:hello(C),
    Id = cf_member:lock_id(C, S),
    {_, true} = cf_member:got_lock_set(C, S),
    #{locker := Locker} = S,
    cf:same([{Locker, {set_lock, Id}}], cf_member:asked(C), "the locks that it set here"),
    accepted(Nut, C, S),
    gave_back(C, S).

%% Its lock_set has come: the rest of the join.
accepted(Nut, C, S) ->
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    [] = cf_member:got_exchange(C),
    cf_member:exchange(C, S, []),
    cf_member:got_resolved(C),
    cf_member:resolved(C, S, []),
    knows(Nut, [C]),
    true = cf_member:give_locks(C, S),
    unlocked(Nut, global).

%% Our copy of the lock comes back from the same process.
gave_back(C, #{locker := Locker} = S) ->
    Id = cf_member:lock_id(C, S),
    case lists:member({Locker, {del_lock, Id}}, cf_member:asked(C)) of
        true -> ok;
        false ->
            cf_member:await(C, fun({signal, {6, From, _, global_name_server}, {'$gen_call', Tag, {del_lock, I}}, _})
                                     when From =:= Locker, I =:= Id -> cf_member:reply_to(C, Tag, true) end)
    end.

lock_order(T, Nut, Prefix, Id, Serial) ->
    C0 = dial(T, Nut, #{prefix => Prefix}),
    #{name := Name, creation := Creation} = C0,
    ordered(C0#{locker => {'$pid', Name, Id, Serial, Creation}}).

lock_order_node(T, Nut) ->
    [begin
         C0 = dial(T, Nut, #{prefix => Prefix}),
         #{locker := {'$pid', _, Id, Serial, _}} = S = cf_member:his(C0),
         #{name := Name, creation := Creation} = C0,
         C = C0#{locker => {'$pid', Name, Id, Serial, Creation}},
         cf_member:init_connect(C),
         cf_member:version(C, S) < 8 orelse begin cf_member:ack(C, S), cf_member:got_ack(C, S) end,
         begun(C, S),
         cf_member:close(C)
     end || Prefix <- ["aa", "zz"]].

ordered(C) -> begun(C, cf_member:hello(C)).

%% What it locks us with is what both would say.
begun(C, #{locker := Locker} = S) ->
    {_, true} = cf_member:got_lock_set(C, S),
    cf:same([{Locker, {set_lock, cf_member:lock_id(C, S)}}], cf_member:asked(C), "the lock").

refused(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C),
    cf_member:rule(C, fun({set_lock, _}) -> false; ({del_lock, _}) -> true; (_) -> silent end),
    Call = fun({signal, {6, _, _, global_name_server}, {'$gen_call', F, {set_lock, _}}, _}) -> F end,
    cf_member:reply_to(C, cf_fake:take(C, Call), false),
    Again = cf_fake:take(C, Call),
    cf_member:reply_to(C, Again, false),
    unlocked(Nut, global),
    cf_member:rule(C, fun({set_lock, _}) -> true; ({del_lock, _}) -> true; (_) -> silent end),
    cf_member:join(C, #{session => S}),
    knows(Nut, [C]).

lock_set_false(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:lock_set(C, S, false),
    gave_back(C, S),
    unlocked(Nut, global),
    {_, true} = cf_member:got_lock_set(C, S),
    accepted(Nut, C, S).

lock_set_false_plain(T, Nut) ->
    C = #{locker := Me} = dial(T, Nut), S = #{locker := His} = cf_member:hello(C), version_8(S),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_fake:send(C, {22, Me, His}, {lock_set, Me, false, []}),
    gave_back(C, S),
    unlocked(Nut, global),
    {_, true} = cf_member:got_lock_set(C, S),
    accepted(Nut, C, S).

stale_lock_set(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag, locker := L} = S = cf_member:hello(C), version_8(S),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S#{tag => Tag + 1}, true),
    _ = cf_member:known(C),
    cf_lone:locker_fence(T, Nut, L),
    cf_member:none(C, fun({signal, _, {'$gen_cast', {lock_set, P, _, _, _}}, _}) when P =:= L -> ok;
                         ({signal, _, {'$gen_cast', {exchange, _, _, _, _}}, _}) -> ok end),
    cf_member:join(C, #{session => S}).

exchange_early(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C), N = name(), P = cf_fake:pid(C),
    cf_member:exchange(C, S, [{N, P, exit_name()}]),
    not_there(Nut, N),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:got_exchange(C), cf_member:got_resolved(C),
    cf_member:resolved(C, S, []),
    knows(Nut, [C]),
    there(Nut, N, P).

resolved_early(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C), N = name(), P = cf_fake:pid(C),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:resolved(C, S, []),
    cf:same([], cf_member:known(C), "known before exchange"),
    cf_member:exchange(C, S, [{N, P, exit_name()}]),
    knows(Nut, [C]),
    there(Nut, N, P).

stale_exchange(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag} = S = cf_member:hello(C), N = name(),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:exchange(C, S#{tag => Tag + 1}, [{N, cf_fake:pid(C), exit_name()}]),
    cf_member:none(C, fun({signal, _, {'$gen_cast', {resolved, _, _, _, _, _, _}}, _}) -> ok end),
    %% Who takes it resolves it, and the right one too.
    M = name(), P = cf_fake:pid(C),
    cf_member:exchange(C, S, [{M, P, exit_name()}]),
    cf_member:got_resolved(C),
    cf_member:resolved(C, S, []),
    there(Nut, M, P),
    cf_member:none(C, fun({signal, _, {'$gen_cast', {resolved, _, _, _, _, _, _}}, _}) -> ok end),
    not_there(Nut, N).

stale_resolved(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag} = S = cf_member:hello(C), N = name(),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:exchange(C, S, []),
    cf_member:resolved(C, S#{tag => Tag + 1}, [{insert, {N, cf_fake:pid(C), exit_name()}}]),
    cf:same([], cf_member:known(C), "known"),
    not_there(Nut, N).

cancel(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag} = S = cf_member:hello(C), version_8(S),
    cf_member:plain(C, {cancel_connect, cf_member:me(C), Tag}),
    Again = cf_member:hello(C#{tag => another}),
    cf:check(maps:get(tag, Again) =/= Tag, "the tag ~p is the old one", [Tag]),
    cf_member:join(C#{tag => another}, #{session => Again}),
    knows(Nut, [C]).

cancel_locked(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag} = S = cf_member:hello(C), version_8(S),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:plain(C, {cancel_connect, cf_member:me(C), Tag}),
    gave_back(C, S),
    unlocked(Nut, global),
    cf_member:join(C#{tag => another}, #{session => cf_member:hello(C#{tag => another})}),
    knows(Nut, [C]).

stale_cancel(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag} = S = cf_member:hello(C), version_8(S),
    cf_member:plain(C, {cancel_connect, cf_member:me(C), Tag + 1}),
    cf_member:none(C, fun({signal, _, {'$gen_cast', {init_connect, _, _, _}}, _}) -> ok end),
    cf_member:join(C, #{session => S}).

cancelled(#{tag := Mine} = C) ->
    cf_member:await(C, fun({signal, {6, _, _, global_name_server}, {cancel_connect, _, Tag}, _}) when Tag =:= Mine -> ok end).

wrong_ack(T, Nut) ->
    C = dial(T, Nut), #{tag := Tag} = S = cf_member:his(C), version_8(S),
    cf_member:init_connect(C),
    cf_member:ack(C, S#{tag => Tag + 1}),
    cancelled(C),
    Again = cf_member:hello(C#{tag => another}),
    cf:check(maps:get(tag, Again) =/= Tag, "the tag ~p is the old one", [Tag]),
    cf_member:join(C#{tag => another}, #{session => Again}),
    knows(Nut, [C]).

twice(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C), version_8(S),
    Second = C#{tag => second},
    cf_member:init_connect(Second),
    cancelled(Second),
    Third = C#{tag => third},
    cf_member:join(Third, #{session => cf_member:hello(Third)}),
    knows(Nut, [C]).

in_sync(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C),
    cf_member:cast(C, {in_sync, cf_member:me(C), true}),
    cf:wait("synced", fun() -> cf_member:call(C, get_synced) =:= [cf_member:me(C)] end),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    cf_member:none(C, fun({signal, _, {'$gen_cast', {exchange, _, _, _, _}}, _}) -> ok end),
    true = cf_member:give_locks(C, S).

in_sync_elsewhere(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_fake:send(C, {6, cf_fake:pid(C, 700), '', global_name_server}, {'$gen_cast', {in_sync, cf_member:me(C), true}}),
    cf:wait("synced", fun() -> cf_member:call(C, get_synced) =:= [cf_member:me(C)] end),
    gave_back(C, S),
    unlocked(Nut, global).

in_sync_stale(T, Nut) ->
    C = dial(T, Nut), S = cf_member:hello(C),
    cf_member:cast(C, {in_sync, cf_member:me(C), true}),
    cf_member:lock_set(C, S, true),
    cf_member:join(C#{tag => another}, #{session => cf_member:hello(C#{tag => another})}),
    knows(Nut, [C]).

known_forms(T, Nut) ->
    [begin
         C = #{tag := Tag, locker := L, vsn := V} = dial(T, Nut), S = cf_member:his(C),
         cf_member:cast(C, {init_connect, {V, Tag}, cf_member:me(C), {locker, no_longer_a_pid, Known, L}}),
         cf_member:version(C, S) < 8 orelse begin cf_member:ack(C, S), cf_member:got_ack(C, S) end,
         cf_member:join(C, #{session => S}),
         knows(Nut, [C]),
         cf_member:close(C),
         cf_cluster:wait_known(Nut, [])
     end || Known <- [[], [other@nowhere], #{}, #{other@nowhere => 8, {connection_id, other@nowhere} => 17, {removing, x} => yes}]].

%% ---- conflicts ----

%% A name of a puppet there, by Method; a member that has it too.
both(T, Nut, Prefix, Method) ->
    N = name(), P = cf_cluster:watched(Nut),
    yes = cf_cluster:ask(P, global_register, [N, P, Method]),
    C = dial(T, Nut, #{prefix => Prefix}),
    {C, N, P, cf_fake:pid(C)}.

clash({C, N, _, Mine}) -> cf_member:join(C, #{names => [{N, Mine, exit_name()}]}).

killed(C, Pid) ->
    cf_member:await(C, fun({signal, {26, _, To}, kill, _}) when To =:= Pid -> ok; ({signal, {8, _, To, kill}, none, _}) when To =:= Pid -> ok end).

heard(C, Pid, Message) ->
    cf_member:await(C, fun({signal, {_, _, To}, M, _}) when To =:= Pid, M =:= Message -> ok end).

it_decides(T, Nut) ->
    {C, N, P, Mine} = B = both(T, Nut, "zz", {global, random_exit_name}),
    #{resolved := #{ops := Ops}} = clash(B),
    cf:same([{insert, {N, internal(P), exit_name()}}], Ops, "what it resolved"),
    killed(C, Mine),
    there(Nut, N, internal(P)).

it_notifies(T, Nut) ->
    {C, N, P, Mine} = B = both(T, Nut, "zz", {global, random_notify_name}),
    clash(B),
    heard(C, Mine, {global_name_conflict, N}),
    there(Nut, N, internal(P)).

it_drops(T, Nut) ->
    {C, N, P, Mine} = B = both(T, Nut, "zz", {global, notify_all_name}),
    #{resolved := #{ops := Ops}} = clash(B),
    cf:same([{delete, N}], Ops, "what it resolved"),
    heard(C, Mine, {global_name_conflict, N, internal(P)}),
    cf:same({global_name_conflict, N, Mine}, internal(cf_live:saw(P)), "what its process heard"),
    there(Nut, N, undefined).

we_decide(T, Nut) ->
    {C, N, P, Mine} = both(T, Nut, "aa", {global, random_exit_name}),
    #{resolved := #{ops := Ops}} =
        cf_member:join(C, #{names => [{N, Mine, exit_name()}], ops => [{insert, {N, Mine, exit_name()}}]}),
    cf:same([], Ops, "what it resolved"),
    there(Nut, N, Mine),
    cf:check(cf_cluster:ask(Nut, is_alive, [P]), "it has killed its process").

erpc_resolve(C, Method, N, Mine, Its) ->
    From = cf_fake:pid(C), [Req, Res] = [cf_fake:ref(C), cf_fake:ref(C)],
    cf_fake:send(C, {29, Req, From, From, {erpc, execute_call, 4}, [monitor]}, [Res, global, resolve_it, [Method, N, Mine, Its]]),
    Pid = cf_member:await(C, fun({signal, {31, R, To, _, P}, _, _}) when R =:= Req, To =:= From -> P end),
    cf_member:await(C, fun({signal, {28, P, To, R}, Reason, _}) when P =:= Pid, To =:= From, R =:= Req -> {Res, return, Winner} = Reason, Winner end).

resolve_it(T, Nut) -> resolve_both(T, Nut, fun(_) -> exit_name() end).
resolve_it_fun(T, Nut) -> resolve_both(T, Nut, fun this_fun/1).

%% The default method of this release, which a node of it can run: taken from our own table as it goes over the wire.
this_fun(_) ->
    N = name(),
    yes = global:register_name(N, self()),
    [Method] = [element(3, Row) || Row <- ets:tab2list(global_names), element(1, Row) =:= N],
    global:unregister_name(N),
    <<131, Bytes/binary>> = term_to_binary(Method, [{minor_version, 2}]),
    {'$fun', Bytes}.

resolve_both(T, Nut, Method) ->
    Z = dial(T, Nut, #{prefix => "zz"}), P = cf_cluster:puppet(Nut), Mine = cf_fake:pid(Z),
    cf:same(internal(P), erpc_resolve(Z, Method(Z), name(), Mine, P), "the winner"),
    killed(Z, Mine),
    A = dial(T, Nut, #{prefix => "aa"}), Ours = cf_fake:pid(A), Ref = monitor(process, P),
    monitored = cf_cluster:ask(P, echo, [monitored]),
    cf:same(Ours, erpc_resolve(A, Method(A), name(), Ours, P), "the winner"),
    killed = cf_live:down(Ref).

resolver(T, Nut, Function, Wins) ->
    {_, N, P, Mine} = B = both(T, Nut, "zz", {conformance_resolver, Function}),
    #{resolved := #{ops := Ops}} = clash(B),
    Expected = case Wins of
                   ours -> there(Nut, N, Mine), [];
                   its -> there(Nut, N, internal(P)), [{insert, {N, internal(P), {'$export', conformance_resolver, Function, 3}}}];
                   gone -> there(Nut, N, undefined), [{delete, N}]
               end,
    cf:same(Expected, Ops, "what it resolved").

resolver_hang(T, Nut) ->
    {C, N, P, Mine} = both(T, Nut, "zz", {conformance_resolver, hang}),
    S = cf_member:hello(C),
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    {_, true} = cf_member:got_lock_set(C, S),
    cf_member:exchange(C, S, [{N, Mine, exit_name()}]),
    cf_member:got_exchange(C),
    cf_member:none(C, fun({signal, _, {'$gen_cast', {resolved, _, _, _, _, _, _}}, _}) -> ok end),
    true = cf_cluster:free([Nut], other_resource),
    locked(Nut, global),
    cf_member:close(C),
    unlocked(Nut, global),
    there(Nut, N, internal(P)).

%% Members in the order of their joining, all obeying by themselves.
joined(T, Nut, Options) -> joined(T, Nut, Options, []).
joined(_, _, [], Members) -> lists:reverse(Members);
joined(T, Nut, [O | More], Members) ->
    C = dial(T, Nut, O),
    cf_member:join(C),
    joined(T, Nut, More, [cf_member:aside(C) | Members]).

%% A member that obeys by itself has had this, after what came before it was dealt with.
hears(Member, What) ->
    cf:wait(io_lib:format("~s hears ~p", [cf_member:me(Member), What]), fun() -> lists:member(What, cf_member:events(Member)) end).

lost(T, Nut) ->
    [A, B, D] = joined(T, Nut, [#{}, #{}, #{}]), Lost = cf_member:me(B),
    News = {lost_connection, cf_member:me(A), 4711, 1, Lost},
    cf_member:plain(A, News),
    hears(D, {plain, News}),
    hears(B, {plain, {remove_connection, Nut}}),
    knows(Nut, [A, D]).

count(Member, What) -> length([E || E <- cf_member:events(Member), E =:= What]).

lost_once(T, Nut) ->
    [A, D] = joined(T, Nut, [#{}, #{}]), Lost = 'somebody@127.0.0.1',
    News = fun(Op) -> {lost_connection, cf_member:me(A), 4711, Op, Lost} end,
    [cf_member:plain(A, News(Op)) || Op <- [5, 5, 4, 6]],
    hears(D, {plain, News(6)}),
    cf:same({1, 0, 1}, {count(D, {plain, News(5)}), count(D, {plain, News(4)}), count(D, {plain, News(6)})}, "how often each was passed on").

lost_it(T, Nut) ->
    [A, D] = joined(T, Nut, [#{}, #{}]),
    News = {lost_connection, cf_member:me(A), 4711, 1, Nut},
    cf_member:plain(A, News),
    hears(A, {plain, {remove_connection, Nut}}),
    hears(D, {plain, News}),
    knows(Nut, [D]).

lost_unknown(T, Nut) ->
    [A, D] = joined(T, Nut, [#{}, #{}]),
    News = {lost_connection, cf_member:me(A), 4711, 1, 'nobody@127.0.0.1'},
    cf_member:plain(A, News),
    hears(D, {plain, News}),
    knows(Nut, [A, D]).

lost_old(T, Nut) ->
    [A, B] = joined(T, Nut, [#{}, #{vsn => 6}]),
    cf_member:plain(A, {lost_connection, cf_member:me(A), 4711, 1, cf_member:me(B)}),
    hears(B, {other, closed}),
    knows(Nut, [A]).

remove(T, Nut) ->
    [A, D] = joined(T, Nut, [#{}, #{}]),
    cf_member:plain(A, {remove_connection, cf_member:me(A)}),
    hears(A, {other, closed}),
    knows(Nut, [D]).

%% ---- hostile ----

junk_messages() ->
    [junk, {junk, 1}, [], <<1>>, 17, #{}, {}, {'$gen_cast', junk}, {'$gen_cast', {}}, {init_connect_ack, x}, {cancel_connect}, {lock_set, x},
     {'$gen_cast', {exchange, x}}, {'$gen_cast', {resolved, x, y}}, {'$gen_cast', {new_nodes}}, {'$gen_cast', {in_sync}}, {'$gen_call', x}, {'EXIT', x},
     {nodeup, x}, {nodedown}, {'DOWN', x}, {lost_connection, x}, {remove_connection}].

junk(T, Nut) ->
    C = dial(T, Nut),
    [cf_member:plain(C, M) || M <- junk_messages()],
    cf:same([], cf_member:known(C), "known"),
    cf_member:join(C),
    cf_member:aside(C),
    healthy(T, Nut).

junk_locker(T, Nut) ->
    C = dial(T, Nut), #{locker := L} = S = cf_member:hello(C),
    [cf_fake:send(C, {22, cf_fake:pid(C), L}, M) || M <- junk_messages()],
    cf_member:join(C, #{session => S}),
    [cf_fake:send(C, {22, cf_fake:pid(C), L}, M) || M <- junk_messages()],
    cf_member:aside(C),
    healthy(T, Nut).

junk_registrar(T, Nut) ->
    C = healthy(T, Nut),
    {Registrar, _} = lists:keyfind({set_lock, {global, x}}, 2, [{P, {set_lock, {global, x}}} || {P, {set_lock, {global, R}}} <- cf_member:asked(C), not is_list(R)]),
    [cf_fake:send(C, {22, cf_fake:pid(C), Registrar}, M) || M <- junk_messages()],
    P = cf_cluster:puppet(Nut), N = name(),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    there(Nut, N, internal(P)).

unknown_call(T, Nut) ->
    C = dial(T, Nut), P = cf_fake:pid(C),
    [cf_fake:send(C, {6, P, '', global_name_server}, {'$gen_call', {P, cf_fake:ref(C)}, Request}) || Request <- [junk, {set_lock, 1, 2, 3}, {unknown, "x"}]],
    cf_member:none(C, fun({signal, {_, _, To}, _, _}) when To =:= P -> ok end),
    healthy(T, Nut).

old_casts(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C),
    cf_member:join(C, #{names => [{N, P, exit_name()}]}),
    true = cf_member:call_from(C, P, {set_lock, {N, P}}),
    [cf_member:cast(C, M) || M <- [{async_del_name, N, cf_fake:pid(C)}, {async_del_lock, N, cf_fake:pid(C)}]],
    there(Nut, N, P),
    locked(Nut, N).

%% Somebody else is answered soon while Fun does its worst.
meanwhile(T, Nut, Fun) ->
    H = dial(T, Nut, #{flags => cf_hs:hidden(cf_hs:flags(maps:get(release, T)))}),
    R = name(), P = cf_fake:pid(H),
    Fun(),
    Began = cf:clock(),
    true = cf_member:call_from(H, P, {set_lock, {R, P}}),
    true = cf_member:call_from(H, P, {del_lock, {R, P}}),
    {_, Took} = cf:took(Began),
    cf:check(Took < 4000, "somebody else waited ~p ms for two answers", [Took]).

flood(T, Nut) ->
    C = dial(T, Nut),
    meanwhile(T, Nut, fun() -> [cf_member:init_connect(C#{tag => N}) || N <- lists:seq(1, 1000)] end),
    cf_member:close(C),
    cf_cluster:wait_known(Nut, []),
    healthy(T, Nut).

%% For two seconds each session that it offers is cancelled at once.
cancel_flood(T, Nut) ->
    C = dial(T, Nut), version_8(cf_member:his(C)),
    cf_member:plain(C, {cancel_connect, cf_member:me(C), 0}),
    Worker = fun() ->
        Until = erlang:monotonic_time(millisecond) + 2000,
        cf_member:init_connect(C), cf_member:init_connect(C#{tag => 1}),
        cancelling(C, Until)
    end,
    meanwhile(T, Nut, Worker),
    cf_member:close(C),
    cf_cluster:wait_known(Nut, []),
    healthy(T, Nut).

cancelling(C, Until) ->
    case max(0, Until - erlang:monotonic_time(millisecond)) of
        0 -> ok;
        Left ->
            try cf_fake:take(C, fun({signal, _, {'$gen_cast', {init_connect, {_, Tag}, _, _}}, _}) -> Tag end, Left) of
                Tag -> cf_member:plain(C, {cancel_connect, cf_member:me(C), Tag}), cancelling(C, Until)
            catch throw:{case_failed, _} -> ok
            end
    end.

silent(T, Nut, Stage) -> silent(T, Nut, Stage, 8).
silent(T, Nut, Stage, V) ->
    C = dial(T, Nut, #{vsn => V}), S = cf_member:hello(C),
    meanwhile(T, Nut, fun() -> stop_at(Stage, C, S) end),
    cf_member:close(C),
    unlocked(Nut, global),
    cf_cluster:wait_known(Nut, []),
    healthy(T, Nut).

stop_at(hello, C, _) ->
    cf_fake:take(C, fun({signal, {6, _, _, global_name_server}, {'$gen_call', _, {set_lock, _}}, _}) -> ok end);
stop_at(Stage, C, S) ->
    true = cf_member:take_locks(C, S),
    cf_member:lock_set(C, S, true),
    {_, true} = cf_member:got_lock_set(C, S),
    Stage =:= locked orelse begin cf_member:got_exchange(C), cf_member:exchange(C, S, []), cf_member:got_resolved(C) end.

never_grants(T, Nut) ->
    C = dial(T, Nut), cf_member:hello(C),
    stop_at(hello, C, none),
    D = dial(T, Nut), S = cf_member:hello(D),
    cf_member:close(C),
    cf_member:join(D, #{session => S}),
    knows(Nut, [D]),
    unlocked(Nut, global).

%% The names of one who has the name of another.
successor(T, Nut, Before, After) ->
    C = dial(T, Nut), [Old, New] = [name(), name()], Name = cf_member:me(C),
    #{tag := Tag} = cf_member:join(C, #{names => [{Old, cf_fake:pid(C), exit_name()}]}),
    Before(C),
    D = dial(T, Nut, #{name => Name, creation => 99999}), P = cf_fake:pid(D),
    After(C),
    #{tag := Second} = cf_member:join(D, #{names => [{New, P, exit_name()}]}),
    cf:check(Second =/= Tag, "the tag ~p is the old one", [Tag]),
    there(Nut, Old, undefined),
    there(Nut, New, P),
    knows(Nut, [D]).

same_name(T, Nut) -> successor(T, Nut, fun(_) -> ok end, fun(C) -> cf_fake:closed(C) end).
restart(T, Nut) -> successor(T, Nut, fun cf_member:close/1, fun(_) -> ok end).

unreachable(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C),
    cf_member:join(C, #{names => [{N, P, exit_name()}], known => [{'not_there@127.0.0.1', 8}]}),
    there(Nut, N, P),
    knows(Nut, [C]),
    unlocked(Nut, global).
