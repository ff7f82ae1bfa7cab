// SPDX-License-Identifier: MIT
// The block formats of GGUF files put together from codes and scales: the inverse of blocks.c.
#include "blocks.h"

static void join_nibbles(const uint8_t *codes, size_t n, uint8_t *out) {
  for (size_t j = 0; j < n; ++j) out[j] = (uint8_t)((codes[j] & 15) | codes[n + j] << 4);
}

static void join_bits(const uint8_t *codes, int bit, uint8_t *out) {
  uint32_t bits = 0;
  for (int j = 0; j < 32; ++j) bits |= (uint32_t)(codes[j] >> bit & 1) << j;
  memcpy(out, &bits, 4);
}

static void join_pairs(const uint8_t *codes, uint8_t *out) {
  for (int half = 0; half < 2; ++half, codes += 128, out += 32)
    for (int l = 0; l < 32; ++l)
      out[l] = (uint8_t)((codes[l] & 3) | (codes[32 + l] & 3) << 2 | (codes[64 + l] & 3) << 4 |
                         (codes[96 + l] & 3) << 6);
}

// Bit `bit` of element 32G + l to bit G of byte l.
static void join_planes(const uint8_t *codes, int bit, uint8_t *out) {
  for (int l = 0; l < 32; ++l) {
    int byte = 0;
    for (int plane = 0; plane < 8; ++plane) byte |= (codes[32 * plane + l] >> bit & 1) << plane;
    out[l] = (uint8_t)byte;
  }
}

static void join_q6(const uint8_t *codes, uint8_t *block) {
  uint8_t *low = block, *high = block + 128;
  for (int half = 0; half < 2; ++half, codes += 128, low += 64, high += 32)
    for (int l = 0; l < 32; ++l) {
      low[l] = (uint8_t)((codes[l] & 15) | codes[64 + l] << 4);
      low[32 + l] = (uint8_t)((codes[32 + l] & 15) | codes[96 + l] << 4);
      high[l] = (uint8_t)((codes[l] >> 4 & 3) | (codes[32 + l] >> 4 & 3) << 2 |
                          (codes[64 + l] >> 4 & 3) << 4 | (codes[96 + l] >> 4 & 3) << 6);
    }
}

// A number of five digits in base 3 as the least byte whose fraction of 256 is not below it of 243.
static void join_trits(const uint8_t *codes, size_t n, int digits, uint8_t *out) {
  for (size_t j = 0; j < n; ++j) {
    int value = 0;
    for (int digit = 0; digit < 5; ++digit)
      value = 3 * value + (digit < digits ? codes[(size_t)digit * n + j] : 0);
    out[j] = (uint8_t)((value * 256 + 242) / 243);
  }
}

static void put_codes(uint32_t id, const uint8_t *codes, uint8_t *block) {
  switch (id) {
    case q4_0: case iq4_nl: join_nibbles(codes, 16, block + 2); break;
    case q4_1: join_nibbles(codes, 16, block + 4); break;
    case mxfp4: join_nibbles(codes, 16, block + 1); break;
    case q5_0: join_bits(codes, 4, block + 2); join_nibbles(codes, 16, block + 6); break;
    case q5_1: join_bits(codes, 4, block + 4); join_nibbles(codes, 16, block + 8); break;
    case q8_0:
      for (int j = 0; j < 32; ++j) block[2 + j] = codes[j] ^ 0x80;
      break;
    case q2_k: join_pairs(codes, block + 16); break;
    case q3_k: join_pairs(codes, block + 32); join_planes(codes, 2, block); break;
    case q4_k:
      for (int k = 0; k < 4; ++k) join_nibbles(codes + 64 * k, 32, block + 16 + 32 * k);
      break;
    case q5_k:
      for (int k = 0; k < 4; ++k) join_nibbles(codes + 64 * k, 32, block + 48 + 32 * k);
      join_planes(codes, 4, block + 16);
      break;
    case q6_k: join_q6(codes, block); break;
    case iq4_xs:
      for (int k = 0; k < 8; ++k) join_nibbles(codes + 32 * k, 16, block + 8 + 16 * k);
      break;
    case tq1_0:
      join_trits(codes, 32, 5, block);
      join_trits(codes + 160, 16, 5, block + 32);
      join_trits(codes + 240, 4, 4, block + 48);
      break;
    case tq2_0: join_pairs(codes, block); break;
  }
}

