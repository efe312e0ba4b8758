%% SPDX-License-Identifier: Apache-2.0
%% Says {herald, self()} to a process before anything else, and ends. See CONTRACT.md.
-module(herald).
-export([start/1]).

start(Pid) -> Pid ! {herald, self()}.
