#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A restarted slurmd is believed within two seconds where slurmctld would ping it only every hundred (SlurmdTimeout=300), with
# jobs starting and ending meanwhile and on a node with a port of its own; a node that comes back out of service is named with
# slurmctld's reason.
#
# SF_HEALTH_ROUNDS=N measures N switches instead of the two of each node.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

node_site()
{
        # A node's own port, which scontrol show slurmd does not know; a health check as sites run it, before registration.
        sed -i -e 's/^NodeName=n\[1-2\] \(.*\)/NodeName=n1 \1\nNodeName=n2 Port=17018 \1/' \
                -e '$aHealthCheckProgram=/etc/slurm/nhc\nHealthCheckInterval=3600' "$BED/files/all/etc/slurm/slurm.conf"
        cat >"$BED/files/all/etc/slurm/nhc" <<-'END'
		#!/bin/sh
		[ ! -e /run/bad-disk ] || exec /opt/slurm/view/bin/scontrol update nodename="$(hostname)" state=drain reason="bad disk"
	END
        chmod 755 "$BED/files/all/etc/slurm/nhc"
}

# switch NODE VERB... : what it took from slurmd's start until it was believed, in $took
switch()
{
        local node=$1 out
        shift
        out=$(bed_in "$node" sf-node --json "$@") || fail "$node: $* fails: $out"
        took=$(sed -n 's/.*"proof":"[^"]* \([0-9.]*\) s after its start.*/\1/p' <<<"$out")
        [ -n "$took" ] || fail "$node: no proof in $out"
        grep -q '"proof":"[^"]*slurmd answers' <<<"$out" || fail "$node: a weaker proof than there is: $out"
        echo "$node: $*: believed $took s after slurmd's start; $(grep -o '"downtime_seconds":[0-9.]*' <<<"$out")"
        awk -v took="$took" 'BEGIN { exit !(took <= 2.0) }' || fail "$node: $took s are more than two"
}

CLUSTER_SLURMD_TIMEOUT=300 node_cluster 2

# Jobs that start and end all the time, on both nodes.
for _ in $(seq 20); do
        submit -n 1 --wrap 'sleep 1' >/dev/null
done
job=$(submit -n 1 -w n1 --wrap 'sleep 20')
for node in n1 n2; do
        switch $node upgrade "$RELEASES_GOOD"
        switch $node rollback
done
for ((i = 1; i < ${SF_HEALTH_ROUNDS:-1}; i++)); do
        switch n1 upgrade "$RELEASES_GOOD"
        switch n1 rollback
done
active n1 "$RELEASES_BASE"

# The site's health check drains the node when the new slurmd starts, and the old one as well: both ways fail, with its word.
bed_in n2 touch /run/bad-disk
expect 5 bed_in n2 sf-node upgrade "$RELEASES_GOOD"
says "node n2 came back"
says "bad disk"
active_pending=$(bed_in n2 readlink -f /opt/slurm/view)
[ "$active_pending" = "/opt/slurm/releases/$RELEASES_BASE-$RELEASES_TOOLCHAIN" ] || fail "n2 is on $active_pending"

# What was drained before is not the release's fault.
bed_in n2 rm /run/bad-disk
switch n2 upgrade --force "$RELEASES_GOOD"
cluster_is n2 drained || fail "n2 is $(cluster_state n2), not as it was before"

job_succeeds "$job"
