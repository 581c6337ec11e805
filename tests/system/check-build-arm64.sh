#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# json-c and hwloc by their recipes, and a small "Slurm" that needs both, in two versions: built for arm64 on a machine that is
# not, in a system that runs under qemu-user in a user namespace; packed, published, installed and upgraded; what was installed runs
# under qemu-user. Nothing of the machine's own binfmt_misc may change.
# SF_TEST_ROOT_ARM64: an arm64 bookworm system with what etc/toolchains/debian.ini lists, unpacked in a directory. SF_TEST_MIRROR: a
# directory of source archives; without it they come from where the recipes say. SF_STATIC: the agent for arm64; without it this
# machine's own one installs into a directory (--root, --arch). SF_TEST_ARM64_PACKAGES: recipes, "" for the small "Slurm" alone.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: a root is made as root"; exit 77; }
[ "$(dpkg --print-architecture)" != arm64 ] || { echo "skipped: this machine is arm64"; exit 77; }
[ -n "${SF_TEST_ROOT_ARM64-}" ] || { echo "skipped: SF_TEST_ROOT_ARM64 names no arm64 system"; exit 77; }
tools=(qemu-aarch64-static python3 readelf unshare)
for tool in "${tools[@]}"; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
unshare -Urm mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null ||
        { echo "skipped: this kernel has no binfmt_misc of a user namespace (Linux 6.7)"; exit 77; }
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL TESTS TEST_LOGS SLURM_FACTORY_CACHE_DIR
packages=${SF_TEST_ARM64_PACKAGES-json-c hwloc}

