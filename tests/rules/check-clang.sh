#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang finds nothing either: every source under the project's warnings as errors, and the project's format.
set -euo pipefail
command -v clang >/dev/null || { echo "skipped: no clang here"; exit 77; }
cd "$top_srcdir"
flags=(-std=gnu11 -D_GNU_SOURCE -I. -I"$top_builddir" -DSF_VERSION='"0"' -DSF_BUILD_EPOCH=0L -DSF_DATADIR='"/"' -DSF_SYSCONFDIR='"/"'
        -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror -fsyntax-only)
sources=$(find base release tuf transport rpath delta installer agent factory tests bench -name '*.c' -not -path 'tests/cache/*')
# shellcheck disable=SC2086  # a list of paths without spaces
printf '%s\n' $sources | xargs -P 2 -n 8 clang "${flags[@]}"
echo "$(wc -w <<<"$sources") sources, no warning"
if clang-format --version 2>/dev/null | grep 'version 14' >/dev/null; then
        # Other versions break lines elsewhere.
        # shellcheck disable=SC2086
        clang-format --dry-run -Werror $sources
        echo "and the project's format"
else
        echo "skipped: the format (clang-format 14 is not here)"
fi
