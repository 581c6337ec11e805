#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a user does with modules, under a real module system: module-session.sh COMMAND PREFIX
# COMMAND prints shell commands ("lmod", "tclsh modulecmd.tcl"). PREFIX has the releases 24.11.5-bookworm (active),
# 24.11.10-bookworm and 25.05.1-bookworm, whose sinfo prints their name, and 23.11.1-bookworm without scontrol. In 25.05.1-bookworm is
# also mpi/modulefiles, where this script puts OpenMPI's modules as its recipe makes them.
set -u
command=$1 prefix=$2
fail() { echo "FAILED: $*"; exit 1; }
# shellcheck disable=SC2086  # a command and its arguments
module() { eval "$($command bash "$@" 2>"$prefix/said")"; }
is() { [ "$1" = "$2" ] || { cat "$prefix/said"; fail "$3: '$1' instead of '$2'"; }; }
unset LD_LIBRARY_PATH LIBRARY_PATH SLURM_CONF SLURM_ROOT SLURM_INSTALL_PREFIX CPATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH
releases=$prefix/releases
source=$(realpath "$(dirname "$0")/../..")

# The recipe's own patch and steps, with its words for the version and for where it will be.
install_mpi() { # RELEASE
        local build=$prefix/openmpi recipe=$source/etc/recipes/openmpi.ini version
        version=$(sed -n 's/^version = //p' "$recipe")
        rm -rf "$build" && mkdir -p "$build" && cd "$build" || fail "no directory to make OpenMPI's modules in"
        patch -s -p1 -F0 -i "$source/etc/recipes/patches/openmpi-module.patch" || fail "openmpi-module.patch"
        sed -n '/^\[step .*module/,/^$/s/^run = //p' "$recipe" | sed "s|@PREFIX@|$1|g; s|@VERSION@|$version|g" >steps
        is "$(wc -l <steps)" 3 "steps for modules in the recipe"
        bash -e steps && cp -a "stage$1/." "$1" || fail "the recipe's steps for modules"
        cd "$prefix" || exit 1
}
# What mpicc tells the linker must be a path that stays, which no word of the release's own place is.
wrappers_name_the_prefix() { # PREFIX
        local data=$prefix/openmpi/stage$1/mpi/share/openmpi/mpicc-wrapper-data.txt
        mkdir -p "$(dirname "$data")"
        # shellcheck disable=SC2016  # as OpenMPI 5.0 installs it
        printf 'preprocessor_flags=-I${includedir}\nlinker_flags=-L${libdir}  -Wl,-rpath -Wl,${libdir}\nlibdir=${libdir}\n' >"$data"
        (cd "$prefix/openmpi" && sed -n '/^\[step wrappers/,/^$/s/^run = //p' "$source/etc/recipes/openmpi.ini" | sed "s|@PREFIX@|$1|g" | sh -e)
        is "$(cat "$data")" "preprocessor_flags=-I$1/mpi/include
linker_flags=-L$1/mpi/lib  -Wl,-rpath -Wl,$1/mpi/lib
libdir=$1/mpi/lib" "mpicc's words for the linker"
}
install_mpi "$releases/25.05.1-bookworm"
wrappers_name_the_prefix /opt/slurm/view

module use "$prefix/modules"
module load slurm
is "$(sinfo)" 24.11.5-bookworm-amd64 "the default"
is "$SLURM_ROOT" "$releases/24.11.5-bookworm" SLURM_ROOT
is "$SLURM_BUILD_VERSION $SLURM_BUILD_TOOLCHAIN $SLURM_BUILD_ARCH" "24.11.5 bookworm amd64" SLURM_BUILD_
is "${LD_LIBRARY_PATH-}${LIBRARY_PATH-}" "" "library paths"
is "${CPATH-}${PKG_CONFIG_PATH-}${CMAKE_PREFIX_PATH-}" "" "headers of a release without share/slurm/devel"
is "${SLURM_CONF-}" "$([ ! -f /etc/slurm/slurm.conf ] || echo /etc/slurm/slurm.conf)" SLURM_CONF
module swap slurm slurm/25.05.1-bookworm
is "$(sinfo)" 25.05.1-bookworm-amd64 "swap"
is "$SLURM_ROOT" "$releases/25.05.1-bookworm" "SLURM_ROOT after swap"
case $PATH in *24.11.5-bookworm*) fail "PATH after swap: $PATH" ;; esac
devel=$releases/25.05.1-bookworm/share/slurm/devel
is "$CPATH $CMAKE_PREFIX_PATH" "$devel/include $devel" "Slurm's own headers"
is "$(pkg-config --modversion slurm)" 25.05.1 "Slurm's own .pc file"
[ "$(pkg-config --variable=pcfiledir hwloc 2>/dev/null)" != "$releases/25.05.1-bookworm/lib/pkgconfig" ] || fail "our hwloc's .pc file is found"
printf '#include <slurm/slurm.h>\n#if __has_include(<hwloc.h>)\n#include <hwloc.h>\n#endif\n' >"$prefix/user.c"
headers=$(gcc -M "$prefix/user.c") || fail "a program that includes slurm.h is not compiled"
case $headers in *$releases/25.05.1-bookworm/include*) fail "our hwloc.h is found" ;; esac
module load openmpi
is "$(mpicc) $MPI_HOME" "mpicc $releases/25.05.1-bookworm/mpi" "OpenMPI of a release"
is "$CPATH" "$releases/25.05.1-bookworm/mpi/include:$devel/include" "headers of OpenMPI"
is "${LIBRARY_PATH-}${LD_LIBRARY_PATH-}" "$releases/25.05.1-bookworm/mpi/lib" "library paths of OpenMPI"
module whatis openmpi
grep -q 'srun --mpi=pmix' "$prefix/said" || { cat "$prefix/said"; fail "whatis of OpenMPI"; }
module unload openmpi
is "$(command -v mpicc)${MPI_HOME-}${LIBRARY_PATH-}" "" "unload of OpenMPI"
module unload slurm
is "$(command -v sinfo)${SLURM_ROOT-}${SLURM_BUILD_VERSION-}${SLURM_CONF-}${CPATH-}${PKG_CONFIG_PATH-}${CMAKE_PREFIX_PATH-}" "" "unload"
module load slurm/24.11-bookworm
is "$(sinfo)" 24.11.10-bookworm-amd64 "the alias of a series"
module unload slurm
export SLURM_CONF=/elsewhere/slurm.conf
module load slurm
is "$SLURM_CONF" /elsewhere/slurm.conf "the user's SLURM_CONF"
module unload slurm
is "$SLURM_CONF" /elsewhere/slurm.conf "the user's SLURM_CONF after unload"
module load slurm/23.11.1-bookworm
is "$(command -v sinfo)" "" "a release without scontrol"
grep -q 'no bin/scontrol' "$prefix/said" || { cat "$prefix/said"; fail "no word about scontrol"; }
export SLURM_INSTALL_PREFIX=$releases/25.05.1-bookworm
module load slurm/24.11.5-bookworm
is "$(sinfo)" 25.05.1-bookworm-amd64 SLURM_INSTALL_PREFIX
module unload slurm
module help slurm
grep -q 'commands, daemons and manual pages' "$prefix/said" || { cat "$prefix/said"; fail "help"; }
module whatis slurm
grep -q 'Slurm workload manager' "$prefix/said" || { cat "$prefix/said"; fail "whatis"; }
module avail
is "$(grep -o '24\.11\.5-bookworm' "$prefix/said" | wc -l)" 1 "names in avail"
echo "module session passed"
