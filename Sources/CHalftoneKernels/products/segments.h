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

// Sums of neighbours: `n` of them.
INLINE void pair_sums(const int32_t *a, int32_t *out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = a[2 * i] + a[2 * i + 1];
}

// Adds the sums of the units of each segment; groups of 32 in a whole span are what is common.
INLINE void segment_sums(const int32_t *units, const span_plan *plan, int32_t sums[span_units]) {
  if (plan->count == span_units) {
    memcpy(sums, units, span_units * sizeof *sums);
    return;
  }
  if (plan->count == 1) {
    int32_t sum = 0;
    for (size_t i = 0; i < plan->units[0]; ++i) sum += units[i];
    sums[0] = sum;
    return;
  }
  if (plan->pairs) {
    pair_sums(units, sums, span_units / 2);
    return;
  }
  for (size_t k = 0; k < plan->count; ++k) {
    int32_t sum = 0;
    for (size_t i = 0; i < plan->units[k]; ++i) sum += *units++;
    sums[k] = sum;
  }
}
