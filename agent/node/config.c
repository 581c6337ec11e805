/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/config.c - see config.h. */
#include "agent/node/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "release/host.h"
#include "release/layout.h"

#define NAME_MAX_OURS 180
#define JITTER_MAX    86400 /* seconds */

/* A directory without its trailing slashes; "/" becomes "". */
static char *trimmed(const char *path)
{
        size_t len = strlen(path);

        while (len && path[len - 1] == '/')
                len--;
        return strndup(path, len);
}

/* What a path means to whoever wrote it: where this process stands. */
static char *resolved(const char *path)
{
        _cleanup_free_ char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
        _cleanup_free_ char *joined = *path == '/' ? strdup(path) : cwd ? sf_fs_join(cwd, path) : NULL;
        char *out = joined;

        if (!joined || *path == '/')
                return sf_steal_pointer(joined);
        /* "." and ".." go by name, as a shell's cd does it. */
        for (char *c = joined; *c;) {
                c += strspn(c, "/");
                size_t len = strcspn(c, "/");
                if (len == 2 && strncmp(c, "..", 2) == 0) {
                        while (out > joined && *--out != '/')
                                ;
                } else if (len && !(len == 1 && *c == '.')) {
                        *out++ = '/';
                        memmove(out, c, len);
                        out += len;
                }
                c += len;
        }
        *out = '\0';
        return *joined ? sf_steal_pointer(joined) : strdup("/");
}

/* "opt-b" for /opt/b: letters, digits and dots as they are, '/' as '-', everything else as _XX. */
static char *escaped(const char *prefix)
{
        char *out = malloc(strlen(prefix) * 3 + 1), *o = out;

        for (const char *c = prefix + strspn(prefix, "/"); out && *c; c++) {
                if (isalnum((unsigned char)*c) || *c == '.')
                        *o++ = *c;
                else if (*c == '/')
                        *o++ = '-';
                else
                        o += sprintf(o, "_%02x", (unsigned char)*c);
        }
        if (!out)
                return NULL;
        *o = '\0';
        if (o - out <= NAME_MAX_OURS)
                return out;
        /* Too long for a file name: its start, and a digest of all. */
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];
        sf_digest_of(prefix, strlen(prefix), &digest);
        snprintf(out + NAME_MAX_OURS - 33, 34, "-%.32s", sf_digest_hex(&digest, hex));
        return out;
}

char *sf_config_unit_name(const struct sf_config *config, const char *stem)
{
        _cleanup_free_ char *name = escaped(config->prefix);

        if (strcmp(config->prefix, SF_DEFAULT_PREFIX) == 0)
                return sf_format("%s.service", stem);
        return name ? sf_format("%s-%s.service", stem, name) : NULL;
}

static int load_files(const struct sf_command_line *line, struct sf_config *c, struct sf_error *err)
{
        const char *file = line ? sf_option_get(line, "config") : NULL;

        if (file)
                return (c->file = resolved(file)) ? sf_conf_load(&c->conf, file, err)
                                                  : sf_error_errno(err, "cannot tell the working directory");
        int r = sf_conf_load(&c->conf, SF_CONFIG_FILE, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                r = 0;
        }
        return r < 0 ? r : sf_conf_load_dir(&c->conf, SF_CONFIG_DIR, err);
}

static int read_numbers(struct sf_config *c, struct sf_error *err)
{
        int r = sf_conf_get_size(&c->conf, "repository", "rate_limit", &c->rate_limit, err);

        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "repository", "stall_timeout", 86400, &c->stall_timeout, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "repository", "retries", 100, &c->retries, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "repository", "metadata_grace", 366 * 86400, &c->metadata_grace, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "repository", "clock_wait", 3600, &c->clock_wait, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "repository", "jitter", JITTER_MAX, &c->jitter, err);
        if (r == 0)
                r = sf_conf_get_size(&c->conf, "upgrade", "delta_memory", &c->delta_memory, err);
        return r;
}

static int read_agent(struct sf_config *c, struct sf_error *err)
{
        const char *text = sf_conf_get(&c->conf, "upgrade", "agent");

        c->follow_agent = text && strcmp(text, "follow") == 0;
        return !text || c->follow_agent || strcmp(text, "stay") == 0
                       ? 0
                       : sf_error_set(err, SF_ERR_USAGE, "[upgrade] agent = %s: follow or stay", text);
}

