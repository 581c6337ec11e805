#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sf-node replaces itself: by signed targets of the role `agent`, proven before it gets the name. Programs that crash, lie or were
# tampered with, a full disk, a read-only system, kill -9 at every call: there is always a whole program, and it works.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "skipped: mounting needs root"; exit 77; }
for tool in strace unshare cc; do command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }; done
# A mount namespace of its own: this machine's /var/lib/sf-node is not touched.
[ -n "${SF_TEST_MOUNTS-}" ] || SF_TEST_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
strace -qq -o /dev/null true 2>/dev/null || { echo "skipped: strace may not trace here"; exit 77; }
unset SLURM_FACTORY_CACHE_DIR
export LC_ALL=C
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
trap 'cd /; umount "$work/bin" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
mount -t tmpfs none /var/lib

failures=0
check() { # WHAT COMMAND...
        local what=$1
        shift
        if "$@" >/dev/null 2>&1; then printf 'ok      %s\n' "$what"; else printf 'FAILED  %s\n' "$what"; cat said; failures=$((failures + 1)); fi
}
is() { [ "$1" = "$2" ]; }
exits() { # CODE COMMAND...
        local want=$1 got=0
        shift
        "$@" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || { echo "FAILED  exit code $got, not $want: $*"; cat said; failures=$((failures + 1)); }
}
says() { check "says: $1" grep -qF -- "$1" said; }
factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
publish_agent() { factory publish-agent --force --repo repo --keys online --offline-keys offline "$@"; }
now=$("${SF_NODE:-$top_builddir/sf-node}" --version | awk '{ print $2 }')
# Other versions of the same length: the same program, saying another name.
later() { echo "${now%?}$((${now##*.} + $1))"; }
variant() { # VERSION
        sed "s/${now//./\\.}/$1/g" "$SOURCE" >"sf-node-$1"
        chmod 755 "sf-node-$1"
}
SOURCE=${SF_NODE:-$top_builddir/sf-node}
v1=$(later 1) v2=$(later 2) v3=$(later 3)
variant "$now"
for v in "$v1" "$v3"; do variant "$v"; done
mkdir bin online offline
bin=$work/bin/sf-node
: >conf
agent() { "$bin" --config conf --repo "file://$work/repo" --prefix "$work/opt" --toolchain test --arch amd64 "$@"; }
version() { "$bin" --version | awk '{ print $2 }'; }

factory keys init --repo repo --keys online --offline-keys offline
cp "sf-node-$now" "$bin"
agent -q trust repo/metadata/1.root.json
exits 3 agent self-update
says "the repository offers no sf-node"
exits 3 agent self-update --verify-only
says "does not vouch for sf-node $now"

exits 3 factory keys add agent --repo repo --keys online --offline-keys offline
says "has a role agent already"
exits 2 factory keys add timestamp --repo repo --keys online --offline-keys offline
# The role is an offline one.
check "its key is offline" test -e offline/agent.1.pem
exits 3 factory publish-agent --force --repo repo --keys online "sf-node-$now"
says "agent"
exits 2 factory publish-agent --force --repo repo --keys online --offline-keys offline "sf-node-$now" "sf-node-$v1"
says "one at a time"
exits 3 publish_agent repo/metadata/1.root.json
says "is no ELF program"
publish_agent "sf-node-$now"
check "a plain file for scripts" cmp "sf-node-$now" "repo/agent/$now/sf-node-amd64"
check "the script has the digest" grep -qx "sha256_amd64=$(sha256sum <"sf-node-$now" | cut -d' ' -f1)" "repo/agent/$now/sf-node-$now.sh"
check "and the version" grep -qx "version=$now" "repo/agent/$now/sf-node-$now.sh"
publish_agent "sf-node-$now"
printf 'const char mark[] = "@(#)sf-node %s";\nint main(void) { return 0; }\n' "$now" >other.c
cc -static -O1 -o other other.c
exits 3 factory publish-agent --repo repo --keys online --offline-keys offline other
says "is published with other content"
exits 0 agent self-update --verify-only
says "this is the repository's sf-node $now"
exits 0 agent self-update
says "nothing to do"
echo x >>"$bin"
exits 3 agent self-update --verify-only
says "is not the sf-node $now of the repository"
cp --remove-destination "repo/agent/$now/sf-node-amd64" "$bin"

publish_agent "sf-node-$v1"
exits 0 agent self-update --dry-run
says "would be replaced by $v1"
check "a dry run replaces nothing" is "$(version)" "$now"
exits 2 "$bin" --config conf --root "$work" self-update
exits 0 agent self-update
says "sf-node $now is now $v1"
check "the new one has the name" is "$(version)" "$v1"
check "the old one is kept" is "$("$bin.old" --version)" "sf-node $now"
check "nothing else is left" is "$(ls bin | xargs)" "sf-node sf-node.old"
exits 0 agent self-update
says "nothing to do"

