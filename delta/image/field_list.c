/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/field_list.c - see field_list.h. */
#include "delta/image/field_list.h"

#include <stdlib.h>

size_t sf_field_list_room(const struct sf_field_list *c, size_t room)
{
        room = room ? room * 2 : SF_FIELD_LIST_ROOM;
        return room < c->raw_max || c->raw_max < SF_FIELD_LIST_ROOM ? room : c->raw_max;
}

static bool grow(struct sf_field_list *c)
{
        size_t room = sf_field_list_room(c, c->raw_room);
        struct sf_raw_field *raw = c->failure ? NULL : realloc(c->raw, room * sizeof *raw);

        if (!raw) {
                c->failure = SF_ERR_NOMEM;
                return false;
        }
        c->raw = raw;
        c->raw_room = room;
        return true;
}

void sf_field_list_add(struct sf_field_list *c, struct sf_raw_field field)
{
        if (!sf_field_list_inside(c, field.position, field.width) || c->raw_count >= c->raw_max)
                return;
        if (c->raw_count == c->raw_room && !grow(c))
                return;
        c->raw[c->raw_count++] = field;
}

void sf_field_list_address(struct sf_field_list *c, uint64_t position, uint8_t form, uint8_t kind, uint8_t width,
                           uint8_t bias, uint64_t address, uint64_t base)
{
        uint64_t target;

        if (position < c->size && sf_image_position(c->image, address, &target))
                sf_field_list_add(c,
                                  (struct sf_raw_field){ target, base, (uint32_t)position, form, kind, width, bias });
}

void sf_field_list_number(struct sf_field_list *c, uint64_t position, uint8_t kind, uint8_t width)
{
        if (position < c->size)
                sf_field_list_add(c, (struct sf_raw_field){ 0, 0, (uint32_t)position, SF_FORM_NUMBER, kind, width, 0 });
}