/* A directory that is there becomes the file:// URL it is meant as; everything else stays as it is. */
static int url_of(struct sf_config *c, const char *text, const char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer url = SF_BUFFER_INIT;
        _cleanup_free_ char *path = strstr(text, "://") || !sf_fs_exists(text) ? NULL : resolved(text);
        int r = path ? sf_buffer_puts(&url, "file://", err) : 0;

        *ret = text;
        if (!path)
                return 0;
        for (const char *p = path; r == 0 && *p; p++)
                r = isalnum((unsigned char)*p) || strchr("/-._~+", *p)
                            ? sf_buffer_append(&url, p, 1, err)
                            : sf_buffer_printf(&url, err, "%%%02X", (unsigned char)*p);
        if (r == 0)
                r = sf_words_append(&c->made, sf_buffer_text(&url), err);
        if (r == 0)
                *ret = c->made.items[c->made.count - 1];
        return r;
}

/* --repo replaces what the files say. */
static int read_repositories(const struct sf_command_line *line, struct sf_config *c, struct sf_error *err)
{
        size_t room = c->conf.count + (line ? line->value_count : 0) + 1, cursor = 0;
        const char *url;

        c->repositories = calloc(room, sizeof *c->repositories);
        if (!c->repositories)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        while (line && (url = sf_option_next(line, "repo", &cursor))) {
                int r = url_of(c, url, &c->repositories[c->repository_count], err);
                if (r < 0)
                        return r;
                c->repository_count++;
        }
        bool given = c->repository_count > 0;
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(&c->conf, "repository", "url", e));)
                if (!given)
                        c->repositories[c->repository_count++] = e->value;
        for (size_t i = 0; i < c->repository_count; i++) {
                url = c->repositories[i];
                if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0 &&
                    strncmp(url, "file:///", 8) != 0)
                        return sf_error_set(err, SF_ERR_USAGE,
                                            "repository '%s' is not an http://, https:// or file:/// URL", url);
        }
        return 0;
}

static int read_size_option(const struct sf_command_line *line, const char *name, uint64_t *value, struct sf_error *err)
{
        const char *text = line ? sf_option_get(line, name) : NULL;

        if (text && !sf_conf_parse_size(text, value))
                return sf_error_set(err, SF_ERR_USAGE, "--%s %s: not a number of bytes or seconds", name, text);
        return 0;
}

static int read_options(const struct sf_command_line *line, struct sf_config *c, struct sf_error *err)
{
        if (!line)
                return 0;
        c->json = sf_option_given(line, "json");
        c->dry_run = sf_option_given(line, "dry-run");
        c->force = sf_option_given(line, "force");
        c->no_restart = sf_option_given(line, "no-restart");
        c->allow_downgrade = sf_option_given(line, "allow-downgrade");
        c->restore_state = sf_option_given(line, "restore-state");
        c->ignore_hold = sf_option_given(line, "ignore-hold");
        c->ignore_window = sf_option_given(line, "ignore-window");
        c->ignore_waves = sf_option_given(line, "ignore-waves");
        if (sf_option_given(line, "node-seed"))
                c->node_seed = sf_option_get(line, "node-seed");
        c->fast = sf_option_given(line, "fast");
        c->drain = sf_option_given(line, "drain");
        c->when_idle = sf_option_given(line, "when-idle");
        int r = read_size_option(line, "limit-rate", &c->rate_limit, err);
        if (r == 0)
                r = read_size_option(line, "jitter", &c->jitter, err);
        if (r == 0)
                r = read_size_option(line, "drain-timeout", &c->drain_timeout, err);
        if (r == 0 && c->jitter > JITTER_MAX)
                r = sf_error_set(err, SF_ERR_USAGE, "--jitter: at most %d seconds", JITTER_MAX);
        return r;
}

/* The option, else the file's value, else the default. */
static const char *choose(const struct sf_command_line *line, const char *option, struct sf_conf *conf, const char *key,
                          const char *fallback)
{
        const char *from_file = sf_conf_get(conf, "node", key);
        const char *given = line ? sf_option_get(line, option) : NULL;

        return given ? given : from_file ? from_file : fallback;
}

static int read_places(const struct sf_command_line *line, struct sf_config *c, struct sf_error *err)
{
        const char *root = line ? sf_option_get(line, "root") : NULL;
        const char *prefix = choose(line, "prefix", &c->conf, "prefix", SF_DEFAULT_PREFIX);

        _cleanup_free_ char *full_root = root && *root ? resolved(root) : strdup("");
        bool given = line && sf_option_get(line, "prefix");
        _cleanup_free_ char *full_prefix = given ? resolved(prefix) : strdup(prefix);
        if (!full_root || !full_prefix)
                return sf_error_errno(err, "cannot tell the working directory");
        c->root = trimmed(full_root);
        c->prefix = trimmed(full_prefix);
        c->shared = c->root ? sf_format("%s%s", c->root, SF_STATE_DIR) : NULL;
        _cleanup_free_ char *name = c->prefix ? escaped(c->prefix) : NULL;
        if (!c->root || !c->prefix || !c->shared || !name)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        c->state = strcmp(c->prefix, SF_DEFAULT_PREFIX) == 0 ? strdup(c->shared)
                                                             : sf_format("%s/prefix/%s", c->shared, name);
        int r = c->state ? sf_config_check_places(c, err)
                         : sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        return r < 0 ? r : sf_config_place_record(c, err);
}

