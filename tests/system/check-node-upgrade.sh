#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Four nodes with users' jobs on them are upgraded one after the other; the jobs never notice. Then one of them has a policy: hold,
# series, window and both kinds of waves say what becomes active, and slurmd is not touched where they say no.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

# A repository whose waves can be changed.
node_site()
{
        cp -a --reflink=auto "$RELEASES/repo" "$BED/repo"
        BED_NSPAWN="--bind-ro=$BED/repo:/srv/repo"
        [ ! -e /usr/share/zoneinfo/Etc/GMT-9 ] || { mkdir -p "$BED/files/n1/etc"; rm -f "$BED/files/n1/etc/localtime"; cp --remove-destination /usr/share/zoneinfo/Etc/GMT-9 "$BED/files/n1/etc/localtime"; } # never through a link: it leads to the host
}
CLUSTER_SLURMD_TIMEOUT=15 node_cluster 4

# A batch job on each node, a step over all of them, and one that somebody types into.
batch=()
for i in 1 2 3 4; do
        batch+=("$(submit -w "n$i" -o /dev/null --wrap 'for i in $(seq 25); do srun -n1 true; sleep 1; done')")
done
wide=$(submit -N4 -n4 -o /dev/null --wrap 'srun -N4 -n4 sh -c "sleep 30; exit 0"')
mkfifo "$BED/typing"
bed_in ctl setpriv --reuid=user --regid=user --init-groups srun --chdir=/tmp -w n2 -n1 --pty \
        sh -c 'while read -r line; do [ "$line" != end ] || exit 0; done; exit 9' <"$BED/typing" >"$BED/typed" 2>&1 &
interactive=$!
exec 7>"$BED/typing"
for job in "${batch[@]}" "$wide"; do
        cluster_wait "job $job to run" job_is "$job" RUNNING
done

# SchedMD's order: slurmctld first. Its unit is the site's, started from view.
bed_in ctl sed -i '/^\[service\]/a unit = slurmctld.service' /etc/sf-node/sf-node.conf
expect 0 bed_in ctl sf-node upgrade "$RELEASES_GOOD"
cluster_wait "slurmctld of the new release" bed_in ctl sh -c "scontrol show config | grep -q 'SLURM_VERSION.*$RELEASES_GOOD'"

quick=0
for i in 1 2 3 4; do
        expect 0 bed_in "n$i" sf-node --json upgrade "$RELEASES_GOOD"
        active "n$i" "$RELEASES_GOOD"
        downtime=$(sed -n 's/.*"downtime_seconds":\([0-9.e-]*\).*/\1/p' <<<"$said")
        own=$(bed_in "n$i" systemctl show slurmd -p ActiveExitTimestampMonotonic -p ActiveEnterTimestampMonotonic |
                awk -F= '{ t[$1] = $2 } END { print (t["ActiveEnterTimestampMonotonic"] - t["ActiveExitTimestampMonotonic"]) / 1e6 }')
        echo "n$i: slurmd was away for $downtime s, its own restart took $own s of it"
        awk -v t="$downtime" -v own="$own" 'BEGIN { exit !(t > 0 && own > 0) }' || fail "n$i: downtime $downtime s"
        ! awk -v t="$downtime" -v own="$own" 'BEGIN { exit !(t - own <= 0.020) }' || quick=$((quick + 1))
        echo still here >&7
done


# The agent adds at most 20 ms; a busy machine adds its own now and then, but not everywhere.
[ "$quick" -ge 2 ] || fail "the agent added more than 20 ms on $((4 - quick)) nodes"

echo end >&7
wait "$interactive" || fail "the interactive step ended with $?: $(cat "$BED/typed")"
for job in "${batch[@]}" "$wide"; do
        job_succeeds "$job"
done
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "nothing to do"

