/* SPDX-License-Identifier: Apache-2.0 */
/* release/filelist.c - see filelist.h. Reads the text in one pass over a private copy whose separators become NULs, so
 * that paths and targets need no memory of their own; then checks what only the whole list can tell. */
#include "release/filelist.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/pool.h"
#include "release/filelist-paths.h"
#include "release/version.h"

#define TAR_BLOCK  512u
#define TAR_ROOT   (3 * TAR_BLOCK) /* opt/, opt/slurm/, opt/slurm/view/ */
#define TAR_END    (2 * TAR_BLOCK)
#define LAYERS_MAX 64u
#define SIZE_LIMIT (UINT64_C(1) << 50) /* bytes; no size or sum in a list may exceed it, so that sums never overflow */

struct parser {
        struct sf_filelist *list;
        const char *name;
        char *at, *end; /* what is not read yet; end[-1] is the last line's LF */
        size_t line;
        uint64_t layer_rest; /* bytes of the current layer that no frame has claimed yet */
        uint64_t frame_rest; /* tar bytes of the current frame that no member has claimed yet */
        struct sf_error *err;
};

#define refuse(p, ...) refuse_code(p, SF_ERR_CORRUPT, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static int refuse_code(struct parser *p, int code, const char *format, ...)
{
        char reason[1024];
        va_list args;

        va_start(args, format);
        vsnprintf(reason, sizeof reason, format, args);
        va_end(args);
        return sf_error_set(p->err, code, "%s: line %zu: %s", p->name, p->line, reason);
}

/* Cuts the next field off a line: everything up to the next space, which becomes a NUL. NULL where there is none. */
static char *take_field(char **cursor)
{
        char *field = *cursor, *space = strchr(field, ' ');

        if (!space || space == field)
                return NULL;
        *space = '\0';
        *cursor = space + 1;
        return field;
}

/* A decimal number in its shortest form, so that a list has one spelling only. */
static bool read_number(const char *text, uint64_t max, uint64_t *ret)
{
        uint64_t value = 0;

        if (!*text || (text[0] == '0' && text[1]))
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
                        return false;
        }
        *ret = value;
        return value <= max;
}

static bool take_number(char **cursor, uint64_t max, uint64_t *ret)
{
        const char *field = take_field(cursor);

        return field && read_number(field, max, ret);
}

static bool read_digest(const char *text, struct sf_digest *ret)
{
        return strlen(text) == SF_DIGEST_HEX && sf_hex_decode(text, ret->bytes, SF_DIGEST_BYTES, NULL) == 0;
}

static bool take_digest(char **cursor, struct sf_digest *ret)
{
        const char *field = take_field(cursor);

        return field && read_digest(field, ret);
}

/* "0755": four octal digits. Set-id and sticky bits are refused, and so is a file that anybody may write to. */
static bool take_mode(char **cursor, mode_t *ret)
{
        const char *field = take_field(cursor);
        mode_t mode = 0;

        if (!field || strlen(field) != 4 || strspn(field, "01234567") != 4)
                return false;
        for (; *field; field++)
                mode = mode * 8 + (mode_t)(*field - '0');
        *ret = mode;
        return mode <= 0777 && !(mode & 0002);
}

