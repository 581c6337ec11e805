/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/yaml.c - see yaml.h. */
#include "factory/commands/yaml.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/printable.h"

#define STEP 2

static int write_block(const json_t *value, int indent, struct sf_buffer *ret, struct sf_error *err);

/* Strings and what JSON writes without quotes. Empty collections too: "{}", "[]". */
static int write_scalar(const json_t *value, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        size_t length;

        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "YAML");
        for (const char *at = text; *at; at += length)
                if (sf_printable_next(at, &length) != SF_PRINTABLE_TEXT)
                        return sf_error_set(err, SF_ERR_USAGE, "a text with a control character cannot be written");
        return sf_buffer_puts(ret, text, err);
}

/* A key that needs no quotes: a letter, then letters, digits, '-' and '_'; and none of the words that mean a boolean
 * or null in YAML 1.1. */
static bool is_plain(const char *key)
{
        static const char *const words[] = { "y", "n", "yes", "no", "on", "off", "true", "false", "null", NULL };
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

        for (size_t i = 0; words[i]; i++)
                if (strcmp(key, words[i]) == 0)
                        return false;
        return *key && strchr(letters, *key) && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(key);
}

static int write_key(const char *key, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *quoted = is_plain(key) ? NULL : json_string(key);
        int r = quoted ? write_scalar(quoted, ret, err) : sf_buffer_puts(ret, key, err);

        return r < 0 ? r : sf_buffer_puts(ret, ":", err);
}

static bool is_collection(const json_t *value)
{
        return json_object_size(value) > 0 || json_array_size(value) > 0;
}

/* What follows "key:" or "-": on the same line, or a block below. */
static int write_value(const json_t *value, int indent, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_puts(ret, is_collection(value) ? "\n" : " ", err);

        if (r < 0)
                return r;
        if (is_collection(value))
                return write_block(value, indent, ret, err);
        return (r = write_scalar(value, ret, err)) < 0 ? r : sf_buffer_puts(ret, "\n", err);
}

/* "- " takes the place of the first line's indentation. */
static int write_element(const json_t *element, int indent, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer block = SF_BUFFER_INIT;
        int r = sf_buffer_printf(ret, err, "%*s-", indent, "");

        if (r < 0 || !is_collection(element))
                return r < 0 ? r : write_value(element, indent, ret, err);
        if ((r = write_block(element, indent + STEP, &block, err)) < 0)
                return r;
        return sf_buffer_printf(ret, err, " %s", sf_buffer_text(&block) + indent + STEP);
}

static int write_block(const json_t *value, int indent, struct sf_buffer *ret, struct sf_error *err)
{
        const json_t *element;
        const char *key;
        size_t i;
        int r;

        json_object_foreach ((json_t *)(uintptr_t)value, key, element)
                if ((r = sf_buffer_printf(ret, err, "%*s", indent, "")) < 0 || (r = write_key(key, ret, err)) < 0 ||
                    (r = write_value(element, indent + STEP, ret, err)) < 0)
                        return r;
        json_array_foreach (value, i, element)
                if ((r = write_element(element, indent, ret, err)) < 0)
                        return r;
        return 0;
}

int sf_yaml_write(const json_t *value, struct sf_buffer *ret, struct sf_error *err)
{
        if (is_collection(value))
                return write_block(value, 0, ret, err);
        int r = write_scalar(value, ret, err);
        return r < 0 ? r : sf_buffer_puts(ret, "\n", err);
}
