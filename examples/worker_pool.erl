%% SPDX-License-Identifier: Apache-2.0
%% The remote processes guide of noex, step by step, with workers in C (examples/worker.c) and an Erlang coordinator.
%% Each function below is one step; examples/README.md says which is which. main/0 takes them all, on two C nodes
%% that it starts itself:
%%
%%     erlc worker_pool.erl
%%     erl -noshell -name coordinator@127.0.0.1 -pa .../cnode/ebin -s worker_pool main -extra cnoded ./worker
-module(worker_pool).
-export([main/0]).

-define(N1, 'worker1@127.0.0.1').
-define(N2, 'worker2@127.0.0.1').

%%---- spawning ----

%% Basic spawning. A pid is all there is to know: it says which node it is on.
spawn_basic(Node) ->
    {ok, Pid} = cnode:start(Node, worker, []),
    Node = node(Pid).

%% What is registered, and whether this is. The node must let us ask: cnoded -allow_fun cnode:factories.
list_behaviours(Node) ->
    {ok, Factories} = cnode:factories(Node),
    Names = [Name || #{name := Name} <- Factories],
    io:format("      registered behaviours: ~p~n", [lists:sort(Names)]),
    true = lists:member(worker, Names).

%% The options: #{name, registration, init_timeout, timeout}.
spawn_options(Node) ->
    {ok, _} = cnode:start(Node, worker, [], #{name => 'worker-0', registration => local, init_timeout => 1000, timeout => 10000}).

%% A name on its node only.
register_locally(Node) ->
    {ok, _} = cnode:start(Node, worker, [], #{name => 'worker-1'}),
    #{task_count := 0} = gen_server:call({'worker-1', Node}, get_stats),
    {error, {already_started, _}} = cnode:start(Node, worker, [], #{name => 'worker-1'}).

%% A name that all nodes of the cluster know.
register_globally(Node) ->
    {ok, Pid} = cnode:start(Node, worker, []),
    yes = global:register_name('cache:primary', Pid),
    Pid = global:whereis_name('cache:primary'),
    #{task_count := 0} = gen_server:call({global, 'cache:primary'}, get_stats).

%% No name: who has the pid has the process.
register_nowhere(Node) ->
    {ok, Pid} = cnode:start(Node, worker, [], #{registration => none}),
    #{task_count := 0} = gen_server:call(Pid, get_stats).

%%---- talking ----

%% Calls wait for the answer: five seconds, or as long as they are told.
call(Pid) ->
    #{} = gen_server:call(Pid, get_stats),
    #{} = gen_server:call(Pid, get_stats, 30000).

%% Casts do not.
cast(Pid) -> ok = gen_server:cast(Pid, {process_task, log, <<"Task started">>}).

%% "Smart" calls: near or far, a call is a call.
smart_call(Remote) ->
    Local = spawn_link(fun() -> receive {'$gen_call', From, get_stats} -> gen_server:reply(From, #{task_count => 0}) end end),
    [#{}, #{}] = [gen_server:call(Pid, get_stats) || Pid <- [Local, Remote]].

%% Time-outs fit for what is asked.
timeouts(Node, Pid) ->
    #{} = gen_server:call(Pid, get_stats, 1000),
    #{} = gen_server:call(Pid, get_stats, 30000),
    {ok, _} = cnode:start(Node, worker, [], #{timeout => 15000}).

%%---- where to spawn ----

round_robin(Nodes) -> placed(Nodes, round_robin, [?N1, ?N1, ?N2, ?N2]).

least_loaded(Nodes) -> placed(Nodes, least_loaded, [?N1, ?N1, ?N2, ?N2]).

%% A node of this machine first; here both are.
prefer_local(Nodes) -> placed(Nodes, local_first, [?N1, ?N1, ?N2, ?N2]).

%% Or as you like.
own_strategy(Nodes) -> placed(Nodes, fun(Up) -> lists:last(lists:sort(Up)) end, [?N2, ?N2, ?N2, ?N2]).

placed(Nodes, Placement, Expected) ->
    {ok, Pool} = cnode_pool:start_link(#{name => placed, nodes => Nodes, factory => worker, size => 4, placement => Placement}),
    ok = cnode_pool:await(placed, 10000),
    Where = lists:sort([node(W) || W <- cnode_pool:workers(placed)]),
    unlink(Pool),
    cnode_pool:stop(placed),
    %% With least_loaded the processes of the other steps count too.
    case Placement of
        least_loaded -> [] = Where -- (Expected ++ Expected);
        _ -> Expected = Where
    end.

%%---- errors ----

spawn_error(Node, Factory, Args, Options) ->
    case cnode:start(Node, Factory, Args, Options) of
        {ok, Pid} -> Pid;
        {error, {nodedown, Down}} -> io_lib:format("Node ~ts is not connected", [Down]);
        {error, undef} -> io_lib:format("Behaviour '~ts' not registered on target", [Factory]);
        {error, not_allowed} -> "This node may not spawn it";
        {error, {timeout, Ms}} -> io_lib:format("Spawn timed out after ~b ms", [Ms]);
        {error, badarg} -> "Init does not take these arguments";
        {error, {init, Why}} -> io_lib:format("Init failed: ~tp", [Why]);
        {error, {already_started, Pid}} -> io_lib:format("Registration failed: it is ~w", [Pid])
    end.

spawn_errors(Node) ->
    [io:format("      ~ts~n", [spawn_error(N, F, A, O)])
     || {N, F, A, O} <- [{'nobody@127.0.0.1', worker, [], []}, {Node, no_such_behaviour, [], []}, {Node, worker, [wrong], []},
                         {Node, worker, [], [{name, 'worker-1'}]}]].

call_error(Server, Message, Timeout) ->
    try gen_server:call(Server, Message, Timeout)
    catch
        exit:{timeout, _} -> io_lib:format("Call timed out after ~b ms", [Timeout]);
        exit:{noproc, _} -> io_lib:format("Server ~w is not running", [Server]);
        exit:{noconnection, _} -> io_lib:format("Node ~ts disconnected", [node(Server)]);
        exit:{{nodedown, Node}, _} -> io_lib:format("Node ~ts disconnected", [Node]);
        exit:{Reason, _} -> io_lib:format("Server ~w ended: ~tp", [Server, Reason])
    end.

call_errors(Node) ->
    {ok, Pid} = cnode:start(Node, worker, []),
    %% Busy with tasks of 100 microseconds each.
    [gen_server:cast(Pid, {process_task, I, x}) || I <- lists:seq(1, 1000)],
    io:format("      ~ts~n", [call_error(Pid, get_stats, 0)]),
    exit(Pid, kill),
    io:format("      ~ts~n", [call_error(Pid, get_stats, 5000)]),
    io:format("      ~ts~n", [call_error({worker, 'nobody@127.0.0.1'}, get_stats, 5000)]).

%%---- the complete example: a pool of three workers per node ----

coordinator(Nodes) ->
    {ok, _} = cnode_pool:start_link(#{name => pool, nodes => Nodes, factory => worker, per_node => 3}),
    ok = cnode_pool:await(pool, 10000),
    io:format("      initialized ~b workers~n", [length(cnode_pool:workers(pool))]),
    [submit_task(I) || I <- lists:seq(1, 100)],
    Stats = get_stats(),
    io:format("      ~w~n", [Stats]),
    100 = lists:sum(Stats).

%% To each in turn.
submit_task(I) -> ok = cnode_pool:cast(pool, {process_task, I, #{value => I}}).

%% Of all at once; a worker answers when it has done the tasks it got before.
get_stats() -> [Count || {_, {ok, #{task_count := Count}}} <- cnode_pool:call_all(pool, get_stats, 10000)].

%%---- best practices ----

%% The same behaviours on all nodes: one list that all of them are started with.
start_nodes(Cnoded, Module) ->
    Same = #{cnoded => Cnoded, load => [Module], allow => ["worker", "bulk_worker"],
             args => ["-allow_fun", "cnode:factories"], log => none},
    [begin {ok, Program} = cnode_program:start_link(Same#{node => Node}), {Node, Program} end || Node <- [?N1, ?N2]].

%% Exactly one in the cluster, however many ask at once.
singleton(Node) ->
    Self = self(),
    Asking = [spawn_link(fun() -> Self ! {self(), cnode:get_or_start({global, 'cluster:leader'}, Node, worker, [])} end) || _ <- lists:seq(1, 10)],
    [{ok, Leader}] = lists:usort([receive {P, Result} -> Result end || P <- Asking]),
    io:format("      the leader is on ~s~n", [node(Leader)]).

%% A node is lost: its workers are replaced on those that are left.
node_failure(Lost, Program) ->
    true = monitor_node(Lost, true),
    unlink(Program),
    os:cmd("kill -9 " ++ integer_to_list(cnode_program:os_pid(Program))),
    receive {nodedown, Lost} -> ok end,
    replaced(pool, lists:duplicate(6, ?N2)),
    io:format("      six workers, all on ~s~n", [?N2]),
    submit_task(101).

%% A pool that has not heard of the loss yet, as it may after us, has all its workers.
replaced(Pool, Nodes) ->
    ok = cnode_pool:await(Pool, 5000),
    [node(W) || W <- cnode_pool:workers(Pool)] =:= Nodes orelse replaced(Pool, Nodes).

%%---- all of it ----

main() -> spawn(fun run/0).

run() ->
    try
        logger:set_primary_config(level, none),
        [Cnoded, Module] = init:get_plain_arguments(),
        Programs = step("start_nodes", fun() -> start_nodes(Cnoded, Module) end),
        Nodes = [?N1, ?N2],
        step("list_behaviours", fun() -> list_behaviours(?N1) end),
        step("spawn_basic", fun() -> spawn_basic(?N1) end),
        step("spawn_options", fun() -> spawn_options(?N1) end),
        step("register_locally", fun() -> register_locally(?N1) end),
        step("register_globally", fun() -> register_globally(?N1) end),
        step("register_nowhere", fun() -> register_nowhere(?N1) end),
        {ok, Pid} = cnode:start(?N2, worker, []),
        step("call", fun() -> call(Pid) end),
        step("cast", fun() -> cast(Pid) end),
        step("smart_call", fun() -> smart_call(Pid) end),
        step("timeouts", fun() -> timeouts(?N2, Pid) end),
        step("round_robin", fun() -> round_robin(Nodes) end),
        step("least_loaded", fun() -> least_loaded(Nodes) end),
        step("prefer_local", fun() -> prefer_local(Nodes) end),
        step("own_strategy", fun() -> own_strategy(Nodes) end),
        step("spawn_errors", fun() -> spawn_errors(?N1) end),
        step("call_errors", fun() -> call_errors(?N1) end),
        step("coordinator", fun() -> coordinator(Nodes) end),
        step("singleton", fun() -> singleton(?N1) end),
        step("node_failure", fun() -> node_failure(?N1, proplists:get_value(?N1, Programs)) end),
        io:format("all steps done~n"),
        %% The workers and the node end with us.
        gen_server:stop(proplists:get_value(?N2, Programs)),
        halt(0)
    catch
        Class:What:Stack ->
            io:format("** ~p: ~tp~n~tp~n", [Class, What, Stack]),
            halt(1)
    end.

step(Name, Fun) ->
    io:format("   ~s~n", [Name]),
    Fun().
