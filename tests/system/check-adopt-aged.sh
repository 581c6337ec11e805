#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian 12's own slurmd (22.05) with a job on it, under a slurmctld of 23.11: adopted within the window and given
# back, refused beyond it, and no way for slurmctld past it. Wants real releases of 23.11 and 24.11: SF_TEST_NEIGHBOURS.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"

aged_base()
{
        local uid
        uid=$(bed_base_uid slurm)
        # shellcheck disable=SC2016
        bed_make_base bookworm "systemd,systemd-sysv,dbus,munge,iproute2,procps,netbase,$(bed_packages | paste -sd,)" \
                "chroot \"\$1\" useradd --system --uid $uid --home-dir /nonexistent --shell /usr/sbin/nologin slurm" \
                'chroot "$1" useradd --create-home user' \
                'printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod +x "$1/usr/sbin/policy-rc.d"' \
                'chroot "$1" apt-get install -y --no-install-recommends slurmd slurm-client' \
                'rm "$1/usr/sbin/policy-rc.d"'
}

from_package() { [ "$(bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe')" = /usr/sbin/slurmd-wlm ]; }
version_of() { for v in $NEIGHBOURS; do case $v in "$1".*) echo "$v" ;; esac; done; }

bed_begin
neighbours_begin
near=$(version_of 23.11) far=$(version_of 24.11)
[ -n "$near" ] && [ -n "$far" ] || { echo "SKIP: 23.11 and 24.11 are not both in SF_TEST_NEIGHBOURS"; exit 77; }
mkdir "$BED/layer" "$BED/bare"
neighbours_node "$BED/layer" "$near"
aged_base
CLUSTER_SLURMD_TIMEOUT=300 CLUSTER_CGROUP=CgroupPlugin=cgroup/v1 cluster_files 1
BED_LOWER=$BED/layer:$BED_BASE bed_boot ctl 10.77.0.2
install -D "${SF_NODE:-$top_builddir/sf-node}" "$BED/bare/usr/sbin/sf-node"
mkdir -p "$BED/bare/etc" "$BED/files/n1/etc/munge"
cp -a "$BED/layer/etc/sf-node" "$BED/bare/etc/"
cp -a "$BED/files/all/etc/munge/munge.key" "$BED/files/n1/etc/munge/"
chown -R "$(stat -c %u:%g "$BED_MADE/etc/munge")" "$BED/files/n1/etc/munge"
BED_LOWER=$BED/bare:$BED_MADE bed_boot n1 10.77.0.11
cluster_wait "n1 idle" cluster_is n1 idle || fail "$(bed_in n1 journalctl -u slurmd -u munge --no-pager | tail -n 40)"
from_package || fail "not Debian's slurmd"
aged=$(bed_in n1 /usr/sbin/slurmd -V | awk '{ print $2 }')
expect 0 bed_in n1 sf-node --repo file:///srv/repo trust /srv/repo/metadata/1.root.json

endless='while [ ! -e /tmp/end ]; do sleep 0.5; done'
job=$(submit -w n1 -o /dev/null --wrap "$endless")
cluster_wait "job $job to run" job_is "$job" RUNNING
expect 3 bed_in n1 sf-node adopt "$far"
says "slurmctld is $near and does not understand a newer slurmd"
from_package || fail "a refused adoption changed something"
# Within Slurm's window: 23.11 understands steps of 22.05.
expect 0 bed_in n1 sf-node adopt "$near"
active n1 "$near"
job_is "$job" RUNNING || fail "the job is lost: $(job_state "$job")"
bed_in n1 sh -c 'readlink /proc/[0-9]*/exe' | grep -x /usr/sbin/slurmstepd-wlm >/dev/null || fail "no step runs from the package"
expect 0 bed_in n1 sf-node rollback
from_package || fail "rollback does not give the package's slurmd back"
job_is "$job" RUNNING || fail "the job is lost: $(job_state "$job")"

# slurmctld does not go where this slurmd would be beyond its window, with --force neither.
expect 3 bed_in ctl sf-node upgrade "$far"
says "n1"
expect 3 bed_in ctl sf-node upgrade --force "$far"
job_is "$job" RUNNING || fail "the job is lost: $(job_state "$job")"
