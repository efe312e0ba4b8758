%% SPDX-License-Identifier: Apache-2.0
%% The runner: which jobs there are, two (or --jobs) at a time, results as TAP, JUnit and a summary.
-module(cf_run).
-export([main/1, stopped/1]).

-define(TERMINATED, 143).           % the status that a shell gives who was ended by SIGTERM
-define(EYE_EPMD, 4369).            % in a network of its own

main(Args) ->
    io:setopts([{encoding, unicode}]),
    process_flag(trap_exit, true),
    %% A run that is ended is none that passed: the emulator would stop in good order, with status 0.
    ok = os:set_signal(sigterm, default),
    spawn_link(fun held/0),
    case options(Args, defaults()) of
        #{list := true} = O -> io:put_chars(list(O)), halt(0);
        O -> halt(go(O))
    end.

%% Kernel's shutdown_func, for a SIGTERM before that.
stopped(_) -> halt(?TERMINATED).

%% The shell that started us (cnode-conformance) has the other end of our standard input, and writes nothing: it has ended.
held() ->
    Port = open_port({fd, 0, 0}, [in, eof]),
    receive {Port, eof} -> halt(?TERMINATED) end.

defaults() ->
    #{node => os:getenv("CONFORMANCE_NODE", ""), releases => [], erls => [], only => [], list => false, junit => none,
      report => none, jobs => 2, dial => [driver, nut], visible => [false, true], quiet => false, first => false,
      eye => false}.

