// SPDX-License-Identifier: MIT
// Attention over keys and values kept in few bits, for running networks, and products of bfloat16
// matrices, for running and training them.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef enum { halftone_cache_f16, halftone_cache_i8, halftone_cache_i4 } halftone_cache_type;

// Keys and values of one sequence in one block of the network. `capacity` is a multiple of 16;
// width is even and at most 512. Elements are f16; int8 codes; or 4-bit codes (code + 8), element
// 2i in the low nibble of byte i. Integers have one float scale for each run of 32 elements of a
// row (the last run may be shorter): value = scale * code, scale = max|x| / 127 or / 7 (0 where all
// are 0).
//
// Values of one key head are rows, one a position: [capacity][width]. Keys are blocks of sixteen
// positions in which the positions of one element lie side by side, so that a vector holds sixteen
// positions: [capacity / 16][width][16], of 4-bit codes [capacity / 16][width / 2][16] bytes. The
// scales are [capacity][runs] of values and [capacity / 16][runs][16] of keys, runs =
// ceil(width / 32).
typedef struct {
  halftone_cache_type type;
  size_t key_heads, width, capacity;
  void *keys, *values;                // [key_heads][capacity * bytes of a row]
  float *key_scales, *value_scales;   // [key_heads][capacity * runs]; NULL for f16
} halftone_cache;

typedef struct {
  const char *name;  // "generic", "avx2", "avx512", "avx512bf16", "neon"

  // Stores `rows` rows of keys and values at positions position...position + rows - 1; row r of key
  // head h begins at keys[r * stride + h * width]. There must be room. Every set stores the same
  // bits. Calls for different positions may run at the same time.
  void (*store)(const halftone_cache *cache, size_t position, const float *keys,
                const float *values, size_t stride, size_t rows);

  // For key head `head` and the `group` query heads that share it, rows first...first + rows - 1 of
  // the sequence: out = softmax(scale * q.K) V over the positions p <= the row's own and, if
  // window > 0, p > own - window. Query and output of row r and query head g begin at
  // q[r * stride + (head * group + g) * width] and out[the same]; out may be q. Uses 150 KB of the
  // stack.
  //
  // A row's bits do not depend on the rows it is computed with. All sets with fused products give
  // the same bits; the generic set rounds every product. Both are within (D + 8) * 2^-22 *
  // max|value| of exact arithmetic on the stored keys and values, D the largest of scale *
  // sum|q_i k_i| (what the tests find; a bound for sums whose rounding errors do not conspire).
  void (*attend)(const halftone_cache *cache, size_t head, size_t group, const float *q,
                 float *out, size_t stride, size_t first, size_t rows, size_t window, float scale);

  // Rounds a [m, k], or a^T [k, m] if `transposed`, to the first operand of bf16_product: row i
  // begins at out[i * out_stride], and its length is made even by a zero. To nearest, ties to even; a
  // NaN stays one, quiet; a subnormal number may become 0, or else every set gives the same bits.
  // out_stride is at least k, made even; out and a do not overlap.
  void (*bf16_rows)(const float *a, size_t stride, int transposed, size_t m, size_t k,
                    uint16_t *out, size_t out_stride);

  // Rounds b [k, n], or b^T [n, k] if `transposed`, in the same way to the second operand: the panels
  // that halftone_pack_bf16 makes of b^T, ceil(n / 16) * ceil(k / 2) * 32 elements, all written.
  void (*bf16_columns)(const float *b, size_t stride, int transposed, size_t n, size_t k,
                       uint16_t *packed);

  // out[i * out_stride + j] = sum over l < k of a[i * a_stride + l] * b[j][l], both bf16, for i < m
  // and the rows j < n of panels first...first + count - 1 of `packed`, which halftone_pack_bf16
  // makes of b. Elements of a and b are taken in pairs; to the sum, a float that begins as 0, or as
  // what out holds if `accumulate`, first the product of the pair's second elements is added, then
  // that of the first. Every set gives the
  // same bits where no product or sum is subnormal (the bf16 instruction takes those for zeros).
  void (*bf16_product)(const uint16_t *a, size_t a_stride, size_t m, const uint16_t *packed,
                       size_t n, size_t k, size_t first, size_t count, float *out,
                       size_t out_stride, int accumulate);
} halftone_attention;

// The fastest set that this CPU runs; never NULL.
const halftone_attention *halftone_attention_best(void);
// The set of that name, or NULL if this CPU or build lacks it.
const halftone_attention *halftone_attention_named(const char *name);

// Bytes that one key head's row takes.
size_t halftone_cache_row_bytes(halftone_cache_type type, size_t width);

// Writes b [n, k] in panels of sixteen rows, [ceil(n / 16)][ceil(k / 2)][16][2]; what lies outside
// of b is 0.
void halftone_pack_bf16(const uint16_t *b, size_t n, size_t k, uint16_t *out);
