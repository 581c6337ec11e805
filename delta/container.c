/* SPDX-License-Identifier: Apache-2.0 */
/* delta/container.c - see container.h. */
#include "delta/container.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"
#include "delta/change_set.h"

#define MAGIC         "SFD\2"
#define MAGIC_BYTES   4
#define BINDING_BYTES 8
#define LENGTH_BYTES  4

/* A container taken apart; pointers into the blob. */
struct container {
        char codec_name[SF_DELTA_CODEC_NAME_MAX + 1];
        const struct sf_delta_codec *codec;
        const uint8_t *patch;
        size_t patch_len;
        struct sf_change_set plan;
        struct sf_delta_file *old_files,
                *new_files; /* owned; sizes and ancestors, the old contents once they are read */
        uint64_t memory;    /* bytes that applying takes */
};

static void cleanup_container(struct container *c)
{
        sf_change_set_free(&c->plan);
        free(c->old_files);
        free(c->new_files);
}

static void make_binding(const struct sf_filelist *old, const struct sf_filelist *new, struct sf_digest *ret)
{
        uint8_t both[2 * SF_DIGEST_BYTES];

        memcpy(both, old->tree.bytes, SF_DIGEST_BYTES);
        memcpy(both + SF_DIGEST_BYTES, new->tree.bytes, SF_DIGEST_BYTES);
        sf_digest_of(both, sizeof both, ret);
}

int sf_delta_wrap(const struct sf_filelist *old, const struct sf_filelist *new, const struct sf_change_set *plan,
                  const char *codec, const struct sf_buffer *patch, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        uint8_t name_length = (uint8_t)strlen(codec), length[LENGTH_BYTES];
        struct sf_digest binding;
        int r = sf_change_set_write(plan, old, new, &text, err);

        if (r < 0)
                return r;
        make_binding(old, new, &binding);
        for (unsigned i = 0; i < LENGTH_BYTES; i++)
                length[i] = (uint8_t)(text.len >> (8 * i));
        if ((r = sf_buffer_append(ret, MAGIC, MAGIC_BYTES, err)) < 0 ||
            (r = sf_buffer_append(ret, &name_length, 1, err)) < 0 ||
            (r = sf_buffer_append(ret, codec, name_length, err)) < 0 ||
            (r = sf_buffer_append(ret, binding.bytes, BINDING_BYTES, err)) < 0 ||
            (r = sf_buffer_append(ret, length, LENGTH_BYTES, err)) < 0 ||
            (r = sf_buffer_append(ret, text.data, text.len, err)) < 0)
                return r;
        return sf_buffer_append(ret, patch->data, patch->len, err);
}

/* The next len bytes of what is left, NULL where there are fewer. */
static const uint8_t *take(const uint8_t **at, size_t *left, size_t len)
{
        const uint8_t *start = *at;

        if (*left < len)
                return NULL;
        *at += len;
        *left -= len;
        return start;
}

