#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happens to switches at real sites: callers that go away, processes that are killed, disks that are full, names that are
# published again, epilogs that take their time, records that are damaged, and two nodes that share one releases/.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

node_cluster_shared()
{
        bed_begin
        releases_begin
        mkdir "$BED/layer" "$BED/shared"
        releases_node "$BED/layer" "$RELEASES_BASE"
        cp -a "$BED/layer/opt/slurm/releases/." "$BED/shared/"
        bed_layer "$BED/layer"
        BED_NSPAWN="$BED_NSPAWN --bind=$BED/shared:/opt/slurm/releases"
        cluster_files 2
        sed 's/^SlurmctldHost=.*/SlurmctldHost=n1(127.0.0.9)/' "$BED/files/all/etc/slurm/slurm.conf" \
                >"$BED/files/all/etc/slurm/lost.conf"
        mkdir -p "$BED/files/all/etc/slurm"
        printf '#!/bin/sh\n[ ! -e /tmp/slow-epilog ] || sleep 10\ntouch /tmp/epilog-done\n' >"$BED/files/all/etc/slurm/epilog.sh"
        chmod 755 "$BED/files/all/etc/slurm/epilog.sh"
        echo 'Epilog=/etc/slurm/epilog.sh' >>"$BED/files/all/etc/slurm/slurm.conf"
        cluster_up 2
}

CLUSTER_SLURMD_TIMEOUT=60 node_cluster_shared
disk=$BED/nodes/n1/disk
record=$disk/var/lib/sf-node/transaction.json
good=$RELEASES_GOOD-$RELEASES_TOOLCHAIN
base=$RELEASES_BASE-$RELEASES_TOOLCHAIN
story() { echo "--- $*"; }
at_step() { grep -qs "\"step\":\"$1\"" "$record"; }
gone() { [ ! -e "$record" ]; }
last_is() { grep -q "\"result\":\"$1\"" "$disk/var/lib/sf-node/state.json"; }
# The process in the node that runs the second half.
second_half() { bed_in n1 systemctl show -P MainPID sf-node-switch.service; }
forget_failures() { bed_in n1 rm -rf /var/lib/sf-node/failed; }

story "two nodes share one releases/: the second waits for what the first writes, then uses it"
bed_in n1 sf-node stage "$RELEASES_GOOD" >"$BED/first" 2>&1 &
first=$!
bed_in n2 sf-node --json stage "$RELEASES_GOOD" >"$BED/second" 2>"$BED/second.said"
wait $first
cat "$BED/first" "$BED/second" "$BED/second.said"
[ "$(ls -d "$BED/shared/$good"* | wc -l)" = 1 ] || fail "the release is there more than once"
story "stage, then gc: what was staged is kept"
expect 0 bed_in n1 sf-node gc
says "keeping $good: it is staged"
expect 0 bed_in n2 sf-node upgrade "$RELEASES_GOOD"
active n2 "$RELEASES_GOOD"
story "gc on one node keeps what the other runs from"
bed_in n1 sed -i 's/"staged":\[[^]]*\]/"staged":[]/' /var/lib/sf-node/state.json
expect 0 bed_in n1 sf-node gc
says "keeping $good: node n2 needs it"
expect 0 bed_in n2 sf-node rollback

story "the caller is killed, with its terminal, while health is waited for: the switch returns by itself"
bed_in n1 sf-node upgrade "$(full "$RELEASES_MUTE")" >"$BED/said" 2>&1 &
cluster_wait "health" at_step health
bed_in n1 pkill -HUP -x sf-node
bed_in n1 sh -c 'for p in $(pgrep -x sf-node); do [ "$p" = "$(systemctl show -P MainPID sf-node-switch)" ] || kill -9 "$p"; done'
[ "$(second_half)" != 0 ] || fail "the switch ended with its caller"
CLUSTER_WAIT=60 cluster_wait "the return" gone
cluster_wait "the result" last_is returned
active n1 "$RELEASES_BASE"
forget_failures

