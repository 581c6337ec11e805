/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/sf-relocate-tree.c - not installed: takes every file of a release there and back.
 *
 *     sf-relocate-tree FILELIST TREE PREFIX...
 *     sf-relocate-tree --compare FILELIST TREE PREFIX INSTALLED
 *
 * TREE holds the canonical content (the layers unpacked by hand: ROOT/opt/slurm/view), FILELIST is the release's file
 * list, as text or as its zstd blob. For each PREFIX every file is relocated to PREFIX, must no longer say the
 * canonical prefix where the map says so, and relocated back must be what the list's digest says. The last line has the
 * figures. --compare: every file of the tree INSTALLED, which something else relocated to PREFIX, must be what
 * relocation makes of the canonical one, byte for byte, and have the listed mode.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/stream.h"
#include "release/filelist.h"
#include "rpath/relocate.h"

#define FILE_MAX       ((size_t)1 << 30)
#define WINDOW_LOG_MAX 27
#define PIECE          65521u /* a prime, so that pieces end anywhere in an occurrence */

static const uint8_t zstd_magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

static int read_list(const char *path, struct sf_filelist *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT, text = SF_BUFFER_INIT;
        _cleanup_stream_ struct sf_stream *memory = NULL, *decoded = NULL;
        int r = sf_fs_read(path, SF_FILELIST_TEXT_MAX, &blob, err);

        if (r < 0 || blob.len < sizeof zstd_magic || memcmp(blob.data, zstd_magic, sizeof zstd_magic) != 0)
                return r < 0 ? r : sf_filelist_parse(path, sf_buffer_text(&blob), blob.len, ret, err);
        r = sf_stream_from_memory(blob.data, blob.len, &memory, err);
        if (r == 0)
                r = sf_stream_zstd(memory, WINDOW_LOG_MAX, &decoded, err);
        if (r < 0)
                return r;
        memory = NULL; /* owned by the decoder */
        r = sf_stream_read_all(decoded, SF_FILELIST_TEXT_MAX, &text, err);
        return r < 0 ? r : sf_filelist_parse(path, sf_buffer_text(&text), text.len, ret, err);
}

static int convert(const char *name, const struct sf_relocation *relocation, bool inverse, const struct sf_buffer *in,
                   struct sf_buffer *out, struct sf_error *err)
{
        struct sf_relocator relocator;

        sf_relocator_start(&relocator, relocation, inverse);
        for (size_t at = 0; at < in->len; at += PIECE) {
                size_t piece = in->len - at < PIECE ? in->len - at : PIECE;
                int r = sf_relocator_feed(&relocator, name, in->data + at, piece, out, err);
                if (r < 0)
                        return r;
        }
        return sf_relocator_finish(&relocator, name, err);
}

/* Every place of the map now says `to`, where the growth of the places before it has moved it. */
static int check_places(const char *name, const struct sf_relocation *relocation, const struct sf_buffer *installed,
                        struct sf_error *err)
{
        for (size_t i = 0; i < relocation->count; i++) {
                uint64_t at = relocation->offsets[i] + i * ((uint64_t)relocation->to_len - relocation->from_len);
                if (at > installed->len || installed->len - at < relocation->to_len ||
                    memcmp(installed->data + at, relocation->to, relocation->to_len) != 0)
                        return sf_error_set(err, SF_ERR_FAILED, "%s: the installed file does not say %s at byte %llu",
                                            name, relocation->to, (unsigned long long)at);
        }
        return 0;
}

static const char *compared; /* INSTALLED, with --compare */

static int compare(const struct sf_entry *entry, const struct sf_buffer *expected, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer found = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(compared, entry->path);
        struct stat st;
        int r = path ? sf_fs_read(path, FILE_MAX, &found, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory");

        if (r < 0)
                return r;
        if (found.len != expected->len || (found.len && memcmp(found.data, expected->data, found.len) != 0))
                return sf_error_set(err, SF_ERR_FAILED, "%s is not what relocation makes", path);
        if (stat(path, &st) < 0 || (st.st_mode & 07777) != entry->mode)
                return sf_error_set(err, SF_ERR_FAILED, "%s has another mode than %04o", path, (unsigned)entry->mode);
        return 0;
}

static int check_file(const struct sf_filelist *list, const struct sf_entry *entry, const char *tree,
                      const char *prefix, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT, installed = SF_BUFFER_INIT,
                                                   back = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(tree, entry->path);
        char from[SF_FILELIST_PREFIX_MAX + 1] = SF_CANONICAL_PREFIX, to[SF_FILELIST_PREFIX_MAX + 1];
        bool binary = entry->map.kind == SF_MAP_BINARY;
        struct sf_digest digest;
        int r = path ? sf_fs_read(path, FILE_MAX, &canonical, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory");

        if (r == 0)
                r = sf_relocate_pad(prefix, binary ? list->prefix_length : strlen(prefix), to, err);
        if (r == 0 && binary)
                r = sf_relocate_pad(SF_CANONICAL_PREFIX, list->prefix_length, from, err);
        if (r < 0)
                return r;
        sf_digest_of(canonical.data, canonical.len, &digest);
        if (!sf_digest_equal(&digest, &entry->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not the canonical content", entry->path);
        const struct sf_relocation relocation = { entry->map.offsets, entry->map.count, from, strlen(from), to,
                                                  strlen(to) };
        r = convert(entry->path, &relocation, false, &canonical, &installed, err);
        if (r == 0)
                r = check_places(entry->path, &relocation, &installed, err);
        if (r == 0)
                r = convert(entry->path, &relocation, true, &installed, &back, err);
        if (r < 0)
                return r;
        if (installed.len != sf_relocated_size(&relocation, entry->size))
                return sf_error_set(err, SF_ERR_FAILED, "%s: %zu bytes after relocation", entry->path, installed.len);
        sf_digest_of(back.data, back.len, &digest);
        if (!sf_digest_equal(&digest, &entry->digest))
                return sf_error_set(err, SF_ERR_FAILED, "%s: there and back is not the same", entry->path);
        return compared ? compare(entry, &installed, err) : 0;
}

static int check_tree(const struct sf_filelist *list, const char *tree, const char *prefix, struct sf_error *err)
{
        size_t relocated = 0, places = 0;
        clock_t start = clock();

        for (size_t i = 0; i < list->entry_count; i++) {
                const struct sf_entry *entry = &list->entries[i];
                if (entry->type != SF_ENTRY_FILE)
                        continue;
                int r = check_file(list, entry, tree, prefix, err);
                if (r < 0)
                        return r;
                relocated += entry->map.count > 0;
                places += entry->map.count;
        }
        printf("%s: %zu files, %llu bytes, %zu with %zu places, there and back bit for bit in %.2f s\n", prefix,
               list->file_count, (unsigned long long)list->content_size, relocated, places,
               (double)(clock() - start) / CLOCKS_PER_SEC);
        return 0;
}

int main(int argc, char **argv)
{
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        if (argc == 6 && strcmp(argv[1], "--compare") == 0) {
                compared = argv[5];
                argv++;
                argc = 4;
        }
        if (argc < 4) {
                fprintf(stderr, "usage: sf-relocate-tree [--compare] FILELIST TREE PREFIX...\n");
                return 2;
        }
        int r = read_list(argv[1], &list, &err);
        for (int i = 3; r == 0 && i < argc; i++)
                r = check_tree(&list, argv[2], argv[i], &err);
        if (r < 0)
                fprintf(stderr, "sf-relocate-tree: %s\n", err.text);
        return r < 0;
}
