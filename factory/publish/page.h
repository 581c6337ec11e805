/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/page.h - index.html in the root of a repository: for people, made from what is signed. */
#ifndef SF_FACTORY_PUBLISH_PAGE_H
#define SF_FACTORY_PUBLISH_PAGE_H

#include "base/buffer.h"
#include "base/error.h"
#include "factory/publish/catalog.h"

/* The page as text: releases by toolchain with date, sizes and deltas, withdrawals with their reasons, how to
 * install, and the SHA-256 of the first root (root_sha256, hexadecimal; NULL where there is none yet). No script, no
 * file but itself. */
int sf_page_make(const struct sf_catalog *catalog, const char *root_sha256, struct sf_buffer *ret,
                 struct sf_error *err);
/* Writes REPO/index.html where it would change. */
int sf_page_store(const struct sf_catalog *catalog, const char *repository, struct sf_error *err);

#endif
