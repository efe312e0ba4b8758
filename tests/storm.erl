%% SPDX-License-Identifier: Apache-2.0
%% Spawn requests without end, by two BEAM nodes at once, to a C node and to a BEAM node: exactly one reply each, a tenth of them a
%% refusal; the C node's memory before and after. Prints TAP. See storm.t.
-module(storm).
-export([main/0, second/0, target/0, run/3, start/0]).

-define(WORKERS, 4).
-define(WINDOW, 1000).
-define(ROUNDS, 4).

%% What the BEAM node spawns: a process that ends at once, as the C node's noop.
start() -> ok.

%% The other two nodes: they wait to be told, and end with their standard input.
second() -> io:format("up~n"), wait().
target() -> io:format("up~n"), wait().
wait() -> case io:get_line('') of eof -> halt(0); {error, _} -> halt(0); _ -> wait() end.

main() ->
    [CNode, Pid, Total] = init:get_plain_arguments(),
    C = list_to_atom(CNode),
    B = 'beam@127.0.0.1',
    N = list_to_integer(Total),
    [pong = net_adm:ping(X) || X <- [C, B, 'second@127.0.0.1']],
    io:format("1..3~n"),
    Threads = threads(Pid),
    _ = round(C, N div 5),
    Before = settled(Pid, Threads, 400),
    {Cs, Bs} = lists:unzip([{round(C, N div ?ROUNDS), round(B, N div ?ROUNDS div 4)} || _ <- lists:seq(1, ?ROUNDS)]),
    say(1, lists:all(fun({ok, _}) -> true; (_) -> false end, Cs), "exactly one answer to each of ~b requests, a tenth of them refused: ~p",
        [N, [R || {wrong, R} <- Cs]]),
    {Was, After} = grown(Pid, C, N, Before, 4),
    Judged = os:getenv("CNODE_LONG_TESTS", "") =/= "",
    %% A sanitizer keeps what is freed, and looks for leaks itself.
    Sanitized = os:getenv("CNODE_SANITIZED", "") =/= "",
    say(2, Sanitized orelse is_back(After, Was) andalso After =< Before + 4096, "the memory is back: ~b kB before, ~b kB after~s",
        [Was, After, case Sanitized of true -> " # SKIP a sanitizer keeps it"; false -> "" end]),
    Rate = median([R || {_, R} <- Cs]),
    BeamRate = median([R || {_, R} <- Bs]),
    Ratio = Rate / BeamRate,
    %% And the speed says little: it is judged in long runs only.
    Good = Rate >= 100000 orelse Ratio >= 1.5,
    say(3, Good orelse not Judged, "~b requests per second, ~.2f times those of a BEAM node (~b)~s",
        [Rate, Ratio, BeamRate, case Judged of true -> ""; false -> " # not judged here" end]),
    halt(0).

say(Number, Good, Format, Args) ->
    io:format("~s ~b - " ++ Format ++ "~n", [case Good of true -> "ok"; false -> "not ok" end, Number | Args]).

median(L) -> lists:nth((length(L) + 1) div 2, lists:sort(L)).

%% Both nodes at once; {ok | wrong, requests per second or what was wrong}.
round(Target, N) ->
    Self = self(),
    T0 = erlang:monotonic_time(microsecond),
    Ps = [spawn_link(Node, ?MODULE, run, [Self, Target, N div 2 div ?WORKERS]) || Node <- [node(), 'second@127.0.0.1'], _ <- lists:seq(1, ?WORKERS)],
    Rs = [receive {done, P, R} -> R end || P <- Ps],
    T1 = erlang:monotonic_time(microsecond),
    case [R || R <- Rs, R =/= ok] of
        [] -> {ok, N * 1000000 div (T1 - T0)};
        Wrong -> {wrong, Wrong}
    end.

run(Main, Target, N) ->
    Main ! {done, self(), requests(Target, N, 0, #{})}.

requests(Target, 0, Out, Wanted) ->
    case replies(Out, Wanted) of
        {ok, _} ->
            %% What came twice would be here before the answer to this.
            _ = net_adm:ping(Target),
            receive {spawn_reply, _, _, _} -> twice after 0 -> ok end;
        Wrong -> Wrong
    end;
requests(Target, N, Out, Wanted) when Out >= ?WINDOW ->
    case replies(Out - ?WINDOW div 2, Wanted) of
        {ok, Left} -> requests(Target, N, ?WINDOW div 2, Left);
        Wrong -> Wrong
    end;
requests(Target, N, Out, Wanted) ->
    {Factory, Answer} = case N rem 10 of 0 -> {busy, error}; _ -> {noop, ok} end,
    {Module, Expected} = case Target of 'beam@127.0.0.1' -> {?MODULE, ok}; _ -> {Factory, Answer} end,
    Ref = apply(erlang, spawn_request, [Target, Module, start, [], []]),
    requests(Target, N - 1, Out + 1, Wanted#{Ref => Expected}).

replies(0, Wanted) -> {ok, Wanted};
replies(N, Wanted) ->
    receive
        {spawn_reply, Ref, How, What} ->
            case maps:take(Ref, Wanted) of
                {ok, Left} when How =:= ok, is_pid(What) -> replies(N - 1, Left);
                {error, Left} when How =:= error, What =:= not_allowed -> replies(N - 1, Left);
                Other -> {unexpected, How, What, Other}
            end
    after 60000 -> {missing, N}
    end.

%% Resident memory in kB, a tenth of a second later: what it is over some time is asked, and nothing says when it changes.
memory(Pid) ->
    receive after 100 -> ok end,
    {ok, Bin} = file:read_file("/proc/" ++ Pid ++ "/status"),
    {match, [Kb]} = re:run(Bin, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(Kb).

threads(Pid) ->
    {ok, Names} = file:list_dir("/proc/" ++ Pid ++ "/task"),
    length(Names).

%% The memory when the threads that came for the storm have left (10 s), and what was free was given back (1 s after the
%% last process, and after the last thread).
settled(Pid, Threads, Tries) ->
    case threads(Pid) =< Threads orelse Tries =:= 0 of
        true -> lists:min([memory(Pid) || _ <- lists:seq(1, 30)]);
        false -> _ = memory(Pid), settled(Pid, Threads, Tries - 1)
    end.

is_back(After, Before) -> After =< Before * 1.02.

%% What there was before, and after. The first time more of the threads that a pool can have may have come than before, on a busy
%% machine, and each leaves some pages of a heap and of its stack behind: then it must not grow from there.
grown(Pid, C, N, Before, Again) ->
    After = back(Pid, Before, 250),
    case is_back(After, Before) orelse Again =:= 0 of
        true -> {Before, After};
        false -> {ok, _} = round(C, N div ?ROUNDS), grown(Pid, C, N, After, Again - 1)
    end.

back(Pid, Before, Tries) ->
    Now = memory(Pid),
    case is_back(Now, Before) orelse Tries =:= 0 of
        true -> Now;
        false -> back(Pid, Before, Tries - 1)
    end.
