// SPDX-License-Identifier: MIT
// Uniform grids: code = clamp(round(x / scale) + zero, low, high).

INLINE lanes code_of(lanes x, halftone_grid grid) {
  return clamped(rounded(x / grid.scale) + grid.zero, splat(grid.low), splat(grid.high));
}

INLINE lanes value_of(lanes code, halftone_grid grid) { return (code - grid.zero) * grid.scale; }

static void KERNEL(quantize)(const float *x, halftone_grid grid, int8_t *codes, size_t n) {
  FOR_SIXTEEN(n, ints code = __builtin_convertvector(code_of(load(x + i, k), grid), ints);
              bytes narrow = __builtin_convertvector(code, bytes);
              if (k == 16) memcpy(codes + i, &narrow, sizeof narrow);
              else memcpy(codes + i, &narrow, k););
}

static void KERNEL(dequantize)(const int8_t *codes, halftone_grid grid, float *out, size_t n) {
  FOR_SIXTEEN(n, store(value_of(load_codes(codes + i, k), grid), out + i, k););
}

static void KERNEL(round_trip)(const float *x, halftone_grid grid, float *out, size_t n) {
  FOR_SIXTEEN(n, store(value_of(code_of(load(x + i, k), grid), grid), out + i, k););
}

static float KERNEL(round_trip_error)(const float *x, halftone_grid grid, float power, size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, lanes a = load_or(x + i, k, 0);
              lanes e = powered(magnitude(a - value_of(code_of(a, grid), grid)), power);
              // Zero is not on every grid, so missing elements are taken out, not padded.
              if (k < 16) e = first_of(e, k);
              sum += e;);
  return sum_of(sum);
}

static float KERNEL(round_trip_pullback)(const float *x, halftone_grid grid, const float *dy,
                                         float *dx, size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, lanes t = load(x + i, k) / grid.scale, nearest = rounded(t);
              lanes code = nearest + grid.zero, dys = load(dy + i, k);
              ints inside = (code >= grid.low) & (code <= grid.high);
              lanes limit = clamped(code, splat(grid.low), splat(grid.high)) - grid.zero;
              sum += dys * select(inside, nearest - t, limit);
              store(select(inside, dys, splat(0)), dx + i, k););
  return sum_of(sum);
}
