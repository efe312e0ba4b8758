%% SPDX-License-Identifier: Apache-2.0
%% Peers that begin something with `global` and do not go on: a node with a watchdog lets go of them, and of them only.
%% OTP waits for ever; its nodes are not asked (CONTRACT.md, global_watchdog).
-module(cf_case_stall).
-export([cases/0]).
-import(cf_lone, [dial/2, name/0, internal/1, there/3, unlocked/2, healthy/2]).

cases() ->
    [{Id, What, "issue 6", [{needs, [global, global_watchdog]}, {only, visible}, {lane, stall}, {timeout, 60000}], fun(T) -> with(T, Shape, Fun) end}
     || {Id, What, Shape, Fun} <-
            [{'global.stall_hello', "a peer that stops after init_connect is let go of, and the next one joins", alone, fun(T, Nut) -> joining(T, Nut, hello) end},
             {'global.stall_locked', "a peer that stops after lock_set is let go of", alone, fun(T, Nut) -> joining(T, Nut, locked) end},
             {'global.stall_exchanged', "a peer that stops after exchange is let go of", alone, fun(T, Nut) -> joining(T, Nut, exchanged) end},
             {'global.stall_set_lock', "a member that does not answer set_lock is let go of: a registration ends", alone, fun(T, Nut) -> silent_to(T, Nut, set_lock) end},
             {'global.stall_register', "a member that does not answer register is let go of: a registration ends", alone, fun(T, Nut) -> silent_to(T, Nut, register) end},
             {'global.stall_del_lock', "a member that does not answer del_lock is let go of: a registration ends", alone, fun(T, Nut) -> silent_to(T, Nut, del_lock) end},
             {'global.stall_holder', "a member that has `global` locked and answers nothing is let go of", alone, fun holder/2},
             {'global.stall_worker', "one that has it locked for as long and answers is not", alone, fun worker/2},
             {'global.stall_patient', "a member that takes half of the time is not", alone, fun patient/2},
             {'global.stall_paused', "a node of OTP is stopped: a registration ends without it; it goes on, and is a member again", beside, fun paused/2}]].

%% NUT_GLOBAL_TIMEOUT, in seconds. It is waited for in each case.
timeout() -> min(4, cf:ms(2)).

with(T, alone, Fun) ->
    cf_cluster:with(T, [{nut, "nut", #{global_timeout => timeout()}}], fun(C) -> [Nut] = cf_cluster:names(C), Fun(T, Nut) end);
with(T, beside, Fun) ->
    cf_cluster:with(T, [{nut, "a", #{global_timeout => timeout()}}, {peer, "m"}, {peer, "n"}], fun(C) -> Fun(T, C) end).

%% Its connection ends when its time is over, not before, and nothing of it stays.
let_go(T, Nut, C, Began) ->
    cf_fake:closed(C, timeout() * 1000 + 8000),
    Took = erlang:monotonic_time(millisecond) - Began,
    cf:check(Took >= timeout() * 1000 - 100, "it was let go of after ~p ms already", [Took]),
    unlocked(Nut, global),
    cf_cluster:wait_known(Nut, []),
    healthy(T, Nut).

joining(T, Nut, Stage) ->
    C = dial(T, Nut), S = cf_member:hello(C),
    case Stage of
        hello -> cf_fake:take(C, fun({signal, {6, _, _, global_name_server}, {'$gen_call', _, {set_lock, _}}, _}) -> ok end);
        _ ->
            true = cf_member:take_locks(C, S),
            cf_member:lock_set(C, S, true),
            {_, true} = cf_member:got_lock_set(C, S)
    end,
    Began = erlang:monotonic_time(millisecond),
    Stage =:= exchanged andalso begin cf_member:got_exchange(C), cf_member:exchange(C, S, []), cf_member:got_resolved(C) end,
    let_go(T, Nut, C, Began).

%% Everything is answered but this.
silent_to(T, Nut, What) ->
    C = dial(T, Nut), N = name(), P = cf_cluster:puppet(Nut),
    cf_member:join(C),
    cf_member:rule(C, fun(Request) when element(1, Request) =:= What -> silent; (Request) -> cf_member:willing(Request) end),
    Began = erlang:monotonic_time(millisecond),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    there(Nut, N, internal(P)),
    let_go(T, Nut, C, Began).

%% Nobody can register a name while it has the lock, and nothing more is asked of it: the node has to ask by itself.
holder(T, Nut) ->
    C = dial(T, Nut), P = cf_fake:pid(C),
    cf_member:join(C),
    Began = erlang:monotonic_time(millisecond),
    true = cf_member:call_from(C, P, {set_lock, {global, P}}),
    let_go(T, Nut, C, Began).

worker(T, Nut) ->
    C = dial(T, Nut), P = cf_fake:pid(C),
    cf_member:join(C),
    true = cf_member:call_from(C, P, {set_lock, {global, P}}),
    [begin
         From = cf_fake:take(C, fun({signal, {6, _, _, global_name_server}, {'$gen_call', F, get_protocol_version}, _}) -> F end, timeout() * 1000 + 8000),
         cf_member:reply_to(C, From, 8)
     end || _ <- [1, 2, 3]],
    false = cf_member:call_from(C, P, {set_lock, {global, other}}),
    true = cf_member:call_from(C, P, {del_lock, {global, P}}),
    unlocked(Nut, global),
    cf:same([cf_member:me(C)], cf_cluster:known(Nut), "the nodes that it knows").

%% The peer's own slowness is what is tried here: nothing is waited for.
patient(T, Nut) ->
    C = dial(T, Nut), N = name(), P = cf_cluster:puppet(Nut),
    cf_member:join(C),
    cf_member:rule(C, fun(Request) -> receive after timeout() * 500 -> cf_member:willing(Request) end end),
    yes = cf_member:serve(C, cf_cluster:later(P, global_register, [N], self())),
    there(Nut, N, internal(P)),
    cf:same([cf_member:me(C)], cf_cluster:known(Nut), "the nodes that it knows"),
    cf:same([], cf_fake:seen(C, fun(closed) -> closed end)).

paused(_, #{nodes := Nodes} = C) ->
    cf_cluster:together(C),
    [A, M, N] = cf_cluster:names(C),
    [Proc] = [P || #{name := X, proc := P} <- Nodes, X =:= M],
    P = cf_cluster:puppet(A), Name = name(),
    cf_proc:pause(Proc),
    Asked = cf_cluster:later(P, global_register, [Name], self()),
    Answer = try cf_cluster:answer(Asked, timeout() * 3000 + 8000) after cf_proc:resume(Proc) end,
    cf:same(yes, Answer, "the registration"),
    cf:same(P, cf_cluster:ask(A, global_whereis, [Name])),
    %% What was stopped may accuse others late (lost_connection), and they let go of each other once more.
    cf:wait("the name is known everywhere", fun() ->
        cf_cluster:together(C),
        case [X || X <- [A, M, N], cf_cluster:ask(X, global_whereis, [Name]) =/= P] of [] -> true; Lacking -> Lacking end
    end, 20000),
    cf:wait("global is free everywhere", fun() -> cf_cluster:free([A, M, N], global) end).
