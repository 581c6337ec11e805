/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/linker_tables.c - see linker_tables.h. */
#include "delta/codec/linker_tables.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/image/image.h"
#include "delta/image/sections.h"

#define EHDR_BYTES   64
#define PHDR_BYTES   56
#define INDEX_HEADER "\x01\x1b\x03\x3b" /* version, encodings of frame pointer, count and table */
#define INDEX_KEPT   8                  /* that and the place of .eh_frame */
#define INDEX_TABLE  12
#define HASH_KEPT    16
#define HASH_WORK    8 /* bytes of names that may be hashed for each byte of a file */

/* A table as it should be. */
struct table {
        uint64_t position, size; /* of the bytes to be replaced */
        uint8_t *content;        /* owned */
};

static void cleanup_table(struct table *t)
{
        free(t->content);
}

static int make_room(struct table *t, struct sf_error *err)
{
        t->content = calloc(t->size + 1, 1);
        return t->content ? 0
                          : sf_error_set(err, SF_ERR_NOMEM, "no memory for a table of %llu bytes",
                                         (unsigned long long)t->size);
}

static void or64(uint8_t *at, uint64_t bits)
{
        for (unsigned i = 0; i < 8; i++)
                at[i] |= (uint8_t)(bits >> (8 * i));
}

/* --- .eh_frame_hdr ---------------------------------------------------------------------------------------------- */

/* A function in the index. */
struct function {
        uint64_t first, description; /* addresses of its first instruction and its frame description */
};

static int compare_functions(const void *a, const void *b)
{
        const struct function *x = a, *y = b;

        if (x->first != y->first)
                return x->first < y->first ? -1 : 1;
        return (x->description > y->description) - (x->description < y->description);
}

/* The functions that frame descriptions from `at` on describe; at most `room` are kept, all are counted. */
static uint64_t list_functions(const uint8_t *data, uint64_t size, const struct sf_image *image, uint64_t at,
                               struct function *functions, uint64_t room)
{
        uint64_t count = 0;

        while (at < size && size - at >= 12) {
                uint32_t length = sf_get32(data + at), back = sf_get32(data + at + 4);

                if (length < 8 || length > size - at - 4)
                        break;
                if (back) { /* else it is a common entry */
                        uint64_t address = sf_image_address(image, at);
                        int32_t first = (int32_t)sf_get32(data + at + 8);

                        if (count < room)
                                functions[count] = (struct function){ address + 8 + (uint64_t)(int64_t)first, address };
                        count++;
                }
                at += (uint64_t)length + 4;
        }
        return count;
}

/* Where the program headers say the index is; false where there is none of the usual form. */
static bool find_index(const uint8_t *data, uint64_t size, uint64_t *ret_position, uint64_t *ret_size)
{
        for (uint64_t at = EHDR_BYTES; at + PHDR_BYTES <= sf_image_headers(data, size) && at + PHDR_BYTES <= size;
             at += PHDR_BYTES) {
                uint64_t position = sf_get64(data + at + offsetof(Elf64_Phdr, p_offset));
                uint64_t length = sf_get64(data + at + offsetof(Elf64_Phdr, p_filesz));

                if (sf_get32(data + at) != PT_GNU_EH_FRAME || position > size || length > size - position ||
                    length < INDEX_TABLE)
                        continue;
                *ret_position = position;
                *ret_size = length;
                return memcmp(data + position, INDEX_HEADER, 4) == 0;
        }
        return false;
}

