/* SPDX-License-Identifier: Apache-2.0 */
/* release/host.c - see host.h. os-release is a list of shell assignments; only the three words needed are read. */
#include "release/host.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define OS_RELEASE_MAX (64u << 10)

/* The value of a key without its quotes, "" where it is missing. Escapes inside quotes never occur in these three. */
static int get_word(const char *text, const char *key, char **ret, struct sf_error *err)
{
        size_t key_length = strlen(key);
        const char *start = "", *end = start;
        char *value;

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
                if (strncmp(line, key, key_length) == 0 && line[key_length] == '=') {
                        start = line + key_length + 1;
                        end = start + strcspn(start, "\n");
                }
        while (end > start && isspace((unsigned char)end[-1]))
                end--;
        if (end - start >= 2 && (*start == '"' || *start == '\'') && end[-1] == *start)
                start++, end--;
        value = strndup(start, (size_t)(end - start));
        if (!value)
                return sf_error_set(err, SF_ERR_NOMEM, "os-release");
        *ret = value;
        return 0;
}

/* What a release name may hold (release/version.h). */
static void keep_plain(char *word)
{
        char *out = word;

        for (const char *in = word; *in; in++) {
                int c = tolower((unsigned char)*in);
                if (strchr("abcdefghijklmnopqrstuvwxyz0123456789._+", c))
                        *out++ = (char)c;
        }
        *out = '\0';
}

int sf_host_toolchain_from_text(const char *name, const char *text, char **ret, struct sf_error *err)
{
        _cleanup_free_ char *codename = NULL, *id = NULL, *version = NULL;
        char *toolchain;
        int r;

        if ((r = get_word(text, "VERSION_CODENAME", &codename, err)) < 0 || (r = get_word(text, "ID", &id, err)) < 0 ||
            (r = get_word(text, "VERSION_ID", &version, err)) < 0)
                return r;
        keep_plain(codename);
        keep_plain(id);
        version[strcspn(version, ".")] = '\0';
        keep_plain(version);
        if (*codename)
                toolchain = sf_format("%s", codename);
        else if (*id && *version)
                toolchain = sf_format("%s%s", strcmp(id, "rocky") == 0 ? "rockylinux" : id, version);
        else
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: neither VERSION_CODENAME nor ID with VERSION_ID",
                                    name);
        if (!toolchain)
                return sf_error_set(err, SF_ERR_NOMEM, "%s", name);
        *ret = toolchain;
        return 0;
}

int sf_host_toolchain(const char *root, char **ret, struct sf_error *err)
{
        static const char *const places[] = { "etc/os-release", "usr/lib/os-release" };
        int r = SF_ERR_NOT_FOUND;

        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                _cleanup_free_ char *path = sf_fs_join(root && *root ? root : "/", places[i]);

                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "os-release");
                r = sf_fs_read(path, OS_RELEASE_MAX, &text, err);
                if (r == 0)
                        return sf_host_toolchain_from_text(path, sf_buffer_text(&text), ret, err);
                if (r != SF_ERR_NOT_FOUND)
                        return r;
        }
        return r;
}

const char *sf_host_arch(void)
{
#if defined(__x86_64__)
        return "amd64";
#elif defined(__aarch64__)
        return "arm64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
        return "ppc64el";
#elif defined(__riscv) && __riscv_xlen == 64
        return "riscv64";
#else
        return "unknown";
#endif
}
