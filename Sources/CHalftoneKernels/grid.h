// SPDX-License-Identifier: MIT
// Grids: the nearest of a format's values times a scale. Uniform ones, code = clamp(round(x / scale) +
// zero, low, high), or those of a table.

INLINE lanes code_of(lanes x, halftone_grid grid) {
  return clamped(rounded(x / grid.scale) + grid.zero, splat(grid.low), splat(grid.high));
}

INLINE lanes value_of(lanes code, halftone_grid grid) { return (code - grid.zero) * grid.scale; }

INLINE lanes nearest_to(lanes x, halftone_grid grid, int tabled) {
  return tabled ? nearest_level(grid.levels, x / grid.scale) * grid.scale
                : value_of(code_of(x, grid), grid);
}

INLINE void store_codes(ints code, int8_t *out, size_t k) {
  bytes narrow = __builtin_convertvector(code, bytes);
  if (k == 16) memcpy(out, &narrow, sizeof narrow);
  else memcpy(out, &narrow, k);
}

static void KERNEL(quantize)(const float *x, halftone_grid grid, int8_t *codes, size_t n) {
  if (!grid.levels) {
    FOR_SIXTEEN(n, store_codes(__builtin_convertvector(code_of(load(x + i, k), grid), ints),
                               codes + i, k););
  } else if (FLOATS(grid.levels)) {
    halftone_float_codes f = grid.levels->floats;
    FOR_SIXTEEN(n, store_codes(float_code(f, load(x + i, k) / grid.scale), codes + i, k););
  } else {
    halftone_levels levels = *grid.levels;
    FOR_SIXTEEN(n, ints place = nearest_place(&levels, load(x + i, k) / grid.scale);
                lanes code = looked_up(levels.codes, levels.depth, place);
                store_codes(__builtin_convertvector(code, ints), codes + i, k););
  }
}

static void KERNEL(dequantize)(const int8_t *codes, halftone_grid grid, float *out, size_t n) {
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes code = load_codes(codes + i, k);
              lanes value = tabled ? gathered(grid.levels->decoded,
                                              __builtin_convertvector(code, ints) & 255) * grid.scale
                                   : value_of(code, grid);
              store(value, out + i, k);););
}

static void KERNEL(round_trip)(const float *x, halftone_grid grid, float *out, size_t n) {
  FOR_EITHER(grid, FOR_SIXTEEN(n, store(nearest_to(load(x + i, k), grid, tabled), out + i, k);););
}

static float KERNEL(round_trip_error)(const float *x, halftone_grid grid, float power, size_t n) {
  lanes sum = 0;
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes a = load_or(x + i, k, 0);
              lanes e = powered(magnitude(a - nearest_to(a, grid, tabled)), power);
              // Zero is not on every grid, so missing elements are taken out, not padded.
              if (k < 16) e = first_of(e, k);
              sum += e;););
  return sum_of(sum);
}

// At most a^p, and not much less, for a >= 0 and 1 < p <= 4. The exponent and mantissa of a float, read as
// one number, are 2^23 (127 + log2 a) but for a concave error of the mantissa m; adding 0.335 m (1 - m)
// leaves -0.0095 to 0.0057. Taken as float bits, p times that logarithm exceeds the power by a factor of
// 1.0615 at most. 0.927 is below 1 / (1.0615 * 2^(4 * 0.0057)), and covers the rounding of all these floats.
INLINE lanes power_below(lanes a, float p) {
  ints bits = bits_of(a);
  lanes m = __builtin_convertvector(bits & 0x7fffff, lanes) * 0x1p-23f;
  lanes logarithm = __builtin_convertvector(bits - (127 << 23), lanes) + m * (1 - m) * (0.335f * 0x1p23f);
  lanes power = p * logarithm + 127 * 0x1p23f;
  ints result = __builtin_convertvector(smaller(larger(power, splat(0)), splat(2.1e9f)), ints);
  return from_bits(result) * 0.927f;
}

// round_trip_error where that is <= limit, else any number above limit.
static float KERNEL(round_trip_error_within)(const float *x, halftone_grid grid, float power,
                                             float limit, size_t n) {
  enum { stretch = 128 };
  lanes sum = 0;
  if (power > 1 && power <= 4 && power != 2) {
    // Sums of 2^16 floats lose less than a thousandth.
    float bound = limit * 1.001f;
    for (size_t start = 0; start < n; start += stretch) {
      size_t count = n - start < stretch ? n - start : stretch;
      const float *part = x + start;
      FOR_EITHER(grid, FOR_SIXTEEN(count, lanes a = load_or(part + i, k, 0);
                  lanes e = power_below(magnitude(a - nearest_to(a, grid, tabled)), power);
                  if (k < 16) e = first_of(e, k);
                  sum += e;););
      if (sum_of(sum) > bound) return INFINITY;
    }
    sum = 0;
  }
  for (size_t start = 0; start < n; start += stretch) {
    size_t count = n - start < stretch ? n - start : stretch;
    const float *part = x + start;
    FOR_EITHER(grid, FOR_SIXTEEN(count, lanes a = load_or(part + i, k, 0);
                lanes e = powered(magnitude(a - nearest_to(a, grid, tabled)), power);
                if (k < 16) e = first_of(e, k);
                sum += e;););
    // What is left to add is not negative, so that the sum cannot come back.
    float known = sum_of(sum);
    if (known > limit) return known;
  }
  return sum_of(sum);
}

// round(t) less what exceeds the range, and whether nothing does.
INLINE lanes limited(lanes t, halftone_grid grid, int tabled, lanes *nearest, ints *inside) {
  if (tabled) {
    *inside = within_reach(grid.levels, t);
    return *nearest = nearest_level(grid.levels, t);
  }
  *nearest = rounded(t);
  lanes code = *nearest + grid.zero;
  *inside = (code >= grid.low) & (code <= grid.high);
  return clamped(code, splat(grid.low), splat(grid.high)) - grid.zero;
}

static float KERNEL(round_trip_pullback)(const float *x, halftone_grid grid, const float *dy,
                                         float *dx, size_t n) {
  lanes sum = 0;
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes t = load(x + i, k) / grid.scale, nearest;
              lanes dys = load(dy + i, k); ints inside;
              lanes limit = limited(t, grid, tabled, &nearest, &inside);
              sum += dys * blend(inside, nearest - t, limit);
              store(blend(inside, dys, splat(0)), dx + i, k);););
  return sum_of(sum);
}
