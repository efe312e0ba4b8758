%% SPDX-License-Identifier: Apache-2.0
%% Starts the example programs and talks to them as their comments say; prints TAP.
-module(examples_test).
%% ms, for what must come: nothing here takes long, a machine may
-define(WAIT, 100000).
-export([main/0]).

main() ->
    spawn(fun() ->
              [Dir, Before] = init:get_plain_arguments(),
              put(n, list_to_integer(Before)),         %% tests that ran already
              put(failed, 0),
              process_flag(trap_exit, true),
              try
                  modules(Dir),
                  auction(Dir),
                  kv(Dir),
                  hello(Dir),
                  daemon(Dir)
              catch
                  Class:What:Stack -> ok(false, io_lib:format("~p ~p ~p", [Class, What, Stack]))
              end,
              io:format("1..~b~n", [get(n)]),
              halt(min(1, get(failed)))
          end).

ok(Good, Sentence) ->
    put(n, get(n) + 1),
    Good orelse put(failed, get(failed) + 1),
    io:format("~s ~b - ~s~n", [case Good of true -> "ok"; false -> "not ok" end, get(n), re:replace(Sentence, "\\s+", " ", [global])]).

hello(Dir) ->
    Node = 'hello@127.0.0.1',
    {Port, Os} = start(filename:join(Dir, "hello"), [atom_to_list(Node), "examples"]),
    ok(reached(Node, 100), "hello is a node"),
    Pid = spawn(Node, hello, start, [<<"Joe">>]),
    ok(gen_server:call(Pid, greet) =:= {hello, <<"Joe">>, 1}, "hello greets"),
    ok(gen_server:call(Pid, greet) =:= {hello, <<"Joe">>, 2}, "and counts"),
    ok(gen_server:call(spawn(Node, hello, start, ["Joe"]), greet) =:= {hello, <<"Joe">>, 1}, "takes a charlist too"),
    ok(gen_server:call(Pid, sing) =:= {error, bad_request}, "refuses what it does not know"),
    ok(try spawn_monitor(Node, hello, start, [<<0:1000>>]) catch error:E -> E =:= badarg end, "a name that is too long is refused"),
    Watch = monitor(process, Pid),
    ok(stop(Port, Os, Node) =:= {0, nodedown}, "SIGTERM ends it well"),
    ok(down(Watch) =:= shutdown, "and its processes with shutdown").

daemon(Dir) ->
    Node = 'daemon@127.0.0.1',
    Self = self(),
    register(registry, spawn_link(fun() -> registry(Self) end)),
    {Port, Os} = start(filename:join(Dir, "daemon"), [atom_to_list(Node), "examples", atom_to_list(node()), "registry"]),
    Pid = receive {joined, P} -> P after ?WAIT -> none end,
    ok(is_pid(Pid) andalso node(Pid) =:= Node, "the daemon calls a gen_server of ours"),
    ok(line(Port, "daemon: registry answered {welcome,7}"), "and prints its answer"),
    ok(line(Port, "daemon: daemon@127.0.0.1 ready"), "then goes on"),
    {ok, Load, Samples} = gen_server:call({meter, Node}, read),
    ok(is_float(Load) andalso is_integer(Samples), "it answers gen_server calls"),
    ok(gen_server:call({meter, Node}, write) =:= {error, bad_request}, "also those that it does not know"),
    Ref = make_ref(),
    {meter, Node} ! {read, self(), Ref},
    ok(receive {reading, Ref, L} -> is_float(L) after ?WAIT -> false end, "it answers messages"),
    {meter, Node} ! rubbish,
    ok(more_samples(Node, Samples, erlang:monotonic_time(millisecond) + 10000), "its own thread measures meanwhile"),
    ok(stop(Port, Os, Node) =:= {0, nodedown}, "SIGTERM ends it well").

