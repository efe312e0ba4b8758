#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# otp.sh: Erlang/OTP releases for the conformance suite, side by side, without touching the system.
#
#   otp.sh get [23 25 27 29]      fetch what is missing into the cache (nothing to do: returns at once)
#   otp.sh list                   what there is: release, exact version, erl, where it comes from
#   otp.sh erl 27                 the path of that release's erl (fetches nothing)
#   otp.sh run 27 -- -noshell …   run it
#   otp.sh source 27              fetch its Erlang sources too, and print where they are
#   otp.sh path 27                the folder that holds its erl, erlc, epmd, escript, erl_call
#   otp.sh rabbitmq               fetch RabbitMQ too (it runs on OTP 25), and print where it is unpacked
#
# A release is Debian's own package of it, taken from the mirror that apt is configured for, with apt's own
# signature checks, and unpacked (never installed) together with the C library it was built for. Each program is
# started by that library's own loader, so no chroot and no root are needed, and files, sockets and the working
# folder are shared with the rest of the machine.
#
# Environment:
#   CONFORMANCE_CACHE    where releases live (default: ${XDG_CACHE_HOME:-~/.cache}/cnode/otp)
#   CONFORMANCE_ERL      further erl programs, separated by colons; the erl on PATH is found by itself
#   CONFORMANCE_MIRROR   a Debian mirror to use in place of apt's configured one
set -eu

cache=${CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cnode/otp}
packages="erlang-base erlang-crypto erlang-ssl erlang-runtime-tools erlang-tools erlang-syntax-tools erlang-dev"

say() { printf 'otp.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The Debian suite that carries an OTP release.
suite_of() {
    case $1 in
        23) echo bullseye ;;
        25) echo bookworm ;;
        27) echo trixie ;;
        29) echo sid ;;
        *)  return 1 ;;
    esac
}

mirror() {
    if [ -n "${CONFORMANCE_MIRROR:-}" ]; then echo "$CONFORMANCE_MIRROR"; return; fi
    apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "main" && $1 !~ /security/ { print $1; exit }'
}

# Run "$@" quietly; if it fails, show what it said.
quietly() {
    if ! "$@" >"$log" 2>&1; then
        sed 's/^/    /' "$log" >&2
        return 1
    fi
}

# apt with nothing of the system's state: its own lists, an empty list of installed packages, its own archive.
apt_in() {
    at=$1; shift
    apt-get -q -y -o Dir::Etc::SourceList="$at/sources.list" -o Dir::Etc::SourceParts="$at/none" \
        -o Dir::State="$at" -o Dir::State::status="$at/status" -o Dir::State::Lists="$at/lists" \
        -o Dir::Cache="$at" -o Dir::Cache::Archives="$at/archives" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User= "$@"
}

# Sid's index says how long it is valid, and a mirror that is frozen at a date outlives that. The packages are
# signed all the same; only the age is not held against them, and it is said.
update_lists() {
    quietly apt_in "$1" update && return 0
    if grep -q 'is not valid yet\|is expired' "$log"; then
        say "OTP $2: the mirror's index is past its date; taking it all the same (its signature is still checked)"
        quietly apt_in "$1" -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false update && return 0
    fi
    if grep -q 'NO_PUBKEY\|EXPKEYSIG\|not signed' "$log"; then
        say "OTP $2: the keys of suite $(suite_of "$2") are not on this machine or have expired:" \
            "install a newer debian-archive-keyring, or give an erl of that release in CONFORMANCE_ERL"
    fi
    return 1
}

keyring() {
    for k in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
        if [ -r "$k" ]; then echo "$k"; return; fi
    done
    die "no Debian archive keyring under /usr/share/keyrings: install debian-archive-keyring"
}

# Check what is needed to fetch release $1, set $suite, and make a private apt in $2 that knows that suite.
private_apt() {
    rel=$1; at=$2
    suite=$(suite_of "$rel") || die "OTP $rel: no Debian suite carries it; I know 23, 25, 27, 29 (see CONFORMANCE_ERL)"
    command -v apt-get >/dev/null || die "OTP $rel: no apt-get here, so I cannot fetch it; name an erl in CONFORMANCE_ERL"
    command -v dpkg-deb >/dev/null || die "OTP $rel: no dpkg-deb here, so I cannot unpack it"
    from=$(mirror)
    [ -n "$from" ] || die "OTP $rel: apt is configured for no Debian mirror; set CONFORMANCE_MIRROR"
    rm -rf "$at"
    mkdir -p "$at/lists/partial" "$at/archives/partial" "$at/none"
    : >"$at/status"
    log=$at/log
    printf 'deb [signed-by=%s arch=%s] %s %s main\n' \
        "$(keyring)" "$(dpkg --print-architecture)" "$from" "$suite" >"$at/sources.list"
    say "OTP $rel: asking for Debian $suite"
    update_lists "$at" "$rel" || die "OTP $rel: the package list could not be had (above)"
}

