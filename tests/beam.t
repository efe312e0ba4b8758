#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The client for the BEAM side (cnode/beam), with live C nodes: its EUnit tests on the Erlang of this machine, and the
# same tests on every OTP release that conformance/otp.sh has; its ExUnit tests where Elixir is.
top=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${builddir:-.}" && pwd)
if ! command -v erlc >/dev/null; then echo '1..0 # SKIP no Erlang here: install erlang-base'; exit 0; fi
if ! test -x "$build/cnode/cmd/cnoded"; then echo '1..0 # SKIP cnoded is not built'; exit 0; fi

tmp=$(mktemp -d)
epmd=
trap 'test -z "$epmd" || kill "$epmd" 2>/dev/null; rm -rf "$tmp"' EXIT
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS CNODE_COOKIE_FILE CNODE_CONFIG CNODE_MODULE_PATH MAKEFLAGS MAKELEVEL
otp=$("$top/conformance/otp.sh" list 2>/dev/null | awk '$4 == "cache" { print $1, $3 }')
if [ -n "${CNODE_QUICK_TESTS:-}" ]; then
	echo "# quick: of the releases in the cache only OTP 25"
	otp=$(printf '%s\n' "$otp" | grep '^25 ')
fi
HOME=$tmp
CNODE_BUILD=$build
ERL_EPMD_PORT=$("$top/tests/free_port")
export HOME CNODE_BUILD ERL_EPMD_PORT
epmd >/dev/null 2>&1 </dev/null &
epmd=$!
cookie=$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')

n=0
# Passes TAP on with numbers and titles of our own; remembers nothing else.
tap() { # TITLE, STATUS-FILE: reads TAP
	awk -v n="$n" -v title="$1" '
	/^(not )?ok [0-9]+ - / { good = $1 == "ok"; sub(/^(not )?ok [0-9]+ - /, ""); print (good ? "ok " : "not ok ") ++n " - " title ": " $0; next }
	/^1\.\./ { planned = substr($0, 4) + 0; next }
	/^#/ { print; next }
	{ print "# " $0 }
	END { if (!planned) print "not ok " ++n " - " title ": the tests ran to their end"; print n > "'"$tmp/n"'" }'
	n=$(cat "$tmp/n")
}
# tests TITLE BIN-PREFIX DIR: compiles the client and its tests with an erlc, and runs them.
tests() {
	mkdir -p "$3"
	cp "$build/cnode/beam/ebin/cnode.app" "$3" 2>/dev/null || sed 's/{modules, \[\]}/{modules, [cnode]}/' "$top/cnode/beam/src/cnode.app.src" >"$3/cnode.app"
	if ! "$2erlc" -Wall +warn_missing_spec -Werror -o "$3" "$top"/cnode/beam/src/*.erl >"$tmp/log" 2>&1 ||
		! "$2erlc" +nowarn_missing_spec -o "$3" "$top"/cnode/beam/test/*.erl >>"$tmp/log" 2>&1; then
		sed 's/^/# /' "$tmp/log"
		n=$((n + 1))
		echo "not ok $n - $1: it compiles without warning"
		return
	fi
	n=$((n + 1))
	echo "ok $n - $1: it compiles without warning"
	ERL=$2erl "$2erl" -noshell -noinput -name "cnode_tests_$$@127.0.0.1" -setcookie "$cookie" -pa "$3" -s cnode_tap main cnode_tests \
		>"$tmp/out" 2>&1 </dev/null
	tap "$1" <"$tmp/out"
}
if erl -noshell -eval 'halt(case code:which(eunit) of non_existing -> 1; _ -> 0 end).'; then
	tests EUnit "" "$tmp/here"
else
	n=$((n + 1))
	echo "ok $n - EUnit # SKIP no EUnit here: install erlang-eunit"
fi

if command -v mix >/dev/null; then
	# mix writes beside its sources, so to a copy.
	mkdir "$tmp/mix" && cp -R "$top/cnode/beam/." "$tmp/mix" && chmod -R u+w "$tmp/mix" && rm -rf "$tmp/mix/ebin"
	(cd "$tmp/mix" && MIX_ENV=test elixir --name "cnode_test_$$@127.0.0.1" --cookie "$cookie" -S mix test --warnings-as-errors \
		--formatter CNode.TapFormatter) >"$tmp/out" 2>&1 </dev/null
	tap ExUnit <"$tmp/out"
else
	n=$((n + 1))
	echo "ok $n - ExUnit # SKIP no Elixir here: install elixir"
fi

n=$((n + 1))
if rebar3=$("$top/tests/rebar3.sh" 2>"$tmp/log"); then
	mkdir "$tmp/rebar3" && cp -R "$top/cnode/beam/." "$tmp/rebar3" && chmod -R u+w "$tmp/rebar3" && rm -rf "$tmp/rebar3/ebin"
	if (cd "$tmp/rebar3" && "$rebar3" compile) >"$tmp/log" 2>&1 </dev/null && test -s "$tmp/rebar3/_build/default/lib/cnode/ebin/cnode_pool.beam"; then
		echo "ok $n - rebar3 compiles it"
	else
		sed 's/^/# /' "$tmp/log"
		echo "not ok $n - rebar3 compiles it"
	fi
else
	sed 's/^/# /' "$tmp/log"
	echo "ok $n - rebar3 compiles it # SKIP no rebar3 here, and it could not be fetched"
fi

if erl -noshell -eval 'halt(case code:which(edoc) of non_existing -> 1; _ -> 0 end).'; then
	# EDoc says "error" or "warning" where a comment or a type is wrong.
	erl -noshell -eval 'edoc:files(init:get_plain_arguments(), [{dir, "'"$tmp/doc"'"}, {private, true}]), halt().' \
		-extra "$top"/cnode/beam/src/*.erl >"$tmp/log" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$tmp/log"
	n=$((n + 1))
	if test $status -eq 0 && ! test -s "$tmp/log" && test -s "$tmp/doc/cnode_program.html"; then echo "ok $n - EDoc reads the comments"; else echo "not ok $n - EDoc reads the comments"; fi
else
	n=$((n + 1))
	echo "ok $n - EDoc # SKIP no EDoc here: install erlang-edoc"
fi

# The version is written in three files.
n=$((n + 1))
version=$(sed -n 's/^AC_INIT(\[cnode\],\[\(.*\)\]).*/\1/p' "$top/configure.ac")
if grep -q "{vsn, \"$version\"}" "$top/cnode/beam/src/cnode.app.src" && grep -q "version: \"$version\"" "$top/cnode/beam/mix.exs"; then
	echo "ok $n - cnode.app.src and mix.exs have the version of configure.ac, $version"
else
	echo "not ok $n - cnode.app.src and mix.exs have the version of configure.ac, $version"
fi

# Under a sanitizer it is the C side that is tested, and once is enough.
if nm -D "$build/.libs/libcnode.so" 2>/dev/null | grep -q '__[atu][sb]*san_'; then otp=; fi
printf '%s\n' "$otp" >"$tmp/otp"
while read -r release erl; do
	test -z "$release" || tests "OTP $release" "${erl%erl}" "$tmp/otp$release"
done <"$tmp/otp"
echo "1..$n"
