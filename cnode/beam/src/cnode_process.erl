%% SPDX-License-Identifier: Apache-2.0
%% @doc A C process as the child of a supervisor.
%%
%% ```
%% init([]) ->
%%     {ok, {#{}, [cnode_process:child_spec(#{name => hits, node => 'c@127.0.0.1', factory => counter, args => [0]})]}}.
%%
%% gen_server:call({via, cnode_process, hits}, {add, 1}).
%% '''
%%
%% The child is a <em>keeper</em>, a process on this node that is linked to the C process and ends with it and by its
%% reason, so that the supervisor decides what follows, as for any child. The exception is the node: while it cannot
%% be reached the keeper stays, tries again after a pause that grows, and at once when the node connects. So a node
%% that is down for an hour costs no restart. The same holds for a permanent child that ended with `shutdown': so end all
%% processes of a node that stops in order.
%%
%% `{via, cnode_process, Keeper}' is the C process wherever a name can stand; without one the call exits with `noproc'.
%% The keeper takes no part in the call: it goes to the C process directly.
%%
%% A start that cannot succeed by waiting (no such factory, not allowed, bad arguments) ends the keeper with that error;
%% at the first start that is `{error, Kind}' of `start_link/1'.
-module(cnode_process).
-behaviour(gen_server).

