#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench: this node, a BEAM node and a plain ei loop in one run, in the same rounds.
#
#   run.sh [--quick] [--rounds N] [--scale PERCENT] [--without-cnode] [--congestion NAME]
#
# Run by `make bench`, which gives builddir (where cnoded and the programs are), srcdir and CC.
# Takes about five minutes; --quick (make bench BENCH_FLAGS=--quick) three rounds of a fifth of
# the messages. Names of the cluster (global) follow in a second part, beside BEAM nodes only. Everything is on 127.0.0.1 with an epmd of its own, and ends with the script.
# --congestion has TCP run with another congestion control than the machine's default: in a network namespace of its own, so it needs root.
set -eu
srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
rounds=7 scale=100 with_cnode=yes congestion=
tcp=$(cat /proc/sys/net/ipv4/tcp_congestion_control)
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=3 scale=20 ;;
	--scale) scale=${2:?percent?}; shift ;;
	--rounds) rounds=${2:?how many?}; shift ;;
	--without-cnode) with_cnode=no ;;
	--congestion) congestion=${2:?which?}; shift ;;
	*) echo "bench: I do not know $1" >&2; exit 2 ;;
	esac
	shift
done
if [ -n "$congestion" ] && [ "${BENCH_TCP:-}" != "$congestion" ]; then
	BENCH_TCP=$congestion srcdir=$srcdir builddir=$builddir exec unshare -n -- sh -eu -c '
		ip link set lo up
		for to in 127.0.0.0/8 127.0.0.1; do
			ip route replace local $to dev lo proto kernel scope host src 127.0.0.1 congctl "$BENCH_TCP" table local
		done
		exec "$@"' sh "$0" --rounds "$rounds" --scale "$scale" --congestion "$congestion" $([ "$with_cnode" = yes ] || echo --without-cnode)
fi
tcp=${BENCH_TCP:-$tcp}
command -v erl >/dev/null || { echo "bench: no erl on PATH; tests/deps.sh installs it" >&2; exit 1; }

tmp=$(mktemp -d)
pids=
end() {
	trap - EXIT INT TERM
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$tmp"
}
trap end EXIT
trap 'exit 130' INT TERM

HOME=$tmp
ERL_EPMD_PORT=$("$srcdir/tests/free_port")
ERL_CRASH_DUMP=/dev/null
cookie=bench$$
export HOME ERL_EPMD_PORT ERL_CRASH_DUMP
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS

root=$(erl -noshell -eval 'io:put_chars(code:root_dir()), halt().')
erlc -o "$tmp" "$srcdir"/tests/bench/*.erl
${CC:-cc} -O2 -shared -fPIC -I"$root/usr/include" "$srcdir/tests/bench/nif_echo.c" -o "$tmp/nif_echo.so"
bin=$builddir/tests/bench
for p in ei_echo port_echo raw_echo; do cp "$bin/$p" "$tmp/"; done

epmd -port "$ERL_EPMD_PORT" >"$tmp/epmd.log" 2>&1 &
pids="$pids $!"

# started NAME PID LOG: waits until the log says "ready".
started() {
	touch "$3"              # the shell may not have made it yet
	if ! timeout 60 tail -n +1 -f --pid="$2" "$3" 2>/dev/null | grep -q ready; then
		sed 's/^/    /' "$3" >&2
		echo "bench: $1 did not start" >&2
		exit 1
	fi
}
subjects=
erl -noshell -noinput -hidden -name bb@127.0.0.1 -setcookie "$cookie" -pa "$tmp" -s bench_beam start >"$tmp/beam.log" 2>&1 &
beam=$!
pids="$pids $beam"
started "the BEAM node" "$beam" "$tmp/beam.log"
"$tmp/ei_echo" be@127.0.0.1 "$cookie" >"$tmp/ei.log" 2>&1 &
ei=$!
pids="$pids $ei"
started "the ei loop" "$ei" "$tmp/ei.log"
if [ "$with_cnode" = yes ]; then
	printf %s "$cookie" >"$tmp/cookie"
	chmod 600 "$tmp/cookie"
	# libtool's wrappers: their process becomes the program.
	"$builddir/cnode/cmd/cnoded" -name bc@127.0.0.1 -cookie_file "$tmp/cookie" -load "$builddir/conformance/fixtures/echo" \
		-load "$builddir/conformance/fixtures/noop" -load "$builddir/conformance/fixtures/busy" \
		-allow noop -allow busy >"$tmp/cnode.log" 2>&1 &
	cnode=$!
	pids="$pids $cnode"
	started "cnoded" "$cnode" "$tmp/cnode.log"
	cp "$bin/drop" "$tmp/"
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$bin/pair" >"$tmp/pair"
	chmod +x "$tmp/pair"
	subjects="cnode=bc@127.0.0.1=$cnode"
fi
erl -noshell -noinput -hidden -name bh@127.0.0.1 -setcookie "$cookie" -pa "$tmp" -eval 'io:put_chars("ready\n")' >"$tmp/helper.log" 2>&1 &
helper=$!
pids="$pids $helper"
started "the second driver" "$helper" "$tmp/helper.log"
subjects="$subjects beam=bb@127.0.0.1=$beam ei=be@127.0.0.1=$ei"
measured="$beam $ei $helper ${cnode:-}"

tty=no
if [ -t 2 ]; then tty=yes; fi
erl -noshell -noinput -hidden -name bd@127.0.0.1 -setcookie "$cookie" -pa "$tmp" -eval 'bench:main()' \
	-extra $subjects rounds="$rounds" scale="$scale" bin="$tmp" cookie="$cookie" tty=$tty helper=bh@127.0.0.1 tcp="$tcp"
[ "$with_cnode" = yes ] || exit 0

# Names: the nodes measured above would only be in the way.
for p in $measured; do kill "$p" 2>/dev/null || true; done
# member NAME SEED OTHERS
member() {
	erl -noshell -noinput -name "$1@127.0.0.1" -setcookie "$cookie" -pa "$tmp" -s bench_names serve "$2@127.0.0.1" $3 >"$tmp/$1.log" 2>&1 &
	pids="$pids $!"
	started "the BEAM node $1" $! "$tmp/$1.log"
}
member p1 p1 ''
member p2 p1 p1@127.0.0.1
member t1 t1 ''
member t2 t1 t1@127.0.0.1
member t3 t1 't1@127.0.0.1 t2@127.0.0.1'
printf '#!/bin/sh\nexec "%s" "$@"\n' "$bin/names" >"$tmp/names"
cat >"$tmp/member" <<END
#!/bin/sh
name=\$1 cookie=\$2
shift 2
exec erl -noshell -noinput -name "\$name" -setcookie "\$cookie" -pa "$tmp" -run bench_names member "\$@"
END
chmod +x "$tmp/names" "$tmp/member"
erl -noshell -noinput -pa "$tmp" -eval 'bench_names:main()' \
	-extra pair=p1@127.0.0.1 three=t1@127.0.0.1 rounds="$rounds" scale="$scale" bin="$tmp" cookie="$cookie"
