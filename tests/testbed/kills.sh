# SPDX-License-Identifier: Apache-2.0
# tests/testbed/kills.sh - sf-node dies at a chosen place of a switch. Sourced after node.sh.
# shellcheck shell=bash
#
#   kills_begin DIR           puts the library that does it into a tree for a node's layer; it does nothing until it is asked to
#   kills_at NODE WORD N HOW  sf-node on that node is killed right after the Nth rename to a name that ends with WORD, counted over
#                             all its processes. HOW: kill = SIGKILL; stop = it stops there, for a power cut of the whole node
#   kills_done NODE           has it happened?

kills_begin()
{
        mkdir -p "$1/etc" "$1/usr/local/lib"
        ${CC:-cc} -O1 -shared -fPIC -x c -o "$1/usr/local/lib/kills.so" - -ldl <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define ORDER "/var/tmp/kill-at"
static void reached(const char *target)
{
        char text[256] = "", word[100], how[16];
        int count, fd;
        if (strcmp(program_invocation_short_name, "sf-node") != 0 || (fd = open(ORDER, O_RDWR | O_CLOEXEC)) < 0)
                return;
        ssize_t n = read(fd, text, sizeof text - 1);
        size_t len = n > 0 && sscanf(text, "%99s %d %15s", word, &count, how) == 3 ? strlen(word) : 0;
        if (len && strlen(target) >= len && strcmp(target + strlen(target) - len, word) == 0) {
                n = snprintf(text, sizeof text, "%s %d %s   \n", word, count - 1, how);
                if (pwrite(fd, text, (size_t)n, 0) == n && count == 1) {
                        rename(ORDER, "/var/tmp/killed");
                        kill(getpid(), strcmp(how, "stop") == 0 ? SIGSTOP : SIGKILL);
                }
        }
        close(fd);
}
int rename(const char *a, const char *b)
{
        int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
        int r = next(a, b);
        if (r == 0) reached(b);
        return r;
}
int renameat(int d, const char *a, int e, const char *b)
{
        int (*next)(int, const char *, int, const char *) = (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
        int r = next(d, a, e, b);
        if (r == 0) reached(b);
        return r;
}
END
        echo /usr/local/lib/kills.so >"$1/etc/ld.so.preload"
}

kills_at()
{
        bed_in "$1" sh -c "rm -f /var/tmp/killed; echo '$2 $3 $4' >/var/tmp/kill-at"
}

kills_done()
{
        [ -e "$BED/nodes/$1/disk/var/tmp/killed" ]
}
