# SPDX-License-Identifier: Apache-2.0
# tests/testbed/releases.sh - releases to switch between: variants of one real Slurm release. Sourced after bed.sh.
# shellcheck shell=bash
#
#   releases_begin        makes (once) a repository in $RELEASES/repo with the variants below, from a release that was
#                         built before: $SF_TEST_RELEASES, or the cache of "make demo"; skips aloud where there is none
#   releases_node DIR     puts sf-node, its trust and an installed and active base release into a tree for bed_layer
#
# $RELEASES_BASE is the real version, say 24.11.5. Its variants say another version of the same length everywhere:
#   $RELEASES_GOOD $RELEASES_NEXT    work
#   $RELEASES_SIMPLE                 works, Type=simple
#   $RELEASES_DIES                   slurmd ends at once
#   $RELEASES_HANGS                  slurmd neither becomes ready nor listens to SIGTERM
#   $RELEASES_MUTE                   slurmd runs, but never registers with slurmctld
#   $RELEASES_LACKS                  auth_munge.so is missing, and slurm.conf's SrunPortRange is unknown
#   $RELEASES_OLDER $RELEASES_WIDE   another major release, by name
# DIES, HANGS and MUTE exist with "-simple" behind their name as well.

releases_names()
{
        local start=${RELEASES_BASE%.*} micro=${RELEASES_BASE##*.} digit digits=()
        for digit in 1 2 3 4 5 6 7 8 9; do
                [ "$digit" = "$micro" ] || digits+=("$start.$digit")
        done
        RELEASES_GOOD=${digits[0]} RELEASES_NEXT=${digits[1]} RELEASES_SIMPLE=${digits[2]} RELEASES_DIES=${digits[3]}
        RELEASES_HANGS=${digits[4]} RELEASES_MUTE=${digits[5]} RELEASES_LACKS=${digits[6]}
        RELEASES_OLDER=23.11.$micro RELEASES_WIDE=25.11.$micro
}

releases_factory()
{
        "$top_builddir/slurm-factory" --cache "$RELEASES/cache" "$@"
}

# A path of so many characters, none of which anything else would say by chance.
releases_random_path()
{
        local path=/opt part
        for part in 1 2 3 4; do
                path=$path/$(head -c 64 /dev/urandom | sha512sum | cut -c1-120)
        done
        echo "${path:0:$1}"
}

# The base release as it came from the compiler: installed below a prefix that leaves no room for padding, so that every
# mention of it can be replaced by a placeholder of the same length.
releases_unpack_base()
{
        local length prefix
        length=$(awk '$1 == "prefix" { print $2; exit }' "$1/filelist")
        prefix=$(releases_random_path $((length - ${#RELEASES_BASE} - ${#RELEASES_TOOLCHAIN} - 11)))
        releases_sf_node "$RELEASES/unpacked" --prefix "$prefix" trust "$RELEASES/repo/metadata/1.root.json"
        releases_sf_node "$RELEASES/unpacked" --prefix "$prefix" install "$RELEASES_BASE"
        mv "$RELEASES/unpacked$prefix/releases/$RELEASES_BASE-$RELEASES_TOOLCHAIN" "$RELEASES/tree"
        rm -rf "$RELEASES/unpacked" "$RELEASES/tree/.sf-release"
        RELEASES_PLACEHOLDER=$(releases_random_path "$length")
        # What outlives a release says PREFIX/view.
        grep -rlZF "$prefix" "$RELEASES/tree" | xargs -0 sed -i -e "s|$prefix/view|$RELEASES_PLACEHOLDER|g" \
                -e "s|$prefix/releases/$RELEASES_BASE-$RELEASES_TOOLCHAIN|$RELEASES_PLACEHOLDER|g"
}

releases_sf_node()
{
        local root=$1
        shift
        "${SF_NODE:-$top_builddir/sf-node}" -q --root "$root" --toolchain "$RELEASES_TOOLCHAIN" --repo "file://$RELEASES/repo" "$@"
}

# releases_variant VERSION [thin] : a copy of the tree that says another version, in $RELEASES/variant
releases_variant()
{
        local tree=$RELEASES/variant
        rm -rf "$tree"
        cp -a "$RELEASES/tree" "$tree"
        if [ "${2-}" = thin ]; then
                # Bad releases need what preflight and health touch, and are made quickly.
                rm -f "$tree"/sbin/{slurmctld,slurmdbd,sackd} "$tree"/lib/slurm/{data_parser_*,libslurm_pmi.so} \
                        "$tree"/lib/libslurm.so* "$tree"/lib/slurm/{accounting_storage,jobcomp,burst_buffer,gpu}_*
                find "$tree/bin" -type f ! -name scontrol ! -name srun -delete
                find "$tree/bin" -xtype l -delete
                rm -rf "$tree/include" "$tree/share"
        fi
        grep -rlZF "$RELEASES_BASE" "$tree" | xargs -0 sed -i "s/${RELEASES_BASE//./\\.}/$1/g"
}

releases_simple()
{
        sed -i -e 's/^Type=.*/Type=simple/' -e 's/ --systemd / -D -s /' "$RELEASES/variant/lib/systemd/system/slurmd.service"
}

releases_import()
{
        local version=$1 build=${2-}
        releases_factory -q import "$RELEASES/variant" --placeholder "$RELEASES_PLACEHOLDER" --slurm-version "$version" \
                --toolchain "$RELEASES_TOOLCHAIN" ${build:+--build "$build"}
        RELEASES_MADE+=("$version-$RELEASES_TOOLCHAIN-$RELEASES_ARCH${build:+-$build}")
}

# A program in place of slurmd, from C source on standard input.
releases_slurmd()
{
        mv "$RELEASES/variant/sbin/slurmd" "$RELEASES/variant/sbin/slurmd.real"
        ${CC:-cc} -O1 -x c -o "$RELEASES/variant/sbin/slurmd" -
}

releases_bad()
{
        case $1 in
        "$RELEASES_DIES") releases_slurmd <<<'#include <stdio.h>
int main(void) { fputs("slurmd: fatal: made to fail\n", stderr); return 1; }' ;;
        "$RELEASES_HANGS") releases_slurmd <<<'#include <signal.h>
#include <unistd.h>
int main(void) { signal(SIGTERM, SIG_IGN); for (;;) pause(); }' ;;
        # The real one, with a configuration whose slurmctld is nowhere.
        "$RELEASES_MUTE") releases_slurmd <<<'#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
        char path[4096], *args[64] = { "slurmd" };
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 6);
        if (n < 0 || argc > 60) return 1;
        memcpy(path + n, ".real", 6);
        for (int i = 1; i < argc; i++) args[i] = argv[i];
        args[argc] = "-f"; args[argc + 1] = "/etc/slurm/lost.conf";
        return execv(path, args);
}' ;;
        "$RELEASES_LACKS")
                rm "$RELEASES/variant/lib/slurm/auth_munge.so"
                sed -i s/SrunPortRange/SrunPortRangX/ "$RELEASES/variant/lib/slurm/libslurmfull.so"
                ;;
        esac
}

