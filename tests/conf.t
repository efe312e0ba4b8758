#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The configuration of cnoded: conf.bats.
if ! command -v bats >/dev/null; then echo '1..0 # SKIP no bats here'; exit 0; fi
exec bats --tap "${srcdir:-.}/tests/conf.bats"
