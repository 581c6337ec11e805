#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sf-node is killed, or the controller's power cut, at every phase of a switch of slurmctld across series, up and back. What recovery
# leaves is the old release with its state or the one that the switch led to with a state of its series; slurmctld runs, and no
# job is lost. With two real neighbouring series in SF_TEST_NEIGHBOURS, otherwise with a stand-in (testbed/ahead.sh).
# Six places; SF_TEST_LONG=1 takes all of them (4 minutes), SF_TEST_KILLS="up:phase.json:2:kill ..." names others.
set -euo pipefail
# A library kills the agent: it has to be the dynamic one, whichever the other scenarios take.
NODE_DYNAMIC=1
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"
. "$top_srcdir/tests/testbed/ahead.sh"
. "$top_srcdir/tests/testbed/kills.sh"

bed_begin
ahead_or_neighbours
mkdir "$BED/layer"
neighbours_node "$BED/layer" "$OLD"
kills_begin "$BED/layer"
bed_layer "$BED/layer"
cluster_files 1
mkdir -p "$BED/files/ctl/etc/sf-node/conf.d"
printf '[service]\nunit = slurmctld.service\n' >"$BED/files/ctl/etc/sf-node/conf.d/ctl.conf"
cluster_up 1

job=$(submit --wrap 'sleep 3000')
cluster_wait "job $job runs" job_is "$job" RUNNING

# The release that view points to.
on()
{
        local tree
        tree=$(bed_in ctl readlink -f /opt/slurm/view)
        tree=${tree##*/}
        echo "${tree%%-*}"
}

settled()
{
        [ ! -e "$BED/nodes/ctl/disk/var/lib/sf-node/transaction.json" ] && bed_in ctl systemctl is-active --quiet slurmctld
}

# consistent : slurmctld is of the release that view points to, has read its state, and knows the job
consistent()
{
        local exe
        CLUSTER_WAIT=60 cluster_wait "the end of recovery" settled || fail "not settled after $1"
        exe=$(bed_in ctl sh -c 'readlink /proc/$(systemctl show -P MainPID slurmctld)/exe')
        case $exe in
        /opt/slurm/releases/"$(on)"-*/sbin/slurmctld*) ;;
        *) fail "slurmctld is $exe, view is $(on), after $1" ;;
        esac
        CLUSTER_WAIT=60 cluster_wait "job $job is known" job_is "$job" RUNNING || fail "job $job is $(job_state "$job") after $1"
}

# place HOW WORD N TARGET VERB... : killed there, and what came of it
place()
{
        local how=$1 word=$2 count=$3 target=$4 before
        shift 4
        before=$(on)
        kills_at ctl "$word" "$count" "$how"
        bed_in ctl sf-node "$@" >"$BED/said" 2>&1 &
        CLUSTER_WAIT=60 cluster_wait "$word $count" kills_done ctl || { cat "$BED/said"; fail "$* did not come to $word $count"; }
        if [ "$how" = stop ]; then
                bed_cut ctl
                wait
                bed_boot ctl 10.77.0.2
        else
                wait
        fi
        consistent "$how at $word $count of $*"
        echo "$how at rename $count of $word, $*: $before -> $(on)"
        [ "$target" = any ] || [ "$(on)" = "$target" ] || fail "on $(on), not $target"
}

# To a release by whatever way is left.
be_on()
{
        [ "$(on)" != "$1" ] || return 0
        if [ "$1" = "$NEW" ]; then
                expect 0 bed_in ctl sf-node upgrade --force "$NEW"
        else
                expect 0 bed_in ctl sf-node activate --force --restore-state "$OLD"
        fi
}

# Up: planned; record; restart begins; the copy is whole; slurmctld is about to start; it is up.
# Back: the same, and where the state is being put back.
some='up:phase.json:2:stop up:transaction.json:3:kill back:transaction.json:2:kill back:job_state:2:stop back:phase.json:3:kill'
all='up:phase.json:1:kill up:transaction.json:1:kill up:transaction.json:2:kill up:copy.json:1:kill
        up:copy.json:1:stop up:phase.json:2:kill up:phase.json:2:stop up:transaction.json:3:kill up:transaction.json:3:stop
        back:phase.json:1:kill back:transaction.json:2:kill back:transaction.json:2:stop back:copy.json:1:kill back:phase.json:2:kill
        back:job_state:2:kill back:job_state:2:stop back:phase.json:3:kill back:phase.json:3:stop back:transaction.json:3:kill
        back:transaction.json:3:stop'
places=$some
[ -z "${SF_TEST_LONG-}" ] || places=$all
places=${SF_TEST_KILLS-$places}
for what in $places; do
        IFS=: read -r way word count how <<<"$what"
        if [ "$way" = up ]; then
                be_on "$OLD"
                # Only a slurmctld that has taken over the state keeps it. In a power cut it may have, or not.
                case $word:$count:$how in transaction.json:3:kill) target=$NEW ;; *:3:stop) target=any ;; *) target=$OLD ;; esac
                place "$how" "$word" "$count" "$target" upgrade --force "$NEW"
        else
                be_on "$NEW"
                case $word:$count:$how in transaction.json:3:kill) target=$OLD ;; transaction.json:3:stop) target=any ;; *) target=$NEW ;; esac
                place "$how" "$word" "$count" "$target" activate --force --restore-state "$OLD"
        fi
done
# A rollback that has begun to put the state back is finished; one that has not is undone.
be_on "$NEW"
[ -z "${SF_TEST_LONG-}" ] || place kill transaction.json 2 "$NEW" rollback --restore-state
place kill phase.json 2 "$OLD" rollback --restore-state
