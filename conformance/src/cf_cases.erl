%% SPDX-License-Identifier: Apache-2.0
%% All cases, as data. A module of cases exports cases/0, a list of
%%   {Id, Sentence, Rule, Options, Fun}
%% Id is an atom 'group.name' and never changes; Rule names the OTP document or source file; Options:
%%   raw                the driver's own node is not used (default: live, connected to the node under test before)
%%   {needs, [Cap]}     capabilities of the node under test without which the case is not applicable
%%   {from, R}, {to, R} the releases of the driver that it holds for
%%   {varies, [dial, visible]}  run for each dialling direction and visibility that matters to it
%%   {otp_fails, [R]}   OTP itself is known to fail here (each such case says how): run only against other nodes
%%   {only, visible}    run only with a visible node under test
%%   fresh              a node under test of its own, ended afterwards
%%   slow               mostly waits: all such cases of a job run side by side, before the others
%%   {lane, Name}       has nodes of its own (cf_cluster), not the job's: those of one lane run in turn and share their
%%                      clusters, a few lanes side by side, before the others
%%   {uses, [Release]}  has nodes of these releases beside those of the one that judges
%%   {timeout, Ms}      default 20 s
-module(cf_cases).
-export([all/0, find/1, config/1, applies/2, unfit/2, option/3, group/1]).

modules() ->
    [cf_case_epmd,
     cf_case_handshake,
     cf_case_flags,
     cf_case_framing,
     cf_case_terms,
     cf_case_send,
     cf_case_link,
     cf_case_monitor,
     cf_case_alias,
     cf_case_exit,
     cf_case_spawn,
     cf_case_acl,
     cf_case_spawnopt,
     cf_case_gen,
     cf_case_debug,
     cf_case_callback,
     cf_case_straight,
     cf_case_sup,
     cf_case_rpc,
     cf_case_look,
     cf_case_io,
     cf_case_ping,
     cf_case_node,
     cf_case_nodes,
     cf_case_pg,
     cf_case_groups,
     cf_case_pubsub,
     cf_case_hostile,
     cf_case_limits,
     cf_case_names,
     cf_case_global,
     cf_case_global_names,
     cf_case_cluster,
     cf_case_partitions,
     cf_case_stall,
     cf_case_restart,
     cf_case_outsiders].

all() -> lists:append([M:cases() || M <- modules(), code:ensure_loaded(M) =:= {module, M}]).

%% Made once: it is asked for each case that is run and each line of a report.
find(Id) -> maps:get(Id, index(), false).

index() ->
    case persistent_term:get(?MODULE, none) of
        none ->
            Index = maps:from_list([{element(1, C), C} || C <- all() ++ cf_eye:cases()]),
            persistent_term:put(?MODULE, Index),
            Index;
        Index -> Index
    end.

option(Key, {_, _, _, Options, _}, Default) -> proplists:get_value(Key, Options, Default).

group({Id, _, _, _, _}) -> hd(string:tokens(atom_to_list(Id), ".")).

%% The four configurations, the plain one first: cases to which neither matters run there only.
config(plain) -> #{dial => driver, visible => false}.

%% Does a case run in this configuration of this release?
applies(Case, #{release := Release, dial := Dial, visible := Visible, part := Part}) ->
    Varies = option(varies, Case, []),
    #{dial := PlainDial, visible := PlainVisible} = config(plain),
    Home = case option(only, Case, none) of visible -> true; none -> PlainVisible end,
    Part =:= part(Case) andalso Release >= option(from, Case, 0) andalso Release =< option(to, Case, 1000)
        andalso (Dial =:= PlainDial orelse lists:member(dial, Varies))
        andalso (Visible =:= Home orelse lists:member(visible, Varies) andalso option(only, Case, none) =:= none).

%% Cases that have nodes of their own, which start and end or wait, have a job of their own too, beside the one that works.
part(Case) ->
    case option(fresh, Case, false) orelse option(slow, Case, false) of
        true -> fresh;
        false -> shared
    end.

%% Why the node under test is not asked, or false. To dial it has to understand connect.
unfit(Case, #{caps := Caps, release := Release, dial := Dial}) ->
    Needs = case Dial of nut -> [connect | option(needs, Case, []) -- [connect]]; driver -> option(needs, Case, []) end,
    Fails = lists:member(Release, option(otp_fails, Case, [])) andalso lists:member(otp, Caps),
    case [C || C <- Needs, not lists:member(C, Caps)] of
        [] when Fails -> io_lib:format("OTP ~p itself is known to fail here", [Release]);
        [] -> false;
        Lacking -> io_lib:format("the node does not declare ~p", [Lacking])
    end.
