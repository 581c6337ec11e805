# SPDX-License-Identifier: Apache-2.0
# tests/testbed/cut.sh - a power cut at a step of a switch on n1. Sourced after node.sh.
# shellcheck shell=bash
#
#   cut_begin               names the record of n1's switch: $record, on $disk
#   cut_start_until STEP VERB...   runs the verb in the background until it is at that step
#   cut_reboot              power cut, and n1 boots again

cut_begin()
{
        disk=$BED/nodes/n1/disk
        record=$disk/var/lib/sf-node/transaction.json
}

# The disk is watched without starting a process, so that no step is too short to be hit.
cut_reached()
{
        local line
        case $1 in
        fetch) compgen -G "$disk/opt/slurm/releases/.incoming-*" >/dev/null ;;
        *) { read -r line <"$record"; } 2>/dev/null || [ -n "${line-}" ] && [[ ${line-} == *"\"step\":\"$1\""* ]] ;;
        esac
}

cut_start_until()
{
        local step=$1 end=$((SECONDS + 60))
        shift
        bed_in n1 sf-node "$@" >"$BED/said" 2>&1 &
        until cut_reached "$step"; do
                [ "$SECONDS" -lt $end ] || { cat "$BED/said"; fail "$* did not come to $step"; }
        done
}

cut_reboot()
{
        bed_cut n1
        wait
        bed_boot n1 "$(cluster_ip n1)"
}
