/* SPDX-License-Identifier: Apache-2.0 */
/* release/version.c - see version.h. Versions and release names come from users, directories and signed files alike, so
 * both are read strictly: what is accepted here is safe as a file name and in a URL. */
#include "release/version.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

const struct sf_window_row sf_window_builtin[] = {
        { "26.05", { "25.11", "25.05", "24.11" } },
        { "25.11", { "25.05", "24.11", "24.05" } },
        { "25.05", { "24.11", "24.05", "23.11" } },
        { "24.11", { "24.05", "23.11", "23.02" } },
        { "24.05", { "23.11", "23.02" } },
        { "23.11", { "23.02", "22.05" } },
        { "23.02", { "22.05", "21.08" } },
        { "22.05", { "21.08", "20.11" } },
        { "", { "" } },
};

/* One number of at most four digits. */
static bool take_number(const char **cursor, unsigned *ret)
{
        unsigned value = 0;
        int digits = 0;

        for (; isdigit((unsigned char)**cursor); (*cursor)++) {
                if (++digits > 4)
                        return false;
                value = value * 10 + (unsigned)(**cursor - '0');
        }
        *ret = value;
        return digits > 0;
}

static bool is_part_byte(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '+' || c == '_';
}

/* "rc1": a letter, then anything a part of a release name may hold. */
static bool take_suffix(const char *text, char *out, size_t room)
{
        size_t len = strlen(text);

        if (len >= room || (len && !(text[0] >= 'a' && text[0] <= 'z')))
                return false;
        for (size_t i = 0; i < len; i++)
                if (!is_part_byte(text[i]))
                        return false;
        memcpy(out, text, len + 1);
        return true;
}

/* "-2" or "-0rc1": how often SchedMD released this version, and before its release a candidate. */
static bool take_build(const char **cursor, struct sf_version *v)
{
        if (**cursor != '-')
                return true;
        (*cursor)++;
        /* 24.11.5-1 and 24.11.5-02 would be second names. */
        if ((*cursor)[0] == '0' && isdigit((unsigned char)(*cursor)[1]))
                return false;
        return take_number(cursor, &v->build) && v->build != 1;
}

int sf_version_parse(const char *text, struct sf_version *ret, struct sf_error *err)
{
        struct sf_version v = { .build = 1 };
        const char *cursor = text;

        if (!take_number(&cursor, &v.major) || *cursor++ != '.' || !take_number(&cursor, &v.minor))
                goto refuse;
        if (*cursor == '.') {
                cursor++;
                /* 24.11.05 would be a second name for 24.11.5 */
                if ((cursor[0] == '0' && isdigit((unsigned char)cursor[1])) || !take_number(&cursor, &v.micro))
                        goto refuse;
                v.has_micro = true;
                if (!take_build(&cursor, &v))
                        goto refuse;
        }
        if (!take_suffix(cursor, v.suffix, sizeof v.suffix))
                goto refuse;
        /* What packages call 25.11.0rc1 is Slurm's 25.11.0-0rc1. */
        if (v.suffix[0] && v.build == 1)
                v.build = 0;
        *ret = v;
        return 0;
refuse:
        return sf_error_set(err, SF_ERR_USAGE,
                            "\"%.64s\" is not a Slurm version like 24.11.5, 25.11.1-2 or 25.11.0-0rc1", text);
}

static int compare_numbers(unsigned a, unsigned b)
{
        return (a > b) - (a < b);
}

int sf_version_compare(const struct sf_version *a, const struct sf_version *b)
{
        int order = compare_numbers(a->major, b->major);

        if (!order)
                order = compare_numbers(a->minor, b->minor);
        if (!order)
                order = compare_numbers(a->micro, b->micro);
        if (!order)
                order = compare_numbers(a->build, b->build);
        if (order)
                return order;
        if (!a->suffix[0] || !b->suffix[0])
                return (a->suffix[0] == '\0') - (b->suffix[0] == '\0');
        return strverscmp(a->suffix, b->suffix);
}

bool sf_version_is_same(const char *a, const char *b)
{
        struct sf_version va, vb;

        if (strcmp(a, b) == 0)
                return true;
        return sf_version_parse(a, &va, NULL) == 0 && sf_version_parse(b, &vb, NULL) == 0 &&
               va.has_micro == vb.has_micro && sf_version_compare(&va, &vb) == 0;
}