releases_make()
{
        local base=$1 version
        RELEASES_MADE=()
        mkdir -p "$RELEASES/cache/builds"
        cp -a "$base" "$RELEASES/cache/builds/"
        releases_factory -q keys init --keys "$RELEASES/keys" --repo "$RELEASES/repo"
        releases_factory -q publish "${base##*/}" --repo "$RELEASES/repo" --keys "$RELEASES/keys"
        releases_unpack_base "$base"
        for version in "$RELEASES_GOOD" "$RELEASES_NEXT"; do
                releases_variant "$version"
                releases_import "$version"
        done
        releases_variant "$RELEASES_SIMPLE"
        releases_simple
        releases_import "$RELEASES_SIMPLE"
        for version in "$RELEASES_DIES" "$RELEASES_HANGS" "$RELEASES_MUTE"; do
                releases_variant "$version" thin
                releases_bad "$version"
                releases_import "$version"
                releases_simple
                releases_import "$version" simple
        done
        releases_variant "$RELEASES_LACKS" thin
        releases_bad "$RELEASES_LACKS"
        releases_import "$RELEASES_LACKS"
        for version in "$RELEASES_OLDER" "$RELEASES_WIDE"; do
                releases_variant "$version" thin
                releases_import "$version"
        done
        releases_factory -q publish "${RELEASES_MADE[@]}" --repo "$RELEASES/repo" --keys "$RELEASES/keys"
        rm -rf "$RELEASES/variant" "$RELEASES/tree" "$RELEASES/cache"
}

releases_begin()
{
        local source=${SF_TEST_RELEASES:-$top_builddir/demo/cache} cache=${SF_TEST_CACHE:-$top_builddir/tests/cache} base name
        base=$(ls -d "$source"/builds/24.11.* 2>/dev/null | sort -V | tail -n 1 || true)
        [ -n "$base" ] || bed_skip "no built Slurm release in $source (make demo builds one, SF_TEST_RELEASES names another cache)"
        name=${base##*/}
        RELEASES_BASE=${name%%-*} RELEASES_ARCH=${name##*-}
        RELEASES_TOOLCHAIN=${name#*-} RELEASES_TOOLCHAIN=${RELEASES_TOOLCHAIN%-*}
        releases_names
        mkdir -p "$cache"
        RELEASES=$cache/releases-$(cat "$base/release.json" "$top_srcdir/tests/testbed/releases.sh" | sha256sum | cut -c1-12)
        (
                flock 9
                [ ! -e "$RELEASES/made" ] || exit 0
                echo "making variants of $name in $RELEASES"
                rm -rf "$RELEASES"
                releases_make "$base"
                touch "$RELEASES/made"
        ) 9>"$cache/releases.lock"
}

releases_node()
{
        local layer=$1
        install -D "${SF_NODE:-$top_builddir/sf-node}" "$layer/usr/sbin/sf-node"
        mkdir -p "$layer/etc/sf-node" "$layer/etc/systemd/system/multi-user.target.wants"
        ln -s ../slurmd.service "$layer/etc/systemd/system/multi-user.target.wants/"
        cat >"$layer/etc/sf-node/sf-node.conf" <<-END
		[repository]
		url = file:///srv/repo
		[service]
		settle_ms = 500
		restart_timeout = 4
		health_timeout = ${RELEASES_HEALTH_TIMEOUT:-20}
	END
        releases_sf_node "$layer" trust "$RELEASES/repo/metadata/1.root.json"
        releases_sf_node "$layer" install "${2:-$RELEASES_BASE}"
        export BED_NSPAWN="--bind-ro=$RELEASES/repo:/srv/repo"
}