%% The modules, in one cnoded.
modules(Dir) ->
    Node = 'modules@127.0.0.1',
    {Port, Os} = start(filename:join([filename:dirname(Dir), "cnode", "cmd", "cnoded"]),
                       ["-name", atom_to_list(Node), "-setcookie", "examples", "-allow", "counter=t@*", "-allow", "codec"]
                       ++ lists:append([["-load", filename:join(Dir, M)] || M <- ["counter", "codec", "complex", "sensor"]])),
    ok(ready(Port), "cnoded loads the modules"),

    Pid = spawn_link(Node, counter, start, [10]),
    ok(gen_server:call(Pid, {add, 5}) =:= 15, "a counter adds"),
    ok(gen_server:cast(Pid, {add, -3}) =:= ok andalso gen_server:call(Pid, get) =:= 12, "and takes casts"),
    ok(gen_server:call(Pid, {add, 1 bsl 70}) =:= {error, bad_request}, "and refuses what does not fit"),
    ok(sys:get_state(Pid) =:= 12, "and shows its state"),
    Pid ! {exit, {shutdown, [a, <<"b">>, 3.5]}},
    ok(receive {'EXIT', Pid, R} -> R =:= {shutdown, [a, <<"b">>, 3.5]} after ?WAIT -> false end, "and exits with any reason"),

    Codec = spawn_link(Node, codec, start, []),
    Bytes = <<(binary:copy(<<0>>, 1000000))/binary, "abc", (binary:copy(<<255>>, 300))/binary>>,
    {ok, Packed} = gen_server:call(Codec, {encode, Bytes}, 20000),
    ok(byte_size(Packed) < 10000, "a codec encodes"),
    ok(gen_server:call(Codec, {decode, Packed}, 20000) =:= {ok, Bytes}, "and decodes"),
    ok(gen_server:call(Codec, {decode, <<1>>}) =:= {error, bad_data}, "and refuses what is no code"),
    ok(gen_server:call(Codec, {decode, binary:copy(<<255, 0>>, 1 bsl 20)}, 20000) =:= {error, too_big}, "and what is too big"),
    ok(gen_server:call(Codec, {encode, <<>>}) =:= {ok, <<>>}, "and takes nothing for nothing"),

    {any, Node} ! {call, self(), {foo, 3}},
    ok(receive {cnode, N} -> N =:= 4 after ?WAIT -> false end, "the tutorial's call works as the tutorial has it"),
    ok(gen_server:call({any, Node}, {bar, 5}) =:= {ok, 10}, "and as a gen_server call"),
    ok(gen_server:call({any, Node}, {baz, 5}) =:= {error, bad_request}, "and unknown functions are refused"),

    Subscriber = spawn(fun() -> receive never -> ok end end),
    {sensor, Node} ! {subscribe, Subscriber},
    {sensor, Node} ! {subscribe, self()},
    ok(receive {reading, Load} -> is_float(Load) after ?WAIT -> false end, "a sensor's thread sends readings"),
    exit(Subscriber, kill),
    ok(receive {reading, _} -> true after ?WAIT -> false end, "also when another subscriber has ended"),
    ok(stop(Port, Os, Node) =:= {0, nodedown}, "SIGTERM ends it well").

%% Straight-line code, and its output on the shell of whoever spawned it: here a group leader that keeps what is written.
auction(Dir) ->
    Node = 'auction@127.0.0.1',
    {Port, Os} = start(filename:join([filename:dirname(Dir), "cnode", "cmd", "cnoded"]),
                       ["-name", atom_to_list(Node), "-setcookie", "examples", "-allow", "auction", "-load", filename:join(Dir, "auction")]),
    ok(ready(Port), "cnoded loads an auction"),
    Shell = spawn_link(fun() -> shell([]) end),
    Mine = group_leader(),
    group_leader(Shell, self()),
    Pid = spawn_link(Node, auction, start, [<<"clock">>, 100, 300]),
    group_leader(Mine, self()),
    ok(gen_server:call(Pid, {bid, 90}) =:= {too_low, 100}, "a bid that is too low is refused"),
    Rich = bidder(Pid, 120, paid),
    _ = bidder(Pid, 130, sorry),
    Gone = bidder(Pid, 140, gone),
    ok(down(monitor(process, Gone)) =/= timeout, "a bidder is gone"),
    ok(receive {auction, Pid, Result} -> Result =:= {sold, Rich, 120} after ?WAIT -> false end,
       "the highest bidder that is there and pays gets it"),
    ok(receive {'EXIT', Pid, Reason} -> Reason =:= normal after ?WAIT -> false end, "and the auction ends with normal"),
    Written = <<"clock: 120 are bid\nclock: 130 are bid\nclock: 140 are bid\nclock: sold for 120\n">>,
    ok(written(Shell, byte_size(Written)) =:= Written, "what it printed is on the shell of whoever spawned it"),
    Other = spawn_link(Node, auction, start, [<<"vase">>, 1, 3600000]),
    exit(Other, shutdown),
    ok(receive {'EXIT', Other, Why} -> Why =:= shutdown after ?WAIT -> false end, "one that waits ends when it is told to"),
    ok(refused_auction(Node), "arguments that do not fit are refused"),
    unlink(Shell),
    exit(Shell, kill),
    ok(stop(Port, Os, Node) =:= {0, nodedown}, "SIGTERM ends it well").