static int read_host(const struct sf_command_line *line, struct sf_config *c, struct sf_error *err)
{
        const char *toolchain = choose(line, "toolchain", &c->conf, "toolchain", NULL);
        const char *arch = choose(line, "arch", &c->conf, "arch", sf_host_arch());

        c->arch = strdup(arch);
        if (!c->arch)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        if (toolchain) {
                c->toolchain = strdup(toolchain);
                return c->toolchain ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        }
        int r = sf_host_toolchain(c->root, &c->toolchain, err);
        /* A scratch root without os-release is a node like this one. */
        if (r == SF_ERR_NOT_FOUND && *c->root)
                r = sf_host_toolchain(NULL, &c->toolchain, err);
        if (r < 0)
                return sf_error_prefix(err, "cannot tell this node's toolchain (--toolchain names it)");
        return 0;
}

static int load(const struct sf_command_line *line, bool files, struct sf_config *ret, struct sf_error *err)
{
        struct sf_config c = {
                .conf = SF_CONF_INIT,
                .stall_timeout = 30,
                .retries = 4,
                .clock_wait = 30,
                .delta_memory = 512u << 20,
                .quiet_timeout = 60,
                .settle_ms = 1000,
                .restart_timeout = 60,
                .hook_timeout = 60,
                .old_steps_wait = 3600,
        };
        int r = files ? load_files(line, &c, err) : 0;

        if (r == 0)
                r = read_places(line, &c, err);
        if (r == 0)
                r = read_host(line, &c, err);
        if (r == 0) {
                c.trusted_root = sf_conf_get(&c.conf, "repository", "root");
                if (!c.trusted_root && sf_fs_exists(SF_CONFIG_TRUSTED_ROOT))
                        c.trusted_root = SF_CONFIG_TRUSTED_ROOT;
                c.ca_bundle = sf_conf_get(&c.conf, "repository", "ca_bundle");
                r = read_numbers(&c, err);
        }
        if (r == 0)
                r = read_repositories(line, &c, err);
        if (r == 0)
                r = read_agent(&c, err);
        if (r == 0)
                r = sf_policy_read(&c.conf, &c.policy, err);
        c.node_seed = sf_conf_get(&c.conf, "policy", "node_seed");
        if (r == 0)
                r = sf_config_read_service(&c, err);
        if (r == 0)
                r = read_options(line, &c, err);
        if (r == 0)
                r = sf_config_read_init(line, &c, err);
        if (r == 0)
                r = sf_config_read_access(&c, err);
        if (r == 0)
                r = sf_conf_check_used(&c.conf, err);
        if (r < 0) {
                sf_config_free(&c);
                /* A file that cannot be read is a configuration error to the operator. */
                return err ? err->code = SF_ERR_USAGE : SF_ERR_USAGE;
        }
        *ret = c;
        return 0;
}

int sf_config_load(const struct sf_command_line *line, struct sf_config *ret, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = load(line, true, ret, &why);

        /* A half-made switch does not wait for a mistake in a file: where it was and led to is in its record. */
        if (r < 0 && line && line->verb && strcmp(line->verb->name, "recover") == 0) {
                sf_log_warning("%s: recovering without the configuration files", why.text);
                sf_error_clear(&why);
                r = load(line, false, ret, &why);
        }
        return r < 0 ? sf_error_set(err, r, "%s", why.text) : 0;
}

int sf_config_load_file(const struct sf_config *like, const char *file, struct sf_config *ret, struct sf_error *err)
{
        static const struct sf_option options[] = { { .name = "config" },
                                                    { .name = "root" },
                                                    { .name = "prefix" },
                                                    { .name = "toolchain" },
                                                    { .name = "arch" } };
        struct sf_option_value values[] = { { &options[0], file },
                                            { &options[1], like->root },
                                            { &options[2], like->prefix },
                                            { &options[3], like->toolchain },
                                            { &options[4], like->arch } };
        const struct sf_command_line line = { .values = values, .value_count = sizeof values / sizeof *values };
        int r = load(&line, true, ret, err);

        if (r == 0)
                ret->no_restart = like->no_restart;
        return r;
}

void sf_config_free(struct sf_config *config)
{
        free(config->root);
        free(config->prefix);
        free(config->toolchain);
        free(config->arch);
        free(config->shared);
        free(config->file);
        free(config->state);
        free(config->record);
        free(config->repositories);
        sf_words_free(&config->made);
        free(config->units);
        free(config->credentials);
        free(config->found_slurm_conf);
        sf_policy_free(&config->policy);
        sf_conf_free(&config->conf);
        *config = (struct sf_config){ 0 };
}
