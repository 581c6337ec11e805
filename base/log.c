/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.c - standard error for people, and a progress line on terminals. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"

static const char *program_name = "slurm-factory";
static enum sf_log_level current_level = SF_LOG_NORMAL;
static bool line_drawn;       /* on the terminal, to be removed before anything else is said */
static bool progress_started; /* a transfer is being shown: its rate counts from the first call */

void sf_log_open(const char *program, enum sf_log_level level)
{
        program_name = program;
        current_level = level;
}

/* Appends what the arguments make of the format, fit for a terminal. */
static void add_printable(struct sf_buffer *line, const char *format, va_list args)
{
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        else
                sf_escape_append(line, text, false, NULL);
}

/* One write per line: those of several programs on one terminal do not mix. */
static void print_line(enum sf_log_level level, const char *before, const char *format, va_list args)
{
        _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT;

        if (current_level < level)
                return;
        sf_log_progress_end();
        if (*before)
                sf_buffer_printf(&line, NULL, "%s: %s", program_name, before + 1);
        add_printable(&line, format, args);
        fprintf(stderr, "%s\n", sf_buffer_text(&line));
}

/* The four differ in level and in what stands before the text (behind a mark: the program's name and it). */
#define LOG_FUNCTION(name, level, before)                \
        void name(const char *format, ...)               \
        {                                                \
                va_list args;                            \
                                                         \
                va_start(args, format);                  \
                print_line(level, before, format, args); \
                va_end(args);                            \
        }
LOG_FUNCTION(sf_log_info, SF_LOG_NORMAL, "")
LOG_FUNCTION(sf_log_detail, SF_LOG_VERBOSE, "")
LOG_FUNCTION(sf_log_warning, SF_LOG_QUIET, "!warning: ")
LOG_FUNCTION(sf_log_error, SF_LOG_QUIET, "!")

char *sf_log_size(uint64_t bytes, char out[32])
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
        double value = (double)bytes;
        size_t unit = 0;

        while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
                value /= 1024;
                unit++;
        }
        snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
        return out;
}

void sf_log_progress(const char *what, uint64_t done, uint64_t total)
{
        static double started, drawn;
        char have[32], rate[32];

        if (current_level != SF_LOG_NORMAL || !isatty(STDERR_FILENO))
                return;
        double now = sf_clock_seconds();
        if (!progress_started)
                started = now;
        else if (now - drawn < 0.1 && done != total)
                return;
        drawn = now;
        line_drawn = progress_started = true;
        double elapsed = now - started > 0.05 ? now - started : 0.05;
        sf_log_size((uint64_t)((double)done / elapsed), rate);
        if (total)
                fprintf(stderr, "\r\033[K%s  %3.0f %%  %s/s", what, 100.0 * (double)done / (double)total, rate);
        else
                fprintf(stderr, "\r\033[K%s  %s  %s/s", what, sf_log_size(done, have), rate);
        fflush(stderr);
}

void sf_log_status(const char *format, ...)
{
        va_list args;

        if (current_level != SF_LOG_NORMAL || !isatty(STDERR_FILENO))
                return;
        _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT;
        va_start(args, format);
        add_printable(&line, format, args);
        va_end(args);
        fprintf(stderr, "\r\033[K%s", sf_buffer_text(&line));
        fflush(stderr);
        line_drawn = true;
}

void sf_log_progress_end(void)
{
        progress_started = false;
        if (!line_drawn)
                return;
        fputs("\r\033[K", stderr);
        line_drawn = false;
}
