#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module files under real module systems: tests/kit/setup.sh brings Lmod and environment-modules only before the slow tier, so
# check-activate, which skips what is not there, runs once more.
set -euo pipefail
program=$top_builddir/tests/installer/check-activate
[ -x "$program" ] || { echo "skipped: no check-activate was built"; exit 77; }
said=$(mktemp)
"$program" 2>&1 | tee "$said"
missing=$(grep SKIPPED "$said" || :)
rm -f "$said"
[ -z "$missing" ] || { echo "skipped: $missing"; exit 77; }
