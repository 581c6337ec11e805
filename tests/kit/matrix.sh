#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# matrix.sh [VERSION:TOOLCHAIN:PROFILE]...: builds each of these releases, without a network, and prints a table of what came of it.
#
# Without arguments: every Slurm version that has a file, for this machine's toolchain and for every root in the cache, in full.
# What lacks its root or its sources is a line of its own, not a failure. The exit code is that of the worst one.
#   MATRIX_CACHE     the cache (with roots and sources); default ./matrix-cache
#   MATRIX_MIRRORS   directories with source archives
#   MATRIX_DATA      recipes instead of etc/
set -uo pipefail
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${top_builddir:-$top}
cache=${MATRIX_CACHE:-matrix-cache} data=${MATRIX_DATA:-$top/etc}
host=$(. /etc/os-release && echo "${VERSION_CODENAME:-$ID${VERSION_ID%%.*}}")
mkdir -p "$cache"
combinations=$*
if [ -z "$combinations" ]; then
        for version in $(basename -a -s .ini "$data"/slurm/*.ini | sort -V); do
                for toolchain in "$host" $(ls "$cache/roots" 2>/dev/null); do combinations+=" $version:$toolchain:full"; done
        done
fi
mirrors=
for m in ${MATRIX_MIRRORS:-}; do mirrors+=" --mirror $m"; done
offline="unshare -n"
$offline true 2>/dev/null || offline="unshare -rn"
worst=0
printf '%-10s %-12s %-8s %-10s %8s  %s\n' version toolchain profile result seconds remark
for combination in $combinations; do
        IFS=: read -r version toolchain profile <<<"$combination"
        log=$cache/matrix-$version-$toolchain-$profile.log
        where=
        [ "$toolchain" = "$host" ] || where="--toolchain $toolchain"
        if [ -n "$where" ] && [ ! -d "$cache/roots/$toolchain/tree" ]; then
                printf '%-10s %-12s %-8s %-10s %8s  %s\n' "$version" "$toolchain" "$profile" "no root" - "slurm-factory root $toolchain"
                continue
        fi
        start=$SECONDS result=built
        # shellcheck disable=SC2086  # lists of words
        $offline nice "$build/slurm-factory" --data "$data" --cache "$cache" build-slurm --slurm-version "$version" --profile "$profile" \
                $where $mirrors --keep-going >"$log" 2>&1 || result=failed
        remark=$(grep -c ': built in' "$log" || :)" layers compiled"
        if [ $result = failed ]; then
                remark=$(tail -n 1 "$log" | cut -c1-120)
                # A source that is not here says nothing about the recipe.
                if grep -q 'no source for' "$log"; then result="no source"; else worst=1; fi
        fi
        printf '%-10s %-12s %-8s %-10s %8s  %s\n' "$version" "$toolchain" "$profile" "$result" $((SECONDS - start)) "$remark"
done
exit $worst
