#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rule behind the placeholder's length, measured with the compilers that are here, for x86-64 and arm64: a literal of 256 or more
# characters stays whole in the object file, however it is copied. Shorter ones do not (gcc 12, x86-64: up to 255 by memcpy; arm64: 8).
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: no python3 here"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 - <<'END'
import subprocess
WAYS = ['void f%d(char *d) { strcpy(d, "%s"); }', 'void f%d(char *d) { memcpy(d, L, sizeof L - 1); }', 'void f%d(char *d) { memcpy(d, L, sizeof L); }',
        'void f%d(char *d) { strcpy(d, L); strcat(d, "/etc"); }', 'int f%d(const char *d) { return !strcmp(d, L); }',
        'int f%d(const char *d) { return !memcmp(d, L, sizeof L - 1); }', 'void f%d(void) { char b[] = L; use(b); }',
        'void f%d(void) { char b[4096] = L; use(b); }', 'char *f%d(void) { return strdup(L); }', 'char *f%d(char *d) { return stpcpy(d, L "/bin"); }',
        'struct s { char a[sizeof L - 1]; }; void f%d(struct s *p) { *p = (struct s){ L }; }', 'int f%d(char *d) { return sprintf(d, L); }',
        'void f%d(char *d) { memmove(d, L, sizeof L); }']
def lost(compiler, length):
    literal = ("/" + "/".join("%02x%s" % (i, "abcdefghij"[i % 10:]) for i in range(80)))[:length]
    bad = []
    for i, way in enumerate(WAYS):
        text = way.replace("%d", str(i)).replace('"%s"', "L")
        with open("x.c", "w") as f:
            f.write('#include <stdio.h>\n#include <string.h>\nvoid use(char *);\n#define L "%s"\n%s\n' % (literal, text))
        subprocess.run(compiler + ["-w", "-fPIC", "-c", "x.c", "-o", "x.o"], check=True, stderr=subprocess.DEVNULL)
        with open("x.o", "rb") as f:
            if literal.encode() not in f.read():
                bad.append(text)
    return bad
problems, tried, short = [], 0, 0
for name in (["cc"], ["clang"], ["aarch64-linux-gnu-gcc"], ["clang", "--target=aarch64-linux-gnu"]):
    for level in ("-O2", "-O3", "-Os"):
        try:
            short += len(lost(name + [level], 9)) + len(lost(name + [level], 8))
        except (OSError, subprocess.CalledProcessError):
            print("not here: " + " ".join(name))
            break
        tried += 1
        for length in (256, 257, 271, 288, 320, 511, 512):
            problems += ["%s %s, %d characters: %s" % (" ".join(name), level, length, way) for way in lost(name + [level], length)]
print("\n".join(problems))
assert tried, "no compiler"
assert short, "not even short literals are lost: the test is blind"
print("%d compilers and levels keep literals of 256 and more characters" % tried)
raise SystemExit(bool(problems))
END
