/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/file_diff.c - see file_diff.h. */
#include "factory/rebuild/file_diff.h"

#include <ar.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "delta/image/sections.h"
#include "rpath/elf.h"

#define SHOWN       40 /* characters of a text that are quoted */
#define NAMES_SHOWN 8  /* sections or members that are named */

struct span {
        const uint8_t *data;
        size_t size;
};

/* One comparison: where its findings go. */
struct diff {
        struct sf_buffer *out;
        size_t start; /* of out before the first finding */
        size_t named;
};

static int begin_finding(struct diff *d, struct sf_error *err)
{
        d->named++;
        return d->out->len > d->start ? sf_buffer_puts(d->out, "; ", err) : 0;
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

static bool is_printable(uint8_t byte)
{
        return byte >= 0x20 && byte < 0x7f;
}

/* The printable text around a position. */
static int quote(struct span s, size_t at, struct sf_buffer *out, struct sf_error *err)
{
        size_t from = at < s.size ? at : s.size, to = from;

        while (from > 0 && is_printable(s.data[from - 1]) && at - from < SHOWN / 2)
                from--;
        while (to < s.size && is_printable(s.data[to]) && to - from < SHOWN)
                to++;
        return sf_buffer_printf(out, err, "\"%.*s\"", (int)(to - from), (const char *)s.data + from);
}

static size_t first_difference(struct span a, struct span b)
{
        size_t i = 0, least = a.size < b.size ? a.size : b.size;

        while (i < least && a.data[i] == b.data[i])
                i++;
        return i;
}

static size_t count_differences(struct span a, struct span b)
{
        size_t n = 0, least = a.size < b.size ? a.size : b.size;

        for (size_t i = 0; i < least; i++)
                n += a.data[i] != b.data[i];
        return n;
}

static bool is_same(struct span a, struct span b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* `base`: where the spans begin in their files. */
static int describe_bytes(struct diff *d, struct span a, struct span b, size_t base, struct sf_error *err)
{
        size_t at = first_difference(a, b);
        bool text = (at < a.size && is_printable(a.data[at])) || (at < b.size && is_printable(b.data[at]));
        int r;

        if (a.size != b.size)
                r = sf_buffer_printf(d->out, err, "%zu bytes long instead of %zu, different from 0x%zx on", b.size,
                                     a.size, base + at);
        else
                r = sf_buffer_printf(d->out, err, "%zu bytes from 0x%zx on", count_differences(a, b), base + at);
        if (r < 0 || !text)
                return r;
        if ((r = sf_buffer_puts(d->out, ": ", err)) < 0 || (r = quote(b, at, d->out, err)) < 0 ||
            (r = sf_buffer_puts(d->out, " instead of ", err)) < 0)
                return r;
        return quote(a, at, d->out, err);
}

/* --- ELF -------------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct sf_sections *sections, const struct sf_section *s)
{
        return sections->names && s->name < sections->names_size &&
                               memchr(sections->names + s->name, '\0', sections->names_size - s->name)
                       ? sections->names + s->name
                       : "";
}

static struct span content_of(struct span file, const struct sf_section *s)
{
        return s->type == SHT_NOBITS || !s->size ? (struct span){ file.data, 0 }
                                                 : (struct span){ file.data + s->position, s->size };
}

static int diff_section(struct diff *d, struct span a, struct span b, const char *name, size_t base,
                        struct sf_error *err)
{
        int r;

        if (is_same(a, b))
                return 0;
        if (d->named >= NAMES_SHOWN) {
                d->named++;
                return 0;
        }
        if ((r = begin_finding(d, err)) < 0 || (r = sf_buffer_printf(d->out, err, "section %s: ", name)) < 0)
                return r;
        return describe_bytes(d, a, b, base, err);
}

static int note_lone_section(struct diff *d, const char *name, const char *which, struct sf_error *err)
{
        int r = begin_finding(d, err);

        return r < 0 ? r : sf_buffer_printf(d->out, err, "section %s is in the %s file only", name, which);
}

static int diff_sections(struct diff *d, struct span a, struct span b, struct sf_error *err)
{
        struct sf_sections in_a, in_b;
        int r = 0;

        sf_sections_read(a.data, a.size, &in_a);
        sf_sections_read(b.data, b.size, &in_b);
        for (size_t i = 0; i < in_a.count && r == 0; i++) {
                const char *name = name_of(&in_a, &in_a.list[i]);
                /* Objects have many sections of one name: then the same place counts. */
                const struct sf_section *other = i < in_b.count && strcmp(name_of(&in_b, &in_b.list[i]), name) == 0
                                                         ? &in_b.list[i]
                                                         : sf_sections_find(&in_b, name);

                if (!*name)
                        continue;
                r = other ? diff_section(d, content_of(a, &in_a.list[i]), content_of(b, other), name,
                                         in_a.list[i].position, err)
                          : note_lone_section(d, name, "first", err);
        }
        for (size_t i = 0; i < in_b.count && r == 0; i++)
                if (*name_of(&in_b, &in_b.list[i]) && !sf_sections_find(&in_a, name_of(&in_b, &in_b.list[i])))
                        r = note_lone_section(d, name_of(&in_b, &in_b.list[i]), "second", err);
        if (r == 0 && d->named > NAMES_SHOWN)
                r = sf_buffer_printf(d->out, err, "; and %zu more sections", d->named - NAMES_SHOWN);
        return r;
}

