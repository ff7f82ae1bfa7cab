// SPDX-License-Identifier: MIT
// Attention over keys and values kept in few bits, for running networks.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef enum { halftone_cache_f16, halftone_cache_i8, halftone_cache_i4 } halftone_cache_type;

// Keys and values of one sequence in one block of the network. For each key head and position, width
// elements: f16; int8 codes; or 4-bit codes (code + 8), element 2i in the low nibble of byte i. Integers
// have one float scale for each run of 32 elements (the last run may be shorter), value =
// scale * code, scale = max|x| / 127 or / 7 (0 where all are 0).
typedef struct {
  halftone_cache_type type;
  size_t key_heads, width, capacity;
  void *keys, *values;                 // [key_heads][capacity][bytes of width elements]
  float *key_scales, *value_scales;    // [key_heads][capacity][ceil(width / 32)]; NULL for f16
} halftone_cache;

typedef struct {
  const char *name;

  // Stores `rows` rows of keys and values at positions position...position + rows - 1; row r of key
  // head h begins at keys[r * stride + h * width]. There must be room.
  void (*store)(const halftone_cache *cache, size_t position, const float *keys,
                const float *values, size_t stride, size_t rows);

  // For key head `head` and the `group` query heads that share it, rows first...first + rows - 1 of the
  // sequence: out = softmax(scale * q.K) V over the positions p <= the row's own and, if window > 0,
  // p > own - window. Query and output of row r and query head g begin at
  // q[r * stride + (head * group + g) * width] and out[the same].
  void (*attend)(const halftone_cache *cache, size_t head, size_t group, const float *q,
                 float *out, size_t stride, size_t first, size_t rows, size_t window, float scale);

  // out [m, n] = a [m, k] times b [n, k] transposed, both bf16, sums in float; row strides in elements.
  // `b` is packed by pack_bf16 into panels of sixteen rows. Panels first...first + count - 1.
  void (*bf16_product)(const uint16_t *a, size_t a_stride, size_t m, const uint16_t *packed, size_t n,
                       size_t k, size_t first, size_t count, float *out, size_t out_stride);
} halftone_attention;

// The fastest set that this CPU runs; never NULL.
const halftone_attention *halftone_attention_best(void);
// The set of that name, or NULL if this CPU or build lacks it.
const halftone_attention *halftone_attention_named(const char *name);

// Bytes that one key head's row takes.
size_t halftone_cache_row_bytes(halftone_cache_type type, size_t width);
