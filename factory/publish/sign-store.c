/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/sign-store.c - see sign-store.h. */
#include "factory/publish/sign-store.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/fs.h"

#define PIN_FILE "SLURM_FACTORY_PIN_FILE"
#define PIN      "SLURM_FACTORY_PIN"
#define PIN_MAX  256u

#define PIN_VALUE "pin-value="

/* A token whose PIN was refused in this process. */
static bool pin_was_refused;

struct request {
        bool probe; /* there is no PIN for this one */
        bool pin_asked;
        struct sf_error problem; /* why there is no PIN */
};

/* --- what is shown ---------------------------------------------------------------------------------------------- */

char *sf_sign_store_shown(const char *uri)
{
        char *shown = strdup(uri), *value = shown ? strcasestr(shown, PIN_VALUE) : NULL;

        if (value) {
                value += strlen(PIN_VALUE);
                char *end = value + strcspn(value, "&;");
                size_t length = strlen(end) + 1;
                if (end - value >= 3) { /* "..." in its place */
                        memmove(value + 3, end, length);
                        memset(value, '.', 3);
                } else {
                        memmove(value, end, length);
                }
        }
        return shown;
}

EVP_PKEY *sf_sign_store_plain(const EVP_PKEY *pkey)
{
        const char *type = EVP_PKEY_get0_type_name(pkey);
        EVP_PKEY_CTX *context = type ? EVP_PKEY_CTX_new_from_name(NULL, type, "provider=default") : NULL;
        OSSL_PARAM *parameters = NULL;
        EVP_PKEY *plain = NULL;

        if (context && EVP_PKEY_todata(pkey, EVP_PKEY_PUBLIC_KEY, &parameters) == 1 &&
            EVP_PKEY_fromdata_init(context) == 1)
                (void)EVP_PKEY_fromdata(context, &plain, EVP_PKEY_PUBLIC_KEY, parameters);
        OSSL_PARAM_free(parameters);
        EVP_PKEY_CTX_free(context);
        return plain;
}

/* --- the PIN ---------------------------------------------------------------------------------------------------- */

static int read_pin(const char *path, char pin[static PIN_MAX], struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct stat st;
        int r;

        if (stat(path, &st) < 0)
                return sf_error_errno(err, PIN_FILE " %s", path);
        if (S_ISREG(st.st_mode) && (st.st_mode & 077))
                return sf_error_set(err, SF_ERR_TRUST, PIN_FILE " %s: others may read it (mode %04o, must be 0600)",
                                    path, (unsigned)st.st_mode & 07777);
        if ((r = sf_fs_read(path, PIN_MAX - 1, &text, err)) == 0)
                snprintf(pin, PIN_MAX, "%.*s", (int)strcspn(sf_buffer_text(&text), "\r\n"), sf_buffer_text(&text));
        OPENSSL_cleanse(text.data, text.len);
        if (r == 0 && !*pin)
                r = sf_error_set(err, SF_ERR_TRUST, PIN_FILE " %s: no PIN in its first line", path);
        return r;
}

/* 1: there is one. 0: none is configured. */
static int find_pin(char pin[static PIN_MAX], struct sf_error *err)
{
        const char *path = getenv(PIN_FILE), *value = getenv(PIN);

        if (path && *path) {
                int r = read_pin(path, pin, err);
                return r < 0 ? r : 1;
        }
        if (!value || !*value)
                return 0;
        if (strlen(value) >= PIN_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "$" PIN " has more than %u bytes", PIN_MAX - 1);
        snprintf(pin, PIN_MAX, "%s", value);
        return 1;
}

static int read_string(UI *ui, UI_STRING *string)
{
        struct request *request = UI_get0_user_data(ui);
        enum UI_string_types type = UI_get_string_type(string);
        char pin[PIN_MAX] = "";

        if (type != UIT_PROMPT && type != UIT_VERIFY)
                return 1;
        if (request->probe)
                return 0;
        request->pin_asked = true;
        int r = find_pin(pin, &request->problem);
        if (r > 0 && UI_set_result(ui, string, pin) < 0)
                r = sf_error_set(&request->problem, SF_ERR_TRUST, "the PIN is longer or shorter than the token takes");
        else if (r == 0)
                r = sf_error_set(&request->problem, SF_ERR_TRUST,
                                 "it asks for a PIN: set " PIN_FILE " to a file that holds it, or $" PIN
                                 "; there is no terminal to ask at");
        OPENSSL_cleanse(pin, sizeof pin);
        return r > 0;
}

