/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-index.c - indexes of releases as strangers may write them. What is accepted is written in one form, and
 * that form is read again to the same effect. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "release/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(sf_index_free) struct sf_index index = { 0 }, again = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer first = SF_BUFFER_INIT, second = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        int r = sf_index_parse("index", data, size, &index, &err);

        require(r == err.code);
        if (r < 0)
                return 0;
        for (size_t i = 0; i < index.release_count; i++) {
                const char *name = index.releases[i].name.text;
                require(!strchr(name, '/') && sf_index_find(&index, name) == &index.releases[i]);
        }
        require(sf_index_write(&index, &first, &err) == 0);
        require(sf_index_parse("index", first.data, first.len, &again, &err) == 0);
        require(sf_index_write(&again, &second, &err) == 0);
        require(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        return 0;
}
