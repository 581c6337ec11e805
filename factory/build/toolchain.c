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
#include "base/words.h"
#include "factory/build/emulator.h"
#include "release/host.h"

/* Letters that hexadecimal digits never form: the linker cannot share this tail with another string. */
#define RARE_TAIL "zqj"
/* Well below NAME_MAX. */
#define COMPONENT_LENGTH 120

static int load_file(const char *directory, const char *name, struct sf_conf *conf, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/%s.ini", directory, name);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
        return sf_fs_exists(path) ? sf_conf_load(conf, path, err) : 0;
}

int sf_toolchain_load_conf(const char *directory, const char *name, struct sf_conf *conf, struct sf_error *err)
{
        _cleanup_(sf_conf_free) struct sf_conf own = SF_CONF_INIT;
        const char *family;
        int r;

        if (strchr(name, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "\"%s\" is not the name of a toolchain", name);
        if ((r = load_file(directory, "default", conf, err)) < 0 || (r = load_file(directory, name, &own, err)) < 0)
                return r;
        family = sf_conf_get(&own, "toolchain", "like");
        if (family && strchr(family, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "toolchain %s: like = %s is not a name", name, family);
        if (family && (r = load_file(directory, family, conf, err)) < 0)
                return r;
        return load_file(directory, name, conf, err);
}

static bool words_hold(const struct sf_words *words, const char *word)
{
        for (size_t i = 0; i < words->count; i++)
                if (strcmp(words->items[i], word) == 0)
                        return true;
        return false;
}

/* The libraries of the operating system, each section once. */
static int read_os(struct sf_toolchain *tc, struct sf_error *err)
{
        for (size_t i = 0; i < tc->conf.count; i++) {
                const char *section = tc->conf.entries[i].section, *library;
                struct sf_toolchain_os *grown, os = { .name = section + strlen("os ") };
                bool known = strncmp(section, "os ", strlen("os ")) != 0;

                for (size_t j = 0; j < tc->os_count && !known; j++)
                        known = strcmp(tc->os[j].name, os.name) == 0;
                if (known)
                        continue;
                os.package = sf_conf_get(&tc->conf, section, "package");
                library = sf_conf_get(&tc->conf, section, "library");
                os.library = library ? library : "";
                if (!os.package)
                        return sf_error_set(err, SF_ERR_USAGE, "%s: [%s] has no package", tc->conf.entries[i].file,
                                            section);
                if (!(grown = realloc(tc->os, (tc->os_count + 1) * sizeof *grown)))
                        return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
                tc->os = grown;
                tc->os[tc->os_count++] = os;
        }
        return 0;
}

static int read_settings(struct sf_toolchain *tc, struct sf_error *err)
{
        uint64_t length = 288;
        const struct {
                const char *section, *key, *fallback;
                const char **value;
        } settings[] = {
                { "toolchain", "cc", "gcc", &tc->cc },
                { "toolchain", "cxx", "g++", &tc->cxx },
                { "toolchain", "cflags", "-O2", &tc->cflags },
                { "toolchain", "cxxflags", "-O2", &tc->cxxflags },
                { "toolchain", "ldflags", "", &tc->ldflags },
                { "toolchain", "cpu", strcmp(tc->arch, "arm64") == 0 ? "armv8-a" : "x86-64", &tc->cpu },
                { "root", "manager", "", &tc->manager },
        };
        static const char *const elsewhere[][2] = { { "toolchain", "like" }, { "root", "image" } };
        int r;

        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
                const char *value = sf_conf_get(&tc->conf, settings[i].section, settings[i].key);
                *settings[i].value = value ? value : settings[i].fallback;
        }
        /* A level of x86-64 says nothing of another architecture. */
        if (strcmp(tc->arch, "amd64") != 0 && strncmp(tc->cpu, "x86-64", strlen("x86-64")) == 0)
                tc->cpu = strcmp(tc->arch, "arm64") == 0 ? "armv8-a" : "";
        for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
                sf_conf_get(&tc->conf, elsewhere[i][0], elsewhere[i][1]);
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(&tc->conf, "root", "packages", e));)
                if ((r = sf_words_split(&tc->missing, e->value, err)) < 0)
                        return sf_error_prefix(err, "%s:%d", e->file, e->line);
        if ((r = sf_conf_get_u64(&tc->conf, "toolchain", "placeholder_length", 2048, &length, err)) < 0)
                return r;
        if (length < SF_TOOLCHAIN_PLACEHOLDER_MIN)
                return sf_error_set(err, SF_ERR_USAGE, "toolchain %s: placeholder_length %llu is below %d", tc->name,
                                    (unsigned long long)length, SF_TOOLCHAIN_PLACEHOLDER_MIN);
        tc->placeholder_length = (size_t)length;
        return read_os(tc, err);
}

/* --- asking the system ----------------------------------------------------------------------------------------- */

