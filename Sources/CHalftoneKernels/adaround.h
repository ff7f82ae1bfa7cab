// SPDX-License-Identifier: MIT
// AdaRound on one row, h = clamp(1.2 sigmoid(v) - 0.1, 0, 1).

INLINE lanes rectified(lanes sigmoid) {
  return clamped(1.2f * sigmoid - 0.1f, splat(0), splat(1));
}

static void KERNEL(adaround_start)(const float *w, halftone_grid grid, float *out, size_t n) {
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes q = load(w + i, k) / grid.scale, f;
              if (tabled) {
                lanes step; lanes lower = lower_level(grid.levels, q, &step);
                f = blend(step > 0, (q - lower) / step, splat(0.5f));
              } else f = q - floored(q);
              store(-logarithm(1.2f / (f + 0.1f) - 1), out + i, k);););
}

// h, or with `hard` 1 where it will be rounded up and 0 elsewhere.
INLINE lanes share(lanes v, lanes h, int hard) {
  return hard ? blend(v >= 0, splat(1), splat(0)) : h;
}

// The value that a share h of the way up from the one below t leads to, in units of the scale, the
// step of that way, and whether nothing is clamped.
INLINE lanes shared_level(lanes t, lanes h, halftone_grid grid, int tabled, lanes *step,
                          ints *inside) {
  if (tabled) {
    lanes lower = lower_level(grid.levels, t, step);
    *inside = *step > 0;
    return lower + h * *step;
  }
  lanes low = splat(grid.low), high = splat(grid.high), code = floored(t) + h + grid.zero;
  *step = splat(1);
  *inside = (code >= low) & (code <= high);
  return clamped(code, low, high) - grid.zero;
}

static void KERNEL(adaround)(const float *w, const float *v, halftone_grid grid, int hard,
                             float *out, size_t n) {
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes x = load(v + i, k), step; ints inside;
              lanes h = share(x, rectified(logistic(x)), hard), t = load(w + i, k) / grid.scale;
              lanes level = shared_level(t, h, grid, tabled, &step, &inside);
              store(level * grid.scale, out + i, k);););
}

static float KERNEL(adaround_pullback)(const float *w, const float *v, halftone_grid grid, int hard,
                                       const float *g, float lambda, float beta, float *dv,
                                       float *dl1, size_t n) {
  lanes sum = 0, sum1 = 0;
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes x = load(v + i, k), s = logistic(x), h = rectified(s), step;
              lanes weight = load(w + i, k), dy = load(g + i, k); ints inside;
              lanes held = shared_level(weight / grid.scale, share(x, h, hard), grid, tabled, &step,
                                        &inside) * grid.scale;
              lanes slope = blend(inside, dy * grid.scale * step, splat(0));
              sum1 += (held - blend(inside, weight, splat(0))) * dy;
              if (lambda != 0) {
                lanes t = 2 * h - 1; lanes size = magnitude(t);
                // At t = 0 the sign is 0, and so is the term, for every beta.
                lanes power = blend(size > 0, exponential((beta - 1) * logarithm(size)), splat(0));
                slope -= blend(t < 0, -power, power) * (2 * lambda * beta);
                lanes term = 1 - power * size;
                sum += k == 16 ? term : first_of(term, k);
              }
              slope = blend((h > 0) & (h < 1), slope, splat(0));
              store(slope * (1.2f * s * (1 - s)), dv + i, k);););
  *dl1 = sum_of(sum1);
  return sum_of(sum);
}
