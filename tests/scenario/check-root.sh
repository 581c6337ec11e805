#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slurm-factory root, with a small system of static programs: made from a directory, a tarball and an OCI image; refused, by
# name, where it is not what the toolchain's file expects; an older root stays where a new one is refused.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: a root is made as root"; exit 77; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-root.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SLURM_FACTORY_CACHE_DIR
printf '' >conf
fail() { echo "FAILED: $*" >&2; [ ! -f out ] || sed 's/^/    /' out >&2; exit 1; }
# run WANTED-EXIT-CODE VERB...: output in ./out
run() {
        local wanted=$1 code=0
        shift
        "$top_builddir/slurm-factory" --config conf --data data --cache cache "$@" >out 2>&1 || code=$?
        [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
}
says() { grep -qF -- "$1" out || fail "not said: $1"; }

# A system whose programs answer what a toolchain is asked: gcc 14.2.0, glibc 2.41, packages.
cat >answers.c <<'END'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
        const char *name = strrchr(argv[0], '/');
        (void)argc;
        name = name ? name + 1 : argv[0];
        if (strcmp(name, "gcc") == 0) puts("14.2.0");
        if (strcmp(name, "getconf") == 0) puts("glibc 2.41");
        if (strcmp(name, "dpkg-query") == 0) puts("small 1.0\nlibssl-dev 3.5.0");
        if (strcmp(name, "dpkg-query") == 0 && access("/complete", F_OK) == 0) puts("zlib1g-dev 1\nlibbz2-dev 1");
        if (strcmp(name, "apt-get") == 0) puts(argv[1]);
        return 0;
}
END
${CC:-cc} -static -O1 -o answers answers.c
system() { # system DIR SUITE
        mkdir -p "$1/usr/bin" "$1/usr/sbin" "$1/etc" "$1"/{proc,dev,sys}
        ln -s usr/bin "$1/bin"
        cp answers "$1/usr/bin/gcc"
        for name in getconf dpkg-query apt-get; do ln "$1/usr/bin/gcc" "$1/usr/bin/$name"; done
        printf 'ID=debian\nVERSION_ID=13\nVERSION_CODENAME=%s\n' "$2" >"$1/etc/os-release"
}
system trixie trixie
system forky forky
mkdir data
cp -r "$top_srcdir/etc/toolchains" "$top_srcdir/etc/recipes" "$top_srcdir/etc/slurm" "$top_srcdir/etc/profiles" data/

echo "== refused before anything is copied"
run 2 root ../trixie --from trixie
says 'is not the name of a toolchain'
run 2 root sarge --from trixie
says 'there is no toolchain sarge'
run 2 root trixie
says 'say what the root of trixie is made from'
run 3 root trixie --from nowhere
says 'nowhere: No such file or directory'
[ -z "$(ls -A cache/roots)" ] || fail "left: $(ls -A cache/roots)"

echo "== from a directory: packages are asked for, versions are recorded"
run 0 root trixie --from trixie
says 'gcc 14.2.0, glibc 2.41'
grep -qx 'libssl-dev 3.5.0' cache/roots/trixie/packages || fail "packages: $(cat cache/roots/trixie/packages)"
grep -q '^packages build-essential ' cache/roots/trixie/origin || fail "origin: $(cat cache/roots/trixie/origin)"
grep -qx install cache/logs/root-trixie.log || fail "nothing was installed: $(cat cache/logs/root-trixie.log)"
[ "$(stat -c %a cache/roots/trixie/tree/usr)" = 755 ] || fail "modes"

echo "== another system under that name, and one that has another compiler or C library"
before=$(stat -c %i cache/roots/trixie/tree)
run 3 root trixie --from forky
says 'forky is forky, not trixie'
for fact in 'compiler = gcc 14/compiler = gcc 13/expects gcc 13, but' 'libc = glibc 2.41/libc = glibc 2.40/expects glibc 2.40, but'; do
        IFS=/ read -r is becomes said <<<"$fact"
        sed -i "s/$is/$becomes/" data/toolchains/trixie.ini
        run 3 root trixie --from trixie
        says "$said"
        # A root that was made under another file is looked at again.
        run 3 build-deps --toolchain trixie --dry-run
        says "$said"
        sed -i "s/$becomes/$is/" data/toolchains/trixie.ini
done
[ "$(stat -c %i cache/roots/trixie/tree)" = "$before" ] || fail "the older root is gone"
[ "$(ls -A cache/roots)" = trixie ] || fail "left: $(ls -A cache/roots)"
run 3 build-deps --toolchain forky --dry-run
says 'slurm-factory root forky'
mv cache/roots/trixie cache/roots/forky
run 3 build-deps --toolchain forky --dry-run
says "the root $PWD/cache/roots/forky/tree holds trixie, but toolchain forky is built in forky: make the root again"
mv cache/roots/forky cache/roots/trixie

