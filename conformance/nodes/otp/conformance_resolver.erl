%% SPDX-License-Identifier: Apache-2.0
%% What decides between two processes of one global name, as a test wants it decided. See CONTRACT.md.
-module(conformance_resolver).
-export([first/3, second/3, none/3, bad/3, crash/3, hang/3, disconnect/3, halt/3]).

first(_, Pid1, _) -> Pid1.
second(_, _, Pid2) -> Pid2.
none(_, _, _) -> none.
bad(_, _, _) -> no_pid.
crash(Name, _, _) -> exit({cannot_resolve, Name}).
hang(_, _, _) -> receive never -> ok end.
disconnect(_, Pid1, _) -> node(Pid1) =/= node() andalso erlang:disconnect_node(node(Pid1)), Pid1.
halt(_, _, _) -> erlang:halt(1, [{flush, false}]).
