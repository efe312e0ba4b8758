%% SPDX-License-Identifier: Apache-2.0
%% A process that does what it is told: {Op, From, Ref, Args} is obeyed and answered {Ref, Result}; every other
%% message is passed on to whoever asked to watch. Started by spawning {puppet, start, []}. See CONTRACT.md.
-module(puppet).
-export([start/0, named/2]).

start() -> loop(none).

named(Name, Starter) ->
    true = register(Name, self()),
    Starter ! {named, Name},
    start().

loop(Watcher) ->
    receive
        {watch, From, Ref, [Pid]} when is_pid(From) ->
            From ! {Ref, ok},
            loop(Pid);
        {exit, From, Ref, [Reason]} when is_pid(From) ->
            From ! {Ref, ok},
            exit(Reason);
        {global_trans, From, Ref, Args} when is_pid(From) ->
            From ! {Ref, try trans(Ref, Args) catch Class:Reason -> {refused, Class, Reason} end},
            loop(Watcher);
        {Op, From, Ref, Args} when is_atom(Op), is_pid(From), is_reference(Ref), is_list(Args) ->
            From ! {Ref, try do(Op, Args) catch Class:Reason -> {refused, Class, Reason} end},
            loop(Watcher);
        Other ->
            if is_pid(Watcher) -> Watcher ! {saw, self(), Other}; true -> ok end,
            loop(Watcher)
    end.

do(capabilities, []) -> capabilities();
do(echo, [Term]) -> Term;
do(self, []) -> self();
do(print, [Text]) -> io:put_chars(Text);
do(spawn, []) -> spawn(puppet, start, []);
do(trap_exit, [Bool]) -> process_flag(trap_exit, Bool);
do(send, [To, Message]) -> To ! Message, ok;
do(link, [Pid]) -> link(Pid);
do(unlink, [Pid]) -> unlink(Pid);
do(monitor, [What]) -> monitor(process, What);
do(demonitor, [Ref]) -> demonitor(Ref);
do(exit_signal, [Pid, Reason]) -> exit(Pid, Reason);
do(group_leader, []) -> group_leader();
do(group_leader, [Leader, Pid]) -> group_leader(Leader, Pid);
do(register, [Name]) -> register(Name, self());
do(unregister, [Name]) -> unregister(Name);
do(whereis, [Name]) -> whereis(Name);
do(is_alive, [Pid]) -> is_process_alive(Pid);
do(alias, [Options]) -> bif(alias, [Options]);
do(unalias, [Ref]) -> bif(unalias, [Ref]);
do(monitor_alias, [What, How]) -> bif(monitor, [process, What, [{alias, How}]]);
do(connect, [Node]) -> net_kernel:connect_node(Node);
do(disconnect, [Node]) -> erlang:disconnect_node(Node);
do(monitor_node, [Node, Bool]) -> erlang:monitor_node(Node, Bool);
do(nodes, [Which]) -> nodes(Which);
do(mandatory_flags, []) ->
    case list_to_integer(erlang:system_info(otp_release)) of
        R when R < 25 -> 16#50184;
        25 -> 16#1070f94;
        _ -> 16#403070f94
    end;
do(creation, []) -> erlang:system_info(creation);
do(call, [Server, Request, Timeout]) ->
    try {ok, gen_server:call(Server, Request, Timeout)}
    catch exit:{Reason, {gen_server, call, _}} -> {error, Reason}
    end;
do(cast, [Server, Request]) -> gen_server:cast(Server, Request);
do(ping, [Node]) -> net_adm:ping(Node);
do(spawn_request, [Node, M, F, A, Options]) -> bif(spawn_request, [Node, M, F, A, Options]);
do(rpc, [Node, M, F, A]) -> rpc:call(Node, M, F, A);
do(erpc, [Node, M, F, A]) ->
    try {ok, erpc:call(Node, M, F, A)} catch Class:Reason -> {Class, Reason} end;
