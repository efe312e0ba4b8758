%% SPDX-License-Identifier: Apache-2.0
%% Results for programs (TAP, JUnit) and for people (the summary; cf_matrix has the pages).
-module(cf_report).
-export([tap/3, finish/2]).

%% One job's lines, all at once, so that jobs that ran side by side are not mixed.
tap(#{title := Title} = Job, Results, #{tap := N} = O) ->
    io:format("# ~s: OTP ~s~n", [Title, maps:get(version, Job)]),
    Numbered = lists:zip(lists:seq(N + 1, N + length(Results)), Results),
    [io:put_chars(unicode:characters_to_list(line(Number, Title, Result))) || {Number, Result} <- Numbered],
    O#{tap => N + length(Results)}.

line(Number, Title, {Id, Verdict, _, Why}) ->
    {_, Sentence, _, _, _} = cf_cases:find(Id),
    Head = io_lib:format("~p - ~ts ~ts: ~ts", [Number, Title, Id, Sentence]),
    case Verdict of
        pass -> ["ok ", Head, "\n"];
        unsteady -> ["ok ", Head, "\n#   UNSTEADY: passed when it was tried again alone; before that it failed:\n", comment(Why)];
        na -> ["ok ", Head, " # SKIP not applicable: ", one_line(Why), "\n"];
        fail -> ["not ok ", Head, "\n", comment(Why)]
    end.

one_line(Text) -> [case C of $\n -> $\s; _ -> C end || C <- lists:flatten(Text)].

comment(Text) -> [["#   ", L, "\n"] || L <- string:split(lists:flatten(Text), "\n", all)].

finish(Jobs, #{junit := Junit, seconds := Seconds, dir := Dir, report := Report, total := Total} = O) ->
    All = [R || {_, Results} <- Jobs, R <- Results],
    Count = fun(V) -> length([x || {_, W, _, _} <- All, W =:= V]) end,
    Unsteady = [Id || {Id, unsteady, _, _} <- All],
    {Passed, Failed, Na} = {Count(pass) + length(Unsteady), Count(fail), Count(na)},
    io:format("1..~p~n", [length(All)]),
    if Report =/= none -> cf_matrix:keep([{Job, [strict(R) || R <- Rs]} || {Job, Rs} <- Jobs], maps:get(node, O), Dir); true -> ok end,
    if Junit =/= none -> ok = file:write_file(Junit, junit(Jobs)); true -> ok end,
    [io:format("# ~s: ~p passed, ~p failed, ~p not applicable~n",
               [Title, n(pass, Rs) + n(unsteady, Rs), n(fail, Rs), n(na, Rs)]) || {#{title := Title}, Rs} <- Jobs],
    Slow = lists:sublist(lists:reverse(lists:sort([{Ms, Id} || {Id, _, Ms, _} <- All])), 5),
    io:format("# slowest: ~s~n", [string:join([io_lib:format("~s ~.1f s", [Id, Ms / 1000]) || {Ms, Id} <- Slow], ", ")]),
    io:format("# ~p passed, ~p failed, ~p not applicable in ~.1f s~n", [Passed, Failed, Na, Seconds]),
    if Unsteady =/= [] -> io:format("# unsteady (passed in a second try, alone): ~s~n", [string:join([atom_to_list(Id) || Id <- Unsteady], ", ")]);
       true -> ok
    end,
    Good = Failed =:= 0 andalso length(All) =:= Total andalso Passed > 0,
    if Report =/= none; not Good; Unsteady =/= [] -> io:format("# logs and frames: ~s~n", [Dir]);
       true -> file:del_dir(Dir), os:cmd("rm -rf '" ++ Dir ++ "'")
    end,
    tty(O, Passed, Failed, Na, Seconds),
    if Good -> 0; true -> 1 end.

%% The pages know no luck.
strict({Id, unsteady, Ms, Why}) -> {Id, fail, Ms, Why};
strict(Result) -> Result.

n(V, Results) -> length([x || {_, W, _, _} <- Results, W =:= V]).

tty(#{quiet := false}, Passed, Failed, Na, Seconds) ->
    case os:getenv("CONFORMANCE_TTY") of
        "yes" -> io:format(standard_error, "\r\e[K~p passed, ~p failed, ~p not applicable in ~.1f s~n", [Passed, Failed, Na, Seconds]);
        _ -> ok
    end;
tty(_, _, _, _, _) -> ok.

junit(Jobs) ->
    unicode:characters_to_binary(
      ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n",
       [io_lib:format("<testsuite name=\"~s\" tests=\"~p\" failures=\"~p\" skipped=\"~p\">~n",
                      [Title, length(Rs), n(fail, Rs), n(na, Rs)])
        ++ [suite_line(R) || R <- Rs] ++ "</testsuite>\n" || {#{title := Title}, Rs} <- Jobs],
       "</testsuites>\n"]).

suite_line({Id, Verdict, Ms, Why}) ->
    {_, Sentence, _, _, _} = C = cf_cases:find(Id),
    [io_lib:format("<testcase classname=\"~s\" name=\"~ts\" time=\"~.3f\">", [cf_cases:group(C), xml([atom_to_list(Id), ": ", Sentence]), Ms / 1000]),
     case Verdict of
         pass -> "";
         unsteady -> ["<flakyFailure message=\"failed, and passed when it was tried again alone\">", xml(Why), "</flakyFailure>"];
         na -> ["<skipped message=\"", xml(Why), "\"/>"];
         fail -> ["<failure message=\"failed\">", xml(Why), "</failure>"]
     end, "</testcase>\n"].

xml(Text) ->
    [case C of
         $< -> "&lt;"; $> -> "&gt;"; $& -> "&amp;"; $" -> "&quot;";
         C when C < 32, C =/= $\n, C =/= $\t -> "?";
         _ -> C
     end || C <- lists:flatten(Text)].
