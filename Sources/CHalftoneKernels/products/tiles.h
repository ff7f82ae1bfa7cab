// SPDX-License-Identifier: MIT
// Products of many rows: a span of some panels is decoded once, then all rows run over it in tiles
// whose sums stay in registers.

// The most rows and tiles of panels for which sums are kept between spans: the inputs' span of a
// chunk stays in the second cache while those panels pass.
enum { chunk_rows = 264, chunk_tiles = 2 };

typedef struct {
  bytes64 codes[span_steps][TILE_PANELS];
  lanes scales[span_units][TILE_PANELS], minima[span_units][TILE_PANELS];
  lanes inner[chunk_tiles][chunk_rows][TILE_PANELS];
  lanes total[chunk_tiles][chunk_rows][TILE_PANELS];
  span_plan plan;
} tile_scratch;

// Rows row...row + rows - 1 of the inputs over one span; they have their sums at `place` in the
// scratch.
typedef struct {
  const halftone_inputs *x;
  const halftone_matrix *w;
  tile_scratch *scratch;
  size_t start;  // the span's first column
  size_t row, place;
  size_t column_tile;  // which tile of panels
  int32_t zero;
  const uint8_t *next[TILE_PANELS];  // codes to be fetched meanwhile
  size_t lines;                      // cache lines of each, for each tile
} tile_task;

INLINE void unpack_panel(const uint8_t *codes, size_t blocks, const code_kind kind, bytes64 table,
                         bytes64 (*out)[TILE_PANELS]) {
  for (size_t b = 0; b < blocks; ++b, codes += step_bytes * kind.bits) {
    bytes64 steps[block_steps];
    decode_weights(codes, kind, table, steps);
    for (size_t s = 0; s < block_steps; ++s) out[b * block_steps + s][0] = steps[s];
  }
}

// Decodes the codes and scales of a span of `panels` panels.
static void unpack_span(const halftone_matrix *w, size_t panel, size_t panels, size_t start,
                        size_t input_group, tile_scratch *scratch) {
  size_t columns = smaller_size(w->columns - start, span_columns);
  size_t blocks = (columns + block_columns - 1) / block_columns;
  size_t skipped = start / block_columns * step_bytes * (size_t)w->bits;
  bytes64 table = wide_table(w);
  plan_span(w, input_group, start, &scratch->plan);
  for (size_t p = 0; p < panels; ++p) {
    const uint8_t *codes = w->codes + (panel + p) * panel_bytes(w) + skipped;
    bytes64(*out)[TILE_PANELS] = (bytes64(*)[TILE_PANELS]) & scratch->codes[0][p];
    FOR_KIND(w, unpack_panel(codes, blocks, kind, table, out););
    span_scales(w, panel + p, &scratch->plan, &scratch->scales[0][p], &scratch->minima[0][p],
                TILE_PANELS);
  }
}

// Adds `steps` steps, a multiple of four, to the dots. Large tiles are not unrolled: the registers
// that wait for loads would be missing.
INLINE void tile_steps(const bytes64 (*codes)[TILE_PANELS], size_t steps, const int8_t *x,
                       size_t stride, const int wide, const size_t rows, const size_t panels,
                       ints dots[TILE_LONG][TILE_PANELS]) {
  const size_t unroll = rows > TILE_SHORT ? 1 : 4;
  for (; steps > 0; steps -= unroll, codes += unroll, x += 4 * unroll)
    EACH(s, unroll) {
      bytes64 weights[TILE_PANELS];
      EACH(p, panels) weights[p] = codes[s][p];
      EACH(r, rows) {
        spread input = spread_of(x + r * stride + 4 * s);
        EACH(p, panels) dots[r][p] = dot4(dots[r][p], weights[p], input, wide);
      }
      EACH(r, rows) EACH(p, panels) FINISH(dots[r][p]);
      KEEP_LOADS_HERE;
    }
}

