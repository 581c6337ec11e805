/* SPDX-License-Identifier: Apache-2.0 */
/* base/json.c - strict JSON on jansson; OLPC canonical JSON for signatures. */
#include "base/json.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"

/* jansson limits the nesting depth itself (2,048), far above ours: measured on the parsed value. */
static bool too_deep(const json_t *value, unsigned left)
{
        const char *key;
        json_t *member;
        size_t i;

        if (!json_is_object(value) && !json_is_array(value))
                return false;
        if (left == 0)
                return true;
        json_object_foreach ((json_t *)value, key, member)
                if (too_deep(member, left - 1))
                        return true;
        json_array_foreach ((json_t *)value, i, member)
                if (too_deep(member, left - 1))
                        return true;
        return false;
}

static bool has_real(const json_t *value)
{
        const char *key;
        json_t *member;
        size_t i;

        if (json_is_real(value))
                return true;
        json_object_foreach ((json_t *)value, key, member)
                if (has_real(member))
                        return true;
        json_array_foreach ((json_t *)value, i, member)
                if (has_real(member))
                        return true;
        return false;
}

int sf_json_parse(const char *name, const void *text, size_t len, json_t **ret, struct sf_error *err)
{
        json_error_t problem;
        _cleanup_json_ json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &problem);

        if (!value)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: line %d: %s", name, problem.line, problem.text);
        if (!json_is_object(value))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not a JSON object", name);
        if (too_deep(value, SF_JSON_DEPTH_MAX))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: nested deeper than %d", name, SF_JSON_DEPTH_MAX);
        if (has_real(value))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: holds a number that is not an integer", name);
        *ret = json_incref(value);
        return 0;
}

/* The member of a given type, or NULL with the error set. */
static json_t *member_of(const json_t *object, const char *where, const char *key, bool right_type(const json_t *),
                         const char *type, struct sf_error *err)
{
        json_t *value = json_object_get(object, key);

        if (!value)
                sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: missing", where, key);
        else if (!right_type(value))
                sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: not %s", where, key, type);
        else
                return value;
        return NULL;
}

static bool is_string(const json_t *v)
{
        /* A NUL inside would end the C string early and let two texts look alike. */
        return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

static bool is_integer(const json_t *v)
{
        return json_is_integer(v);
}

static bool is_boolean(const json_t *v)
{
        return json_is_boolean(v);
}

static bool is_object(const json_t *v)
{
        return json_is_object(v);
}

static bool is_array(const json_t *v)
{
        return json_is_array(v);
}

int sf_json_string(const json_t *object, const char *where, const char *key, const char **ret, struct sf_error *err)
{
        json_t *v = member_of(object, where, key, is_string, "a string", err);

        if (!v)
                return SF_ERR_CORRUPT;
        *ret = json_string_value(v);
        return 0;
}

int sf_json_integer(const json_t *object, const char *where, const char *key, int64_t min, int64_t max, int64_t *ret,
                    struct sf_error *err)
{
        json_t *v = member_of(object, where, key, is_integer, "an integer", err);

        if (!v)
                return SF_ERR_CORRUPT;
        int64_t number = json_integer_value(v);
        if (number < min || number > max)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: %lld is not between %lld and %lld", where, key,
                                    (long long)number, (long long)min, (long long)max);
        *ret = number;
        return 0;
}

int sf_json_bool(const json_t *object, const char *where, const char *key, bool *ret, struct sf_error *err)
{
        json_t *v = member_of(object, where, key, is_boolean, "true or false", err);

        if (!v)
                return SF_ERR_CORRUPT;
        *ret = json_is_true(v);
        return 0;
}

int sf_json_object(const json_t *object, const char *where, const char *key, json_t **ret, struct sf_error *err)
{
        json_t *v = member_of(object, where, key, is_object, "an object", err);

        if (!v)
                return SF_ERR_CORRUPT;
        *ret = v;
        return 0;
}

int sf_json_array(const json_t *object, const char *where, const char *key, json_t **ret, struct sf_error *err)
{
        json_t *v = member_of(object, where, key, is_array, "an array", err);

        if (!v)
                return SF_ERR_CORRUPT;
        *ret = v;
        return 0;
}

/* --- output ---------------------------------------------------------------------------------------------------- */

json_t *sf_json_text(const char *text)
{
        _cleanup_(sf_buffer_free) struct sf_buffer safe = SF_BUFFER_INIT;

        if (!text)
                return json_null();
        return sf_escape_append(&safe, text, true, NULL) < 0 ? NULL : json_string(sf_buffer_text(&safe));
}

void sf_json_set_name(json_t *object, const char *key, const char *text)
{
        json_object_set_new(object, key, *text ? sf_json_text(text) : json_null());
}

/* --- canonical form -------------------------------------------------------------------------------------------- */

static int put_string(const char *text, size_t len, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_puts(ret, "\"", err);

        for (size_t i = 0; r == 0 && i < len; i++) {
                if (text[i] == '"' || text[i] == '\\')
                        r = sf_buffer_puts(ret, "\\", err);
                if (r == 0)
                        r = sf_buffer_append(ret, &text[i], 1, err);
        }
        return r < 0 ? r : sf_buffer_puts(ret, "\"", err);
}

static int compare_keys(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int put_object(const json_t *object, struct sf_buffer *ret, struct sf_error *err)
{
        size_t count = json_object_size(object), n = 0;
        const char **keys = calloc(count + 1, sizeof *keys);
        const char *key;
        json_t *value;
        int r;

        if (!keys)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for canonical JSON");
        json_object_foreach ((json_t *)object, key, value)
                keys[n++] = key;
        qsort(keys, n, sizeof *keys, compare_keys);
        r = sf_buffer_puts(ret, "{", err);
        for (size_t i = 0; r == 0 && i < n; i++) {
                if (i)
                        r = sf_buffer_puts(ret, ",", err);
                if (r == 0)
                        r = put_string(keys[i], strlen(keys[i]), ret, err);
                if (r == 0)
                        r = sf_buffer_puts(ret, ":", err);
                if (r == 0)
                        r = sf_json_canonical(json_object_get(object, keys[i]), ret, err);
        }
        free(keys);
        return r < 0 ? r : sf_buffer_puts(ret, "}", err);
}

static int put_array(const json_t *array, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_puts(ret, "[", err);

        for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
                if (i)
                        r = sf_buffer_puts(ret, ",", err);
                if (r == 0)
                        r = sf_json_canonical(json_array_get(array, i), ret, err);
        }
        return r < 0 ? r : sf_buffer_puts(ret, "]", err);
}

int sf_json_canonical(const json_t *value, struct sf_buffer *ret, struct sf_error *err)
{
        switch (json_typeof(value)) {
        case JSON_OBJECT:
                return put_object(value, ret, err);
        case JSON_ARRAY:
                return put_array(value, ret, err);
        case JSON_STRING:
                return put_string(json_string_value(value), json_string_length(value), ret, err);
        case JSON_INTEGER:
                return sf_buffer_printf(ret, err, "%lld", (long long)json_integer_value(value));
        case JSON_TRUE:
                return sf_buffer_puts(ret, "true", err);
        case JSON_FALSE:
                return sf_buffer_puts(ret, "false", err);
        case JSON_NULL:
                return sf_buffer_puts(ret, "null", err);
        case JSON_REAL:
        default:
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "canonical JSON has no real numbers");
        }
}
