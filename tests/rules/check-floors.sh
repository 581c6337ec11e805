#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Includes point down only, between rooms and sub-rooms; no circles. See include-graph.py.
set -euo pipefail
cd "${top_srcdir:-.}"
exec python3 -B tests/rules/include-graph.py --objects "$top_builddir"
