%% SPDX-License-Identifier: Apache-2.0
%% Phoenix.PubSub: broadcasts between the node under test and a node that has the adapter PG2 (nodes/otp/phoenix_pubsub.erl).
-module(cf_case_pubsub).
-export([cases/0]).

-define(RULE, "Phoenix.PubSub.PG2").
-define(NEEDS, {needs, [pubsub]}, {only, visible}).

cases() ->
    [{'pubsub.from_here', "what is broadcast here comes to its subscribers as it is", ?RULE, [?NEEDS], fun from_here/1},
     {'pubsub.from_there', "what it broadcasts comes to subscribers here", ?RULE, [?NEEDS], fun from_there/1},
     {'pubsub.from_there_local', "its own subscribers get it too, itself as well, unless broadcast_from is used", ?RULE, [?NEEDS], fun from_there_local/1},
     {'pubsub.topics', "topics are told apart, subscriptions are counted, unsubscribing ends all of a topic", ?RULE, [?NEEDS], fun topics/1},
     {'pubsub.pool', "with a pool of 4 every sender's broadcasts arrive, in both directions", ?RULE, [?NEEDS], fun pool/1},
     {'pubsub.direct', "direct broadcasts to one node, in both directions", ?RULE, [?NEEDS], fun direct/1},
     {'pubsub.order', "2,000 broadcasts of one sender arrive in order", ?RULE, [?NEEDS, {timeout, 40000}], fun order/1},
     {'pubsub.subscriber_ends', "a subscriber that ends is forgotten", ?RULE, [?NEEDS], fun subscriber_ends/1},
     {'pubsub.reconnect', "after a lost connection broadcasts arrive again", ?RULE, [?NEEDS], fun reconnect/1},
     {'pubsub.restart', "it leaves the PubSub and takes part again", ?RULE, [?NEEDS], fun restart/1},
     {'pubsub.erlang_name', "a PubSub whose name is no module of Elixir", ?RULE, [?NEEDS], fun erlang_name/1},
     {'pubsub.junk', "junk to a worker does it no harm", ?RULE, [?NEEDS], fun junk/1}].

name() -> list_to_atom("Elixir.Conformance.PubSub" ++ atom_to_list(cf:unique("p"))).

both(T, Pool) -> both(T, name(), Pool).
both(T, Name, Pool) ->
    ok = phoenix_pubsub:start(Name, Pool),
    ok = cf_live:ask(T, pubsub_start, [Name, Pool]),
    meet(Name, Pool),
    Name.

%% Each side's workers are known to the other.
meet(Name, Pool) ->
    [cf:wait("its worker is known here", fun() -> length(pg:get_members('Elixir.Phoenix.PubSub', G)) =:= 2 end) || G <- phoenix_pubsub:groups(Name, Pool)].
met_there(T, Name, Pool) ->
    [cf:wait("our worker is known there", fun() -> length(cf_live:ask(T, pg_members, ['Elixir.Phoenix.PubSub', G])) =:= 2 end) || G <- phoenix_pubsub:groups(Name, Pool)].

subscriber(T, Name, Topic) ->
    P = cf_live:watched(T),
    ok = cf_live:ask(T, P, pubsub_subscribe, [Name, Topic]),
    P.

heard(Message) -> cf:got(fun(M) when M =:= Message -> ok end).

