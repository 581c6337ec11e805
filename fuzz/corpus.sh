#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fuzz/corpus.sh NAME: merges what `make fuzz` found (fuzz-build/NAME/) into fuzz/corpus/NAME.tar.xz, which then holds the fewest
# inputs that reach all that the old and the new ones reach. The same inputs give the same archive.
set -euo pipefail
name=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/old" "$work/new"
tar xJf "$here/corpus/$name.tar.xz" -C "$work/old"
"fuzz-build/fuzz-$name" -merge=1 -rss_limit_mb=2048 "$work/new" "$work/old" "fuzz-build/$name"
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@0 -C "$work/new" -cf - . | xz -9e >"$here/corpus/$name.tar.xz"
ls -l "$here/corpus/$name.tar.xz"
