#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh: from a fresh clone to a BEAM node that talks to a C node, on one machine.
#
#   quickstart.sh                 install what is missing (as root, or with sudo), build, show
#   quickstart.sh --no-install    build and show with what is there
#
# Builds into build-quickstart, or takes the build that QUICKSTART_BUILD names. Nothing is
# installed but Debian packages, which are listed first. All that runs is on 127.0.0.1, with an
# epmd of its own, and ends with the script.
set -eu
top=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
cd "$top"
install=yes
for arg in "$@"; do
	case $arg in
	--no-install) install=no ;;
	-h | --help) sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
	*) echo "quickstart.sh: I do not know $arg (try --help)" >&2; exit 2 ;;
	esac
done

tmp=$(mktemp -d)
epmd=
cnoded=
end() {
	trap - EXIT INT TERM
	for p in $cnoded $epmd; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$tmp"
}
trap end EXIT
trap 'exit 130' INT TERM

step() { printf '\n# %s\n' "$*"; }
fail() { echo "quickstart.sh: $*" >&2; exit 1; }

# ---- what it needs ----

missing=$(tests/deps.sh --missing build)
if [ -n "$missing" ] && [ $install = yes ]; then
	step "Debian packages that are missing here, and will be installed now"
	printf '    %s\n' $missing
	tests/deps.sh build >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }
elif [ -n "$missing" ]; then
	step "Debian packages that are missing here (--no-install: I go on without them)"
	printf '    %s\n' $missing
fi
command -v erl >/dev/null || fail "there is no Erlang here: install erlang-base, or leave out --no-install"

# ---- build ----

quietly() { "$@" >"$tmp/log" 2>&1 </dev/null || { tail -n 40 "$tmp/log" >&2; fail "this failed: $*"; }; }
build=${QUICKSTART_BUILD:-$top/build-quickstart}
if [ -z "${QUICKSTART_BUILD:-}" ]; then
	step "Build: ./bootstrap, configure, make"
	if [ ! -x configure ]; then quietly ./bootstrap; fi
	mkdir -p "$build"
	if [ ! -e "$build/Makefile" ]; then (cd "$build" && quietly ../configure --enable-tests=no); fi
	quietly make -C "$build" -j"$(nproc)"
fi
echo "    cnoded is $build/cnode/cmd/cnoded"

# ---- two nodes ----

HOME=$tmp
cookie=quickstart$$
ERL_EPMD_PORT=$(tests/free_port)
export HOME ERL_EPMD_PORT
(umask 077 && printf %s "$cookie" >"$tmp/cookie")
epmd >"$tmp/epmd.log" 2>&1 &
epmd=$!

step "A C node, with the example module; everybody may spawn its counter"
echo "    cnoded -name c@127.0.0.1 -cookie_file COOKIE -load examples/counter -allow counter"
"$build/cnode/cmd/cnoded" -name c@127.0.0.1 -cookie_file "$tmp/cookie" -load "$build/examples/counter" -allow counter \
	>"$tmp/cnoded.log" 2>&1 &
cnoded=$!
: >>"$tmp/cnoded.log"                   # the shell may not have made it yet
if ! timeout 100 tail -n +1 -f --pid="$cnoded" "$tmp/cnoded.log" | grep -q ' ready'; then
	cat "$tmp/cnoded.log" >&2
	fail "cnoded did not start"
fi
sed 's/^/    /' "$tmp/cnoded.log"

step "A BEAM node, OTP $(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().'): what you would type into erl"
erlc -o "$tmp" examples/quickstart.erl
CNODED_PID=$cnoded erl -noshell -noinput -name erl@127.0.0.1 -setcookie "$cookie" -pa "$tmp" -s quickstart main
