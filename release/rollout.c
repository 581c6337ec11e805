/* SPDX-License-Identifier: Apache-2.0 */
/* release/rollout.c - withdrawals, waves and the compatibility table, as signed by the rollout role. */
#include "release/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"

#define FORMAT    1
#define ROWS_MAX  256 /* Slurm makes two series a year */
#define PEERS_MAX (sizeof((struct sf_window_row *)NULL)->peers / sizeof((struct sf_window_row *)NULL)->peers[0])

/* What is shown on terminals must not drive them. */
static bool has_control(const char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return true;
        return false;
}

/* Copies a member that must fit. */
static int read_text(const json_t *object, const char *where, const char *key, char *out, size_t room,
                     struct sf_error *err)
{
        const char *text;
        int r = sf_json_string(object, where, key, &text, err);

        if (r < 0)
                return r;
        if (strlen(text) >= room)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: longer than %zu bytes", where, key, room - 1);
        if (has_control(text))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: holds a control character", where, key);
        memcpy(out, text, strlen(text) + 1);
        return 0;
}

static int read_row(const json_t *object, const char *where, struct sf_window_row *row, struct sf_error *err)
{
        json_t *peers, *peer;
        size_t i;
        int r = read_text(object, where, "series", row->series, sizeof row->series, err);

        /* An empty series ends the table. */
        if (r == 0 && !*row->series)
                r = sf_error_set(err, SF_ERR_CORRUPT, "%s.series: empty", where);
        if (r == 0)
                r = sf_json_array(object, where, "peers", &peers, err);
        if (r < 0)
                return r;
        if (json_array_size(peers) > PEERS_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.peers: more than %zu", where, PEERS_MAX);
        json_array_foreach (peers, i, peer) {
                const char *text = json_string_value(peer);
                if (!text || strlen(text) >= sizeof row->peers[i])
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s.peers: holds something that is not a series",
                                            where);
                memcpy(row->peers[i], text, strlen(text) + 1);
        }
        return 0;
}

static int read_rows(const json_t *root, const char *name, struct sf_rollout *rollout, struct sf_error *err)
{
        json_t *rows, *row;
        size_t i;
        int r = sf_json_array(root, name, "compatibility", &rows, err);

        if (r < 0)
                return r;
        if (json_array_size(rows) > ROWS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%s.compatibility: more than %d series", name, ROWS_MAX);
        rollout->rows = calloc(json_array_size(rows) + 1, sizeof *rollout->rows);
        if (!rollout->rows)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        json_array_foreach (rows, i, row) {
                _cleanup_free_ char *where = sf_format("%s.compatibility[%zu]", name, i);
                if ((r = read_row(row, where ? where : name, &rollout->rows[i], err)) < 0)
                        return r;
                rollout->row_count++;
        }
        return 0;
}

static int read_withdrawn(const json_t *root, const char *name, struct sf_rollout *rollout, struct sf_error *err)
{
        json_t *list, *entry;
        size_t i;
        int r = sf_json_array(root, name, "withdrawn", &list, err);

        if (r < 0)
                return r;
        rollout->withdrawn = calloc(json_array_size(list) + 1, sizeof *rollout->withdrawn);
        if (!rollout->withdrawn)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        json_array_foreach (list, i, entry) {
                _cleanup_free_ char *where = sf_format("%s.withdrawn[%zu]", name, i);
                struct sf_withdrawal *w = &rollout->withdrawn[i];
                if ((r = read_text(entry, where ? where : name, "name", w->name, sizeof w->name, err)) < 0 ||
                    (r = read_text(entry, where ? where : name, "reason", w->reason, sizeof w->reason, err)) < 0)
                        return r;
                rollout->withdrawn_count++;
        }
        return 0;
}

/* Files of older publishers have none. */
static int read_waves(const json_t *root, const char *name, struct sf_rollout *rollout, struct sf_error *err)
{
        json_t *list, *entry;
        size_t i;

        if (!json_object_get(root, "waves"))
                return 0;
        int r = sf_json_array(root, name, "waves", &list, err);
        if (r < 0)
                return r;
        rollout->waves = calloc(json_array_size(list) + 1, sizeof *rollout->waves);
        if (!rollout->waves)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        json_array_foreach (list, i, entry) {
                _cleanup_free_ char *where = sf_format("%s.waves[%zu]", name, i);
                struct sf_wave *w = &rollout->waves[i];
                int64_t percent;
                if ((r = read_text(entry, where ? where : name, "name", w->name, sizeof w->name, err)) < 0 ||
                    (r = sf_json_integer(entry, where ? where : name, "percent", 0, 100, &percent, err)) < 0)
                        return r;
                w->percent = (int)percent;
                rollout->wave_count++;
        }
        return 0;
}

int sf_rollout_parse(const char *name, const void *text, size_t len, struct sf_rollout *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *root = NULL;
        struct sf_rollout rollout = { 0 };
        int64_t format;
        int r;

        if (len > SF_ROLLOUT_TEXT_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: %zu bytes, at most %u are read", name, len,
                                    SF_ROLLOUT_TEXT_MAX);
        if ((r = sf_json_parse(name, text, len, &root, err)) < 0 ||
            (r = sf_json_integer(root, name, "rollout", 1, INT32_MAX, &format, err)) < 0)
                return r;
        if (format > FORMAT)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: format %lld, this program reads %d", name,
                                    (long long)format, FORMAT);
        if ((r = read_rows(root, name, &rollout, err)) < 0 || (r = read_withdrawn(root, name, &rollout, err)) < 0 ||
            (r = read_waves(root, name, &rollout, err)) < 0) {
                sf_rollout_free(&rollout);
                return r;
        }
        *ret = rollout;
        return 0;
}

