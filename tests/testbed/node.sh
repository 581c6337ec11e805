# SPDX-License-Identifier: Apache-2.0
# tests/testbed/node.sh - what the scenario scripts about live nodes share. Sourced by them; needs top_srcdir, top_builddir.
# shellcheck shell=bash
. "$top_srcdir/tests/testbed/bed.sh"
. "$top_srcdir/tests/testbed/cluster.sh"
. "$top_srcdir/tests/testbed/releases.sh"

# Nodes get the agent that SF_NODE names, else the static one where it was built from what the dynamic one was built from, as in
# CI (check-static.sh builds it before), else the dynamic one. NODE_DYNAMIC=1: the dynamic one.
node_agent()
{
        local static
        static=$top_builddir/static-build/$(dpkg --print-architecture)/sf-node
        [ -z "${NODE_DYNAMIC-}" ] || unset SF_NODE
        if [ -z "${NODE_DYNAMIC-}${SF_NODE-}" ] && [ "$static" -nt "$top_builddir/sf-node" ]; then
                SF_NODE=$(realpath "$static")
                export SF_NODE
        fi
        echo "nodes run ${SF_NODE:-the dynamic agent}"
}
node_agent

# node_begin : a bed, the releases, and in $BED/layer what a node has that runs the base release, sf-node with it
node_begin()
{
        bed_begin
        releases_begin
        mkdir "$BED/layer"
        releases_node "$BED/layer" "${NODE_RELEASE:-$RELEASES_BASE}"
}

# node_cluster N : N nodes on the base release, every one with sf-node
node_cluster()
{
        node_begin
        bed_layer "$BED/layer"
        cluster_files "$1"
        # Where the mute release looks for its slurmctld.
        sed 's/^SlurmctldHost=.*/SlurmctldHost=n1(127.0.0.9)/' "$BED/files/all/etc/slurm/slurm.conf" \
                >"$BED/files/all/etc/slurm/lost.conf"
        # What a scenario's site has that others have not.
        [ "$(type -t node_site)" != function ] || node_site
        cluster_up "$1"
}

# full VERSION [BUILD] : the whole name of a release
full()
{
        echo "$1-$RELEASES_TOOLCHAIN-$RELEASES_ARCH${2:+-$2}"
}

fail()
{
        echo "FAIL: $*"
        exit 1
}

# expect CODE CMD... : the exit code is part of the contract; what was said is in $said
expect()
{
        local want=$1 got=0
        shift
        said=$("$@" 2>&1) || got=$?
        echo "$said"
        [ "$got" = "$want" ] || fail "exit code $got instead of $want: $*"
}

# told CODE CMD... : expect, on n1, for a transcript
told()
{
        expect "$1" bed_in n1 "${@:2}"
        { echo "# ${*:2}"; [ -z "$said" ] || echo "$said"; } >>"$BED/transcript"
}

# transcript NAME : what was told so far is what docs/OPERATING.md has under this name. SF_TRANSCRIPT=update writes it there.
transcript()
{
        bash "$top_srcdir/tests/kit/transcripts.sh" "${SF_TRANSCRIPT:-check}" "$top_srcdir/docs/OPERATING.md" "$1" "$BED/transcript" ||
                fail "the transcript of $1"
        rm "$BED/transcript"
}

# says TEXT : in the output of the last expect
says()
{
        case $said in
        *"$1"*) ;;
        *) fail "not said: $1" ;;
        esac
}

# active NODE VERSION : view, the running slurmd and slurmctld agree
active()
{
        local node=$1 tree=/opt/slurm/releases/$2-$RELEASES_TOOLCHAIN${3:+-$3} exe
        # A name that was published again has a directory of its own.
        case $(bed_in "$node" readlink -f /opt/slurm/view) in "$tree+"*) tree=$(bed_in "$node" readlink -f /opt/slurm/view) ;; esac
        [ "$(bed_in "$node" readlink -f /opt/slurm/view)" = "$tree" ] || fail "$node: view is not $tree"
        bed_in "$node" systemctl is-active --quiet slurmd || fail "$node: slurmd does not run"
        exe=$(bed_in "$node" sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe')
        case $exe in
        "$tree"/sbin/*) ;;
        *) fail "$node: slurmd runs from $exe, not $tree" ;;
        esac
        [ ! -e "$BED/nodes/$node/disk/var/lib/sf-node/transaction.json" ] || fail "$node: a transaction is left"
}

# Jobs are submitted as an ordinary user from ctl.
submit()
{
        bed_in ctl setpriv --reuid=user --regid=user --init-groups --reset-env env \
                PATH=/opt/slurm/view/bin:/usr/bin:/bin sbatch --parsable --chdir=/tmp "$@"
}

job_state()
{
        bed_in ctl scontrol -o show job "$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'
}

job_is()
{
        [ "$(job_state "$1")" = "$2" ]
}

job_done()
{
        case $(job_state "$1") in
        COMPLETED | FAILED | CANCELLED | NODE_FAIL | TIMEOUT | OUT_OF_MEMORY) ;;
        *) return 1 ;;
        esac
}

# job_succeeds ID : it ends, by itself, with 0. A step whose end was told to a daemon just being restarted holds its processor
# until Slurm asks again, and srun waits longer from try to try: on a busy machine that can take minutes.
job_succeeds()
{
        CLUSTER_WAIT=300 cluster_wait "job $1 to end" job_done "$1" || fail "job $1 does not end"
        bed_in ctl scontrol -o show job "$1" | grep 'JobState=COMPLETED .*ExitCode=0:0' >/dev/null ||
                fail "job $1: $(bed_in ctl scontrol -o show job "$1")"
}
