#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What users get: `make install`, and what they build with it: programs, shared and static,
# and modules by one line of cc.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
cc=${CC:-cc}
so=$build/.libs/libcnode.so
if ! test -f "$so"; then echo '1..0 # SKIP no shared library in this build'; exit 0; fi
if nm -D "$so" | grep -q '__[atu][sb]*san_'; then echo '1..0 # SKIP a sanitized library is not for users'; exit 0; fi

tmp=$(mktemp -d)
pid=
trap 'test -z "$pid" || kill "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
n=0
log=$tmp/log
check() { # sentence, command…
	sentence=$1
	shift
	n=$((n + 1))
	if "$@" >"$log" 2>&1 </dev/null; then
		echo "ok $n - $sentence"
	else
		tail -n 30 "$log" | sed 's/^/# /'
		echo "not ok $n - $sentence"
	fi
}

unset MAKEFLAGS MAKELEVEL MFLAGS
check "make install" make -C "$build" install DESTDIR="$tmp/root"
prefix=$(sed -n 's/^prefix=//p' "$build/cnode/cnode.pc")
libdir=$(PKG_CONFIG_PATH=$build/cnode pkg-config --variable=libdir cnode)
root=$tmp/root$prefix
lib=$tmp/root$libdir
PKG_CONFIG_PATH=$lib/pkgconfig
LD_LIBRARY_PATH=$lib
CNODE_MODULE_PATH=$tmp
HOME=$tmp
export PKG_CONFIG_PATH LD_LIBRARY_PATH CNODE_MODULE_PATH HOME
pc="pkg-config --define-variable=prefix=$root"

headers() {
	for h in "$top"/cnode/*.h; do
		test -f "$root/include/cnode/${h##*/}" || { echo "missing: ${h##*/}"; return 1; }
	done
	test "$(ls "$root/include/cnode" | wc -l)" -eq "$(ls "$top"/cnode/*.h | wc -l)"
}
check "every public header is installed, and no other" headers

soname() { objdump -p "$lib/libcnode.so" | grep -E 'SONAME +libcnode\.so\.[0-9]+$'; }
check "the shared library has a versioned soname" soname

needs_no_ei() { ! readelf -d "$lib/libcnode.so" | grep NEEDED | grep -E 'libei|libcnode'; }
check "erl_interface is not needed at run time" needs_no_ei

shared() {
	# shellcheck disable=SC2046
	$cc "$top/examples/hello.c" $($pc --cflags --libs cnode) -o "$tmp/hello" && ldd "$tmp/hello" | grep "$lib/libcnode.so"
}
check "pkg-config --cflags --libs builds a program with the shared library" shared

runs() {
	# shellcheck disable=SC2046
	$cc "$top/examples/counter_test.c" $($pc --cflags --libs cnode) -o "$tmp/counter_test" && "$tmp/counter_test"
}
check "and it runs" runs

static() {
	# shellcheck disable=SC2046
	$cc -static "$top/examples/counter_test.c" $($pc --static --cflags --libs cnode) -o "$tmp/counter_static" &&
		! ldd "$tmp/counter_static" && "$tmp/counter_static"
}
if [ -e "$lib/libcnode.a" ]; then check "pkg-config --static builds a static program, and it runs" static
else
	n=$((n + 1))
	echo "ok $n - pkg-config --static builds a static program, and it runs # SKIP configured with --disable-static"
fi

module() {
	# shellcheck disable=SC2046
	$cc -shared -fPIC "$top/examples/counter.c" $($pc --cflags cnode) -o "$tmp/counter.so"
}
check "one line of cc builds a module" module

# Starts the installed cnoded with a module; it says when peers can connect.
loads() {
	printf secret >"$tmp/cookie" && chmod 600 "$tmp/cookie"
	: >"$tmp/cnoded.log"
	"$root/bin/cnoded" -name i@127.0.0.1 -cookie_file "$tmp/cookie" -epmd none -listen 127.0.0.1 -load "$1" -allow counter \
		2>>"$tmp/cnoded.log" &
	pid=$!
	timeout 200 tail -n +1 -f --pid="$pid" "$tmp/cnoded.log" | grep -q ' ready' || { cat "$tmp/cnoded.log"; return 1; }
	kill -TERM "$pid"
	wait "$pid"
	status=$?
	pid=
	cat "$tmp/cnoded.log"
	return $status
}
mkdir "$tmp/elsewhere"
cd "$tmp/elsewhere" || exit 1
check "the installed cnoded loads it by path, and ends well" loads ../counter
check "it finds it by name in CNODE_MODULE_PATH" loads counter
check "it loads the example of the source tree, by a path without .libs" loads "$build/examples/counter"

