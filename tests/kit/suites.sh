# SPDX-License-Identifier: Apache-2.0
# tests/kit/suites.sh - root directories of Debian releases, made once by mmdebstrap. Sourced.
# shellcheck shell=bash

# suite_root SUITE : prints the directory of a minimal root, which is to be copied and not changed; fails where it cannot be made.
# They are kept in SF_TEST_CACHE (default: tests/cache of the build).
suite_root()
{
        local root=${SF_TEST_CACHE:-$top_builddir/tests/cache}/suite-$1 mirror
        if [ ! -d "$root" ]; then
                mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
                mkdir -p "$(dirname "$root")"
                rm -rf "$root.new"
                mmdebstrap --quiet --variant=minbase --mode=root --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$root.new" "$mirror" >&2 &&
                        mv "$root.new" "$root" || return 1
        fi
        echo "$root"
}
