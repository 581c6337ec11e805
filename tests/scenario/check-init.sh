#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# "install --init" on images below --root: what a bare image lacks is made, nothing that exists is touched, a second run changes
# nothing, --dry-run never acts, and numbers of users are never invented.
set -euo pipefail
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset SLURM_FACTORY_CACHE_DIR

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir -p tree/sbin tree/lib/systemd/system tree/lib/security
printf '#!/bin/sh\n# %s/sbin\n' "$placeholder" >tree/sbin/slurmd
cp tree/sbin/slurmd tree/sbin/munged
chmod 755 tree/sbin/*
printf '[Service]\nType=notify\nExecStart=%s/sbin/slurmd --systemd $SLURMD_OPTIONS\n' "$placeholder" >tree/lib/systemd/system/slurmd.service
printf '[Service]\nType=forking\nExecStart=%s/sbin/munged $OPTIONS\n' "$placeholder" >tree/lib/systemd/system/munge.service
echo pam >tree/lib/security/pam_slurm_adopt.so
factory import tree --placeholder "$placeholder" --slurm-version 24.11.4 --toolchain test
factory keys init --repo repo --keys keys
factory publish 24.11.4 --repo repo --keys keys
: >conf

failures=0
check() { # WHAT COMMAND...
        local what=$1
        shift
        if "$@" >/dev/null 2>&1; then printf 'ok      %s\n' "$what"; else printf 'FAILED  %s\n' "$what"; cat said || true; failures=$((failures + 1)); fi
}
is() { [ "$1" = "$2" ]; }
exits() { # CODE VERB...
        local want=$1 got=0
        shift
        "${SF_NODE:-$top_builddir/sf-node}" --config "${conf:-conf}" --root "$image" --repo "file://$work/repo" --toolchain test --arch amd64 "$@" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || { echo "exit code $got, not $want: $*"; cat said; failures=$((failures + 1)); }
}
says() { check "says: $1" grep -qF -- "$1" said; }
# new NAME [UID]: an image with a passwd, and the user slurm where a number is given
new() {
        image=$work/$1
        mkdir -p "$image/etc"
        printf 'root:x:0:0::/root:/bin/sh\n' >"$image/etc/passwd"
        printf 'root:x:0:\n' >"$image/etc/group"
        [ -z "${2-}" ] || printf 'slurm:x:%s:%s::/nonexistent:/bin/false\n' "$2" "$2" >>"$image/etc/passwd"
        [ -z "${2-}" ] || printf 'slurm:x:%s:\n' "$2" >>"$image/etc/group"
        exits 0 -q trust repo/metadata/1.root.json
}
listing() { (cd "$image" && find . \( -path ./var/lib/sf-node -o -path ./opt \) -prune -o -printf '%p %y %m %U:%G %l %T@ %s\n' | sort); }
# As an ordinary user files cannot be given away: then slurm is that user, and root's files are his.
id=$(id -u)
other=$((id ? id : 4711))

new bare "$other"
listing >before
exits 2 install --init 24.11.4
says "--conf-server HOST[:PORT] names the controller"
exits 0 install --init --conf-server ctl1:6820,ctl2 --dry-run 24.11.4
says "this node lacks: directory /var/log/slurm, owner slurm, mode 0755"
says "this node lacks: slurmd.service enabled"
listing >after
check "a dry run and a refusal change nothing" cmp before after
exits 0 --json install --init --conf-server ctl1 --dry-run 24.11.4
check "--json names what is lacking" python3 -c 'import json,sys; assert any("/etc/slurm" in l for l in json.load(open("said"))["init"]["lacks"])'
exits 0 install --init --conf-server ctl1:6820,ctl2 24.11.4
check "slurmd.service is written" grep -qx 'ExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd $SLURMD_OPTIONS' "$image/etc/systemd/system/slurmd.service"
check "and enabled" is "$(readlink "$image/etc/systemd/system/multi-user.target.wants/slurmd.service")" /etc/systemd/system/slurmd.service
check "slurmd is configless" grep -qx 'SLURMD_OPTIONS="--conf-server ctl1:6820,ctl2"' "$image/etc/default/slurmd"
check "log directory is slurm's" is "$(stat -c %u:%a "$image/var/log/slurm")" "$other:755"
check "spool directory is root's" is "$(stat -c %u:%a "$image/var/spool/slurmd")" "$id:755"
check "/etc/slurm" is "$(stat -c %u:%a "$image/etc/slurm")" "$id:755"
check "tmpfiles.d" grep -qx "d /var/log/slurm 0755 slurm $other -" "$image/etc/tmpfiles.d/sf-node-slurm.conf"
check "profile.d" is "$(env -i sh -c '. "$1"; . "$1"; echo "$PATH $MODULEPATH"' - "$image/etc/profile.d/zz-sf-node-slurm.sh")" \
        "$(env -i sh -c 'echo $PATH'):/opt/slurm/view/bin /opt/slurm/modules"
check "the release is active" test -x "$image/opt/slurm/view/sbin/slurmd"
listing >before
exits 0 install --init --conf-server ctl1:6820,ctl2 24.11.4
says "nothing to do"
exits 0 install --init 24.11.4
listing >after
check "a second run changes nothing" cmp before after
exits 2 install --init --conf-server ctl9 24.11.4
says "slurmd is told --conf-server ctl1:6820,ctl2 on this node already"

# What is there stays, in whatever shape.
new site "$other"
mkdir -p "$image/etc/slurm" "$image/etc/systemd/system" "$image/etc/profile.d" "$image/etc/sysconfig" "$image/srv/log"
printf 'ClusterName=x\nSlurmctldHost=c\nSlurmUser=slurm\nSlurmdSpoolDir=/srv/spool/%%n\nSlurmdLogFile=/srv/log/slurmd.log\n' >"$image/etc/slurm/slurm.conf"
echo mine >"$image/etc/profile.d/zz-sf-node-slurm.sh"
ln -s /dev/null "$image/etc/systemd/system/slurmd.service"
mkdir -p "$image/var/log"
ln -s /srv/log "$image/var/log/slurm"
exits 0 install --init 24.11.4
says "slurmd.service is masked on this node: left so"
check "profile.d is the site's" is "$(cat "$image/etc/profile.d/zz-sf-node-slurm.sh")" mine
check "the mask stays" is "$(readlink "$image/etc/systemd/system/slurmd.service")" /dev/null
check "nothing is enabled" test ! -e "$image/etc/systemd/system/multi-user.target.wants/slurmd.service"
check "the link of the log directory stays" is "$(readlink "$image/var/log/slurm")" /srv/log
check "the directory above %n is made" test -d "$image/srv/spool"
check "no configless options" test ! -e "$image/etc/sysconfig/slurmd"
exits 2 install --init --no-activate 24.11.4
says "--init prepares a node for the release"
exits 2 install --with-munge 24.11.4
says "--with-munge goes with --init"
exits 2 install --init --conf-server 'a"b' 24.11.4
exits 2 install --init --conf-server '' 24.11.4

# A file of the site that sets slurmd's options, and one that does not; on a Red Hat system.
new options "$other"
mkdir -p "$image/etc/default" "$image/etc/sysconfig"
echo 'SLURMD_OPTIONS="-v"' >"$image/etc/default/slurmd"
exits 2 install --init --conf-server ctl 24.11.4
says "/etc/default/slurmd sets SLURMD_OPTIONS already"
echo '# nothing' >"$image/etc/default/slurmd"
exits 0 install --init --conf-server ctl 24.11.4
check "the other file is written" grep -q 'conf-server ctl' "$image/etc/sysconfig/slurmd"
check "the site's stays" is "$(cat "$image/etc/default/slurmd")" '# nothing'
listing >before
exits 0 install --init --conf-server ctl 24.11.4
listing >after
check "a second run changes nothing here either" cmp before after

# Absolute links of an image do not lead out of it.
new links "$other"
mkdir -p "$image/real/etc-default" "$image/etc"
ln -s /real/etc-default "$image/etc/default"
exits 0 install --init --conf-server ctl 24.11.4
check "a link among the directories is followed inside" test -f "$image/real/etc-default/slurmd"
check "and nothing is made outside" test ! -e /real

# The slurm user: host, configuration, or refusal.
new nobody
exits 2 install --init --conf-server ctl 24.11.4
says "there is no user slurm in $image/etc/passwd, and sf-node does not invent its number"
says "[init] slurm_uid = UID"
check "nothing was fetched for it" test ! -e "$image/opt/slurm/releases"
new differs "$other"
conf=uid.conf
printf '[init]\nslurm_uid = 64030\n' >uid.conf
exits 2 install --init --conf-server ctl 24.11.4
says "and 64030 in [init] slurm_uid"
new taken
printf 'other:x:64030:64030::/:/bin/false\n' >>"$image/etc/passwd"
exits 2 install --init --conf-server ctl 24.11.4
says "other has it"
printf '[init]\nslurm_uid = 0\n' >uid.conf
exits 2 install --init --conf-server ctl 24.11.4
printf '[init]\nslurm_user = slurm\nspool_dir = var/spool\n' >uid.conf
exits 2 install --init --conf-server ctl 24.11.4
printf '[init]\nslurm_uid = 64030\nspool_dir = /srv/slurmd\nconf_server = ctl:6820\n' >uid.conf
if [ "$id" = 0 ] && command -v systemd-sysusers >/dev/null; then
        new made
        exits 0 install --init 24.11.4
        check "the user has the configured number" grep -q '^slurm:x:64030:64030:' "$image/etc/passwd"
        check "and its files" is "$(stat -c %u:%g "$image/var/log/slurm")" 64030:64030
        check "spool_dir" test -d "$image/srv/slurmd"
        listing >before
        exits 0 install --init 24.11.4
        listing >after
        check "a second run changes nothing with a made user" cmp before after
else
        echo "skipped: making a user needs root and systemd-sysusers"
fi
conf=conf

# munge, PAM and NSS only where asked for.
new modules "$other"
exits 2 install --init --conf-server ctl --with-pam 24.11.4
says "no place for pam_slurm_adopt.so is known"
exits 2 install --init --conf-server ctl --with-munge 24.11.4
says "there is no user munge"
printf 'munge:x:%s:%s::/nonexistent:/bin/false\n' "$other" "$other" >>"$image/etc/passwd"
mkdir -p "$image/usr/lib/x86_64-linux-gnu/security"
touch "$image/usr/lib/x86_64-linux-gnu/"{security/pam_unix.so,libc.so.6}
exits 0 install --init --conf-server ctl --with-pam --with-munge 24.11.4
says "there is no /etc/munge/munge.key"
check "PAM module" is "$(readlink "$image/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so")" /opt/slurm/view/lib/security/pam_slurm_adopt.so
check "munge's unit starts the release's" grep -qE '^ExecStart=/opt/slurm/view/+sbin/munged' "$image/etc/systemd/system/munge.service"
check "munge's unit is enabled" test -L "$image/etc/systemd/system/multi-user.target.wants/munge.service"
check "munge's directories" is "$(stat -c %u:%a "$image/etc/munge" "$image/var/lib/munge" "$image/var/log/munge" | xargs)" "$other:700 $other:711 $other:700"
exits 3 install --init --conf-server ctl --with-nss 24.11.4
says "has no lib/libnss_slurm.so.2"
new withmunge "$other"
mkdir -p "$image/usr/lib/systemd/system"
echo '[Service]' >"$image/usr/lib/systemd/system/munge.service"
exits 0 install --init --conf-server ctl --with-munge 24.11.4
says "there is a munge.service already: left alone"
check "the distribution's munge stays" test ! -e "$image/etc/systemd/system/munge.service"

[ "$failures" = 0 ] || { echo "$failures checks failed"; exit 1; }
echo "install --init: all as it should be"
