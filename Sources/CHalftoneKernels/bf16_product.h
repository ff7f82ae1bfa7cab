// SPDX-License-Identifier: MIT
// Products of bfloat16 matrices, the second in panels; HalftoneAttention.h has the order of sums.

// Rows of a and panels of b whose sums fit the registers, and the pairs whose panels fit the
// nearest cache.
#if defined(HALFTONE_DOTS_BF16)
enum { bf16_rows = 8, bf16_panels = 3, bf16_pairs = 128 };
#else
enum { bf16_rows = 4, bf16_panels = ATTENTION_SUMS / 4, bf16_pairs = 128 };
#endif

typedef struct {
  const uint16_t *a;
  size_t a_stride;
  const uint16_t *b;
  size_t panel;  // elements from one panel to the next
  float *out;
  size_t out_stride, pairs;
  int odd;         // the last pair has no second element in a
  int accumulate;
} bf16_task;

INLINE uint32_t load_pair(const uint16_t *a) {
  uint32_t pair;
  memcpy(&pair, a, sizeof pair);
  return pair;
}

// sum + a's second element times b's second, + first times first.
INLINE lanes pair_added(lanes sum, uint32_t a, words b) {
#if defined(HALFTONE_DOTS_BF16)
  typedef float floats __attribute__((vector_size(64)));
  typedef __bf16 pairs __attribute__((vector_size(64)));
  return __builtin_bit_cast(
      lanes, __builtin_ia32_dpbf16ps_512(__builtin_bit_cast(floats, sum),
                                         __builtin_bit_cast(pairs, (words)a),
                                         __builtin_bit_cast(pairs, b)));
#else
  // The product of two bfloat16 numbers is a float, so that fusing changes nothing.
  lanes second = from_bits((ints)(int32_t)(a & 0xffff0000));
  lanes first = from_bits((ints)(int32_t)(a << 16));
  sum = fused(second, __builtin_bit_cast(lanes, b & 0xffff0000), sum);
  return fused(first, __builtin_bit_cast(lanes, b << 16), sum);
#endif
}

INLINE void bf16_tile(bf16_task t, const size_t rows, const size_t wide, size_t columns) {
  lanes sums[bf16_rows][bf16_panels];
  for (size_t r = 0; r < rows; ++r)
    for (size_t w = 0; w < wide; ++w) {
      size_t k = columns - 16 * w < 16 ? columns - 16 * w : 16;
      sums[r][w] = t.accumulate ? load(t.out + r * t.out_stride + 16 * w, k) : splat(0);
    }
  for (size_t l = 0; l < t.pairs; ++l) {
    words b[bf16_panels];
    for (size_t w = 0; w < wide; ++w) memcpy(&b[w], t.b + w * t.panel + 32 * l, sizeof b[w]);
    for (size_t r = 0; r < rows; ++r) {
      uint32_t a = load_pair(t.a + r * t.a_stride + 2 * l);
      for (size_t w = 0; w < wide; ++w) sums[r][w] = pair_added(sums[r][w], a, b[w]);
    }
  }
  if (t.odd)
    for (size_t r = 0; r < rows; ++r)
      for (size_t w = 0; w < wide; ++w) {
        words b;
        memcpy(&b, t.b + w * t.panel + 32 * t.pairs, sizeof b);
        sums[r][w] = pair_added(sums[r][w], t.a[r * t.a_stride + 2 * t.pairs], b);
      }
  for (size_t r = 0; r < rows; ++r)
    for (size_t w = 0; w < wide; ++w) {
      size_t k = columns - 16 * w < 16 ? columns - 16 * w : 16;
      store(sums[r][w], t.out + r * t.out_stride + 16 * w, k);
    }
}

INLINE void bf16_strip(bf16_task t, size_t m, const size_t wide, size_t columns) {
  for (; m >= bf16_rows; m -= bf16_rows) {
    if (columns == 16 * wide) bf16_tile(t, bf16_rows, wide, 16 * wide);
    else bf16_tile(t, bf16_rows, wide, columns);
    t.a += bf16_rows * t.a_stride;
    t.out += bf16_rows * t.out_stride;
  }
  for (; m > 0; --m) {
    bf16_tile(t, 1, wide, columns);
    t.a += t.a_stride;
    t.out += t.out_stride;
  }
}

static void KERNEL(bf16_panels)(bf16_task t, size_t m, size_t panels, size_t columns) {
  switch (panels) {
    case 1: bf16_strip(t, m, 1, columns); break;
#if ATTENTION_SUMS > 4
    case 2: bf16_strip(t, m, 2, columns); break;
#endif
#if ATTENTION_SUMS > 8
    case 3: bf16_strip(t, m, 3, columns); break;
    case 4: bf16_strip(t, m, 4, columns); break;
#endif
  }
}

static void KERNEL(bf16_product)(const uint16_t *a, size_t a_stride, size_t m,
                                 const uint16_t *packed, size_t n, size_t k, size_t first,
                                 size_t count, float *out, size_t out_stride, int accumulate) {
  size_t panel = (k + 1) / 2 * 32, end = first + count;
  for (size_t p = first; p < end; p += bf16_panels) {
    size_t panels = end - p < bf16_panels ? end - p : bf16_panels;
    size_t columns = n - 16 * p < 16 * panels ? n - 16 * p : 16 * panels;
    size_t l = 0;
    do {
      size_t pairs = k / 2 - l < bf16_pairs ? k / 2 - l : bf16_pairs;
      bf16_task t = {
          a + 2 * l, a_stride, packed + p * panel + 32 * l, panel, out + 16 * p, out_stride, pairs,
          l + pairs == k / 2 && k % 2, accumulate || l > 0};
      KERNEL(bf16_panels)(t, m, panels, columns);
      l += pairs;
    } while (l < k / 2);
  }
}
