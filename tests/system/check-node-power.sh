#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole node loses its power at each step of an upgrade and of a rollback. After the next boot the switch is finished or
# undone, slurmd runs from a proven release, and the same switch succeeds.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/cut.sh"

CLUSTER_SLURMD_TIMEOUT=15 node_cluster 1
cut_begin

# cut_at STEP HOME VERB... : power cut there; after the boot HOME is active
cut_at()
{
        local step=$1 home=$2
        shift 2
        cut_start_until "$step" "$@"
        cut_reboot
        cluster_wait "slurmd to run after a cut at $step" bed_in n1 systemctl is-active slurmd
        active n1 "$home"
        cluster_wait "n1 idle" cluster_is n1 idle
        echo "power cut at $step of $*: on $home"
}

for step in fetch activate restart health; do
        cut_at "$step" "$RELEASES_BASE" upgrade "$RELEASES_GOOD"
        [ "$step" != fetch ] || bed_in n1 sh -c 'ls -A /opt/slurm/releases'
done
bed_in n1 journalctl --no-pager -o cat -t sf-node | grep 'was interrupted at health and is now undone' >/dev/null ||
        fail "nothing in the journal"

# On the way back from a release that does not work.
cut_start_until restart upgrade --force "$(full "$RELEASES_DIES")"
sleep 0.7
cut_reboot
cluster_wait "slurmd to run" bed_in n1 systemctl is-active slurmd
active n1 "$RELEASES_BASE"

expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"
# A rollback that has begun is finished.
for step in activate restart health; do
        cut_at "$step" "$RELEASES_BASE" rollback
        expect 0 bed_in n1 sf-node activate "$RELEASES_GOOD"
        active n1 "$RELEASES_GOOD"
done

# The agent alone dies, in both its halves: systemd runs recovery in its place.
# A check of the site's keeps the step long enough to be hit.
bed_in n1 sh -c 'mkdir -p /etc/sf-node/health.d; printf "#!/bin/sh\nsleep 5\n" >/etc/sf-node/health.d/10-slow
        chmod 755 /etc/sf-node/health.d/10-slow'
cut_start_until health activate "$RELEASES_BASE"
bed_in n1 pkill -9 -x sf-node # in the node, where there is only this one
wait
bed_in n1 rm /etc/sf-node/health.d/10-slow
back() { [ ! -e "$record" ] && bed_in n1 sf-node status | grep 'undone' >/dev/null; }
cluster_wait "recovery" back
active n1 "$RELEASES_GOOD"

# Crashed while enabling: the unit is there, its link is not. The next switch makes it.
bed_in n1 rm /etc/systemd/system/multi-user.target.wants/sf-node-recover.service
expect 0 bed_in n1 sf-node activate "$RELEASES_BASE"
bed_in n1 test -e /etc/systemd/system/multi-user.target.wants/sf-node-recover.service || fail "recovery is not enabled"
