// SPDX-License-Identifier: MIT
// The block formats of GGUF files, taken apart; HalftoneBlocks.h describes the functions.
#include "blocks.h"

// The table of IQ4 plus its zero of 128, and twice the numbers of E2M1 plus 12.
static const uint8_t nonlinear[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                      129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t minifloat[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

#define F16 halftone_scale_f16
#define I8 halftone_scale_i8
static const halftone_block_format formats[] = {
    {q4_0, "Q4_0", 32, 18, 4, 8, 32, F16, 0, NULL},
    {q4_1, "Q4_1", 32, 20, 4, 0, 32, F16, 1, NULL},
    {q5_0, "Q5_0", 32, 22, 5, 16, 32, F16, 0, NULL},
    {q5_1, "Q5_1", 32, 24, 5, 0, 32, F16, 1, NULL},
    {q8_0, "Q8_0", 32, 34, 8, 128, 32, F16, 0, NULL},
    {q2_k, "Q2_K", 256, 84, 2, 0, 16, I8, 1, NULL},
    {q3_k, "Q3_K", 256, 110, 3, 4, 16, I8, 0, NULL},
    {q4_k, "Q4_K", 256, 144, 4, 0, 32, I8, 1, NULL},
    {q5_k, "Q5_K", 256, 176, 5, 0, 32, I8, 1, NULL},
    {q6_k, "Q6_K", 256, 210, 6, 32, 16, I8, 0, NULL},
    {iq4_nl, "IQ4_NL", 32, 18, 4, 128, 32, F16, 0, nonlinear},
    {iq4_xs, "IQ4_XS", 256, 136, 4, 128, 32, I8, 0, nonlinear},
    {tq1_0, "TQ1_0", 256, 54, 2, 1, 256, F16, 0, NULL},
    {tq2_0, "TQ2_0", 256, 66, 2, 1, 256, F16, 0, NULL},
    {mxfp4, "MXFP4", 32, 17, 4, 12, 32, halftone_scale_f32, 0, minifloat},
};

const halftone_block_format *halftone_block_format_of(uint32_t id) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i)
    if (formats[i].id == id) return &formats[i];
  return NULL;
}

// MARK: Codes

static void nibbles(const uint8_t *in, size_t n, uint8_t *out) {
  for (size_t j = 0; j < n; ++j) {
    out[j] = in[j] & 15;
    out[n + j] = in[j] >> 4;
  }
}

// Adds `worth` to the elements whose bit is set: element i has bit i of 32.
static void add_bits(const uint8_t *in, uint8_t worth, uint8_t *out) {
  uint32_t bits;
  memcpy(&bits, in, 4);
  for (int j = 0; j < 32; ++j) out[j] += (uint8_t)((bits >> j & 1) * worth);
}

// 64 bytes of four codes, 32 bytes to each run of 128: element 32k + l at bits 2k of byte l.
static void pairs_of_bits(const uint8_t *in, uint8_t *out) {
  for (int half = 0; half < 2; ++half, in += 32)
    for (int k = 0; k < 4; ++k, out += 32)
      for (int l = 0; l < 32; ++l) out[l] = in[l] >> (2 * k) & 3;
}

// Bit G of byte l of 32 belongs to element 32G + l.
static void add_planes(const uint8_t *in, uint8_t worth, uint8_t *out) {
  for (int plane = 0; plane < 8; ++plane, out += 32)
    for (int l = 0; l < 32; ++l) out[l] += (uint8_t)((in[l] >> plane & 1) * worth);
}

static void codes_q6(const uint8_t *block, uint8_t *out) {
  const uint8_t *low = block, *high = block + 128;
  for (int half = 0; half < 2; ++half, low += 64, high += 32, out += 128)
    for (int l = 0; l < 32; ++l) {
      out[l] = (uint8_t)((low[l] & 15) | (high[l] & 3) << 4);
      out[32 + l] = (uint8_t)((low[32 + l] & 15) | (high[l] >> 2 & 3) << 4);
      out[64 + l] = (uint8_t)(low[l] >> 4 | (high[l] >> 4 & 3) << 4);
      out[96 + l] = (uint8_t)(low[32 + l] >> 4 | (high[l] >> 6 & 3) << 4);
    }
}

// Bytes are fractions in base 3: digit n of byte b is the whole part of 3 * frac(b * 3^n / 256).
static void trits(const uint8_t *in, size_t n, int digits, uint8_t *out) {
  static const uint8_t powers[5] = {1, 3, 9, 27, 81};
  for (int digit = 0; digit < digits; ++digit, out += n)
    for (size_t j = 0; j < n; ++j) {
      uint8_t fraction = (uint8_t)(in[j] * powers[digit]);
      out[j] = (uint8_t)((uint16_t)fraction * 3 >> 8);
    }
}

