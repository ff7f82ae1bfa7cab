// SPDX-License-Identifier: MIT
// Rows of floats become integers.

INLINE int32_t sum_of_codes(bytes codes) {
  return __builtin_reduce_add(__builtin_convertvector(codes, ints));
}

static void KERNEL(sum_codes)(const int8_t *codes, size_t stride, int32_t *sums) {
  for (size_t i = 0; i < stride; i += 16) sums[i / 16] = sum_of_codes(load_bytes(codes + i));
}

// max|x| / 127; 1 where all are 0.
INLINE float symmetric_scale(const float *x, size_t n) {
  lanes most = 0;
  FOR_SIXTEEN(n, most = larger(magnitude(load(x + i, k)), most););
  float scale = largest_of(most) / 127;
  return scale > 0 ? scale : 1;
}

static void KERNEL(quantize_inputs)(const float *x, size_t n, size_t group, int8_t *codes,
                                    size_t stride, float *scales, int32_t *sums) {
  memset(codes + n, 0, stride - n);
  for (size_t start = 0, g = 0; start < n; ++g) {
    size_t length = smaller_size(group, n - start);
    float scale = scales[g] = symmetric_scale(x + start, length);
    lanes limit = splat(127);
    FOR_SIXTEEN(length, lanes t = rounded(load(x + start + i, k) / scale);
                ints code = __builtin_convertvector(clamped(t, -limit, limit), ints);
                bytes narrow = __builtin_convertvector(code, bytes);
                if (k == 16) memcpy(codes + start + i, &narrow, sizeof narrow);
                else memcpy(codes + start + i, &narrow, k););
    start += length;
  }
  KERNEL(sum_codes)(codes, stride, sums);
}
