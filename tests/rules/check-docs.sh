#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Links and paths in the documents: see docs.py.
set -euo pipefail
cd "${top_srcdir:-.}"
exec python3 -B tests/rules/docs.py
