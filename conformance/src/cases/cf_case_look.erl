%% SPDX-License-Identifier: Apache-2.0
%% Looking at the node from another one: the built-in functions of erlang and observer_backend, as etop, observer and
%% recon call them.
-module(cf_case_look).
-export([cases/0]).

-define(ERLANG, "erlang (module documentation)").
-define(OBSERVER, "observer_backend.erl, etop.erl").

cases() ->
    [{Id, What, Rule, [{needs, [builtins | Needs]} | O], Fun} || {Id, What, Rule, Needs, O, Fun} <-
     [{'look.nodes', "nodes(connected) lists this node, nodes(this) itself", ?ERLANG, [], [{varies, [dial, visible]}], fun nodes_/1},
      {'look.nodes_visible', "nodes() lists visible nodes only", ?ERLANG, [], [{varies, [visible]}], fun nodes_visible/1},
      {'look.nodes_list', "nodes([this, connected]) is both together, known is the same or more", ?ERLANG, [], [], fun nodes_list/1},
      {'look.nodes_badarg', "nodes(nonsense) is badarg", ?ERLANG, [], [], fun nodes_badarg/1},
      {'look.processes', "processes() lists living pids of the node, and a new one once it is there", ?ERLANG, [], [], fun processes_/1},
      {'look.is_process_alive', "is_process_alive of a living and a dead one, badarg for ours", ?ERLANG, [], [], fun is_alive/1},
      {'look.whereis_unknown', "whereis of an unknown name is undefined", ?ERLANG, [], [], fun whereis_unknown/1},
      {'look.whereis_badarg', "whereis of what is no atom is badarg", ?ERLANG, [], [], fun whereis_badarg/1},
      {'look.registered', "registered() follows register and unregister", ?ERLANG, [register], [], fun registered_/1},
      {'look.function_exported', "function_exported tells of erlang:node/0 and of nonsense", ?ERLANG, [], [], fun function_exported_/1},
      {'look.memory', "memory() has the documented keys, and total is what processes and system add up to", ?ERLANG, [], [], fun memory/1},
      {'look.memory_one', "memory(Type) and memory([Type]) are numbers for each type", ?ERLANG, [], [], fun memory_one/1},
      {'look.memory_badarg', "memory(nonsense) is badarg", ?ERLANG, [], [], fun memory_badarg/1},
      {'look.statistics', "statistics has the documented shapes", ?ERLANG, [], [], fun statistics_/1},
      {'look.statistics_grows', "wall_clock never goes back, and the difference is since the last call", ?ERLANG, [], [], fun statistics_grows/1},
      {'look.statistics_badarg', "statistics(nonsense) is badarg", ?ERLANG, [], [], fun statistics_badarg/1},
      {'look.system_info', "system_info has the documented types", ?ERLANG, [], [], fun system_info/1},
      {'look.system_info_badarg', "system_info(nonsense) is badarg", ?ERLANG, [], [], fun system_info_badarg/1},
      {'look.creation', "system_info(creation) is the creation of its pids", ?ERLANG, [], [], fun creation/1},
      {'look.process_info', "process_info/1 of a living process has the documented keys", ?ERLANG, [], [], fun process_info_/1},
      {'look.process_info_dead', "process_info of a dead process is undefined", ?ERLANG, [], [], fun process_info_dead/1},
      {'look.process_info_remote', "process_info of another node's process is badarg", ?ERLANG, [], [], fun process_info_remote/1},
      {'look.process_info_item', "process_info(Pid, Item) is {Item, Value}; of an unknown item badarg", ?ERLANG, [], [], fun process_info_item/1},
      {'look.process_info_list', "process_info(Pid, Items) keeps the order of the items", ?ERLANG, [], [], fun process_info_list/1},
      {'look.registered_name', "registered_name: [] without a name, {registered_name, []} in a list", ?ERLANG, [register], [], fun registered_name/1},
      {'look.links', "links and monitors of a process are those that it has", ?ERLANG, [link, monitor], [], fun links/1},
      {'look.monitors_by_name', "a monitor by name is shown as {process, {Name, Node}}", ?ERLANG, [monitor], [], fun monitors_by_name/1},
      {'look.trap_exit', "trap_exit follows process_flag", ?ERLANG, [link], [], fun trap_exit/1},
      {'look.group_leader', "group_leader is who spawned it has", ?ERLANG, [spawn], [], fun group_leader_/1},
      {'look.message_queue_len', "message_queue_len grows while a process is busy", ?ERLANG, [spawn, busy], [], fun message_queue_len/1},
      {'look.pinfo', "c:pinfo of its process gives process_info", "rpc:pinfo/1", [rex], [], fun pinfo/1},
      {'look.etop', "etop_collect sends an etop_info with every process in it", ?OBSERVER, [], [{varies, [visible]}], fun etop/1},
      {'look.etop_linked', "the process that collects ends normally", ?OBSERVER, [], [], fun etop_linked/1},
      {'look.procs_info', "procs_info sends the processes in parts", ?OBSERVER, [], [], fun procs_info/1},
      {'look.fetch_stats', "fetch_stats goes on until a message ends it", ?OBSERVER, [], [], fun fetch_stats/1},
      {'look.scheduler_times', "what fetch_stats says of schedulers grows, and no more than time does", ?OBSERVER, [], [], fun scheduler_times/1},
      {'look.vsn', "observer_backend:vsn() is {ok, Version}", ?OBSERVER, [], [], fun vsn/1},
      {'look.sys_info', "observer_backend:sys_info() has what observer's system panel reads", ?OBSERVER, [], [], fun sys_info/1},
      {'look.allocators', "sys_info has allocators with carriers: observer divides by their sizes", "observer_alloc_wx.erl", [], [], fun allocators/1},
      {'look.translate_initial_call', "proc_lib:translate_initial_call of a process that proc_lib did not start is what observer takes for unknown", "proc_lib.erl", [], [],
       fun translate_initial_call/1},
      {'look.other_calls', "whatever else observer, etop and recon call is answered: a value or {badrpc, _}", "observer_wx.erl, etop_tr.erl, recon.erl", [rex], [],
       fun other_calls/1},
      {'look.tables', "observer_backend: tables and ports are lists", ?OBSERVER, [], [], fun tables/1},
      {'look.unknown', "what the tools call and is not there is {badrpc, _}, not silence", ?OBSERVER, [], [], fun unknown/1}]].

