#!/bin/bash
# Includes point down only: base < release, rpath < delta < installer < agent | factory.
set -euo pipefail
cd "${top_srcdir:-.}"
declare -A allowed=(
        [base]="base"
        [release]="base release"
        [rpath]="base rpath"
        [delta]="base release rpath delta"
        [installer]="base release rpath delta installer"
        [agent]="base release rpath delta installer agent"
        [factory]="base release rpath delta factory"
)
failed=0
seen=0
# floor FILE: prints what FILE includes that its room may not
floor() {
        local room=${1%%/*} target
        sed -nE 's@^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([a-z]+)/[^>"]*[>"].*@\1@p' "$1" | sort -u |
                while read -r target; do
                        [ -n "${allowed[$target]-}" ] || continue
                        case " ${allowed[$room]} " in *" $target "*) ;; *) echo "$1 includes $target/" ;; esac
                done
}
for room in "${!allowed[@]}"; do
        for f in "$room"/*.c "$room"/*.h; do
                [ -e "$f" ] || continue
                seen=$((seen + 1))
                bad=$(floor "$f")
                if [ -n "$bad" ]; then
                        echo "$bad"
                        failed=1
                fi
        done
done
[ "$seen" -gt 20 ] || { echo "only $seen files looked at"; exit 1; }
# The test must see a wrong include where there is one.
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
mkdir "$probe/base"
echo '#include "agent/config.h"' >"$probe/base/probe.c"
[ -n "$(cd "$probe" && floor base/probe.c)" ] || { echo "the test is blind"; exit 1; }
[ "$failed" = 0 ] && echo "$seen files keep to their floors"
exit "$failed"
