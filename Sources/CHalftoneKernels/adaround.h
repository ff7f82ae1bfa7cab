// SPDX-License-Identifier: MIT
// AdaRound on one row, h = clamp(1.2 sigmoid(v) - 0.1, 0, 1).

INLINE lanes rectified(lanes sigmoid) {
  return clamped(1.2f * sigmoid - 0.1f, splat(0), splat(1));
}

static void KERNEL(adaround_start)(const float *w, halftone_grid grid, float *out, size_t n) {
  FOR_SIXTEEN(n, lanes q = load(w + i, k) / grid.scale, f = q - floored(q);
              store(-logarithm(1.2f / (f + 0.1f) - 1), out + i, k););
}

// h, or with `hard` 1 where it will be rounded up and 0 elsewhere.
INLINE lanes share(lanes v, lanes h, int hard) {
  return hard ? select(v >= 0, splat(1), splat(0)) : h;
}

static void KERNEL(adaround)(const float *w, const float *v, halftone_grid grid, int hard,
                             float *out, size_t n) {
  FOR_SIXTEEN(n, lanes x = load(v + i, k), h = share(x, rectified(logistic(x)), hard);
              lanes code = floored(load(w + i, k) / grid.scale) + h + grid.zero;
              code = clamped(code, splat(grid.low), splat(grid.high));
              store(value_of(code, grid), out + i, k););
}

static float KERNEL(adaround_pullback)(const float *w, const float *v, halftone_grid grid, int hard,
                                       const float *g, float lambda, float beta, float *dv,
                                       float *dl1, size_t n) {
  lanes sum = 0, sum1 = 0;
  lanes low = splat(grid.low), high = splat(grid.high);
  FOR_SIXTEEN(n, lanes x = load(v + i, k), s = logistic(x), h = rectified(s);
              lanes weight = load(w + i, k), dy = load(g + i, k);
              lanes code = floored(weight / grid.scale) + share(x, h, hard) + grid.zero;
              ints inside = (code >= low) & (code <= high);
              lanes slope = select(inside, dy * grid.scale, splat(0));
              lanes held = value_of(clamped(code, low, high), grid);
              sum1 += (held - select(inside, weight, splat(0))) * dy;
              if (lambda != 0) {
                lanes t = 2 * h - 1; lanes size = magnitude(t);
                // At t = 0 the sign is 0, and so is the term, for every beta.
                lanes power = select(size > 0, exponential((beta - 1) * logarithm(size)), splat(0));
                slope -= select(t < 0, -power, power) * (2 * lambda * beta);
                lanes term = 1 - power * size;
                sum += k == 16 ? term : first_of(term, k);
              }
              slope = select((h > 0) & (h < 1), slope, splat(0));
              store(slope * (1.2f * s * (1 - s)), dv + i, k););
  *dl1 = sum_of(sum1);
  return sum_of(sum);
}
