#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian 12's own slurmd (22.05) with a job on it, under a slurmctld of 23.11: adopted within the window and given
# back, refused beyond it, and no way for slurmctld past it. Wants real releases of 23.11 and 24.11: SF_TEST_NEIGHBOURS.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"
. "$top_srcdir/tests/testbed/packaged.sh"

version_of() { for v in $NEIGHBOURS; do case $v in "$1".*) echo "$v" ;; esac; done; }

bed_begin
neighbours_begin
near=$(version_of 23.11) far=$(version_of 24.11)
[ -n "$near" ] && [ -n "$far" ] || { echo "SKIP: 23.11 and 24.11 are not both in SF_TEST_NEIGHBOURS"; exit 77; }
mkdir "$BED/layer" "$BED/bare"
neighbours_node "$BED/layer" "$near"
packaged_base bookworm "systemd,systemd-sysv,dbus,munge,iproute2,procps,netbase,$(bed_packages | paste -sd,)"
CLUSTER_SLURMD_TIMEOUT=300 CLUSTER_CGROUP=CgroupPlugin=cgroup/v1 cluster_files 1
BED_LOWER=$BED/layer:$BED_BASE bed_boot ctl 10.77.0.2
packaged_node
packaged_boot
aged=$(bed_in n1 /usr/sbin/slurmd -V | awk '{ print $2 }')

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
