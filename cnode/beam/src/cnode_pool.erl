%% SPDX-License-Identifier: Apache-2.0
%% @doc A pool of C processes of one factory, on one or several C nodes.
%%
%% ```
%% {ok, _} = cnode_pool:start_link(#{name => codecs, nodes => ['c1@h1', 'c2@h2'], factory => codec, per_node => 4}),
%% {ok, Packed} = cnode_pool:call(codecs, {encode, Bytes}),
%% ok = cnode_pool:cast(codecs, {process_task, 17, Data}).
%% '''
%%
%% A worker that ends is replaced; the workers of a node that is lost are started on the nodes that are left, and are
%% not moved when it comes back. The pool keeps connected to its nodes, and learns so which of them are there.
%%
%% A call goes from the caller to a worker directly: the pool is asked in an ets table, by no message.
-module(cnode_pool).
-behaviour(gen_server).

-export([start_link/1, child_spec/1, call/2, call/3, call_all/3, cast/2, worker/1, workers/1, await/2, stop/1]).
%% For cnode_pool_sup and the keepers.
-export([start_table/1, place/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([options/0, placement/0, strategy/0]).

-type placement() :: round_robin | random | least_loaded | local_first | fun(([node(), ...]) -> node()).
%% Where a worker is started:
%% <dl>
%% <dt>`round_robin'</dt><dd>the nodes in turn (the default)</dd>
%% <dt>`random'</dt><dd>any of them</dd>
%% <dt>`least_loaded'</dt><dd>where the fewest processes are, as the nodes say (`erlang:system_info(process_count)' by
%%   `erpc'); if one of them does not let us ask, where the fewest workers of this pool are</dd>
%% <dt>`local_first'</dt><dd>a node of this machine while there is one, else the others in turn</dd>
%% <dt>a function</dt><dd>chooses one of the nodes that are there</dd>
%% </dl>

-type strategy() :: round_robin | random | fun(([pid(), ...]) -> pid()).
%% Which worker gets a call.

-type options() ::
        #{name := atom(),
          nodes := [node()] | fun(() -> [node()]),
          factory := cnode:factory(),
          args => [term()],
          options => cnode:options(),
          size => pos_integer(),
          per_node => pos_integer(),
          placement => placement(),
          strategy => strategy(),
          restarts => {non_neg_integer(), pos_integer()},
          backoff => {pos_integer(), pos_integer()},
          shutdown => non_neg_integer() | infinity}.
%% <dl>
%% <dt>`name'</dt><dd>of the pool, registered on this node</dd>
%% <dt>`nodes'</dt><dd>where its workers may be, or a function that says so when a worker is started</dd>
%% <dt>`factory', `args', `options'</dt><dd>of each worker, as `cnode:start_link/4' takes them</dd>
%% <dt>`size', `per_node'</dt><dd>how many workers: in all, or for each node that `nodes' has at the beginning; one per node</dd>
%% <dt>`restarts'</dt><dd>workers that may end by themselves within so many seconds, before the pool ends; {10, 10}.
%%   The loss of a node does not count</dd>
%% <dt>`backoff', `shutdown'</dt><dd>of {@link cnode_process}</dd>
%% </dl>

-record(pool, {name, nodes, placement, wanted,
               turn = 0,              % of round robin
               workers = #{},         % slot => pid
               pauses = #{},          % node that is down => how long until it is dialled again
               waiting = []}).        % those in await/2

-define(FIRST_PAUSE, 100).
-define(LONGEST_PAUSE, 5000).
-define(LOAD_TIMEOUT, 1000).

%%---- for users ----

