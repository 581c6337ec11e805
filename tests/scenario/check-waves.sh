#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Waves of a staged rollout: upgrade passes over a release that has not reached the node, in at 10 % is in at 50 %, a named version is
# taken, the active release is never left backwards, and a withdrawal wins.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset SLURM_FACTORY_CACHE_DIR

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
for version in 24.11.3 24.11.4; do
        mkdir -p tree-$version/sbin
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" $version >tree-$version/sbin/slurmd
        chmod 755 tree-$version/sbin/slurmd
        factory -q import tree-$version --placeholder "$placeholder" --slurm-version $version --toolchain test
done
factory -q keys init --repo repo --keys keys
factory -q publish 24.11.3 --repo repo --keys keys

failures=0
fail() { echo "FAILED  $*"; cat said; failures=$((failures + 1)); }
is() { # CODE VERB...: its exit code; what it says is in `said`
        local want=$1 got=0
        shift
        "${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/root" --repo "file://$work/repo" --toolchain test --arch amd64 "$@" >said 2>&1 || got=$?
        if [ "$got" = "$want" ]; then echo "ok      exit $got: $*"; else fail "exit $got, not $want: $*"; fi
}
says() { grep -qF -- "$1" said || fail "does not say: $1"; }
on() { [ "$(readlink root/opt/slurm/view)" = "releases/$1-test" ] || fail "view is $(readlink root/opt/slurm/view), not $1"; }
waves() { factory waves "$@" --repo repo --keys keys >said 2>&1; }
: >conf
mkdir root
is 0 -q trust repo/metadata/1.root.json
is 0 install 24.11.3

# Before it is published, or nodes would take it in between.
waves 24.11.4-test-amd64 10 || fail "a wave of what is not published"
says "is not published yet"
factory -q publish 24.11.4 --repo repo --keys keys
for wrong in 101 -1 1.5 ten '' 1000; do
        ! waves 24.11.4 "$wrong" || fail "took '$wrong'"
done
! waves 24.11.9 10 || fail "a wave of no release"

# A seed that is in at 10 %, and one that comes between 10 and 50: as the header says how positions are made.
seed() { python3 -c 'import hashlib, sys; print(next(n for n in range(10000) if int(sys.argv[1]) <= int.from_bytes(hashlib.sha256(f"24.11.4-test-amd64\n{n}".encode()).digest()[:8], "big") % 100 < int(sys.argv[2])))' "$@"; }
early=$(seed 0 10) middle=$(seed 10 50) late=$(seed 50 100)
is 0 upgrade --node-seed "$middle"
says "passed over"
on 24.11.3
is 0 upgrade --node-seed "$middle" 24.11
on 24.11.3
is 0 upgrade --dry-run --node-seed "$early"
says "release   24.11.4-test-amd64"
printf '[policy]\nnode_seed = %s\n' "$early" >conf
is 0 upgrade --dry-run
says "release   24.11.4-test-amd64"
printf '[policy]\nnode_seed = %s\n' "$late" >conf
is 0 --json list
python3 -c 'import json; r = {r["version"]: r for r in json.load(open("said"))["releases"]}; assert r["24.11.4"]["percent"] == 10 and not r["24.11.4"]["reached"] and r["24.11.3"]["reached"], r' || fail "json of list"
is 0 list
says "for 10 % of the nodes"
is 0 upgrade --ignore-waves --dry-run
says "release   24.11.4-test-amd64"

waves 24.11.4 50 || fail "the second wave"
says "for 50 % of the nodes, before 10 %"
for seed in "$early" "$middle"; do
        is 0 upgrade --dry-run --node-seed "$seed"
        says "release   24.11.4-test-amd64"
done
is 0 upgrade
on 24.11.3

# A version that is named is taken; an upgrade does not go back from it.
is 0 upgrade 24.11.4
says "taken because it is named"
on 24.11.4
is 0 upgrade
says "nothing to do"
on 24.11.4
is 0 rollback
on 24.11.3

# Withdrawn: whatever the wave.
factory -q withdraw 24.11.4 --reason "leaks" --repo repo --keys keys
is 0 upgrade --node-seed "$early" --ignore-waves
on 24.11.3
is 3 upgrade 24.11.4
says "was withdrawn: leaks"
factory -q withdraw 24.11.4 --undo --repo repo --keys keys
is 0 upgrade
on 24.11.3

# Nobody, then everybody. A node that has none of the series is told why.
waves 24.11.4 0% || fail "no wave"
is 0 upgrade --node-seed "$early"
on 24.11.3
waves 24.11.3 0 || fail "no wave"
mkdir bare
mv root other && mv bare root
is 0 -q trust repo/metadata/1.root.json
is 3 install 24.11
says "has reached this node (--ignore-waves)"
rm -r root && mv other root
waves 24.11.4 100 || fail "the last wave"

# The site's own, by name and age: both must have come.
wave() { printf '[service]\nnode_name = node007\n[policy]\n' >conf; printf 'wave = %s\n' "$@" >>conf; }
wave "ALL 0" "node[001-016],login 1h"
is 0 upgrade
says "wave = node[001-016],login 1h (conf:5): passed over"
on 24.11.3
is 0 list
says "later by [policy] wave"
is 0 status
says "policy     wave = ALL 0 (conf:4): overruled by a later wave"
says "policy     wave = node[001-016],login 1h (conf:5): in force"
is 0 upgrade --dry-run --ignore-waves
says "release   24.11.4-test-amd64"
is 0 upgrade --dry-run 24.11.4
says "taken because it is named"
wave "node[001-016 2d"
is 2 upgrade
says "conf:4: [policy] wave = node[001-016 2d: ALL, or a list of nodes"
wave "ALL 7d" "node[8-16],NODE007.cluster 0" "node007 0"
waves 24.11.4 0 || fail "no wave"
is 0 upgrade
says "0 % of the nodes"
on 24.11.3
waves 24.11.4 100 || fail "the last wave"
is 0 upgrade
on 24.11.4
exit $((failures > 0))
