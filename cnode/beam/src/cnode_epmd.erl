%% SPDX-License-Identifier: Apache-2.0
%% @doc Reaches nodes that no epmd knows: a module for `erl -epmd_module'.
%%
%% ```
%% erl -name a@10.0.0.6 -pa .../cnode/ebin -epmd_module cnode_epmd -cnode_route c1@10.0.0.5=10.0.0.5:9100
%% '''
%%
%% A <em>route</em> says where a node listens, as `-route' of cnoded does. Routes are given on the command line
%% (`-cnode_route NODE=HOST:PORT', any number of times; IPv6 addresses stand in brackets), in the environment of the
%% application `cnode' (`{routes, [{Node, {Host, Port}}]}', for releases), or while the node runs, by {@link route/2}.
%% What has no route is asked of epmd, as without this module.
%%
%% `-cnode_register false' keeps the own node out of epmd too. Together with `-start_epmd false' and a fixed port
%% (`-kernel inet_dist_listen_min P inet_dist_listen_max P') a cluster needs no epmd at all.
-module(cnode_epmd).

-export([route/2, forget/1, routes/0, is_used/0]).
%% What net_kernel and the distribution modules call.
-export([start_link/0, register_node/2, register_node/3, port_please/2, port_please/3, listen_port_please/2,
         address_please/3, names/0, names/1]).

-type host() :: string() | inet:ip_address().

%% C nodes speak the handshake of OTP 23 and later.
-define(DIST_VERSION, 6).

%% @doc From now on this node listens there. Replaces an earlier route.
-spec route(node(), {host(), inet:port_number()}) -> ok.
route(Node, {Host, Port}) when is_atom(Node), is_integer(Port), Port > 0, Port < 65536 ->
    persistent_term:put({?MODULE, Node}, {Host, Port}).

%% @doc Forgets a route that `route/2' made.
-spec forget(node()) -> ok.
forget(Node) -> _ = persistent_term:erase({?MODULE, Node}), ok.

%% @doc All routes there are.
-spec routes() -> [{node(), {host(), inet:port_number()}}].
routes() ->
    Made = [{N, R} || {{?MODULE, N}, R} <- persistent_term:get()],
    lists:ukeymerge(1, lists:ukeysort(1, Made), lists:ukeysort(1, from_flags() ++ from_environment())).

%% @doc Does this node use this module?
-spec is_used() -> boolean().
is_used() -> net_kernel:epmd_module() =:= ?MODULE.

%%---- for the distribution ----

%% @private
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() -> erl_epmd:start_link().

%% @private
-spec register_node(string(), inet:port_number()) -> term().
register_node(Name, Port) -> register_node(Name, Port, inet).

%% @private
-spec register_node(string(), inet:port_number(), atom()) -> term().
register_node(Name, Port, Driver) ->
    case init:get_argument(cnode_register) of
        {ok, [["false"] | _]} -> {ok, 3 + rand:uniform((1 bsl 32) - 4)};    % 0 to 3 are of old releases
        _ -> erl_epmd:register_node(Name, Port, Driver)
    end.

%% @private
-spec address_please(string(), host(), inet | inet6) ->
          {ok, inet:ip_address()} | {ok, inet:ip_address(), inet:port_number(), ?DIST_VERSION} | {error, term()}.
address_please(Name, Host, Family) ->
    case find(Name, Host) of
        none -> erl_epmd:address_please(Name, Host, Family);
        {At, Port} ->
            case inet:getaddr(At, Family) of
                {ok, Address} -> {ok, Address, Port, ?DIST_VERSION};
                {error, _} = Error -> Error
            end
    end.

%% @private
-spec port_please(atom() | string(), host()) -> {port, inet:port_number(), non_neg_integer()} | noport | closed | {error, term()}.
port_please(Name, Host) -> port_please(Name, Host, infinity).

%% @private
-spec port_please(atom() | string(), host(), timeout()) ->
          {port, inet:port_number(), non_neg_integer()} | noport | closed | {error, term()}.
port_please(Name, Host, Timeout) ->
    case find(to_list(Name), Host) of
        none -> erl_epmd:port_please(Name, Host, Timeout);
        {_, Port} -> {port, Port, ?DIST_VERSION}
    end.

%% @private
-spec listen_port_please(atom() | string(), host()) -> {ok, inet:port_number()}.
listen_port_please(Name, Host) -> erl_epmd:listen_port_please(Name, Host).

%% @private
-spec names() -> {ok, [{string(), inet:port_number()}]} | {error, term()}.
names() -> erl_epmd:names().

%% @private
-spec names(host() | atom()) -> {ok, [{string(), inet:port_number()}]} | {error, term()}.
names(Host) -> erl_epmd:names(Host).

%%---- routes ----

%% The name of a node that is about to be dialled exists as an atom.
find(Name, Host) when is_list(Host); is_atom(Host) ->
    Node = list_to_atom(to_list(Name) ++ "@" ++ to_list(Host)),
    case persistent_term:get({?MODULE, Node}, none) of
        none -> proplists:get_value(Node, from_flags() ++ from_environment(), none);
        Route -> Route
    end;
find(_, _) -> none.

to_list(Text) when is_atom(Text) -> atom_to_list(Text);
to_list(Text) -> Text.

from_environment() -> application:get_env(cnode, routes, []).

from_flags() ->
    case init:get_argument(cnode_route) of
        {ok, Values} -> lists:append([parse(Text) || Value <- Values, Text <- Value]);
        error -> []
    end.

%% A route that cannot be read is as good as none; the node must not die of it while it boots.
parse(Text) ->
    case re:run(Text, "^([^=@]+@[^=]+)=(?:\\[([^]]+)\\]|([^:]+)):([0-9]{1,5})$", [{capture, all_but_first, list}]) of
        {match, [Node, V6, Host, Port]} -> [{list_to_atom(Node), {address(V6 ++ Host), list_to_integer(Port)}}];
        nomatch ->
            logger:warning("-cnode_route ~ts: NAME@HOST=HOST:PORT is wanted; it is ignored", [Text]),
            []
    end.

address(Text) ->
    case inet:parse_address(Text) of
        {ok, Address} -> Address;
        {error, einval} -> Text
    end.