static int parse_codec(const uint8_t *name, size_t length, struct container *c, struct sf_error *err)
{
        for (size_t i = 0; i < length; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", name[i]) || !name[i])
                        return sf_error_set(err, SF_ERR_CORRUPT, "the delta's codec name is damaged");
        memcpy(c->codec_name, name, length);
        c->codec = sf_delta_codec_find(c->codec_name);
        if (!c->codec)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the delta's codec \"%s\" is unknown here", c->codec_name);
        return 0;
}

/* The contents as the codec sees them, as far as the plan tells. */
static int describe_files(const struct sf_filelist *old, const struct sf_filelist *new, struct container *c,
                          struct sf_error *err)
{
        const struct sf_change_set *plan = &c->plan;

        c->old_files = calloc(plan->base_count + 1, sizeof *c->old_files);
        c->new_files = calloc(plan->target_count + 1, sizeof *c->new_files);
        if (!c->old_files || !c->new_files)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a delta of %zu files", plan->target_count);
        for (size_t i = 0; i < plan->base_count; i++)
                c->old_files[i].size = old->entries[plan->bases[i]].size;
        for (size_t i = 0; i < plan->target_count; i++) {
                c->new_files[i].size = new->entries[plan->targets[i].entry].size;
                c->new_files[i].ancestor = plan->base_of[i];
        }
        c->memory = plan->old_size + plan->new_size +
                    sf_delta_patch_memory(c->codec, &(struct sf_delta_files){ c->old_files, plan->base_count },
                                          &(struct sf_delta_files){ c->new_files, plan->target_count }, c->patch,
                                          c->patch_len);
        return 0;
}

static int open_container(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                          struct container *c, struct sf_error *err)
{
        const uint8_t *at = blob, *field;
        size_t length = 0;
        struct sf_digest binding;
        int r;

        if (!(field = take(&at, &len, MAGIC_BYTES)) || memcmp(field, MAGIC, MAGIC_BYTES - 1) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "this is not a delta");
        if (field[MAGIC_BYTES - 1] != MAGIC[MAGIC_BYTES - 1])
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the delta has version %u, this program knows %u",
                                    field[MAGIC_BYTES - 1], MAGIC[MAGIC_BYTES - 1]);
        if (!(field = take(&at, &len, 1)) || *field > SF_DELTA_CODEC_NAME_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "the delta's codec name is damaged");
        length = *field;
        if (!(field = take(&at, &len, length)))
                return sf_error_set(err, SF_ERR_CORRUPT, "the delta ends in its header");
        if ((r = parse_codec(field, length, c, err)) < 0)
                return r;
        make_binding(old, new, &binding);
        if (!(field = take(&at, &len, BINDING_BYTES)) || memcmp(field, binding.bytes, BINDING_BYTES) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "the delta is not one between these two releases");
        if (!(field = take(&at, &len, LENGTH_BYTES)))
                return sf_error_set(err, SF_ERR_CORRUPT, "the delta ends in its header");
        length = (size_t)field[0] | (size_t)field[1] << 8 | (size_t)field[2] << 16 | (size_t)field[3] << 24;
        if (!(field = take(&at, &len, length)))
                return sf_error_set(err, SF_ERR_CORRUPT, "the delta ends in its plan");
        c->patch = at;
        c->patch_len = len;
        if ((r = sf_change_set_read(old, new, field, length, &c->plan, err)) < 0)
                return r;
        return describe_files(old, new, c, err);
}

int sf_delta_inspect(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                     struct sf_delta_info *ret, struct sf_error *err)
{
        _cleanup_(cleanup_container) struct container c = { 0 };
        int r = open_container(old, new, blob, len, &c, err);

        if (r < 0)
                return r;
        *ret = (struct sf_delta_info){ .memory = c.memory, .old_size = c.plan.old_size, .new_size = c.plan.new_size };
        memcpy(ret->codec, c.codec_name, sizeof ret->codec);
        return 0;
}

int sf_delta_bases(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                   size_t **ret, size_t *ret_count, struct sf_error *err)
{
        _cleanup_(cleanup_container) struct container c = { 0 };
        int r = open_container(old, new, blob, len, &c, err);

        if (r < 0)
                return r;
        *ret = c.plan.bases;
        *ret_count = c.plan.base_count;
        c.plan.bases = NULL;
        return 0;
}

/* The bases back to back in `content`, described by `files` (one per base). */
static int read_bases(const struct sf_filelist *old, const struct sf_change_set *plan, const struct sf_delta_io *io,
                      struct sf_buffer *content, struct sf_delta_file *files, struct sf_error *err)
{
        int r = 0;

