/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/lease.c - see lease.h. */
#include "agent/node/lease.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/state.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#define LEASES        ".leases"
#define LEASE_MAX     (64u << 10)
#define LEASE_VERSION 1

/* "n1-0f3a9c21": two nodes that were cloned have different names, two of one name different ids. */
static void own_name(char out[160])
{
        _cleanup_(sf_buffer_free) struct sf_buffer id = SF_BUFFER_INIT;
        char host[128] = "";

        gethostname(host, sizeof host - 1);
        for (char *c = host; *c; c++)
                if (*c == '/' || (unsigned char)*c < 0x20)
                        *c = '_';
        sf_fs_read("/etc/machine-id", 64, &id, NULL);
        snprintf(out, 160, "%s-%.8s", *host && *host != '.' ? host : "node",
                 id.len >= 8 ? (char *)id.data : "00000000");
}

static int read_lease(const char *path, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *object = NULL;
        json_t *list;
        const char *name;
        int r = sf_fs_read(path, LEASE_MAX, &text, err);

        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &object, err);
        if (r == 0)
                r = sf_state_check_version(path, object, LEASE_VERSION, err);
        if (r == 0)
                r = sf_json_string(object, path, "node", &name, err);
        if (r == 0)
                r = sf_json_string(object, path, "time", &name, err);
        if (r == 0)
                r = sf_json_array(object, path, "releases", &list, err);
        if (r == 0)
                *ret = sf_steal_pointer(object);
        return r;
}

static bool contains(const json_t *list, const char *directory)
{
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *have = json_string_value(json_array_get(list, i));
                if (have && strcmp(have, directory) == 0)
                        return true;
        }
        return false;
}

static void add_directory(json_t *list, const struct sf_store *store, const char *directory)
{
        _cleanup_free_ char *path = sf_fs_join(store->releases, directory);

        if (*directory && !contains(list, directory) && path && sf_fs_exists(path))
                json_array_append_new(list, json_string(directory));
}

int sf_lease_write(const struct sf_store *store, const char *const *directories, size_t count, bool add,
                   struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(store->releases, LEASES);
        _cleanup_json_ json_t *list = json_array(), *before = NULL;
        char name[160], host[128] = "", stamp[SF_CLOCK_STAMP];

        own_name(name);
        gethostname(host, sizeof host - 1);
        sf_clock_stamp(time(NULL), stamp);
        _cleanup_free_ char *path = place ? sf_fs_join(place, name) : NULL;
        if (!path || !list)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a lease");
        for (size_t i = 0; i < count; i++)
                add_directory(list, store, directories[i]);
        if (read_lease(path, &before, NULL) == 0) {
                json_t *had = json_object_get(before, "releases");
                for (size_t i = 0; add && i < json_array_size(had); i++) {
                        const char *directory = json_string_value(json_array_get(had, i));
                        if (directory && !strchr(directory, '/'))
                                add_directory(list, store, directory);
                }
                if (json_equal(had, list))
                        return 0;
        }
        _cleanup_json_ json_t *object = json_pack("{s:i, s:s, s:s, s:O}", "version", LEASE_VERSION, "node", host,
                                                  "time", stamp, "releases", list);
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a lease");
        int r = sf_fs_mkdirs(place, 0755, err);
        return r < 0 ? r : sf_fs_write(path, text, strlen(text), 0644, err);
}

static int add_leases(const char *path, struct sf_lease **leases, size_t *count, struct sf_error *err)
{
        _cleanup_json_ json_t *object = NULL;
        int r = read_lease(path, &object, err);
        const json_t *list = r < 0 ? NULL : json_object_get(object, "releases");
        size_t more = json_array_size(list);
        struct sf_lease *grown = r < 0 ? NULL : reallocarray(*leases, *count + more + 1, sizeof *grown);

        if (r < 0)
                return r;
        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for leases");
        *leases = grown;
        for (size_t i = 0; i < more; i++) {
                struct sf_lease *l = &grown[*count];
                const char *directory = json_string_value(json_array_get(list, i));
                if (!directory || strlen(directory) >= sizeof l->directory)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: a release cannot be called that", path);
                snprintf(l->node, sizeof l->node, "%s", json_string_value(json_object_get(object, "node")));
                snprintf(l->time, sizeof l->time, "%s", json_string_value(json_object_get(object, "time")));
                strcpy(l->directory, directory);
                (*count)++;
        }
        return 0;
}

int sf_lease_others(const struct sf_store *store, struct sf_lease **ret, size_t *ret_count, struct sf_error *err)
{
        _cleanup_free_ char *place = sf_fs_join(store->releases, LEASES);
        struct sf_lease *leases = calloc(1, sizeof *leases);
        DIR *dir = place ? opendir(place) : NULL;
        size_t count = 0;
        char own[160];
        int r = !place || !leases ? sf_error_set(err, SF_ERR_NOMEM, "no memory for leases") : 0;

        if (r == 0 && !dir && errno != ENOENT)
                r = sf_error_errno(err, "%s", place);
        own_name(own);
        for (struct dirent *e; r == 0 && dir && (e = readdir(dir));) {
                _cleanup_free_ char *path = sf_fs_join(place, e->d_name);
                if (e->d_name[0] == '.' || strcmp(e->d_name, own) == 0)
                        continue;
                r = path ? add_leases(path, &leases, &count, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory");
        }
        if (dir)
                closedir(dir);
        if (r < 0) {
                free(leases);
                return r;
        }
        *ret = leases;
        *ret_count = count;
        return 0;
}
