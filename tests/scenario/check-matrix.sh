#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The matrix as a table and as data; a plan that a shell runs and a job array's script runs, on small packages.
set -euo pipefail

factory=$top_builddir/slurm-factory
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-matrix.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export SLURM_FACTORY_CACHE_DIR=$scratch/cache
cd "$scratch"
mkdir -p data/recipes data/slurm data/toolchains mirror bin

fail() {
        echo "FAILED: $*" >&2
        [ ! -f out ] || sed 's/^/    /' out >&2
        exit 1
}
# What a plan calls slurm-factory, with the options of this test.
printf '#!/bin/sh\nexec %s --config %s/conf --data %s/data "$@"\n' "$factory" "$scratch" "$scratch" >bin/slurm-factory
chmod +x bin/slurm-factory
PATH=$scratch/bin:$PATH
printf '[mirror]\nurl = %s/mirror\n' "$scratch" >conf
# json EXPRESSION: what python makes of the object in ./out
json() { python3 -c "import json; o = json.load(open('out')); print($1)"; }

mkdir small
printf 'int main(void) { return 0; }\n' >small/main.c
printf 'install:\n\t$(CC) $(LDFLAGS) -o slurmd main.c\n\tinstall -D slurmd $(P)/sbin/slurmd\n' >small/Makefile
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small | gzip -n >mirror/small.tar.gz
printf '[toolchain]\ncflags = -O2\nldflags = -Wl,--build-id=none\n' >data/toolchains/default.ini
printf '[package]\nname = slurm\nlayer = slurm\n[step install]\nrun = make install P=@PREFIX@\n' >data/recipes/slurm.ini
for v in 9.9.1 9.9.2 9.10.1 9.11.0; do
        printf '[package]\nversion = %s\n[source]\nfile = small.tar.gz\nsha256 = %s\n' $v \
                "$(sha256sum mirror/small.tar.gz | cut -d' ' -f1)" >data/slurm/$v.ini
done
printf '[root]\nimage = example:7\n' >data/toolchains/elsewhere.ini

echo "== without matrix.ini: everything that has a recipe"
slurm-factory --json matrix --all >out 2>err
[ "$(json 'len(o["rows"])')" = 8 ] || fail "4 versions and 2 toolchains are not 8 rows"
[ "$(json 'all(r["selected"] and r["missing"] and r["why"] for r in o["rows"])')" = True ] || fail "not all missing"
slurm-factory matrix >out 2>err
[ "$(wc -l <out)" = 1 ] || fail "rows of what is nowhere"
grep -q -- '--all shows' err || fail "an empty table says nothing"
[ "$(slurm-factory --json matrix --all >out; json '{r["published"] for r in o["rows"]}')" = "{None}" ] || fail "published is not null without --repo"

echo "== matrix.ini selects: a series stands for its newest version"
printf '[matrix]\nversions = 9.9 9.10.1\narchitectures = amd64 arm64 riscv64\n' >data/matrix.ini
slurm-factory --json matrix --missing --plan >out 2>err
[ "$(json '" ".join(sorted({i["version"] for i in o["include"]}))')" = "9.10.1 9.9.2" ] || fail "versions"
[ "$(json 'len(o["include"])')" = 12 ] || fail "2 versions, 2 toolchains, 3 architectures are not 12"
[ "$(json '{i["image"] for i in o["include"] if i["toolchain"] == "elsewhere"} == {"example:7"}')" = True ] || fail "image"
[ "$(json '[sorted(i) for i in o["include"]][0] == sorted("release version toolchain arch image platform command here".split())')" = True ] ||
        fail "members of include are not those of docs/MATRIX.md"
[ "$(json 'sum(i["here"] for i in o["include"])')" = 2 ] || fail "this machine can build 2 of them"
[ "$(json '[r["why"] for r in o["rows"] if r["arch"] == "riscv64"][0]')" = "needs an riscv64 machine" ] || fail "why"
json 'sorted({r["why"] for r in o["rows"]})' | grep 'no root: slurm-factory root elsewhere' >/dev/null || fail "why not elsewhere"
slurm-factory --json matrix --all >out 2>err
[ "$(json '[r["selected"] for r in o["rows"] if r["version"] in ("9.9.1", "9.11.0")].count(True)')" = 0 ] || fail "too much is selected"
slurm-factory --json matrix --all --slurm-version 9.9 --arch arm64 --toolchain elsewhere >out
[ "$(json '" ".join(r["release"] for r in o["rows"])')" = "9.9.2-elsewhere-arm64 9.9.1-elsewhere-arm64" ] || fail "narrowed down"

