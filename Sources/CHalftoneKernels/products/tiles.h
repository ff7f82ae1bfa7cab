// SPDX-License-Identifier: MIT
// Products of many rows: a span of some panels is decoded once, then all rows run over it in tiles
// whose sums stay in registers.

// The most rows and tiles of panels for which sums are kept between spans: the inputs' span of a
// chunk stays in the second cache while those panels pass.
enum { chunk_rows = 264, chunk_tiles = 4, span_blocks = span_columns / block_columns };

// What the dots of a row start from in each block of a span, and the sums of its codes.
typedef struct {
  ints dots;
  lanes sums;
} block_starts;

typedef struct {
  bytes64 codes[span_steps][TILE_PANELS];
  lanes scales[span_units][TILE_PANELS], minima[span_units][TILE_PANELS];
  lanes inner[chunk_tiles][chunk_rows][TILE_PANELS];
  lanes total[chunk_tiles][chunk_rows][TILE_PANELS];
  block_starts starts[chunk_rows];  // where segments are blocks
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
  size_t input_groups;
  int32_t zero;
  size_t panel;  // the first of the tile
  float *out;
  size_t out_stride;
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
  const size_t groups = t->input_groups;
  const float *scales = t->x->scales + t->row * groups + t->scratch->plan.input_group[k];
  lanes(*total)[TILE_PANELS] = &t->scratch->total[t->column_tile][t->place];
  EACH(r, rows) {
    const float scale = scales[r * groups];
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
  if (scratch->plan.opens)
    EACH(r, rows)
      EACH(p, panels) memory[r][p] = splat(0);
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

// What a tile reads of one block of a span.
typedef struct {
  const int8_t *x;
  size_t stride;
  const bytes64 (*codes)[TILE_PANELS];
  const lanes *scales, *minima;
  const int32_t *dots;  // the starts of its first row; the others follow block_starts apart
  const float *sums;
} block_place;

// Adds the dots of a block, scaled, to the inner sums.
INLINE void add_block(const block_place b, const int wide, const int minima, const size_t rows,
                      const size_t panels, lanes inner[TILE_SHORT][TILE_PANELS]) {
  const size_t apart = sizeof(block_starts) / sizeof(float);
  ints dots[TILE_SHORT][TILE_PANELS];
  EACH(r, rows)
    EACH(p, panels) dots[r][p] = (ints)b.dots[r * apart];
  EACH(s, block_steps) {
    bytes64 weights[TILE_PANELS];
    EACH(p, panels) weights[p] = b.codes[s][p];
    EACH(r, rows) {
      spread input = spread_of(b.x + r * b.stride + 4 * s);
      EACH(p, panels) dots[r][p] = dot4(dots[r][p], weights[p], input, wide);
    }
    EACH(r, rows) EACH(p, panels) FINISH(dots[r][p]);
    KEEP_LOADS_HERE;
  }
  EACH(p, panels) {
    lanes scale = b.scales[p];
    EACH(r, rows)
      inner[r][p] = fused(__builtin_convertvector(dots[r][p], lanes), scale, inner[r][p]);
  }
  if (minima)
    EACH(p, panels) {
      lanes minimum = b.minima[p];
      EACH(r, rows) inner[r][p] = fused(splat(b.sums[r * apart]), minimum, inner[r][p]);
    }
}

// A tile over a whole span whose segments are blocks, the most common case. Inner sums go to memory
// only where a group of inputs does.
INLINE void block_tile(const tile_task *t, const int wide, const int minima, const size_t rows,
                       const size_t panels) {
  const tile_scratch *scratch = t->scratch;
  const span_plan *plan = &scratch->plan;
  const block_starts *starts = &scratch->starts[t->place];
  lanes(*memory)[TILE_PANELS] = &t->scratch->inner[t->column_tile][t->place];
  lanes inner[TILE_SHORT][TILE_PANELS];
  block_place b = {t->x->codes + t->row * t->x->stride + t->start, t->x->stride, scratch->codes,
                   scratch->scales[0], scratch->minima[0], (const int32_t *)&starts->dots,
                   (const float *)&starts->sums};
  EACH(r, rows)
    EACH(p, panels) inner[r][p] = splat(0);
  if (!plan->opens)
    EACH(r, rows)
      EACH(p, panels) inner[r][p] = memory[r][p];
  for (size_t k = 0; k < span_blocks; ++k) {
    add_block(b, wide, minima, rows, panels, inner);
    if (plan->closes[k]) close_inputs(t, k, rows, panels, inner);
    b = (block_place){b.x + block_columns, b.stride, b.codes + block_steps,
                      b.scales + TILE_PANELS, b.minima + TILE_PANELS, b.dots + 1, b.sums + 1};
  }
  if (!plan->closes[span_blocks - 1])
    EACH(r, rows)
      EACH(p, panels) memory[r][p] = inner[r][p];
}

static void start_blocks(const tile_task *t, size_t rows) {
  for (size_t r = 0; r < rows; ++r) {
    const int32_t *units = t->x->sums + ((t->row + r) * t->x->stride + t->start) / unit_columns;
    ints sums = pair_sums(units);
    t->scratch->starts[r].dots = -t->zero * sums;
    t->scratch->starts[r].sums = __builtin_convertvector(sums, lanes);
  }
}

INLINE void prefetch_next(tile_task *t, const size_t panels) {
  for (size_t i = 0; i < t->lines; ++i)
    EACH(p, panels) __builtin_prefetch(t->next[p] + i * step_bytes);
  EACH(p, panels) t->next[p] += t->lines * step_bytes;
}

// The results of some rows, after the last span.
INLINE void store_tile(const tile_task *t, const size_t rows, const size_t panels) {
  if (t->start + span_columns < t->w->columns) return;
  for (size_t r = 0; r < rows; ++r)
    for (size_t p = 0; p < panels; ++p) {
      lanes total = t->scratch->total[t->column_tile][t->place + r][p];
      store_panel(t->x, t->w, t->row + r, t->panel + p, total, t->out, t->out_stride);
    }
}

enum { in_memory, in_registers, in_blocks, in_blocks_with_minima };

INLINE void run_tile(tile_task *t, const int way, const int wide, const size_t rows,
                     const size_t panels) {
  if (way >= in_blocks) block_tile(t, wide, way == in_blocks_with_minima, rows, panels);
  else tile(t, way == in_registers, wide, rows, panels);
  store_tile(t, rows, panels);
  t->row += rows;
  t->place += rows;
}

// All rows of a chunk over one span, `most` rows at a time; eight at the end are twice four.
INLINE void run_tiles(tile_task t, size_t rows, const int way, const int wide, const size_t most,
                      const size_t panels) {
  t.lines = (span_columns / block_columns * (size_t)t.w->bits * most + rows - 1) / rows;
  for (; rows >= most && rows != 2 * TILE_REST; rows -= most) {
    prefetch_next(&t, panels);
    run_tile(&t, way, wide, most, panels);
  }
  for (; rows >= TILE_REST; rows -= TILE_REST) run_tile(&t, way, wide, TILE_REST, panels);
  for (; rows > 0; --rows) run_tile(&t, way, wide, 1, panels);
}

INLINE void run_span(tile_task t, size_t rows, const int wide, const size_t panels) {
  const span_plan *plan = &t.scratch->plan;
  if (plan->units[0] >= 8) run_tiles(t, rows, in_memory, wide, TILE_LONG, panels);
  else if (!BLOCK_TILES || !plan->pairs) run_tiles(t, rows, in_registers, wide, TILE_SHORT, panels);
  else if (t.w->minima) run_tiles(t, rows, in_blocks_with_minima, wide, TILE_SHORT, panels);
  else run_tiles(t, rows, in_blocks, wide, TILE_SHORT, panels);
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

// `rows` <= chunk_rows rows from `row` on over `count` <= chunk_tiles * TILE_PANELS panels.
static void product_chunk(const halftone_inputs *x, const halftone_matrix *w, size_t row,
                          size_t rows, size_t first, size_t count, float *out,
                          size_t out_stride) {
  tile_scratch scratch;
  for (size_t i = 0; i * TILE_PANELS < count; ++i)
    memset(scratch.total[i], 0, rows * sizeof scratch.total[i][0]);
  tile_task t = {.x = x, .w = w, .scratch = &scratch, .row = row, .zero = zero_of(w)};
  t.input_groups = group_count(x->group, w->columns);
  t.out = out;
  t.out_stride = out_stride;
  for (; t.start < w->columns; t.start += span_columns)
    for (size_t p = 0; p < count; p += TILE_PANELS) {
      size_t panels = smaller_size(count - p, TILE_PANELS);
      t.column_tile = p / TILE_PANELS;
      t.panel = first + p;
      unpack_span(w, first + p, panels, t.start, x->group, &scratch);
      if (BLOCK_TILES && p == 0 && scratch.plan.pairs) start_blocks(&t, rows);
      next_span(&t, first, count, p, panels);
      if (w->table || w->bits == 8) KERNEL(run_wide)(t, rows, panels);
      else KERNEL(run_narrow)(t, rows, panels);
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
