#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sf-make.sh and sf-cc.sh of etc/recipes/patches/slurm-make.patch, on a small tree that has what they look at: the objects are the
# ones that the plain compiler makes of the whole headers, the headers come back, and where the version is only a plugin's number,
# what the compiler is given is the same for two versions.
set -euo pipefail
for tool in gcc make patch awk; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
top_srcdir=$(realpath "$top_srcdir")
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL CPATH CCACHE_DIR
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }

# tree DIRECTORY NUMBER STRING: a "Slurm" of that version
tree() {
        mkdir -p "$1"/{slurm,src/common,src/plugins/some,bin}
        (
                cd "$1"
                patch -s -p1 <"$top_srcdir/etc/recipes/patches/slurm-make.patch"
                printf '#define %s\n' "PACKAGE_VERSION \"$3\"" 'SLURM_API_CURRENT 44' 'SLURM_API_AGE 0' "SLURM_VERSION_NUMBER $2" \
                        "SLURM_VERSION_STRING \"$3\"" 'HAVE_THIS 1' >config.h
                printf '#define %s\n' 'SLURM_VERSION_NUM(a,b,c) (((a) << 16) + ((b) << 8) + (c))' "SLURM_VERSION_NUMBER $2" >slurm/slurm_version.h
                # What the compiler is called with, sources by their text, after expansion.
                cat >bin/gcc <<'END'
#!/bin/bash
for a; do
        case $a in
        *.c) source=$a ;;
        esac
done
if [ -n "${source-}" ]; then
        words=()
        out=
        skip=
        for a; do
                if [ -n "$skip" ]; then skip=; out=$a; continue; fi
                case $a in
                -o) skip=1 ;;
                -c | -S) ;;
                *) words+=("$a") ;;
                esac
        done
        /usr/bin/gcc -E -P "${words[@]}" >"$out.given" 2>/dev/null || :
fi
exec /usr/bin/gcc "$@"
END
                chmod +x bin/gcc
                printf 'CC = %s/bin/gcc\n' "$PWD" >Makefile
                printf 'SUBDIRS = common plugins\n' >src/Makefile
                printf 'SUBDIRS = some\n' >src/plugins/Makefile
                for d in src/common src/plugins/some; do
                        printf 'LTLIBRARIES = x.la\nSUBDIRS = .\nCC = %s/bin/gcc\nT = %s\nall: $(patsubst %%.c,%%.o,$(wildcard *.c))\n%%.o: %%.c\n\t$(CC) -O2 -I$(T) -I$(T)/src -c -o $@ $<\n' \
                                "$PWD" "$PWD" >$d/Makefile
                done
                head='#include <stdint.h>
#include "config.h"
#include "slurm/slurm_version.h"'
                printf '%s\n' "$head" 'const char *name = SLURM_VERSION_STRING;' >src/common/text.c
                printf '%s\n' "$head" 'int plain(void) { return HAVE_THIS; }' >src/common/plain.c
                printf '%s\n' '#define API_NAME SLURM_API_CURRENT' >src/common/api.h
                printf '%s\n' "$head" '#include "common/api.h"' 'int api(void) { return API_NAME; }' >src/common/api.c
                cd src/plugins/some
                printf '%s\n' "$head" '/*' ' * plugin_version - tells SLURM what it is' ' */' \
                        'const char plugin_type[] = "some/number";' 'const uint32_t plugin_version = SLURM_VERSION_NUMBER;' >number.c
                printf '%s\n' "$head" 'const uint32_t plugin_version = SLURM_VERSION_NUMBER;' \
                        'int major(void) { return plugin_version >> 16; }' >used.c
                printf '%s\n' "$head" '#include "common/api.h"' 'const uint32_t	plugin_version	= SLURM_VERSION_NUMBER;' \
                        'int api(void) { return API_NAME; }' >both.c
                # The number is not a datum of its own: merged into others by the compiler.
                printf '%s\n' "$head" 'const uint32_t plugin_version = SLURM_VERSION_NUMBER;' \
                        'static const uint32_t other = 1599740716;' 'const uint32_t *where(void) { return &other; }' >taken.c
                printf '%s\n' "$head" 'int broken(void) { return THIS_IS_NOT; }' >broken.c
        )
}

tree one 0x190b03 25.11.3
tree two 0x190b04 25.11.4
for t in one two; do
        # A source that does not compile ends the make, as it would without us.
        if (cd $t && sh sf-make.sh all >log 2>&1); then fail "broken.c was compiled"; fi
        grep THIS_IS_NOT $t/log >/dev/null || { cat $t/log; fail "the compiler's message is lost"; }
        rm $t/src/plugins/some/broken.c
        cp $t/config.h $t/before
        (cd $t && sh sf-make.sh all >log 2>&1) || { cat $t/log; fail "sf-make.sh of $t"; }
        cmp $t/config.h $t/before && grep SLURM_VERSION_NUMBER $t/config.h $t/slurm/slurm_version.h >/dev/null || fail "a header did not come back"
        [ -z "$(find $t -name '*.sf-version' -o -name '*.sf-api' -o -name '*.sf-number')" ] || fail "marks are left"
        sed 's|.*/||' $t/sf-marks | sort >marks
        printf '%s\n' api.c.sf-api both.c.sf-version number.c.sf-number taken.c.sf-number text.c.sf-version used.c.sf-version | cmp - marks ||
                fail "marked: $(cat marks)"
        n=0
        for source in $t/src/common/*.c $t/src/plugins/some/*.c; do
                (cd "$(dirname "$source")" && /usr/bin/gcc -O2 -I../.. -I../../.. -I../../../.. -I.. -c -o "$work/object" "$(basename "$source")")
                cmp "$work/object" "${source%.c}.o" || fail "$source: another object"
                n=$((n + 1))
        done
        [ $n = 7 ] || fail "$n objects were compared"
done
cmp -s one/src/plugins/some/number.o two/src/plugins/some/number.o && fail "two versions have one number"
given() { # OUTPUT: whether the compiler was given the same for both
        [ -s "one/src/$1.given" ] || fail "$1: the compiler was not called"
        cmp -s "one/src/$1.given" "two/src/$1.given"
}
given plugins/some/number.o.s || fail "number.c: the compiler was given the version"
given common/api.o || fail "api.c: the compiler was given the version"
given common/plain.o || fail "plain.c: the compiler was given the version"
if given common/text.o; then fail "text.c: the versions' texts are the same"; fi
if given plugins/some/used.o; then fail "used.c: the versions' numbers are the same"; fi
echo "all well"
