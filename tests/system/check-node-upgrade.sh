#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Four nodes with users' jobs on them are upgraded one after the other; the jobs never notice.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

CLUSTER_SLURMD_TIMEOUT=15 node_cluster 4

# A batch job on each node, a step over all of them, and one that somebody types into.
batch=()
for i in 1 2 3 4; do
        batch+=("$(submit -w "n$i" -o /dev/null --wrap 'for i in $(seq 25); do srun -n1 true; sleep 1; done')")
done
wide=$(submit -N4 -n4 -o /dev/null --wrap 'srun -N4 -n4 sh -c "sleep 30; exit 0"')
mkfifo "$BED/typing"
bed_in ctl setpriv --reuid=user --regid=user --init-groups srun --chdir=/tmp -w n2 -n1 --pty \
        sh -c 'while read -r line; do [ "$line" != end ] || exit 0; done; exit 9' <"$BED/typing" >"$BED/typed" 2>&1 &
interactive=$!
exec 7>"$BED/typing"
for job in "${batch[@]}" "$wide"; do
        cluster_wait "job $job to run" job_is "$job" RUNNING
done

# SchedMD's order: slurmctld first. Its unit is the site's, started from view.
bed_in ctl sed -i '/^\[service\]/a unit = slurmctld.service' /etc/sf-node/sf-node.conf
expect 0 bed_in ctl sf-node upgrade "$RELEASES_GOOD"
cluster_wait "slurmctld of the new release" bed_in ctl sh -c "scontrol show config | grep -q 'SLURM_VERSION.*$RELEASES_GOOD'"

quick=0
for i in 1 2 3 4; do
        expect 0 bed_in "n$i" sf-node --json upgrade "$RELEASES_GOOD"
        active "n$i" "$RELEASES_GOOD"
        downtime=$(sed -n 's/.*"downtime_seconds":\([0-9.e-]*\).*/\1/p' <<<"$said")
        own=$(bed_in "n$i" systemctl show slurmd -p ActiveExitTimestampMonotonic -p ActiveEnterTimestampMonotonic |
                awk -F= '{ t[$1] = $2 } END { print (t["ActiveEnterTimestampMonotonic"] - t["ActiveExitTimestampMonotonic"]) / 1e6 }')
        echo "n$i: slurmd was away for $downtime s, its own restart took $own s of it"
        awk -v t="$downtime" -v own="$own" 'BEGIN { exit !(t > 0 && own > 0) }' || fail "n$i: downtime $downtime s"
        ! awk -v t="$downtime" -v own="$own" 'BEGIN { exit !(t - own <= 0.020) }' || quick=$((quick + 1))
        echo still here >&7
done


# The agent adds at most 20 ms; a busy machine adds its own now and then, but not everywhere.
[ "$quick" -ge 2 ] || fail "the agent added more than 20 ms on $((4 - quick)) nodes"

echo end >&7
wait "$interactive" || fail "the interactive step ended with $?: $(cat "$BED/typed")"
for job in "${batch[@]}" "$wide"; do
        job_succeeds "$job"
done
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "nothing to do"
