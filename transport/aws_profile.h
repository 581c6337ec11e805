/* SPDX-License-Identifier: Apache-2.0 */
/* transport/aws_profile.h - who signs requests to an S3 store: the environment and the files that the AWS tools
 * read. */
#ifndef SF_TRANSPORT_AWS_PROFILE_H
#define SF_TRANSPORT_AWS_PROFILE_H

#include "base/error.h"

struct sf_aws_profile {
        char *access_key, *secret_key;
        char *token;    /* NULL = long-lived keys */
        char *region;   /* "us-east-1" where nothing says otherwise */
        char *endpoint; /* NULL = none configured */
};

/* See sf_s3_open for the places. SF_ERR_USAGE names them where no keys are found. */
int sf_aws_profile_load(struct sf_aws_profile *ret, struct sf_error *err);
void sf_aws_profile_free(struct sf_aws_profile *profile);

#endif
