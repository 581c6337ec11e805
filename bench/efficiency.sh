#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# efficiency.sh ROW...: measures rows of docs/EFFICIENCY.md and keeps them in docs/efficiency.tsv; without a row it only writes the page.
#
#   first      everything from an empty cache           EFF_FIRST=version
#   second     another Slurm version in that cache      EFF_SECOND=version
#   rebuild    the same once more
#   micro      a micro release after its predecessor    EFF_MICRO="old new", both without what was compiled before
#   published  what a repository's build cache has, fetched over loopback into an empty cache
#   deltas     publish with three predecessors          EFF_RELEASES=cache with builds, EFF_DELTAS="new base base base"
#   deps       a changed layer of programs              EFF_TREES="old new", two directories, beside the Slurm in EFF_SLURM,
#                                                       an installed tree whose prefix is EFF_PREFIX
#
# EFF_CACHE is the cache to work in (sources/ in it saves downloads), EFF_MIRRORS are directories with sources, EFF_DATA other
# recipes, EFF_PROFILE the profile, EFF_TOOLCHAIN another toolchain. Each row names what it was measured with.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${top_builddir:-$here/..}" && pwd)
data=${EFF_DATA:-$here/../etc} cache=${EFF_CACHE:-$bin/bench-cache/efficiency} profile=${EFF_PROFILE:-full}
table=${EFF_TABLE:-$here/../docs/efficiency.tsv}
export LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/var/tmp}/sf-efficiency.XXXXXX")
server=
trap '[ -z "$server" ] || kill $server; rm -rf "$work"' EXIT
mkdir -p "$cache"
printf "" >"$work/none"
die() { echo "efficiency: $*" >&2; exit 1; }
mirrors=()
for m in ${EFF_MIRRORS:-}; do mirrors+=(--mirror "$m"); done
place=()
[ -z "${EFF_TOOLCHAIN:-}" ] || place=(--toolchain "$EFF_TOOLCHAIN")

# timed COMMAND...: its seconds in $seconds, processor seconds in $busy, output in $work/out
timed() {
        local t TIMEFORMAT='%R %U %S'
        t=$({ time "$@" >"$work/out" 2>&1; } 2>&1) || { tail -n 5 "$work/out" >&2; die "failed: $*"; }
        read -r seconds user system <<<"$t"
        busy=$(awk "BEGIN {printf \"%.1f\", $user + $system}")
}
# note ROW REMARK: in place of what the table had
note() {
        local load
        load=$(cut -d' ' -f1 /proc/loadavg)
        touch "$table"
        grep -v "^$1	" "$table" >"$work/table" || :
        printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$seconds" "$busy" "$load" "$(date +%F)" "$2" >>"$work/table"
        sort "$work/table" >"$table"
        echo "$1: $seconds s ($busy s of processor time, load $load): $2"
}
build() { timed "$bin/slurm-factory" --config "$work/none" --data "$data" --cache "$1" build-slurm --slurm-version "$2" --profile "$profile" --jobs "$(nproc)" \
        "${mirrors[@]}" "${place[@]}"; }
compiled() { grep -c ': built in' "$work/out" || :; }

