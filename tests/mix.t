#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The sample mix project (examples/elixir) with an installed cnode: it compiles, its tests pass, and its release runs.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! test -f "$build/.libs/libcnode.so"; then echo '1..0 # SKIP no shared library in this build'; exit 0; fi
if nm -D "$build/.libs/libcnode.so" | grep -q '__[atu][sb]*san_'; then echo '1..0 # SKIP a sanitized library is not for users'; exit 0; fi
if ! command -v mix >/dev/null; then echo '1..0 # SKIP no Elixir here: install elixir'; exit 0; fi

tmp=$(mktemp -d)
epmd=
beam=
trap 'for p in $epmd $beam; do kill "$p" 2>/dev/null; done; rm -rf "$tmp"' EXIT
unset MAKEFLAGS MAKELEVEL MFLAGS ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS CNODE_MODULE_PATH CNODE_COOKIE_FILE
make -C "$build" install DESTDIR="$tmp/root" >"$tmp/log" 2>&1 </dev/null ||
	{ sed 's/^/# /' "$tmp/log"; echo 'Bail out! make install failed'; exit 1; }
prefix=$(sed -n 's/^prefix=//p' "$build/cnode/cnode.pc")
libdir=$(PKG_CONFIG_PATH=$build/cnode pkg-config --variable=libdir cnode)

# As if it were installed in its prefix.
mkdir "$tmp/bin" "$tmp/home"
printf '#!/bin/sh\nexec %s --define-variable=prefix=%s "$@"\n' "$(command -v pkg-config)" "$tmp/root$prefix" >"$tmp/bin/pkg-config"
chmod +x "$tmp/bin/pkg-config"
PATH=$tmp/bin:$tmp/root$prefix/bin:$PATH
PKG_CONFIG_PATH=$tmp/root$libdir/pkgconfig
LD_LIBRARY_PATH=$tmp/root$libdir
HOME=$tmp/home
ERL_EPMD_PORT=$("$top/tests/free_port")
RELEASE_COOKIE=$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')
export PATH PKG_CONFIG_PATH LD_LIBRARY_PATH HOME ERL_EPMD_PORT RELEASE_COOKIE
epmd >/dev/null 2>&1 </dev/null &
epmd=$!
cp -R "$top/examples/elixir" "$tmp/sample" && chmod -R u+w "$tmp/sample" && cd "$tmp/sample" || exit 1
rm -rf _build priv

n=0
check() { # sentence, command…
	sentence=$1
	shift
	n=$((n + 1))
	if "$@" >"$tmp/log" 2>&1 </dev/null; then
		echo "ok $n - $sentence"
	else
		tail -n 40 "$tmp/log" | sed 's/^/# /'
		echo "not ok $n - $sentence"
	fi
}

says_what_is_missing() { ! PKG_CONFIG_PATH=/nowhere PKG_CONFIG_LIBDIR=/nowhere mix compile && grep -q "Package cnode was not found" "$tmp/log"; }
check "without cnode, mix says what is missing" says_what_is_missing
check "its tests pass" elixir --name "sample_test_$$@127.0.0.1" --cookie "$RELEASE_COOKIE" -S mix test --warnings-as-errors

compiles_again() { touch -d yesterday priv/crc.so; mix compile | grep -q c_src/crc.c && ! mix compile | grep -q c_src/crc.c; }
check "the C source is built again when it is newer, and only then" compiles_again

broken() { printf 'not C at all\n' >c_src/broken.c; ! mix compile && grep -q "c_src/broken.c does not compile" "$tmp/log" && rm c_src/broken.c; }
check "C that does not compile ends mix with its name" broken

check "mix release" env MIX_ENV=prod mix release
release=_build/prod/rel/sample/bin/sample

# Waits until the release answers.
up() {
	"$release" start >"$tmp/release.log" 2>&1 </dev/null &
	beam=$!
	i=0
	until "$release" rpc 'IO.inspect(Sample.crc32("123456789"))' 2>/dev/null | grep -q '{:ok, 3421780262}'; do
		i=$((i + 1))
		if test $i -gt 60 || ! kill -0 "$beam" 2>/dev/null; then cat "$tmp/release.log"; return 1; fi
	done
	os_pid=$("$release" rpc 'IO.puts(CNode.Program.os_pid(Sample.Program))')
	test -d "/proc/$os_pid"
}
# tail ends with the process.
gone() { timeout 200 tail -s 0.05 -f --pid="$1" /dev/null; }
check "the release answers with what C computes" up
stops() { "$release" stop && wait "$beam"; beam=; gone "$os_pid"; }
check "when it stops, the C node does too" stops
check "it starts again" up
killed() { os_beam=$("$release" pid) && kill -9 "$os_beam"; wait "$beam"; beam=; gone "$os_pid"; }
check "when it is killed, the C node stops" killed
echo "1..$n"
