%% SPDX-License-Identifier: Apache-2.0
%% A supervisor that is told its children.
-module(cnode_tests_sup).
-behaviour(supervisor).
-export([init/1]).

init(Flags) -> {ok, Flags}.
