/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/field_finders.h - who finds fields: each walks one kind of structure and adds to the list. */
#ifndef SF_DELTA_IMAGE_FIELD_FINDERS_H
#define SF_DELTA_IMAGE_FIELD_FINDERS_H

#include "delta/image/field_list.h"

void sf_find_code_fields(struct sf_field_list *c);   /* instructions, jump tables of x86-64 */
void sf_find_a64_fields(struct sf_field_list *c);    /* instructions of arm64 */
void sf_find_unwind_fields(struct sf_field_list *c); /* .eh_frame and its index */
void sf_find_table_fields(struct sf_field_list *c); /* headers, symbols, relocations, dynamic section, hash, versions */

#endif
