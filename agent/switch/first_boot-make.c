/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/first_boot-make.c - the other half of first_boot.h: making what is missing, and saying it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/unit.h"
#include "agent/switch/first_boot.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "release/layout.h"

#define MUNGE_UNIT "lib/systemd/system/munge.service"
#define UNIT_MAX   (256u << 10)

/* Something took the name in between: it is left as it is, like anything that was there before. */
static int unless_there(int r, struct sf_error *err)
{
        if (r < 0 && errno == EEXIST) {
                if (err)
                        sf_error_clear(err);
                return 0;
        }
        return r;
}

/* It has its name only once it has its owner and mode. Who is not root has a tree of his own and cannot give files
 * away: there, root's are his. */
static int make_directory(const char *path, const struct sf_first_boot_item *item, struct sf_error *err)
{
        _cleanup_free_ char *made = sf_format("%s.sf-new", path);
        bool mine = geteuid() != 0 && (item->owner.uid == 0 || item->owner.uid == geteuid());

        if (!made)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        rmdir(made); /* an interrupted run's */
        if (mkdir(made, 0700) < 0)
                return sf_error_errno(err, "cannot make %s", made);
        /* Its parent may be another user's, who could put a link there. */
        _cleanup_close_ int fd = open(made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || (!mine && fchown(fd, item->owner.uid, item->owner.gid) < 0) || fchmod(fd, item->mode) < 0 ||
            rename(made, path) < 0) {
                int r = sf_error_errno(err, "cannot make %s for %s", path, item->owner.name);
                rmdir(made);
                return r;
        }
        return sf_fs_sync_parent(path, err);
}

static int make_link(const char *path, const char *target, struct sf_error *err)
{
        if (symlink(target, path) < 0)
                return unless_there(sf_error_errno(err, "cannot make link %s", path), err);
        return sf_fs_sync_parent(path, err);
}

/* What the link points at has to be in this release. */
static int make_module(const char *path, const struct sf_first_boot_item *item, const struct sf_store *store,
                       const struct sf_store_release *release, struct sf_error *err)
{
        const char *inside = item->text + strlen(store->prefix) + strlen("/view/");
        _cleanup_free_ char *file = sf_format("%s/%s/%s", store->releases, release->directory, inside);

        if (!file)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (!sf_fs_exists(file))
                return sf_error_set(err, SF_ERR_NOT_FOUND, "release %s has no %s", release->directory, inside);
        return make_link(path, item->text, err);
}

static int write_text(const char *path, const struct sf_buffer *text, struct sf_error *err)
{
        return sf_fs_write(path, text->data, text->len, 0644, err);
}

static int make_slurmd(const char *path, const struct sf_store *store, const struct sf_store_release *release,
                       struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        if (!*release->unit)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "release %s does not say which Type its slurmd is",
                                    release->directory);
        int r = sf_unit_render(store->prefix, release->unit, &text, err);
        return r < 0 ? r : write_text(path, &text, err);
}

static int make_munge(const char *path, const struct sf_store *store, const struct sf_store_release *release,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *file = sf_format("%s/%s/" MUNGE_UNIT, store->releases, release->directory);
        int r = file ? sf_buffer_puts(&text, "# Written by \"sf-node install --init\"; yours to change.\n", err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_fs_read(file, UNIT_MAX, &text, err);
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, r, "release %s has no munge: install the distribution's", release->directory);
        return r < 0 ? r : write_text(path, &text, err);
}

