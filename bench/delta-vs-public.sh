#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bytes that lead from one release to another: our delta against the public tools, all on the same pair in one run.
#
#     bench/delta-vs-public.sh OLD NEW [TITLE]
#
# OLD and NEW are directories in canonical form. Prints a section of docs/BENCHMARKS.md. Every tool sees the same: the
# files of NEW that no file of OLD equals, each with the file of the same path (else of the same name without digits) as
# its base; tools that take trees get the trees. Only payload is counted, no per-file digests or file lists; bsdiff,
# xdelta3 and zstd work file by file and are also given all changed files as one stream ("one stream"), the better counts.
# A tool that is not installed is skipped aloud. Seconds are wall time and peak memory is that of the largest process.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
trees=${top_builddir:-$here/..}/bench/delta-trees
old=$(realpath "${1:?old directory}") new=$(realpath "${2:?new directory}") title=${3:-"$(basename "$1") to $(basename "$2")"}
[ -x "$trees" ] || { echo "$trees is missing: make builds it"; exit 77; }
[ -x /usr/bin/time ] || { echo "GNU time is missing"; exit 77; }
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Changed files: path and base, one pair per line; then each side of all of them as one stream.
digests() { (cd "$1" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum | sed 's/  /\t/'); }
digests "$old" >"$work/old.list"
digests "$new" >"$work/new.list"
awk -F'\t' '
        function stem(path) { sub(/.*\//, "", path); gsub(/[0-9]/, "", path); return path }
        NR == FNR { known[$1] = 1; same[$2] = 1; like[stem($2)] = $2; next }
        !known[$1]++ { print $2 "\t" ($2 in same ? $2 : like[stem($2)]) }' "$work/old.list" "$work/new.list" >"$work/changed"
mkdir "$work/a" "$work/b" "$work/patches"
touch "$work/old.stream" "$work/new.stream"
while IFS=$'\t' read -r path base; do
        mkdir -p "$(dirname "$work/a/$path")" "$(dirname "$work/b/$path")"
        if [ -n "$base" ]; then cp "$old/$base" "$work/a/$path"; else : >"$work/a/$path"; fi
        cp "$new/$path" "$work/b/$path"
        cat "$work/a/$path" >>"$work/old.stream"
        cat "$work/b/$path" >>"$work/new.stream"
done <"$work/changed"
files=$(wc -l <"$work/changed") bytes=$(stat -c %s "$work/new.stream")

# measure NAME APPLY-OR--: runs the function make_NAME (leaves its result in $work/patches), prints a row.
row() { printf '| %s | %s | %s | %s |\n' "$1" "$(sed ':a;s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta' <<<"$2")" "$3" "$4"; }
measure() {
        local name=$1 tool=$2 make=$3 sum start seconds memory
        command -v "$tool" >/dev/null || { echo "<!-- $name: $tool is not installed -->"; return; }
        rm -rf "$work/patches" && mkdir "$work/patches"
        start=$EPOCHREALTIME
        "$make" >/dev/null 2>"$work/said" || { echo "<!-- $name failed: $(tail -1 "$work/said") -->"; return; }
        seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
        sum=$(find "$work/patches" -type f -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }')
        memory=$(sort -n "$work/memory" | tail -1)
        row "$name" "$sum" "$seconds" "$((memory / 1024))"
        echo "$sum" >>"$work/public"
        : >"$work/memory"
}
: >"$work/memory"
: >"$work/public"
timed() { /usr/bin/time -a -o "$work/memory" -f %M "$@"; }
each() { # command with {a} {b} {p} for old, new and patch
        local n=0
        while IFS=$'\t' read -r path _; do
                n=$((n + 1))
                "$@" "$work/a/$path" "$work/b/$path" "$work/patches/$n"
        done <"$work/changed"
}
zstd_one() { timed zstd -q -f --ultra -22 --long=31 --single-thread --patch-from="$1" "$2" -o "$3"; }
xdelta_one() { timed xdelta3 -q -f -e -9 -S djw -s "$1" "$2" "$3"; }
bsdiff_one() { timed bsdiff "$1" "$2" "$3"; }
rdiff_one() {
        timed rdiff -f signature "$1" "$work/signature" && timed rdiff -f delta "$work/signature" "$2" "$work/delta"
        zstd -q -f -19 "$work/delta" -o "$3"
}
make_zstd() { each zstd_one; }
make_zstd_stream() { zstd_one "$work/old.stream" "$work/new.stream" "$work/patches/1"; }
make_xdelta() { each xdelta_one; }
make_xdelta_stream() { timed xdelta3 -q -f -e -9 -S djw -B 268435456 -s "$work/old.stream" "$work/new.stream" "$work/patches/1"; }
make_bsdiff() { each bsdiff_one; }
make_bsdiff_stream() { bsdiff_one "$work/old.stream" "$work/new.stream" "$work/patches/1"; }
make_rdiff() { each rdiff_one; }
make_rsync() { # what crosses the wire towards the node, as rsync counts it
        cp -r "$work/a" "$work/copy"
        timed rsync -rz --checksum --no-whole-file --inplace --stats "$work/b/" "$work/copy/" >"$work/stats"
        sed -n 's/^Total bytes sent: //p' "$work/stats" | tr -d , >"$work/sent"
        rm -rf "$work/copy"
        truncate -s "$(cat "$work/sent")" "$work/patches/1"
}
make_casync() { # the chunks that the old store does not hold
        casync -q make --store="$work/old.castr" "$work/old.caidx" "$old"
        timed casync make --store="$work/new.castr" "$work/new.caidx" "$new"
        (cd "$work/new.castr" && find . -name '*.cacnk' -printf '%P\n') | while read -r chunk; do
                [ -e "$work/old.castr/$chunk" ] || cp "$work/new.castr/$chunk" "$work/patches/$(basename "$chunk")"
        done
        cp "$work/new.caidx" "$work/patches/"
}
make_ostree() {
        ostree --repo="$work/repo" init --mode=archive
        local from to
        from=$(ostree --repo="$work/repo" commit -b main --timestamp=@0 "$old")
        to=$(ostree --repo="$work/repo" commit -b main --timestamp=@0 "$new")
        timed ostree --repo="$work/repo" static-delta generate --from="$from" --to="$to" --max-bsdiff-size=1024 \
                --min-fallback-size=0 --inline
        cp -r "$work/repo/deltas/." "$work/patches/"
}

echo "## Delta: $title"
echo
echo "$files changed files, $(sed ':a;s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta' <<<"$bytes") bytes."
echo
echo "| tool | bytes | seconds to make | peak MiB |"
echo "| --- | ---: | ---: | ---: |"
measure "rdiff, zstd -19" rdiff make_rdiff
measure "rsync -z" rsync make_rsync
measure "casync chunks" casync make_casync
measure "xdelta3 -9 -S djw" xdelta3 make_xdelta
measure "xdelta3, one stream" xdelta3 make_xdelta_stream
measure "bsdiff" bsdiff make_bsdiff
[ -z "${BSDIFF_STREAM-}" ] || measure "bsdiff, one stream" bsdiff make_bsdiff_stream
measure "zstd -22 --patch-from" zstd make_zstd
measure "zstd, one stream" zstd make_zstd_stream
measure "ostree static delta" ostree make_ostree
best=$(sort -n "$work/public" | head -1)
for codec in rsync zstd bindiff elf; do
        timed "$trees" "$old" "$new" "$codec" "$work/blob" >"$work/table"
        row "sf $codec" "$(stat -c %s "$work/blob")" \
                "$(awk -v c="$codec" '$1 == c { print $4 }' "$work/table")" "$(($(tail -1 "$work/memory") / 1024))"
        : >"$work/memory"
done
echo
echo "sf elf needs $(awk -v a="$(stat -c %s "$work/blob")" -v b="$best" 'BEGIN { printf "%.1f %%", 100 * a / b }') of the best" \
        "public tool; applied in $(awk '$1 == "apply" { print $4 }' "$work/table") s; the file list travels as" \
        "$(awk '$1 == "list" { print $2 }' "$work/table") bytes."
