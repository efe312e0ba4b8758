%% SPDX-License-Identifier: Apache-2.0
%% Spawning on the node: every way a BEAM has of asking, replies, flags, order, refusals, access lists.
-module(cf_case_spawn).
-export([cases/0]).

-define(DOC, "erlang:spawn_request/5; erl_dist_protocol.html SPAWN_REQUEST, SPAWN_REPLY").
-define(BIF, "erlang:spawn/4, spawn_link/4, spawn_monitor/4, spawn_opt/5").
-define(ALL, {varies, [dial, visible]}).

cases() ->
    [{Id, What, Rule, [{needs, [spawn | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'spawn.spawn', "spawn gives a pid of the node; the process works", ?BIF, [], [?ALL], fun spawn_works/1},
      {'spawn.link', "spawn_link: its end is an EXIT here", ?BIF, [], [?ALL], fun spawn_link_works/1},
      {'spawn.monitor', "spawn_monitor: its end is a DOWN here", ?BIF, [], [?ALL], fun spawn_monitor_works/1},
      {'spawn.opt_link_monitor', "spawn_opt with link and monitor: both EXIT and DOWN", ?BIF, [], [], fun opt_link_monitor/1},
      {'spawn.opt_none', "spawn_opt without options", ?BIF, [], [], fun opt_none/1},
      {'spawn.opt_ignored', "heap and priority options are taken", ?BIF, [], [], fun opt_ignored/1},
      {'spawn.request', "spawn_request: {spawn_reply, ReqId, ok, Pid}", ?DOC, [], [], fun request/1},
      {'spawn.request_tag', "a reply tag of ours is kept", ?DOC, [], [], fun request_tag/1},
      {'spawn.request_no_reply', "{reply, no}: nothing comes", ?DOC, [], [], fun request_no_reply/1},
      {'spawn.request_abandoned', "an abandoned request gives nothing, and its link does no harm", ?DOC, [], [], fun request_abandoned/1},
      {'spawn.short_lived', "a process that ends at once: pid first, then DOWN normal", ?BIF, [], [], fun short_lived/1},
      {'spawn.short_lived_link', "a linked process that ends at once: EXIT normal", ?BIF, [], [], fun short_lived_link/1},
      {'spawn.thousand', "1,000 spawns give 1,000 different pids", ?BIF, [], [], fun thousand/1},
      {'spawn.pipelined', "1,000 requests without waiting: 1,000 replies", ?DOC, [], [], fun pipelined/1},
      {'spawn.concurrent', "spawns from 20 processes at once", ?BIF, [], [], fun concurrent/1},
      {'spawn.args_small_ints', "arguments that are all bytes (they travel as a string)", ?BIF, [gen], [], fun args_small_ints/1},
      {'spawn.args_large_int', "a large integer as an argument", ?BIF, [gen], [], fun args_large_int/1},
      {'spawn.args_big', "arguments of 1 MB", ?BIF, [], [], fun args_big/1},
      {'spawn.args_many', "any number of arguments", ?BIF, [], [], fun args_many/1},
      {'spawn.start_link', "start_link as the function", "CONTRACT.md", [gen], [], fun start_link/1},
      {'spawn.unknown_module', "an unknown module: undef, by reply or as the reason of the exit", ?BIF, [], [?ALL], fun unknown_module/1},
      {'spawn.unknown_function', "an unknown function: undef", ?BIF, [], [], fun unknown_function/1},
      {'spawn.unknown_link', "an unknown module with link: EXIT undef", ?BIF, [], [], fun unknown_link/1},
      {'spawn.bad_arguments', "arguments the factory cannot take: badarg", "CONTRACT.md", [gen], [], fun bad_arguments/1},
      {'spawn.after_refusal', "after a refusal the next spawn works", ?BIF, [], [], fun after_refusal/1},
      {'spawn.group_leader', "the spawned process has our group leader", ?BIF, [group_leader], [], fun group_leader_kept/1},
      {'spawn.supervisor', "a supervisor here starts, restarts and ends children there", "supervisor.erl", [gen], [], fun supervised/1},
      {'spawn.connection_lost', "the connection ends: EXIT and DOWN noconnection for spawned processes", ?BIF, [], [], fun connection_lost/1},
      {'spawn.by_node', "it spawns here: the pid comes as a reply, the process runs", ?DOC, [spawn_out], [{from, 23}], fun by_node/1},
      {'spawn.by_node_link', "it spawns here with a link: our process's end reaches it", ?DOC, [spawn_out], [], fun by_node_link/1},
      {'spawn.wire_reply', "SPAWN_REPLY echoes id and process, flags 0 without link and monitor", ?DOC, [], [raw], fun(T) -> wire(T, [], 0) end},
      {'spawn.wire_link_flag', "flag 1 for link", ?DOC, [], [raw], fun(T) -> wire(T, [link], 1) end},
      {'spawn.wire_monitor_flag', "flag 2 for monitor", ?DOC, [], [raw], fun(T) -> wire(T, [monitor], 2) end},
      {'spawn.wire_both_flags', "flags 3 for link and monitor", ?DOC, [], [raw], fun(T) -> wire(T, [link, monitor], 3) end},
      {'spawn.wire_many_options', "options a process cannot use do no harm", ?DOC, [], [raw], fun(T) -> wire(T, [{priority, high}, {fullsweep_after, 5}, {min_heap_size, 300}, {min_bin_vheap_size, 50000}, {message_queue_data, off_heap}, link], 1) end},
      {'spawn.wire_bad_option', "an unknown option: badopt, flags 0", ?DOC, [], [raw], fun wire_bad_option/1},
      {'spawn.wire_improper_options', "an improper option list: badopt", ?DOC, [], [raw], fun wire_improper_options/1},
      {'spawn.wire_order', "the reply comes before EXIT, EXIT before DOWN", ?DOC, [], [raw], fun wire_order/1},
      {'spawn.wire_reply_before_message', "the reply comes before the first message of the new process", ?DOC, [], [raw], fun wire_reply_before_message/1},
      {'spawn.wire_arity_mismatch', "the argument list counts, not the arity of the request", "dist.c", [], [raw], fun wire_arity_mismatch/1},
      {'spawn.wire_tt', "(27) SPAWN_REQUEST_TT is understood", ?DOC, [seq_trace], [raw], fun wire_tt/1},
      {'spawn.wire_ref_kept', "a request id of 5 words is echoed", ?DOC, [], [raw, {from, 24}], fun wire_ref_kept/1},
      {'spawn.wire_string_arguments', "arguments encoded as a string or as a list are the same", ?DOC, [gen], [raw], fun wire_string_arguments/1},
      {'spawn.wire_peer_gone', "a peer that leaves right after its request disturbs nobody", ?DOC, [], [raw], fun wire_peer_gone/1},
      {'spawn.acl_closed', "a factory that is closed for all: not_allowed", "issue 2", [acl], [], fun acl_closed/1},
      {'spawn.acl_unlisted', "a factory for others: not_allowed", "issue 2", [acl], [raw], fun acl_unlisted/1},
      {'spawn.acl_listed', "a factory for us: works", "issue 2", [acl], [raw], fun acl_listed/1},
      {'spawn.acl_by_handshake', "the name of the handshake counts, not the pid in the request", "issue 2", [acl], [raw], fun acl_by_handshake/1},
      {'spawn.acl_then_open', "after a refusal open factories still work", "issue 2", [acl], [], fun acl_then_open/1}]].

spawn_works(#{nut := Nut} = T) ->
    P = spawn(Nut, puppet, start, []),
    cf:same(Nut, node(P)),
    cf:same(hello, cf_live:ask(T, P, echo, [hello])).

spawn_link_works(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    P = spawn_link(Nut, puppet, start, []),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)).

spawn_monitor_works(#{nut := Nut} = T) ->
    {P, M} = spawn_opt(Nut, puppet, start, [], [monitor]),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same({P, bye}, cf_live:down(M, cf:ms(8000))).

opt_link_monitor(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    {P, M} = spawn_opt(Nut, puppet, start, [], [link, monitor]),
    ok = cf_live:ask(T, P, exit, [bye]),
    cf:same(bye, cf_live:exit_of(P)),
    cf:same(bye, cf_live:down(M)).

opt_none(#{nut := Nut} = T) -> P = spawn_opt(Nut, puppet, start, [], []), cf:same(P, cf_live:ask(T, P, self, [])).

opt_ignored(#{nut := Nut} = T) ->
    P = spawn_opt(Nut, puppet, start, [], [{priority, low}, {min_heap_size, 1000}, {fullsweep_after, 10}]),
    cf:same(P, cf_live:ask(T, P, self, [])).

req(Args) -> apply(erlang, spawn_request, Args).

request(#{nut := Nut} = T) ->
    R = req([Nut, puppet, start, [], []]),
    P = receive {spawn_reply, R, ok, X} -> X after cf:ms(8000) -> cf:fail("no reply") end,
    cf:same(P, cf_live:ask(T, P, self, [])).

request_tag(#{nut := Nut}) ->
    R = req([Nut, puppet, start, [], [{reply_tag, {my, tag}}]]),
    receive {{my, tag}, R, ok, P} when is_pid(P) -> ok after cf:ms(8000) -> cf:fail("no reply") end.

request_no_reply(#{nut := Nut} = T) ->
    R = req([Nut, puppet, start, [], [{reply, no}]]),
    cf_live:fence(T),
    cf:not_got(fun({spawn_reply, X, _, _}) when X =:= R -> ok end).

request_abandoned(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    R = req([Nut, puppet, start, [], [link]]),
    _ = apply(erlang, spawn_request_abandon, [R]),
    cf_live:fence(T), cf_live:fence(T).

short_lived(#{nut := Nut}) ->
    [begin {P, M} = spawn_opt(Nut, noop, start, [], [monitor]), cf:same({P, normal}, cf_live:down(M, cf:ms(8000))) end || _ <- lists:seq(1, 50)].

short_lived_link(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    [begin P = spawn_link(Nut, noop, start, []), cf:same(normal, cf_live:exit_of(P)) end || _ <- lists:seq(1, 50)].

thousand(#{nut := Nut}) -> cf:same(1000, length(lists:usort([spawn(Nut, noop, start, [N]) || N <- lists:seq(1, 1000)]))).

pipelined(#{nut := Nut}) ->
    Rs = [req([Nut, noop, start, [], []]) || _ <- lists:seq(1, 1000)],
    Ps = [receive {spawn_reply, R, ok, P} -> P after cf:ms(8000) -> cf:fail("a reply is missing") end || R <- Rs],
    cf:same(1000, length(lists:usort(Ps))).

concurrent(#{nut := Nut}) ->
    Ws = [spawn_monitor(fun() -> [true = is_pid(spawn(Nut, noop, start, [])) || _ <- lists:seq(1, 50)], exit(done) end) || _ <- lists:seq(1, 20)],
    [cf:same(done, cf_live:down(M)) || {_, M} <- Ws].

total(P) -> gen_server:call(P, get, cf:ms(8000)).

args_small_ints(#{nut := Nut}) -> cf:same(42, total(spawn(Nut, counter, start, [42]))).
args_large_int(#{nut := Nut}) -> cf:same(1 bsl 40, total(spawn(Nut, counter, start, [1 bsl 40]))).
args_big(#{nut := Nut}) ->
    {_, M} = spawn_opt(Nut, noop, start, [binary:copy(<<1>>, 1048576)], [monitor]),
    cf:same(normal, cf_live:down(M)).
args_many(#{nut := Nut}) ->
    [begin {_, M} = spawn_opt(Nut, noop, start, lists:duplicate(N, {arg, N}), [monitor]), cf:same(normal, cf_live:down(M)) end || N <- lists:seq(0, 5)].
start_link(#{nut := Nut}) -> cf:same(3, total(spawn(Nut, counter, start_link, [3]))).

%% The reason, whether the refusal is a reply or the end of a process that was made.
reason(Nut, M, F, A) ->
    R = req([Nut, M, F, A, [monitor]]),
    receive
        {spawn_reply, R, error, Why} -> Why;
        {spawn_reply, R, ok, P} -> {P, Why} = cf_live:down(R, cf:ms(8000)), case Why of {W, _} -> W; W -> W end
    after cf:ms(8000) -> cf:fail("no answer to a spawn of ~p:~p", [M, F])
    end.

unknown_module(#{nut := Nut}) -> cf:same(undef, reason(Nut, no_such_module, start, [])).
unknown_function(#{nut := Nut}) -> cf:same(undef, reason(Nut, counter, no_such_function, [1])).

unknown_link(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    Got = try spawn_link(Nut, no_such_module, start, []) of P -> cf_live:exit_of(P) catch error:E -> E end,
    case Got of undef -> ok; {undef, _} -> ok; _ -> cf:fail("got ~p", [Got]) end.

bad_arguments(#{nut := Nut}) -> cf:same(badarg, reason(Nut, counter, start, [not_a_number])).

after_refusal(#{nut := Nut} = T) ->
    _ = reason(Nut, no_such_module, start, []),
    spawn_works(T).

group_leader_kept(#{nut := Nut} = T) ->
    P = spawn(Nut, puppet, start, []),
    cf:same(group_leader(), cf_live:ask(T, P, group_leader, [])).

%% A hand-made supervisor: OTP's own, with a child that is spawned there and linked.
supervised(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    {ok, S} = supervisor:start_link(cf_remote_sup, Nut),
    [{_, P, worker, _}] = supervisor:which_children(S),
    cf:same(Nut, node(P)),
    5 = gen_server:call(P, get),
    M = monitor(process, P),
    P ! {exit, crash},
    crash = cf_live:down(M),
    cf:wait("it has been restarted", fun() -> case supervisor:which_children(S) of [{_, Q, _, _}] when is_pid(Q), Q =/= P -> true; Other -> Other end end),
    [{Id, Q, _, _}] = supervisor:which_children(S),
    N = monitor(process, Q),
    ok = supervisor:terminate_child(S, Id),
    cf:same(shutdown, cf_live:down(N)),
    unlink(S), exit(S, shutdown).

connection_lost(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    {P, M} = spawn_opt(Nut, puppet, start, [], [link, monitor]),
    cf_live:disconnect(T),
    cf:same(noconnection, cf_live:exit_of(P)),
    cf:same(noconnection, cf_live:down(M)).

by_node(T) ->
    P = cf_live:watched(T),
    R = cf_live:ask(T, P, spawn_request, [node(), erlang, send, [self(), i_ran], []]),
    {spawn_reply, R, ok, Pid} = cf_live:saw(P),
    cf:same(node(), node(Pid)),
    i_ran = cf:got(fun(i_ran = M) -> M end).

by_node_link(T) ->
    P = cf_live:watched(T),
    cf_live:ask(T, P, trap_exit, [true]),
    R = cf_live:ask(T, P, spawn_request, [node(), erlang, exit, [bye], [link]]),
    {spawn_reply, R, ok, Pid} = cf_live:saw(P),
    cf:same({'EXIT', Pid, bye}, cf_live:saw(P)).

%% On the wire.
request_on(C, MFA, Options, Args) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Me, Me, MFA, Options}, Args),
    {Me, Ref}.

reply(C, Me, Ref) -> cf_fake:take(C, fun({signal, {31, R, To, Flags, Result}, none, _}) when R =:= Ref, To =:= Me -> {Flags, Result} end).

wire(T, Options, Expected) ->
    C = cf_fake:dial(T, #{}),
    {Me, Ref} = request_on(C, {puppet, start, 0}, Options, []),
    {Flags, {'$pid', Node, _, _, _} = P} = reply(C, Me, Ref),
    cf:same(Expected, Flags, "flags"),
    cf:same(maps:get(nut, T), Node),
    cf:same(P, cf_fake:call(C, P, self, [])).

wire_bad_option(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         {Me, Ref} = request_on(C, {puppet, start, 0}, Options, []),
         cf:same({0, badopt}, reply(C, Me, Ref))
     end || Options <- [[no_such_option, link], [{no_such_option, 1}, link]]].

wire_improper_options(T) ->
    C = cf_fake:dial(T, #{}),
    {Me, Ref} = request_on(C, {puppet, start, 0}, [link | monitor], []),
    cf:same({0, badopt}, reply(C, Me, Ref)).

%% All signals of the new process, in the order of arrival.
wire_order(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         {Me, Ref} = request_on(C, {noop, start, 0}, [link, monitor], []),
         Said = fun() -> cf_fake:seen(C, fun({signal, {31, R, _, 3, _}, _, _}) when R =:= Ref -> reply;
                                            ({signal, {3, _, To, _}, _, _}) when To =:= Me -> exit;
                                            ({signal, {24, _, To}, _, _}) when To =:= Me -> exit;
                                            ({signal, {21, _, _, R, _}, _, _}) when R =:= Ref -> down;
                                            ({signal, {28, _, _, R}, _, _}) when R =:= Ref -> down end) end,
         cf:wait("all three are here", fun() -> length(Said()) =:= 3 end),
         cf:same([reply, exit, down], Said())
     end || _ <- lists:seq(1, 20)].

wire_reply_before_message(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
         cf_fake:send(C, {29, Ref, Me, Me, {herald, start, 1}, []}, [Me]),
         Both = fun({signal, {31, R, _, 0, _}, _, _}) when R =:= Ref -> reply;
                   ({signal, {_, _, To}, {herald, _}, _}) when To =:= Me -> message end,
         cf:wait("the reply and the message are here", fun() -> length(cf_fake:seen(C, Both)) =:= 2 end),
         cf:same([reply, message], cf_fake:seen(C, Both))
     end || _ <- lists:seq(1, 20)].

wire_arity_mismatch(T) ->
    C = cf_fake:dial(T, #{}),
    {Me, Ref} = request_on(C, {puppet, start, 7}, [], []),
    {0, P} = reply(C, Me, Ref),
    hello = cf_fake:call(C, P, echo, [hello]).

wire_tt(T) ->
    C = cf_fake:dial(T, #{}), Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {30, Ref, Me, Me, {puppet, start, 0}, [], {0, l, 1, Me, 0}}, []),
    cf_fake:take(C, fun({signal, {31, R, To, 0, _}, none, _}) when R =:= Ref, To =:= Me -> ok;
                       ({signal, {32, R, To, 0, _, _}, none, _}) when R =:= Ref, To =:= Me -> ok end).

wire_ref_kept(T) ->
    C = cf_fake:dial(T, #{}), Me = cf_fake:pid(C), Ref = cf_fake:ref(C, 5),
    cf_fake:send(C, {29, Ref, Me, Me, {puppet, start, 0}, []}, []),
    {0, _} = reply(C, Me, Ref).

wire_string_arguments(T) ->
    C = cf_fake:dial(T, #{}),
    [begin
         {Me, Ref} = request_on(C, {counter, start, 1}, [], {'$raw', Raw}),
         {0, P} = reply(C, Me, Ref),
         Caller = cf_fake:pid(C), Tag = cf_fake:ref(C),
         cf_fake:to(C, P, {'$gen_call', {Caller, Tag}, get}),
         42 = cf_fake:take(C, fun({signal, _, {R, V}, _}) when R =:= Tag -> V end)
     end || Raw <- [<<107, 1:16, 42>>, <<108, 1:32, 97, 42, 106>>, <<108, 1:32, 98, 42:32, 106>>]].

wire_peer_gone(T) ->
    [begin
         C = cf_fake:dial(T, #{}),
         [request_on(C, {noop, start, 0}, [link, monitor], []) || _ <- lists:seq(1, 10)],
         cf_fake:close(C)
     end || _ <- lists:seq(1, 10)],
    cf_fake:fence(cf_fake:dial(T, #{})).

acl_closed(#{nut := Nut}) -> cf:same(not_allowed, reason(Nut, closed, start, [])).

as(T, Name) ->
    C = cf_fake:dial(T, #{name => Name, on_alive => true}),
    {Me, Ref} = request_on(C, {friends, start, 0}, [], []),
    Result = reply(C, Me, Ref),
    cf_fake:close(C),
    Result.

acl_unlisted(T) -> cf:same({0, not_allowed}, as(T, list_to_atom(atom_to_list(cf:unique("stranger")) ++ "@127.0.0.1"))).
acl_listed(T) -> {0, {'$pid', _, _, _, _}} = as(T, 'friend@127.0.0.1').

%% The pid claims to be the friend's: the request is refused, or the link ended for the foreign pid.
acl_by_handshake(T) ->
    C = cf_fake:dial(T, #{}), Friend = {'$pid', 'friend@127.0.0.1', 5, 0, 77}, Ref = cf_fake:ref(C),
    cf_fake:send(C, {29, Ref, Friend, Friend, {friends, start, 0}, []}, []),
    cf_fake:take(C, fun({signal, {31, R, _, 0, not_allowed}, none, _}) when R =:= Ref -> ok; (closed) -> ok end).

acl_then_open(#{nut := Nut} = T) -> not_allowed = reason(Nut, closed, start, []), spawn_works(T).
