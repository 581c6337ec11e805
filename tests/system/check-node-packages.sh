#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node of Debian 13 that runs slurmd from Debian's own package, with a job on it: taken over, rolled back, taken over
# again, and the package removed under a running job.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

# A node whose Slurm is Debian's. Numbers of users are those of the other nodes; nothing is started while it is made.
packages_base()
{
        local uid
        uid=$(bed_base_uid slurm)
        # shellcheck disable=SC2016
        bed_make_base trixie systemd,systemd-sysv,dbus,munge,iproute2,procps,netbase,libarchive13t64,libcurl4t64,libjansson4,librsync2t64,libinih1 \
                "chroot \"\$1\" useradd --system --uid $uid --home-dir /nonexistent --shell /usr/sbin/nologin slurm" \
                'chroot "$1" useradd --create-home user' \
                'printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod +x "$1/usr/sbin/policy-rc.d"' \
                'chroot "$1" apt-get install -y --no-install-recommends slurmd slurm-client' \
                'rm "$1/usr/sbin/policy-rc.d"'
}

from_package()
{
        case $(bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe') in
        /usr/sbin/slurmd-wlm) ;;
        *) return 1 ;;
        esac
}

bed_begin
releases_begin
mkdir "$BED/layer" "$BED/bare"
releases_node "$BED/layer"
packages_base
cluster_files 1
bed_layer "$BED/layer"
bed_boot ctl 10.77.0.2

# The same sf-node, and no Slurm of ours. The test's releases were built with another toolchain than Debian 13's.
install -D "${SF_NODE:-$top_builddir/sf-node}" "$BED/bare/usr/sbin/sf-node"
mkdir -p "$BED/bare/etc" "$BED/files/n1/etc/systemd/system/slurmd.service.d" "$BED/files/n1/etc/munge" "$BED/files/n1/etc/default"
cp -a "$BED/layer/etc/sf-node" "$BED/bare/etc/"
printf '[node]\ntoolchain = %s\n' "$RELEASES_TOOLCHAIN" >>"$BED/bare/etc/sf-node/sf-node.conf"
echo 'SLURMD_OPTIONS=-v' >"$BED/files/n1/etc/default/slurmd"
printf '[Service]\nEnvironment=SITE=here\n' >"$BED/files/n1/etc/systemd/system/slurmd.service.d/site.conf"
cp -a "$BED/files/all/etc/munge/munge.key" "$BED/files/n1/etc/munge/"
chown -R "$(stat -c %u:%g "$BED_MADE/etc/munge")" "$BED/files/n1/etc/munge"
BED_LOWER=$BED/bare:$BED_MADE bed_boot n1 10.77.0.11
cluster_wait "n1 idle" cluster_is n1 idle || fail "$(bed_in n1 journalctl -u slurmd -u munge --no-pager | tail -n 40)"
from_package || fail "not Debian's slurmd"
expect 0 bed_in n1 sf-node --repo file:///srv/repo trust /srv/repo/metadata/1.root.json

# Jobs that last as long as this test wants.
endless='while [ ! -e /tmp/end ]; do sleep 0.5; done'
job=$(submit -w n1 -o /dev/null --wrap "$endless")
cluster_wait "job $job to run" job_is "$job" RUNNING

# Nobody asked for it: a unit that sf-node did not write is left alone.
expect 2 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "sf-node adopt"
expect 0 bed_in n1 sf-node adopt --dry-run "$RELEASES_GOOD"
[ ! -e "$BED/nodes/n1/disk/opt/slurm/view" ] || fail "a dry run made view"
from_package || fail "a refused upgrade changed something"

# One that fails gives the package's slurmd back.
expect 4 bed_in n1 sf-node adopt --force "$(full "$RELEASES_DIES")"
says "sf-node rollback goes back to it"
from_package || fail "not returned to the package"
bed_in n1 test ! -e /etc/systemd/system/slurmd.service || fail "our unit stays"

expect 0 bed_in n1 sf-node adopt "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"
job_is "$job" RUNNING || fail "the job is lost: $(job_state "$job")"
bed_in n1 sh -c 'tr "\0" " " </proc/$(systemctl show -P MainPID slurmd)/cmdline' | grep -- "-v" >/dev/null || fail "/etc/default/slurmd is not honoured"
bed_in n1 sh -c 'tr "\0" "\n" </proc/$(systemctl show -P MainPID slurmd)/environ' | grep -x SITE=here >/dev/null || fail "the site's drop-in is not honoured"
bed_in n1 sh -c 'readlink /proc/[0-9]*/exe' | grep -x /usr/sbin/slurmstepd-wlm >/dev/null || fail "no step runs from the package"
expect 0 bed_in n1 sf-node status
says "of step $job.batch"
later=$(submit -w n1 -o /dev/null --wrap "$endless")
cluster_wait "job $later to run" job_is "$later" RUNNING

# There and back again.
expect 0 bed_in n1 sf-node rollback
from_package || fail "rollback does not give the package's slurmd back"
[ "$(bed_in n1 systemctl show -P FragmentPath slurmd)" = /usr/lib/systemd/system/slurmd.service ] || fail "the package's unit is not effective"
bed_in n1 test ! -e /usr/sbin/policy-rc.d || fail "the guard stays"
[ "$(bed_in n1 /opt/slurm/view/bin/scontrol -V)" = "$(bed_in n1 /usr/bin/scontrol -V)" ] || fail "view is not the package's"
expect 0 bed_in n1 sf-node rollback
active n1 "$RELEASES_GOOD"

# Debian's scripts stop slurmd.service on removal. Ours runs on, and so do both jobs.
slurmd=$(bed_in n1 systemctl show -P MainPID slurmd)
bed_in n1 env DEBIAN_FRONTEND=noninteractive apt-get remove -y slurmd
[ "$(bed_in n1 systemctl show -P MainPID slurmd)" = "$slurmd" ] || fail "removing the package restarted or stopped slurmd"
active n1 "$RELEASES_GOOD"
[ "$(bed_in n1 systemctl is-enabled slurmd)" = enabled ] || fail "slurmd would not start at boot"
expect 2 bed_in n1 sf-node rollback
says "is not there any more"
job_is "$job" RUNNING && job_is "$later" RUNNING || fail "a job is lost"
bed_in n1 touch /tmp/end
job_succeeds "$job"
job_succeeds "$later"
