%% SPDX-License-Identifier: Apache-2.0
%% A network that breaks on order. Each node has an epmd of its own here, which names a relay of ours where the other's
%% port should be; so every connection between two nodes goes through us, and we can end it, refuse it or swallow it.
-module(cf_net).
-export([start/1, stop/1, epmd/2, split/3, cut/4, closed/3, heal/1]).

start(JobEpmd) ->
    Self = self(),
    Pid = spawn(fun() ->
              process_flag(trap_exit, true),
              Table = ets:new(cf_net, [public]),
              Self ! {self(), ready},
              loop(#{table => Table, job => JobEpmd, listeners => #{}, relays => []})
          end),
    receive {Pid, ready} -> Pid end.

stop(Net) -> exit(Net, kill), ok.

%% The port of the epmd that this node is to use.
epmd(Net, Node) -> ask(Net, {epmd, alive(Node)}).

%% No connection between nodes of different groups. How: close (both ends see it at once) or silent (nobody is told).
split(Net, Groups, How) ->
    Pairs = [{alive(A), alive(B)} || G <- Groups, H <- Groups, G =/= H, A <- G, B <- H],
    ask(Net, {cut, Pairs, How}).

cut(Net, A, B, How) -> ask(Net, {cut, [{alive(A), alive(B)}, {alive(B), alive(A)}], How}).

%% Is B closed to A now, so that whoever dials it hears so at once?
closed(Net, A, B) -> ask(Net, {closed, alive(A), alive(B)}).

%% New connections go through again; what was swallowed silently is closed.
heal(Net) -> ask(Net, heal).

alive(Node) -> hd(string:tokens(atom_to_list(Node), "@")).

ask(Net, What) ->
    Mon = monitor(process, Net),
    Net ! {What, self(), Mon},
    receive
        {Mon, Answer} -> demonitor(Mon, [flush]), Answer;
        {'DOWN', Mon, _, _, Why} -> exit({cf_net, Why})
    end.

loop(#{table := Table, relays := Relays, listeners := Listeners, job := Job} = State) ->
    Net = self(),
    receive
        {{epmd, Alive}, From, Ref} ->
            From ! {Ref, serve(fun(S) -> request(S, Alive, Table, Job, Net) end)},
            loop(State);
        {{relay, A, B}, From, Ref} ->
            Port = case Listeners of
                       #{{A, B} := P} -> P;
                       _ -> serve(fun(S) -> relay(S, A, B, Table, Net) end)
                   end,
            From ! {Ref, Port},
            loop(State#{listeners => Listeners#{{A, B} => Port}});
        {{add, Pid, A, B}, From, Ref} ->
            From ! {Ref, case ets:lookup(Table, {cut, A, B}) of [{_, How}] -> How; [] -> open end},
            loop(State#{relays => [{Pid, A, B} | [R || {P, _, _} = R <- Relays, is_process_alive(P)]]});
        {{cut, Pairs, How}, From, Ref} ->
            %% First nothing is passed on any more, anywhere; only then is anything closed.
            ets:insert(Table, [{{cut, A, B}, How} || {A, B} <- Pairs]),
            Hit = [Pid || {Pid, A, B} <- Relays, lists:member({A, B}, Pairs)],
            tell(Hit, silent),
            How =:= close andalso tell(Hit, close),
            From ! {Ref, ok},
            loop(State);
        {{closed, A, B}, From, Ref} ->
            From ! {Ref, ets:lookup(Table, {cut, A, B}) =:= [{{cut, A, B}, close}]},
            loop(State);
        {heal, From, Ref} ->
            ets:match_delete(Table, {{cut, '_', '_'}, '_'}),
            tell([Pid || {Pid, _, _} <- Relays], heal),
            From ! {Ref, ok},
            loop(State);
        {'EXIT', _, _} -> loop(State)
    end.

tell(Pids, What) ->
    Refs = [begin Mon = monitor(process, P), P ! {What, self(), Mon}, Mon end || P <- Pids],
    [receive {Mon, ok} -> demonitor(Mon, [flush]); {'DOWN', Mon, _, _, _} -> ok end || Mon <- Refs],
    ok.

%% A port at which Fun gets each connection, in a process of its own. All end with the net, which they are linked to.
serve(Fun) ->
    {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {packet, 0}, {nodelay, true}, {ip, {127,0,0,1}}, {backlog, 64}]),
    {ok, Port} = inet:port(L),
    Net = self(),
    Acceptor = spawn_link(fun() -> receive go -> accept(L, Fun, Net) end end),
    ok = gen_tcp:controlling_process(L, Acceptor),
    Acceptor ! go,
    Port.

accept(L, Fun, Net) ->
    {ok, S} = gen_tcp:accept(L),
    Worker = spawn(fun() -> link(Net), receive go -> Fun(S) end end),
    ok = gen_tcp:controlling_process(S, Worker),
    Worker ! go,
    accept(L, Fun, Net).

%% A request to the epmd of one node (erl_dist_protocol.html "EPMD Protocol").
request(S, Asker, Table, Job, Net) ->
    case cf_hs:recv(S, 30000) of
        {ok, <<120, Port:16, _:6/binary, N:16, Name:N/binary, _/binary>>} ->
            Alive = binary_to_list(Name),
            %% Known to the job's epmd too, for the driver, which talks to the node directly.
            {ok, E, _} = cf_epmd:alive2(Job, Alive, Port, #{}),
            ets:insert(Table, {{port, Alive}, Port}),
            ok = gen_tcp:send(S, <<118, 0, (rand:uniform(1 bsl 31) + 4):32>>),
            _ = gen_tcp:recv(S, 0),
            ets:delete(Table, {port, Alive}),
            gen_tcp:close(E);
        {ok, <<122, Name/binary>> = Request} ->
            Alive = binary_to_list(Name),
            gen_tcp:send(S, case {cf_epmd:request(Job, Request), ets:member(Table, {port, Alive})} of
                                {<<119, 0, _:16, R/binary>>, true} -> <<119, 0, (ask(Net, {relay, Asker, Alive})):16, R/binary>>;
                                {Answer, _} -> Answer
                            end);
        {ok, Request} -> gen_tcp:send(S, cf_epmd:request(Job, Request));
        _ -> ok
    end,
    gen_tcp:close(S).

%% One connection from A to B.
relay(S, A, B, Table, Net) ->
    case {ask(Net, {add, self(), A, B}), ets:lookup(Table, {port, B})} of
        {open, [{_, Port}]} ->
            case gen_tcp:connect({127,0,0,1}, Port, [binary, {active, false}, {packet, 0}, {nodelay, true}]) of
                {ok, R} ->
                    [inet:setopts(X, [{active, once}, {high_watermark, 1 bsl 26}]) || X <- [S, R]],
                    pass(S, R);
                {error, _} -> gen_tcp:close(S)
            end;
        {silent, _} -> swallow([S]);
        _ -> gen_tcp:close(S)
    end.

pass(S, R) ->
    receive
        {tcp, S, Bytes} -> gen_tcp:send(R, Bytes), inet:setopts(S, [{active, once}]), pass(S, R);
        {tcp, R, Bytes} -> gen_tcp:send(S, Bytes), inet:setopts(R, [{active, once}]), pass(S, R);
        {silent, From, Ref} -> From ! {Ref, ok}, swallow([S, R]);
        {heal, From, Ref} -> From ! {Ref, ok}, pass(S, R);
        _ -> gen_tcp:close(S), gen_tcp:close(R)
    end.

swallow(Sockets) ->
    receive
        {How, From, Ref} when How =:= close; How =:= heal ->
            [gen_tcp:close(S) || S <- Sockets],
            From ! {Ref, ok};
        {silent, From, Ref} -> From ! {Ref, ok}, swallow(Sockets);
        {tcp, _, _} -> swallow(Sockets);
        _ -> [gen_tcp:close(S) || S <- Sockets]
    end.
