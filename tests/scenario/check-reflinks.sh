#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A prefix on Btrfs and on XFS, in images on loop devices: install, upgrade, rollback, gc and repair; subvolumes, snapshots
# (read-only ones too), files without copy on write, compression, and a disk that is full only when it is written to.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "skipped: mounting needs root"; exit 77; }
for tool in mkfs.btrfs mkfs.xfs btrfs unshare chattr; do
        PATH=$PATH:/usr/sbin command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
# A mount namespace of its own: nothing stays mounted, however this ends, and loop devices go with their mounts.
[ -n "${SF_TEST_MOUNTS-}" ] || SF_TEST_MOUNTS=1 exec unshare --mount "$0" "$@"
unset SLURM_FACTORY_CACHE_DIR
export LC_ALL=C PATH=$PATH:/usr/sbin
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
# In memory where there is room: what takes time is the disk.
work=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/var/tmp}")/sf-reflinks.XXXXXX")
trap 'cd /; umount "$work"/mnt* 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
cd "$work"
fail() { echo "FAIL: $fs: $*"; [ ! -e said ] || sed 's/^/        /' said; exit 1; }

# --- three releases of 5 MB that differ in one file -------------------------------------------------------------------------

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir -p tree/sbin tree/lib mnt
printf '#!/bin/sh\n# %s/sbin\n' "$placeholder" >tree/sbin/slurmd
for n in $(seq 16); do head -c $((300000 + n * 77)) /dev/urandom >"tree/lib/big-$n"; done
head -c 5000 /dev/urandom >tree/lib/small
factory keys init --repo repo --keys keys
for version in 24.11.1 24.11.2 24.11.3; do
        factory import tree --placeholder "$placeholder" --slurm-version $version --toolchain test
        head -c 400000 /dev/urandom >tree/lib/big-1
done
factory publish 24.11.1 24.11.2 24.11.3 --repo repo --keys keys
: >conf

# --- a node -----------------------------------------------------------------------------------------------------------------

agent() { "${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$root" --toolchain test --arch amd64 --repo "file://$work/repo" "$@"; }
# ok WORD... : the agent's verb ends with 0; not CODE TEXT WORD... : with that code, saying that
ok() { agent "$@" >said 2>&1 || fail "sf-node $*"; }
not()
{
        local want=$1 text=$2 code=0
        shift 2
        agent "$@" >said 2>&1 || code=$?
        [ $code = "$want" ] || fail "sf-node $* ends with $code, not $want"
        grep -e "$text" said >/dev/null || fail "sf-node $* does not say: $text"
}
active() { case $(readlink "$root/opt/slurm/view") in *"/$1-"*) ;; *) fail "view is $(readlink "$root/opt/slurm/view"), not $1" ;; esac; }
trees() { ls "$root/opt/slurm/releases" | tr '\n' ' '; } # without what begins with a dot
whole() { for version; do ok verify "$version"; done; }
kilobytes() { sync -f mnt; df --output=used -k mnt | tail -n 1; }
# disk FS SIZE [MKFS OPTION...]: a new file system, at mnt
disk()
{
        fs=$1
        umount mnt 2>/dev/null || true
        rm -f image
        truncate -s "$2" image
        "mkfs.$1" -q "${@:3}" image >/dev/null 2>&1 || { echo "skipped: mkfs.$1 fails here"; exit 77; }
        mount -o "loop${options:+,$options}" image mnt || { echo "skipped: $1 cannot be mounted here"; exit 77; }
        root=$work/mnt
}

# life: what every node goes through. What both releases have takes its room once.
life()
{
        local before after
        ok trust repo/metadata/1.root.json
        ok install 24.11.1
        before=$(kilobytes)
        ok upgrade 24.11.2
        after=$(kilobytes)
        active 24.11.2
        whole 24.11.1 24.11.2
        [ $((after - before)) -lt 2000 ] || fail "the second release takes $((after - before)) kB more"
        ok rollback
        active 24.11.1
        # What one release suffers is not the other's where files are clones; where they are links, both are mended.
        printf damage | dd of="$root/opt/slurm/releases/24.11.1-test/lib/big-2" conv=notrunc status=none
        not 3 'big-2' verify 24.11.1
        ok verify --repair 24.11.1
        ok verify --repair 24.11.2
        whole 24.11.1 24.11.2
        ok upgrade 24.11.2
        ok upgrade 24.11.3
        ok gc --keep 0
        whole 24.11.2 24.11.3
        [ "$(trees)" = "24.11.2-test 24.11.3-test " ] || fail "gc leaves $(trees)"
        echo "$fs${options:+ ($options)}: installs, upgrades with $((after - before)) kB, goes back, repairs, gc removes one of three"
}

