#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Form of the sources: see style.py.
set -euo pipefail
cd "${top_srcdir:-.}"
exec python3 -B tests/rules/style.py