static inline __attribute__((always_inline)) void codes_of(uint32_t id, const uint8_t *block,
                                                           uint8_t *out) {
  switch (id) {
    case q4_0: case iq4_nl: nibbles(block + 2, 16, out); break;
    case q4_1: nibbles(block + 4, 16, out); break;
    case mxfp4: nibbles(block + 1, 16, out); break;
    case q5_0: nibbles(block + 6, 16, out); add_bits(block + 2, 16, out); break;
    case q5_1: nibbles(block + 8, 16, out); add_bits(block + 4, 16, out); break;
    case q8_0:
      for (int j = 0; j < 32; ++j) out[j] = block[2 + j] ^ 0x80;
      break;
    case q2_k: pairs_of_bits(block + 16, out); break;
    case q3_k: pairs_of_bits(block + 32, out); add_planes(block, 4, out); break;
    case q4_k:
      for (int k = 0; k < 4; ++k) nibbles(block + 16 + 32 * k, 32, out + 64 * k);
      break;
    case q5_k:
      for (int k = 0; k < 4; ++k) nibbles(block + 48 + 32 * k, 32, out + 64 * k);
      add_planes(block + 16, 16, out);
      break;
    case q6_k: codes_q6(block, out); break;
    case iq4_xs:
      for (int k = 0; k < 8; ++k) nibbles(block + 8 + 16 * k, 16, out + 32 * k);
      break;
    case tq1_0:
      trits(block, 32, 5, out);
      trits(block + 32, 16, 5, out + 160);
      trits(block + 48, 4, 4, out + 240);
      break;
    case tq2_0: pairs_of_bits(block, out); break;
  }
}

// One loop a format, so that the switch is decided outside of it.
#define EACH(id)                                                       \
  case id:                                                             \
    for (size_t i = 0; i < count; ++i, blocks += bytes, codes += length) \
      codes_of(id, blocks, codes);                                     \
    break

void halftone_block_codes(const halftone_block_format *format, const uint8_t *blocks, size_t count,
                          uint8_t *codes) {
  size_t length = format->length, bytes = format->byte_count;
  switch (format->id) {
    EACH(q4_0); EACH(q4_1); EACH(q5_0); EACH(q5_1); EACH(q8_0); EACH(q2_k); EACH(q3_k); EACH(q4_k);
    EACH(q5_k); EACH(q6_k); EACH(iq4_nl); EACH(iq4_xs); EACH(tq1_0); EACH(tq2_0); EACH(mxfp4);
  }
}

// MARK: Scales

// Eight 6-bit scales and minima in 12 bytes.
static void sixes(const uint8_t *in, uint8_t scales[8], uint8_t minima[8]) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = in[j] & 63;
    minima[j] = in[4 + j] & 63;
    scales[4 + j] = (uint8_t)((in[8 + j] & 15) | (in[j] >> 6) << 4);
    minima[4 + j] = (uint8_t)(in[8 + j] >> 4 | (in[4 + j] >> 6) << 4);
  }
}

// The 8-bit scales and minima of one block; returns where its f16 factor lies, and in `minimum`
// that of the minima.
static const uint8_t *small_scales(uint32_t id, const uint8_t *block, uint8_t scales[16],
                                   uint8_t minima[16], const uint8_t **minimum) {
  *minimum = NULL;
  switch (id) {
    case q2_k:
      for (int j = 0; j < 16; ++j) {
        scales[j] = block[j] & 15;
        minima[j] = block[j] >> 4;
      }
      *minimum = block + 82;
      return block + 80;
    case q3_k:
      for (int j = 0; j < 16; ++j) {
        int low = j < 8 ? block[96 + j] & 15 : block[88 + j] >> 4;
        int high = block[104 + j % 4] >> (2 * (j / 4)) & 3;
        scales[j] = (uint8_t)((low | high << 4) - 32);
      }
      return block + 108;
    case q4_k: case q5_k:
      sixes(block + 4, scales, minima);
      *minimum = block + 2;
      return block;
    case q6_k: memcpy(scales, block + 192, 16); return block + 208;
    default:  // iq4_xs
      for (int j = 0; j < 8; ++j) {
        int low = block[4 + j / 2] >> (4 * (j % 2)) & 15;
        int high = half_at(block + 2) >> (2 * j) & 3;
        scales[j] = (uint8_t)((low | high << 4) - 32);
      }
      return block;
  }
}