fetch() {
    rel=$1
    new=$cache/$rel.new
    rm -rf "$new"
    mkdir -p "$new/root" "$new/bin"
    private_apt "$rel" "$new/apt"
    say "OTP $rel: downloading"
    # shellcheck disable=SC2086
    quietly apt_in "$new/apt" install --no-install-recommends --download-only $packages ||
        die "OTP $rel: the packages could not be had (above)"
    say "OTP $rel: unpacking"
    for deb in "$new"/apt/archives/*.deb; do
        case ${deb##*/} in
            erlang-*|libc6_*|libgcc-s1_*|libstdc++6_*|libtinfo6_*|zlib1g_*|libssl*|libzstd1_*|libsctp1_*) ;;
            libsystemd0_*|liblz4-1_*|liblzma5_*|libgcrypt20_*|libgpg-error0_*|libcap2_*|libc-gconv*) ;;
            *) continue ;;
        esac
        quietly dpkg-deb -x "$deb" "$new/root" || die "OTP $rel: ${deb##*/} could not be unpacked (above)"
    done
    rm -rf "$new/apt/archives" "$new/apt/lists"
    wire "$rel" "$new"
    rm -rf "${cache:?}/$rel"
    mv "$new" "$cache/$rel"
    "$cache/$rel/bin/erl" -noshell -eval 'halt(0).' >/dev/null 2>"$cache/$rel/apt/log" ||
        { sed 's/^/    /' "$cache/$rel/apt/log" >&2; rm -rf "${cache:?}/$rel"; die "OTP $rel: it does not start here"; }
    exact_version "$cache/$rel/bin/erl" | tail -n 1 >"$cache/$rel/version"
    say "OTP $rel: ready, version $(cat "$cache/$rel/version")"
}

# The Erlang sources of a release, for mutants: the folder that holds kernel-…/src and the others.
source_of() {
    rel=$1
    if [ ! -e "$cache/$rel/src" ]; then
        new=$cache/$rel.src.new
        private_apt "$rel" "$new" >&2
        (cd "$new" && quietly apt_in "$new" download erlang-src) || die "OTP $rel: erlang-src could not be had (above)"
        quietly dpkg-deb -x "$new"/erlang-src_*.deb "$new/root" || die "OTP $rel: erlang-src could not be unpacked (above)"
        mkdir -p "$cache/$rel"
        mv "$new/root/usr/lib/erlang/lib" "$cache/$rel/src"
        rm -rf "$new"
    fi
    echo "$cache/$rel/src"
}

# RabbitMQ with the applications that it needs beyond those of OTP 25: a folder with rabbitmq/bin/rabbitmq-server and erlang/lib.
rabbitmq() {
    if [ ! -e "$cache/rabbitmq/erlang" ]; then
        get 25 || exit 1
        new=$cache/rabbitmq.new
        private_apt 25 "$new" >&2
        say "RabbitMQ: downloading"
        quietly apt_in "$new" install --no-install-recommends --download-only rabbitmq-server ||
            die "RabbitMQ: the packages could not be had (above)"
        for deb in "$new"/archives/rabbitmq-server_*.deb "$new"/archives/erlang-*.deb; do
            quietly dpkg-deb -x "$deb" "$new/root" || die "RabbitMQ: ${deb##*/} could not be unpacked (above)"
        done
        mkdir -p "$cache/rabbitmq"
        mv "$new/root/usr/lib/rabbitmq/lib"/rabbitmq_server-* "$new/root/usr/lib/rabbitmq/server"
        mv "$new/root/usr/lib/rabbitmq" "$new/root/usr/lib/erlang" "$cache/rabbitmq/"
        rm -rf "$new"
    fi
    echo "$cache/rabbitmq"
}

