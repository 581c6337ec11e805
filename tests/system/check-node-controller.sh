#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A controller crosses a series and goes back: its state is copied, put back only when that is asked for, and never taken from a
# slurmctld that came up.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"

bed_begin
neighbours_begin
read -r OLD NEW _ <<<"$NEIGHBOURS"
mkdir "$BED/layer"
neighbours_node "$BED/layer" "$OLD"
bed_layer "$BED/layer"
cluster_files 1
mkdir -p "$BED/files/ctl/etc/sf-node/conf.d"
printf '[service]\nunit = slurmctld.service\n' >"$BED/files/ctl/etc/sf-node/conf.d/ctl.conf"
sed -i "s/^sched_interval.*//" "$BED/files/all/etc/slurm/slurm.conf"
cluster_up 1

ctld()
{
        bed_in ctl sh -c 'readlink /proc/$(systemctl show -P MainPID slurmctld)/exe' || true
}

ctld_is()
{
        case $(ctld) in
        /opt/slurm/releases/"$1"-*/sbin/slurmctld) ;;
        *) fail "slurmctld is $(ctld), not of $1" ;;
        esac
}

before=$(submit --wrap 'sleep 600')
cluster_wait "job $before runs" job_is "$before" RUNNING

echo "--- up: the state is copied"
expect 0 bed_in ctl sf-node upgrade "$NEW"
ctld_is "$NEW"
bed_in ctl sh -c 'cd /var/lib/sf-node/controller; cat */copy.json */jobs; ls -la */state'
cluster_wait "n1 answers" cluster_is n1 mixed || true
job_is "$before" RUNNING || fail "job $before is $(job_state "$before")"

echo "--- back: refused with what would be lost"
since=$(submit --wrap 'sleep 600')
cluster_wait "job $since runs" job_is "$since" RUNNING
expect 3 bed_in ctl sf-node rollback
says "--restore-state"
says "1 jobs were submitted ($since), 1 started ($since)"
ctld_is "$NEW"

echo "--- back, with the state"
expect 0 bed_in ctl sf-node rollback --restore-state
ctld_is "$OLD"
cluster_wait "job $before is known" job_is "$before" RUNNING
job_is "$since" RUNNING && fail "job $since is from the future"
bed_in ctl squeue
