#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every room compiles against musl's headers, so that what only glibc has stays in compat/. Nothing is linked: the
# libraries here are made for glibc.
top=${srcdir:-.}; n=0
if ! command -v musl-gcc >/dev/null; then echo "1..0 # SKIP no musl-gcc here (musl-tools)"; exit 0; fi
with=$(mktemp -d) || exit 1
trap 'rm -rf "$with"' EXIT
mkdir "$with/openssl"
# The libraries' own headers, and the kernel's, without those of glibc beside them.
for h in /usr/include/*/openssl/*.h /usr/include/openssl/*.h; do ln -sf "$h" "$with/openssl/"; done
for h in ev.h ei.h ares.h ares_*.h uthash.h confuse.h linux asm-generic systemd; do
  for at in /usr/include/$h /usr/include/*/$h; do if [ -e "$at" ]; then ln -sfn "$at" "$with/${at##*/}"; fi; done
done
for at in /usr/include/*/asm; do ln -sfn "$at" "$with/asm"; done
config=; for at in . "$top"; do if [ -z "$config" ] && [ -e "$at/config.h" ]; then config=$at/config.h; fi; done
if [ -z "$config" ]; then echo "1..0 # SKIP not configured"; exit 0; fi
for room in "$top"/cnode/*/ "$top"/compat/; do
  set -- "$room"*.c
  if [ ! -e "$1" ]; then continue; fi
  n=$((n + 1)); bad=
  for f; do
    out=$(musl-gcc -DHAVE_CONFIG_H -D_REENTRANT -DCN_MODULEDIR='""' -DCN_CONFDIR='""' -include "$config" -I"$top" -I. -isystem "$with" \
      -Wall -Wextra -Werror -Wno-sign-compare -fsyntax-only "$f" 2>&1) && continue
    case $out in
    *systemd/*"No such file"*) echo "# not tried, no header of libsystemd here: $f" ;;
    *) bad=yes; printf '%s\n' "$out" | sed 's/^/# /' ;;
    esac
  done
  name=${room%/}
  if [ -z "$bad" ]; then echo "ok $n - ${name##*/}"; else echo "not ok $n - ${name##*/}"; fi
done
echo "1..$n"
