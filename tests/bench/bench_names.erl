%% SPDX-License-Identifier: Apache-2.0
%% Names of the cluster (global): a C node and a BEAM node in the same clusters of BEAM nodes, round
%% after round. Started by tests/bench/run.sh, as `serve` on the nodes of the clusters, as `member`
%% on a BEAM node that is measured (names.c does the same in C), and as `main` with
%%
%%   pair=NODE    of a cluster of two, where a third node registers names
%%   three=NODE   of a cluster of three, which a fourth node joins
%%   rounds=N scale=N bin=DIR cookie=C
-module(bench_names).
-export([main/0, serve/1, member/1]).

%% ---- a node of a cluster ----

serve([Seed | Wanted]) ->
    ok = net_kernel:monitor_nodes(true),
    Seed =:= node() orelse (true = net_kernel:connect_node(Seed)),
    joined([N || N <- Wanted, N =/= node()]),
    io:format("ready~n").

%% Waits until these nodes are connected, and their tables and ours are one.
joined(Nodes) ->
    [joined_by(N) || N <- Nodes],
    ok = global:sync().

joined_by(Node) ->
    case lists:member(Node, nodes()) of
        true -> ok;
        false -> receive {nodeup, Node} -> ok after 60000 -> error({not_joined, Node}) end
    end.

%% ---- the node that is measured: prints what names.c prints ----

member([Seed, Peers, Pairs, Lookups]) ->
    ok = net_kernel:monitor_nodes(true),
    T0 = now_us(),
    true = net_kernel:connect_node(list_to_atom(Seed)),
    [receive {nodeup, _} -> ok after 60000 -> error(not_joined) end || _ <- lists:seq(1, list_to_integer(Peers))],
    ok = global:sync(),
    T1 = now_us(),
    Name = {bench, node()},
    pairs(Name, list_to_integer(Pairs)),
    T2 = now_us(),
    yes = global:register_name(Name, self()),
    T3 = now_us(),
    lookups(Name, self(), list_to_integer(Lookups)),
    T4 = now_us(),
    io:format("~b ~b ~b~n", [T1 - T0, per_second(list_to_integer(Pairs), T2 - T1), per_second(list_to_integer(Lookups), T4 - T3)]),
    halt(0).

pairs(_, 0) -> ok;
pairs(Name, N) ->
    yes = global:register_name(Name, self()),
    _ = global:unregister_name(Name),
    pairs(Name, N - 1).

lookups(_, _, 0) -> ok;
lookups(Name, Pid, N) -> Pid = global:whereis_name(Name), lookups(Name, Pid, N - 1).

now_us() -> erlang:monotonic_time(microsecond).

per_second(N, Us) -> N * 1000000 div max(1, Us).

%% ---- the driver ----

main() -> bench:drive(fun run/1).

run(Args) ->
    [put(Key, bench:argument(Args, atom_to_list(Key), "")) || Key <- [pair, three, bin, cookie]],
    put(scale, list_to_integer(bench:argument(Args, "scale", "100"))),
    Rounds = list_to_integer(bench:argument(Args, "rounds", "7")),
    Steps = [[{cnode, fun() -> names(cnode) end}, {beam, fun() -> names(beam) end}],
             [{cnode, fun() -> join(cnode) end}, {beam, fun() -> join(beam) end}]],
    %% The mesh takes longer than all the rest: once.
    report(lists:append([bench:round(R, Rounds, Steps) || R <- lists:seq(1, Rounds)]) ++
           [{Metric, cnode, 1, Value} || {Metric, Value} <- mesh()]).

names(Kind) ->
    Lookups = case Kind of cnode -> 2000000; beam -> 500000 end,
    [_, Pairs, Found] = run_member(Kind, get(pair), 2, bench:times(1000), bench:times(Lookups)),
    [{pairs, Pairs}, {lookups, Found / 1.0e6}].

join(Kind) ->
    [Join, _, _] = run_member(Kind, get(three), 3, 0, 0),
    [{join, Join / 1000}].

mesh() ->
    [Mesh, Names] = bench:numbers("names", ["mesh", get(cookie), "50", integer_to_list(bench:times(100))]),
    [{mesh, Mesh / 1.0e6}, {mesh_names, Names / 1.0e6}].

%% A name of its own each time: what the cluster still does about the one before is not this one's matter.
run_member(Kind, Seed, Peers, Pairs, Lookups) ->
    Name = "n" ++ integer_to_list(erlang:unique_integer([positive])) ++ "@127.0.0.1",
    Args = [Seed | [integer_to_list(N) || N <- [Peers, Pairs, Lookups]]],
    case Kind of
        cnode -> bench:numbers("names", ["member", Name, get(cookie) | Args]);
        beam -> bench:numbers("member", [Name, get(cookie) | Args])
    end.

report(Results) ->
    io:format("~nNames of the cluster (global)~n  ~-34s~22s~22s~n", ["", "cnode", "beam"]),
    [io:format("  ~-34s~22s~22s~n", [Name, bench:cell(Results, M, cnode), bench:cell(Results, M, beam)])
     || {M, Name} <- [{pairs, "register and unregister, pairs/s"}, {lookups, "whereis, millions/s"},
                      {join, "join of a cluster of 3, ms"}, {mesh, "full mesh of 50 in one process, s"},
                      {mesh_names, integer_to_list(bench:times(100)) ++ " names of each, tables same, s"}]],
    io:format("~nTargets of names~n"),
    [bench:target(Results, T) || T <-
        [{"register and unregister / BEAM", {pairs, cnode}, {pairs, beam}, at_least, 1.0},
         {"whereis, millions/s", {lookups, cnode}, at_least, 5.0},
         {"join / BEAM's", {join, cnode}, {join, beam}, at_most, 1.0}]],
    ok.
