#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slurmdbd with a real MariaDB crosses major releases and goes back, together with slurmctld on the same node:
#   - refused without a backup hook; with one, the database is dumped, converted by a first start in the foreground as SlurmUser, and
#     jobs of before and after are in sacct
#   - the way back is refused without a restore hook; with one, it is the database of before
#   - a slurmdbd that does not come up: the database is restored, and the node returns
#   - sf-node killed while the database is converted or restored: nothing half-done is left
# SF_TEST_FULL is a cache with full releases of two series (the MySQL plugin is what matters); takes three minutes.
set -euo pipefail
# A library kills the agent: it has to be the dynamic one.
NODE_DYNAMIC=1
[ -n "${SF_TEST_FULL:-}" ] || { echo "SKIP: SF_TEST_FULL names no cache with two full releases (slurm-factory build-slurm)"; exit 77; }
export SF_TEST_NEIGHBOURS=$SF_TEST_FULL BED_PACKAGES=mariadb-server
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"
. "$top_srcdir/tests/testbed/kills.sh"

bed_begin
neighbours_begin
read -r OLD NEW _ <<<"$NEIGHBOURS"
for version in "$OLD" "$NEW"; do
        grep -q '/accounting_storage_mysql.so$' "$SF_TEST_FULL/builds/$(full "$version")/filelist" || bed_skip "$version has no MySQL plugin"
done
story() { echo "--- $*"; }

site()
{
        local all=$BED/files/all ctl=$BED/files/ctl slurm
        slurm=$(bed_base_uid slurm)
        sed -i '/^JobAcctGatherType=/d' "$all/etc/slurm/slurm.conf"
        cat >>"$all/etc/slurm/slurm.conf" <<-END
		JobAcctGatherType=jobacct_gather/linux
		AccountingStorageType=accounting_storage/slurmdbd
		AccountingStorageHost=ctl
	END
        mkdir -p "$ctl/etc/slurm"
        cat >"$ctl/etc/slurm/slurmdbd.conf" <<-END
		AuthType=auth/munge
		DbdHost=ctl
		SlurmUser=slurm
		StorageType=accounting_storage/mysql
		StorageHost=127.0.0.1
		StorageUser=slurm
		StoragePass=secret
		StorageLoc=slurm_acct
		PidFile=/run/slurmdbd/slurmdbd.pid
	END
        chmod 600 "$ctl/etc/slurm/slurmdbd.conf"
        chown "$slurm:$slurm" "$ctl/etc/slurm/slurmdbd.conf"
        cat >"$ctl/etc/systemd/system/slurmdbd.service" <<-'END'
		[Unit]
		After=mariadb.service munge.service
		Requires=mariadb.service
		[Service]
		User=slurm
		RuntimeDirectory=slurmdbd
		ExecStart=/opt/slurm/view/sbin/slurmdbd -D
		[Install]
		WantedBy=multi-user.target
	END
        sed -i 's/^After=.*/After=munge.service slurmdbd.service/' "$ctl/etc/systemd/system/slurmctld.service"
        mkdir -p "$BED/files/n1/etc/systemd/system" "$ctl/etc/sf-node/conf.d"
        ln -s /dev/null "$BED/files/n1/etc/systemd/system/mariadb.service"
        printf '[service]\nunit = slurmdbd.service\nunit = slurmctld.service\n' >"$ctl/etc/sf-node/conf.d/ctl.conf"
}

up()
{
        bed_boot ctl 10.77.0.2
        bed_in ctl sh -c 'systemctl start mariadb && mysql -e "create database slurm_acct; create user slurm@\"%\" identified by \"secret\";
                grant all on slurm_acct.* to slurm@\"%\""'
        bed_in ctl systemctl -q enable --now slurmdbd
        cluster_wait "slurmdbd" bed_in ctl sacctmgr -n show cluster || { bed_in ctl journalctl -u slurmdbd --no-pager | tail -n 20; fail "no slurmdbd"; }
        bed_in ctl systemctl restart slurmctld
        bed_boot n1 10.77.0.11
        CLUSTER_WAIT=60 cluster_wait "n1 idle" cluster_is n1 idle
}

# hook KIND TEXT : a program of the site
hook()
{
        bed_in ctl sh -c 'mkdir -p /etc/sf-node/$1.d; printf "#!/bin/sh\nset -e\n%s\n" "$2" >/etc/sf-node/$1.d/10-database
                chmod 755 /etc/sf-node/$1.d/10-database' hook "$1" "$2"
}

exe_of()
{
        bed_in ctl sh -c 'readlink /proc/$(systemctl show -P MainPID "$1")/exe' exe "$1" || true
}

# both VERSION : slurmdbd and slurmctld are of it, and answer
both()
{
        local unit
        for unit in slurmdbd slurmctld; do
                case $(exe_of "$unit") in
                /opt/slurm/releases/"$1"-*/sbin/"$unit") ;;
                *) fail "$unit is $(exe_of "$unit"), not of $1" ;;
                esac
        done
        CLUSTER_WAIT=60 cluster_wait "slurmdbd $1 answers" bed_in ctl sacctmgr -n show cluster
        CLUSTER_WAIT=60 cluster_wait "slurmctld $1 answers" bed_in ctl scontrol ping
}

accounted() { [ "$(bed_in ctl sacct -n -P -X -a -j "$1" -o state 2>/dev/null)" = COMPLETED ]; }
unknown() { [ -z "$(bed_in ctl sacct -n -P -X -a -j "$1" -o state)" ]; }

