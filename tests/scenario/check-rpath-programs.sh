#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real programs: built with gcc for a long prefix, localized, relocated to two others, run there while the build prefix does
# not exist, and taken back bit for bit.
set -euo pipefail

tool=$top_builddir/tests/kit/sf-rpath
command -v gcc >/dev/null || { echo "skipped: gcc is not installed"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

# 288 characters that repeat nowhere, like the factory's.
unique=$(seq 1 40 | sha512sum | cut -c1-128)/$(seq 2 40 | sha512sum | cut -c1-128)
prefix=$work/$unique
while [ ${#prefix} -lt 285 ]; do prefix=${prefix}z; done
prefix=${prefix}zqj
mkdir -p "$prefix"/{bin,lib/plugins,share}

cat >"$work/part.c" <<'C'
const char *part_home(void) { return PREFIX "/share/part"; }
C
cat >"$work/plugin.c" <<'C'
const char *part_home(void);
const char *plugin_says(void) { return part_home(); }
C
# Every way in which compilers are known to treat a literal: used as it is, copied, its length folded into code.
cat >"$work/main.c" <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
static char copied[1024];
int main(void)
{
        char line[64] = "", local[1024];
        strcpy(copied, PREFIX "/bin");
        memcpy(local, PREFIX "/lib", sizeof PREFIX "/lib");
        FILE *file = fopen(PREFIX "/share/message", "r");
        if (!file || !fgets(line, sizeof line, file))
                return 1;
        fwrite(PREFIX "/folded\n", 1, strlen(PREFIX "/folded\n"), stdout);
        void *plugin = dlopen(PREFIX "/lib/plugins/plugin.so", RTLD_NOW);
        if (!plugin)
                return puts(dlerror()), 2;
        const char *(*says)(void) = (const char *(*)(void))dlsym(plugin, "plugin_says");
        printf("%s\n%s\n%s\n%s", copied, local, says(), line);
        return 0;
}
C
build() {
        local options=(-w -fPIC "-DPREFIX=\"$prefix\"")
        gcc "$1" "${options[@]}" -shared "$work/part.c" -o "$prefix/lib/libpart.so" -Wl,-soname,libpart.so
        # the prefix stands twice in one RUNPATH string
        gcc "$1" "${options[@]}" -shared "$work/plugin.c" -o "$prefix/lib/plugins/plugin.so" -L"$prefix/lib" -lpart \
                -Wl,-rpath,"$prefix/lib:$prefix/lib/plugins"
        gcc "$1" "${options[@]}" "$work/main.c" -o "$prefix/bin/main" -L"$prefix/lib" -lpart -ldl -Wl,--no-as-needed \
                -Wl,-rpath,"$prefix/lib"
        echo "a message" >"$prefix/share/message"
        printf 'prefix=%s\nLibs: -L%s/lib -lpart\n' "$prefix" "$prefix" >"$prefix/lib/part.pc"
        printf "libdir='%s/lib'\n" "$prefix" >"$prefix/lib/libpart.la"
        ln -sf libpart.so "$prefix/lib/libpart.so.0"
}

# What the program at $1 must print; slashes are as many as the prefix was long.
expect() {
        printf '%s\n' "$1/folded" "$1/bin" "$1/lib" "$1/share/part" "a message"
}

for level in -O0 -O1 -O2 -O3 -Os; do
        build $level
        "$tool" lint "$prefix" "$prefix" || fail "$level: the lint refuses a good tree"
        "$tool" localize "$prefix" "$prefix" >"$work/said"
        grep -qx '2 RUNPATH entries localized' "$work/said" || fail "$level: $(cat "$work/said")"
        mv "$work/${unique%%/*}" "$work/hidden"
        tree=$work/hidden/${prefix#"$work/${unique%%/*}/"}
        for to in "$work/one" "$work/two/that lies/deeper"; do
                rm -rf "$to"
                "$tool" relocate "$prefix" "$to" "$tree" "$to" || fail "$level: relocation to $to"
                "$to/bin/main" | tr -s / >"$work/said" || fail "$level: the program at $to: $(cat "$work/said")"
                expect "$to" | diff - "$work/said" || fail "$level: the program at $to says something else"
                grep -qx "prefix=$to" "$to/lib/part.pc" || fail "the text file was not relocated"
                ! grep -rqF "$unique" "$to" || fail "$to still names the build prefix"
        done
        # a tree that was moved to another place without relocation must not work, or this test shows nothing
        ! "$tree/bin/main" >"$work/said" || fail "the unrelocated program runs although its prefix is hidden"
        rm -rf "$work/hidden"
        mkdir -p "$prefix"/{bin,lib/plugins,share}
done

long=$prefix/x
build -O2
if "$tool" relocate "$prefix" "$long" "$prefix" "$work/three" 2>"$work/said"; then
        fail "a prefix that is too long was accepted"
fi
grep -qF "prefix $long has ${#long} bytes, the release has room for ${#prefix}" "$work/said" || fail "$(cat "$work/said")"

# What the lint is for: a link out of the tree, a RUNPATH relative to the working directory.
ln -s /etc/passwd "$prefix/share/passwd"
gcc -shared -fPIC "-DPREFIX=\"x\"" "$work/part.c" -o "$prefix/lib/hole.so" -Wl,-rpath,.libs
if "$tool" lint "$prefix" "$prefix" >"$work/said"; then
        fail "the lint accepts a bad tree"
fi
diff "$work/said" - <<'SAID' || fail "the lint says something else"
lib/hole.so: RUNPATH element ".libs" is relative to the working directory
share/passwd: is an absolute symbolic link to /etc/passwd
SAID
echo "five optimization levels, two prefixes each: built, relocated, run, taken back"
