// SPDX-License-Identifier: MIT
// Sixteen float16s as one value. A NaN keeps its upper payload bits and turns quiet.

INLINE halves load_halves(const uint16_t *a, size_t k) {
  halves x = 0;
  if (k == 16) memcpy(&x, a, sizeof x);
  else memcpy(&x, a, k * sizeof *a);
  return x;
}

INLINE void store_halves(halves x, uint16_t *out, size_t k) {
  if (k == 16) memcpy(out, &x, sizeof x);
  else memcpy(out, &x, k * sizeof *out);
}

#if defined(HALFTONE_CONVERTS_F16)
typedef _Float16 floats16 __attribute__((ext_vector_type(16)));
INLINE lanes widened(halves a) {
  return __builtin_convertvector(__builtin_bit_cast(floats16, a), lanes);
}
INLINE halves narrowed(lanes a) {
  return __builtin_bit_cast(halves, __builtin_convertvector(a, floats16));
}
#else
INLINE lanes widened(halves a) {
  ints x = __builtin_convertvector(a, ints);
  ints sign = (x & 0x8000) << 16, size = (x & 0x7fff) << 13;
  ints normal = size + (112 << 23);
  // A subnormal number is its fraction, as an integer, times 2^-24.
  ints small = bits_of(__builtin_convertvector(x & 0x3ff, lanes) * 0x1p-24f);
  ints special = size | 0x7f800000 | (((x & 0x3ff) != 0) & 0x00400000);
  ints exponent = x & 0x7c00;
  ints is_small = exponent == 0, is_special = exponent == 0x7c00;
  ints result = (normal & ~(is_small | is_special)) | (small & is_small) | (special & is_special);
  return from_bits(result | sign);
}

INLINE halves narrowed(lanes a) {
  ints x = bits_of(a), sign = (x >> 16) & 0x8000, size = x & 0x7fffffff;
  // 0xfff and the last kept bit carry into the kept bits exactly when the rest rounds up.
  ints normal = (size - (112 << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
  // Below 2^-14 one float addition to 1/2 rounds to a multiple of 2^-24.
  ints small = bits_of(from_bits(size) + 0.5f) - 0x3f000000;
  ints nan = 0x7e00 | ((size >> 13) & 0x3ff);
  ints is_small = size < (113 << 23), is_large = size >= 0x477ff000, is_nan = size > 0x7f800000;
  ints result = (normal & ~(is_small | is_large)) | (small & is_small);
  result |= (is_large & ~is_nan & 0x7c00) | (is_nan & nan);
  return __builtin_convertvector(result | sign, halves);
}
#endif
