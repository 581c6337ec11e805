#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Releases that do not work: the node refuses beforehand or returns by itself, with the exit code that says which, and its
# jobs live on. Once under Type=notify (n1), once under Type=simple (n2), at the same time.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

export RELEASES_HEALTH_TIMEOUT=15
CLUSTER_SLURMD_TIMEOUT=15 node_cluster 2
expect 0 bed_in n2 sf-node upgrade "$RELEASES_SIMPLE"
active n2 "$RELEASES_SIMPLE"
[ "$(bed_in n2 systemctl show -P Type slurmd)" = simple ] || fail "n2 is not Type=simple"

# returns NODE HOME RELEASE TEXT [--force] : exit 4, the old release and its very unit are back
returns()
{
        local node=$1 home=$2 release=$3 text=$4 unit
        unit=$(bed_in "$node" cat /etc/systemd/system/slurmd.service)
        # With --force what the trial of the new slurmd finds is a warning: the switch has to find out.
        expect 4 bed_in "$node" sf-node upgrade ${5-} "$release"
        says "$text"
        says "$home"
        active "$node" "$home"
        [ "$(bed_in "$node" cat /etc/systemd/system/slurmd.service)" = "$unit" ] || fail "$node: another unit"
        # Not again without --force.
        expect 3 bed_in "$node" sf-node upgrade "$release"
        says "it failed on this node before"
        active "$node" "$home"
}

on_notify()
{
        local job
        job=$(submit -w n1 -o /dev/null --wrap 'for i in $(seq 40); do srun -n1 true; sleep 1; done')
        cluster_wait "job $job to run" job_is "$job" RUNNING
        expect 3 bed_in n1 sf-node upgrade "$(full "$RELEASES_DIES")"
        says "would not start with /etc/slurm/slurm.conf"
        returns n1 "$RELEASES_BASE" "$(full "$RELEASES_DIES")" "failed at restart" --force
        returns n1 "$RELEASES_BASE" "$(full "$RELEASES_HANGS")" "did not finish within" --force
        returns n1 "$RELEASES_BASE" "$(full "$RELEASES_MUTE")" "did not register"
        expect 3 bed_in n1 sf-node upgrade "$(full "$RELEASES_LACKS")"
        says "failed at preflight: the running slurmd uses lib/slurm/auth_munge.so"
        says "unrecognized key: SrunPortRange"
        active n1 "$RELEASES_BASE"
        bed_in n1 journalctl --no-pager -o cat -t sf-node SF_TO="$RELEASES_DIES-$RELEASES_TOOLCHAIN" | grep restart >/dev/null ||
                fail "nothing in the journal"
        job_succeeds "$job"
}

on_simple()
{
        local job
        job=$(submit -w n2 -o /dev/null --wrap 'for i in $(seq 40); do srun -n1 true; sleep 1; done')
        cluster_wait "job $job to run" job_is "$job" RUNNING
        returns n2 "$RELEASES_SIMPLE" "$(full "$RELEASES_DIES" simple)" "failed at restart" --force
        returns n2 "$RELEASES_SIMPLE" "$(full "$RELEASES_HANGS" simple)" "failed at health" --force
        returns n2 "$RELEASES_SIMPLE" "$(full "$RELEASES_MUTE" simple)" "did not register"
        job_succeeds "$job"
}

on_notify >"$BED/notify" 2>&1 &
notify=$!
on_simple >"$BED/simple" 2>&1 &
simple=$!
bad=0
wait $notify || bad=1
wait $simple || bad=1
cat "$BED/notify" "$BED/simple"
exit $bad
