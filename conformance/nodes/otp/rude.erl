%% SPDX-License-Identifier: Apache-2.0
%% A server that does what a callback should not. See CONTRACT.md.
-module(rude).
-behaviour(gen_server).
-export([start/0, start/1, init/1, handle_call/3, handle_cast/2]).

start() -> start(none).
start(refuse) -> exit(badarg);
start({stop, Reason}) -> exit(Reason);
start(none) ->
    put('$ancestors', [self()]),
    put('$initial_call', {rude, init, 1}),
    gen_server:enter_loop(?MODULE, [], none).

init(_) -> {ok, none}.

handle_call(twice, From, S) -> gen_server:reply(From, first), gen_server:reply(From, second), {noreply, S};
handle_call(never, _, S) -> {noreply, S};
handle_call(keep, From, _) -> {noreply, From};
handle_call(give, _, From) -> gen_server:reply(From, kept), {reply, given, none};
handle_call(error, _, _) -> exit({some, error});
handle_call({stop, Reason}, _, S) -> {stop, Reason, S};
handle_call({reply_stop, Reason}, _, S) -> {stop, Reason, bye, S};
handle_call(bad_term, _, S) ->
    try list_to_atom(lists:duplicate(300, $a)) of _ -> {reply, sent, S} catch error:system_limit -> {reply, refused, S} end;
handle_call(_, _, S) -> {reply, {error, bad_request}, S}.

handle_cast(error, _) -> exit({some, error});
handle_cast(_, S) -> {noreply, S}.
