#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What sites have, imported: Spack views of each kind with one prefix per package, EasyBuild's records, links that say paths of the
# machine they were made on, static libraries, hardened plugins, run paths of the system, and what only needs saying.
set -euo pipefail

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
for tool in gcc bzip2 strip readelf; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export LC_ALL=C
fail() { echo "FAILED: $*" >&2; cat said >&2; exit 1; }
factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" "$@"; }
# import EXIT DIR OPTION...: what it says is in "said"
import() {
        local want=$1 got=0
        shift
        factory import "$@" --slurm-version 24.11.6 --toolchain "$toolchain" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || fail "exit $got instead of $want: import $*"
}
says() { grep -q -- "$1" said || fail "not said: $1"; }
silent() { ! grep -q -- "$1" said || fail "said: $1"; }
toolchain=$(. /etc/os-release; echo "$VERSION_CODENAME")
arch=$(dpkg --print-architecture 2>/dev/null || echo amd64)
# list BUILD: the file list of a release
list() { echo "cache/builds/24.11.6-$toolchain-$arch${1:+-$1}/filelist"; }

# pad ROOT: a path of more than 256 characters below ROOT, as Spack pads an install tree
pad() {
        local path=$1
        while [ ${#path} -lt 230 ]; do path+=/__spack_path_placeholder__; done
        echo "$path/__spack_path_"
}
# store ROOT: a Spack install tree with munge and Slurm, each built for its own prefix
store() {
        local root=$1/linux-x86_64
        munge=$root/munge-0.5.18-abcdefghijklmnopqrstuvwxyz234567 slurm=$root/slurm-24.11.6-zyxwvutsrqponmlkjihgfedcba765432
        mkdir -p "$munge"/{lib,.spack} "$slurm"/{bin,sbin,lib/slurm,etc,.spack}
        echo "const char *munge_home(void) { return \"$munge/etc\"; }" >munge.c
        gcc -shared -fPIC -O1 -o "$munge/lib/libmunge.so.2.0.0" -Wl,-soname,libmunge.so.2 munge.c
        ln -s libmunge.so.2.0.0 "$munge/lib/libmunge.so.2"
        ln -s libmunge.so.2 "$munge/lib/libmunge.so"
        cat >slurmd.c <<END
#include <stdio.h>
const char *munge_home(void);
int main(void) { printf("%s %s\n", "$slurm/etc", munge_home()); return 0; }
END
        gcc -O1 -o "$slurm/sbin/slurmd" slurmd.c "$munge/lib/libmunge.so.2" "-Wl,-rpath,$slurm/lib:$munge/lib"
        printf '#!/bin/sh /usr/spack/bin/sbang\n#!%s/bin/sh\necho %s %s\n' "$slurm" "$munge" "$slurm" >"$slurm/bin/sinfo"
        chmod 755 "$slurm/bin/sinfo"
        echo "built in $slurm" | bzip2 >"$slurm/.spack/spack-build-out.txt.bz2"
        echo "$slurm" >"$slurm/etc/where"
}
# view KIND DIR: a view of both packages
view() {
        local kind=$1 to=$2 from file
        for from in "$munge" "$slurm"; do
                (cd "$from" && find . \( -type f -o -type l \) -printf '%P\n') | while read -r file; do
                        mkdir -p "$to/$(dirname "$file")"
                        case $kind in
                        symlink) ln -s "$from/$file" "$to/$file" ;;
                        hardlink) [ -L "$from/$file" ] && cp -P "$from/$file" "$to/$file" || ln "$from/$file" "$to/$file" ;;
                        copy) cp -P "$from/$file" "$to/$file" ;;
                        flat) cp -L "$from/$file" "$to/$file" ;; # links became files: what an archive without links gives
                        esac
                done
        done
}
factory keys init --repo repo --keys keys >/dev/null
node() { "$top_builddir/sf-node" --repo repo --root root --toolchain "$toolchain" "$@" >said 2>&1 || fail "sf-node $*"; }
mkdir root
node trust repo/metadata/1.root.json
# runs BUILD: installed, the program finds its library and both know only the release's own directory
runs() {
        factory -q publish "24.11.6-$toolchain-$arch-$1" --repo repo --keys keys
        node install "24.11.6-$toolchain-$arch-$1"
        local tree=root/opt/slurm/view home=/opt/slurm/releases/24.11.6-$toolchain-$1
        "$tree/sbin/slurmd" >said
        tr -s / <said | grep -x "$home/etc $home/etc" >/dev/null || fail "the program says other paths"
        [ "$(head -n 1 $tree/bin/sinfo)" = "#!$home/bin/sh" ] || fail "sbang: $(head -n 1 $tree/bin/sinfo)"
        ! grep -rqa "spack_path\|abcdefghijklmnopqrstuvwxyz234567" "$tree"/* || fail "a prefix of Spack is left"
        [ ! -e $tree/.spack ] || fail "Spack's record was taken"
}

# --- Spack: padded, one prefix per package, each kind of view --------------------------------------------------------------
store "$(pad "$work/opt/spack")"
for kind in symlink hardlink copy flat; do
        view $kind view-$kind
        import 0 view-$kind --build $kind
        says '2 prefixes of Spack packages'
        says ".spack: left out (Spack's record)"
        runs $kind
        grep -q '^l .* libmunge.so.2.0.0 lib/libmunge.so.2$' "$(list $kind)" || fail "$kind: libmunge.so.2 is no link"
        ! grep -q '^f .* lib/libmunge.so$' "$(list $kind)" || fail "$kind: libmunge.so is a copy"
done
# The prefix of Slurm's package alone: a link in the view says its own place there.
import 3 view-symlink --placeholder "$slurm" --build partial
says 'sbin/slurmd: RUNPATH element .* lies outside the prefix'
import 0 view-symlink --placeholder "$slurm" --placeholder "$munge" --build both
runs both
# Not padded: short, which is said; with --force it is done.
store "$work/short/spack"
view copy view-short
import 2 view-short
says 'is too short'
import 0 view-short --force --build short
says '2 prefixes'
runs short
echo "ok: Spack views"

# --- links ------------------------------------------------------------------------------------------------------------------
prefix=$work/$(seq -s_ 1 90 | head -c 250)/pfxq
simple() {
        rm -rf "$1" && mkdir -p "$1"/{sbin,bin,lib/slurm} && printf '#!/bin/sh\necho %s\n' "$prefix" >"$1/sbin/slurmd"
        chmod 755 "$1/sbin/slurmd"
}
simple tree
mkdir -p wrappers
echo one >tree/bin/real
echo two >wrappers/tool
ln -s tool wrappers/alias
ln -s "$work/wrappers/alias" tree/bin/tool    # out of the tree, by a link that has this link's own name
ln -s "$work/tree/bin/real" tree/bin/absolute # by the name where the tree is
ln -s "$prefix/bin/real" tree/bin/built       # by the name it was built for
ln -s "$work/wrappers/tool" tree/bin/outside
ln -s ../lib/missing tree/lib/nothing
import 0 tree --placeholder "$prefix"
says 'lib/nothing: symbolic link to ../lib/missing, where the release has nothing'
for link in tool outside; do grep -q "^f .* bin/$link$" "$(list)" || fail "bin/$link is no file"; done
for link in absolute built; do grep -q "^l .* real bin/$link$" "$(list)" || fail "bin/$link is not a link to real"; done
ln -s "$prefix/bin/self" tree/bin/self
import 3 tree --placeholder "$prefix"
says 'bin/self'
rm tree/bin/self
ln -s other tree/bin/one
ln -s one tree/bin/other
import 3 tree --placeholder "$prefix"
says 'bin/one: symbolic link to other, which leads back to it'
rm tree/bin/one tree/bin/other
ln -s gone tree/bin/lost
import 3 tree --placeholder "$prefix"
says 'bin/lost: symbolic link to gone, where the release has nothing'
import 0 tree --placeholder "$prefix" --exclude bin/lost --exclude 'no*such'
says 'bin/lost: left out (--exclude)'
says '--exclude no\*such: matched nothing'
echo "ok: links"

# --- EasyBuild and other compressed content ----------------------------------------------------------------------------------
simple tree
mkdir -p tree/easybuild/reprod tree/share/man/man1 tree/var
echo "$prefix" | bzip2 >tree/easybuild/easybuild-Slurm-24.11.6.log.bz2
echo "$prefix" | gzip >tree/var/install.log.gz
import 0 tree --placeholder "$prefix"
says "easybuild: left out (EasyBuild's record)"
says 'var/install.log.gz: left out: a compressed log'
echo "$prefix" | gzip >tree/share/man/man1/srun.1.gz
import 3 tree --placeholder "$prefix"
says 'man1/srun.1.gz: names the build prefix inside compressed content (leave it out with --exclude)'
import 0 tree --placeholder "$prefix" --exclude '*.1.gz'
import 0 tree --placeholder "$prefix" --exclude share
says 'share: left out'
! grep -q share "$(list)" || fail "something of share/ was taken"
echo "ok: EasyBuild"

# --- static libraries ------------------------------------------------------------------------------------------------------
simple tree
echo 'int f(void) { return 1; }' >f.c
gcc -g -c f.c && ar rc tree/lib/libf.a f.o
import 0 tree --placeholder "$prefix"
says 'lib/libf.a: a static library of .* with debug information'
before=$(awk '/ lib\/libf.a$/ { print $3 }' "$(list)")
import 0 tree --placeholder "$prefix" --static strip
after=$(awk '/ lib\/libf.a$/ { print $3 }' "$(list)")
[ "$after" -lt "$before" ] || fail "not stripped: $before, $after"
silent 'debug information'
import 0 tree --placeholder "$prefix" --static drop
says 'lib/libf.a: left out (--static drop)'
import 2 tree --placeholder "$prefix" --static squeeze
echo "ok: static libraries"

# --- run paths of the system; plugins that are bound at once -----------------------------------------------------------------
simple tree
echo 'void daemon_only(void); void plugin(void) { daemon_only(); }' >plugin.c
echo 'void daemon_only(void) {} int main(void) { return 0; }' >daemon.c
echo 'void everywhere(void) {}' >full.c
gcc -shared -fPIC -o tree/lib/slurm/libslurmfull.so full.c
gcc -rdynamic -o tree/sbin/slurmctld daemon.c "-Wl,-rpath,/usr/lib64:$prefix/lib:/usr/lib/x86_64-linux-gnu/"
gcc -shared -fPIC -o tree/lib/slurm/topology_lazy.so plugin.c -Wl,-z,lazy
import 0 tree --placeholder "$prefix"
says 'sbin/slurmctld: RUNPATH element /usr/lib64 dropped'
says 'sbin/slurmctld: RUNPATH element /usr/lib/x86_64-linux-gnu/ dropped'
gcc -shared -fPIC -o tree/lib/slurm/topology_now.so plugin.c -Wl,-z,now
echo 'void everywhere(void); void plugin(void) { everywhere(); }' >plugin.c
gcc -shared -fPIC -o tree/lib/slurm/task_now.so plugin.c -Wl,-z,now
import 3 tree --placeholder "$prefix"
says 'topology_now.so: is linked with -z now and needs daemon_only, which only some programs have (sbin/slurmctld)'
silent 'topology_lazy\|task_now'
import 0 tree --placeholder "$prefix" --force
gcc -shared -fPIC -o tree/lib/slurm/topology_now.so plugin.c "-Wl,-rpath,/opt/elsewhere/lib"
import 3 tree --placeholder "$prefix"
says 'RUNPATH element "/opt/elsewhere/lib" lies outside the prefix'
echo "ok: run paths, plugins"

# --- what only needs saying --------------------------------------------------------------------------------------------------
simple tree
odd=$(printf 'lib/caf\xe9')
touch "tree/$odd" tree/lib/Name tree/lib/name
touch tree/bin/setuid && chmod 4755 tree/bin/setuid
touch tree/bin/private && chmod 700 tree/bin/private
printf 'x\0%s/etc/slurm.conf\0' "$prefix" >tree/lib/slurm/libslurmfull.so
capability=
if cp /bin/true tree/bin/capable && setcap cap_net_raw+ep tree/bin/capable 2>/dev/null; then capability=yes; fi
import 0 tree --placeholder "$prefix" --build said
says 'lib/Name and lib/name differ in case only'
says 'its name is not UTF-8'
says 'bin/setuid: its set-user-ID bit is not part'
says 'bin/private: was not readable by everybody (mode 0700)'
says 'libslurmfull.so: built with its configuration inside the prefix'
[ -z "$capability" ] || says 'bin/capable: its capabilities are not part'
factory -q publish "24.11.6-$toolchain-$arch-said" --repo repo --keys keys
node install "24.11.6-$toolchain-$arch-said"
for file in "$odd" lib/Name lib/name; do [ -e "root/opt/slurm/view/$file" ] || fail "$file is not on the node"; done
node verify
mkdir -p tree/etc/munge
echo secret >tree/etc/munge/munge.key
import 3 tree --placeholder "$prefix"
says 'etc/munge/munge.key: by its name it holds a key'
import 0 tree --placeholder "$prefix" --exclude '*.key'
# A login node's tree.
rm tree/sbin/slurmd
printf '#!/bin/sh\necho %s\n' "$prefix" >tree/bin/sinfo
chmod 755 tree/bin/sinfo
import 0 tree --placeholder "$prefix" --exclude etc --build login
says 'no sbin/slurmd: a release for login nodes'
factory -q publish "24.11.6-$toolchain-$arch-login" --repo repo --keys keys
node install "24.11.6-$toolchain-$arch-login"
[ "$(sh root/opt/slurm/view/bin/sinfo)" = "/opt/slurm/releases/24.11.6-$toolchain-login" ] || fail "sinfo of the login node"
rm tree/bin/sinfo
import 3 tree --placeholder "$prefix"
says 'holds no sbin/slurmd, and no bin/sinfo'
echo "ok: what only needs saying"

# --- a node that no toolchain is meant for; a clone of one that there is ------------------------------------------------------
refused() {
        local got=0
        "$top_builddir/sf-node" --repo repo --root root "$@" >said 2>&1 || got=$?
        [ $got = 3 ] || fail "exit $got instead of 3: sf-node $*"
}
refused --toolchain mars list
says "no release for mars on .*; it has those of $toolchain; .* could run $toolchain"
mkdir -p tree/sbin alma/etc
printf '#!/bin/sh\necho %s\n' "$prefix" >tree/sbin/slurmd
chmod 755 tree/sbin/slurmd
factory -q import tree --placeholder "$prefix" --slurm-version 24.11.6 --toolchain rockylinux9 --exclude etc >said 2>&1
factory -q publish 24.11.6-rockylinux9 --repo repo --keys keys
refused --toolchain mars list
says "it has those of .*rockylinux9"
says "could run .*rockylinux9"
printf 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n' >alma/etc/os-release
"$top_builddir/sf-node" --root alma trust repo/metadata/1.root.json >said 2>&1 || fail "trust"
"$top_builddir/sf-node" --repo repo --root alma install 24.11 >said 2>&1 || fail "install on AlmaLinux 9"
[ -d alma/opt/slurm/releases/24.11.6-rockylinux9 ] || fail "AlmaLinux 9 has no release of rockylinux9"
echo "ok: toolchains"

# --- a prefix where nothing may run -------------------------------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
        mkdir -p none
        # Nothing of this machine is seen: what the agent writes to lies on file systems of its own.
        unshare -m bash -c '
                set -e
                for place in /var/lib /etc/systemd /run; do mount -t tmpfs none $place; done
                mount -t tmpfs -o noexec none "$1/none"
                agent="$2 --repo $1/repo --prefix $1/none/slurm --toolchain $3"
                $agent trust "$1/repo/metadata/1.root.json"
                if $agent install 24.11.6-$3-$4-copy; then exit 1; fi
                [ -z "$(ls -A "$1/none/slurm/releases" 2>/dev/null)" ]
                mount -o remount,exec "$1/none"
                $agent install 24.11.6-$3-$4-copy
                mount -o remount,noexec "$1/none"
                if $agent doctor; then exit 1; fi' - "$work" "$top_builddir/sf-node" "$toolchain" "$arch" >said 2>&1 || fail "noexec"
        says 'install .*failed.*is on a file system that is mounted noexec'
        says '^noexec .*is on a file system that is mounted noexec'
        echo "ok: noexec"
fi
