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
missing=
# Every option is a key, but those that are about the program itself.
for key in $("$bin/cnoded" -help | sed -n 's/^  -\([a-z_]*\).*/\1/p' | grep -vx -e help -e version -e check -e config); do
  sed -n 's/^\.It Ic //p' "$top/$page" | tr -d , | tr ' ' '\n' | grep -qx "$key" || missing="$missing $key"
done
test -z "$missing" || echo "# missing:$missing"
test -z "$missing"
check $? "$page has every option of cnoded as a key"
echo "1..$n"