options([], O) -> O;
options(["--node", X | More], O) -> options(More, O#{node => X});
options([Option], _) when Option =:= "--node"; Option =:= "--release"; Option =:= "--only"; Option =:= "--junit"; Option =:= "--report";
                          Option =:= "--jobs"; Option =:= "--dial" -> usage(Option ++ ": something has to follow");
options(["--release", X | More], #{releases := R} = O) -> options(More, O#{releases => R ++ [number("--release", X)]});
options(["--only", X | More], #{only := Only} = O) -> options(More, O#{only => Only ++ string:tokens(X, ",")});
options(["--list" | More], O) -> options(More, O#{list => true});
options(["--first" | More], O) -> options(More, O#{first => true});
options(["--eye" | More], O) -> options(More, O#{eye => true});
options(["--quiet" | More], O) -> options(More, O#{quiet => true});
options(["--junit", X | More], O) -> options(More, O#{junit => X});
options(["--report", X | More], O) -> options(More, O#{report => X});
options(["--jobs", X | More], O) -> options(More, O#{jobs => number("--jobs", X)});
options(["--dial", X | More], O) when X =:= "driver"; X =:= "nut" -> options(More, O#{dial => [list_to_atom(X)]});
options(["--dial", X | _], _) -> usage("--dial " ++ X ++ ": it is either driver or nut");
options(["--hidden" | More], O) -> options(More, O#{visible => [false]});
options(["--visible" | More], O) -> options(More, O#{visible => [true]});
options(["-" ++ _ = X | _], _) -> usage("I do not know the option " ++ X);
options([X | _], _) -> usage(X ++ ": an option was expected; the node is named with --node, cases with --only").

number(Option, X) ->
    case string:to_integer(X) of
        {N, ""} when N > 0 -> N;
        _ -> usage(Option ++ " " ++ X ++ ": it should be a number from 1 on")
    end.

usage(Why) ->
    io:format(standard_error, "cnode-conformance: ~ts; see cnode-conformance --help~n", [Why]),
    halt(2).

%% A file or folder of the user's that cannot be written is told before anything runs.
writable(_, ok) -> ok;
writable(What, {error, Why}) -> usage([What, ": ", file:format_error(Why)]).

chosen(#{eye := true} = O) -> [C || C <- chosen(O#{eye := false}), cf_eye:usable(C)];
chosen(#{only := []}) -> cf_cases:all();
chosen(#{only := Only}) ->
    Cases = [C || {Id, _, _, _, _} = C <- cf_cases:all(),
                  lists:any(fun(Pattern) -> fits(atom_to_list(Id), Pattern) end, Only) orelse lists:member(cf_cases:group(C), Only)],
    Cases =/= [] orelse usage("no case or group is called " ++ string:join(Only, ", ") ++ " (--list shows them)"),
    Cases.

%% An id, or one with * for any part of it.
fits([], "*") -> true;
fits(Id, [$* | More] = Pattern) -> fits(Id, More) orelse (Id =/= [] andalso fits(tl(Id), Pattern));
fits([C | Id], [C | More]) -> fits(Id, More);
fits([], []) -> true;
fits(_, _) -> false.

list(O) ->
    Cases = chosen(O),
    Groups = lists:usort([cf_cases:group(C) || C <- Cases]),
    [[io_lib:format("~s ~ts~n~-36s rule: ~ts~ts~n", [string:pad(atom_to_list(Id), 36), What, "", Rule, notes(C)]) || {Id, What, Rule, _, _} = C <- Cases],
     io_lib:format("~n~p cases: ~s~n", [length(Cases),
                   string:join([io_lib:format("~s ~p", [G, length([C || C <- Cases, cf_cases:group(C) =:= G])]) || G <- Groups], ", ")])].

notes({_, _, _, Options, _}) ->
    [[io_lib:format("; needs ~s", [string:join([atom_to_list(N) || N <- Needs], " ")]) || {needs, Needs} <- Options],
     [io_lib:format("; from OTP ~p", [R]) || {from, R} <- Options],
     [io_lib:format("; up to OTP ~p", [R]) || {to, R} <- Options],
     [io_lib:format("; for each ~s", [string:join([atom_to_list(N) || N <- V], " and ")]) || {varies, V} <- Options]].

%% CONFORMANCE_RELEASES: "release version erl beams" lines, made by cnode-conformance.
all_releases() ->
    [{list_to_integer(R), V, Erl, Beams} || L <- string:tokens(os:getenv("CONFORMANCE_RELEASES", ""), "\n"),
                                            [R, V, Erl, Beams] <- [string:tokens(L, " ")]].

releases(#{releases := Wanted}) -> [X || {R, _, _, _} = X <- all_releases(), Wanted =:= [] orelse lists:member(R, Wanted)].

%% The suite in each release's own byte code. Runs side by side wait for each other.
compile(Releases, O) ->
    [begin
         progress(O, "compiling the suite with OTP ~s~n", [V]),
         Said = os:cmd(lists:concat(["'", filename:join(cf:home(), "compile"), "' '", Erl, "' '", Beams, "' 2>&1"])),
         filelib:is_file(filename:join(Beams, "done")) orelse
             usage(io_lib:format("the suite does not compile with OTP ~s (~s):~n~ts", [V, Erl, Said]))
     end || {V, Erl, Beams} <- Releases, not filelib:is_file(filename:join(Beams, "done"))].

go(#{node := ""}) -> usage("which node is to be tested? --node otp, --node NAME of a folder in nodes/, or --node COMMAND");
go(#{node := Node, report := Report, dial := Dials, visible := Visibles} = O) ->
    Cases = chosen(O),
    Dir = case Report of none -> temporary(); _ -> filename:absname(Report) end,
    writable(Dir, filelib:ensure_dir(filename:join(Dir, "x"))),
    case O of #{junit := none} -> ok; #{junit := Junit} -> writable(Junit, file:write_file(Junit, "")) end,
    Releases = releases(O),
    Releases =/= [] orelse usage("of the releases that are asked for none is here (otp.sh list, otp.sh get)"),
    Jobs = [Job#{command => Command, node => Node, first => maps:get(first, O), eye => maps:get(eye, O)}
            || {R, V, Erl, Beams} <- Releases, Command <- [command(Node)],
               Visible <- Visibles, Dial <- Dials, Part <- [shared, fresh],
               Job <- [#{release => R, version => V, erl => Erl, beams => Beams, dial => Dial, visible => Visible, part => Part}],
               [] =/= [C || C <- Cases, cf_cases:applies(C, Job)]],
    %% Compiled now, so that it does not count as a case's time; a release that is not here is the case's to tell.
    Others = lists:usort([R || C <- Cases, [] =/= [J || J <- Jobs, cf_cases:applies(C, J)], R <- cf_cases:option(uses, C, [])]),
    compile(lists:usort([{V, Erl, Beams} || {_, V, Erl, Beams} <- Releases ++ [X || {R, _, _, _} = X <- all_releases(), lists:member(R, Others)]]), O),
    Numbered = [prepare(Job, N, Cases, Dir) || {N, Job} <- lists:zip(lists:seq(1, length(Jobs)), Jobs)],
    Eyes = case O of #{eye := true} -> length(cf_eye:cases()); _ -> 0 end,
    Total = lists:sum([length(maps:get(cases, J)) + Eyes || J <- Numbered]),
    progress(O, "~p cases, ~p runs in ~p jobs against ~s, with OTP ~s~n",
             [length(Cases), Total, length(Jobs), Node, string:join([V || {_, V, _, _} <- Releases], ", ")]),
    Began = erlang:monotonic_time(millisecond),
    Results = jobs(Numbered, [], [], O#{total => Total, done => 0, tap => 0, again => list_to_integer(os:getenv("CONFORMANCE_AGAIN", "0"))}),
    cf_report:finish(Results, O#{dir => Dir, seconds => (erlang:monotonic_time(millisecond) - Began) / 1000, total => Total}).

temporary() ->
    filename:join(os:getenv("TMPDIR", "/tmp"), "cnode-conformance-" ++ os:getpid()).

%% A folder in nodes/, or a command.
command(Node) ->
    [Name | _] = string:tokens(Node, ":"),
    Start = filename:join([cf:home(), "nodes", Name, "start"]),
    case filelib:is_file(Start) of
        true -> Start;
        false -> Node
    end.

prepare(#{release := R, dial := Dial, visible := Visible, erl := Erl, beams := Beams, node := Node} = Job, N, Cases, Dir) ->
    Title = title(Job),
    JobDir = filename:join(Dir, Title),
    ok = empty(JobDir),
    {NutErl, NutBeams} = case string:tokens(Node, ":") of
                             ["otp", Other] -> nut_erl(list_to_integer(Other));
                             _ -> {Erl, Beams}
                         end,
    Short = "r" ++ integer_to_list(R) ++ "j" ++ integer_to_list(N),
    Job#{title => Title, dir => JobDir, job => Short, nut => list_to_atom("nut_" ++ Short ++ "@127.0.0.1"),
         driver => list_to_atom("driver_" ++ Short ++ "@127.0.0.1"),
         cookie => list_to_atom("cookie_" ++ integer_to_list(rand:uniform(1 bsl 60))),
         env => [{"NUT_ERL", NutErl}, {"NUT_BEAMS", NutBeams}],
         dial => Dial, visible => Visible,
         cases => [Id || {Id, _, _, _, _} = C <- Cases, cf_cases:applies(C, Job)]}.

%% A folder with nothing of an earlier run in it.
empty(Dir) ->
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    [file:delete(F) || F <- filelib:wildcard(filename:join(Dir, "*"))],
    ok.

nut_erl(Release) ->
    case releases(#{releases => [Release]}) of
        [{_, _, Erl, Beams} | _] -> {Erl, Beams};
        [] -> usage(io_lib:format("OTP ~p is not among the releases here", [Release]))
    end.

title(#{release := R, dial := Dial, visible := Visible, part := Part}) ->
    lists:flatten(io_lib:format("otp~p-~s-dials-~s~s", [R, case Dial of driver -> "otp"; nut -> "node" end,
                                                        case Visible of true -> "visible"; false -> "hidden" end,
                                                        case Part of shared -> ""; fresh -> "-fresh" end])).

%% Waiting jobs, running jobs {Process, Job, Results}, finished results.
jobs([], [], Done, _) -> lists:reverse(Done);
jobs(Waiting, Running, Done, O) ->
    case lists:partition(fun(Job) -> room(Job, Running, O) end, Waiting) of
        {[Job | _], _} -> jobs(lists:delete(Job, Waiting), [{start(Job), Job, [], none} | Running], Done, O);
        {[], _} -> running(Waiting, Running, Done, O)
    end.

%% A second try has the machine for itself. Cases that mostly wait take nobody's place: one job of them runs beside the others.
room(#{before := _}, Running, _) -> Running =:= [];
room(#{part := Part}, Running, #{jobs := Most}) ->
    length([x || {_, #{part := P}, _, _} <- Running, P =:= Part]) < case Part of shared -> Most; fresh -> 1 end.

running(Waiting, Running, Done, O) ->
    receive
        {Proc, {line, Line}} ->
            case lists:keytake(Proc, 1, Running) of
                {value, Run, Others} ->
                    {Run1, O1} = line(binary_to_list(Line), Run, O),
                    jobs(Waiting, [Run1 | Others], Done, O1);
                false -> jobs(Waiting, Running, Done, O)
            end;
        {Proc, {exited, Status}} ->
            case lists:keytake(Proc, 1, Running) of
                {value, {_, Job, Results, _}, Others} ->
                    cf_proc:stop(Proc),
                    case again(Job, watched(Job, complete(Job, Results, Status)), O) of
                        {second, Second, O1} -> jobs(Waiting ++ [Second], Others, Done, O1);
                        {done, Job1, All} -> jobs(Waiting, Others, [{Job1, All} | Done], cf_report:tap(Job1, All, O))
                    end;
                false -> jobs(Waiting, Running, Done, O)
            end;
        {'EXIT', _, _} -> jobs(Waiting, Running, Done, O)
    end.

%% CONFORMANCE_AGAIN: as many cases of a run may fail and be tried again in a job of their own, when nothing else runs. What passes
%% then is `unsteady`, and is told with why it failed. What tshark saw is judged once.
again(#{before := {First, Before}}, Results, _) ->
    {done, First, [second(Result, lists:keyfind(Id, 1, Results)) || {Id, _, _, _} = Result <- Before]};
again(#{title := Title, dir := Dir} = Job, Results, #{again := Left} = O) ->
    Failed = [Id || {Id, fail, _, _} <- Results, not lists:keymember(Id, 1, cf_eye:cases())],
    case length(Failed) of
        0 -> {done, Job, Results};
        N when N > Left -> {done, Job, Results};
        N ->
            Dir2 = Dir ++ "-again",
            ok = empty(Dir2),
            {second, Job#{title => Title ++ "-again", dir => Dir2, eye => false, cases => Failed, before => {Job, Results}},
             O#{again => Left - N}}
    end.

second({Id, fail, Ms, Why}, {Id, pass, _, _}) -> {Id, unsteady, Ms, Why};
second({Id, fail, Ms, Why}, {Id, _, _, Why2}) -> {Id, fail, Ms, [Why, "\nand, tried again alone: ", Why2]};
second(Result, _) -> Result.

%% With the third eye a job has a network of its own, so that the capture holds nothing else.
start(#{dir := Dir, erl := Erl, beams := Beams, eye := Eye} = Job) ->
    Epmd = if Eye -> ?EYE_EPMD; true -> cf_proc:free_port() end,
    File = filename:join(Dir, "job"),
    ok = file:write_file(File, io_lib:format("~p.~n", [Job#{epmd => Epmd, believed => if Eye -> filename:join(Dir, "believed"); true -> none end}])),
    Log = "[{handler,default,logger_std_h,#{config=>#{type=>{file,\"" ++ filename:join(Dir, "driver.otp.log") ++ "\"}}}}]",
    Watch = if Eye -> [filename:join(cf:home(), "eye"), "watch", Dir]; true -> [] end,
    cf_proc:start("driver", Watch ++ [Erl, "-noshell", "-noinput", "-pa", Beams, "-start_epmd", "false", "-kernel", "logger", Log,
                             "-kernel", "net_ticktime", "60", "+sbwt", "none",
                             "-eval", "cf_driver:main(\"" ++ File ++ "\")"],
                  [{log, filename:join(Dir, "driver.log")}, {cd, Dir}, {tell, self()},
                   {env, [{"ERL_EPMD_PORT", integer_to_list(Epmd)}, {"CONFORMANCE_HOME", cf:home()},
                          {"ERL_CRASH_DUMP", filename:join(Dir, "driver.dump")}, {"HOME", Dir}]}]).

%% What the third eye saw of a job.
watched(#{eye := false}, Results) -> Results;
watched(#{dir := Dir}, Results) ->
    Seen = cf_eye:judge(Dir, ?EYE_EPMD),
    Kept = [case erase({failed, Dir, Id}) of
                {From, To} when V =:= fail -> {Id, V, Ms, [Why, "\npackets of the case: ", cf_eye:keep(Dir, Id, From, To)]};
                _ -> Result
            end || {Id, V, Ms, Why} = Result <- Results],
    case lists:member(fail, [V || {_, V, _, _} <- Seen]) of
        false -> [file:delete(filename:join(Dir, F)) || F <- ["tshark", "believed", "capture.pcapng"]];
        true -> ok
    end,
    Kept ++ Seen.

line("RUN " ++ Id, {Proc, Job, Results, _}, O) ->
    {{Proc, Job, Results, list_to_atom(Id)}, O};
line("RESULT " ++ Rest, {Proc, #{title := Title} = Job, Results, _}, #{done := N, total := Total} = O) ->
    [Id, Verdict, Ms, Why] = case string:split(Rest, " ", all) of [A, B, C, D] -> [A, B, C, D]; [A, B, C] -> [A, B, C, ""] end,
    Now = os:system_time(millisecond),
    case {Verdict, Job} of
        {"fail", #{eye := true, dir := Dir}} -> put({failed, Dir, list_to_atom(Id)}, {Now - list_to_integer(Ms) - 200, Now + 200});
        _ -> ok
    end,
    Result = {list_to_atom(Id), list_to_atom(Verdict), list_to_integer(Ms), unicode:characters_to_list(base64:decode(Why))},
    progress(O, "\r\e[K~p/~p ~s ~s~s", [N + 1, Total, Title, Id,
                 case Verdict of "fail" -> ": failed\n"; _ -> "" end]),
    {{Proc, Job, [Result | Results], none}, O#{done => case Job of #{before := _} -> N; _ -> N + 1 end}};
line(_, Run, O) ->
    {Run, O}.

%% A driver that ended early: what it had not judged has failed.
complete(#{first := true}, Results, 0) -> lists:reverse(Results);
complete(#{cases := Ids, dir := Dir}, Results, Status) ->
    Judged = [Id || {Id, _, _, _} <- Results],
    lists:reverse(Results) ++
        [{Id, fail, 0, io_lib:format("the driver ended with status ~p before this case; see ~s/driver.log", [Status, Dir])}
         || Id <- Ids -- Judged].

%% For a person at a terminal only.
progress(#{quiet := true}, _, _) -> ok;
progress(_, Format, Args) ->
    case os:getenv("CONFORMANCE_TTY") of
        "yes" -> io:format(standard_error, Format, Args);
        _ -> ok
    end.
