#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One host, two clusters: slurmd.service and slurmd-b.service, each with a slurm.conf and a slurmctld of its own. With one prefix both
# are switched, after both slurmctld were asked and both files tried; with two prefixes each has its own.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
export RELEASES_HEALTH_TIMEOUT=40
node_begin
bed_layer "$BED/layer"
cluster_files 1
all=$BED/files/all ctl=$BED/files/ctl
# Cluster b: its own controller, ports, places, names.
cp -a "$all/etc/slurm" "$all/etc/slurm-b"
sed -i -e 's/^ClusterName=.*/ClusterName=b\nSlurmctldPort=6827\nSlurmdPort=6828/' -e 's|/var/lib/slurm/|/var/lib/slurm-b/|' -e 's|/run/slurmctld.pid|/run/slurmctld-b.pid|' \
  -e 's|/run/slurmd.pid|/run/slurmd-b.pid|' -e '/^NodeName/d' -e '/^PartitionName/d' -e 's/^SrunPortRange.*//' "$all/etc/slurm-b/slurm.conf"
cat >>"$all/etc/slurm-b/slurm.conf" <<'END'
NodeName=beta NodeHostname=n1 NodeAddr=10.77.0.11 CPUs=2 RealMemory=500 State=UNKNOWN
PartitionName=all Nodes=beta Default=YES MaxTime=INFINITE State=UP
END
mkdir -p "$all/var/lib/slurm-b" "$BED/files/n1/etc/systemd/system/multi-user.target.wants"
install -d -o "$(bed_base_uid slurm)" "$ctl/var/lib/slurm-b/slurmctld"
sed 's|slurmctld -D|slurmctld -D -f /etc/slurm-b/slurm.conf|' "$ctl/etc/systemd/system/slurmctld.service" >"$ctl/etc/systemd/system/slurmctld-b.service"
ln -s ../slurmctld-b.service "$ctl/etc/systemd/system/multi-user.target.wants/"
cat >"$BED/files/n1/etc/systemd/system/slurmd-b.service" <<'END'
[Unit]
After=munge.service network-online.target
[Service]
Type=notify
ExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd -f /etc/slurm-b/slurm.conf
KillMode=process
Delegate=yes
[Install]
WantedBy=multi-user.target
END
ln -s ../slurmd-b.service "$BED/files/n1/etc/systemd/system/multi-user.target.wants/"
bed_boot ctl 10.77.0.2
bed_boot n1 10.77.0.11
cluster_wait "n1 idle" cluster_is n1 idle
b() { bed_in ctl env SLURM_CONF=/etc/slurm-b/slurm.conf "$@"; }
b_is() { [ "$(b sinfo -h -N -n "$1" -o %T)" = "$2" ]; }
cluster_wait "beta idle" b_is beta idle || { b sinfo; bed_in n1 journalctl -n 20 --no-pager -u slurmd-b; bed_in ctl journalctl -n 20 --no-pager -u slurmctld-b; exit 1; }
job=$(submit -w n1 -o /dev/null --wrap 'srun sleep 100000')
job_b=$(b setpriv --reuid=user --regid=user --init-groups --reset-env env SLURM_CONF=/etc/slurm-b/slurm.conf PATH=/opt/slurm/view/bin:/usr/bin:/bin sbatch --parsable --chdir=/tmp -w beta -o /dev/null --wrap 'srun sleep 100000')
step() { bed_in ctl scontrol show step "$job.0" | grep State=RUNNING >/dev/null; }
step_b() { b scontrol show step "$job_b.0" | grep State=RUNNING >/dev/null; }
cluster_wait "the step" step
cluster_wait "the step of b" step_b
runs()
{
        bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID '"$1"')/exe' | grep "^$2/releases/$3-" >/dev/null || fail "$1 does not run $3 of $2"
        step && step_b || fail "a step is gone"
}

