#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a plan says before anything is built, and what the build then does: patches, words that a version takes away, one
# archive for two recipes, layers, independent packages side by side, a failure that others survive, sources mirrored and
# used without a network.
set -euo pipefail

factory=$top_builddir/slurm-factory
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-plan.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SLURM_FACTORY_CACHE_DIR
mkdir -p data/recipes/patches data/slurm data/toolchains data/profiles mirror
printf '[mirror]\nurl = mirror\n' >conf
printf '[toolchain]\ncflags = -O2 -g0\nldflags = -Wl,--build-id=none\n' >data/toolchains/default.ini

fail() {
        echo "FAILED: $*" >&2
        [ ! -f out ] || sed 's/^/    /' out >&2
        exit 1
}
run() { # run WANTED-EXIT-CODE VERB...: output in ./out
        local wanted=$1 code=0
        shift
        "$factory" --config conf --data data --cache cache "$@" >out 2>&1 || code=$?
        [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
}
expect() { grep -q -- "$1" out || fail "no \"$1\" in the output"; }
refuse() { ! grep -q -- "$1" out || fail "\"$1\" in the output"; }
digest() { sha256sum "$1" | cut -d' ' -f1; }

# One archive with two packages in it and a third beside them.
mkdir -p both-1.0/sub/a both-1.0/sub/b
for p in a b; do
        printf 'all:\n\tsleep $(WAIT)\ninstall:\n\tinstall -D -m 644 text $(P)/share/%s\n' $p >both-1.0/sub/$p/Makefile
        echo "text of $p" >both-1.0/sub/$p/text
done
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 both-1.0 | gzip -n >mirror/both-1.0.tar.gz
cat >data/recipes/patches/b.patch <<'END'
--- a/text
+++ b/text
@@ -1 +1 @@
-text of b
+patched text of b
END
recipe() { # recipe NAME EXTRA...: lines of [package]; the rest is the same
        local name=$1
        shift
        printf '[package]\nname = %s\nversion = 1.0\n' "$name"
        printf '%s\n' "$@"
        printf '[source]\nfile = both-1.0.tar.gz\nsha256 = %s\ndirectory = sub/%s\n' "$(digest mirror/both-1.0.tar.gz)" "$name"
        printf '[step make]\nrun = make WAIT=0.1\n[step install]\nrun = make install P=@PREFIX@\n'
}
recipe a >data/recipes/a.ini
{ recipe b; printf '[patch text]\nfile = b.patch\nsha256 = %s\n' "$(digest data/recipes/patches/b.patch)"; } >data/recipes/b.ini
mkdir -p c-1.0
printf 'install:\n\tinstall -D -m 644 Makefile $(P)/mpi/share/c\n' >c-1.0/Makefile
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 c-1.0 | gzip -n >mirror/c-1.0.tar.gz
cat >data/recipes/c.ini <<END
[package]
name = c
version = 1.0
layer = mpi
[source]
file = c-1.0.tar.gz
sha256 = $(digest mirror/c-1.0.tar.gz)
[step install]
run = make install P=@PREFIX@
END
mkdir -p small-9.9.1
printf 'int main(void) { return 0; }\n' >small-9.9.1/main.c
printf 'slurmd: main.c\n\t$(CC) -o $@ main.c\ninstall: slurmd\n\ttest ! -e $(P)/mpi\n\tinstall -D slurmd $(P)/sbin/slurmd\n\techo $(WORDS) >$(P)/words\n' >small-9.9.1/Makefile
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small-9.9.1 | gzip -n >mirror/small-9.9.1.tar.gz
cat >data/recipes/slurm.ini <<'END'
[package]
name = slurm
layer = slurm
depends = a b
also = c
[step install]
run = make install P=@PREFIX@ "WORDS=one" --no-print-directory
END
for v in 9.9.1 9.9.2 9.10.1; do
        printf '[package]\nversion = %s\n[source]\nfile = small-9.9.1.tar.gz\nsha256 = %s\n' $v "$(digest mirror/small-9.9.1.tar.gz)" >data/slurm/$v.ini
done
printf '[step install]\ndrop = WORDS=*\nrun = "WORDS=two"\n' >>data/slurm/9.10.1.ini
printf '[package]\nbuild = less\ndrop-depends = b\ndrop-also = c\n' >data/profiles/less.ini

echo "== before anything is built"
run 0 build-slurm --slurm-version 9.9 --dry-run
expect '^build  a 1.0: never built here$'
expect '^build  slurm 9.9.2: never built here$'
[ ! -e cache/work/* ] && [ -z "$(ls cache/buildcache)" ] || fail "a dry run built something"

echo "== one archive, two recipes, a patch, a layer of its own"
run 0 build-slurm --slurm-version 9.9.1 --jobs 2
[ "$(ls cache/sources | wc -l)" = 3 ] || fail "sources: $(ls cache/sources)"
grep -qx 'text of a' cache/buildcache/a-1.0-*/tree/share/a || fail "package a is not what its directory holds"
grep -qx 'patched text of b' cache/buildcache/b-1.0-*/tree/share/b || fail "the patch was not applied"
toolchain=$(sed -n 's/^toolchain //p' cache/buildcache/a-*/key | tr ' ' -)
release=cache/builds/9.9.1-$toolchain
grep -q ' mpi/share/c$' "$release/filelist" || fail "the mpi layer is not in the release"
[ "$(grep -c '^layer ' "$release/filelist")" = 3 ] || fail "not three layers: $(grep '^layer ' "$release/filelist")"
[ "$(grep '^layer ' "$release/filelist" | grep -o 'deps\|mpi\|slurm' | xargs)" = "deps mpi slurm" ] || fail "the layers' order"
grep -qx one cache/buildcache/slurm-9.9.1-*/tree/words || fail "words of the common file"

echo "== another version: only Slurm, and the words that it takes away"
run 0 build-slurm --slurm-version 9.10 --dry-run
expect '^reuse  a 1.0$'
expect '^reuse  c 1.0$'
expect '^build  slurm 9.10.1: "package slurm 9.10.1\|^build  slurm 9.10.1: package ... "9.10.1" instead of "9.9.1"'
run 0 build-slurm --slurm-version 9.10
grep -qx two cache/buildcache/slurm-9.10.1-*/tree/words || fail "the version's words"
[ "$(grep -c ': building' out)" = 1 ] || fail "more than Slurm was built"

echo "== a profile has another name and fewer packages"
run 0 build-slurm --slurm-version 9.9.1 --profile less
[ -d "$release-less" ] || fail "no release with the profile's word: $(ls cache/builds)"
! grep -q 'share/b$\|mpi/share/c$' "$release-less/filelist" || fail "the profile left out nothing"
run 2 build-slurm --slurm-version 9.9.1 --profile none
expect 'there is no profile none'
mkdir data/options
printf '[step install]\ndrop = WORDS=*\nrun = "WORDS=optional"\n' >data/options/words.ini
printf '[package]\nbuild = more\noptions = words\n' >data/profiles/more.ini
run 0 build-slurm --slurm-version 9.9.1 --profile more
[ -d "$release-more" ] || fail "no release with the option: $(ls cache/builds)"
[ "$(cat cache/buildcache/slurm-9.9.1-*/tree/words | sort | xargs)" = "one one optional" ] || fail "the option's words: $(cat cache/buildcache/slurm-9.9.1-*/tree/words)"
for o in s2n llhttp nvml; do
        cp "$top_srcdir/etc/options/$o.ini" data/options/
        printf '[package]\nbuild = more\noptions = words %s\n' $o >data/profiles/more.ini
        run 3 build-slurm --slurm-version 9.9.1 --profile more --dry-run
        expect "option $o: .* (.*options/$o.ini)"
done
run 3 build-slurm --slurm-version 9.9.1 --gpu --dry-run
expect "option nvml: .* (.*options/nvml.ini)"
printf '[step install]\ndrop = WORDS=*\nrun = "WORDS=gpu"\n' >data/options/nvml.ini
run 0 build-slurm --slurm-version 9.9.1 --gpu
[ -d "$release-gpu" ] || fail "no release for --gpu: $(ls cache/builds)"
run 0 build-slurm --slurm-version 9.9.1 --profile less --gpu
[ -d "$release-less-gpu" ] || fail "no release for a profile and --gpu: $(ls cache/builds)"
mkdir data/options/c
printf '[step more]\nrun = install -D -m 644 Makefile @PREFIX@/mpi/share/more\n' >data/options/c/other.ini
printf '[package]\nbuild = more\noptions = words other\n' >data/profiles/more.ini
run 0 build-slurm --slurm-version 9.9.1 --profile more --dry-run
[ "$(grep -c '^build ' out)" = 1 ] || fail "an option of another package changes more than that"
run 0 build-slurm --slurm-version 9.9.1 --profile more
grep -q ' mpi/share/more$' "$release-more/filelist" || fail "what an option changes of another package is not in the release"
printf '[package]\nbuild = more\noptions = words other\ndrop-also = c\n' >data/profiles/more.ini
run 2 build-slurm --slurm-version 9.9.1 --profile more --dry-run
expect 'there is no option other for what this release holds'
printf '[package]\nbuild = more\noptions = words nothing\n' >data/profiles/more.ini
run 2 build-slurm --slurm-version 9.9.1 --profile more
expect 'there is no option nothing'

echo "== a copied file whose text was not changed, a word that no release can have in its name"
cp data/recipes/a.ini data/recipes/copy.ini
printf '[package]\nbuild = more\ndepends = copy\n' >data/profiles/more.ini
run 2 build-slurm --slurm-version 9.9.1 --profile more
expect 'data/recipes/copy.ini:2: the package is named a, the file copy.ini'
run 2 build-deps --profile more
expect 'the package is named a, the file copy.ini'
rm data/recipes/copy.ini
printf '[package]\nname = big\n' >data/profiles/more.ini
run 2 build-slurm --slurm-version 9.9.1 --profile more --dry-run
expect 'data/profiles/more.ini:2: the package is named big, the file slurm.ini'
cp data/slurm/9.9.2.ini data/slurm/9.9.3.ini
run 2 build-slurm --slurm-version 9.9
expect 'data/slurm/9.9.3.ini:2: the version is 9.9.2, the file 9.9.3.ini'
rm data/slurm/9.9.3.ini
for word in My_site -site "my site" "$(printf 'x%.0s' {1..48})"; do
        printf '[package]\nbuild = %s\n[step install]\ndrop = WORDS=*\nrun = "WORDS=named"\n' "$word" >data/profiles/more.ini
        run 2 build-slurm --slurm-version 9.9.1 --profile more
        expect "data/profiles/more.ini:2: build = $word cannot be part of a release's name: at most 47 of a-z"
        refuse ': building'
done

echo "== why a layer is built again"
sed -i 's/WAIT=0.1/WAIT=0.2/' data/recipes/a.ini
run 0 build-slurm --slurm-version 9.9.1 --dry-run
expect '^build  a 1.0: step ... "WAIT=0.2" instead of "WAIT=0.1"'
expect '^reuse  b 1.0$'
expect '^build  slurm 9.9.1: it depends on a-1.0, which changes$'
sed -i 's/WAIT=0.2/WAIT=0.1/' data/recipes/a.ini

echo "== a patch that does not fit, or is not the recipe's"
cp data/recipes/b.ini b.good
cp data/recipes/patches/b.patch patch.good
echo '# more' >>data/recipes/patches/b.patch
sed -i 's/WAIT=0.1/WAIT=0.3/' data/recipes/b.ini
run 3 build-deps
expect "b 1.0: patch text: .*b.patch: sha256 is not the recipe's"
sed 's/text of b/text of nobody/' patch.good >data/recipes/patches/b.patch
sed -i "s/$(digest patch.good)/$(digest data/recipes/patches/b.patch)/" data/recipes/b.ini
run 3 build-deps
expect 'b 1.0: patch text: '
cp b.good data/recipes/b.ini
cp patch.good data/recipes/patches/b.patch

echo "== independent packages side by side, within --jobs"
sed -i 's/WAIT=0.1/WAIT=1.5/' data/recipes/[ab].ini
start=$(date +%s%N)
run 0 build-deps --jobs 2
[ $((($(date +%s%N) - start) / 1000000)) -lt 2900 ] || fail "two waits of 1.5 s took 3 s: one after the other"
awk '/a 1.0: building/ {a = NR} /b 1.0: building/ {b = NR} /built in/ && !first {first = NR} END {exit !(a < first && b < first)}' out ||
        fail "the second package began after the first was done"
sed -i 's/WAIT=1.5/WAIT=1.6/' data/recipes/[ab].ini
start=$(date +%s%N)
run 0 build-deps --jobs 1
[ $((($(date +%s%N) - start) / 1000000)) -ge 3200 ] || fail "with --jobs 1 two packages were built at once"

echo "== a failure, with and without --keep-going"
sed -i 's/run = make WAIT=1.6/run = false/' data/recipes/a.ini
sed -i 's/WAIT=1.6/WAIT=0.4/' data/recipes/b.ini
run 3 build-slurm --slurm-version 9.9.1 --jobs 1
expect 'a 1.0: step make'
refuse 'b 1.0: built'
run 3 build-slurm --slurm-version 9.9.1 --jobs 1 --keep-going
expect 'b 1.0: built'
refuse 'slurm 9.9.1: building'
sed -i 's/run = false/run = make WAIT=0.1/' data/recipes/a.ini
run 0 build-slurm --slurm-version 9.9.1
expect 'b 1.0: cached'

echo "== sources collected, then everything offline"
run 0 mirror create offline --slurm-version 9.9.1
[ "$(ls offline | xargs)" = "both-1.0.tar.gz c-1.0.tar.gz small-9.9.1.tar.gz" ] || fail "mirrored: $(ls offline)"
run 0 mirror create offline --slurm-version 9.9.1
expect ' 0 archives new'
run 2 mirror delete offline
cp conf conf.good
mv data/toolchains toolchains.aside
printf '[buildcache]\nurl = http://127.0.0.1:9/\n' >>conf
cp offline/c-1.0.tar.gz mirrored
echo damage >offline/c-1.0.tar.gz
rm cache/sources/*-both-1.0.tar.gz offline/both-1.0.tar.gz
run 0 mirror create offline --slurm-version 9.9.1
expect ' 2 archives new'
cmp mirrored offline/c-1.0.tar.gz || fail "a damaged file of the mirror was left"
mv toolchains.aside data/toolchains
cp conf.good conf
for file in cache/sources/*-c-1.0.tar.gz; do
        truncate -s 100 "$file"
done
run 0 mirror create offline --slurm-version 9.9.1
expect 'warning: .*-c-1.0.tar.gz: sha256 is .*; it is taken from elsewhere'
expect ' 0 archives new'
cmp mirrored cache/sources/*-c-1.0.tar.gz || fail "a damaged file of the cache was left"
offline="unshare -n"
$offline true 2>/dev/null || offline="unshare -rn"
if $offline true 2>/dev/null; then
        printf '' >empty.conf
        $offline "$factory" --config empty.conf --data data --cache fresh --mirror offline build-slurm --slurm-version 9.9.1 >out 2>&1 ||
                fail "not built without a network"
        [ -s "fresh/builds/9.9.1-$toolchain/release.json" ] || fail "no release in the fresh cache"
        cmp "fresh/builds/9.9.1-$toolchain/release.json" "$release/release.json" || fail "another release than with a network"
else
        echo "   skipped: no network namespaces here"
fi

echo "== layers from a repository: only with trust, only what was signed, only what would have been built here"
run 0 keys init --repo repo --keys keys
run 2 publish --repo repo --keys keys
expect "'publish' needs RELEASE"
run 2 publish --layers --tarball --repo repo --keys keys
expect "\-\-tarball: 'publish' needs RELEASE"
cp -a repo repo-layers
run 0 publish --layers --repo repo-layers --keys keys --dry-run
[ ! -e repo-layers/buildcache ] || fail "--dry-run wrote layers"
run 0 publish --layers --repo repo-layers --keys keys
expect ' layers new in the build cache'
[ "$(find repo-layers/buildcache -name '*.tar.zst' -printf '%f\n' | sed 's/.tar.zst$//' | LC_ALL=C sort)" = "$(LC_ALL=C ls cache/buildcache)" ] ||
        fail "other layers than the cache has"
printf '[buildcache]\nurl = file://%s/repo-layers\n' "$PWD" >alone.conf
alone() { "$factory" --config alone.conf --data data --cache alone "$@" >out 2>&1 || fail "layers alone: $*"; }
alone trust repo-layers/metadata/1.root.json
alone build-slurm --slurm-version 9.9.1
[ "$(grep -c ': fetched in' out)" = 4 ] || fail "not four layers fetched"
refuse 'packed by others'
cmp "alone/builds/9.9.1-$toolchain/release.json" "$release/release.json" || fail "another release than the one that was built"
run 0 publish "9.9.1-$toolchain" --repo repo --keys keys --layers
expect '4 of 4 layers new in the build cache'
run 0 publish "9.9.1-$toolchain" --repo repo --keys keys --layers
expect '0 of 4 layers new'
printf '[buildcache]\nurl = file://%s/repo\n' "$PWD" >other.conf
other() { # other WANTED-EXIT-CODE VERB...: another factory, without any source
        local wanted=$1 code=0
        shift
        "$factory" --config other.conf --data data --cache other "$@" >out 2>&1 || code=$?
        [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
}
other 2 build-slurm --slurm-version 9.9.1
expect "no repository's build cache is trusted yet"
other 0 trust repo/metadata/1.root.json
other 0 build-slurm --slurm-version 9.9.1 --dry-run
[ "$(grep -c '^fetch ' out)" = 4 ] || fail "not everything would be fetched"
other 0 build-slurm --slurm-version 9.9.1
refuse ': building'
[ "$(grep -c ': fetched in' out)" = 4 ] || fail "not four layers fetched"
cmp "other/builds/9.9.1-$toolchain/release.json" "$release/release.json" || fail "another release than the one that was built"
expect 'packed by others from the same layers, fetched'
# How this cache compressed it (`packed`) is not said of what was fetched: its zstd may have been another.
diff -r -x packed "$release" "other/builds/9.9.1-$toolchain" || fail "what was fetched is not what packing makes"
[ ! -e "other/builds/9.9.1-$toolchain/packed" ] || fail "a fetched release is taken for one that was packed here"
other 0 build-slurm --slurm-version 9.9.1
expect 'packed already'
[ -z "$(ls other/work)" ] || fail "left in the work directory: $(ls other/work)"
other 3 build-slurm --slurm-version 9.10 --no-buildcache
expect 'no source for slurm 9.10.1'

echo "== a packed release that is damaged, gone or made from other recipes is packed here"
rm -rf other/builds
blob=repo/blobs/sha256/$(sed -n 's/.*"filelist":{"sha256":"\([0-9a-f]*\)".*/\1/p' "$release/release.json")
cp "$blob" blob.good
printf x | dd of="$blob" bs=1 seek=20 conv=notrunc status=none
other 0 build-slurm --slurm-version 9.9.1
expect 'is packed here: .*what arrived is not what was signed'
diff -r "$release" "other/builds/9.9.1-$toolchain" || fail "another release is packed instead"
rm -rf other/builds "$blob"
other 0 build-slurm --slurm-version 9.9.1
expect 'is packed here: '
cp blob.good "$blob"
rm -rf other/builds
SOURCE_DATE_EPOCH=86400 other 0 build-slurm --slurm-version 9.9.1
refuse 'packed by others'
cp data/recipes/a.ini a.ini
sed -i 's/^version = .*/&\nlicense = ISC/' data/recipes/a.ini
other 0 build-slurm --slurm-version 9.9.1
refuse 'packed by others'
cp a.ini data/recipes/a.ini

echo "== a damaged layer is not used, a foreign root not believed"
rm -rf other/buildcache other/builds
layer=$(ls repo/buildcache/a-1.0-*)
cp "$layer" layer.good
printf x | dd of="$layer" bs=1 seek=100 conv=notrunc status=none
other 0 build-slurm --slurm-version 9.9.1 --mirror mirror
expect 'a 1.0: not fetched (.*), building it'
expect 'a 1.0: built in'
expect 'b 1.0: fetched in'
cp layer.good "$layer"
run 0 keys init --repo repo2 --keys keys2
other 3 trust repo2/metadata/1.root.json
cp -r repo repo3 && cp repo2/metadata/timestamp.json repo3/metadata/
printf '[buildcache]\nurl = file://%s/repo3\n' "$PWD" >other.conf
other 3 build-slurm --slurm-version 9.9.1
expect 'build cache: '
refuse ': fetched in'

echo "== layers of another cache directory"
printf '' >other.conf
rm -rf other/buildcache other/builds
other 0 build-slurm --slurm-version 9.9.1 --local-cache cache
[ "$(grep -c ': fetched in' out)" = 4 ] || fail "not four layers taken"

echo "== steps have no network"
if [ "$(id -u)" = 0 ]; then
        sed -i 's/^run = make WAIT=0.1/run = sh -c "test $(grep -c : \/proc\/net\/dev) = 1"/' data/recipes/a.ini
        run 0 build-deps
else
        echo "   skipped: needs namespaces"
fi
echo "all well"
