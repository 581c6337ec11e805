#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tar file of a release: the same bytes each time, and its relocate.sh does what relocation of the C code does, under several
# shells, with busybox alone, again and again, after a kill at any dd, and not at all where something is wrong.
set -euo pipefail

top_builddir=$(realpath "${top_builddir:-.}") top_srcdir=$(realpath "${top_srcdir:-.}")
factory=$top_builddir/slurm-factory
for tool in gcc tar gzip sha256sum; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SOURCE_DATE_EPOCH LD_LIBRARY_PATH
umask 022
export SLURM_FACTORY_CACHE_DIR=$scratch/cache

. "$top_srcdir/tests/kit/expect.sh"

# --- a small release with every kind of file that holds the prefix -----------------------------------------------------------
prefix=/opt/sf
for i in 1 2 3 4; do prefix+=/$(echo "part $i" | sha256sum | cut -c1-64); done
prefix+=/endzqj
mkdir -p tree/{bin,sbin,lib/pkgconfig,lib/systemd/system,share}
echo "const char *a = \"$prefix/share\", *b = \"$prefix/lib\"; int main(void) { return !__builtin_puts(a) || !__builtin_puts(b); }" >p.c
gcc -O1 -s -o tree/sbin/slurmd p.c
printf '%s\0start\0%s' "$prefix" "$prefix" >tree/lib/edges.bin # the prefix at both ends
printf 'prefix=%s\nlibdir=%s/lib\n' "$prefix" "$prefix" >tree/lib/pkgconfig/slurm.pc
printf '[Service]\nType=simple\nExecStart=%s/sbin/slurmd\n' "$prefix" >tree/lib/systemd/system/slurmd.service
printf '#!/bin/sh\n# \0 \377 not a text\nexec %s/sbin/slurmd' "$prefix" >tree/bin/script
printf '%s' "$prefix" >tree/share/only
{ seq 5000; echo "$prefix"; seq 7777; echo "$prefix/x:$prefix/y"; seq 4000; } >"tree/share/a large text with  blanks "
"$factory" import tree -q -p "$prefix" --slurm-version 25.11.4 --toolchain noble --arch amd64
list=cache/builds/25.11.4-noble-amd64/filelist
[ "$(grep -c '^f .* [btv]:' $list)" = 7 ] || fail "seven files should hold the prefix"

# --- the file --------------------------------------------------------------------------------------------------------------------
name=slurm-25.11-noble-amd64-software.tar.gz
"$factory" export 25.11.4 -q
[ -s $name ] || fail "no $name"
sleep 1.1 # gzip notes seconds
mkdir again && "$factory" export 25.11.4 -q -o again
cmp $name again/$name || fail "two exports differ"
"$factory" export 25.11 -q --format tar.zst
zstd -dqc "${name%.gz}.zst" | cmp - <(gzip -dc $name) || fail "the two formats hold different tar files"
tar tvzf $name >members
! grep -vE '^[-dl]rwxr-xr-x root/root|^-rw-r--r-- root/root|^lrwxrwxrwx root/root' members || fail "owners or modes"
! awk '{ print $6 }' members | grep -v '^view/' || fail "something lies beside view/"
expect 2 'tar.xz' "$factory" export 25.11 --format tar.xz
expect 3 'no-such-directory' "$factory" export 25.11 -o no-such-directory/file
[ ! -e no-such-directory ] || fail "a directory came from nowhere"
expect 3 'corrupt\|not what\|not the' env SLURM_FACTORY_CACHE_DIR="$scratch/bad" bash -c '
        mkdir -p bad; cp -r cache/builds bad/; layer=$(awk "/^layer/ { print \$4 }" '"$list"')
        cp bad/builds/25.11.4-noble-amd64/blobs/sha256/"$(ls -S cache/builds/*/blobs/sha256 | tail -1)" \
                bad/builds/25.11.4-noble-amd64/blobs/sha256/"$layer"
        "$0" export 25.11.4 -o bad/file; r=$?; echo "not what"; exit $r' "$factory"
[ ! -e bad/file ] && [ ! -e bad/file.partial ] || fail "a failed export left a file"

# --- into a repository, at the addresses that scripts know -----------------------------------------------------------------------
repo() { "$factory" "$@" -q --repo repository --keys keys; }
repo keys init
repo publish 25.11.4 --tarball --dry-run
[ ! -e repository/noble ] || fail "a dry run wrote a tar file"
repo publish 25.11.4 --tarball
cmp $name repository/noble/25.11/amd64/$name || fail "publish --tarball"
repo prune
[ -s repository/noble/25.11/amd64/$name ] || fail "prune took a tar file"

# --- signed ----------------------------------------------------------------------------------------------------------------------
if command -v gpg >/dev/null; then
        export GNUPGHOME=$scratch/gpg
        mkdir -m 700 "$GNUPGHOME"
        gpg --batch --quiet --passphrase '' --quick-generate-key releases@example.org ed25519 sign 2>/dev/null
        printf '[export]\ngpg-key = releases@example.org\n' >factory.conf
        "$factory" -c factory.conf export 25.11 -q -o again
        gpg --quiet --verify again/$name.asc again/$name 2>/dev/null || fail "the signature does not verify"
        cmp $name again/$name || fail "signing changed the file"
        expect 3 'nobody@example.org\|gpg' "$factory" export 25.11 -o again --gpg-key nobody@example.org
        [ ! -e again/$name.asc ] || fail "an old signature stayed beside an unsigned file"
        gpgconf --kill all
else
        echo "skipped: no gpg here, signatures not tried"
fi