expect 0 bed_in n1 sf-node upgrade --dry-run "$RELEASES_GOOD"
expect 2 bed_in n1 sf-node upgrade --drain "$RELEASES_GOOD"
says "--drain and --when-idle wait for one node"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "registration of beta"
says "registration of n1"
runs slurmd /opt/slurm "$RELEASES_GOOD"
runs slurmd-b /opt/slurm "$RELEASES_GOOD"
expect 0 bed_in n1 sf-node rollback
runs slurmd-b /opt/slurm "$RELEASES_BASE"
# What only the second one's configuration says, and its slurmctld.
bed_in n1 sh -c 'echo Nonsense=1 >>/etc/slurm-b/slurm.conf'
expect 3 bed_in n1 sf-node upgrade --dry-run "$RELEASES_GOOD"
says "/etc/slurm-b/slurm.conf"
expect 3 bed_in n1 sf-node doctor
says "Nonsense"
bed_in n1 sed -i /Nonsense/d /etc/slurm-b/slurm.conf
bed_in ctl systemctl stop slurmctld-b
expect 3 bed_in n1 sf-node upgrade --dry-run "$RELEASES_GOOD"
says "slurmd-b.service: the slurmctld of /etc/slurm-b/slurm.conf does not say which version it is"
bed_in ctl systemctl start slurmctld-b
cluster_wait "the step of b" step_b
# A prefix for each.
expect 0 bed_in n1 sf-node --prefix /opt/b install "$RELEASES_BASE"
bed_in n1 sh -c 'sed -i "s|/opt/slurm/|/opt/b/|" /etc/systemd/system/slurmd-b.service
systemctl daemon-reload; systemctl restart slurmd-b'
bed_in n1 grep -F '@/opt/slurm/view/' /etc/systemd/system/slurmd.service >/dev/null || fail "/opt/b took slurmd.service"
expect 0 bed_in n1 sf-node --prefix /opt/b upgrade "$RELEASES_GOOD"
runs slurmd-b /opt/b "$RELEASES_GOOD"
runs slurmd /opt/slurm "$RELEASES_BASE"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
expect 0 bed_in n1 sf-node --prefix /opt/b rollback
runs slurmd-b /opt/b "$RELEASES_BASE"
runs slurmd /opt/slurm "$RELEASES_GOOD"

# Both as one installation made by hand runs them, from one template: adopted together or not at all. (The steps from before
# stay, and are steps of a release before the active one.)
bed_in n1 sh -ec "systemctl disable --now slurmd slurmd-b
        tree=/opt/slurm/releases/$RELEASES_BASE-$RELEASES_TOOLCHAIN
        cp -a \$tree /opt/hand; rm -rf /opt/hand/.sf-release
        same=\$(printf '/opt/hand%*s' \$((\${#tree} - 9)) '' | tr ' ' /)
        grep -rlZF \$tree /opt/hand | xargs -0 sed -i \"s|\$tree|\$same|g\"
        rm -rf /opt/slurm/view /opt/b /etc/systemd/system/slurmd.service /etc/systemd/system/slurmd-b.service /var/lib/sf-node/state.json
        ln -s slurm /etc/slurm-a
        printf '[Unit]\nAfter=munge.service\n[Service]\nType=notify\nExecStart=/opt/hand/sbin/slurmd --systemd -f /etc/slurm-%%i/slurm.conf\n\
KillMode=process\nDelegate=yes\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/slurmd@.service
        systemctl daemon-reload; systemctl enable --now slurmd@a slurmd@b"
hand() { bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd@'"$1"')/exe' | grep -x /opt/hand/sbin/slurmd >/dev/null || fail "slurmd@$1 does not run from /opt/hand"; }
cluster_wait "n1 mixed" cluster_is n1 mixed
cluster_wait "beta mixed" b_is beta mixed
step && step_b || fail "a step is gone"
expect 2 bed_in n1 sf-node adopt "$RELEASES_GOOD"
says "slurmd of this host that run /opt/hand/sbin/slurmd are not named: slurmd@a.service, slurmd@b.service"
says "unit = slurmd@b.service"
bed_in n1 sh -c 'mkdir -p /etc/sf-node/conf.d; printf "[service]\nold_steps = allow\nunit = slurmd@a.service\n" >/etc/sf-node/conf.d/units.conf'
expect 2 bed_in n1 sf-node adopt "$RELEASES_GOOD"
says "are not named: slurmd@b.service"
hand a
hand b
bed_in n1 test ! -e /opt/slurm/view || fail "a refused adoption changed something"
bed_in n1 sh -c 'echo "unit = slurmd@b.service" >>/etc/sf-node/conf.d/units.conf'
expect 0 bed_in n1 sf-node adopt "$RELEASES_GOOD"
says "registration of beta"
says "registration of n1"
runs slurmd@a /opt/slurm "$RELEASES_GOOD"
runs slurmd@b /opt/slurm "$RELEASES_GOOD"
expect 0 bed_in n1 sf-node rollback
hand a
hand b
step && step_b || fail "a step is gone"
echo "ok: two clusters on a host"
