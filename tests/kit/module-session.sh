#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a user does with modules, under a real module system: module-session.sh COMMAND PREFIX
# COMMAND prints shell commands ("lmod", "tclsh modulecmd.tcl"). PREFIX has the releases 24.11.5-bookworm (active),
# 24.11.10-bookworm and 25.05.1-bookworm, whose sinfo prints their name, and 23.11.1-bookworm without scontrol.
set -u
command=$1 prefix=$2
fail() { echo "FAILED: $*"; exit 1; }
# shellcheck disable=SC2086  # a command and its arguments
module() { eval "$($command bash "$@" 2>"$prefix/said")"; }
is() { [ "$1" = "$2" ] || { cat "$prefix/said"; fail "$3: '$1' instead of '$2'"; }; }
unset LD_LIBRARY_PATH LIBRARY_PATH SLURM_CONF SLURM_ROOT SLURM_INSTALL_PREFIX CPATH PKG_CONFIG_PATH
releases=$prefix/releases

module use "$prefix/modules"
module load slurm
is "$(sinfo)" 24.11.5-bookworm-amd64 "the default"
is "$SLURM_ROOT" "$releases/24.11.5-bookworm" SLURM_ROOT
is "$SLURM_BUILD_VERSION $SLURM_BUILD_TOOLCHAIN $SLURM_BUILD_ARCH" "24.11.5 bookworm amd64" SLURM_BUILD_
is "${LD_LIBRARY_PATH-}${LIBRARY_PATH-}" "" "library paths"
is "${CPATH-}" "" "headers of others"
is "${SLURM_CONF-}" "$([ ! -f /etc/slurm/slurm.conf ] || echo /etc/slurm/slurm.conf)" SLURM_CONF
module swap slurm slurm/25.05.1-bookworm
is "$(sinfo)" 25.05.1-bookworm-amd64 "swap"
is "$SLURM_ROOT" "$releases/25.05.1-bookworm" "SLURM_ROOT after swap"
case $PATH in *24.11.5-bookworm*) fail "PATH after swap: $PATH" ;; esac
is "$CPATH" "$releases/25.05.1-bookworm/include" "Slurm's own headers"
module unload slurm
is "$(command -v sinfo)${SLURM_ROOT-}${SLURM_BUILD_VERSION-}${SLURM_CONF-}${CPATH-}" "" "unload"
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