/* The first line that a program of the root prints. *ret is owned; NULL where it prints nothing. */
static int ask(const struct sf_toolchain *tc, const char *const *argv, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        const struct sf_proc proc = {
                .argv = argv, .root = tc->root, .output = &out, .errors = &errors, .timeout_seconds = 60
        };
        int r = sf_proc_check(&proc, err);

        *ret = NULL;
        if (r < 0 || out.len == 0)
                return r;
        *ret = sf_format("%.*s", (int)strcspn(sf_buffer_text(&out), "\r\n"), sf_buffer_text(&out));
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "toolchain");
}

/* gcc says 12.2.0 only when asked for the full version; clang knows just the second option. */
static int ask_compiler(struct sf_toolchain *tc, struct sf_error *err)
{
        static const char *const questions[] = { "-dumpfullversion", "-dumpversion" };
        _cleanup_(sf_buffer_free) struct sf_buffer advice = SF_BUFFER_INIT;
        int r = 0;

        for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
                _cleanup_free_ char *version = NULL;

                r = ask(tc, (const char *const[]){ tc->cc, questions[i], NULL }, &version, err);
                if (r < 0 || !version)
                        continue;
                tc->compiler = sf_format("%s %s", tc->cc, version);
                return tc->compiler ? 0 : sf_error_set(err, SF_ERR_NOMEM, "toolchain");
        }
        sf_toolchain_advise(tc, NULL, &advice, NULL);
        return r < 0 ? sf_error_prefix(err, "toolchain %s%s: compiler", tc->name, sf_buffer_text(&advice))
                     : sf_error_set(err, SF_ERR_FAILED, "toolchain %s: %s does not tell its version", tc->name, tc->cc);
}

/* "glibc 2.36", from the root's own getconf. */
static int ask_libc(struct sf_toolchain *tc, struct sf_error *err)
{
        char text[64] = "unknown libc";
        int r = ask(tc, (const char *const[]){ "getconf", "GNU_LIBC_VERSION", NULL }, &tc->libc, err);

        if (r == 0 && tc->libc)
                return 0;
        if (*tc->root)
                return r < 0 ? sf_error_prefix(err, "toolchain %s: C library", tc->name)
                             : sf_error_set(err, SF_ERR_FAILED, "toolchain %s: unknown C library", tc->name);
        sf_error_clear(err);
#ifdef _CS_GNU_LIBC_VERSION
        confstr(_CS_GNU_LIBC_VERSION, text, sizeof text);
#endif
        tc->libc = strdup(text);
        return tc->libc ? 0 : sf_error_set(err, SF_ERR_NOMEM, "toolchain");
}

/* Takes "NAME VERSION" lines. dpkg names a package with its architecture ("libssl-dev:amd64") where there may be
 * several. */
static int note_versions(struct sf_toolchain *tc, char *text, struct sf_error *err)
{
        char *state = NULL;

        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                char *space = strchr(line, ' ');

                if (!space || !space[1])
                        continue;
                *space = '\0';
                line[strcspn(line, ":")] = '\0';
                sf_words_drop(&tc->missing, line);
                for (size_t i = 0; i < tc->os_count; i++) {
                        if (strcmp(tc->os[i].package, line) != 0 || tc->os[i].version)
                                continue;
                        if (!(tc->os[i].version = strdup(space + 1)))
                                return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
                }
        }
        return 0;
}

static int ask_packages(struct sf_toolchain *tc, struct sf_error *err)
{
        static const char *const apt[] = { "dpkg-query", "-W", "-f", "${Package} ${Version}\n" };
        static const char *const dnf[] = { "rpm", "-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n" };
        const char *const *question = strcmp(tc->manager, "dnf") == 0 ? dnf : apt;
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        int r = 0;

        if (tc->missing.count == 0 && tc->os_count == 0)
                return 0;
        for (size_t i = 0; i < sizeof apt / sizeof *apt && r == 0; i++)
                r = sf_words_append(&argv, question[i], err);
        for (size_t i = 0; i < tc->missing.count && r == 0; i++)
                r = sf_words_append(&argv, tc->missing.items[i], err);
        for (size_t i = 0; i < tc->os_count && r == 0; i++)
                if (!words_hold(&argv, tc->os[i].package))
                        r = sf_words_append(&argv, tc->os[i].package, err);
        if (r < 0)
                return r;
        const struct sf_proc proc = {
                .argv = sf_words_argv(&argv), .root = tc->root, .output = &out, .errors = &errors, .timeout_seconds = 60
        };
        /* The exit status only says that one of them is not installed. */
        r = sf_proc_run(&proc, err);
        return r < 0 ? sf_error_prefix(err, "toolchain %s", tc->name)
                     : note_versions(tc, (char *)(uintptr_t)sf_buffer_text(&out), err);
}

/* True where `expected` is all of `is`, or its beginning up to a dot. */
static bool meets(const char *expected, const char *is)
{
        size_t length = strlen(expected);

        return strncmp(expected, is, length) == 0 && (is[length] == '\0' || is[length] == '.');
}