echo "== a root that lacks packages: all of them are named"
run 3 build-deps --toolchain trixie --dry-run
says "package zlib1g-dev (zlib) is not installed (the root $PWD/cache/roots/trixie/tree lacks packages; slurm-factory root trixie"
says ' build-essential autoconf '
says ' libbz2-dev '
! grep -qE 'again:.* libssl-dev( |\))' out || fail "libssl-dev is there"

echo "== from a tarball, which is not Debian at all"
mkdir empty
tar -cf empty.tar empty
run 3 root trixie --from empty.tar --no-packages
says 'root of trixie: '
tar -C trixie -czf trixie.tar.gz .
run 0 root trixie --from trixie.tar.gz --no-packages
grep -qx 'packages none' cache/roots/trixie/origin || fail "origin: $(cat cache/roots/trixie/origin)"
[ "$(stat -c %i cache/roots/trixie/tree)" != "$before" ] || fail "the root was not made anew"

if command -v umoci >/dev/null && command -v skopeo >/dev/null; then
        echo "== from an OCI image, unpacked once by its digest"
        umoci init --layout image
        umoci new --image image:13 >/dev/null 2>&1
        umoci insert --image image:13 --opaque trixie / >/dev/null 2>&1
        run 0 root trixie --from oci:image:13 --no-packages
        digest=$(skopeo inspect --format '{{.Digest}}' oci:image:13)
        grep -qx "oci:image:13 $digest" cache/roots/trixie/origin || fail "origin: $(cat cache/roots/trixie/origin)"
        before=$(stat -c %i cache/roots/trixie/tree)
        run 0 root trixie --from oci:image:13 --no-packages
        says 'made from this image already'
        [ "$(stat -c %i cache/roots/trixie/tree)" = "$before" ] || fail "unpacked twice"
        run 0 root trixie --from oci:image:13
        grep -q '^packages build-essential' cache/roots/trixie/origin || fail "other packages, same root"
        umoci insert --image image:13 forky/etc/os-release /etc/os-release >/dev/null 2>&1
        before=$(stat -c %i cache/roots/trixie/tree)
        run 3 root trixie --from oci:image:13
        says 'oci:image:13 is forky, not trixie'
        [ "$(stat -c %i cache/roots/trixie/tree)" = "$before" ] || fail "the older root is gone"
        run 3 root trixie --from oci:image:14
        says 'image oci:image:14'

        echo "== an image that becomes another one between the question and the copy"
        # skopeo itself, but for what happens once after a question; no TLS on the loopback; for these processes only.
        skopeo=$(realpath "$(command -v skopeo)")
        cp "$skopeo" skopeo.real
        printf '#!/bin/sh\n%s/skopeo.real "$@" || exit\ncase " $* " in *" inspect "*) [ ! -e meanwhile ] || { mv meanwhile now; sh -e now >&2; } ;; esac\n' \
                "$PWD" >skopeo.moving
        chmod +x skopeo.moving
        printf '' >registries.conf
        moving() { # moving WANTED-EXIT-CODE VERB...
                local code=0 wanted=$1
                shift
                unshare -m sh -c 'mount --bind registries.conf /etc/containers/registries.conf && mount --bind skopeo.moving "$0" && exec "$@"' \
                        "$skopeo" "$top_builddir/slurm-factory" --config conf --data data --cache cache "$@" >out 2>&1 || code=$?
                [ "$code" = "$wanted" ] || fail "exit code $code instead of $wanted: $*"
                [ ! -e meanwhile ] || fail "nothing was moved"
        }
        umoci new --image image:16 >/dev/null 2>&1
        umoci insert --image image:16 --opaque trixie / >/dev/null 2>&1
        echo 'umoci insert --image image:16 forky/etc/os-release /etc/os-release' >meanwhile
        moving 3 root trixie --from oci:image:16 --no-packages
        says 'while it was copied: try again'
        [ "$(stat -c %i cache/roots/trixie/tree)" = "$before" ] || fail "the older root is gone"
        if command -v docker-registry >/dev/null; then
                port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
                printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$PWD" "$port" >registry.yml
                docker-registry serve registry.yml >registry.log 2>&1 &
                registry=$!
                trap 'kill "$registry"; wait "$registry" || true; rm -rf "$scratch"' EXIT
                for _ in $(seq 100); do
                        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
                        sleep 0.1
                done
                to=docker://127.0.0.1:$port/suite
                umoci new --image image:17 >/dev/null 2>&1
                umoci insert --image image:17 --opaque trixie / >/dev/null 2>&1
                skopeo copy -q --dest-tls-verify=false oci:image:17 "$to:13"
                digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "$to:13")
                echo "skopeo copy -q --dest-tls-verify=false oci:image:16 $to:13" >meanwhile
                printf '[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$port" >registries.conf
                moving 0 root trixie --from "$to:13" --no-packages
                [ "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "$to:13")" != "$digest" ] || fail "the tag was not moved"
                grep -qx "$to:13 $digest" cache/roots/trixie/origin || fail "origin: $(cat cache/roots/trixie/origin)"
                grep -q trixie cache/roots/trixie/tree/etc/os-release || fail "another image than the recorded one"
        else
                echo "   skipped: no docker-registry here"
        fi
