// SPDX-License-Identifier: MIT
// Attention by tiles of keys. With m the largest score so far of a query, l the sum of exp(s - m)
// and o the sum of exp(s - m) v, a tile with the scores s and the values V changes them to
//   m' = max(m, max s),  l' = exp(m - m') l + sum exp(s - m'),  o' = exp(m - m') o + exp(s - m') V;
// the output is o / l. Keys and values of a tile become floats once for all queries of the call.
// Tiles begin at multiples of their size, so a query's sums are the same in whichever call.

enum { tile_floats = 8192, most_tile_keys = 64, most_queries = 128 };

// The queries of one call are numbered row by row, `group` to a row.
typedef struct {
  const halftone_cache *cache;
  size_t head, group, stride, first, window, padded, tile_keys;
  float scale;
  size_t begin, count;  // the queries whose state is below
  float *maxima;
  lanes *sums;
  float *queries, *keys, *values, *outputs, *scores;
} attention_state;

INLINE lanes fused(lanes a, lanes b, lanes c) {
#if defined(HALFTONE_FUSES)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// exp(x) for x <= 0, 0 below -87: x = n ln 2 + r and the Taylor polynomial of degree 7 in r, whose
// remainder is below a tenth of an ulp.
INLINE lanes share_of(lanes x) {
  const float magic = 0x1.8p23f;
  lanes shifted = fused(x, splat(1.44269504f), splat(magic));
  lanes n = shifted - magic;
  lanes r = fused(n, splat(-LN2_LOW), fused(n, splat(-LN2_HIGH), x));
  lanes p = splat(1 / 5040.0f);
  p = fused(p, r, splat(1 / 720.0f));
  p = fused(p, r, splat(1 / 120.0f));
  p = fused(p, r, splat(1 / 24.0f));
  p = fused(p, r, splat(1 / 6.0f));
  p = fused(p, r, splat(0.5f));
  p = fused(p, r, splat(1));
  p = fused(p, r, splat(1));
  // The low bits of `shifted` are n; shifting drops the others.
  lanes power = from_bits(bits_of(p) + (bits_of(shifted) << 23));
  return blend(x < -87, splat(0), power);
}

// c[r][16 w + j] (+)= sum over l of a[r][l] * b[l * step + w * apart + j], l ascending. Meanwhile
// the codes that come after those of b are fetched, at the pace at which b is read.
typedef struct {
  const float *a;
  size_t a_row;
  const float *b;
  size_t step, apart;
  float *c;
  size_t c_row, inner;
  int accumulate;
  const uint8_t *ahead;
  size_t pace;  // bytes for each vector of b
} tile_product;

INLINE void tile_sums(tile_product t, const size_t rows, const size_t wide) {
  lanes sums[ATTENTION_ROWS][4];
  for (size_t r = 0; r < rows; ++r)
    for (size_t w = 0; w < wide; ++w)
      sums[r][w] = t.accumulate ? load(t.c + r * t.c_row + 16 * w, 16) : splat(0);
  for (size_t l = 0; l < t.inner; ++l) {
    lanes b[4];
    const uint8_t *ahead = t.ahead + l * wide * t.pace;
    __builtin_prefetch(ahead);
    if (wide > 2) __builtin_prefetch(ahead + 64);
    for (size_t w = 0; w < wide; ++w) b[w] = load(t.b + l * t.step + w * t.apart, 16);
    for (size_t r = 0; r < rows; ++r) {
      lanes a = splat(t.a[r * t.a_row + l]);
      for (size_t w = 0; w < wide; ++w) sums[r][w] = fused(a, b[w], sums[r][w]);
    }
  }
  for (size_t r = 0; r < rows; ++r)
    for (size_t w = 0; w < wide; ++w) store(sums[r][w], t.c + r * t.c_row + 16 * w, 16);
}

// `columns` vectors of sixteen; fewer rows take more of them at a time, to keep the units busy.
INLINE void tile_rows(tile_product t, const size_t rows, size_t columns) {
  const size_t fit = ATTENTION_SUMS / rows, wide = fit < 4 ? fit : 4;
  while (columns > 0) {
    size_t taken = columns >= wide ? wide : columns >= 2 ? 2 : 1;
    if (taken == wide) tile_sums(t, rows, wide);
    else if (taken == 2) tile_sums(t, rows, 2);
    else tile_sums(t, rows, 1);
    t.b += taken * t.apart;
    t.c += taken * 16;
    t.ahead += taken * t.inner * t.pace;
    columns -= taken;
  }
}

static void KERNEL(tile_product)(tile_product t, size_t rows, size_t columns) {
  switch (rows) {
    case 1: tile_rows(t, 1, columns); break;
    case 2: tile_rows(t, 2, columns); break;
    case 3: tile_rows(t, 3, columns); break;
    case 4: tile_rows(t, 4, columns); break;
#if ATTENTION_ROWS > 4
    case 5: tile_rows(t, 5, columns); break;
    case 6: tile_rows(t, 6, columns); break;
    case 7: tile_rows(t, 7, columns); break;
    case 8: tile_rows(t, 8, columns); break;
#endif
  }
}

INLINE size_t own_position(const attention_state *s, size_t i) {
  return s->first + (s->begin + i) / s->group;
}

INLINE size_t first_visible(const attention_state *s, size_t own) {
  return s->window && own >= s->window ? own - s->window + 1 : 0;
}

// Turns the raw scores of query i with the keys tile...tile + count - 1 into shares and updates its
// state; the scores lie in `vectors` sixteens, what is not visible gets the share 0.
INLINE void update_query(const attention_state *s, size_t i, float *scores, size_t tile,
                         size_t vectors) {
  size_t own = own_position(s, i), low = first_visible(s, own);
  lanes high = splat(-INFINITY), old = splat(s->maxima[i]);
  const ints places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (size_t v = 0; v < vectors; ++v) {
    lanes x = load(scores + 16 * v, 16) * s->scale;
    size_t start = tile + 16 * v;
    if (start + 15 > own || start < low) {
      ints behind = places > (int32_t)((ptrdiff_t)own - (ptrdiff_t)start);
      ints before = places < (int32_t)((ptrdiff_t)low - (ptrdiff_t)start);
      x = blend(behind | before, splat(-INFINITY), x);
    }
    high = larger(x, high);
    store(x, scores + 16 * v, 16);
  }
  lanes maximum = larger(splat(largest_of(high)), old);
  // Nothing visible so far: any finite maximum gives the shares 0.
  if (maximum[0] == -INFINITY) maximum = splat(0);
  lanes sum = s->sums[i];
  if (maximum[0] != old[0]) {
    lanes shrink = share_of(old - maximum);
    float *output = s->outputs + i * s->padded;
    for (size_t j = 0; j < s->padded; j += 16)
      store(load(output + j, 16) * shrink, output + j, 16);
    sum *= shrink;
    s->maxima[i] = maximum[0];
  }
  for (size_t v = 0; v < vectors; ++v) {
    lanes share = share_of(load(scores + 16 * v, 16) - maximum);
    sum += share;
    store(share, scores + 16 * v, 16);
  }
  s->sums[i] = sum;
}

// Up to ATTENTION_ROWS queries from i on against one tile of `count` keys.
INLINE void attend_tile(const attention_state *s, size_t i, size_t n, size_t tile, size_t count) {
  size_t end = own_position(s, i + n - 1) + 1, low = first_visible(s, own_position(s, i));
  if (tile >= end || tile + count <= low) return;
  if (count > end - tile) count = end - tile;
  size_t width = s->cache->width, vectors = (count + 15) / 16;
  // Only the first queries fetch: the others find the next tile in the cache.
  size_t row_bytes = halftone_cache_row_bytes(s->cache->type, width);
  size_t next = (s->head * s->cache->capacity + tile + s->tile_keys) * row_bytes;
  size_t pace = i == 0 ? 16 * row_bytes / width : 0;
  const tile_product scores = {
      s->queries + i * width, width, s->keys, 16, 16 * width, s->scores, s->tile_keys, width, 0,
      (const uint8_t *)s->cache->keys + next, pace};
  KERNEL(tile_product)(scores, n, vectors);
  for (size_t r = 0; r < n; ++r)
    update_query(s, i + r, s->scores + r * s->tile_keys, tile, vectors);
  const tile_product outputs = {
      s->scores, s->tile_keys, s->values, s->padded, 16, s->outputs + i * s->padded, s->padded,
      count, 1, (const uint8_t *)s->cache->values + next, pace};
  KERNEL(tile_product)(outputs, n, s->padded / 16);
}

// The element at which query i begins, in the queries and in the output.
INLINE size_t place_of(const attention_state *s, size_t i) {
  size_t query = s->begin + i;
  return query / s->group * s->stride +
         (s->head * s->group + query % s->group) * s->cache->width;
}

static void KERNEL(attend_queries)(attention_state *s, const float *q, float *out) {
  const halftone_cache *cache = s->cache;
  size_t width = cache->width, base = s->head * cache->capacity;
  for (size_t i = 0; i < s->count; ++i) {
    memcpy(s->queries + i * width, q + place_of(s, i), width * sizeof *q);
    memset(s->outputs + i * s->padded, 0, s->padded * sizeof *out);
    s->maxima[i] = -INFINITY;
    s->sums[i] = 0;
  }
  size_t end = own_position(s, s->count - 1) + 1, low = first_visible(s, own_position(s, 0));
  for (size_t tile = low / s->tile_keys * s->tile_keys; tile < end; tile += s->tile_keys) {
    size_t count = end - tile < s->tile_keys ? end - tile : s->tile_keys;
    for (size_t j = 0; j < count; j += block_positions)
      load_key_block(cache, base + tile + j, s->keys + j * width);
    for (size_t j = 0; j < count; ++j)
      load_value_row(cache, base + tile + j, s->values + j * s->padded);
    for (size_t i = 0; i < s->count; i += ATTENTION_ROWS)
      attend_tile(s, i, s->count - i < ATTENTION_ROWS ? s->count - i : ATTENTION_ROWS, tile, count);
  }
  for (size_t i = 0; i < s->count; ++i) {
    lanes inverse = splat(1 / sum_of(s->sums[i]));
    const float *output = s->outputs + i * s->padded;
    float *to = out + place_of(s, i);
    FOR_SIXTEEN(width, store(load(output + i, 16) * inverse, to + i, k););
  }
}

static void KERNEL(attend)(const halftone_cache *cache, size_t head, size_t group, const float *q,
                           float *out, size_t stride, size_t first, size_t rows, size_t window,
                           float scale) {
  _Alignas(64) float queries[tile_floats], keys[tile_floats], values[tile_floats],
      outputs[tile_floats], scores[ATTENTION_ROWS * most_tile_keys], maxima[most_queries];
  lanes sums[most_queries];
  size_t padded = (cache->width + 15) / 16 * 16, fit = tile_floats / padded;
  size_t tile_keys = fit < most_tile_keys ? fit / 16 * 16 : most_tile_keys;
  size_t most = fit < most_queries ? fit : most_queries;
  attention_state state = {
      .cache = cache, .head = head, .group = group, .stride = stride, .first = first,
      .window = window, .padded = padded, .tile_keys = tile_keys, .scale = scale,
      .maxima = maxima, .sums = sums, .queries = queries, .keys = keys, .values = values,
      .outputs = outputs, .scores = scores};
  for (size_t total = rows * group; state.begin < total; state.begin += state.count) {
    state.count = total - state.begin < most ? total - state.begin : most;
    KERNEL(attend_queries)(&state, q, out);
  }
}
