/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/account.c - see account.h. */
#include "agent/node/account.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

#define FILE_MAX       (64u << 20)
#define GETENT_SECONDS 20
#define GETENT_ABSENT  2 /* getent(1): "one or more supplied key could not be found" */
#define SYSUSERS       60

/* passwd: name:x:uid:gid:…  group: name:x:gid:members */
static bool parse_number(const char *text, unsigned *ret)
{
        char *end;

        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (errno || end == text || *end != ':' || value >= 0xffffffffu)
                return false;
        *ret = (unsigned)value;
        return true;
}

static bool parse_line(const char *line, bool group, struct sf_account *ret)
{
        const char *password = strchr(line, ':'), *first = password ? strchr(password + 1, ':') : NULL;
        const char *second = first ? strchr(first + 1, ':') : NULL;
        size_t len = password ? (size_t)(password - line) : 0;
        unsigned uid = 0, gid = 0;

        if (!second || !len || len >= sizeof ret->name || !parse_number(first + 1, group ? &gid : &uid) ||
            (!group && !parse_number(second + 1, &gid)))
                return false;
        memcpy(ret->name, line, len);
        ret->name[len] = '\0';
        ret->uid = uid;
        ret->gid = gid;
        return true;
}

static bool is_number(const char *key)
{
        return *key && !key[strspn(key, "0123456789")];
}

static int search(const char *text, const char *key, bool group, struct sf_account *ret)
{
        unsigned long number = is_number(key) ? strtoul(key, NULL, 10) : 0;

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                struct sf_account a;
                if (!parse_line(line, group, &a))
                        continue;
                if (is_number(key) ? (group ? a.gid : a.uid) == number : strcmp(a.name, key) == 0) {
                        *ret = a;
                        return 0;
                }
        }
        return SF_ERR_NOT_FOUND;
}

/* 0 and the line, 1 where there is no such tool, or an error. */
static int ask_getent(const char *database, const char *key, struct sf_buffer *ret, struct sf_error *err)
{
        const char *argv[] = { "getent", database, key, NULL };
        struct sf_buffer errors = SF_BUFFER_INIT;
        const struct sf_proc proc = {
                .argv = argv, .output = ret, .errors = &errors, .timeout_seconds = GETENT_SECONDS
        };
        int r = sf_proc_run(&proc, err);

        sf_buffer_free(&errors);
        if (r == 0)
                return 0;
        if (r == GETENT_ABSENT)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "getent knows no %s %s", database, key);
        if (r == SF_ERR_TIMEOUT)
                return sf_error_prefix(err, "which user is %s", key);
        if (err)
                sf_error_clear(err);
        return 1;
}

static int find(const char *root, const char *key, bool group, struct sf_account *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        const char *database = group ? "group" : "passwd";
        _cleanup_free_ char *file = sf_format("/etc/%s", database), *path = NULL;
        int r = *root ? 1 : ask_getent(database, key, &text, err);

        if (!file)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (sf_fs_in_root(root, file, &path, err) < 0)
                return SF_ERR_LIMIT;
        if (r == 1) {
                text.len = 0;
                r = sf_fs_read(path, FILE_MAX, &text, err);
        }
        if (r < 0)
                return r;
        return search(sf_buffer_text(&text), key, group, ret) == 0
                       ? 0
                       : sf_error_set(err, SF_ERR_NOT_FOUND, "%s has no %s", path, key);
}

int sf_account_find(const char *root, const char *key, struct sf_account *ret, struct sf_error *err)
{
        return find(root, key, false, ret, err);
}

int sf_account_find_group(const char *root, const char *key, struct sf_account *ret, struct sf_error *err)
{
        return find(root, key, true, ret, err);
}

static int run_sysusers(const char *root, const char *file, struct sf_error *err)
{
        _cleanup_free_ char *where = sf_format("--root=%s", root);
        const char *argv[] = { "systemd-sysusers", NULL, NULL, NULL };
        size_t count = 1;

        if (!where)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (*root)
                argv[count++] = where;
        argv[count] = strrchr(file, '/') + 1;
        const struct sf_proc proc = { .argv = argv, .timeout_seconds = SYSUSERS };
        return sf_proc_check(&proc, err);
}

int sf_account_make(const char *root, const struct sf_account *account, const char *file, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = NULL, *directory = NULL;
        struct sf_account made;
        int r = sf_fs_in_root(root, file, &path, err);

        if (r < 0)
                return r;
        directory = strndup(path, (size_t)(strrchr(path, '/') - path));
        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        r = sf_buffer_printf(&text, err,
                             "# Written by sf-node install --init from its configuration. See sysusers.d(5).\n"
                             "g %s %u\n"
                             "u %s %u:%u \"%s\"\n",
                             account->name, (unsigned)account->gid, account->name, (unsigned)account->uid,
                             (unsigned)account->gid, account->name);
        if (r == 0)
                r = sf_fs_mkdirs(directory, 0755, err);
        if (r == 0 && !sf_fs_exists(path))
                r = sf_fs_write(path, text.data, text.len, 0644, err);
        if (r == 0)
                r = run_sysusers(root, file, err);
        if (r == 0)
                r = sf_account_find(root, account->name, &made, err);
        if (r < 0)
                return sf_error_prefix(err, "user %s is not made", account->name);
        if (made.uid != account->uid || made.gid != account->gid)
                return sf_error_set(err, SF_ERR_FAILED,
                                    "systemd-sysusers made user %s with %u:%u instead of %u:%u: remove it and make it "
                                    "by hand",
                                    made.name, (unsigned)made.uid, (unsigned)made.gid, (unsigned)account->uid,
                                    (unsigned)account->gid);
        return 0;
}
