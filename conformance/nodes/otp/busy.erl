%% SPDX-License-Identifier: Apache-2.0
%% Burns CPU inside a call, to show that a busy process delays nobody else. See CONTRACT.md.
-module(busy).
-behaviour(gen_server).
-export([start/0, start_link/0, init/1, handle_call/3, handle_cast/2]).

start() ->
    put('$ancestors', [self()]),
    put('$initial_call', {busy, init, 1}),
    gen_server:enter_loop(?MODULE, [], none).

start_link() -> start().

init(_) -> {ok, none}.

handle_call({spin, Ms}, _From, State) ->
    spin(erlang:monotonic_time(millisecond) + Ms),
    {reply, done, State};
handle_call(_, _From, State) ->
    {reply, {error, bad_request}, State}.

handle_cast(_, State) -> {noreply, State}.

spin(Until) ->
    case erlang:monotonic_time(millisecond) < Until of
        true -> spin(Until);
        false -> ok
    end.
