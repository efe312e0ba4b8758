%% SPDX-License-Identifier: Apache-2.0
%% A process that is no gen_server: a loop with a receive of its own. See CONTRACT.md.
-module(straight).
-export([start/0, start/1, start_link/0, start_link/1]).

start_link() -> start().
start_link(Arg) -> start(Arg).

start() -> loop(none).

start({hello, Pid}) ->
    Pid ! {hello, self()},
    loop(Pid).

loop(Watcher) ->
    receive
        {'EXIT', _, Reason} -> Watcher ! {trapped, Reason}, loop(Watcher);
        {echo, Pid, Ref, X} -> Pid ! {Ref, X}, loop(Watcher);
        {'$gen_call', From, X} -> gen_server:reply(From, {echoed, X}), loop(Watcher);
        {pick, Pid, Ref, Tag} -> receive {Tag, X} -> Pid ! {Ref, X} end, loop(Watcher);
        {ask, Pid, Ref, Server, Request, Ms} -> Pid ! {Ref, ask(Server, Request, Ms)}, loop(Watcher);
        {spin, Pid, Ref} -> Pid ! {Ref, spinning}, spin();
        {trap, Pid, Ref, Bool} -> process_flag(trap_exit, Bool), Pid ! {Ref, ok}, loop(Pid);
        return -> ok;
        {stop, Reason} -> exit(Reason);
        _ -> loop(Watcher)
    end.

ask(Server, Request, Ms) ->
    try {ok, gen_server:call(Server, Request, Ms)}
    catch
        exit:{timeout, _} -> {error, timeout};
        exit:{noproc, _} -> {error, noproc};
        exit:{{nodedown, _}, _} -> {error, noconnection};
        exit:_ -> {error, other}
    end.

spin() -> spin().
