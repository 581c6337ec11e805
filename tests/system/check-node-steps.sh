#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Steps of old releases: they finish on their own tree after two upgrades, status names them, and gc leaves what they use.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

CLUSTER_SLURMD_TIMEOUT=15 node_cluster 1
base=/opt/slurm/releases/$RELEASES_BASE-$RELEASES_TOOLCHAIN

job=$(submit -w n1 -o /dev/null --wrap 'while [ ! -e /tmp/go ]; do sleep 0.5; done; exit 0')
cluster_wait "job $job to run" job_is "$job" RUNNING
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"

# A further upgrade is refused while older steps run, and allowed where the site says so.
expect 3 bed_in n1 sf-node upgrade "$RELEASES_NEXT"
says "step $job.batch"
active n1 "$RELEASES_GOOD"
bed_in n1 sed -i '/^\[service\]/a old_steps = wait\nold_steps_wait = 2' /etc/sf-node/sf-node.conf
expect 3 bed_in n1 sf-node upgrade "$RELEASES_NEXT"
says "wait, and that is over"
second=$(submit -w n1 -o /dev/null --wrap 'srun -n1 true && sleep 5')
cluster_wait "job $second to run" job_is "$second" RUNNING
bed_in n1 sed -i 's/^old_steps = .*/old_steps = allow/' /etc/sf-node/sf-node.conf
expect 0 bed_in n1 sf-node upgrade "$RELEASES_NEXT"
active n1 "$RELEASES_NEXT"

stepd=$(bed_in n1 sh -c 'for p in /proc/[0-9]*; do
        [ "$(cat $p/comm 2>/dev/null)" != slurmstepd ] || echo "$(readlink $p/exe) $(tr "\0" " " <$p/cmdline)"; done')
echo "$stepd"
grep -q "^$base/sbin/slurmstepd .*\[$job.batch\]" <<<"$stepd" || fail "the first job's slurmstepd left its tree"
expect 0 bed_in n1 sf-node status
says "slurmstepd of step $job.batch"

expect 0 bed_in n1 sf-node gc
says "slurmstepd of step $job.batch) uses it"
bed_in n1 test -x "$base/sbin/slurmstepd" || fail "gc removed a tree that a step uses"

bed_in n1 touch /tmp/go
job_succeeds "$job"
job_succeeds "$second"
cluster_wait "the steps to leave" bed_in n1 sh -c '! pgrep -x slurmstepd'
expect 0 bed_in n1 sf-node gc --dry-run
says "would remove $RELEASES_BASE-$RELEASES_TOOLCHAIN"
bed_in n1 test -d "$base" || fail "--dry-run removed something"
expect 0 bed_in n1 sf-node gc
bed_in n1 test ! -e "$base" || fail "gc left a tree that nothing uses"
expect 0 bed_in n1 sf-node rollback
active n1 "$RELEASES_GOOD"
expect 0 bed_in n1 sf-node verify
