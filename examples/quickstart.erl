%% SPDX-License-Identifier: Apache-2.0
%% The Erlang half of quickstart.sh: types each line as a person would, and shows what comes back.
%% A line that does not match what it should ends with status 1.
-module(quickstart).
-export([main/0]).

lines() ->
    ["Node = 'c@127.0.0.1'.",
     "pong = net_adm:ping(Node).",

     "% A process of the factory `counter` is spawned there, and is a gen_server to us.",
     "Pid = spawn(Node, counter, start, [10]).",
     "15 = gen_server:call(Pid, {add, 5}).",
     "ok = gen_server:cast(Pid, {add, -3}).",
     "12 = gen_server:call(Pid, get).",

     "% Linked: its end is an exit signal with its reason.",
     "false = process_flag(trap_exit, true).",
     "Linked = spawn_link(Node, counter, start, [1]).",
     "Linked ! {exit, {shutdown, overheated}}.",
     "receive {'EXIT', Linked, {shutdown, _} = Reason} -> Reason after 5000 -> exit(timeout) end.",

     "% Monitored: one DOWN, here after a kill.",
     "{Watched, Ref} = spawn_monitor(Node, counter, start, [1]).",
     "true = exit(Watched, kill).",
     "receive {'DOWN', Ref, process, Watched, Why} -> killed = Why after 5000 -> exit(timeout) end.",

     "% Arguments that it does not take, and what nobody allowed: an error, at once.",
     "badarg = try spawn_monitor(Node, counter, start, [ten]) catch error:E1 -> E1 end.",
     "undef = try spawn_monitor(Node, os, cmd, [\"id\"]) catch error:E2 -> E2 end.",

     "% rpc: what the node does not export is a clear error, not silence.",
     "{badrpc, {'EXIT', {undef, _}}} = rpc:call(Node, os, cmd, [\"id\"]).",

     "% The C node dies: kill -9 on its OS process.",
     "true = monitor_node(Node, true).",
     "\"\" = os:cmd(\"kill -9 \" ++ os:getenv(\"CNODED_PID\")).",
     "receive {nodedown, Node} -> nodedown after 5000 -> exit(timeout) end.",
     "receive {nodedown, Node} -> exit(twice) after 0 -> once end.",
     "noconnection = try gen_server:call(Pid, get) catch exit:{{nodedown, Node}, _} -> noconnection; exit:{noconnection, _} -> noconnection end."].

main() -> spawn(fun show/0).

show() ->
    try
        lists:foldl(fun line/2, {1, erl_eval:new_bindings()}, lines()),
        io:format("~n# That was all: a C node is a node like any other.~n"),
        halt(0)
    catch
        Class:What ->
            io:format("~n** ~p: ~tp~n", [Class, What]),
            halt(1)
    end.

line("%" ++ _ = Comment, {N, Bindings}) ->
    io:format("~n    ~s~n", [Comment]),
    {N, Bindings};
line(Line, {N, Bindings}) ->
    io:format("    ~b> ~s~n", [N, Line]),
    {ok, Tokens, _} = erl_scan:string(Line),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    {value, Value, NewBindings} = erl_eval:exprs(Exprs, Bindings),
    io:format("    ~tp~n", [Value]),
    {N + 1, NewBindings}.
