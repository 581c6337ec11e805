/* SPDX-License-Identifier: Apache-2.0 */
/* transport/credentials.h - who we are to which server. Credentials belong to a host; no other one is ever sent
 * them, also not where a redirect leads there.
 */
#ifndef SF_TRANSPORT_CREDENTIALS_H
#define SF_TRANSPORT_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#define SF_CREDENTIALS_TOKEN_MAX 16384 /* bytes */

/* All strings are borrowed; NULL = none. */
struct sf_credentials {
        const char *host; /* "slurm.example.org", which is every port of it, or with a port: "slurm.example.org:8443" */
        const char *user, *password;   /* basic authentication (RFC 7617) */
        const char *token;             /* bearer token (RFC 6750) */
        const char *certificate, *key; /* PEM files, for TLS; key NULL = it is in the certificate's file */
        bool plain_http;               /* user, password and token may also be sent without TLS */
};

/* How servers are reached. url NULL = as the usual variables say (http_proxy, https_proxy, no_proxy), "" = without a
 * proxy. */
struct sf_proxy {
        const char *url;
        const char *except;          /* hosts that are reached without it, separated by commas */
        const char *user, *password; /* for the proxy */
};

struct sf_access {
        const struct sf_credentials *credentials;
        size_t count;
        struct sf_proxy proxy;
};

/* The entry for the host of an absolute URL, the one with a port first; NULL where there is none. */
const struct sf_credentials *sf_credentials_find(const struct sf_credentials *list, size_t count, const char *url);
/* Whether they may be sent to that URL: it is https, or they say that plain http will do. */
bool sf_credentials_may_be_sent(const struct sf_credentials *credentials, const char *url);

#endif
