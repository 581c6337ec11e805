#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pair of releases as a micro release makes it: Slurm 24.11.5 from the source that `make demo` fetched, and the same with
# bug fixes in some sixty source files (bench/edit-sources.py).
#
#     bench/micro.sh OUT [CC] [CFLAGS]
#
# Leaves OUT/old and OUT/new, stripped install trees. Takes some minutes; nothing is installed on this machine. A CC that compiles
# for another machine (aarch64-linux-gnu-gcc) cross-compiles.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${top_builddir:-$here/..}" && pwd)
mkdir -p "${1:?directory for the trees}"
out=$(cd "$1" && pwd) cc=${2:-gcc} flags=${3:--O2 -g0}
command -v "$cc" >/dev/null || { echo "skipped: no $cc here"; exit 77; }
host=$("$cc" -dumpmachine) strip=strip
[ "$host" = "$(gcc -dumpmachine)" ] || strip=$host-strip
archive=$(find "$bin/demo/cache/sources" -name '*slurm-wlm_24.11.5.orig.tar.gz' 2>/dev/null | head -n 1)
[ -n "$archive" ] || { echo "skipped: Slurm's source is missing (make demo fetches it)"; exit 77; }

work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
# At least 256 characters, never periodic, ending in a token that occurs nowhere else.
prefix=/opt/$(seq -s_ 1 60 | head -c 150)/$(seq -s_ 61 100 | head -c 110)/pfxq
# For another machine nothing of this one's libraries is found: their .pc files least of all.
foreign=()
[ "$strip" = strip ] || foreign=(PKG_CONFIG_LIBDIR=/nonexistent)
quietly() { (cd "$work/slurm" && env -i PATH="$PATH" HOME=/ LC_ALL=C "${foreign[@]}" CC="$cc" CFLAGS="$flags" "$@") >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; exit 1; }; }
build() { # TREE
        quietly make -j"$(nproc)" -C src
        quietly make -C src install DESTDIR="$work/root"
        rm -rf "${out:?}/$1"
        mv "$work/root$prefix" "$out/$1"
        rm -rf "$work/root"
        find "$out/$1" -name '*.la' -delete
        find "$out/$1" -type f -exec "$strip" {} + 2>/dev/null || : # what is no program is left alone
}
mkdir "$work/slurm"
tar -xf "$archive" -C "$work/slurm" --strip-components=1
quietly ./configure --host="$host" --prefix="$prefix" --sysconfdir=/etc/slurm --localstatedir=/var --disable-debug --disable-static \
        --disable-sview --disable-gtktest --disable-glibtest --disable-slurmrestd --without-mysql_config --without-hwloc \
        --without-rdkafka --without-munge
build old
echo "$(python3 "$here/edit-sources.py" "$work/slurm/src") source files edited"
build new