static void take_small(const halftone_block_format *format, const uint8_t *blocks, size_t count,
                       halftone_block_scales out) {
  size_t groups = format->length / format->group, stride = out.stride;
  uint8_t *scales = out.scales, *minima = out.minima;
  for (size_t i = 0; i < count; ++i, blocks += format->byte_count) {
    uint8_t scale[16], minimum[16];
    const uint8_t *least, *factor = small_scales(format->id, blocks, scale, minimum, &least);
    for (size_t j = 0; j < groups; ++j) scales[(i * groups + j) * stride] = scale[j];
    out.super_scales[i * stride] = half_at(factor);
    if (!least) continue;
    for (size_t j = 0; j < groups; ++j) minima[(i * groups + j) * stride] = minimum[j];
    // Files hold what is subtracted.
    out.super_minima[i * stride] = half_at(least) ^ 0x8000;
  }
}

void halftone_block_take_scales(const halftone_block_format *format, const uint8_t *blocks,
                                size_t count, halftone_block_scales out) {
  size_t stride = out.stride, bytes = format->byte_count;
  if (format->scale_type == halftone_scale_i8) return take_small(format, blocks, count, out);
  if (format->scale_type == halftone_scale_f32) {
    float *scales = out.scales;
    for (size_t i = 0; i < count; ++i) scales[i * stride] = power(blocks[i * bytes]);
    return;
  }
  uint16_t *scales = out.scales, *minima = out.minima;
  size_t at = format->id == tq1_0 ? 52 : format->id == tq2_0 ? 64 : 0;
  for (size_t i = 0; i < count; ++i) scales[i * stride] = half_at(blocks + i * bytes + at);
  if (!format->has_minima) return;
  for (size_t i = 0; i < count; ++i) minima[i * stride] = half_at(blocks + i * bytes + 2);
}

// The powers of two that f16 has: 2^-24 to 2^15.
static int is_half(uint8_t e) { return e >= 104 && e <= 143; }

int halftone_block_scales_are_halves(const uint8_t *blocks, size_t count) {
  for (size_t i = 0; i < count; ++i, blocks += 17) {
    if (is_half(blocks[0])) continue;
    for (int j = 1; j < 17; ++j)
      if (blocks[j] & 0x77) return 0;
  }
  return 1;
}

void halftone_block_take_half_scales(const uint8_t *blocks, size_t count, uint16_t *scales,
                                     size_t stride) {
  for (size_t i = 0; i < count; ++i) {
    int exponent = blocks[i * 17] - 128;
    int bits = exponent < -14 ? 1 << (exponent + 24) : (exponent + 15) << 10;
    scales[i * stride] = is_half(blocks[i * 17]) ? (uint16_t)bits : 0;
  }
}

// MARK: Values

// The scales and minima of one block as floats.
static void float_scales(const halftone_block_format *format, const uint8_t *block,
                         float scales[16], float minima[16]) {
  _Alignas(8) uint8_t raw[64], raw_minima[64];
  uint16_t factor = 0, least = 0;
  halftone_block_take_scales(format, block, 1,
                             (halftone_block_scales){raw, raw_minima, &factor, &least, 1});
  for (size_t j = 0; j < format->length / format->group; ++j) {
    switch (format->scale_type) {
      case halftone_scale_f32: memcpy(&scales[j], raw + 4 * j, 4); break;
      case halftone_scale_f16: scales[j] = widened(half_at(raw + 2 * j)); break;
      case halftone_scale_i8: scales[j] = widened(factor) * (float)(int8_t)raw[j]; break;
    }
    if (!format->has_minima) continue;
    minima[j] = format->scale_type == halftone_scale_i8 ? widened(least) * (float)raw_minima[j]
                                                        : widened(half_at(raw_minima + 2 * j));
  }
}

void halftone_block_values(const halftone_block_format *format, const uint8_t *blocks, size_t count,
                           float *values) {
  uint8_t codes[256];
  float scales[16], minima[16];
  for (size_t i = 0; i < count; ++i, blocks += format->byte_count, values += format->length) {
    halftone_block_codes(format, blocks, 1, codes);
    float_scales(format, blocks, scales, minima);
    if (format->table)
      for (size_t j = 0; j < format->length; ++j) codes[j] = format->table[codes[j]];
    for (size_t j = 0; j < format->length; j += format->group) {
      float scale = scales[j / format->group], minimum = minima[j / format->group];
      for (size_t k = j; k < j + format->group; ++k)
        values[k] = scale * (float)((int)codes[k] - format->zero);
      if (!format->has_minima) continue;
      for (size_t k = j; k < j + format->group; ++k) values[k] += minimum;
    }
  }
}
