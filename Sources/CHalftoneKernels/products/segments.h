// SPDX-License-Identifier: MIT
// What the segments of a span need besides their codes.

// Scales and minima of the plan's segments, `stride` vectors apart.
static void span_scales(const halftone_matrix *w, size_t panel, const span_plan *plan,
                        lanes *scales, lanes *minima, size_t stride) {
  for (size_t k = 0; k < plan->count; ++k)
    scales[k * stride] = group_scales(w, panel, plan->weight_group[k]);
  if (w->minima)
    for (size_t k = 0; k < plan->count; ++k)
      minima[k * stride] = group_minima(w, panel, plan->weight_group[k]);
}

INLINE ints load_ints(const int32_t *a) {
  ints x;
  memcpy(&x, a, sizeof x);
  return x;
}

INLINE void store_ints(ints x, int32_t *out) { memcpy(out, &x, sizeof x); }

// Sums of the 16 pairs of neighbours.
INLINE ints pair_sums(const int32_t *a) {
  ints low = load_ints(a), high = load_ints(a + 16);
  return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                 30) +
         __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29,
                                 31);
}

// Adds the sums of the units of each segment; whole spans of one segment, or of groups of 16 or 32,
// are what is common.
INLINE void segment_sums(const int32_t *units, const span_plan *plan, int32_t sums[span_units]) {
  if (plan->count == 1 && plan->units[0] == span_units) {
    sums[0] = __builtin_reduce_add(load_ints(units) + load_ints(units + 16));
  } else if (plan->pairs) {
    store_ints(pair_sums(units), sums);
  } else if (plan->count == span_units) {
    memcpy(sums, units, span_units * sizeof *sums);
  } else {
    for (size_t k = 0; k < plan->count; ++k) {
      int32_t sum = 0;
      for (size_t i = 0; i < plan->units[k]; ++i) sum += *units++;
      sums[k] = sum;
    }
  }
}

// What the dots of each segment start from: -zero times its sum.
INLINE void opening_dots(const int32_t sums[span_units], int32_t zero, size_t count,
                         int32_t dots[span_units]) {
  store_ints(-zero * load_ints(sums), dots);
  if (count > 16) store_ints(-zero * load_ints(sums + 16), dots + 16);
}
