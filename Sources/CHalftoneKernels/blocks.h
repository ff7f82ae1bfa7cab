// SPDX-License-Identifier: MIT
// What taking blocks apart and putting them together share.
#pragma once
#include <string.h>

#include "HalftoneBlocks.h"

// A fused product would give codes that depend on the machine.
#pragma clang fp contract(off)

enum {
  q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13,
  q6_k = 14, iq4_nl = 20, iq4_xs = 23, tq1_0 = 34, tq2_0 = 35, mxfp4 = 39,
};

static inline uint16_t half_at(const uint8_t *bytes) {
  uint16_t half;
  memcpy(&half, bytes, 2);
  return half;
}

static inline void put_half(uint16_t half, uint8_t *bytes) { memcpy(bytes, &half, 2); }

static inline float widened(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = (uint32_t)(half & 0x7fff) << 13;
  float value;
  if (size < 0x00800000u) {  // subnormal: the fraction times 2^-24
    value = (float)(half & 0x3ff) * 0x1p-24f;
    memcpy(&size, &value, 4);
  } else {
    size += size >= 0x0f800000u ? 0x70000000u : 0x38000000u;
  }
  size |= sign;
  memcpy(&value, &size, 4);
  return value;
}

// To nearest, ties to even; what is too large becomes the largest half.
static inline uint16_t narrowed(float value) {
  uint32_t bits, sign;
  memcpy(&bits, &value, 4);
  sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7bff);
  if (bits < 113u << 23) {  // below 2^-14 a sum with 1/2 rounds to a multiple of 2^-24
    float size;
    memcpy(&size, &bits, 4);
    size += 0.5f;
    memcpy(&bits, &size, 4);
    return (uint16_t)(sign | (bits - 0x3f000000));
  }
  return (uint16_t)(sign | ((bits - (112u << 23) + 0xfff + (bits >> 13 & 1)) >> 13));
}

// 2^(e - 128), which halves what the doubled table of MXFP4 stands for.
static inline float power(uint8_t e) {
  uint32_t bits = e < 2 ? UINT32_C(0x00200000) << e : (uint32_t)(e - 1) << 23;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
