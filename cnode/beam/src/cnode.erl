%% SPDX-License-Identifier: Apache-2.0
%% @doc C nodes as an Erlang program uses them.
%%
%% A C node offers <em>factories</em>. This module starts processes from them, on a node that you name:
%%
%% ```
%% {ok, Pid} = cnode:start('c@127.0.0.1', counter, [10]),
%% 15 = gen_server:call(Pid, {add, 5}).
%% '''
%%
%% What it starts are processes like all others, so everything else is what you know: `gen_server:call/2', `link/1',
%% `monitor/2', `exit/2', `global'. For supervisors there are {@link cnode_process} (a C process as a child),
%% {@link cnode_program} (the operating system process that is the C node) and {@link cnode_pool} (workers on several
%% nodes); {@link cnode_epmd} reaches nodes that no epmd knows.
%%
%% Nothing here starts distribution: on a node that is not alive the answer is `{error, not_alive}', and what to do is
%% to start Erlang with `-name' or `-sname'.
%%
%% <h3>Errors</h3>
%% Functions that start something return `{error, Kind}':
%% <table border="1">
%% <tr><td>`not_alive'</td><td>the own node has no name: start it with `-name' or `-sname'</td></tr>
%% <tr><td>`{nodedown, Node}'</td><td>the node cannot be reached; nothing was started</td></tr>
%% <tr><td>`noconnection'</td><td>the connection was lost while waiting; whether something was started is unknown</td></tr>
%% <tr><td>`undef'</td><td>the node has no such factory</td></tr>
%% <tr><td>`not_allowed'</td><td>the node has it, but not for us (`cnoded -allow')</td></tr>
%% <tr><td>`badarg'</td><td>the factory does not take these arguments</td></tr>
%% <tr><td>`{already_started, Pid}'</td><td>the name is taken, by this process. `{Name, Node}' instead of the pid where
%%   the node does not tell it</td></tr>
%% <tr><td>`{timeout, Ms}'</td><td>it did not start in this time; the node ends what is late, so nothing is left of it</td></tr>
%% <tr><td>`{badopt, Option}'</td><td>an option that does not exist, or a value that it does not take</td></tr>
%% <tr><td>`badopt'</td><td>the node does not know an option that was passed on to it: it is older</td></tr>
%% <tr><td>`system_limit'</td><td>the node is full</td></tr>
%% <tr><td>`notsup'</td><td>the node does not spawn for others</td></tr>
%% <tr><td>`{init, Reason}'</td><td>the `init' of the factory ended with this reason</td></tr>
%% </table>
%% After a time-out nothing comes later, with one exception: OTP 23 has no aliases, and there `{spawn_failed, Ref, Reason}' of
%% an `init' that failed too late can come to the caller, who may drop it.
-module(cnode).

-export([start/3, start/4, start_link/3, start_link/4, start_monitor/3, start_monitor/4,
         get_or_start/4, get_or_start/5, await_nodes/2, factories/1]).
%% For the other modules of this application.
-export([request/5, timeout/1, answer/2, abandon/1]).

-export_type([factory/0, options/0, kind/0, name/0, request/0]).

