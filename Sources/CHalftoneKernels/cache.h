// SPDX-License-Identifier: MIT
// Rows of keys and values to stored codes, and tiles of them back to floats.

enum { run_elements = 32, block_positions = 16, largest_width = 512 };

INLINE size_t runs_of(const halftone_cache *cache) {
  return (cache->width + run_elements - 1) / run_elements;
}

// Codes of one row of `width` floats, as values are laid out, and the scales of its runs. The most
// that a code can be is `most`, 127 or 7.
INLINE void encode_codes(const float *x, size_t width, float most, int8_t *codes, float *scales) {
  for (size_t i = 0; i < width; i += run_elements, ++scales) {
    size_t n = width - i < run_elements ? width - i : run_elements;
    lanes high = 0;
    for (size_t j = 0; j < n; j += 16)
      high = larger(high, magnitude(load(x + i + j, n - j < 16 ? n - j : 16)));
    float scale = largest_of(high) / most;
    *scales = scale;
    for (size_t j = 0; j < n; j += 16) {
      size_t k = n - j < 16 ? n - j : 16;
      lanes code = rounded(load(x + i + j, k) / (scale > 0 ? scale : 1));
      bytes narrow = __builtin_convertvector(clamped(code, splat(-most), splat(most)), bytes);
      memcpy(codes + i + j, &narrow, k);
    }
  }
}

// Writes halftone_cache_row_bytes(type, width) bytes.
INLINE void encode_row(const float *x, halftone_cache_type type, size_t width, uint8_t *out,
                       float *scales) {
  if (type == halftone_cache_f16) {
    uint16_t *elements = (uint16_t *)(void *)out;
    FOR_SIXTEEN(width, store_halves(narrowed(load(x + i, k)), elements + i, k););
  } else if (type == halftone_cache_i8) {
    encode_codes(x, width, 127, (int8_t *)out, scales);
  } else {
    int8_t codes[largest_width];
    encode_codes(x, width, 7, codes, scales);
    for (size_t i = 0; i < width / 2; ++i)
      out[i] = (uint8_t)((codes[2 * i] + 8) | (codes[2 * i + 1] + 8) << 4);
  }
}

// One row of keys into its column of a block.
INLINE void scatter_row(const uint8_t *row, const float *scales, const halftone_cache *cache,
                        size_t head, size_t position, size_t row_bytes, size_t runs) {
  size_t column = position % block_positions, block = position - column;
  size_t start = head * cache->capacity + block;
  uint8_t *codes = (uint8_t *)cache->keys + start * row_bytes;
  if (cache->type == halftone_cache_f16) {
    uint16_t *out = (uint16_t *)(void *)codes + column;
    const uint16_t *in = (const uint16_t *)(const void *)row;
    for (size_t i = 0; i < cache->width; ++i) out[i * block_positions] = in[i];
    return;
  }
  for (size_t i = 0; i < row_bytes; ++i) codes[i * block_positions + column] = row[i];
  float *out = cache->key_scales + start * runs + column;
  for (size_t i = 0; i < runs; ++i) out[i * block_positions] = scales[i];
}

static void KERNEL(store_rows)(const halftone_cache *cache, size_t position, const float *keys,
                               const float *values, size_t stride, size_t rows) {
  size_t width = cache->width, runs = runs_of(cache);
  size_t row_bytes = halftone_cache_row_bytes(cache->type, width);
  _Alignas(64) uint8_t row[2 * largest_width];
  float scales[largest_width / run_elements];
  for (size_t head = 0; head < cache->key_heads; ++head)
    for (size_t r = 0; r < rows; ++r) {
      size_t from = r * stride + head * width, to = head * cache->capacity + position + r;
      encode_row(keys + from, cache->type, width, row, scales);
      scatter_row(row, scales, cache, head, position + r, row_bytes, runs);
      encode_row(values + from, cache->type, width, (uint8_t *)cache->values + to * row_bytes,
                 cache->type == halftone_cache_f16 ? NULL : cache->value_scales + to * runs);
    }
}

INLINE lanes load_bytes(const uint8_t *a) {
  bytes x;
  memcpy(&x, a, sizeof x);
  return __builtin_convertvector(x, lanes);
}

// One block of sixteen keys as floats [width][16].
INLINE void load_key_block(const halftone_cache *cache, size_t start, float *out) {
  size_t width = cache->width, runs = runs_of(cache);
  const uint8_t *codes =
      (const uint8_t *)cache->keys + start * halftone_cache_row_bytes(cache->type, width);
  if (cache->type == halftone_cache_f16) {
    const uint16_t *elements = (const uint16_t *)(const void *)codes;
    for (size_t i = 0; i < width; ++i)
      store(widened(load_halves(elements + 16 * i, 16)), out + 16 * i, 16);
    return;
  }
  const float *scales = cache->key_scales + start * runs;
  for (size_t i = 0; i < width; i += run_elements, scales += block_positions) {
    size_t end = width - i < run_elements ? width : i + run_elements;
    lanes scale = load(scales, 16);
    if (cache->type == halftone_cache_i8) {
      for (size_t j = i; j < end; ++j) store(scale * load_bytes(codes + 16 * j), out + 16 * j, 16);
    } else {
      for (size_t j = i; j < end; j += 2) {
        typedef uint8_t nibbles __attribute__((ext_vector_type(16)));
        nibbles pair;
        memcpy(&pair, codes + 8 * j, sizeof pair);
        lanes low = __builtin_convertvector(pair & 15, lanes) - 8;
        lanes high = __builtin_convertvector(pair >> 4, lanes) - 8;
        store(scale * low, out + 16 * j, 16);
        store(scale * high, out + 16 * j + 16, 16);
      }
    }
  }
}

// The k <= 16 elements that eight bytes of nibbles hold.
INLINE lanes load_nibbles(const uint8_t *a, size_t k) {
  typedef uint8_t eight __attribute__((ext_vector_type(8)));
  eight pair = 0;
  if (k == 16) memcpy(&pair, a, sizeof pair);
  else memcpy(&pair, a, k / 2);
  eight low = pair & 15, high = pair >> 4;
  return __builtin_convertvector(__builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11, 4,
                                                         12, 5, 13, 6, 14, 7, 15), lanes) - 8;
}

// One row of values as `padded` floats; those from width on are 0.
INLINE void load_value_row(const halftone_cache *cache, size_t start, float *out) {
  size_t width = cache->width;
  const uint8_t *codes =
      (const uint8_t *)cache->values + start * halftone_cache_row_bytes(cache->type, width);
  if (cache->type == halftone_cache_f16) {
    const uint16_t *elements = (const uint16_t *)(const void *)codes;
    FOR_SIXTEEN(width, store(widened(load_halves(elements + i, k)), out + i, 16););
    return;
  }
  const float *scales = cache->value_scales + start * runs_of(cache);
  if (cache->type == halftone_cache_i8) {
    FOR_SIXTEEN(width, lanes x = load_codes((const int8_t *)codes + i, k);
                store(scales[i / run_elements] * x, out + i, 16););
  } else {
    FOR_SIXTEEN(width, lanes x = scales[i / run_elements] * load_nibbles(codes + i / 2, k);
                store(k == 16 ? x : first_of(x, k), out + i, 16););
  }
}
