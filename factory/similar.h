/* factory/similar.h - which files lie side by side in a layer, so that one frame's window sees what they share. */
#ifndef SF_FACTORY_SIMILAR_H
#define SF_FACTORY_SIMILAR_H

#include <stddef.h>

/* Kinds in packing order. Within a kind the largest file comes first: near copies (libslurm, libslurmfull, libslurm_pmi;
 * the data_parser plugins) have nearly the same size. Where the kind changes little is shared across the border, which
 * makes it the best place to cut a frame. */
enum sf_similar_kind { SF_SIMILAR_SHARED, SF_SIMILAR_PROGRAM, SF_SIMILAR_ARCHIVE, SF_SIMILAR_OTHER };

enum sf_similar_kind sf_similar_kind(const char *path, const void *data, size_t len);

#endif
