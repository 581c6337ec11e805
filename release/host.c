/* SPDX-License-Identifier: Apache-2.0 */
/* release/host.c - see host.h. os-release is a list of shell assignments; only the words needed are read. */
#include "release/host.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define OS_RELEASE_MAX (64u << 10)

/* The value of a key without its quotes, "" where it is missing. Escapes inside quotes never occur in these. */
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

/* What os-release says, without what a release name may not hold. */
struct words {
        char *ubuntu, *debian, *codename, *id, *like, *version, *platform;
};

static void words_free(struct words *w)
{
        free(w->ubuntu);
        free(w->debian);
        free(w->codename);
        free(w->id);
        free(w->like);
        free(w->version);
        free(w->platform);
}

static int read_words(const char *text, struct words *w, struct sf_error *err)
{
        const struct {
                const char *key;
                char **word;
        } keys[] = {
                { "UBUNTU_CODENAME", &w->ubuntu },
                { "DEBIAN_CODENAME", &w->debian },
                { "VERSION_CODENAME", &w->codename },
                { "ID", &w->id },
                { "ID_LIKE", &w->like },
                { "VERSION_ID", &w->version },
                { "PLATFORM_ID", &w->platform },
        };

        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
                int r = get_word(text, keys[i].key, keys[i].word, err);
                if (r < 0)
                        return r;
                if (keys[i].word != &w->like && keys[i].word != &w->platform)
                        keep_plain(*keys[i].word);
        }
        w->version[strcspn(w->version, ".")] = '\0';
        return 0;
}

static bool is_like(const char *list, const char *word)
{
        for (size_t len; *list; list += len + (list[len] == ' ')) {
                len = strcspn(list, " ");
                if (len == strlen(word) && strncmp(list, word, len) == 0)
                        return true;
        }
        return false;
}

/* The major version of the Enterprise Linux that this is, or is built like; "" where it is none. PLATFORM_ID is
 * "platform:el9" on RHEL 8 and later and on everything that is rebuilt from it. */
static void find_el(const struct words *w, char ret[4])
{
        const char *platform = strncmp(w->platform, "platform:el", 11) == 0 ? w->platform + 11 : NULL;
        bool is_el = strcmp(w->id, "rhel") == 0 || strcmp(w->id, "centos") == 0 || strcmp(w->id, "rocky") == 0 ||
                     is_like(w->like, "rhel") || is_like(w->like, "centos");
        const char *major = platform ? platform : is_el && !*w->platform ? w->version : "";

        *ret = '\0';
        if (strspn(major, "0123456789") == strlen(major) && strlen(major) < 4 && atoi(major) >= 8)
                strcpy(ret, major);
}

/* Derivatives first: what they are built from decides which libraries they have. */
static char *toolchain_of(const struct words *w)
{
        char el[4];

        if (*w->ubuntu)
                return strdup(w->ubuntu);
        if (*w->debian)
                return strdup(w->debian);
        find_el(w, el);
        if (*el)
                return sf_format("rockylinux%s", el);
        if (*w->codename)
                return strdup(w->codename);
        return *w->id && *w->version ? sf_format("%s%s", w->id, w->version) : strdup("");
}

int sf_host_toolchain_from_text(const char *name, const char *text, char **ret, struct sf_error *err)
{
        _cleanup_(words_free) struct words words = { 0 };
        _cleanup_free_ char *toolchain = NULL;
        int r = read_words(text, &words, err);

        if (r < 0)
                return r;
        toolchain = toolchain_of(&words);
        if (!toolchain)
                return sf_error_set(err, SF_ERR_NOMEM, "%s", name);
        if (!*toolchain)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: neither VERSION_CODENAME nor ID with VERSION_ID",
                                    name);
        *ret = sf_steal_pointer(toolchain);
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
