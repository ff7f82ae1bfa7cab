// SPDX-License-Identifier: MIT
// What the segments of a span need besides their codes.

// Scales and minima of the plan's segments, `stride` vectors apart.
static void span_scales(const halftone_matrix *w, size_t panel, const span_plan *plan,
                        lanes *scales, lanes *minima, size_t stride) {
  size_t groups = group_count(w->group, w->columns);
  for (size_t k = 0; k < plan->count; ++k)
    scales[k * stride] = group_scales(w, panel, groups, plan->weight_group[k]);
  if (w->minima)
    for (size_t k = 0; k < plan->count; ++k)
      minima[k * stride] = group_minima(w, panel, groups, plan->weight_group[k]);
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

// The sums of the inputs' codes in each segment, and what its dots start from: -zero times the sum.
typedef struct {
  int32_t sums[span_units], dots[span_units];
} segment_starts;

// Spans of one segment, and whole ones of groups of 16 or 32, are what is common. Vectors are not
// read back from smaller stores, which would stall.
INLINE void start_segments(const int32_t *units, const span_plan *plan, int32_t zero,
                           segment_starts *out) {
  if (plan->count == 1 && plan->units[0] == span_units) {
    out->sums[0] = __builtin_reduce_add(load_ints(units) + load_ints(units + 16));
    out->dots[0] = -zero * out->sums[0];
  } else if (plan->pairs) {
    ints sums = pair_sums(units);
    store_ints(sums, out->sums);
    store_ints(-zero * sums, out->dots);
  } else {
    for (size_t k = 0; k < plan->count; ++k) {
      int32_t sum = *units++;
      for (size_t i = 1; i < plan->units[k]; ++i) sum += *units++;
      out->sums[k] = sum;
      out->dots[k] = -zero * sum;
    }
  }
}
