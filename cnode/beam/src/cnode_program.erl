%% SPDX-License-Identifier: Apache-2.0
%% @doc The operating system process that is a C node, as the child of a supervisor.
%%
%% ```
%% init([]) ->
%%     {ok, {#{strategy => rest_for_one},
%%           [cnode_program:child_spec(#{node => 'c@127.0.0.1', load => ["counter"], allow => ["counter"]}),
%%            cnode_process:child_spec(#{name => hits, node => 'c@127.0.0.1', factory => counter, args => [0]})]}}.
%% '''
%%
%% It starts `cnoded', or a program of your own, through a port and returns when the node can be reached. When the
%% program ends, the child ends with `{exit_status, N}' (128 + the signal's number if a signal ended it), and the
%% supervisor starts it again, as a node with a new creation: pids of the one before stay dead. When the child is told
%% to end, the program gets SIGTERM, and SIGKILL if that takes too long. When this BEAM dies, however it dies, the
%% program's standard input is closed, and it stops by itself (`cnoded -stop_at_eof').
%%
%% The cookie goes through standard input too: no command line, no environment and no file has it.
%%
%% What the program writes is logged, line by line.
%%
%% <h3>A program of your own</h3>
%% needs two lines to be such a child, `cookie_file = "-"' and `stop_at_eof = true' in its `cnode_config', and either writes a
%% line with the word `ready' when it can be reached, or has the option `ready => connect' here (see `examples/supervised.c').
-module(cnode_program).
-behaviour(gen_server).

