/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/runpath.c - see runpath.h. */
#include "rpath/runpath.h"

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "rpath/dynstr.h"
#include "rpath/elf.h"

/* Puts the components of a path that starts behind the prefix into out, separated by single slashes ("" for the prefix
 * itself). False where ".." leads out of it. */
static int clean_path(const char *path, size_t len, struct sf_buffer *out, bool *ret_inside, struct sf_error *err)
{
        size_t depth = 0;

        *ret_inside = true;
        for (size_t at = 0, part; at < len; at += part) {
                if (path[at] == '/') {
                        part = 1;
                        continue;
                }
                const char *slash = memchr(path + at, '/', len - at);
                part = slash ? (size_t)(slash - path) - at : len - at;
                if (part == 1 && path[at] == '.')
                        continue;
                if (part == 2 && path[at] == '.' && path[at + 1] == '.') {
                        if (depth-- == 0) {
                                *ret_inside = false;
                                return 0;
                        }
                } else {
                        depth++;
                }
                int r = sf_buffer_printf(out, err, "%s%.*s", out->len ? "/" : "", (int)part, path + at);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The way from one directory of the tree to another: "$ORIGIN/../lib". Both are clean; what they have in common is
 * left out by whole components. */
static int append_way(const char *from, size_t from_len, const char *to, struct sf_buffer *out, struct sf_error *err)
{
        size_t to_len = strlen(to), common = 0;

        for (size_t i = 0; i <= from_len && i <= to_len; i++) {
                bool from_ends = i == from_len || from[i] == '/', to_ends = i == to_len || to[i] == '/';
                if (from_ends && to_ends)
                        common = i;
                if (i == from_len || i == to_len || from[i] != to[i])
                        break;
        }
        int r = sf_buffer_puts(out, "$ORIGIN", err);
        if (r == 0 && common < from_len && common == 0)
                r = sf_buffer_puts(out, "/..", err);
        for (size_t i = common; r == 0 && i < from_len; i++)
                if (from[i] == '/')
                        r = sf_buffer_puts(out, "/..", err);
        if (r == 0 && common < to_len)
                r = sf_buffer_printf(out, err, "/%s", to + common + (common > 0));
        return r;
}

/* The bytes of a leading $ORIGIN, 0 where there is none. */
static size_t origin_length(const char *element, size_t len)
{
        static const char *const spellings[] = { "$ORIGIN", "${ORIGIN}" };

        for (size_t i = 0; i < 2; i++) {
                size_t n = strlen(spellings[i]);
                if (len >= n && memcmp(element, spellings[i], n) == 0 && (len == n || element[n] == '/'))
                        return n;
        }
        return 0;
}

int sf_runpath_resolve(const char *element, size_t len, const char *path, const char *prefix,
                       enum sf_runpath_place *ret_place, struct sf_buffer *ret_directory, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer whole = SF_BUFFER_INIT;
        size_t prefix_len = strlen(prefix), origin = origin_length(element, len);
        bool inside = false;
        int r = 0;

        if (len == 0 || (element[0] != '/' && element[0] != '$')) {
                *ret_place = SF_RUNPATH_RELATIVE;
                return 0;
        }
        if (origin) {
                r = sf_buffer_append(&whole, path, sf_path_parent_length(path), err);
                if (r == 0)
                        r = sf_buffer_append(&whole, element + origin, len - origin, err);
        } else if (len >= prefix_len && memcmp(element, prefix, prefix_len) == 0 &&
                   (len == prefix_len || element[prefix_len] == '/')) {
                r = sf_buffer_append(&whole, element + prefix_len, len - prefix_len, err);
        } else {
                *ret_place = SF_RUNPATH_FOREIGN;
                return 0;
        }
        /* another token ($LIB, $PLATFORM) depends on the machine */
        if (r == 0 && !strchr(sf_buffer_text(&whole), '$'))
                r = clean_path(sf_buffer_text(&whole), whole.len, ret_directory, &inside, err);
        if (r == 0)
                *ret_place = inside ? SF_RUNPATH_INSIDE : SF_RUNPATH_FOREIGN;
        return r;
}

bool sf_runpath_is_default(const char *element, size_t len)
{
        static const char *const directories[] = { "/lib", "/lib64", "/lib/x86_64-linux-gnu",
                                                   "/lib/aarch64-linux-gnu" };
        char plain[64];
        size_t n = 0;

        /* "//usr/lib64/" is "/usr/lib64". */
        for (size_t i = 0; i < len && n < sizeof plain - 1; i++)
                if (element[i] != '/' || (i + 1 < len && element[i + 1] != '/'))
                        plain[n++] = element[i];
        plain[n] = '\0';
        const char *rest = strncmp(plain, "/usr/", 5) == 0 ? plain + 4 : plain;
        for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
                if (strcmp(rest, directories[i]) == 0)
                        return true;
        return false;
}

/* One file whose lists are rewritten. */
struct rewriting {
        const struct sf_elf *elf;
        const char *path, *prefix;
        const struct sf_runpath_rules *rules;
};

/* Whether the file needs anything that lies in a directory of the tree. */
static bool is_needed(const struct rewriting *w, const char *directory)
{
        for (uint64_t i = 0; i < w->elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(w->elf, i);
                const char *name = entry.d_tag == DT_NEEDED ? sf_elf_dynstr(w->elf, entry.d_un.d_val) : NULL;

                if (name && w->rules->holds(w->rules->ctx, directory, name))
                        return true;
        }
        return false;
}

/* What becomes of one element of the list; *ret_drop: nothing. */
static int rewrite_element(const struct rewriting *w, const char *element, size_t len, struct sf_buffer *out,
                           bool *ret_drop, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer directory = SF_BUFFER_INIT;
        enum sf_runpath_place place;
        int r = sf_runpath_resolve(element, len, w->path, w->prefix, &place, &directory, err);

        if (r < 0)
                return r;
        if (place == SF_RUNPATH_FOREIGN && w->rules->drop_default && sf_runpath_is_default(element, len)) {
                *ret_drop = true;
                return 0;
        }
        *ret_drop = place == SF_RUNPATH_INSIDE ? w->rules->holds && !is_needed(w, sf_buffer_text(&directory))
                                               : w->rules->drop_foreign;
        if (place != SF_RUNPATH_INSIDE || origin_length(element, len))
                return sf_buffer_append(out, element, len, err);
        return append_way(w->path, sf_path_parent_length(w->path), sf_buffer_text(&directory), out, err);
}

static bool has_element(const char *list, const char *element, size_t len)
{
        for (;;) {
                size_t n = strcspn(list, ":");
                if (n == len && memcmp(list, element, len) == 0)
                        return true;
                if (!list[n])
                        return false;
                list += n + 1;
        }
}

/* The whole list with its elements rewritten, each once. */
static int rewrite_list(const struct rewriting *w, const char *list, struct sf_buffer *out, struct sf_error *err)
{
        size_t elements = 0;

        for (const char *at = list;; at++) {
                _cleanup_(sf_buffer_free) struct sf_buffer element = SF_BUFFER_INIT;
                size_t len = strcspn(at, ":");
                bool drop;
                int r = rewrite_element(w, at, len, &element, &drop, err);
                if (r == 0 && !drop &&
                    !(elements && has_element(sf_buffer_text(out), sf_buffer_text(&element), element.len)))
                        r = sf_buffer_printf(out, err, "%s%s", elements++ ? ":" : "", sf_buffer_text(&element));
                if (r < 0)
                        return r;
                at += len;
                if (!*at)
                        return 0;
        }
}

static void report_dropped(const struct rewriting *w, const char *list)
{
        for (size_t len; w->rules->drop_default && w->rules->dropped; list += len + 1) {
                len = strcspn(list, ":");
                if (sf_runpath_is_default(list, len))
                        w->rules->dropped(w->rules->ctx, list, len);
                if (!list[len])
                        return;
        }
}

/* Rewrites the string that one dynamic entry names. Returns 1 where it was changed, 0 where not. */
static int localize_entry(const struct rewriting *w, uint8_t *data, uint64_t offset, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer fresh = SF_BUFFER_INIT;
        struct sf_dynstr_users users;
        const char *old = sf_elf_dynstr(w->elf, offset);

        if (!old)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: a RUNPATH has no end inside the string table", w->path);
        size_t old_len = strlen(old);
        int r = rewrite_list(w, old, &fresh, err);
        if (r < 0 || strcmp(old, sf_buffer_text(&fresh)) == 0)
                return r;
        r = sf_dynstr_find_users(w->elf, w->path, offset, old_len, &users, err);
        if (r < 0)
                return r;
        /* The new string and its NUL end before the longest tail that somebody else uses. */
        if (users.shared || fresh.len >= users.tail + (users.tail == old_len))
                return 0;
        uint8_t *place = data + w->elf->dynstr_offset + offset;
        report_dropped(w, old);
        memset(place, 0, users.tail);
        if (fresh.len)
                memcpy(place, fresh.data, fresh.len);
        return 1;
}

static bool is_search_list(const Elf64_Dyn *entry)
{
        return entry->d_tag == DT_RUNPATH || entry->d_tag == DT_RPATH;
}

/* All lists of the file say what the one says that ld.so would have searched. Returns how many entries changed. */
static int set_tags(const struct sf_elf *elf, uint8_t *data, int64_t tag)
{
        uint64_t list = 0;
        bool is_runpath = false;
        int changed = 0;

        for (uint64_t i = 0; i < elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(elf, i);
                if (is_search_list(&entry) && (entry.d_tag == DT_RUNPATH || !is_runpath)) {
                        list = entry.d_un.d_val;
                        is_runpath = entry.d_tag == DT_RUNPATH;
                }
        }
        for (uint64_t i = 0; i < elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(elf, i);
                const Elf64_Dyn wanted = { .d_tag = tag, .d_un.d_val = list };
                if (!is_search_list(&entry) || (entry.d_tag == tag && entry.d_un.d_val == list))
                        continue;
                memcpy(data + elf->dynamic_offset + i * sizeof wanted, &wanted, sizeof wanted);
                changed++;
        }
        return changed;
}

int sf_runpath_apply(uint8_t *data, uint64_t size, const char *path, const char *prefix,
                     const struct sf_runpath_rules *rules, struct sf_error *err)
{
        struct sf_elf elf;
        const struct rewriting w = { .elf = &elf, .path = path, .prefix = prefix, .rules = rules };
        int changed = 0;

        if (!sf_elf_is(data, size))
                return 0;
        int r = sf_elf_open(data, size, path, &elf, err);
        if (r < 0)
                return r;
        for (uint64_t i = 0; i < elf.dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(&elf, i);
                if (!is_search_list(&entry))
                        continue;
                r = localize_entry(&w, data, entry.d_un.d_val, err);
                if (r < 0)
                        return r;
                changed += r;
        }
        return changed + (rules->tag ? set_tags(&elf, data, rules->tag) : 0);
}

int sf_runpath_localize(uint8_t *data, uint64_t size, const char *path, const char *prefix, int drop_foreign,
                        struct sf_error *err)
{
        const struct sf_runpath_rules rules = { .drop_foreign = drop_foreign != 0 };

        return sf_runpath_apply(data, size, path, prefix, &rules, err);
}
