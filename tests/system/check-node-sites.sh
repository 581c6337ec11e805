#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nodes as sites have them: a configless one with a name and a port of its own (n1), one with two slurmd (n2), one where
# people edited things (n3), and a login node without slurmd (n4). Each upgrades with its jobs running, or says beforehand why not.
set -euo pipefail
. "$top_srcdir/tests/testbed/node.sh"

export RELEASES_HEALTH_TIMEOUT=40
node_begin
bed_layer "$BED/layer"
CLUSTER_SLURMD_TIMEOUT=60 cluster_files 4
all=$BED/files/all

# The cluster: in pieces, with node names unlike host names and a munge socket of the site's own.
sed -i -e '/^NodeName/d' -e '/^PartitionName/d' -e 's|^SlurmdSpoolDir=.*|SlurmdSpoolDir=/var/lib/slurm/%n|' \
        -e 's|^SlurmdPidFile=.*|SlurmdPidFile=/run/slurmd-%n.pid|' "$all/etc/slurm/slurm.conf"
cat >>"$all/etc/slurm/slurm.conf" <<'END'
SlurmctldParameters=enable_configless
AuthInfo=socket=/run/site/munge.socket
Include nodes.conf
END
mkdir -p "$all/etc/systemd/system/munge.service.d"
cat >"$all/etc/slurm/nodes.conf" <<'END'
NodeName=DEFAULT CPUs=2 RealMemory=500 State=UNKNOWN
NodeName=alpha NodeHostname=n1 NodeAddr=10.77.0.11 Port=7001
NodeName=v[1-2] NodeHostname=n2,n2b NodeAddr=10.77.0.12,10.77.0.12 Port=[7101-7102]
NodeName=n3
Include partitions.conf
END
echo 'PartitionName=all Nodes=alpha,v[1-2],n3 Default=YES MaxTime=INFINITE State=UP' >"$all/etc/slurm/partitions.conf"
cat >"$all/etc/systemd/system/munge.service.d/site.conf" <<'END'
[Service]
RuntimeDirectory=munge site
RuntimeDirectoryMode=0755
ExecStart=
ExecStart=/usr/sbin/munged --socket=/run/site/munge.socket
END
# slurmd fetches its configuration before it knows of another socket.
mkdir -p "$BED/files/n1/etc/systemd/system/munge.service.d"
cat >"$BED/files/n1/etc/systemd/system/munge.service.d/site.conf" <<'END'
[Service]
RuntimeDirectory=munge site
RuntimeDirectoryMode=0755
ExecStartPost=/bin/ln -sf /run/munge/munge.socket.2 /run/site/munge.socket
END
# n2: two slurmd from a template; n1: nothing in /etc/slurm; n4: clients.
mkdir -p "$BED/files/n2/etc/systemd/system/multi-user.target.wants" "$BED/files/n1/etc/default" "$BED/files/n4/etc/systemd/system"
cat >"$BED/files/n2/etc/systemd/system/slurmd@.service" <<'END'
[Unit]
After=munge.service network-online.target
[Service]
Type=notify
ExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd -N %i
KillMode=process
Delegate=yes
[Install]
WantedBy=multi-user.target
END
for i in v1 v2; do
        ln -s ../slurmd@.service "$BED/files/n2/etc/systemd/system/multi-user.target.wants/slurmd@$i.service"
done
ln -s /dev/null "$BED/files/n2/etc/systemd/system/slurmd.service"
ln -s /dev/null "$BED/files/n4/etc/systemd/system/slurmd.service"
echo 'SLURMD_OPTIONS=--conf-server=ctl' >"$BED/files/n1/etc/default/slurmd"
bed_boot ctl 10.77.0.2
for i in 1 2 3 4; do
        bed_boot "n$i" "$(cluster_ip "n$i")"
done
bed_in n1 sh -c 'systemctl stop slurmd; rm -rf /etc/slurm; systemctl start slurmd'
for i in alpha v1 v2 n3; do
        cluster_wait "$i idle" cluster_is "$i" idle
done
# One job a node: without --enable-multiple-slurmd a step cannot span two slurmd of one host, whose munge sees a replay.
declare -A jobs
for i in alpha v1 v2 n3; do
        jobs[$i]=$(submit -w "$i" -o /dev/null --wrap 'srun sleep 100000')
