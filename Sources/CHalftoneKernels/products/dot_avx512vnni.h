// SPDX-License-Identifier: MIT
// Dot products by VNNI: unsigned weights times signed inputs, four to a sum.

typedef __m512i spread;

enum {
  SIGNED_WEIGHTS = 0,
  TILE_LONG = 12,
  TILE_SHORT = 6,
  TILE_REST = 4,
  TILE_PANELS = 2,
  BLOCK_TILES = 1,  // whether a tile over unrolled blocks fits the registers
  FLOAT_ROWS = 6,
  FLOAT_WIDE = 4,
  LEVEL_PANELS = 4,  // panels whose sums run side by side
};
#define DOTS_DEPEND_ON_WIDTH 0

// The sums are made here, not later.
#define FINISH(sums) __asm__ volatile("" : "+v"(sums))

// Four inputs, sixteen times over.
INLINE spread spread_of(const int8_t *x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

INLINE ints dot4(ints sums, bytes64 weights, spread inputs, int wide) {
  (void)wide;
  __m512i w = __builtin_bit_cast(__m512i, weights);
  return __builtin_bit_cast(ints,
                            _mm512_dpbusd_epi32(__builtin_bit_cast(__m512i, sums), w, inputs));
}

#include "tables_avx512.h"
