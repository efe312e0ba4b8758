#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TAP for prove: the whole suite judged by the OTP release that this file is named after. CONFORMANCE_NODE says which
# node is tested (default: cnode when it is built here, otherwise otp itself).
here=$(cd "$(dirname "$0")" && pwd)
release=$(basename "$0" .t); release=${release#otp}
if ! "$here/otp.sh" erl "$release" >/dev/null 2>&1; then
    "$here/otp.sh" get "$release" >&2 || { echo "1..0 # SKIP no OTP $release here and it could not be fetched"; exit 0; }
fi
if [ -z "${CONFORMANCE_NODE:-}" ]; then
    if [ -x "$here/nodes/cnode/start" ]; then CONFORMANCE_NODE=cnode; else CONFORMANCE_NODE=otp; fi
fi
export CONFORMANCE_NODE
exec "$here/cnode-conformance" --release "$release" "$@" </dev/null
