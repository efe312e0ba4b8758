#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ends the conformance suite's runner ends: runner.bats.
if ! command -v bats >/dev/null; then echo '1..0 # SKIP no bats here'; exit 0; fi
if ! "${srcdir:-.}/conformance/otp.sh" list | grep -q .; then echo '1..0 # SKIP no Erlang here'; exit 0; fi
exec bats --tap "${srcdir:-.}/tests/runner.bats"
