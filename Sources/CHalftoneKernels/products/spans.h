// SPDX-License-Identifier: MIT
// How the columns of a product are cut, and the scales of each piece.
//
// A span is 512 columns. In it a segment is a run of columns with one scale of the weights and one of
// the inputs; its dot products are exact integers below 2^24 and become floats without rounding.

typedef uint8_t bytes64 __attribute__((ext_vector_type(64)));

enum {
  panel_rows = 16,
  unit_columns = 16,  // the smallest group, and what one sum of codes covers
  block_columns = 32,
  block_steps = 8,
  step_bytes = 64,
  span_columns = 512,
  span_units = span_columns / unit_columns,
  span_steps = span_columns / 4,
};

typedef struct {
  size_t count;
  int pairs;  // whether these are the sixteen segments of two units
  size_t weight_group[span_units], input_group[span_units];
  uint8_t units[span_units];   // length in units
  uint8_t closes[span_units];  // whether the inputs' group ends with it
} span_plan;

// A loop over registers: `n` is a constant, and nothing must stay in memory.
#define EACH(i, n) _Pragma("clang loop unroll(full)") for (size_t i = 0; i < (n); ++i)

// Loads after this are not moved before it, where they would fill registers too early.
#define KEEP_LOADS_HERE __asm__ volatile("" ::: "memory")

INLINE size_t smaller_size(size_t a, size_t b) { return a < b ? a : b; }

INLINE size_t panel_bytes(const halftone_matrix *w) {
  return (w->columns + block_columns - 1) / block_columns * step_bytes * (size_t)w->bits;
}

// The groups of `group` columns in a row.
INLINE size_t group_count(size_t group, size_t columns) {
  return group >= columns ? 1 : (columns + group - 1) / group;
}

// Where the group that holds `column` ends.
INLINE size_t group_end(size_t group, size_t columns, size_t column) {
  return group >= columns ? columns : smaller_size((column / group + 1) * group, columns);
}

// The segments of the span that begins at column `start`.
static void plan_span(const halftone_matrix *w, size_t input_group, size_t start, span_plan *plan) {
  size_t end = smaller_size(start + span_columns, w->columns), count = 0;
  for (size_t column = start; column < end; ++count) {
    size_t weights = group_end(w->group, w->columns, column);
    size_t inputs = group_end(input_group, w->columns, column);
    size_t next = smaller_size(smaller_size(weights, inputs), end);
    plan->weight_group[count] = w->group >= w->columns ? 0 : column / w->group;
    plan->input_group[count] = input_group >= w->columns ? 0 : column / input_group;
    plan->units[count] = (uint8_t)((next - column + unit_columns - 1) / unit_columns);
    plan->closes[count] = next == inputs;
    column = next;
  }
  plan->count = count;
  plan->pairs = count == span_units / 2;
  for (size_t k = 0; k < count; ++k) plan->pairs &= plan->units[k] == 2;
}

INLINE bytes load_bytes(const void *a) {
  bytes x;
  memcpy(&x, a, sizeof x);
  return x;
}

// The scales of one group of a panel's sixteen rows.
INLINE lanes group_scales(const halftone_matrix *w, size_t panel, size_t group) {
  size_t at = (panel * group_count(w->group, w->columns) + group) * panel_rows;
  if (w->scale_type == halftone_scale_f32) return load((const float *)w->scales + at, 16);
  if (w->scale_type == halftone_scale_f16)
    return widened(load_halves((const uint16_t *)w->scales + at, 16));
  size_t part = w->group >= w->columns ? 0 : group * w->group / 256;
  size_t place = (panel * ((w->columns + 255) / 256) + part) * panel_rows;
  lanes codes = load_codes((const int8_t *)w->scales + at, 16);
  return codes * widened(load_halves(w->super_scales + place, 16));
}

INLINE lanes group_minima(const halftone_matrix *w, size_t panel, size_t group) {
  size_t at = (panel * group_count(w->group, w->columns) + group) * panel_rows;
  if (w->scale_type == halftone_scale_f32) return load((const float *)w->minima + at, 16);
  if (w->scale_type == halftone_scale_f16)
    return widened(load_halves((const uint16_t *)w->minima + at, 16));
  size_t part = w->group >= w->columns ? 0 : group * w->group / 256;
  size_t place = (panel * ((w->columns + 255) / 256) + part) * panel_rows;
  ints codes = __builtin_convertvector(load_bytes((const uint8_t *)w->minima + at), ints) & 255;
  return __builtin_convertvector(codes, lanes) * widened(load_halves(w->super_minima + place, 16));
}
