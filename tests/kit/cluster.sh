#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster.sh TREE PREFIX COMMAND...: runs COMMAND beside a one-node Slurm cluster that lives in namespaces of its own.
#
# TREE (a directory anywhere) is seen at PREFIX; its programs are those of PREFIX/view, or PREFIX itself where there is no
# view. Everything else below PREFIX's first directory is hidden, so a path into the build prefix cannot help by accident.
# munged, slurmctld and slurmd run as root in their own mount, process, network, IPC and host-name namespaces on tmpfs; with
# the last process of the namespace everything is gone. PATH holds the cluster's programs, SLURM_CONF is set.
# Needs root and iproute2. A log of each daemon goes to $SF_CLUSTER_LOGS (default: nowhere).
set -euo pipefail

if [ "${1-}" != --inside ]; then
        [ $# -ge 3 ] || { echo "usage: cluster.sh TREE PREFIX COMMAND..." >&2; exit 2; }
        here=$(cd "$(dirname "$0")" && pwd)
        tree=$(cd "$1" && pwd)
        prefix=$2
        shift 2
        exec unshare --mount --pid --net --ipc --uts --fork --kill-child --propagation private \
                "$here/cluster.sh" --inside "$tree" "$prefix" "$@"
fi
shift
tree=$1 prefix=$2
shift 2

logs=${SF_CLUSTER_LOGS:-}
[ -n "$logs" ] && mkdir -p "$logs" && logs=$(cd "$logs" && pwd)
cwd=$PWD

# The tree is reached through /run/tree while its own parents are hidden.
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/tree /run/logs /run/munge /run/slurm/state /run/slurm/spool /run/self
mount --bind "$tree" /run/tree
[ -z "$logs" ] || mount --bind "$logs" /run/logs
first=/$(cut -d/ -f2 <<<"$prefix")
mount -t tmpfs -o mode=755 tmpfs "$first"
mkdir -p "$prefix"
mount --bind /run/tree "$prefix"
view=$prefix/view
[ -e "$view" ] || view=$prefix
cd "$cwd" 2>/dev/null || cd /

hostname sfdemo
ip link set lo up
# getaddrinfo(AI_ADDRCONFIG) wants one address that is not 127/8; this one is for documentation (RFC 5737).
ip addr add 192.0.2.1/32 dev lo
# Names come from files only: without an answer each look-up would cost seconds.
echo '127.0.0.1 localhost sfdemo' >/run/self/hosts
echo 'hosts: files' >/run/self/nsswitch.conf
cat /etc/nsswitch.conf 2>/dev/null | grep -v '^hosts:' >>/run/self/nsswitch.conf || :
for f in hosts nsswitch.conf; do
        [ ! -e "/etc/$f" ] || mount --bind "/run/self/$f" "/etc/$f"
done
export PATH=$view/bin:$view/sbin:/usr/sbin:/usr/bin:/sbin:/bin SLURM_CONF=/run/slurm/slurm.conf LC_ALL=C
unset LD_LIBRARY_PATH

cat >/run/slurm/slurm.conf <<END
ClusterName=sfdemo
SlurmctldHost=sfdemo(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=/run/munge/munge.socket.2
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=/run/slurm/state
SlurmdSpoolDir=/run/slurm/spool
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
SlurmctldLogFile=/run/logs/slurmctld.log
SlurmdLogFile=/run/logs/slurmd.log
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
ReturnToService=2
NodeName=sfdemo NodeAddr=127.0.0.1 CPUs=1 RealMemory=500 State=UNKNOWN
PartitionName=all Nodes=sfdemo Default=YES State=UP
END
# 22.05 knows no "disabled"; its cgroup/v1 with a mount point that nobody uses touches nothing.
case $(slurmd -V) in
*' 2'[012].*) printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=/run/no-cgroup\n' ;;
*) echo CgroupPlugin=disabled ;;
esac >/run/slurm/cgroup.conf

(umask 077 && head -c 128 /dev/urandom >/run/munge/munge.key)
munged --key-file=/run/munge/munge.key --socket=/run/munge/munge.socket.2 --pid-file=/run/munge/munged.pid \
        --seed-file=/run/munge/munged.seed --log-file=/run/logs/munged.log --force
export MUNGE_SOCKET=/run/munge/munge.socket.2
slurmctld
slurmd
state=
for _ in $(seq 100); do
        state=$(timeout 2 sinfo -h -o %T 2>/dev/null) || :
        [ "$state" != idle ] || break
        sleep 0.1
done
if [ "$state" != idle ]; then
        echo "cluster.sh: the node did not become idle" >&2
        tail -n 20 /run/logs/*.log >&2
        exit 1
fi
"$@"
