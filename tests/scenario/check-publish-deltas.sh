#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several deltas of one publication are made at a time: their bytes are those of one after the other, also where memory is short
# and each has to be made alone; one that no memory suffices for is left out, and the others are there.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
unset SLURM_FACTORY_CACHE_DIR
export SOURCE_DATE_EPOCH=1700000000
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-deltas.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
: >said
fail() { echo "FAILED: $*" >&2; tail -n 20 said >&2; exit 1; }
factory() { "$top_builddir/slurm-factory" --cache "$scratch/cache" --data "$top_srcdir/etc" "$@" >>said 2>&1; }
placeholder=/media/$(printf 'x%.0s' {1..280})

# A program of a few hundred functions, some of which are other ones in each version.
program() { # VERSION
        awk -v v="$1" 'BEGIN {
                for (i = 0; i < 400; i++)
                        printf "int f%d(int a, int b) { for (int i = 0; i < a; i++) b = b * %d + (a ^ %d); return b %s f%d(a, b); }\n",
                               i, i % 17 == v ? i + v : i + 3, i % 40 == 2 * v ? v * 7919 : i, i % 3 ? "+" : "-", i ? i - 1 : 0
                print "int main(int c, char **v) { return f399(c, v[0][0]); }"
        }' >p.c
        ${CC:-gcc} -O2 -o tree/sbin/slurmd p.c
}
mkdir -p tree/sbin tree/share
for v in 1 2 3 4 5; do
        program $v
        { seq "$((v * 20))" 9000; seq 100; } >tree/share/table
        factory import tree --placeholder "$placeholder" --slurm-version "24.11.$v" --toolchain test || fail "import"
done

publish() { local at=$1; shift; factory publish "$@" --repo "$at/repo" --keys "$at/keys" || fail "publish $* in $at"; }
begin() { mkdir "$1" && factory keys init --repo "$1/repo" --keys "$1/keys" && publish "$1" 24.11.1 24.11.2 24.11.3; }
offered() { # DIRECTORY : name, and the deltas by their bases, whatever their order
        python3 - "$1/repo" <<'END'
import glob, json, sys
best = max((json.load(open(f)) for f in glob.glob(sys.argv[1] + "/targets/index/*.json")),
           key=lambda i: sum(len(r["deltas"]) for r in i["releases"]))
for r in sorted(best["releases"], key=lambda r: r["name"]):
    for d in sorted(r["deltas"], key=lambda d: d["from"]):
        print(r["name"], d["from"], d["codec"], d["content"]["sha256"], d["content"]["size"], d["filelist"]["sha256"])
END
}
for r in one together short; do begin $r; done

echo "== one after the other, and together"
for v in 4 5; do
        publish one 24.11.$v
        for base in 1 2 3; do publish one 24.11.$v --delta-from 24.11.$base; done
done
: >said
publish together 24.11.4 24.11.5 --delta-from 24.11.1 --delta-from 24.11.2 --delta-from 24.11.3 --delta-from 24.11.2
[ "$(grep -c '^delta .*: elf, ' said)" = 6 ] || fail "not six deltas"
offered one >one.list
[ "$(wc -l <one.list)" = 6 ] || fail "$(wc -l <one.list) deltas one by one"
offered together | diff one.list - || fail "other deltas together"
: >said
publish together 24.11.4 24.11.5 --delta-from 24.11.1 --delta-from 24.11.2
! grep '^delta ' said || fail "made again what was there"

if ! nm -D "$top_builddir/slurm-factory" 2>/dev/null | grep __asan >/dev/null; then
        echo "== with little memory: each by itself, and the same"
        : >said
        (ulimit -v 700000 && publish short 24.11.4 24.11.5 --delta-from 24.11.1 --delta-from 24.11.2 --delta-from 24.11.3)
        offered short | diff one.list - || fail "other deltas with little memory"
else
        echo "   not tried: little memory (a sanitizer needs its own)"
fi
echo "all well"
