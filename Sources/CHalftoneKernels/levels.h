// SPDX-License-Identifier: MIT
// Values of a format by search: how many of its bounds lie at or below x is the place of the nearest.

#if defined(HALFTONE_GATHERS_512)
INLINE lanes gathered(const float *table, ints at) {
  return __builtin_bit_cast(
      lanes, _mm512_i32gather_ps(__builtin_bit_cast(__m512i, at), table, sizeof *table));
}
#elif defined(HALFTONE_GATHERS_256)
INLINE lanes gathered(const float *table, ints at) {
  __m256i parts[2];
  memcpy(parts, &at, sizeof parts);
  __m256 found[2] = {_mm256_i32gather_ps(table, parts[0], sizeof *table),
                     _mm256_i32gather_ps(table, parts[1], sizeof *table)};
  lanes x;
  memcpy(&x, found, sizeof x);
  return x;
}
#else
INLINE lanes gathered(const float *table, ints at) {
  lanes x;
  for (int l = 0; l < 16; ++l) x[l] = table[at[l]];
  return x;
}
#endif

// The elements of a table of 2^depth floats, which stands in a register where it fits.
INLINE lanes looked_up(const float *table, int depth, ints at) {
#if defined(HALFTONE_GATHERS_512)
  if (depth <= 4)
    return __builtin_bit_cast(
        lanes, _mm512_permutexvar_ps(__builtin_bit_cast(__m512i, at), _mm512_loadu_ps(table)));
#endif
  return gathered(table, at);
}

// Whether arithmetic is faster than the search: tables in a register are as fast.
#if defined(HALFTONE_GATHERS_512)
#define FLOATS(levels) ((levels)->floats.shift && (levels)->depth > 4)
#else
#define FLOATS(levels) ((levels)->floats.shift)
#endif

// The place of the last of 2^depth - 1 rising bounds that is <= t; 0 if none is, and for NaN. The bounds
// start at table[1].
INLINE ints place_among(const float *table, int depth, lanes t) {
  ints place = 0;
  for (int half = 1 << depth >> 1; half; half >>= 1) {
    ints probe = place + half;
    place = t >= looked_up(table, depth, probe) ? probe : place;
  }
  return place;
}

INLINE ints nearest_place(const halftone_levels *levels, lanes t) {
  return place_among(levels->bounds, levels->depth, t);
}

// Half of the last bit kept, less one, plus that bit: what is cut off then rounds to the even neighbour.
INLINE words rounded_up(words bits, int shift) {
  return bits + (((uint32_t)1 << (shift - 1)) - 1) + ((bits >> shift) & 1);
}

// The code of the nearest value, ties to the even code; the most negative one's for NaN. Zero has no sign.
INLINE ints float_code(halftone_float_codes f, lanes t) {
  lanes size = magnitude(t);
  words normal = rounded_up(__builtin_bit_cast(words, size) - f.offset, f.shift) >> f.shift;
  // Adding a float whose unit is the smallest subnormal rounds to it.
  words small = __builtin_bit_cast(words, size + f.magic) - __builtin_bit_cast(uint32_t, f.magic);
  ints code = __builtin_bit_cast(ints, (size < f.normal) ? small : normal);
  ints most = (ints)(int32_t)f.most, sign = (ints)(int32_t)f.sign;
  code = code < most ? code : most;
  ints negative = code | (((t < 0) & (code != 0)) & sign);
  return t == t ? negative : (most | sign);
}

// What that code stands for.
INLINE lanes float_level(const halftone_levels *levels, lanes t) {
  halftone_float_codes f = levels->floats;
  lanes size = magnitude(t);
  words kept = rounded_up(__builtin_bit_cast(words, size) - f.offset, f.shift) >> f.shift << f.shift;
  lanes normal = __builtin_bit_cast(lanes, kept + f.offset);
  lanes value = blend(size < f.normal, (size + f.magic) - f.magic, normal);
  value = smaller(value, splat(levels->values[(1 << levels->depth) - 1]));
  // Adding 0 takes the sign from zero.
  value = from_bits(bits_of(value) | (bits_of(t) & (int32_t)0x80000000)) + 0.0f;
  return blend(t == t, value, splat(levels->values[0]));
}

INLINE lanes nearest_level(const halftone_levels *levels, lanes t) {
  return FLOATS(levels) ? float_level(levels, t)
                        : looked_up(levels->values, levels->depth, nearest_place(levels, t));
}

// Whether t is a value or near enough to the outer ones not to count as clamped.
INLINE ints within_reach(const halftone_levels *levels, lanes t) {
  return (t >= levels->least) & (t <= levels->most);
}

// The last value <= t and the distance to the next one, 0 beyond the range.
INLINE lanes lower_level(const halftone_levels *levels, lanes t, lanes *step) {
  int depth = levels->depth, last = (1 << depth) - 1;
  ints place = place_among(levels->values, depth, t), next = place < last ? place + 1 : last;
  lanes lower = looked_up(levels->values, depth, place);
  lanes upper = looked_up(levels->values, depth, next);
  *step = blend(t >= levels->values[0], upper - lower, splat(0));
  return lower;
}

// Runs the statements with `tabled` 1 or 0, so that uniform grids keep a loop without a search.
#define FOR_EITHER(grid, ...) \
  do {                        \
    if ((grid).levels) {      \
      enum { tabled = 1 };    \
      __VA_ARGS__             \
    } else {                  \
      enum { tabled = 0 };    \
      __VA_ARGS__             \
    }                         \
  } while (0)
