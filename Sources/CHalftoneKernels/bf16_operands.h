// SPDX-License-Identifier: MIT
// Float matrices rounded to the operands of a bfloat16 product; HalftoneAttention.h describes them.

typedef uint16_t halves32 __attribute__((ext_vector_type(32)));

// Subnormal numbers may become 0.
INLINE halves32 bf16_halves(lanes low, lanes high) {
#if defined(HALFTONE_DOTS_BF16)
  typedef float floats __attribute__((vector_size(64)));
  return __builtin_bit_cast(
      halves32, __builtin_ia32_cvtne2ps2bf16_512(__builtin_bit_cast(floats, high),
                                                 __builtin_bit_cast(floats, low)));
#else
  halves32 x;
  x.lo = __builtin_convertvector(bf16_bits(low), halves);
  x.hi = __builtin_convertvector(bf16_bits(high), halves);
  return x;
#endif
}

// The pairs (x[0], x[1]), (x[2], x[3]), ... of k <= 32 floats.
INLINE words pairs_along(const float *x, size_t k) {
  lanes high = k > 16 ? load(x + 16, k - 16) : splat(0);
  return __builtin_bit_cast(words, bf16_halves(load(x, k < 16 ? k : 16), high));
}

// The pairs (x[c], x[stride + c]) of n <= 16 columns; without a second row its elements are 0.
INLINE words pairs_across(const float *x, size_t stride, size_t n, int two) {
  halves32 rows = bf16_halves(load(x, n), two ? load(x + stride, n) : splat(0));
  return __builtin_bit_cast(
      words, __builtin_shufflevector(rows, rows, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
                                     7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                     15, 31));
}

// The pairs of the first k <= 32 elements.
INLINE void store_pairs(words pairs, uint16_t *out, size_t k) {
  if (k == 32) memcpy(out, &pairs, sizeof pairs);
  else memcpy(out, &pairs, (k + 1) / 2 * sizeof(uint32_t));
}

// Rows become columns: four perfect shuffles of sixteen vectors.
INLINE void transpose(words w[16]) {
  words t[16];
  for (int round = 0; round < 4; ++round) {
    for (size_t i = 0; i < 8; ++i) {
      t[2 * i] = __builtin_shufflevector(w[i], w[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                         6, 22, 7, 23);
      t[2 * i + 1] = __builtin_shufflevector(w[i], w[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                             13, 29, 14, 30, 15, 31);
    }
    memcpy(w, t, sizeof t);
  }
}

// Sixteen pairs of sixteen rows of x, from element l < k on; what lies outside of x is 0.
INLINE void block_along(const float *x, size_t stride, size_t rows, size_t l, size_t k,
                        words w[16]) {
  size_t length = k - l < 32 ? k - l : 32;
  for (size_t r = 0; r < 16; ++r)
    w[r] = r < rows ? pairs_along(x + r * stride + l, length) : (words)0;
}

// The same of the transposed x [k, rows].
INLINE void block_across(const float *x, size_t stride, size_t rows, size_t l, size_t k,
                         words w[16]) {
  for (size_t r = 0; r < 16; ++r) {
    size_t row = l + 2 * r;
    w[r] = row < k ? pairs_across(x + row * stride, stride, rows, row + 1 < k) : (words)0;
  }
}

INLINE void round_rows(const float *a, size_t stride, size_t m, size_t k, uint16_t *out,
                       size_t out_stride) {
  for (size_t i = 0; i < m; ++i, a += stride, out += out_stride) {
    size_t l = 0;
    for (; k - l >= 32; l += 32) store_pairs(pairs_along(a + l, 32), out + l, 32);
    if (l < k) store_pairs(pairs_along(a + l, k - l), out + l, k - l);
  }
}

INLINE void round_transposed(const float *a, size_t stride, size_t m, size_t k, uint16_t *out,
                             size_t out_stride) {
  words w[16];
  for (size_t l = 0; l < k; l += 32) {
    size_t length = k - l < 32 ? k - l : 32;
    for (size_t i = 0; i < m; i += 16) {
      size_t rows = m - i < 16 ? m - i : 16;
      block_across(a + i, stride, rows, l, k, w);
      transpose(w);
      for (size_t r = 0; r < rows; ++r)
        store_pairs(w[r], out + (i + r) * out_stride + l, length);
    }
  }
}

static void KERNEL(bf16_rows)(const float *a, size_t stride, int transposed, size_t m, size_t k,
                              uint16_t *out, size_t out_stride) {
  if (transposed) round_transposed(a, stride, m, k, out, out_stride);
  else round_rows(a, stride, m, k, out, out_stride);
}

static void KERNEL(bf16_columns)(const float *b, size_t stride, int transposed, size_t n, size_t k,
                                 uint16_t *packed) {
  size_t panel = (k + 1) / 2 * 32;
  words w[16];
  for (size_t l = 0; l < k; l += 32) {
    size_t length = k - l < 32 ? (k - l + 1) / 2 : 16;
    for (size_t j = 0; j < n; j += 16) {
      size_t columns = n - j < 16 ? n - j : 16;
      if (transposed) {
        block_along(b + j * stride, stride, columns, l, k, w);
        transpose(w);
      } else {
        block_across(b + j, stride, columns, l, k, w);
      }
      memcpy(packed + j / 16 * panel + 16 * l, w, length * sizeof *w);
    }
  }
}
