#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Our relocation of a tree's ELF files against patchelf.
#
#     bench/relocate-vs-patchelf.sh TREE PREFIX [TO] [ROUNDS]
#
# TREE was built for PREFIX and not localized yet. Both get fresh copies of its ELF files on the same file system, warm in
# the cache. patchelf gets one call per file whose RUNPATH names PREFIX, with the new value already at hand; it leaves the
# strings in .rodata as they are. Ours is one process that also searches for the places, which a node reads from the map.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tool=${top_builddir:-$here/..}/tests/kit/sf-rpath
tree=${1:?tree} prefix=${2:?prefix} to=${3:-/opt/slurm/releases/24.11.5-test} rounds=${4:-5}
command -v patchelf >/dev/null || { echo "patchelf is not installed"; exit 77; }
[ -x "$tool" ] || { echo "$tool is missing: make check builds it"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/elf"
while IFS= read -r -d '' file; do
        [ "$(head -c 4 "$file" | tr -d '\0')" = $'\177ELF' ] || continue
        mkdir -p "$work/elf/$(dirname "${file#"$tree/"}")"
        cp "$file" "$work/elf/${file#"$tree/"}"
done < <(find "$tree" -type f -print0)

# file and new RUNPATH, one pair per line
(cd "$work/elf" && find . -type f | while IFS= read -r file; do
        old=$(patchelf --print-rpath "$file" 2>/dev/null || true)
        case $old in *"$prefix"*) printf '%s\t%s\n' "$file" "${old//"$prefix"/"$to"}" ;; esac
done) >"$work/list"

seconds() { # command...: wall time of one run
        local start=$EPOCHREALTIME
        "$@" >/dev/null
        awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}
run_patchelf() {
        while IFS=$'\t' read -r file runpath; do
                patchelf --set-rpath "$runpath" "$file"
        done <"$work/list"
}
median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }
bytes() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }'; }

for ((round = 0; round < rounds; round++)); do
        rm -rf "$work/a" "$work/b"
        cp -r "$work/elf" "$work/a"
        cp -r "$work/elf" "$work/b"
        seconds "$tool" patch "$prefix" "$to" "$work/a" >>"$work/ours"
        (cd "$work/b" && seconds run_patchelf) >>"$work/theirs"
done

cp -r "$work/elf" "$work/c"
echo "ELF files: $(find "$work/elf" -type f | wc -l), $(bytes "$work/elf") bytes; median of $rounds runs"
echo "sf-rpath:  $(median <"$work/ours") s, $("$tool" patch "$prefix" "$to" "$work/c"), grew by $(($(bytes "$work/a") - $(bytes "$work/elf"))) bytes"
echo "patchelf:  $(median <"$work/theirs") s, $(wc -l <"$work/list") files, grew by $(($(bytes "$work/b") - $(bytes "$work/elf"))) bytes, $(patchelf --version)"