/* 1 where the table could be computed, 0 where not. */
static int compute_index(const uint8_t *data, uint64_t size, struct table *t, struct sf_error *err)
{
        struct sf_image image;
        uint64_t position, length, frames;

        sf_image_open(data, size, &image);
        if (!image.elf || !find_index(data, size, &position, &length))
                return 0;
        uint64_t base = sf_image_address(&image, position), room = (length - INDEX_TABLE) / 8;
        int32_t way = (int32_t)sf_get32(data + position + 4);
        if (!sf_image_position(&image, base + 4 + (uint64_t)(int64_t)way, &frames))
                return 0;
        _cleanup_free_ struct function *functions = calloc(room + 1, sizeof *functions);
        if (!functions)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for an index of %llu functions",
                                    (unsigned long long)room);
        if (list_functions(data, size, &image, frames, functions, room) != room || length != INDEX_TABLE + 8 * room)
                return 0;
        if (room)
                qsort(functions, room, sizeof *functions, compare_functions);
        t->position = position + INDEX_KEPT;
        t->size = length - INDEX_KEPT;
        int r = make_room(t, err);
        if (r < 0)
                return r;
        sf_put32(t->content, (uint32_t)room);
        for (uint64_t i = 0; i < room; i++) {
                sf_put32(t->content + 4 + 8 * i, (uint32_t)(functions[i].first - base));
                sf_put32(t->content + 8 + 8 * i, (uint32_t)(functions[i].description - base));
        }
        return 1;
}

/* --- .gnu.hash -------------------------------------------------------------------------------------------------- */

/* The hash of the name at `offset`, which ends at the end of the strings at the latest, or where *work, the bytes
 * that may still be hashed, is used up. */
static uint32_t hash_name(const uint8_t *strings, uint64_t size, uint64_t offset, uint64_t *work)
{
        uint32_t h = 5381;

        for (; *work && offset < size && strings[offset]; offset++, --*work)
                h = h * 33 + strings[offset];
        return h;
}

/* What the header of the table says, and where its parts are. */
struct hash {
        uint32_t buckets, first, words, shift; /* first: number of the first symbol that is hashed */
        uint64_t count;                        /* hashed symbols */
        const uint8_t *symbols, *strings;
        uint64_t strings_size;
};

static bool read_hash(const uint8_t *data, const struct sf_sections *sections, const struct sf_section *s,
                      struct hash *h)
{
        const struct sf_section *symbols = s->link < sections->count ? &sections->list[s->link] : NULL;
        const struct sf_section *strings = symbols && symbols->link < sections->count ? &sections->list[symbols->link]
                                                                                      : NULL;

        if (!strings || s->size < HASH_KEPT || symbols->type != SHT_DYNSYM || strings->type != SHT_STRTAB)
                return false;
        const uint8_t *header = data + s->position;
        uint64_t count = symbols->size / sizeof(Elf64_Sym);
        *h = (struct hash){ .buckets = sf_get32(header),
                            .first = sf_get32(header + 4),
                            .words = sf_get32(header + 8),
                            .shift = sf_get32(header + 12),
                            .symbols = data + symbols->position,
                            .strings = data + strings->position,
                            .strings_size = strings->size };
        if (!h->buckets || !h->words || h->shift > 31 || h->first > count)
                return false;
        h->count = count - h->first;
        return s->size == HASH_KEPT + 8 * (uint64_t)h->words + 4 * (uint64_t)h->buckets + 4 * h->count;
}

/* False where it takes too long: all names may be the same long one. */
static bool fill_hash(const struct hash *h, uint8_t *content, uint64_t work)
{
        uint8_t *buckets = content + 8 * (uint64_t)h->words, *chains = buckets + 4 * (uint64_t)h->buckets;
        uint32_t last = 0;

        for (uint64_t i = 0; i < h->count; i++) {
                uint32_t name = sf_get32(h->symbols + (h->first + i) * sizeof(Elf64_Sym));
                uint32_t hash = hash_name(h->strings, h->strings_size, name, &work), bucket = hash % h->buckets;

                or64(content + 8 * (uint64_t)(hash / 64 % h->words),
                     UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> h->shift & 63));
                if (i == 0 || bucket != last)
                        sf_put32(buckets + 4 * (uint64_t)bucket, (uint32_t)(h->first + i));
                if (i && bucket != last)
                        chains[4 * (i - 1)] |= 1; /* the symbol before was the last one of its bucket */
                sf_put32(chains + 4 * i, hash & ~UINT32_C(1));
                last = bucket;
        }
        if (h->count)
                chains[4 * (h->count - 1)] |= 1;
        return work > 0;
}