bool sf_version_same_series(const struct sf_version *a, const struct sf_version *b)
{
        return a->major == b->major && a->minor == b->minor;
}

void sf_version_series(const char *text, char out[8])
{
        struct sf_version v;

        *out = '\0';
        if (*text && sf_version_parse(text, &v, NULL) == 0 && v.major < 1000 && v.minor < 100)
                snprintf(out, 8, "%u.%02u", v.major, v.minor);
}

int sf_version_compare_series(const char *a, const char *b)
{
        struct sf_version left, right;

        if (sf_version_parse(a, &left, NULL) < 0 || sf_version_parse(b, &right, NULL) < 0)
                return 0;
        int order = compare_numbers(left.major, right.major);
        return order ? order : compare_numbers(left.minor, right.minor);
}

/* Copies the next part of a release name, up to a '-' or (the last one) to the end. */
static bool take_part(const char **cursor, bool last, char *out, size_t room)
{
        size_t len = last ? strlen(*cursor) : strcspn(*cursor, "-");

        if (len == 0 || len >= room || !isalnum((unsigned char)**cursor))
                return false;
        for (size_t i = 0; i < len; i++)
                if (!is_part_byte((*cursor)[i]) && !(last && (*cursor)[i] == '-'))
                        return false;
        memcpy(out, *cursor, len);
        out[len] = '\0';
        *cursor += len;
        return true;
}

/* "-2" or "-0rc1" behind a version; never a toolchain, whose names say more than that. 0 where there is none. */
static size_t build_length(const char *text)
{
        size_t len = 1, digits;

        if (text[0] != '-' || (digits = strspn(text + len, "0123456789")) == 0)
                return 0;
        len += digits;
        if (strncmp(text + len, "rc", 2) == 0 && (digits = strspn(text + len + 2, "0123456789")) > 0)
                len += 2 + digits;
        return text[len] == '-' || text[len] == '\0' ? len : 0;
}

size_t sf_release_name_version_length(const char *text)
{
        size_t len = strcspn(text, "-");
        char room[48];
        struct sf_version version;

        len += build_length(text + len);
        if (len >= sizeof room)
                return 0;
        memcpy(room, text, len);
        room[len] = '\0';
        return sf_version_parse(room, &version, NULL) == 0 && version.has_micro ? len : 0;
}

static bool take_version(const char **cursor, char *out, size_t room)
{
        size_t len = sf_release_name_version_length(*cursor);

        if (len == 0 || len >= room)
                return false;
        memcpy(out, *cursor, len);
        out[len] = '\0';
        *cursor += len;
        return true;
}

int sf_release_name_parse(const char *text, struct sf_release_name *ret, struct sf_error *err)
{
        struct sf_release_name name = { 0 };
        const char *cursor = text;

        if (strlen(text) >= sizeof name.text || !take_version(&cursor, name.version, sizeof name.version) ||
            *cursor++ != '-' || !take_part(&cursor, false, name.toolchain, sizeof name.toolchain) || *cursor++ != '-' ||
            !take_part(&cursor, false, name.arch, sizeof name.arch))
                goto refuse;
        if (*cursor && (*cursor++ != '-' || !take_part(&cursor, true, name.build, sizeof name.build)))
                goto refuse;
        strcpy(name.text, text);
        *ret = name;
        return 0;
refuse:
        return sf_error_set(
                err, SF_ERR_USAGE,
                "\"%.160s\" is not a release name like 24.11.5-bookworm-amd64 (version-toolchain-arch[-build])", text);
}

int sf_release_name_make(const char *version, const char *toolchain, const char *arch, const char *build,
                         struct sf_release_name *ret, struct sf_error *err)
{
        bool has_build = build && *build;
        _cleanup_free_ char *text = sf_format("%s-%s-%s%s%s", version, toolchain, arch, has_build ? "-" : "",
                                              has_build ? build : "");
        struct sf_release_name name;

        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a release name");
        int r = sf_release_name_parse(text, &name, err);
        if (r < 0)
                return r;
        /* a '-' inside one of the other parts would have moved the borders */
        if (strcmp(name.version, version) != 0 || strcmp(name.toolchain, toolchain) != 0 ||
            strcmp(name.arch, arch) != 0)
                return sf_error_set(err, SF_ERR_USAGE, "the toolchain and architecture in \"%s\" must not hold '-'",
                                    text);
        *ret = name;
        return 0;
}