/* Ours, or OpenSSL's own where nothing is configured and somebody sits at a terminal. *ret_own is the caller's. */
static const UI_METHOD *choose_method(UI_METHOD **ret_own)
{
        const char *path = getenv(PIN_FILE), *value = getenv(PIN);
        int terminal = (path && *path) || (value && *value) ? -1 : open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

        *ret_own = NULL;
        if (terminal >= 0) {
                close(terminal);
                return UI_OpenSSL();
        }
        if ((*ret_own = UI_create_method("slurm-factory")))
                UI_method_set_reader(*ret_own, read_string);
        return *ret_own;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static EVP_PKEY *load(const char *uri, int type, const UI_METHOD *method, struct request *request, bool *ret_opened)
{
        OSSL_STORE_CTX *store = OSSL_STORE_open(uri, method, request, NULL, NULL);
        EVP_PKEY *pkey = NULL;

        *ret_opened = store != NULL;
        while (store && !pkey && !OSSL_STORE_eof(store)) {
                OSSL_STORE_INFO *info = OSSL_STORE_load(store);
                if (info && OSSL_STORE_INFO_get_type(info) == type)
                        pkey = type == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info)
                                                            : OSSL_STORE_INFO_get1_PUBKEY(info);
                OSSL_STORE_INFO_free(info);
        }
        OSSL_STORE_close(store);
        return pkey;
}

/* --- why a token gives no key ------------------------------------------------------------------------------------ */

static bool is_token(const char *uri)
{
        return strncasecmp(uri, "pkcs11:", 7) == 0;
}

static bool starts_with(const char *text, const char *prefix)
{
        return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* The URI of the public half, or of any public key of the token, without a PIN. Owned by the caller. */
static char *public_uri(const char *uri, bool any)
{
        _cleanup_free_ char *path = strndup(uri, strcspn(uri, "?"));
        char *state = NULL, *ret = path ? sf_format("pkcs11:type=public") : NULL;

        for (char *part = path ? strtok_r(path + strlen("pkcs11:"), ";", &state) : NULL; part && ret;
             part = strtok_r(NULL, ";", &state)) {
                _cleanup_free_ char *before = ret;
                bool of_object = starts_with(part, "object=") || starts_with(part, "id=");
                ret = starts_with(part, "type=") || (any && of_object) ? strdup(before)
                                                                       : sf_format("%s;%s", before, part);
        }
        return ret;
}

/* Public objects are shown without a PIN, so that this costs no try of it. */
static bool has_public(const char *uri, bool any)
{
        struct request request = { .probe = true, .problem = SF_ERROR_INIT };
        _cleanup_free_ char *wanted = public_uri(uri, any);
        UI_METHOD *method = UI_create_method("slurm-factory");
        EVP_PKEY *pkey = NULL;
        bool opened;

        if (wanted && method) {
                UI_method_set_reader(method, read_string);
                pkey = load(wanted, OSSL_STORE_INFO_PUBKEY, method, &request, &opened);
        }
        UI_destroy_method(method);
        EVP_PKEY_free(pkey);
        return pkey != NULL;
}

/* The provider keeps the token's answer to itself: what the token shows without a PIN tells cases apart. */
static int explain_token(const char *uri, const char *shown, bool pin_used, struct sf_error *err)
{
        bool half = has_public(uri, false), others = half || has_public(uri, true);

        if (pin_used && (half || !others)) {
                pin_was_refused = true;
                return sf_error_set(err, SF_ERR_TRUST,
                                    half ? "key %s: the token refuses the PIN, or holds the public half only"
                                         : "key %s: the token refuses the PIN, or holds no key",
                                    shown);
        }
        if (others)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "key %s: the token holds no such private key", shown);
        return sf_error_set(err, SF_ERR_NOT_FOUND, "key %s: no such token is there, or it holds no key", shown);
}

static int explain(const char *uri, const char *shown, bool opened, const struct request *request, struct sf_error *err)
{
        char reason[512];

        sf_crypto_reason(reason, sizeof reason);
        if (request->problem.code)
                return sf_error_set(err, request->problem.code, "key %s: %s", shown, request->problem.text);
        if (!is_token(uri))
                return sf_error_set(err, SF_ERR_NOT_FOUND, "key %s: no private key there: %s", shown, reason);
        if (opened)
                return explain_token(uri, shown, request->pin_asked || strcasestr(uri, "pin-"), err);
        return sf_error_set(
                err, SF_ERR_NOT_FOUND,
                "key %s: no provider of OpenSSL serves pkcs11: here; install pkcs11-provider and activate it "
                "in openssl.cnf (%s)",
                shown, reason);
}

int sf_sign_store_open(const char *uri, EVP_PKEY **ret, struct sf_error *err)
{
        struct request request = { .problem = SF_ERROR_INIT };
        _cleanup_free_ char *shown = sf_sign_store_shown(uri);
        UI_METHOD *own;
        bool opened;

        if (!shown)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a key");
        if (pin_was_refused && is_token(uri))
                return sf_error_set(err, SF_ERR_TRUST, "key %s: not tried, a token refused its PIN before", shown);
        ERR_clear_error();
        EVP_PKEY *pkey = load(uri, OSSL_STORE_INFO_PKEY, choose_method(&own), &request, &opened);
        UI_destroy_method(own);
        int r = pkey ? 0 : explain(uri, shown, opened, &request, err);
        ERR_clear_error();
        if (r == 0)
                *ret = pkey;
        return r;
}