else
        echo "   skipped: no umoci or skopeo here"
fi

echo "== for another architecture: refused without what runs its programs"
case $(uname -m) in x86_64) other=arm64 qemu=qemu-aarch64-static gcc=aarch64-linux-gnu-gcc ;; *) other=amd64 qemu=qemu-x86_64-static gcc=x86_64-linux-gnu-gcc ;; esac
tools=$scratch/tools
mkdir "$tools"
for tool in cp tar; do ln -s "$(command -v $tool)" "$tools/"; done
run 2 root trixie --arch sparc --from trixie
says 'amd64 or arm64 is expected'
run 3 root trixie --arch $other --from trixie
says "is a system for $([ $other = arm64 ] && echo amd64 || echo arm64), not $other"
run 3 build-deps --toolchain trixie --arch $other --dry-run
says "slurm-factory root trixie --arch $other"
run 3 build-deps --arch $other --dry-run
says "--arch $other"
if ! command -v $qemu >/dev/null || ! command -v $gcc >/dev/null; then
        echo "   skipped: no $qemu or $gcc here"
        echo "all well"
        exit 0
fi
$gcc -static -O1 -o answers answers.c
mkdir here
mv cache/roots/trixie here/
rm -r trixie
system trixie trixie
touch trixie/complete here/trixie/tree/complete
run 3 root trixie --from trixie
says "is a system for $other"
PATH=$tools run 3 root trixie --arch $other --from trixie
says "neither $qemu nor ${qemu%-static} is in PATH"
run 3 root trixie --arch $other --from trixie --qemu /bin/sh
says 'linked dynamically'
# A kernel before 6.7 refuses this mount.
printf '#include <errno.h>\nint fsconfig(void); int fsconfig(void) { errno = EPERM; return -1; }\n' |
        ${CC:-cc} -shared -fPIC -o old.so -x c -
old_kernel() { LD_PRELOAD=$scratch/old.so run "$@"; }
old_kernel 3 root trixie --arch $other --from trixie
says 'Linux 6.7 or later is needed'
[ -z "$(ls -A cache/roots)" ] || fail "left: $(ls -A cache/roots)"

echo "== for another architecture: under qemu-user, in this program's own user namespace"
if unshare -Urm mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null; then
        table() { cat /proc/sys/fs/binfmt_misc/* 2>/dev/null | sha256sum; grep -c binfmt_misc /proc/mounts || :; }
        before=$(table)
        run 0 root trixie --arch $other --from trixie
        says "root of trixie $other: gcc 14.2.0, glibc 2.41"
        [ "$(ls -A cache/roots)" = trixie-$other ] || fail "roots: $(ls -A cache/roots)"
        grep -qx install cache/logs/root-trixie-$other.log || fail "nothing was installed in it"
        printf '[factory]\nqemu = %s\n' "$(command -v $qemu)" >conf
        run 0 -v build-deps --toolchain trixie --arch $other --dry-run --profile minimal
        says "programs for $other are run by "
        says "build  munge"
        printf '' >conf
        PATH=$tools run 3 build-deps --toolchain trixie --arch $other --dry-run
        says 'need an emulator' # never at a path in the cache instead
        # A cache whose file system forbids set-user-id programs and devices: a user namespace has to leave that as it is.
        mkdir strict
        unshare -m bash -euc 'mount -t tmpfs -o nosuid,nodev strict strict; cp -a cache/roots strict/; exec "$@"' bash \
                "$top_builddir/slurm-factory" --config conf --data data --cache strict build-deps --toolchain trixie --arch $other \
                --dry-run --profile minimal >out 2>&1 || fail "in a cache on a file system with nosuid"
        # What an old machine has registered for itself is good enough.
        unshare -Urm bash -euc 'mount -t binfmt_misc b /proc/sys/fs/binfmt_misc; printf "$1" >/proc/sys/fs/binfmt_misc/register
                export LD_PRELOAD=$2; shift 2; exec "$@"' bash \
                ":x:M:18:\\x$([ $other = arm64 ] && echo b7 || echo 3e)\\x00::$(command -v $qemu):PF" "$scratch/old.so" \
                "$top_builddir/slurm-factory" --config conf --data data --cache cache -v build-deps --toolchain trixie --arch $other \
                --dry-run --profile minimal >out 2>&1 || fail "with what the machine has registered"
        says 'by what the machine has registered'
        # This machine's own layers and roots are another matter.
        mv here/trixie cache/roots/
        run 0 build-deps --toolchain trixie --dry-run --profile minimal
        [ "$(table)" = "$before" ] || fail "the machine's own binfmt_misc has changed"
else
        echo "   skipped: this kernel has no binfmt_misc of a user namespace"
fi
echo "all well"
