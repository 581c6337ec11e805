#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A full install against what an administrator would do by hand.
#
#     bench/install.sh [ROUNDS]
#
# Prints a section of docs/BENCHMARKS.md. The release is 400 MB in 1,000 files: 700 of this machine's own /usr, chosen by
# a fixed shuffle, and 300 made ones that carry the placeholder. Every command starts with an empty target on the
# same file system and with the source warm in the cache; rounds are interleaved. Packing takes minutes, so repositories
# are kept in $BENCH_CACHE (see bench/kit.sh; remove it when the factory packs otherwise). What a round made stays until the end,
# 2.4 GB each: an ext4 without journal searches long for an inode in the minute after thousands were removed, which would be
# measured too.
set -euo pipefail

. "$(dirname "$0")/kit.sh"
rounds=${1:-5}

# --- trees and repositories, made once ----------------------------------------------------------------------------

make_usr_tree() { # DIR: 1,000 files, about 400 MB
        local n=0
        mkdir -p "$1/sbin"
        find /usr/{bin,lib/*-linux-gnu,share} -xdev -type f -size +220k -size -1800k | sort -R --random-source=<(seq 100000) |
                sed -n 1,700p >"$work/chosen"
        while IFS= read -r path; do
                n=$((n + 1))
                mkdir -p "$1/lib/$((n % 40))"
                install -m 644 "$path" "$1/lib/$((n % 40))/$n-$(basename "$path")"
        done <"$work/chosen"
        for ((n = 1; n < 300; n++)); do made_file "$1/share/$((n % 10))/made-$n" "$n"; done
        made_file "$1/sbin/slurmd" 300
}
fill_usr() {
        make_usr_tree "$1/tree"
        import "$1/tree" 24.11.5
        factory publish 24.11.5 --repo "$1/repo" --keys "$1/keys" >/dev/null
        tar -C "$1/tree" --owner=0 --group=0 --sort=name -cf "$work/tree.tar" .
        gzip -6 -c "$work/tree.tar" >"$1/repo/tree.tar.gz"
        zstd -q "$work/tree.tar" -o "$1/repo/tree.tar.zst"
        rm "$work/tree.tar"
}

# --- measuring ----------------------------------------------------------------------------------------------------

# aside NAME: takes $work/NAME out of the way, see above
moved=0
aside() { [ ! -e "$work/$1" ] || mv "$work/$1" "$work/old-$((moved += 1))"; }
fresh_node() {
        aside node
        mkdir "$work/node"
        node "$1" trust "$cache/$1/repo/metadata/1.root.json" >/dev/null
}
# ratio NAME OTHER: how much longer NAME takes than OTHER, round by round
ratio() { paste -d ' ' "$work/$1.times" "$work/$2.times" | awk '{ printf "%.2f\n", $1 / $4 }' | middle; }
mebibytes() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }

# What the syncs cost is seen by leaving them out, which only this benchmark can.
without_syncs() {
        cat >"$work/nosync.c" <<END
int fsync(int fd);
int sync_file_range(int fd, long offset, long length, unsigned flags);
int fsync(int fd) { return fd < 0; }
int sync_file_range(int fd, long offset, long length, unsigned flags) { return fd < 0 && offset && length && flags; }
END
        "${CC:-cc}" -shared -fPIC -o "$work/nosync.so" "$work/nosync.c"
}

# compare: the node's tree against the one it was made of. Only files with the placeholder differ: a text says the node's
# path instead, a binary says it padded with slashes to the same length.
compare() {
        local there=$work/node/opt/slurm/releases/24.11.5-bench own=/opt/slurm/releases/24.11.5-bench padded
        node usr verify >/dev/null
        cp -r "$cache/usr/tree" "$work/expected"
        padded=$(printf '%s%*s' "$own" $((${#placeholder} - ${#own})) '' | tr ' ' /)
        (
                cd "$work/expected"
                grep -rlF "$placeholder" . >"$work/carriers"
                replace() { FROM=$placeholder TO=$1 xargs perl -pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g'; }
                grep -rlIF "$placeholder" . | replace "$own"
                grep -rlF "$placeholder" . | replace "$padded"
        )
        diff -r --exclude=.sf-release "$work/expected" "$there" >"$work/differences" ||
                { head -n 5 "$work/differences" >&2; echo "the trees differ" >&2; exit 1; }
        aside expected
}

row() { # TITLE NAME
        echo "| $1 | $(median "$2" 1) | $(ratio "$2" sf) | $(median "$2" 2) | $(mebibytes "$(median "$2" 3)") |"
}
# windows: KiB of decoded frames that a node holds at most: the largest frame, once for each decoder
windows() {
        local list=$work/node/opt/slurm/releases/24.11.5-bench/.sf-release/filelist decoders
        decoders=$(nproc)
        [ "$decoders" -le 8 ] || decoders=8
        awk -v n="$decoders" '$1 == "frame" && $3 > max { max = $3 } END { printf "%d", n * max / 1024 }' "$list"
}
# marks: the sentences below the table
marks() {
        local peak
        peak=$(median sf 3)
        echo "Without syncs \`sf-node install\` takes $(ratio sf-nosync cp) times as long as \`cp -r\`; with them $(ratio sf cp-sync) times" \
                "as long as \`cp -r\` and a sync of every file. \`curl | tar xzf\`, which syncs nothing, takes $(ratio tar-gz sf) times as long as \`sf-node install\` with syncs."
        echo "(Large files go past the page cache: their way to the disk is in both rows. Ratios are medians of each round's own.)"
        echo "Of the $(mebibytes "$peak") MiB, $(mebibytes "$window") MiB are windows: the largest frame's content, once for each of" \
                "the decoders, of which there is one per processor. $(mebibytes $((peak - window))) MiB are everything else, of which" \
                "$(mebibytes "$(median bare 3)") MiB are the program and its libraries (\`sf-node --version\`)."
}

# --- install ------------------------------------------------------------------------------------------------------

repository usr
serve
without_syncs
tree=$cache/usr/tree url=http://127.0.0.1:$port/usr/repo
find "$cache/usr" -type f -exec cat {} + >"$work/warm" && rm "$work/warm"
for ((round = 0; round < rounds; round++)); do
        fresh_node usr
        timed_node sf usr --json install 24.11
        [ "$round" -gt 0 ] || { compare; window=$(windows); }
        fresh_node usr
        LD_PRELOAD=$work/nosync.so timed_node sf-nosync usr --json install 24.11
        timed bare "${SF_NODE:-$bin/sf-node}" --version
        timed cp cp -r "$tree" "$work/copy"
        aside copy
        timed cp-sync bash -c 'cp -r "$1" "$2" && find "$2" -exec sync {} +' - "$tree" "$work/copy"
        aside copy
        mkdir "$work/copy"
        timed tar-gz bash -c 'curl -s "$1" | tar xzf - -C "$2"' - "$url/tree.tar.gz" "$work/copy"
        aside copy
        mkdir "$work/copy"
        timed tar-zst bash -c 'curl -s "$1" | tar --zstd -xf - -C "$2"' - "$url/tree.tar.zst" "$work/copy"
        aside copy
done

echo "## Install"
echo
echo "$(find "$tree" -type f | wc -l) files, $(thousands "$(find "$tree" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')")" \
        "bytes, $(wc -l <"$work/carriers") of them with the placeholder; nginx on loopback; medians of $rounds interleaved rounds."
echo "\`sf-node install\` fetched $(thousands "$(fetched sf)") bytes, metadata included (tar.gz" \
        "$(thousands "$(stat -c %s "$cache/usr/repo/tree.tar.gz")"), tar.zst" \
        "$(thousands "$(stat -c %s "$cache/usr/repo/tree.tar.zst")")). Its tree passed \`sf-node verify\` and, with the placeholder's"
echo "place taken by the node's path, \`diff -r\` against the original. \"ratio\" is the command's time in units of the first row's."
echo
echo "| command | seconds | ratio | CPU seconds | peak MiB |"
echo "| --- | ---: | ---: | ---: | ---: |"
row "sf-node install (verified, relocated, every file synced)" sf
row "the same without its syncs" sf-nosync
row "cp -r" cp
row "cp -r, then sync of every file" cp-sync
row "curl \\| tar xzf" tar-gz
row "curl \\| tar --zstd -x" tar-zst
echo
marks
