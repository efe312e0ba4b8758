%% SPDX-License-Identifier: Apache-2.0
%% Starting and ending the node under test, as CONTRACT.md says it is done.
-module(cf_nut).
-export([start/1, start/2, launch/2, ready/1, stop/1, kill/1, restart/1, pause/1, resume/1, alive/1]).

-define(READY, 20000).

%% T needs: nut, cookie, epmd, visible, dir, command. Options: name, visible, ticktime, options, cookie.
start(T) -> start(T, #{}).
start(T, Options) -> ready(launch(T, Options)).

%% In two steps, so that several can get ready side by side. More options: epmd, log.
launch(#{command := Command, dir := Dir, epmd := Epmd} = T, Options) ->
    Name = maps:get(name, Options, maps:get(nut, T)),
    Env = [{"NUT_NAME", atom_to_list(Name)},
           {"NUT_COOKIE", atom_to_list(maps:get(cookie, Options, maps:get(cookie, T)))},
           {"NUT_VISIBLE", atom_to_list(maps:get(visible, Options, maps:get(visible, T)))},
           {"NUT_TICKTIME", integer_to_list(maps:get(ticktime, Options, 60))},
           {"NUT_OPTIONS", maps:get(options, Options, "")},
           {"ERL_EPMD_PORT", integer_to_list(maps:get(epmd, Options, Epmd))},
           {"ERL_CRASH_DUMP", "/dev/null"}
           | maps:get(env, T, [])],
    Log = filename:join(Dir, maps:get(log, Options, "nut.log")),
    T#{nut => Name, proc => cf_proc:start("nut", ["/bin/sh", "-c", "exec " ++ Command], [{env, Env}, {log, Log}, {cd, Dir}])}.

ready(#{proc := Proc, command := Command} = T) ->
    case cf_proc:wait_line(Proc, <<"ready">>, cf:ms(?READY)) of
        {line, _} -> T;
        Other ->
            Said = cf_proc:output(Proc),
            cf_proc:stop(Proc),
            cf:fail("the node under test did not get ready (~p); it said:~n~s~nits command was: ~s",
                    [Other, lists:join($\n, Said), Command])
    end.

alive(#{proc := Proc}) -> cf_proc:exited(Proc) =:= false;
alive(_) -> false.

%% Ask it to end, by SIGTERM; true if it obeys.
stop(#{proc := Proc}) ->
    cf_proc:signal(Proc, "TERM"),
    Exit = cf_proc:wait_exit(Proc, cf:ms(10000)),
    cf_proc:stop(Proc),
    Exit.

kill(#{proc := Proc}) -> cf_proc:kill(Proc).

restart(T) ->
    kill(T),
    start(T).

pause(#{proc := Proc}) -> cf_proc:pause(Proc).
resume(#{proc := Proc}) -> cf_proc:resume(Proc).
