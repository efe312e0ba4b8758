%% SPDX-License-Identifier: Apache-2.0
%% Who may do what on the node. The numbers are those of the list of edge cases (seeds.md, section 13) that this began with.
-module(cf_case_acl).
-export([cases/0]).

-define(RULE, "issue 5: spawn with permission").
-define(REF, "erl_dist_protocol.html SPAWN_REQUEST; issue 5").

cases() ->
    [{Id, What, Rule, [{needs, [acl, acl_orders | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'acl.absent', "(1) a factory that is not there: undef", ?RULE, [], [], fun absent/1},
      {'acl.open', "(2) an open factory: everybody may", ?RULE, [], [raw], fun open/1},
      {'acl.listed', "(3) a node on the list may", ?RULE, [], [], fun listed/1},
      {'acl.unlisted', "(4) a node that is not on it may not", ?RULE, [], [raw], fun unlisted/1},
      {'acl.add_adds', "(5) adding the same factory again adds nodes, set replaces them", ?RULE, [], [], fun add_adds/1},
      {'acl.other_behaviour', "(6) the name with another behaviour is refused, and the list is as it was", ?RULE, [], [], fun other_behaviour/1},
      {'acl.other_context', "(7) the same behaviour with another context is another factory", ?RULE, [], [], fun other_context/1},
      {'acl.deny_to_the_last', "(8) denying one after the other closes it, and opens it to nobody", ?RULE, [], [raw], fun deny_to_the_last/1},
      {'acl.deny_one_of_all', "(9) denying one node of an open factory denies that one", ?RULE, [], [raw], fun deny_one_of_all/1},
      {'acl.removed_and_anew', "(10) removed, the name may be another factory's", ?RULE, [], [], fun removed_and_anew/1},
      {'acl.change_in_flight', "(11) a list that changes under requests: each gets one answer, yes or no", ?RULE, [], [], fun change_in_flight/1},
      {'acl.never_wider', "(12) while lists change a node that no list names never gets in", ?RULE, [], [raw, {timeout, 40000}], fun never_wider/1},
      {'acl.modes', "(13) all, list and none are told apart", ?RULE, [], [], fun modes/1},
      {'acl.handshake', "(14) a peer that lies about its pid's node is refused by its own name", ?REF, [], [raw], fun handshake/1},
      {'acl.handshake_exit', "(14) it ends no process with a pid of a node that may", ?REF, [], [raw], fun handshake_exit/1},
      {'acl.handshake_name', "(14) it reaches no name with a pid of a node that may", ?REF, [], [raw], fun handshake_name/1},
      {'acl.handshake_function', "(14) it calls no function with a pid of a node that may", ?REF, [], [raw], fun handshake_function/1},
      {'acl.switch', "(15) with spawning switched off every request is answered, with not_allowed", ?RULE, [], [], fun switch/1},
      {'acl.patterns', "a pattern allows the nodes it matches", ?RULE, [], [raw], fun patterns/1},
      {'acl.bad_lists', "a node without @, an empty entry, a name that cannot be: refused, nothing is changed", ?RULE, [], [], fun bad_lists/1},
      {'acl.name_refused', "a name that the list refuses does not exist: noproc for calls and monitors, messages are lost", ?RULE, [gen], [], fun name_refused/1},
      {'acl.name_allowed', "a name that the list allows is there", ?RULE, [], [], fun name_allowed/1},
      {'acl.exit_refused', "exit/2 to a process of a factory that we may not spawn does nothing", ?RULE, [], [raw], fun exit_refused/1},
      {'acl.sys_refused', "nor do sys:terminate, suspend and resume; they say so", ?RULE, [sys, gen], [raw], fun sys_refused/1},
      {'acl.exit_by_link', "exit/2 from a linked process ends it, whatever the list says", ?RULE, [link], [], fun exit_by_link/1},
      {'acl.exit_of_parent', "who spawned it may end it although the factory is closed by now", ?RULE, [], [], fun exit_of_parent/1},
      {'acl.register_refused', "a name that the list refuses: not_allowed, and no process", ?RULE, [spawn_options], [], fun register_refused/1},
      {'acl.quota_processes', "over the quota of processes: system_limit; one that ends makes room", ?RULE, [], [], fun quota_processes/1},
      {'acl.quota_rate', "over the quota of spawns per second: system_limit", ?RULE, [], [], fun quota_rate/1},
      {'acl.quota_erpc', "what erpc starts counts, too", ?RULE, [erpc], [], fun quota_erpc/1},
      {'acl.quota_rex', "and what rex starts: for calls of ei, calls of OTP 23, block_call, and casts", ?RULE, [rex], [], fun quota_rex/1},
      {'acl.quota_rex_over', "a call of rex that has ended makes room", ?RULE, [rex], [raw], fun quota_rex_over/1},
      {'acl.quota_handshake', "(14) a peer that lies about its pid's node pays from its own quota", ?RULE, [rex], [raw], fun quota_handshake/1},
      {'acl.rex_closed', "rex calls and casts no function that is closed to the peer, whatever pid it names", ?RULE, [rex], [raw], fun rex_closed/1},
      {'acl.register_handshake', "(14) it gives no name with a pid of a node that may", ?RULE, [spawn_options], [raw], fun register_handshake/1},
      {'acl.rex_sbcast', "what rex passes on to a name counts as the peer's: a list refuses it, and rex itself does not take it for its own", ?RULE, [rex, register],
       [raw], fun rex_sbcast/1},
      {'acl.register_external', "a hidden node has no name of global registered or unregistered that the list refuses, whatever pid it names", ?RULE, [rex, global], [raw, {only, visible}], fun register_external/1},
      {'acl.unknown_dies', "a factory may answer as a BEAM does: a process that ends with undef", ?RULE, [], [], fun unknown_dies/1},
      {'acl.unknown_hidden', "or hide what is not there behind not_allowed", ?RULE, [], [], fun unknown_hidden/1},
      {'acl.counted', "every refusal is counted by its kind", ?RULE, [], [], fun counted/1},
      {'acl.factories_by_rpc', "rpc:call(Node, cnode, factories, []) describes them", ?RULE, [rpc], [], fun factories_by_rpc/1},
      {'acl.allow_by_rpc', "cnode:allow, deny and set by rpc", ?RULE, [rpc], [], fun allow_by_rpc/1}]].

acl(T, Args) -> cf_live:ask(T, acl, Args).
ok(T, Args) -> ok = acl(T, Args).
name() -> cf:unique("factory").
bin(Node) -> list_to_binary(atom_to_list(Node)).

%% A factory of our own for the time of the case.
with(T, Who, Fun) ->
    F = name(),
    ok(T, [add, F, 0, 0, Who]),
    try Fun(F) after acl(T, [remove, F]) end.

req(Args) -> apply(erlang, spawn_request, Args).
spawned(T, F) -> spawned(T, F, [], []).
spawned(#{nut := Nut}, F, A, O) ->
    R = req([Nut, F, start, A, O]),
    receive {spawn_reply, R, ok, P} -> {ok, P}; {spawn_reply, R, error, Why} -> Why after cf:ms(8000) -> cf:fail("no answer to a spawn of ~p", [F]) end.

%% The same by a fake node of this name.
as(T, Name, F) ->
    C = cf_fake:dial(T, #{name => Name, on_alive => true}),
    R = on(C, cf_fake:pid(C), F),
    cf_fake:close(C),
    R.
on(C, From, F) ->
    Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, From, From, {F, start, 0}, []}, []),
    cf_fake:take(C, fun({signal, {31, R, _, _, {'$pid', _, _, _, _}}, none, _}) when R =:= Ref -> ok;
                       ({signal, {31, R, _, 0, Why}, none, _}) when R =:= Ref -> Why;
                       (closed) -> closed end).
stranger() -> list_to_atom(atom_to_list(cf:unique("stranger")) ++ "@127.0.0.1").

listing(T, F) -> lists:keyfind(F, 1, acl(T, [list])).
mode(T, F) -> {F, Mode, Allowed, Denied, _, _, _} = listing(T, F), {Mode, Allowed, Denied}.

absent(T) -> cf:same(undef, spawned(T, name())).

%% Fake nodes ask the node's puppet by themselves.
facl(C, Args) -> cf_fake:call(C, acl, Args).
fwith(T, Who, Fun) ->
    C = cf_fake:dial(T, #{}),
    F = name(),
    ok = facl(C, [add, F, 0, 0, Who]),
    try Fun(C, F) after facl(C, [remove, F]) end.

open(T) -> fwith(T, <<"*">>, fun(_, F) -> [cf:same(ok, as(T, stranger(), F)) || _ <- [1, 2, 3]] end).
listed(T) -> with(T, bin(node()), fun(F) -> {ok, _} = spawned(T, F) end).
unlisted(T) -> fwith(T, <<"friend@127.0.0.1">>, fun(_, F) -> cf:same(not_allowed, as(T, stranger(), F)), cf:same(ok, as(T, 'friend@127.0.0.1', F)) end).

add_adds(T) ->
    with(T, <<"x@127.0.0.1">>, fun(F) ->
        cf:same(not_allowed, spawned(T, F)),
        ok(T, [add, F, 0, 0, bin(node())]),
        {ok, _} = spawned(T, F),
        cf:same({list, <<"x@127.0.0.1,", (bin(node()))/binary>>, <<>>}, mode(T, F)),
        ok(T, [set, F, <<"y@127.0.0.1">>]),
        cf:same({list, <<"y@127.0.0.1">>, <<>>}, mode(T, F)),
        cf:same(not_allowed, spawned(T, F))
    end).

other_behaviour(T) ->
    with(T, <<"x@127.0.0.1">>, fun(F) ->
        cf:same({error, already_exists}, acl(T, [add, F, 1, 0, <<"*">>])),
        cf:same({list, <<"x@127.0.0.1">>, <<>>}, mode(T, F)),
        cf:same(not_allowed, spawned(T, F))
    end).

other_context(T) ->
    with(T, <<"x@127.0.0.1">>, fun(F) ->
        cf:same({error, already_exists}, acl(T, [add, F, 0, 1, <<"*">>])),
        cf:same(not_allowed, spawned(T, F))
    end).

deny_to_the_last(T) ->
    fwith(T, <<"a@127.0.0.1,b@127.0.0.1">>, fun(C, F) ->
        ok = facl(C, [deny, F, <<"a@127.0.0.1">>]),
        cf:same(not_allowed, as(T, 'a@127.0.0.1', F)),
        cf:same(ok, as(T, 'b@127.0.0.1', F)),
        ok = facl(C, [deny, F, <<"b@127.0.0.1">>]),
        [cf:same(not_allowed, as(T, N, F)) || N <- ['a@127.0.0.1', 'b@127.0.0.1', stranger()]],
        {F, none, <<>>, _, _, _, _} = lists:keyfind(F, 1, facl(C, [list]))
    end).

deny_one_of_all(T) ->
    fwith(T, <<"*">>, fun(C, F) ->
        ok = facl(C, [deny, F, <<"a@127.0.0.1">>]),
        cf:same(not_allowed, as(T, 'a@127.0.0.1', F)),
        cf:same(ok, as(T, 'b@127.0.0.1', F)),
        {F, all, _, <<"a@127.0.0.1">>, _, _, _} = lists:keyfind(F, 1, facl(C, [list]))
    end).

removed_and_anew(T) ->
    F = name(),
    ok(T, [add, F, 0, 0, <<"x@127.0.0.1">>]),
    ok(T, [remove, F]),
    cf:same(undef, spawned(T, F)),
    cf:same({error, not_found}, acl(T, [remove, F])),
    cf:same({error, not_found}, acl(T, [allow, F, <<"*">>])),
    ok(T, [add, F, 1, 2, bin(node())]),
    {ok, _} = spawned(T, F),
    cf:same({list, bin(node()), <<>>}, mode(T, F)),
    ok(T, [remove, F]).

change_in_flight(#{nut := Nut} = T) ->
    with(T, <<"*">>, fun(F) ->
        Rs = [begin
                  N rem 50 =:= 0 andalso ok(T, [case N rem 100 of 0 -> deny; _ -> allow end, F, bin(node())]),
                  req([Nut, F, start, [{stop, normal}], []])
              end || N <- lists:seq(1, 1000)],
        Answers = [receive {spawn_reply, R, ok, _} -> yes; {spawn_reply, R, error, not_allowed} -> no after cf:ms(8000) -> cf:fail("an answer is missing") end || R <- Rs],
        cf_live:fence(T),
        cf:not_got(fun({spawn_reply, _, _, _}) -> ok end),
        cf:check(lists:member(yes, Answers) andalso lists:member(no, Answers), "all were answered alike")
    end).

%% Another peer asks all the time while ours adds, removes and replaces: it is on no list.
never_wider(T) ->
    fwith(T, <<"x@127.0.0.1">>, fun(C, F) ->
        Spy = cf_fake:dial(T, #{name => stranger(), on_alive => true}),
        From = cf_fake:pid(Spy),
        [begin
             [cf_fake:send(Spy, {29, cf_fake:ref(Spy), From, From, {F, start, 0}, []}, []) || _ <- lists:seq(1, 20)],
             ok = facl(C, [remove, F]),
             ok = facl(C, [add, F, 0, 0, <<"a@127.0.0.1,b@127.0.0.1">>]),
             ok = facl(C, [deny, F, <<"a@127.0.0.1">>]),
             ok = facl(C, [deny, F, <<"b@127.0.0.1">>]),
             ok = facl(C, [set, F, <<"c@127.0.0.1">>])
         end || _ <- lists:seq(1, 100)],
        cf_fake:fence(Spy),
        cf:same([], [P || P <- cf_fake:seen(Spy, fun({signal, {31, _, _, _, {'$pid', _, _, _, _} = P}, _, _}) -> P end)]),
        cf_fake:close(Spy)
    end).

modes(T) ->
    with(T, <<>>, fun(F) ->
        cf:same({none, <<>>, <<>>}, mode(T, F)),
        ok(T, [allow, F, <<"a@h">>]), cf:same({list, <<"a@h">>, <<>>}, mode(T, F)),
        ok(T, [set, F, <<"*">>]), cf:same({all, <<>>, <<>>}, mode(T, F)),
        ok(T, [deny, F, <<"a@h">>]), cf:same({all, <<>>, <<"a@h">>}, mode(T, F)),
        ok(T, [deny, F, <<"*">>]), cf:same({none, <<>>, <<>>}, mode(T, F))
    end).

%% The connection of a liar is closed, or its request refused; never does it get a process.
handshake(T) ->
    Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77},
    C = cf_fake:dial(T, #{}),
    cf:check(lists:member(on(C, Friend, friends), [closed, not_allowed]), "a pid of another node was believed"),
    cf:same(not_allowed, as(T, stranger(), friends)).

handshake_exit(T) ->
    fwith(T, <<"friend@127.0.0.1">>, fun(C, F) ->
        %% As in nodes/cnode everybody may end everything, it is closed for this factory.
        ok = facl(C, [access, exit, set, F, <<"friend@127.0.0.1">>]),
        Friend = cf_fake:dial(T, #{name => 'friend@127.0.0.1', on_alive => true}),
        Me = cf_fake:pid(Friend), Ref = cf_fake:ref(Friend),
        cf_fake:send(Friend, {29, Ref, Me, Me, {F, start, 0}, []}, []),
        P = cf_fake:take(Friend, fun({signal, {31, R, _, _, X}, none, _}) when R =:= Ref -> X end),
        Liar = cf_fake:dial(T, #{}),
        cf_fake:send(Liar, {26, Me, P}, kill),
        cf_fake:take(Liar, fun(closed) -> ok end),
        Honest = cf_fake:dial(T, #{}),
        cf_fake:send(Honest, {26, cf_fake:pid(Honest), P}, kill),
        cf_fake:fence(Honest),
        true = facl(Honest, is_alive, [P]),
        cf_fake:send(Friend, {26, Me, P}, kill),
        cf_fake:fence(Friend),
        false = facl(Friend, is_alive, [P]),
        ok = facl(C, [access, exit, reset, F, <<>>])
    end).
facl(C, Op, Args) -> cf_fake:call(C, Op, Args).

handshake_name(T) ->
    C = cf_fake:dial(T, #{}),
    Name = cf:unique("name"),
    P = cf_fake:puppet(C),
    true = cf_fake:call(C, P, register, [Name]),
    ok = cf_fake:call(C, P, watch, [cf_fake:pid(C, 4)]),
    ok = facl(C, [access, name, set, Name, <<"friend@127.0.0.1">>]),
    Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77},
    %% A message names any sender: the connection decides.
    cf_fake:send(C, {6, Friend, '', Name}, lie),
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun({signal, _, {saw, _, lie}, _}) -> lie end)),
    ok = facl(C, [access, name, reset, Name, <<>>]),
    cf_fake:send(C, {6, cf_fake:pid(C), '', Name}, truth),
    cf_fake:take(C, fun({signal, _, {saw, _, truth}, _}) -> ok end),
    ok.

handshake_function(T) ->
    C = cf_fake:dial(T, #{}),
    Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77}, Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Friend, Friend, {erpc, execute_call, 4}, [monitor]}, [Ref, cnode, factories, []]),
    cf_fake:take(C, fun({signal, {31, R, _, 0, not_allowed}, none, _}) when R =:= Ref -> ok; (closed) -> ok end).

switch(T) ->
    ok(T, [enable, false]),
    [cf:same(not_allowed, spawned(T, F)) || F <- [starter, counter, closed, name()]],
    ok(T, [enable, true]),
    {ok, _} = spawned(T, starter).

patterns(T) ->
    fwith(T, <<"worker*@127.0.0.1">>, fun(_, F) ->
        cf:same(ok, as(T, 'worker7@127.0.0.1', F)),
        cf:same(not_allowed, as(T, 'xworker7@127.0.0.1', F))
    end).

bad_lists(T) ->
    with(T, <<"a@h">>, fun(F) ->
        [cf:same({error, badarg}, acl(T, [Op, F, Who])) || Op <- [allow, deny, set], Who <- [<<"node">>, <<"a@h,">>, <<"@h">>, <<"a@">>, <<",">>]],
        cf:same({list, <<"a@h">>, <<>>}, mode(T, F)),
        cf:same({error, badarg}, acl(T, [add, name(), 0, 0, <<"node">>])),
        cf:same({error, bad_name}, acl(T, [access, name, set, '', <<"*">>]))
    end).

%% The process under the name is a puppet that watches for us.
named(T, Name) ->
    P = cf_live:watched(T),
    true = cf_live:ask(T, P, register, [Name]),
    P.

name_refused(#{nut := Nut} = T) ->
    Name = cf:unique("name"),
    P = named(T, Name),
    ok(T, [access, name, set, Name, <<"x@127.0.0.1">>]),
    {Name, Nut} ! lost,
    cf:same({{Name, Nut}, noproc}, cf_live:down(monitor(process, {Name, Nut}), cf:ms(8000))),
    noproc = try gen_server:call({Name, Nut}, hello) catch exit:{Why, _} -> Why end,
    P ! by_pid,
    cf:same(by_pid, cf_live:saw(P)),
    ok(T, [access, name, reset, Name, <<>>]),
    {Name, Nut} ! found,
    cf:same(found, cf_live:saw(P)).

name_allowed(#{nut := Nut} = T) ->
    Name = cf:unique("name"),
    P = named(T, Name),
    ok(T, [access, name, set, Name, bin(node())]),
    {Name, Nut} ! found,
    cf:same(found, cf_live:saw(P)),
    ok(T, [access, name, deny, Name, bin(node())]),
    {Name, Nut} ! lost,
    cf_live:fence(T),
    cf:not_got(fun({saw, _, lost}) -> ok end),
    ok(T, [access, name, reset, Name, <<>>]).

exit_refused(T) ->
    fwith(T, <<"friend@127.0.0.1">>, fun(C, F) ->
        ok = facl(C, [access, exit, reset, '*', <<>>]),
        Friend = cf_fake:dial(T, #{name => 'friend@127.0.0.1', on_alive => true}),
        Me = cf_fake:pid(Friend), Ref = cf_fake:ref(Friend),
        cf_fake:send(Friend, {29, Ref, Me, Me, {F, start, 0}, []}, []),
        P = cf_fake:take(Friend, fun({signal, {31, R, _, _, X}, none, _}) when R =:= Ref -> X end),
        [cf_fake:send(C, {26, cf_fake:pid(C), P}, Why) || Why <- [kill, shutdown, normal]],
        cf_fake:fence(C),
        true = cf_fake:call(C, is_alive, [P]),
        ok = facl(C, [access, exit, set, '*', <<"*">>])
    end).

%% What gen_server:stop sends, by one who may not spawn the factory, also in the name of one who may; and to a service of the node.
sys_refused(T) ->
    C = cf_fake:dial(T, #{}),
    ok = facl(C, [access, exit, reset, '*', <<>>]),
    ok = facl(C, [access, exit, set, counter, <<"friend@127.0.0.1">>]),
    Friend = cf_fake:dial(T, #{name => 'friend@127.0.0.1', on_alive => true}),
    Me = cf_fake:pid(Friend), Ref = cf_fake:ref(Friend),
    cf_fake:send(Friend, {29, Ref, Me, Me, {counter, start, 1}, []}, [7]),
    P = cf_fake:take(Friend, fun({signal, {31, R, _, _, X}, none, _}) when R =:= Ref -> X end),
    [cf:same({error, not_allowed}, sys(C, Whom, What)) || Whom <- [P, rex], What <- [suspend, resume, {terminate, normal}]],
    %% The answer to the pid of the friend goes to the friend.
    R2 = cf_fake:ref(C),
    cf_fake:send(C, {2, '', P}, {system, {Me, R2}, {terminate, normal}}),
    {error, not_allowed} = cf_fake:take(Friend, fun({signal, _, {R, X}, _}) when R =:= R2 -> X end),
    true = facl(C, is_alive, [P]),
    cf:same(ok, sys(Friend, P, suspend)),
    cf:same(ok, sys(Friend, P, resume)),
    cf:same(ok, sys(Friend, P, {terminate, normal})),
    cf:wait("it ends", fun() -> not facl(Friend, is_alive, [P]) end),
    ok = facl(C, [access, exit, reset, counter, <<>>]),
    ok = facl(C, [access, exit, set, '*', <<"*">>]).

sys(C, Whom, What) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:to(C, Whom, {system, {Me, Ref}, What}),
    cf_fake:take(C, fun({signal, _, {R, X}, _}) when R =:= Ref -> X end).

exit_by_link(T) ->
    process_flag(trap_exit, true),
    with(T, <<"*">>, fun(F) ->
        {ok, P} = spawned(T, F),
        ok(T, [access, exit, set, F, <<>>]),
        exit(P, kill),
        true = cf_live:ask(T, is_alive, [P]),
        link(P),
        exit(P, kill),
        cf:same(killed, cf_live:exit_of(P)),
        ok(T, [access, exit, reset, F, <<>>])
    end).

exit_of_parent(T) ->
    with(T, <<"*">>, fun(F) ->
        {ok, P} = spawned(T, F),
        ok(T, [access, exit, reset, '*', <<>>]),
        ok(T, [set, F, <<>>]),
        exit(P, shutdown),
        cf_live:fence(T),
        false = cf_live:ask(T, is_alive, [P]),
        ok(T, [access, exit, set, '*', <<"*">>])
    end).

register_refused(T) ->
    Name = cf:unique("name"),
    ok(T, [access, register, set, Name, <<"x@127.0.0.1">>]),
    cf:same(not_allowed, spawned(T, starter, [], [{name, Name}])),
    cf:same(undefined, cf_live:ask(T, whereis, [Name])),
    ok(T, [access, register, allow, Name, bin(node())]),
    {ok, P} = spawned(T, starter, [], [{name, Name}]),
    cf:same(P, cf_live:ask(T, whereis, [Name])),
    exit(P, kill),
    ok(T, [access, register, reset, Name, <<>>]).

quota_processes(T) ->
    with(T, <<"*">>, fun(F) ->
        ok(T, [quota, F, {2, 0}, bin(node())]),
        {ok, P} = spawned(T, F), {ok, _} = spawned(T, F),
        cf:same(system_limit, spawned(T, F)),
        {ok, _} = spawned(T, starter, [], []),
        M = monitor(process, P), exit(P, kill), killed = cf_live:down(M),
        cf:wait("there is room again", fun() -> case spawned(T, F) of {ok, _} -> true; _ -> false end end),
        ok(T, [quota_clear])
    end).

quota_rate(T) ->
    with(T, <<"*">>, fun(F) ->
        ok(T, [quota, F, {0, 1}, <<"*">>]),
        Answers = [case spawned(T, F, [{stop, normal}], []) of {ok, _} -> yes; system_limit -> no end || _ <- lists:seq(1, 100)],
        yes = hd(Answers),
        cf:check(lists:member(no, Answers), "no spawn was refused"),
        ok(T, [quota_clear]),
        {ok, _} = spawned(T, F, [{stop, normal}], [])
    end).

quota_erpc(#{nut := Nut} = T) ->
    {ok, P} = spawned(T, starter),
    ok(T, [quota, all, {1, 0}, bin(node())]),
    Got = try apply(erpc, call, [Nut, erlang, node, []]) catch C:R -> {C, R} end,
    ok(T, [quota_clear]),
    {error, {erpc, system_limit}} = Got,
    Nut = apply(erpc, call, [Nut, erlang, node, []]),
    exit(P, kill).

quota_rex(#{nut := Nut} = T) ->
    {ok, P} = spawned(T, starter),
    Before = element(6, acl(T, [refusals])),
    ok(T, [quota, all, {1, 0}, bin(node())]),
    Over = {badrpc, {'EXIT', system_limit}},
    %% The answers below are behind it; what it would write would be here.
    ok = gen_server:cast({rex, Nut}, {cast, io, put_chars, [<<"x">>], self()}),
    {rex, Nut} ! {self(), {call, erlang, node, [], user}},
    Old = receive {rex, X} -> X after cf:ms(8000) -> none end,
    [Call, Blocked] = [gen_server:call({rex, Nut}, {How, erlang, node, [], group_leader()}, cf:ms(8000)) || How <- [call, block_call]],
    After = element(6, acl(T, [refusals])),
    ok(T, [quota_clear]),
    cf:same({Over, Over, Over}, {Old, Call, Blocked}),
    cf:not_got(fun({io_request, _, _, _}) -> ok end),
    cf:same(Before + 4, After),
    Nut = gen_server:call({rex, Nut}, {call, erlang, node, [], group_leader()}, cf:ms(8000)),
    exit(P, kill).

%% A peer that has nothing here, so that its quota is only for these calls.
quota_rex_over(#{nut := Nut} = T) ->
    Name = stranger(),
    C = cf_fake:dial(T, #{name => Name, on_alive => true}),
    Me = cf_fake:pid(C),
    ok = facl(C, [quota, all, {2, 0}, bin(Name)]),
    Got = [begin
               cf_fake:to(C, rex, {Me, {call, M, node, [], user}}),
               cf_fake:take(C, fun({signal, Ctl, {rex, R}, _}) when element(3, Ctl) =:= Me -> R end)
           end || M <- [erlang, no_such_module], _ <- lists:seq(1, 20)],
    ok = facl(C, [quota_clear]),
    [Nut, {badrpc, {'EXIT', {undef, _}}}] = lists:usort(Got).

quota_handshake(T) ->
    Name = stranger(),
    C = cf_fake:dial(T, #{name => Name, on_alive => true}),
    Me = cf_fake:pid(C), Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77},
    cf:same(ok, on(C, Me, starter)),
    ok = facl(C, [quota, all, {1, 0}, bin(Name)]),
    cf_fake:send(C, {6, Friend, '', rex}, {Me, {call, erlang, node, [], user}}),
    Got = cf_fake:take(C, fun({signal, Ctl, {rex, R}, _}) when element(3, Ctl) =:= Me -> R end),
    Spawned = on(C, Friend, starter),
    ok = facl(cf_fake:dial(T, #{}), [quota_clear]),
    cf:same({badrpc, {'EXIT', system_limit}}, Got),
    cf:check(lists:member(Spawned, [system_limit, closed]), "a spawn in the name of another was ~p", [Spawned]).

rex_closed(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C), Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77},
    Before = element(2, facl(C, [refusals])),
    cf_fake:send(C, {6, Friend, '', rex}, {'$gen_cast', {cast, conformance_closed, f, [], Me}}),
    [begin
         cf_fake:send(C, {6, From, '', rex}, {Me, {call, conformance_closed, f, [], user}}),
         {badrpc, not_allowed} = cf_fake:take(C, fun({signal, Ctl, {rex, R}, _}) when element(3, Ctl) =:= Me -> R end)
     end || From <- [Me, Friend]],
    cf:same(Before + 3, element(2, facl(C, [refusals]))).

rex_sbcast(#{nut := Nut} = T) ->
    C = cf_fake:dial(T, #{}),
    Name = cf:unique("name"), Me = cf_fake:pid(C), P = cf_fake:puppet(C),
    true = cf_fake:call(C, P, register, [Name]),
    ok = cf_fake:call(C, P, watch, [cf_fake:pid(C, 4)]),
    Ask = fun(How, To, What) ->
              cf_fake:to(C, rex, {Me, {How, To, What}}),
              cf_fake:take(C, fun({signal, Ctl, {rex, N, R}, _}) when element(3, Ctl) =:= Me, N =:= Nut -> R end)
          end,
    Before = element(3, facl(C, [refusals])),
    ok = facl(C, [access, name, set, Name, <<"friend@127.0.0.1">>]),
    [cf:same({nonexisting_name, Name}, Ask(How, Name, lie)) || How <- [sbcast, send]],
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun({signal, _, {saw, _, _}, _}) -> lie end)),
    cf:same(Before + 2, element(3, facl(C, [refusals]))),
    ok = facl(C, [access, name, reset, Name, <<>>]),
    cf:same(Nut, Ask(sbcast, Name, truth)),
    cf_fake:take(C, fun({signal, _, {saw, _, truth}, _}) -> ok end),
    %% By way of rex to rex: still the peer's call.
    cf_fake:to(C, rex, {Me, {sbcast, rex, {Me, {call, conformance_closed, f, [], user}}}}),
    {badrpc, not_allowed} = cf_fake:take(C, fun({signal, Ctl, {rex, R}, _}) when element(3, Ctl) =:= Me -> R end).

register_handshake(T) ->
    C = cf_fake:dial(T, #{}),
    Name = cf:unique("name"), Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77}, Ref = cf_fake:ref(C),
    ok = facl(C, [access, register, set, Name, <<"friend@127.0.0.1">>]),
    cf_fake:send(C, {29, Ref, Friend, Friend, {starter, start, 0}, [{name, Name}]}, []),
    cf_fake:take(C, fun({signal, {31, R, _, 0, not_allowed}, none, _}) when R =:= Ref -> ok; (closed) -> ok end),
    Honest = cf_fake:dial(T, #{}),
    undefined = cf_fake:call(Honest, whereis, [Name]),
    ok = facl(Honest, [access, register, reset, Name, <<>>]).

%% The pid in the call only says who is told.
register_external(T) ->
    C = cf_fake:dial(T, #{flags => cf_hs:hidden(cf_hs:flags(maps:get(release, T)))}),
    Name = cf:unique("name"), Me = cf_fake:pid(C), Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77},
    Ask = fun(From, F, Args) ->
              cf_fake:send(C, {6, From, '', rex}, {Me, {call, global, F, Args, user}}),
              cf_fake:take(C, fun({signal, Ctl, {rex, R}, _}) when element(3, Ctl) =:= Me -> R end)
          end,
    Before = element(5, facl(C, [refusals])),
    ok = facl(C, [access, register, set, Name, <<"friend@127.0.0.1">>]),
    [cf:same({badrpc, not_allowed}, Ask(From, F, Args))
     || From <- [Me, Friend], {F, Args} <- [{register_name_external, [Name, Me]}, {unregister_name_external, [Name]}]],
    %% Nor by the name server itself, which a hidden node can ask as well as rex.
    Direct = fun(R) ->
                 Tag = cf_fake:ref(C),
                 cf_fake:send(C, {6, Me, '', global_name_server}, {'$gen_call', {Me, Tag}, R}),
                 cf_fake:take(C, fun({signal, Ctl, {G, A}, _}) when element(3, Ctl) =:= Me, G =:= Tag -> A end)
             end,
    [cf:same(not_allowed, Direct(R))
     || R <- [{register, Name, Me, exit}, {register_ext, Name, Me, exit, 'friend@127.0.0.1'}, {unregister, Name}]],
    cf:same(Before + 7, element(5, facl(C, [refusals]))),
    ok = facl(C, [access, register, reset, Name, <<>>]),
    cf:same(yes, Ask(Me, register_name_external, [Name, Me])),
    cf:same(ok, Ask(Me, unregister_name_external, [Name])).

unknown_dies(#{nut := Nut} = T) ->
    with(T, <<"*">>, fun(F) ->
        ok(T, [unknown, F, dies]),
        {P, M} = spawn_opt(Nut, F, no_such_function, [1, x], [monitor]),
        cf:same({P, {undef, [{F, no_such_function, [1, x], []}]}}, cf_live:down(M, cf:ms(8000))),
        ok(T, [unknown, F, undef]),
        R = req([Nut, F, no_such_function, [], []]),
        receive {spawn_reply, R, error, undef} -> ok after cf:ms(8000) -> cf:fail("no undef") end
    end).

unknown_hidden(T) ->
    ok(T, [unknown, all, hidden]),
    cf:same(not_allowed, spawned(T, name())),
    cf:same(not_allowed, spawned(T, closed)),
    ok(T, [unknown, all, undef]),
    cf:same(undef, spawned(T, name())).

counted(T) ->
    Before = acl(T, [refusals]),
    not_allowed = spawned(T, closed),
    cf:same(element(1, Before) + 1, element(1, acl(T, [refusals]))),
    {closed, none, _, _, 0, 0, Refused} = listing(T, closed),
    cf:check(Refused >= 1, "the factory counts none").

factories_by_rpc(#{nut := Nut} = T) ->
    with(T, <<"a@h,b@h">>, fun(F) ->
        All = rpc:call(Nut, cnode, factories, []),
        [#{mode := list, allowed := ['a@h', 'b@h'], denied := [], processes := 0, spawned := 0, refused := 0}] = [M || #{name := N} = M <- All, N =:= F],
        #{name := F, mode := list} = rpc:call(Nut, cnode, factories, [F]),
        undefined = rpc:call(Nut, cnode, factories, [no_such_factory]),
        true = rpc:call(Nut, cnode, has_factory, [F]),
        false = rpc:call(Nut, cnode, has_factory, [no_such_factory]),
        {badrpc, {'EXIT', {badarg, _}}} = rpc:call(Nut, cnode, factories, ["text"])
    end).

allow_by_rpc(#{nut := Nut} = T) ->
    with(T, <<>>, fun(F) ->
        ok = rpc:call(Nut, cnode, allow, [F, [node(), "x*@h"]]),
        cf:same({list, <<(bin(node()))/binary, ",x*@h">>, <<>>}, mode(T, F)),
        {ok, _} = spawned(T, F),
        ok = rpc:call(Nut, cnode, deny, [F, node()]),
        cf:same(not_allowed, spawned(T, F)),
        ok = rpc:call(Nut, cnode, set, [F, all]),
        cf:same({all, <<>>, <<>>}, mode(T, F)),
        {error, not_found} = rpc:call(Nut, cnode, allow, [no_such_factory, all]),
        {badrpc, {'EXIT', {badarg, _}}} = rpc:call(Nut, cnode, allow, [F, [no_node]])
    end).