// The end of a group of inputs: the inner sums are scaled and added to the total.
INLINE void close_inputs(const tile_task *t, size_t k, const size_t rows, const size_t panels,
                         lanes inner[TILE_LONG][TILE_PANELS]) {
  size_t groups = group_count(t->x->group, t->w->columns);
  lanes(*total)[TILE_PANELS] = &t->scratch->total[t->column_tile][t->place];
  EACH(r, rows) {
    float scale = t->x->scales[(t->row + r) * groups + t->scratch->plan.input_group[k]];
    EACH(p, panels) {
      total[r][p] = fused(splat(scale), inner[r][p], total[r][p]);
      inner[r][p] = splat(0);
    }
  }
}

INLINE void close_segment(const tile_task *t, size_t k, const segment_starts *starts,
                          const size_t rows, const size_t panels,
                          ints dots[TILE_LONG][TILE_PANELS],
                          lanes inner[TILE_LONG][TILE_PANELS]) {
  tile_scratch *scratch = t->scratch;
  EACH(p, panels) {
    lanes scale = scratch->scales[k][p];
    EACH(r, rows)
      inner[r][p] = fused(__builtin_convertvector(dots[r][p], lanes), scale, inner[r][p]);
  }
  if (t->w->minima)
    EACH(p, panels)
      EACH(r, rows)
        inner[r][p] = fused(splat((float)starts[r].sums[k]), scratch->minima[k][p], inner[r][p]);
  if (scratch->plan.closes[k]) close_inputs(t, k, rows, panels, inner);
}

INLINE void start_tile(const tile_task *t, const size_t rows, segment_starts *starts) {
  for (size_t r = 0; r < rows; ++r) {
    size_t at = (t->row + r) * t->x->stride + t->start;
    start_segments(t->x->sums + at / unit_columns, &t->scratch->plan, t->zero, &starts[r]);
  }
}

// `resident`: inner sums stay in registers over the span; else they are read and written at the end
// of each segment, and more rows fit.
INLINE void tile(const tile_task *t, const int resident, const int wide, const size_t rows,
                 const size_t panels) {
  tile_scratch *scratch = t->scratch;
  const int8_t *x = t->x->codes + t->row * t->x->stride + t->start;
  const bytes64(*codes)[TILE_PANELS] = (const bytes64(*)[TILE_PANELS])scratch->codes;
  lanes(*memory)[TILE_PANELS] = &scratch->inner[t->column_tile][t->place];
  lanes inner[TILE_LONG][TILE_PANELS];
  segment_starts starts[TILE_LONG];
  start_tile(t, rows, starts);
  if (resident)
    EACH(r, rows)
      EACH(p, panels) inner[r][p] = memory[r][p];
  for (size_t k = 0; k < scratch->plan.count; ++k) {
    ints dots[TILE_LONG][TILE_PANELS];
    size_t steps = scratch->plan.units[k] * (size_t)4;
    EACH(r, rows)
      EACH(p, panels) dots[r][p] = (ints)starts[r].dots[k];
    tile_steps(codes, steps, x, t->x->stride, wide, rows, panels, dots);
    codes += steps;
    x += 4 * steps;
    close_segment(t, k, starts, rows, panels, dots,
                  resident ? inner : memory);
  }
  if (resident)
    EACH(r, rows)
      EACH(p, panels) memory[r][p] = inner[r][p];
}

INLINE void prefetch_next(tile_task *t, const size_t panels) {
  for (size_t i = 0; i < t->lines; ++i)
    EACH(p, panels) __builtin_prefetch(t->next[p] + i * step_bytes);
  EACH(p, panels) t->next[p] += t->lines * step_bytes;
}

// All rows of a chunk over one span, `most` rows at a time.
INLINE void run_tiles(tile_task t, size_t rows, const int resident, const int wide,
                      const size_t most, const size_t panels) {
  t.lines = (span_columns / block_columns * (size_t)t.w->bits * most + rows - 1) / rows;
  for (; rows >= most; rows -= most, t.row += most, t.place += most) {
    prefetch_next(&t, panels);
    tile(&t, resident, wide, most, panels);
  }
  for (; rows >= TILE_REST; rows -= TILE_REST, t.row += TILE_REST, t.place += TILE_REST)
    tile(&t, resident, wide, TILE_REST, panels);
  for (; rows > 0; --rows, ++t.row, ++t.place) tile(&t, resident, wide, 1, panels);
}