static int compute_hash(const uint8_t *data, uint64_t size, struct table *t, struct sf_error *err)
{
        struct sf_sections sections;
        struct hash h;

        if (size < EHDR_BYTES || memcmp(data, ELFMAG, SELFMAG) != 0 || data[EI_CLASS] != ELFCLASS64 ||
            data[EI_DATA] != ELFDATA2LSB)
                return 0;
        sf_sections_read(data, size, &sections);
        for (size_t i = 0; i < sections.count; i++) {
                const struct sf_section *s = &sections.list[i];

                if (s->type != SHT_GNU_HASH || !read_hash(data, &sections, s, &h))
                        continue;
                t->position = s->position + HASH_KEPT;
                t->size = s->size - HASH_KEPT;
                int r = make_room(t, err);
                if (r < 0)
                        return r;
                return fill_hash(&h, t->content, HASH_WORK * size);
        }
        return 0;
}

/* --- both ------------------------------------------------------------------------------------------------------- */

typedef int compute_table(const uint8_t *data, uint64_t size, struct table *t, struct sf_error *err);

static compute_table *const computers[SF_LINKER_TABLE_KINDS] = { compute_index, compute_hash };

uint64_t sf_linker_tables_memory(uint64_t size)
{
        /* a table, the same again, what it is computed from and sorted with: none is larger than the file */
        return 4 * (size + sizeof(struct function));
}

int sf_linker_tables_blank(uint8_t *data, uint64_t size, unsigned *ret, struct sf_error *err)
{
        *ret = 0;
        for (unsigned i = 0; i < SF_LINKER_TABLE_KINDS; i++) {
                _cleanup_(cleanup_table) struct table t = { 0 };
                int r = computers[i](data, size, &t, err);

                if (r < 0)
                        return r;
                if (r == 0 || memcmp(data + t.position, t.content, t.size) != 0)
                        continue;
                memset(data + t.position, 0, t.size);
                /* In a file made for it, one table may lie in what another is computed from. */
                _cleanup_(cleanup_table) struct table again = { 0 };
                r = computers[i](data, size, &again, err);
                if (r < 0)
                        return r;
                if (r == 1 && again.position == t.position && again.size == t.size &&
                    memcmp(again.content, t.content, t.size) == 0)
                        *ret |= 1u << i;
                else
                        memcpy(data + t.position, t.content, t.size);
        }
        return 0;
}

int sf_linker_tables_restore(uint8_t *data, uint64_t size, unsigned which, struct sf_error *err)
{
        /* In the opposite order, so that each sees the file as it was blanked. */
        for (unsigned i = SF_LINKER_TABLE_KINDS; i-- > 0;) {
                _cleanup_(cleanup_table) struct table t = { 0 };
                int r = which & 1u << i ? computers[i](data, size, &t, err) : 0;

                if (r < 0)
                        return r;
                if (r > 0)
                        memcpy(data + t.position, t.content, t.size);
        }
        return 0;
}

int sf_blanked_copy(const struct sf_delta_files *files, bool blank, struct sf_blanked *ret, struct sf_error *err)
{
        _cleanup_(sf_blanked_free) struct sf_blanked b = { 0 };
        uint64_t size = sf_delta_files_size(files);

        b.bytes = malloc(size + 1);
        b.files = calloc(files->count + 1, sizeof *b.files);
        b.which = calloc(files->count + 1, sizeof *b.which);
        if (!b.bytes || !b.files || !b.which)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a copy of %llu bytes", (unsigned long long)size);
        if (size)
                memcpy(b.bytes, sf_delta_files_bytes(files), size);
        uint8_t *at = b.bytes;
        for (; b.count < files->count; b.count++) {
                int r = blank ? sf_linker_tables_blank(at, files->files[b.count].size, &b.which[b.count], err) : 0;

                if (r < 0)
                        return r;
                b.files[b.count] = files->files[b.count];
                b.files[b.count].data = at;
                at += files->files[b.count].size;
        }
        *ret = b;
        b = (struct sf_blanked){ 0 };
        return 0;
}

void sf_blanked_free(struct sf_blanked *b)
{
        free(b->bytes);
        free(b->files);
        free(b->which);
        *b = (struct sf_blanked){ 0 };
}

uint64_t sf_blanked_memory(const struct sf_delta_files *files)
{
        return sf_delta_files_size(files) + 1 + (files->count + 1) * (sizeof(struct sf_delta_file) + sizeof(unsigned));
}
