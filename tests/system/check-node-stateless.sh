#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nodes that forget: a root whose changes are in memory (n1), a read-only system with an empty /var and releases that somebody else
# switches (n2), and a state in memory beside releases on a disk (n3). What each verb means there, and what a power cut leaves.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

node_begin
CLUSTER_SLURMD_TIMEOUT=60 cluster_files 3
all=$BED/files/all
mkdir -p "$all/etc/tmpfiles.d" "$all/etc/sf-node" "$all/srv/repo"
printf 'd /var/lib/munge 0711 munge munge -\nd /var/log/munge 0700 munge munge -\nd /var/lib/slurm 0755 slurm slurm -\n' >"$all/etc/tmpfiles.d/site.conf"
cp "$RELEASES/repo/metadata/1.root.json" "$all/etc/sf-node/root.json"
sed 's/^SlurmctldHost=.*/SlurmctldHost=n1(127.0.0.9)/' "$all/etc/slurm/slurm.conf" >"$all/etc/slurm/lost.conf"
bed_layer "$BED/layer"
# What n2 mounts and n3 has on its disk.
mkdir -p "$BED/shared/opt" "$BED/disk"
cp -a "$BED/layer/opt/slurm" "$BED/shared/opt/"
cp -a "$BED/layer/opt/slurm" "$BED/disk/"
releases_sf_node "$BED/shared" trust "$RELEASES/repo/metadata/1.root.json"
releases_sf_node "$BED/shared" install --no-activate "$RELEASES_GOOD"
binds=$BED_NSPAWN
boot() {
        case $1 in
        n1) BED_NSPAWN="$binds --volatile=overlay" ;;
        n2) BED_NSPAWN="$binds --volatile=state --bind-ro=$BED/shared/opt/slurm:/opt/slurm" ;;
        n3) BED_NSPAWN="$binds --tmpfs=/var:mode=755 --bind=$BED/disk/slurm:/opt/slurm" ;;
        esac
        bed_boot "$1" "$(cluster_ip "$1")"
        # What recovers an interrupted switch comes before it.
        cluster_wait "slurmd of $1" bed_in "$1" systemctl is-active slurmd
}
says_not() { case $said in *"$1"*) fail "said: $1" ;; esac; }
# cut_during NODE RECORD : the power goes while a slurmd that never registers is waited for
cut_during() {
        bed_in "$1" sf-node upgrade "$(full "$RELEASES_MUTE")" >"$BED/upgrade.log" 2>&1 &
        local upgrade=$!
        cluster_wait "a switch under way on $1" bed_in "$1" grep -q "\"step\":\"health\"" "$2" || { cat "$BED/upgrade.log"; fail "no switch"; }
        [ "$(bed_in "$1" readlink /opt/slurm/view)" = "releases/$RELEASES_MUTE-$RELEASES_TOOLCHAIN" ] || fail "view is not the new one"
        bed_cut "$1"
        wait $upgrade || true
}
bed_boot ctl 10.77.0.2
for node in n1 n2 n3; do boot $node; done
for node in n1 n2 n3; do cluster_wait "$node idle" cluster_is $node idle; done

# --- n1: the image's state, and changes in memory -----------------------------------------------------------------------
expect 0 bed_in n1 sf-node status
says "active     $(full "$RELEASES_BASE")"
says "state      /var/lib/sf-node is on an overlay"
expect 0 bed_in n1 sf-node --json status
says '"state_storage":"overlay"'
expect 2 bed_in n1 sf-node rollback
says "there is no release before this one to go back to"
# What unpacks into memory needs memory, however large the file system says it is; files that are linked are copied there.
bed_in n1 sh -c 'sed "s/^MemAvailable:.*/MemAvailable: 80000 kB/" /proc/meminfo >/run/meminfo && mount --bind /run/meminfo /proc/meminfo'
expect 3 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "bytes are needed"
bed_in n1 umount /proc/meminfo
job=$(submit -w n1 --wrap 'sleep 3')
cluster_wait "job $job to run" job_is "$job" RUNNING
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"
expect 0 bed_in n1 sf-node rollback
active n1 "$RELEASES_BASE"
job_succeeds "$job"
cut_during n1 /var/lib/sf-node/transaction.json
boot n1
cluster_wait "n1 idle again" cluster_is n1 idle
active n1 "$RELEASES_BASE"
expect 0 bed_in n1 sf-node status
says_not "pending"
says_not "$RELEASES_MUTE"

# --- n2: nothing can be written, and what is known of the repository begins with /etc/sf-node/root.json ------------------
expect 0 bed_in n2 sf-node status
says "active     $(full "$RELEASES_BASE")"
says "state      /var/lib/sf-node is in memory: what it holds is forgotten at the next boot"
expect 0 bed_in n2 sf-node list
says "begins to trust by /etc/sf-node/root.json"
expect 0 bed_in n2 sf-node list
says_not "begins to trust"
expect 3 bed_in n2 sf-node upgrade "$RELEASES_NEXT"
says "cannot be put there"
says "Read-only file system"
expect 2 bed_in n2 sf-node rollback
says "on record here; 'sf-node activate' goes to $(full "$RELEASES_GOOD")"
expect 3 bed_in n2 sf-node activate "$RELEASES_GOOD"
says "Read-only file system"
active n2 "$RELEASES_BASE"
expect 0 bed_in n2 sf-node gc
says "releases/ is read-only"
expect 0 bed_in n2 sf-node doctor
expect 0 bed_in n2 sf-node recover --boot
bed_in n2 sh -c 'mount --bind /var/lib/sf-node /var/lib/sf-node && mount -o remount,bind,ro /var/lib/sf-node'
expect 0 bed_in n2 sf-node recover --boot
says "nothing was interrupted"
bed_in n2 umount /var/lib/sf-node
# Whoever owns the releases switches them; the node restarts its slurmd with all that a switch asks and proves.
releases_sf_node "$BED/shared" activate "$RELEASES_GOOD"
expect 0 bed_in n2 sf-node status
says "active     $(full "$RELEASES_GOOD")"
expect 0 bed_in n2 sf-node activate "$RELEASES_GOOD"
active n2 "$RELEASES_GOOD"
expect 0 bed_in n2 sf-node activate "$RELEASES_GOOD"
says "nothing to do"
job_succeeds "$(submit -w n2 --wrap hostname)"

# --- n3: the releases outlive the state ------------------------------------------------------------------------------
expect 0 bed_in n3 sf-node upgrade "$RELEASES_GOOD"
active n3 "$RELEASES_GOOD"
cut_during n3 /opt/slurm/.sf-node/transaction.json
boot n3
cluster_wait "n3 idle again" cluster_is n3 idle
active n3 "$RELEASES_GOOD"
[ ! -e "$BED/disk/slurm/.sf-node/transaction.json" ] || fail "the record is left"
expect 0 bed_in n3 sf-node log
says "undone"
# Clean this time: the state is gone, and nobody knows which release was before.
bed_halt n3
boot n3
cluster_wait "n3 idle after a reboot" cluster_is n3 idle
expect 2 bed_in n3 sf-node rollback
says "'sf-node activate' goes to"
expect 0 bed_in n3 sf-node gc
says "keeping $RELEASES_BASE-$RELEASES_TOOLCHAIN: which release was before is not on record here"
expect 0 bed_in n3 sf-node activate "$RELEASES_BASE"
active n3 "$RELEASES_BASE"
expect 0 bed_in n3 sf-node rollback
active n3 "$RELEASES_GOOD"
