#!/bin/bash
# A full install against what an administrator would do by hand, and how an upgrade's cost grows.
#
#     bench/install.sh [ROUNDS]
#
# Prints a section of docs/BENCHMARKS.md. The release is 400 MB in 1,000 files: 700 of this machine's own /usr, chosen by
# a fixed shuffle, and 300 made ones that carry the placeholder. Every command starts with an empty target on the
# same file system and with the source warm in the cache; rounds are interleaved. Packing takes minutes, so repositories
# are kept in $BENCH_CACHE (default: bench-cache in the build directory; remove it when the factory packs otherwise).
# BENCH_FULL=1 adds 500 MB and 2 GB to the series. What a round made stays until the end, 2.4 GB each: an ext4 without
# journal searches long for an inode in the minute after thousands were removed, which would be measured too.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${top_builddir:-$here/..}" && pwd)
rounds=${1:-5}
cache=${BENCH_CACHE:-$bin/bench-cache}
for tool in nginx curl zstd python3 openssl perl /usr/bin/time; do
        PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
export LC_ALL=C
mkdir -p "$cache"
work=$(mktemp -d "$cache/run.XXXXXX")
server=
stop() { [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || :; server=; }
trap 'stop; rm -rf "$work"' EXIT

# At least 256 characters, never periodic, ending in a token that occurs nowhere else.
placeholder=/opt/$(seq -s, 1 60 | head -c 150)/$(seq -s, 61 100 | head -c 110)/pfxq

# --- trees and repositories, made once ----------------------------------------------------------------------------

# made_file PATH N: a text or a binary with the placeholder in it, 4 to 60 kB, the same bytes every time
made_file() {
        mkdir -p "$(dirname "$1")"
        if (($2 % 2)); then
                for ((i = 0; i < 40 + $2; i++)); do echo "$i: path = $placeholder/lib/part-$2-$((i * 7919 % 1000)).so"; done >"$1"
        else
                openssl enc -aes-128-ctr -nosalt -K "$(printf %032d "$2")" -iv 0 -in /dev/zero 2>/dev/null |
                        head -c $((4000 + $2 * 150)) >"$1" || :
                printf '\0%s/etc/%d.conf\0%s/lib\0tail' "$placeholder" "$2" "$placeholder" >>"$1"
        fi
}
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
random_file() { # PATH SEED BYTES
        openssl enc -aes-128-ctr -nosalt -K "$(printf %032d "$2")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$3" >"$1" || :
}
make_random_tree() { # DIR MEGABYTES CHANGED: files of 500 kB; in the first CHANGED of them 1,000 bytes are others
        local n path
        mkdir -p "$1/sbin"
        made_file "$1/sbin/slurmd" 300
        for ((n = 1; n <= $2 * 2; n++)); do
                path=$1/lib/$((n % 40))/$n
                mkdir -p "$(dirname "$path")"
                random_file "$path" "$n" 500000
                [ "$n" -gt "$3" ] || { random_file "$work/edit" $((n + 1000000)) 1000 &&
                        dd if="$work/edit" of="$path" bs=1000 seek=250 conv=notrunc status=none; }
        done
}
factory() { "$bin/slurm-factory" --data "$here/../etc" --cache "$work/factory" -q "$@"; }
import() { # DIR VERSION
        factory import "$1" --placeholder "$placeholder" --slurm-version "$2" --toolchain bench --force >/dev/null 2>"$work/said" ||
                { tail -n 3 "$work/said" >&2; exit 1; }
}
# repository NAME: the directory $cache/NAME/repo, filled by the function fill_NAME if it is not there yet
repository() {
        [ -d "$cache/$1" ] && return
        echo "packing $1, once ..." >&2
        mkdir "$work/$1"
        factory keys init --repo "$work/$1/repo" --keys "$work/$1/keys" >/dev/null
        "fill_${1%%-*}" "$work/$1" "${1#*-}"
        rm -rf "$work/factory"
        mv "$work/$1" "$cache/$1"
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
fill_series() { # DIR MEGABYTES
        make_random_tree "$work/old" "$2" 0
        make_random_tree "$work/new" "$2" 10
        import "$work/old" 24.11.4
        import "$work/new" 24.11.5
        rm -rf "$work/old" "$work/new"
        factory publish 24.11.4 24.11.5 --delta-from 24.11.4 --repo "$1/repo" --keys "$1/keys" >/dev/null
}

# --- serving and measuring ----------------------------------------------------------------------------------------

serve() {
        port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
        mkdir -p "$work/tmp"
        cat >"$work/nginx.conf" <<END
daemon off;
user $(id -un) $(id -gn);
pid $work/nginx.pid;
error_log $work/error.log;
events {}
http {
        access_log off; sendfile on;
        client_body_temp_path $work/tmp; proxy_temp_path $work/tmp; fastcgi_temp_path $work/tmp;
        uwsgi_temp_path $work/tmp; scgi_temp_path $work/tmp;
        server { listen 127.0.0.1:$port; root $cache; }
}
END
        PATH=$PATH:/usr/sbin nginx -p "$work" -c "$work/nginx.conf" -e "$work/error.log" &
        server=$!
        for _ in $(seq 50); do
                (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
                sleep 0.1
        done
        cat "$work/error.log" >&2
        exit 1
}
node() { # REPOSITORY ARGUMENT...: the agent on the node below $work/node
        "$bin/sf-node" --repo "http://127.0.0.1:$port/$1/repo" --root "$work/node" --toolchain bench -q "${@:2}"
}
# aside NAME: takes $work/NAME out of the way, see above
moved=0
aside() { [ ! -e "$work/$1" ] || mv "$work/$1" "$work/old-$((moved += 1))"; }
fresh_node() {
        aside node
        mkdir "$work/node"
        node "$1" trust "$cache/$1/repo/metadata/1.root.json" >/dev/null
}
# timed NAME COMMAND...: appends "seconds cpu-seconds peak-KiB" to $work/NAME.times, the command's output goes to
# $work/NAME.out. What was written before is on the disk by then.
timed() {
        sync
        /usr/bin/time -o "$work/time" -f '%e %U %S %M' "${@:2}" >"$work/$1.out"
        awk '{ print $1, $2 + $3, $4 }' "$work/time" >>"$work/$1.times"
}
timed_node() { # NAME REPOSITORY ARGUMENT...
        timed "$1" "$bin/sf-node" --repo "http://127.0.0.1:$port/$2/repo" --root "$work/node" --toolchain bench -q "${@:3}"
}
middle() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
median() { cut -d ' ' -f "$2" "$work/$1.times" | middle; }
# ratio NAME OTHER: how much longer NAME takes than OTHER, round by round
ratio() { paste -d ' ' "$work/$1.times" "$work/$2.times" | awk '{ printf "%.2f\n", $1 / $4 }' | middle; }
mebibytes() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }
fetched() { sed -nE 's/.*"bytes_fetched": ?([0-9]+).*/\1/p' "$work/$1.out"; }
thousands() { sed ':a;s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta' <<<"$1"; }

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
        timed bare "$bin/sf-node" --version
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

# --- cost against changed bytes -----------------------------------------------------------------------------------

sizes="10 100"
[ -z "${BENCH_FULL-}" ] || sizes="$sizes 500 2000"
echo
echo "### Cost of an upgrade against the size of the tree"
echo
echo "Files of 500 kB that do not compress; in 10 of them 1,000 bytes change in the second release. The upgrade takes the delta;"
echo "bytes include metadata, medians of 3 runs. A full install of the second release stands beside it."
echo
echo "| tree | upgrade: bytes | seconds | CPU seconds | full: bytes | seconds | CPU seconds |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for size in $sizes; do
        repository "series-$size"
        for _ in 1 2 3; do
                fresh_node "series-$size"
                timed_node "full-$size" "series-$size" --json install 24.11.5
                fresh_node "series-$size"
                node "series-$size" install 24.11.4 >/dev/null
                timed_node "step-$size" "series-$size" --json install 24.11.5
        done
        echo "| $size MB | $(thousands "$(fetched "step-$size")") | $(median "step-$size" 1) | $(median "step-$size" 2)" \
                "| $(thousands "$(fetched "full-$size")") | $(median "full-$size" 1) | $(median "full-$size" 2) |"
done
