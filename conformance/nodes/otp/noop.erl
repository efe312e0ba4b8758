%% SPDX-License-Identifier: Apache-2.0
%% Ends normally right after its start, whatever its arguments. See CONTRACT.md.
-module(noop).
-export([start/0, start/1, start/2, start/3, start/4, start/5]).

start() -> ok.
start(_) -> ok.
start(_, _) -> ok.
start(_, _, _) -> ok.
start(_, _, _, _) -> ok.
start(_, _, _, _, _) -> ok.
