%% SPDX-License-Identifier: Apache-2.0
%% The protocol of `global` on the wire: names and locks.
-module(cf_case_global_names).
-export([cases/0]).
-import(cf_lone, [dial/2, dial/3, name/0, internal/1, exit_name/0, there/3, not_there/2, locked/2, unlocked/2, knows/2, its_monitor/2, down/4]).

cases() -> cf_lone:cases(naming() ++ locking()).

naming() ->
    [{'global.wire_get_known', "get_known, get_synced, get_names_ext, get_protocol_version are answered", [], fun questions/2},
     {'global.wire_tag_forms', "calls of all releases' tag forms are answered with the tag as it came", [], fun tag_forms/2},
     {'global.wire_exchanged_names', "names go both ways in exchange, with their methods", [], fun exchanged_names/2},
     {'global.wire_default_fun', "the default method, a fun of module global, comes back as it was", [], fun default_fun/2},
     {'global.wire_register', "register is answered yes; the name is there, its process monitored", [], fun wire_register/2},
     {'global.wire_register_moves', "register of a name that is there moves it", [], fun register_moves/2},
     {'global.wire_register_locked_out', "register while another has `global` locked: yes, and not kept", [], fun locked_out/2},
     {'global.wire_register_lock_died', "register after the holder of `global` died: yes, and not kept until a lock is given back", [], fun lock_died/2},
     {'global.wire_unregister', "unregister is answered ok; the name is gone", [], fun wire_unregister/2},
     {'global.wire_register_ext', "register_ext: a name of a hidden node, listed with who registered it", [], fun register_ext/2},
     {'global.wire_ext_passed_on', "names of hidden nodes go on in resolved", [], fun ext_passed_on/2},
     {'global.wire_name_down', "a name ends with the process: DOWN of any reason", [], fun name_down/2},
     {'global.wire_name_nodedown', "names end with the connection", [], fun name_nodedown/2},
     {'global.wire_it_registers', "its register_name: boss first, then all, register, unlock, boss last; one process does it all", [], fun(T, Nut) -> it_registers(T, Nut, "aa") end},
     {'global.wire_it_registers_boss', "its register_name when we are the boss", [], fun(T, Nut) -> it_registers(T, Nut, "zz") end},
     {'global.wire_it_registers_taken', "its register_name of a name that is taken: locks, no register, no", [], fun it_registers_taken/2},
     {'global.wire_it_is_refused', "its register_name while the lock is refused: it tries again until it is granted", [], fun it_is_refused/2},
     {'global.wire_we_vanish', "its register_name while we are silent: it goes on when our connection ends", [], fun we_vanish/2},
     {'global.wire_it_unregisters', "its unregister_name and re_register_name on the wire", [], fun it_unregisters/2},
     {'global.wire_local_tables', "whereis_name, registered_names and send ask nobody", [], fun local_tables/2},
     {'global.wire_keys', "a name is the same in every encoding: string or list, small or big integer, old or new atom", [], fun keys/2},
     {'global.wire_million', "a name of 1 MB", [], fun million/2},
     {'global.wire_thousand_names', "1,000 names in one exchange", [], fun thousand/2},
     {'global.wire_nodes_plain', "resolved names the nodes without versions to a peer of version 6", [], fun(T, Nut) -> nodes_shape(T, Nut, 6) end},
     {'global.wire_nodes_versions', "resolved names the nodes with their versions to a peer of version 8", [], fun(T, Nut) -> nodes_shape(T, Nut, 8) end},
     {'global.wire_new_nodes_out', "a newcomer through the node: an old member's lock is taken, it gets new_nodes, then the lock is given back", [], fun new_nodes_out/2},
     {'global.wire_new_nodes_in', "new_nodes: the names are taken and deleted, the new node is dialled and gets in_sync", [], fun new_nodes_in/2},
     {'global.wire_new_nodes_locked', "new_nodes of another lock than the one that is set: its names are not kept", [], fun new_nodes_locked/2}].

