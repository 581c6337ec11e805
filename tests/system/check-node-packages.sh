#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node of Debian 13 that runs slurmd from Debian's own package, with a job on it: taken over, rolled back, taken over
# again, and the package removed under a running job.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/packaged.sh"

bed_begin
releases_begin
mkdir "$BED/layer" "$BED/bare"
releases_node "$BED/layer"
packaged_base trixie systemd,systemd-sysv,dbus,munge,iproute2,procps,netbase,libarchive13t64,libcurl4t64,libjansson4,librsync2t64,libinih1
cluster_files 1
bed_layer "$BED/layer"
bed_boot ctl 10.77.0.2

# The same sf-node, and no Slurm of ours. The test's releases were built with another toolchain than Debian 13's.
packaged_node
mkdir -p "$BED/files/n1/etc/systemd/system/slurmd.service.d" "$BED/files/n1/etc/default"
printf '[node]\ntoolchain = %s\n' "$RELEASES_TOOLCHAIN" >>"$BED/bare/etc/sf-node/sf-node.conf"
echo 'SLURMD_OPTIONS=-v' >"$BED/files/n1/etc/default/slurmd"
printf '[Service]\nEnvironment=SITE=here\n' >"$BED/files/n1/etc/systemd/system/slurmd.service.d/site.conf"
packaged_boot

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