# --- the site's policy -------------------------------------------------------------------------------------------------
site=/etc/sf-node/conf.d/site.conf
repository() { releases_factory -q "$@" --repo "$BED/repo" --keys "$RELEASES/keys"; }
policy() { printf '%s\n' '[service]' 'old_steps = allow' '[policy]' "$@" | bed_in n1 sh -c "mkdir -p ${site%/*} && cat >$site"; }
slurmd_of() { bed_in n1 systemctl show slurmd -P MainPID -P ActiveEnterTimestampMonotonic -P NRestarts; }
# As a timer runs it: in a unit of the node, without a terminal.
unit() { bed_in n1 systemd-run --quiet --wait --pipe /usr/sbin/sf-node "$@"; }
# stays CODE TEXT CMD... : that exit code, that text, and the same slurmd on the same release
stays()
{
        local code=$1 text=$2 before
        shift 2
        before=$(slurmd_of)
        expect "$code" "$@"
        says "$text"
        [ "$(slurmd_of)" = "$before" ] || fail "slurmd was restarted"
        active n1 "$at"
}
for version in "$RELEASES_DIES" "$RELEASES_HANGS" "$RELEASES_MUTE"; do
        repository withdraw "$(full "$version")" --reason bad
        repository withdraw "$(full "$version" simple)" --reason bad
done
for version in "$RELEASES_LACKS" "$RELEASES_BASE"; do
        repository withdraw "$(full "$version")" --reason bad
done
job=$(submit -w n1 -o /dev/null --wrap 'while [ ! -e /tmp/go ]; do sleep 0.5; done')
cluster_wait "job $job to run" job_is "$job" RUNNING

at=$RELEASES_GOOD
policy "hold = $at" 'series = 24.11'
stays 0 "hold = $at ($site:4) keeps this node where it is" unit upgrade
stays 2 "hold = $at ($site:4)" bed_in n1 sf-node upgrade --force "$RELEASES_NEXT"
stays 0 "policy     hold = $at ($site:4): in force" bed_in n1 sf-node status
says "policy     series = 24.11 ($site:5): overruled by the hold"
expect 0 bed_in n1 sf-node upgrade --ignore-hold "$RELEASES_NEXT"
at=$RELEASES_NEXT
active n1 "$at"

# Two hours around the node's own time, and others.
hour=$(bed_in n1 date +%-H)
window() { printf 'window = %02d:00-%02d:00' $(((hour + $1) % 24)) $(((hour + $2) % 24)); }
policy 'series = 24.11' "$(window 4 6)"
stays 2 "series = 24.11 ($site:4)" bed_in n1 sf-node upgrade --ignore-window "$RELEASES_WIDE"
stays 2 "not at this time: $(window 4 6) ($site:5)" unit upgrade
bed_in n1 test ! -e "/opt/slurm/releases/$RELEASES_SIMPLE-$RELEASES_TOOLCHAIN" || fail "fetched outside of the window"
stays 0 "policy     $(window 4 6) ($site:5): closed" bed_in n1 sf-node status

# The window is open, and neither the publisher's wave nor the site's has come; then both have.
repository waves "$(full "$RELEASES_SIMPLE")" 0
policy 'series = 24.11' "$(window 23 2)"
stays 0 "0 % of the nodes" unit upgrade
stays 0 "policy     $(window 23 2) ($site:5): open" bed_in n1 sf-node status
repository waves "$(full "$RELEASES_SIMPLE")" 100
policy 'series = 24.11' "$(window 23 2)" 'wave = n[2-4] 0' 'wave = ALL 366d'
stays 0 "wave = ALL 366d ($site:7): passed over" unit upgrade
stays 0 "later by [policy] wave" bed_in n1 sf-node list
policy 'series = 24.11' "$(window 23 2)" 'wave = ALL 366d' 'wave = n[1-4] 0'
expect 0 bed_in n1 sf-node status
says "policy     wave = ALL 366d ($site:6): overruled by a later wave"
says "policy     wave = n[1-4] 0 ($site:7): in force"
expect 0 unit upgrade
at=$RELEASES_SIMPLE
active n1 "$at"
# Going back is free whatever the rules.
policy "hold = $at" "$(window 4 6)"
expect 0 bed_in n1 sf-node rollback
active n1 "$RELEASES_NEXT"
bed_in n1 touch /tmp/go
job_succeeds "$job"