from_here(T) ->
    Name = both(T, 1),
    P = subscriber(T, Name, <<"room:1">>),
    Messages = [hello, {new_message, #{<<"text">> => <<"Grüße"/utf8>>}}, <<>>, [], #{'__struct__' => 'Elixir.Phoenix.Socket.Broadcast', topic => <<"room:1">>}],
    [ok = phoenix_pubsub:broadcast(Name, <<"room:1">>, M) || M <- Messages],
    [cf:same(M, cf_live:saw(P)) || M <- Messages].

from_there(T) ->
    Name = both(T, 1), met_there(T, Name, 1),
    ok = phoenix_pubsub:subscribe(Name, <<"room:1">>),
    P = cf_live:puppet(T),
    ok = cf_live:ask(T, P, pubsub_broadcast, [Name, <<"room:1">>, {from, P, #{n => 1}}]),
    heard({from, P, #{n => 1}}).

from_there_local(T) ->
    Name = both(T, 1),
    P = subscriber(T, Name, <<"t">>), Q = subscriber(T, Name, <<"t">>),
    ok = cf_live:ask(T, P, pubsub_broadcast, [Name, <<"t">>, one]),
    [one = cf_live:saw(X) || X <- [P, Q]],
    ok = cf_live:ask(T, P, pubsub_broadcast_from, [Name, <<"t">>, two]),
    two = cf_live:saw(Q),
    ok = cf_live:ask(T, Q, pubsub_broadcast, [Name, <<"t">>, three]),
    three = cf_live:saw(Q),
    three = cf_live:saw(P).

topics(T) ->
    Name = both(T, 1),
    P = subscriber(T, Name, <<"a">>),
    ok = cf_live:ask(T, P, pubsub_subscribe, [Name, <<"a">>]),
    ok = cf_live:ask(T, P, pubsub_subscribe, [Name, <<"b">>]),
    phoenix_pubsub:broadcast(Name, <<"none">>, wrong),
    phoenix_pubsub:broadcast(Name, <<"a">>, to_a),
    to_a = cf_live:saw(P), to_a = cf_live:saw(P),
    ok = cf_live:ask(T, P, pubsub_unsubscribe, [Name, <<"a">>]),
    phoenix_pubsub:broadcast(Name, <<"a">>, wrong),
    phoenix_pubsub:broadcast(Name, <<"b">>, to_b),
    to_b = cf_live:saw(P).

pool(T) ->
    Name = both(T, 4), met_there(T, Name, 4),
    P = subscriber(T, Name, <<"t">>),
    Senders = [spawn_link(fun() -> phoenix_pubsub:broadcast(Name, <<"t">>, {n, N}) end) || N <- lists:seq(1, 40)],
    40 = length(Senders),
    cf:same(lists:seq(1, 40), lists:sort([begin {n, N} = cf_live:saw(P), N end || _ <- Senders])),
    ok = phoenix_pubsub:subscribe(Name, <<"u">>),
    [ok = cf_live:ask(T, cf_live:puppet(T), pubsub_broadcast, [Name, <<"u">>, {m, N}]) || N <- lists:seq(1, 40)],
    [heard({m, N}) || N <- lists:seq(1, 40)].

direct(#{nut := Nut} = T) ->
    Name = both(T, 1),
    P = subscriber(T, Name, <<"t">>),
    ok = phoenix_pubsub:direct_broadcast(Nut, Name, <<"t">>, there),
    there = cf_live:saw(P),
    ok = phoenix_pubsub:subscribe(Name, <<"t">>),
    ok = cf_live:ask(T, P, pubsub_direct_broadcast, [node(), Name, <<"t">>, here]),
    heard(here),
    ok = cf_live:ask(T, P, pubsub_direct_broadcast, [Nut, Name, <<"t">>, itself]),
    itself = cf_live:saw(P),
    cf:not_got(fun(itself) -> itself end).

order(T) ->
    Name = both(T, 2), met_there(T, Name, 2),
    P = subscriber(T, Name, <<"t">>),
    [phoenix_pubsub:broadcast(Name, <<"t">>, N) || N <- lists:seq(1, 2000)],
    [cf:same(N, cf_live:saw(P)) || N <- lists:seq(1, 2000)],
    ok = phoenix_pubsub:subscribe(Name, <<"u">>),
    [P ! {pubsub_broadcast, self(), make_ref(), [Name, <<"u">>, {u, N}]} || N <- lists:seq(1, 2000)],
    [cf:same(N, receive {u, M} -> M after cf:ms(8000) -> none end) || N <- lists:seq(1, 2000)].

subscriber_ends(T) ->
    Name = both(T, 1),
    P = subscriber(T, Name, <<"t">>), Q = subscriber(T, Name, <<"t">>),
    ok = cf_live:ask(T, P, exit, [done]),
    phoenix_pubsub:broadcast(Name, <<"t">>, left),
    left = cf_live:saw(Q).

reconnect(T) ->
    Name = both(T, 1),
    cf_live:disconnect(T),
    cf:wait("its worker is gone", fun() -> [G] = phoenix_pubsub:groups(Name, 1), length(pg:get_members('Elixir.Phoenix.PubSub', G)) =:= 1 end),
    cf_live:connect(T),
    meet(Name, 1), met_there(T, Name, 1),
    P = subscriber(T, Name, <<"t">>),
    phoenix_pubsub:broadcast(Name, <<"t">>, again),
    again = cf_live:saw(P),
    ok = phoenix_pubsub:subscribe(Name, <<"t">>),
    ok = cf_live:ask(T, P, pubsub_broadcast, [Name, <<"t">>, back]),
    heard(back).

restart(T) ->
    Name = both(T, 1),
    ok = cf_live:ask(T, pubsub_stop, [Name]),
    cf:wait("its worker is gone", fun() -> [G] = phoenix_pubsub:groups(Name, 1), length(pg:get_members('Elixir.Phoenix.PubSub', G)) =:= 1 end),
    ok = cf_live:ask(T, pubsub_start, [Name, 1]),
    meet(Name, 1),
    P = subscriber(T, Name, <<"t">>),
    phoenix_pubsub:broadcast(Name, <<"t">>, again),
    again = cf_live:saw(P).

erlang_name(T) ->
    Name = both(T, cf:unique("my_pubsub"), 1),
    P = subscriber(T, Name, <<"t">>),
    phoenix_pubsub:broadcast(Name, <<"t">>, hello),
    hello = cf_live:saw(P).

junk(#{nut := Nut} = T) ->
    Name = both(T, 1),
    P = subscriber(T, Name, <<"t">>),
    [Worker] = phoenix_pubsub:groups(Name, 1),
    [{Worker, Nut} ! J || J <- [x, {}, {forward_to_local}, {forward_to_local, 1, 2, 3}, {forward_to_local, <<"t">>}, {'$gen_cast', x}, [], {forward_to_local, t, m, d}]],
    cf:same({error, bad_request}, gen_server:call({Worker, Nut}, x)),
    phoenix_pubsub:broadcast(Name, <<"t">>, alive),
    alive = cf_live:saw(P).
