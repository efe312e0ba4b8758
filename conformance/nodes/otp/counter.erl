%% SPDX-License-Identifier: Apache-2.0
%% A gen_server that counts, started by spawning {counter, start, [N]}. See CONTRACT.md.
-module(counter).
-behaviour(gen_server).
-export([start/1, start_link/1, init/1, handle_call/3, handle_cast/2, handle_info/2]).

start(N) when is_integer(N) ->
    put('$ancestors', [self()]),
    put('$initial_call', {counter, init, 1}),
    gen_server:enter_loop(?MODULE, [], N);
start(_) ->
    exit(badarg).

start_link(N) -> start(N).

init(N) -> {ok, N}.

handle_call({add, N}, _From, Total) when is_integer(N) -> {reply, Total + N, Total + N};
handle_call(get, _From, Total) -> {reply, Total, Total};
handle_call(_, _From, Total) -> {reply, {error, bad_request}, Total}.

handle_cast({add, N}, Total) when is_integer(N) -> {noreply, Total + N};
handle_cast(stop, Total) -> {stop, normal, Total};
handle_cast(_, Total) -> {noreply, Total}.

handle_info({exit, Reason}, Total) -> {stop, Reason, Total};
handle_info(_, Total) -> {noreply, Total}.
