// SPDX-License-Identifier: MIT
// How the columns of a product are cut, and the scales of each piece.
//
// A span is 512 columns. In it a segment is a run of columns with one scale of the weights and one
// of the inputs; its dot products are exact integers below 2^24 and become floats without rounding.

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
  int opens;  // whether a group of inputs begins with the span
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

// The group that holds a column, and where it ends.
typedef struct {
  size_t index, end;
} column_group;

INLINE column_group group_at(size_t group, size_t columns, size_t column) {
  if (group >= columns) return (column_group){0, columns};
  size_t index = column / group;
  return (column_group){index, smaller_size((index + 1) * group, columns)};
}

INLINE column_group group_after(column_group a, size_t group, size_t columns) {
  return (column_group){a.index + 1, smaller_size(a.end + group, columns)};
}

// The segments of the span that begins at column `start`.
static void plan_span(const halftone_matrix *w, size_t input_group, size_t start, span_plan *plan) {
  size_t columns = w->columns, end = smaller_size(start + span_columns, columns), count = 0;
  column_group weights = group_at(w->group, columns, start);
  column_group inputs = group_at(input_group, columns, start);
  int pairs = 1;
  plan->opens = start == 0 || (input_group < columns && start % input_group == 0);
  for (size_t column = start; column < end; ++count) {
    size_t next = smaller_size(smaller_size(weights.end, inputs.end), end);
    size_t units = (next - column + unit_columns - 1) / unit_columns;
    plan->weight_group[count] = weights.index;
    plan->input_group[count] = inputs.index;
    plan->units[count] = (uint8_t)units;
    plan->closes[count] = next == inputs.end;
    pairs &= units == 2;
    if (next == weights.end) weights = group_after(weights, w->group, columns);
    if (next == inputs.end) inputs = group_after(inputs, input_group, columns);
    column = next;
  }
  plan->count = count;
  plan->pairs = pairs && count == span_units / 2;
}

INLINE bytes load_bytes(const void *a) {
  bytes x;
  memcpy(&x, a, sizeof x);
  return x;
}

// The scales of one of the `groups` groups of a panel's sixteen rows.
INLINE lanes group_scales(const halftone_matrix *w, size_t panel, size_t groups, size_t group) {
  size_t at = (panel * groups + group) * panel_rows;
  if (w->scale_type == halftone_scale_f32) return load((const float *)w->scales + at, 16);
  if (w->scale_type == halftone_scale_f16)
    return widened(load_halves((const uint16_t *)w->scales + at, 16));
  size_t part = w->group >= w->columns ? 0 : group * w->group / 256;
  size_t place = (panel * ((w->columns + 255) / 256) + part) * panel_rows;
  lanes codes = load_codes((const int8_t *)w->scales + at, 16);
  return codes * widened(load_halves(w->super_scales + place, 16));
}

INLINE lanes group_minima(const halftone_matrix *w, size_t panel, size_t groups, size_t group) {
  size_t at = (panel * groups + group) * panel_rows;
  if (w->scale_type == halftone_scale_f32) return load((const float *)w->minima + at, 16);
  if (w->scale_type == halftone_scale_f16)
    return widened(load_halves((const uint16_t *)w->minima + at, 16));
  size_t part = w->group >= w->columns ? 0 : group * w->group / 256;
  size_t place = (panel * ((w->columns + 255) / 256) + part) * panel_rows;
  ints codes = __builtin_convertvector(load_bytes((const uint8_t *)w->minima + at), ints) & 255;
  return __builtin_convertvector(codes, lanes) * widened(load_halves(w->super_minima + place, 16));
}
