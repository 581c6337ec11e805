#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A controller crosses a series and goes back: its state is copied, put back only when that is asked for, and never taken from a
# slurmctld that came up. With two real neighbouring series in SF_TEST_NEIGHBOURS, otherwise with a stand-in (testbed/ahead.sh).
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"
. "$top_srcdir/tests/testbed/ahead.sh"

bed_begin
ahead_or_neighbours
mkdir "$BED/layer"
neighbours_node "$BED/layer" "$OLD"
bed_layer "$BED/layer"
cluster_files 1
# What controllers share is on a file system of their own.
install -d -o "$(bed_base_uid slurm)" "$BED/shared"
export BED_NSPAWN="$BED_NSPAWN --bind=$BED/shared:/var/lib/slurm/slurmctld"
mkdir -p "$BED/files/ctl/etc/sf-node/conf.d"
printf '[service]\nunit = slurmctld.service\n' >"$BED/files/ctl/etc/sf-node/conf.d/ctl.conf"
cluster_up 1

ctld()
{
        bed_in ctl sh -c 'readlink /proc/$(systemctl show -P MainPID slurmctld)/exe' || true
}

ctld_is()
{
        case $(ctld) in
        /opt/slurm/releases/"$1"-*/sbin/slurmctld | /opt/slurm/releases/"$1"-*/sbin/slurmctld.real) ;;
        *) fail "slurmctld is $(ctld), not of $1" ;;
        esac
}

before=$(submit --wrap 'sleep 600')
cluster_wait "job $before runs" job_is "$before" RUNNING

echo "--- up: the state is copied"
expect 0 bed_in ctl sf-node upgrade "$NEW"
ctld_is "$NEW"
bed_in ctl sh -c 'cd /var/lib/sf-node/controller; cat */copy.json */jobs; ls -la */state'
cluster_wait "n1 answers" cluster_is n1 mixed || true
job_is "$before" RUNNING || fail "job $before is $(job_state "$before")"

echo "--- back: refused with what would be lost"
since=$(submit --wrap 'sleep 600')
cluster_wait "job $since runs" job_is "$since" RUNNING
expect 3 bed_in ctl sf-node rollback
says "--restore-state"
says "1 jobs were submitted ($since), 1 started ($since)"
ctld_is "$NEW"

echo "--- back, with the state"
expect 0 bed_in ctl sf-node rollback --restore-state
ctld_is "$OLD"
cluster_wait "job $before is known" job_is "$before" RUNNING
job_is "$since" RUNNING && fail "job $since is from the future"
bed_in ctl squeue

# program RELEASE WORDS : another program in place of a release's slurmctld; "real" brings it back.
program()
{
        local path=/opt/slurm/releases/$1-$RELEASES_TOOLCHAIN/sbin/slurmctld
        if [ "$2" = real ]; then
                bed_in ctl mv "$path.kept" "$path"
        else
                bed_in ctl sh -c "mv $path $path.kept; printf '#!/bin/sh\n%s\n' '$2' >$path; chmod 755 $path"
        fi
}

echo "--- a slurmctld that never took over: the node returns, and the state is what it was"
program "$NEW" "exit 1"
expect 4 bed_in ctl sf-node upgrade --force "$NEW"
ctld_is "$OLD"
cluster_wait "job $before is known" job_is "$before" RUNNING
program "$NEW" real

echo "--- one that came up stays up, whatever fails behind it"
bed_in ctl sh -c 'printf "[Service]\nExecStart=/bin/sh -c \"mkdir /run/once && exec sleep 10000\"\n" \
        >/etc/systemd/system/site.service; systemctl daemon-reload; systemctl start site
        printf "unit = site.service\n" >>/etc/sf-node/conf.d/ctl.conf'
expect 5 bed_in ctl sf-node upgrade --force "$NEW"
says "has taken over the state and is up, so nothing was undone"
says "sf-node rollback --restore-state"
ctld_is "$NEW"
bed_in ctl sh -c 'sed -i /site.service/d /etc/sf-node/conf.d/ctl.conf; systemctl stop site; rm /etc/systemd/system/site.service
        systemctl daemon-reload'

echo "--- a slurmctld that a failed way back left down is meant to run"
cluster_wait "job $before is known to $NEW" job_is "$before" RUNNING
program "$OLD" "exit 1"
got=0
said=$(bed_in ctl sf-node rollback --restore-state 2>&1) || got=$?
echo "$said"
program "$OLD" real
case $got in
4)
        # Back to the release that ran a second ago, with the state that it had.
        ctld_is "$NEW"
        cluster_wait "job $before is known to $NEW again" job_is "$before" RUNNING
        expect 0 bed_in ctl sf-node rollback --restore-state
        ;;
5) expect 0 bed_in ctl sf-node activate "$OLD" ;;
*) fail "exit code $got" ;;
esac
ctld_is "$OLD"
cluster_wait "job $before is known" job_is "$before" RUNNING

echo "--- gc keeps the copy as long as its release"
expect 0 bed_in ctl sf-node gc
bed_in ctl sh -c 'ls -d /var/lib/sf-node/controller/*/copy.json' | grep "$NEW" >/dev/null || fail "no copy of $NEW"

echo "--- a backup controller that could take over in the middle"
for node in ctl n1; do
        bed_in "$node" sed -i 's/^SlurmctldHost=ctl$/SlurmctldHost=ctl\nSlurmctldHost=n1/' /etc/slurm/slurm.conf
done
# The primary first: a backup that waits for the first heartbeat keeps it from starting for half a minute.
bed_in ctl systemctl restart slurmctld
cluster_wait "the heartbeat" bed_in ctl test -e /var/lib/slurm/slurmctld/heartbeat
bed_in n1 sh -c 'cat >/etc/systemd/system/slurmctld.service; systemctl daemon-reload; systemctl start slurmctld' \
        <"$BED/files/ctl/etc/systemd/system/slurmctld.service"
CLUSTER_WAIT=90 cluster_wait "both controllers" bed_in ctl sh -c '[ "$(scontrol ping | grep -c "is UP")" = 2 ]'
expect 3 bed_in ctl sf-node upgrade --force "$NEW"
says "slurmctld on n1 is up and would take over"
ctld_is "$OLD"
bed_in n1 systemctl stop slurmctld
cluster_wait "one controller" bed_in ctl sh -c '[ "$(scontrol ping | grep -c "is UP")" = 1 ]'
expect 0 bed_in ctl sf-node upgrade --force "$NEW"
ctld_is "$NEW"
