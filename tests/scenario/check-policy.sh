#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# [policy] below --root: hold, series and windows hinder what becomes active, not staging, rollback or a bare image; what is refused
# names the rule and its file, and changes nothing.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset SLURM_FACTORY_CACHE_DIR
export TZ=UTC

factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
for version in 24.11.3 24.11.4 25.05.1; do
        mkdir -p tree-$version/sbin
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s\n' "$placeholder" $version >tree-$version/sbin/slurmd
        chmod 755 tree-$version/sbin/slurmd
        factory import tree-$version --placeholder "$placeholder" --slurm-version $version --toolchain test
done
factory keys init --repo repo --keys keys
factory publish 24.11.3 24.11.4 25.05.1 --repo repo --keys keys

failures=0
fail() { echo "FAILED  $*"; cat said; failures=$((failures + 1)); }
# is CODE VERB...: its exit code; what it says is in `said`.
is() {
        local want=$1 got=0
        shift
        "${SF_NODE:-$top_builddir/sf-node}" --config conf --root "$work/root" --repo "file://$work/repo" --toolchain test --arch amd64 "$@" >said 2>&1 || got=$?
        if [ "$got" = "$want" ]; then echo "ok      exit $got: $*"; else fail "exit $got, not $want: $*"; fi
}
says() { grep -qF -- "$1" said || fail "does not say: $1"; }
on() { [ "$(readlink root/opt/slurm/view)" = "releases/$1-test" ] || fail "view is $(readlink root/opt/slurm/view), not $1"; }
policy() { printf '[policy]\n' >conf; printf '%s\n' "$@" >>conf; }
# Windows around now and away from now: by hours, two before and after the change of the hour, so that the test may take its time.
hour=$(date +%-H)
window() { printf 'window = %02d:00-%02d:00' $(((hour + $1) % 24)) $(((hour + $2) % 24)); }
now=$(window 23 2) later=$(window 4 6)

mkdir root
policy
is 0 -q trust repo/metadata/1.root.json

# A bare image has nothing to disturb: no window hinders it; a hold does.
policy "hold = 24.11.3" "$later"
is 2 install 24.11.4
says "hold = 24.11.3 (conf:2)"
[ ! -e root/opt/slurm/view ] || fail "something was installed"
is 0 install 24.11.3
on 24.11.3

# Held: every verb that would leave it, force included. Nothing to do is no failure.
policy "# the site" "series = 24.11" "hold = 24.11.3"
for verb in "install 24.11.4" "upgrade 24.11.4" "upgrade --force 24.11" "upgrade 25.05" "upgrade --dry-run 25.05.1"; do
        is 2 $verb
        says "hold = 24.11.3 (conf:4)"
        on 24.11.3
done
is 0 upgrade
says "hold = 24.11.3 (conf:4) keeps this node where it is"
says "nothing to do"
is 0 upgrade --json
python3 -c 'import json; o = json.loads([l for l in open("said") if l.startswith("{")][0]); assert o["result"] == "unchanged" and o["policy"]["line"] == 4, o' || fail "json of a held upgrade"
is 0 upgrade --dry-run
is 0 stage 24.11.4
says "staging is free"
is 2 activate 24.11.4
says "hold = 24.11.3 (conf:4)"
is 0 status
says "policy     hold = 24.11.3 (conf:4): in force"
says "policy     series = 24.11 (conf:3): overruled by the hold"
is 0 --json status
python3 -c 'import json; p = json.load(open("said"))["policy"]; assert [(r["rule"], r["value"], r["line"]) for r in p] == [("hold", "24.11.3", 4), ("series", "24.11", 3)], p' || fail "json of status"
is 0 activate --ignore-hold 24.11.4
on 24.11.4
# A rollback is free wherever it leads, and what is held is where an upgrade leads.
policy "hold = 24.11.4"
is 0 rollback
on 24.11.3
is 0 upgrade
on 24.11.4
policy "hold = 24.11.9"
is 3 upgrade
says '[policy] 24.11.9: no release matches'

# The series: its newest one, and no other by name.
policy "series = 24.11"
is 2 upgrade 25.05.1
says "series = 24.11 (conf:2)"
is 2 upgrade 25.05
is 0 upgrade
on 24.11.4
is 0 upgrade --ignore-hold 25.05.1
on 25.05.1
is 0 rollback
policy "series = 25.05"
is 0 upgrade
on 25.05.1

# Windows: before anything is fetched; staging and going back at any time.
is 0 rollback
policy "$later" "$(window 8 9)"
rm -rf root/opt/slurm/releases/25.05.1-test
is 2 upgrade 25.05.1
says "not at this time: $later (conf:2) and others"
[ ! -e root/opt/slurm/releases/25.05.1-test ] || fail "fetched outside of the window"
is 2 activate 24.11.3
is 2 install 24.11.3
is 0 upgrade
says "nothing to do"
is 0 upgrade --dry-run 25.05.1
says "not at this time"
is 0 stage 25.05.1
on 24.11.4
is 0 status
says "$later (conf:2): closed"
is 0 activate --ignore-window 25.05.1
on 25.05.1
is 0 rollback
on 24.11.4
policy "$later" "$now"
is 0 status
says "$now (conf:3): open"
is 0 activate 25.05.1
on 25.05.1

# What is wrong names file, line and key.
policy "window = Sat 2-6"
is 2 upgrade
says "conf:2: [policy] window = Sat 2-6: days and times"
policy "holds = 24.11.3"
is 2 upgrade
says "conf:2: [policy] holds: unknown setting"
exit $((failures > 0))