story "the switch itself is killed: recovery comes at once, and the caller tells"
bed_in n1 sf-node upgrade "$(full "$RELEASES_MUTE")" >"$BED/said" 2>&1 &
caller=$!
cluster_wait "health" at_step health
bed_in n1 sh -c 'kill -9 $(systemctl show -P MainPID sf-node-switch)'
code=0
wait $caller || code=$?
cat "$BED/said"
[ $code = 4 ] || fail "exit code $code instead of 4"
active n1 "$RELEASES_BASE"

story "installed before, upgraded now: judged by what runs, and back to what ran"
expect 0 bed_in n1 sf-node install --force "$(full "$RELEASES_DIES")"
expect 4 bed_in n1 sf-node upgrade --force "$(full "$RELEASES_DIES")"
active n1 "$RELEASES_BASE"
forget_failures
expect 0 bed_in n1 sf-node install "$RELEASES_GOOD"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "is active"
active n1 "$RELEASES_GOOD"

story "a rollback to a release whose slurmd dies: forward to the one that ran"
mv "$BED/shared/$base/sbin/slurmd" "$BED/shared/$base/sbin/slurmd.away"
cp "$BED/shared/$RELEASES_DIES-$RELEASES_TOOLCHAIN/sbin/slurmd" "$BED/shared/$base/sbin/slurmd"
expect 4 bed_in n1 sf-node rollback --force
active n1 "$RELEASES_GOOD"
mv "$BED/shared/$base/sbin/slurmd.away" "$BED/shared/$base/sbin/slurmd"
forget_failures

