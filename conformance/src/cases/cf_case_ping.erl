%% SPDX-License-Identifier: Apache-2.0
%% net_adm:ping, and what net_kernel is asked.
-module(cf_case_ping).
-export([cases/0]).

-define(KERNEL, "net_kernel.erl is_auth; net_adm.erl").

cases() ->
    [{Id, What, ?KERNEL, [{needs, Needs} | O], Fun} || {Id, What, Needs, O, Fun} <-
     [{'ping.pong', "net_adm:ping gives pong", [ping], [{varies, [dial, visible]}], fun pong/1},
      {'ping.connects', "ping connects by itself", [ping], [raw, {varies, [visible]}], fun connects/1},
      {'ping.hundred', "100 pings in a row", [ping], [], fun hundred/1},
      {'ping.concurrent', "50 pings at once", [ping], [], fun concurrent/1},
      {'ping.reply', "is_auth is answered yes, with the tag as it came", [ping], [raw], fun reply/1},
      {'ping.alias_tag', "is_auth with an alias tag is answered", [ping], [raw, {from, 24}], fun alias_tag/1},
      {'ping.other_requests', "other requests to net_kernel do no harm", [ping], [raw], fun other_requests/1},
      {'ping.net_kernel_monitored', "net_kernel can be monitored", [ping, monitor], [], fun monitored/1},
      {'ping.out_pong', "its ping of us is pong", [ping_out], [{varies, [dial, visible]}], fun out_pong/1},
      {'ping.out_pang', "its ping of a node that is not there is pang", [ping_out], [], fun out_pang/1},
      {'ping.stopped', "ping of a node that has stopped is pang", [ping], [raw, fresh], fun stopped/1}]].

pong(#{nut := Nut}) -> cf:same(pong, net_adm:ping(Nut)).

connects(#{nut := Nut} = T) ->
    case lists:member(Nut, nodes(connected)) of true -> cf_live:disconnect(T); false -> ok end,
    cf:same(pong, net_adm:ping(Nut)),
    cf:check(lists:member(Nut, nodes(connected)), "not connected").

hundred(#{nut := Nut}) -> [pong = net_adm:ping(Nut) || _ <- lists:seq(1, 100)], ok.

concurrent(#{nut := Nut}) ->
    Ws = [spawn_monitor(fun() -> exit(net_adm:ping(Nut)) end) || _ <- lists:seq(1, 50)],
    [cf:same(pong, cf_live:down(M)) || {_, M} <- Ws].

ask(C, Tag, Request) ->
    Me = cf_fake:pid(C),
    cf_fake:to(C, net_kernel, {'$gen_call', {Me, Tag}, Request}),
    cf_fake:take(C, fun({signal, _, {G, V}, _}) when G =:= Tag -> V end).

reply(T) -> C = cf_fake:dial(T, #{}), cf:same(yes, ask(C, cf_fake:ref(C), {is_auth, maps:get(name, C)})).
alias_tag(T) -> C = cf_fake:dial(T, #{}), cf:same(yes, ask(C, [alias | cf_fake:ref(C)], {is_auth, maps:get(name, C)})).

other_requests(T) ->
    C = cf_fake:dial(T, #{}), Me = cf_fake:pid(C),
    [cf_fake:to(C, net_kernel, M) || M <- [junk, {}, {Me, junk}, {'$gen_cast', junk}]],
    cf:same(yes, ask(C, cf_fake:ref(C), {is_auth, maps:get(name, C)})).

monitored(#{nut := Nut} = T) ->
    M = monitor(process, {net_kernel, Nut}),
    cf_live:fence(T),
    cf:not_got(fun({'DOWN', X, _, _, _}) when X =:= M -> ok end),
    demonitor(M, [flush]).

out_pong(T) -> cf:same(pong, cf_live:ask(T, ping, [node()])).
out_pang(T) -> cf:same(pang, cf_live:ask(T, ping, ['nobody_at_all@127.0.0.1'])).

stopped(T) ->
    #{nut := N} = S = cf_nut:start(T#{nut => list_to_atom(atom_to_list(cf:unique("stops")) ++ "@127.0.0.1")}),
    pong = net_adm:ping(N),
    monitor_node(N, true),
    {exited, _} = cf_nut:stop(S),
    receive {nodedown, N} -> ok after cf:ms(8000) -> cf:fail("no nodedown") end,
    cf:same(pang, net_adm:ping(N)).
