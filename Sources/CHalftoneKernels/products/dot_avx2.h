// SPDX-License-Identifier: MIT
// Dot products of AVX2. Unsigned weights of seven bits times signed inputs fit sixteen bits in
// pairs; weights of eight bits do not, so their even and odd bytes are multiplied apart.

typedef __m256i spread;
typedef int32_t ints8 __attribute__((ext_vector_type(8)));
typedef uint8_t bytes32 __attribute__((ext_vector_type(32)));

enum {
  SIGNED_WEIGHTS = 0,
  TILE_LONG = 4,
  TILE_SHORT = 3,
  TILE_REST = 2,
  TILE_PANELS = 1,
  BLOCK_TILES = 0,  // whether a tile over unrolled blocks fits the registers
  FLOAT_ROWS = 6,
  FLOAT_WIDE = 1,
  LEVEL_PANELS = 2,  // panels whose sums run side by side
};
#define DOTS_DEPEND_ON_WIDTH 1

#define FINISH(sums) (void)(sums)

// Four inputs, eight times over.
INLINE spread spread_of(const int8_t *x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

INLINE ints8 dot4_half(ints8 sums, bytes32 weights, spread inputs, int wide) {
  __m256i w = __builtin_bit_cast(__m256i, weights);
  if (!wide) {
    __m256i pairs = _mm256_maddubs_epi16(w, inputs);
    return sums + __builtin_bit_cast(ints8, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  __m256i even = _mm256_and_si256(w, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(w, 8);
  __m256i even_inputs = _mm256_srai_epi16(_mm256_slli_epi16(inputs, 8), 8);
  sums += __builtin_bit_cast(ints8, _mm256_madd_epi16(even, even_inputs));
  return sums + __builtin_bit_cast(ints8, _mm256_madd_epi16(odd, _mm256_srai_epi16(inputs, 8)));
}

INLINE ints dot4(ints sums, bytes64 weights, spread inputs, int wide) {
  ints result;
  result.lo = dot4_half(sums.lo, weights.lo, inputs, wide);
  result.hi = dot4_half(sums.hi, weights.hi, inputs, wide);
  return result;
}

INLINE bytes32 looked_up_half(bytes32 codes, bytes32 table) {
  return __builtin_bit_cast(bytes32, _mm256_shuffle_epi8(__builtin_bit_cast(__m256i, table),
                                                         __builtin_bit_cast(__m256i, codes)));
}

INLINE bytes64 looked_up(bytes64 codes, bytes64 table) {
  bytes64 result;
  result.lo = looked_up_half(codes.lo, table.lo);
  result.hi = looked_up_half(codes.hi, table.hi);
  return result;
}

INLINE lanes fused(lanes a, lanes b, lanes c) { return __builtin_elementwise_fma(a, b, c); }

INLINE lanes8 permuted_half(ints8 index, lanes8 low, lanes8 high) {
  __m256i at = __builtin_bit_cast(__m256i, index);
  __m256 a = _mm256_permutevar8x32_ps(__builtin_bit_cast(__m256, low), at);
  __m256 b = _mm256_permutevar8x32_ps(__builtin_bit_cast(__m256, high), at);
  // The choice looks at sign bits.
  __m256 fourth = __builtin_bit_cast(__m256, _mm256_slli_epi32(at, 28));
  return __builtin_bit_cast(lanes8, _mm256_blendv_ps(a, b, fourth));
}

// The lanes of a table of sixteen at the low four bits of each index.
INLINE lanes permuted(ints index, lanes table) {
  lanes result;
  result.lo = permuted_half(index.lo, table.lo, table.hi);
  result.hi = permuted_half(index.hi, table.lo, table.hi);
  return result;
}

// The same of a table of thirty-two and five bits.
INLINE lanes permuted_twice(ints index, lanes low, lanes high) {
  return (index & 16) != 0 ? permuted(index, high) : permuted(index, low);
}

INLINE lanes8 gathered_half(ints8 index, const float *table) {
  return __builtin_bit_cast(
      lanes8, _mm256_i32gather_ps(table, __builtin_bit_cast(__m256i, index), sizeof *table));
}

// The floats of a table in memory.
INLINE lanes gathered(ints index, const float *table) {
  lanes result;
  result.lo = gathered_half(index.lo, table);
  result.hi = gathered_half(index.hi, table);
  return result;
}
