// SPDX-License-Identifier: MIT
// Dot products of signed bytes; weights of eight bits are moved by 128 to be signed. Without the
// dot-product instruction products of sixteen bits are added in pairs to 32 bits.

typedef int8x16_t spread;
typedef int32_t ints4 __attribute__((ext_vector_type(4)));
typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));
typedef uint8_t bytes32 __attribute__((ext_vector_type(32)));

enum {
  SIGNED_WEIGHTS = 1,
  TILE_LONG = 4,
  TILE_SHORT = 3,
  TILE_REST = 2,
  TILE_PANELS = 1,
  BLOCK_TILES = 0,  // whether a tile over unrolled blocks fits the registers
  FLOAT_ROWS = 6,
  FLOAT_WIDE = 1,
  LEVEL_PANELS = 2,  // panels whose sums run side by side
};
#define DOTS_DEPEND_ON_WIDTH 0
#define FINISH(sums) (void)(sums)

// Four inputs, four times over.
INLINE spread spread_of(const int8_t *x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

INLINE ints4 dot4_quarter(ints4 sums, bytes16 weights, spread inputs) {
  int32x4_t a = __builtin_bit_cast(int32x4_t, sums);
  int8x16_t w = __builtin_bit_cast(int8x16_t, weights);
#if defined(HALFTONE_HAS_DOT)
  return __builtin_bit_cast(ints4, vdotq_s32(a, w, inputs));
#else
  int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(inputs)));
  int32x4_t high = vpaddlq_s16(vmull_high_s8(w, inputs));
  return __builtin_bit_cast(ints4, vaddq_s32(a, vpaddq_s32(low, high)));
#endif
}

INLINE ints dot4(ints sums, bytes64 weights, spread inputs, int wide) {
  (void)wide;
  ints result;
  result.lo.lo = dot4_quarter(sums.lo.lo, weights.lo.lo, inputs);
  result.lo.hi = dot4_quarter(sums.lo.hi, weights.lo.hi, inputs);
  result.hi.lo = dot4_quarter(sums.hi.lo, weights.hi.lo, inputs);
  result.hi.hi = dot4_quarter(sums.hi.hi, weights.hi.hi, inputs);
  return result;
}

INLINE bytes16 looked_up_quarter(bytes16 codes, bytes16 table) {
  return __builtin_bit_cast(bytes16, vqtbl1q_u8(__builtin_bit_cast(uint8x16_t, table),
                                                __builtin_bit_cast(uint8x16_t, codes)));
}

INLINE bytes64 looked_up(bytes64 codes, bytes64 table) {
  bytes64 result;
  result.lo.lo = looked_up_quarter(codes.lo.lo, table.lo.lo);
  result.lo.hi = looked_up_quarter(codes.lo.hi, table.lo.lo);
  result.hi.lo = looked_up_quarter(codes.hi.lo, table.lo.lo);
  result.hi.hi = looked_up_quarter(codes.hi.hi, table.lo.lo);
  return result;
}

INLINE lanes fused(lanes a, lanes b, lanes c) { return __builtin_elementwise_fma(a, b, c); }

// The 64 bytes of a table at four times the low bits of each index; beyond them `other`.
INLINE lanes4 permuted_quarter(ints4 index, const uint8x16x4_t *table, lanes4 other) {
  uint8x16_t at = __builtin_bit_cast(uint8x16_t, index * 0x04040404 + 0x03020100);
  return __builtin_bit_cast(lanes4,
                            vqtbx4q_u8(__builtin_bit_cast(uint8x16_t, other), *table, at));
}

INLINE uint8x16_t bytes_of(lanes4 a) { return __builtin_bit_cast(uint8x16_t, a); }

INLINE lanes permuted_or(ints index, lanes table, lanes other) {
  const uint8x16x4_t all = {{bytes_of(table.lo.lo), bytes_of(table.lo.hi), bytes_of(table.hi.lo),
                             bytes_of(table.hi.hi)}};
  lanes result;
  result.lo.lo = permuted_quarter(index.lo.lo, &all, other.lo.lo);
  result.lo.hi = permuted_quarter(index.lo.hi, &all, other.lo.hi);
  result.hi.lo = permuted_quarter(index.hi.lo, &all, other.hi.lo);
  result.hi.hi = permuted_quarter(index.hi.hi, &all, other.hi.hi);
  return result;
}

// The lanes of a table of sixteen at the low four bits of each index.
INLINE lanes permuted(ints index, lanes table) {
  return permuted_or(index & 15, table, splat(0));
}

// The same of a table of thirty-two and five bits.
INLINE lanes permuted_twice(ints index, lanes low, lanes high) {
  index &= 31;
  return permuted_or(index ^ 16, high, permuted_or(index, low, splat(0)));
}

// The floats of a table in memory.
INLINE lanes gathered(ints index, const float *table) {
  lanes result;
  for (size_t i = 0; i < 16; ++i) result[i] = table[index[i]];
  return result;
}
