#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every input that a fuzzer ever found worth keeping, run once more.
set -euo pipefail

failures=0
for corpus in "$top_srcdir"/fuzz/corpus/*/; do
        name=$(basename "$corpus")
        if said=$("$top_builddir/fuzz/replay-$name" "$corpus"* 2>&1); then
                echo "$name: $(find "$corpus" -type f | wc -l) inputs"
        else
                echo "$name: FAILED"
                tail -20 <<<"$said"
                failures=$((failures + 1))
        fi
done
[ "$failures" = 0 ]
