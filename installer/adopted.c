/* SPDX-License-Identifier: Apache-2.0 */
/* installer/adopted.c - see adopted.h. */
#include "installer/adopted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "release/layout.h"

#define FORMAT     1
#define RECORD     SF_NODE_RECORD "/adopted.json"
#define RECORD_MAX (64u << 10)
#define STAGING    ".incoming-foreign" /* an interrupted one is cleared like any other (installer/store.h) */

static bool is_shared(const char *origin)
{
        return !*origin || strcmp(origin, "/usr") == 0 || strcmp(origin, "/usr/local") == 0;
}

static int make_link(const char *target, const char *staging, const char *name, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(staging, name);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return symlink(target, path) == 0 ? 0 : sf_error_errno(err, "%s", path);
}

static int link_if_there(const char *origin, const char *name, const char *staging, struct sf_error *err)
{
        _cleanup_free_ char *target = sf_fs_join(origin, name);

        if (!target)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return access(target, F_OK) == 0 ? make_link(target, staging, name, err) : 0;
}

static int link_directories(const struct sf_adopted *what, const char *staging, struct sf_error *err)
{
        static const char *const names[] = { "bin", "sbin", "lib", "lib64", "include", "share", "etc" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++)
                r = link_if_there(what->origin, names[i], staging, err);
        return r;
}

/* The programs of Slurm's own Makefiles, 22.05 to 26.05. */
static int link_programs(const struct sf_adopted *what, const char *staging, struct sf_error *err)
{
        static const char *const names[] = {
                "bin/sacct",     "bin/sacctmgr",    "bin/salloc",      "bin/sattach", "bin/sbatch",     "bin/sbcast",
                "bin/scancel",   "bin/scontrol",    "bin/scrontab",    "bin/scrun",   "bin/sdiag",      "bin/sgather",
                "bin/sinfo",     "bin/sprio",       "bin/squeue",      "bin/sreport", "bin/srun",       "bin/sshare",
                "bin/sstat",     "bin/strigger",    "bin/swait",       "sbin/sackd",  "sbin/slurmctld", "sbin/slurmd",
                "sbin/slurmdbd", "sbin/slurmrestd", "sbin/slurmstepd",
        };
        static const char *const directories[] = { "bin", "sbin", "lib" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof directories / sizeof *directories; i++) {
                _cleanup_free_ char *path = sf_fs_join(staging, directories[i]);
                r = path ? sf_fs_mkdirs(path, 0755, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++)
                r = link_if_there(what->origin, names[i], staging, err);
        return r == 0 && what->plugins ? make_link(what->plugins, staging, "lib/slurm", err) : r;
}

static int write_record(const struct sf_adopted *what, const char *staging, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(staging, SF_NODE_RECORD), *path = sf_fs_join(staging, RECORD);
        _cleanup_json_ json_t *record = json_pack("{s:i,s:s,s:s,s:[]}", "format", FORMAT, "slurm", what->version,
                                                  "origin", what->origin, "units");

        for (const char *const *u = what->units; record && u && *u; u++)
                json_array_append_new(json_object_get(record, "units"), json_string(*u));
        _cleanup_free_ char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;
        if (!directory || !path || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a record");
        int r = sf_fs_mkdirs(directory, 0755, err);
        return r < 0 ? r : sf_fs_write(path, text, strlen(text), 0644, err);
}

/* The first of foreign-<date>, foreign-<date>-2 ... that is free. */
static int give_name(const struct sf_store *store, const char *staging, const char *date, char out[128],
                     struct sf_error *err)
{
        for (int i = 1; i < 1000; i++) {
                char number[8] = "";
                if (i > 1)
                        snprintf(number, sizeof number, "-%d", i);
                snprintf(out, 128, "foreign-%s%s", date, number);
                _cleanup_free_ char *path = sf_fs_join(store->releases, out);
                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (renameat2(AT_FDCWD, staging, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
                        return sf_fs_sync_dir(store->releases, err);
                if (errno != EEXIST)
                        break;
        }
        return sf_error_errno(err, "cannot make %s/%s", store->releases, out);
}

int sf_adopted_make(const struct sf_store *store, const struct sf_adopted *what, const char *date, char out[128],
                    struct sf_error *err)
{
        _cleanup_free_ char *staging = sf_fs_join(store->releases, STAGING);
        char name[128];

        if (!staging)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_remove_tree(staging, err);
        if (r == 0)
                r = sf_fs_mkdirs(staging, 0755, err);
        if (r == 0)
                r = is_shared(what->origin) ? link_programs(what, staging, err) : link_directories(what, staging, err);
        if (r == 0)
                r = write_record(what, staging, err);
        if (r == 0)
                r = sf_fs_sync_dir(staging, err);
        if (r == 0)
                r = give_name(store, staging, date, name, err);
        if (r < 0) {
                sf_fs_remove_tree(staging, NULL);
                return r;
        }
        sf_store_forget(store);
        strcpy(out, name);
        return 0;
}

static int load(const char *path, json_t **ret, struct sf_error *err)
{
        _cleanup_free_ char *file = sf_fs_join(path, RECORD);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int64_t format;

        if (!file)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_read(file, RECORD_MAX, &text, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *record = NULL;
        r = sf_json_parse(file, text.data, text.len, &record, err);
        if (r == 0)
                r = sf_json_integer(record, file, "format", 1, FORMAT, &format, err);
        if (r == 0)
                *ret = sf_steal_pointer(record);
        return r;
}

int sf_adopted_units(const struct sf_store *store, const char *directory, struct sf_words *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(store->releases, directory);
        _cleanup_json_ json_t *record = NULL;
        json_t *units, *unit;
        size_t i;
        int r = path ? load(path, &record, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_json_array(record, path, "units", &units, err);
        if (r < 0)
                return r;
        json_array_foreach (units, i, unit)
                if (r == 0 && json_is_string(unit) && !strchr(json_string_value(unit), '/'))
                        r = sf_words_append(ret, json_string_value(unit), err);
        return r;
}
