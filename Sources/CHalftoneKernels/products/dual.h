// SPDX-License-Identifier: MIT
// Weights of four bits times whole numbers make weights of eight bits, whose products with inputs of eight
// bits are summed as integers over the whole row.

// The factors and offsets of a group: sixteen rows, in 32-bit lanes as steps have them.
typedef struct {
  words64 factors;
  bytes64 offsets;
} dual_group;

typedef uint8_t bytes16_of_rows __attribute__((ext_vector_type(16)));

INLINE dual_group load_dual_group(const halftone_dual_matrix *w, size_t panel, size_t groups,
                                  size_t group) {
  bytes16_of_rows factors, offsets;
  size_t at = (panel * groups + group) * panel_rows;
  memcpy(&factors, w->factors + at, sizeof factors);
  memcpy(&offsets, w->offsets + at, sizeof offsets);
  words wide = __builtin_convertvector(factors, words);
  words ends = __builtin_convertvector(offsets, words) * 0x01010101u;
  // Signed weights are 128 less.
  if (SIGNED_WEIGHTS) ends ^= 0x80808080u;
  return (dual_group){__builtin_bit_cast(words64, wide | wide << 16),
                      __builtin_bit_cast(bytes64, ends)};
}

// factor * code + offset in each byte, modulo 256: no byte carries into another.
INLINE bytes64 expanded(bytes64 codes, const dual_group g) {
  words64 both = __builtin_bit_cast(words64, codes);
  words64 even = (both & 0x00ff) * g.factors & 0x00ff, odd = (both & 0xff00) * g.factors;
  return __builtin_bit_cast(bytes64, even | odd) + g.offsets;
}

INLINE void expand_block(const uint8_t *block, const dual_group g, bytes64 steps[block_steps]) {
  const code_kind kind = {4, 0};
  decode_block(block, kind, (bytes64)0, steps);
  EACH(s, block_steps) steps[s] = expanded(steps[s], g);
}

INLINE size_t dual_panel_bytes(const halftone_dual_matrix *w) {
  return (w->columns + block_columns - 1) / block_columns * step_bytes * 4;
}

// What unsigned weights count too much: 128 times the sum of a row's codes.
INLINE int32_t dual_start(const halftone_inputs *x, size_t row) {
  if (SIGNED_WEIGHTS) return 0;
  const int32_t *sums = x->sums + row * x->stride / unit_columns;
  uint32_t sum = 0;
  for (size_t i = 0; i < x->stride / unit_columns; ++i) sum += (uint32_t)sums[i];
  return (int32_t)(0u - 128u * sum);
}

INLINE void store_dual(const halftone_inputs *x, const halftone_dual_matrix *w, size_t row,
                       size_t panel, ints dots, float *out, size_t out_stride) {
  size_t i = panel * panel_rows;
  lanes total = __builtin_convertvector(dots, lanes) * load(w->row_scales + i, 16);
  total *= splat(x->scales[row]);
  if (x->zeros)
    total = fused(splat(-(x->scales[row] * x->zeros[row])), load(w->row_sums + i, 16), total);
  store(total, out + row * out_stride + i, smaller_size(w->rows - i, panel_rows));
}

// A few rows: weights go from memory through registers.
INLINE void dual_vector(const halftone_inputs *x, const halftone_dual_matrix *w, size_t row,
                        const size_t rows, size_t first, size_t count, float *out,
                        size_t out_stride) {
  const size_t groups = group_count(w->group, w->columns);
  for (size_t panel = first; panel < first + count; ++panel) {
    const uint8_t *codes = w->codes + panel * dual_panel_bytes(w);
    const int8_t *at[vector_rows];
    two_sums dots[vector_rows];
    EACH(r, rows) {
      at[r] = x->codes + (row + r) * x->stride;
      dots[r] = (two_sums){(ints)dual_start(x, row + r), 0};
    }
    for (size_t g = 0, column = 0; g < groups; ++g) {
      const dual_group group = load_dual_group(w, panel, groups, g);
      const size_t end = w->group >= w->columns ? x->stride
                                                : smaller_size((g + 1) * w->group, x->stride);
      for (; column < end; column += block_columns, codes += 4 * step_bytes) {
        bytes64 steps[block_steps];
        EACH(i, 4) __builtin_prefetch(codes + prefetch_distance + i * step_bytes);
        expand_block(codes, group, steps);
        add_steps(steps, block_steps, at, column, 1, rows, dots);
      }
    }
    EACH(r, rows)
      store_dual(x, w, row + r, panel, dots[r].even + dots[r].odd, out, out_stride);
  }
}

