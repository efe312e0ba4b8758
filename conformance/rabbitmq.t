#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TAP for prove: our node beside RabbitMQ (Debian's, on OTP 25, fetched and unpacked by otp.sh, never installed).
here=$(cd "$(dirname "$0")" && pwd)
home=$("$here/otp.sh" rabbitmq) || { echo "1..0 # SKIP RabbitMQ could not be fetched"; exit 0; }
exec "$here/neighbours/run" rabbitmq "$home" "$("$here/otp.sh" path 25)"
