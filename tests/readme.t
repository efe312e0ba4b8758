#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The README does what it says. Its code blocks are run as they stand:
#     ```c FILE        is written to FILE
#     ```sh            is run, line by line; a line that ends in & stays
#     ```sh commands   the two commands; only that they exist
#                       (a line that begins with export holds for all that follows)
#     ```erlang NODE   is typed into a BEAM node of that name; a line after a prompt is what must come back
#     ```elixir NODE   the same in Elixir
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! test -f "$build/.libs/libcnode.so"; then echo '1..0 # SKIP no shared library in this build'; exit 0; fi
if nm -D "$build/.libs/libcnode.so" | grep -q '__[atu][sb]*san_'; then echo '1..0 # SKIP a sanitized library is not for users'; exit 0; fi
if ! command -v erl >/dev/null; then echo '1..0 # SKIP no Erlang here'; exit 0; fi

tmp=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; rm -rf "$tmp"' EXIT
unset MAKEFLAGS MAKELEVEL MFLAGS ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
make -C "$build" install DESTDIR="$tmp/root" >"$tmp/install.log" 2>&1 </dev/null ||
	{ sed 's/^/# /' "$tmp/install.log"; echo 'Bail out! make install failed'; exit 1; }
prefix=$(sed -n 's/^prefix=//p' "$build/cnode/cnode.pc")
libdir=$(PKG_CONFIG_PATH=$build/cnode pkg-config --variable=libdir cnode)

# A home, a cookie, an epmd and a PATH of our own; pkg-config as if it were installed.
mkdir "$tmp/bin" "$tmp/work"
printf '#!/bin/sh\nexec %s --define-variable=prefix=%s "$@"\n' "$(command -v pkg-config)" "$tmp/root$prefix" >"$tmp/bin/pkg-config"
chmod +x "$tmp/bin/pkg-config"
HOME=$tmp/work
PATH=$tmp/bin:$tmp/root$prefix/bin:$PATH
PKG_CONFIG_PATH=$tmp/root$libdir/pkgconfig
LD_LIBRARY_PATH=$tmp/root$libdir
export HOME PATH PKG_CONFIG_PATH LD_LIBRARY_PATH
ERL_EPMD_PORT=$("$top/tests/free_port")
export ERL_EPMD_PORT
umask 077
printf readme >"$HOME/.erlang.cookie"
chmod 400 "$HOME/.erlang.cookie"
epmd >/dev/null 2>&1 </dev/null &
pids=$!
erlc -o "$tmp" "$top/tests/readme_typist.erl" || { echo 'Bail out! the typist does not compile'; exit 1; }

ln -s "$top/examples" "$tmp/work/examples"

# Blocks as files: 01.kind, first line the rest of the info string.
awk -v dir="$tmp" '
/^```/ && open { open = 0; close(file); next }
/^```/ { open = 1; info = substr($0, 4); kind = info; sub(/ .*/, "", kind); if (kind == "") kind = "none"
         file = sprintf("%s/%02d.%s", dir, ++n, kind); print substr(info, length(kind) + 2) > file; next }
open { print > file }' "$top/README.md"

n=0
cd "$tmp/work" || exit 1
say() { # good?, sentence
	n=$((n + 1))
	if test "$1" -eq 0; then echo "ok $n - $2"; else sed 's/^/# /' "$tmp/log"; echo "not ok $n - $2"; fi
}
for block in "$tmp"/[0-9][0-9].*; do
	info=$(head -n 1 "$block")
	tail -n +2 "$block" >"$tmp/body"
	case $block in
	*.c)
		cp "$tmp/body" "$info"
		printf 'differs from examples/%s\n' "$info" >"$tmp/log"
		grep -v '^/\* SPDX' "$top/examples/$info" | cmp -s - "$info"
		say $? "the README's $info is the one in examples/"
		;;
	*.sh)
		if test "$info" = commands; then
			rc=0
			while read -r command _; do test -x "$top/$command" || { rc=1; echo "$command is not there" >"$tmp/log"; }; done <"$tmp/body"
			say $rc "the commands are there"
			continue
		fi
		while IFS= read -r line; do
			case $line in
			'export '*) eval "$line"; say $? "$line" ;;
			*'&')
				sh -c "exec ${line%&}" >"$tmp/daemon.log" 2>&1 </dev/null &
				pids="$pids $!"
				say 0 "$line"
				;;
			*) sh -c "$line" >"$tmp/log" 2>&1 </dev/null; say $? "$line" ;;
			esac
		done <"$tmp/body"
		;;
	*.erlang)
		timeout 200 erl -noshell -noinput -name "$info" -pa "$tmp" -s readme_typist main "$tmp/body" >"$tmp/log" 2>&1
		say $? "what is typed into $info gets the answers shown"
		;;
	*.elixir)
		if ! command -v elixir >/dev/null; then
			n=$((n + 1))
			echo "ok $n - what is typed into $info's iex gets the answers shown # SKIP no Elixir here: install elixir"
			continue
		fi
		timeout 200 elixir --name "$info" "$top/tests/readme_typist.exs" "$tmp/body" >"$tmp/log" 2>&1 </dev/null
		say $? "what is typed into $info's iex gets the answers shown"
		;;
	esac
done
unset ERL_LIBS
(QUICKSTART_BUILD=$build timeout 300 "$top/examples/quickstart.sh" --no-install) >"$tmp/log" 2>&1 </dev/null
say $? "the quickstart"
echo "1..$n"
