#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The programs as a user meets them: cmd.bats.
if ! command -v bats >/dev/null; then echo '1..0 # SKIP no bats here'; exit 0; fi
exec bats --tap "${srcdir:-.}/tests/cmd.bats"
