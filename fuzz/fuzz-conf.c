/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-conf.c - configuration files as hands or broken disks may write them: every value has a place in the
 * file, typed getters end in a value or an error, and what nobody asked for is named. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/conf.h"
#include "base/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

/* Asks for every entry by every type. */
static void ask(struct sf_conf *conf, const struct sf_conf_entry *e)
{
        struct sf_error err = SF_ERROR_INIT;
        uint64_t number = 0;
        bool flag = false;

        require(e->line > 0 && strcmp(e->file, "fuzz.conf") == 0);
        require(sf_conf_get(conf, e->section, e->key) != NULL);
        if (sf_conf_get_bool(conf, e->section, e->key, &flag, &err) < 0)
                require(err.code == SF_ERR_USAGE && strstr(err.text, "fuzz.conf:"));
        if (sf_conf_get_u64(conf, e->section, e->key, 1000, &number, NULL) == 0)
                require(number <= 1000);
        sf_conf_get_size(conf, e->section, e->key, &number, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(sf_conf_free) struct sf_conf conf = SF_CONF_INIT;
        _cleanup_free_ char *text = strndup((const char *)data, size);
        struct sf_error err = SF_ERROR_INIT;

        if (!text || sf_conf_parse(&conf, "fuzz.conf", text, &err) < 0)
                return 0;
        require(conf.count == 0 || sf_conf_check_used(&conf, &err) == SF_ERR_USAGE);
        for (size_t i = 0; i < conf.count; i++) {
                _cleanup_(sf_words_free) struct sf_words words = SF_WORDS_INIT;
                ask(&conf, &conf.entries[i]);
                sf_words_split(&words, conf.entries[i].value, &err);
        }
        require(sf_conf_check_used(&conf, &err) == 0);
        return 0;
}
