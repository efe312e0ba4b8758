#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rebar3.sh: prints the path of a rebar3: the one on PATH, else Debian's. That package is one escript, but depends on
# all that rebar3 can do, down to a web browser; so it is unpacked into the cache (never installed), as apt got and checked it.
#
# Environment: CONFORMANCE_CACHE, as in conformance/otp.sh.
set -eu
if command -v rebar3; then exit 0; fi
cache=${CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cnode/otp}
at=$cache/rebar3/usr/bin/rebar3
if ! test -x "$at"; then
	command -v apt-get >/dev/null || { echo 'rebar3.sh: there is no rebar3 here, and no apt-get to fetch Debian'"'"'s' >&2; exit 1; }
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/rebar3.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	fetch() { (cd "$tmp" && apt-get -q -o APT::Sandbox::User= download rebar3 && dpkg-deb -x rebar3_*.deb new) >>"$tmp/log" 2>&1; }
	# A machine that has all packages may have old lists of them, or none.
	if ! fetch && ! { apt-get -q update >>"$tmp/log" 2>&1 && fetch; }; then
		sed 's/^/    /' "$tmp/log" >&2
		echo 'rebar3.sh: apt-get could not download rebar3' >&2
		exit 1
	fi
	mv -T "$tmp/new" "$cache/rebar3" 2>/dev/null || test -x "$at"   # or another one was quicker
fi
echo "$at"