%% @doc Starts a pool and its workers, and returns when each was started or its nodes could not be reached.
-spec start_link(options()) -> {ok, pid()} | {error, term()}.
start_link(#{name := Name, nodes := _, factory := _} = Options) when is_atom(Name) ->
    case is_alive() of
        true -> cnode_pool_sup:start_link(Options);
        false -> {error, not_alive}
    end.

%% @doc The child specification for a supervisor.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(#{name := Name} = Options) ->
    #{id => Name, start => {?MODULE, start_link, [Options]}, restart => permanent, shutdown => infinity,
      type => supervisor, modules => [cnode_pool_sup]}.

%% @doc Ends a pool and its workers.
-spec stop(atom()) -> ok.
stop(Pool) -> gen_server:stop(cnode_pool_sup:name(Pool), shutdown, infinity).

%% @equiv call(Pool, Request, 5000)
-spec call(atom(), term()) -> term().
call(Pool, Request) -> call(Pool, Request, 5000).

%% @doc `gen_server:call/3' to one of the workers. Exits with `{noproc, _}' while the pool has none.
-spec call(atom(), term(), timeout()) -> term().
call(Pool, Request, Timeout) ->
    case worker(Pool) of
        {ok, Worker} -> gen_server:call(Worker, Request, Timeout);
        {error, no_workers} -> exit({noproc, {?MODULE, call, [Pool, Request, Timeout]}})
    end.

%% @doc Calls all workers at once. The answers are in no order; who did not answer in time, or ended, has an error.
-spec call_all(atom(), term(), timeout()) -> [{pid(), {ok, term()} | {error, term()}}].
call_all(Pool, Request, Timeout) ->
    Deadline = deadline(Timeout),
    Asked = [{W, gen_server:send_request(W, Request)} || W <- workers(Pool)],
    [{W, answer(gen_server:wait_response(Id, left(Deadline)))} || {W, Id} <- Asked].

answer({reply, Reply}) -> {ok, Reply};
answer({error, {Reason, _}}) -> {error, Reason};
answer(timeout) -> {error, timeout}.

%% @doc `gen_server:cast/2' to one of the workers; lost while the pool has none.
-spec cast(atom(), term()) -> ok.
cast(Pool, Message) ->
    case worker(Pool) of
        {ok, Worker} -> gen_server:cast(Worker, Message);
        {error, no_workers} -> ok
    end.

%% @doc The worker whose turn it is.
-spec worker(atom()) -> {ok, pid()} | {error, no_workers}.
worker(Pool) ->
    try ets:lookup(Pool, workers) of
        [{_, {}, _, _}] -> {error, no_workers};
        [{_, Workers, Strategy, Turn}] -> {ok, choose(Strategy, Workers, Turn)}
    catch error:badarg -> {error, no_workers}    % the pool is not there
    end.

choose(round_robin, Workers, Turn) -> element(1 + atomics:add_get(Turn, 1, 1) rem tuple_size(Workers), Workers);
choose(random, Workers, _) -> element(rand:uniform(tuple_size(Workers)), Workers);
choose(Choose, Workers, _) when is_function(Choose, 1) -> Choose(tuple_to_list(Workers)).

%% @doc The workers there are now.
-spec workers(atom()) -> [pid()].
workers(Pool) ->
    try ets:lookup(Pool, workers) of
        [{_, Workers, _, _}] -> tuple_to_list(Workers)
    catch error:badarg -> []
    end.

%% @doc Waits until the pool has all its workers. On a time-out: how many it has.
-spec await(atom(), timeout()) -> ok | {error, {timeout, non_neg_integer()}}.
await(Pool, Timeout) ->
    try gen_server:call(table(Pool), await, Timeout)
    catch exit:{timeout, _} -> {error, {timeout, length(workers(Pool))}}
    end.

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

%%---- where a worker is started: in the keeper's process ----

%% @private
-spec place(pid()) -> node() | undefined.
place(Table) ->
    {Placement, Turn, Nodes, Workers} = gen_server:call(Table, place, infinity),
    case {[N || N <- Nodes, lists:member(N, nodes(connected))], Nodes} of
        {[], []} -> undefined;
        {[], _} -> place(round_robin, Turn, Nodes, Workers);    % dial them in turn
        {Up, _} -> place(Placement, Turn, Up, Workers)
    end.

place(round_robin, Turn, Nodes, _) -> lists:nth(1 + Turn rem length(Nodes), Nodes);
place(random, _, Nodes, _) -> lists:nth(rand:uniform(length(Nodes)), Nodes);
place(local_first, Turn, Nodes, Workers) ->
    case [N || N <- Nodes, host(N) =:= host(node())] of
        [] -> place(round_robin, Turn, Nodes, Workers);
        Local -> place(round_robin, Turn, Local, Workers)
    end;
place(least_loaded, _, Nodes, Workers) ->
    {_, Node} = lists:min(lists:zip(loads(Nodes, Workers), Nodes)),
    Node;
place(Choose, _, Nodes, _) when is_function(Choose, 1) -> Choose(Nodes).

host(Node) -> tl(string:split(atom_to_list(Node), "@")).

loads(Nodes, Workers) ->
    Answers = erpc:multicall(Nodes, erlang, system_info, [process_count], ?LOAD_TIMEOUT),
    case [N || {ok, N} <- Answers, is_integer(N)] of
        Loads when length(Loads) =:= length(Nodes) -> Loads;
        _ -> [length([W || W <- Workers, node(W) =:= N]) || N <- Nodes]
    end.

%%---- the table: who the workers are, and which nodes are there ----

%% @private
-spec start_table(options()) -> {ok, pid()} | {error, term()}.
start_table(#{name := Name} = Options) -> gen_server:start_link({local, table(Name)}, ?MODULE, Options, []).

table(Pool) -> list_to_atom(atom_to_list(Pool) ++ "_table").

%% @private
-spec init(options()) -> {ok, #pool{}}.
init(#{name := Name, nodes := Nodes} = Options) ->
    Name = ets:new(Name, [named_table, protected, {read_concurrency, true}]),
    true = ets:insert(Name, {workers, {}, maps:get(strategy, Options, round_robin), atomics:new(1, [])}),
    Pool = #pool{name = Name,
                 nodes = if is_function(Nodes, 0) -> Nodes; is_list(Nodes) -> fun() -> Nodes end end,
                 placement = maps:get(placement, Options, round_robin),
                 wanted = maps:get(size, Options)},
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    {ok, first_dial(Pool)}.

%% The first workers are spread over the nodes that are there, so it has to be known which are.
first_dial(Pool) ->
    Dialled = dial_missing(Pool),
    lists:foldl(fun(Node, P) ->
                        receive {dialled, Node, Up} -> dialled(Node, Up, P) end
                end, Dialled, maps:keys(Dialled#pool.pauses)).

%% @private
-spec handle_call(term(), {pid(), term()}, #pool{}) -> {reply, term(), #pool{}} | {noreply, #pool{}}.
handle_call(place, _, #pool{turn = Turn} = Pool0) ->
    Pool = dial_missing(Pool0),
    {reply, {Pool#pool.placement, Turn, (Pool#pool.nodes)(), maps:values(Pool#pool.workers)}, Pool#pool{turn = Turn + 1}};
handle_call(await, From, #pool{wanted = Wanted, workers = Workers} = Pool) ->
    case map_size(Workers) >= Wanted of
        true -> {reply, ok, Pool};
        false -> {noreply, Pool#pool{waiting = [From | Pool#pool.waiting]}}
    end;
handle_call(_, _, Pool) -> {reply, {error, bad_request}, Pool}.

%% @private
-spec handle_cast(term(), #pool{}) -> {noreply, #pool{}}.
handle_cast(_, Pool) -> {noreply, Pool}.

%% @private
-spec handle_info(term(), #pool{}) -> {noreply, #pool{}}.
handle_info({cnode_process, Slot, {up, Pid}}, #pool{workers = Workers} = Pool) ->
    _ = monitor(process, Pid),
    {noreply, publish(Pool#pool{workers = Workers#{Slot => Pid}})};
handle_info({cnode_process, _, down}, Pool) ->
    {noreply, Pool};           % its DOWN says so too, also when the keeper could not
handle_info({'DOWN', _, process, Pid, _}, #pool{workers = Workers} = Pool) ->
    {noreply, publish(Pool#pool{workers = maps:filter(fun(_, P) -> P =/= Pid end, Workers)})};
handle_info({nodedown, _, _}, Pool) -> {noreply, dial_missing(Pool)};
handle_info({dialled, Node, Up}, Pool) -> {noreply, dialled(Node, Up, Pool)};
handle_info({dial, Node}, #pool{pauses = Pauses} = Pool) ->
    case lists:member(Node, (Pool#pool.nodes)()) of
        true -> dial(Node), {noreply, Pool};
        false -> {noreply, Pool#pool{pauses = maps:remove(Node, Pauses)}}
    end;
handle_info(_, Pool) -> {noreply, Pool}.

publish(#pool{name = Name, workers = Workers, wanted = Wanted, waiting = Waiting} = Pool) ->
    true = ets:update_element(Name, workers, {2, list_to_tuple(maps:values(Workers))}),
    case map_size(Workers) >= Wanted of
        true -> [gen_server:reply(From, ok) || From <- Waiting], Pool#pool{waiting = []};
        false -> Pool
    end.

dial_missing(#pool{pauses = Pauses} = Pool) ->
    Missing = [N || N <- (Pool#pool.nodes)(), not lists:member(N, nodes(connected)), not maps:is_key(N, Pauses)],
    [dial(N) || N <- Missing],
    Pool#pool{pauses = maps:merge(Pauses, maps:from_list([{N, ?FIRST_PAUSE} || N <- Missing]))}.

%% Connecting may take seconds.
dial(Node) ->
    Table = self(),
    spawn_link(fun() -> Table ! {dialled, Node, net_kernel:connect_node(Node)} end).

dialled(Node, true, #pool{pauses = Pauses} = Pool) ->
    %% It may be lost again already, before we heard of it.
    dial_missing(Pool#pool{pauses = maps:remove(Node, Pauses)});
dialled(Node, _, #pool{pauses = Pauses} = Pool) ->
    Pause = maps:get(Node, Pauses),
    erlang:send_after(Pause, self(), {dial, Node}),
    Pool#pool{pauses = Pauses#{Node := min(2 * Pause, ?LONGEST_PAUSE)}}.