done
step_runs()
{
        bed_in ctl scontrol show step "${jobs[$1]}.0" | grep State=RUNNING >/dev/null
}
for i in alpha v1 v2 n3; do
        cluster_wait "the step on $i" step_runs "$i"
done

# runs NODE VERSION UNIT... : each unit's main process is the release's
runs()
{
        local node=$1 version=$2 unit
        shift 2
        for unit; do
                bed_in "$node" sh -c 'readlink /proc/$(systemctl show -P MainPID '"$unit"')/exe' |
                        grep -q "/releases/$version-" || fail "$node: $unit does not run $version"
        done
}

# left_alone NODE : what a question must not change: files, daemons, the node's state (names that getty and logind put into /run late apart)
left_alone()
{
        local i
        bed_in "$1" sh -c 'find /etc /opt/slurm/ /run /tmp /var/lib/sf-node -xdev \( -path /run/systemd \
                        -o -path /run/user -o -path /run/log -o -path /run -o -path /tmp \) -prune -o -printf "%p %y %s %T@ %l\n" | sort
ls -A -I agetty.reload -I nologin -I utmp -I motd.dynamic /run /tmp; systemctl show -P MainPID "slurmd*"'
        case $1 in
        n1) set -- alpha ;;
        n2) set -- v1 v2 ;;
        n3) set -- n3 ;;
        *) set -- ;;
        esac
        for i; do
                bed_in ctl scontrol -o show node "$i" | grep -E 'DRAIN|Reason=' || true
        done
}

# asked NODE CODE TEXT VERB [OPTION...] : a question is answered and changes nothing
asked()
{
        local node=$1 code=$2 text=$3 before
        shift 3
        before=$(left_alone "$node")
        expect "$code" bed_in "$node" sf-node "$@"
        says "$text"
        left_alone "$node" | diff <(echo "$before") - || fail "$node: $* left something behind"
}

# rehearsed NODE CODE TEXT [OPTION...] [VERSION]
rehearsed()
{
        local node=$1 code=$2 text=$3
        shift 3
        case ${!#} in
        [0-9]*) ;;
        *) set -- "$@" "$RELEASES_GOOD" ;;
        esac
        asked "$node" "$code" "$text" upgrade --dry-run "$@"
}

# in_json NODE CODE TEXT VERB [OPTION...] : the same for programs: one object, which holds the text
in_json()
{
        local node=$1 code=$2 text=$3 got=0 answer
        shift 3
        answer=$(bed_in "$node" sf-node --json "$@" 2>/dev/null) || got=$?
        [ "$got" = "$code" ] || fail "exit code $got instead of $code: $* --json"
        python3 -c '
import json, sys
answer, code, text = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
assert answer["exit"] == code and (answer["result"] == "failed") == (code == 3)
if answer["verb"] == "doctor":
    assert bool(answer["findings"]) == bool(code)
    said = ["%(check)s: %(finding)s" % f for f in answer["findings"]] + answer["notes"]
elif code:
    said = [answer["error"]]
else:
    assert answer["dry_run"] is True and answer["bytes_fetched"] < 100000
    said = [answer["plan"]["steps"]]
assert any(text in line for line in said) or not text and not said, said' "$answer" "$code" "$text" ||
                fail "$* --json: $answer"
}

# --- configless, NodeName alpha on port 7001
site_configless()
{
        bed_in n1 test ! -e /etc/slurm/slurm.conf || fail "n1 is not configless"
        rehearsed n1 0 "not asked before $(full "$RELEASES_GOOD") is here"
        says "steps     plan, fetch, verify, unpack, relocate, preflight, quiet, activate, restart, health, done"
        in_json n1 0 "preflight, drain, quiet" upgrade --dry-run --drain "$RELEASES_GOOD"
        expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
        runs n1 "$RELEASES_GOOD" slurmd
        cluster_state alpha | grep -E 'allocated|mixed' >/dev/null || fail "alpha is $(cluster_state alpha)"
        asked n1 0 "slurm.conf     ok" doctor
        says "authentication ok" && says "node name      ok"
        in_json n1 0 "" doctor
        rehearsed n1 0 "is active already: nothing to do"
        expect 0 bed_in n1 sf-node upgrade "$RELEASES_GOOD"
        says "nothing to do"
        expect 0 bed_in n1 sf-node rollback
        runs n1 "$RELEASES_BASE" slurmd
}