locking() ->
    [{'global.wire_lock', "set_lock: true, true again, true for the same requester from another process, false for another one", [], fun lock/2},
     {'global.wire_lock_regrant', "a process that set it twice gives it back once", [], fun regrant/2},
     {'global.wire_lock_other', "del_lock by a process that does not have it changes nothing, and is answered true", [], fun lock_other/2},
     {'global.wire_lock_down', "the holder is monitored; its DOWN frees the lock", [], fun lock_down/2},
     {'global.wire_lock_shared_down', "a lock that two have is free when both are gone", [], fun lock_shared_down/2},
     {'global.wire_lock_nodedown', "the end of the connection frees the lock", [], fun lock_nodedown/2},
     {'global.wire_lock_hidden', "a hidden node may lock too", [], fun lock_hidden/2},
     {'global.wire_lock_keys', "a resource is the same in every encoding; 1 and 1.0 are two", [], fun lock_keys/2}].

%% ---- names ----

questions(T, Nut) ->
    C = dial(T, Nut),
    cf:same([], cf_member:call(C, get_known)),
    cf:same([], cf_member:call(C, get_synced)),
    cf:same([], cf_member:call(C, get_names_ext)),
    cf:check(is_integer(cf_member:call(C, get_protocol_version)), "no version").

tag_forms(T, Nut) ->
    C = dial(T, Nut, #{flags => cf_hs:hidden(cf_hs:flags(maps:get(release, T)))}),
    R = cf_fake:ref(C), Long = cf_fake:ref(C, 5),
    [begin
         P = cf_fake:pid(C),
         cf_fake:send(C, {6, P, '', global_name_server}, {'$gen_call', {P, Tag}, {set_lock, {name(), P}}}),
         cf_member:await(C, fun({signal, {2, _, To}, {Got, true}, _}) when To =:= P, Got =:= Tag -> ok;
                               ({signal, {22, _, To}, {Got, true}, _}) when To =:= P, Got =:= Tag -> ok;
                               ({signal, {33, _, To}, {Got, true}, _}) when Got =:= Tag, To =:= R orelse To =:= Long -> ok;
                               ({signal, {37, _, _, To}, {Got, true}, _}) when Got =:= Tag, To =:= R orelse To =:= Long -> ok end)
     end || Tag <- [R, {R, Nut}, [alias | R]] ++ [Tag || Tag <- [[[alias | R] | cf_fake:ref(C)], [[alias | Long] | R]], maps:get(release, T) >= 25]].

exchanged_names(T, Nut) ->
    P = cf_cluster:puppet(Nut), [A, B] = [name(), name()],
    yes = cf_cluster:ask(P, global_register, [A, P, {global, notify_all_name}]),
    C = dial(T, Nut), Mine = cf_fake:pid(C),
    #{names := Names} = cf_member:join(C, #{names => [{B, Mine, exit_name()}]}),
    cf:same([{A, internal(P), {'$export', global, notify_all_name, 3}}], Names, "what exchange gave"),
    there(Nut, B, Mine),
    there(Nut, A, internal(P)).

default_fun(T, Nut) ->
    A = dial(T, Nut), N = name(), P = cf_fake:pid(A), Fun = global_fun(A),
    cf_member:join(A, #{names => [{N, P, Fun}]}),
    there(Nut, N, P),
    cf_member:aside(A),
    #{names := Names} = cf_member:join(dial(T, Nut)),
    {N, P, Got} = lists:keyfind(N, 1, Names),
    %% The pid of who made it is lost on the way through a BEAM from OTP 27 on.
    Parts = fun({'$fun', Bytes}) -> cf_etf:fun_parts(Bytes) end,
    cf:same(Parts(Fun), Parts(Got), "the fun").

wire_register(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C),
    yes = cf_member:call(C, {register, N, P, exit_name()}),
    its_monitor(C, P),
    there(Nut, N, P).

register_moves(T, Nut) ->
    C = dial(T, Nut), N = name(), [P, Q] = [cf_fake:pid(C), cf_fake:pid(C)],
    yes = cf_member:call(C, {register, N, P, exit_name()}),
    M = its_monitor(C, P),
    yes = cf_member:call(C, {register, N, Q, exit_name()}),
    there(Nut, N, Q),
    cf_member:await(C, fun({signal, {20, From, To, Ref}, none, _}) when To =:= P, {From, Ref} =:= M -> ok end).

locked_out(T, Nut) ->
    C = #{registrar := R} = dial(T, Nut), N = name(), Other = cf_fake:pid(C),
    true = cf_member:call_from(C, Other, {set_lock, {global, Other}}),
    yes = cf_member:call(C, registrar, {register, N, cf_fake:pid(C), exit_name()}),
    not_there(Nut, N),
    true = cf_member:call_from(C, Other, {del_lock, {global, Other}}),
    true = cf_member:call(C, registrar, {set_lock, {global, R}}),
    P = cf_fake:pid(C),
    yes = cf_member:call(C, registrar, {register, N, P, exit_name()}),
    there(Nut, N, P),
    true = cf_member:call(C, registrar, {del_lock, {global, R}}).

lock_died(T, Nut) ->
    C = #{registrar := R} = dial(T, Nut), N = name(), Other = cf_fake:pid(C),
    true = cf_member:call_from(C, Other, {set_lock, {global, Other}}),
    M = its_monitor(C, Other),
    down(C, Other, M, killed),
    yes = cf_member:call(C, registrar, {register, N, cf_fake:pid(C), exit_name()}),
    not_there(Nut, N),
    true = cf_member:call(C, registrar, {set_lock, {global, R}}),
    true = cf_member:call(C, registrar, {del_lock, {global, R}}),
    P = cf_fake:pid(C),
    yes = cf_member:call(C, registrar, {register, N, P, exit_name()}),
    there(Nut, N, P).

wire_unregister(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C),
    yes = cf_member:call(C, {register, N, P, exit_name()}),
    ok = cf_member:call(C, {unregister, N}),
    not_there(Nut, N),
    ok = cf_member:call(C, {unregister, N}).

register_ext(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C), Me = cf_member:me(C),
    yes = cf_member:call(C, {register_ext, N, P, exit_name(), Me}),
    there(Nut, N, P),
    cf:same([{N, P, Me}], cf_member:call(C, get_names_ext), "get_names_ext"),
    ok = cf_member:call(C, {unregister, N}),
    cf:same([], cf_member:call(C, get_names_ext), "get_names_ext").

ext_passed_on(T, Nut) ->
    A = dial(T, Nut), N = name(), P = cf_fake:pid(A), Me = cf_member:me(A),
    cf_member:join(A, #{names => [{N, P, exit_name()}], ext => [{N, P, Me}]}),
    cf:same([{N, P, Me}], cf_member:call(A, get_names_ext), "get_names_ext"),
    cf_member:aside(A),
    #{resolved := #{ext := Ext}} = cf_member:join(dial(T, Nut)),
    cf:same([{N, P, Me}], Ext, "names_ext in resolved").

name_down(T, Nut) ->
    C = dial(T, Nut),
    [begin
         N = name(), P = cf_fake:pid(C),
         yes = cf_member:call(C, {register, N, P, exit_name()}),
         M = its_monitor(C, P),
         down(C, P, M, Reason),
         there(Nut, N, undefined)
     end || Reason <- [normal, killed, noproc, {any, "reason"}]].

name_nodedown(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C),
    cf_member:join(C, #{names => [{N, P, exit_name()}]}),
    there(Nut, N, P),
    cf_member:close(C),
    there(Nut, N, undefined).

%% What a registration asks of us, the same question twice in a row counted once.
registration(C) ->
    Asked = cf_member:asked(C),
    case lists:usort([P || {P, _} <- Asked]) of
        [_] -> ok;
        Pids -> cf:fail("asked by ~p, not by one process", [Pids])
    end,
    lists:foldr(fun(R, [R | _] = Seen) -> Seen; (R, Seen) -> [R | Seen] end, [], [R || {_, R} <- Asked]).

it_registers(T, Nut, Prefix) ->
    C = dial(T, Nut, #{prefix => Prefix}), N = name(), P = cf_cluster:puppet(Nut), Pid = internal(P),
    cf_member:join(C), cf_member:asked(C),
    %% The greater of the two is locked first (OTP asks it again when it locks all of them) and given back last.
    Itself = fun() -> cf_cluster:free([Nut], global) =/= true end,
    cf_member:rule(C, fun({set_lock, _} = R) -> get(first) =:= undefined andalso put(first, Itself()), cf_member:willing(R);
                         ({del_lock, _} = R) -> put(last, Itself()), cf_member:willing(R);
                         (R) -> cf_member:willing(R) end),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N, P, {global, random_exit_name}], self())),
    Boss = Prefix =:= "aa",
    cf:same({Boss, Boss}, {get(first), get(last)}, "it has itself locked while it locks us first, while it gives back last"),
    case registration(C) of
        [{set_lock, Id = {global, _}}, {register, N, Pid, Method}, {del_lock, Id}] -> cf:same(exit_name(), Method, "the method");
        Other -> cf:fail("expected set_lock, register and del_lock of one id, got ~p", [Other])
    end,
    there(Nut, N, Pid).

it_registers_taken(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_cluster:puppet(Nut),
    cf_member:join(C, #{names => [{N, cf_fake:pid(C), exit_name()}]}), cf_member:asked(C),
    no = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    [{set_lock, Id}, {del_lock, Id}] = registration(C).

it_is_refused(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_cluster:puppet(Nut),
    cf_member:join(C), cf_member:asked(C),
    put(refusals, 0),
    cf_member:rule(C, fun({set_lock, _}) -> put(refusals, get(refusals) + 1) >= 2;
                         ({del_lock, _}) -> true; ({register, _, _, _}) -> yes; (_) -> silent end),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    cf:check(length([x || {_, {register, _, _, _}} <- cf_member:asked(C)]) =:= 1, "register not once"),
    there(Nut, N, internal(P)),
    unlocked(Nut, global).

we_vanish(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_cluster:puppet(Nut),
    cf_member:join(C), cf_member:asked(C),
    Asked = cf_cluster:later(P, global_register, [N], self()),
    cf_fake:take(C, fun({signal, {6, _, _, global_name_server}, {'$gen_call', _, {set_lock, _}}, _}) -> ok end),
    cf_member:close(C),
    yes = cf_cluster:answer(Asked),
    there(Nut, N, internal(P)),
    unlocked(Nut, global).

it_unregisters(T, Nut) ->
    C = dial(T, Nut), N = name(), [P, Q] = [cf_cluster:puppet(Nut), cf_cluster:puppet(Nut)], PidQ = internal(Q),
    cf_member:join(C),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    cf_member:asked(C),
    yes = cf_member:serve(C, cf_cluster:later(Q, global_re_register, [N], self())),
    [{set_lock, Id}, {register, N, PidQ, _}, {del_lock, Id}] = registration(C),
    there(Nut, N, PidQ),
    ok = cf_member:serve(C, cf_cluster:later(Q, global_unregister, [N], self())),
    [{set_lock, Id2}, {unregister, N}, {del_lock, Id2}] = registration(C),
    not_there(Nut, N).

local_tables(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_fake:pid(C),
    cf_member:join(C, #{names => [{N, P, exit_name()}]}), cf_member:asked(C),
    there(Nut, N, P),
    [N] = cf_cluster:ask(Nut, global_names, []),
    cf:same(P, internal(cf_cluster:ask(Nut, global_send, [N, hello])), "global_send"),
    cf_member:await(C, fun({signal, {_, _, To}, hello, _}) when To =:= P -> ok end),
    cf:same([], cf_member:asked(C), "what was asked"),
    cf_member:none(C, fun({signal, _, {'$gen_call', _, _}, _}) -> ok end).

keys(T, Nut) ->
    C = dial(T, Nut),
    List = {'$raw', <<108, 0, 0, 0, 4, 97, $n, 97, $a, 97, $m, 97, $e, 106>>},
    [begin
         P = cf_fake:pid(C),
         yes = cf_member:call(C, {register, Ours, P, exit_name()}),
         there(Nut, Name, P),
         ok = cf_member:call(C, {unregister, Name}),
         not_there(Nut, Name)
     end || {Ours, Name} <- [{List, "name"}, {{1, List}, {1, "name"}}, {{'$raw', <<110, 1, 0, 17>>}, 17}, {{'$raw', <<98, 17:32>>}, 17},
                             {{'$raw', <<110, 4, 1, 1, 0, 0, 0>>}, -1}, {{'$raw', <<111, 2:32, 0, 0, 1>>}, 256},
                             {{'$raw', <<100, 4:16, "wire">>}, wire}, {{'$raw', <<118, 4:16, "wire">>}, wire},
                             {{'$raw', <<105, 1:32, 97, 1>>}, {1}}]].

million(T, Nut) ->
    Big = binary:copy(<<"0123456789abcdef">>, 65536),
    C = dial(T, Nut), P = cf_fake:pid(C), Q = cf_cluster:puppet(Nut),
    cf_member:join(C, #{names => [{{big, Big}, P, exit_name()}]}),
    cf:wait("the big name is there", fun() -> internal(cf_cluster:ask(Nut, global_whereis, [{big, Big}])) =:= P end),
    yes = cf_member:serve(C, cf_cluster:later(Q, global_register, [Big], self())),
    cf:check(internal(cf_cluster:ask(Nut, global_whereis, [Big])) =:= internal(Q), "the big name is not there"),
    cf:check(lists:any(fun({_, {register, B, _, _}}) -> B =:= Big; (_) -> false end, cf_member:asked(C)), "we were not told").

thousand(T, Nut) ->
    C = dial(T, Nut),
    Names = [{{thousand, I}, cf_fake:pid(C, 100 + I), exit_name()} || I <- lists:seq(1, 1000)],
    cf_member:join(C, #{names => Names}),
    cf:wait("all are there", fun() -> length(cf_cluster:ask(Nut, global_names, [])) =:= 1000 end),
    [there(Nut, N, P) || {N, P, _} <- [hd(Names), lists:last(Names)]],
    cf_member:close(C),
    cf:wait("all are gone", fun() -> cf_cluster:ask(Nut, global_names, []) =:= [] end).

nodes_shape(T, Nut, V) ->
    A = dial(T, Nut), Name = cf_member:me(A),
    #{vsn := His} = cf_member:join(A),
    cf_member:aside(A),
    #{resolved := #{known := Known, unused := Unused}} = cf_member:join(dial(T, Nut, #{vsn => V})),
    case min(V, His) >= 7 of
        true -> cf:same({[{Name, 8}], unused}, {Known, Unused});
        false -> cf:same([Name], Known)
    end.

new_nodes_out(T, Nut) ->
    A = dial(T, Nut), #{vsn := His} = cf_member:join(A), Aside = cf_member:aside(A),
    B = dial(T, Nut), N = name(), P = cf_fake:pid(B), New = cf_member:me(B),
    S = cf_member:join(B, #{names => [{N, P, exit_name()}]}),
    Id = cf_member:lock_id(B, S),
    Nodes = if His >= 7 -> [{New, 8}]; true -> [New] end,
    Ops = [{insert, {N, P, exit_name()}}],
    cf:wait("the old member has heard all", fun() -> lists:member({call, {del_lock, Id}}, cf_member:events(Aside)) end),
    Heard = [E || {Kind, _} = E <- cf_member:events(Aside), Kind =/= other],
    Told = [case E of {cast, {new_nodes, Nut, O, [], L, Extra}} -> {new_nodes, O, L, lists:keyfind(lock, 1, Extra)}; {_, What} -> What end || E <- Heard],
    cf:same([{set_lock, Id}, {new_nodes, Ops, Nodes, {lock, Id}}, {del_lock, Id}], lists:dropwhile(fun(E) -> E =/= {set_lock, Id} end, Told), "what the old member heard").

new_nodes_in(T, Nut) ->
    A = dial(T, Nut), [Old, N] = [name(), name()],
    S = cf_member:join(A, #{names => [{Old, cf_fake:pid(A), exit_name()}]}),
    X = cf_fake:listen(T#{nut => Nut}, #{name => cf_cluster:name(T, "mm"), flags => cf_hs:flags(maps:get(release, T))}),
    #{name := New, creation := Creation} = X, P = {'$pid', New, 77, 0, Creation},
    Id = {global, [cf_fake:pid(A, 51), {'$pid', New, 51, 0, Creation}]},
    true = cf_member:call(A, locker, {set_lock, Id}),
    Nodes = case cf_member:version(A, S) >= 7 of true -> [{New, 8}]; false -> [New] end,
    cf_member:cast(A, locker, {new_nodes, cf_member:me(A), [{insert, {N, P, exit_name()}}, {delete, Old}], [], Nodes, [{vsn, 8}, {lock, Id}]}),
    B = cf_member:adopt(cf_fake:accept(T, X), #{}),
    %% Nobody looks at the third element.
    cf_member:await(B, fun({signal, {6, _, _, global_name_server}, {'$gen_cast', {in_sync, Node, _}}, _}) when Node =:= Nut -> ok end),
    true = cf_member:call(A, locker, {del_lock, Id}),
    its_monitor(B, P),
    there(Nut, N, P),
    not_there(Nut, Old),
    knows(Nut, [A, B]),
    cf_fake:unlisten(X).

new_nodes_locked(T, Nut) ->
    A = dial(T, Nut), N = name(), Other = cf_fake:pid(A),
    cf_member:join(A),
    true = cf_member:call_from(A, Other, {set_lock, {global, Other}}),
    cf_member:cast(A, locker, {new_nodes, cf_member:me(A), [{insert, {N, cf_fake:pid(A), exit_name()}}], [], [], [{vsn, 8}, {lock, {global, [cf_fake:pid(A, 51)]}}]}),
    cf_member:known(A),
    not_there(Nut, N).

%% NEW_FUN_EXT (erl_ext_dist.html), as register_name/2 of a real node sends it.
global_fun(C) ->
    Tail = iolist_to_binary([cf_etf:encode(global), <<97, 0, 98, 16#06ba05:32>>, cf_etf:encode(cf_fake:pid(C, 0))]),
    {'$fun', <<112, (byte_size(Tail) + 29):32, 3, 16#d740a9b2a5f306392d0d7682478c4022:128, 0:32, 0:32, Tail/binary>>}.

%% ---- locks ----

lock(T, Nut) ->
    C = dial(T, Nut), R = name(), [P, Q] = [cf_fake:pid(C), cf_fake:pid(C)],
    true = cf_member:call_from(C, P, {set_lock, {R, "requester"}}),
    true = cf_member:call_from(C, P, {set_lock, {R, "requester"}}),
    true = cf_member:call_from(C, Q, {set_lock, {R, "requester"}}),
    false = cf_member:call_from(C, Q, {set_lock, {R, other}}),
    true = cf_member:call_from(C, P, {del_lock, {R, "requester"}}),
    locked(Nut, R),
    true = cf_member:call_from(C, Q, {del_lock, {R, "requester"}}),
    true = cf_cluster:free([Nut], R).

regrant(T, Nut) ->
    C = dial(T, Nut), R = name(), P = cf_fake:pid(C),
    [true = cf_member:call_from(C, P, {set_lock, {R, P}}) || _ <- [1, 2, 3]],
    true = cf_member:call_from(C, P, {del_lock, {R, P}}),
    true = cf_cluster:free([Nut], R).

lock_other(T, Nut) ->
    C = dial(T, Nut), R = name(), [P, Q] = [cf_fake:pid(C), cf_fake:pid(C)],
    true = cf_member:call_from(C, Q, {del_lock, {R, nobody}}),
    true = cf_member:call_from(C, P, {set_lock, {R, x}}),
    true = cf_member:call_from(C, Q, {del_lock, {R, x}}),
    true = cf_member:call_from(C, P, {del_lock, {R, y}}),
    locked(Nut, R),
    true = cf_member:call_from(C, P, {del_lock, {R, x}}),
    true = cf_cluster:free([Nut], R).

lock_down(T, Nut) ->
    C = dial(T, Nut), R = name(), P = cf_fake:pid(C),
    true = cf_member:call_from(C, P, {set_lock, {R, P}}),
    M = its_monitor(C, P),
    down(C, P, M, shutdown),
    unlocked(Nut, R).

lock_shared_down(T, Nut) ->
    C = dial(T, Nut), R = name(), [P, Q] = [cf_fake:pid(C), cf_fake:pid(C)],
    true = cf_member:call_from(C, P, {set_lock, {R, both}}),
    M = its_monitor(C, P),
    true = cf_member:call_from(C, Q, {set_lock, {R, both}}),
    N = its_monitor(C, Q),
    down(C, P, M, shutdown),
    _ = cf_member:known(C),
    locked(Nut, R),
    down(C, Q, N, shutdown),
    unlocked(Nut, R).

lock_nodedown(T, Nut) ->
    C = dial(T, Nut), R = name(), P = cf_fake:pid(C),
    true = cf_member:call_from(C, P, {set_lock, {R, P}}),
    locked(Nut, R),
    cf_member:close(C),
    unlocked(Nut, R).

lock_hidden(T, Nut) ->
    C = dial(T, Nut, #{flags => cf_hs:hidden(cf_hs:flags(maps:get(release, T)))}), R = name(), P = cf_fake:pid(C),
    true = cf_member:call_from(C, P, {set_lock, {R, P}}),
    locked(Nut, R),
    true = cf_member:call_from(C, P, {del_lock, {R, P}}),
    true = cf_cluster:free([Nut], R).

lock_keys(T, Nut) ->
    C = dial(T, Nut), [P, Q] = [cf_fake:pid(C), cf_fake:pid(C)],
    [begin
         true = cf_member:call_from(C, P, {set_lock, {One, P}}),
         cf:same(false, cf_member:call_from(C, Q, {set_lock, {Other, Q}}), "the second lock"),
         true = cf_member:call_from(C, P, {del_lock, {Other, P}}),
         true = cf_member:call_from(C, Q, {set_lock, {One, Q}}),
         true = cf_member:call_from(C, Q, {del_lock, {One, Q}})
     end || {One, Other} <- [{{'$raw', <<108, 0, 0, 0, 1, 97, 65, 106>>}, "A"}, {{'$raw', <<110, 1, 0, 7>>}, 7}, {{'$raw', <<100, 1:16, "w">>}, w}]],
    true = cf_member:call_from(C, P, {set_lock, {1, P}}),
    true = cf_member:call_from(C, Q, {set_lock, {1.0, Q}}),
    true = cf_member:call_from(C, P, {del_lock, {1, P}}),
    true = cf_member:call_from(C, Q, {del_lock, {1.0, Q}}).
