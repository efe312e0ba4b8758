%% SPDX-License-Identifier: Apache-2.0
%% What cases use: failing, checking, asking the node under test. T is the job's context, a map:
%%   nut, cookie, epmd, release, dial (driver | nut), visible, caps, dir, proc, ctl
-module(cf).
-export([home/0, ms/1, clock/0, took/1, fail/1, fail/2, same/2, same/3, check/2, check/3, note/2, wait/2, wait/3, got/1, got/2, not_got/1]).
-export([nut_connect/2, tuple_words/1, hex/1, unique/1]).

%% The conformance folder.
home() ->
    case os:getenv("CONFORMANCE_HOME") of
        false -> filename:dirname(filename:dirname(filename:absname(code:which(?MODULE))));
        Dir -> Dir
    end.

%% How long to wait, in ms, for what will come: CONFORMANCE_PATIENCE times as long on a machine that is known to be slow
%% (a sanitizer, CI). No case is the weaker for it; only one that fails takes longer.
ms(Ms) -> Ms * list_to_integer(os:getenv("CONFORMANCE_PATIENCE", "1")).

%% A limit of time is the node's, not the machine's: what a timer of ours was late meanwhile is taken off. took gives
%% {Ms, Ms less that}: the first for what must not come early, the second for what must not come late.
clock() ->
    Owner = self(),
    {erlang:monotonic_time(millisecond), spawn(fun() -> late(monitor(process, Owner), 0, erlang:monotonic_time(millisecond)) end)}.

took({Began, Watch}) ->
    Ms = erlang:monotonic_time(millisecond) - Began,
    Watch ! {late, self()},
    Late = receive {Watch, L} -> L end,
    {Ms, max(0, Ms - Late)}.

late(Owner, Late, Since) ->
    Asked = receive
                {late, From} -> From;
                {'DOWN', Owner, _, _, _} -> nobody
            after 10 -> go_on
            end,
    Now = erlang:monotonic_time(millisecond),
    Sum = Late + max(0, Now - Since - 12),
    case Asked of
        go_on -> late(Owner, Sum, Now);
        nobody -> ok;
        _ -> Asked ! {self(), Sum}
    end.

fail(Text) -> fail(Text, []).
fail(Format, Args) -> throw({case_failed, lists:flatten(io_lib:format(Format, Args))}).

same(Expected, Got) -> same(Expected, Got, "value").
same(Expected, Expected, _) -> ok;
same(Expected, Got, What) -> fail("~s: expected ~0P, got ~0P", [What, Expected, 40, Got, 40]).

check(true, _) -> ok;
check(Other, What) -> check(Other, What, []).
check(true, _, _) -> ok;
check(_, Format, Args) -> fail(Format, Args).

%% A line in the job's log.
note(Format, Args) -> io:format("# " ++ Format ++ "~n", Args).

%% Wait until Fun is true. For states that no message announces; the interval is a poll, not a delay.
wait(What, Fun) -> wait(What, Fun, 8000).
wait(What, Fun, Timeout) -> wait_until(What, Fun, erlang:monotonic_time(millisecond) + ms(Timeout)).

wait_until(What, Fun, Until) ->
    case Fun() of
        true -> ok;
        Other ->
            case erlang:monotonic_time(millisecond) > Until of
                true -> fail("waited in vain until ~s (last: ~0P)", [What, Other, 100]);
                false -> receive after 5 -> wait_until(What, Fun, Until) end
            end
    end.

%% The first message that Fun accepts.
got(Fun) -> got(Fun, 8000).
got(Fun, Timeout) -> got(Fun, erlang:monotonic_time(millisecond) + ms(Timeout), []).

got(Fun, Until, Before) ->
    receive M ->
        try Fun(M) of
            Value -> [self() ! B || B <- lists:reverse(Before)], Value
        catch error:function_clause -> got(Fun, Until, [M | Before])
        end
    after max(0, Until - erlang:monotonic_time(millisecond)) ->
        fail("the expected message did not come; messages here: ~0P", [lists:reverse(Before), 40])
    end.

%% Nothing that Fun accepts is in the mailbox now; a fence before the call makes that mean something.
not_got(Fun) ->
    {messages, Messages} = process_info(self(), messages),
    case [M || M <- Messages, (try Fun(M), true catch error:function_clause -> false end)] of
        [] -> ok;
        Wrong -> fail("came and should not have: ~0P", [Wrong, 40])
    end.

%% Have the node under test dial a node. Asked over a connection of our own, so that none of the driver is used.
nut_connect(T, Node) ->
    C = cf_fake:dial(T, #{}),
    Ref = cf_fake:ref(C),
    cf_fake:to(C, conformance, {connect, cf_fake:pid(C), Ref, [Node]}),
    spawn_link_close(C),
    ok.

%% The answer comes only after the connection stands: keep the asking link until then.
spawn_link_close(C) ->
    put(asking, [C | case get(asking) of undefined -> []; L -> L end]).

tuple_words(T) -> cf_etf:internal(T).

hex(Bytes) -> lists:flatten([io_lib:format("~2.16.0b", [B]) || <<B>> <= iolist_to_binary(Bytes)]).

unique(Prefix) -> list_to_atom(Prefix ++ integer_to_list(erlang:unique_integer([positive]))).