-type factory() :: module().
%% The name of a factory. `My.Codec' of Elixir is `` 'Elixir.My.Codec' '', as everywhere.

-type options() :: #{option() => term()} | [{option(), term()}].
%% <dl>
%% <dt>`name'</dt><dd>registers the process, before `start' returns</dd>
%% <dt>`registration'</dt><dd>where: `local' on its node (the default), `global' in `global' (of a visible C node), `none' nowhere</dd>
%% <dt>`timeout'</dt><dd>how long the start may take, in milliseconds or `infinity'; 5000</dd>
%% <dt>`init_timeout'</dt><dd>how much of that its `init' may take</dd>
%% <dt>`env', `application', `log_level', `mailbox'</dt><dd>what the process is given: see the options of a spawn in the C
%%   header `cnode/spawn.h'</dd>
%% <dt>`spawn_opt'</dt><dd>a list of further options that go to the node as they are</dd>
%% </dl>
-type option() :: name | registration | timeout | init_timeout | env | application | log_level | mailbox | spawn_opt.

-type kind() :: not_alive | {nodedown, node()} | noconnection | undef | not_allowed | badarg
              | {already_started, pid() | {atom(), node()}} | {timeout, timeout()} | {init, term()}
              | {badopt, term()} | badopt | system_limit | notsup | atom().
%% See "Errors" above.

-type name() :: {global, term()} | {local, atom()}.

-record(request, {id :: reference(),
                  failure :: reference() | message,     % the alias that hears why an init failed
                  node :: node(),
                  known :: boolean(),           % it was connected when it was asked
                  name :: none | name(),
                  timeout :: timeout(),
                  late :: timeout()}).          % what a start that the node ends has taken too long for
-opaque request() :: #request{}.

-define(TIMEOUT, 5000).
-define(GRACE, 1000).                           % what the node gets to say itself that the time is over
-define(WHEREIS_TIMEOUT, 2000).

%% @equiv start(Node, Factory, Args, [])
-spec start(node(), factory(), [term()]) -> {ok, pid()} | {error, kind()}.
start(Node, Factory, Args) -> start(Node, Factory, Args, []).

%% @doc Starts a process of a factory on a C node. It lives on its own: nobody is linked to it.
-spec start(node(), factory(), [term()], options()) -> {ok, pid()} | {error, kind()}.
start(Node, Factory, Args, Options) -> ask(Node, Factory, Args, [], Options).

%% @equiv start_link(Node, Factory, Args, [])
-spec start_link(node(), factory(), [term()]) -> {ok, pid()} | {error, kind()}.
start_link(Node, Factory, Args) -> start_link(Node, Factory, Args, []).

%% @doc The same, linked to the caller from the beginning. A start that fails sends no exit signal.
-spec start_link(node(), factory(), [term()], options()) -> {ok, pid()} | {error, kind()}.
start_link(Node, Factory, Args, Options) -> ask(Node, Factory, Args, [link], Options).

%% @equiv start_monitor(Node, Factory, Args, [])
-spec start_monitor(node(), factory(), [term()]) -> {ok, {pid(), reference()}} | {error, kind()}.
start_monitor(Node, Factory, Args) -> start_monitor(Node, Factory, Args, []).

%% @doc The same, monitored by the caller from the beginning; in the shape of `gen_server:start_monitor/3'.
-spec start_monitor(node(), factory(), [term()], options()) -> {ok, {pid(), reference()}} | {error, kind()}.
start_monitor(Node, Factory, Args, Options) ->
    case request(Node, Factory, Args, [monitor], Options) of
        {ok, Request} ->
            case await(Request) of
                {ok, Pid} -> {ok, {Pid, Request#request.id}};
                Error -> Error
            end;
        Error -> Error
    end.

%% @equiv get_or_start(Name, Node, Factory, Args, [])
-spec get_or_start(name(), node(), factory(), [term()]) -> {ok, pid()} | {error, kind()}.
get_or_start(Name, Node, Factory, Args) -> get_or_start(Name, Node, Factory, Args, []).

%% @doc The one process of that name: the one there is, or a new one.
%%
%% `{local, Name}' is a name on the C node, `{global, Name}' one of `global'. However many callers ask at once, and
%% from whatever nodes, one process is started and all get its pid: a local name is taken by the C node in one step,
%% and for a global name the callers stand in line with `global:trans/3'.
-spec get_or_start(name(), node(), factory(), [term()], options()) -> {ok, pid()} | {error, kind()}.
get_or_start({local, Name}, Node, Factory, Args, Options) when is_atom(Name) ->
    case start(Node, Factory, Args, [{name, Name} | to_list(Options)]) of
        {error, {already_started, Pid}} when is_pid(Pid) -> {ok, Pid};
        Result -> Result
    end;
get_or_start({global, Name}, Node, Factory, Args, Options) ->
    case global:whereis_name(Name) of
        Pid when is_pid(Pid) -> {ok, Pid};
        undefined ->
            global:trans({{?MODULE, Name}, self()},
                         fun() -> get_or_start_alone(Name, Node, Factory, Args, Options) end,
                         [node() | nodes()])
    end.

%% With the lock. Somebody may still register the name by other means: then ours ends again.
get_or_start_alone(Name, Node, Factory, Args, Options) ->
    case global:whereis_name(Name) of
        Pid when is_pid(Pid) -> {ok, Pid};
        undefined ->
            case start(Node, Factory, Args, Options) of
                {ok, Pid} ->
                    case global:register_name(Name, Pid) of
                        yes -> {ok, Pid};
                        no -> exit(Pid, shutdown), get_or_start_alone(Name, Node, Factory, Args, Options)
                    end;
                Error -> Error
            end
    end.

%% @doc Connects to all these nodes and waits until it is connected to each, which may be started later.
%% On a time-out `Missing' are those that were not reached.
-spec await_nodes([node()], timeout()) -> ok | {error, not_alive | {timeout, Missing :: [node()]}}.
await_nodes(Nodes, Timeout) when is_list(Nodes) ->
    case is_alive() of
        false -> {error, not_alive};
        true ->
            %% A process of its own: nodeup messages and connection attempts are not the caller's.
            Self = self(),
            {Waiter, Ref} = spawn_monitor(fun() -> Self ! {self(), wait_for(lists:usort(Nodes) -- [node()], Timeout)} end),
            receive
                {Waiter, Result} -> erlang:demonitor(Ref, [flush]), Result;
                {'DOWN', Ref, process, Waiter, Why} -> erlang:error(Why)
            end
    end.

-define(FIRST_PAUSE, 50).
-define(LONGEST_PAUSE, 1000).

wait_for(Nodes, Timeout) ->
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    Timer = case Timeout of
                infinity -> none;
                _ -> erlang:send_after(Timeout, self(), timeout)
            end,
    Missing = Nodes -- nodes(connected),
    [dial(N, 0) || N <- Missing],
    wait_for_up(Missing, Timer).

wait_for_up([], _) -> ok;
wait_for_up(Missing, Timer) ->
    receive
        {nodeup, Node, _} -> wait_for_up(lists:delete(Node, Missing), Timer);
        {nodedown, _, _} -> wait_for_up(Missing, Timer);
        {dial, Node, Pause} ->
            [dial(Node, Pause) || lists:member(Node, Missing)],
            wait_for_up(Missing, Timer);
        timeout -> {error, {timeout, Missing}}
    end.

%% An attempt may take seconds, so each has a process; it ends with the one that waits.
dial(Node, Pause) ->
    Waiter = self(),
    spawn_link(fun() ->
                       Next = min(?LONGEST_PAUSE, max(?FIRST_PAUSE, 2 * Pause)),
                       case net_kernel:connect_node(Node) of
                           true -> ok;
                           _ -> erlang:send_after(Next, Waiter, {dial, Node, Next})
                       end
               end).

%% @doc What the node lets us know about its factories (`rpc:call(Node, cnode, factories, [])' with its errors as here).
-spec factories(node()) -> {ok, [term()]} | {error, kind()}.
factories(Node) ->
    case is_alive() of
        false -> {error, not_alive};
        true ->
            try erpc:call(Node, cnode, factories, [], ?TIMEOUT) of
                List -> {ok, List}
            catch
                error:{erpc, timeout} -> {error, {timeout, ?TIMEOUT}};
                error:{erpc, noconnection} -> {error, {nodedown, Node}};
                error:{erpc, Why} when is_atom(Why) -> {error, Why};
                error:{exception, Why, _} when is_atom(Why) -> {error, Why}
            end
    end.

%%---- one request ----

ask(Node, Factory, Args, Flags, Options) ->
    case request(Node, Factory, Args, Flags, Options) of
        {ok, Request} -> await(Request);
        Error -> Error
    end.

%% @private Asks, and does not wait: the answer is a message that answer/2 knows.
-spec request(node(), factory(), [term()], [link | monitor], options()) -> {ok, request()} | {error, kind()}.
request(Node, Factory, Args, Flags, Options) when is_atom(Node), is_atom(Factory), is_list(Args) ->
    Given = to_list(Options),
    case {is_alive(), [Bad || Bad <- Given, not is_option(Bad)]} of
        {false, _} -> {error, not_alive};
        {true, [Bad | _]} -> {error, {badopt, Bad}};
        {true, []} ->
            %% What is not connected yet and answers noconnection was not reached; else the connection was lost.
            Known = lists:member(Node, nodes(connected)),
            Timeout = proplists:get_value(timeout, Given, ?TIMEOUT),
            Passed = lists:append([passed(O) || O <- Given]),
            Function = case lists:member(link, Flags) of true -> start_link; false -> start end,
            %% The answer can only be an atom; a message has the whole reason of an init that failed.
            Failure = failure_alias(),
            Id = spawn_request(Node, Factory, Function, Args, Flags ++ Passed ++ [{timeout, Timeout}, {failure, Failure}]),
            {ok, #request{id = Id, failure = Failure, node = Node, known = Known, name = name(Given), timeout = Timeout,
                          %% A number is less than the atom infinity.
                          late = min(Timeout, proplists:get_value(init_timeout, Given, infinity))}}
    end.

%% An alias ends when we give up, and nothing comes later. OTP 23 has none: there a message that is late stays.
failure_alias() ->
    case erlang:function_exported(erlang, alias, 1) of
        true -> apply(erlang, alias, [[reply]]);
        false -> message
    end.

end_failure(#request{failure = message}) -> ok;
end_failure(#request{failure = Alias}) -> _ = apply(erlang, unalias, [Alias]), ok.

is_option({name, Name}) -> is_atom(Name);
is_option({registration, Where}) -> lists:member(Where, [none, local, global]);
is_option({timeout, Timeout}) -> is_timeout(Timeout);
is_option({init_timeout, Timeout}) -> is_timeout(Timeout);
is_option({env, Env}) -> is_list(Env);
is_option({application, Name}) -> is_atom(Name);
is_option({log_level, Level}) -> is_atom(Level);
is_option({mailbox, _}) -> true;
%% The answer must come, and as ours.
is_option({spawn_opt, Options}) -> is_list(Options) andalso not lists:any(fun is_reserved/1, Options);
is_option(_) -> false.

is_timeout(infinity) -> true;
is_timeout(Ms) -> is_integer(Ms) andalso Ms >= 0.

is_reserved(link) -> true;
is_reserved(monitor) -> true;
is_reserved({Key, _}) -> lists:member(Key, [link, monitor, reply, reply_tag, name, registration, timeout, answer, failure]);
is_reserved(_) -> false.

passed({timeout, _}) -> [];
passed({spawn_opt, Options}) -> Options;
passed(Option) -> [Option].

name(Given) ->
    case {proplists:get_value(name, Given, none), proplists:get_value(registration, Given, local)} of
        {none, _} -> none;
        {Name, Where} -> {Where, Name}
    end.

to_list(Options) when is_map(Options) -> maps:to_list(Options);
to_list(Options) when is_list(Options) -> Options.

await(#request{id = Id, timeout = Timeout} = Request) ->
    receive
        {spawn_reply, Id, _, _} = Message -> answer(Message, Request)
    after timeout(Request) ->
        _ = spawn_request_abandon(Id),
        %% The answer may have come meanwhile.
        receive
            {spawn_reply, Id, _, _} = Message -> answer(Message, Request)
        after 0 -> abandon(Request), {error, {timeout, Timeout}}
        end
    end.

%% @private How long to wait for it: the node itself keeps the time, as long as it can be heard.
-spec timeout(request()) -> timeout().
timeout(#request{timeout = infinity}) -> infinity;
timeout(#request{timeout = Timeout}) -> Timeout + ?GRACE.

%% @private The answer to a request; false: this message is something else.
-spec answer(term(), request()) -> {ok, pid()} | {error, kind()} | false.
answer({spawn_reply, Id, ok, Pid}, #request{id = Id} = Request) -> end_failure(Request), {ok, Pid};
answer({spawn_reply, Id, error, Why}, #request{id = Id} = Request) ->
    end_failure(Request),
    %% Sent by the node before the answer, so it is here.
    receive {spawn_failed, Id, Reason} -> {error, failure(Why, {init, Reason}, Request)}
    after 0 -> {error, failure(Why, Why, Request)}
    end;
answer(_, _) -> false.

failure(noconnection, _, #request{known = false, node = Node}) -> {nodedown, Node};
failure(name_taken, _, #request{name = Name, node = Node}) -> {already_started, whereis_there(Node, Name)};
failure(timeout, _, #request{late = Late}) -> {timeout, Late};
failure(badarg, _, _) -> badarg;
failure(_, Kind, _) -> Kind.

%% @private Gives up waiting. A process that is started all the same and was to be linked is ended by the link.
-spec abandon(request()) -> ok.
abandon(#request{id = Id} = Request) ->
    _ = spawn_request_abandon(Id),
    end_failure(Request),
    receive {spawn_failed, Id, _} -> ok after 0 -> ok end.

%% Who has the name: the node says so itself if we may ask, else the process does, as every gen_server.
whereis_there(Node, {global, Name}) ->
    case global:whereis_name(Name) of
        undefined -> {Name, Node};
        Pid -> Pid
    end;
whereis_there(Node, {_, Name}) ->
    try erpc:call(Node, erlang, whereis, [Name], ?WHEREIS_TIMEOUT) of
        Pid when is_pid(Pid) -> Pid;
        _ -> {Name, Node}
    catch
        error:{erpc, _} -> ask_process(Node, Name);
        error:{exception, _, _} -> ask_process(Node, Name);
        exit:{exception, _} -> ask_process(Node, Name)
    end.

ask_process(Node, Name) ->
    try sys:get_status({Name, Node}, ?WHEREIS_TIMEOUT) of
        {status, Pid, _, _} -> Pid
    catch exit:_ -> {Name, Node}
    end.
