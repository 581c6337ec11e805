#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# python-tuf as an independent opinion of what we sign and of what we accept (tests/tuf/oracle.py). Its packages come from
# the machine's own package mirror and are unpacked here, not installed.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"
top_srcdir=$(realpath "$top_srcdir") top_builddir=$(realpath "$top_builddir")

skip() {
        echo "SKIP: $1"
        exit 77
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Debian 13's versions, through a configuration of apt that touches nothing of the system's.
fetch_packages() {
        local mirror
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
        [ -n "$mirror" ] || return 1
        mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
        echo "deb ${mirror%/} trixie main" >"$scratch/sources.list"
        cat >"$scratch/apt.conf" <<CONF
Dir::State::Lists "$scratch/lists";
Dir::Cache "$scratch/cache";
Dir::Etc::SourceList "$scratch/sources.list";
Dir::Etc::SourceParts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "1";
APT::Sandbox::User "";
CONF
        export APT_CONFIG="$scratch/apt.conf"
        (cd "$scratch" && timeout 120 apt-get -qq update && timeout 60 apt-get -qq download python3-tuf python3-securesystemslib)
        unset APT_CONFIG
        for package in "$scratch"/*.deb; do
                dpkg-deb -x "$package" "$scratch/unpacked"
        done
}

command -v apt-get >/dev/null || skip "no apt-get to fetch python3-tuf with"
/usr/bin/python3 -c 'import cryptography' 2>/dev/null || skip "python3-cryptography is needed"
fetch_packages >"$scratch/log" 2>&1 || skip "python3-tuf cannot be fetched here: $(tail -n 1 "$scratch/log")"

/usr/bin/python3 -B "$top_srcdir/tests/tuf/oracle.py" "$scratch/unpacked/usr/lib/python3/dist-packages" \
        "$top_builddir/tests/sf-tuf-client" "$top_builddir/slurm-factory"
