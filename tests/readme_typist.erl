%% SPDX-License-Identifier: Apache-2.0
%% Types what stands behind the prompts of a file, and compares what comes back with the lines
%% below each prompt (none: anything). The first line may reach a node that is just starting.
-module(readme_typist).
-export([main/1]).

main([File]) ->
    spawn(fun() ->
              try
                  {ok, Text} = file:read_file(atom_to_list(File)),
                  type(string:split(string:trim(binary_to_list(Text), trailing), "\n", all), erl_eval:new_bindings()),
                  halt(0)
              catch
                  Class:What -> io:format("~p: ~tp~n", [Class, What]), halt(1)
              end
          end).

type([], _) -> ok;
type([Line | Rest], Bindings) ->
    {match, [Typed]} = re:run(Line, "^[0-9]+> (.*)$", [{capture, [1], list}]),
    {Wanted, Rest1} = lists:splitwith(fun(L) -> re:run(L, "^[0-9]+> ") =:= nomatch end, Rest),
    {Value, Bindings1} = eval(Typed, Bindings, Wanted, 400),
    check(Typed, Value, Wanted),
    type(Rest1, Bindings1).

%% The node was started a moment ago, and says nothing when it is there: a ping may have to be tried again.
eval(Typed, Bindings, Wanted, Tries) ->
    {ok, Tokens, _} = erl_scan:string(Typed),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    {value, Value, Bindings1} = erl_eval:exprs(Exprs, Bindings),
    case Value =:= pang andalso Wanted =/= ["pang"] andalso Tries > 0 of
        true -> timer:sleep(50), eval(Typed, Bindings, Wanted, Tries - 1);
        false -> {Value, Bindings1}
    end.

check(_, _, []) -> ok;
check(Typed, Value, Wanted) ->
    Shown = lists:flatten(io_lib:format("~tp", [Value])),
    Text = lists:flatten(lists:join("\n", Wanted)),
    %% Pids differ each time.
    case re:replace(Text, "<[0-9.]+>", "<>", [{return, list}]) =:= re:replace(Shown, "<[0-9.]+>", "<>", [{return, list}]) of
        true -> ok;
        false -> exit({Typed, {gave, Shown}, {expected, Text}})
    end.
