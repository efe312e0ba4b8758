%% SPDX-License-Identifier: Apache-2.0
%% EPMD from the outside: requests by hand over a raw socket (erl_dist_protocol.html "EPMD Protocol").
-module(cf_epmd).
-export([request/2, alive2/4, alive2_body/2, port2/2, names/1, start/1]).

-define(TIMEOUT, 5000).

%% An epmd of our own on Port, ended with us: its process.
start(Port) ->
    Proc = cf_proc:start("epmd", [os_epmd(), "-port", integer_to_list(Port), "-address", "127.0.0.1"], []),
    ok = wait(Port, Proc, erlang:monotonic_time(millisecond) + cf:ms(20000)),
    Proc.

os_epmd() ->
    case os:getenv("CONFORMANCE_EPMD") of
        false ->
            Erts = filename:join([code:root_dir(), "erts-" ++ erlang:system_info(version), "bin", "epmd"]),
            case filelib:is_file(Erts) of true -> Erts; false -> "epmd" end;
        Path -> Path
    end.

wait(Port, Proc, Until) ->
    case {gen_tcp:connect({127,0,0,1}, Port, [], cf:ms(?TIMEOUT)), cf_proc:exited(Proc)} of
        {{ok, S}, false} -> gen_tcp:close(S), ok;
        {_, {exited, Status}} -> exit({epmd_ended, Port, Status, cf_proc:output(Proc)});
        {{error, _}, false} ->
            erlang:monotonic_time(millisecond) < Until orelse exit({epmd_did_not_start, Port}),
            receive after 20 -> wait(Port, Proc, Until) end     % it says nothing when it listens
    end.

%% Send a request's body and read until epmd closes.
request(EpmdPort, Body) ->
    {ok, S} = gen_tcp:connect({127,0,0,1}, EpmdPort, [binary, {active, false}, {packet, 0}], cf:ms(?TIMEOUT)),
    ok = gen_tcp:send(S, [<<(iolist_size(Body)):16>>, Body]),
    Answer = all(S, []),
    gen_tcp:close(S),
    Answer.

all(S, Acc) ->
    case gen_tcp:recv(S, 0, cf:ms(?TIMEOUT)) of
        {ok, B} -> all(S, [Acc, B]);
        {error, closed} -> iolist_to_binary(Acc);
        {error, Why} -> {error, Why, iolist_to_binary(Acc)}
    end.

%% Register, keeping the socket: {ok, Socket, Creation} | {error, Result}.
alive2(EpmdPort, Alive, Port, Options) ->
    {ok, S} = gen_tcp:connect({127,0,0,1}, EpmdPort, [binary, {active, false}, {packet, 0}], cf:ms(?TIMEOUT)),
    Body = alive2_body(Alive, Options#{port => Port}),
    ok = gen_tcp:send(S, [<<(iolist_size(Body)):16>>, Body]),
    case gen_tcp:recv(S, 0, cf:ms(?TIMEOUT)) of
        {ok, <<118, 0, Creation:32>>} -> {ok, S, Creation};
        {ok, <<121, 0, Creation:16>>} -> {ok, S, Creation};
        {ok, <<_, Result, _/binary>>} -> gen_tcp:close(S), {error, Result};
        {error, Why} -> gen_tcp:close(S), {error, Why}
    end.

alive2_body(Alive, Options) ->
    Name = list_to_binary(Alive),
    Extra = maps:get(extra, Options, <<>>),
    [<<120, (maps:get(port, Options)):16, (maps:get(type, Options, 77)), 0,
       (maps:get(high, Options, 6)):16, (maps:get(low, Options, 5)):16, (byte_size(Name)):16>>,
     Name, <<(byte_size(Extra)):16>>, Extra].

%% What epmd says of a name: {ok, #{port, type, protocol, high, low, name, extra}} | {error, Result}.
port2(EpmdPort, Alive) ->
    case request(EpmdPort, [122, Alive]) of
        <<119, 0, Port:16, Type, Protocol, High:16, Low:16, N:16, Name:N/binary, E:16, Extra:E/binary>> ->
            {ok, #{port => Port, type => Type, protocol => Protocol, high => High, low => Low,
                   name => Name, extra => Extra}};
        <<119, Result>> -> {error, Result};
        Other -> {error, {unexpected, Other}}
    end.

%% The names epmd lists: {EpmdPort, [{Name, Port}]}.
names(EpmdPort) ->
    <<Own:32, Text/binary>> = request(EpmdPort, [110]),
    Lines = binary:split(Text, <<"\n">>, [global, trim]),
    {Own, [begin
               {match, [Name, Port]} = re:run(L, "^name (.*) at port ([0-9]+)$", [{capture, all_but_first, list}]),
               {Name, list_to_integer(Port)}
           end || L <- Lines]}.