static int make(const struct sf_first_boot *boot, const struct sf_first_boot_item *item, const struct sf_store *store,
                const struct sf_store_release *release, struct sf_error *err)
{
        const char *root = boot->config->root;
        _cleanup_free_ char *path = NULL, *parent = NULL;
        int r = sf_fs_in_root(root, item->path, &path, err);

        if (r < 0)
                return r;
        if (item->kind == SF_FIRST_BOOT_ACCOUNT)
                return sf_account_make(root, &item->owner, item->path, err);
        parent = strndup(path, (size_t)(strrchr(path, '/') - path));
        r = parent ? sf_fs_mkdirs(*parent ? parent : "/", 0755, err)
                   : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (r < 0 || sf_fs_exists(path))
                return r;
        switch (item->kind) {
        case SF_FIRST_BOOT_DIRECTORY:
                return make_directory(path, item, err);
        case SF_FIRST_BOOT_FILE:
                return sf_fs_write(path, item->text, strlen(item->text), item->mode, err);
        case SF_FIRST_BOOT_LINK:
                return make_module(path, item, store, release, err);
        case SF_FIRST_BOOT_UNIT:
                return make_slurmd(path, store, release, err);
        case SF_FIRST_BOOT_MUNGE:
                return make_munge(path, store, release, err);
        case SF_FIRST_BOOT_ENABLE:
                return make_link(path, item->text, err);
        case SF_FIRST_BOOT_ACCOUNT:
                break;
        }
        return 0;
}

int sf_first_boot_apply(const struct sf_first_boot *boot, const struct sf_store *store,
                        const struct sf_store_release *release, bool *ret_units, struct sf_error *err)
{
        char line[1200];
        int r = 0;

        *ret_units = false;
        for (size_t i = 0; r == 0 && i < boot->count; i++) {
                const struct sf_first_boot_item *item = &boot->items[i];
                r = make(boot, item, store, release, err);
                if (r < 0)
                        break;
                sf_first_boot_describe(item, line, sizeof line);
                sf_log_info("init: %s", line);
                *ret_units |= item->kind == SF_FIRST_BOOT_UNIT || item->kind == SF_FIRST_BOOT_MUNGE ||
                              item->kind == SF_FIRST_BOOT_ENABLE;
        }
        for (size_t i = 0; r == 0 && i < boot->notes.count; i++)
                sf_log_warning("init: %s", boot->notes.items[i]);
        return r;
}

void sf_first_boot_describe(const struct sf_first_boot_item *item, char *out, size_t room)
{
        switch (item->kind) {
        case SF_FIRST_BOOT_ACCOUNT:
                snprintf(out, room, "user %s with the numbers %u:%u of the configuration", item->owner.name,
                         (unsigned)item->owner.uid, (unsigned)item->owner.gid);
                break;
        case SF_FIRST_BOOT_DIRECTORY:
                snprintf(out, room, "directory %s, owner %s, mode %04o", item->path, item->owner.name,
                         (unsigned)item->mode);
                break;
        case SF_FIRST_BOOT_FILE:
        case SF_FIRST_BOOT_UNIT:
        case SF_FIRST_BOOT_MUNGE:
                snprintf(out, room, "file %s", item->path);
                break;
        case SF_FIRST_BOOT_LINK:
                snprintf(out, room, "link %s to %s", item->path, item->text);
                break;
        case SF_FIRST_BOOT_ENABLE:
                snprintf(out, room, "%s enabled", strrchr(item->path, '/') + 1);
                break;
        }
}

json_t *sf_first_boot_json(const struct sf_first_boot *boot)
{
        json_t *lacks = json_array(), *notes = json_array();
        char line[1200];

        for (size_t i = 0; i < boot->count; i++) {
                sf_first_boot_describe(&boot->items[i], line, sizeof line);
                json_array_append_new(lacks, json_string(line));
        }
        for (size_t i = 0; i < boot->notes.count; i++)
                json_array_append_new(notes, json_string(boot->notes.items[i]));
        return json_pack("{s:o, s:o}", "lacks", lacks, "notes", notes);
}

void sf_first_boot_print(const struct sf_first_boot *boot)
{
        char line[1200];

        for (size_t i = 0; i < boot->count; i++) {
                sf_first_boot_describe(&boot->items[i], line, sizeof line);
                sf_output_line("this node lacks: %s", line);
        }
        for (size_t i = 0; i < boot->notes.count; i++)
                sf_output_line("note: %s", boot->notes.items[i]);
        if (!boot->count)
                sf_output_line("this node lacks nothing");
}
