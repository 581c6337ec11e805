/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufdelegation.c - who may speak for a path: patterns, hash prefixes, hashed bins, and the order of the search. */
#include "tuf/tufdelegation.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/digest.h"

/* --- path patterns --------------------------------------------------------------------------------------------- */

/* One step over a UTF-8 character (a stray byte counts as one). */
static const char *next_char(const char *c)
{
        c++;
        while (((unsigned char)*c & 0xc0) == 0x80)
                c++;
        return c;
}

/* The set at `pattern` ("[...]"): its end, or NULL where the bracket never closes and so is a plain character. */
static const char *set_end(const char *pattern)
{
        const char *c = pattern + 1;

        if (*c == '!')
                c++;
        if (*c == ']')
                c++;
        while (*c && *c != ']')
                c++;
        return *c ? c : NULL;
}

static bool set_holds(const char *pattern, const char *end, unsigned char wanted)
{
        const char *c = pattern + 1;
        bool negated = *c == '!', found = false;

        for (c += negated; c < end; c++) {
                if (c + 2 < end && c[1] == '-') {
                        found = found || ((unsigned char)*c <= wanted && wanted <= (unsigned char)c[2]);
                        c += 2;
                } else {
                        found = found || (unsigned char)*c == wanted;
                }
        }
        return found != negated;
}

/* Matches one element of the pattern that is not '*'; advances both. */
static bool match_one(const char **pattern, const char **path)
{
        const char *p = *pattern, *end;

        if (**path == '\0' || *p == '\0')
                return false;
        if (*p == '?') {
                if (**path == '/')
                        return false;
                *pattern = p + 1;
                *path = next_char(*path);
                return true;
        }
        if (*p == '[' && (end = set_end(p))) {
                if (**path == '/' || !set_holds(p, end, (unsigned char)**path))
                        return false;
                *pattern = end + 1;
                *path = next_char(*path);
                return true;
        }
        if (*p != **path)
                return false;
        ++*pattern;
        ++*path;
        return true;
}

/* Only the last star ever needs to take more: time grows with the product of the lengths, never exponentially. */
bool sf_tufpath_matches(const char *pattern, const char *path)
{
        const char *star = NULL, *star_path = NULL;

        while (*path) {
                if (*pattern == '*') {
                        star = ++pattern;
                        star_path = path;
                } else if (match_one(&pattern, &path)) {
                        continue;
                } else if (star && *star_path != '/') {
                        pattern = star;
                        path = ++star_path;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return *pattern == '\0';
}

/* --- does a delegation cover a path? --------------------------------------------------------------------------- */

static bool covers(const json_t *role, const char *path, const char *hex)
{
        const json_t *patterns = json_object_get(role, "paths");
        const json_t *prefixes = json_object_get(role, "path_hash_prefixes");
        const json_t *element;
        size_t i;

        json_array_foreach ((json_t *)patterns, i, element)
                if (sf_tufpath_matches(json_string_value(element), path))
                        return true;
        json_array_foreach ((json_t *)prefixes, i, element)
                if (strncmp(hex, json_string_value(element), json_string_length(element)) == 0)
                        return true;
        return false;
}

/* name_prefix-<bin>: the first bit_length bits of the path's SHA-256, in as many digits as the last bin needs. */
static char *bin_name(const json_t *succinct, const struct sf_digest *digest)
{
        unsigned bits = (unsigned)json_integer_value(json_object_get(succinct, "bit_length"));
        uint32_t head = (uint32_t)digest->bytes[0] << 24 | (uint32_t)digest->bytes[1] << 16 |
                        (uint32_t)digest->bytes[2] << 8 | digest->bytes[3];

        return sf_format("%s-%0*x", json_string_value(json_object_get(succinct, "name_prefix")), (int)(bits + 3) / 4,
                         head >> (32 - bits));
}

/* --- the walk -------------------------------------------------------------------------------------------------- */

int sf_tufwalk_init(struct sf_tufwalk *walk, const char *path, struct sf_error *err)
{
        *walk = (struct sf_tufwalk){ .path = path, .seen = json_object() };
        return walk->seen ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for the search of %s", path);
}

void sf_tufwalk_free(struct sf_tufwalk *walk)
{
        for (size_t i = 0; i < walk->todo_count; i++)
                free(walk->todo[i].role);
        free(walk->todo);
        json_decref(walk->seen);
        *walk = (struct sf_tufwalk){ 0 };
}

/* Takes `role`, also on failure. */
static int push_one(struct sf_tufwalk *walk, char *role, const json_t *keys, const json_t *spec, struct sf_error *err)
{
        if (role && walk->todo_count == walk->todo_room) {
                size_t room = 2 * walk->todo_room + 16;
                struct sf_tufvisit *grown = reallocarray(walk->todo, room, sizeof *grown);
                if (!grown) {
                        free(role);
                        role = NULL;
                } else {
                        walk->todo = grown;
                        walk->todo_room = room;
                }
        }
        if (!role)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the search of %s", walk->path);
        walk->todo[walk->todo_count++] = (struct sf_tufvisit){ role, keys, spec };
        return 0;
}

/* What is left of other branches no longer matters after a terminating delegation. */
static void drop_all(struct sf_tufwalk *walk)
{
        while (walk->todo_count)
                free(walk->todo[--walk->todo_count].role);
}

static int push_listed(struct sf_tufwalk *walk, const json_t *keys, const json_t *roles, const char *hex,
                       struct sf_error *err)
{
        size_t count = json_array_size(roles), last;
        bool terminating = false;

        for (last = 0; last < count && !terminating; last++) {
                const json_t *role = json_array_get(roles, last);
                terminating = covers(role, walk->path, hex) && json_is_true(json_object_get(role, "terminating"));
        }
        if (terminating)
                drop_all(walk);
        /* A stack: pushed last to first, so that the first is taken first. */
        for (size_t i = last; i-- > 0;) {
                const json_t *role = json_array_get(roles, i);
                int r = 0;
                if (covers(role, walk->path, hex))
                        r = push_one(walk, strdup(json_string_value(json_object_get(role, "name"))), keys, role, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sf_tufwalk_push(struct sf_tufwalk *walk, const json_t *body, struct sf_error *err)
{
        const json_t *delegations = json_object_get(body, "delegations");
        const json_t *keys = json_object_get(delegations, "keys");
        const json_t *succinct = json_object_get(delegations, "succinct_roles");
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];

        sf_digest_of(walk->path, strlen(walk->path), &digest);
        sf_digest_hex(&digest, hex);
        if (!succinct)
                return push_listed(walk, keys, json_object_get(delegations, "roles"), hex, err);
        /* A bin is the only one that may hold the path: terminating by nature. */
        drop_all(walk);
        return push_one(walk, bin_name(succinct, &digest), keys, succinct, err);
}

int sf_tufwalk_next(struct sf_tufwalk *walk, struct sf_tufvisit *ret, struct sf_error *err)
{
        while (walk->todo_count) {
                struct sf_tufvisit visit = walk->todo[--walk->todo_count];
                if (json_object_get(walk->seen, visit.role)) {
                        free(visit.role);
                        continue;
                }
                if (walk->visits++ == SF_TUF_VISITS_MAX) {
                        free(visit.role);
                        return sf_error_set(err, SF_ERR_LIMIT, "%s: not found in the first %d delegated roles",
                                            walk->path, SF_TUF_VISITS_MAX);
                }
                if (json_object_set_new(walk->seen, visit.role, json_true()) < 0) {
                        free(visit.role);
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the search of %s", walk->path);
                }
                *ret = visit;
                return 1;
        }
        return 0;
}
