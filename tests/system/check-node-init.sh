#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A bare node becomes one of the cluster: "install --init" on a booted system that has munge's key, a user slurm and nothing else
# of Slurm's. It joins by configless slurmd, runs a job, comes back after a reboot and upgrades like any other.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

node_begin
CLUSTER_SLURMD_TIMEOUT=60 cluster_files 1
all=$BED/files/all ctl=$BED/files/ctl
sed -i -e 's|^SlurmdSpoolDir=.*|SlurmdSpoolDir=/var/spool/slurmd|' -e '$a SlurmctldParameters=enable_configless' "$all/etc/slurm/slurm.conf"
mkdir -p "$ctl/etc"
mv "$all/etc/slurm" "$ctl/etc/"
rm -r "$all/var" "$all/etc/default"
install -D "${SF_NODE:-$top_builddir/sf-node}" "$BED/files/n1/usr/sbin/sf-node"
install -D -m 644 "$BED/layer/etc/sf-node/sf-node.conf" "$BED/files/n1/etc/sf-node/sf-node.conf"

bare=$BED_LOWER
bed_layer "$BED/layer"
bed_boot ctl 10.77.0.2
BED_LOWER=$bare
bed_boot n1 10.77.0.11

expect 2 bed_in n1 sf-node install --init "$RELEASES_BASE"
says "--conf-server HOST[:PORT] names the controller"
expect 0 bed_in n1 sf-node trust /srv/repo/metadata/1.root.json
told 0 sf-node install --init --conf-server ctl --dry-run "$RELEASES_BASE"
says "this node lacks: directory /var/spool/slurmd, owner root, mode 0755"
bed_in n1 test ! -e /opt/slurm/releases || fail "a dry run acted"
# The user is the host's: without it the agent does not invent one.
bed_in n1 cp -a /etc/passwd /etc/passwd.kept
bed_in n1 sed -i /^slurm:/d /etc/passwd
expect 2 bed_in n1 sf-node install --init --conf-server ctl "$RELEASES_BASE"
says "sf-node does not invent its number"
bed_in n1 mv /etc/passwd.kept /etc/passwd

told 0 sf-node install --init --conf-server ctl "$RELEASES_BASE"
says "'systemctl start slurmd' starts it"
[ "$(bed_in n1 systemctl is-enabled slurmd)" = enabled ] || fail "slurmd is not enabled"
told 0 systemctl start slurmd
cluster_wait "n1 idle" cluster_is n1 idle
active n1 "$RELEASES_BASE"
bed_in n1 test ! -e /etc/slurm/slurm.conf || fail "a slurm.conf was written"
job_succeeds "$(submit --wrap hostname)"
told 0 sf-node install --init --conf-server ctl "$RELEASES_BASE"
says "nothing to do"
transcript init
says_not() { case $said in *"$1"*) fail "said: $1" ;; esac; }
says_not "init:"

# The next boot starts it, and it is a node like any other.
bed_halt n1
bed_boot n1 10.77.0.11
cluster_wait "n1 idle after a reboot" cluster_is n1 idle
active n1 "$RELEASES_BASE"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"
job_succeeds "$(submit --wrap hostname)"
