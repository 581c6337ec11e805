/* SPDX-License-Identifier: Apache-2.0 */
/* base/crypto.c - see crypto.h. */
#include "base/crypto.h"

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REASON_MAX 700

static bool may_hold_pin(const char *data)
{
        return strcasestr(data, "pkcs11:") || strcasestr(data, "pin-value=");
}

void sf_crypto_reason(char *ret, size_t size)
{
        const char *data, *text;
        char last[256] = "";
        int flags;
        size_t used = 0;
        unsigned long code;

        snprintf(ret, size, "no reason given");
        while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
                char entry[256];
                text = ERR_reason_error_string(code);
                bool has_data = (flags & ERR_TXT_STRING) && data && *data && !may_hold_pin(data);
                if (!text && !has_data)
                        continue;
                snprintf(entry, sizeof entry, "%s%s%s", text ? text : "", text && has_data ? ": " : "",
                         has_data ? data : "");
                if (strcmp(entry, last) == 0)
                        continue;
                memcpy(last, entry, sizeof last);
                int n = snprintf(ret + used, size - used, "%s%s", used ? "; " : "", entry);
                used = n < 0 || (size_t)n >= size - used ? size - 1 : used + (size_t)n;
        }
}

/* Appends which file set libcrypto up. At its start libcrypto keeps silent about what it could not load. */
static void blame_configuration(char *text, size_t size)
{
#ifdef OPENSSL_NO_AUTOLOAD_CONFIG /* the static agent reads none */
        (void)text;
        (void)size;
#else
        char *path = CONF_get1_default_config_file();
        size_t used = strlen(text);

        if (path && *path && access(path, F_OK) == 0)
                snprintf(text + used, size - used,
                         " (configured by %.900s; 'openssl list -providers' shows what that gives)", path);
        OPENSSL_free(path);
#endif
}

int sf_crypto_error(struct sf_error *err, const char *format, ...)
{
        char what[512], text[REASON_MAX + 1200];
        bool memory = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
        va_list args;

        va_start(args, format);
        vsnprintf(what, sizeof what, format, args);
        va_end(args);
        sf_crypto_reason(text, REASON_MAX);
        if (!memory)
                blame_configuration(text, sizeof text);
        return sf_error_set(err, memory ? SF_ERR_NOMEM : SF_ERR_UNSUPPORTED, "%s: OpenSSL: %s", what, text);
}
