%% SPDX-License-Identifier: Apache-2.0
%% @private The supervisors of a pool: its table and, started behind it, its keepers.
-module(cnode_pool_sup).
-behaviour(supervisor).

-export([start_link/1, start_keepers/1, name/1, init/1]).

-spec start_link(cnode_pool:options()) -> {ok, pid()} | {error, term()}.
start_link(#{name := Name} = Options) ->
    case supervisor:start_link({local, name(Name)}, ?MODULE, {pool, Options#{size => wanted(Options)}}) of
        ignore -> {error, ignore};
        Result -> Result
    end.

-spec start_keepers(cnode_pool:options()) -> supervisor:startlink_ret().
start_keepers(Options) -> supervisor:start_link(?MODULE, {keepers, Options}).

-spec name(atom()) -> atom().
name(Pool) -> list_to_atom(atom_to_list(Pool) ++ "_pool").

%% How many workers: counted once, as `nodes' may be a function.
wanted(#{size := Size}) when is_integer(Size), Size > 0 -> Size;
wanted(#{nodes := Nodes} = Options) ->
    At = if is_function(Nodes, 0) -> Nodes(); true -> Nodes end,
    max(1, length(At)) * maps:get(per_node, Options, 1).

-spec init({pool | keepers, cnode_pool:options()}) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init({pool, Options}) ->
    %% A table that was lost takes its keepers along: the new one would know nobody.
    {ok, {#{strategy => one_for_all, intensity => 1, period => 5},
          [#{id => table, start => {cnode_pool, start_table, [Options]}},
           #{id => keepers, start => {?MODULE, start_keepers, [Options]}, type => supervisor, shutdown => infinity}]}};
init({keepers, #{name := Name, factory := Factory, size := Size} = Options}) ->
    Table = whereis(list_to_atom(atom_to_list(Name) ++ "_table")),
    {Intensity, Period} = maps:get(restarts, Options, {10, 10}),
    Keeper = maps:merge(maps:with([args, options, backoff, shutdown], Options),
                        #{factory => Factory, node => fun() -> cnode_pool:place(Table) end}),
    {ok, {#{strategy => one_for_one, intensity => Intensity, period => Period},
          [cnode_process:child_spec(Keeper#{id => Slot, report => {Table, Slot}}) || Slot <- lists:seq(1, Size)]}}.