# --- two slurmd on one host: both are guarded, restarted and watched
site_two_slurmd()
{
        bed_in n2 sh -c 'mkdir -p /etc/systemd/system/slurmd@v2.service.d
printf "[Service]\nKillMode=mixed\n" >/etc/systemd/system/slurmd@v2.service.d/kill.conf'
        local kill="slurmd@v2.service has KillMode=mixed, in its files though not yet loaded"
        rehearsed n2 3 "$kill"
        asked n2 3 "unit           $kill" doctor
        expect 3 bed_in n2 sf-node upgrade "$RELEASES_GOOD"
        says "$kill"
        [ "$(bed_in n2 systemctl show -P KillMode slurmd@v2)" = process ] || fail "a refused upgrade reloaded systemd"
        bed_in n2 rm -r /etc/systemd/system/slurmd@v2.service.d
        rehearsed n2 2 "are two of this host" --drain
        rehearsed n2 0 "steps     plan, preflight, quiet, activate, restart, health, done"
        asked n2 0 "unit           ok" doctor
        # Without munge no slurmd starts again; nobody's fault but munge's.
        bed_in n2 systemctl stop munge
        rehearsed n2 3 "munge does not answer at /run/site/munge.socket: start munged"
        asked n2 3 "would not start: munge does not answer at /run/site/munge.socket" doctor
        bed_in n2 systemctl start munge
        expect 0 bed_in n2 sf-node upgrade "$RELEASES_GOOD"
        says "v1" && says "v2" # each is proven
        runs n2 "$RELEASES_GOOD" slurmd@v1 slurmd@v2
        # One of them was started from the old release by hand: there is something to do.
        bed_in n2 sf-node status | grep 'slurmd@v1.service active' >/dev/null || fail "status does not know slurmd@v1"
        for i in v1 v2; do
                cluster_state $i | grep -E 'allocated|mixed' >/dev/null || fail "$i is $(cluster_state $i)"
        done
}

# --- what people edit
refused()
{
        rehearsed n3 3 "$1"
        expect 3 bed_in n3 sf-node upgrade "$RELEASES_GOOD"
        says "$1"
        runs n3 "$RELEASES_BASE" slurmd
}

site_edited()
{
        local drop=/etc/systemd/system/slurmd.service.d
        bed_in n3 mkdir -p $drop
        # A drop-in that nobody reloaded.
        bed_in n3 sh -c "printf '[Service]\nKillMode=control-group\n' >$drop/x.conf"
        refused "KillMode=control-group, in its files though not yet loaded: a restart would kill every job"
        expect 3 bed_in n3 sf-node upgrade --force "$RELEASES_GOOD"
        in_json n3 3 "a restart would kill every job" upgrade --dry-run "$RELEASES_GOOD"
        in_json n3 3 "unit: slurmd.service has KillMode=control-group" doctor
        asked n3 3 "unit           slurmd.service has KillMode=control-group" doctor
        says "note           slurmd.service: $drop/x.conf sets KillMode"
        # Shapes that do not start.
        bed_in n3 sh -c "printf '[Service]\nExecStart=\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd -D\n' >$drop/x.conf"
        refused "Type=notify but starts slurmd without --systemd"
        bed_in n3 sh -c "printf '[Service]\nType=simple\nExecStart=\nExecStart=/usr/sbin/slurmd -D\n' >$drop/x.conf"
        refused "outside of /opt/slurm"
        bed_in n3 rm $drop/x.conf
        # Configuration that slurmd refuses.
        bed_in n3 sh -c 'echo TaskAffinity=no >>/etc/slurm/cgroup.conf'
        refused "would not start with /etc/slurm/slurm.conf"
        says "unrecognized key: TaskAffinity"
        says "neither would the running release"
        # Of a release that is not here yet nobody knows; that the running one would not start again is said.
        rehearsed n3 0 "the running release: slurmd $RELEASES_BASE would not start" "$RELEASES_NEXT"
        bed_in n3 sed -i '/TaskAffinity/d' /etc/slurm/cgroup.conf
        # A required plugin behind two includes.
        bed_in n3 sh -c 'mkdir /etc/slurm/stack.d; echo "include stack.d/*.conf" >/etc/slurm/plugstack.conf
echo "required gone.so" >/etc/slurm/stack.d/a.conf'
        refused "required SPANK plugin gone.so (/etc/slurm/stack.d/a.conf)"
        bed_in n3 rm /etc/slurm/plugstack.conf
        # Nothing of the trial is left, and the daemon that runs was not touched by it.
        bed_in n3 sh -c 'ls -d /run/sf-node-trial.* 2>/dev/null' && fail "a trial left its copy"
        # A wrapper, -f elsewhere, Type=forking with a pid file.
        bed_in n3 sh -c "cp -r /etc/slurm /etc/elsewhere; rm /etc/slurm/nodes.conf
printf '#!/bin/sh\nexec /opt/slurm/view/sbin/slurmd -f /etc/elsewhere/slurm.conf\n' >/usr/local/sbin/start-slurmd
chmod 755 /usr/local/sbin/start-slurmd
printf '[Service]\nType=forking\nPIDFile=/run/slurmd-n3.pid\nExecStart=\nExecStart=/usr/local/sbin/start-slurmd\n' >$drop/x.conf
systemctl daemon-reload; systemctl restart slurmd"
        rehearsed n3 0 "steps     plan, preflight, quiet, activate, restart, health, done"
        asked n3 3 "/usr/local/sbin/start-slurmd starts slurmd as /opt/slurm/view/sbin/slurmd" doctor
        says "exec -a slurmd" && says "1 finding;"
        expect 0 bed_in n3 sf-node upgrade "$RELEASES_GOOD"
        runs n3 "$RELEASES_GOOD" slurmd
        cluster_state n3 | grep -E 'allocated|mixed' >/dev/null || fail "n3 is $(cluster_state n3)"
        expect 0 bed_in n3 sf-node rollback
        # A wrapper that stays.
        bed_in n3 sh -c "printf '#!/bin/sh\n/opt/slurm/view/sbin/slurmd -D -f /etc/elsewhere/slurm.conf\n' >/usr/local/sbin/start-slurmd
printf '[Service]\nType=simple\nPIDFile=\nExecStart=\nExecStart=/usr/local/sbin/start-slurmd\n' >$drop/x.conf
systemctl stop slurmd; systemctl daemon-reload; systemctl start slurmd; sleep 1"
        expect 3 bed_in n3 sf-node upgrade "$RELEASES_GOOD"
        says "is a wrapper and slurmd its child"
        rehearsed n3 3 "is a wrapper and slurmd its child"
}

