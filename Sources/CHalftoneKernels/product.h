// SPDX-License-Identifier: MIT
// Products of small matrices straight from memory: rows of b stay in the cache, each element of a
// is spread over a vector. No operand is packed, which is what makes small products slow elsewhere.

// Rows of a taken together: as many sums as fit the registers.
#if !defined(HALFTONE_PRODUCT_ROWS)
#define HALFTONE_PRODUCT_ROWS 4
#endif

typedef struct {
  const float *a;
  size_t a_row, a_column;
  const float *b;
  size_t b_row;
  float *c;
  size_t c_row, inner;
  int accumulate;
} small_product_task;

// `rows` rows of c by 16 * `wide` columns; `rows` and `wide` are constants where this is inlined.
INLINE void product_tile(small_product_task t, const size_t rows, const size_t wide) {
  lanes sums[HALFTONE_PRODUCT_ROWS][2];
  for (size_t r = 0; r < rows; ++r)
    for (size_t w = 0; w < wide; ++w)
      sums[r][w] = t.accumulate ? load(t.c + r * t.c_row + 16 * w, 16) : splat(0);
  for (size_t k = 0; k < t.inner; ++k) {
    lanes b[2];
    for (size_t w = 0; w < wide; ++w) b[w] = load(t.b + k * t.b_row + 16 * w, 16);
    for (size_t r = 0; r < rows; ++r) {
      lanes a = splat(t.a[r * t.a_row + k * t.a_column]);
      for (size_t w = 0; w < wide; ++w) sums[r][w] += a * b[w];
    }
  }
  for (size_t r = 0; r < rows; ++r)
    for (size_t w = 0; w < wide; ++w) store(sums[r][w], t.c + r * t.c_row + 16 * w, 16);
}

// The last `columns` < 16 columns; eight of them at a time where there are eight.
INLINE void product_edge(small_product_task t, const size_t rows, size_t columns) {
  for (; columns >= 8; columns -= 8, t.b += 8, t.c += 8) {
    lanes8 sums[HALFTONE_PRODUCT_ROWS];
    for (size_t r = 0; r < rows; ++r) {
      sums[r] = 0;
      if (t.accumulate) memcpy(&sums[r], t.c + r * t.c_row, sizeof sums[r]);
    }
    for (size_t k = 0; k < t.inner; ++k) {
      lanes8 b;
      memcpy(&b, t.b + k * t.b_row, sizeof b);
      for (size_t r = 0; r < rows; ++r)
        sums[r] += (lanes8)t.a[r * t.a_row + k * t.a_column] * b;
    }
    for (size_t r = 0; r < rows; ++r) memcpy(t.c + r * t.c_row, &sums[r], sizeof sums[r]);
  }
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < columns; ++j) {
      float sum = t.accumulate ? t.c[r * t.c_row + j] : 0;
      for (size_t k = 0; k < t.inner; ++k)
        sum += t.a[r * t.a_row + k * t.a_column] * t.b[k * t.b_row + j];
      t.c[r * t.c_row + j] = sum;
    }
  }
}

INLINE void product_rows(small_product_task t, const size_t rows, size_t n) {
  for (; n >= 32; n -= 32, t.b += 32, t.c += 32) product_tile(t, rows, 2);
  for (; n >= 16; n -= 16, t.b += 16, t.c += 16) product_tile(t, rows, 1);
  if (n) product_edge(t, rows, n);
}

static void KERNEL(small_product)(const float *a, size_t a_row, size_t a_column, const float *b,
                                  size_t b_row, float *c, size_t c_row, size_t m, size_t n,
                                  size_t inner, int accumulate) {
  small_product_task t = {a, a_row, a_column, b, b_row, c, c_row, inner, accumulate};
  for (; m >= HALFTONE_PRODUCT_ROWS; m -= HALFTONE_PRODUCT_ROWS) {
    product_rows(t, HALFTONE_PRODUCT_ROWS, n);
    t.a += HALFTONE_PRODUCT_ROWS * a_row;
    t.c += HALFTONE_PRODUCT_ROWS * c_row;
  }
  for (; m > 0; --m) {
    product_rows(t, 1, n);
    t.a += a_row;
    t.c += c_row;
  }
}
