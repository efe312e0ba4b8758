%% SPDX-License-Identifier: Apache-2.0
%% Processes that receive for themselves, as spawn makes them: straight-line code, no gen_server.
-module(cf_case_straight).
-export([cases/0, start/2]).

-define(REF, "Reference Manual, Processes").

cases() ->
    [{Id, What, Rule, [{needs, [spawn, straight | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'straight.spawn', "it is spawned, receives and answers", ?REF, [], [{varies, [dial, visible]}], fun spawned/1},
      {'straight.reply_first', "the answer to its spawn comes before what it sends at once", "erlang:spawn_request/5", [], [], fun reply_first/1},
      {'straight.badarg', "arguments that its start refuses are badarg, or end it", ?REF, [monitor], [], fun badarg/1},
      {'straight.returns', "at the end of its code: normal", ?REF, [link, monitor], [], fun returns/1},
      {'straight.stops', "it exits with any reason", ?REF, [link, monitor], [], fun stops/1},
      {'straight.order', "1,000 messages arrive in their order", ?REF, [], [], fun order/1},
      {'straight.selective', "a selective receive takes what it wants and leaves the rest in order", ?REF, [], [], fun selective/1},
      {'straight.call', "gen_server:call is a message that it answers", "gen.erl", [], [], fun call/1},
      {'straight.asks', "it calls a gen_server here", "gen_server.erl", [], [], fun asks/1},
      {'straight.asks_timeout', "a call that nobody answers times out, and the late answer disturbs no receive", "gen_server.erl", [], [{from, 24}],
       fun asks_timeout/1},
      {'straight.asks_noproc', "a call of a process that is gone is noproc", "gen_server.erl", [], [], fun asks_noproc/1},
      {'straight.asks_dies', "a server that ends before it answers is an error of the call", "gen_server.erl", [], [], fun asks_dies/1},
      {'straight.kill_receive', "killed in a receive: killed, at once", ?REF, [monitor], [], fun(T) -> ended(T, receives, kill, killed) end},
      {'straight.exit_receive', "another exit signal in a receive: its reason", ?REF, [monitor], [], fun(T) -> ended(T, receives, because, because) end},
      {'straight.kill_pick', "killed in a selective receive", ?REF, [monitor], [], fun(T) -> ended(T, picks, kill, killed) end},
      {'straight.kill_ask', "killed while it waits for the answer to a call", ?REF, [monitor], [], fun(T) -> ended(T, asks, kill, killed) end},
      {'straight.kill_spin', "killed while it spins: killed, at once", "design.md rule 11", [monitor], [], fun(T) -> ended(T, spins, kill, killed) end},
      {'straight.exit_spin', "another exit signal while it spins", "design.md rule 11", [monitor], [], fun(T) -> ended(T, spins, shutdown, shutdown) end},
      {'straight.exit_normal', "an exit signal normal is ignored", ?REF, [], [], fun exit_normal/1},
      {'straight.trap', "an exit that it traps is a message", ?REF, [link], [], fun trap/1},
      {'straight.trap_kill', "kill cannot be trapped", ?REF, [monitor], [], fun trap_kill/1},
      {'straight.linked', "the end of who is linked ends it, in its receive", ?REF, [link, monitor], [], fun linked/1},
      {'straight.connection', "the end of the connection ends it if it is linked", ?REF, [link], [], fun connection/1},
      {'straight.sys', "sys gets no answer, and nothing is disturbed", "sys.erl", [], [], fun sys_unanswered/1},
      {'straight.sup_child', "a supervisor's child: restarted when it crashes, ended with shutdown", "supervisor.erl", [link, monitor], [], fun sup_child/1},
      {'straight.sup_spinning', "a supervisor's child that spins is killed in time", "supervisor.erl", [link, monitor], [], fun sup_spinning/1},
      {'straight.many', "a hundred at a time, three times over", ?REF, [link], [], fun many/1}]].

new(#{nut := Nut}) -> spawn(Nut, straight, start, []).

answer(Ref) -> receive {Ref, X} -> X after 8000 -> timeout end.

tell(P, Op, Args) ->
    Ref = make_ref(),
    P ! list_to_tuple([Op, self(), Ref | Args]),
    Ref.

next() -> receive X -> X after 8000 -> timeout end.

echo(P, X) -> answer(tell(P, echo, [X])).

spawned(T) ->
    P = new(T),
    X = #{a => [1, 2.5, "x"], <<"b">> => {P, self()}},
    cf:same(X, echo(P, X)),
    P ! return.

reply_first(#{nut := Nut}) ->
    Id = erlang:spawn_request(Nut, straight, start, [{hello, self()}], []),
    {spawn_reply, Id, ok, P} = next(),
    cf:same({hello, P}, next()),
    P ! return.

%% A BEAM node starts it, and it ends with undef or function_clause.
badarg(#{nut := Nut}) ->
    try spawn_monitor(Nut, straight, start, [nonsense]) of
        {_, M} -> cf:check(cf_live:down(M) =/= normal, "it runs")
    catch error:Why -> cf:same(badarg, Why)
    end.

returns(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    P = spawn_link(Nut, straight, start_link, []), M = monitor(process, P),
    cf:same(hi, echo(P, hi)),
    P ! return,
    cf:same(normal, cf_live:exit_of(P)),
    cf:same(normal, cf_live:down(M)),
    cf:same(noproc, cf_live:down(monitor(process, P))),
    cf_live:fence(T).

stops(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    P = spawn_link(Nut, straight, start, []), M = monitor(process, P),
    P ! {stop, {why, ["not", 1]}},
    cf:same({why, ["not", 1]}, cf_live:exit_of(P)),
    cf:same({why, ["not", 1]}, cf_live:down(M)).

order(T) ->
    P = new(T),
    Refs = [tell(P, echo, [N]) || N <- lists:seq(1, 1000)],
    Got = [receive {R, X} when is_reference(R) -> {R, X} after 8000 -> timeout end || _ <- Refs],
    cf:same(lists:zip(Refs, lists:seq(1, 1000)), Got),
    P ! return.

selective(T) ->
    P = new(T),
    Pick = tell(P, pick, [b]),
    P ! {a, 1},
    Early = tell(P, echo, [early]),
    P ! {b, 2},
    cf:same(2, answer(Pick)),
    cf:same(early, answer(Early)),
    P ! return.

call(T) ->
    P = new(T),
    cf:same({echoed, {x, 1}}, gen_server:call(P, {x, 1})),
    cf:same({echoed, y}, gen_server:call(P, y, infinity)),
    P ! return.

%% Answers calls with Answer(Request); none: not at all.
server(Answer) ->
    spawn_link(fun Loop() ->
                   receive {'$gen_call', From, Request} ->
                       case Answer(Request) of
                           none -> ok;
                           {late, Then} -> receive {now, Whom} -> gen_server:reply(From, Then), Whom ! done end;
                           Reply -> gen_server:reply(From, Reply)
                       end
                   end,
                   Loop()
               end).

asks(T) ->
    P = new(T), S = server(fun(X) -> {you_said, X} end),
    [cf:same({ok, {you_said, N}}, answer(tell(P, ask, [S, N, 8000]))) || N <- lists:seq(1, 20)],
    P ! return.

asks_timeout(T) ->
    P = new(T), S = server(fun(_) -> {late, {b, late}} end),
    cf:same({error, timeout}, answer(tell(P, ask, [S, x, 50]))),
    S ! {now, self()},
    receive done -> ok end,
    cf:same(still, echo(P, still)),
    Pick = tell(P, pick, [b]),
    P ! {b, in_time},
    cf:same(in_time, answer(Pick)),
    P ! return.

asks_noproc(T) ->
    P = new(T), {Gone, M} = spawn_monitor(fun() -> ok end),
    normal = cf_live:down(M),
    cf:same({error, noproc}, answer(tell(P, ask, [Gone, x, 8000]))),
    P ! return.

asks_dies(T) ->
    P = new(T), S = spawn(fun() -> receive {'$gen_call', _, _} -> exit(enough) end end),
    cf:same({error, other}, answer(tell(P, ask, [S, x, 8000]))),
    P ! return.

%% Brings it to where it is to be, and ends it there.
ended(T, Where, Signal, Reason) ->
    P = new(T), M = monitor(process, P),
    at(P, Where),
    exit(P, Signal),
    cf:same(Reason, cf_live:down(M)),
    cf:same(noproc, cf_live:down(monitor(process, P))),
    Q = new(T),
    cf:same(next, echo(Q, next)),
    Q ! return.

at(P, receives) -> echo(P, x);
at(P, picks) -> _ = tell(P, pick, [never]), P ! {not_that, 1};
at(P, asks) ->
    Self = self(),
    S = server(fun(_) -> Self ! asked, none end),
    _ = tell(P, ask, [S, x, 60000]),
    receive asked -> ok end;
at(P, spins) -> spinning = answer(tell(P, spin, [])).

exit_normal(T) ->
    P = new(T),
    exit(P, normal),
    cf:same(still, echo(P, still)),
    P ! return.

trap(#{nut := Nut}) ->
    P = spawn(Nut, straight, start, []),
    ok = answer(tell(P, trap, [true])),
    exit(P, shutdown),
    cf:same({trapped, shutdown}, next()),
    {L, M} = spawn_monitor(fun() -> link(P), at(P, receives), exit({gone, 1}) end),
    {gone, 1} = cf_live:down(M),
    cf:same({trapped, {gone, 1}}, next()),
    cf:check(is_pid(L), "no process"),
    cf:same(still, echo(P, still)),
    P ! return.

trap_kill(T) ->
    P = new(T), M = monitor(process, P),
    ok = answer(tell(P, trap, [true])),
    exit(P, kill),
    cf:same(killed, cf_live:down(M)).

linked(T) ->
    P = new(T), M = monitor(process, P),
    {_, M2} = spawn_monitor(fun() -> link(P), at(P, receives), exit(over) end),
    over = cf_live:down(M2),
    cf:same(over, cf_live:down(M)).

connection(#{nut := Nut} = T) ->
    process_flag(trap_exit, true),
    P = spawn_link(Nut, straight, start, []),
    cf:same(hi, echo(P, hi)),
    cf_live:disconnect(T),
    cf:same(noconnection, cf_live:exit_of(P)),
    cf_live:connect(T),
    cf:wait("it is gone", fun() -> cf_live:down(monitor(process, P)) =:= noproc end).

sys_unanswered(T) ->
    P = new(T),
    cf:same(timeout, try sys:get_state(P, 50) catch exit:{timeout, _} -> timeout end),
    cf:same(still, echo(P, still)),
    P ! return.

%% For the supervisor.
start(Node, Args) -> {ok, spawn_link(Node, straight, start_link, Args)}.

sup(#{nut := Nut}, Shutdown) ->
    {ok, S} = supervisor:start_link(cf_case_sup, {#{}, [#{id => a, start => {?MODULE, start, [Nut, []]}, shutdown => Shutdown}]}),
    S.

child(S) -> [{a, P, _, _}] = supervisor:which_children(S), P.

next(S, Old) ->
    cf:wait("the child is restarted", fun() -> P = child(S), is_pid(P) andalso P =/= Old end),
    child(S).

stop(S) ->
    unlink(S),
    M = monitor(process, S),
    exit(S, shutdown),
    cf:same(shutdown, cf_live:down(M)).

sup_child(T) ->
    S = sup(T, 5000), P = child(S),
    cf:same(hi, echo(P, hi)),
    P ! {stop, crash},
    Q = next(S, P), M = monitor(process, Q),
    cf:same(again, echo(Q, again)),
    ok = supervisor:terminate_child(S, a),
    cf:same(shutdown, cf_live:down(M)),
    stop(S).

sup_spinning(T) ->
    S = sup(T, brutal_kill), P = child(S), M = monitor(process, P),
    at(P, spins),
    ok = supervisor:terminate_child(S, a),
    cf:same(killed, cf_live:down(M)),
    stop(S).

many(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    [begin
         Ps = [spawn_link(Nut, straight, start, []) || _ <- lists:seq(1, 100)],
         Refs = [tell(P, echo, [P]) || P <- Ps],
         cf:same(Ps, [answer(R) || R <- Refs]),
         [exit(P, shutdown) || P <- Ps],
         [cf:same(shutdown, cf_live:exit_of(P)) || P <- Ps]
     end || _ <- [1, 2, 3]],
    ok.