cp "$tmp/counter.so" "$tmp/elsewhere/stray.so"
not_here() { ! loads stray; }
check "a bare name is never looked for in the current folder" not_here

pages() {
	for p in share/man/man1/cnode.1 share/man/man8/cnoded.8 share/man/man5/cnoded.conf.5; do
		test -s "$root/$p" || { echo "missing: $p"; return 1; }
	done
}
check "the manual pages are installed" pages

sample() {
	printf secret >"$tmp/cookie" && chmod 600 "$tmp/cookie"
	set -- $(find "$root/share/doc" -name cnoded.conf) && test $# -eq 1 && "$root/bin/cnoded" -check -config "$1" -cookie_file "$tmp/cookie"
}
check "a sample of the configuration is installed as documentation, and is good" sample

reloads() {
	unit=$(find "$tmp/root" -name cnoded.service)
	test -z "$unit" || { grep -q '^ExecReload=/bin/kill -HUP' "$unit" && grep -q "^LoadCredential=cookie:" "$unit"; }
}
check "the unit, if one is installed, reloads by SIGHUP and hands over the cookie" reloads

# A key that systemd does not know is a line and no failure. Lines about other units of this machine are none of ours.
verified() {
	unit=$(find "$tmp/root" -name cnoded.service)
	if test -z "$unit" || ! command -v systemd-analyze >/dev/null; then echo "no unit, or no systemd-analyze here"; return; fi
	mkdir "$tmp/unit" && printf '[Service]\nExecStart=/bin/true\n' >"$tmp/unit/plain.service" || return
	if ! systemd-analyze verify --man=no "$tmp/unit/plain.service" >/dev/null 2>&1; then echo "systemd-analyze takes no unit here"; return; fi
	sed "s|^ExecStart=[^ ]*|ExecStart=$root/bin/cnoded|" "$unit" >"$tmp/unit/cnoded.service" || return
	systemd-analyze verify --man=no "$tmp/unit/cnoded.service" >"$tmp/unit/said" 2>&1; status=$?
	cat "$tmp/unit/said"
	test $status -eq 0 && ! grep -q cnoded "$tmp/unit/said"
}
check "systemd finds nothing wrong with the unit" verified
application() {
	beam=$(pkg-config --define-variable=prefix="$root" --variable=beamdir cnode)
	for f in mix.exs rebar.config src/cnode.erl src/cnode.app.src lib/cnode.ex lib/cnode/pool.ex; do
		test -s "$beam/$f" || { echo "missing: $beam/$f"; return 1; }
	done
	if ! command -v erlc >/dev/null; then echo "no Erlang here: sources only"; return; fi
	# Where ERL_LIBS says, as a user of another prefix has it; all that the .app file names can be loaded.
	ERL_LIBS=${beam%/*} erl -noshell -eval 'ok = application:load(cnode), {ok, Ms} = application:get_key(cnode, modules),
		Erlang = [M || M <- Ms, hd(atom_to_list(M)) =/= $E],
		[{module, M} = code:ensure_loaded(M) || M <- Erlang], 6 = length(Erlang),
		[true = filelib:is_file(filename:join([code:lib_dir(cnode), "ebin", atom_to_list(M) ++ ".beam"])) || M <- Ms],
		{error, not_alive} = cnode:start(c@h, f, []), halt().'
}
check "the application for the BEAM side is installed, with its sources" application

# All of it: a case whose file was forgotten in conformance.am is missing from the list.
suite() {
	if ! command -v erl >/dev/null; then echo "no Erlang here"; return; fi
	"$root/bin/cnode-conformance" --list >"$tmp/installed" && "$top/conformance/cnode-conformance" --list | diff - "$tmp/installed" &&
		"$root/bin/cnode-conformance" --node otp --only ping.pong,terms.corpus --dial driver --hidden --erl "$(command -v erl)" --quiet
}
check "the conformance suite is installed with all its cases, and judges a node" suite

gone() {
	make -C "$build" uninstall DESTDIR="$tmp/root" >/dev/null && left=$(find "$tmp/root" -type f -o -type l -o -name '*cnode*') && test -z "$left" || { echo "$left"; return 1; }
}
check "make uninstall leaves no file, and no folder that is this package's alone" gone
echo "1..$n"
