%% SPDX-License-Identifier: Apache-2.0
%% A supervisor whose child is a counter on another node, as a user of a C node would write it.
-module(cf_remote_sup).
-behaviour(supervisor).
-export([init/1, start_child/1]).

init(Node) ->
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10},
          [#{id => counter, start => {?MODULE, start_child, [Node]}, restart => permanent, shutdown => 2000}]}}.

start_child(Node) -> {ok, spawn_link(Node, counter, start_link, [5])}.
