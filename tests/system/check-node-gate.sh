#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may follow whom: wrong order and wide steps are refused, a step back needs a flag, and units that would hurt are found
# before anything is touched.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

CLUSTER_SLURMD_TIMEOUT=15 node_cluster 1

expect 3 bed_in n1 sf-node upgrade "$RELEASES_WIDE"
says "slurmctld is $RELEASES_BASE"
says "first (order: slurmdbd, slurmctld, slurmd)"
expect 3 bed_in n1 sf-node upgrade "$RELEASES_OLDER"
says "goes back across a major release"
[ -z "$(bed_in n1 sh -c "ls /opt/slurm/releases | grep -v ^$RELEASES_BASE || true")" ] || fail "bytes were fetched for nothing"

# --force is not for the gate.
expect 3 bed_in n1 sf-node upgrade --force "$RELEASES_WIDE"

# Staging ahead of the controller is fine, activating is not.
expect 0 bed_in n1 sf-node stage "$RELEASES_WIDE"
expect 3 bed_in n1 sf-node activate "$RELEASES_WIDE"
says "slurmctld is $RELEASES_BASE"

expect 0 bed_in n1 sf-node upgrade --allow-downgrade "$RELEASES_OLDER"
active n1 "$RELEASES_OLDER"
expect 3 bed_in n1 sf-node activate "$RELEASES_WIDE"
says "23.11 → 24.11 → 25.11"
expect 0 bed_in n1 sf-node rollback
active n1 "$RELEASES_BASE"

# What doctor says of a healthy node, and of one whose munge is gone.
expect 3 bed_in n1 sf-node doctor
says "authentication ok"
says "SlurmdTimeout is 15 s"
bed_in n1 systemctl stop munge
expect 3 bed_in n1 sf-node doctor
says "munge does not answer"
bed_in n1 systemctl start munge

# Nobody waits for a slurmctld that is down to say what its SlurmdTimeout is: its client would try for 9 s.
bed_in ctl systemctl stop slurmctld
started=$SECONDS
bed_in n1 sf-node doctor || fail "doctor has a finding where slurmctld is down"
[ $((SECONDS - started)) -lt 8 ] || fail "doctor waited $((SECONDS - started)) s for a slurmctld that is down"
bed_in ctl systemctl start slurmctld
cluster_wait "slurmctld to answer" bed_in ctl scontrol ping

# A site's own check sends the node back.
bed_in n1 sh -c 'mkdir -p /etc/sf-node/health.d; printf "#!/bin/sh\necho no licence server; exit 1\n" \
        >/etc/sf-node/health.d/10-licence; chmod 755 /etc/sf-node/health.d/10-licence'
expect 4 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "site check"
says "no licence server"
bed_in n1 rm -r /var/lib/sf-node/failed
bed_in n1 rm /etc/sf-node/health.d/10-licence
active n1 "$RELEASES_BASE"

# A unit that would kill jobs.
bed_in n1 sh -c 'mkdir -p /etc/systemd/system/slurmd.service.d
printf "[Service]\nKillMode=control-group\n" >/etc/systemd/system/slurmd.service.d/kill.conf; systemctl daemon-reload'
expect 3 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "KillMode=control-group"
bed_in n1 sh -c 'rm -r /etc/systemd/system/slurmd.service.d; systemctl daemon-reload'

# An option that the release does not know.
bed_in n1 sh -c 'cp /etc/slurm/slurm.conf /tmp/; echo NoSuchOption=1 >>/etc/slurm/slurm.conf'
expect 3 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "NoSuchOption"
bed_in n1 cp /tmp/slurm.conf /etc/slurm/

# A required SPANK plugin of another series.
bed_in n1 sh -c 'mkdir -p /opt/site' 
${CC:-cc} -shared -fPIC -x c -o "$BED/nodes/n1/root-plugin.so" - <<<'const unsigned int plugin_version = 23 << 16 | 2 << 8 | 7;'
bed_in n1 sh -c 'cat >/opt/site/spank.so; echo "required /opt/site/spank.so" >/etc/slurm/plugstack.conf' \
        <"$BED/nodes/n1/root-plugin.so"
expect 3 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "built for Slurm 23.02"
bed_in n1 rm /etc/slurm/plugstack.conf

# The package of the agent comes and goes beside a slurmd that runs; what is asked of the agent next, it does.
PACKAGE_DYNAMIC=1 "$top_srcdir/packages/build.sh" 0.1.0 "$BED/packages" "${SF_NODE:-$top_builddir/sf-node}"
pid=$(bed_in n1 systemctl show -P MainPID slurmd)
bed_in n1 sh -c 'cat >/tmp/sf-node.deb' <"$(echo "$BED"/packages/*.deb)"
bed_in n1 dpkg --force-confold -i /tmp/sf-node.deb
bed_in n1 systemctl is-enabled sf-node-recover.service
bed_in n1 dpkg -r sf-node
! bed_in n1 sh -c 'command -v sf-node' || fail "the package was not removed"
bed_in n1 systemctl is-active --quiet slurmd && [ "$(bed_in n1 systemctl show -P MainPID slurmd)" = "$pid" ] ||
        fail "removing the package touched slurmd"
bed_in n1 dpkg --force-confold -i /tmp/sf-node.deb
[ "$(bed_in n1 systemctl show -P MainPID slurmd)" = "$pid" ] || fail "installing the package touched slurmd"
active n1 "$RELEASES_BASE"

# A unit of somebody else that starts slurmd elsewhere: exit 2 and the drop-in that would do; with it, all is well.
bed_in n1 sh -c 'mkdir /opt/hand; cp -a /opt/slurm/view/. /opt/hand/; printf "[Unit]\nAfter=munge.service\n[Service]\nType=notify\n\
ExecStart=/opt/hand/sbin/slurmd --systemd\nKillMode=process\nDelegate=yes\n" >/etc/systemd/system/slurmd.service
systemctl daemon-reload; systemctl restart slurmd'
expect 2 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says 'ExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd $SLURMD_OPTIONS'
drop_in=$(sed -n '/^\[Service\]/,/^Delegate/p' <<<"$said")
bed_in n1 sh -c 'mkdir -p /etc/systemd/system/slurmd.service.d; cat >/etc/systemd/system/slurmd.service.d/sf-node.conf
systemctl daemon-reload; systemctl restart slurmd' <<<"$drop_in"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"
bed_in n1 grep -q /opt/hand/sbin/slurmd /etc/systemd/system/slurmd.service || fail "a foreign unit was replaced"
