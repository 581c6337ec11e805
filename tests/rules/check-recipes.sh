#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the recipes in etc/ must say: a licence (the bill of materials has no other source for it), the name or version that the
# file's name is, the digest of every patch, what is asserted after Slurm's build, and for every toolchain whether it is offered.
set -euo pipefail
cd "${top_srcdir:-.}"
found=
wrong() { echo "$*"; found=yes; }
value() { sed -n "s/^$2 = //p" "$1"; } # value FILE KEY

recipes=(etc/recipes/*.ini)
[ "${#recipes[@]}" -gt 10 ] || wrong "only ${#recipes[@]} recipes found"
for f in "${recipes[@]}"; do
        [ -n "$(value "$f" license)" ] || wrong "$f: no license"
        [ "$(value "$f" name)" = "$(basename "$f" .ini)" ] || wrong "$f: its name is $(value "$f" name)"
        while read -r patch digest; do
                [ "$(sha256sum "etc/recipes/patches/$patch" | cut -d' ' -f1)" = "$digest" ] || wrong "$f: $patch has another digest"
        done < <(sed -n '/^\[patch/,/^\[[^p]/{s/^file = //p;s/^sha256 = //p}' "$f" | paste -d' ' - -)
done
for f in etc/slurm/*.ini; do
        [ "$(value "$f" version)" = "$(basename "$f" .ini)" ] || wrong "$f: its version is $(value "$f" version)"
done
grep -q '^\[step built\]$' etc/recipes/slurm.ini || wrong "etc/recipes/slurm.ini: nothing is asserted after the build"
for f in etc/options/*.ini etc/options/*/*.ini; do
        grep -q '^refuse = \|^\[step built[]-]' "$f" || wrong "$f: what it adds is not asserted after the build"
done
# A toolchain's own file, in contrast to a family's, says what it expects.
for f in $(grep -l '^\[expect\]' etc/toolchains/*.ini); do
        grep -qw -- "$(basename "$f" .ini)" etc/matrix.ini || wrong "etc/matrix.ini: neither offers $(basename "$f" .ini) nor says why not"
done
for t in $(value etc/matrix.ini toolchains); do
        [ -e "etc/toolchains/$t.ini" ] || wrong "etc/matrix.ini: there is no toolchain $t"
done
[ -z "$found" ] || exit 1
echo "${#recipes[@]} recipes"
