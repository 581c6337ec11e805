#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The client killed at each system call that changes trusted metadata, and each of these calls failing: what is on the disk
# is always the old file or the new one of each role, and the next refresh arrives at the new state.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

client="$top_builddir/tests/sf-tuf-client" factory="$top_builddir/slurm-factory"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A sanitizer's leak check cannot run under ptrace.
export ASAN_OPTIONS=detect_leaks=0
if ! strace -o "$scratch/probe" true 2>/dev/null; then
        echo "SKIP: strace is needed, and the permission to trace"
        exit 77
fi

calls=openat,write,fchmod,fsync,rename,renameat,renameat2,unlink,unlinkat
repo=$scratch/repo
run() { # DIRECTORY [strace option...]
        local directory=$1
        shift
        # A shell in between, so that it and not this one tells of the killed child.
        (
                ${1+strace -f -qq -o "$scratch/trace" "$@"} "$client" --metadata-url "file://$repo/metadata" \
                        --metadata-dir "$directory" refresh
                exit $?
        ) 2>>"$scratch/said"
}
factory() {
        "$factory" -q --keys "$scratch/keys" --repo "$repo" "$@"
}

factory keys init
mkdir "$scratch/old"
"$client" --metadata-dir "$scratch/old" init "$repo/metadata/1.root.json"
run "$scratch/old"
# Every kind of change at once: two new roots, the second of which makes the client forget timestamp and snapshot.
factory keys rotate targets
factory keys rotate timestamp
cp -r "$scratch/old" "$scratch/new"
run "$scratch/new" -e "trace=$calls"
# strace counts each call by itself: "the 3rd rename", not "the 20th call".
mapfile -t points < <(sed -E 's/^[0-9]+ +//; s/\(.*//' "$scratch/trace" | awk '{ print $1, ++seen[$1] }')

same() { # DIRECTORY: is every file the old or the new one?
        local file name
        for file in "$1"/*.json; do
                name=$(basename "$file")
                cmp -s "$file" "$scratch/old/$name" || cmp -s "$file" "$scratch/new/$name" || cmp -s "$file" "$repo/metadata/2.$name" ||
                        { echo "$2: $name is neither the old nor the new one"; return 1; }
        done
}
for fault in signal=KILL error=EIO error=ENOSPC; do
        stopped=0
        for point in "${points[@]}"; do
                read -r call number <<<"$point"
                rm -rf "$scratch/node"
                cp -r "$scratch/old" "$scratch/node"
                run "$scratch/node" -e "trace=$call" -e "inject=$call:$fault:when=$number" || stopped=$((stopped + 1))
                same "$scratch/node" "$fault at $point"
                run "$scratch/node" || { echo "$fault at $point: no way back"; tail -n 1 "$scratch/said"; exit 1; }
                diff -r "$scratch/new" "$scratch/node" -x '.*.tmp' || { echo "$fault at $point: not the new state"; exit 1; }
        done
        echo "$fault at each of ${#points[@]} calls: $stopped runs ended early, every one was made good by the next"
        # Nothing survives being killed; a failing call may be one that is not needed (a library looked for elsewhere).
        [ "$stopped" -eq "${#points[@]}" ] || { [ "$fault" != signal=KILL ] && [ "$stopped" -gt 30 ]; } ||
                { echo "the faults did not arrive"; exit 1; }
done
