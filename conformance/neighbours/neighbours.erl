%% SPDX-License-Identifier: Apache-2.0
%% Bigger neighbours than a bare OTP node: RabbitMQ and Elixir, started for real, with our node in their cluster. TAP on
%% standard output. Everything runs under the suite's leash, with an epmd, folders and ports of its own.
-module(neighbours).
-export([main/1]).

%% [rabbitmq, Folder, Erl's bin] | [elixir, Script]
main(["rabbitmq", Home, Bin]) -> run(fun(T) -> rabbitmq(T, Home, Bin) end);
main(["elixir", Script]) -> run(fun(T) -> elixir(T, Script) end).

run(Fun) ->
    process_flag(trap_exit, true),
    io:setopts([{encoding, unicode}]),
    Dir = filename:join(os:getenv("TMPDIR", "/tmp"), "cnode-neighbours-" ++ os:getpid()),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Epmd = list_to_integer(os:getenv("ERL_EPMD_PORT")),
    os:putenv("HOME", Dir),
    cf_epmd:start(Epmd),
    {ok, _} = net_kernel:start(['judge@127.0.0.1', longnames]),
    erlang:set_cookie(node(), neighbour),
    put(tap, {0, 0}),
    try Fun(#{dir => Dir, epmd => Epmd, cookie => neighbour, release => 25, dial => driver, visible => false,
              command => filename:join(cf:home(), "nodes/cnode/start"), job => "n"})
    catch
        throw:{case_failed, Why} -> no("the neighbour and the node start", Why);
        Class:Reason:Stack -> no("the test itself works", io_lib:format("~p:~p at ~P", [Class, Reason, Stack, 12]))
    end,
    {N, Bad} = get(tap),
    io:format("1..~p~n", [N]),
    case Bad of
        0 -> os:cmd("rm -rf '" ++ Dir ++ "'");
        _ -> io:format("# logs: ~s~n", [Dir])
    end,
    halt(min(Bad, 1)).

ok(What) -> {N, Bad} = get(tap), put(tap, {N + 1, Bad}), io:format("ok ~p - ~ts~n", [N + 1, What]).
no(What, Why) ->
    {N, Bad} = get(tap), put(tap, {N + 1, Bad + 1}),
    io:format("not ok ~p - ~ts~n#   ~ts~n", [N + 1, What, lists:join("\n#   ", string:split(lists:flatten(Why), "\n", all))]).
skip(What, Why) -> {N, Bad} = get(tap), put(tap, {N + 1, Bad}), io:format("ok ~p - ~ts # SKIP ~ts~n", [N + 1, What, Why]).

check(What, Fun) ->
    try Fun() of _ -> ok(What)
    catch throw:{case_failed, Why} -> no(What, Why);
          Class:Reason:Stack -> no(What, io_lib:format("~p:~p at ~P", [Class, Reason, Stack, 12]))
    end.

%% Our `cnode` tool: what it printed.
cnode(Args) ->
    Tool = filename:join([os:getenv("CNODE_BUILD"), "cnode", "cmd", "cnode"]),
    Quoted = [[" '", A, "'"] || A <- ["-name", "tool@127.0.0.1", "-setcookie", "neighbour" | Args]],
    string:trim(os:cmd(lists:flatten(["'", Tool, "'", Quoted, " 2>&1"]))).

%% ---- RabbitMQ ----

