// SPDX-License-Identifier: MIT
// FlexRound on one row.

INLINE lanes flexible_scale(const float *v2, float v3, const float *v4, float scale, size_t i,
                            size_t k) {
  lanes v = load(v2 + i, k) + v3;
  if (v4) v += load(v4 + i, k);
  return scale * exponential(v);
}

static void KERNEL(flexround)(const float *w, const float *v2, float v3, const float *v4,
                              halftone_grid grid, float *out, size_t n) {
  lanes low = splat(grid.low - grid.zero), high = splat(grid.high - grid.zero);
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes s = flexible_scale(v2, v3, v4, grid.scale, i, k);
              lanes t = load(w + i, k) / s;
              lanes c = tabled ? nearest_level(grid.levels, t) : clamped(rounded(t), low, high);
              store(grid.scale * c, out + i, k);););
}

static void KERNEL(flexround_pullback)(const float *w, const float *v2, float v3, const float *v4,
                                       halftone_grid grid, const float *g, float *dv2, float *dv3,
                                       float *dl1, size_t n) {
  lanes low = splat(grid.low - grid.zero), high = splat(grid.high - grid.zero);
  lanes sum3 = 0, sum1 = 0;
  FOR_EITHER(grid, FOR_SIXTEEN(n, lanes s = flexible_scale(v2, v3, v4, grid.scale, i, k);
              lanes gs = grid.scale * load(g + i, k), t = load(w + i, k) / s;
              lanes nearest = tabled ? nearest_level(grid.levels, t) : rounded(t);
              ints inside = tabled ? within_reach(grid.levels, t)
                                   : (nearest >= low) & (nearest <= high);
              lanes d = blend(inside, -(t * gs), splat(0));
              sum3 += d; sum1 += (tabled ? nearest : clamped(nearest, low, high)) * gs + d;
              store(d, dv2 + i, k);););
  *dv3 = sum_of(sum3);
  *dl1 = sum_of(sum1);
}
