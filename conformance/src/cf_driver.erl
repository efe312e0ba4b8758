%% SPDX-License-Identifier: Apache-2.0
%% One job in an OTP node of the release that judges: start the node under test, run the cases of one configuration,
%% print a line for each. Ends with its leash. Lines: "RUN id" and "RESULT id pass|fail|na ms reason-in-base64".
-module(cf_driver).
-export([main/1]).

main(File) ->
    {ok, [#{epmd := Epmd, driver := Driver, cookie := Cookie, cases := Ids} = Job]} = file:consult(File),
    process_flag(trap_exit, true),
    cf_eye:open(maps:get(believed, Job, none)),
    cf_epmd:start(Epmd),
    {ok, _} = net_kernel:start([Driver, longnames]),
    true = erlang:set_cookie(node(), Cookie),
    Cases = [cf_cases:find(Id) || Id <- Ids],
    T = Job#{caps => []},
    {Shared, Rest} = first_start(T, Cases),
    ets:new(cf_clusters, [named_table, public]),
    {Laned, Others1} = lists:partition(fun(Case) -> cf_cases:option(lane, Case, none) =/= none end, Rest),
    {Slow, Others} = lists:partition(fun(Case) -> cf_cases:option(slow, Case, false) end, Others1),
    lanes(Laned, Shared),
    Waited = side_by_side(Slow, Shared),
    End = lists:foldl(fun(Case, Now) -> run(Case, Now) end, Waited, Others),
    finish(End).

finish(T) ->
    case cf_nut:alive(T) of true -> cf_nut:kill(T); false -> ok end,
    cf_eye:close(),
    io:format("END~n"),
    halt(0).

%% If the node under test cannot even start, each case fails with that reason.
first_start(T, Cases) ->
    try {started(T), Cases}
    catch throw:{case_failed, Why} ->
        [result(Id, fail, 0, Why) || {Id, _, _, _, _} <- Cases],
        {T, []}
    end.

started(T) ->
    T1 = cf_nut:start(T),
    Caps = in_process(fun() -> cf_fake:call(cf_fake:dial(T1, #{}), capabilities, []) end),
    case is_list(Caps) andalso lists:all(fun is_atom/1, Caps) of
        true -> T1#{caps => Caps};
        false -> cf:fail("capabilities should be a list of atoms, got ~p", [Caps])
    end.

in_process(Fun) ->
    Self = self(),
    {Pid, Mon} = spawn_monitor(fun() -> Self ! {self(), try {value, Fun()} catch throw:Why -> {thrown, Why} end}, exit(shutdown) end),
    receive
        {Pid, {value, V}} -> receive {'DOWN', Mon, _, _, _} -> V end;
        {Pid, {thrown, Why}} -> receive {'DOWN', Mon, _, _, _} -> throw(Why) end;
        {'DOWN', Mon, _, _, Why} -> cf:fail("asking for the capabilities failed: ~p", [Why])
    after cf:ms(15000) -> cf:fail("the node under test does not answer the question for its capabilities")
    end.

%% Cases that mostly wait, each in a process of its own.
side_by_side(Cases, T) ->
    Self = self(),
    Asked = [{Id, Case} || {Id, _, _, _, _} = Case <- Cases, fit(Case, T)],
    Began = erlang:monotonic_time(millisecond),
    Workers = [{spawn_link(fun() -> Self ! {self(), execute(Case, T)} end), Id} || {Id, Case} <- Asked],
    [receive {Worker, {Verdict, Why}} -> result(Id, Verdict, erlang:monotonic_time(millisecond) - Began, Why) end
     || {Worker, Id} <- Workers],
    case health(T) of
        good -> T;
        {bad, What} ->
            io:format("# the node under test ~s while ~p ran side by side~n", [What, [Id || {Id, _} <- Asked]]),
            again(T)
    end.

%% Cases with clusters of their own: those of one lane in turn, because they share a cluster, and a few lanes at a time.
-define(LANES, 4).

lanes(Cases, T) ->
    Lanes = lists:foldl(fun(Case, Before) -> add_lane(cf_cases:option(lane, Case, none), Case, Before) end, [], Cases),
    open_lanes([{Lane, lists:reverse(Of)} || {Lane, Of} <- lists:reverse(Lanes)], 0, T).

add_lane(Lane, Case, Lanes) ->
    case lists:keyfind(Lane, 1, Lanes) of
        {_, Of} -> lists:keyreplace(Lane, 1, Lanes, {Lane, [Case | Of]});
        false -> [{Lane, [Case]} | Lanes]
    end.

open_lanes([], 0, _) -> ok;
open_lanes([{Lane, Cases} | More], Open, T) when Open < ?LANES ->
    Self = self(),
    spawn_link(fun() -> [judge(Case, T#{lane => Lane}) || Case <- Cases], cf_cluster:finish(Lane), Self ! {lane_done, Lane} end),
    open_lanes(More, Open + 1, T);
open_lanes(Lanes, Open, T) ->
    receive {lane_done, _} -> open_lanes(Lanes, Open - 1, T) end.

judge({Id, _, _, _, _} = Case, T) ->
    case fit(Case, T) of
        true ->
            Began = erlang:monotonic_time(millisecond),
            {Verdict, Why} = execute(Case, T),
            result(Id, Verdict, erlang:monotonic_time(millisecond) - Began, Why),
            case {Verdict, T} of
                {fail, #{first := true}} -> finish(T);
                _ -> ok
            end;
        false -> ok
    end.

fit({Id, _, _, _, _} = Case, T) ->
    case cf_cases:unfit(Case, T) of
        false -> true;
        Reason -> result(Id, na, 0, Reason), false
    end.

run({Id, _, _, _, _} = Case, T) ->
    io:format("RUN ~s~n", [Id]),
    Began = erlang:monotonic_time(millisecond),
    {Verdict, Why, T1} = case cf_cases:unfit(Case, T) of
                             false -> attempt(Case, T);
                             Reason -> {na, Reason, T}
                         end,
    result(Id, Verdict, erlang:monotonic_time(millisecond) - Began, Why),
    case {Verdict, T} of
        {fail, #{first := true}} -> finish(T1);
        _ -> T1
    end.

attempt(Case, T) ->
    Fresh = cf_cases:option(fresh, Case, false),
    {Verdict, Why} = try if Fresh -> alone(), R = execute(Case, T#{nut => cf:unique("nut"), fresh => true}), alone(), R;
                            true -> execute(Case, T)
                         end
                     catch throw:{case_failed, Text} -> {fail, Text}
                     end,
    case health_after(T, Verdict) of
        good -> {Verdict, Why, T};
        {bad, What} ->
            Died = ["the node under test ", What, " in this case; its log ends:\n" | tail(T)],
            {fail, case Verdict of fail -> [Why, "\n", Died]; _ -> Died end, again(T)}
    end.

%% The nodes of a case never meet those of another: a node that is told of one which has ended meanwhile lets go of who told
%% of it, as global's prevent_overlapping_partitions has it, in the middle of the next case.
alone() ->
    [erlang:disconnect_node(N) || N <- nodes(connected)],
    cf:wait("the driver is alone", fun() -> nodes(connected) =:= [] end).

%% A failure must not become that of the cases behind it: the node is asked whether it still answers at all.
health_after(T, fail) -> health(T);
health_after(T, _) -> case cf_nut:alive(T) of true -> good; false -> {bad, "ended"} end.

health(T) ->
    Answers = cf_nut:alive(T) andalso
        try in_process(fun() -> cf_fake:call(cf_fake:dial(T, #{}), echo, [here]) end) =:= here
        catch throw:{case_failed, _} -> false
        end,
    case {cf_nut:alive(T), Answers} of
        {true, true} -> good;
        {true, false} -> {bad, "stopped answering"};
        {false, _} -> {bad, "ended"}
    end.

%% Another one in its place.
again(T) ->
    case cf_nut:alive(T) of true -> cf_nut:kill(T); false -> ok end,
    try started(T) catch throw:{case_failed, Why} -> io:format("# ~s~n", [Why]), T end.

tail(#{proc := Proc}) ->
    Lines = case is_process_alive(Proc) of true -> cf_proc:output(Proc); false -> [] end,
    lists:flatten([[L, "\n"] || L <- lists:nthtail(max(0, length(Lines) - 12), Lines)]);
tail(_) -> "".

execute({Id, _, _, _, Fun} = Case, T) ->
    Self = self(),
    Limit = cf:ms(cf_cases:option(timeout, Case, 20000)),
    {Pid, Mon} = spawn_monitor(fun() -> Self ! {self(), judged(Case, Fun, T)}, exit(shutdown) end),
    receive
        {Pid, Result} -> receive {'DOWN', Mon, _, _, _} -> frames(Id, T, Result) end;
        {'DOWN', Mon, _, _, {Why, [{_, _, _, _} | _] = Stack}} -> {fail, io_lib:format("the case's process ended: ~0P ~ts", [Why, 40, at(Stack)])};
        {'DOWN', Mon, _, _, Why} -> {fail, io_lib:format("the case's process ended: ~0P", [Why, 40])}
    after Limit ->
        {_, Stack} = process_info(Pid, current_stacktrace),
        exit(Pid, kill),
        receive {'DOWN', Mon, _, _, _} -> ok end,
        {fail, io_lib:format("took longer than ~p ms; it was ~ts", [Limit, at(Stack)])}
    end.

judged(Case, Fun, #{dir := Dir} = T) ->
    try
        T1 = case {cf_cases:option(fresh, Case, false), cf_cases:option(raw, Case, false)} of
                 {true, _} -> T;
                 {false, true} -> T;
                 _ when is_map_key(lane, T) -> T;
                 {false, false} -> cf_live:connect(T), T
             end,
        Fun(T1#{dir => Dir}),
        {pass, "", []}
    catch
        throw:{case_failed, Why} -> {fail, Why, cf_fake:dump()};
        throw:{not_applicable, Why} -> {na, Why, []};
        Class:Reason:Stack -> {fail, io_lib:format("~p:~0P ~ts", [Class, Reason, 40, at(Stack)]), cf_fake:dump()}
    end.

%% Where it was, innermost first, down to what every case has below it. Without the paths, which are those of whoever compiled.
at(Stack) ->
    Here = lists:takewhile(fun({M, _, _, _}) -> M =/= ?MODULE end, Stack),
    ["at ", lists:join(" < ", [[io_lib:format("~ts:~ts/~b", [M, F, if is_list(A) -> length(A); true -> A end]),
                                [io_lib:format(" line ~b", [L]) || {line, L} <- Where]]
                               || {M, F, A, Where} <- Here])].

frames(_, _, {Verdict, Why, []}) -> {Verdict, Why};
frames(Id, #{dir := Dir}, {Verdict, Why, Frames}) ->
    File = filename:join(Dir, atom_to_list(Id) ++ ".frames"),
    file:write_file(File, Frames),
    {Verdict, [Why, "\nframes of the case: ", File]}.

result(Id, Verdict, Ms, Why) ->
    io:format("RESULT ~s ~s ~p ~s~n", [Id, Verdict, Ms, base64:encode(unicode:characters_to_binary(Why))]).