story "the same name with other content: beside the tree that is in use"
sed -i -E 's/"tree":"(sha256:)?..../"tree":"\10000/' "$BED/shared/$good/.sf-release/release.json"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
exe=$(bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe')
[[ $exe == /opt/slurm/releases/$good+*/sbin/slurmd ]] || fail "slurmd runs from $exe"
[ -x "$BED/shared/$good/sbin/slurmd" ] || fail "the tree that was in use is gone"
expect 0 bed_in n1 sf-node rollback
[[ $(bed_in n1 readlink /opt/slurm/view) == "releases/$good" ]] || fail "rollback went elsewhere"

story "the disk is full where only modules are written: a warning, there and on the way back"
bed_in n1 sh -c 'mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs /opt/slurm/modules'
expect 0 bed_in n1 sf-node activate "$RELEASES_BASE"
says "modules are not up to date"
active n1 "$RELEASES_BASE"
expect 4 bed_in n1 sf-node upgrade --force "$(full "$RELEASES_DIES")"
active n1 "$RELEASES_BASE"
bed_in n1 umount /opt/slurm/modules
forget_failures

story "a read-only /opt: nothing changed, and exit 3 says so"
bed_in n1 sh -c 'mount --rbind /opt/slurm /opt/slurm && mount --make-rprivate /opt/slurm && mount -o remount,ro,bind /opt/slurm'
expect 3 bed_in n1 sf-node activate "$RELEASES_GOOD"
says "still on"
gone || fail "a record is left"
bed_in n1 umount -l /opt/slurm
active n1 "$RELEASES_BASE"

story "an epilog is under way: it is waited for while slurmd still answers"
epilog() { bed_in n1 pgrep -x epilog.sh; }
slow_epilog()
{
        bed_in n1 sh -c 'rm -f /tmp/epilog-done; touch /tmp/slow-epilog'
        submit -w n1 -o /dev/null --wrap true >/dev/null
        cluster_wait "the epilog" epilog
}
slow_epilog
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "(epilog.sh), a script that slurmd waits for"
active n1 "$RELEASES_GOOD"
bed_in n1 test -e /tmp/epilog-done || fail "the epilog was cut off"

story "one that is not waited for, and a unit that gives slurmd two seconds to stop: the stop gets the time that the site gives scripts"
bed_in n1 sh -c 'mkdir -p /etc/systemd/system/slurmd.service.d; printf "[Service]\nTimeoutStopSec=2\n" >/etc/systemd/system/slurmd.service.d/site.conf
        systemctl daemon-reload; mkdir -p /etc/sf-node/conf.d; printf "[service]\nquiet_timeout = 0\n" >/etc/sf-node/conf.d/quiet.conf'
slow_epilog
expect 0 bed_in n1 sf-node rollback
active n1 "$RELEASES_BASE"
bed_in n1 test -e /tmp/epilog-done || fail "the epilog was cut off"
[ "$(bed_in n1 systemctl show -P TimeoutStopUSec slurmd)" = 2s ] || fail "the limit stayed: $(bed_in n1 systemctl show -P TimeoutStopUSec slurmd)"
bed_in n1 sh -c 'rm -r /tmp/slow-epilog /etc/systemd/system/slurmd.service.d /etc/sf-node/conf.d/quiet.conf; systemctl daemon-reload'

story "--dry-run never acts, not even where something was interrupted"
bed_in n1 sh -c 'echo "{\"verb\":\"upgrade\",\"from\":\"'"$base"'\",\"to\":\"'"$good"'\",\"home\":\"'"$base"'\",\"step\":\"health\",\"time\":\"\"}" \
        >/var/lib/sf-node/transaction.json'
before=$(bed_in n1 sh -c 'find /var/lib/sf-node /opt/slurm /etc/systemd -printf "%p %T@ %s\n" | sort; systemctl show -P MainPID slurmd')
expect 0 bed_in n1 sf-node upgrade --dry-run "$RELEASES_NEXT"
says "that would be undone first"
expect 0 bed_in n1 sf-node gc --dry-run
expect 0 bed_in n1 sf-node activate --dry-run "$RELEASES_GOOD"
after=$(bed_in n1 sh -c 'find /var/lib/sf-node /opt/slurm /etc/systemd -printf "%p %T@ %s\n" | sort; systemctl show -P MainPID slurmd')
[ "$before" = "$after" ] || { diff <(echo "$before") <(echo "$after"); fail "--dry-run acted"; }

story "a damaged record is set aside, and what runs decides"
bed_in n1 sh -c 'printf "{\"verb\": \"upgr" >/var/lib/sf-node/transaction.json'
expect 0 bed_in n1 sf-node upgrade "$RELEASES_BASE"
says "set aside"
says "nothing to do"
active n1 "$RELEASES_BASE"

story "PREFIX is a symbolic link"
bed_in n2 sh -c 'systemctl stop slurmd; umount /opt/slurm/releases; mkdir /srv/slurm; cp -a /opt/slurm/. /srv/slurm/; rm -rf /opt/slurm
        ln -s /srv/slurm /opt/slurm; systemctl start slurmd'
cluster_wait "n2 idle" cluster_is n2 idle
expect 0 bed_in n2 sf-node upgrade "$RELEASES_GOOD"
exe=$(bed_in n2 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe')
[ "$exe" = "/srv/slurm/releases/$good/sbin/slurmd" ] || fail "slurmd runs from $exe"
expect 4 bed_in n2 sf-node upgrade --force "$(full "$RELEASES_DIES")"
exe=$(bed_in n2 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe')
[ "$exe" = "/srv/slurm/releases/$good/sbin/slurmd" ] || fail "slurmd runs from $exe after the return"

story "upgraded by its own job: the step that it runs in is not waited for"
code=0
bed_in ctl sh -c "cd /; srun -w n1 -n1 sh -c 'sf-node upgrade $RELEASES_GOOD && sf-node upgrade $RELEASES_NEXT'" || code=$?
[ $code = 0 ] || fail "exit code $code under srun"
active n1 "$RELEASES_NEXT"
