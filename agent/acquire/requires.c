/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/requires.c - see requires.h. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "agent/acquire/requires.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/agents.h"
#include "rpath/hostlib.h"

#define LIBC      "libc.so.6"
#define LIBC_MAX  (64u << 20)
#define CPUINFO   "/proc/cpuinfo"
#define FLAGS_MAX (1u << 20)

/* x86-64 psABI, "Micro-architecture levels", with the names of /proc/cpuinfo. Each level has what is above it. */
static const struct {
        const char *level;
        const char *flags[8];
} levels[] = {
        { "x86-64-v2", { "cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3", NULL } },
        { "x86-64-v3", { "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", NULL } },
        { "x86-64-v4", { "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", NULL } },
};

static bool has_word(const char *words, const char *word)
{
        size_t length = strlen(word);

        for (const char *at = words; (at = strstr(at, word)); at += length)
                if ((at == words || strchr(" \t:", at[-1])) && (at[length] == '\0' || strchr(" \t\n", at[length])))
                        return true;
        return false;
}

bool sf_requires_cpu_has(const char *flags, const char *level)
{
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
                bool above = strncmp(level, "x86-64-v", 8) == 0 && strcmp(levels[i].level, level) > 0;

                for (const char *const *flag = levels[i].flags; *flag && !above; flag++)
                        if (strncmp(level, "x86-64-v", 8) == 0 && !has_word(flags, *flag))
                                return false;
        }
        return true;
}

/* Only this machine's own processor can be asked, whatever root the release goes into. */
static int check_cpu(const char *level, struct sf_buffer *missing, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        const char *flags;

        if (!*level || sf_fs_read(CPUINFO, FLAGS_MAX, &text, NULL) < 0 ||
            !(flags = strstr(sf_buffer_text(&text), "\nflags")))
                return 0;
        ((char *)(uintptr_t)flags)[1 + strcspn(flags + 1, "\n")] = '\0';
        if (sf_requires_cpu_has(flags + 1, level))
                return 0;
        return sf_buffer_printf(missing, err, "%sa processor of level %s", missing->len ? ", " : "", level);
}

/* glibc's versions are names in its own table: the one that is needed is there or not. */
static int check_libc(const char *path, const char *version, struct sf_buffer *missing, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer libc = SF_BUFFER_INIT;
        char name[32];
        int r;

        if (!*version)
                return 0;
        if ((r = sf_fs_read(path, LIBC_MAX, &libc, err)) < 0)
                return r;
        int length = snprintf(name, sizeof name, "GLIBC_%s", version) + 1;
        if (memmem(libc.data, libc.len, name, (size_t)length))
                return 0;
        return sf_buffer_printf(missing, err, "%sglibc %s or newer", missing->len ? ", " : "", version);
}

static int check_libraries(const struct sf_hostlib *host, const char *names, uint16_t machine,
                           struct sf_buffer *missing, struct sf_error *err)
{
        int r = 0;

        for (size_t length; *names && r == 0; names += length + (names[length] == ' ')) {
                char name[256];

                length = strcspn(names, " ");
                snprintf(name, sizeof name, "%.*s", (int)length, names);
                if (!sf_hostlib_has(host, name, machine))
                        r = sf_buffer_printf(missing, err, "%s%s", missing->len ? ", " : "", name);
        }
        return r;
}

int sf_requires_check_agent(const struct sf_index_release *release, const char *version, struct sf_error *err)
{
        const char *needed = release->requires.agent;

        if (!*needed || sf_agents_compare(version, needed) >= 0)
                return 0;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                            "release %s needs sf-node %s or newer, and this is %s: 'sf-node self-update' brings it",
                            release->name.text, needed, version);
}

int sf_requires_check(const struct sf_index_release *release, const char *root, struct sf_error *err)
{
        const struct sf_index_requires *requires = &release->requires;
        uint16_t machine = strcmp(release->name.arch, "arm64") == 0 ? EM_AARCH64 : EM_X86_64;
        _cleanup_(sf_buffer_free) struct sf_buffer missing = SF_BUFFER_INIT;
        _cleanup_free_ char *libc = NULL;
        struct sf_hostlib *host;
        int r;

        if (!*requires->libc && !*requires->cpu && !*requires->libraries)
                return 0;
        if ((r = sf_hostlib_open(root, &host, err)) < 0)
                return r;
        libc = sf_hostlib_find(host, LIBC, machine);
        if (libc && (r = check_libc(libc, requires->libc, &missing, err)) == 0)
                r = check_libraries(host, requires->libraries, machine, &missing, err);
        sf_hostlib_close(host);
        if (r == 0)
                r = check_cpu(requires->cpu, &missing, err);
        if (r < 0 || missing.len == 0)
                return r;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "release %s needs what this system does not have: %s",
                            release->name.text, sf_buffer_text(&missing));
}
