%% SPDX-License-Identifier: Apache-2.0
%% An epmd that answers as a case wants: each request is handed to the case's fun, which writes the answer itself.
-module(cf_fake_epmd).
-export([start/1, stop/1, alive_ok/1, in_pieces/2]).

%% Answer :: fun((Request, Socket) -> keep | close), run in the process that holds the socket.
start(Answer) ->
    Owner = self(),
    Pid = spawn_link(fun() ->
              {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {packet, 0}, {nodelay, true}, {ip, {127,0,0,1}}]),
              {ok, Port} = inet:port(L),
              Owner ! {self(), Port},
              accept(L, Owner, Answer)
          end),
    receive {Pid, Port} -> {Pid, Port} end.

stop({Pid, _}) -> unlink(Pid), exit(Pid, kill), ok.

accept(L, Owner, Answer) ->
    {ok, S} = gen_tcp:accept(L),
    Worker = spawn_link(fun() -> receive go -> serve(S, Owner, Answer) end end),
    gen_tcp:controlling_process(S, Worker),
    Worker ! go,
    accept(L, Owner, Answer).

serve(S, Owner, Answer) ->
    case cf_hs:recv(S, 30000) of
        {ok, Request} ->
            Owner ! {epmd_request, Request},
            case Answer(Request, S) of
                keep -> gen_tcp:recv(S, 0);
                close -> gen_tcp:close(S)
            end;
        _ -> gen_tcp:close(S)
    end.

%% The ordinary answer to ALIVE2_REQ.
alive_ok(S) -> gen_tcp:send(S, <<118, 0, 16#12345678:32>>), keep.

in_pieces(S, Bytes) -> [ok = gen_tcp:send(S, <<B>>) || <<B>> <= iolist_to_binary(Bytes)].