static void join_sixes(const uint8_t scales[8], const uint8_t minima[8], uint8_t *out) {
  for (int j = 0; j < 4; ++j) {
    out[j] = (uint8_t)((scales[j] & 63) | (scales[4 + j] >> 4) << 6);
    out[4 + j] = (uint8_t)((minima[j] & 63) | (minima[4 + j] >> 4) << 6);
    out[8 + j] = (uint8_t)((scales[4 + j] & 15) | minima[4 + j] << 4);
  }
}

// Scales of 6 bits are stored plus 32.
static void put_small(uint32_t id, const uint8_t *scales, const uint8_t *minima, uint16_t factor,
                      uint16_t least, uint8_t *block) {
  switch (id) {
    case q2_k:
      for (int j = 0; j < 16; ++j) block[j] = (uint8_t)((scales[j] & 15) | minima[j] << 4);
      put_half(factor, block + 80);
      put_half(least ^ 0x8000, block + 82);
      break;
    case q3_k:
      memset(block + 96, 0, 12);
      for (int j = 0; j < 16; ++j) {
        int scale = scales[j] + 32;
        block[96 + j % 8] |= (uint8_t)((scale & 15) << (j < 8 ? 0 : 4));
        block[104 + j % 4] |= (uint8_t)((scale >> 4 & 3) << (2 * (j / 4)));
      }
      put_half(factor, block + 108);
      break;
    case q4_k: case q5_k:
      put_half(factor, block);
      put_half(least ^ 0x8000, block + 2);
      join_sixes(scales, minima, block + 4);
      break;
    case q6_k:
      memcpy(block + 192, scales, 16);
      put_half(factor, block + 208);
      break;
    case iq4_xs: {
      uint16_t high = 0;
      memset(block + 4, 0, 4);
      for (int j = 0; j < 8; ++j) {
        int scale = scales[j] + 32;
        block[4 + j / 2] |= (uint8_t)((scale & 15) << (4 * (j % 2)));
        high |= (uint16_t)((scale >> 4 & 3) << (2 * j));
      }
      put_half(factor, block);
      put_half(high, block + 2);
      break;
    }
  }
}

static void put_scales(const halftone_block_format *format, size_t i, halftone_block_scales in,
                       uint8_t *block) {
  if (format->scale_type == halftone_scale_i8) {
    uint8_t scales[16], minima[16];
    size_t groups = format->length / format->group;
    for (size_t j = 0; j < groups; ++j) {
      scales[j] = ((const uint8_t *)in.scales)[(i * groups + j) * in.stride];
      if (!format->has_minima) continue;
      minima[j] = ((const uint8_t *)in.minima)[(i * groups + j) * in.stride];
    }
    return put_small(format->id, scales, minima, in.super_scales[i * in.stride],
                     format->has_minima ? in.super_minima[i * in.stride] : 0, block);
  }
  if (format->scale_type == halftone_scale_f32) {
    uint8_t e = 0;
    float scale = ((const float *)in.scales)[i * in.stride];
    while (e < 255 && power(e) < scale) ++e;
    block[0] = e;
    return;
  }
  size_t at = format->id == tq1_0 ? 52 : format->id == tq2_0 ? 64 : 0;
  put_half(((const uint16_t *)in.scales)[i * in.stride], block + at);
  if (format->has_minima) put_half(((const uint16_t *)in.minima)[i * in.stride], block + 2);
}

void halftone_block_join(const halftone_block_format *format, const uint8_t *codes,
                         halftone_block_scales scales, size_t count, uint8_t *blocks) {
  for (size_t i = 0; i < count; ++i, codes += format->length, blocks += format->byte_count) {
    put_codes(format->id, codes, blocks);
    put_scales(format, i, scales, blocks);
  }
}
