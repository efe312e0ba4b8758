%% SPDX-License-Identifier: Apache-2.0
%% TAP of the tests: by EUnit, as its listener, or without it, where a release comes without EUnit.
-module(cnode_tap).
-export([main/1, start/1]).
-export([init/1, handle_begin/3, handle_end/3, handle_cancel/3, terminate/2]).

%% erl … -s cnode_tap main MODULE
main([Module]) ->
    spawn(fun() ->
                  Good = case code:which(eunit) of
                             non_existing -> plain(Module);
                             _ -> eunit:test(Module, [no_tty, {report, {?MODULE, []}}]) =:= ok
                         end,
                  halt(case Good of true -> 0; false -> 1 end)
          end).

%%---- EUnit's listener ----

start(Options) -> eunit_listener:start(?MODULE, Options).

init(_) -> 0.

handle_begin(_, _, N) -> N.

handle_end(test, Data, N) ->
    case proplists:get_value(status, Data) of
        ok -> line(true, N, title(Data));
        {skipped, Why} -> line(false, N, io_lib:format("~ts: skipped: ~tp", [title(Data), Why]));
        {error, Why} -> comment(Why), line(false, N, title(Data))
    end;
handle_end(group, _, N) -> N.

%% A time-out of a test, or a setup that failed.
handle_cancel(test, Data, N) -> comment(proplists:get_value(reason, Data)), line(false, N, title(Data));
handle_cancel(group, Data, N) ->
    case proplists:get_value(reason, Data) of
        undefined -> N;
        Why -> comment(Why), line(false, N, "the tests could be set up")
    end.

terminate(_, N) -> io:format("1..~b~n", [N]).

title(Data) ->
    case proplists:get_value(desc, Data) of
        undefined -> io_lib:format("~tp", [proplists:get_value(source, Data)]);
        Title -> Title
    end.

%%---- without EUnit ----

plain(Module) ->
    State = Module:setup(),
    Results = [one(Title, Fun, N) || {N, {Title, Fun}} <- number(Module:cases())],
    Module:cleanup(State),
    io:format("1..~b~n", [length(Results)]),
    lists:all(fun(Good) -> Good end, Results).

number(List) -> lists:zip(lists:seq(0, length(List) - 1), List).

one(Title, Fun, N) ->
    {Pid, Ref} = spawn_monitor(fun() -> Fun(), exit(good) end),
    Result = receive {'DOWN', Ref, process, Pid, Why} -> Why
             after 60000 -> exit(Pid, kill), timeout
             end,
    Result =:= good orelse comment(Result),
    line(Result =:= good, N, Title),
    Result =:= good.

line(Good, N, Title) ->
    io:format("~s ~b - ~ts~n", [case Good of true -> "ok"; false -> "not ok" end, N + 1, Title]),
    N + 1.

comment(Term) -> io:format("~ts~n", [re:replace(io_lib:format("~tp", [Term]), "^", "# ", [global, multiline, unicode, {return, list}])]).