call(#{nut := Nut}, F, A) -> rpc:call(Nut, erlang, F, A, 8000).

badarg(T, F, A) ->
    case call(T, F, A) of
        {badrpc, {'EXIT', {badarg, Stack}}} when is_list(Stack) -> ok;
        Other -> cf:fail("erlang:~s(~p) gave ~p", [F, A, Other])
    end.

is_member(X, L) -> cf:check(lists:member(X, L), "~p is not in ~p", [X, L]).

nodes_(#{nut := Nut} = T) ->
    is_member(node(), call(T, nodes, [connected])),
    cf:same([Nut], call(T, nodes, [this])).

nodes_visible(T) ->
    Seen = lists:member(node(), call(T, nodes, [])),
    Hidden = lists:member(node(), call(T, nodes, [hidden])),
    cf:same(not Hidden, Seen),
    cf:same(Seen, lists:member(maps:get(nut, T), nodes())).

nodes_list(#{nut := Nut} = T) ->
    Both = call(T, nodes, [[this, connected]]),
    is_member(Nut, Both),
    is_member(node(), Both),
    cf:same([], Both -- call(T, nodes, [known])).

nodes_badarg(T) -> badarg(T, nodes, [nonsense]), badarg(T, nodes, [[this, 17]]).

processes_(#{nut := Nut} = T) ->
    All = call(T, processes, []),
    cf:check(lists:all(fun(P) -> is_pid(P) andalso node(P) =:= Nut end, All), "other pids in ~p", [All]),
    is_member(cf_live:ask(T, self, []), All),
    P = cf_live:puppet(T),
    cf:check(not lists:member(P, All), "~p was there before", [P]),
    is_member(P, call(T, processes, [])).

gone(T) ->
    P = cf_live:puppet(T), M = monitor(process, P), exit(P, kill), killed = cf_live:down(M), P.

is_alive(T) ->
    cf:same(true, call(T, is_process_alive, [cf_live:puppet(T)])),
    cf:same(false, call(T, is_process_alive, [gone(T)])),
    badarg(T, is_process_alive, [self()]).

whereis_unknown(T) -> cf:same(undefined, call(T, whereis, [cf:unique("nobody")])).
whereis_badarg(T) -> badarg(T, whereis, ["conformance"]).

registered_(T) ->
    P = cf_live:puppet(T), Name = cf:unique("seen"),
    true = cf_live:ask(T, P, register, [Name]),
    is_member(Name, call(T, registered, [])),
    cf:same(P, call(T, whereis, [Name])),
    true = cf_live:ask(T, P, unregister, [Name]),
    cf:check(not lists:member(Name, call(T, registered, [])), "~p is still listed", [Name]).

function_exported_(T) ->
    cf:same(true, call(T, function_exported, [erlang, node, 0])),
    cf:same(false, call(T, function_exported, [no_such_module, f, 1])),
    badarg(T, function_exported, [erlang, node, x]).

memory_keys() -> [total, processes, processes_used, system, atom, atom_used, binary, code, ets].

memory(T) ->
    M = call(T, memory, []),
    cf:same(lists:sort(memory_keys()), lists:sort([K || {K, _} <- M]), "keys"),
    [Total, Processes, System] = [proplists:get_value(K, M) || K <- [total, processes, system]],
    cf:check(Total > 0 andalso Total =:= Processes + System, "~p is not ~p + ~p", [Total, Processes, System]).

memory_one(T) ->
    [cf:check(is_integer(call(T, memory, [K])), "~p", [K]) || K <- memory_keys()],
    [{total, A}, {processes, B}] = call(T, memory, [[total, processes]]),
    cf:check(A >= B, "~p < ~p", [A, B]).

memory_badarg(T) -> badarg(T, memory, [nonsense]), badarg(T, memory, [[total, nonsense]]).

statistics_(T) ->
    [begin
         {A, B} = call(T, statistics, [Item]),
         cf:check(is_integer(A) andalso is_integer(B), "~p: ~p", [Item, {A, B}])
     end || Item <- [wall_clock, runtime, reductions, exact_reductions, context_switches]],
    cf:check(is_integer(call(T, statistics, [run_queue])), "run_queue"),
    cf:check(is_integer(call(T, statistics, [total_run_queue_lengths])), "total_run_queue_lengths"),
    cf:check(is_list(call(T, statistics, [run_queue_lengths])), "run_queue_lengths"),
    {{input, In}, {output, Out}} = call(T, statistics, [io]),
    cf:check(In > 0 andalso Out > 0, "io: ~p in, ~p out", [In, Out]),
    {_, _, _} = call(T, statistics, [garbage_collection]),
    case call(T, statistics, [scheduler_wall_time]) of
        undefined -> ok;
        L when is_list(L) -> ok
    end.

statistics_grows(T) ->
    {A, _} = call(T, statistics, [wall_clock]),
    {B, Since} = call(T, statistics, [wall_clock]),
    cf:check(B >= A andalso Since =< B - A + 1, "~p, then ~p", [A, {B, Since}]),
    {R, _} = call(T, statistics, [reductions]),
    {S, _} = call(T, statistics, [reductions]),
    cf:check(S > R, "reductions ~p, then ~p", [R, S]).

statistics_badarg(T) -> badarg(T, statistics, [nonsense]).

system_info(T) ->
    [cf:check(is_integer(call(T, system_info, [I])) andalso call(T, system_info, [I]) > 0, "~p: ~p", [I, call(T, system_info, [I])])
     || I <- [process_count, process_limit, schedulers, schedulers_online, logical_processors, wordsize, atom_limit, port_limit,
              dist_buf_busy_limit, creation]],
    [cf:check(is_list(call(T, system_info, [I])), "~p", [I]) || I <- [otp_release, version, system_architecture, system_version, machine]],
    cf:check(list_to_integer(call(T, system_info, [otp_release])) >= 23, "otp_release"),
    cf:same(call(T, system_info, [wordsize]), call(T, system_info, [{wordsize, external}])).

system_info_badarg(T) -> badarg(T, system_info, [nonsense]), badarg(T, system_info, [{nonsense, 1}]).

creation(T) ->
    C = call(T, system_info, [creation]),
    cf:same(cf_live:ask(T, creation, []), C).

process_info_(T) ->
    L = call(T, process_info, [cf_live:puppet(T)]),
    Keys = [K || {K, _} <- L],
    [is_member(K, Keys) || K <- [current_function, initial_call, status, message_queue_len, links, dictionary, trap_exit, error_handler,
                                 priority, group_leader, total_heap_size, heap_size, stack_size, reductions, garbage_collection,
                                 suspending]],
    cf:check(not lists:member(registered_name, Keys), "a process without a name shows one"),
    {_, _, _} = proplists:get_value(initial_call, L),
    is_member(proplists:get_value(status, L), [waiting, running, runnable]).

process_info_dead(T) ->
    P = gone(T),
    cf:same(undefined, call(T, process_info, [P])),
    cf:same(undefined, call(T, process_info, [P, status])),
    cf:same(undefined, call(T, process_info, [P, [status, links]])).

process_info_remote(T) -> badarg(T, process_info, [self()]), badarg(T, process_info, [self(), links]).

process_info_item(T) ->
    P = cf_live:puppet(T),
    [begin {I, _} = call(T, process_info, [P, I]) end
     || I <- [binary, catchlevel, current_function, current_location, current_stacktrace, dictionary, error_handler, fullsweep_after,
              garbage_collection, group_leader, heap_size, initial_call, last_calls, links, memory, message_queue_len, messages,
              message_queue_data, min_heap_size, monitored_by, monitors, priority, reductions, sequential_trace_token, stack_size, status,
              suspending, total_heap_size, trace, trap_exit]],
    {memory, M} = call(T, process_info, [P, memory]),
    cf:check(M > 0, "memory ~p", [M]),
    badarg(T, process_info, [P, nonsense]),
    badarg(T, process_info, [P, [links, nonsense]]).

process_info_list(T) ->
    P = cf_live:puppet(T),
    [{status, _}, {links, []}, {trap_exit, false}, {status, _}] = call(T, process_info, [P, [status, links, trap_exit, status]]),
    cf:same([], call(T, process_info, [P, []])).

registered_name(T) ->
    P = cf_live:puppet(T), Name = cf:unique("named"),
    cf:same([], call(T, process_info, [P, registered_name])),
    cf:same([{registered_name, []}], call(T, process_info, [P, [registered_name]])),
    true = cf_live:ask(T, P, register, [Name]),
    cf:same({registered_name, Name}, call(T, process_info, [P, registered_name])),
    cf:same({registered_name, Name}, hd(call(T, process_info, [P]))).

links(T) ->
    P = cf_live:puppet(T), Q = cf_live:puppet(T),
    true = cf_live:ask(T, P, link, [Q]),
    true = cf_live:ask(T, P, link, [self()]),
    R = cf_live:ask(T, P, monitor, [Q]),
    M = monitor(process, P),
    cf_live:fence(T),
    {links, Links} = call(T, process_info, [P, links]),
    cf:same(lists:sort([Q, self()]), lists:sort(Links)),
    cf:same({monitors, [{process, Q}]}, call(T, process_info, [P, monitors])),
    cf:same({monitored_by, [P]}, call(T, process_info, [Q, monitored_by])),
    cf:same({monitored_by, [self()]}, call(T, process_info, [P, monitored_by])),
    true = cf_live:ask(T, P, demonitor, [R]),
    demonitor(M),
    cf:same({monitors, []}, call(T, process_info, [P, monitors])),
    cf:same({monitored_by, []}, call(T, process_info, [Q, monitored_by])),
    unlink(P).

monitors_by_name(T) ->
    P = cf_live:puppet(T), Name = cf:unique("watched"),
    register(Name, self()),
    _ = cf_live:ask(T, P, monitor, [{Name, node()}]),
    cf:same({monitors, [{process, {Name, node()}}]}, call(T, process_info, [P, monitors])).

trap_exit(T) ->
    P = cf_live:puppet(T),
    cf:same({trap_exit, false}, call(T, process_info, [P, trap_exit])),
    false = cf_live:ask(T, P, trap_exit, [true]),
    cf:same({trap_exit, true}, call(T, process_info, [P, trap_exit])).

group_leader_(#{nut := Nut} = T) ->
    P = spawn(Nut, puppet, start, []),
    cf:same({group_leader, group_leader()}, call(T, process_info, [P, group_leader])).

message_queue_len(#{nut := Nut} = T) ->
    P = spawn(Nut, busy, start, []),
    _ = gen_server:send_request(P, {spin, 3000}),
    cf:wait("it is busy", fun() -> lists:member(element(2, call(T, process_info, [P, status])), [running, runnable]) end),
    [P ! N || N <- lists:seq(1, 10)],
    cf:wait("ten messages wait", fun() -> element(2, call(T, process_info, [P, message_queue_len])) >= 10 end),
    exit(P, kill).

pinfo(T) ->
    P = cf_live:puppet(T),
    cf:check(lists:keymember(status, 1, rpc:pinfo(P)), "rpc:pinfo gave ~p", [rpc:pinfo(P)]),
    cf:same({links, []}, rpc:pinfo(P, links)).

%% #etop_info{now, n_procs, wall_clock, runtime, run_queue, alloc_areas, memi, procinfo}
%% #etop_proc_info{pid, mem, reds, name, runtime, cf, mq}
collected(#{nut := Nut}) ->
    P = spawn_link(Nut, observer_backend, etop_collect, [self()]),
    cf:got(fun({Q, I}) when Q =:= P -> I end).

etop(T) ->
    Puppet = cf_live:puppet(T),
    {etop_info, {_, _, _}, N, _, _, RunQueue, _, Memory, Procs} = collected(T),
    cf:check(is_integer(RunQueue), "run queue"),
    cf:same([atom, binary, code, ets, processes, total], lists:sort([K || {K, _} <- Memory, lists:member(K, [atom, binary, code, ets, processes, total])])),
    cf:same(N, length(Procs)),
    [begin
         cf:check(is_pid(P) andalso is_integer(Mem) andalso is_integer(Reds) andalso is_integer(Queue), "~p", [I]),
         case Name of
             _ when is_atom(Name); is_binary(Name) -> ok;
             {_, _, A} when is_integer(A) -> ok
         end,
         {_, _, B} = Current,
         true = is_integer(B)
     end || {etop_proc_info, P, Mem, Reds, Name, _, Current, Queue} = I <- Procs],
    {etop_proc_info, _, _, _, conformance, _, _, _} = lists:keyfind(cf_live:ask(T, self, []), 2, Procs),
    true = is_tuple(lists:keyfind(Puppet, 2, Procs)).

etop_linked(#{nut := Nut}) ->
    process_flag(trap_exit, true),
    P = spawn_link(Nut, observer_backend, etop_collect, [self()]),
    cf:same(normal, cf_live:exit_of(P)).

procs_info(#{nut := Nut} = T) ->
    P = spawn(Nut, observer_backend, procs_info, [self()]),
    {Tag, Procs} = cf:got(fun({procs_info, Q, L}) when Q =:= P -> {list, L}; (L) when is_list(L) -> {list, L} end),
    list = Tag,
    cf:check(lists:keymember(cf_live:ask(T, self, []), 2, Procs), "conformance is not in ~p", [Procs]).

fetch_stats(#{nut := Nut}) ->
    P = spawn_link(Nut, observer_backend, fetch_stats, [self(), 10]),
    M = monitor(process, P),
    Get = fun() -> cf:got(fun({stats, 1, W, {{input, I}, {output, O}}, Mem}) -> {W, I, O, Mem} end) end,
    {_, I1, _, Memory} = Get(),
    cf:check(is_integer(proplists:get_value(total, Memory)), "memory"),
    {_, I2, _, _} = Get(),
    cf:check(I2 >= I1, "input went back"),
    P ! exit,
    cf:same(normal, cf_live:down(M)).

%% As observer_perf_wx does: sorted, same ids each time, and a share between two of them.
scheduler_times(#{nut := Nut}) ->
    P = spawn_link(Nut, observer_backend, fetch_stats, [self(), 20]),
    Get = fun() -> cf:got(fun({stats, 1, [_ | _] = Times, _, _}) -> lists:sort(Times) end) end,
    First = Get(), Second = Get(),
    cf:same([Id || {Id, _, _} <- First], [Id || {Id, _, _} <- Second]),
    [cf:check(T2 > T1 andalso A2 >= A1 andalso A2 - A1 =< 2 * (T2 - T1), "~p, then ~p", [{A1, T1}, {A2, T2}])
     || {{_, A1, T1}, {_, A2, T2}} <- lists:zip(First, Second)],
    unlink(P),
    P ! exit.

vsn(#{nut := Nut}) -> {ok, [_ | _]} = rpc:call(Nut, observer_backend, vsn, []).

sys_info(#{nut := Nut}) ->
    L = rpc:call(Nut, observer_backend, sys_info, []),
    [cf:check(lists:keymember(K, 1, L), "~p is missing", [K])
     || K <- [uptime, run_queue, io_input, io_output, logical_processors, logical_processors_online, logical_processors_available, schedulers,
              schedulers_online, schedulers_available, otp_release, version, system_architecture, kernel_poll, smp_support, threads,
              thread_pool_size, wordsize_internal, wordsize_external, alloc_info, process_count, process_limit, total, processes,
              atom, binary, code, ets]].

tables(#{nut := Nut}) ->
    cf:check(is_list(rpc:call(Nut, observer_backend, get_table_list, [ets, []])), "tables"),
    cf:check(is_list(rpc:call(Nut, observer_backend, get_port_list, [])), "ports").

%% As observer_alloc_wx sums them up.
allocators(#{nut := Nut}) ->
    Info = proplists:get_value(alloc_info, rpc:call(Nut, observer_backend, sys_info, [])),
    Carriers = [C || {_, Instances} <- Info, is_list(Instances), {instance, _, Parts} <- Instances, {_, Sizes} <- Parts, is_list(Sizes),
                     {carriers_size, C, _, _} <- Sizes],
    cf:check(lists:sum(Carriers) > 0, "~p", [Info]).

translate_initial_call(#{nut := Nut} = T) ->
    cf:same({proc_lib, init_p, 5}, rpc:call(Nut, proc_lib, translate_initial_call, [cf_live:puppet(T)])).

other_calls(#{nut := Nut} = T) ->
    P = cf_live:puppet(T),
    Told = fun(M, F, A) ->
               case rpc:call(Nut, M, F, A, 8000) of
                   {badrpc, Why} when Why =:= timeout; Why =:= nodedown -> cf:fail("~p:~p: ~p", [M, F, Why]);
                   _ -> ok
               end
           end,
    [Told(M, F, A) || {M, F, A} <- [{net_adm, localhost, []}, {erlang, whereis, [dbg]}, {code, ensure_loaded, [observer_backend]},
                                    {erlang, garbage_collect, [P]}, {sys, get_status, [P, 200]}, {puppet, module_info, [attributes]},
                                    {rb, grep, [pid_to_list(P)]}, {ets, info, [no_table, keypos]}, {appmon_info, start_link2, [self(), self(), []]},
                                    {erlang, system_info, [dirty_cpu_schedulers]}, {erlang, apply, [fun erlang:node/0, []]},
                                    {erlang, ports, []}, {erlang, system_info, [{allocator_sizes, [std_alloc]}]}]],
    [case rpc:block_call(Nut, M, F, A, 8000) of
         {badrpc, Why} when Why =:= timeout; Why =:= nodedown -> cf:fail("~p:~p: ~p", [M, F, Why]);
         _ -> ok
     end || {M, F, A} <- [{application, which_applications, []}, {gen_event, which_handlers, [error_logger]}, {code, ensure_loaded, [rb]},
                          {erlang, function_exported, [rb, log_list, 0]}, {erlang, whereis, [rb_server]}]],
    cf:same(true, rpc:call(Nut, erlang, is_process_alive, [P])).

unknown(#{nut := Nut}) ->
    [case rpc:call(Nut, M, F, A, 8000) of
         {badrpc, Why} when Why =/= timeout, Why =/= nodedown -> ok;
         Other -> cf:fail("~p:~p gave ~p", [M, F, Other])
     end || {M, F, A} <- [{recon, info, [self()]}, {recon, proc_count, [memory, 3]}, {recon_alloc, memory, [used]},
                          {erlang, no_such_function, []}, {observer_backend, no_such_function, [1]}]].
