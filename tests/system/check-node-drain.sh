#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A switch without jobs: --drain waits for them and resumes what it drained itself and nothing else, also after it was killed;
# --when-idle waits without draining. Beside jobs the agent is quiet: a scope of weight 1, and a small share of the processors.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

reason()
{
        bed_in ctl scontrol show node n1 | sed -n 's/^ *Reason=//p'
}

is_draining_by_us()
{
        case $(cluster_state n1) in drain*) ;; *) return 1 ;; esac
        reason | grep '^sf-node ' >/dev/null
}

in_service()
{
        case $(cluster_state n1) in drain*) fail "n1 is $(cluster_state n1)" ;; esac
}

CLUSTER_SLURMD_TIMEOUT=300 node_cluster 1

# The first job is waited for, the second one only starts after the switch.
expect 0 bed_in n1 sf-node stage --fast "$RELEASES_GOOD" # on a busy machine fetching takes longer than the job
first=$(submit --wrap 'sleep 20')
cluster_wait "job $first to run" job_is "$first" RUNNING
bed_in n1 sf-node upgrade --fast --drain "$RELEASES_GOOD" >"$BED/said" 2>&1 &
upgrade=$!
cluster_wait "n1 to be drained by us" is_draining_by_us
second=$(submit --wrap 'sleep 1')

job_is "$second" PENDING || fail "job $second is $(job_state "$second")"
job_is "$first" RUNNING || fail "job $first is $(job_state "$first"): nothing was waited for"
wait $upgrade || fail "upgrade --drain fails: $(cat "$BED/said")"
active n1 "$RELEASES_GOOD"
job_succeeds "$first"
job_succeeds "$second"
[ ! -e "$BED/nodes/n1/disk/var/lib/sf-node/drained.json" ] || fail "the mark is left"

# Jobs that take too long: nothing changes, the node is in service again.
long=$(submit --wrap 'sleep 120')
cluster_wait "job $long to run" job_is "$long" RUNNING
expect 3 bed_in n1 sf-node upgrade --fast --drain --drain-timeout 2 "$RELEASES_NEXT"
says "failed at drain"
says "is resumed"
in_service
active n1 "$RELEASES_GOOD"

# Killed while it waits: the next run takes the drain back.
bed_in n1 sf-node upgrade --fast --drain "$RELEASES_NEXT" >/dev/null 2>&1 &
cluster_wait "n1 to be drained by us" is_draining_by_us
bed_in n1 pkill -9 -x sf-node
wait $! || true
is_draining_by_us || fail "n1 is $(cluster_state n1)"
expect 0 bed_in n1 sf-node recover
says "node n1 is resumed"
in_service

# Inside a job of the node it would wait for itself.
expect 3 bed_in ctl srun -w n1 sf-node activate --drain "$RELEASES_BASE"
says "would wait for its own end"
expect 3 bed_in ctl srun -w n1 sf-node activate --dry-run --drain "$RELEASES_BASE"
says "would wait for its own end"
bed_in ctl scancel "$long"

# Without draining.
short=$(submit --wrap 'sleep 6')
cluster_wait "job $short to run" job_is "$short" RUNNING
expect 0 bed_in n1 sf-node upgrade --fast --when-idle "$RELEASES_NEXT"
job_is "$short" COMPLETED || fail "job $short is $(job_state "$short"): nothing was waited for"
active n1 "$RELEASES_NEXT"

# What somebody else has drained is left so.
bed_in ctl scontrol update nodename=n1 state=drain reason=disk
expect 0 bed_in n1 sf-node activate --drain "$RELEASES_GOOD"
says "will be left so"
cluster_is n1 drained || fail "n1 is $(cluster_state n1)"
reason | grep '^disk' >/dev/null || fail "n1 has the reason $(reason)"
bed_in ctl scontrol update nodename=n1 state=resume

# A computation bound to every processor, and a release that is staged beside it.
processors=$(nproc)
for ((i = 0; i < processors; i++)); do
        bed_in n1 taskset -c $i sh -c 'while :; do :; done' &
done
bed_in n1 sh -c 'while ! systemctl list-units --plain --no-legend "sf-node-*.scope" | grep -q .; do sleep 0.1; done
        systemctl show -P CPUWeight $(systemctl list-units --plain --no-legend "sf-node-*.scope" | cut -d" " -f1) >/tmp/weight' &
TIMEFORMAT='%R %U %S'
# A shell that it was started from does not give way with it, nor ever after because it was killed.
group=$(bed_in n1 setsid --wait sh -c 'timeout -s KILL 1 sf-node -q stage "$1" >&2; cat /proc/self/autogroup' sh "$RELEASES_MUTE" || true)
case $group in *'nice 0' | '') ;; *) fail "a killed stage left $group" ;; esac
# However far it comes: what counts is its share. In a session of its own, as over ssh: where no control group divides the
# processors, it gives way with its whole session, and this script's watcher is in this one.
times=$({ time bed_in n1 timeout 15 setsid --wait sf-node -q stage "$RELEASES_SIMPLE" >&2 || true; } 2>&1 | tail -n 1)
awk -v times="$times" -v n="$processors" 'BEGIN {
        split(times, t, " "); share = 100 * (t[2] + t[3]) / t[1] / n
        printf "stage beside a computation on every processor: %.1f s, %.2f s of processors, %.2f %% of them\n", t[1], t[2] + t[3], share
        exit !(share < 5) }' || fail "it does not give way"
[ "$(bed_in n1 cat /tmp/weight)" = 1 ] || fail "the scope has the weight $(bed_in n1 cat /tmp/weight)"
