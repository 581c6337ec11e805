/* SPDX-License-Identifier: Apache-2.0 */
/* release/agents.c - see agents.h. */
#include "release/agents.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

bool sf_agents_is_version(const char *text)
{
        size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+~-");

        return len && !text[len] && len < SF_AGENTS_VERSION_MAX && isdigit((unsigned char)*text) && !strstr(text, "..");
}

/* '~' before the end, the end before everything else, letters before signs. */
static int rank(char c)
{
        return c == '~' ? -1 : !c || isdigit((unsigned char)c) ? 0 : isalpha((unsigned char)c) ? c : c + 256;
}

/* Debian's order (deb-version(7)): parts that are no numbers, then numbers, in turn. */
int sf_agents_compare(const char *a, const char *b)
{
        while (*a || *b) {
                while ((*a && !isdigit((unsigned char)*a)) || (*b && !isdigit((unsigned char)*b))) {
                        int difference = rank(*a) - rank(*b);
                        if (difference)
                                return difference;
                        a += *a != '\0';
                        b += *b != '\0';
                }
                unsigned long left = strtoul(a, (char **)&a, 10), right = strtoul(b, (char **)&b, 10);
                if (left != right)
                        return left < right ? -1 : 1;
        }
        return 0;
}

static int parse(const char *name, const void *text, size_t len, json_t **ret, json_t **ret_current,
                 struct sf_error *err)
{
        _cleanup_json_ json_t *object = NULL;
        int64_t format;
        int r = sf_json_parse(name, text, len, &object, err);

        if (r == 0)
                r = sf_json_integer(object, name, "agent", 0, INT32_MAX, &format, err);
        if (r == 0 && format != SF_AGENTS_FORMAT)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: format %lld is a newer sf-node's", name,
                                    (long long)format);
        if (r == 0)
                r = sf_json_object(object, name, "current", ret_current, err);
        if (r < 0)
                return r;
        *ret = json_incref(object);
        return 0;
}

int sf_agents_current(const char *name, const void *text, size_t len, const char *arch, char ret[SF_AGENTS_VERSION_MAX],
                      struct sf_error *err)
{
        _cleanup_json_ json_t *object = NULL;
        json_t *current;
        int r = parse(name, text, len, &object, &current, err);

        if (r < 0)
                return r;
        const char *version = json_string_value(json_object_get(current, arch));
        if (!version)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "the repository has no sf-node for %s", arch);
        if (!sf_agents_is_version(version))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.current.%s: not a version", name, arch);
        strcpy(ret, version);
        return 0;
}

int sf_agents_set(const char *name, const void *text, size_t len, const char *arch, const char *version,
                  struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *object = NULL;
        json_t *current = NULL;
        int r = 0;

        if (len) {
                r = parse(name, text, len, &object, &current, err);
        } else {
                current = json_object();
                object = json_pack("{s:i,s:o}", "agent", SF_AGENTS_FORMAT, "current", current);
        }
        if (r == 0 && (!object || json_object_set_new(current, arch, json_string(version)) < 0))
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        return r < 0 ? r : sf_json_canonical(object, ret, err);
}
