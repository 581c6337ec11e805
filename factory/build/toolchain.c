/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/toolchain.c - see toolchain.h. */
#include "factory/build/toolchain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/proc.h"
#include "release/host.h"

/* Letters that hexadecimal digits never form: the linker cannot share this tail with another string. */
#define RARE_TAIL "zqj"
/* Well below NAME_MAX. */
#define COMPONENT_LENGTH 120

static int load_settings(struct sf_toolchain *tc, const char *directory, struct sf_error *err)
{
        uint64_t length = 288;
        const struct {
                const char *key, *fallback;
                const char **value;
        } settings[] = {
                { "cc", "gcc", &tc->cc },         { "cxx", "g++", &tc->cxx },
                { "cflags", "-O2", &tc->cflags }, { "cxxflags", "-O2", &tc->cxxflags },
                { "ldflags", "", &tc->ldflags },
        };
        const char *const names[] = { "default", tc->name };
        int r;

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                _cleanup_free_ char *path = sf_format("%s/%s.ini", directory, names[i]);

                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
                if (sf_fs_exists(path) && (r = sf_conf_load(&tc->conf, path, err)) < 0)
                        return r;
        }
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
                const char *value = sf_conf_get(&tc->conf, "toolchain", settings[i].key);
                *settings[i].value = value ? value : settings[i].fallback;
        }
        if ((r = sf_conf_get_u64(&tc->conf, "toolchain", "placeholder_length", 2048, &length, err)) < 0)
                return r;
        if (length < SF_TOOLCHAIN_PLACEHOLDER_MIN)
                return sf_error_set(err, SF_ERR_USAGE, "toolchain %s: placeholder_length %llu is below %d", tc->name,
                                    (unsigned long long)length, SF_TOOLCHAIN_PLACEHOLDER_MIN);
        tc->placeholder_length = (size_t)length;
        return sf_conf_check_used(&tc->conf, err);
}

/* gcc says 12.2.0 only when asked for the full version; clang knows just the second option. */
static int ask_compiler(struct sf_toolchain *tc, struct sf_error *err)
{
        static const char *const questions[] = { "-dumpfullversion", "-dumpversion" };
        int r = 0;

        for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
                const char *const argv[] = { tc->cc, questions[i], NULL };
                const struct sf_proc proc = { .argv = argv, .output = &out, .errors = &errors, .timeout_seconds = 30 };

                r = sf_proc_check(&proc, err);
                if (r < 0 || out.len == 0)
                        continue;
                tc->compiler = sf_format("%s %.*s", tc->cc, (int)strcspn(sf_buffer_text(&out), "\r\n"),
                                         sf_buffer_text(&out));
                return tc->compiler ? 0 : sf_error_set(err, SF_ERR_NOMEM, "toolchain");
        }
        return r < 0 ? sf_error_prefix(err, "toolchain %s: compiler", tc->name)
                     : sf_error_set(err, SF_ERR_FAILED, "toolchain %s: %s does not tell its version", tc->name, tc->cc);
}

static int ask_libc(struct sf_toolchain *tc, struct sf_error *err)
{
        char text[64] = "unknown libc";

#ifdef _CS_GNU_LIBC_VERSION
        confstr(_CS_GNU_LIBC_VERSION, text, sizeof text);
#endif
        tc->libc = strdup(text);
        return tc->libc ? 0 : sf_error_set(err, SF_ERR_NOMEM, "toolchain");
}

int sf_toolchain_load(const char *directory, const char *name, struct sf_toolchain *ret, struct sf_error *err)
{
        _cleanup_(sf_toolchain_free) struct sf_toolchain tc = { .conf = SF_CONF_INIT, .arch = sf_host_arch() };
        int r = sf_host_toolchain(NULL, &tc.name, err);

        if (r < 0)
                return r;
        if (name && strcmp(name, tc.name) != 0)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "toolchain %s cannot be built on this host, which is %s: run on a %s machine", name,
                                    tc.name, name);
        if ((r = load_settings(&tc, directory, err)) < 0 || (r = ask_compiler(&tc, err)) < 0 ||
            (r = ask_libc(&tc, err)) < 0)
                return r;
        *ret = tc;
        tc = (struct sf_toolchain){ .conf = SF_CONF_INIT };
        return 0;
}

void sf_toolchain_free(struct sf_toolchain *toolchain)
{
        free(toolchain->name);
        free(toolchain->compiler);
        free(toolchain->libc);
        sf_conf_free(&toolchain->conf);
        *toolchain = (struct sf_toolchain){ .conf = SF_CONF_INIT };
}

/* Hexadecimal digits of SHA-256 over the toolchain's name and a counter: as long as needed, never periodic. */
static int append_digits(struct sf_buffer *out, const char *seed, size_t count, struct sf_error *err)
{
        for (unsigned block = 0; count > 0; block++) {
                _cleanup_free_ char *text = sf_format("slurm-factory placeholder %s %u", seed, block);
                struct sf_digest digest;
                char hex[SF_DIGEST_HEX + 1];
                size_t take = count < SF_DIGEST_HEX ? count : SF_DIGEST_HEX;
                int r;

                if (!text)
                        return sf_error_set(err, SF_ERR_NOMEM, "placeholder");
                sf_digest_of(text, strlen(text), &digest);
                if ((r = sf_buffer_append(out, sf_digest_hex(&digest, hex), take, err)) < 0)
                        return r;
                count -= take;
        }
        return 0;
}

int sf_toolchain_placeholder(const struct sf_toolchain *toolchain, const char *base, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer digits = SF_BUFFER_INIT;
        size_t base_length = strlen(base), length = toolchain->placeholder_length;
        char *prefix;
        int r;

        /* At least one full component of digits must remain, else the prefix would mostly be the base. */
        if (base_length + COMPONENT_LENGTH + 2 > length)
                return sf_error_set(err, SF_ERR_USAGE, "%s is too long to build below: a prefix has %zu characters",
                                    base, length);
        if ((r = append_digits(&digits, toolchain->name, length, err)) < 0)
                return r;
        if (!(prefix = malloc(length + 1)))
                return sf_error_set(err, SF_ERR_NOMEM, "placeholder");
        memcpy(prefix, base, base_length);
        for (size_t i = base_length, column = 0; i < length; i++, column++)
                prefix[i] = column % (COMPONENT_LENGTH + 1) == 0 ? '/' : (char)digits.data[i];
        memcpy(prefix + length - strlen(RARE_TAIL), RARE_TAIL, strlen(RARE_TAIL) + 1);
        *ret = prefix;
        return 0;
}