options=
disk xfs 320M
life
disk xfs 320M -m reflink=0
life
disk btrfs 256M
life
options=compress-force=zstd
disk btrfs 256M
life
options=

# --- Btrfs: subvolumes and snapshots -----------------------------------------------------------------------------------------

disk btrfs 256M
mkdir mnt/opt
btrfs -q subvolume create mnt/opt/slurm
btrfs -q subvolume create mnt/opt/slurm/releases
ok trust repo/metadata/1.root.json
ok install 24.11.1
# A release in a subvolume of its own, and read-only: cloned from, never linked or written.
btrfs -q subvolume create mnt/opt/slurm/releases/new
cp -a --reflink=always mnt/opt/slurm/releases/24.11.1-test/. mnt/opt/slurm/releases/new/
rm -rf mnt/opt/slurm/releases/24.11.1-test
mv mnt/opt/slurm/releases/new mnt/opt/slurm/releases/24.11.1-test
btrfs property set mnt/opt/slurm/releases/24.11.1-test ro true
before=$(kilobytes)
ok upgrade 24.11.2
after=$(kilobytes)
[ $((after - before)) -lt 2000 ] || fail "the second release takes $((after - before)) kB more"
whole 24.11.1 24.11.2
ok upgrade 24.11.3
# It loses its name, and what gc cannot take away yet is taken by the next one.
not 3 'Read-only file system' gc --keep 0
whole 24.11.2 24.11.3
for left in mnt/opt/slurm/releases/.[!.]*/sbin; do btrfs property set -f "${left%/sbin}" ro false; done
ok gc --keep 0
[ "$(ls -A -I .lock -I .leases mnt/opt/slurm/releases | tr '\n' ' ')" = "24.11.2-test 24.11.3-test " ] || fail "gc leaves $(ls -A mnt/opt/slurm/releases)"
[ "$(trees)" = "24.11.2-test 24.11.3-test " ] || fail "gc leaves $(trees)"
# A snapshot outlives what gc removes, and is a releases/ of its own: as it is, or read-only.
ok rollback
mkdir -p mnt/root-ro/opt/slurm/releases mnt/root-rw/opt/slurm/releases
for kind in ro rw; do
        cp -a mnt/var mnt/root-$kind/
        cp -a mnt/opt/slurm/view mnt/root-$kind/opt/slurm/
        btrfs -q subvolume snapshot $([ $kind = rw ] || echo -r) mnt/opt/slurm/releases mnt/snap-$kind
        mount --bind mnt/snap-$kind mnt/root-$kind/opt/slurm/releases
done
ok upgrade 24.11.1
ok gc --keep 0
root=$work/mnt/root-ro
whole 24.11.2 24.11.3
not 3 'Read-only file system' install 24.11.1
not 3 'Read-only file system' gc --keep 0
active 24.11.2
ok upgrade 24.11.3
active 24.11.3
root=$work/mnt/root-rw
ok upgrade 24.11.1
whole 24.11.1 24.11.2 24.11.3
umount mnt/root-ro/opt/slurm/releases mnt/root-rw/opt/slurm/releases
echo "btrfs: subvolumes and snapshots"

# --- Btrfs: files without copy on write are no clones of others --------------------------------------------------------------

disk btrfs 256M
ok trust repo/metadata/1.root.json
ok install 24.11.1
chattr +C mnt/opt/slurm/releases
ok upgrade 24.11.2
whole 24.11.1 24.11.2
echo "btrfs: no copy on write below releases/"

# --- Btrfs: full when it is written to, for data and for metadata ------------------------------------------------------------

full()
{
        disk btrfs 128M
        ok trust repo/metadata/1.root.json
        ok install 24.11.1
        "$1"
        sync -f mnt
        not 3 'No space left on device' install 24.11.2
        [ "$(trees)" = "24.11.1-test " ] || fail "$(trees) is left"
        active 24.11.1
        whole 24.11.1
        rm -rf mnt/filler
        sync -f mnt
        ok install 24.11.2
        whole 24.11.1 24.11.2
        echo "btrfs: full of $1: says so, keeps what there was, goes on when there is room"
}
data() { mkdir mnt/filler; dd if=/dev/zero of=mnt/filler/x bs=64k status=none 2>/dev/null || true; }
metadata()
{
        mkdir mnt/filler
        python3 - mnt/filler <<'END' || true
import os, sys
text = os.urandom(1900)  # kept within the metadata
try:
    for n in range(1000000):
        with open(f"{sys.argv[1]}/{n}", "wb") as f:
            f.write(text)
except OSError:
    pass
END
}
full data
full metadata
echo "ok"