# --- relocation ------------------------------------------------------------------------------------------------------------------
mkdir canonical
tar -C canonical -xf $name
# same PREFIX TREE: as the C code relocates it
same() {
        "$top_builddir/tests/kit/sf-relocate-tree" --compare $list canonical/view "$1" "$2" >said 2>&1 ||
                { cat said >&2; fail "$2 is not what relocation to $1 makes"; }
}
unpack() { rm -rf "${1:?}"; mkdir -p "$1"; tar -C "$1" -xf $name; }
shells="sh dash bash mksh yash"
mkdir tools
if command -v busybox >/dev/null; then
        for tool in cat cmp cp dd dirname mkdir mv rm wc; do ln -s "$(command -v busybox)" tools/$tool; done
        shells+=" busybox"
fi
tried=
odd="odd ,@~=+-place"
for shell in $shells; do
        command -v "$shell" >/dev/null || continue
        place=$scratch/${odd/ /_}.$shell
        unpack "$place"
        # Nothing but the tools that the script names.
        case $shell in
        busybox) (cd "$place" && PATH=$scratch/tools "$(command -v busybox)" sh view/relocate.sh >/dev/null) ;;
        bash) POSIXLY_CORRECT=1 bash "$place/view/relocate.sh" >/dev/null ;;
        *) "$shell" "$place/view/relocate.sh" >/dev/null ;;
        esac || fail "$shell: relocate.sh"
        same "$place/view" "$place/view"
        [ "$("$place/view/sbin/slurmd" | tr -s / | head -1)" = "$place/view/share" ] || fail "$shell: the program"
        tried+=" $shell"
done
echo "relocated under$tried"
tree=$place/view
relocate() { sh "$tree/relocate.sh" "$@"; }
expect 0 ': 0 files changed' relocate
expect 0 ': 0 files changed' relocate --check
expect 1 ': 7 files do not name /a yet' relocate --check /a
same "$place/view" "$tree"
expect 0 ': 7 files changed' relocate /a/
same /a "$tree"
expect 0 ': 7 files changed' relocate /ab # /a is the beginning of /ab
same /ab "$tree"
room=$(sed -n 's/^room //p' "$tree/.relocate/description")
fits=/$(head -c $((room - 1)) /dev/zero | tr '\0' x)
relocate "$fits" >/dev/null
same "$fits" "$tree"
expect 1 "has $((room + 1)) bytes, the release has room for $room" relocate "${fits}y"
for bad in relative / /a//b /a/../b /a/. "/a b" '/a$b' "/a'b" $'/a\nb' "/\303\244"; do
        expect 1 'prefix' relocate "$bad"
done
expect 2 usage relocate --wrong
expect 2 usage relocate /a /b
unpack "$scratch/with blank"
expect 1 'letters, digits' sh "$scratch/with blank/view/relocate.sh"
same "$fits" "$tree"
relocate /opt/slurm/view >/dev/null
rm "$tree/.relocate/prefixes"
diff -r "$tree" canonical/view || fail "there and back is not the same"
# Moved, or reached by a link; a file put back as it was released.
mv "$place" moved && tree=$scratch/moved/view
relocate >/dev/null
same "$tree" "$tree"
ln -s moved linked
sh linked/view/relocate.sh >/dev/null
same "$scratch/linked/view" "$tree"
cp canonical/view/share/only "$tree/share/only"
expect 0 ': 1 files changed' sh linked/view/relocate.sh
same "$scratch/linked/view" "$tree"

# --- what is wrong is said, and nothing is changed ---------------------------------------------------------------------------
cp -a "$tree" before
echo more >>"$tree/share/only"
expect 1 'share/only was changed' relocate /b
cp -p before/share/only "$tree/share/only"
printf X | dd of="$tree/lib/edges.bin" bs=1 seek=3 conv=notrunc 2>/dev/null
expect 1 'lib/edges.bin was changed' relocate /b
cp -p before/lib/edges.bin "$tree/lib/edges.bin"
mkdir "$tree/.relocate/busy"
echo $$ >"$tree/.relocate/busy/pid"
expect 1 "process $$ is relocating" relocate /b
echo 999999999 >"$tree/.relocate/busy/pid" # of a run that was killed
diff -r --exclude=busy before "$tree" || fail "a refusal changed the tree"
expect 0 ': 0 files changed' sh linked/view/relocate.sh
mv "$tree/share/only" only
expect 0 'share/only is not there' relocate /b
mv only "$tree/share/only"
expect 0 ': 1 files changed' relocate /b
same /b "$tree"

# --- killed at every dd, finished by a run to the same place, to another one, or back -------------------------------------------
mkdir killing
cat >killing/dd <<END
#!/bin/sh
count=\$((\$(cat $scratch/count) - 1))
echo \$count >$scratch/count
[ \$count -gt 0 ] || { kill -9 \$PPID; exit 1; }
PATH=$PATH exec dd "\$@"
END
chmod 755 killing/dd
killed=0
for target in /d /c/longer /b; do
        for ((at = 1; ; at += 6)); do
                rm -rf half && cp -a "$tree" half
                echo $at >count
                (PATH=$scratch/killing:$PATH exec dash half/relocate.sh /c/longer) >/dev/null 2>&1 && break
                [ "$(cat count)" -le 0 ] || fail "relocate.sh failed for another reason"
                killed=$((killed + 1))
                dash half/relocate.sh $target >/dev/null || fail "after a kill at dd $at"
                same $target half
                [ -z "$(find half -name '*.relocating')" ] || fail "left over: $(find half -name '*.relocating')"
        done
done 2>/dev/null
[ $killed -ge 15 ] || fail "killed $killed times only"
echo "killed $killed times at a dd, finished by the next run each time"
