%% SPDX-License-Identifier: Apache-2.0
%% Cases that use the driver's own distribution: a real OTP node talks to the node under test.
-module(cf_live).
-export([connect/1, disconnect/1, ask/3, ask/4, puppet/1, watched/1, ended/3, spawn_linked/4, down/1, down/2, exit_of/1, saw/1, fence/1]).

%% Bring the link up in the direction that the job asks for.
connect(#{nut := Nut} = T) ->
    case lists:member(Nut, nodes(connected)) of
        true -> ok;
        false ->
            erlang:monitor_node(Nut, false),
            up(T),
            cf:wait("the driver is connected with " ++ atom_to_list(Nut),
                    fun() -> lists:member(Nut, nodes(connected)) end)
    end.

up(#{dial := driver, nut := Nut}) ->
    net_kernel:connect_node(Nut) =:= true orelse
        cf:fail("~s could not connect to ~s", [node(), Nut]);
up(#{dial := nut} = T) ->
    cf:nut_connect(T, node()).

disconnect(#{nut := Nut}) ->
    monitor_node(Nut, true),
    erlang:disconnect_node(Nut),
    receive {nodedown, Nut} -> ok after cf:ms(5000) -> cf:fail("no nodedown for ~s", [Nut]) end,
    cf:wait("gone", fun() -> not lists:member(Nut, nodes(connected)) end).

%% Ask the conformance process, or a puppet.
ask(#{nut := Nut} = T, Op, Args) -> ask(T, {conformance, Nut}, Op, Args).
ask(_, Whom, Op, Args) ->
    Ref = make_ref(),
    Whom ! {Op, self(), Ref, Args},
    receive {Ref, Result} -> Result
    after cf:ms(8000) -> cf:fail("no answer to ~p from ~p", [Op, Whom])
    end.

puppet(T) -> ask(T, spawn, []).

%% A puppet that passes on to us what it sees.
watched(T) ->
    P = puppet(T),
    ok = ask(T, P, watch, [self()]),
    P.

%% A puppet ends, and has ended; what it says because of that is here, or on its way before all that the node says later.
ended(#{caps := Caps} = T, P, Reason) ->
    Watch = case lists:member(monitor, Caps) of true -> monitor(process, P); false -> none end,
    ok = ask(T, P, exit, [Reason]),
    case Watch of
        none -> cf:wait("the process has ended", fun() -> ask(T, is_alive, [P]) =:= false end);
        _ -> cf:same(Reason, down(Watch), "reason")
    end.

fence(T) -> fence = ask(T, echo, [fence]), ok.

spawn_linked(#{nut := Nut}, M, F, A) -> spawn_link(Nut, M, F, A).

%% The reason of a DOWN message.
down(Ref) -> {_, Reason} = down(Ref, cf:ms(8000)), Reason.
down(Ref, Timeout) ->
    receive {'DOWN', Ref, process, What, Reason} -> {What, Reason}
    after Timeout -> cf:fail("no DOWN came within ~p ms; messages: ~0P", [Timeout, process_info(self(), messages), 40])
    end.

exit_of(Pid) ->
    receive {'EXIT', Pid, Reason} -> Reason
    after cf:ms(8000) -> cf:fail("no EXIT came from ~p; messages: ~0P", [Pid, process_info(self(), messages), 40])
    end.

%% What a watched puppet saw next.
saw(P) ->
    receive {saw, P, M} -> M
    after cf:ms(8000) -> cf:fail("~p reported nothing; messages: ~0P", [P, process_info(self(), messages), 40])
    end.
