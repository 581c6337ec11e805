#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an upgrade costs while the tree grows and the change stays the same: 10 MB to 2 GB, ten changed files.
#
#     bench/series.sh [ROUNDS [MEGABYTES...]]
#
# Prints a section of docs/BENCHMARKS.md. Every file has 500,000 bytes. The ten that change, 1,000 bytes each, do not compress;
# each of the others repeats 50,000 bytes of its own, which zstd -19 packs at 100 MB/s instead of 4. The node does not see
# the difference in an upgrade: it fetches, reads, links and syncs files, whatever is in them. Only the full install beside it
# fetches less than a real tree of that size would need.
set -euo pipefail

. "$(dirname "$0")/kit.sh"
rounds=${1:-3}
[ $# -gt 1 ] && sizes=${*:2} || sizes="10 100 500 2000"

# make_series_tree DIR MEGABYTES CHANGED: the same bytes every time; the first CHANGED files are those of the next release
make_series_tree() {
        mkdir -p "$1/sbin"
        made_file "$1/sbin/slurmd" 300
        python3 - "$@" <<'END'
import os, random, sys
root, count, changed = sys.argv[1], int(sys.argv[2]) * 2, int(sys.argv[3])
for n in range(count):
    path = f"{root}/lib/{n % 40}/{n}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    content = bytearray(random.Random(n).randbytes(500000) if n < 10 else random.Random(n).randbytes(50000) * 10)
    if n < changed:
        content[250000:251000] = random.Random(n + 1000000).randbytes(1000)
    with open(path, "wb") as file:
        file.write(content)
END
}
fill_series() { # DIR MEGABYTES
        local changed=0 version
        for version in 24.11.4 24.11.5; do
                make_series_tree "$work/tree" "$2" "$changed"
                import "$work/tree" "$version"
                rm -rf "$work/tree"
                changed=10
        done
        factory publish 24.11.4 24.11.5 --delta-from 24.11.4 --repo "$1/repo" --keys "$1/keys" >/dev/null
}
# measure SIZE: "full" is a first install of the second release, "step" the upgrade from the first to the second
measure() {
        local name=series-$1 round
        for ((round = 0; round < rounds; round++)); do
                fresh_node "$name"
                timed_node "full-$1" "$name" --json install 24.11.5
        done
        fresh_node "$name"
        node "$name" install 24.11.4 >/dev/null
        for ((round = 0; round < rounds; round++)); do
                timed_node "step-$1" "$name" --json upgrade 24.11.5
                [ "$round" -gt 0 ] || node "$name" verify >/dev/null
                node "$name" rollback >/dev/null
                rm -rf "$work/node/opt/slurm/releases/24.11.5-bench"
        done
        rm -rf "$work/node"
}

serve
echo "## Cost of an upgrade against the size of the tree"
echo
echo "Files of 500 kB; in 10 of them 1,000 bytes change in the second release. The upgrade takes the delta; bytes include metadata,"
echo "medians of $rounds runs. A full install of the second release stands beside it (most of the content packs to a tenth)."
echo
echo "| tree | files | upgrade: bytes | seconds | CPU seconds | peak MiB | full: bytes | seconds | CPU seconds |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for size in $sizes; do
        repository "series-$size"
        measure "$size"
        echo "| $size MB | $(thousands $((size * 2 + 1))) | $(thousands "$(fetched "step-$size")") | $(median "step-$size" 1)" \
                "| $(median "step-$size" 2) | $(($(median "step-$size" 3) / 1024))" \
                "| $(thousands "$(fetched "full-$size")") | $(median "full-$size" 1) | $(median "full-$size" 2) |"
done
