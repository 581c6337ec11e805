/* SPDX-License-Identifier: Apache-2.0 */
/* base/json.h - strict JSON in, OLPC canonical JSON out, on top of jansson.
 *
 * Strict: UTF-8, no duplicate keys, no trailing text, bounded depth and size, no real numbers.
 * The getters name the path of what is wrong: "signed.roles.root.threshold: not an integer".
 */
#ifndef SF_BASE_JSON_H
#define SF_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define SF_JSON_DEPTH_MAX 64

static inline void sf_cleanup_json(json_t **j) { json_decref(*j); }
#define _cleanup_json_ __attribute__((cleanup(sf_cleanup_json)))

/* Parses a whole text whose top level is an object. `name` is for errors (SF_ERR_CORRUPT). New reference in *ret. */
int sf_json_parse(const char *name, const void *text, size_t len, json_t **ret, struct sf_error *err);

/* Members of an object; `where` names the object in errors. A missing or mistyped member is SF_ERR_CORRUPT.
 * Returned strings and values are borrowed from the object. */
int sf_json_string(const json_t *object, const char *where, const char *key, const char **ret, struct sf_error *err);
int sf_json_integer(const json_t *object, const char *where, const char *key, int64_t min, int64_t max, int64_t *ret,
                    struct sf_error *err);
int sf_json_bool(const json_t *object, const char *where, const char *key, bool *ret, struct sf_error *err);
int sf_json_object(const json_t *object, const char *where, const char *key, json_t **ret, struct sf_error *err);
int sf_json_array(const json_t *object, const char *where, const char *key, json_t **ret, struct sf_error *err);

/* A string value of any text: bytes that are not UTF-8, which JSON cannot hold, become "\\xff". A text of NULL
 * is null. NULL only without memory.
 * For what is shown; never for what is signed or read back. */
json_t *sf_json_text(const char *text);
/* The same as a member; "" is null. */
void sf_json_set_name(json_t *object, const char *key, const char *text);

/* OLPC canonical JSON (wiki.laptop.org/go/Canonical_JSON): sorted keys, no white space, only \" and \\ escaped,
 * integers only: what TUF signs. Appends to ret. */
int sf_json_canonical(const json_t *value, struct sf_buffer *ret, struct sf_error *err);

#endif
