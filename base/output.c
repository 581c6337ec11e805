/* SPDX-License-Identifier: Apache-2.0 */
/* base/output.c - see output.h. */
#include "base/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/escape.h"

static bool json_wanted, json_written;

void sf_output_open(bool json)
{
        json_wanted = json;
}

bool sf_output_is_json(void)
{
        return json_wanted;
}

/* Said once. A reader that has seen enough ("| head") is no failure. */
static void write_out(FILE *out, const char *text)
{
        static bool told;

        if ((fprintf(out, "%s\n", text) >= 0 && fflush(out) == 0) || told || errno == EPIPE)
                return;
        told = true;
        sf_log_error("standard output: %s", strerror(errno));
}

/* The blanks that fill a table's last column are not written. */
static void write_line(const char *line)
{
        _cleanup_(sf_buffer_free) struct sf_buffer safe = SF_BUFFER_INIT;

        sf_log_progress_end();
        if (sf_escape_append(&safe, line, false, NULL) < 0)
                return;
        while (safe.len && safe.data[safe.len - 1] == ' ')
                safe.data[--safe.len] = '\0';
        write_out(json_wanted ? stderr : stdout, sf_buffer_text(&safe));
}

void sf_output_line(const char *format, ...)
{
        _cleanup_free_ char *line = NULL;
        va_list args;

        va_start(args, format);
        int len = vasprintf(&line, format, args);
        va_end(args);
        if (len < 0)
                line = NULL;
        else
                write_line(line);
}

void sf_output_text(const char *text)
{
        while (*text) {
                size_t len = strcspn(text, "\n");
                _cleanup_free_ char *line = strndup(text, len);
                if (line)
                        write_line(line);
                text += len + (text[len] == '\n');
        }
}

void sf_output_json(const json_t *object)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT;

        sf_log_progress_end();
        if (!json_wanted || json_written)
                return;
        json_written = true;
        text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6));
        /* DEL is the one control character that JSON lets pass; it can only stand inside a string. */
        for (const char *c = text ? text : "{\"result\":\"failed\",\"error\":\"no memory\"}"; *c;) {
                size_t len = strcspn(c, "\x7f");
                sf_buffer_append(&out, c, len, NULL);
                c += len;
                if (*c) {
                        sf_buffer_puts(&out, "\\u007f", NULL);
                        c++;
                }
        }
        write_out(stdout, sf_buffer_text(&out));
}
