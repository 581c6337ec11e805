/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/table_layout.c - see table_layout.h. */
#include "delta/predict/table_layout.h"

#include <elf.h>

#include "delta/image/sections.h"

static const char *const names[SF_TABLES] = { ".dynsym", ".dynstr",  ".rela.dyn", ".rela.plt",
                                              ".plt",    ".plt.sec", ".rodata" };

void sf_table_layout_read(const uint8_t *data, uint64_t size, struct sf_table_layout *ret)
{
        struct sf_sections sections;

        *ret = (struct sf_table_layout){ 0 };
        sf_sections_read(data, size, &sections);
        for (size_t i = 0; i < SF_TABLES; i++) {
                const struct sf_section *s = sf_sections_find(&sections, names[i]);

                if (s && s->type != SHT_NOBITS && s->size)
                        ret->tables[i] = (struct sf_table_extent){ s->position, s->size };
        }
}

void sf_table_layout_model_start(struct sf_table_layout_model *m)
{
        sf_probabilities_start(m->as_mapped[0], sizeof m->as_mapped / sizeof(sf_probability));
        sf_number_start(&m->error[0]);
        sf_number_start(&m->error[1]);
}

static uint64_t code_number(struct sf_coder *c, sf_probability *as_mapped, struct sf_number *error, uint64_t mapped,
                            uint64_t value)
{
        if (sf_coder_bit(c, as_mapped, value == mapped))
                return mapped;
        return mapped + (uint64_t)sf_coder_signed(c, error, (int64_t)(value - mapped));
}

void sf_table_layout_code(struct sf_coder *c, struct sf_table_layout_model *m, const struct sf_table_layout *old,
                          const struct sf_map_of_file *map, uint64_t size, struct sf_table_layout *layout)
{
        for (size_t i = 0; i < SF_TABLES; i++) {
                struct sf_table_extent *new = &layout->tables[i];
                const struct sf_table_extent *was = &old->tables[i];
                enum sf_map_quality quality;

                if (!was->size) {
                        *new = (struct sf_table_extent){ 0 };
                        continue;
                }
                uint64_t start = sf_map_position(map, was->position, &quality);
                uint64_t last = sf_map_position(map, was->position + was->size - 1, &quality);

                new->position = code_number(c, &m->as_mapped[i][0], &m->error[0], start, new->position);
                new->size = code_number(c, &m->as_mapped[i][1], &m->error[1], last + 1 - start, new->size);
                if (new->position > size || new->size > size - new->position)
                        *new = (struct sf_table_extent){ 0 };
        }
}
