#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh: the Debian packages that cnode needs.
#
#   deps.sh [build|test]          install what is missing; says nothing when nothing is missing
#   deps.sh --list [build|test]   print the names and stop
#   deps.sh --missing [build|test]  print the names that are not installed and stop
#
# build: to build it and run the examples. test (the default): that, and what the tests use.
# As root, or with sudo.
set -eu

build="autoconf automake build-essential erlang-base erlang-dev libc-ares-dev libconfuse-dev libev-dev libssl-dev libtool pkg-config uthash-dev"
test="bats check debian-archive-keyring default-jdk-headless elixir erlang-crypto erlang-edoc erlang-eunit erlang-jinterface erlang-runtime-tools erlang-ssl erlang-tools gdb git iproute2 libsqlite3-dev mandoc musl-tools perl procps tshark valgrind xz-utils"

mode=install
what=test
for arg in "$@"; do
	case $arg in
	--list) mode=list ;;
	--missing) mode=missing ;;
	build | test) what=$arg ;;
	-h | --help) sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
	*) echo "deps.sh: I do not know $arg (try --help)" >&2; exit 2 ;;
	esac
done

packages=$build
if [ "$what" = test ]; then packages="$build $test"; fi
if [ "$mode" = list ]; then printf '%s\n' $packages; exit 0; fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps.sh: this is no Debian system; install the equivalents of: $packages" >&2
	exit 1
fi
missing=
for p in $packages; do
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || true) in
	"install ok installed") ;;
	*) missing="$missing $p" ;;
	esac
done
if [ -z "$missing" ]; then exit 0; fi
if [ "$mode" = missing ]; then printf '%s\n' $missing; exit 0; fi

sudo=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "deps.sh: as root, please run: apt-get install$missing" >&2
		exit 1
	fi
	sudo=sudo
fi
echo "deps.sh: installing with apt-get:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
	if ! $sudo env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null; then
		sed 's/^/    /' "$log" >&2
		echo "deps.sh: this failed: $*" >&2
		exit 1
	fi
}
# The lists that are there may do; fetch them only when they do not.
if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install $missing >"$log" 2>&1 </dev/null; then
	quietly apt-get -q update
	quietly apt-get -y -q --no-install-recommends install $missing
fi