        /* To the byte, as it was stated: a buffer that grows by itself takes up to twice as much. */
        content->data = malloc(plan->old_size + 1);
        if (!content->data)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %llu bytes of old files",
                                    (unsigned long long)plan->old_size);
        content->room = plan->old_size + 1;
        for (size_t i = 0; i < plan->base_count; i++) {
                const struct sf_entry *entry = &old->entries[plan->bases[i]];
                size_t before = content->len;

                if ((r = io->read(io->ctx, entry, content, err)) < 0)
                        return r;
                if (content->len - before != entry->size)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: has %zu bytes instead of %llu", entry->path,
                                            content->len - before, (unsigned long long)entry->size);
        }
        const uint8_t *at = content->data;
        for (size_t i = 0; i < plan->base_count; at += files[i++].size)
                files[i].data = at;
        return 0;
}

static int check_digests(const struct sf_filelist *new, const struct sf_change_set *plan, const uint8_t *content,
                         struct sf_error *err)
{
        for (size_t i = 0; i < plan->target_count; i++) {
                const struct sf_entry *entry = &new->entries[plan->targets[i].entry];
                struct sf_digest digest;

                sf_digest_of(content, entry->size, &digest);
                if (!sf_digest_equal(&digest, &entry->digest))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: the delta gives another content than listed",
                                            entry->path);
                content += entry->size;
        }
        return 0;
}

/* A rebuilt content under its digest. */
struct rebuilt {
        const struct sf_digest *digest;
        const uint8_t *data;
};

static int compare_rebuilt(const void *a, const void *b)
{
        return sf_digest_compare(((const struct rebuilt *)a)->digest, ((const struct rebuilt *)b)->digest);
}

static int write_files(const struct sf_filelist *new, const struct sf_change_set *plan, const uint8_t *content,
                       const struct sf_delta_io *io, struct sf_error *err)
{
        _cleanup_free_ struct rebuilt *rebuilt = calloc(plan->target_count + 1, sizeof *rebuilt);

        if (!rebuilt)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the rebuilt files");
        for (size_t i = 0; i < plan->target_count; i++) {
                const struct sf_entry *entry = &new->entries[plan->targets[i].entry];

                rebuilt[i] = (struct rebuilt){ &entry->digest, content };
                content += entry->size;
        }
        qsort(rebuilt, plan->target_count, sizeof *rebuilt, compare_rebuilt);
        for (size_t i = 0; i < new->entry_count; i++) {
                const struct sf_entry *entry = &new->entries[i];
                struct rebuilt key = { &entry->digest, NULL };

                if (entry->type != SF_ENTRY_FILE)
                        continue;
                const struct rebuilt *found = bsearch(&key, rebuilt, plan->target_count, sizeof *rebuilt,
                                                      compare_rebuilt);
                int r = found ? io->write(io->ctx, entry, found->data, entry->size, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int sf_delta_apply(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                   uint64_t memory_budget, const struct sf_delta_io *io, struct sf_error *err)
{
        _cleanup_(cleanup_container) struct container c = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer before = SF_BUFFER_INIT;
        int r = open_container(old, new, blob, len, &c, err);

        if (r < 0)
                return r;
        if (memory_budget && c.memory > memory_budget)
                return sf_error_set(err, SF_ERR_NOMEM, "the delta needs %llu bytes of memory, %llu are allowed",
                                    (unsigned long long)c.memory, (unsigned long long)memory_budget);
        _cleanup_free_ uint8_t *after = malloc(c.plan.new_size + 1);
        if (!after)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %llu bytes of rebuilt files",
                                    (unsigned long long)c.plan.new_size);
        if ((r = read_bases(old, &c.plan, io, &before, c.old_files, err)) < 0)
                return r;
        r = c.codec->decode(&(struct sf_delta_files){ c.old_files, c.plan.base_count },
                            &(struct sf_delta_files){ c.new_files, c.plan.target_count }, c.patch, c.patch_len, after,
                            err);
        if (r < 0)
                return sf_error_prefix(err, "delta (%s)", c.codec_name);
        if ((r = check_digests(new, &c.plan, after, err)) < 0)
                return r;
        return write_files(new, &c.plan, after, io, err);
}