rabbitmq(#{dir := Dir} = T, Home, Bin) ->
    Rabbit = 'rabbit@127.0.0.1',
    Server = filename:join([Home, "rabbitmq", "server"]),
    File = fun(Name) -> filename:join(Dir, Name) end,
    ok = file:write_file(File(".erlang.cookie"), "neighbour"),
    ok = file:change_mode(File(".erlang.cookie"), 8#400),
    ok = file:write_file(File("enabled_plugins"), "[].\n"),
    ok = file:write_file(File("rabbitmq.conf"), "log.console = true\nlog.file = false\ndisk_free_limit.absolute = 1MB\n"),
    Proc = cf_proc:start("rabbitmq", [filename:join([Server, "sbin", "rabbitmq-server"]), "-noinput"],
                         [{log, File("rabbitmq.log")}, {cd, Dir},
                          {env, [{"PATH", Bin ++ ":" ++ os:getenv("PATH")}, {"HOME", Dir}, {"ERL_LIBS", filename:join(Home, "erlang/lib")},
                                 {"RABBITMQ_ALLOW_INPUT", "yes"}, {"RABBITMQ_NODENAME", atom_to_list(Rabbit)}, {"RABBITMQ_USE_LONGNAME", "true"},
                                 {"RABBITMQ_NODE_PORT", integer_to_list(cf_proc:free_port())}, {"RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"},
                                 {"RABBITMQ_DIST_PORT", integer_to_list(cf_proc:free_port())},
                                 {"RABBITMQ_MNESIA_BASE", File("mnesia")}, {"RABBITMQ_LOG_BASE", File("log")}, {"RABBITMQ_CONFIG_FILE", File("rabbitmq.conf")},
                                 {"RABBITMQ_ENABLED_PLUGINS_FILE", File("enabled_plugins")}, {"RABBITMQ_CONF_ENV_FILE", "/dev/null"},
                                 {"RABBITMQ_GENERATED_CONFIG_DIR", File("config")}, {"RABBITMQ_FEATURE_FLAGS_FILE", File("feature_flags")},
                                 {"RABBITMQ_PID_FILE", File("pid")}, {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false +sbwt none"}]}]),
    case cf_proc:wait_line(Proc, <<"Server startup complete">>, 120000) of
        {line, _} -> ok("RabbitMQ starts");
        Other ->
            Said = cf_proc:output(Proc),
            cf:fail("RabbitMQ did not start (~p):~n~s", [Other, lists:join($\n, lists:nthtail(max(0, length(Said) - 15), Said))])
    end,
    true = net_kernel:hidden_connect_node(Rabbit),
    [visit(T#{visible => Visible}, Rabbit) || Visible <- [false, true]],
    check("after all visits RabbitMQ's log has no error and no crash", fun() ->
              Bad = [L || L <- cf_proc:output(Proc), Word <- [<<"[error]">>, <<"[critical]">>, <<"crash">>], binary:match(L, Word) =/= nomatch],
              cf:same([], Bad) end),
    cf_proc:stop(Proc).

visit(#{visible := Visible} = T0, Rabbit) ->
    How = case Visible of true -> "visible"; false -> "hidden" end,
    Say = fun(Text) -> How ++ ": " ++ Text end,
    Nut = list_to_atom("guest_" ++ How ++ "@127.0.0.1"),
    T = cf_nut:start(T0#{nut => Nut}),
    Capabilities = cf_fake:call(cf_fake:dial(T, #{}), capabilities, []),
    case Visible andalso not lists:member(global, Capabilities) of
        true -> skip(Say("our node in RabbitMQ's cluster"), "a visible node must take part in global, and this one does not declare it");
        false -> guest(T, Rabbit, Nut, Say)
    end,
    case cf_nut:alive(T) of true -> cf_nut:kill(T); false -> ok end.

guest(#{visible := Visible} = T, Rabbit, Nut, Say) ->
    call(Rabbit, ?MODULE, start_watching, [self()]),
    check(Say("RabbitMQ connects to our node and lists it as " ++ case Visible of true -> "visible"; _ -> "hidden" end), fun() ->
              true = call(Rabbit, net_kernel, connect_node, [Nut]),
              cf:same(true, lists:member(Nut, call(Rabbit, erlang, nodes, [case Visible of true -> visible; _ -> hidden end]))),
              cf:got(fun({rabbit_saw, {nodeup, N, _}}) when N =:= Nut -> ok end) end),
    check(Say("our node connects to RabbitMQ"), fun() ->
              C = cf_fake:dial(T, #{}),
              true = cf_fake:call(C, connect, [Rabbit]),
              pong = cf_fake:call(C, ping, [Rabbit]) end),
    check(Say("cnode rpc rabbit@127.0.0.1 rabbit_nodes all_running '[]'"), fun() ->
              cf:same("['rabbit@127.0.0.1']", cnode(["rpc", atom_to_list(Rabbit), "rabbit_nodes", "all_running", "[]"])) end),
    check(Say("our node's rpc and erpc to RabbitMQ give its own answers"), fun() ->
              C = cf_fake:dial(T, #{}),
              true = cf_fake:call(C, rpc, [Rabbit, rabbit, is_running, []]),
              {ok, [Rabbit]} = cf_fake:call(C, erpc, [Rabbit, rabbit_nodes, all_running, []]) end),
    check(Say("RabbitMQ's rpc and ping to our node are answered"), fun() ->
              Nut = call(Rabbit, rpc, call, [Nut, erlang, node, []]),
              pong = call(Rabbit, net_adm, ping, [Nut]) end),
    check(Say("RabbitMQ spawns a counter here and calls it"), fun() ->
              P = call(Rabbit, erlang, spawn, [Nut, counter, start, [40]]),
              42 = call(Rabbit, gen_server, call, [P, {add, 2}]) end),
    check(Say("RabbitMQ does not take it for a member: its cluster is itself, without partitions"), fun() -> healthy(Rabbit) end),
    cf_nut:kill(T),
    check(Say("our node is killed: RabbitMQ sees nodedown, and stays healthy"), fun() ->
              cf:got(fun({rabbit_saw, {nodedown, N, _}}) when N =:= Nut -> ok end),
              healthy(Rabbit),
              cf:same(false, lists:member(Nut, call(Rabbit, erlang, nodes, [connected]))) end).

healthy(Rabbit) ->
    cf:same(true, call(Rabbit, rabbit, is_running, [])),
    cf:same([], call(Rabbit, rabbit_alarm, get_alarms, [])),
    cf:same([], call(Rabbit, rabbit_node_monitor, partitions, [])),
    cf:same([Rabbit], call(Rabbit, rabbit_nodes, all_running, [])),
    cf:same([Rabbit], call(Rabbit, rabbit_nodes, all, [])).

%% What RabbitMQ sees of nodes comes to To; otherwise: calls F there. (Its 3.10 has all_running/0, from 3.12 on list_running/0.)
call(Rabbit, ?MODULE, start_watching, [To]) ->
    Text = "net_kernel:monitor_nodes(true, [{node_type, all}]), L = fun(F) -> receive M -> To ! {rabbit_saw, M}, F(F) end end, L(L).",
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    spawn(Rabbit, erl_eval, exprs, [Expressions, [{'To', To}]]);
call(Rabbit, M, F, A) ->
    case rpc:call(Rabbit, M, F, A, 20000) of
        {badrpc, Why} -> cf:fail("~p:~p on RabbitMQ: ~p", [M, F, Why]);
        Value -> Value
    end.

%% ---- Elixir ----

%% The script is the judge, and prints TAP itself.
elixir(#{dir := Dir} = T0, Script) ->
    [begin
         Nut = list_to_atom("guest_" ++ How ++ "@127.0.0.1"),
         T = cf_nut:start(T0#{nut => Nut, visible => How =:= "visible"}),
         Proc = cf_proc:start("elixir", ["elixir", "--name", "elixir_" ++ How ++ "@127.0.0.1", "--cookie", "neighbour", "--hidden",
                                         "--erl", "-start_epmd false -kernel logger_level none", Script, atom_to_list(Nut)],
                              [{log, filename:join(Dir, "elixir.log")}, {cd, Dir}, {tell, self()}]),
         said(Proc, How),
         cf_nut:kill(T)
     end || How <- ["hidden", "visible"]].

said(Proc, How) ->
    receive
        {Proc, {line, <<"ok ", What/binary>>}} -> ok([How, ": ", unicode:characters_to_list(What)]), said(Proc, How);
        {Proc, {line, <<"skip ", What/binary>>}} ->
            [Title, Why] = string:split(unicode:characters_to_list(What), ": "),
            skip([How, ": ", Title], Why), said(Proc, How);
        {Proc, {line, <<"no ", What/binary>>}} -> no([How, ": ", unicode:characters_to_list(What)], "see elixir.log"), said(Proc, How);
        {Proc, {line, Line}} -> io:format("# ~ts~n", [Line]), said(Proc, How);
        {Proc, {exited, 0}} -> ok([How, ": the script came to its end"]);
        {Proc, {exited, Status}} -> no([How, ": the script came to its end"], io_lib:format("status ~p", [Status]))
    after 60000 -> no([How, ": the script came to its end"], "it says nothing for a minute")
    end.
