#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nodes without munge: auth/slurm and cred/slurm, with auth/jwt beside it on the controller. n1's commands ask slurmd, n2's sackd,
# which is all that is left where slurmd may not open the socket. Upgrade, drain, rollback and doctor under a step.
# Wants two full releases (auth/slurm needs libjwt) in one cache: SF_TEST_FULL; SF_TEST_AUTH_OLD and SF_TEST_AUTH_NEW name others than
# 24.11.5 and 26.05.1.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
[ -n "${SF_TEST_FULL:-}" ] || bed_skip "SF_TEST_FULL names no cache with full releases (slurm-factory build-slurm)"
old=${SF_TEST_AUTH_OLD:-24.11.5} new=${SF_TEST_AUTH_NEW:-26.05.1}
for version in "$old" "$new"; do
        grep 'lib/slurm/auth_slurm.so$' "$SF_TEST_FULL/builds/$version-bookworm-amd64/filelist" >/dev/null ||
                bed_skip "no release of $version with auth/slurm in $SF_TEST_FULL"
done

bed_begin
RELEASES=$BED/full RELEASES_BASE=$old RELEASES_TOOLCHAIN=bookworm
export RELEASES_HEALTH_TIMEOUT=40
mkdir -p "$RELEASES" "$BED/layer"
"$top_builddir/slurm-factory" -q keys init --repo "$RELEASES/repo" --keys "$RELEASES/keys"
"$top_builddir/slurm-factory" -q --cache "$SF_TEST_FULL" publish "$old-bookworm-amd64" "$new-bookworm-amd64" \
        --repo "$RELEASES/repo" --keys "$RELEASES/keys"
releases_node "$BED/layer" "$old-bookworm-amd64"
releases_sf_node "$BED/layer" stage "$new-bookworm-amd64"
bed_layer "$BED/layer"
cluster_files 2
all=$BED/files/all ctl=$BED/files/ctl
sed -i -e 's|^AuthType=.*|AuthType=auth/slurm\nCredType=cred/slurm\nAuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key=/etc/slurm/jwt.key|' \
        "$all/etc/slurm/slurm.conf"
key()
{
        dd if=/dev/urandom of="$1" bs=1024 count=1 status=none
        chmod 600 "$1"
        chown "$(bed_base_uid slurm)" "$1"
}
mkdir -p "$all/etc/systemd/system" "$BED/files/n1/etc/keys" "$BED/files/n1/etc/default" "$BED/files/n2/etc" "$ctl/etc/slurm"
key "$all/etc/slurm/slurm.key"
key "$ctl/etc/slurm/jwt.key"
# n1's slurmd is told where its key is.
cp -p "$all/etc/slurm/slurm.key" "$BED/files/n1/etc/keys/"
echo SLURM_SACK_KEY=/etc/keys/slurm.key >"$BED/files/n1/etc/default/slurmd"
cp -a "$all/etc/slurm" "$BED/files/n2/etc/"
sed -i 's|^AuthType=.*|&\nAuthInfo=disable_sack|' "$BED/files/n2/etc/slurm/slurm.conf"
ln -sf /dev/null "$all/etc/systemd/system/munge.service"
mkdir -p "$BED/files/n2/etc/systemd/system"
cat >"$BED/files/n2/etc/systemd/system/sackd.service" <<'END'
[Service]
ExecStart=@/opt/slurm/view/sbin/sackd sackd -D
RuntimeDirectory=slurm
RuntimeDirectoryPreserve=yes
[Install]
WantedBy=multi-user.target
END
sed -i "s|^ExecStart=.*|ExecStart=/opt/slurm/releases/$new-bookworm/sbin/slurmctld -D|" "$ctl/etc/systemd/system/slurmctld.service"
bed_boot ctl 10.77.0.2
for i in 1 2; do bed_boot "n$i" "$(cluster_ip "n$i")"; done
# A command of the old release does not understand all that the new slurmctld says.
bed_in ctl ln -sfn "releases/$new-bookworm" /opt/slurm/view
bed_in n1 rm /etc/slurm/slurm.key
for i in 1 2; do cluster_wait "n$i idle" cluster_is "n$i" idle; done
for i in 1 2; do
        bed_in "n$i" pgrep munged >/dev/null && fail "munged runs"
done
# On n2 nobody lets srun prove who it is, yet.
jobs[1]=$(submit -w n1 -o /dev/null --wrap 'srun sleep 100000')
jobs[2]=$(submit -w n2 -o /dev/null --wrap 'exec sleep 100000')
step_runs() { bed_in ctl scontrol show step "${jobs[$1]}.$2" | grep State=RUNNING >/dev/null; }
cluster_wait "the step on n1" step_runs 1 0
cluster_wait "the job on n2" step_runs 2 batch

