# SPDX-License-Identifier: Apache-2.0
# tests/testbed/cluster.sh - a Slurm cluster of bed nodes: slurmctld on ctl, slurmd on n1..nN. Sourced after bed.sh.
# shellcheck shell=bash
#
#   cluster_files N           configuration of the cluster, for every node, in $BED/files
#   cluster_up N              boots ctl and n1..nN and waits until slurmctld calls every node idle
#   cluster_wait WHAT CMD...  polls for up to 30 s (or $CLUSTER_WAIT) until the command succeeds; says WHAT where it never does
#   cluster_state NAME        slurmctld's word for a node
#
# Slurm itself comes from the release that the caller put under /opt/slurm on the nodes (bed_layer).

cluster_ip()
{
        case $1 in
        ctl) echo 10.77.0.2 ;;
        n*) echo "10.77.0.$((10 + ${1#n}))" ;;
        esac
}

cluster_files()
{
        local count=$1 all=$BED/files/all ctl=$BED/files/ctl i
        mkdir -p "$all/etc/slurm" "$all/var/lib/slurm" "$all/etc/munge" "$all/etc/default" "$ctl/etc/systemd/system/multi-user.target.wants"
        chmod 700 "$all/etc/munge"
        dd if=/dev/urandom of="$all/etc/munge/munge.key" bs=128 count=1 status=none
        chmod 400 "$all/etc/munge/munge.key"
        chown -R "$(stat -c %u:%g "$BED_BASE/etc/munge")" "$all/etc/munge"
        {
                echo 127.0.0.1 localhost
                echo 10.77.0.2 ctl
                for i in $(seq "$count"); do echo "10.77.0.$((10 + i)) n$i"; done
        } >"$all/etc/hosts"
        # No controllers are delegated in the bed's cgroup2, hence the plugins that need none.
        cat >"$all/etc/slurm/slurm.conf" <<-END
		ClusterName=bed
		SlurmctldHost=ctl
		SlurmUser=slurm
		AuthType=auth/munge
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_Core
		ReturnToService=2
		SlurmdTimeout=${CLUSTER_SLURMD_TIMEOUT:-60}
		StateSaveLocation=/var/lib/slurm/slurmctld
		SlurmdSpoolDir=/var/lib/slurm/slurmd
		SlurmctldPidFile=/run/slurmctld.pid
		SlurmdPidFile=/run/slurmd.pid
		SlurmdParameters=config_overrides
		SchedulerParameters=sched_interval=2
		MpiDefault=none
		SrunPortRange=60001-62000
		NodeName=n[1-$count] CPUs=4 RealMemory=1000 State=UNKNOWN
		PartitionName=all Nodes=n[1-$count] Default=YES MaxTime=INFINITE State=UP
	END
        echo "${CLUSTER_CGROUP:-CgroupPlugin=disabled}" >"$all/etc/slurm/cgroup.conf"
        install -d -o "$(bed_base_uid slurm)" "$ctl/var/lib/slurm/slurmctld"
        cat >"$ctl/etc/systemd/system/slurmctld.service" <<-'END'
		[Unit]
		After=munge.service
		[Service]
		ExecStart=/opt/slurm/view/sbin/slurmctld -D
		[Install]
		WantedBy=multi-user.target
	END
        ln -sf ../slurmctld.service "$ctl/etc/systemd/system/multi-user.target.wants/slurmctld.service"
        ln -sf /dev/null "$ctl/etc/systemd/system/slurmd.service"
}

bed_base_uid()
{
        awk -F: -v name="$1" '$1 == name { print $3 }' "$BED_BASE/etc/passwd"
}

cluster_wait()
{
        local what=$1 end=$((SECONDS + ${CLUSTER_WAIT:-30}))
        shift
        until "$@" >/dev/null 2>&1; do
                [ "$SECONDS" -lt "$end" ] || { echo "gave up waiting: $what"; return 1; }
                sleep 0.2
        done
}

cluster_state()
{
        bed_in ctl sinfo -h -N -n "$1" -o %T
}

cluster_is()
{
        [ "$(cluster_state "$1")" = "$2" ]
}

cluster_up()
{
        local count=$1 i
        bed_boot ctl 10.77.0.2
        for i in $(seq "$count"); do
                bed_boot "n$i" "$(cluster_ip "n$i")"
        done
        for i in $(seq "$count"); do
                cluster_wait "n$i idle" cluster_is "n$i" idle
        done
}