work=$(mktemp -d "${SF_TEST_DIR:-${TMPDIR:-/tmp}}/sf-build-arm64.XXXXXX")
server=
cleanup() {
        [ -z "$server" ] || kill "$server" 2>/dev/null || :
        if awk -v w="$work/" 'index($2, w) == 1 { found = 1 } END { exit !found }' /proc/mounts; then
                echo "mounts are left below $work"
        else
                rm -rf "$work"
        fi
}
trap cleanup EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; [ ! -f out ] || tail -n 20 out | sed 's/^/    /' >&2; exit 1; }
said() { grep -- "$1" out >/dev/null || fail "no \"$1\" in the output"; }
mkdir mirror
{ printf '[mirror]\nurl = mirror\n'; [ -z "${SF_TEST_MIRROR-}" ] || printf 'url = %s\n' "$SF_TEST_MIRROR"; } >conf
timed() { # WHAT COMMAND...
        local start=$EPOCHREALTIME what=$1
        shift
        "$@" >out 2>&1 || fail "$what: exit code $?"
        echo "   $what: $(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')"
}
factory() { "$top_builddir/slurm-factory" --config conf --data data --cache cache -v "$@"; }
tables() { { cat /proc/sys/fs/binfmt_misc/* 2>/dev/null || :; } | sha256sum; grep -c binfmt_misc /proc/mounts || :; }
tables >before

# --- the recipes: two real ones, and a "Slurm" that asks both libraries -------------------------------------------------

mkdir -p data/recipes data/slurm
cp -r "$top_srcdir/etc/toolchains" data/
for p in $packages; do cp "$top_srcdir/etc/recipes/$p.ini" data/recipes/; done
libraries=$(for p in $packages; do printf -- '-l%s ' "$p"; done)
cat >data/recipes/slurm.ini <<END
[package]
name = slurm
${packages:+depends = $packages}
[step make]
run = make P=@PREFIX@ "L=$libraries"
[step install]
run = make install P=@PREFIX@
END
for version in 9.9.1 9.9.2; do
        mkdir small-$version
        cat >small-$version/main.c <<END
#include <stdio.h>
#include <sys/utsname.h>
#if __has_include(<json-c/json.h>)
#include <json-c/json.h>
#endif
#if __has_include(<hwloc.h>)
#include <hwloc.h>
#endif
int main(void)
{
        struct utsname system;
        uname(&system);
        printf("slurm $version %s %s\\n", system.machine, PREFIX "/share");
#if __has_include(<json-c/json.h>)
        printf("json-c %s\\n", json_object_to_json_string(json_object_new_string("works")));
#endif
#if __has_include(<hwloc.h>)
        hwloc_topology_t topology;
        printf("hwloc %d\\n", hwloc_topology_init(&topology));
#endif
        return 0;
}
END
        cat >small-$version/Makefile <<'END'
slurmd: main.c
	$(CC) $(CFLAGS) -DPREFIX='"$(P)"' -I$(P)/include $(LDFLAGS) -o $@ main.c -L$(P)/lib $(L) -Wl,-rpath,$(P)/lib
install: slurmd
	install -D slurmd $(P)/sbin/slurmd
END
        tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small-$version | gzip -n >mirror/small-$version.tar.gz
        printf '[package]\nversion = %s\n[source]\nfile = small-%s.tar.gz\nsha256 = %s\n' "$version" "$version" \
                "$(sha256sum mirror/small-$version.tar.gz | cut -d' ' -f1)" >data/slurm/$version.ini
done

# --- building -----------------------------------------------------------------------------------------------------------

echo "== a root, two versions"
for_arm=(--toolchain bookworm --arch arm64)
timed "root, copied" factory root bookworm --arch arm64 --from "$SF_TEST_ROOT_ARM64" --no-packages
said 'root of bookworm arm64: gcc 12'
[ "$(ls -A cache/roots)" = bookworm-arm64 ] || fail "roots: $(ls -A cache/roots)"
factory build-slurm --slurm-version 9.9.1 "${for_arm[@]}" --dry-run >out 2>&1 || fail "--dry-run"
said 'programs for arm64 are run by .*qemu-aarch64'
if [ -n "$packages" ]; then
        timed "$packages" factory build-deps "${for_arm[@]}"
        grep -E ': built in' out | sed 's/^/   /'
fi
timed "9.9.1 on top" factory build-slurm --slurm-version 9.9.1 "${for_arm[@]}"
timed "9.9.2 on top" factory build-slurm --slurm-version 9.9.2 "${for_arm[@]}"
for p in $packages; do said "^ *$p .*: cached"; done

echo "== what it is, and what it is not taken for"
[ -s cache/builds/9.9.1-bookworm-arm64/release.json ] || fail "no release: $(ls cache/builds)"
foreign=0
while IFS= read -r -d '' file; do
        readelf -h "$file" >header 2>/dev/null || continue
        grep 'Machine: *AArch64' header >/dev/null || fail "$file is not for arm64"
        foreign=$((foreign + 1))
done < <(find cache/buildcache/*/tree -type f -print0)
wanted=$(($(wc -w <<<"$packages") + 2))
[ "$foreign" -ge "$wanted" ] || fail "only $foreign programs and libraries"
[ "$(cat cache/buildcache/*/key | grep -c '^toolchain bookworm arm64$')" = "$wanted" ] || fail "a key without the architecture"
grep -h '"cpu":"armv8-a"' cache/builds/9.9.1-bookworm-arm64/release.json >/dev/null || fail "the release does not ask for armv8-a"
grep -rF "\"emulated-on\":\"$(dpkg --print-architecture)\"" cache/builds/9.9.1-bookworm-arm64/blobs >/dev/null ||
        fail "the provenance does not say where it was built"
if factory build-slurm --slurm-version 9.9.1 --dry-run >out 2>&1; then
        ! grep '^reuse' out >/dev/null || fail "this machine would use a layer for arm64"
fi

echo "== the same by somebody who is not root"
chmod 755 "$work"
mkdir theirs && cp -a cache/sources theirs/ && mkdir theirs/roots && ln -s "$work/cache/roots/bookworm-arm64" theirs/roots/ && chown -R 65534:65534 theirs
setpriv --reuid=65534 --regid=65534 --clear-groups "$top_builddir/slurm-factory" --config conf --data data --cache theirs -v \
        build-slurm --slurm-version 9.9.1 "${for_arm[@]}" --dry-run >out 2>&1 || fail "another user"
said 'programs for arm64 are run by'

# --- publishing, and a node ------------------------------------------------------------------------------------------------

echo "== published; installed and upgraded"
factory keys init --repo repo --keys keys >out 2>&1 || fail "keys"
factory publish 9.9.1-bookworm-arm64 --repo repo --keys keys >out 2>&1 || fail "publish 9.9.1"
factory publish 9.9.2-bookworm-arm64 --delta-from 9.9.1-bookworm-arm64 --repo repo --keys keys >out 2>&1 || fail "publish 9.9.2"
python3 -u - repo >port <<'END' 2>/dev/null &
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_address[1])
server.serve_forever()
END
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
[ -s port ] || fail "no web server"
mkdir -p node/etc node/tmp node/lib
cp "$(command -v qemu-aarch64-static)" node/qemu
cp repo/metadata/1.root.json node/root.json
cp "$SF_TEST_ROOT_ARM64"/etc/os-release node/etc/
cp -L "$SF_TEST_ROOT_ARM64"/lib/aarch64-linux-gnu/{ld-linux-aarch64.so.1,libc.so.6,libm.so.6} node/lib/
if [ -n "${SF_STATIC-}" ]; then
        cp "$SF_STATIC" node/sf-node
        root=/root.json
        node() { chroot node /qemu /sf-node --repo "http://127.0.0.1:$(cat port)/" "$@"; }
else
        root=node/root.json
        node() { "$top_builddir/sf-node" --root "$work/node" --arch arm64 --repo "http://127.0.0.1:$(cat port)/" "$@"; }
fi
runs() { # VERSION
        chroot node /qemu /opt/slurm/view/sbin/slurmd >out 2>&1 || fail "slurmd of $1"
        grep "slurm $1 aarch64 /opt/slurm/releases/$1-bookworm" <(tr -s / <out) >/dev/null || fail "it does not run from where it lies"
        [[ "$packages" != *json-c* ]] || said '^json-c "works"$'
        [[ "$packages" != *hwloc* ]] || said '^hwloc 0$'
        sed 's/^/   /' out
}
timed "trust" node trust "$root"
timed "install" node install 9.9.1
runs 9.9.1
timed "upgrade" node upgrade 9.9.2 --no-restart
grep -i fetched out | head -2 | sed 's/^/   /' || :
runs 9.9.2
timed "verify" node verify
timed "rollback" node rollback --no-restart
runs 9.9.1

tables >after
cmp before after || fail "the machine's own binfmt_misc has changed"
echo "all well"
