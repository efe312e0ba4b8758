%% SPDX-License-Identifier: Apache-2.0
%% Operating-system processes that end with us (through conformance/leash), their output kept in a file.
-module(cf_proc).
-export([start/3, os_pid/1, exited/1, signal/2, pause/1, resume/1, stop/1, kill/1, wait_exit/2, wait_line/3, output/1, free_port/0]).

%% Start Argv under the leash; a process of ours owns it. Options: {log, File}, {env, [{Name, Value}]}, {cd, Dir},
%% {tell, Pid} for a message {Process, {line, Line} | {exited, Status}} per event.
start(Title, Argv, Options) ->
    Owner = self(),
    Pid = spawn_link(fun() -> init(Owner, Title, Argv, Options) end),
    receive {Pid, started} -> Pid end.

init(Owner, Title, Argv, Options) ->
    process_flag(trap_exit, true),
    Port = open_port({spawn_executable, filename:join(cf:home(), "leash")},
                     [{args, Argv}, {line, 4096}, binary, exit_status, stderr_to_stdout, hide,
                      {env, proplists:get_value(env, Options, [])}
                      | [{cd, Dir} || {cd, Dir} <- Options]]),
    Log = case proplists:get_value(log, Options) of
              undefined -> none;
              File -> {ok, F} = file:open(File, [append, raw]), F
          end,
    State = #{title => Title, port => Port, log => Log, lines => [], part => <<>>, waiting => [], exited => false,
              tell => proplists:get_value(tell, Options, none)},
    Owner ! {self(), started},
    loop(State).

loop(#{port := Port, lines := Lines, part := Part, tell := Tell} = State) ->
    receive
        {Port, {data, {noeol, More}}} -> loop(State#{part => <<Part/binary, More/binary>>});
        {Port, {data, {eol, End}}} -> loop(wake(line(<<Part/binary, End/binary>>, State#{part => <<>>})));
        {Port, {exit_status, Status}} ->
            State1 = case State of #{exited := false} -> State#{exited => {exited, Status}}; _ -> State end,
            if is_pid(Tell) -> Tell ! {self(), maps:get(exited, State1)}; true -> ok end,
            loop(wake(State1#{closed => true}));
        {wait, From, Ref, What} ->
            loop(wake(State#{waiting => [{From, Ref, What} | maps:get(waiting, State)]}));
        {unwait, Ref} ->
            loop(State#{waiting => [W || {_, R, _} = W <- maps:get(waiting, State), R =/= Ref]});
        {exited, From, Ref} ->
            From ! {Ref, maps:get(exited, State)},
            loop(State);
        {output, From, Ref} ->
            From ! {Ref, lists:reverse(Lines)},
            loop(State);
        {stop, From, Ref} ->
            shut(Port),
            From ! {Ref, ok};
        {'EXIT', Port, _} -> loop(State);
        {'EXIT', _, Reason} -> shut(Port), exit(Reason)
    end.

line(<<"leash exit ", Status/binary>>, State) -> State#{exited => {exited, binary_to_integer(Status)}};
line(<<"leash ", Pid/binary>>, State) when not is_map_key(os_pid, State) -> State#{os_pid => binary_to_integer(Pid)};
line(Line, #{lines := Lines, log := Log, tell := Tell} = State) ->
    if Log =/= none -> file:write(Log, [Line, $\n]); true -> ok end,
    if is_pid(Tell) -> Tell ! {self(), {line, Line}}; true -> ok end,
    State#{lines => [Line | lists:sublist(Lines, 499)]}.

shut(Port) -> try port_close(Port) catch error:badarg -> true end.

wake(#{waiting := Waiting} = State) ->
    State#{waiting => [W || {From, Ref, What} = W <- Waiting, not answer(From, Ref, found(What, State))]}.

answer(_, _, no) -> false;
answer(From, Ref, Found) -> From ! {Ref, Found}, true.

found(os_pid, #{os_pid := Pid}) -> Pid;
found(exit, #{exited := {exited, _} = Exit}) -> Exit;
found({line, Word}, #{lines := Lines, exited := Exited}) ->
    case [L || L <- Lines, binary:match(L, Word) =/= nomatch] of
        [L | _] -> {line, L};
        [] when Exited =/= false -> Exited;
        [] -> no
    end;
found(os_pid, #{exited := Exit}) when Exit =/= false -> Exit;
found(_, _) -> no.

ask(Pid, What, Timeout) ->
    Ref = make_ref(),
    Mon = monitor(process, Pid),
    Pid ! {wait, self(), Ref, What},
    receive
        {Ref, Found} -> demonitor(Mon, [flush]), Found;
        {'DOWN', Mon, _, _, Why} -> {gone, Why}
    after Timeout ->
        Pid ! {unwait, Ref},
        demonitor(Mon, [flush]),
        receive {Ref, Found} -> Found after 0 -> timeout end
    end.

os_pid(Pid) -> ask(Pid, os_pid, cf:ms(5000)).
wait_exit(Pid, Timeout) -> ask(Pid, exit, Timeout).

%% A line that contains Word: {line, Line} | {exited, Status} | timeout.
wait_line(Pid, Word, Timeout) -> ask(Pid, {line, Word}, Timeout).

%% false | {exited, Status}, as things stand now.
exited(Pid) ->
    Ref = make_ref(),
    Mon = monitor(process, Pid),
    Pid ! {exited, self(), Ref},
    receive {Ref, Exited} -> demonitor(Mon, [flush]), Exited; {'DOWN', Mon, _, _, _} -> {exited, gone} end.

output(Pid) ->
    Ref = make_ref(),
    Pid ! {output, self(), Ref},
    receive {Ref, Lines} -> Lines after 1000 -> [] end.

signal(Pid, Signal) ->
    Number = os_pid(Pid),
    "" = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(Number) ++ " 2>/dev/null"),
    ok.

%% Stop it, until it stands: the signal reaches a thread only when that runs.
pause(Pid) ->
    signal(Pid, "STOP"),
    Tasks = lists:concat(["/proc/", os_pid(Pid), "/task/*/stat"]),
    cf:wait("the process stands", fun() -> lists:all(fun stands/1, filelib:wildcard(Tasks)) end).

stands(File) ->
    case file:read_file(File) of
        {ok, Stat} -> re:run(Stat, "\\) [TtZX] ") =/= nomatch;
        {error, _} -> true
    end.

resume(Pid) -> signal(Pid, "CONT").

%% Close the leash: the process is killed and collected.
stop(Pid) ->
    Ref = make_ref(),
    Mon = monitor(process, Pid),
    unlink(Pid),
    Pid ! {stop, self(), Ref},
    receive {Ref, ok} -> demonitor(Mon, [flush]), ok; {'DOWN', Mon, _, _, _} -> ok end.

%% Kill it and return when it is gone.
kill(Pid) ->
    signal(Pid, "KILL"),
    wait_exit(Pid, cf:ms(5000)),
    stop(Pid).

%% A TCP port that nobody uses now, and that the kernel gives to nobody who asks for any: it is free until its epmd is there.
free_port() ->
    Port = 20000 + rand:uniform(10000) - 1,
    case gen_tcp:listen(Port, [{ip, {127,0,0,1}}]) of
        {ok, L} -> gen_tcp:close(L), Port;
        {error, _} -> free_port()
    end.
