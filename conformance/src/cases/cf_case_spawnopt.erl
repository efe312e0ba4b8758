%% SPDX-License-Identifier: Apache-2.0
%% What a spawn may ask for, and what it is answered when things go wrong. The numbers are those of the list of edge cases
%% (seeds.md, section 13) that this began with; those that cf_case_spawn and cf_case_rpc have already are named there.
-module(cf_case_spawnopt).
-export([cases/0]).

-define(DOC, "erlang:spawn_request/5; erl_dist_protocol.html SPAWN_REQUEST, SPAWN_REPLY").
-define(OWN, "issue 5: options on a spawn").

cases() ->
    [{Id, What, Rule, [{needs, [spawn | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'spawnopt.each', "(16) each option alone", ?OWN, [spawn_options], [], fun each/1},
      {'spawnopt.all', "(16) all options together", ?OWN, [spawn_options], [], fun all/1},
      {'spawnopt.in_arguments', "(16) options in the arguments of cnode:spawn", ?OWN, [spawn_options], [], fun in_arguments/1},
      {'spawnopt.link_and_monitor', "(17) link and monitor with other options", ?OWN, [spawn_options], [], fun link_and_monitor/1},
      {'spawnopt.bad', "(18) unknown and bad options: badopt, and nothing is started", ?OWN, [spawn_options], [raw], fun bad/1},
      {'spawnopt.bad_is_badarg', "(18) a caller sees them as badarg", ?DOC, [], [], fun bad_is_badarg/1},
      {'spawnopt.name_taken', "(19) a taken name: name_taken", ?OWN, [spawn_options], [], fun name_taken/1},
      {'spawnopt.name_before_reply', "(20) the name is there when the reply comes", ?OWN, [spawn_options], [], fun name_before_reply/1},
      {'spawnopt.name_freed', "(20) a start that fails gives the name back", ?OWN, [spawn_options], [], fun name_freed/1},
      {'spawnopt.name_global', "(16) a global name is there when the reply comes, taken it is name_taken, and it goes with the process", ?OWN, [spawn_options, global], [{only, visible}], fun name_global/1},
      {'spawnopt.init_fails', "(21) init fails: its reason, and no process", ?OWN, [spawn_options], [], fun init_fails/1},
      {'spawnopt.init_fails_later', "(21) with an answer at creation: pid, then the reason as an exit", ?OWN, [spawn_options], [], fun init_fails_later/1},
      {'spawnopt.init_reason', "(21) the whole reason as a message before the reply", ?OWN, [spawn_options], [], fun init_reason/1},
      {'spawnopt.failure_alias', "the reason of an init that failed goes to an alias, and nowhere once that has ended", ?OWN, [spawn_options], [{from, 24}], fun failure_alias/1},
      {'spawnopt.failure_elsewhere', "a reference that is not the asking node's is badopt", ?OWN, [spawn_options, monitor], [], fun failure_elsewhere/1},
      {'spawnopt.init_sends', "(21) what init sends comes behind the reply", ?OWN, [spawn_options], [raw], fun init_sends/1},
      {'spawnopt.init_timeout', "(22) an init that is late: timeout at once, and no process", ?OWN, [spawn_options], [], fun init_timeout/1},
      {'spawnopt.slow_init', "(22) slow inits delay neither other spawns nor pings", ?OWN, [spawn_options, ping], [], fun slow_init/1},
      {'spawnopt.caller_dies', "(23) a caller that ends before the reply, without a link: the process lives", ?DOC, [], [raw], fun caller_dies/1},
      {'spawnopt.caller_dies_link', "(23) with a link: its end ends the process", ?DOC, [], [raw], fun caller_dies_link/1},
      {'spawnopt.lost', "(24) the connection is lost before the reply, without a link: the node is unharmed", ?DOC, [], [raw], fun lost/1},
      {'spawnopt.lost_link', "(24) with a link: nothing stays behind", ?OWN, [spawn_options, acl_orders], [raw], fun lost_link/1},
      {'spawnopt.args_improper', "(25) an improper list as arguments is refused or ends the process, and the link stays", ?DOC, [], [raw], fun args_improper/1},
      {'spawnopt.args_nil_string', "(25) [] and a string as arguments", ?DOC, [], [raw], fun args_nil_string/1},
      {'spawnopt.args_huge', "(25) 10 MB of arguments", ?DOC, [], [{timeout, 40000}], fun args_huge/1},
      {'spawnopt.args_unknown_type', "(26) a term of an unknown type in the arguments harms no other peer", ?DOC, [], [raw], fun args_unknown_type/1},
      {'spawnopt.fun', "(28) spawn of a fun is refused with undef, and answered", ?DOC, [acl_orders], [], fun of_fun/1},
      {'spawnopt.proc_lib', "(29) proc_lib:spawn_link reaches the factory", "proc_lib.erl", [], [], fun proc_lib/1},
      {'spawnopt.proc_lib_refused', "(29) and its list", "proc_lib.erl", [acl], [], fun proc_lib_refused/1},
      {'spawnopt.erpc_not_allowed', "(30) erpc and rpc of a closed function: {erpc, not_allowed}, {badrpc, …}", "erpc.erl, rpc.erl", [erpc, acl_orders], [], fun erpc_not_allowed/1},
      {'spawnopt.erpc_multicall', "(30) erpc:multicall with a refusal among values", "erpc.erl", [erpc, acl_orders], [], fun erpc_multicall/1},
      {'spawnopt.env', "the environment, and keys that are none", ?OWN, [spawn_options], [], fun env/1},
      {'spawnopt.mailbox_exit', "a full mailbox: mailbox_overflow", ?OWN, [spawn_options], [], fun mailbox_exit/1},
      {'spawnopt.mailbox_drop', "a full mailbox that drops: the process goes on", ?OWN, [spawn_options], [], fun mailbox_drop/1},
      {'spawnopt.parent', "the parent is the process that asked, the group leader its leader", ?OWN, [spawn_options], [], fun parent/1},
      {'spawnopt.no_spawn', "towards a peer without SPAWN it fails at once with notsup, and sends nothing", ?DOC, [spawn_out], [raw, {otp_fails, [23, 25, 27, 29]}], fun no_spawn/1},
      {'spawnopt.out_options', "it asks a node that knows no options of C nodes without them", ?OWN, [spawn_out, spawn_options], [], fun out_options/1}]].

req(Args) -> apply(erlang, spawn_request, Args).
reply(R) -> receive {spawn_reply, R, ok, P} -> {ok, P}; {spawn_reply, R, error, Why} -> {error, Why} after cf:ms(8000) -> cf:fail("no spawn reply") end.
start(#{nut := Nut}, A, O) -> reply(req([Nut, starter, start, A, O])).
ok(T, A, O) -> {ok, P} = start(T, A, O), P.
tell(P, What) ->
    R = make_ref(),
    P ! {tell, self(), R, What},
    receive {R, V} -> V after cf:ms(8000) -> cf:fail("~p does not tell its ~p", [P, What]) end.
stop(P) -> M = monitor(process, P), exit(P, kill), cf_live:down(M).

each(T) ->
    Name = cf:unique("name"),
    [begin P = ok(T, [], [O]), cf:same(V, tell(P, What)), stop(P) end
     || {O, What, V} <- [{{application, shop}, application, shop},
                         {{log_level, debug}, log_level, debug}, {{log_level, emergency}, log_level, error}, {{log_level, none}, log_level, none},
                         {{env, [{k, {v, 1}}]}, {env, k}, {ok, {v, 1}}},
                         {{init_timeout, 5000}, application, ''}, {{init_timeout, infinity}, application, ''},
                         {{timeout, 5000}, application, ''}, {{timeout, infinity}, application, ''},
                         {{mailbox, 100}, application, ''}, {{mailbox, {100, drop}}, application, ''}, {{mailbox, {100, exit}}, application, ''},
                         {{answer, init}, application, ''}, {{answer, creation}, application, ''},
                         {{failure, message}, application, ''}, {{registration, none}, application, ''},
                         {{name, Name}, application, ''}, {{priority, high}, application, ''}, {{scheduler, 1}, application, ''}]].

all(T) ->
    process_flag(trap_exit, true),
    Name = cf:unique("name"),
    O = [link, monitor, {name, Name}, {registration, local}, {init_timeout, 5000}, {timeout, 6000}, {env, [{<<"K">>, 1}]}, {log_level, info},
         {application, shop}, {mailbox, {50, drop}}, {answer, init}, {failure, message}, {priority, low}],
    R = req([maps:get(nut, T), starter, start, [], O]),
    {ok, P} = reply(R),
    cf:same([shop, info, {ok, 1}], [tell(P, W) || W <- [application, log_level, {env, 'K'}]]),
    cf:same(P, cf_live:ask(T, whereis, [Name])),
    exit(P, bye),
    cf:same(bye, cf_live:exit_of(P)),
    cf:same(bye, cf_live:down(R)).

in_arguments(#{nut := Nut} = T) ->
    Name = cf:unique("name"),
    P = spawn(Nut, cnode, spawn, [starter, [], [{name, Name}, {application, shop}]]),
    cf:same(shop, tell(P, application)),
    cf:same(P, cf_live:ask(T, whereis, [Name])),
    {Q, M} = spawn_opt(Nut, cnode, spawn, [starter, [{stop, bye}], []], [monitor]),
    cf:same({Q, bye}, cf_live:down(M, cf:ms(8000))),
    [cf:same({error, Why}, reply(req([Nut, cnode, spawn, A, []])))
     || {A, Why} <- [{[no_such_factory, [], []], undef}, {[closed, [], []], not_allowed}, {[closed, [], [no_option]], not_allowed}, {[starter, [], [no_option]], badopt}, {[starter, no_list, []], badarg}, {[starter], badarg}]],
    stop(P).

link_and_monitor(T) ->
    process_flag(trap_exit, true),
    [begin
         R = req([maps:get(nut, T), starter, start, [{stop, bye}], O ++ [{application, a}]]),
         {ok, P} = reply(R),
         lists:member(link, O) andalso cf:same(bye, cf_live:exit_of(P)),
         lists:member(monitor, O) andalso cf:same(bye, cf_live:down(R))
     end || O <- [[], [link], [monitor], [link, monitor]]],
    cf_live:fence(T),
    cf:not_got(fun({'EXIT', _, _} = M) -> M; ({'DOWN', _, _, _, _} = M) -> M end).

bad(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C),
    [begin
         Ref = cf_fake:ref(C),
         cf_fake:send(C, {29, Ref, Me, Me, {starter, start, 0}, O}, []),
         cf_fake:take(C, fun({signal, {31, R, _, 0, badopt}, none, _}) when R =:= Ref -> ok;
                            ({signal, {31, R, _, _, Other}, none, _}) when R =:= Ref -> cf:fail("~p: ~p", [O, Other]) end)
     end || O <- [[nonsense], [{nonsense, 1}], [compressed], [{compression, true}], [{mailbox, 0}], [{mailbox, -1}], [{mailbox, {5, lose}}], [{mailbox, x}],
                  [{timeout, -1}], [{timeout, soon}], [{init_timeout, 1.5}], [{env, x}], [{env, [x]}], [{env, [{1, 2}]}], [{env, [{a, 1} | x]}],
                  [{log_level, loud}], [{application, 1}], [{name, 5}], [{name, ''}], [{name, undefined}], [{name, "text"}], [{registration, local}], [{registration, global}], [{registration, x}, {name, n}],
                  [{answer, never}], [{failure, x}], [{failure, "text"}], [1], [[link]], [link | monitor], [{link}], [{}]]],
    hello = cf_fake:call(C, echo, [hello]).

bad_is_badarg(#{nut := Nut}) ->
    {error, badarg} = caught(fun() -> spawn_opt(Nut, puppet, start, [], [no_such_option]) end),
    {error, badarg} = caught(fun() -> spawn_opt(Nut, puppet, start, [], [{no_such_option, 1}, monitor]) end).

name_taken(T) ->
    Name = cf:unique("name"),
    P = ok(T, [], [{name, Name}]),
    cf:same({error, name_taken}, start(T, [], [{name, Name}])),
    {error, name_taken} = caught(fun() -> spawn_opt(maps:get(nut, T), starter, start, [], [{name, Name}]) end),
    cf:same({error, name_taken}, start(T, [], [{name, conformance}, link, monitor])),
    stop(P),
    Q = ok(T, [], [{name, Name}]),
    cf:same(Q, cf_live:ask(T, whereis, [Name])),
    stop(Q).

name_before_reply(#{nut := Nut} = T) ->
    [begin
         Name = cf:unique("name"),
         P = ok(T, [], [{name, Name}]),
         R = make_ref(),
         {Name, Nut} ! {tell, self(), R, application},
         receive {R, ''} -> ok after cf:ms(8000) -> cf:fail("the name is not there") end,
         stop(P)
     end || _ <- lists:seq(1, 50)].

name_global(T) ->
    Name = cf:unique("name"), Other = cf:unique("name"),
    O = [{name, Name}, {registration, global}],
    ok = global:sync(),
    P = ok(T, [], O),
    cf:same(P, global:whereis_name(Name)),
    cf:same(undefined, cf_live:ask(T, whereis, [Name])),
    cf:same({error, name_taken}, start(T, [], O)),
    yes = global:register_name(Other, self()),
    cf:same({error, name_taken}, start(T, [], [{name, Other}, {registration, global}])),
    global:unregister_name(Other),
    cf:same({error, no_disk}, start(T, [{fail, no_disk}], [{name, Other}, {registration, global}])),
    Q = ok(T, [], [{name, Other}, {registration, global}]),
    cf:same(Q, global:whereis_name(Other)),
    stop(P), stop(Q),
    cf:wait("the names are gone", fun() -> global:whereis_name(Name) =:= undefined andalso global:whereis_name(Other) =:= undefined end).

name_freed(T) ->
    Name = cf:unique("name"),
    {error, no_disk} = start(T, [{fail, no_disk}], [{name, Name}]),
    cf:same(undefined, cf_live:ask(T, whereis, [Name])),
    stop(ok(T, [], [{name, Name}])).

init_fails(T) ->
    process_flag(trap_exit, true),
    cf:same({error, no_disk}, start(T, [{fail, no_disk}], [link, monitor])),
    cf:same({error, init_failed}, start(T, [{fail, {no_disk, 3}}], [link, monitor])),
    cf:same({error, badarg}, start(T, [nonsense], [link])),
    {error, no_disk} = caught(fun() -> spawn_opt(maps:get(nut, T), starter, start, [{fail, no_disk}], [link]) end),
    cf_live:fence(T),
    cf:not_got(fun({'EXIT', _, _} = M) -> M; ({'DOWN', _, _, _, _} = M) -> M end).

init_fails_later(T) ->
    R = req([maps:get(nut, T), starter, start, [{fail, {no_disk, 3}}], [monitor, {answer, creation}]]),
    {ok, _} = reply(R),
    cf:same({no_disk, 3}, cf_live:down(R)).

init_reason(T) ->
    R = req([maps:get(nut, T), starter, start, [{fail, {no_disk, 3}}], [{failure, message}]]),
    First = receive {spawn_failed, R, Why} -> {failed, Why}; {spawn_reply, R, _, _} -> reply_first after cf:ms(8000) -> none end,
    cf:same({failed, {no_disk, 3}}, First),
    cf:same({error, init_failed}, reply(R)).

failure_alias(T) ->
    Asks = fun(Alias) -> req([maps:get(nut, T), starter, start, [{fail, {no_disk, 3}}], [{failure, Alias}]]) end,
    Kept = apply(erlang, alias, [[reply]]),
    R = Asks(Kept),
    First = receive {spawn_failed, R, Why} -> {failed, Why}; {spawn_reply, R, _, _} -> reply_first after cf:ms(8000) -> none end,
    cf:same({failed, {no_disk, 3}}, First),
    cf:same({error, init_failed}, reply(R)),
    Given = apply(erlang, alias, [[explicit_unalias]]),
    true = apply(erlang, unalias, [Given]),
    cf:same({error, init_failed}, reply(Asks(Given))),
    cf_live:fence(T),
    cf:not_got(fun({spawn_failed, _, _} = M) -> M end).

%% A reference of the node itself, as a peer could give one of any third node.
failure_elsewhere(T) ->
    P = cf_live:watched(T),
    Theirs = cf_live:ask(T, P, monitor, [self()]),
    R = req([maps:get(nut, T), starter, start, [{fail, x}], [{failure, Theirs}]]),
    cf:same({error, badopt}, reply(R)).

init_sends(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
         cf_fake:send(C, {29, Ref, Me, Me, {starter, start, 1}, [link, monitor]}, [{send, Me, {hello, N}}]),
         First = cf_fake:take(C, fun({signal, {31, R, _, 3, _}, _, _}) when R =:= Ref -> reply;
                                    ({signal, _, {_, {hello, M}}, _}) when M =:= N -> hello end),
         cf:same(reply, First, "first"),
         cf_fake:take(C, fun({signal, _, {_, {hello, M}}, _}) when M =:= N -> ok end)
     end || N <- lists:seq(1, 20)].

init_timeout(T) ->
    Name = cf:unique("name"),
    cf:same({error, timeout}, start(T, [{sleep, 500}], [{init_timeout, 20}, {name, Name}, monitor])),
    cf:same(undefined, cf_live:ask(T, whereis, [Name])),
    cf:same({error, timeout}, start(T, [{sleep, 500}], [{timeout, 20}])),
    cf:same({error, timeout}, start(T, [{sleep, 100}], [{timeout, 0}])),
    R = req([maps:get(nut, T), starter, start, [{sleep, 500}], [monitor, {init_timeout, 20}, {answer, creation}]]),
    {ok, _} = reply(R),
    cf:same(timeout, cf_live:down(R)),
    cf_live:fence(T),
    cf:not_got(fun({'DOWN', _, _, _, _} = M) -> M end).

slow_init(#{nut := Nut} = T) ->
    Rs = [req([Nut, starter, start, [{sleep, 300}], []]) || _ <- lists:seq(1, 20)],
    Began = cf:clock(),
    pong = net_adm:ping(Nut), stop(ok(T, [], [])), cf_live:fence(T),
    {_, Ms} = cf:took(Began),
    Pending = receive {spawn_reply, _, _, _} -> none after 0 -> some end,
    [begin {ok, P} = reply(R), stop(P) end || Pending =:= some, R <- Rs],
    cf:check(Ms < 2000, "a spawn and a ping took ~p ms beside slow inits", [Ms]).

spawned_by(C, Me, Options) ->
    Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Me, Me, {puppet, start, 0}, Options}, []),
    Ref.
pid_of(C, Ref) -> cf_fake:take(C, fun({signal, {31, R, _, _, {'$pid', _, _, _, _} = P}, none, _}) when R =:= Ref -> P end).

caller_dies(T) ->
    C = cf_fake:dial(T, #{}),
    Ref = spawned_by(C, cf_fake:pid(C), []),
    P = pid_of(C, Ref),
    hello = cf_fake:call(C, P, echo, [hello]).

caller_dies_link(T) ->
    C = cf_fake:dial(T, #{}),
    Me = cf_fake:pid(C), Ref = spawned_by(C, Me, [link]),
    P = pid_of(C, Ref),
    cf_fake:send(C, {24, Me, P}, gone),
    cf_fake:fence(C),
    false = cf_fake:call(C, is_alive, [P]).

lost(T) ->
    [begin
         C = cf_fake:dial(T, #{}),
         [spawned_by(C, cf_fake:pid(C), []) || _ <- lists:seq(1, 20)],
         cf_fake:close(C)
     end || _ <- lists:seq(1, 5)],
    cf_fake:fence(cf_fake:dial(T, #{})).

lost_link(T) ->
    W = cf_fake:dial(T, #{}),
    Count = fun() -> {puppet, _, _, _, N, _, _} = lists:keyfind(puppet, 1, cf_fake:call(W, acl, [list])), N end,
    Before = Count(),
    C = cf_fake:dial(T, #{name => list_to_atom(atom_to_list(cf:unique("lost")) ++ "@127.0.0.1"), on_alive => true}),
    [spawned_by(C, cf_fake:pid(C), [link]) || _ <- lists:seq(1, 50)],
    cf_fake:close(C),
    cf:wait("its processes are gone", fun() -> Count() =< Before end).

args_raw(C, Raw) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Me, Me, {noop, start, 0}, [monitor]}, {'$raw', Raw}),
    cf_fake:take(C, fun({signal, {31, R, _, 0, Why}, none, _}) when R =:= Ref -> {error, Why};
                       ({signal, {31, R, _, _, _}, none, _}) when R =:= Ref -> started;
                       (closed) -> closed end).

args_improper(T) ->
    C = cf_fake:dial(T, #{}),
    _ = args_raw(C, <<108, 1:32, 97, 1, 97, 2>>),
    C2 = cf_fake:dial(T, #{}),
    hello = cf_fake:call(C2, echo, [hello]).

args_nil_string(T) ->
    C = cf_fake:dial(T, #{}),
    [started = args_raw(C, Raw) || Raw <- [<<106>>, <<107, 3:16, "abc">>, <<108, 2:32, 97, 1, 106, 106>>]],
    hello = cf_fake:call(C, echo, [hello]).

args_huge(#{nut := Nut}) ->
    {_, M} = spawn_opt(Nut, noop, start, [lists:duplicate(5, binary:copy(<<"x">>, 2 * 1024 * 1024))], [monitor]),
    cf:same(normal, cf_live:down(M)).

args_unknown_type(T) ->
    C = cf_fake:dial(T, #{}), Other = cf_fake:dial(T, #{}),
    _ = args_raw(C, <<108, 1:32, 255, 106>>),
    hello = cf_fake:call(Other, echo, [hello]).

of_fun(#{nut := Nut} = T) ->
    {error, undef} = caught(fun() -> spawn_opt(Nut, fun() -> ok end, [monitor]) end),
    {error, undef} = caught(fun() -> spawn_opt(Nut, erlang, apply, [fun() -> ok end, []], [link]) end),
    cf_live:fence(T).

proc_lib(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    P = proc_lib:spawn_link(Nut, puppet, start, []),
    cf:same(P, cf_live:ask(T, P, self, [])),
    ok = cf_live:ask(T, P, exit, [shutdown]),
    cf:same(shutdown, cf_live:exit_of(P)).

proc_lib_refused(#{nut := Nut}) ->
    {error, not_allowed} = caught(fun() -> proc_lib:spawn_opt(Nut, closed, start, [], [link]) end).

erpc_not_allowed(#{nut := Nut}) ->
    {error, {erpc, not_allowed}} = caught(fun() -> apply(erpc, call, [Nut, conformance_closed, f, []]) end),
    cf:same({badrpc, {'EXIT', not_allowed}}, rpc:call(Nut, conformance_closed, f, [])).

erpc_multicall(#{nut := Nut} = T) ->
    cf:same([{ok, Nut}], apply(erpc, multicall, [[Nut], erlang, node, []])),
    cf:same([{error, {erpc, not_allowed}}], apply(erpc, multicall, [[Nut], conformance_closed, f, []])),
    cf_live:fence(T).

env(T) ->
    P = ok(T, [], [{env, [{a, 1}, {<<"b">>, "two"}, {a, 3}]}]),
    cf:same([{ok, 1}, {ok, "two"}, undefined], [tell(P, {env, K}) || K <- [a, b, c]]),
    stop(P).

fill(P, N) ->
    R = make_ref(),
    P ! {tell, self(), R, {sleep, 200}},
    [P ! filler || _ <- lists:seq(1, N)],
    R.

mailbox_exit(T) ->
    R = req([maps:get(nut, T), starter, start, [], [monitor, {mailbox, 5}]]),
    {ok, P} = reply(R),
    _ = fill(P, 20),
    cf:same(mailbox_overflow, cf_live:down(R)).

mailbox_drop(T) ->
    P = ok(T, [], [{mailbox, {5, drop}}]),
    R = fill(P, 100),
    receive {R, slept} -> ok after cf:ms(8000) -> cf:fail("it did not go on") end,
    cf:wait("it has room again", fun() -> Q = make_ref(), P ! {tell, self(), Q, application}, receive {Q, ''} -> true after 100 -> false end end),
    stop(P).

parent(T) ->
    P = ok(T, [], []),
    cf:same(self(), tell(P, parent)),
    cf:same(group_leader(), tell(P, leader)),
    stop(P).

caught(Fun) -> try Fun() of V -> V catch C:R -> {C, R} end.

%% A peer that does not offer SPAWN: the node is told by its flags. (OTP 23 falls back to net_kernel then, and from 25 on
%% a node refuses such a peer.)
no_spawn(T) ->
    C = cf_fake:dial(T, #{flags => cf_hs:hidden(cf_hs:flags(23)) band bnot (1 bsl 32)}),
    #{name := Name} = C,
    Watch = cf_fake:pid(C, 9),
    P = cf_fake:puppet(C),
    ok = cf_fake:call(C, P, watch, [Watch]),
    _ = cf_fake:call(C, P, spawn_request, [Name, some_module, start, [], []]),
    notsup = cf_fake:take(C, fun({signal, _, {saw, _, {spawn_reply, _, error, Why}}, _}) -> Why end),
    cf:same([], cf_fake:seen(C, fun({signal, {29, _, _, _, _, _}, _, _}) -> asked end)).

out_options(T) ->
    P = cf_live:watched(T),
    R = cf_live:ask(T, P, spawn_request, [node(), erlang, send, [self(), i_ran], [{application, shop}]]),
    cf:same({spawn_reply, R, error, badopt}, cf_live:saw(P)),
    ok = cf_live:ask(T, P, attributes, [shop]),
    [begin
         R2 = cf_live:ask(T, P, spawn_request, [node(), erlang, send, [self(), i_ran], [monitor]]),
         {spawn_reply, R2, ok, _} = cf_live:saw(P),
         i_ran = cf:got(fun(i_ran = M) -> M end),
         {'DOWN', R2, process, _, normal} = cf_live:saw(P)
     end || _ <- [1, 2, 3]].