refused_auction(Node) -> try spawn_monitor(Node, auction, start, [<<"vase">>]), false catch error:badarg -> true end.

%% Bids, and does as it is to when it is asked to pay.
bidder(Auction, Amount, How) ->
    Self = self(),
    Pid = spawn(fun() ->
                    Self ! {bid, self(), gen_server:call(Auction, {bid, Amount})},
                    How =:= gone orelse receive {'$gen_call', From, {pay, <<"clock">>, Amount}} -> gen_server:reply(From, How) end
                end),
    receive {bid, Pid, ok} -> Pid end.

shell(Lines) ->
    receive
        {io_request, From, As, {put_chars, _, Chars}} ->
            From ! {io_reply, As, ok},
            shell([Lines, unicode:characters_to_binary(Chars)]);
        {what_is_written, From, Size} ->
            Text = iolist_to_binary(Lines),
            case byte_size(Text) < Size of
                true -> self() ! {what_is_written, From, Size}, receive M when element(1, M) =:= io_request -> self() ! M end;
                false -> From ! {written, Text}
            end,
            shell(Lines)
    end.

written(Shell, Size) ->
    Shell ! {what_is_written, self(), Size},
    receive {written, Text} -> Text after ?WAIT -> timeout end.

%% The store on SQLite. What it has answered is there after kill -9.
kv(Dir) ->
    case filelib:is_file(filename:join([Dir, ".libs", "kv.so"])) of
        true -> kv_here(Dir);
        false -> ok(true, "a key-value store on SQLite # SKIP configure found no SQLite: install libsqlite3-dev")
    end.

