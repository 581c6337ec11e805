#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every real neighbouring pair of series in $SF_TEST_NEIGHBOURS, up and down, controller and node, with jobs: a table of bytes,
# of how long slurmd was away, and of the jobs that lived through it. SF_TEST_PAIRS="24.11.6:25.05.5 ..." names other pairs.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/neighbours.sh"

# A job that starts a step a second, each of which loads its plugins late, until it is told to stop: any that fails, fails it.
job='trap "stop=1" USR1; until [ -n "$stop" ]; do srun -n1 true || exit 1; sleep 1; done'

# field NAME : of the last JSON answer
field()
{
        sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" <<<"${said##*$'\n'}"
}

milliseconds()
{
        awk -v s="$(field downtime_seconds)" 'BEGIN { printf "%.0f", s * 1000 }'
}

job_runs()
{
        job_is "$1" RUNNING || fail "job $1 is $(job_state "$1") after $2"
}

pair()
{
        local old=$1 new=$2 first second up_bytes up_ms down_ms
        rm -rf "$BED/layer"
        mkdir "$BED/layer"
        neighbours_node "$BED/layer" "$old"
        BED_LOWER=$BED/layer:$BED_BASE
        rm -rf "$BED/files"
        # "disabled" came with 24.05.
        case $old in 23.*) CLUSTER_CGROUP=CgroupPlugin=cgroup/v1 ;; *) CLUSTER_CGROUP= ;; esac
        cluster_files 1
        cluster_up 1
        first=$(submit --signal=B:USR1 --wrap "$job")
        cluster_wait "job $first" job_is "$first" RUNNING

        expect 0 bed_in ctl sf-node --json upgrade "$new"
        cluster_wait "n1 under slurmctld $new" cluster_is n1 mixed
        job_runs "$first" "slurmctld $old → $new"
        expect 0 bed_in n1 sf-node --json upgrade "$new"
        up_bytes=$(field bytes_fetched) up_ms=$(milliseconds)
        active n1 "$new"
        job_runs "$first" "slurmd $old → $new"
        second=$(submit --wrap 'srun -n1 true')
        job_succeeds "$second"
        job_runs "$first" "a job of $new beside it"

        # The way back: slurmd first.
        expect 3 bed_in ctl sf-node rollback --restore-state
        says "take it back first"
        expect 0 bed_in n1 sf-node --json rollback
        down_ms=$(milliseconds)
        active n1 "$old"
        job_runs "$first" "slurmd $new → $old"
        expect 3 bed_in ctl sf-node rollback
        says "--restore-state"
        expect 0 bed_in ctl sf-node --json rollback --restore-state
        cluster_wait "slurmctld $old answers" job_is "$first" RUNNING
        bed_in ctl scancel --batch --signal=USR1 "$first"
        job_succeeds "$first"
        table="$table
$old → $new	$up_bytes	$up_ms	$down_ms	yes"
        bed_cut n1
        bed_cut ctl
        rm -rf "$BED/nodes"/*
}

bed_begin
neighbours_begin
echo "releases: $NEIGHBOURS"
table="step	bytes	up ms	down ms	jobs alive"
if [ -z "${SF_TEST_PAIRS-}" ]; then
        previous=
        for version in $NEIGHBOURS; do
                [ -z "$previous" ] || SF_TEST_PAIRS="${SF_TEST_PAIRS-} $previous:$version"
                previous=$version
        done
fi
for names in $SF_TEST_PAIRS; do
        echo "=== ${names%:*} → ${names#*:}"
        pair "${names%:*}" "${names#*:}"
        echo "$table"
done
