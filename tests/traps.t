#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each case that conformance/GLOBAL.md names for a trap is one of the suite.
top=${srcdir:-.}
test -n "$("$top/conformance/otp.sh" list 2>/dev/null)" || { echo '1..0 # SKIP no OTP here that could list the cases'; exit 0; }
echo 1..1
list=$("$top/conformance/cnode-conformance" --list) || { echo 'not ok 1 - the suite lists its cases'; exit 1; }
lacking=$(printf '%s\n' "$list" | awk '
    FNR == NR { if ($1 ~ /^[a-z]+\.[a-z0-9_]+$/) is[$1]; next }
    {
        while (match($0, /`[a-z]+\.[a-z0-9_]+\*?`/)) {
            id = substr($0, RSTART + 1, RLENGTH - 2); $0 = substr($0, RSTART + RLENGTH); found = id in is; named++
            if (sub(/\*$/, "", id)) for (i in is) found = found || index(i, id) == 1
            if (!found) print id
        }
    }
    END { if (named < 100) print "only " named " cases are named" }' - "$top/conformance/GLOBAL.md")
if test -z "$lacking"; then echo 'ok 1 - the cases that GLOBAL.md names are there'
else printf '# %s\n' "$lacking"; echo 'not ok 1 - the cases that GLOBAL.md names are there'; exit 1; fi
