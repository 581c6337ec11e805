/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose-report.c - what compose and those who look at its files have to say, one line each. */
#include <stdarg.h>
#include <stdio.h>

#include "factory/pack/compose.h"

void sf_compose_finding(struct sf_compose *tree, const char *format, ...)
{
        char text[SF_ERROR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        tree->findings++;
        if (tree->finding)
                tree->finding(tree->finding_ctx, text);
}

void sf_compose_note(struct sf_compose *tree, const char *format, ...)
{
        char text[SF_ERROR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        if (tree->note)
                tree->note(tree->finding_ctx, text);
}