static json_t *row_to_json(const struct sf_window_row *row)
{
        json_t *peers = json_array();

        for (size_t i = 0; i < PEERS_MAX && *row->peers[i]; i++)
                json_array_append_new(peers, json_string(row->peers[i]));
        return json_pack("{s:s, s:o}", "series", row->series, "peers", peers);
}

int sf_rollout_write(const struct sf_rollout *rollout, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *root = json_pack("{s:i, s:[], s:[], s:[]}", "rollout", FORMAT, "compatibility",
                                                "withdrawn", "waves");
        json_t *rows = json_object_get(root, "compatibility"), *withdrawn = json_object_get(root, "withdrawn");
        bool complete = root != NULL;

        for (size_t i = 0; complete && i < rollout->row_count; i++)
                complete = json_array_append_new(rows, row_to_json(&rollout->rows[i])) == 0;
        for (size_t i = 0; complete && i < rollout->withdrawn_count; i++)
                complete = json_array_append_new(withdrawn, json_pack("{s:s, s:s}", "name", rollout->withdrawn[i].name,
                                                                      "reason", rollout->withdrawn[i].reason)) == 0;
        for (size_t i = 0; complete && i < rollout->wave_count; i++)
                complete = json_array_append_new(json_object_get(root, "waves"),
                                                 json_pack("{s:s, s:i}", "name", rollout->waves[i].name, "percent",
                                                           rollout->waves[i].percent)) == 0;
        _cleanup_free_ char *text = complete ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the rollout");
        int r = sf_buffer_puts(ret, text, err);
        return r < 0 ? r : sf_buffer_puts(ret, "\n", err);
}

int sf_rollout_default(struct sf_rollout *ret, struct sf_error *err)
{
        struct sf_rollout rollout = { 0 };

        while (*sf_window_builtin[rollout.row_count].series)
                rollout.row_count++;
        rollout.rows = calloc(rollout.row_count + 1, sizeof *rollout.rows);
        if (!rollout.rows)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the rollout");
        memcpy(rollout.rows, sf_window_builtin, rollout.row_count * sizeof *rollout.rows);
        *ret = rollout;
        return 0;
}