/* --- archives and compressed files ------------------------------------------------------------------------------ */

static int diff_any(struct diff *d, struct span a, struct span b, struct sf_error *err);

/* The next member of an ar archive; false at the end or where it is damaged. */
static bool next_member(struct span file, size_t *at, struct span *header, struct span *content)
{
        struct ar_hdr h;
        char size[sizeof h.ar_size + 1] = "";

        if (*at >= file.size || file.size - *at < sizeof h)
                return false;
        memcpy(&h, file.data + *at, sizeof h);
        memcpy(size, h.ar_size, sizeof h.ar_size);
        *header = (struct span){ file.data + *at, sizeof h };
        *content = (struct span){ file.data + *at + sizeof h, strtoul(size, NULL, 10) };
        if (content->size > file.size - *at - sizeof h)
                return false;
        *at += sizeof h + content->size + (content->size & 1);
        return true;
}

/* "main.o/         " is main.o; "/" alone is the table of symbols, "//" that of long names. */
static int name_member(struct sf_buffer *out, const struct span *header, struct sf_error *err)
{
        const char *name = (const char *)header->data;
        size_t length = 0;

        if (name[0] == '/' && !isdigit((unsigned char)name[1]))
                return sf_buffer_puts(out, name[1] == '/' ? "table of names: " : "table of symbols: ", err);
        while (length < 16 && name[length] != ' ' && (length == 0 || name[length] != '/'))
                length++;
        return sf_buffer_printf(out, err, "member %.*s: ", (int)length, name);
}

static int diff_archive(struct diff *d, struct span a, struct span b, struct sf_error *err)
{
        size_t at_a = SARMAG, at_b = SARMAG;
        struct span head_a, head_b, in_a, in_b;
        int r = 0;

        while (r == 0 && d->named < NAMES_SHOWN && next_member(a, &at_a, &head_a, &in_a) &&
               next_member(b, &at_b, &head_b, &in_b)) {
                if (is_same(in_a, in_b) && is_same(head_a, head_b))
                        continue;
                if ((r = begin_finding(d, err)) < 0 || (r = name_member(d->out, &head_a, err)) < 0)
                        return r;
                if (is_same(in_a, in_b)) {
                        r = sf_buffer_puts(d->out, "time, owner or mode in its header", err);
                        continue;
                }
                struct diff inner = { .out = d->out, .start = d->out->len };
                r = diff_any(&inner, in_a, in_b, err);
        }
        return r;
}

#define GZIP_HEADER 10

static bool is_gzip(struct span s)
{
        return s.size > GZIP_HEADER && s.data[0] == 0x1f && s.data[1] == 0x8b;
}

/* --- text ------------------------------------------------------------------------------------------------------- */

static bool is_text(struct span s)
{
        return s.size == 0 || !memchr(s.data, '\0', s.size);
}

static int diff_text(struct diff *d, struct span a, struct span b, struct sf_error *err)
{
        size_t at = first_difference(a, b), line = 1;
        int r;

        for (size_t i = 0; i < at; i++)
                line += a.data[i] == '\n';
        if ((r = begin_finding(d, err)) < 0 || (r = sf_buffer_printf(d->out, err, "line %zu: ", line)) < 0 ||
            (r = quote(b, at, d->out, err)) < 0 || (r = sf_buffer_puts(d->out, " instead of ", err)) < 0)
                return r;
        return quote(a, at, d->out, err);
}

/* --- any -------------------------------------------------------------------------------------------------------- */

static int diff_any(struct diff *d, struct span a, struct span b, struct sf_error *err)
{
        int r;

        if (is_same(a, b))
                return 0;
        if (sf_elf_is(a.data, a.size) && sf_elf_is(b.data, b.size) && a.size > EI_NIDENT && b.size > EI_NIDENT) {
                if ((r = diff_sections(d, a, b, err)) < 0 || d->out->len > d->start)
                        return r;
                /* Headers, padding, or no usable section headers. */
                if ((r = begin_finding(d, err)) < 0 || (r = sf_buffer_puts(d->out, "outside of sections: ", err)) < 0)
                        return r;
                return describe_bytes(d, a, b, 0, err);
        }
        if (a.size > SARMAG && b.size > SARMAG && memcmp(a.data, ARMAG, SARMAG) == 0 &&
            memcmp(b.data, ARMAG, SARMAG) == 0) {
                if ((r = diff_archive(d, a, b, err)) < 0 || d->out->len > d->start)
                        return r;
        } else if (is_gzip(a) && is_gzip(b) && memcmp(a.data, b.data, GZIP_HEADER) != 0) {
                return sf_buffer_puts(d->out, "gzip header: time or flags", err);
        } else if (is_text(a) && is_text(b)) {
                return diff_text(d, a, b, err);
        }
        if ((r = begin_finding(d, err)) < 0)
                return r;
        return describe_bytes(d, a, b, 0, err);
}

int sf_file_diff(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size,
                 struct sf_buffer *ret, struct sf_error *err)
{
        struct diff d = { .out = ret, .start = ret->len };

        return diff_any(&d, (struct span){ first, first_size }, (struct span){ second, second_size }, err);
}