# Put a starter before each program of a release: the release's own loader with the release's own libraries.
wire() {
    rel=$1; new=$2; home=$cache/$rel
    loader=$(cd "$new/root" && ls -d lib/*-linux-gnu*/ld-linux-*.so.* usr/lib/*-linux-gnu*/ld-linux-*.so.* \
        2>/dev/null | head -n 1)
    [ -n "$loader" ] || die "OTP $rel: no program loader in its C library package (machine $(uname -m))"
    libs=
    for d in lib usr/lib lib/*-linux-gnu* usr/lib/*-linux-gnu*; do
        if ls "$new/root"/$d/*.so* >/dev/null 2>&1; then libs="$libs${libs:+:}$(cd "$new/root" && printf "$home/root/%s:" $d)"; fi
    done
    libs=$(printf '%s' "$libs" | tr -s ':' | sed 's/:$//')
    erts=$(cd "$new/root/usr/lib/erlang" && ls -d erts-*/bin)
    bindir=$new/root/usr/lib/erlang/$erts
    for prog in "$bindir"/*; do
        if [ -h "$prog" ] || ! head -c 4 "$prog" | grep -q ELF; then continue; fi
        mv "$prog" "$prog.elf"
        cat >"$prog" <<END
#!/bin/sh
exec "$home/root/$loader" --library-path "$libs" "$home/root/usr/lib/erlang/$erts/${prog##*/}.elf" "\$@"
END
        chmod 755 "$prog"
    done
    starter "$new/bin/erl" "$home/root/usr/lib/erlang" "$erts" erlexec
    for prog in erlc escript epmd erl_call; do
        if [ -e "$bindir/$prog" ]; then starter "$new/bin/$prog" "$home/root/usr/lib/erlang" "$erts" "$prog"; fi
    done
    if [ -e "$new/bin/erl_call" ]; then :; else
        call=$(cd "$new/root/usr/lib/erlang" && ls lib/erl_interface-*/bin/erl_call 2>/dev/null || true)
        if [ -n "$call" ]; then
            printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
                "$home/root/$loader" "$libs" "$home/root/usr/lib/erlang/$call" >"$new/bin/erl_call"
            chmod 755 "$new/bin/erl_call"
        fi
    fi
}

starter() {
    cat >"$1" <<END
#!/bin/sh
ROOTDIR="$2" BINDIR="$2/$3" EMU=beam PROGNAME=erl
ERLC_EMULATOR="\${0%/*}/erl" ESCRIPT_EMULATOR="\${0%/*}/erl"
export ROOTDIR BINDIR EMU PROGNAME ERLC_EMULATOR ESCRIPT_EMULATOR
exec "\$BINDIR/$4" "\$@"
END
    chmod 755 "$1"
}

# The exact version of an erl, from its OTP_VERSION file; a plain release number where there is none.
exact_version() {
    "$1" -noshell -eval '
        R = erlang:system_info(otp_release),
        V = case file:read_file(filename:join([code:root_dir(), "releases", R, "OTP_VERSION"])) of
                {ok, B} -> hd(string:tokens(binary_to_list(B), "\n"));
                _ -> R
            end,
        io:format("~s ~s~n", [R, V]), halt().' 2>/dev/null
}

# Lines "release version erl origin" for every erl we know of; those that were given before what is found.
list() {
    if [ -n "${CONFORMANCE_ERL:-}" ]; then
        old=$IFS; IFS=:
        for erl in $CONFORMANCE_ERL; do
            IFS=$old
            if version=$(exact_version "$erl"); then printf '%s %s %s\n' "$version" "$erl" CONFORMANCE_ERL
            else say "$erl (from CONFORMANCE_ERL) does not start, left out"; fi
        done
        IFS=$old
    fi
    for dir in "$cache"/[0-9][0-9]; do
        if [ -r "$dir/version" ]; then
            printf '%s %s %s\n' "$(cat "$dir/version")" "$dir/bin/erl" cache
        fi
    done
    if erl=$(command -v erl); then
        if version=$(exact_version "$erl"); then printf '%s %s %s\n' "$version" "$erl" PATH; fi
    fi
}

erl_of() {
    list | awk -v r="$1" '$1 == r { print $3; found = 1; exit } END { exit !found }' ||
        die "OTP $1 is not here: run '$0 get $1', or name an erl of it in CONFORMANCE_ERL"
}

get() {
    mkdir -p "$cache" || die "cannot make the cache folder $cache; set CONFORMANCE_CACHE"
    exec 9>"$cache/lock"
    if command -v flock >/dev/null; then
        flock -n 9 || { say "another run is fetching; waiting for it"; flock 9; }
    fi
    bad=0
    for rel in "$@"; do
        if [ -r "$cache/$rel/version" ]; then continue; fi
        ( fetch "$rel" ) || bad=1
    done
    return $bad
}

cmd=${1:-help}
if [ $# -gt 0 ]; then shift; fi
case $cmd in
    get)  if [ $# -eq 0 ]; then set -- 23 25 27 29; fi; get "$@" ;;
    list) list ;;
    erl)  erl_of "${1:?which release?}" ;;
    source) source_of "${1:?which release?}" ;;
    rabbitmq) rabbitmq ;;
    path) dirname "$(erl_of "${1:?which release?}")" ;;
    run)  rel=${1:?which release?}; shift; if [ "${1:-}" = -- ]; then shift; fi
          erl=$(erl_of "$rel"); exec "$erl" "$@" ;;
    *)    sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; if [ "$cmd" != help ]; then exit 2; fi ;;
esac
