// SPDX-License-Identifier: MIT
// Dot products without VNNI. Unsigned weights of seven bits times signed inputs fit sixteen bits in
// pairs; weights of eight bits do not, so their even and odd bytes are multiplied apart.

typedef __m512i spread;

enum {
  SIGNED_WEIGHTS = 0,
  TILE_LONG = 10,
  TILE_SHORT = 6,
  TILE_REST = 2,
  TILE_PANELS = 2,
  BLOCK_TILES = 1,  // whether a tile over unrolled blocks fits the registers
  FLOAT_ROWS = 6,
  FLOAT_WIDE = 4,
  LEVEL_PANELS = 4,  // panels whose sums run side by side
};
#define DOTS_DEPEND_ON_WIDTH 1

// The sums are made here, not later.
#define FINISH(sums) __asm__ volatile("" : "+v"(sums))

// Four inputs, sixteen times over.
INLINE spread spread_of(const int8_t *x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

INLINE ints dot4(ints sums, bytes64 weights, spread inputs, int wide) {
  __m512i w = __builtin_bit_cast(__m512i, weights);
  if (!wide) {
    __m512i pairs = _mm512_maddubs_epi16(w, inputs);
    return sums + __builtin_bit_cast(ints, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
  __m512i even = _mm512_and_si512(w, _mm512_set1_epi16(255)), odd = _mm512_srli_epi16(w, 8);
  __m512i even_inputs = _mm512_srai_epi16(_mm512_slli_epi16(inputs, 8), 8);
  sums += __builtin_bit_cast(ints, _mm512_madd_epi16(even, even_inputs));
  return sums + __builtin_bit_cast(ints, _mm512_madd_epi16(odd, _mm512_srai_epi16(inputs, 8)));
}

#include "tables_avx512.h"
