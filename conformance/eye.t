#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TAP for prove: the third eye. tshark reads all that passes between our node and OTP, and has to see what we mean.
# CONFORMANCE_EYE_RELEASE: with which release (27).
here=$(cd "$(dirname "$0")" && pwd)
release=${CONFORMANCE_EYE_RELEASE:-27}
why=$("$here/eye" can 2>&1) || { echo "1..0 # SKIP $why"; exit 0; }
"$here/otp.sh" erl "$release" >/dev/null 2>&1 || "$here/otp.sh" get "$release" >&2 ||
    { echo "1..0 # SKIP no OTP $release here and it could not be fetched"; exit 0; }
exec "$here/cnode-conformance" --node "${CONFORMANCE_NODE:-cnode}" --release "$release" --eye "$@" </dev/null
