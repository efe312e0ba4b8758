%% SPDX-License-Identifier: Apache-2.0
%% A fake node as a member of `global`: a visible connection, a global_name_server, a locker and a registrar that do what
%% the case says, in any of the protocol's versions 5 to 8 (global.erl). While a case waits here for something, calls to
%% our name server are answered by its rule (locks/2): every lock is granted and every name taken unless it says else.
-module(cf_member).
-export([dial/2, dial/3, adopt/2, me/1, close/1]).
-export([his/1, hello/1, init_connect/1, init_connect/2, ack/2, got_ack/2, lock_id/2, version/2]).
-export([lock_set/3, lock_set/4, got_lock_set/2, exchange/3, got_exchange/1, resolved/3, resolved/4, got_resolved/1]).
-export([serve/2, aside/1, events/1, take_locks/2, give_locks/2, join/1, join/2, known/1]).
-export([cast/2, cast/3, plain/2, plain/3, call/2, call/3, call_from/3, reply_to/3, await/2, await/3, none/2, rule/2, willing/1, asked/1]).

%% Options: name, prefix, vsn (8), tag, release. Sorts before a node under test by its prefix "aa", after it by "zz".
dial(T, Nut) -> dial(T, Nut, #{}).
dial(#{release := Release} = T, Nut, Options) ->
    adopt(cf_fake:dial(T#{nut => Nut}, identity(T, Release, Options)), Options).

identity(T, Release, Options) ->
    maps:merge(#{name => cf_cluster:name(T, maps:get(prefix, Options, "aa")), flags => cf_hs:flags(Release)},
               maps:with([name, flags, creation, on_alive], Options)).

%% A connection that stands already, as a member.
adopt(C, Options) ->
    C#{vsn => maps:get(vsn, Options, 8),
       tag => maps:get(tag, Options, -576460752303423488 + erlang:unique_integer([positive])),
       gns => maps:get(gns, Options, cf_fake:pid(C, 50)), locker => maps:get(locker, Options, cf_fake:pid(C, 51)),
       registrar => maps:get(registrar, Options, cf_fake:pid(C, 52))}.

me(#{name := Name}) -> Name.
close(C) -> cf_fake:close(C).

%% ---- messages out ----

plain(C, Message) -> plain(C, gns, Message).
plain(C, Role, Message) -> cf_fake:send(C, {6, maps:get(Role, C), '', global_name_server}, Message).

cast(C, Message) -> plain(C, {'$gen_cast', Message}).
cast(C, Role, Message) -> plain(C, Role, {'$gen_cast', Message}).

%% A gen_server call of the node's global_name_server: its answer.
call(C, Request) -> call(C, gns, Request).
call(C, Role, Request) -> call_from(C, maps:get(Role, C), Request).
call_from(C, Pid, Request) ->
    Tag = cf_fake:ref(C),
    cf_fake:send(C, {6, Pid, '', global_name_server}, {'$gen_call', {Pid, Tag}, Request}),
    await(C, fun({signal, {_, _, To}, {T, Reply}, _}) when To =:= Pid, T =:= Tag -> Reply end).

known(C) -> call(C, get_known).

init_connect(C) -> init_connect(C, []).
init_connect(#{vsn := V, tag := Tag, locker := Locker} = C, Known) ->
    cast(C, {init_connect, {V, Tag}, me(C), {locker, no_longer_a_pid, Known, Locker}}).

ack(#{tag := Tag} = C, #{tag := His}) -> plain(C, {init_connect_ack, me(C), His, Tag}).

%% What the locker tells: a cast with the tag (8), a cast (6, 7), a message from locker to locker (5).
lock_set(C, S, Bool) -> lock_set(C, S, Bool, []).
lock_set(#{locker := Me} = C, #{tag := Tag, locker := His} = S, Bool, Known) ->
    case version(C, S) of
        8 -> cast(C, locker, {lock_set, Me, Bool, Known, Tag});
        5 -> cf_fake:send(C, {22, Me, His}, {lock_set, Me, Bool, Known});
        _ -> cast(C, locker, {lock_set, Me, Bool, Known})
    end.

exchange(C, #{tag := Tag}, Names) -> cast(C, {exchange, me(C), Names, [], Tag}).

resolved(C, S, Ops) -> resolved(C, S, Ops, #{}).
resolved(C, #{tag := Tag} = S, Ops, Options) ->
    Known = maps:get(known, Options, []),
    Nodes = case version(C, S) >= 7 of true -> Known; false -> [case K of {N, _} -> N; N -> N end || K <- Known] end,
    Unused = case version(C, S) >= 7 of true -> unused; false -> Nodes end,
    cast(C, {resolved, me(C), Ops, Nodes, Unused, maps:get(ext, Options, []), Tag}).

%% Answer a call that await/2 handed on.
reply_to(C, {Pid, Tag}, Reply) -> cf_fake:send(C, {22, maps:get(gns, C), Pid}, {Tag, Reply}).

%% ---- messages in ----

%% The first event that Fun takes. Calls to our name server that come meanwhile are answered.
await(C, Fun) -> await(C, Fun, 8000).
await(C, Fun, Timeout) ->
    case cf_fake:take(C, fun(E) -> ours_or(Fun, E) end, Timeout) of
        {'$call', From, Request} -> served(C, From, Request), await(C, Fun, Timeout);
        {'$taken', Value} -> Value
    end.

ours_or(Fun, Event) ->
    try {'$taken', Fun(Event)}
    catch error:function_clause -> a_call(Event)
    end.

a_call({signal, {6, _, _, global_name_server}, {'$gen_call', From, Request}, _}) -> {'$call', From, Request}.

%% The rule: fun(Request) -> Reply | silent.
rule(#{name := Name}, Rule) -> put({cf_rule, Name}, Rule), ok.

served(#{name := Name} = C, From, Request) ->
    put({cf_asked, Name}, [{From, Request} | asked_list(Name)]),
    Rule = case get({cf_rule, Name}) of undefined -> fun willing/1; Other -> Other end,
    case Rule(Request) of
        silent -> ok;
        Reply -> reply_to(C, From, Reply)
    end.

%% Obey until an order that was given (cf_cluster:later) is answered: its result.
serve(C, Asked) -> serve(C, Asked, erlang:monotonic_time(millisecond) + cf:ms(12000)).
serve(C, {Ref, Whom, Op} = Asked, Until) ->
    receive {Ref, Result} -> Result
    after 0 ->
        erlang:monotonic_time(millisecond) < Until orelse cf:fail("no answer to ~p from ~p", [Op, Whom]),
        try await(C, fun(never) -> ok end, 20) catch throw:{case_failed, _} -> serve(C, Asked, Until) end
    end.

%% Have a member obey by itself, so that the case can attend to another one; events/1 gives it back to the case, with all
%% that came meanwhile in order: {call, Request} | {cast, Message} | {plain, Message} | {other, Event}.
aside(#{conn := Conn} = C) ->
    Owner = self(),
    C#{aside => spawn_link(fun() -> obey(C, Conn, Owner, []) end)}.

obey(C, Conn, Owner, Events) ->
    Ref = make_ref(),
    Conn ! {take, self(), Ref, fun(E) -> E end},
    obey(C, Conn, Owner, Events, Ref).

obey(C, Conn, Owner, Events, Ref) ->
    receive
        {Ref, {signal, {6, _, _, global_name_server}, {'$gen_call', From, Request}, _}} ->
            case willing(Request) of silent -> ok; Reply -> reply_to(C, From, Reply) end,
            obey(C, Conn, Owner, [{call, Request} | Events]);
        {Ref, {signal, {6, _, _, global_name_server}, {'$gen_cast', Message}, _}} -> obey(C, Conn, Owner, [{cast, Message} | Events]);
        {Ref, {signal, {6, _, _, global_name_server}, Message, _}} -> obey(C, Conn, Owner, [{plain, Message} | Events]);
        {Ref, Event} -> obey(C, Conn, Owner, [{other, Event} | Events]);
        {so_far, Owner, Asked} -> Owner ! {Asked, lists:reverse(Events)}, obey(C, Conn, Owner, Events, Ref)
    end.

events(#{aside := Pid}) ->
    Ref = make_ref(),
    Pid ! {so_far, self(), Ref},
    receive {Ref, Events} -> Events after cf:ms(8000) -> exit(aside_is_stuck) end.

willing({set_lock, _}) -> true;
willing({del_lock, _}) -> true;
willing({register, _, _, _}) -> yes;
willing({register_ext, _, _, _, _}) -> yes;
willing({unregister, _}) -> ok;
willing(_) -> silent.

asked_list(Name) -> case get({cf_asked, Name}) of undefined -> []; L -> L end.

%% The calls that were answered, {Pid of the caller, Request}, in order; forgets them.
asked(#{name := Name}) ->
    Asked = lists:reverse(asked_list(Name)),
    put({cf_asked, Name}, []),
    [{Pid, Request} || {{Pid, _}, Request} <- Asked].

%% Nothing has come that Fun takes, up to now: what was sent before has been dealt with by its name server.
none(C, Fun) ->
    _ = known(C),
    case cf_fake:seen(C, Fun) of
        [] -> ok;
        Wrong -> cf:fail("came and should not have: ~0P", [Wrong, 40])
    end.

cast_in({signal, {6, _, _, global_name_server}, {'$gen_cast', Message}, _}) -> Message.

his(C) ->
    await(C, fun(E) -> his_init_connect(cast_in(E)) end).

his_init_connect({init_connect, Version, Node, {locker, no_longer_a_pid, Known, Locker}}) ->
    #{vsn => element(1, Version), tag => element(2, Version), node => Node, known => Known, locker => Locker}.

got_ack(#{tag := Tag} = C, #{tag := His, node := Node}) ->
    await(C, fun({signal, {6, _, _, global_name_server}, {init_connect_ack, N, Mine, Theirs}, _})
                   when N =:= Node, Mine =:= Tag, Theirs =:= His -> ok end).

got_lock_set(#{tag := Tag, locker := Me} = C, S) ->
    case version(C, S) of
        8 -> await(C, fun(E) -> locked8(cast_in(E), Tag) end);
        5 -> await(C, fun({signal, {_, _, To}, {lock_set, P, Bool, _}, _}) when To =:= Me -> {P, Bool} end);
        _ -> await(C, fun(E) -> locked6(cast_in(E)) end)
    end.

locked8({lock_set, P, Bool, _, Tag}, Tag) -> {P, Bool}.
locked6({lock_set, P, Bool, _}) -> {P, Bool}.

got_exchange(#{tag := Tag} = C) -> await(C, fun(E) -> exchanged(cast_in(E), Tag) end).
exchanged({exchange, _, Names, _, Tag}, Tag) -> Names.

got_resolved(#{tag := Tag} = C) -> await(C, fun(E) -> was_resolved(cast_in(E), Tag) end).
was_resolved({resolved, Node, Ops, Known, Unused, Ext, Tag}, Tag) ->
    #{node => Node, ops => Ops, known => Known, unused => Unused, ext => Ext}.

%% ---- the ways through ----

version(#{vsn := Mine}, #{vsn := His}) -> min(Mine, His).

%% Both init_connects and, from version 8 on, both acks: what is known of the session.
hello(C) ->
    S = his(C),
    init_connect(C),
    case version(C, S) >= 8 of
        true -> ack(C, S), got_ack(C, S);
        false -> ok
    end,
    S.

%% The order of pids in Erlang, as all of 23 to 29 have it: serial, id, node, creation.
order(Pids) ->
    [P || {_, P} <- lists:sort([{{Serial, Id, atom_to_list(Node), Creation}, P}
                                || {'$pid', Node, Id, Serial, Creation} = P <- Pids])].

lock_id(#{locker := Mine}, #{locker := His}) -> {global, order([Mine, His])}.

take_locks(C, S) -> call(C, locker, {set_lock, lock_id(C, S)}).
give_locks(C, S) -> call(C, locker, {del_lock, lock_id(C, S)}).

%% All of it, begun by us. Options: names (what we have registered), ops, known, ext, session. The session, with what
%% it told us.
join(C) -> join(C, #{}).
join(C, Options) ->
    S = case Options of #{session := Given} -> Given; _ -> hello(C) end,
    true = locked(C, S, cf:ms(50)),
    lock_set(C, S, true, [N || {N, _} <- maps:get(known, Options, [])]),
    {_, true} = got_lock_set(C, S),
    exchange(C, S, maps:get(names, Options, [])),
    Names = got_exchange(C),
    resolved(C, S, maps:get(ops, Options, []), Options),
    Resolved = got_resolved(C),
    Me = me(C),
    cf:wait(lists:concat([Me, " is known"]), fun() -> lists:member(Me, known(C)) end),
    true = give_locks(C, S),
    S#{names => Names, resolved => Resolved}.

%% Its locker may have begun too, and hold the lock under the same id; another's must be waited for. Lockers try now and
%% then, as no message says that a lock is free.
locked(_, _, 0) -> false;
locked(C, S, N) ->
    case take_locks(C, S) of
        true -> true;
        false -> receive after 100 -> locked(C, S, N - 1) end
    end.
