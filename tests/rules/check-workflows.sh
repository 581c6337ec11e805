#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .github/workflows: their structure (workflows.py), and the lines that need no GitHub, run as they stand there.
set -euo pipefail
python3 -c 'import yaml' 2>/dev/null || { echo "skipped: no python3-yaml here"; exit 77; }
cd "$top_srcdir"
python3 -B tests/rules/workflows.py check "$top_builddir"

command -v jq >/dev/null || { echo "skipped: the lines themselves, no jq here"; exit 0; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-workflows.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
ln -s "$top_srcdir/etc" "$top_srcdir/.github" "$top_builddir/slurm-factory" "$scratch/"
stage1=.github/workflows/build-and-publish-slurm-dependencies.yml
stage2=.github/workflows/build-and-publish-slurm.yml
export SLURM_FACTORY_CACHE_DIR=$scratch/cache

fail() {
        echo "FAILED: $*" >&2
        exit 1
}
# run FILE JOB WORD: runs the step of that job whose lines hold the word, as GitHub would: sh -e, or what it says
run() {
        local lines
        lines=$(python3 -B "$top_srcdir/tests/rules/workflows.py" step "$top_srcdir/$1" "$2" "$3")
        (cd "$scratch" && "${lines%%$'\n'*}" -e <<<"${lines#*$'\n'}") || return 1
}
# plan FILE VERSIONS TOOLCHAINS ARCHITECTURES: the matrix that the workflow would build
plan() {
        : >"$scratch/output"
        VERSIONS=$2 TOOLCHAINS=$3 ARCHITECTURES=$4 GITHUB_OUTPUT=$scratch/output run "$1" plan matrix.jq 2>"$scratch/err" &&
                sed -n 's/^include=//p' "$scratch/output"
}
names=$(plan $stage2 25.05 'bookworm,noble' amd64 | jq -r '.[].release' | sort | xargs)
[ "$names" = "25.05.8-bookworm-amd64 25.05.8-noble-amd64" ] || fail "stage 2 would build: $names"
[ "$(plan $stage2 '["25.05"]' '["noble"]' '' | jq -r '.[].runner' | sort | xargs)" = "ubuntu-24.04 ubuntu-24.04-arm" ] ||
        fail "a JSON list, every architecture: $(cat "$scratch/output")"
all=$(plan $stage2 all all all | jq length)
[ "$all" -gt 50 ] && [ "$(plan $stage2 '' '' '' | jq length)" = "$all" ] || fail "all is $all"
deps=$(plan $stage1 all all all | jq -r '.[] | .toolchain + " " + .arch')
[ "$(wc -l <<<"$deps")" = "$(sort -u <<<"$deps" | wc -l)" ] && [ "$(wc -l <<<"$deps")" -gt 10 ] || fail "stage 1 builds twice: $deps"
for words in '25.1 all all' 'all nobel all' 'all all amd46'; do
        # shellcheck disable=SC2086
        ! plan $stage2 $words >/dev/null || fail "$words: a word that names nothing was accepted"
        grep -q 'nothing is called' "$scratch/err" || fail "$words: $(cat "$scratch/err")"
done
echo "the plans are right"

# The keys of a repository as secrets, its root as a variable.
(cd "$scratch" && ./slurm-factory keys init --repo repo --keys made) >"$scratch/log" 2>&1 || fail "keys init: $(cat "$scratch/log")"
cp "$scratch/repo/metadata/timestamp.json" "$scratch/before"
SNAPSHOT_KEY=$(cat "$scratch/made/snapshot.1.pem") TIMESTAMP_KEY=$(cat "$scratch/made/timestamp.1.pem") \
        run $stage2 refresh SNAPSHOT_KEY || fail "the keys of refresh"
REPOSITORY=repo run $stage2 refresh ' refresh ' >"$scratch/log" 2>&1 || fail "refresh: $(cat "$scratch/log")"
! cmp -s "$scratch/before" "$scratch/repo/metadata/timestamp.json" || fail "refresh signed nothing"
run $stage2 refresh 'rm -rf keys'
[ ! -e "$scratch/keys" ] || fail "keys stay behind"
ROOT_JSON=$(cat "$scratch/repo/metadata/1.root.json") URL=http://127.0.0.1:1/ run $stage2 build ' trust ' >"$scratch/log" 2>&1 ||
        fail "trust: $(cat "$scratch/log")"
grep -qx 'url = http://127.0.0.1:1/' "$scratch/cache.conf" || fail "cache.conf: $(cat "$scratch/cache.conf")"
rm "$scratch/cache.conf"
run $stage2 build 'touch cache.conf'
(cd "$scratch" && ./slurm-factory --config cache.conf --data etc matrix) >/dev/null || fail "an empty configuration is refused"
echo "refresh, its keys and trust do what they should"

# Both builds and the publication, of small packages instead of Slurm.
cd "$scratch"
rm etc
mkdir -p etc/recipes etc/slurm etc/toolchains mirror small artifacts
printf 'int main(void) { return 0; }\n' >small/main.c
printf 'install:\n\t$(CC) $(LDFLAGS) -o slurmd main.c\n\tinstall -D slurmd $(P)/$(D)/slurmd\n' >small/Makefile
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small | gzip -n >mirror/small.tar.gz
digest=$(sha256sum mirror/small.tar.gz | cut -d' ' -f1)
printf '[toolchain]\ncflags = -O2\nldflags = -Wl,--build-id=none\n' >etc/toolchains/default.ini
source="[source]\nfile = small.tar.gz\nsha256 = $digest\n[step install]\nrun = make install P=@PREFIX@"
# shellcheck disable=SC2059  # the format is a recipe
{
        printf "[package]\nname = slurm\nlayer = slurm\ndepends = a\n" >etc/recipes/slurm.ini
        printf "[package]\nname = a\nversion = 1\n$source D=libexec\n" >etc/recipes/a.ini
        printf "[package]\nversion = 9.9.1\n$source D=sbin\n" >etc/slurm/9.9.1.ini
}
printf '[mirror]\nurl = %s/mirror\n' "$scratch" >cache.conf
host=$(./slurm-factory --data etc --json matrix --all --plan | jq -r '[.include[] | select(.here)][0].toolchain')
TOOLCHAIN=$host run $stage1 build ' build-deps ' >log 2>&1 || fail "build-deps: $(cat log)"
TOOLCHAIN=$host VERSION=9.9.1 run $stage2 build ' build-slurm ' >log 2>&1 || fail "build-slurm: $(cat log)"
run $stage2 build 'release.tar' || fail "no tar file"
release=$(ls cache/builds)
mkdir "artifacts/release-$release" && mv release.tar "artifacts/release-$release" && mv cache built
run $stage2 publish 'artifacts/' && diff -r built/builds cache/builds || fail "what publish gets is not what was built"
SNAPSHOT_KEY=$(cat made/snapshot.1.pem) TIMESTAMP_KEY=$(cat made/timestamp.1.pem) RELEASES_KEY=$(cat made/releases.1.pem) \
        BUILDCACHE_KEY=$(cat made/buildcache.1.pem) run $stage2 publish SNAPSHOT_KEY || fail "the keys of publish"
REPOSITORY=repo run $stage2 publish ' publish ' >log 2>&1 || fail "publish: $(cat log)"
[ "$(./slurm-factory --data etc --cache none --json matrix --repo repo | jq -r '.rows[] | select(.published) | .release')" = "$release" ] ||
        fail "$release is not in the repository"
echo "both stages build and publish"
