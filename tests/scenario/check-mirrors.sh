#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several mirrors, one of which serves something else: a web page in place of metadata, damaged blobs, an old repository. The
# next one is asked. And what a node remembers: two prefixes, relative paths, what is staged, jitter without the lock.
set -euo pipefail

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

factory() {
        "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"
}
placeholder=/media/$(printf 'x%.0s' {1..280})
factory keys init --repo good --keys keys
for version in 24.11.4 24.11.5; do
        mkdir -p tree-$version/sbin tree-$version/lib
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" $version >tree-$version/sbin/slurmd
        head -c 300000 /dev/urandom >tree-$version/lib/noise
        chmod 755 tree-$version/sbin/slurmd
        factory import tree-$version --placeholder "$placeholder" --slurm-version $version --toolchain test
        factory publish $version --repo good --keys keys
done

fail() {
        echo "FAILED: $*"
        cat said
        exit 1
}
# node EXIT ARGUMENT... : one run on an empty root
node() {
        local want=$1 got=0
        shift
        "$top_builddir/sf-node" --root root --toolchain test --arch amd64 "$@" >said 2>&1 || got=$?
        [ "$got" = "$want" ] || fail "exit $got instead of $want: $*"
}
says() { grep -q -- "$1" said || fail "not said: $1"; }
fresh() {
        rm -rf root bad
        mkdir root
        cp -a good bad
        node 0 trust good/metadata/1.root.json
}

fresh
for file in bad/metadata/*.json bad/targets/*/*; do printf '<!DOCTYPE html><title>Log in</title>' >"$file"; done
node 3 --repo bad list
says 'a web page was answered, this is no repository'
node 0 --repo bad --repo good list
says 'trying the next mirror'
says '24.11.5'
node 0 --repo bad --repo good install 24.11.4
echo "ok: a captive portal in front of one mirror"

fresh
find bad/blobs -type f | while read -r blob; do
        printf 'X' | dd of="$blob" bs=1 seek=$(($(stat -c %s "$blob") / 2)) conv=notrunc status=none
done
node 3 --repo bad install 24.11.4
node 0 --repo bad --repo good install 24.11.4
says 'trying the next mirror'
node 0 --repo bad --repo good install 24.11.5
node 0 verify
echo "ok: damaged blobs on one mirror"

fresh
printf '{"signed":{},"signatures":[]}' >bad/metadata/timestamp.json
node 0 --repo bad --repo good install 24.11.4
echo "ok: metadata that is not signed on one mirror"

fresh
node 0 --repo good --prefix /opt/a install 24.11.4
node 0 --repo good --prefix /opt/b install 24.11.5
node 0 --prefix /opt/a status
says '24.11.4-test-amd64'
! grep -q 24.11.5 said || fail "one prefix knows of the other"
[ -e root/var/lib/sf-node/prefix/opt-a/state.json ] && [ -e root/var/lib/sf-node/prefix/opt-b/state.json ] || fail "one state"
echo "ok: two prefixes, two states"

fresh
node 0 --repo good install 24.11.4
node 0 --repo good stage 24.11.5
node 0 gc
says 'keeping 24.11.5-test: it is staged'
node 0 activate 24.11.5
node 0 rollback
sed -i 's/"version":2/"version":3/' root/var/lib/sf-node/state.json
node 3 gc
says 'written by a newer sf-node'
sed -i 's/"version":3/"version":2/' root/var/lib/sf-node/state.json
echo "ok: what is staged is kept; a newer state is left alone"

(cd root && "$top_builddir/sf-node" --root . --toolchain test --arch amd64 status) | grep 24.11.4-test >/dev/null || fail "--root ."
mkdir -p root/sub
(cd root/sub && "$top_builddir/sf-node" --root ../../root --repo ../../good --toolchain test --arch amd64 list) >said 2>&1 ||
        fail "relative paths"
says '24.11.5'
echo "ok: relative paths"

"$top_builddir/sf-node" --root root --repo good --toolchain test --arch amd64 stage --jitter 3000 24.11.5 >waiting 2>&1 &
waits=$!
sleep 0.3
node 0 gc --dry-run
node 0 gc
kill -TERM $waits
wait $waits || true
echo "ok: --jitter sleeps without the lock"

find root -name metadata -prune -o -printf '%p %T@ %s\n' | sort >before
find root/var/lib/sf-node/metadata -type f -exec sha256sum {} + | sort >>before
node 0 --repo good upgrade --dry-run 24.11.5
node 0 --repo good stage --dry-run 24.11.5
find root -name metadata -prune -o -printf '%p %T@ %s\n' | sort >after
find root/var/lib/sf-node/metadata -type f -exec sha256sum {} + | sort >>after
cmp before after || fail "--dry-run wrote something"
echo "ok: --dry-run writes nothing"

# The same name published again, with other content: beside the tree that is there.
printf 'more\n' >>tree-24.11.5/lib/noise
rm -rf cache/builds/24.11.5-*
factory import tree-24.11.5 --placeholder "$placeholder" --slurm-version 24.11.5 --toolchain test
factory publish 24.11.5 --force --repo good --keys keys
node 0 --repo good stage 24.11.5
[ "$(ls -d root/opt/slurm/releases/24.11.5-test* | wc -l)" = 2 ] || fail "$(ls root/opt/slurm/releases)"
node 0 activate 24.11.5
case $(readlink root/opt/slurm/view) in
releases/24.11.5-test+*) ;;
*) fail "view is $(readlink root/opt/slurm/view)" ;;
esac
echo "ok: a name that is published again"

node 0 log
says 'activate .*24.11.5-test-amd64: done'
says 'install .*24.11.4-test-amd64: done'
! grep -q ' stage ' said || fail "what did not switch is in the log"
node 0 log --json
python3 -c 'import json; e = json.load(open("said"))["entries"]; assert e[-1]["verb"] == "activate" and e[-1]["result"] == "done" and e == sorted(e, key=lambda x: x["time"]), e' ||
        fail "log --json"
echo "ok: log"
