%% SPDX-License-Identifier: Apache-2.0
%% What Phoenix.PubSub with its adapter PG2 does on the wire, without Elixir: workers named and grouped as there,
%% {forward_to_local, Topic, Message, Dispatcher} to the members elsewhere. Written from the behaviour of
%% phoenix_pubsub 2.1 (lib/phoenix/pubsub/pg2.ex); subscriptions are those of a table here.
-module(phoenix_pubsub).
-behaviour(gen_server).
-export([start/2, stop/1, subscribe/2, unsubscribe/2, broadcast/3, broadcast_from/3, local_broadcast/3, direct_broadcast/4]).
-export([groups/2, init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(SCOPE, 'Elixir.Phoenix.PubSub').

%% Name as an Elixir atom, 'Elixir.MyApp.PubSub' or my_pubsub.
start(Name, PoolSize) ->
    case pg:start(?SCOPE) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok
    end,
    %% The table outlives whoever calls.
    Parent = self(),
    {Keeper, Ref} = spawn_monitor(fun() ->
        Name = ets:new(Name, [named_table, public, duplicate_bag]),
        Parent ! {self(), ready},
        receive stop -> ok end
    end),
    receive
        {Keeper, ready} -> demonitor(Ref, [flush]);
        {'DOWN', Ref, process, Keeper, Reason} -> error(Reason)
    end,
    Groups = groups(Name, PoolSize),
    Workers = [begin {ok, Pid} = gen_server:start({local, Group}, ?MODULE, {Name, Group}, []), Pid end || Group <- Groups],
    ets:insert(Name, {'$groups', list_to_tuple(Groups), Workers, Keeper}),
    ok.

stop(Name) ->
    [{_, _, Workers, Keeper}] = ets:lookup(Name, '$groups'),
    [gen_server:stop(W) || W <- Workers],
    Ref = monitor(process, Keeper),
    Keeper ! stop,
    receive {'DOWN', Ref, process, Keeper, _} -> ok end.

%% Module.concat(Name, "Adapter"), and _2, _3 … for the others of the pool.
groups(Name, PoolSize) ->
    Bare = case atom_to_list(Name) of "Elixir." ++ Rest -> Rest; Other -> Other end,
    Adapter = "Elixir." ++ Bare ++ ".Adapter",
    [list_to_atom(Adapter) | [list_to_atom(Adapter ++ "_" ++ integer_to_list(N)) || N <- lists:seq(2, PoolSize)]].

subscribe(Name, Topic) -> true = ets:insert(Name, {Topic, self()}), ok.
unsubscribe(Name, Topic) -> true = ets:delete_object(Name, {Topic, self()}), ok.

broadcast(Name, Topic, Message) -> away(Name, Topic, Message), dispatch(Name, none, Topic, Message).
broadcast_from(Name, Topic, Message) -> away(Name, Topic, Message), dispatch(Name, self(), Topic, Message).
local_broadcast(Name, Topic, Message) -> dispatch(Name, none, Topic, Message).
direct_broadcast(Node, Name, Topic, Message) ->
    {group(Name), Node} ! {forward_to_local, Topic, Message, ?SCOPE},
    ok.

group(Name) ->
    [{_, Groups, _, _}] = ets:lookup(Name, '$groups'),
    element(1 + erlang:phash2(self(), tuple_size(Groups)), Groups).

away(Name, Topic, Message) ->
    [Pid ! {forward_to_local, Topic, Message, ?SCOPE} || Pid <- pg:get_members(?SCOPE, group(Name)), node(Pid) =/= node()].

dispatch(Name, From, Topic, Message) ->
    [Pid ! Message || {_, Pid} <- ets:lookup(Name, Topic), Pid =/= From],
    ok.

init({Name, Group}) ->
    ok = pg:join(?SCOPE, Group, self()),
    {ok, Name}.

handle_call(_, _, Name) -> {reply, {error, bad_request}, Name}.
handle_cast(_, Name) -> {noreply, Name}.
handle_info({forward_to_local, Topic, Message, _Dispatcher}, Name) ->
    dispatch(Name, none, Topic, Message),
    {noreply, Name};
handle_info(_, Name) -> {noreply, Name}.
