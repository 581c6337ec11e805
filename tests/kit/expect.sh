# SPDX-License-Identifier: Apache-2.0
# tests/kit/expect.sh - what scenarios ask of a command. Sourced; the output of the last command is in ./said.
# shellcheck shell=bash

fail() { echo "FAILED: $*" >&2; [ ! -e said ] || tail -n 20 said >&2; exit 1; }
# expect CODE PATTERN COMMAND...: the command ends with CODE and says PATTERN.
expect() {
        local code=$1 pattern=$2 got=0
        shift 2
        "$@" >said 2>&1 || got=$?
        [ "$got" = "$code" ] || fail "exit code $got instead of $code: $*"
        grep -q -- "$pattern" said || fail "nothing says '$pattern': $*"
}
