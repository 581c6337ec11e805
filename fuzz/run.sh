#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds every fuzzer with clang's libFuzzer and the sanitizers, and runs each for a while: run.sh SECONDS [NAME...]
# Called by `make fuzz`, which hands over cppflags, cflags and libs. What is new goes to fuzz-build/NAME/, not to the corpus
# in the tree: `fuzz/corpus.sh NAME` merges and minimises it.
set -euo pipefail

command -v clang >/dev/null || { echo "fuzzing needs clang"; exit 77; }
seconds=$1
shift
sources=$(cd "$top_srcdir" && pwd)
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all"
if [ $# = 0 ]; then
        for file in "$sources"/fuzz/fuzz-*.c; do
                name=${file##*/fuzz-}
                set -- "$@" "${name%.c}"
        done
fi
mkdir -p fuzz-build

# Only what changed is compiled again; all of it after a header did.
compile() {
        local object=fuzz-build/${1//\//-}.o
        [ "$object" -nt "$sources/$1" ] && [ "$object" -nt "$newest_header" ] && return
        # shellcheck disable=SC2086  # lists of options
        clang $cppflags $cflags $flags -c "$sources/$1" -o "$object"
}
newest_header=$(cd "$sources" && find base release tuf transport rpath delta installer tests -name '*.h' -printf '%T@ %p\n' |
        sort -n | tail -1)
newest_header=$sources/${newest_header#* }
export -f compile
export newest_header
export cppflags cflags flags sources
(cd "$sources" && find base release tuf transport rpath delta installer -name "*.c" -not -path "delta/encode/*"; ls tests/kit/deltaelf.c fuzz/fuzz-*.c) |
        xargs -P "$(nproc)" -I {} bash -c 'set -e; compile {}'
rm -f fuzz-build/libfuzzed.a
ar rc fuzz-build/libfuzzed.a fuzz-build/{base,release,tuf,transport,rpath,delta,installer}-*.o fuzz-build/tests-kit-deltaelf.c.o

for name in "$@"; do
        # shellcheck disable=SC2086
        clang -fsanitize=fuzzer,address,undefined "fuzz-build/fuzz-fuzz-$name.c.o" fuzz-build/libfuzzed.a $libs \
                -o "fuzz-build/fuzz-$name"
        mkdir -p "fuzz-build/$name" "fuzz-build/corpus/$name"
        tar xJf "$sources/fuzz/corpus/$name.tar.xz" -C "fuzz-build/corpus/$name"
        echo "fuzz-$name: $seconds s"
        "fuzz-build/fuzz-$name" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
                -print_final_stats=1 -artifact_prefix="fuzz-build/$name-" "fuzz-build/$name" \
                "fuzz-build/corpus/$name" >"fuzz-build/$name.log" 2>&1 ||
                { tail -40 "fuzz-build/$name.log"; exit 1; }
        grep -E "^Done|number_of_executed_units|peak_rss" "fuzz-build/$name.log"
done
