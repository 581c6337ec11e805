#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which libraries Slurm's programs, its plugins and the modules of others find, with real Slurm at /opt/slurm/view:
#   - clients, libraries and plugins have a DT_RPATH, daemons a DT_RUNPATH
#   - a user's LD_LIBRARY_PATH full of libraries of the same names (a Spack hwloc, say) changes nothing for clients and plugins
#   - a module that the host's configuration brings in (NSS, PAM, SPANK; here LD_PRELOAD) gets the system's libraries, not ours
#   - a program of a user's that links libslurm runs
# The trees come from the layers that `make demo` built (or those of SF_TEST_RELEASES), packed by the slurm-factory under test.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "skipped: mounts need root"; exit 77; }
cache=${SF_TEST_RELEASES:-$top_builddir/demo/cache}
from=$(ls -d "$cache"/builds/24.11.5-*/from 2>/dev/null | head -n 1)
[ -n "$from" ] || { echo "skipped: no build of 24.11.5 in $cache"; exit 77; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-run-paths.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

mkdir "$scratch/tree" "$scratch/root" "$scratch/hostile"
for layer in $(sed -n 's/^layer //p' "$from"); do
        cp -a "$cache/buildcache/$layer/tree/." "$scratch/tree/"
        prefix=$(sed -n 's/^prefix //p' "$cache/buildcache/$layer/key")
done
"$top_builddir/slurm-factory" -q --cache "$scratch/cache" import "$scratch/tree" --placeholder "$prefix" --slurm-version 24.11.5
release=$(ls -d "$scratch"/cache/builds/24.11.5-*)
for layer in $(sed -n 's/^layer .*\([0-9a-f]\{64\}\).*/\1/p' "$release/filelist"); do
        tar -C "$scratch/root" --zstd -xf "$release/blobs/sha256/$layer"
done
view=$scratch/root/opt/slurm/view

echo "== the kind of list, by place"
while read -r file; do
        tags=$(LC_ALL=C readelf -d "$file" 2>/dev/null | grep -oE '\((RPATH|RUNPATH)\)' | sort -u | tr -d '()\n' || :)
        case ${file#"$view"/} in
        sbin/*) [ -z "$tags" ] || [ "$tags" = RUNPATH ] || fail "$file has $tags" ;;
        *) [ -z "$tags" ] || [ "$tags" = RPATH ] || fail "$file has $tags" ;;
        esac
done < <(find "$view" -type f \( -path '*bin/*' -o -name '*.so*' \))
[ "$(LC_ALL=C readelf -d "$view/bin/srun" | grep -c '(RPATH)')" = 1 ] || fail "srun has no RPATH"

# Libraries of every name that the release has, without a single symbol in them.
echo 'int sf_nothing;' >"$scratch/empty.c"
find "$view/lib" -maxdepth 2 -name '*.so*' -printf '%f\n' | sort -u | while read -r name; do
        [ -e "$scratch/hostile/libslurm_nothing.so" ] || gcc -shared -fPIC -o "$scratch/hostile/libslurm_nothing.so" "$scratch/empty.c"
        cp "$scratch/hostile/libslurm_nothing.so" "$scratch/hostile/$name"
done

cat >"$scratch/inside" <<'END'
set -euo pipefail
fail() { echo "FAILED: $*" >&2; exit 1; }
scratch=$1
mount -t tmpfs tmpfs /opt
mkdir /opt/slurm
mount --bind "$scratch/root/opt/slurm" /opt/slurm
hostile=$scratch/hostile

# Enough for a client to start; it also loads the plugins for authentication, hashes and TLS.
printf 'ClusterName=c\nSlurmctldHost=localhost\nNodeName=n\nPartitionName=p Nodes=n\n' >"$scratch/slurm.conf"
export SLURM_CONF=$scratch/slurm.conf

echo "== clients under a hostile LD_LIBRARY_PATH"
for program in srun sbatch salloc sinfo squeue scontrol sacct scancel; do
        [ -e /opt/slurm/view/bin/$program ] || continue
        LD_LIBRARY_PATH=$hostile /opt/slurm/view/bin/$program --version >"$scratch/said" 2>&1 || fail "$program: $(cat "$scratch/said")"
        grep -q '^slurm 24.11.5' "$scratch/said" || fail "$program says $(cat "$scratch/said")"
done

echo "== plugins under a hostile LD_LIBRARY_PATH"
loader=$(readelf -l /opt/slurm/view/bin/srun | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
count=0
for plugin in /opt/slurm/view/lib/slurm/*.so /opt/slurm/view/lib/lib*.so.*; do
        LD_LIBRARY_PATH=$hostile "$loader" --list "$plugin" >"$scratch/said" 2>&1 || fail "$plugin: $(tail -n 1 "$scratch/said")"
        ! grep -F "$hostile" "$scratch/said" || fail "$plugin takes a library of the user's"
        count=$((count + 1))
done
[ "$count" -gt 50 ] || fail "only $count plugins looked at"

# json-c is in the release and in the system: whose does a module of the system's get? In daemons the system's. In a client
# that itself needs something beside our json-c (srun: lz4) its RPATH offers ours, which must then do.
system=$(ldconfig -p | sed -n 's|.*libjson-c.so.5 .*=> \(/.*\)|\1|p' | head -n 1)
if [ -n "$system" ]; then
        echo "== a module of others in clients and daemons"
        printf 'extern const char *json_c_version(void);\nconst char *sf_module(void) { return json_c_version(); }\n' >"$scratch/module.c"
        # Every symbol is bound at once: one that is missing ends the program.
        gcc -shared -fPIC -Wl,-z,now -o "$scratch/module.so" "$scratch/module.c" "$system"
        for program in bin/srun bin/squeue sbin/slurmd sbin/slurmstepd; do
                LD_PRELOAD=$scratch/module.so LD_TRACE_LOADED_OBJECTS=1 /opt/slurm/view/$program >"$scratch/said"
                got=$(sed -n 's/.*libjson-c.so.5 => \([^ ]*\).*/\1/p' "$scratch/said")
                case $program in
                bin/srun) [ -n "$got" ] || fail "$program gives it nothing" ;;
                *) [ -n "$got" ] && [ "${got#/opt/slurm}" = "$got" ] || fail "$program gives it $got" ;;
                esac
                [ $program = sbin/slurmstepd ] || LD_PRELOAD=$scratch/module.so /opt/slurm/view/$program -V >"$scratch/said" 2>&1 ||
                        fail "$program with a module: $(cat "$scratch/said")"
        done
else
        echo "   skipped: this system has no json-c"
fi

echo "== a program that links libslurm"
printf '#include <slurm/slurm.h>\n#include <stdio.h>\nint main(void) { printf("%%ld\\n", slurm_api_version()); return 0; }\n' >"$scratch/user.c"
# As Slurm's module sets it: nothing but Slurm's headers and library is in reach. The program finds the library by its path.
export PKG_CONFIG_PATH=/opt/slurm/view/share/slurm/devel/lib/pkgconfig
# shellcheck disable=SC2046  # flags
gcc -o "$scratch/user" "$scratch/user.c" $(pkg-config --cflags --libs slurm) -Wl,--disable-new-dtags
[ "$(LD_LIBRARY_PATH=$hostile "$scratch/user")" -gt 1000 ] || fail "the program says something else"
END
# Nothing of the build or of the source tree is needed at run time; only the mount is ours.
unshare -m --propagation private bash "$scratch/inside" "$scratch"
echo "all well"