// Many rows: a span of panels is expanded once, and dots wait in memory between spans.
typedef struct {
  bytes64 codes[span_steps][TILE_PANELS];
  ints dots[chunk_rows][TILE_PANELS];
} dual_scratch;

static void expand_span(const halftone_dual_matrix *w, size_t panel, size_t start, size_t columns,
                        bytes64 (*out)[TILE_PANELS]) {
  const size_t groups = group_count(w->group, w->columns);
  const uint8_t *codes =
      w->codes + panel * dual_panel_bytes(w) + start / block_columns * step_bytes * 4;
  for (size_t j = 0; j < columns; j += block_columns, codes += 4 * step_bytes) {
    const size_t g = w->group >= w->columns ? 0 : (start + j) / w->group;
    bytes64 steps[block_steps];
    expand_block(codes, load_dual_group(w, panel, groups, g), steps);
    EACH(s, block_steps) out[j / 4 + s][0] = steps[s];
  }
}

INLINE void dual_tile(dual_scratch *s, const halftone_inputs *x, size_t row, size_t place,
                      size_t start, size_t steps, const size_t rows, const size_t panels) {
  ints dots[TILE_LONG][TILE_PANELS];
  EACH(r, rows) EACH(p, panels) dots[r][p] = s->dots[place + r][p];
  tile_steps((const bytes64(*)[TILE_PANELS])s->codes, steps,
             x->codes + (row + place) * x->stride + start, x->stride, 1, rows, panels, dots);
  EACH(r, rows) EACH(p, panels) s->dots[place + r][p] = dots[r][p];
}

INLINE void dual_chunk(const halftone_inputs *x, const halftone_dual_matrix *w, size_t row,
                       size_t rows, size_t panel, const size_t panels, float *out,
                       size_t out_stride) {
  dual_scratch s;
  for (size_t r = 0; r < rows; ++r)
    EACH(p, panels) s.dots[r][p] = (ints)dual_start(x, row + r);
  for (size_t start = 0; start < x->stride; start += span_columns) {
    const size_t columns = smaller_size(x->stride - start, span_columns);
    EACH(p, panels)
      expand_span(w, panel + p, start, columns, (bytes64(*)[TILE_PANELS]) & s.codes[0][p]);
    size_t r = 0;
    for (; r + TILE_LONG <= rows; r += TILE_LONG)
      dual_tile(&s, x, row, r, start, columns / 4, TILE_LONG, panels);
    for (; r + TILE_REST <= rows; r += TILE_REST)
      dual_tile(&s, x, row, r, start, columns / 4, TILE_REST, panels);
    for (; r < rows; ++r) dual_tile(&s, x, row, r, start, columns / 4, 1, panels);
  }
  for (size_t r = 0; r < rows; ++r)
    EACH(p, panels) store_dual(x, w, row + r, panel + p, s.dots[r][p], out, out_stride);
}

static void KERNEL(dual_tiles)(const halftone_inputs *x, const halftone_dual_matrix *w, size_t row,
                               size_t rows, size_t panel, size_t panels, float *out,
                               size_t out_stride) {
  if (panels == TILE_PANELS) dual_chunk(x, w, row, rows, panel, TILE_PANELS, out, out_stride);
  else dual_chunk(x, w, row, rows, panel, 1, out, out_stride);
}

static void KERNEL(dual_product)(const halftone_inputs *x, const halftone_dual_matrix *w,
                                 size_t first, size_t count, float *out, size_t out_stride) {
  if (x->rows == 1) return dual_vector(x, w, 0, 1, first, count, out, out_stride);
  if (x->rows == 2) return dual_vector(x, w, 0, 2, first, count, out, out_stride);
  if (x->rows <= vector_rows) {
    for (size_t row = 0; row < x->rows; row += 2)
      if (x->rows - row > 1) dual_vector(x, w, row, 2, first, count, out, out_stride);
      else dual_vector(x, w, row, 1, first, count, out, out_stride);
    return;
  }
  for (size_t row = 0; row < x->rows; row += chunk_rows)
    for (size_t p = 0; p < count;) {
      size_t panels = count - p >= TILE_PANELS ? TILE_PANELS : 1;
      KERNEL(dual_tiles)(x, w, row, smaller_size(x->rows - row, chunk_rows), first + p, panels,
                         out, out_stride);
      p += panels;
    }
}