static struct sf_version version_of(const struct sf_release_name *name)
{
        struct sf_version version = { 0 };

        sf_version_parse(name->version, &version, NULL); /* was accepted when the name was read */
        return version;
}

int sf_release_name_compare(const struct sf_release_name *a, const struct sf_release_name *b)
{
        struct sf_version va = version_of(a), vb = version_of(b);
        int order = sf_version_compare(&vb, &va);

        return order ? order : strcmp(a->text, b->text);
}

/* True where `wanted` (what a user typed) names `name`: the whole name, or its leading parts up to a '-' or '.'
 * ("25.11.6", "25.11", "25.11.6-noble"), or its version as a package writes it ("25.11.0rc1" for 25.11.0-0rc1). */
static bool name_matches(const struct sf_release_name *name, const char *wanted)
{
        size_t len = strlen(wanted);

        return len > 0 && ((strncmp(name->text, wanted, len) == 0 && strchr("-.", name->text[len]) != NULL) ||
                           sf_version_is_same(name->version, wanted));
}

bool sf_release_name_is_exact(const char *wanted, const char *name, const char *version)
{
        size_t len = strlen(wanted);

        /* 25.11.1-2 is a version, not a part of 25.11.1's name. */
        return sf_version_is_same(wanted, version) ||
               (len > strlen(version) && strncmp(name, wanted, len) == 0 && (!name[len] || name[len] == '-'));
}

/* What a user typed: "25.11.1" is itself where it is on offer, and else 25.11.1-2. */
static bool is_meant(const struct sf_release_name *names, size_t count, const char *wanted, size_t i)
{
        bool exact = false;

        if (!name_matches(&names[i], wanted))
                return false;
        for (size_t k = 0; k < count && !exact; k++)
                exact = sf_version_is_same(names[k].version, wanted);
        return !exact || sf_version_is_same(names[i].version, wanted);
}

static int ambiguous(const struct sf_release_name *names, size_t count, const char *wanted,
                     const struct sf_version *newest, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer list = SF_BUFFER_INIT;

        for (size_t i = 0; i < count; i++) {
                struct sf_version version = version_of(&names[i]);
                if (!is_meant(names, count, wanted, i) || sf_version_compare(&version, newest) != 0)
                        continue;
                int r = sf_buffer_printf(&list, err, "%s%s", list.len ? ", " : "", names[i].text);
                if (r < 0)
                        return r;
        }
        return sf_error_set(err, SF_ERR_USAGE, "\"%s\" may mean any of %s", wanted, sf_buffer_text(&list));
}

int sf_release_name_choose(const struct sf_release_name *names, size_t count, const char *wanted, size_t *ret_index,
                           struct sf_error *err)
{
        struct sf_version newest = { 0 };
        size_t matches = 0, best = 0;

        for (size_t i = 0; i < count; i++) {
                if (strcmp(names[i].text, wanted) == 0) {
                        *ret_index = i;
                        return 0;
                }
                if (!is_meant(names, count, wanted, i))
                        continue;
                struct sf_version version = version_of(&names[i]);
                int order = matches ? sf_version_compare(&version, &newest) : 1;
                if (order > 0) {
                        newest = version;
                        best = i;
                        matches = 1;
                } else if (order == 0) {
                        matches++;
                }
        }
        if (matches == 0)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "no release matches \"%.160s\"", wanted);
        if (matches > 1)
                return ambiguous(names, count, wanted, &newest, err);
        *ret_index = best;
        return 0;
}

bool sf_window_accepts(const struct sf_window_row *rows, const struct sf_version *server,
                       const struct sf_version *client)
{
        char series[16], peer[16];

        snprintf(series, sizeof series, "%u.%02u", server->major, server->minor);
        snprintf(peer, sizeof peer, "%u.%02u", client->major, client->minor);
        for (const struct sf_window_row *row = rows; row->series[0]; row++) {
                if (strcmp(row->series, series) != 0)
                        continue;
                if (strcmp(series, peer) == 0)
                        return true;
                for (size_t i = 0; i < sizeof row->peers / sizeof *row->peers && row->peers[i][0]; i++)
                        if (strcmp(row->peers[i], peer) == 0)
                                return true;
        }
        return false;
}
