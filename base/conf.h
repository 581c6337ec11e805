/* SPDX-License-Identifier: Apache-2.0 */
/* base/conf.h - INI files (syntax as libinih reads it) as a flat list that remembers file and line.
 *
 * Used for sf-node.conf, recipes and toolchains. Keys may repeat: later values are further entries, so
 * that "last wins" and "all of them" are both easy. Section names may hold an argument: [unit slurmd.service].
 */
#ifndef SF_BASE_CONF_H
#define SF_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sf_conf_entry {
        const char *section; /* "" before the first header */
        const char *key;
        const char *value;   /* white space trimmed; "" where empty */
        const char *file;
        int line;
        bool used;           /* set by the getters: what stays false was misspelt */
};

/* All strings are owned by the list. */
struct sf_conf {
        struct sf_conf_entry *entries;
        size_t count;
        void *pool; /* private */
};

#define SF_CONF_INIT { NULL, 0, NULL }

/* Appends the entries of one file. An indented line goes on with the value above it, as a further entry of the same
 * key; a line longer than libinih's buffer (200 bytes as distributions build it) is refused. SF_ERR_USAGE names file
 * and line. */
int sf_conf_load(struct sf_conf *conf, const char *path, struct sf_error *err);
/* The same from text that is already in memory; `name` stands for the file. */
int sf_conf_parse(struct sf_conf *conf, const char *name, const char *text, struct sf_error *err);
/* All *.conf files of a directory in strcmp order; a missing directory is success. */
int sf_conf_load_dir(struct sf_conf *conf, const char *directory, struct sf_error *err);
void sf_conf_free(struct sf_conf *conf);

/* The last value of a key, NULL where there is none. */
const char *sf_conf_get(struct sf_conf *conf, const char *section, const char *key);
/* Every value of a key in order: start with after = NULL; NULL at the end. */
const struct sf_conf_entry *sf_conf_next(struct sf_conf *conf, const char *section, const char *key,
                                         const struct sf_conf_entry *after);
/* Typed: *value keeps what it held where the key is absent; a malformed value is SF_ERR_USAGE with file and line. */
int sf_conf_get_bool(struct sf_conf *conf, const char *section, const char *key, bool *value, struct sf_error *err);
int sf_conf_get_u64(struct sf_conf *conf, const char *section, const char *key, uint64_t max, uint64_t *value,
                    struct sf_error *err);
/* Plain numbers are bytes; K, M, G (binary) are accepted behind them. */
int sf_conf_get_size(struct sf_conf *conf, const char *section, const char *key, uint64_t *value, struct sf_error *err);
/* The same rule for a command-line value. */
bool sf_conf_parse_size(const char *text, uint64_t *ret);
/* SF_ERR_USAGE for the first entry that no getter asked for. */
int sf_conf_check_used(const struct sf_conf *conf, struct sf_error *err);

#endif
