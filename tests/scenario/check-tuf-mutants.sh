#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# the client broken on purpose in many ways: each must fail a case (tests/tuf/).
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

if ! /usr/bin/python3 -c 'import cryptography' 2>/dev/null; then
        echo "SKIP: python3-cryptography is needed to sign the simulated repositories"
        exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
/usr/bin/python3 -B "$top_srcdir/tests/tuf/mutants.py" "$top_srcdir" "$top_builddir" "$scratch"
