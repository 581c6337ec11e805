/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/file_order.h - which files lie side by side in a layer, so that one frame's window sees what they
 * share. */
#ifndef SF_FACTORY_PACK_FILE_ORDER_H
#define SF_FACTORY_PACK_FILE_ORDER_H

#include <stddef.h>

/* Kinds in packing order. Within a kind the largest file comes first: near copies (libslurm, libslurmfull,
 * libslurm_pmi; the data_parser plugins) have nearly the same size. Where the kind changes little is shared across
 * the border, which makes it the best place to cut a frame. */
enum sf_file_order_kind { SF_FILE_ORDER_SHARED, SF_FILE_ORDER_PROGRAM, SF_FILE_ORDER_ARCHIVE, SF_FILE_ORDER_OTHER };

enum sf_file_order_kind sf_file_order_kind(const char *path, const void *data, size_t len);

#endif
