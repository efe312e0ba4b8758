%% SPDX-License-Identifier: Apache-2.0
%% What became of every case, for people: MATRIX.md and matrix.html, from the `results` files that runs with --report
%% leave. Cases are rows; nodes, each with its releases, are columns.
-module(cf_matrix).
-export([keep/3, main/1]).

-define(FRAMES_MOST, 2500).         % of a failure's packets, in characters

%% A run's results into DIR/results, and its own two pages beside them.
keep(Jobs, Node, Dir) ->
    Run = #{node => Node, about => about(Node), date => date_text(),
            jobs => lists:foldl(fun together/2, [], [#{release => R, version => V, dial => D, visible => Vis,
                                                       results => [{Id, Verdict, plain(Why), frames(JobDir, Id, Verdict)} || {Id, Verdict, _, Why} <- Results]}
                     || {#{release := R, version := V, dial := D, visible := Vis, dir := JobDir}, Results} <- Jobs])},
    ok = write(filename:join(Dir, "results"), io_lib:format("%% coding: utf-8~n~tp.~n", [Run])),
    pages([Run], Dir).

%% Jobs of one configuration share its cases (cf_cases:part).
together(#{release := R, dial := D, visible := V, results := More} = Job, Jobs) ->
    Same = fun(#{release := R1, dial := D1, visible := V1}) -> {R1, D1, V1} =:= {R, D, V} end,
    case lists:partition(Same, Jobs) of
        {[], _} -> Jobs ++ [Job];
        {[#{results := Results} = First], Others} -> Others ++ [First#{results := Results ++ More}]
    end.

%% [Out, Results…]: the pages of several runs as one. Of the same node, jobs of a later file add to those of earlier ones, and
%% a case's later result counts.
main([Out | Files]) ->
    Runs = lists:foldl(fun(File, Before) -> {ok, [Run]} = file:consult(File), joined(Run, Before) end, [], Files),
    pages(Runs, Out),
    halt(0).

joined(#{node := Node, jobs := Jobs} = Run, Before) ->
    case lists:partition(fun(#{node := N}) -> N =:= Node end, Before) of
        {[], _} -> Before ++ [Run];
        {[#{jobs := Old} = Same], _} ->
            All = lists:foldl(fun job/2, Old, Jobs),
            [case R of Same -> Same#{jobs := All}; _ -> R end || R <- Before]
    end.

job(#{release := R, dial := D, visible := V, results := New} = Job, Jobs) ->
    case [J || #{release := R1, dial := D1, visible := V1} = J <- Jobs, {R1, D1, V1} =:= {R, D, V}] of
        [] -> Jobs ++ [Job];
        [#{results := Old} = Same] ->
            Results = [case lists:keyfind(Id, 1, New) of false -> Result; Later -> Later end || {Id, _, _, _} = Result <- Old],
            [case J of Same -> Same#{results := Results}; _ -> J end || J <- Jobs]
    end.

pages(Runs, Dir) ->
    Cases = [C || {Id, _, _, _, _} = C <- cf_cases:all(), lists:any(fun(Run) -> verdicts(Id, Run) =/= [] end, Runs)],
    Table = #{runs => Runs, cases => Cases, cells => cells(Runs)},
    ok = write(filename:join(Dir, "MATRIX.md"), markdown(Table)),
    ok = write(filename:join(Dir, "matrix.html"), html(Table)).

write(File, Text) -> file:write_file(File, unicode:characters_to_binary(Text)).

%% nodes/NAME/about prints what exactly was tested.
about(Node) ->
    [Name | _] = string:tokens(Node, ":"),
    case filename:join([cf:home(), "nodes", Name, "about"]) of
        About -> case filelib:is_regular(About) of
                     true -> string:trim(os:cmd("'" ++ About ++ "'"));
                     false -> Node
                 end
    end.

date_text() ->
    {{Y, M, D}, _} = calendar:universal_time(),
    lists:flatten(io_lib:format("~4..0b-~2..0b-~2..0b", [Y, M, D])).

%% Without what differs from run to run.
plain(Why) ->
    [Line | _] = string:split(lists:flatten(Why), "\nframes of the case"),
    lists:flatten(string:replace(Line, cf:home() ++ "/", "", all)).

frames(Dir, Id, fail) ->
    case file:read_file(filename:join(Dir, atom_to_list(Id) ++ ".frames")) of
        {ok, Text} -> unicode:characters_to_list(binary:part(Text, 0, min(?FRAMES_MOST, byte_size(Text))));
        _ -> ""
    end;
frames(_, _, _) -> "".

%% ---- what a cell says ----

%% {Id, Node, Release} -> [{Verdict, Why, Frames, Configuration}]
cells(Runs) ->
    lists:foldl(fun({Key, One}, All) -> maps:update_with(Key, fun(L) -> L ++ [One] end, [One], All) end, #{},
                [{{Id, Node, R}, {Verdict, Why, Frames, config(D, V)}}
                 || #{node := Node, jobs := Jobs} <- Runs, #{release := R, dial := D, visible := V, results := Rs} <- Jobs,
                    {Id, Verdict, Why, Frames} <- Rs]).

config(Dial, Visible) ->
    lists:flatten(io_lib:format("~s dials, node ~s", [case Dial of driver -> "OTP"; nut -> "the node" end,
                                                      case Visible of true -> "visible"; false -> "hidden" end])).

verdicts(Id, #{jobs := Jobs}) -> [V || #{results := Rs} <- Jobs, {I, V, _, _} <- Rs, I =:= Id].

%% Of a case's configurations the worst counts.
verdict(Id, Node, R, #{cells := Cells}) ->
    case [V || {V, _, _, _} <- maps:get({Id, Node, R}, Cells, [])] of
        [] -> none;
        All -> case {lists:member(fail, All), lists:member(pass, All)} of
                   {true, _} -> fail;
                   {_, true} -> pass;
                   _ -> na
               end
    end.

releases(#{jobs := Jobs}) -> lists:usort([{R, V} || #{release := R, version := V} <- Jobs]).

columns(#{runs := Runs}) -> [{Node, R} || #{node := Node} = Run <- Runs, {R, _} <- releases(Run)].

counts(Node, R, Cases, Table) ->
    All = [verdict(Id, Node, R, Table) || {Id, _, _, _, _} <- Cases],
    {n(pass, All), n(fail, All), n(na, All)}.

n(What, All) -> length([x || V <- All, V =:= What]).

groups(Cases) -> lists:foldl(fun(C, Gs) -> G = cf_cases:group(C), case lists:member(G, Gs) of true -> Gs; false -> Gs ++ [G] end end, [], Cases).

of_group(G, Cases) -> [C || C <- Cases, cf_cases:group(C) =:= G].

sign(pass) -> "✓"; sign(fail) -> "✗"; sign(na) -> "–"; sign(none) -> "·".

%% Failures and refusals to apply, each reason once: [{Id, Reason, [{Release, Configuration}], Frames}]
failures(Node, #{cases := Cases, cells := Cells} = Table) ->
    [begin
         Failed = [{R, Config, Why, Frames} || {N, R} <- columns(Table), N =:= Node,
                                               {fail, Why, Frames, Config} <- maps:get({Id, Node, R}, Cells, [])],
         {_, _, Why, Frames} = hd(Failed),
         {Id, Why, [{R, Config} || {R, Config, _, _} <- Failed], Frames}
     end || {Id, _, _, _, _} <- Cases,
            lists:any(fun({N, R}) -> N =:= Node andalso verdict(Id, N, R, Table) =:= fail end, columns(Table))].

inapplicable(Node, #{cells := Cells}) ->
    Reasons = [{Why, Id} || {{Id, N, _}, All} <- maps:to_list(Cells), N =:= Node, {na, Why, _, _} <- All],
    [{Why, lists:usort([Id || {W, Id} <- Reasons, W =:= Why])} || Why <- lists:usort([W || {W, _} <- Reasons])].

%% ---- MATRIX.md ----

markdown(#{runs := Runs, cases := Cases} = Table) ->
    ["# The conformance matrix\n\n",
     "Made by `make matrix-report`; `matrix.html` has the same with every failure's reason and packets. A case counts as passed\n"
     "(✓) when it passed in every configuration that matters to it (who dials, hidden or visible), as failed (✗) when it failed in\n"
     "one, as not applicable (–) when the node does not declare what it needs; · means that it does not hold for that release.\n\n",
     "| node | what exactly | date | judged by OTP | passed | failed | not applicable |\n|---|---|---|---|---|---|---|\n",
     [io_lib:format("| ~s | ~ts | ~s | ~s | ~b | ~b | ~b |~n", [Node, md(About), Date, V, P, F, N])
      || #{node := Node, about := About, date := Date} = Run <- Runs, {R, V} <- releases(Run),
         {P, F, N} <- [counts(Node, R, Cases, Table)]],
     "\n## Cases\n\nIn a cell: ", string:join(lists:usort([lists:join(", ", ["OTP " ++ integer_to_list(R) || {R, _} <- releases(Run)]) || Run <- Runs]), "; or "),
     ", from left to right; one sign when all are the same.\n",
     [group_table(G, of_group(G, Cases), Table) || G <- groups(Cases)],
     [["\n## What failed: ", Node, "\n\n", failure_list(failures(Node, Table))] || #{node := Node} <- Runs],
     [["\n## What was not applicable: ", Node, "\n\n",
       [io_lib:format("* ~ts: ~b cases (~ts)~n", [md(Why), length(Ids), some(Ids)]) || {Why, Ids} <- inapplicable(Node, Table)]]
      || #{node := Node} <- Runs]].

group_table(G, Cases, #{runs := Runs} = Table) ->
    ["\n### ", G, "\n\n| case | ", [[Node, " | "] || #{node := Node} <- Runs], "what it says |\n|---|", ["---|" || _ <- Runs], "---|\n",
     [["| `", atom_to_list(Id), "` | ", [[summed(Id, Run, Table), " | "] || Run <- Runs], md(Sentence), " |\n"]
      || {Id, Sentence, _, _, _} <- Cases]].

summed(Id, #{node := Node} = Run, Table) ->
    All = [verdict(Id, Node, R, Table) || {R, _} <- releases(Run)],
    case lists:usort(All) of
        [One] -> sign(One);
        _ -> lists:append([sign(V) || V <- All])
    end.

failure_list([]) -> "Nothing.\n";
failure_list(Failures) ->
    [io_lib:format("* `~s` (OTP ~s): ~ts~n", [Id, releases_text(Where), md(first_line(Why))]) || {Id, Why, Where, _} <- Failures].

releases_text(Where) -> string:join([integer_to_list(R) || R <- lists:usort([R || {R, _} <- Where])], ", ").

first_line(Why) ->
    Squeezed = re:replace(Why, "\\s+", " ", [global, unicode, {return, list}]),
    case length(Squeezed) > 160 of true -> lists:sublist(Squeezed, 160) ++ "…"; false -> Squeezed end.

some(Ids) ->
    {Some, Rest} = lists:split(min(3, length(Ids)), Ids),
    lists:join(", ", [["`", atom_to_list(I), "`"] || I <- Some]) ++ case Rest of [] -> ""; _ -> ", …" end.

md(Text) -> lists:append([case C of $| -> "\\|"; $< -> "&lt;"; $> -> "&gt;"; $* -> "\\*"; $\n -> " "; _ -> [C] end || C <- lists:flatten(Text)]).

%% ---- matrix.html: one file, nothing from elsewhere, no script ----

html(#{runs := Runs, cases := Cases} = Table) ->
    Columns = columns(Table),
    ["<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
     "<title>cnode: the conformance matrix</title>\n<style>\n", css(), "</style></head><body>\n",
     "<h1>The conformance matrix</h1>\n<p>", integer_to_list(length(Cases)), " cases. <span class=\"p\">✓</span> passed in every configuration that matters to the case, "
     "<span class=\"f\">✗</span> failed in one (the link leads to the reason and the packets), <span class=\"n\">–</span> not applicable (point at it, or see below, for the reason), "
     "<span class=\"o\">·</span> does not hold for that release.</p>\n",
     "<p class=\"go\">Groups:", [[" <a href=\"#", G, "\">", G, "</a>"] || G <- groups(Cases)], "</p>\n<p class=\"go\">Reasons:",
     [[" <a href=\"#failed-", anchor(Node), "\">", esc(Node), " failed</a> <a href=\"#na-", anchor(Node), "\">", esc(Node), " not applicable</a>"] || #{node := Node} <- Runs], "</p>\n",
     "<table class=\"sum\"><thead><tr><th>node<th>what exactly<th>date<th>judged by OTP<th>passed<th>failed<th>not applicable</tr></thead>\n",
     [io_lib:format("<tr><td>~ts<td>~ts<td>~s<td>~s<td class=\"r\">~b<td class=\"r~s\">~b<td class=\"r\">~b</tr>~n",
                    [esc(Node), esc(About), Date, V, P, case F of 0 -> ""; _ -> " f" end, F, N])
      || #{node := Node, about := About, date := Date} = Run <- Runs, {R, V} <- releases(Run), {P, F, N} <- [counts(Node, R, Cases, Table)]],
     "</table>\n<table class=\"m\">\n<thead><tr><th rowspan=\"2\">case<th rowspan=\"2\">what it says",
     [io_lib:format("<th class=\"l\" colspan=\"~b\">~ts", [length(releases(Run)), esc(Node)]) || #{node := Node} = Run <- Runs], "</tr>\n<tr>",
     [["<th", first(Column, Runs, " class=\"l\""), ">", integer_to_list(R)] || {_, R} = Column <- Columns], "</tr></thead>\n",
     [html_group(G, of_group(G, Cases), Columns, Table) || G <- groups(Cases)],
     "</table>\n", [html_failures(Node, failures(Node, Table), Table) || #{node := Node} <- Runs],
     [html_inapplicable(Node, inapplicable(Node, Table)) || #{node := Node} <- Runs], "</body></html>\n"].

%% What to add to a node's first column.
first({Node, R}, Runs, Text) ->
    [Run] = [Run || #{node := N} = Run <- Runs, N =:= Node],
    case releases(Run) of [{R, _} | _] -> Text; _ -> "" end.

%% Passed and failed differ in shape and in brightness too, not in colour alone.
css() ->
    "html{scroll-padding-top:4.5em}body{font:14px/1.35 system-ui,sans-serif;margin:2em;color:#111;max-width:110em}"
    "table{border-collapse:separate;border-spacing:0;margin:1em 0;border:solid #ccc;border-width:1px 0 0 1px}"
    "th,td{border:solid #ccc;border-width:0 1px 1px 0;padding:1px 6px;text-align:left;vertical-align:top}"
    "thead{display:table-header-group}thead th{background:#e8e8e8}.m{font-size:12px}.m td:first-child{white-space:nowrap;font-family:monospace}"
    ".m td:nth-child(n+3),.m th:nth-child(n+2){text-align:center;padding:1px 3px;min-width:1.6em}.m th[rowspan]{text-align:left;vertical-align:bottom}"
    ".m thead th{position:sticky;top:0;height:1.4em;z-index:1}.m thead tr+tr th{top:calc(1.4em + 3px)}"
    ".m .l{border-left:2px solid #888}.r{text-align:right}.g th{background:#f4f4f4;border-top:1px solid #888}"
    ".p{background:#dcefe7;color:#064}.f{background:#c43c00;color:#fff;font-weight:bold}.f a{display:block}.n{background:#f2f2f2;color:#666}.o{color:#aaa}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f7f7f7;border-left:3px solid #c43c00;padding:.4em;font-size:11px}"
    "details pre{border-color:#ccc}h2{margin-top:2em;border-bottom:1px solid #888}h3{font-size:14px;margin:1.2em 0 .2em}a{color:inherit}:target{outline:2px solid #06c}"
    ".go{line-height:1.7}li{margin:.2em 0}tr,li{break-inside:avoid}h2,h3{break-after:avoid}"
    "@page{size:A4 landscape;margin:1cm}"
    "@media print{body{margin:0;font-size:10px}.m{font-size:8px}.m thead th{position:static}.go{display:none}details{display:none}pre{font-size:8px}a{text-decoration:none}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n".

html_group(G, Cases, Columns, #{runs := Runs} = Table) ->
    [io_lib:format("<tbody><tr class=\"g\" id=\"~s\"><th colspan=\"2\">~s (~b)", [G, G, length(Cases)]),
     [begin {P, F, N} = counts(Node, R, Cases, Table), io_lib:format("<th" ++ first({Node, R}, Runs, " class=\"l\"") ++ " title=\"~b passed, ~b failed, ~b not applicable\">~ts", [P, F, N, total(P, F)]) end || {Node, R} <- Columns],
     "</tr>\n",
     [["<tr id=\"", atom_to_list(Id), "\"><td>", atom_to_list(Id), "<td title=\"", esc(Rule), "\">", esc(Sentence),
       [cell(Id, Node, R, first({Node, R}, Runs, " l"), Table) || {Node, R} <- Columns], "</tr>\n"]
      || {Id, Sentence, Rule, _, _} <- Cases],
     "</tbody>\n"].

total(0, 0) -> "–";
total(P, 0) -> integer_to_list(P);
total(P, F) -> io_lib:format("~b/~b", [P, P + F]).

cell(Id, Node, R, Line, #{cells := Cells} = Table) ->
    case verdict(Id, Node, R, Table) of
        pass -> ["<td class=\"p", Line, "\">✓"];
        none -> ["<td class=\"o", Line, "\">·"];
        fail -> ["<td class=\"f", Line, "\"><a href=\"#", anchor(Node, Id), "\">✗</a>"];
        na ->
            [{_, Why, _, _} | _] = maps:get({Id, Node, R}, Cells),
            ["<td class=\"n", Line, "\" title=\"", esc(Why), "\">–"]
    end.

anchor(Node, Id) -> anchor(Node ++ "-" ++ atom_to_list(Id)).
anchor(Text) -> [case lists:member(C, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") of true -> C; false -> $- end || C <- Text].

html_failures(Node, [], _) -> ["<h2 id=\"failed-", anchor(Node), "\">", esc(Node), ": nothing failed</h2>\n"];
html_failures(Node, Failures, _) ->
    ["<h2 id=\"failed-", anchor(Node), "\">", esc(Node), ": what failed</h2>\n",
     [begin
          {_, Sentence, Rule, _, _} = cf_cases:find(Id),
          ["<h3 id=\"", anchor(Node, Id), "\"><a href=\"#", atom_to_list(Id), "\">", atom_to_list(Id), "</a>: ", esc(Sentence), "</h3>\n<p>OTP ", releases_text(Where), "; ", esc(element(2, hd(Where))),
           ". Rule: ", esc(Rule), "</p>\n<pre>", esc(Why), "</pre>\n",
           case Frames of "" -> ""; _ -> ["<details><summary>packets</summary><pre>", esc(Frames), "</pre></details>\n"] end]
      end || {Id, Why, Where, Frames} <- Failures]].

html_inapplicable(Node, []) -> ["<h2 id=\"na-", anchor(Node), "\">", esc(Node), ": everything was applicable</h2>\n"];
html_inapplicable(Node, Reasons) ->
    ["<h2 id=\"na-", anchor(Node), "\">", esc(Node), ": what was not applicable</h2>\n<ul>\n",
     [["<li>", esc(Why), ": ", integer_to_list(length(Ids)), " cases (", lists:join(", ", [atom_to_list(Id) || Id <- Ids]), ")</li>\n"] || {Why, Ids} <- Reasons],
     "</ul>\n"].

esc(Text) ->
    [case C of $< -> "&lt;"; $> -> "&gt;"; $& -> "&amp;"; $" -> "&quot;"; C when C < 32, C =/= $\n, C =/= $\t -> "?"; _ -> C end || C <- lists:flatten(Text)].
