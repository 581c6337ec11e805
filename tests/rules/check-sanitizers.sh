#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every unit test and corpus once more, built with AddressSanitizer and UndefinedBehaviorSanitizer and with warnings as
# errors, in a distribution tree.
set -euo pipefail
# What the make that runs this test was told (which logs it is to make, above all) is not for the make in here.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL TESTS TEST_LOGS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'int main(void) { return 0; }' >"$work/probe.c"
gcc -fsanitize=address,undefined -o "$work/probe" "$work/probe.c" 2>/dev/null && "$work/probe" ||
        { echo "skipped: this compiler has no sanitizers"; exit 77; }

# A distribution tree: exactly the sources, whatever was built here.
make -s -C "$top_builddir" distdir distdir="$work/tree" >/dev/null
chmod -R u+w "$work/tree"
cd "$work/tree"
./configure --quiet --enable-sanitizers --enable-werror CFLAGS='-O1 -g'
make -s -j2 all
unit=$(make -s --no-print-directory -f - print <<'END'
include Makefile
print:
	@echo $(UNIT_TESTS) fuzz/check-corpora.sh
END
)
# Scripts build real software and boot nodes; the unit programs and the replay of fuzz corpora are what this is about.
[ "$(wc -w <<<"$unit")" -ge 10 ] || { echo "too few unit tests found: $unit"; exit 1; }
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 SF_TEST_NO_PACKAGES=1
make -s check TESTS="$(echo $unit)" >check.log 2>&1 || { grep -E '^(FAIL|ERROR)' check.log || :; cat tests/*/*.log | grep -E 'ERROR|runtime error' | head -20; tail -n 30 check.log; exit 1; }
sed -n '/^# TOTAL/,/^# ERROR/p' check.log
