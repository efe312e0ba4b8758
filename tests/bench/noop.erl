%% SPDX-License-Identifier: Apache-2.0
%% The BEAM's side of the factory `noop`.
-module(noop).
-export([start/0]).

start() -> ok.
