# SPDX-License-Identifier: Apache-2.0
# tests/testbed/ahead.sh - a release that stands in for the next series where no real one is at hand. Sourced after releases.sh.
# shellcheck shell=bash
#
#   ahead_begin   makes (once) a repository in $RELEASES/repo with the real release $RELEASES_BASE and $RELEASES_AHEAD, which says
#                 25.11 of itself and writes 25.11's protocol version into slurmctld's state. All else in it is the real one, so it
#                 shows what sf-node does, not what Slurm does: check-neighbours.sh does that.
#   ahead_or_neighbours   releases of two neighbouring series, $OLD and $NEW: real ones of SF_TEST_NEIGHBOURS (neighbours.sh), else
#                 the base and what stands in

# slurmctld's state files begin with the length and text "PROTOCOL_VERSION" and the number, 42 for 24.11 and 44 for 25.11.
ahead_library()
{
        ${CC:-cc} -O1 -shared -fPIC -x c -o "$1" - <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>
#define AT 21
static int is_state(const unsigned char *b, size_t n, int version)
{
        return n > AT + 2 && memcmp(b + 4, "PROTOCOL_VERSION", 17) == 0 && b[AT] == version;
}
ssize_t write(int fd, const void *data, size_t n)
{
        ssize_t (*next)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
        if (is_state(data, n, 42)) {
                unsigned char head[AT + 2];
                memcpy(head, data, sizeof head);
                head[AT] = 44;
                return next(fd, head, sizeof head);
        }
        return next(fd, data, n);
}
void *mmap(void *a, size_t n, int prot, int flags, int fd, off_t o)
{
        void *(*next)(void *, size_t, int, int, int, off_t) = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
        unsigned char *m = next(a, n, prot, flags, fd, o);
        if (m != MAP_FAILED && fd >= 0 && o == 0 && (flags & MAP_PRIVATE) && (prot & PROT_READ) && n > AT + 2 &&
            is_state(m, n, 44) && mprotect(m, 4096, PROT_READ | PROT_WRITE) == 0)
                m[AT] = 42;
        return m;
}
void *mmap64(void *a, size_t n, int prot, int flags, int fd, off_t o)
{
        return mmap(a, n, prot, flags, fd, o);
}
END
}

ahead_slurmctld()
{
        local tree=$RELEASES/variant
        mv "$tree/sbin/slurmctld" "$tree/sbin/slurmctld.real"
        ahead_library "$tree/lib/libahead.so"
        ${CC:-cc} -O1 -x c -o "$tree/sbin/slurmctld" - <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
        char path[4096], library[4200];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 6);
        if (n < 0) return 1;
        path[n] = 0;
        snprintf(library, sizeof library, "%s/../../lib/libahead.so", path);
        char *cut = strstr(library, "/sbin/slurmctld/../..");
        if (!cut) return 1;
        memmove(cut, cut + 21, strlen(cut + 21) + 1);
        setenv("LD_PRELOAD", library, 1);
        strcat(path, ".real");
        argv[0] = argc ? "slurmctld" : 0;
        return execv(path, argv);
}
END
}

ahead_begin()
{
        local source=${SF_TEST_RELEASES:-$top_builddir/demo/cache} cache=${SF_TEST_CACHE:-$top_builddir/tests/cache} base name
        base=$(ls -d "$source"/builds/24.11.* 2>/dev/null | sort -V | tail -n 1 || true)
        [ -n "$base" ] || bed_skip "no built Slurm release in $source"
        name=${base##*/}
        RELEASES_BASE=${name%%-*} RELEASES_ARCH=${name##*-}
        RELEASES_TOOLCHAIN=${name#*-} RELEASES_TOOLCHAIN=${RELEASES_TOOLCHAIN%-*}
        RELEASES_AHEAD=25.11.${RELEASES_BASE##*.}
        mkdir -p "$cache"
        RELEASES=$cache/ahead-$(cat "$base/release.json" "$top_srcdir/tests/testbed/releases.sh" \
                "$top_srcdir/tests/testbed/ahead.sh" | sha256sum | cut -c1-12)
        (
                flock 9
                [ ! -e "$RELEASES/made" ] || exit 0
                echo "making $RELEASES_AHEAD of $name in $RELEASES"
                rm -rf "$RELEASES"
                RELEASES_MADE=()
                mkdir -p "$RELEASES/cache/builds"
                cp -a "$base" "$RELEASES/cache/builds/"
                releases_factory -q keys init --keys "$RELEASES/keys" --repo "$RELEASES/repo"
                releases_factory -q publish "$name" --repo "$RELEASES/repo" --keys "$RELEASES/keys"
                releases_unpack_base "$base"
                releases_variant "$RELEASES_AHEAD"
                ahead_slurmctld
                releases_import "$RELEASES_AHEAD"
                releases_factory -q publish "${RELEASES_MADE[@]}" --repo "$RELEASES/repo" --keys "$RELEASES/keys"
                rm -rf "$RELEASES/variant" "$RELEASES/tree" "$RELEASES/cache"
                touch "$RELEASES/made"
        ) 9>"$cache/ahead.lock"
}

ahead_or_neighbours()
{
        if [ -n "${SF_TEST_NEIGHBOURS-}" ]; then
                neighbours_begin
                read -r OLD NEW _ <<<"$NEIGHBOURS"
        else
                ahead_begin
                OLD=$RELEASES_BASE NEW=$RELEASES_AHEAD
        fi
}
