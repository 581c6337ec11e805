# SPDX-License-Identifier: Apache-2.0
# tests/testbed/neighbours.sh - real releases of neighbouring series to switch between. Sourced after releases.sh.
# shellcheck shell=bash
#
#   neighbours_begin        takes every release in $SF_TEST_NEIGHBOURS/builds (a factory's cache) for this machine's toolchain
#                           into a repository of its own, each with a delta from the one before it; $NEIGHBOURS is then the list
#                           of versions, oldest first, one (the newest micro) per series. Skips aloud where the variable is not set
#                           or names fewer than two series.
#   neighbours_node DIR V   puts sf-node, its trust and release V, installed and active, into a tree for bed_layer
#
# Such releases are built by whoever runs this; nothing of them is part of the repository.

neighbours_begin()
{
        local source=${SF_TEST_NEIGHBOURS-} cache=${SF_TEST_CACHE:-$top_builddir/tests/cache} name version series key names=() from=()
        [ -n "$source" ] || bed_skip "SF_TEST_NEIGHBOURS names no cache with real neighbouring releases"
        RELEASES_TOOLCHAIN=$(. /etc/os-release && echo "$VERSION_CODENAME")
        RELEASES_ARCH=$(dpkg --print-architecture)
        for name in $(ls "$source/builds" | grep -E "^[0-9.]+-$RELEASES_TOOLCHAIN-$RELEASES_ARCH\$" | sort -V); do
                version=${name%%-*}
                # The newest micro release takes the place of its series.
                if [ "${#names[@]}" -gt 0 ] && [ "${version%.*}" = "${series-}" ]; then
                        unset 'names[-1]'
                fi
                series=${version%.*}
                names+=("$name")
        done
        NEIGHBOURS=$(for name in "${names[@]}"; do echo "${name%%-*}"; done | paste -sd' ')
        [ "${#names[@]}" -ge 2 ] || bed_skip "fewer than two series of $RELEASES_TOOLCHAIN-$RELEASES_ARCH in $source/builds"
        mkdir -p "$cache"
        key=$(for name in "${names[@]}"; do cat "$source/builds/$name/release.json"; done)
        RELEASES=$cache/neighbours-deltas-$(echo "$key" | sha256sum | cut -c1-12)
        (
                flock 9
                [ ! -e "$RELEASES/made" ] || exit 0
                echo "publishing ${names[*]} in $RELEASES"
                rm -rf "$RELEASES"
                mkdir -p "$RELEASES/cache/builds"
                for name in "${names[@]}"; do cp -a "$source/builds/$name" "$RELEASES/cache/builds/"; done
                releases_factory -q keys init --keys "$RELEASES/keys" --repo "$RELEASES/repo"
                for name in "${names[@]}"; do
                        releases_factory -q publish "$name" "${from[@]}" --repo "$RELEASES/repo" --keys "$RELEASES/keys"
                        from=(--delta-from "$name")
                done
                touch "$RELEASES/made"
        ) 9>"$cache/neighbours.lock"
}

neighbours_node()
{
        releases_node "$1" "$2"
}