-export([start_link/1, child_spec/1, pid/1, await/2]).
%% For via.
-export([whereis_name/1, send/2, register_name/2, unregister_name/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([options/0, keeper/0]).

-type keeper() :: pid() | atom() | {global, term()} | {via, module(), term()}.

-type options() ::
        #{node := node() | fun(() -> node() | undefined),
          factory := cnode:factory(),
          args => [term()],
          options => cnode:options(),
          name => atom() | {global, term()} | {via, module(), term()},
          backoff => {First :: pos_integer(), Longest :: pos_integer()},
          report => {pid(), term()},
          id => term(),
          restart => permanent | transient | temporary,
          shutdown => non_neg_integer() | infinity}.
%% <dl>
%% <dt>`node'</dt><dd>the C node, or a function that names one each time that the process is started
%%   (`undefined': there is none just now, ask again later)</dd>
%% <dt>`factory', `args', `options'</dt><dd>as `cnode:start_link/4' takes them</dd>
%% <dt>`name'</dt><dd>registers the keeper; the C process gets a name by `options'</dd>
%% <dt>`backoff'</dt><dd>the pause between two attempts to reach the node, in milliseconds: at first and at last; {100, 10000}</dd>
%% <dt>`report'</dt><dd>`{Pid, Tag}': this process hears `{cnode_process, Tag, {up, CPid}}' and `{cnode_process, Tag, down}'</dd>
%% <dt>`id', `restart', `shutdown'</dt><dd>of the child specification: the name or the factory; permanent; 5000</dd>
%% </dl>

-record(keeper, {node :: fun(() -> node() | undefined), factory, args, options, backoff, report, shutdown,
                 request = none :: none | cnode:request(),
                 only :: node() | any,   % the node, if it is always the same
                 timer = none,           % of the request, or of the next attempt
                 pause,                  % the next one
                 told = false,           % that the node is down
                 waiting = [],           % those that await/2
                 pid = none :: none | pid(),
                 since = 0,              % when it came, in ms
                 restart :: permanent | transient | temporary}).

%% @doc Starts a keeper, and the C process if its node can be reached.
-spec start_link(options()) -> {ok, pid()} | {error, cnode:kind()}.
start_link(#{factory := _, node := _} = Options) ->
    case maps:find(name, Options) of
        {ok, Name} when is_atom(Name) -> gen_server:start_link({local, Name}, ?MODULE, Options, []);
        {ok, Name} -> gen_server:start_link(Name, ?MODULE, Options, []);
        error -> gen_server:start_link(?MODULE, Options, [])
    end.

%% @doc The child specification for a supervisor.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(#{factory := Factory, node := _} = Options) ->
    #{id => maps:get(id, Options, maps:get(name, Options, Factory)),
      start => {?MODULE, start_link, [Options]},
      restart => maps:get(restart, Options, permanent),
      %% The keeper waits as long for the C process, and then kills it.
      shutdown => add(maps:get(shutdown, Options, 5000), 1000),
      type => worker,
      modules => [?MODULE]}.

add(infinity, _) -> infinity;
add(Ms, More) -> Ms + More.

%% @doc The C process, or `undefined' while there is none.
-spec pid(keeper()) -> pid() | undefined.
pid(Keeper) -> gen_server:call(Keeper, pid).

%% @doc Waits for the C process.
-spec await(keeper(), timeout()) -> {ok, pid()} | {error, {timeout, timeout()}}.
await(Keeper, Timeout) ->
    try gen_server:call(Keeper, await, Timeout) of
        Pid -> {ok, Pid}
    catch exit:{timeout, _} -> {error, {timeout, Timeout}}
    end.

%%---- via ----

%% @private
-spec whereis_name(keeper()) -> pid() | undefined.
whereis_name(Keeper) ->
    try pid(Keeper) catch exit:_ -> undefined end.

%% @private
-spec send(keeper(), term()) -> pid().
send(Keeper, Message) ->
    case whereis_name(Keeper) of
        undefined -> exit({badarg, {Keeper, Message}});
        Pid -> Pid ! Message, Pid
    end.

%% @private Keepers have their names from their options.
-spec register_name(term(), pid()) -> no.
register_name(_, _) -> no.

%% @private
-spec unregister_name(term()) -> ok.
unregister_name(_) -> ok.

%%---- the keeper ----

%% @private
-spec init(options()) -> {ok, #keeper{}} | {stop, term()}.
init(#{node := Node, factory := Factory} = Options) ->
    process_flag(trap_exit, true),
    {First, _} = Backoff = maps:get(backoff, Options, {100, 10000}),
    Keeper = #keeper{only = if is_atom(Node) -> Node; true -> any end,
                     node = if is_function(Node, 0) -> Node; is_atom(Node) -> fun() -> Node end end,
                     factory = Factory,
                     args = maps:get(args, Options, []),
                     options = maps:get(options, Options, []),
                     backoff = Backoff,
                     pause = First,
                     report = maps:get(report, Options, none),
                     restart = maps:get(restart, Options, permanent),
                     shutdown = maps:get(shutdown, Options, 5000)},
    case is_alive() of
        false -> {stop, not_alive};
        true ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            start_first(Keeper)
    end.

%% The first attempt is waited for: who starts us hears at once what can never work.
start_first(#keeper{factory = Factory, args = Args, options = Options} = Keeper) ->
    Result = case (Keeper#keeper.node)() of
                 undefined -> {error, {nodedown, undefined}};
                 Node -> cnode:start_link(Node, Factory, Args, Options)
             end,
    case Result of
        {ok, Pid} -> {ok, up(Pid, Keeper)};
        {error, Kind} ->
            case passes(Kind) of
                true -> {ok, later(Kind, Keeper)};
                false -> {stop, Kind}
            end
    end.

%% @private
-spec handle_call(term(), term(), #keeper{}) -> {reply, term(), #keeper{}} | {noreply, #keeper{}}.
handle_call(pid, _, #keeper{pid = none} = Keeper) -> {reply, undefined, Keeper};
handle_call(pid, _, #keeper{pid = Pid} = Keeper) -> {reply, Pid, Keeper};
handle_call(await, From, #keeper{pid = none, waiting = Waiting} = Keeper) -> {noreply, Keeper#keeper{waiting = [From | Waiting]}};
handle_call(await, _, #keeper{pid = Pid} = Keeper) -> {reply, Pid, Keeper};
handle_call(_, _, Keeper) -> {reply, {error, bad_request}, Keeper}.

%% @private
-spec handle_cast(term(), #keeper{}) -> {noreply, #keeper{}}.
handle_cast(_, Keeper) -> {noreply, Keeper}.

%% @private
-spec handle_info(term(), #keeper{}) -> {noreply, #keeper{}} | {stop, term(), #keeper{}}.
handle_info({'EXIT', Pid, noconnection}, #keeper{pid = Pid} = Keeper) ->
    {noreply, later({nodedown, node(Pid)}, down(Keeper))};
handle_info({'EXIT', Pid, shutdown}, #keeper{pid = Pid, restart = permanent} = Keeper) ->
    %% So ends what is on a node that stops in order; counted as restarts, a node with many would end the supervisor.
    {noreply, later(shutdown, down(Keeper))};
handle_info({'EXIT', Pid, Reason}, #keeper{pid = Pid} = Keeper) ->
    {stop, Reason, down(Keeper)};
handle_info({'EXIT', Pid, Reason}, #keeper{} = Keeper) when node(Pid) =:= node(), Reason =/= normal ->
    %% Somebody else who is linked to us.
    {stop, Reason, Keeper};
handle_info({spawn_reply, _, _, _} = Message, #keeper{request = Request} = Keeper) when Request =/= none ->
    case cnode:answer(Message, Request) of
        {ok, Pid} -> {noreply, up(Pid, Keeper)};
        {error, Kind} -> failed(Kind, Keeper);
        false -> {noreply, Keeper}
    end;
handle_info({timeout, Timer, request}, #keeper{timer = Timer, request = Request} = Keeper) ->
    cnode:abandon(Request),
    failed({timeout, request}, Keeper);
handle_info({timeout, Timer, attempt}, #keeper{timer = Timer} = Keeper) ->
    attempt(Keeper);
handle_info({nodeup, Node, _}, #keeper{pid = none, request = none, only = Node} = Keeper) ->
    attempt(Keeper);
handle_info({nodeup, _, _}, #keeper{pid = none, request = none, only = any} = Keeper) ->
    attempt(Keeper);
handle_info(_, Keeper) -> {noreply, Keeper}.

%% @private
-spec terminate(term(), #keeper{}) -> ok.
terminate(_, #keeper{pid = none, request = none}) -> ok;
terminate(_, #keeper{pid = none, request = Request}) -> cnode:abandon(Request);
terminate(_, #keeper{pid = Pid, shutdown = Shutdown}) ->
    Ref = monitor(process, Pid),
    exit(Pid, shutdown),
    receive {'DOWN', Ref, process, Pid, _} -> ok
    after Shutdown ->
        exit(Pid, kill),
        receive {'DOWN', Ref, process, Pid, _} -> ok end
    end.

%%---- attempts ----

attempt(#keeper{factory = Factory, args = Args, options = Options} = Keeper0) ->
    Keeper = stop_timer(Keeper0),
    Result = case (Keeper#keeper.node)() of
                 undefined -> {error, {nodedown, undefined}};
                 Node -> cnode:request(Node, Factory, Args, [link], Options)
             end,
    case Result of
        {ok, Request} -> {noreply, Keeper#keeper{request = Request, timer = start_timer(cnode:timeout(Request), request)}};
        {error, Kind} -> failed(Kind, Keeper)
    end.

failed(Kind, Keeper) ->
    case passes(Kind) of
        true -> {noreply, later(Kind, Keeper)};
        false -> {stop, Kind, Keeper}
    end.

%% Will it be better after a while, with nobody doing anything about it?
passes({nodedown, _}) -> true;
passes(noconnection) -> true;
passes({timeout, _}) -> true;
passes(_) -> false.

later(Why, #keeper{pause = Pause, backoff = {_, Longest}} = Keeper0) ->
    Keeper = stop_timer(Keeper0),
    Keeper#keeper.told orelse
        logger:notice("cnode_process ~tp: no process of ~tp (~tp); it is tried again",
                      [self(), Keeper#keeper.factory, Why]),
    %% With jitter: a node that is back should not be met by all at once.
    Keeper#keeper{request = none, told = true, pause = min(2 * Pause, Longest),
                  timer = start_timer(Pause div 2 + rand:uniform(Pause div 2 + 1), attempt)}.

up(Pid, #keeper{waiting = Waiting} = Keeper) ->
    [gen_server:reply(From, Pid) || From <- Waiting],
    Keeper#keeper.told andalso
        logger:notice("cnode_process ~tp: a process of ~tp again, on ~ts", [self(), Keeper#keeper.factory, node(Pid)]),
    tell({up, Pid}, Keeper),
    (stop_timer(Keeper))#keeper{pid = Pid, request = none, waiting = [], told = false, since = now_ms()}.

%% One that lived long was a success; after a short life the pause goes on growing.
down(#keeper{backoff = {First, Longest}, since = Since, pause = Pause} = Keeper) ->
    tell(down, Keeper),
    Keeper#keeper{pid = none, pause = case now_ms() - Since > Longest of true -> First; false -> Pause end}.

now_ms() -> erlang:monotonic_time(millisecond).

tell(_, #keeper{report = none}) -> ok;
tell(What, #keeper{report = {Pid, Tag}}) -> Pid ! {?MODULE, Tag, What}, ok.

start_timer(infinity, _) -> none;
start_timer(Ms, What) -> erlang:start_timer(Ms, self(), What).

stop_timer(#keeper{timer = none} = Keeper) -> Keeper;
stop_timer(#keeper{timer = Timer} = Keeper) -> _ = erlang:cancel_timer(Timer), Keeper#keeper{timer = none}.