void sf_rollout_free(struct sf_rollout *rollout)
{
        free(rollout->rows);
        free(rollout->withdrawn);
        free(rollout->waves);
        *rollout = (struct sf_rollout){ 0 };
}

const struct sf_withdrawal *sf_rollout_withdrawn(const struct sf_rollout *rollout, const char *release)
{
        for (size_t i = 0; i < rollout->withdrawn_count; i++)
                if (strcmp(rollout->withdrawn[i].name, release) == 0)
                        return &rollout->withdrawn[i];
        return NULL;
}

int sf_rollout_restore(struct sf_rollout *rollout, const char *release, struct sf_error *err)
{
        const struct sf_withdrawal *there = sf_rollout_withdrawn(rollout, release);

        if (!there)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "%s is not withdrawn", release);
        size_t i = (size_t)(there - rollout->withdrawn);
        memmove(&rollout->withdrawn[i], &rollout->withdrawn[i + 1],
                (--rollout->withdrawn_count - i) * sizeof *rollout->withdrawn);
        return 0;
}

int sf_rollout_withdraw(struct sf_rollout *rollout, const char *release, const char *reason, struct sf_error *err)
{
        struct sf_withdrawal entry = { 0 };
        struct sf_withdrawal *there = (struct sf_withdrawal *)sf_rollout_withdrawn(rollout, release);

        if (strlen(release) >= sizeof entry.name || strlen(reason) >= sizeof entry.reason || has_control(reason))
                return sf_error_set(err, SF_ERR_USAGE,
                                    "withdrawal of %.60s: the name or the reason is too long, or not one plain line",
                                    release);
        memcpy(entry.name, release, strlen(release) + 1);
        memcpy(entry.reason, reason, strlen(reason) + 1);
        if (!there) {
                there = reallocarray(rollout->withdrawn, rollout->withdrawn_count + 1, sizeof *there);
                if (!there)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the rollout");
                rollout->withdrawn = there;
                there = &rollout->withdrawn[rollout->withdrawn_count++];
        }
        *there = entry;
        return 0;
}

static struct sf_wave *find_wave(const struct sf_rollout *rollout, const char *release)
{
        for (size_t i = 0; i < rollout->wave_count; i++)
                if (strcmp(rollout->waves[i].name, release) == 0)
                        return &rollout->waves[i];
        return NULL;
}

int sf_rollout_percent(const struct sf_rollout *rollout, const char *release)
{
        const struct sf_wave *wave = find_wave(rollout, release);

        return wave ? wave->percent : 100;
}

int sf_rollout_set_wave(struct sf_rollout *rollout, const char *release, int percent, struct sf_error *err)
{
        struct sf_wave *wave = find_wave(rollout, release);

        if (percent >= 100) {
                if (wave)
                        *wave = rollout->waves[--rollout->wave_count];
                return 0;
        }
        if (strlen(release) >= sizeof wave->name || percent < 0)
                return sf_error_set(err, SF_ERR_USAGE, "wave of %.60s: the name is too long, or no percentage",
                                    release);
        if (!wave) {
                wave = reallocarray(rollout->waves, rollout->wave_count + 1, sizeof *wave);
                if (!wave)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the rollout");
                rollout->waves = wave;
                wave += rollout->wave_count++;
                memcpy(wave->name, release, strlen(release) + 1);
        }
        wave->percent = percent;
        return 0;
}

int sf_rollout_position(const char *release, const char *seed)
{
        _cleanup_free_ char *text = sf_format("%s\n%s", release, seed);
        struct sf_digest digest;
        uint64_t number = 0;

        /* Without memory it is among the last. */
        if (!text)
                return 99;
        sf_digest_of(text, strlen(text), &digest);
        for (size_t i = 0; i < sizeof number; i++)
                number = number << 8 | digest.bytes[i];
        return (int)(number % 100);
}
