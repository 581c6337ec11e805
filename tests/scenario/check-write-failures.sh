#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an install says and leaves behind where the disk fails it: each failing call is injected by strace(1), on a file system
# that is written past the page cache and on one that is not.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "skipped: mounting needs root"; exit 77; }
for tool in strace mkfs.ext4 unshare; do
        PATH=$PATH:/usr/sbin command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
# A mount namespace of its own: nothing stays mounted, however this ends.
[ -n "${SF_TEST_MOUNTS-}" ] || SF_TEST_MOUNTS=1 exec unshare --mount "$0" "$@"
strace -qq -o /dev/null true 2>/dev/null || { echo "skipped: strace may not trace here"; exit 77; }
unset SLURM_FACTORY_CACHE_DIR
export LC_ALL=C PATH=$PATH:/usr/sbin
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
failures=0
trap 'cd /; umount "$work/mnt" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

# --- a release of files that go through the writer (64 KiB and more), of lengths that are no multiple of a block -----------

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir -p tree/sbin tree/lib mnt
printf '#!/bin/sh\n# %s/sbin\n' "$placeholder" >tree/sbin/slurmd
for n in $(seq 40); do head -c $((300000 + n * 77)) /dev/urandom >"tree/lib/big-$n"; done
head -c 5000 /dev/urandom >tree/lib/small
factory import tree --placeholder "$placeholder" --slurm-version 24.11.1 --toolchain test
factory keys init --repo repo --keys keys
factory publish 24.11.1 --repo repo --keys keys
: >conf

# --- the node -----------------------------------------------------------------------------------------------------------

agent=("${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/mnt" --toolchain test --arch amd64 --repo "file://$work/repo")
releases=mnt/opt/slurm/releases
incoming=$work/$releases/.incoming-24.11.1-test
mapfile -t big < <(for n in $(seq 40); do printf -- '-P\n%s\n' "$incoming/lib/big-$n"; done)
# install [STRACE ARGUMENT...]: on an empty node (strace counts calls, when=N, by thread); exit code in $code, what it said in ./said, the calls in ./calls
install() {
        rm -rf mnt/opt mnt/var mnt/etc
        "${agent[@]}" -q trust repo/metadata/1.root.json
        code=0
        strace -f -qq -o calls "$@" "${agent[@]}" install 24.11.1 >said 2>&1 || code=$?
}
result() { # WHAT [PROBLEM]
        printf '%-76s %s\n' "$1" "${2:-ok}"
        [ -z "${2-}" ] || { failures=$((failures + 1)); sed 's/^/        /' said; }
}
whole() {
        [ "$code" = 0 ] || { result "$1" "NOT OK: exit code $code"; return; }
        sync
        echo 3 >/proc/sys/vm/drop_caches || true # what counts is on the disk
        "${agent[@]}" -q verify 24.11.1 >said 2>&1 && result "$1" || result "$1" "NOT OK: not whole"
}
# fails WHAT MESSAGE: with that message, and nothing is left
fails() {
        if [ "$code" = 0 ]; then
                result "$1" "NOT OK: it succeeds"
        elif ! grep -qE "$2" said; then
                result "$1" "NOT OK: does not say $2"
        elif [ -n "$(ls -A -I .lock $releases)" ]; then # the lock of those who share releases/ stays
                result "$1" "NOT OK: leaves $(ls -A -I .lock $releases)"
        else
                result "$1"
        fi
}

on_disk() { # NAME: a file system that is written past the page cache
        local where
        where='layer [a-z]+: frame [0-9]+: cannot write lib/big-[0-9]+'
        install -e trace=fcntl
        whole "$1: installs"
        grep -q 'F_SETFL, .*O_DIRECT.* = 0' calls || result "$1: past the page cache" "NOT OK: no O_DIRECT"
        install "${big[@]}" -e trace=pwrite64 -e inject=pwrite64:error=EINVAL:when=1
        whole "$1: direct writes are refused, and go through the page cache"
        install "${big[@]}" -e trace=pwrite64 -e inject=pwrite64:error=EINTR:when=1
        whole "$1: direct writes are interrupted"
        install -e trace=fallocate -e inject=fallocate:error=EOPNOTSUPP
        whole "$1: no fallocate"
        install -e trace=sync_file_range -e inject=sync_file_range:error=EIO
        whole "$1: no sync_file_range"
        install "${big[@]}" -e trace=pwrite64 -e inject=pwrite64:error=EIO:when=1
        fails "$1: a direct write fails" "$where: Input/output error"
        install "${big[@]}" -e trace=pwrite64 -e inject=pwrite64:error=EIO:when=2+
        fails "$1: writes begin to fail" "$where: Input/output error"
        install "${big[@]}" -e trace=pwrite64 -e inject=pwrite64:error=ENOSPC:when=1
        fails "$1: a write finds the disk full" "$where: No space left"
        install -e trace=fallocate -e inject=fallocate:error=ENOSPC:when=2+
        fails "$1: fallocate finds the disk full" "$where: No space left"
        install -e trace=fallocate -e inject=fallocate:error=EDQUOT:when=1
        fails "$1: fallocate finds the quota used up" "$where: Disk quota exceeded"
        install -P "$incoming/lib/big-7" -e trace=fsync -e inject=fsync:error=EIO
        fails "$1: the sync of a file fails" 'lib/big-7: cannot sync it: Input/output error'
        install -P "$incoming/lib" -e trace=fsync -e inject=fsync:error=EIO
        fails "$1: the sync of a directory fails" 'lib: cannot sync it: Input/output error'
}

truncate -s 320M disk # the least that mkfs.xfs takes
for type in ext4 xfs; do
        [ $type = ext4 ] && mkfs=(mkfs.ext4 -q -F) || mkfs=(mkfs.xfs -q -f)
        command -v "${mkfs[0]}" >/dev/null && "${mkfs[@]}" disk 2>/dev/null && mount -o loop -t $type disk mnt 2>/dev/null ||
                { echo "$type: cannot be made or mounted here"; continue; }
        on_disk $type
        umount mnt
done
mount -t tmpfs -o size=64m tmpfs mnt
install -e trace=fcntl,write
whole "tmpfs: installs"
! grep -q 'F_SETFL, .*O_DIRECT\b' calls || result "tmpfs: through the page cache" "NOT OK: O_DIRECT"
install -P "$incoming/lib/big-7" -e trace=write -e inject=write:error=EIO
fails "tmpfs: a write fails" 'layer [a-z]+: frame [0-9]+: cannot write lib/big-7: Input/output error'

echo "$failures not ok"
[ "$failures" = 0 ]