static int check_expected(struct sf_toolchain *tc, struct sf_error *err)
{
        const struct {
                const char *key, *is;
        } facts[] = { { "compiler", tc->compiler }, { "libc", tc->libc } };

        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
                const char *expected = sf_conf_get(&tc->conf, "expect", facts[i].key);

                if (expected && !meets(expected, facts[i].is))
                        return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                            "toolchain %s expects %s, but %s has %s: this is not what the name stands "
                                            "for",
                                            tc->name, expected, *tc->root ? tc->root : "this machine", facts[i].is);
        }
        return 0;
}

static int another_system(const struct sf_toolchain *tc, const char *wanted, struct sf_error *err)
{
        if (*tc->root)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "the root %s holds %s, but toolchain %s is built in %s: make the root again "
                                    "(slurm-factory root %s --from ...)",
                                    tc->root, tc->name, wanted, wanted, wanted);
        return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                            "toolchain %s cannot be built on this host, which is %s: run on a %s machine, or prepare a "
                            "root for it (slurm-factory root %s)",
                            wanted, tc->name, wanted, wanted);
}

int sf_toolchain_load(const char *directory, const char *name, const struct sf_toolchain_place *place,
                      struct sf_toolchain *ret, struct sf_error *err)
{
        const char *root = place && place->root ? place->root : "";
        _cleanup_(sf_toolchain_free) struct sf_toolchain tc = {
                .conf = SF_CONF_INIT, .arch = place && place->arch ? place->arch : sf_host_arch(), .root = root
        };
        int r = sf_host_toolchain(root, &tc.name, err);

        if (r < 0)
                return r;
        if (name && strcmp(name, tc.name) != 0)
                return another_system(&tc, name, err);
        if ((r = sf_emulator_check_root(root, tc.arch, err)) < 0 ||
            (r = sf_toolchain_load_conf(directory, tc.name, &tc.conf, err)) < 0 || (r = read_settings(&tc, err)) < 0 ||
            (r = ask_packages(&tc, err)) < 0 || (r = ask_compiler(&tc, err)) < 0 || (r = ask_libc(&tc, err)) < 0 ||
            (r = check_expected(&tc, err)) < 0 || (r = sf_conf_check_used(&tc.conf, err)) < 0)
                return r;
        *ret = tc;
        tc = (struct sf_toolchain){ .conf = SF_CONF_INIT };
        return 0;
}

const char *sf_toolchain_installer(const char *manager)
{
        static const char *const commands[][2] = {
                { "apt", "apt-get install -y --no-install-recommends" },
                { "dnf", "dnf install -y --setopt=install_weak_deps=False" },
        };

        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
                if (strcmp(manager, commands[i][0]) == 0)
                        return commands[i][1];
        return NULL;
}

int sf_toolchain_advise(const struct sf_toolchain *tc, const char *also, struct sf_buffer *ret, struct sf_error *err)
{
        const char *installer = sf_toolchain_installer(tc->manager);
        int r = 0;

        if (also && words_hold(&tc->missing, also))
                also = NULL;
        if (tc->missing.count == 0 && !also)
                return 0;
        if (*tc->root)
                r = sf_buffer_printf(ret, err,
                                     " (the root %s lacks packages; slurm-factory root %s --from ... makes it "
                                     "again:",
                                     tc->root, tc->name);
        else
                r = sf_buffer_printf(ret, err, " (this machine lacks packages; as root: %s",
                                     installer ? installer : "install");
        for (size_t i = 0; i < tc->missing.count && r == 0; i++)
                r = sf_buffer_printf(ret, err, " %s", tc->missing.items[i]);
        if (r == 0 && also)
                r = sf_buffer_printf(ret, err, *tc->root ? " %s, which [root] packages does not name yet" : " %s",
                                     also);
        return r == 0 ? sf_buffer_puts(ret, ")", err) : r;
}

static int not_installed(const struct sf_toolchain *tc, const struct sf_toolchain_os *os, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer advice = SF_BUFFER_INIT;

        sf_toolchain_advise(tc, os->package, &advice, NULL);
        return sf_error_set(err, SF_ERR_NOT_FOUND, "toolchain %s: package %s (%s) is not installed%s", tc->name,
                            os->package, os->name, sf_buffer_text(&advice));
}

int sf_toolchain_os(const struct sf_toolchain *toolchain, const char *name, const struct sf_toolchain_os **ret,
                    struct sf_error *err)
{
        for (size_t i = 0; i < toolchain->os_count; i++) {
                const struct sf_toolchain_os *os = &toolchain->os[i];

                if (strcmp(os->name, name) != 0)
                        continue;
                if (!os->version)
                        return not_installed(toolchain, os, err);
                *ret = os;
                return 0;
        }
        return sf_error_set(err, SF_ERR_USAGE,
                            "toolchain %s does not say which package is \"%s\": add [os %s] to %s.ini", toolchain->name,
                            name, name, toolchain->name);
}

void sf_toolchain_free(struct sf_toolchain *toolchain)
{
        for (size_t i = 0; i < toolchain->os_count; i++)
                free(toolchain->os[i].version);
        free(toolchain->os);
        sf_words_free(&toolchain->missing);
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