INLINE void run_span(tile_task t, size_t rows, const int wide, const size_t panels) {
  if (t.scratch->plan.units[0] >= 8) run_tiles(t, rows, 0, wide, TILE_LONG, panels);
  else run_tiles(t, rows, 1, wide, TILE_SHORT, panels);
}

static void KERNEL(run_narrow)(tile_task t, size_t rows, size_t panels) {
  if (panels == TILE_PANELS) run_span(t, rows, 0, TILE_PANELS);
  else run_span(t, rows, 0, 1);
}

#if DOTS_DEPEND_ON_WIDTH
static void KERNEL(run_wide)(tile_task t, size_t rows, size_t panels) {
  if (panels == TILE_PANELS) run_span(t, rows, 1, TILE_PANELS);
  else run_span(t, rows, 1, 1);
}
#else
#define run_wide run_narrow
#endif

// The codes after those of a tile of panels: of the next panels, else of the next span.
static void next_span(tile_task *t, size_t first, size_t count, size_t p, size_t panels) {
  size_t column = t->start;
  p += TILE_PANELS;
  if (p >= count) {
    p = 0;
    column += span_columns;
  }
  if (column >= t->w->columns) {
    column = 0;
    p += count;
  }
  const uint8_t *codes = t->w->codes + column / block_columns * step_bytes * (size_t)t->w->bits;
  for (size_t i = 0; i < panels; ++i) t->next[i] = codes + (first + p + i) * panel_bytes(t->w);
}

static void store_tile(const tile_task *t, size_t rows, size_t panel, size_t panels, float *out,
                       size_t out_stride) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t p = 0; p < panels; ++p) {
      lanes total = t->scratch->total[t->column_tile][r][p];
      store_panel(t->x, t->w, t->row + r, panel + p, total, out, out_stride);
    }
}

// `rows` <= chunk_rows rows from `row` on over `count` <= chunk_tiles * TILE_PANELS panels.
static void product_chunk(const halftone_inputs *x, const halftone_matrix *w, size_t row,
                          size_t rows, size_t first, size_t count, float *out,
                          size_t out_stride) {
  tile_scratch scratch;
  for (size_t i = 0; i * TILE_PANELS < count; ++i) {
    memset(scratch.inner[i], 0, rows * sizeof scratch.inner[i][0]);
    memset(scratch.total[i], 0, rows * sizeof scratch.total[i][0]);
  }
  tile_task t = {.x = x, .w = w, .scratch = &scratch, .row = row, .zero = zero_of(w)};
  for (; t.start < w->columns; t.start += span_columns)
    for (size_t p = 0; p < count; p += TILE_PANELS) {
      size_t panels = smaller_size(count - p, TILE_PANELS);
      t.column_tile = p / TILE_PANELS;
      unpack_span(w, first + p, panels, t.start, x->group, &scratch);
      next_span(&t, first, count, p, panels);
      if (w->table || w->bits == 8) KERNEL(run_wide)(t, rows, panels);
      else KERNEL(run_narrow)(t, rows, panels);
    }
  for (size_t p = 0; p < count; p += TILE_PANELS) {
    t.column_tile = p / TILE_PANELS;
    store_tile(&t, rows, first + p, smaller_size(count - p, TILE_PANELS), out, out_stride);
  }
}

static void KERNEL(product)(const halftone_inputs *x, const halftone_matrix *w, size_t first,
                            size_t count, float *out, size_t out_stride) {
  if (x->rows <= vector_rows) {
    if (x->rows) vector_product(x, w, 0, x->rows, first, count, out, out_stride);
    return;
  }
  const size_t most_panels = chunk_tiles * TILE_PANELS;
  size_t chunks = (x->rows + chunk_rows - 1) / chunk_rows;
  size_t each = (x->rows + chunks - 1) / chunks;
  each = smaller_size((each + TILE_LONG - 1) / TILE_LONG * TILE_LONG, chunk_rows);
  for (size_t row = 0; row < x->rows; row += each)
    for (size_t p = 0; p < count; p += most_panels)
      product_chunk(x, w, row, smaller_size(x->rows - row, each), first + p,
                    smaller_size(count - p, most_panels), out, out_stride);
}
