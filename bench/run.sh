#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every benchmark in one run: prints docs/BENCHMARKS.md. `make bench` calls it.
#
#     bench/run.sh
#
# Most releases are those that `make demo` and tests/system/check-import.sh built; others are built once and kept. A tool that is
# missing is skipped, and said so.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top_builddir=$(cd "${top_builddir:-$here/..}" && pwd)
export top_builddir LC_ALL=C
demo=$top_builddir/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A tool that says it is missing (77) leaves a line in the page; a failure ends the run.
section() {
        local r=0
        echo
        echo "running: $*" >&2
        "$@" >"$work/section" || r=$?
        case $r in
        0) cat "$work/section" ;;
        77) echo "Skipped: $(basename "$1"): $(tail -n 1 "$work/section")" | tee /dev/stderr ;;
        *) cat "$work/section" >&2; exit "$r" ;;
        esac
}
# canonical RELEASE: unpacks a built release's layers in the form that deltas are made between
canonical() {
        local blob
        mkdir -p "$work/$1"
        for blob in "$demo/cache/builds/$1"/blobs/*/*; do
                zstd -q -dc "$blob" 2>/dev/null | tar -x --strip-components=3 -C "$work/$1" 2>/dev/null || : # file lists are blobs, too
        done
}
version() { { "$@" 2>&1 || :; } | grep -oE '[0-9]+\.[0-9.]*[0-9]|^casync [0-9]+' | sed -n '1{s/.* //;p}'; }
tools() {
        local tool
        for tool in rdiff rsync bsdiff xdelta3 zstd casync ostree patchelf curl tar nginx; do
                if ! PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null; then
                        echo "$tool: not installed"
                elif [ "$tool" = nginx ]; then
                        echo "nginx $(PATH=$PATH:/usr/sbin version nginx -v)"
                elif [ "$tool" = bsdiff ]; then
                        echo "bsdiff" # does not tell
                elif [ "$tool" = xdelta3 ]; then
                        echo "xdelta3 $(version xdelta3 -V)"
                else
                        echo "$tool $(version "$tool" --version)"
                fi
        done | paste -sd, | sed 's/,/, /g'
}

cat <<END
# Benchmarks

Made by \`make bench\` on $(date -u +%Y-%m-%d); nothing here is written by hand. To repeat: \`make demo\`, \`make check-system\` (they
build the releases, about 10 minutes), then \`make bench\` in the same directory (the first run builds micro releases, packs the install benchmark's
release and trees of up to 2 GB, some minutes; they are kept in bench-cache).

- machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB memory,
  Linux $(uname -r), load when it began $(cut -d ' ' -f 1 /proc/loadavg)
- system: $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)
- tools: $(tools)

Seconds are wall time. Times of a busy or virtual machine differ from run to run: compare rows of one table only.
END

# Releases that `make demo` has not built are built here, once.
release() { # VERSION
        ls -d "$demo/cache/builds/$1"-* >/dev/null 2>&1 ||
                "$top_builddir/slurm-factory" --data "$here/../etc" --cache "$demo/cache" -q build-slurm --profile minimal --slurm-version "$1" >&2
        basename "$(ls -d "$demo/cache/builds/$1"-* | head -n 1)"
}
# micro NAME COMPILER FLAGS: a micro release made with these, once
micro() {
        local pair=${BENCH_CACHE:-$top_builddir/bench-cache}/$1
        [ -d "$pair/new" ] || section "$here/micro.sh" "$pair" "$2" "$3" >&2
        [ ! -d "$pair/new" ] || section "$here/delta-vs-public.sh" "$pair/old" "$pair/new" "24.11.5, sixty source files edited, $2 $3 (micro)"
}
micro micro gcc '-O2 -g0'
micro micro-O3 gcc '-O3 -g0 -march=x86-64-v3'
old=$(release 22.05.8)
new=$(release 24.11.5)
canonical "$old"
canonical "$new"
section "$here/delta-vs-public.sh" "$work/$old" "$work/$new" "$old to $new (major)"

echo
echo "## Relocation against patchelf"
plain=$(find "$demo/plain/prefix" -type d -name pfxq 2>/dev/null || :)
if [ -n "$plain" ]; then
        section "$here/relocate-vs-patchelf.sh" "$plain" "$plain" | sed 's/^\([^ ].*\)$/    \1/'
else
        echo
        echo "Skipped: $demo/plain is missing (tests/system/check-import.sh builds it)" | tee /dev/stderr
fi
section "$here/install.sh"
section "$here/series.sh"
agent=static-build/$(dpkg --print-architecture 2>/dev/null)/sf-node
[ ! -x "$agent" ] || section "$here/start.sh" "$agent"
