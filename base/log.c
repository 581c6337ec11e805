/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.c - standard error for people, and a progress line on terminals. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/escape.h"

static const char *program_name = "slurm-factory";
static enum sf_log_level current_level = SF_LOG_NORMAL;
static bool line_drawn; /* on the terminal, to be removed before anything else is said */

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

/* Columns; a longer line would wrap, and one part of it would stay. */
static unsigned terminal_width(void)
{
        struct winsize size;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

bool sf_log_draws(void)
{
        const char *terminal = getenv("TERM");

        return current_level == SF_LOG_NORMAL && isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
}

void sf_log_status(const char *format, ...)
{
        va_list args;

        if (!sf_log_draws())
                return;
        _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT;
        va_start(args, format);
        add_printable(&line, format, args);
        va_end(args);
        fprintf(stderr, "\r\033[K%.*s", (int)terminal_width() - 1, sf_buffer_text(&line));
        fflush(stderr);
        line_drawn = true;
}

void sf_log_progress_end(void)
{
        if (!line_drawn)
                return;
        fputs("\r\033[K", stderr);
        line_drawn = false;
}
