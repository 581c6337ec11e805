#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No file falls out of the build: every source, header, script and recipe is named in a Module.am. A test that
# lost its line would be missed by nobody, and a file that no list has is not in the distribution.
set -euo pipefail
cd "${top_srcdir:-.}"
lists=$(cat Makefile.am ./*/Module.am)
# unnamed FILE... : prints those that no list names
unnamed() {
        local f
        for f in "$@"; do
                grep -qwF -- "$f" <<<"$lists" || grep -qwF -- "${f%.c}" <<<"$lists" || echo "$f"
        done
}
shopt -s nullglob
mapfile -t files < <(find base release tuf transport rpath delta installer agent factory static packages fuzz bench tests \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \) \
        -not -path 'tests/cache/*' | sort)
files+=(etc/*.* etc/*/*.ini etc/*/*/*.ini man/*.8 units/*.{in,catalog} packages/deb/* packages/*.in)
[ "${#files[@]}" -gt 100 ] || { echo "only ${#files[@]} files found"; exit 1; }
# The test must see a missing line where there is one.
[ -n "$(unnamed base/no-such-file.c)" ] || { echo "the test is blind"; exit 1; }
missing=$(unnamed "${files[@]}")
[ -z "$missing" ] || { printf 'in no list:\n%s\n' "$missing"; exit 1; }
echo "${#files[@]} files, each in a list"
