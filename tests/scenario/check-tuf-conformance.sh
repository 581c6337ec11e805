#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# TUF repositories of every kind, good and bad, against the client, over HTTP (tests/tuf/).
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

if ! /usr/bin/python3 -c 'import cryptography' 2>/dev/null; then
        echo "SKIP: python3-cryptography is needed to sign the simulated repositories"
        exit 77
fi
exec /usr/bin/python3 -B "$top_srcdir/tests/tuf/run.py" "$top_builddir/tests/sf-tuf-client"
