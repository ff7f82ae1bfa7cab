// SPDX-License-Identifier: MIT
// float16, bfloat16 and int8 to and from float. A NaN keeps its upper payload bits and turns quiet.

static void KERNEL(f16_to_f32)(const uint16_t *a, float *out, size_t n) {
  FOR_SIXTEEN(n, store(widened(load_halves(a + i, k)), out + i, k););
}

static void KERNEL(f32_to_f16)(const float *a, uint16_t *out, size_t n) {
  FOR_SIXTEEN(n, store_halves(narrowed(load(a + i, k)), out + i, k););
}

static void KERNEL(bf16_to_f32)(const uint16_t *a, float *out, size_t n) {
  FOR_SIXTEEN(n, words x = __builtin_convertvector(load_halves(a + i, k), words) << 16;
              store(__builtin_bit_cast(lanes, x), out + i, k););
}

// In the lower half of each word.
INLINE words bf16_bits(lanes a) {
  words x = __builtin_bit_cast(words, a);
  words near = (x + 0x7fff + ((x >> 16) & 1)) >> 16;
  words nan = __builtin_bit_cast(words, (x & 0x7fffffff) > 0x7f800000);
  return (nan & ((x >> 16) | 0x40)) | (~nan & near);
}

static void KERNEL(f32_to_bf16)(const float *a, uint16_t *out, size_t n) {
  FOR_SIXTEEN(n, words x = bf16_bits(load(a + i, k));
              store_halves(__builtin_convertvector(x, halves), out + i, k););
}

static void KERNEL(i8_to_f32)(const int8_t *a, float *out, size_t n) {
  FOR_SIXTEEN(n, store(load_codes(a + i, k), out + i, k););
}
