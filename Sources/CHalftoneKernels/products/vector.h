// SPDX-License-Identifier: MIT
// Products of few rows: codes go from memory through registers into dot products, once.

// The most rows taken together.
enum { vector_rows = 4 };

// Bytes between a load of codes and the prefetch that serves a later one.
enum { prefetch_distance = 8192 };

typedef struct {
  const halftone_inputs *x;
  const halftone_matrix *w;
  size_t row;  // the first of the inputs
  int32_t zero;
  bytes64 table;
} vector_task;

// One span of one panel and up to four rows of inputs.
typedef struct {
  span_plan plan;
  const uint8_t *codes;
  const int8_t *x[vector_rows];
  lanes scales[span_units], minima[span_units];
  segment_starts starts[vector_rows];
} vector_span;

// Even and odd steps have their own sums, which halves the chain of additions.
typedef struct {
  ints even, odd;
} two_sums;

INLINE void add_steps(const bytes64 *steps, size_t count, const int8_t *const *x, size_t column,
                      const int wide, const size_t rows, two_sums *dots) {
  EACH(i, count / 2) {
    const size_t s = 2 * i;
    EACH(r, rows) {
      const int8_t *at = x[r] + column + 4 * s;
      dots[r].even = dot4(dots[r].even, steps[s], spread_of(at), wide);
      dots[r].odd = dot4(dots[r].odd, steps[s + 1], spread_of(at + 4), wide);
    }
  }
}

INLINE void open_dots(const vector_span *s, size_t k, const size_t rows,
                      two_sums *dots) {
  EACH(r, rows) dots[r] = (two_sums){(ints)s->starts[r].dots[k], 0};
}

// Scales the dots of segment k and adds them.
INLINE void close_dots(const vector_task *t, const vector_span *s, size_t k, const size_t rows,
                       const two_sums *dots, lanes *inner, lanes *total) {
  EACH(r, rows) {
    lanes dot = __builtin_convertvector(dots[r].even + dots[r].odd, lanes);
    inner[r] = fused(dot, s->scales[k], inner[r]);
    if (t->w->minima) inner[r] = fused(splat((float)s->starts[r].sums[k]), s->minima[k], inner[r]);
  }
  if (!s->plan.closes[k]) return;
  size_t groups = group_count(t->x->group, t->w->columns);
  EACH(r, rows) {
    float scale = t->x->scales[(t->row + r) * groups + s->plan.input_group[k]];
    total[r] = fused(splat(scale), inner[r], total[r]);
    inner[r] = splat(0);
  }
}

// Segments of whole blocks.
INLINE void vector_segments(const vector_task *t, const vector_span *s, const code_kind kind,
                            const size_t rows, lanes *inner, lanes *total) {
  const uint8_t *codes = s->codes;
  size_t column = 0;
  for (size_t k = 0; k < s->plan.count; ++k) {
    two_sums dots[vector_rows];
    open_dots(s, k, rows, dots);
    for (size_t units = 0; units < s->plan.units[k]; units += 2, column += block_columns) {
      bytes64 steps[block_steps];
      for (int i = 0; i < kind.bits; ++i)
        __builtin_prefetch(codes + prefetch_distance + i * step_bytes);
      decode_weights(codes, kind, t->table, steps);
      add_steps(steps, block_steps, s->x, column, is_wide(kind), rows, dots);
      codes += step_bytes * kind.bits;
    }
    close_dots(t, s, k, rows, dots, inner, total);
  }
}

// Segments of sixteen columns, two to a block.
INLINE void vector_halves(const vector_task *t, const vector_span *s, const code_kind kind,
                          const size_t rows, lanes *inner, lanes *total) {
  const uint8_t *codes = s->codes;
  for (size_t k = 0; k < s->plan.count; ++k) {
    bytes64 steps[block_steps];
    two_sums dots[vector_rows];
    for (int i = 0; i < kind.bits; ++i)
      __builtin_prefetch(codes + prefetch_distance + i * step_bytes);
    decode_weights(codes, kind, t->table, steps);
    codes += step_bytes * kind.bits;
    open_dots(s, k, rows, dots);
    add_steps(steps, 4, s->x, k * unit_columns, is_wide(kind), rows, dots);
    close_dots(t, s, k, rows, dots, inner, total);
    if (++k == s->plan.count) break;
    open_dots(s, k, rows, dots);
    add_steps(steps + 4, 4, s->x, k * unit_columns, is_wide(kind), rows, dots);
    close_dots(t, s, k, rows, dots, inner, total);
  }
}

static void open_span(const vector_task *t, size_t panel, size_t start, size_t rows,
                      vector_span *s) {
  plan_span(t->w, t->x->group, start, &s->plan);
  span_scales(t->w, panel, &s->plan, s->scales, s->minima, 1);
  s->codes = t->w->codes + panel * panel_bytes(t->w) + start / block_columns * step_bytes *
                                                           (size_t)t->w->bits;
  for (size_t r = 0; r < rows; ++r) {
    size_t at = (t->row + r) * t->x->stride + start;
    s->x[r] = t->x->codes + at;
    start_segments(t->x->sums + at / unit_columns, &s->plan, t->zero, &s->starts[r]);
  }
}

INLINE void vector_panel(const vector_task *t, size_t panel, const code_kind kind,
                         const int halved, const size_t rows, lanes *total) {
  lanes inner[vector_rows];
  vector_span s;
  EACH(r, rows) inner[r] = total[r] = splat(0);
  for (size_t start = 0; start < t->w->columns; start += span_columns) {
    open_span(t, panel, start, rows, &s);
    if (halved) vector_halves(t, &s, kind, rows, inner, total);
    else vector_segments(t, &s, kind, rows, inner, total);
  }
}