kv_here(Dir) ->
    Node = 'kv@127.0.0.1',
    Path = filename:join(os:getenv("HOME"), "kv.db"),
    File = list_to_binary(Path),
    {Port, Os} = start_kv(Dir, Node),
    ok(ready(Port), "cnoded loads the store"),
    Kv = spawn(Node, kv, start, [File]),
    Value = #{name => <<"Joe">>, list => [1, 2.5, "x", {self(), make_ref()}], big => 1 bsl 100},
    ok(gen_server:call(Kv, {get, {user, 17}}) =:= not_found, "what was not put is not found"),
    ok(gen_server:call(Kv, {put, {user, 17}, Value}) =:= ok, "any term can be put"),
    ok(gen_server:call(Kv, {get, {user, 17}}) =:= {ok, Value}, "and comes back as it was"),
    ok(gen_server:call(Kv, {put, {user, 17}, "second"}) =:= ok andalso gen_server:call(Kv, {get, {user, 17}}) =:= {ok, "second"},
       "a second value takes the place of the first"),
    Other = spawn(Node, kv, start, [File]),
    Writers = [spawn_monitor(fun() -> [ok = gen_server:call(P, {put, {N, I}, I}, 30000) || I <- lists:seq(1, 50)] end)
               || {N, P} <- [{1, Kv}, {2, Other}]],
    ok([normal || _ <- Writers] =:= [receive {'DOWN', R, process, _, Why} -> Why end || {_, R} <- Writers],
       "two processes write the same store at once"),
    ok(gen_server:call(Kv, count) =:= {ok, 101} andalso gen_server:call(Other, {get, {1, 50}}) =:= {ok, 50}, "and read what the other wrote"),
    ok(gen_server:call(Kv, {delete, {user, 17}}) =:= ok andalso gen_server:call(Kv, {get, {user, 17}}) =:= not_found, "what is deleted is gone"),
    ok(gen_server:call(Kv, sing) =:= {error, bad_request}, "it refuses what it does not know"),
    ok(refused(Node, [<<"/no/such/folder/kv.db">>]) =/= none andalso refused(Node, [17]) =:= badarg, "a file that cannot be opened refuses the spawn"),
    file:write_file(Path ++ ".bad", binary:copy(<<"no database ">>, 1000)),
    ok(refused(Node, [list_to_binary(Path ++ ".bad")]) =/= none, "so does one that is no database"),
    ok = gen_server:call(Kv, {put, last, word}),
    true = monitor_node(Node, true),
    os:cmd("kill -9 " ++ integer_to_list(Os)),
    receive {Port, {exit_status, 137}} -> ok end,
    receive {nodedown, Node} -> ok end,
    {Port2, Os2} = start_kv(Dir, Node),
    ok(ready(Port2), "after kill -9 it starts again"),
    Again = spawn(Node, kv, start, [File]),
    ok(gen_server:call(Again, {get, last}) =:= {ok, word} andalso gen_server:call(Again, count) =:= {ok, 101}, "and has what it had answered"),
    ok(stop(Port2, Os2, Node) =:= {0, nodedown}, "SIGTERM ends it well").

start_kv(Dir, Node) ->
    start(filename:join([filename:dirname(Dir), "cnode", "cmd", "cnoded"]),
          ["-name", atom_to_list(Node), "-setcookie", "examples", "-allow", "kv", "-load", filename:join(Dir, "kv")]).

refused(Node, Args) -> try spawn_monitor(Node, kv, start, Args), none catch error:Why -> Why end.

%% A gen_server in few words.
registry(Owner) ->
    receive
        {'$gen_call', From, {joined, Pid}} -> gen_server:reply(From, {welcome, 7}), Owner ! {joined, Pid};
        _ -> ok
    end,
    registry(Owner).

%% Asked on and on: nothing says when there is a sample.
more_samples(Node, Before, Until) ->
    {ok, _, N} = gen_server:call({meter, Node}, read),
    N > Before orelse (erlang:monotonic_time(millisecond) < Until andalso more_samples(Node, Before, Until)).

start(Program, Args) ->
    Port = open_port({spawn_executable, Program}, [{args, Args}, {line, 1000}, exit_status, stderr_to_stdout]),
    {os_pid, Os} = erlang:port_info(Port, os_pid),
    {Port, Os}.

%% cnoded says when it can be connected to.
ready(Port) ->
    receive
        {Port, {data, {eol, Line}}} -> string:find(Line, " ready ") =/= nomatch orelse ready(Port);
        {Port, {exit_status, _}} -> false
    after ?WAIT -> false
    end.

%% A node that is just starting, and says nothing when it is there: it is asked until it answers.
reached(_, 0) -> false;
reached(Node, Tries) ->
    net_adm:ping(Node) =:= pong orelse begin timer:sleep(100), reached(Node, Tries - 1) end.

down(Ref) -> receive {'DOWN', Ref, process, _, Reason} -> Reason after ?WAIT -> timeout end.

line(Port, Text) ->
    receive
        {Port, {data, {eol, Text}}} -> true;
        {Port, {data, {eol, Other}}} -> io:format("# ~s~n", [Other]), line(Port, Text)
    after ?WAIT -> false
    end.

%% Its exit status, and whether we hear that it is gone.
stop(Port, Os, Node) ->
    true = monitor_node(Node, true),
    os:cmd("kill -TERM " ++ integer_to_list(Os)),
    Status = receive {Port, {exit_status, S}} -> S after ?WAIT -> timeout end,
    Down = receive {nodedown, Node} -> nodedown after ?WAIT -> no_nodedown end,
    {Status, Down}.
