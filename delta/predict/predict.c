/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/predict.c - see predict.h. */
#include "delta/predict/predict.h"

#include <elf.h>
#include <stdlib.h>

#include "delta/image/a64.h"

#define ADVANCE            0x40 /* DW_CFA_advance_loc */
#define NEIGHBOURS_MAX     16   /* targets looked at on either side */
#define NEIGHBOUR_DISTANCE 4096 /* bytes; what lies further away moves on its own */

/* Code lies between the linker's tables and the read-only data, whatever the segments say. */
static void limit_code(const struct sf_table_layout *layout, struct sf_image *image)
{
        const struct sf_table_extent *texts = &layout->tables[SF_TABLE_TEXTS];

        image->code_to = UINT64_MAX;
        for (size_t i = 0; i <= SF_TABLE_PLT_RELOCATIONS; i++)
                if (layout->tables[i].position + layout->tables[i].size > image->code_from)
                        image->code_from = layout->tables[i].position + layout->tables[i].size;
        if (texts->size && texts->position >= image->code_from)
                image->code_to = texts->position;
}

void sf_predictor_image(const uint8_t *data, uint64_t known, unsigned version, const struct sf_table_layout *layout,
                        struct sf_image *ret)
{
        sf_image_open(data, known, ret);
        if (ret->machine != EM_AARCH64)
                return;
        if (version < SF_PREDICTOR_A64)
                ret->machine = EM_NONE;
        ret->a64_words = version >= SF_PREDICTOR_WORDS;
        if (ret->a64_words)
                limit_code(layout, ret);
}

/* All but the fields. */
static void look_at(struct sf_predictor *p, const struct sf_predictor_file *file)
{
        uint64_t known = file->version ? file->size : 0;

        *p = (struct sf_predictor){ .data = file->data, .size = file->size };
        sf_table_layout_read(file->data, known, &p->layout);
        sf_predictor_image(file->data, known, file->version, &p->layout, &p->image);
}

static int make_room(struct sf_predictor *p, struct sf_error *err)
{
        p->learned = calloc(p->fields.target_count + 1, sizeof *p->learned);
        return p->learned ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu targets", p->fields.target_count);
}

int sf_predictor_start(struct sf_predictor *p, const struct sf_predictor_file *file,
                       const struct sf_address_fields *fields, struct sf_error *err)
{
        look_at(p, file);
        p->fields = *fields;
        return make_room(p, err);
}

int sf_predictor_open(struct sf_predictor *p, const uint8_t *data, uint64_t size, unsigned version,
                      struct sf_error *err)
{
        look_at(p, &(struct sf_predictor_file){ data, size, version });
        int r = sf_address_fields_find(data, size, &p->image, &p->fields, err);
        if (r < 0 || (r = make_room(p, err)) < 0)
                sf_predictor_close(p);
        return r;
}

int sf_predictor_set_map(struct sf_predictor *p, const struct sf_piece *copies, size_t count, struct sf_error *err)
{
        sf_map_free(&p->map);
        return sf_map_build(copies, count, &p->map, err);
}

void sf_predictor_close(struct sf_predictor *p)
{
        sf_address_fields_free(&p->fields);
        sf_map_free(&p->map);
        free(p->learned);
        *p = (struct sf_predictor){ 0 };
}

static enum sf_a64_layout layout_of(const struct sf_field *field)
{
        return field->form == SF_FORM_OPERAND || field->form == SF_FORM_ANCHORED || field->form == SF_FORM_NUMBER
                       ? (enum sf_a64_layout)field->bias
                       : SF_A64_NONE;
}

uint64_t sf_field_get(const struct sf_field *field, const uint8_t *at)
{
        uint64_t value = field->width == 1   ? *at
                         : field->width == 2 ? sf_get16(at)
                         : field->width == 4 ? sf_get32(at)
                                             : sf_get64(at);
        enum sf_a64_layout layout = layout_of(field);

        return layout == SF_A64_NONE ? value : sf_a64_split(layout, (uint32_t)value);
}

