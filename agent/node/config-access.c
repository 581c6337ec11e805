/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/config-access.c - why: a repository may want to know who asks, and lie behind a proxy. What is secret
 * is read once, from the configuration or from files of its own, and is in no message. */
#include "agent/node/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#define SECTION    "credentials "
#define SECRET_MAX (64u << 10)

/* A secret that others can read is none. Said once a file. */
static void warn_of_readers(const char *file)
{
        struct stat st;

        if (stat(file, &st) == 0 && (st.st_mode & 0044) != 0)
                sf_log_warning("%s holds a password or token and can be read by %s: chmod 600 %s", file,
                               st.st_mode & 0004 ? "everybody" : "its group", file);
}

/* What cannot be read is for whoever asks the repository: everybody may see the status, and rollback needs no secret.
 */
static int do_without(struct sf_config *c, const char *why, const char **ret, struct sf_error *err)
{
        *ret = "";
        if (c->no_access)
                return 0;
        int r = sf_words_append(&c->made, why, err);
        if (r == 0)
                c->no_access = c->made.items[c->made.count - 1];
        return r;
}

/* The first line of a file. */
static int read_secret_file(struct sf_config *c, const char *file, const char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_fs_read(file, SECRET_MAX, &text, &why);

        if (r < 0)
                return do_without(c, why.text, ret, err);
        r = sf_words_printf(&c->made, err, "%.*s", (int)strcspn(sf_buffer_text(&text), "\r\n"), sf_buffer_text(&text));
        if (r < 0)
                return r;
        memset(text.data, 0, text.len);
        warn_of_readers(file);
        *ret = c->made.items[c->made.count - 1];
        if (**ret)
                return 0;
        sf_error_set(&why, SF_ERR_USAGE, "%s: its first line is empty", file);
        return do_without(c, why.text, ret, err);
}

/* `key` in the file itself, or `key`_file. */
static int read_secret(struct sf_config *c, const char *section, const char *key, const char **ret,
                       struct sf_error *err)
{
        _cleanup_free_ char *file_key = sf_format("%s_file", key);
        const struct sf_conf_entry *inside = NULL;
        const char *file = file_key ? sf_conf_get(&c->conf, section, file_key) : NULL;

        if (!file_key)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(&c->conf, section, key, e));)
                inside = e;
        if (inside && file)
                return sf_error_set(err, SF_ERR_USAGE, "%s:%d: [%s] has both %s and %s", inside->file, inside->line,
                                    section, key, file_key);
        if (file)
                return read_secret_file(c, file, ret, err);
        if (inside) {
                warn_of_readers(inside->file);
                *ret = inside->value;
        }
        return 0;
}

static int check_credentials(const char *section, const struct sf_credentials *one, struct sf_error *err)
{
        if (!*one->host || strpbrk(one->host, "/@ "))
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: a host, or host:port, is expected behind \"credentials\"",
                                    section);
        if (one->token && one->user)
                return sf_error_set(err, SF_ERR_USAGE, "[%s] has both user and token", section);
        if (!one->user != !one->password)
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: user and password belong together", section);
        if (one->key && !one->certificate)
                return sf_error_set(err, SF_ERR_USAGE, "[%s] has client_key without client_certificate", section);
        if (!one->token && !one->user && !one->certificate)
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: none of user, token, client_certificate", section);
        return 0;
}

static int read_credentials(struct sf_config *c, const char *section, struct sf_credentials *one, struct sf_error *err)
{
        int r;

        *one = (struct sf_credentials){ .host = section + strlen(SECTION),
                                        .user = sf_conf_get(&c->conf, section, "user"),
                                        .certificate = sf_conf_get(&c->conf, section, "client_certificate"),
                                        .key = sf_conf_get(&c->conf, section, "client_key") };
        if ((r = read_secret(c, section, "password", &one->password, err)) < 0 ||
            (r = read_secret(c, section, "token", &one->token, err)) < 0 ||
            (r = sf_conf_get_bool(&c->conf, section, "plain_http", &one->plain_http, err)) < 0)
                return r;
        return check_credentials(section, one, err);
}

static bool is_known(const struct sf_config *c, const char *host)
{
        for (size_t i = 0; i < c->credential_count; i++)
                if (strcmp(c->credentials[i].host, host) == 0)
                        return true;
        return false;
}

static int read_proxy(struct sf_config *c, struct sf_error *err)
{
        struct sf_proxy *proxy = &c->proxy;
        int r;

        proxy->url = sf_conf_get(&c->conf, "repository", "proxy");
        proxy->except = sf_conf_get(&c->conf, "repository", "no_proxy");
        proxy->user = sf_conf_get(&c->conf, "repository", "proxy_user");
        r = read_secret(c, "repository", "proxy_password", &proxy->password, err);
        if (r == 0 && !proxy->user != !proxy->password)
                r = sf_error_set(err, SF_ERR_USAGE, "[repository]: proxy_user and proxy_password belong together");
        if (r == 0 && proxy->url && strchr(proxy->url, '@'))
                r = sf_error_set(err, SF_ERR_USAGE,
                                 "[repository] proxy: name user and password by proxy_user and proxy_password");
        return r;
}

int sf_config_read_access(struct sf_config *c, struct sf_error *err)
{
        int r = read_proxy(c, err);

        c->credentials = calloc(c->conf.count + 1, sizeof *c->credentials);
        if (!c->credentials)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        for (size_t i = 0; i < c->conf.count && r == 0; i++) {
                const char *section = c->conf.entries[i].section;
                if (strncmp(section, SECTION, strlen(SECTION)) != 0 || is_known(c, section + strlen(SECTION)))
                        continue;
                r = read_credentials(c, section, &c->credentials[c->credential_count++], err);
        }
        return r;
}
