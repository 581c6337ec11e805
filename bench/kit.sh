# SPDX-License-Identifier: Apache-2.0
# What the benchmarks of installs and upgrades share; sourced, with `set -euo pipefail`.
#
# Trees and repositories are made once and kept in $BENCH_CACHE (default: bench-cache in the build directory). Leaves $cache,
# $work (removed at exit), $bin and $here behind; a missing tool ends the script with 77.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${top_builddir:-$here/..}" && pwd)
cache=${BENCH_CACHE:-$bin/bench-cache}
for tool in nginx curl zstd python3 openssl perl /usr/bin/time; do
        PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
export LC_ALL=C
. "$here/../tests/kit/nginx.sh"
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
factory() { "$bin/slurm-factory" --data "$here/../etc" --cache "$work/factory" -q "$@"; }
import() { # DIR VERSION
        factory import "$1" --placeholder "$placeholder" --slurm-version "$2" --toolchain bench --force >/dev/null 2>"$work/said" ||
                { tail -n 3 "$work/said" >&2; exit 1; }
}
# repository NAME: the directory $cache/NAME/repo, filled by the function fill_NAME if this slurm-factory has not done it yet
repository() {
        [ ! "$cache/$1" -nt "$bin/slurm-factory" ] || return 0
        echo "packing $1, once ..." >&2
        rm -rf "${cache:?}/$1"
        mkdir "$work/$1"
        factory keys init --repo "$work/$1/repo" --keys "$work/$1/keys" >/dev/null
        "fill_${1%%-*}" "$work/$1" "${1#*-}"
        rm -rf "$work/factory"
        mv "$work/$1" "$cache/$1"
}

# --- serving and measuring ----------------------------------------------------------------------------------------

serve() {
        nginx_port
        nginx_configure "$work" <<END
        access_log off; sendfile on;
        server { listen 127.0.0.1:$port; root $cache; }
END
        nginx=$(PATH=$PATH:/usr/sbin command -v nginx)
        nginx_start "$work" >&2 || exit 1
        server=$pid
}
node() { # REPOSITORY ARGUMENT...: the agent on the node below $work/node
        "${SF_NODE:-$bin/sf-node}" --repo "http://127.0.0.1:$port/$1/repo" --root "$work/node" --toolchain bench -q "${@:2}"
}
fresh_node() {
        rm -rf "$work/node"
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
        timed "$1" "${SF_NODE:-$bin/sf-node}" --repo "http://127.0.0.1:$port/$2/repo" --root "$work/node" --toolchain bench -q "${@:3}"
}
middle() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
median() { cut -d ' ' -f "$2" "$work/$1.times" | middle; }
fetched() { sed -nE 's/.*"bytes_fetched": ?([0-9]+).*/\1/p' "$work/$1.out"; }
thousands() { sed ':a;s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta' <<<"$1"; }
