/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/openpgp.h - a detached OpenPGP signature (RFC 4880, RFC 9580) of a file that somebody else published.
 *
 * The file that holds it must consist of exactly one signature, of a binary document, by SHA-256 or stronger. The
 * cryptography is left to sqv and gpgv, of which one must be installed; where both are, both must agree. gpgv's
 * answer is read from its status lines (GnuPG, doc/DETAILS), never from its exit status alone, and nothing in them
 * may speak of an expired or revoked key or signature. sqv alone takes a signature that was made before its key
 * expired.
 */
#ifndef SF_FACTORY_PACK_OPENPGP_H
#define SF_FACTORY_PACK_OPENPGP_H

#include "base/error.h"

struct sf_openpgp {
        const char *file;        /* what was signed */
        const char *signature;   /* armored or binary */
        const char *keyring;     /* the signer's public key, armored or binary; may hold others */
        const char *fingerprint; /* of the primary key: 40 or 64 hexadecimal digits, any spaces */
        const char *scratch;     /* an existing directory of the caller's, for temporary files */
};

/* SF_ERR_TRUST where the file is not signed by that key, with the reason; SF_ERR_USAGE for a fingerprint that is
 * none; SF_ERR_UNSUPPORTED where there is neither sqv nor gpgv. *ret_tool, static, is the program that answered. */
int sf_openpgp_verify(const struct sf_openpgp *openpgp, const char **ret_tool, struct sf_error *err);

#endif