-export([start_link/1, child_spec/1, os_pid/1, port_number/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([options/0, kind/0]).

-type options() ::
        #{node := node(),
          cnoded => file:filename(),
          load => [unicode:chardata()],
          allow => [unicode:chardata()],
          config => unicode:chardata(),
          visible => boolean(),
          program => file:filename(),
          args => [unicode:chardata()],
          ready => line | connect | unicode:chardata(),
          epmd => auto | external | embedded | none,
          listen => unicode:chardata(),
          env => [{unicode:chardata(), unicode:chardata() | false}],
          cd => file:filename(),
          start_timeout => timeout(),
          stop_timeout => pos_integer(),
          log => logger:level() | none | fun((binary()) -> term()),
          name => atom() | {global, term()} | {via, module(), term()},
          id => term(),
          restart => permanent | transient | temporary}.
%% <dl>
%% <dt>`node'</dt><dd>the name of the C node. A host with a dot or colon makes it a long name</dd>
%% <dt>`cnoded'</dt><dd>the daemon: a path, or a name to look for in `PATH'; `"cnoded"'</dd>
%% <dt>`load', `allow'</dt><dd>modules and factories, as `-load' and `-allow' of cnoded take them</dd>
%% <dt>`config'</dt><dd>a configuration, as `-config' of cnoded takes it; without it none is read, also not that of the machine</dd>
%% <dt>`visible'</dt><dd>whether it is in `nodes()' of the others; false</dd>
%% <dt>`program'</dt><dd>a program of your own instead of cnoded; it gets `args' and nothing else</dd>
%% <dt>`args'</dt><dd>further arguments</dd>
%% <dt>`ready'</dt><dd>when the node can be reached: `line' (the default): it has written a line with the word `ready';
%%   a regular expression for another line; `connect': a connection could be made</dd>
%% <dt>`epmd'</dt><dd>as `-epmd' of cnoded; `none' needs {@link cnode_epmd} on this node, which then learns the port</dd>
%% <dt>`listen'</dt><dd>as `-listen' of cnoded</dd>
%% <dt>`env', `cd'</dt><dd>as of `open_port/2'</dd>
%% <dt>`start_timeout'</dt><dd>how long until it is ready; 15000</dd>
%% <dt>`stop_timeout'</dt><dd>how long it may take to end before it is killed; 10000</dd>
%% <dt>`log'</dt><dd>the level its lines are logged with, `info'; or what is done with a line</dd>
%% <dt>`name', `id', `restart'</dt><dd>of the child</dd>
%% </dl>

-type kind() :: not_alive
              | {no_program, file:filename()}                % there is no such program that can be run
              | {needs_epmd_module, cnode_epmd}              % epmd => none, but this node asks epmd
              | {exit_status, non_neg_integer(), [binary()]} % it ended before it was ready; what it wrote last
              | {port_closed, term(), [binary()]}            % it does not read its standard input
              | {start_timeout, timeout(), [binary()]}       % it was not ready in time, and was killed
              | {not_reachable, node(), [binary()]}          % it is ready, but this node cannot connect to it
              | {badopt, term()}
              | {already_started, pid()}.                    % the name of the child is taken

-record(program, {node, port, os_pid, listens = undefined, ready, log, stop_timeout,
                  last = []}).            % lines, the newest first

-define(LAST_LINES, 10).
-define(LINE_SIZE, 8192).
-define(NAME_TAKEN, 5).                   % cnoded's exit status
-define(FORGET_TIMEOUT, 5000).

%% @doc Starts the program, and returns when its node can be reached.
-spec start_link(options()) -> {ok, pid()} | {error, kind()}.
start_link(#{node := Node} = Options) when is_atom(Node) ->
    case maps:find(name, Options) of
        {ok, Name} when is_atom(Name) -> gen_server:start_link({local, Name}, ?MODULE, Options, []);
        {ok, Name} -> gen_server:start_link(Name, ?MODULE, Options, []);
        error -> gen_server:start_link(?MODULE, Options, [])
    end.

%% @doc The child specification for a supervisor.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(#{node := Node} = Options) ->
    #{id => maps:get(id, Options, {?MODULE, Node}),
      start => {?MODULE, start_link, [Options]},
      restart => maps:get(restart, Options, permanent),
      %% Longer than what we wait for the program.
      shutdown => maps:get(stop_timeout, Options, 10000) + 5000,
      type => worker,
      modules => [?MODULE]}.

%% @doc The number of the operating system process.
-spec os_pid(gen_server:server_ref()) -> non_neg_integer().
os_pid(Program) -> gen_server:call(Program, os_pid).

%% @doc The port that the node listens at, as its ready line says; `undefined' if it does not.
-spec port_number(gen_server:server_ref()) -> inet:port_number() | undefined.
port_number(Program) -> gen_server:call(Program, port_number).

%%---- starting ----

%% @private
-spec init(options()) -> {ok, #program{}} | {stop, kind()}.
init(Options) ->
    process_flag(trap_exit, true),
    case command(Options) of
        {ok, Executable, Args} -> start(Executable, Args, Options, deadline(maps:get(start_timeout, Options, 15000)), 50);
        {error, Kind} -> {stop, Kind}
    end.

command(#{node := Node} = Options) ->
    Known = [node, cnoded, load, allow, config, visible, program, args, ready, epmd, listen, env, cd, start_timeout, stop_timeout, log, name,
             id, restart],
    Epmd = maps:get(epmd, Options, auto),
    Unknown = maps:keys(maps:without(Known, Options)),
    OfCnoded = maps:keys(maps:with([cnoded, load, allow, config, visible, epmd, listen], Options)),
    Bad = [{node, Node} || length(string:split(atom_to_list(Node), "@")) < 2]
        ++ [{K, V} || K <- [load, allow, args], #{K := V} <- [Options], not are_texts(V)],
    IsUsed = is_alive() andalso cnode_epmd:is_used(),
    case Options of
        _ when Unknown =/= [] -> {error, {badopt, Unknown}};
        #{program := _} when OfCnoded =/= [] -> {error, {badopt, OfCnoded}};
        _ when Bad =/= [] -> {error, {badopt, hd(Bad)}};
        _ ->
            case is_alive() of
                false -> {error, not_alive};
                true when Epmd =:= none, not IsUsed -> {error, {needs_epmd_module, cnode_epmd}};
                true -> executable(Options, arguments(Node, Epmd, Options))
            end
    end.

arguments(_, _, #{program := _} = Options) -> texts(maps:get(args, Options, []));
arguments(Node, Epmd, Options) ->
    Text = atom_to_list(Node),
    [_, Host] = string:split(Text, "@"),
    Name = case lists:any(fun(C) -> C =:= $. orelse C =:= $: end, Host) of true -> "-name"; false -> "-sname" end,
    Visible = case maps:get(visible, Options, false) of true -> "-visible"; false -> "-hidden" end,
    [Name, Text, "-cookie_file", "-", "-stop_at_eof", Visible, "-config", text(maps:get(config, Options, "/dev/null"))]
        ++ lists:append([["-load", M] || M <- texts(maps:get(load, Options, []))])
        ++ lists:append([["-allow", A] || A <- texts(maps:get(allow, Options, []))])
        ++ [X || Epmd =/= auto, X <- ["-epmd", atom_to_list(Epmd)]]
        ++ case Options of #{listen := Listen} -> ["-listen", text(Listen)]; _ -> [] end
        %% All nodes of a cluster should have the same.
        ++ case net_kernel:get_net_ticktime() of
               Seconds when is_integer(Seconds) -> ["-net_ticktime", integer_to_list(Seconds)];
               _ -> []
           end
        ++ texts(maps:get(args, Options, [])).

%% A string alone is a list, too, but of characters.
are_texts(Texts) -> is_list(Texts) andalso lists:all(fun(T) -> is_binary(T) orelse is_list(T) end, Texts).

texts(Texts) -> [text(T) || T <- Texts].

text(Text) -> unicode:characters_to_list(Text).

executable(Options, Args) ->
    Program = text(maps:get(program, Options, maps:get(cnoded, Options, "cnoded"))),
    case os:find_executable(Program) of
        false -> {error, {no_program, Program}};
        Path -> {ok, Path, Args}
    end.

start(Executable, Args, #{node := Node} = Options, Deadline, Pause) ->
    Env = [{text(K), if V =:= false -> false; true -> text(V) end} || {K, V} <- maps:get(env, Options, [])],
    Settings = [{env, Env}] ++ [{cd, Dir} || #{cd := Dir} <- [Options]],
    Port = open_port({spawn_executable, Executable},
                     [{args, Args}, {line, ?LINE_SIZE}, binary, exit_status, stderr_to_stdout, use_stdio | Settings]),
    %% At once, before a program that does not read it can have ended: then the port would close without its exit status.
    try port_command(Port, [atom_to_binary(cookie(Node), utf8), $\n]) catch error:badarg -> ok end,
    Program = #program{node = Node, port = Port, os_pid = os_pid_of(Port), log = maps:get(log, Options, info),
                       ready = maps:get(ready, Options, line), stop_timeout = maps:get(stop_timeout, Options, 10000)},
    case await_ready(Program, Deadline) of
        {ok, Ready} -> reach(Ready, Options);
        {exit_status, ?NAME_TAKEN, Ended} ->
            %% The one before has just died, and epmd has not heard of it yet; or somebody else has the name.
            case not is_map_key(program, Options) andalso left(Deadline) > Pause of
                true -> receive after Pause -> start(Executable, Args, Options, Deadline, min(2 * Pause, 1000)) end;
                false -> {stop, {exit_status, ?NAME_TAKEN, lines(Ended)}}
            end;
        {exit_status, Status, Ended} -> {stop, {exit_status, Status, lines(Ended)}};
        {closed, Why, Closed} ->
            end_it(Closed#program{port = closed}),
            {stop, {port_closed, Why, lines(Closed)}};
        {timeout, Late} ->
            end_it(Late),
            {stop, {start_timeout, maps:get(start_timeout, Options, 15000), lines(Late)}}
    end.

%% Since OTP 24 a node can have a cookie of its own.
cookie(Node) ->
    case erlang:function_exported(erlang, get_cookie, 1) of
        true -> apply(erlang, get_cookie, [Node]);
        false -> erlang:get_cookie()
    end.

os_pid_of(Port) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} -> Pid;
        undefined -> undefined
    end.

await_ready(#program{ready = connect, node = Node, port = Port} = Program, Deadline) ->
    case net_kernel:connect_node(Node) of
        true -> {ok, Program};
        _ ->
            %% Nothing tells when it will be there, so ask again soon, unless it ends.
            receive
                {Port, {data, Data}} -> await_ready(took(Data, Program), Deadline);
                {Port, {exit_status, Status}} -> {exit_status, Status, Program};
                {'EXIT', Port, Why} -> {closed, Why, Program}
            after min(50, left(Deadline)) ->
                case left(Deadline) of
                    0 -> {timeout, Program};
                    _ -> await_ready(Program, Deadline)
                end
            end
    end;
await_ready(#program{port = Port} = Program, Deadline) ->
    receive
        {Port, {data, Data}} ->
            Took = took(Data, Program),
            case is_ready(hd(Took#program.last), Took) of
                {true, Listens} -> {ok, Took#program{listens = Listens}};
                false -> await_ready(Took, Deadline)
            end;
        {Port, {exit_status, Status}} -> {exit_status, Status, Program};
        {'EXIT', Port, Why} -> {closed, Why, Program}
    after left(Deadline) -> {timeout, Program}
    end.

%% cnoded: NAME ready (port 41234, hidden; ...)
is_ready(Line, #program{ready = line}) ->
    case re:run(Line, "\\bready\\b(?: \\(port ([0-9]+))?", [{capture, all_but_first, list}]) of
        {match, [Port]} -> {true, list_to_integer(Port)};
        {match, []} -> {true, undefined};
        nomatch -> false
    end;
is_ready(Line, #program{ready = Wanted}) ->
    case re:run(Line, Wanted, [{capture, none}, unicode]) of
        match -> {true, undefined};
        nomatch -> false
    end.

reach(#program{node = Node, listens = Listens} = Program, Options) ->
    %% Without epmd only we know where it listens.
    case maps:get(epmd, Options, auto) of
        none -> cnode_epmd:route(Node, {address(Node, Options), Listens});
        _ -> ok
    end,
    %% An attempt of somebody else's that began before the node was ready may be the one that fails here; then ours is next.
    case net_kernel:connect_node(Node) =:= true orelse net_kernel:connect_node(Node) =:= true of
        true -> {ok, Program};
        false ->
            end_it(Program),
            {stop, {not_reachable, Node, lines(Program)}}
    end.

%% Where it listens if it was told; else the host of its name.
address(Node, Options) ->
    [_, Host] = string:split(atom_to_list(Node), "@"),
    case re:run(text(maps:get(listen, Options, "")), "^(?:\\[([^]]+)\\]|([^:]+))(?::|$)", [{capture, all_but_first, list}]) of
        {match, Parts} -> lists:append(Parts);
        nomatch -> Host
    end.

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

%%---- running ----

%% @private
-spec handle_call(term(), term(), #program{}) -> {reply, term(), #program{}}.
handle_call(os_pid, _, Program) -> {reply, Program#program.os_pid, Program};
handle_call(port_number, _, Program) -> {reply, Program#program.listens, Program};
handle_call(_, _, Program) -> {reply, {error, bad_request}, Program}.

%% @private
-spec handle_cast(term(), #program{}) -> {noreply, #program{}}.
handle_cast(_, Program) -> {noreply, Program}.

%% @private
-spec handle_info(term(), #program{}) -> {noreply, #program{}} | {stop, term(), #program{}}.
handle_info({Port, {data, Data}}, #program{port = Port} = Program) -> {noreply, took(Data, Program)};
handle_info({Port, {exit_status, Status}}, #program{port = Port} = Program) ->
    {stop, {exit_status, Status}, Program#program{port = ended}};
handle_info({'EXIT', Port, Why}, #program{port = Port} = Program) ->
    {stop, {port_closed, Why}, Program#program{port = closed}};     % an exit status would have come before
handle_info({'EXIT', Pid, Reason}, Program) when is_pid(Pid), Reason =/= normal -> {stop, Reason, Program};
handle_info(_, Program) -> {noreply, Program}.

%% @private
-spec terminate(term(), #program{}) -> ok.
terminate(_, #program{port = ended, node = Node}) -> forget(Node);
terminate(_, #program{node = Node} = Program) ->
    end_it(Program),
    forget(Node).

%% Who starts the node again must not be met by what is left of the connection to the one before: its sockets are
%% closed, so nodedown is on its way; if another process of that machine holds them open, we close ours.
forget(Node) ->
    case lists:member(Node, nodes(connected)) of
        true ->
            monitor_node(Node, true),
            receive {nodedown, Node} -> ok
            after ?FORGET_TIMEOUT -> _ = erlang:disconnect_node(Node), ok
            end;
        false -> ok
    end,
    cnode_epmd:forget(Node).

%% A line that is too long (noeol) is taken as several.
took({_, Bytes}, #program{last = Last} = Program) ->
    Line = utf8(Bytes),
    log(Line, Program),
    Program#program{last = lists:sublist([Line | Last], ?LAST_LINES)}.

%% What is no UTF-8 is taken for Latin-1: a stray byte may not end us.
utf8(Bytes) ->
    case unicode:characters_to_binary(Bytes) of
        Text when is_binary(Text) -> Text;
        _ -> unicode:characters_to_binary(Bytes, latin1)
    end.

log(_, #program{log = none}) -> ok;
log(Line, #program{log = Log}) when is_function(Log, 1) -> _ = Log(Line), ok;
log(Line, #program{log = Level, node = Node}) -> logger:log(Level, "~ts: ~ts", [Node, Line]).

lines(#program{last = Last}) -> lists:reverse(Last).

%%---- ending ----

end_it(#program{os_pid = undefined}) -> ok;      % it had ended before it could be asked
end_it(#program{port = closed, os_pid = OsPid}) -> signal("KILL", OsPid);
end_it(#program{stop_timeout = Timeout} = Program) ->
    case signalled("TERM", Timeout, Program) orelse signalled("KILL", infinity, Program) of
        true -> ok
    end.

%% The number is the program's own as long as its exit status was not fetched: no other process can have it.
signalled(Signal, Timeout, #program{port = Port, os_pid = OsPid} = Program) ->
    signal(Signal, OsPid),
    has_ended(Port, deadline(Timeout), Program).

signal(Signal, OsPid) ->
    _ = os:cmd("kill -s " ++ Signal ++ " " ++ integer_to_list(OsPid)),
    ok.

has_ended(Port, Deadline, Program) ->
    receive
        {Port, {exit_status, _}} -> true;
        {'EXIT', Port, _} -> true;
        {Port, {data, Data}} -> has_ended(Port, Deadline, took(Data, Program))
    after left(Deadline) -> false
    end.