uint64_t sf_field_bits(const struct sf_field *field)
{
        enum sf_a64_layout layout = layout_of(field);

        return layout == SF_A64_NONE ? UINT64_MAX : (UINT64_C(1) << sf_a64_bits(layout)) - 1;
}

int64_t sf_field_signed(const struct sf_field *field, uint64_t value)
{
        return field->width == 1   ? (int8_t)value
               : field->width == 2 ? (int16_t)value
               : field->width == 4 ? (int32_t)value
                                   : (int64_t)value;
}

void sf_field_put(const struct sf_field *field, uint8_t *at, uint64_t value)
{
        enum sf_a64_layout layout = layout_of(field);

        if (layout != SF_A64_NONE)
                value = sf_a64_join(layout, (uint32_t)value);
        for (unsigned i = 0; i < field->width; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t truncate(const struct sf_field *field, uint64_t value)
{
        return field->width == 8 ? value : value & ((UINT64_C(1) << 8 * field->width) - 1);
}

/* What was learnt of a target; there must be something. */
static uint64_t learned_place(const struct sf_predictor *p, uint32_t target)
{
        return (p->learned[target] & ~SF_PREDICT_TOLD) - 1;
}

uint64_t sf_predict_place(const struct sf_predictor *p, uint32_t target)
{
        enum sf_map_quality quality;

        if (p->learned[target])
                return learned_place(p, target);
        return sf_map_position(&p->map, p->fields.targets[target], &quality);
}

static unsigned scale_of(const struct sf_predictor *p, const struct sf_field *field)
{
        struct sf_a64_insn insn;

        sf_a64_decode(sf_get32(p->data + field->position), &insn);
        return insn.scale;
}

/* The old instruction with another operand. */
static uint64_t with_bits(const struct sf_predictor *p, const struct sf_field *field, uint64_t operand)
{
        uint64_t bits = sf_field_bits(field);

        return (sf_field_get(field, p->data + field->position) & ~bits) | (operand & bits);
}

/* And with that for another place and target. */
static uint64_t with_operand(const struct sf_predictor *p, const struct sf_field *field, uint64_t place,
                             uint64_t target)
{
        return with_bits(p, field, sf_a64_operand(layout_of(field), scale_of(p, field), place, target));
}

/* The value of a field that refers to new position `target`. */
static uint64_t value_of(const struct sf_predictor *p, const struct sf_field *field, const struct sf_image *image,
                         uint64_t position, uint64_t target)
{
        uint64_t value = 0;

        switch (field->form) {
        case SF_FORM_RELATIVE:
                value = sf_image_address(image, target) - (sf_image_address(image, position) + field->bias);
                break;
        case SF_FORM_TABLE:
                value = sf_image_address(image, target) - sf_image_address(image, sf_predict_place(p, field->base));
                break;
        case SF_FORM_ADDRESS:
                value = sf_image_address(image, target);
                break;
        case SF_FORM_POSITION:
                value = target;
                break;
        case SF_FORM_INDEX:
                value = (target - sf_predict_place(p, field->base)) / field->bias;
                break;
        case SF_FORM_ANCHORED:
                value = sf_image_address(image, target) - sf_image_address(image, sf_predict_place(p, field->base));
                value = with_bits(p, field, value >> scale_of(p, field));
                break;
        case SF_FORM_CASE:
                value = (uint64_t)((int64_t)(target - sf_predict_place(p, field->base)) / field->bias);
                break;
        case SF_FORM_ADVANCE:
                value = ADVANCE | ((target - sf_predict_place(p, field->base)) / field->bias & (ADVANCE - 1));
                break;
        case SF_FORM_SIZE:
                value = target + 1 - sf_predict_place(p, field->base);
                break;
        case SF_FORM_BACK:
                value = position - target;
                break;
        case SF_FORM_OPERAND:
                value = with_operand(p, field, sf_image_address(image, position), sf_image_address(image, target));
                break;
        }
        return truncate(field, value);
}

/* The inverse: the new position that a value refers to; false where there is none. */
static bool target_of(const struct sf_predictor *p, const struct sf_field *field, const struct sf_image *image,
                      uint64_t position, uint64_t value, uint64_t *ret)
{
        uint64_t distance = (uint64_t)sf_field_signed(field, value);

        switch (field->form) {
        case SF_FORM_RELATIVE:
                return sf_image_position(image, sf_image_address(image, position) + field->bias + distance, ret);
        case SF_FORM_TABLE:
                return sf_image_position(image, sf_image_address(image, sf_predict_place(p, field->base)) + distance,
                                         ret);
        case SF_FORM_ADDRESS:
                return sf_image_position(image, value, ret);
        case SF_FORM_POSITION:
                *ret = value;
                return true;
        case SF_FORM_INDEX:
                *ret = sf_predict_place(p, field->base) + value * field->bias;
                return true;
        case SF_FORM_ANCHORED:
                return sf_image_position(image,
                                         sf_image_address(image, sf_predict_place(p, field->base)) +
                                                 ((value & sf_field_bits(field)) << scale_of(p, field)),
                                         ret);
        case SF_FORM_CASE:
                *ret = sf_predict_place(p, field->base) + distance * field->bias;
                return true;
        case SF_FORM_ADVANCE:
                *ret = sf_predict_place(p, field->base) + (value & (ADVANCE - 1)) * field->bias;
                return value / ADVANCE == 1;
        case SF_FORM_SIZE:
                *ret = sf_predict_place(p, field->base) + value - 1;
                return true;
        case SF_FORM_BACK:
                *ret = position - value;
                return true;
        case SF_FORM_OPERAND:
                return sf_image_position(image,
                                         sf_a64_target(layout_of(field), scale_of(p, field),
                                                       sf_image_address(image, position),
                                                       (uint32_t)(value & sf_field_bits(field)),
                                                       sf_image_address(image, sf_predict_place(p, field->target)),
                                                       p->learned[field->target]),
                                         ret);
        default:
                return false;
        }
}

/* A learnt target near `target`, and so where that one probably is. */
static bool ask_neighbours(const struct sf_predictor *p, uint32_t target, uint64_t *ret)
{
        uint64_t old = p->fields.targets[target];

        for (uint32_t i = 1; i <= NEIGHBOURS_MAX; i++) {
                if (target >= i && p->learned[target - i] &&
                    old - p->fields.targets[target - i] <= NEIGHBOUR_DISTANCE) {
                        *ret = learned_place(p, target - i) + (old - p->fields.targets[target - i]);
                        return true;
                }
                if (target + i < p->fields.target_count && p->learned[target + i] &&
                    p->fields.targets[target + i] - old <= NEIGHBOUR_DISTANCE) {
                        *ret = learned_place(p, target + i) - (p->fields.targets[target + i] - old);
                        return true;
                }
        }
        return false;
}

static void predict_number(const struct sf_predictor *p, const struct sf_field *field, struct sf_prediction *ret)
{
        static const enum sf_prediction_source sources[] = {
                [SF_OPERAND_KEPT] = SF_PREDICT_MAPPED,    [SF_OPERAND_SAME] = SF_PREDICT_AGREED,
                [SF_OPERAND_STAYED] = SF_PREDICT_LEARNED, [SF_OPERAND_NEAR] = SF_PREDICT_NEIGHBOUR,
                [SF_OPERAND_FAR] = SF_PREDICT_GUESSED,
        };
        uint64_t old = sf_field_get(field, p->data + field->position), bits = sf_field_bits(field);
        unsigned scale = bits == UINT64_MAX ? 0 : scale_of(p, field);

        ret->source = sources[sf_operand_history_guess(&p->numbers[field->kind - SF_FIELD_NUMBERS],
                                                       (old & bits) << scale, &ret->value, &ret->alternative)];
        ret->value = truncate(field, (old & ~bits) | (ret->value >> scale & bits));
        ret->alternative = truncate(field, (old & ~bits) | (ret->alternative >> scale & bits));
}

void sf_predict(const struct sf_predictor *p, const struct sf_field *field, const struct sf_image *image,
                const uint8_t *out, uint64_t position, struct sf_prediction *ret)
{
        enum sf_map_quality quality;
        uint64_t near, other;

        if (field->form == SF_FORM_NUMBER) {
                predict_number(p, field, ret);
                return;
        }
        if (field->form == SF_FORM_SIBLING) {
                uint64_t moved = position < field->bias ? 0
                                                        : sf_get64(out + position - field->bias) -
                                                                  sf_get64(p->data + field->position - field->bias);

                ret->source = SF_PREDICT_MAPPED;
                ret->value = ret->alternative = truncate(field, sf_field_get(field, p->data + field->position) + moved);
                return;
        }
        uint64_t mapped = sf_map_positions(&p->map, p->fields.targets[field->target], &quality, &other);
        ret->value = ret->alternative = value_of(p, field, image, position, mapped);
        ret->source = quality == SF_MAP_EXACT ? SF_PREDICT_MAPPED : SF_PREDICT_GUESSED;
        if (p->learned[field->target]) {
                ret->value = value_of(p, field, image, position, learned_place(p, field->target));
                ret->source = ret->value == ret->alternative                ? SF_PREDICT_AGREED
                              : p->learned[field->target] & SF_PREDICT_TOLD ? SF_PREDICT_NAMED
                                                                            : SF_PREDICT_LEARNED;
        } else if (quality != SF_MAP_EXACT && ask_neighbours(p, field->target, &near)) {
                ret->value = value_of(p, field, image, position, near);
                ret->source = SF_PREDICT_NEIGHBOUR;
        } else if (quality == SF_MAP_NEAREST) {
                ret->alternative = value_of(p, field, image, position, other);
        }
}

void sf_predict_learn(struct sf_predictor *p, const struct sf_field *field, const struct sf_image *image,
                      uint64_t position, uint64_t value)
{
        uint64_t target, bits = sf_field_bits(field);
        unsigned scale = field->form != SF_FORM_NUMBER || bits == UINT64_MAX ? 0 : scale_of(p, field);

        if (field->form == SF_FORM_NUMBER)
                sf_operand_history_learn(&p->numbers[field->kind - SF_FIELD_NUMBERS],
                                         (sf_field_get(field, p->data + field->position) & bits) << scale,
                                         (value & bits) << scale);
        else if (field->form != SF_FORM_SIBLING && target_of(p, field, image, position, value, &target) &&
                 (p->learned[field->target] & ~SF_PREDICT_TOLD) != target + 1)
                p->learned[field->target] = (target + 1) & ~SF_PREDICT_TOLD;
}

void sf_predict_told(struct sf_predictor *p, uint64_t old_position, uint64_t new_position)
{
        size_t low = 0, high = p->fields.target_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (p->fields.targets[middle] < old_position)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low < p->fields.target_count && p->fields.targets[low] == old_position)
                p->learned[low] = (new_position + 1) | SF_PREDICT_TOLD;
}

uint64_t sf_predict_address(const struct sf_predictor *p, const struct sf_image *image, uint64_t position)
{
        const struct sf_field *f = sf_address_fields_at(&p->fields, position);

        return f ? sf_image_address(image, sf_predict_place(p, f->target)) : 0;
}

bool sf_predict_reference(const struct sf_predictor *p, const struct sf_image *image, uint64_t position, uint64_t *ret)
{
        const struct sf_field *f = sf_address_fields_at(&p->fields, position);

        if (!f || f->form != SF_FORM_OPERAND)
                return false;
        *ret = sf_image_address(image, sf_predict_place(p, f->target));
        return true;
}
