#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Releases that one toolchain built are alike: layout, programs, units, /etc/slurm, dependencies; what differs is listed and intended.
# SF_TEST_BUILDS names sets of releases, each a directory of release directories (CACHE/builds), separated by spaces. First the check
# itself is checked: a release that is made to differ must be caught.
set -euo pipefail
[ -n "${SF_TEST_BUILDS-}" ] || { echo "skipped: SF_TEST_BUILDS names no builds"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
for builds in $SF_TEST_BUILDS; do
        mapfile -t releases < <(find "$builds" -mindepth 1 -maxdepth 1 -name '[0-9]*-*-*' | grep -E -- '-(amd64|arm64)$' | sort)
        [ "${#releases[@]}" -ge 2 ] || { echo "$builds: fewer than two releases"; exit 1; }
        echo "== $builds"
        python3 "$top_srcdir/tests/system/consistency.py" "${releases[@]}" || failed=1
        cp -a "${releases[0]}" "$scratch/"
        copy=$scratch/$(basename "${releases[0]}")
        sed -i -E '0,/^layer ([a-z0-9-]+)-[0-9.]+-/s//layer \1-0.0.1-/; ' "$copy/from"
        if python3 "$top_srcdir/tests/system/consistency.py" "$copy" "${releases[@]:1}" >"$scratch/out"; then
                echo "a release with another dependency is not caught"
                failed=1
        fi
        grep -q 'NOT ALIKE: .* deps: .*-0.0.1' "$scratch/out" || { cat "$scratch/out"; failed=1; }
        rm -rf "$copy"
done
exit $failed