mkdir "$BED/layer"
neighbours_node "$BED/layer" "$OLD"
kills_begin "$BED/layer"
bed_layer "$BED/layer"
cluster_files 1
site
up
long=$(submit -o /dev/null --wrap 'sleep 3000')
cluster_wait "job $long runs" job_is "$long" RUNNING
first=$(submit -o /dev/null --wrap true)
cluster_wait "job $first is accounted" accounted "$first" || fail "sacct: $(bed_in ctl sacct -P -a)"

story "up, without a backup hook"
expect 3 bed_in ctl sf-node upgrade "$NEW"
says "/etc/sf-node/backup.d"
both "$OLD"

story "up, with one that fails"
hook backup 'exit 7'
expect 4 bed_in ctl sf-node upgrade "$NEW"
says "slurmdbd's backup"
both "$OLD"
bed_in ctl sh -c '! grep -q . /var/lib/sf-node/database/dump.sql 2>/dev/null'

story "up, with one that makes a backup: $OLD to $NEW"
hook backup 'mysqldump --single-transaction --databases --add-drop-database slurm_acct >"$SF_NODE_BACKUP/dump.sql"'
began=$SECONDS
expect 0 bed_in ctl sf-node upgrade --force "$NEW"
echo "took $((SECONDS - began)) s"
says "the first start of slurmdbd $NEW, in the foreground as slurm"
both "$NEW"
bed_in ctl grep -i "conver\|started\|version" /var/lib/sf-node/slurmdbd-first-start.log | head -n 5
[ "$(bed_in ctl stat -c %U:%a /var/lib/sf-node/slurmdbd-first-start.log)" = root:600 ]
bed_in ctl sh -c '! ls -l /var/run/slurmdbd | grep -q " root "' # nothing that the service's user could not write
job_is "$long" RUNNING || fail "job $long is $(job_state "$long")"
accounted "$first" || fail "job $first is lost: $(bed_in ctl sacct -P -a)"
second=$(submit -o /dev/null --wrap true)
cluster_wait "job $second is accounted" accounted "$second" || fail "sacct: $(bed_in ctl sacct -P -a)"

story "back, without a restore hook"
expect 3 bed_in ctl sf-node rollback --restore-state
says "/etc/sf-node/restore.d"
both "$NEW"

story "back, with one"
hook restore 'mysql <"$SF_NODE_BACKUP/dump.sql"'
expect 0 bed_in ctl sf-node rollback --restore-state
both "$OLD"
cluster_wait "job $long" job_is "$long" RUNNING
accounted "$first" || fail "job $first is lost: $(bed_in ctl sacct -P -a)"
unknown "$second" || fail "job $second is from the future"
third=$(submit -o /dev/null --wrap true)
cluster_wait "job $third is accounted" accounted "$third" || fail "sacct: $(bed_in ctl sacct -P -a)"

# program TEXT : in place of the new release's slurmdbd; "real" brings it back.
program()
{
        local path=/opt/slurm/releases/$NEW-$RELEASES_TOOLCHAIN/sbin/slurmdbd
        if [ "$1" = real ]; then
                bed_in ctl mv "$path.kept" "$path"
        else
                bed_in ctl sh -c 'mv "$1" "$1.kept"; printf "#!/bin/sh\n%s\n" "$2" >"$1"; chmod 755 "$1"' program "$path" "$1"
        fi
}

story "a slurmdbd that does not come up"
program 'exit 3'
expect 4 bed_in ctl sf-node upgrade --force "$NEW"
says "the first start of"
both "$OLD"
cluster_wait "job $third is accounted" accounted "$third"
job_is "$long" RUNNING || fail "job $long is $(job_state "$long")"
program real

settled() { [ ! -e "$BED/nodes/ctl/disk/var/lib/sf-node/transaction.json" ] && bed_in ctl systemctl is-active --quiet slurmdbd slurmctld; }

# killed HOW MARK VERB... : sf-node dies when the mark is on the disk, before the site's programs or the first start run
killed()
{
        local how=$1 mark=$2
        shift 2
        kills_at ctl "$mark" 1 "$how"
        bed_in ctl sf-node "$@" >"$BED/said" 2>&1 &
        CLUSTER_WAIT=60 cluster_wait "$mark" kills_done ctl || { cat "$BED/said"; fail "$* did not come to $mark"; }
        if [ "$how" = stop ]; then
                bed_cut ctl
                wait
                bed_boot ctl 10.77.0.2
        else
                wait
        fi
        CLUSTER_WAIT=90 cluster_wait "the end of recovery" settled || { bed_in ctl journalctl -o cat --no-pager -t sf-node -u sf-node-recover | tail; fail "not settled"; }
}

story "killed before the first start: the database is restored, for slurmctld was not switched yet"
killed kill converting upgrade --force "$NEW"
both "$OLD"
cluster_wait "job $third is accounted" accounted "$third" || fail "job $third is lost"
for how in kill stop; do
        story "$how while a rollback restores the database: it is restored again"
        expect 0 bed_in ctl sf-node upgrade --force "$NEW"
        both "$NEW"
        killed "$how" restoring rollback --restore-state
        both "$OLD"
        cluster_wait "job $third is accounted" accounted "$third" || fail "job $third is lost"
        cluster_wait "job $long" job_is "$long" RUNNING || fail "job $long is $(job_state "$long")"
done

story "killed before the first start, without a restore hook: it is made up for"
bed_in ctl rm /etc/sf-node/restore.d/10-database
killed kill converting upgrade --force "$NEW"
both "$NEW"
cluster_wait "job $third is accounted" accounted "$third" || fail "job $third is lost"
cluster_wait "job $long" job_is "$long" RUNNING || fail "job $long is $(job_state "$long")"
