/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/openpgp.c - see openpgp.h. */
#include "factory/pack/openpgp.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

#define SIGNATURE_MAX (64u << 10)
#define KEYRING_MAX   (4u << 20)
#define TAG_SIGNATURE 2

/* RFC 9580, 9.5 "Hash Algorithms": what is at least as strong as SHA-256. */
static bool is_strong(unsigned hash)
{
        return hash == 8 || hash == 9 || hash == 10 || hash == 12 || hash == 14;
}

/* --- armor and packets ------------------------------------------------------------------------------------------- */

/* The base64 lines of the first armored block, appended to ret. Its checksum is optional (RFC 9580, 6.1) and not
 * looked at: what is damaged does not verify. */
static int decode_armor(const char *name, const char *text, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer base64 = SF_BUFFER_INIT;
        const char *at = strstr(text, "-----BEGIN PGP "), *end = at ? strstr(at, "\n-----END PGP ") : NULL;
        int r = 0;

        /* An empty line ends the headers. */
        for (at = at ? strchr(at, '\n') : NULL; at && at < end; at = strchr(at + 1, '\n'))
                if (at[1] == '\n' || (at[1] == '\r' && at[2] == '\n'))
                        break;
        if (!at || !end || at >= end)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: an armored block without an end", name);
        for (at++; at < end && r == 0; at += strcspn(at, "\n") + 1) {
                size_t len = strcspn(at, "\r\n");
                if (*at == '=')
                        break;
                r = sf_buffer_append(&base64, at, len, err);
        }
        if (r < 0)
                return r;
        if (base64.len == 0 || base64.len % 4 || sf_buffer_reserve(ret, base64.len, err) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not base64", name);
        int n = EVP_DecodeBlock(ret->data + ret->len, base64.data, (int)base64.len);
        if (n < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not base64", name);
        for (size_t i = base64.len; n > 0 && i > base64.len - 2 && base64.data[i - 1] == '='; i--)
                n--;
        ret->len += (size_t)n;
        return 0;
}

static int read_packets(const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        int r = sf_fs_read(path, max, &content, err);

        if (r < 0)
                return r;
        if (strstr(sf_buffer_text(&content), "-----BEGIN PGP "))
                return decode_armor(path, sf_buffer_text(&content), ret, err);
        return sf_buffer_append(ret, content.data, content.len, err);
}

/* RFC 9580, 4.2: a packet's header at `at`. False where it is cut off or of partial length, which signatures never
 * are. */
static bool read_header(const uint8_t *at, size_t left, unsigned *ret_tag, size_t *ret_header, size_t *ret_len)
{
        size_t bytes;

        if (left < 2 || !(at[0] & 0x80))
                return false;
        if (at[0] & 0x40) {
                *ret_tag = at[0] & 0x3f;
                bytes = at[1] < 192 ? 1 : at[1] < 224 ? 2 : at[1] == 255 ? 5 : 0;
                if (bytes == 0 || left < 1 + bytes)
                        return false;
                *ret_len = bytes == 1   ? at[1]
                           : bytes == 2 ? ((size_t)(at[1] - 192) << 8) + at[2] + 192
                                        : (size_t)at[2] << 24 | (size_t)at[3] << 16 | (size_t)at[4] << 8 | at[5];
        } else {
                *ret_tag = (at[0] >> 2) & 0xf;
                bytes = (size_t)1 << (at[0] & 3);
                if (bytes == 8 || left < 1 + bytes)
                        return false;
                *ret_len = 0;
                for (size_t i = 0; i < bytes; i++)
                        *ret_len = *ret_len << 8 | at[1 + i];
        }
        *ret_header = 1 + bytes;
        return *ret_len <= left - *ret_header;
}

/* Nothing but one signature, whose version, type and hash are acceptable. */
static int check_signature(const char *name, const struct sf_buffer *packets, struct sf_error *err)
{
        size_t header, len;
        unsigned tag;
        const uint8_t *body;

        if (packets->len == 0 || !read_header(packets->data, packets->len, &tag, &header, &len) ||
            tag != TAG_SIGNATURE || len < 6)
                return sf_error_set(err, SF_ERR_TRUST, "%s: not a detached OpenPGP signature", name);
        if (header + len != packets->len)
                return sf_error_set(err, SF_ERR_TRUST, "%s: holds more than one signature", name);
        body = packets->data + header;
        if (body[0] != 4 && body[0] != 6)
                return sf_error_set(err, SF_ERR_TRUST, "%s: a signature of version %u", name, body[0]);
        if (body[1] != 0x00)
                return sf_error_set(err, SF_ERR_TRUST, "%s: a signature of type 0x%02x, not of a file", name, body[1]);
        if (!is_strong(body[3]))
                return sf_error_set(err, SF_ERR_TRUST, "%s: signed with hash algorithm %u, weaker than SHA-256", name,
                                    body[3]);
        return 0;
}

/* --- fingerprints ------------------------------------------------------------------------------------------------- */

/* Upper case without spaces. */
static int parse_fingerprint(const char *text, char ret[65], struct sf_error *err)
{
        size_t len = 0;

        for (const char *at = text; *at; at++) {
                if (*at == ' ' || *at == ':')
                        continue;
                if (!isxdigit((unsigned char)*at) || len == 64) {
                        len = 0;
                        break;
                }
                ret[len++] = (char)toupper((unsigned char)*at);
        }
        ret[len] = '\0';
        if (len != 40 && len != 64)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--fingerprint %s: the full fingerprint of a key, 40 or 64 hexadecimal digits, "
                                    "is needed",
                                    text);
        return 0;
}

/* --- the programs ------------------------------------------------------------------------------------------------- */

/* The exit status, or an error; SF_ERR_NOT_FOUND where there is no such program. */
static int run(const char *const *argv, struct sf_buffer *output, struct sf_buffer *errors, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
        const char *const env[] = { path, "HOME=/nonexistent", "LC_ALL=C", NULL };
        const struct sf_proc proc = {
                .argv = argv, .env = env, .output = output, .errors = errors, .timeout_seconds = 600
        };
        int r = path ? sf_proc_run(&proc, err) : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        return r == 127 ? SF_ERR_NOT_FOUND : r;
}

/* sqv says the fingerprint of each certificate that made a good signature. Its policy refuses weak hashes, and keys
 * that are expired or revoked. */
static int ask_sqv(const struct sf_openpgp *openpgp, const char *wanted, struct sf_error *err)
{
        const char *const argv[] = { "sqv", "--keyring", openpgp->keyring, openpgp->signature, openpgp->file, NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        int r = run(argv, &output, &errors, err);

        if (r < 0)
                return r;
        if (r != 0) {
                /* Its last line has the cause. */
                char *text = errors.len ? (char *)errors.data : NULL, *line = text;
                for (size_t len = errors.len; len && text[len - 1] == '\n'; len--)
                        text[len - 1] = '\0';
                line = text && strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
                return sf_error_set(err, SF_ERR_TRUST, "%s: sqv: %s", openpgp->file,
                                    line ? line + strspn(line, " ") : "no signature by that key");
        }
        size_t len = strcspn(sf_buffer_text(&output), "\n");
        if (len != strlen(wanted) || strncmp(sf_buffer_text(&output), wanted, len) != 0 || output.len > len + 1)
                return sf_error_set(err, SF_ERR_TRUST, "%s: signed by %.*s, not by %s", openpgp->file, (int)len,
                                    sf_buffer_text(&output), wanted);
        return 0;
}

/* Words of status lines after which a signature is not taken, whatever else is said. */
static const struct {
        const char *word, *why;
} refusals[] = {
        { "BADSIG", "the signature does not match" },
        { "ERRSIG", "the signature could not be checked: made by a key that is not in the keyring, or by an unknown "
                    "method" },
        { "EXPSIG", "the signature has expired" },
        { "EXPKEYSIG", "the key has expired" },
        { "REVKEYSIG", "the key was revoked" },
        { "KEYEXPIRED", "the key has expired" },
        { "KEYREVOKED", "the key was revoked" },
        { "SIGEXPIRED", "the signature has expired" },
        { "NODATA", "there is no signature in it" },
        { "UNEXPECTED", "it is not a signature" },
        { "ERROR", "gpgv reports an error" },
        { "FAILURE", "gpgv reports an error" },
};

static bool is_word(const char *line, const char *word)
{
        size_t len = strlen(word);

        return strncmp(line, word, len) == 0 && (line[len] == ' ' || line[len] == '\n' || line[len] == '\0');
}

/* VALIDSIG <fingerprint> <date> <timestamp> <expires> <version> <reserved> <algorithm> <hash> <class> <primary key> */
static int check_valid(const struct sf_openpgp *openpgp, const char *line, const char *wanted, struct sf_error *err)
{
        char primary[80] = "";
        unsigned hash = 0;

        if (sscanf(line, "VALIDSIG %*s %*s %*s %*s %*s %*s %*s %u %*s %79s", &hash, primary) != 2)
                return sf_error_set(err, SF_ERR_TRUST, "%s: a status line of gpgv is not understood", openpgp->file);
        if (strcmp(primary, wanted) != 0)
                return sf_error_set(err, SF_ERR_TRUST, "%s: signed by %s, not by %s", openpgp->file, primary, wanted);
        if (!is_strong(hash))
                return sf_error_set(err, SF_ERR_TRUST, "%s: signed with hash algorithm %u, weaker than SHA-256",
                                    openpgp->file, hash);
        return 0;
}

static int judge_status(const struct sf_openpgp *openpgp, const char *text, const char *wanted, struct sf_error *err)
{
        static const char mark[] = "[GNUPG:] ";
        size_t valid = 0, good = 0;
        int r = 0;

        for (const char *line = text; *line && r == 0; line += strcspn(line, "\n"), line += *line == '\n') {
                const char *word = strncmp(line, mark, strlen(mark)) == 0 ? line + strlen(mark) : "";
                for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
                        if (is_word(word, refusals[i].word))
                                return sf_error_set(err, SF_ERR_TRUST, "%s: %s", openpgp->file, refusals[i].why);
                good += is_word(word, "GOODSIG");
                if (is_word(word, "VALIDSIG")) {
                        valid++;
                        r = check_valid(openpgp, word, wanted, err);
                }
        }
        if (r == 0 && (valid != 1 || good != 1))
                r = sf_error_set(err, SF_ERR_TRUST, "%s: gpgv found %zu valid signatures instead of one", openpgp->file,
                                 valid);
        return r;
}

static int ask_gpgv(const struct sf_openpgp *openpgp, const char *wanted, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer keys = SF_BUFFER_INIT, output = SF_BUFFER_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer errors = SF_BUFFER_INIT;
        _cleanup_free_ char *keyring = sf_fs_join(openpgp->scratch, "keyring.gpg");
        int r = keyring ? read_packets(openpgp->keyring, KEYRING_MAX, &keys, err)
                        : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        if (r == 0)
                r = sf_fs_write(keyring, keys.data, keys.len, 0600, err);
        if (r < 0)
                return r;
        /* A configuration below --homedir would be read: the scratch directory has none. */
        const char *const argv[] = { "gpgv",      "--homedir", openpgp->scratch,   "--status-fd", "1",
                                     "--keyring", keyring,     openpgp->signature, openpgp->file, NULL };
        r = run(argv, &output, &errors, err);
        if (r < 0)
                return r;
        int verdict = judge_status(openpgp, sf_buffer_text(&output), wanted, err);
        if (verdict == 0 && r != 0)
                verdict = sf_error_set(err, SF_ERR_TRUST, "%s: gpgv ended with %d", openpgp->file, r);
        return verdict;
}

int sf_openpgp_verify(const struct sf_openpgp *openpgp, const char **ret_tool, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer signature = SF_BUFFER_INIT;
        char wanted[65];
        int r = parse_fingerprint(openpgp->fingerprint, wanted, err);

        if (r == 0)
                r = read_packets(openpgp->signature, SIGNATURE_MAX, &signature, err);
        if (r == 0)
                r = check_signature(openpgp->signature, &signature, err);
        if (r < 0)
                return r;
        *ret_tool = "sqv";
        r = ask_sqv(openpgp, wanted, err);
        if (r < 0 && r != SF_ERR_NOT_FOUND)
                return r;
        int second = ask_gpgv(openpgp, wanted, err);
        if (second == 0)
                *ret_tool = r == 0 ? "sqv and gpgv" : "gpgv";
        if (second != SF_ERR_NOT_FOUND)
                return second;
        return r == 0 ? 0 : sf_error_set(err, SF_ERR_UNSUPPORTED, "neither sqv nor gpgv is installed here");
}