# --- a login node: clients, no daemon; its prefix is a link, then mounted noexec, then read-only
site_login()
{
        bed_in n4 sh -c 'mv /opt/slurm /srv/slurm && ln -s /srv/slurm /opt/slurm'
        rehearsed n4 0 "steps     plan, fetch, verify, unpack, relocate, preflight, activate, done"
        expect 0 bed_in n4 sf-node upgrade "$RELEASES_GOOD"
        [ "$(bed_in n4 scontrol -V)" = "slurm $RELEASES_GOOD" ] || fail "n4: clients are not $RELEASES_GOOD"
        bed_in n4 sinfo -h >/dev/null || fail "n4: sinfo"
        asked n4 0 "unit           ok" doctor
        expect 0 bed_in n4 sf-node rollback
        bed_in n4 sh -c 'rm /opt/slurm && mkdir /opt/slurm && mount --bind /srv/slurm /opt/slurm &&
mount -o remount,bind,noexec /opt/slurm'
        rehearsed n4 3 "mounted noexec"
        asked n4 3 "noexec         /opt/slurm is on a file system that is mounted noexec" doctor
        says "1 finding;" # not one for each program
        bed_in n4 mount -o remount,bind,exec,ro /opt/slurm
        asked n4 0 "space          ok" doctor
        rehearsed n4 3 "/opt/slurm/view cannot be changed: Read-only file system"
        expect 3 bed_in n4 sf-node upgrade "$RELEASES_GOOD"
        says "/opt/slurm/view cannot be changed: Read-only file system"
        rehearsed n4 3 "cannot be put there" "$RELEASES_NEXT"
        expect 3 bed_in n4 sf-node upgrade "$RELEASES_NEXT"
        says "cannot be put there"
}

bad=0 pids=()
for site in configless two_slurmd edited login; do
        "site_$site" >"$BED/site-$site" 2>&1 &
        pids+=($!)
done
for pid in "${pids[@]}"; do
        wait "$pid" || bad=1
done
cat "$BED"/site-*
[ $bad = 0 ] || exit 1
# The steps that ran throughout have never noticed.
for i in alpha v1 v2 n3; do
        step_runs "$i" || fail "the step on $i is gone: $(bed_in ctl scontrol -o show job "${jobs[$i]}")"
        bed_in ctl scancel "${jobs[$i]}"
done
