#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TAP for prove: our node beside Elixir.
here=$(cd "$(dirname "$0")" && pwd)
command -v elixir >/dev/null || { echo "1..0 # SKIP no elixir here (Debian: elixir)"; exit 0; }
"$here/otp.sh" get 25 >&2 || { echo "1..0 # SKIP no OTP 25 here and it could not be fetched"; exit 0; }
exec "$here/neighbours/run" elixir "$here/neighbours/elixir.exs"
