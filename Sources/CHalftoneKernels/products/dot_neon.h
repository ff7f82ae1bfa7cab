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
