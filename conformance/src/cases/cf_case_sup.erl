%% SPDX-License-Identifier: Apache-2.0
%% Children that live on the node under test, of OTP's own supervisor here. (supervisor:count_children/1 is badarg for every
%% remote child, in OTP itself: it asks is_process_alive here.)
-module(cf_case_sup).
-behaviour(supervisor).
-export([cases/0, init/1, start/3]).

-define(SUP, "supervisor.erl").

cases() ->
    [{Id, What, Rule, [{needs, [spawn, gen, link | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'sup.children', "which_children knows the children there", ?SUP, [], [{varies, [dial, visible]}], fun children/1},
      {'sup.restart', "a child that crashes is restarted", ?SUP, [], [], fun restart/1},
      {'sup.transient', "a transient child that ends normally is not restarted", ?SUP, [], [], fun transient/1},
      {'sup.temporary', "a temporary child is not restarted whatever it ends with", ?SUP, [], [], fun temporary/1},
      {'sup.one_for_all', "one_for_all ends and restarts the other children too", ?SUP, [], [], fun one_for_all/1},
      {'sup.rest_for_one', "rest_for_one restarts those started after it", ?SUP, [], [], fun rest_for_one/1},
      {'sup.intensity', "too many restarts end the supervisor and its children", ?SUP, [], [], fun intensity/1},
      {'sup.terminate_child', "terminate_child, restart_child, delete_child", ?SUP, [], [], fun terminate_child/1},
      {'sup.shutdown', "the end of the supervisor ends its children with shutdown", ?SUP, [], [], fun shutdown/1},
      {'sup.supervisor_killed', "children of a supervisor that is killed end", ?SUP, [], [], fun supervisor_killed/1},
      {'sup.simple_one_for_one', "50 dynamic children, all ended with their supervisor", ?SUP, [], [], fun simple_one_for_one/1},
      {'sup.busy_timeout', "a busy child with a shutdown of 100 ms is killed in mid-spin", "supervisor.erl; design.md rule 11", [busy], [],
       fun(T) -> busy_child(T, 100) end},
      {'sup.busy_brutal_kill', "a busy child with brutal_kill ends in mid-spin", "supervisor.erl; design.md rule 11", [busy], [],
       fun(T) -> busy_child(T, brutal_kill) end},
      {'sup.busy_supervisor_ends', "a supervisor with a busy child ends in time", "supervisor.erl; design.md rule 11", [busy], [], fun busy_supervisor_ends/1},
      {'sup.busy_restart', "a busy child that is killed is restarted at once", "supervisor.erl; design.md rule 11", [busy], [], fun busy_restart/1},
      {'sup.refused', "a child that cannot be started is an error of start_child, and the supervisor goes on", ?SUP, [], [], fun refused/1},
      {'sup.connection_lost', "when the connection is lost the child is restarted on the next one", ?SUP, [], [], fun connection_lost/1}]].

init({Flags, Specs}) -> {ok, {maps:merge(#{strategy => one_for_one, intensity => 5, period => 10}, Flags), Specs}}.

start(Node, Factory, Args) -> {ok, spawn_link(Node, Factory, start_link, Args)}.

spec(#{nut := Nut}, Id) -> #{id => Id, start => {?MODULE, start, [Nut, counter, [0]]}, shutdown => 2000}.

sup(T, Ids) -> sup(T, Ids, #{}).
sup(T, Ids, Flags) ->
    {ok, S} = supervisor:start_link(?MODULE, {Flags, [spec(T, Id) || Id <- Ids]}),
    S.

child(S, Id) -> {Id, P, _, _} = lists:keyfind(Id, 1, supervisor:which_children(S)), P.

%% The child that takes the place of Old.
next(S, Id, Old) ->
    cf:wait("the child is restarted", fun() -> P = child(S, Id), is_pid(P) andalso P =/= Old end),
    child(S, Id).

stop(S) ->
    unlink(S),
    M = monitor(process, S),
    exit(S, shutdown),
    cf_live:down(M).

children(#{nut := Nut} = T) ->
    S = sup(T, [a, b]),
    [cf:same(Nut, node(child(S, Id))) || Id <- [a, b]],
    cf:same(7, gen_server:call(child(S, a), {add, 7})),
    cf:same(shutdown, stop(S)).

restart(T) ->
    S = sup(T, [a]), P = child(S, a),
    1 = gen_server:call(P, {add, 1}),
    P ! {exit, crash},
    cf:same(0, gen_server:call(next(S, a, P), get)),
    stop(S).

transient(T) ->
    {ok, S} = supervisor:start_link(?MODULE, {#{}, [(spec(T, a))#{restart => transient}]}),
    P = child(S, a), M = monitor(process, P),
    gen_server:cast(P, stop),
    normal = cf_live:down(M),
    cf:wait("it is not restarted", fun() -> child(S, a) =:= undefined end),
    stop(S).

temporary(T) ->
    {ok, S} = supervisor:start_link(?MODULE, {#{}, [(spec(T, a))#{restart => temporary}]}),
    child(S, a) ! {exit, crash},
    cf:wait("it is gone", fun() -> supervisor:which_children(S) =:= [] end),
    stop(S).

one_for_all(T) ->
    S = sup(T, [a, b], #{strategy => one_for_all}), A = child(S, a), B = child(S, b), M = monitor(process, B),
    A ! {exit, crash},
    cf:same(shutdown, cf_live:down(M)),
    next(S, a, A),
    next(S, b, B),
    stop(S).

rest_for_one(T) ->
    S = sup(T, [a, b, c], #{strategy => rest_for_one}), A = child(S, a), B = child(S, b), C = child(S, c),
    B ! {exit, crash},
    next(S, b, B),
    next(S, c, C),
    cf:same(A, child(S, a)),
    stop(S).

intensity(T) ->
    process_flag(trap_exit, true),
    S = sup(T, [a, b], #{intensity => 1}), A = child(S, a), B = child(S, b), M = monitor(process, B),
    A ! {exit, crash},
    A2 = next(S, a, A),
    A2 ! {exit, crash},
    cf:same(shutdown, cf_live:exit_of(S)),
    cf:same(shutdown, cf_live:down(M)).

terminate_child(T) ->
    S = sup(T, [a]), P = child(S, a), M = monitor(process, P),
    ok = supervisor:terminate_child(S, a),
    cf:same(shutdown, cf_live:down(M)),
    cf:same(undefined, child(S, a)),
    {ok, Q} = supervisor:restart_child(S, a),
    0 = gen_server:call(Q, get),
    {error, running} = supervisor:delete_child(S, a),
    ok = supervisor:terminate_child(S, a),
    ok = supervisor:delete_child(S, a),
    cf:same([], supervisor:which_children(S)),
    stop(S).

shutdown(T) ->
    S = sup(T, [a, b]), Ms = [monitor(process, child(S, Id)) || Id <- [a, b]],
    shutdown = stop(S),
    [cf:same(shutdown, cf_live:down(M)) || M <- Ms].

supervisor_killed(T) ->
    S = sup(T, [a]), M = monitor(process, child(S, a)),
    unlink(S),
    exit(S, kill),
    cf:same(killed, cf_live:down(M)).

simple_one_for_one(#{nut := Nut}) ->
    {ok, S} = supervisor:start_link(?MODULE, {#{strategy => simple_one_for_one},
                                              [#{id => x, start => {?MODULE, start, [Nut, counter]}, restart => temporary}]}),
    Ps = [begin {ok, P} = supervisor:start_child(S, [[N]]), P end || N <- lists:seq(1, 50)],
    cf:same(lists:seq(1, 50), [gen_server:call(P, get) || P <- Ps]),
    Ms = [monitor(process, P) || P <- Ps],
    shutdown = stop(S),
    [cf:same(shutdown, cf_live:down(M)) || M <- Ms].

busy(#{nut := Nut}, Shutdown) ->
    {ok, S} = supervisor:start_link(?MODULE, {#{}, [#{id => a, start => {?MODULE, start, [Nut, busy, []]}, shutdown => Shutdown}]}),
    P = child(S, a),
    _ = gen_server:send_request(P, {spin, 6000}),
    {S, P}.

timed(Fun) ->
    Began = erlang:monotonic_time(millisecond),
    Value = Fun(),
    {Value, erlang:monotonic_time(millisecond) - Began}.

busy_child(T, Shutdown) ->
    cf:in_time("terminate_child of a busy child", 3000,
               fun() ->
                   {S, P} = busy(T, Shutdown), M = monitor(process, P),
                   cf_live:fence(T),
                   {ok, Ms} = timed(fun() -> supervisor:terminate_child(S, a) end),
                   cf:check(lists:member(cf_live:down(M), [killed, shutdown]), "another reason"),
                   stop(S),
                   Ms
               end).

busy_supervisor_ends(T) ->
    cf:in_time("the end of a supervisor with a busy child", 3000,
               fun() ->
                   {S, P} = busy(T, 100), M = monitor(process, P),
                   cf_live:fence(T),
                   {shutdown, Ms} = timed(fun() -> stop(S) end),
                   _ = cf_live:down(M),
                   Ms
               end).

busy_restart(T) ->
    cf:in_time("the restart of a busy child", 3000,
               fun() ->
                   {S, P} = busy(T, 100),
                   cf_live:fence(T),
                   {Q, Ms} = timed(fun() -> exit(P, kill), next(S, a, P) end),
                   cf:same(done, gen_server:call(Q, {spin, 1})),
                   stop(S),
                   Ms
               end).

refused(#{nut := Nut} = T) ->
    S = sup(T, [a]),
    {error, _} = supervisor:start_child(S, #{id => bad, start => {?MODULE, no_such_start, [Nut]}}),
    0 = gen_server:call(child(S, a), get),
    stop(S).

connection_lost(T) ->
    S = sup(T, [a]), P = child(S, a),
    cf_live:disconnect(T),
    Q = next(S, a, P),
    cf:same(0, gen_server:call(Q, get)),
    stop(S).
