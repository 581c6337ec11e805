#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does a full release do what a site needs? On three booted nodes (slurmctld, slurmdbd, MariaDB and slurmrestd on ctl, slurmd on
# n1 and n2), installed by sf-node from a repository:
#   - MPI programs made with the release's mpicc over two nodes: srun --mpi=pmix, mpirun; a PMI-2 program: srun --mpi=pmi2
#   - slurmdbd with a real MariaDB, sacctmgr, sacct
#   - slurmrestd with JWTs: reading, submitting, the database, a token that is not one
#   - job_submit.lua that rejects and that changes a job; seff and the Perl API
#   - pam_slurm_adopt: denied without a job; with one, and cgroup/v2 in the bed, let in and adopted
#   - sf-node doctor and verify
# SF_TEST_FULL is the cache with the build; SF_TEST_FULL_RELEASE names one of its releases, else the newest with OpenMPI is taken.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

[ -n "${SF_TEST_FULL:-}" ] || bed_skip "SF_TEST_FULL names no cache with a full release (slurm-factory build-slurm)"
[ "$(id -u)" = 0 ] || bed_skip "booting nodes needs root"
name=${SF_TEST_FULL_RELEASE:-}
[ -n "$name" ] || name=$(grep -l ' mpi/bin/mpicc$' "$SF_TEST_FULL"/builds/*/filelist | xargs -n 1 dirname | xargs -n 1 basename | sort -V | tail -n 1)
[ -d "$SF_TEST_FULL/builds/$name" ] || bed_skip "no full release in $SF_TEST_FULL"
version=${name%%-*}
story() { echo "--- $*"; }
user() { local node=$1; shift; bed_in "$node" setpriv --reuid=user --regid=user --init-groups --reset-env env -C /tmp \
        PATH=/opt/slurm/view/bin:/usr/bin:/bin "$@"; }

# --- the repository, the nodes' layer, programs ----------------------------------------------------------------------------

# releases_begin makes variants of a release; here the release itself is all.
smoke_release()
{
        RELEASES=$BED/releases RELEASES_BASE=$version RELEASES_ARCH=${name##*-}
        RELEASES_TOOLCHAIN=${name#*-} RELEASES_TOOLCHAIN=${RELEASES_TOOLCHAIN%%-*}
        mkdir -p "$RELEASES/cache/builds"
        cp -a "$SF_TEST_FULL/builds/$name" "$RELEASES/cache/builds/"
        releases_factory -q keys init --keys "$RELEASES/keys" --repo "$RELEASES/repo"
        releases_factory -q publish "$name" --repo "$RELEASES/repo" --keys "$RELEASES/keys"
}

# Made with what the release ships, at the place that a user sees it at.
smoke_programs()
{
        mkdir -p "$BED/layer/srv/smoke"
        cat >"$BED/mpi.c" <<-'END'
		#include <mpi.h>
		#include <stdio.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
		        int rank, size, sum, left;
		        char host[64];
		        MPI_Init(&argc, &argv);
		        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
		        MPI_Comm_size(MPI_COMM_WORLD, &size);
		        MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
		        MPI_Sendrecv(&rank, 1, MPI_INT, (rank + 1) % size, 0, &left, 1, MPI_INT, (rank + size - 1) % size, 0,
		                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		        gethostname(host, sizeof host);
		        printf("rank %d of %d on %s: sum %d left %d\n", rank, size, host, sum, left);
		        return MPI_Finalize();
		}
	END
        # OpenMPI 5 speaks PMIx only; PMI-2 is spoken with Slurm's own library, as MPICH and Intel MPI do.
        cat >"$BED/pmi2.c" <<-'END'
		#include <slurm/pmi2.h>
		#include <stdio.h>
		#include <string.h>
		#include <unistd.h>
		int main(void)
		{
		        int spawned, size, rank, appnum, length;
		        char host[64], key[32], value[64] = "", job[256];
		        gethostname(host, sizeof host);
		        if (PMI2_Init(&spawned, &size, &rank, &appnum) || PMI2_Job_GetId(job, sizeof job)) return 1;
		        snprintf(key, sizeof key, "host%d", rank);
		        if (PMI2_KVS_Put(key, host) || PMI2_KVS_Fence()) return 2;
		        snprintf(key, sizeof key, "host%d", (rank + 1) % size);
		        if (PMI2_KVS_Get(job, PMI2_ID_NULL, key, value, sizeof value, &length)) return 3;
		        printf("rank %d of %d on %s: next on %s\n", rank, size, host, value);
		        return PMI2_Finalize();
		}
	END
        unshare -m --propagation private bash -ec '
                mount -t tmpfs tmpfs /opt
                mkdir /opt/slurm
                mount --bind "$1/opt/slurm" /opt/slurm
                view=/opt/slurm/view
                $view/mpi/bin/mpicc -O1 -o "$1/srv/smoke/mpi" "$2/mpi.c"
                ${CC:-cc} -O1 -o "$1/srv/smoke/pmi2" "$2/pmi2.c" -I$view/include -L$view/lib -lpmi2 -Wl,-rpath,$view/lib
        ' smoke "$BED/layer" "$BED"
}

# --- what the site configures ---------------------------------------------------------------------------------------------

smoke_site()
{
        local all=$BED/files/all ctl=$BED/files/ctl slurm
        slurm=$(bed_base_uid slurm)
        sed -i -e '/^MpiDefault=/d' -e '/^JobAcctGatherType=/d' -e '/^NodeName=/s/CPUs=4/CPUs=8/' "$all/etc/slurm/slurm.conf"
        cat >>"$all/etc/slurm/slurm.conf" <<-END
		MpiDefault=pmix
		JobAcctGatherType=jobacct_gather/linux
		JobAcctGatherFrequency=1
		PrologFlags=Contain
		AuthAltTypes=auth/jwt
		AuthAltParameters=jwt_key=/var/lib/slurm/slurmctld/jwt_hs256.key
		AccountingStorageType=accounting_storage/slurmdbd
		AccountingStorageHost=ctl
		JobSubmitPlugins=lua
		LaunchParameters=enable_nss_slurm
	END
        # Slurm refuses cgroup/v2 where the kernel also has a hierarchy of version 1 ("Hybrid mode is not supported").
        if grep -qv '^0::' /proc/self/cgroup; then
                echo "no cgroup/v2 in slurmd here: this machine's cgroups are hybrid; pam_slurm_adopt is not seen to adopt"
        else
                SMOKE_CGROUP=yes
                sed -i 's|^ProctrackType=.*|ProctrackType=proctrack/cgroup|' "$all/etc/slurm/slurm.conf"
                printf 'CgroupPlugin=cgroup/v2\n' >"$all/etc/slurm/cgroup.conf"
        fi
        cat >"$all/etc/slurm/job_submit.lua" <<-'END'
		function slurm_job_submit(job_desc, part_list, submit_uid)
		        if job_desc.comment == "forbidden" then
		                slurm.log_user("the site says no")
		                return slurm.ESLURM_INVALID_LICENSES
		        end
		        if job_desc.name == "renamed" then job_desc.comment = "changed by lua" end
		        return slurm.SUCCESS
		end
		function slurm_job_modify(job_desc, job_rec, part_list, modify_uid) return slurm.SUCCESS end
		return slurm.SUCCESS
	END
        cat >"$ctl/etc/slurmdbd.tmp" <<-END
		AuthType=auth/munge
		AuthAltTypes=auth/jwt
		AuthAltParameters=jwt_key=/var/lib/slurm/slurmctld/jwt_hs256.key
		DbdHost=ctl
		SlurmUser=slurm
		StorageType=accounting_storage/mysql
		StorageHost=localhost
		StorageUser=slurm
		StoragePass=secret
		StorageLoc=slurm_acct
		PidFile=/run/slurmdbd/slurmdbd.pid
	END
        install -D -m 600 -o "$slurm" -g "$slurm" "$ctl/etc/slurmdbd.tmp" "$ctl/etc/slurm/slurmdbd.conf"
        rm "$ctl/etc/slurmdbd.tmp"
        install -m 600 -o "$slurm" -g "$slurm" <(head -c 32 /dev/urandom) "$ctl/var/lib/slurm/slurmctld/jwt_hs256.key"
        cat >"$ctl/etc/systemd/system/slurmdbd.service" <<-'END'
		[Unit]
		After=mariadb.service munge.service
		Requires=mariadb.service
		[Service]
		User=slurm
		RuntimeDirectory=slurmdbd
		ExecStart=@/opt/slurm/view/sbin/slurmdbd slurmdbd -D
		[Install]
		WantedBy=multi-user.target
	END
        sed -i 's|^ExecStart=.*|ExecStart=@/opt/slurm/view/sbin/slurmctld slurmctld -D|' "$ctl/etc/systemd/system/slurmctld.service"
        cat >"$ctl/etc/systemd/system/slurmrestd.service" <<-'END'
		[Service]
		User=user
		Environment=SLURM_JWT=daemon
		ExecStart=@/opt/slurm/view/sbin/slurmrestd slurmrestd 10.77.0.2:6820
		[Install]
		WantedBy=multi-user.target
	END
        for node in n1 n2; do
                mkdir -p "$BED/files/$node/etc/systemd/system"
                ln -s /dev/null "$BED/files/$node/etc/systemd/system/mariadb.service"
        done
        # docs/OPERATING.md: PAM by the path that stays.
        mkdir -p "$all/etc/pam.d"
        printf 'auth sufficient pam_permit.so\naccount required %s action_no_jobs=deny log_level=debug3\nsession required pam_permit.so\n' \
                /opt/slurm/view/lib/security/pam_slurm_adopt.so >"$all/etc/pam.d/sshd"
}

smoke_database()
{
        bed_in ctl sh -c 'systemctl start mariadb && mysql -e "create database slurm_acct; create user slurm@localhost identified by \"secret\";
                grant all on slurm_acct.* to slurm@localhost"'
        bed_in ctl systemctl -q enable slurmdbd slurmrestd
        bed_in ctl systemctl start slurmdbd
        cluster_wait "slurmdbd" bed_in ctl sacctmgr -n show cluster || { bed_in ctl journalctl -u slurmdbd --no-pager | tail -n 20; fail "no slurmdbd"; }
        bed_in ctl systemctl restart slurmctld
}

smoke_up()
{
        local i
        bed_boot ctl 10.77.0.2
        smoke_database
        for i in 1 2; do bed_boot "n$i" "$(cluster_ip "n$i")"; done
        for i in 1 2; do
                cluster_wait "n$i idle" cluster_is "n$i" idle || {
                        bed_in "n$i" journalctl -u slurmd --no-pager | tail -n 30
                        bed_in ctl journalctl -u slurmctld --no-pager | tail -n 30
                        fail "n$i: $(bed_in ctl scontrol show node "n$i")"
                }
        done
}

export BED_PACKAGES=mariadb-server,curl,pamtester
bed_begin
smoke_release
mkdir "$BED/layer"
releases_node "$BED/layer" "$(full "$version")"
bed_layer "$BED/layer"
smoke_programs
cluster_files 2
smoke_site
smoke_up
story "$name is up on two nodes: $(bed_in n1 slurmd -V)"


# --- what users do --------------------------------------------------------------------------------------------------------

# every_rank COUNT WORD...: the lines of a program in $said
every_rank()
{
        local count=$1 rank
        shift
        for rank in $(seq 0 $((count - 1))); do says "rank $rank of $count on n"; done
        says "on n1:" && says "on n2:"
        for rank in "$@"; do says "$rank"; done
}

story "srun --mpi=pmix, mpirun and --mpi=pmi2 over two nodes"
expect 0 user ctl srun --mpi=list
says pmix && says pmi2
expect 0 user ctl timeout 60 srun --mpi=pmix -N2 -n4 /srv/smoke/mpi
every_rank 4 "sum 6"
expect 0 user ctl timeout 60 srun -N2 -n2 /srv/smoke/mpi
every_rank 2 "sum 1"
expect 0 user ctl timeout 60 salloc -Q -N2 -n4 /opt/slurm/view/mpi/bin/mpirun --bind-to none /srv/smoke/mpi
every_rank 4 "sum 6"
expect 0 user ctl timeout 60 srun --mpi=pmi2 -N2 -n4 /srv/smoke/pmi2
every_rank 4 "next on n1" "next on n2"

story "job_submit.lua rejects, with its own words, and changes a job"
expect 1 user ctl srun --comment=forbidden true
says "the site says no"
renamed=$(user ctl sbatch --parsable -J renamed -o /dev/null --wrap true)
[[ $(user ctl scontrol -o show job "$renamed") == *"Comment=changed by lua"* ]] || fail "lua did not change job $renamed"

story "accounting: sacctmgr, sacct, seff, the Perl API"
expect 0 bed_in ctl sacctmgr -i add account physics
expect 0 bed_in ctl sacctmgr -i add user user account=physics
job=$(user ctl sbatch --parsable -N2 -A physics -J counted -o /dev/null --wrap 'srun true')
job_succeeds "$job"
counted() { [ "$(user ctl sacct -n -P -X -j "$job" -o jobname,account,state,nnodes)" = 'counted|physics|COMPLETED|2' ]; }
cluster_wait "sacct to know job $job" counted || fail "sacct: $(user ctl sacct -P -j "$job")"
expect 0 user ctl sacct --json -j "$job"
says '"counted"'
expect 0 user ctl seff "$job"
says "State: COMPLETED"
expect 0 user ctl sh -c 'perl -I"$(dirname "$(find /opt/slurm/view/lib -name Slurm.pm)")" -e "use Slurm; print scalar @{Slurm::new()->load_node()->{node_array}}"'
says 2

story "slurmrestd: a token is asked for, jobs are submitted and counted"
bed_in ctl systemctl start slurmrestd
token=$(bed_in ctl scontrol token username=user lifespan=600)
token=${token#SLURM_JWT=}
api=$(bed_in ctl sh -c 'ls /opt/slurm/view/lib/slurm/' | sed -n 's/^data_parser_\(v[0-9_]*\)\.so$/\1/p' | sort -V | tail -n 1 | tr _ .)
rest() { local path=$1; shift; bed_in ctl curl -s -m 20 -H "X-SLURM-USER-NAME: user" -H "X-SLURM-USER-TOKEN: $token" "$@" "http://10.77.0.2:6820$path"; }
cluster_wait "slurmrestd" rest "/slurm/$api/ping"
expect 0 rest "/slurm/$api/ping"
says '"responding": true'
expect 0 rest "/slurm/$api/job/submit" -H 'Content-Type: application/json' -d '{"job": {"name": "byrest", "partition": "all", "script":
        "#!/bin/sh\ntrue", "current_working_directory": "/tmp", "environment": ["PATH=/usr/bin:/bin"], "standard_output": "/dev/null"}}'
job=$(sed -n 's/.*"job_id": \([0-9]*\).*/\1/p' <<<"$said" | head -n 1)
job_succeeds "$job"
in_database() { rest "/slurmdb/$api/job/$job" | grep byrest >/dev/null; }
cluster_wait "slurmdb to know job $job" in_database || fail "slurmrestd: $(rest "/slurmdb/$api/job/$job")"
token=x$token
expect 0 rest "/slurm/$api/jobs"
says "authentication"

story "pam_slurm_adopt"
expect 1 bed_in n1 pamtester sshd user acct_mgmt
job=$(user ctl sbatch --parsable -w n1 -o /dev/null --wrap 'sleep 300')
running() { job_is "$job" RUNNING; }
cluster_wait "job $job" running
if [ -n "${SMOKE_CGROUP:-}" ]; then
        expect 0 bed_in n1 pamtester sshd user acct_mgmt
fi
expect 1 bed_in n2 pamtester sshd user acct_mgmt
user ctl scancel "$job"

story "sf-node doctor and verify"
for node in ctl n1 n2; do
        expect 0 bed_in "$node" sf-node doctor
        expect 0 bed_in "$node" sf-node verify
done
echo "all well: $name"
