%% SPDX-License-Identifier: Apache-2.0
%% Capability flags: which are demanded, which are offered, and that a link uses only what both sides have.
-module(cf_case_flags).
-export([cases/0]).

-define(DOC, "erl_dist_protocol.html Distribution Flags").
-define(DIST_H, "dist.hrl, dist.h").

-define(FRAGMENTS, 16#800000).
-define(CACHE, 16#2000).
-define(DIGEST25, 16#4000000).

cases() ->
    [{'flags.offers_mandatory', "it offers all that this release demands of a peer", ?DIST_H, [raw], fun offers_mandatory/1},
     {'flags.published', "PUBLISHED is offered exactly when the node is visible", ?DOC, [raw, {varies, [visible]}], fun published/1},
     {'flags.monitor_bits', "DIST_MONITOR and DIST_MONITOR_NAME are both offered", "dist.c: monitors need both", [raw, {needs, [monitor]}], fun monitor_bits/1},
     {'flags.no_internal_bits', "bits that are no offer (NAME_ME, ATOM_CACHE, LOCAL_EXT …) are not set", ?DIST_H, [raw], fun no_internal_bits/1},
     {'flags.unknown_bits', "unknown high bits of a peer are ignored", ?DIST_H, [raw], fun unknown_bits/1},
     {'flags.digest_stands_for_25', "MANDATORY_25_DIGEST alone stands for the set of OTP 25", "dist_util.erl (25)",
      [raw, {from, 25}], fun digest_stands_for_25/1},
     {'flags.none', "a peer that offers nothing is not allowed", ?DOC, [raw], fun none/1},
     {'flags.minimum', "a peer with the mandatory flags only gets a link that works", ?DOC, [raw], fun minimum/1},
     {'flags.all', "a peer with every flag of the newest release gets a link that works", ?DOC, [raw], fun all_flags/1},
     {'flags.send_without_sender', "no SEND_SENDER with the peer: messages come as SEND", ?DOC, [raw], fun(T) -> op_used(T, 16#80000, fun send/2, [2]) end},
     {'flags.exit2_without_payload', "no EXIT_PAYLOAD with the peer: exit/2 comes as EXIT2", ?DOC, [raw, {needs, [link]}], fun(T) -> op_used(T, 16#400000, fun exit2/2, [8]) end},
     {'flags.exit_without_payload', "no EXIT_PAYLOAD with the peer: a broken link comes as EXIT", ?DOC, [raw, {needs, [link]}], fun(T) -> op_used(T, 16#400000, fun link_exit/2, [3]) end},
     {'flags.down_without_payload', "no EXIT_PAYLOAD with the peer: DOWN comes as MONITOR_P_EXIT", ?DOC, [raw, {needs, [monitor]}], fun(T) -> op_used(T, 16#400000, fun down/2, [21]) end},
     {'flags.unlink_without_id', "no UNLINK_ID with the peer (before 26): UNLINK", ?DOC, [raw, {to, 25}, {needs, [link]}], fun(T) -> op_used(T, 16#2000000, fun unlink_op/2, [4]) end},
     {'flags.no_monitor_without_bits', "a peer without the monitor flags gets no monitor signals", ?DOC, [raw, {needs, [monitor]}], fun no_monitor_without_bits/1},
     {'flags.no_monitor_without_name_bit', "a peer without DIST_MONITOR_NAME gets no monitor signals", "dist.c", [raw, {needs, [monitor]}],
      fun(T) -> no_monitor(T, 16#20) end},
     {'flags.alias_without_altact', "no ALTACT_SIG with the peer: a message to an alias comes as ALIAS_SEND", ?DOC, [raw, {from, 24}, {needs, [alias]}],
      fun(T) -> op_used(T, 1 bsl 37, fun alias_send/2, [33]) end}]
        ++ [{list_to_atom("flags.without_" ++ Name), "a link works with a peer that lacks " ++ string:uppercase(Name), ?DOC, [raw],
             fun(T) -> link_without(T, Bits) end}
            || {Name, Bits} <- optional()]
        ++ [{list_to_atom("flags.accept_missing_" ++ Name), "as acceptor it does not allow a peer without " ++ string:uppercase(Name), ?DIST_H, [raw],
             fun(T) -> accept_missing(T, Bit) end}
            || {Name, Bit} <- demanded()]
        ++ [{list_to_atom("flags.dial_missing_" ++ Name), "as dialler it leaves a peer without " ++ string:uppercase(Name), ?DIST_H, [raw, {needs, [connect]}],
             fun(T) -> dial_missing(T, Bit) end}
            || {Name, Bit} <- demanded()].

optional() ->
    [{"dist_hdr_atom_cache", ?CACHE}, {"fragments", ?FRAGMENTS}, {"atom_cache_and_fragments", ?CACHE bor ?FRAGMENTS},
     {"small_atom_tags", 16#4000}, {"send_sender", 16#80000}, {"exit_payload", 16#400000}, {"unicode_io", 16#1000},
     {"big_seqtrace_labels", 16#100000}, {"dist_monitor", 16#28}, {"spawn", 1 bsl 32}, {"alias", 1 bsl 35},
     {"mandatory_25_digest", ?DIGEST25}, {"altact_sig", 1 bsl 37}, {"native_records", 1 bsl 38}].

demanded() ->
    [{"extended_references", 4}, {"fun_tags", 16#10}, {"new_fun_tags", 16#80}, {"extended_pids_ports", 16#100},
     {"export_ptr_tag", 16#200}, {"bit_binaries", 16#400}, {"new_floats", 16#800}, {"utf8_atoms", 16#10000},
     {"map_tag", 16#20000}, {"big_creation", 16#40000}, {"handshake_23", 16#1000000}, {"unlink_id", 16#2000000},
     {"v4_nc", 1 bsl 34}].

offered(T) ->
    {challenge, S, #{flags := Flags}} = cf_hs:dial_until(challenge, maps:get(nut, T), cf_fake:identity(T, #{})),
    gen_tcp:close(S),
    Flags.

offers_mandatory(#{release := R} = T) ->
    Flags = offered(T),
    Expanded = case Flags band ?DIGEST25 of 0 -> Flags; _ when R >= 25 -> Flags bor 16#1070f94; _ -> Flags end,
    cf:same(0, cf_hs:mandatory(R) band bnot Expanded, "missing bits").

published(#{visible := Visible} = T) -> cf:same(Visible, offered(T) band 1 =:= 1).
monitor_bits(T) -> cf:same(16#28, offered(T) band 16#28).
no_internal_bits(T) ->
    Wrong = 16#2 bor 16#40 bor 16#8000 bor 16#200000 bor 16#f8000000 bor (1 bsl 33) bor (1 bsl 36),
    cf:same(0, offered(T) band Wrong, "bits").

full(#{release := R}) -> cf_hs:hidden(cf_hs:flags(R)).

works(T, Flags) ->
    C = cf_fake:dial(T, #{flags => Flags}),
    Term = {a_term, [1, {2}], "string", <<"binary">>, atom},
    cf:same(Term, cf_fake:call(C, echo, [Term])),
    C.

unknown_bits(T) -> works(T, full(T) bor 16#ffffff0000000000).

digest_stands_for_25(#{release := R} = T) ->
    works(T, ?DIGEST25 bor (cf_hs:mandatory(R) band bnot 16#1070f94)).

status(T, Flags) ->
    {status, S, Status} = cf_hs:dial_until(status, maps:get(nut, T), cf_fake:identity(T, #{flags => Flags})),
    {S, Status}.

not_allowed(T, Flags) ->
    {S, Status} = status(T, Flags),
    cf:same(<<"not_allowed">>, Status),
    cf:same(true, cf_hs:is_closed(S)).

none(T) ->
    demands(T) =/= 0 orelse throw({not_applicable, "the node demands no flag"}),
    not_allowed(T, 0).
minimum(#{release := R} = T) -> works(T, cf_hs:mandatory(R) bor demands(T) bor 16#1000000).
all_flags(T) -> works(T, cf_hs:hidden(cf_hs:flags(29)) bor full(T)).

demands(T) -> cf_fake:call(cf_fake:dial(T, #{}), mandatory_flags, []).

link_without(T, Bits) -> works(T, cf_hs:without(full(T), Bits)).

%% Which bits are demanded is the node's own choice; that it keeps to it, both ways, is what is judged.
accept_missing(T, Bit) ->
    demands(T) band Bit =/= 0 orelse throw({not_applicable, "the node does not demand this flag"}),
    not_allowed(T, cf_hs:without(full(T), Bit bor ?DIGEST25)).

dial_missing(T, Bit) ->
    demands(T) band Bit =/= 0 orelse throw({not_applicable, "the node does not demand this flag"}),
    Me = cf_fake:listen(T, #{flags => cf_hs:without(full(T), Bit bor ?DIGEST25)}),
    Asker = cf_fake:dial(T, #{}),
    Ref = cf_fake:ref(Asker),
    cf_fake:to(Asker, conformance, {connect, cf_fake:pid(Asker), Ref, [maps:get(name, Me)]}),
    {error, _, closed} = cf_hs:answer(maps:get(listener, Me), Me),
    false = cf_fake:take(Asker, fun({signal, _, {R, V}, _}) when R =:= Ref -> V end).

%% Do something that makes the node send one signal, on a link without Bits; the op must be one of Ops.
op_used(T, Bits, Act, Ops) ->
    C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), Bits)}),
    cf_fake:fence(C),
    Op = Act(C, cf_fake:puppet(C)),
    cf:check(lists:member(Op, Ops), "operation ~p was used", [Op]).

send(C, P) ->
    Me = cf_fake:pid(C),
    cf_fake:call(C, P, send, [Me, here]),
    cf_fake:take(C, fun({signal, Ctl, here, _}) -> element(1, Ctl) end).

exit2(C, P) ->
    Me = cf_fake:pid(C),
    cf_fake:call(C, P, exit_signal, [Me, why]),
    cf_fake:take(C, fun({signal, {Op, From, To, why}, none, _}) when From =:= P, To =:= Me -> Op;
                       ({signal, {Op, From, To}, why, _}) when From =:= P, To =:= Me -> Op end).

link_exit(C, P) ->
    Me = cf_fake:pid(C),
    cf_fake:send(C, {1, Me, P}),
    cf_fake:call(C, P, exit, [why]),
    cf_fake:take(C, fun({signal, {Op, From, To, why}, none, _}) when From =:= P, To =:= Me -> Op;
                       ({signal, {Op, From, To}, why, _}) when From =:= P, To =:= Me -> Op end).

down(C, P) ->
    Me = cf_fake:pid(C), Ref = cf_fake:ref(C),
    cf_fake:send(C, {19, Me, P, Ref}),
    cf_fake:call(C, P, exit, [why]),
    cf_fake:take(C, fun({signal, {Op, From, To, R, why}, none, _}) when From =:= P, To =:= Me, R =:= Ref -> Op;
                       ({signal, {Op, From, To, R}, why, _}) when From =:= P, To =:= Me, R =:= Ref -> Op end).

unlink_op(C, P) ->
    Me = cf_fake:pid(C),
    cf_fake:call(C, P, link, [Me]),
    cf_fake:take(C, fun({signal, {1, From, To}, _, _}) when From =:= P, To =:= Me -> ok end),
    cf_fake:call(C, P, unlink, [Me]),
    cf_fake:take(C, fun({signal, {4, From, To}, _, _}) when From =:= P, To =:= Me -> 4;
                       ({signal, {35, _, From, To}, _, _}) when From =:= P, To =:= Me -> 35 end).

alias_send(C, P) ->
    Alias = cf_fake:ref(C),
    cf_fake:call(C, P, send, [Alias, to_alias]),
    cf_fake:take(C, fun({signal, Ctl, to_alias, _}) -> element(1, Ctl) end).

no_monitor_without_bits(T) -> no_monitor(T, 16#28).

no_monitor(T, Bits) ->
    C = cf_fake:dial(T, #{flags => cf_hs:without(full(T), Bits)}),
    P = cf_fake:puppet(C),
    Ref = cf_fake:call(C, P, monitor, [cf_fake:pid(C)]),
    cf_fake:call(C, P, demonitor, [Ref]),
    cf_fake:fence(C),
    cf:same([], cf_fake:seen(C, fun({signal, Ctl, _, _}) when element(1, Ctl) >= 19, element(1, Ctl) =< 21 -> Ctl end)).
