#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# "install --init" in a root of trixie whose user slurm only a name service module knows (libnss-extrausers, as LDAP's would). The agent is
# the static one, which has no such modules: it asks the host's getent. SF_NODE names it, else static-build/ARCH/sf-node.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: chroot and mounts need root"; exit 77; }
[ -n "${SF_TEST_MOUNTS-}" ] || SF_TEST_MOUNTS=1 exec unshare --mount --propagation private bash "$0" "$@"
export SF_NODE=${SF_NODE:-$(realpath "$top_builddir")/static-build/$(dpkg --print-architecture)/sf-node}
[ -x "$SF_NODE" ] || { echo "skipped: no static agent at $SF_NODE (make static)"; exit 77; }
. "$top_srcdir/tests/testbed/node.sh"

bed_need
bed_make_base trixie libnss-extrausers,libdbus-1-3
work=$(mktemp -d "${TMPDIR:-/var/tmp}/sf-init.XXXXXX")
end()
{
        local status=$?
        umount -R "$work/root" 2>/dev/null || true
        umount "$work/top" 2>/dev/null || true
        rm -rf --one-file-system "$work"
        exit $status
}
trap end EXIT
releases_begin
mkdir "$work/top" "$work/root"
mount -t tmpfs none "$work/top"
mkdir "$work/top/upper" "$work/top/work"
mount -t overlay none -o "lowerdir=$BED_MADE,upperdir=$work/top/upper,workdir=$work/top/work" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
mkdir -p "$root/srv/repo" "$root/var/lib/extrausers"
mount --bind "$RELEASES/repo" "$root/srv/repo"
install "$SF_NODE" "$root/usr/sbin/sf-node"
sed -i -e 's/^passwd:.*/passwd: files extrausers/' -e 's/^group:.*/group: files extrausers/' "$root/etc/nsswitch.conf"
node() { chroot "$root" /usr/sbin/sf-node --repo file:///srv/repo --toolchain "$RELEASES_TOOLCHAIN" "$@"; }

expect 0 node trust /srv/repo/metadata/1.root.json
expect 2 node install --init --conf-server ctl "$RELEASES_BASE"
says "sf-node does not invent its number"
echo 'slurm:x:64030:64031::/nonexistent:/usr/sbin/nologin' >"$root/var/lib/extrausers/passwd"
echo 'slurm:x:64031:' >"$root/var/lib/extrausers/group"
expect 0 node install --init --conf-server ctl "$RELEASES_BASE"
[ "$(stat -c %u:%g "$root/var/log/slurm")" = 64030:64031 ] || fail "/var/log/slurm is of $(stat -c %u:%g "$root/var/log/slurm")"
[ "$(stat -c %u "$root/var/spool/slurmd")" = 0 ] || fail "the spool directory is not root's"
[ -e "$root/etc/systemd/system/slurmd.service" ] && [ -L "$root/etc/systemd/system/multi-user.target.wants/slurmd.service" ] || fail "slurmd is not enabled"
chroot "$root" /opt/slurm/view/sbin/slurmd -V
expect 0 node install --init --conf-server ctl "$RELEASES_BASE"
says "nothing to do"