do(global_register, [Name]) -> global:register_name(Name, self());
do(global_register, [Name, Pid]) -> global:register_name(Name, Pid);
do(global_register, [Name, Pid, {M, F}]) -> global:register_name(Name, Pid, fun M:F/3);
do(global_re_register, [Name]) -> global:re_register_name(Name, self());
do(global_re_register, [Name, Pid]) -> global:re_register_name(Name, Pid);
do(global_re_register, [Name, Pid, {M, F}]) -> global:re_register_name(Name, Pid, fun M:F/3);
do(global_unregister, [Name]) -> _ = global:unregister_name(Name), ok;
do(global_whereis, [Name]) -> global:whereis_name(Name);
do(global_names, []) -> global:registered_names();
do(global_sync, []) -> global:sync();
do(global_send, [Name, Message]) -> global:send(Name, Message);
do(global_set_lock, Args) -> apply(global, set_lock, Args);
do(global_del_lock, Args) -> apply(global, del_lock, Args);
do(global_disconnect, []) -> bif_module(global, disconnect, []);
do(global_register_external, [Node, Name]) -> rpc:call(Node, global, register_name_external, [Name, self()]);
do(pg_start, [Scope]) ->
    case bif_module(pg, start, [Scope]) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok
    end;
do(pg_join, [Scope, Group]) -> bif_module(pg, join, [Scope, Group, self()]);
do(pg_stop, [Scope]) ->
    Pid = whereis(Scope),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, process, Pid, _} -> ok end;
do(pg_local_members, [Scope, Group]) -> bif_module(pg, get_local_members, [Scope, Group]);
do(pg_groups, [Scope]) -> bif_module(pg, which_groups, [Scope]);
do(pg_local_groups, [Scope]) -> bif_module(pg, which_local_groups, [Scope]);
do(pg_monitor, [Scope, Group]) -> bif_module(pg, monitor, [Scope, Group]);
do(pg_monitor_scope, [Scope]) -> bif_module(pg, monitor_scope, [Scope]);
do(pg_demonitor, [Scope, Ref]) -> bif_module(pg, demonitor, [Scope, Ref]);
do(pubsub_start, [Name, PoolSize]) -> phoenix_pubsub:start(Name, PoolSize);
do(pubsub_stop, [Name]) -> phoenix_pubsub:stop(Name);
do(pubsub_subscribe, [Name, Topic]) -> phoenix_pubsub:subscribe(Name, Topic);
do(pubsub_unsubscribe, [Name, Topic]) -> phoenix_pubsub:unsubscribe(Name, Topic);
do(pubsub_broadcast, [Name, Topic, Message]) -> phoenix_pubsub:broadcast(Name, Topic, Message);
do(pubsub_broadcast_from, [Name, Topic, Message]) -> phoenix_pubsub:broadcast_from(Name, Topic, Message);
do(pubsub_direct_broadcast, [Node, Name, Topic, Message]) -> phoenix_pubsub:direct_broadcast(Node, Name, Topic, Message);
do(monitor_nodes, [Bool, Type]) ->
    net_kernel:monitor_nodes(Bool, #{node_type => Type, nodedown_reason => true, connection_id => true});
do(pg_leave, [Scope, Group]) -> bif_module(pg, leave, [Scope, Group, self()]);
do(pg_members, [Scope, Group]) -> bif_module(pg, get_members, [Scope, Group]).

trans(Ref, [Id, Nodes, Retries, Pid]) ->
    Self = self(),
    global:trans(Id, fun() -> Pid ! {inside, Self, Ref}, receive {leave, Ref} -> left end end, Nodes, Retries).

%% Functions that the oldest release's compiler does not know.
bif(Function, Args) -> apply(erlang, Function, Args).
bif_module(Module, Function, Args) -> apply(Module, Function, Args).

capabilities() ->
    [otp, puppet, echo, register, link, monitor, exit, group_leader, connect, disconnect, nodes, monitor_node,
     spawn, spawn_out, spawn_anything, gen, gen_out, sys, busy, ping, ping_out, rpc, rpc_out, erpc, erpc_out,
     rex, builtins, io, rude, straight, global, global_resolve, global_external, pg, pubsub, dynamic_names, seq_trace, deep_terms,
     strict_terms]
        ++ [global_disconnect || erlang:function_exported(global, disconnect, 0)]
        ++ [global_pop || erlang:function_exported(global, disconnect, 0)]
        ++ [C || C <- [monitor_nodes, pg_monitor], list_to_integer(erlang:system_info(otp_release)) >= 25]
        ++ [alias || erlang:function_exported(erlang, alias, 1)]
        ++ [old_hello || old_hello()].

%% 25.0 - 25.2 close on it (dist_util.erl of kernel 8.4 - 8.5.3).
old_hello() ->
    {ok, Vsn} = application:get_key(kernel, vsn),
    Version = [list_to_integer(N) || N <- string:tokens(Vsn, ".")],
    Version < [8, 4] orelse Version >= [8, 5, 4].
