#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every input that a fuzzer ever found worth keeping, run once more. fuzz/corpus/NAME.tar.xz holds those of one fuzzer.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
for archive in "$top_srcdir"/fuzz/corpus/*.tar.xz; do
        name=$(basename "$archive" .tar.xz)
        mkdir "$work/$name"
        tar xJf "$archive" -C "$work/$name"
        if said=$("$top_builddir/fuzz/replay-$name" "$work/$name"/* 2>&1); then
                echo "$name: $(find "$work/$name" -type f | wc -l) inputs"
        else
                echo "$name: FAILED"
                tail -20 <<<"$said"
                failures=$((failures + 1))
        fi
done
[ "$failures" = 0 ]
