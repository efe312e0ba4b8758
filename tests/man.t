#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The man pages are good mdoc, and each option and command of the help is in them.
top=${srcdir:-.}/cnode/cmd
bin=${builddir:-.}/cnode/cmd
n=0
check() { # status, text
  n=$((n + 1))
  if test "$1" = 0; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
for page in cnode.1 cnoded.8; do
  if command -v mandoc >/dev/null; then
    out=$(mandoc -T lint -W warning "$top/$page" 2>&1); status=$?
    test -z "$out" || printf '%s\n' "$out" | sed 's/^/# /'
    check $status "$page has no warning of mandoc"
  else
    n=$((n + 1)); echo "ok $n - $page # SKIP no mandoc here"
  fi
  program=${page%.*}
  help=$("$bin/$program" -help) || help=
  missing=
  # In the help an option is "  -name VALUE", in the page ".It Fl name Ar VALUE".
  for flag in $(printf '%s\n' "$help" | sed -n 's/^  -\([a-z_]*\).*/\1/p'); do
    grep -q "^\.It Fl $flag\( \|\$\)" "$top/$page" || missing="$missing -$flag"
  done
  for flag in $(sed -n 's/^\.It Fl \([a-z_]*\).*/\1/p' "$top/$page"); do
    printf '%s\n' "$help" | grep -q "^  -$flag\( \|\$\)" || missing="$missing -$flag(help)"
  done
  for command in $(printf '%s\n' "$help" | sed -n '/^commands:/,/^options/s/^  \([a-z]\{1,\}\) .*/\1/p'); do
    grep -q "^\.It Cm $command " "$top/$page" || missing="$missing $command"
  done
  test -z "$missing" || echo "# missing:$missing"
  test -n "$help" && test -z "$missing"
  check $? "$page and $program -help have the same options and commands"
done
page=cnoded.conf.5
if command -v mandoc >/dev/null; then
  out=$(mandoc -T lint -W warning "$top/$page" 2>&1); status=$?
  test -z "$out" || printf '%s\n' "$out" | sed 's/^/# /'
  check $status "$page has no warning of mandoc"
else
  n=$((n + 1)); echo "ok $n - $page # SKIP no mandoc here"
fi
suite=$top/../../conformance/cnode-conformance
if command -v mandoc >/dev/null; then
  out=$(mandoc -T lint -W warning "$suite.1" 2>&1); status=$?
  test -z "$out" || printf '%s\n' "$out" | sed 's/^/# /'
  check $status "cnode-conformance.1 has no warning of mandoc"
else
  n=$((n + 1)); echo "ok $n - cnode-conformance.1 # SKIP no mandoc here"
fi
help=$("$suite" --help) || help=
missing=
for flag in $(printf '%s\n' "$help" | grep -o -e '--[a-z]*' | sort -u); do
  grep -q "Fl .-${flag#--}\b" "$suite.1" || missing="$missing $flag"
done
test -z "$missing" || echo "# missing:$missing"
test -n "$help" && test -z "$missing"
check $? "cnode-conformance.1 has every option of its --help"
missing=
# Every option is a key, but those that are about the program itself.
for key in $("$bin/cnoded" -help | sed -n 's/^  -\([a-z_]*\).*/\1/p' | grep -vx -e help -e version -e check -e config); do
  sed -n 's/^\.It Ic //p' "$top/$page" | tr -d , | tr ' ' '\n' | grep -qx "$key" || missing="$missing $key"
done
test -z "$missing" || echo "# missing:$missing"
test -z "$missing"
check $? "$page has every option of cnoded as a key"

# The pages of the library: one for each public header, and every exported function in one.
man=${builddir:-.}/cnode/man
test -f "$man/cnode_term.3" || man=${srcdir:-.}/cnode/man
for page in "${srcdir:-.}/cnode/man/libcnode.3" "$man"/cnode_*.3; do
  if command -v mandoc >/dev/null; then
    out=$(mandoc -T lint -W warning "$page" 2>&1); status=$?
    test -z "$out" || printf '%s\n' "$out" | sed 's/^/# /'
    check $status "${page##*/} has no warning of mandoc"
  else
    n=$((n + 1)); echo "ok $n - ${page##*/} # SKIP no mandoc here"
  fi
done
missing=
for header in "${srcdir:-.}"/cnode/*.h; do
  name=$(basename "$header" .h)
  test "$name" = cnode || test -f "$man/cnode_$name.3" || missing="$missing $name.h"
  test "$name" = cnode || grep -q "^\.It Xr cnode_$name 3" "${srcdir:-.}/cnode/man/libcnode.3" || missing="$missing libcnode.3:cnode_$name"
done
test -z "$missing" || echo "# missing:$missing (a new header: add its page to cnode/man/man.am and its name to libcnode.3)"
test -z "$missing"
check $? "every public header has a page, and libcnode(3) names it"
missing= functions=0
so=${builddir:-.}/.libs/libcnode.so
if test -f "$so"; then names=$(nm -D --defined-only "$so" | sed -n 's/^[0-9a-f]* T \(cnode_[a-z0-9_]*\).*/\1/p'); else
  names=$(cat "${srcdir:-.}"/cnode/*.h | sed -n 's/^CNODE_API .*[ *]\(cnode_[a-z0-9_]*\)(.*/\1/p'); fi
for name in $names; do
  functions=$((functions + 1))
  grep -q "^\.Nm $name\( ,\)\{0,1\}$" "$man"/cnode_*.3 && grep -q "^\.Fo $name$" "$man"/cnode_*.3 || missing="$missing $name"
done
test -z "$missing" || echo "# missing:$missing"
test -z "$missing" && test $functions -gt 100
check $? "every exported function is in one of them, with its prototype"
# Tables and examples in the headers' comments: every line is a line of the page, too.
missing=
for header in "${srcdir:-.}"/cnode/*.h; do
  page=$man/cnode_$(basename "$header" .h).3
  test -f "$page" || continue
  lost=$(sed -n 's/^ \*   *\( [^ ].*\)$/\1/p' "$header" | sed 's/^ *//; s/ *\*\/$//; s/\\/\\e/g' | while IFS= read -r line; do
    sed 's/^ *//; s/^\\&//' "$page" | grep -qxF -- "$line" || printf ' %s:"%s"' "${page##*/}" "$line"; done)
  missing="$missing$lost"
done
test -z "$missing" || echo "# run together:$missing"
test -z "$missing"
check $? "tables and examples of the headers stand in the pages as they are"
# The tables of bad input: each row names what shows it, and that exists.
page=${srcdir:-.}/cnode/man/libcnode.3
cases=${srcdir:-.}/conformance/src/cases
missing=$(awk '/^\.Ss Bad input/ { on = 1 } /^\.Sh/ { on = 0 } on && row { if ($0 !~ /^\.\\" seen: ./) print row; row = "" } on && /^\.It/ { row = $0 }' "$page")
test -z "$missing" || printf '%s\n' "$missing" | sed 's/^/# no case: /'
test -z "$missing"
check $? "libcnode.3: each row of the tables of bad input names the cases that show it"
missing=
for name in $(sed -n '/^\.Ss Bad input/,/^\.Sh/s/^\.\\" seen: //p' "$page"); do
  case $name in
  *:*) grep -q "START_TEST(${name#*:})" "${srcdir:-.}/tests/${name%%:*}" || missing="$missing $name" ;;
  hostile.control_* | hostile.ignored_*) grep -q "{\"${name#hostile.*_}\", " "$cases/cf_case_hostile.erl" || missing="$missing $name" ;;
  *) grep -qF "{'$name', " "$cases"/*.erl || missing="$missing $name" ;;
  esac
done
test -z "$missing" || echo "# not there:$missing"
test -z "$missing"
check $? "and these cases are there"
echo "1..$n"