row_first() {
        [ -z "$(ls "$cache/buildcache" 2>/dev/null)" ] || die "first: $cache/buildcache is not empty"
        build "$cache" "$EFF_FIRST"
        note first "Slurm $EFF_FIRST, $profile: $(compiled) packages compiled"
}
row_second() {
        build "$cache" "$EFF_SECOND"
        [ "$(compiled)" = 1 ] || die "second: $(compiled) packages were compiled"
        note second "Slurm $EFF_SECOND, $profile: 1 package compiled, $(grep -c ': cached' "$work/out") taken from the cache"
}
row_rebuild() {
        build "$cache" "${EFF_SECOND:-$EFF_FIRST}"
        [ "$(compiled)" = 0 ] || build "$cache" "${EFF_SECOND:-$EFF_FIRST}"
        note rebuild "Slurm ${EFF_SECOND:-$EFF_FIRST}, $profile"
}
row_micro() {
        local old new
        read -r old new <<<"$EFF_MICRO"
        # Nor what was compressed before.
        rm -rf "$cache/buildcache/slurm-$old"-* "$cache/buildcache/slurm-$new"-* "$cache/builds/$old"-* "$cache/builds/$new"-* "$cache/ccache"
        build "$cache" "$old"
        note micro-old "Slurm $old, $profile, nothing in ccache: $(compiled) packages compiled"
        build "$cache" "$new"
        note micro "Slurm $new, $profile, after $old: $(compiled) package compiled, with ccache"
}
row_published() {
        local release port=8099
        release=$(basename "$(ls -d "$cache/builds/${EFF_SECOND:-$EFF_FIRST}"-* | head -n 1)")
        local f=("$bin/slurm-factory" --data "$data" --cache "$cache" -q)
        "${f[@]}" keys init --repo "$work/repo" --keys "$work/keys"
        "${f[@]}" publish "$release" --layers --repo "$work/repo" --keys "$work/keys"
        (cd "$work/repo" && exec python3 -m http.server --bind 127.0.0.1 $port >/dev/null 2>&1) &
        server=$!
        sleep 1
        mkdir "$work/other"
        printf '[buildcache]\nurl = http://127.0.0.1:%s\n' $port >"$work/conf"
        timed "$bin/slurm-factory" --config "$work/conf" --data "$data" --cache "$work/other" trust "$work/repo/metadata/1.root.json"
        timed "$bin/slurm-factory" --config "$work/conf" --data "$data" --cache "$work/other" build-slurm \
                --slurm-version "${EFF_SECOND:-$EFF_FIRST}" --profile "$profile" "${place[@]}"
        [ "$(compiled)" = 0 ] || die "published: $(compiled) packages were compiled"
        grep 'packed by others' "$work/out" >/dev/null || die "published: the release was packed here"
        note published "Slurm ${EFF_SECOND:-$EFF_FIRST}, $profile: $(grep -c ': fetched in' "$work/out") layers, $(du -sm "$work/repo/buildcache" |
                cut -f1) MiB, and the packed release, $(sed -n 's/.*fetched; \(.*\) to download.*/\1/p' "$work/out"), all verified"
}
row_deltas() {
        local new bases from=() f
        read -r new bases <<<"$EFF_DELTAS"
        f=("$bin/slurm-factory" --cache "$work/cache" -q)
        mkdir -p "$work/cache/builds"
        for r in $bases $new; do cp -a "$EFF_RELEASES/builds/$r"* "$work/cache/builds/"; done
        "${f[@]}" keys init --repo "$work/repo2" --keys "$work/keys2"
        for r in $bases; do
                "${f[@]}" publish "$r" --repo "$work/repo2" --keys "$work/keys2"
                from+=(--delta-from "$r")
        done
        timed "$bin/slurm-factory" --cache "$work/cache" publish "$new" "${from[@]}" --repo "$work/repo2" --keys "$work/keys2"
        note "deltas-$new" "$new from $bases: $(sed -n 's/^delta .*: \([a-z]*\), \([0-9]*\) bytes.*/\1 \2 bytes/p' "$work/out" | paste -sd,)"
}
row_deps() {
        local old new n=0 f peak arch
        read -r old new <<<"$EFF_TREES"
        arch=$(dpkg --print-architecture)
        f=("$bin/slurm-factory" --config "$work/none" --data "$data" --cache "$work/cache3")
        "${f[@]}" -q keys init --repo "$work/repo3" --keys "$work/keys3"
        for tree in "$old" "$new"; do
                n=$((n + 1))
                "${f[@]}" -q import "$EFF_SLURM" --layer deps="$tree" --placeholder "$EFF_PREFIX" --slurm-version "24.11.$n" \
                        --toolchain bench --force
        done
        "${f[@]}" -q publish "24.11.1-bench-$arch" --repo "$work/repo3" --keys "$work/keys3"
        timed /usr/bin/time -f 'peak %M' "${f[@]}" publish "24.11.2-bench-$arch" --delta-from 24.11.1 --repo "$work/repo3" --keys "$work/keys3"
        peak=$(sed -n 's/^peak //p' "$work/out")
        note deps "$(du -sm "$new" | cut -f1) MiB in $(find "$new" -type f | wc -l) programs: $(sed -n \
                's/^delta .*: \([a-z]*, [0-9]* bytes\).*/\1/p' "$work/out"), at most $((peak / 1024)) MiB of memory"
}
for row; do "row_$row"; done
python3 "$here/efficiency-page.py" "$table" "$here/../docs"
