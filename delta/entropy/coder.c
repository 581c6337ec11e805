/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/coder.c - see coder.h. The interval [low, high] of 64-bit numbers shrinks with every bit; its
 * leading bytes are written as soon as both ends share them. */
#include "delta/entropy/coder.h"

#define TOP_SHIFT      56
#define FLUSH_MAX      8
#define NUMBER_LIMIT   255
#define MANTISSA_KNOWN 3 /* learnt bits below the leading one */

void sf_coder_encode(struct sf_coder *c, struct sf_buffer *out)
{
        *c = (struct sf_coder){ .encoding = true, .high = UINT64_MAX, .out = out };
}

static uint8_t next_byte(struct sf_coder *c)
{
        if (c->in < c->end || (c->more && c->more(c)))
                return *c->in++;
        c->overrun++;
        return 0;
}

static void read_first(struct sf_coder *c)
{
        for (int i = 0; i < FLUSH_MAX; i++)
                c->code = c->code << 8 | next_byte(c);
}

void sf_coder_decode(struct sf_coder *c, const void *in, size_t len)
{
        *c = (struct sf_coder){ .high = UINT64_MAX, .in = in, .end = (const uint8_t *)in + len };
        read_first(c);
}

void sf_coder_decode_from(struct sf_coder *c, bool (*more)(struct sf_coder *c), void *ctx)
{
        *c = (struct sf_coder){ .high = UINT64_MAX, .more = more, .ctx = ctx };
        read_first(c);
}

bool sf_coder_exhausted(const struct sf_coder *c)
{
        return c->overrun > FLUSH_MAX;
}

static void put_byte(struct sf_coder *c, uint64_t value)
{
        uint8_t byte = (uint8_t)value;
        int r = sf_buffer_append(c->out, &byte, 1, NULL);

        if (r < 0 && !c->failure)
                c->failure = r;
        if (c->grown && c->out->len % SF_CODER_PIECE == 0)
                c->grown(c);
}

/* The shortest run of bytes that, continued by zeros, lies inside the interval. */
static void flush(struct sf_coder *c)
{
        for (unsigned bytes = 1; bytes <= FLUSH_MAX; bytes++) {
                uint64_t rest = bytes == FLUSH_MAX ? 0 : UINT64_MAX >> (8 * bytes);
                uint64_t value = (c->low + rest) & ~rest;

                if (value < c->low || value > c->high)
                        continue;
                for (unsigned i = 0; i < bytes; i++)
                        put_byte(c, value >> (TOP_SHIFT - 8 * i) & 0xff);
                return;
        }
}

int sf_coder_finish(struct sf_coder *c, struct sf_error *err)
{
        if (c->encoding) {
                flush(c);
                if (c->failure)
                        return sf_error_set(err, c->failure, "no memory for the coded bytes");
        } else if (sf_coder_exhausted(c)) {
                return sf_error_set(err, SF_ERR_CORRUPT, "coded bytes end too early");
        }
        return 0;
}

/* `split` is the last number of the part that means 1. */
static unsigned narrow(struct sf_coder *c, uint64_t split, unsigned bit)
{
        if (c->pretraining)
                return bit;
        if (!c->encoding)
                bit = c->code <= split;
        if (bit)
                c->high = split;
        else
                c->low = split + 1;
        while (!((c->low ^ c->high) >> TOP_SHIFT)) {
                if (c->encoding)
                        put_byte(c, c->high >> TOP_SHIFT);
                else
                        c->code = c->code << 8 | next_byte(c);
                c->low <<= 8;
                c->high = c->high << 8 | 0xff;
        }
        return bit;
}

unsigned sf_coder_raw(struct sf_coder *c, uint32_t p, unsigned bit)
{
        uint64_t range = c->high - c->low;

        return narrow(c, c->low + (range >> 16) * p + ((range & 0xffff) * p >> 16), bit);
}

/* Moves an estimate towards bit by 1/(seen + 1.5), at most `limit` counted. */
static void learn(sf_probability *p, unsigned bit, unsigned limit)
{
        uint32_t seen = *p & 1023;
        int64_t target = bit ? (INT64_C(1) << 22) - 1 : 0;
        int64_t value = *p >> 10;

        value += (target - value) * 2 / (2 * (int64_t)seen + 3);
        *p = (uint32_t)value << 10 | (seen < limit ? seen + 1 : limit);
}

unsigned sf_coder_bit(struct sf_coder *c, sf_probability *p, unsigned bit)
{
        uint64_t range = c->high - c->low;
        uint64_t value = *p >> 10;

        /* Full 22 bits: what is nearly certain must cost nearly nothing, there are a million such bits in a release. */
        value += value == 0;
        bit = narrow(c, c->low + (range >> 22) * value + ((range & 0x3fffff) * value >> 22), bit);
        learn(p, bit, NUMBER_LIMIT);
        return bit;
}

uint64_t sf_coder_low(struct sf_coder *c, sf_probability *low, uint64_t value)
{
        unsigned high = sf_coder_bit(c, &low[1], value >> 1 & 1);

        return high << 1 | sf_coder_bit(c, &low[2 + high], value & 1);
}

void sf_probabilities_start(sf_probability *p, size_t count)
{
        for (size_t i = 0; i < count; i++)
                p[i] = SF_PROBABILITY_EVEN;
}

void sf_number_start(struct sf_number *n)
{
        sf_probabilities_start(n->length, sizeof n->length / sizeof *n->length);
        sf_probabilities_start(n->mantissa[0], sizeof n->mantissa / sizeof **n->mantissa);
}

static unsigned bit_length(uint64_t value)
{
        return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

uint64_t sf_coder_number(struct sf_coder *c, struct sf_number *n, uint64_t value)
{
        unsigned length = bit_length(value), node = 1;

        for (int i = 6; i >= 0; i--)
                node = node << 1 | sf_coder_bit(c, &n->length[node], length >> i & 1);
        length = node & 127;
        if (length > 64)
                length = 64;
        if (length < 2)
                return length;
        uint64_t result = 1;
        unsigned known = 1;
        for (unsigned i = length - 1; i-- > 0;) {
                unsigned bit = value >> i & 1;

                if (length - 1 - i <= MANTISSA_KNOWN) {
                        bit = sf_coder_bit(c, &n->mantissa[length][known], bit);
                        known = known << 1 | bit;
                } else {
                        bit = sf_coder_raw(c, 32768, bit);
                }
                result = result << 1 | bit;
        }
        return result;
}

int64_t sf_coder_signed(struct sf_coder *c, struct sf_number *n, int64_t value)
{
        uint64_t folded = (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);

        folded = sf_coder_number(c, n, folded);
        return (int64_t)(folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0));
}