# A node that an agent cannot read, however new.
mkdir -p opt
state=$(find /var/lib/sf-node -type d -name prefix)/$(ls "$(find /var/lib/sf-node -type d -name prefix)")
echo '{"version":99}' >"$state/state.json"
exits 3 agent self-update --self-test
says "newer sf-node"
rm "$state/state.json"
exits 0 agent self-update --self-test
says "sf-node $v1 passes its own test"

# Programs that do not deserve the name.
bad() { # WHAT SOURCE SAYS
        printf 'const char mark[] = "@(#)sf-node %s";\n%s\n' "$v2" "$2" >bad.c
        cc -O1 -o sf-node-bad bad.c
        publish_agent sf-node-bad
        exits 3 agent self-update
        says "$3"
        says "still on $v1"
        check "$1 does not get the name" is "$(version)" "$v1"
        check "$1 does not stay" is "$(ls bin | xargs)" "sf-node sf-node.old"
}
bad "one that crashes" 'int main(void) { __builtin_trap(); }' "fails its own test"
bad "one that fails" 'int main(void) { return 1; }' "fails its own test"
bad "one that says nothing" 'int main(void) { return 0; }' "does not say that it is sf-node $v2 and works"
target=$(ls repo/targets/agent/"$v2"/*.sf-node-amd64 | tail -n 1)
for file in repo/targets/agent/"$v2"/*.sf-node-amd64; do printf X | dd of="$file" bs=1 seek=100 conv=notrunc status=none; done
exits 3 agent self-update
check "a tampered one is not even written" is "$(version)" "$v1"
publish_agent "sf-node-$v3"

# No room, and no permission to write.
size=$(($(stat -c %s "sf-node-$v1") + 65536))
mkdir bin2
cp -a bin/sf-node bin2/
mount -t tmpfs -o size=$size none bin
cp bin2/sf-node bin/
exits 3 agent self-update
says "No space left"
check "the old one is whole" is "$(version)" "$v1"
check "nothing half-written stays" is "$(ls bin)" sf-node
mount -o remount,ro bin
exits 3 agent self-update
says "it comes with a read-only system image"
umount bin

# Killed at each call that changes something, then tried again.
killed=0
for call in openat fsync link rename unlink fchmod write; do
        for when in $(seq 1 60); do
                cp --remove-destination "sf-node-$v1" "$bin"
                rm -f "$bin".*
                status=0
                # Quietly: the shell would tell of each kill.
                (exec 2>/dev/null; strace -f -qq -o calls -P "$bin" -P "$bin.new" -P "$bin.old" -P "$bin.old-new" -P "$work/bin" \
                        -e "inject=$call:signal=KILL:when=$when" \
                        "$bin" --config conf --repo "file://$work/repo" --prefix "$work/opt" --toolchain test --arch amd64 self-update >said 2>&1; exit $?) 2>/dev/null || status=$?
                if [ "$status" != 137 ]; then break; fi
                killed=$((killed + 1))
                case $(version) in
                "$v1" | "$v3") ;;
                *) echo "FAILED  killed at $call $when: no program"; failures=$((failures + 1)) ;;
                esac
                agent -q self-update >said 2>&1 || { echo "FAILED  after a kill at $call $when"; cat said; failures=$((failures + 1)); }
                [ "$(version)" = "$v3" ] && [ "$(ls bin | grep -cv '^sf-node\(.old\)\?$')" = 0 ] ||
                        { echo "FAILED  killed at $call $when: $(version), $(ls bin | xargs)"; failures=$((failures + 1)); }
        done
done
check "killed at $killed points, each time whole and then updated" test "$killed" -ge 6

# [upgrade] agent = follow, and a release that older agents refuse.
cp --remove-destination "sf-node-$v1" "$bin"
rm -f "$bin".*
mkdir -p tree/sbin
placeholder=/media/$(printf 'x%.0s' {1..280})
printf '#!/bin/sh\n# %s/sbin\n' "$placeholder" >tree/sbin/slurmd
chmod 755 tree/sbin/slurmd
factory import tree --placeholder "$placeholder" --slurm-version 24.11.4 --toolchain test --needs-agent "$v3"
factory publish 24.11.4 --repo repo --keys online
exits 3 agent stage 24.11.4
says "needs sf-node $v3 or newer, and this is $v1: 'sf-node self-update' brings it"
exits 3 agent stage --force 24.11.4
printf '[upgrade]\nagent = perhaps\n' >conf
exits 2 agent stage 24.11.4
printf '[upgrade]\nagent = follow\n' >conf
exits 0 agent stage 24.11.4
says "sf-node $v1 is now $v3"
check "it became the new one and went on" test -d opt/releases/24.11.4-test
check "it follows" is "$(version)" "$v3"

[ "$failures" = 0 ] || { echo "$failures checks failed"; exit 1; }
echo "self-update: all as it should be"
