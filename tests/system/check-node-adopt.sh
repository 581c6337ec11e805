#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node with a hand-made /opt/slurm/view directory and a job on it: the directory is adopted, and rollback goes back to it. The
# same in a directory of its own, with steps of another age, and with power cuts in the middle.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"
. "$top_srcdir/tests/testbed/cut.sh"

CLUSTER_SLURMD_TIMEOUT=15 node_cluster 1
tree=/opt/slurm/releases/$RELEASES_BASE-$RELEASES_TOOLCHAIN
same_length=$(printf '/opt/slurm/view%*s' $((${#tree} - 15)) '' | tr ' ' /)

# Somebody's own work: a directory that says /opt/slurm/view everywhere, a unit that starts it, nothing of sf-node's.
bed_in n1 sh -ec "systemctl stop slurmd
        cp -a $tree /opt/slurm/hand; rm -rf /opt/slurm/hand/.sf-release /opt/slurm/view
        grep -rlZF $tree /opt/slurm/hand | xargs -0 sed -i 's|$tree|$same_length|g'
        mv /opt/slurm/hand /opt/slurm/view; rm -rf /opt/slurm/releases /opt/slurm/modules /var/lib/sf-node/state.json
        echo by hand >/opt/slurm/view/NOTES
        printf '[Unit]\nAfter=munge.service\n[Service]\nType=notify\nExecStart=/opt/slurm/view/sbin/slurmd --systemd\n' \
                >/etc/systemd/system/slurmd.service
        printf 'RuntimeDirectory=slurm\nKillMode=process\nDelegate=yes\n' >>/etc/systemd/system/slurmd.service
        systemctl daemon-reload; systemctl start slurmd"
cluster_wait "n1 idle" cluster_is n1 idle
unit=$(bed_in n1 cat /etc/systemd/system/slurmd.service)

job=$(submit -w n1 -o /dev/null --wrap 'for i in $(seq 25); do sleep 1; done')
cluster_wait "job $job to run" job_is "$job" RUNNING
expect 2 bed_in n1 sf-node upgrade
says "name the version"
expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
says "as release foreign-"
says "step $job.batch"
active n1 "$RELEASES_GOOD"
[ "$(bed_in n1 cat /etc/systemd/system/slurmd.service)" = "$unit" ] || fail "the site's unit was replaced"
expect 0 bed_in n1 sf-node status
says "(adopted)"

expect 0 bed_in n1 sf-node rollback
foreign=$(bed_in n1 readlink /opt/slurm/view)
[[ $foreign == releases/foreign-* ]] || fail "view points to $foreign"
[ "$(bed_in n1 cat /opt/slurm/view/NOTES)" = "by hand" ] || fail "not the hand-made tree"
bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe' | grep "^/opt/slurm/$foreign/" >/dev/null ||
        fail "slurmd does not run from the hand-made tree"

job_succeeds "$job"

# Somebody's own work in a directory of its own, with a unit of the site. What runs there is too old for the wanted release, and a
# step of it runs: nothing is changed. (Its protocol is the base release's.)
too_old=22.05.9
elsewhere=$(printf '/opt/aged%*s' $((${#tree} - 9)) '' | tr ' ' /)
state_of_node() { bed_in n1 sh -c 'systemctl show -P MainPID slurmd; readlink /opt/slurm/view; find /etc/systemd /var/lib/sf-node/transaction.json /opt/slurm/releases -maxdepth 3 | sort' 2>&1; }
slurmd_exe() { bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe'; }
bed_in n1 sh -ec "systemctl stop slurmd; cp -a /opt/slurm/$foreign /opt/aged; cp -a /opt/slurm/$foreign /opt/hand
        grep -rlZF $same_length /opt/aged | xargs -0 sed -i 's|$same_length|$elsewhere|g'
        grep -rlZF '$RELEASES_BASE' /opt/aged | xargs -0 sed -i 's/${RELEASES_BASE//./\\.}/$too_old/g'
        rm -rf /opt/slurm/view /var/lib/sf-node/state.json
        sed -i 's|^ExecStart=.*|ExecStart=/opt/aged/sbin/slurmd --systemd|' /etc/systemd/system/slurmd.service
        cp /etc/systemd/system/slurmd.service /root/aged.service; systemctl daemon-reload; systemctl start slurmd"
job=$(submit -w n1 -o /dev/null --wrap 'while [ ! -e /tmp/end ]; do sleep 0.5; done')
cluster_wait "job $job to run" job_is "$job" RUNNING
before=$(state_of_node)
expect 3 bed_in n1 sf-node adopt "$RELEASES_NEXT"
says "$too_old → $RELEASES_NEXT is too wide a step, running jobs would be lost"
says "running now: step $job.batch"
[ "$(wc -l <<<"$said")" = 1 ] || fail "more than one line"
[ "$(state_of_node)" = "$before" ] || fail "a refused adoption changed something: $before; $(state_of_node)"
job_is "$job" RUNNING || fail "the job is lost: $(job_state "$job")"
bed_in n1 touch /tmp/end
job_succeeds "$job"

# The same of an age that fits, as Spack, EasyBuild and hands leave it, with the site's unit and its arguments.
elsewhere=$(printf '/opt/hand%*s' $((${#tree} - 9)) '' | tr ' ' /)
bed_in n1 sh -ec "systemctl stop slurmd; rm /tmp/end
        grep -rlZF $same_length /opt/hand | xargs -0 sed -i 's|$same_length|$elsewhere|g'
        sed -i 's|^ExecStart=.*|ExecStart=/usr/bin/env SITE=here /opt/hand/sbin/slurmd --systemd -v|' /etc/systemd/system/slurmd.service
        systemctl daemon-reload; systemctl start slurmd"
unit=$(bed_in n1 cat /etc/systemd/system/slurmd.service)
job=$(submit -w n1 -o /dev/null --wrap 'while [ ! -e /tmp/end ]; do sleep 0.5; done')
cluster_wait "job $job to run" job_is "$job" RUNNING
expect 2 bed_in n1 sf-node upgrade "$RELEASES_NEXT"
says "sf-node adopt"
# It is of the series that is on offer, so its newest release would do; the test's newest are made to fail.
told 0 sf-node adopt "$RELEASES_NEXT"
active n1 "$RELEASES_NEXT"
[ "$(bed_in n1 cat /etc/systemd/system/slurmd.service)" = "$unit" ] || fail "the site's unit was replaced"
bed_in n1 sh -c 'tr "\0" " " </proc/$(systemctl show -P MainPID slurmd)/cmdline' | grep -- "--systemd -v" >/dev/null || fail "the unit's arguments are gone"
job_is "$job" RUNNING || fail "the job is lost: $(job_state "$job")"
told 0 sf-node rollback
transcript adopt
[ "$(bed_in n1 sh -c 'readlink /proc/$(systemctl show -P MainPID slurmd)/exe')" = /opt/hand/sbin/slurmd ] || fail "not given back"
bed_in n1 test ! -e /etc/systemd/system/slurmd.service.d || fail "the drop-in stays"
bed_in n1 touch /tmp/end
job_succeeds "$job"

# Without a step any age will do, and a power cut in the middle ends with exactly one slurmd, the old one.
bed_in n1 sh -ec "cp /root/aged.service /etc/systemd/system/slurmd.service; systemctl daemon-reload; systemctl restart slurmd"
cut_begin
for step in activate restart health; do
        cut_start_until "$step" adopt "$RELEASES_NEXT"
        cut_reboot
        cluster_wait "slurmd to run after a cut at $step" bed_in n1 systemctl is-active slurmd
        cluster_wait "n1 idle" cluster_is n1 idle || fail "$(bed_in ctl scontrol show node n1)"
        [ "$(bed_in n1 pgrep -c -x slurmd)" = 1 ] || fail "not one slurmd: $(bed_in n1 pgrep -a slurmd)"
        [ "$(slurmd_exe)" = /opt/aged/sbin/slurmd ] || fail "after a cut at $step slurmd runs from $(slurmd_exe)"
        bed_in n1 test ! -e /etc/systemd/system/slurmd.service.d || fail "the drop-in stays after a cut at $step"
done
# The agent alone dies while the new slurmd runs: systemd runs recovery in its place.
cut_start_until health adopt "$RELEASES_NEXT"
bed_in n1 pkill -9 -x sf-node # in the node, where there is only this one
wait
given_back() { [ ! -e "$record" ] && [ "$(slurmd_exe)" = /opt/aged/sbin/slurmd ]; }
cluster_wait "recovery" given_back || fail "$(cat "$record"; slurmd_exe; bed_in n1 journalctl -t sf-node --no-pager | tail -n 5)"
[ "$(bed_in n1 pgrep -c -x slurmd)" = 1 ] || fail "not one slurmd: $(bed_in n1 pgrep -a slurmd)"
expect 0 bed_in n1 sf-node adopt "$RELEASES_NEXT"
active n1 "$RELEASES_NEXT"
# slurmctld is of our series by name, and a slurmd of 22.05 is nothing for it.
expect 3 bed_in n1 sf-node rollback
says "no longer understands a slurmd of $too_old"
active n1 "$RELEASES_NEXT"