// Bytes of a panel's scales for one group.
INLINE size_t scale_bytes(const halftone_matrix *w) {
  return panel_rows * (w->scale_type == halftone_scale_f32   ? sizeof(float)
                       : w->scale_type == halftone_scale_f16 ? sizeof(uint16_t)
                                                             : sizeof(int8_t));
}

// Adds block `b` of the panel, its scales and minima, to the inner sums.
INLINE void vector_block(const vector_task *t, size_t panel, size_t groups, size_t b,
                         const bytes64 *steps, const int wide, const size_t rows, lanes *inner) {
  const lanes scale = group_scales(t->w, panel, groups, b);
  const lanes minimum = t->w->minima ? group_minima(t->w, panel, groups, b) : splat(0);
  EACH(r, rows) {
    const size_t at = (t->row + r) * t->x->stride + b * block_columns;
    const int32_t *sums = t->x->sums + at / unit_columns, sum = sums[0] + sums[1];
    const int8_t *x = t->x->codes + at;
    two_sums dots = {(ints)(-t->zero * sum), 0};
    add_steps(steps, block_steps, &x, 0, wide, 1, &dots);
    inner[r] = fused(__builtin_convertvector(dots.even + dots.odd, lanes), scale, inner[r]);
    if (t->w->minima) inner[r] = fused(splat((float)sum), minimum, inner[r]);
  }
}

// A panel with one group of weights a block: nothing is done span by span, so that the codes never
// wait. Scales are fetched as far ahead as codes.
INLINE void vector_blocks(const vector_task *t, size_t panel, const code_kind kind,
                          const size_t rows, lanes *total) {
  const halftone_matrix *w = t->w;
  const size_t groups = group_count(w->group, w->columns);
  const size_t input_groups = group_count(t->x->group, w->columns);
  const size_t blocks = (w->columns + block_columns - 1) / block_columns;
  const size_t block_bytes = step_bytes * (size_t)kind.bits,
               ahead = prefetch_distance / block_bytes;
  const size_t input_blocks = input_groups == 1 ? blocks : t->x->group / block_columns;
  const uint8_t *codes = w->codes + panel * panel_bytes(w);
  const uint8_t *scales = (const uint8_t *)w->scales + panel * groups * scale_bytes(w);
  lanes inner[vector_rows];
  EACH(r, rows) total[r] = splat(0);
  for (size_t b = 0, g = 0; b < blocks; ++g) {
    EACH(r, rows) inner[r] = splat(0);
    for (size_t end = smaller_size(b + input_blocks, blocks); b < end; ++b, codes += block_bytes) {
      bytes64 steps[block_steps];
      EACH(i, (size_t)kind.bits)
        __builtin_prefetch(codes + prefetch_distance + i * step_bytes);
      __builtin_prefetch(scales + (b + ahead) * scale_bytes(w));
      decode_weights(codes, kind, t->table, steps);
      vector_block(t, panel, groups, b, steps, is_wide(kind), rows, inner);
    }
    EACH(r, rows)
      total[r] = fused(splat(t->x->scales[(t->row + r) * input_groups + g]), inner[r], total[r]);
  }
}

// A panel's results for one row of inputs.
INLINE void store_panel(const halftone_inputs *x, const halftone_matrix *w, size_t row,
                        size_t panel, lanes total, float *out, size_t out_stride) {
  size_t i = panel * panel_rows;
  if (x->zeros) {
    float zero = -(x->scales[row] * x->zeros[row]);
    total = fused(splat(zero), load(w->row_sums + i, 16), total);
  }
  store(total, out + row * out_stride + i, smaller_size(w->rows - i, panel_rows));
}

// One function for each kind of codes and number of rows.
#define VECTOR_PRODUCT(rows)                                                                  \
  static void KERNEL(vector_product_##rows)(const vector_task *t, size_t first, size_t count, \
                                            float *out, size_t out_stride) {                  \
    for (size_t panel = first; panel < first + count; ++panel) {                              \
      lanes total[vector_rows];                                                               \
      if (t->w->group == 16 && t->w->columns > 16)                                            \
        FOR_KIND(t->w, vector_panel(t, panel, kind, 1, rows, total););                        \
      else if (t->w->group == block_columns)                                                  \
        FOR_KIND(t->w, vector_blocks(t, panel, kind, rows, total););                          \
      else FOR_KIND(t->w, vector_panel(t, panel, kind, 0, rows, total););                     \
      EACH(r, rows)                                                       \
        store_panel(t->x, t->w, t->row + r, panel, total[r], out, out_stride);                \
    }                                                                                         \
  }
VECTOR_PRODUCT(1)
VECTOR_PRODUCT(2)
VECTOR_PRODUCT(3)
VECTOR_PRODUCT(4)
#undef VECTOR_PRODUCT

// `rows` <= vector_rows rows of inputs from `row` on.
static void vector_product(const halftone_inputs *x, const halftone_matrix *w, size_t row,
                           size_t rows, size_t first, size_t count, float *out,
                           size_t out_stride) {
  vector_task t = {x, w, row, zero_of(w), wide_table(w)};
  if (rows == 1) KERNEL(vector_product_1)(&t, first, count, out, out_stride);
  else if (rows == 2) KERNEL(vector_product_2)(&t, first, count, out, out_stride);
  else if (rows == 3) KERNEL(vector_product_3)(&t, first, count, out, out_stride);
  else KERNEL(vector_product_4)(&t, first, count, out, out_stride);
}
