#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From a tree that gcc and a shell made at a long prefix to a published repository: import is deterministic, the layers are
# plain tar+zstd, the file list says the truth, what must be refused is refused, and publishing may be killed and repeated.
set -euo pipefail

top_builddir=${top_builddir:-.} top_srcdir=$(realpath "${top_srcdir:-.}")
factory=$(realpath "$top_builddir/slurm-factory")
for tool in gcc zstd tar sha256sum awk; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SOURCE_DATE_EPOCH
umask 022
export SLURM_FACTORY_CACHE_DIR=$scratch/cache

. "$top_srcdir/tests/kit/expect.sh"

# 279 characters, never repeating, ending in a rare token.
prefix=/opt/sf
for i in 1 2 3 4; do prefix+=/$(echo "part $i" | sha256sum | cut -c1-64); done
prefix+=/endzqj
[ ${#prefix} -ge 256 ] || fail "the test's own prefix is too short"

# --- two trees: what deps installed, and the whole prefix after Slurm came on top ---------------------------------------
make_deps() {
        local root=$1
        mkdir -p "$root"/{bin,lib/pkgconfig,lib/systemd/system,share/empty}
        echo "const char *dep_home(void) { return \"$prefix/share\"; }" >dep.c
        gcc -shared -fPIC -O1 -s -o "$root/lib/libdep.so.1.0" -Wl,-soname,libdep.so.1 dep.c
        ln -s "$prefix/lib/libdep.so.1.0" "$root/lib/libdep.so.1" # absolute, into the prefix
        ln -s libdep.so.1 "$root/lib/libdep.so"
        printf 'prefix=%s\nlibdir=%s/lib\n' "$prefix" "$prefix" >"$root/lib/pkgconfig/dep.pc"
        printf '#!%s/bin/shell -e\necho %s\n' "$prefix" "$prefix" >"$root/bin/mpicc"
        chmod 4755 "$root/bin/mpicc"
}
make_slurm() {
        local root=$1
        mkdir -p "$root"/{bin,sbin,lib/slurm,lib/systemd/system,include/slurm,share/man/man8}
        echo page >"$root/share/man/man8/slurmd.8"
        echo 'int slurm_answer(void) { return 42; }' >lib.c
        gcc -shared -fPIC -O1 -s -o "$root/lib/libslurm.so.42.0.0" -Wl,-soname,libslurm.so.42 lib.c
        ln -s libslurm.so.42.0.0 "$root/lib/libslurm.so.42"
        ln -s libslurm.so.42.0.0 "$root/lib/libslurm.so"
        echo 'int slurm_answer(void);' >"$root/include/slurm/slurm.h"
        echo '#error "of the release, not of the system"' >"$root/include/hwloc.h"
        echo 'const char *dep_home(void); int puts(const char *); int main(void) { return puts(dep_home()) < 0; }' >main.c
        gcc -O1 -s -o "$root/sbin/slurmd" main.c "$root/lib/libdep.so.1.0" -Wl,-rpath,"$prefix/lib:$prefix/lib/slurm"
        printf '#!%s/bin/shell\ncd %s/share && ls %s\n' "$prefix" "$prefix" "$prefix" >"$root/bin/script"
        chmod 700 "$root/bin/script"
        printf "libdir='%s/lib'\n" "$prefix" >"$root/lib/slurm/plugin.la"
        printf '[Service]\nType=simple\nExecStart=%s/sbin/slurmd\n' "$prefix" >"$root/lib/systemd/system/slurmd.service"
        printf 'no prefix here\n' >"$root/include/plain.h"
        ln "$root/include/plain.h" "$root/include/same.h"
        printf 'bytes\0%s\0more' "$prefix" >"$root/lib/slurm/data.bin"
        ln -s ../sbin/slurmd "$root/bin/slurmd"
        ln -s "$prefix/lib/slurm/plugin.la" "$root/bin/far"
}
make_deps deps
cp -a deps tree
make_slurm tree
import() { "$factory" import "$@" -p "$prefix" --slurm-version 25.11.6; }

# For this host, whatever it is called: only then are its libraries looked at.
import tree --layer deps=deps
ours=$(ls cache/builds)
release=cache/builds/$ours
toolchain=${ours#25.11.6-} arch=${ours##*-}
toolchain=${toolchain%-*}
tag=$toolchain # of amd64; other architectures are named in the tag
[ "$arch" = amd64 ] || tag+=-$arch

# --- the same bytes whatever the times, the modes below umask and the order of inodes -----------------------------------
cp -a "$release" first
mkdir other
(cd tree && find . -depth | LC_ALL=C sort -r | tar --no-recursion -T - -cf - --sort=none) | tar -C other -xf -
cp -a deps other-deps
find other other-deps -exec touch -h -d '2001-02-03 04:05:06' {} +
chmod -R go-w,u+w other other-deps
import other --layer deps=other-deps
diff -r first "$release" || fail "two imports differ"

# --- the layers by hand -------------------------------------------------------------------------------------------------
list=$release/filelist
mkdir root
while read -r _ name size digest; do
        blob=$release/blobs/sha256/$digest
        [ "$(stat -c %s "$blob")" = "$size" ] || fail "layer $name: size"
        echo "$digest  $blob" | sha256sum -c --quiet || fail "layer $name: digest"
        tar --zstd -xf "$blob" -C root
        zstd -dqc "$blob" | tar -tvf - | awk '$2 != "root/root" { exit 1 }' || fail "layer $name: owner"
done < <(grep '^layer ' "$list")
[ "$(grep -c '^layer ' "$list")" = 2 ] || fail "two layers expected"
view=root/opt/slurm/view
[ "$(stat -c %Y $view/sbin/slurmd)" = 0 ] || fail "time of members"
[ "$(tr -d '\0' <$view/lib/slurm/data.bin | wc -c)" -gt ${#prefix} ] || fail "a binary changed its length"
cmp <(tail -c 4 tree/lib/slurm/data.bin) <(tail -c 4 $view/lib/slurm/data.bin) || fail "bytes behind an occurrence"
grep -rqF "${prefix:0:40}" $view && fail "the build prefix is still there"
[ "$(readlink $view/lib/libdep.so.1)" = libdep.so.1.0 ] || fail "absolute link beside"
[ "$(readlink $view/bin/far)" = ../lib/slurm/plugin.la ] || fail "absolute link elsewhere"
# A daemon has a RUNPATH, and only the directory of what it needs.
LC_ALL=C readelf -d $view/sbin/slurmd | grep -F '(RUNPATH)' | grep -F "[\$ORIGIN/../lib]" >/dev/null || fail "RUNPATH"
grep -qx '#!/opt/slurm/view/bin/shell' $view/bin/script || fail "script"
$view/sbin/slurmd >said
grep -q '^/opt/slurm/view/*/share$' said || fail "the program does not run where it was unpacked, or says another path"

# --- Slurm's headers and libslurm, but not its neighbours, for compilers ------------------------------------------------
devel=$PWD/$view/share/slurm/devel
[ "$(find "$devel" ! -type d -printf '%P %l\n' | LC_ALL=C sort | tr '\n' ';')" = "include/slurm ../../../../include/slurm;\
lib/libslurm.so ../../../../lib/libslurm.so;lib/libslurm.so.42 ../../../../lib/libslurm.so.42;\
lib/libslurm.so.42.0.0 ../../../../lib/libslurm.so.42.0.0;lib/pkgconfig/slurm.pc ;" ] || fail "share/slurm/devel: $(find "$devel")"
printf '#include <slurm/slurm.h>\n#if __has_include(<hwloc.h>)\n#include <hwloc.h>\n#endif\n' >user.c
echo 'int main(void) { return slurm_answer() != 42; }' >>user.c
if command -v pkg-config >/dev/null; then
        # shellcheck disable=SC2046  # flags
        (export PKG_CONFIG_PATH="$devel/lib/pkgconfig" && [ "$(pkg-config --modversion slurm)" = 25.11.6 ] &&
                gcc -o user user.c $(pkg-config --cflags --libs slurm)) || fail "pkg-config slurm"
        ./user || fail "a program that links libslurm"
        LC_ALL=C readelf -d user | grep -F '[/opt/slurm/view' | grep -F "/share/slurm/devel/lib:$devel/lib/pkgconfig/..]" >/dev/null ||
                fail "run path of such a program: $(readelf -d user)"
else
        echo "skipped: no pkg-config here"
fi

# --- the list says the truth --------------------------------------------------------------------------------------------
# Every file: size, digest, mode; every map: the prefix at each offset, and nowhere else.
files=0
while read -r _ mode size digest map path; do
        file=$view/$path
        [ "$(stat -c '%s %a' "$file")" = "$size ${mode#0}" ] || fail "$path: size or mode"
        echo "$digest  $file" | sha256sum -c --quiet || fail "$path: digest"
        places=$({ grep -obaF /opt/slurm/view "$file" || true; } | cut -d: -f1 | tr '\n' ' ')
        at=0 listed=
        for step in $(echo "${map#?:}" | tr ',-' '  '); do
                at=$((at + 16#$step))
                listed+="$at "
        done
        [ "$listed" = "$places" ] || fail "$path: map says '$listed', content '$places'"
        files=$((files + 1))
done < <(grep '^f ' "$list")
[ "$files" = "$(find $view -type f | wc -l)" ] || fail "$files files listed"
kind() { awk -v p="$1" '$1 == "f" && $6 == p { print substr($5, 1, 1) }' "$list"; }
[ "$(kind bin/mpicc)$(kind lib/pkgconfig/dep.pc)$(kind lib/systemd/system/slurmd.service)" = vvv ] || fail "view maps"
[ "$(kind bin/script)$(kind lib/slurm/plugin.la)" = tt ] || fail "text maps"
[ "$(kind lib/libdep.so.1.0)$(kind lib/slurm/data.bin)$(kind sbin/slurmd)" = bb- ] || fail "binary maps"
# What deps holds is in its layer only; its directories come again only where Slurm put something.
awk '$1 == "layer" { layer = $2 } $NF == "lib/libdep.so" { print layer }' "$list" | grep -x deps >/dev/null || fail "layer of deps"
[ "$(grep -c ' share/empty$' "$list")$(grep -c ' lib$' "$list")" = 12 ] || fail "directories per layer"
grep -q '"unit":"simple"' "$release/release.json" || fail "unit type comes from the unit file"

# --- refusals -----------------------------------------------------------------------------------------------------------
refuse() {
        expect 3 "$1" import bad --layer deps=deps
        [ ! -e cache/builds/.$ours.partial ] || fail "a refused import left something behind"
        diff -rq first "$release" >/dev/null || fail "a refused import changed the release"
        rm -rf bad
        cp -a tree bad
}
cp -a tree bad
gcc -O1 -o bad/bin/extra main.c tree/lib/libdep.so.1.0 -Wl,-rpath,"$prefix/lib:/nowhere/lib"
refuse 'bin/extra: .*/nowhere/lib'
gcc -O1 -o bad/bin/extra main.c tree/lib/libdep.so.1.0 -Wl,-rpath,"$prefix/share"
refuse 'bin/extra: .*libdep.so.1'
# Sites may know better; and of another system's libraries nobody here can tell.
cp tree/lib/slurm/plugin.la bad/include && gcc -O1 -o bad/bin/extra main.c tree/lib/libdep.so.1.0 -Wl,-rpath,"$prefix/share"
expect 3 'refused for 1 finding (import --force' import bad --layer deps=deps --build forced
expect 0 'bin/extra: .*libdep.so.1' import bad --layer deps=deps --build forced --force
expect 0 . "$factory" import bad --layer deps=deps -p "$prefix" --slurm-version 25.11.6 -t elsewhere
rm bad/bin/extra
echo "half a prefix: ${prefix:60:80}" >bad/include/fragment.h
refuse 'include/fragment.h: '
ln -s /nowhere/at/all bad/lib/out
refuse 'lib/out: '
gzip -c tree/bin/script >bad/bin/script.gz
refuse 'bin/script.gz: .*compressed'
mkfifo bad/lib/fifo
refuse 'lib/fifo: '
echo other >bad/lib/pkgconfig/dep.pc
refuse 'lib/pkgconfig/dep.pc: two layers'
touch "bad/lib/new
line"
refuse 'a name that no release may hold'
# All findings, not only the first.
ln -s /nowhere/a bad/lib/a && ln -s /nowhere/b bad/lib/b
expect 3 '2 findings' import bad --layer deps=deps
grep -q 'lib/a: ' said && grep -q 'lib/b: ' said || fail "findings are missing"
rm -rf bad
expect 2 'too short' "$factory" import tree -p /opt/short/but/enough --slurm-version 25.11.6
expect 3 'no sbin/slurmd' "$factory" import deps -p "$prefix" --slurm-version 25.11.6
# With --force the short one is packed: no file here names it.
mkdir -p plain/sbin && cp main.c plain/sbin/slurmd
expect 0 '1 files' "$factory" import plain -p /opt/short/but/enough --slurm-version 1.2.3 --force
# Links that leave an imported tree are followed, as a Spack view needs it.
mkdir -p spack/{pkg/lib/sub,view/sbin,view/lib}
echo content >spack/pkg/lib/libx.so.1 && echo deep >spack/pkg/lib/sub/file && ln -s libx.so.1 spack/pkg/lib/libx.so
for name in libx.so.1 libx.so sub; do ln -s "$PWD/spack/pkg/lib/$name" spack/view/lib/; done
ln -s ../libx.so.1 spack/pkg/lib/sub/beside && ln -s file spack/pkg/lib/sub/within
ln -s "$PWD/spack/view/lib/../sbin/slurmd" spack/view/lib/back && ln -s ../../view/lib/libx.so.1 spack/view/lib/round
cp main.c spack/view/sbin/slurmd
import spack/view --build spack
grep -q '^f .* lib/libx.so.1$' "$release-spack/filelist" || fail "a link out became no file"
grep -q '^l .* libx.so.1 lib/libx.so$' "$release-spack/filelist" || fail "an alias became no link"
grep -q '^f .* lib/sub/file$' "$release-spack/filelist" || fail "a linked directory was not taken in"
grep -q '^l .* file lib/sub/within$' "$release-spack/filelist" || fail "a link inside a linked directory"
grep -q '^f .* lib/sub/beside$' "$release-spack/filelist" || fail "a link out of a linked directory"
grep -q '^l .* ../sbin/slurmd lib/back$' "$release-spack/filelist" || fail "a link out and back in"

# --- publishing ---------------------------------------------------------------------------------------------------------
publish() { "$factory" publish "$@" --repo repo --keys keys; }
expect 3 . publish "$ours"
"$factory" keys init --repo repo --keys keys
before=$(cat repo/metadata/timestamp.json)
mv keys away
mkdir keys
expect 3 . publish "$ours"
[ "$(cat repo/metadata/timestamp.json)" = "$before" ] || fail "a failed publish touched the timestamp"
rmdir keys
mv away keys
publish "$ours"
[ "$(cat repo/metadata/timestamp.json)" != "$before" ] || fail "nothing was published"
# Contents and inodes: what is there is not even written again. The next second, so that a date would show.
state() { (cd repo && find . -type f | sort | xargs sha256sum && stat -c '%i %n' blobs/sha256/*); }
state >published
sleep 1.1
publish "$ours"
state | diff published - || fail "publishing again changed something"
(cd repo/blobs/sha256 && sha256sum -- * | awk '$1 != $2 { exit 1 }') || fail "a blob's name is not its digest"
ls repo/blobs/sha256 >names
tr -c '0-9a-f' '\n' <repo/index.json | grep -xE '[0-9a-f]{64}' | sort -u | while read -r digest; do
        grep -qx "$digest" names || fail "index.json names $digest, which is not there"
done
grep -q "\"org.opencontainers.image.ref.name\":\"25.11.6-$tag\"" repo/index.json || fail "tag"
grep -q "\"org.opencontainers.image.ref.name\":\"25.11-$tag\"" repo/index.json || fail "tag of the series"
if command -v skopeo >/dev/null; then
        skopeo inspect "oci:repo:25.11.6-$tag" | grep "\"Architecture\": \"$arch\"" >/dev/null || fail "skopeo"
else
        echo "not checked: skopeo is not installed"
fi
# The same name with other content is refused unless forced.
echo changed >>tree/include/plain.h
import tree --layer deps=deps
expect 3 'published with other content' publish "$ours"
expect 0 . publish "$ours" --force
# A second version, with a delta from the first.
"$factory" import tree -p "$prefix" --layer deps=deps --slurm-version 25.11.7
"$factory" delta "$ours" 25.11.7 -o delta >said
[ -s delta ] && grep -q ' chosen' said && grep -q "^[a-z]* *$(stat -c %s delta) .*chosen" said || fail "delta: table and file differ"
publish 25.11.7 --delta-from "$ours"
grep -qF '"artifactType":"application/vnd.slurm-factory.delta.v1"' repo/index.json || fail "no delta artifact"
grep -q '"codec":"[a-z]' repo/targets/index/*.json || fail "no delta in the signed index"
expect 2 'no AWS keys' env -u AWS_ACCESS_KEY_ID -u AWS_PROFILE HOME=/nonexistent "$factory" publish 25.11.7 --repo s3://bucket/slurm --keys keys

# --- damage, withdrawals ------------------------------------------------------------------------------------------------
# A repository of which each blob belongs to what is published now.
"$factory" -q keys init --repo whole --keys whole-keys
again() { "$factory" publish "$ours" 25.11.7 --delta-from "$ours" --repo whole --keys whole-keys; }
again
damage() {
        case $1 in
        cut) truncate -s -1 "$2" ;;
        empty) : >"$2" ;;
        other) printf '\377' | dd of="$2" conv=notrunc status=none ;;
        longer) echo more >>"$2" ;;
        gone) rm "$2" ;;
        esac
}
mended=0
for blob in whole/blobs/sha256/*; do
        cp "$blob" sound
        for kind in cut empty other longer gone; do
                damage $kind "$blob"
                expect 0 . again
                cmp -s sound "$blob" || fail "$kind: $blob was not mended"
                [ $kind = gone ] || grep -q 'damaged' said || fail "$kind: nothing was said of $blob"
        done
        mended=$((mended + 1))
done
[ "$mended" -ge 10 ] || fail "only $mended blobs"
echo '{"manifests": [' >repo/index.json
expect 0 'made anew' publish "$ours" 25.11.7
grep -q "25.11.7-$tag\"" repo/index.json || fail "index.json did not come back"

full=25.11.7-$toolchain-$arch
rollout() { cat "repo/targets/rollout/$(grep -o '"sha256":"[0-9a-f]*' "repo/metadata/$(ls repo/metadata | grep -c '\.rollout\.json$').rollout.json" |
        cut -d'"' -f4).rollout.json"; }
withdraw() { "$factory" withdraw 25.11.7 --repo repo --keys keys "$@"; }
expect 3 'is not withdrawn' withdraw --undo
withdraw --reason 'a typo'
withdraw --reason 'slurmd leaks'
rollout | grep "{\"name\":\"$full\",\"reason\":\"slurmd leaks\"}" >/dev/null || fail "the reason was not corrected"
! rollout | grep typo >/dev/null || fail "two reasons"
expect 0 "$full is withdrawn (slurmd leaks)" publish 25.11.7
! grep -q "25.11.7-$tag" repo/index.json || fail "publishing gave a withdrawn release its tag back"
# The page for people says the same, with what must be escaped.
grep -q "$(sha256sum repo/metadata/1.root.json | cut -c1-64)" repo/index.html || fail "index.html: the root's SHA-256"
grep -q "<del>$full</del>.*withdrawn: slurmd leaks" repo/index.html || fail "index.html: a withdrawal"
expect 0 . withdraw --reason 'a <b> & "c"'
grep -qF 'withdrawn: a &lt;b&gt; &amp; &quot;c&quot;' repo/index.html || fail "index.html: escaping"
expect 2 'undo' withdraw --undo --reason other
withdraw --undo
! rollout | grep "$full" >/dev/null || fail "the withdrawal was not taken back"
grep -q "25.11.7-$tag\"" repo/index.json || fail "a release that is offered again has no tag"
! grep -q 'withdrawn:' repo/index.html || fail "index.html: still withdrawn"
grep -q " from $ours" repo/index.html || fail "index.html: no delta"

# Killed anywhere, then repeated: before, no new timestamp says anything that is not there.
for delay in 0.002 0.005 0.01 0.02 0.05; do
        rm -rf repo2 keys2
        "$factory" -q keys init --repo repo2 --keys keys2
        # Not timeout(1): killing with KILL it does not wait, and the dying program still holds the repository's lock.
        "$factory" -q publish "$ours" 25.11.7 --repo repo2 --keys keys2 >/dev/null 2>&1 &
        sleep "$delay"
        kill -KILL $! 2>/dev/null || true
        wait $! 2>/dev/null || true
        "$factory" -q publish "$ours" 25.11.7 --repo repo2 --keys keys2
        (cd repo2/blobs/sha256 && sha256sum -- * | awk '$1 != $2 { exit 1 }') || fail "killed after $delay s: a blob is broken"
        grep -q "25.11.7-$tag\"" repo2/index.json || fail "killed after $delay s: not published"
done

"$factory" withdraw 25.11.7 --repo repo --keys keys --reason 'slurmd leaks'
cat repo/targets/rollout/*.json | grep "\"name\":\"25.11.7-$toolchain-$arch\",\"reason\":\"slurmd leaks\"" >/dev/null || fail "withdrawal"
grep -q "25.11.7-$tag" repo/index.json && fail "a withdrawn release keeps its tag"
echo "all as expected"
