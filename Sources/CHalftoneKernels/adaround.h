// SPDX-License-Identifier: MIT
// AdaRound on one row, h = clamp(1.2 sigmoid(v) - 0.1, 0, 1).

INLINE lanes rectified(lanes sigmoid) {
  return clamped(1.2f * sigmoid - 0.1f, splat(0), splat(1));
}

static void KERNEL(adaround)(const float *w, const float *v, halftone_grid grid, float *out,
                             size_t n) {
  FOR_SIXTEEN(n, lanes h = rectified(logistic(load(v + i, k)));
              lanes code = floored(load(w + i, k) / grid.scale) + h + grid.zero;
              code = clamped(code, splat(grid.low), splat(grid.high));
              store(value_of(code, grid), out + i, k););
}

static float KERNEL(adaround_pullback)(const float *w, const float *v, halftone_grid grid,
                                       const float *g, float lambda, float beta, float *dv,
                                       size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, lanes s = logistic(load(v + i, k)), h = rectified(s);
              lanes code = floored(load(w + i, k) / grid.scale) + h + grid.zero;
              ints inside = (code >= grid.low) & (code <= grid.high);
              lanes slope = select(inside, load(g + i, k) * grid.scale, splat(0));
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
  return sum_of(sum);
}