echo "== the plan, by a shell loop"
slurm-factory matrix --missing --plan --slurm-version 9.9 >plan 2>out
[ "$(wc -l <plan)" = 1 ] || fail "not one line in the plan: $(cat plan)"
grep -q '9.9.2-elsewhere-amd64: not on this machine: no root' out || fail "what is left out is not said"
sh -e plan >out 2>&1 || fail "the plan does not run"
slurm-factory --json matrix >out
[ "$(json '[(r["version"], r["built"], r["cached"], r["tested"], r["missing"]) for r in o["rows"]]')" = \
        "[('9.9.2', True, True, False, False)]" ] || fail "not built and cached"
release=$(json 'o["rows"][0]["release"]')

echo "== the plan, as a job array runs it"
slurm-factory matrix --missing --plan >plan 2>out
[ "$(wc -l <plan)" = 1 ] || fail "not one line in the plan: $(cat plan)"
SLURM_ARRAY_TASK_ID=1 "$top_srcdir/etc/build-matrix.sbatch" plan >out 2>&1 || fail "the task failed"
code=0
SLURM_ARRAY_TASK_ID=2 "$top_srcdir/etc/build-matrix.sbatch" plan >out 2>&1 || code=$?
[ $code = 2 ] && grep -q 'line 2 is no build-slurm command' out || fail "a task beyond the plan: exit code $code"
echo 'rm -rf --no-preserve-root /nonexistent' >evil
code=0
SLURM_ARRAY_TASK_ID=1 "$top_srcdir/etc/build-matrix.sbatch" evil >out 2>&1 || code=$?
[ $code = 2 ] || fail "a line that is no build: exit code $code"
slurm-factory matrix --missing --plan >plan 2>out
[ ! -s plan ] || fail "still to do: $(cat plan)"

echo "== published, tested"
slurm-factory keys init --repo repo --keys keys >out 2>&1 || fail "keys"
slurm-factory publish "$release" --repo repo --keys keys >out 2>&1 || fail "publish"
echo "check-matrix" >"cache/builds/$release/tested"
slurm-factory --json matrix --repo repo >out
[ "$(json 'sorted((r["version"], r["published"], r["tested"], r["why"]) for r in o["rows"])')" = \
        "[('9.10.1', False, False, 'not published'), ('9.9.2', True, True, '')]" ] || fail "published and tested"
slurm-factory matrix --repo repo >out
grep -qE "^$release +yes +yes +yes +yes +yes$" out || fail "the table"
rm -rf cache/builds
slurm-factory --json matrix --missing --repo repo --slurm-version 9.9.2 >out 2>err
[ "$(json 'len([r for r in o["rows"] if r["release"] == "'"$release"'"])')" = 0 ] || fail "published elsewhere is not missing"

echo "== mistakes"
for words in '--toolchain elsewere' '--slurm-version 9.99' '--missing --arch sparc'; do
        code=0
        # shellcheck disable=SC2086
        slurm-factory matrix $words >out 2>&1 || code=$?
        [ $code = 2 ] && grep -q "nothing is known of .*${words##* }" out || fail "$words: exit code $code"
done
code=0
"$factory" --data "$scratch/nowhere" matrix --missing >out 2>&1 || code=$?
[ $code = 2 ] && grep -q 'no recipe of a Slurm version in .*nowhere/slurm' out || fail "no recipes: exit code $code"
printf '[matrix]\nversoins = 9.9\n' >data/matrix.ini
code=0
slurm-factory matrix >out 2>&1 || code=$?
[ $code = 2 ] && grep -q 'matrix.ini:2.*versoins' out || fail "a misspelt key: exit code $code"
for line in 'versions = 9.9 9.12' 'versions = zzz' 'toolchains = ../../x' 'toolchains = default'; do
        printf '[matrix]\n%s\n' "$line" >data/matrix.ini
        code=0
        slurm-factory matrix --missing >out 2>&1 || code=$?
        [ $code = 2 ] && grep -q "matrix.ini: ${line%% *}: there is no file for" out || fail "$line: exit code $code"
done
echo "all well"
