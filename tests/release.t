#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a release must not lack: the licence's line in every source file, and one version; and no test twice.
top=${srcdir:-.}
echo 1..3
lacking=$(find "$top/cnode" "$top/compat" "$top/conformance" "$top/examples" "$top/tests" "$top/Makefile.am" "$top/configure.ac" "$top/bootstrap" \
  -type f \( -name '*.[chtm]' -o -name '*.[1358]' -o -name '*.am' -o -name '*.ac' -o -name '*.in' -o -name '*.m4' -o -name '*.map' -o -name LAYERS \
  -o -name '*.conf' -o -name '*.[eh]rl' -o -name '*.exs' -o -name '*.ex' -o -name '*.src' -o -name '*.sh' -o -name '*.pl' -o -name '*.py' \
  -o -name '*.bats' -o -name '*.bash' -o -name '*.java' -o -name '*.tab' -o -perm -100 \) ! -path '*/corpus/*' ! -path '*/_build/*' ! -path '*/deps/*' \
  -exec grep -LI 'SPDX-License-Identifier: Apache-2.0' {} +)
if test -z "$lacking"; then echo 'ok 1 - every source file names its licence'
else printf '# %s\n' $lacking; echo 'not ok 1 - every source file names its licence'; fi
version() { sed -n "$2" "$top/$1" | head -n 1; }
is=$(version configure.ac 's/^AC_INIT(\[cnode\],\[\(.*\)\])$/\1/p')
others="CHANGELOG.md:$(version CHANGELOG.md 's/^## \([0-9.]*\).*/\1/p')
cnode.app.src:$(version cnode/beam/src/cnode.app.src 's/.*{vsn, "\(.*\)"}.*/\1/p')
mix.exs:$(version cnode/beam/mix.exs 's/.*version: "\(.*\)".*/\1/p')"
other=$(printf '%s\n' "$others" | grep -v ":$is\$")
if test -n "$is" && test -z "$other"; then echo "ok 2 - CHANGELOG and the Erlang application have configure's version"
else printf '# configure.ac:%s\n' "$is"; printf '# %s\n' $other; echo "not ok 2 - CHANGELOG and the Erlang application have configure's version"; fi
# Lists that branches change in one line come out of a merge twice, and what stands in them runs twice.
twice=$(cd "$top" && find . -name '*.am' ! -path "./build*" -exec awk '
    FNR == 1 { dir = FILENAME; sub(/\/[^\/]*$/, "", dir); listing = 0 }
    /^(dist_)?check_[A-Z]+ *\+=/ { listing = 1 }
    listing { for (i = 1; i <= NF; i++) if ($i ~ /\.t$/) { t = $i; sub(/^%D%/, dir, t); sub(/.*\/tests\//, "tests/", t); print t } }
    !/\\$/ { listing = 0 }' {} + | sort | uniq -d)
if test -z "$twice"; then echo 'ok 3 - no test is listed twice'
else printf '# %s\n' $twice; echo 'not ok 3 - no test is listed twice'; fi
