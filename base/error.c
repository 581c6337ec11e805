/* SPDX-License-Identifier: Apache-2.0 */
/* base/error.c - see error.h. The text is a fixed buffer on purpose: reporting a failure must not fail. One line is
 * promised: what came from outside may hold line breaks, control characters or bytes that are no text. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"

/* For callers that want no text: sf_error_prefix() has to return the code that it was called about. */
static _Thread_local int last_code = SF_ERR_FAILED;

int sf_error_set(struct sf_error *err, int code, const char *format, ...)
{
        va_list args;

        last_code = code;
        if (!err)
                return code;
        err->code = code;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        sf_printable_flatten(err->text);
        return code;
}

static int code_of_errno(int number)
{
        switch (number) {
        case ENOSPC:
        case EDQUOT:
                return SF_ERR_NO_SPACE;
        case ENOENT:
                return SF_ERR_NOT_FOUND;
        case ENOMEM:
                return SF_ERR_NOMEM;
        default:
                return SF_ERR_IO;
        }
}

int sf_error_errno(struct sf_error *err, const char *format, ...)
{
        int number = errno;
        va_list args;

        last_code = code_of_errno(number);
        if (!err)
                return last_code;
        err->code = last_code;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(number));
        sf_printable_flatten(err->text);
        errno = number;
        return err->code;
}

int sf_error_prefix(struct sf_error *err, const char *format, ...)
{
        char inner[SF_ERROR_TEXT_MAX];
        va_list args;

        if (!err)
                return last_code;
        memcpy(inner, err->text, sizeof inner);
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
        sf_printable_flatten(err->text);
        return err->code;
}

void sf_error_clear(struct sf_error *err)
{
        if (!err)
                return;
        err->code = 0;
        err->text[0] = '\0';
}

const char *sf_error_class(int code)
{
        static const char *const names[] = {
                "ok",      "usage",       "io",     "no memory", "corrupt",     "trust",  "expired",
                "network", "not found",   "exists", "busy",      "no space",    "no fit", "incompatible",
                "timeout", "unsupported", "limit",  "failed",    "interrupted",
        };
        size_t index = (size_t)(code < 0 ? -(long)code : 0);

        return index < sizeof names / sizeof *names ? names[index] : "unknown";
}