# asks NODE : a user's command gets its answer there
asks() { bed_in "$1" setpriv --reuid=user --regid=user --clear-groups /opt/slurm/view/bin/squeue -h | grep . >/dev/null || fail "$1: a user's squeue"; }
# doctor NODE PATTERN: what it says of authentication, whatever else it finds
doctor()
{
        bed_in "$1" sf-node doctor >"$BED/doctor" 2>&1 || :
        grep "^authentication *$2" "$BED/doctor" >/dev/null || { cat "$BED/doctor"; fail "doctor on $1 does not say: $2"; }
}

# --- n1: slurmd opens the socket, and keeps it through every question that sf-node asks
asks n1
doctor n1 ok
asks n1
expect 0 bed_in n1 sf-node upgrade --dry-run "$new"
asks n1
expect 0 bed_in n1 sf-node upgrade "$new"
active n1 "$new"
step_runs 1 0 || fail "the step on n1 is gone"
doctor n1 ok
asks n1
expect 0 bed_in n1 sf-node rollback
active n1 "$old"
asks n1
step_runs 1 0 || fail "the step on n1 is gone"
bed_in ctl scancel "${jobs[1]}"
# sinfo -n of 26.05 calls a node mixed for a while that is idle.
is_idle() { bed_in ctl scontrol show node "$1" | grep "State=IDLE " >/dev/null; }
CLUSTER_WAIT=60 cluster_wait "n1 idle" is_idle n1
job=$(submit -w n1 -o /dev/null --wrap 'sleep 3')
cluster_wait "job on n1" job_is "$job" RUNNING
expect 0 bed_in n1 sf-node upgrade --drain --drain-timeout 60 "$new"
active n1 "$new"
cluster_wait "n1 idle again" is_idle n1

# --- n2: nobody opens it
doctor n2 'AuthType=auth/slurm, but nobody answers at /run/slurm/sack.socket: AuthInfo=disable_sack leaves that to sackd; start sackd'
expect 3 bed_in n2 sf-node upgrade --dry-run "$new"
says "AuthInfo=disable_sack leaves that to sackd; start sackd; --force goes on without"
expect 3 bed_in n2 sf-node upgrade "$new"
active n2 "$old"
bed_in n2 systemctl enable --now sackd
cluster_wait "sackd's socket" bed_in n2 test -S /run/slurm/sack.socket
asks n2
doctor n2 ok
expect 0 bed_in n2 sf-node upgrade --dry-run "$new"
expect 0 bed_in n2 sf-node upgrade "$new"
active n2 "$new"
asks n2
bed_in n2 sh -c 'readlink /proc/$(systemctl show -P MainPID sackd)/exe' | grep "/$new-" >/dev/null || fail "sackd does not run $new"
expect 0 bed_in n2 sf-node rollback
active n2 "$old"
asks n2
step_runs 2 batch || fail "the step on n2 is gone"
# A unit of the site's that takes sackd's socket along.
bed_in n2 sh -c 'mkdir /etc/systemd/system/slurmd.service.d
sed -e 1d -e /RuntimeDirectoryPreserve/d /etc/systemd/system/slurmd.service >/root/slurmd.service && cp /root/slurmd.service /etc/systemd/system/
systemctl daemon-reload'
doctor n2 'slurmd.service has RuntimeDirectory=slurm: its restart removes /run/slurm'
expect 3 bed_in n2 sf-node upgrade --dry-run "$new"
says "set RuntimeDirectoryPreserve=yes in a drop-in"
bed_in n2 sh -c 'printf "[Service]\nRuntimeDirectoryPreserve=restart\n" >/etc/systemd/system/slurmd.service.d/keep.conf; systemctl daemon-reload'
expect 0 bed_in n2 sf-node upgrade "$new"
active n2 "$new"
asks n2

# --- ctl: keys that slurmctld would end for at its next start
doctor ctl ok
bed_in ctl chmod 644 /etc/slurm/jwt.key
doctor ctl 'auth/jwt: the key /etc/slurm/jwt.key has mode 0644: chmod o= /etc/slurm/jwt.key'
bed_in ctl mv /etc/slurm/jwt.key /root/
doctor ctl 'auth/jwt: the key /etc/slurm/jwt.key cannot be read: No such file'
bed_in ctl mv /root/jwt.key /etc/slurm/
bed_in ctl chmod 600 /etc/slurm/jwt.key
bed_in ctl scancel "${jobs[2]}"
echo "ok: auth/slurm and auth/jwt, $old to $new and back under a step"
