// SPDX-License-Identifier: MIT
// Looking up codes in tables of 512 bits and beyond.

INLINE bytes64 looked_up(bytes64 codes, bytes64 table) {
  return __builtin_bit_cast(bytes64, _mm512_shuffle_epi8(__builtin_bit_cast(__m512i, table),
                                                         __builtin_bit_cast(__m512i, codes)));
}

INLINE lanes fused(lanes a, lanes b, lanes c) { return __builtin_elementwise_fma(a, b, c); }

// The lanes of a table of sixteen at the low four bits of each index.
INLINE lanes permuted(ints index, lanes table) {
  return __builtin_bit_cast(lanes, _mm512_permutexvar_ps(__builtin_bit_cast(__m512i, index),
                                                         __builtin_bit_cast(__m512, table)));
}

// The same of a table of thirty-two and five bits.
INLINE lanes permuted_twice(ints index, lanes low, lanes high) {
  return __builtin_bit_cast(
      lanes, _mm512_permutex2var_ps(__builtin_bit_cast(__m512, low),
                                    __builtin_bit_cast(__m512i, index),
                                    __builtin_bit_cast(__m512, high)));
}

// The floats of a table in memory.
INLINE lanes gathered(ints index, const float *table) {
  return __builtin_bit_cast(
      lanes, _mm512_i32gather_ps(__builtin_bit_cast(__m512i, index), table, sizeof *table));
}
