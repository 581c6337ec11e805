/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.c - standard error for people, and a progress line on terminals. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const char *program_name = "slurm-factory";
static enum sf_log_level current_level = SF_LOG_NORMAL;
static bool line_drawn;       /* on the terminal, to be removed before anything else is said */
static bool progress_started; /* a transfer is being shown: its rate counts from the first call */

void sf_log_open(const char *program, enum sf_log_level level)
{
        program_name = program;
        current_level = level;
}

enum sf_log_level sf_log_level(void)
{
        return current_level;
}

static void print_line(const char *before, const char *format, va_list args)
{
        sf_log_progress_end();
        fputs(before, stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
}

void sf_log_info(const char *format, ...)
{
        va_list args;

        if (current_level < SF_LOG_NORMAL)
                return;
        va_start(args, format);
        print_line("", format, args);
        va_end(args);
}

void sf_log_detail(const char *format, ...)
{
        va_list args;

        if (current_level < SF_LOG_VERBOSE)
                return;
        va_start(args, format);
        print_line("", format, args);
        va_end(args);
}

void sf_log_warning(const char *format, ...)
{
        va_list args;
        char before[96];

        snprintf(before, sizeof before, "%s: warning: ", program_name);
        va_start(args, format);
        print_line(before, format, args);
        va_end(args);
}

void sf_log_error(const char *format, ...)
{
        va_list args;
        char before[96];

        snprintf(before, sizeof before, "%s: ", program_name);
        va_start(args, format);
        print_line(before, format, args);
        va_end(args);
}

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
        fputs("\r\033[K", stderr);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
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