/* Claims a member of the current frame: a header block and the content in whole blocks. */
static int add_entry(struct parser *p, const struct sf_entry *entry)
{
        struct sf_filelist *list = p->list;
        uint64_t member = TAR_BLOCK + (entry->size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;

        if (list->frame_count == 0)
                return refuse(p, "an entry before the first frame");
        if (!sf_fs_path_is_plain(entry->path))
                return refuse(p, "\"%.512s\" is not a plain relative path", entry->path);
        if (list->entry_count >= SF_FILELIST_ENTRIES_MAX)
                return refuse_code(p, SF_ERR_LIMIT, "more than %u entries", SF_FILELIST_ENTRIES_MAX);
        if (member > p->frame_rest)
                return refuse(p, "%s does not fit into its frame's content size", entry->path);
        p->frame_rest -= member;
        list->content_size += entry->size;
        if (list->content_size > SIZE_LIMIT)
                return refuse(p, "the files' sizes overflow");
        list->file_count += entry->type == SF_ENTRY_FILE;
        struct sf_entry *place = &list->entries[list->entry_count++];
        *place = *entry;
        place->frame = (uint32_t)list->frame_count - 1;
        list->frames[place->frame].entry_count++;
        return 0;
}

static int parse_directory(struct parser *p, char *rest)
{
        struct sf_entry entry = { .type = SF_ENTRY_DIRECTORY };

        if (!take_mode(&rest, &entry.mode))
                return refuse(p, "a directory needs a mode like 0755, not writable for everybody");
        entry.path = rest;
        return add_entry(p, &entry);
}

/* One hexadecimal distance in its shortest form, ended by ',' or the end of the text. */
static bool take_distance(const char **cursor, uint64_t *ret)
{
        const char *start = *cursor;
        uint64_t value = 0;

        for (;; (*cursor)++) {
                char c = **cursor;
                unsigned digit;
                if (c >= '0' && c <= '9')
                        digit = (unsigned)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        digit = (unsigned)(c - 'a') + 10;
                else
                        break;
                if (value >> 60)
                        return false;
                value = value << 4 | digit;
        }
        *ret = value;
        return *cursor > start && (*start != '0' || *cursor == start + 1);
}

static size_t count_byte(const char *text, char byte)
{
        size_t count = 0;

        for (; (text = strchr(text, byte)); text++)
                count++;
        return count;
}

/* '-' or "b:1a20,30": see struct sf_map. */
static int parse_map(struct parser *p, const char *text, uint64_t size, struct sf_map *ret)
{
        struct sf_map map = { 0 };
        uint64_t distance, at = 0, length = sizeof SF_CANONICAL_PREFIX - 1;

        if (strcmp(text, "-") == 0) {
                *ret = map;
                return 0;
        }
        map.kind = text[0] == 'b'   ? SF_MAP_BINARY
                   : text[0] == 't' ? SF_MAP_TEXT
                   : text[0] == 'v' ? SF_MAP_VIEW
                                    : SF_MAP_NONE;
        if (map.kind == SF_MAP_NONE || text[1] != ':')
                return refuse(p, "a map is '-' or starts with b:, t: or v:");
        if (map.kind == SF_MAP_BINARY)
                length = p->list->prefix_length;
        map.offsets = sf_pool_alloc(p->list->pool, count_byte(text, ',') + 1, sizeof *map.offsets);
        if (!map.offsets)
                return refuse_code(p, SF_ERR_NOMEM, "no memory");
        for (const char *cursor = text + 2;; cursor++) {
                if (!take_distance(&cursor, &distance) || (*cursor && *cursor != ','))
                        return refuse(p, "a map's offsets are hexadecimal distances separated by ','");
                if (map.count && distance < length)
                        return refuse(p, "occurrences of the prefix overlap in the map");
                if (__builtin_add_overflow(at, distance, &at) || at > size || size - at < length)
                        return refuse(p, "the map points outside the file");
                map.offsets[map.count++] = at;
                if (!*cursor)
                        break;
        }
        *ret = map;
        return 0;
}

static int parse_file(struct parser *p, char *rest)
{
        struct sf_entry entry = { .type = SF_ENTRY_FILE };

        if (!take_mode(&rest, &entry.mode))
                return refuse(p, "a file needs a mode like 0644, not writable for everybody");
        if (!take_number(&rest, SIZE_LIMIT, &entry.size) || !take_digest(&rest, &entry.digest))
                return refuse(p, "a file needs its size and its SHA-256");
        const char *map = take_field(&rest);
        if (!map)
                return refuse(p, "a file needs its relocation map");
        int r = parse_map(p, map, entry.size, &entry.map);
        if (r < 0)
                return r;
        entry.path = rest;
        return add_entry(p, &entry);
}

static int parse_symlink(struct parser *p, char *rest)
{
        struct sf_entry entry = { .type = SF_ENTRY_SYMLINK, .mode = 0777 };
        uint64_t length;

        if (!take_number(&rest, 4095, &length) || strlen(rest) <= length || rest[length] != ' ')
                return refuse(p, "a link needs the length of its target, the target and its path");
        rest[length] = '\0';
        entry.target = rest;
        entry.path = rest + length + 1;
        if (!sf_path_link_stays(entry.path, entry.target))
                return refuse(p, "link %s points to \"%.512s\", which may lie outside the prefix", entry.path,
                              entry.target);
        return add_entry(p, &entry);
}

/* The current layer must be used up before the next one starts. */
static int end_layer(struct parser *p)
{
        struct sf_filelist *list = p->list;

        if (list->layer_count == 0)
                return 0;
        const struct sf_layer *layer = &list->layers[list->layer_count - 1];
        if (layer->frame_count == 0 || p->layer_rest != 0)
                return refuse(p, "layer %s: its frames are %llu bytes short of its size", layer->name,
                              (unsigned long long)p->layer_rest);
        if (p->frame_rest < TAR_END)
                return refuse(p, "layer %s: its last frame has no room for the end of the archive", layer->name);
        return 0;
}

static int parse_layer(struct parser *p, char *rest)
{
        struct sf_filelist *list = p->list;
        struct sf_layer layer = { .name = take_field(&rest), .first_frame = list->frame_count };
        int r = end_layer(p);

        if (r < 0)
                return r;
        if (!layer.name || layer.name[strspn(layer.name, "abcdefghijklmnopqrstuvwxyz0123456789")])
                return refuse(p, "a layer needs a name of letters and digits");
        if (!take_number(&rest, SIZE_LIMIT, &layer.size) || !read_digest(rest, &layer.digest))
                return refuse(p, "a layer needs its size and its SHA-256");
        if (list->layer_count >= LAYERS_MAX)
                return refuse_code(p, SF_ERR_LIMIT, "more than %u layers", LAYERS_MAX);
        for (size_t i = 0; i < list->layer_count; i++)
                if (strcmp(list->layers[i].name, layer.name) == 0)
                        return refuse(p, "layer %s is listed twice", layer.name);
        p->layer_rest = layer.size;
        list->layers[list->layer_count++] = layer;
        return 0;
}

static int parse_frame(struct parser *p, char *rest)
{
        struct sf_filelist *list = p->list;
        struct sf_frame frame = { .first_entry = list->entry_count };

        if (list->layer_count == 0)
                return refuse(p, "a frame before the first layer");
        struct sf_layer *layer = &list->layers[list->layer_count - 1];
        if (!take_number(&rest, SIZE_LIMIT, &frame.size) || !take_number(&rest, SIZE_LIMIT, &frame.content_size) ||
            !read_digest(rest, &frame.digest))
                return refuse(p, "a frame needs its size, its content's size and its SHA-256");
        if (frame.size == 0 || frame.size > p->layer_rest)
                return refuse(p, "the frame is empty or reaches past the end of layer %s", layer->name);
        if (frame.content_size == 0 || frame.content_size % TAR_BLOCK)
                return refuse(p, "the frame does not hold whole tar blocks");
        frame.layer = (uint32_t)list->layer_count - 1;
        frame.offset = layer->size - p->layer_rest;
        p->layer_rest -= frame.size;
        p->frame_rest = frame.content_size;
        if (layer->frame_count++ == 0) {
                if (p->frame_rest < TAR_ROOT)
                        return refuse(p, "the first frame of layer %s has no room for its root directories",
                                      layer->name);
                p->frame_rest -= TAR_ROOT;
        }
        list->frames[list->frame_count++] = frame;
        return 0;
}

static bool starts_with(const char *line, const char *word)
{
        return strncmp(line, word, strlen(word)) == 0;
}

static int parse_line(struct parser *p, char *line)
{
        if (starts_with(line, "f "))
                return parse_file(p, line + 2);
        if (starts_with(line, "d "))
                return parse_directory(p, line + 2);
        if (starts_with(line, "l "))
                return parse_symlink(p, line + 2);
        if (starts_with(line, "frame "))
                return parse_frame(p, line + 6);
        if (starts_with(line, "layer "))
                return parse_layer(p, line + 6);
        return refuse(p, "\"%.64s\" starts no known kind of line", line);
}

/* The next line without its LF; NULL at the end. */
static char *next_line(struct parser *p)
{
        char *line = p->at;

        if (p->at == p->end)
                return NULL;
        char *end = memchr(line, '\n', (size_t)(p->end - line));
        *end = '\0';
        p->at = end + 1;
        p->line++;
        return line;
}

/* The three lines in front. */
static int parse_head(struct parser *p)
{
        struct sf_release_name name;
        uint64_t length;
        const char *line = next_line(p);

        if (!line || !starts_with(line, "sf-filelist "))
                return refuse(p, "not a file list");
        if (strcmp(line, "sf-filelist 1") != 0)
                return refuse_code(p, SF_ERR_UNSUPPORTED, "\"%.64s\" is a format this program does not know", line);
        line = next_line(p);
        if (!line || !starts_with(line, "release ") || sf_release_name_parse(line + 8, &name, NULL) < 0)
                return refuse(p, "the release's name is missing");
        p->list->release = line + 8;
        line = next_line(p);
        if (!line || !starts_with(line, "prefix ") || !read_number(line + 7, SF_FILELIST_PREFIX_MAX, &length) ||
            length < sizeof SF_CANONICAL_PREFIX - 1)
                return refuse(p, "the prefix's length is missing or not within %zu and %u",
                              sizeof SF_CANONICAL_PREFIX - 1, SF_FILELIST_PREFIX_MAX);
        p->list->prefix_length = (uint32_t)length;
        return 0;
}

/* Copies the text and makes room for as many lines of each kind as it can hold. */
static int prepare(struct parser *p, const char *text, size_t len)
{
        struct sf_filelist *list = p->list;
        size_t lines = 0, frames = 0;

        if (len > SF_FILELIST_TEXT_MAX)
                return refuse_code(p, SF_ERR_LIMIT, "%zu bytes is more than a file list may have", len);
        if (len == 0 || text[len - 1] != '\n' || memchr(text, '\0', len))
                return refuse(p, "not a text of whole lines");
        list->pool = sf_pool_new();
        p->at = list->pool ? sf_pool_copy(list->pool, text, len) : NULL;
        if (!p->at)
                return refuse_code(p, SF_ERR_NOMEM, "no memory");
        for (const char *at = p->at; *at; lines++) {
                frames += starts_with(at, "frame ");
                at = strchr(at, '\n') + 1;
        }
        if (lines > (size_t)2 * SF_FILELIST_ENTRIES_MAX)
                return refuse_code(p, SF_ERR_LIMIT, "%zu lines is more than a file list may have", lines);
        list->layers = sf_pool_alloc(list->pool, LAYERS_MAX, sizeof *list->layers);
        list->frames = sf_pool_alloc(list->pool, frames, sizeof *list->frames);
        list->entries = sf_pool_alloc(list->pool, lines - frames, sizeof *list->entries);
        if (!list->layers || !list->frames || !list->entries)
                return refuse_code(p, SF_ERR_NOMEM, "no memory");
        p->end = p->at + len;
        return 0;
}

int sf_filelist_parse(const char *name, const void *text, size_t len, struct sf_filelist *ret, struct sf_error *err)
{
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        struct parser p = { .list = &list, .name = name, .err = err };

        int r = prepare(&p, text, len);
        if (r == 0)
                r = parse_head(&p);
        for (char *line; r == 0 && (line = next_line(&p));)
                r = parse_line(&p, line);
        if (r == 0)
                r = list.layer_count ? end_layer(&p) : refuse(&p, "no layer is listed");
        if (r == 0)
                r = sf_filelist_index_paths(&list, name, err);
        if (r < 0)
                return r;
        sf_digest_of(text, len, &list.tree);
        *ret = list;
        list = (struct sf_filelist){ 0 };
        return 0;
}

void sf_filelist_free(struct sf_filelist *list)
{
        sf_pool_free(list->pool);
        *list = (struct sf_filelist){ 0 };
}
