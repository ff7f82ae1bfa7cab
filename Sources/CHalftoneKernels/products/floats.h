// SPDX-License-Identifier: MIT
// Products with float inputs: some columns of up to four panels become floats in the cache, then
// the rows run over them. Every sum is one chain of fused additions in ascending order of columns.

enum { float_columns = 64, float_panels = 4, float_chunk = 192 };

typedef struct {
  lanes weights[float_columns][float_panels];
  lanes sums[float_chunk][float_panels];
} float_scratch;

// Where the weights come from: writes columns start...start + columns - 1 of a panel, `columns` a
// multiple of 32 except at the end of the matrix, float_panels vectors apart.
typedef struct {
  void (*fill)(const void *matrix, size_t panel, size_t start, size_t columns,
               lanes (*out)[float_panels]);
  const void *matrix;
  size_t rows, columns;
} float_source;

INLINE void float_tile(const lanes (*weights)[float_panels], lanes (*memory)[float_panels],
                       const float *x, size_t stride, size_t columns, const size_t rows,
                       const size_t panels) {
  lanes sums[FLOAT_ROWS][float_panels];
  EACH(r, rows)
    EACH(p, panels) sums[r][p] = memory[r][p];
  for (size_t j = 0; j < columns; ++j)
    EACH(r, rows)
      EACH(p, panels)
        sums[r][p] = fused(splat(x[r * stride + j]), weights[j][p], sums[r][p]);
  EACH(r, rows)
    EACH(p, panels) memory[r][p] = sums[r][p];
}

// Panels place...panels - 1 of the scratch, `wide` at once and then one by one.
INLINE void float_rows(float_scratch *s, size_t row, const float *x, size_t stride, size_t columns,
                       size_t panels, const size_t rows, const size_t wide) {
  size_t p = 0;
  for (; p + wide <= panels; p += wide)
    float_tile((const lanes(*)[float_panels]) & s->weights[0][p],
               (lanes(*)[float_panels]) & s->sums[row][p], x, stride, columns, rows, wide);
  for (; p < panels; ++p)
    float_tile((const lanes(*)[float_panels]) & s->weights[0][p],
               (lanes(*)[float_panels]) & s->sums[row][p], x, stride, columns, rows, 1);
}

// `rows` <= float_chunk rows of inputs over `panels` <= float_panels panels.
static void float_chunk_product(const float_source *w, const float *x, size_t stride, size_t rows,
                                size_t panel, size_t panels, float *out, size_t out_stride) {
  float_scratch s;
  memset(s.sums, 0, rows * sizeof s.sums[0]);
  for (size_t start = 0; start < w->columns; start += float_columns) {
    size_t columns = smaller_size(w->columns - start, float_columns), r = 0;
    for (size_t p = 0; p < panels; ++p)
      w->fill(w->matrix, panel + p, start, columns, (lanes(*)[float_panels]) & s.weights[0][p]);
    for (; r + FLOAT_ROWS <= rows; r += FLOAT_ROWS)
      float_rows(&s, r, x + r * stride + start, stride, columns, panels, FLOAT_ROWS, FLOAT_WIDE);
    for (; r < rows; ++r)
      float_rows(&s, r, x + r * stride + start, stride, columns, panels, 1, float_panels);
  }
  for (size_t r = 0; r < rows; ++r)
    for (size_t p = 0; p < panels; ++p) {
      size_t i = (panel + p) * panel_rows;
      store(s.sums[r][p], out + r * out_stride + i, smaller_size(w->rows - i, panel_rows));
    }
}

static void float_products(const float_source *w, const float *x, size_t stride, size_t rows,
                           size_t first, size_t count, float *out, size_t out_stride) {
  for (size_t r = 0; r < rows; r += float_chunk)
    for (size_t p = 0; p < count; p += float_panels)
      float_chunk_product(w, x + r * stride, stride, smaller_size(rows - r, float_chunk),
                          first + p, smaller_size(count - p, float_panels), out + r * out_stride,
                          out_stride);
}

// One block of codes as floats; the block lies at `column` and has `columns` columns.
INLINE void float_block(const halftone_matrix *w, size_t panel, size_t column, size_t columns,
                        const uint8_t *block, const code_kind kind, bytes64 table,
                        lanes (*out)[float_panels]) {
  bytes64 steps[block_steps];
  lanes scale = splat(0), minimum = splat(0);
  size_t groups = group_count(w->group, w->columns);
  decode_block(block, kind, table, steps);
  for (size_t j = 0; j < columns; ++j) {
    if (j % unit_columns == 0) {
      size_t group = w->group >= w->columns ? 0 : (column + j) / w->group;
      scale = group_scales(w, panel, groups, group);
      if (w->minima) minimum = group_minima(w, panel, groups, group);
    }
    ints code = __builtin_bit_cast(ints, steps[j / 4]) >> (int)(j % 4 * 8) & 255;
    lanes weight = __builtin_convertvector(code - w->zero, lanes) * scale;
    out[j][0] = w->minima ? weight + minimum : weight;
  }
}

static void fill_quantized(const void *matrix, size_t panel, size_t start, size_t columns,
                           lanes (*out)[float_panels]) {
  const halftone_matrix *w = matrix;
  size_t bytes_of_block = step_bytes * (size_t)w->bits;
  const uint8_t *codes = w->codes + panel * panel_bytes(w) + start / block_columns * bytes_of_block;
  bytes64 table = wide_table(w);
  for (size_t j = 0; j < columns; j += block_columns, codes += bytes_of_block) {
    size_t n = smaller_size(columns - j, block_columns);
    FOR_KIND(w, float_block(w, panel, start + j, n, codes, kind, table, out + j););
  }
}

static void fill_dense(const void *matrix, size_t panel, size_t start, size_t columns,
                       lanes (*out)[float_panels]) {
  const halftone_dense_matrix *w = matrix;
  size_t at = (panel * w->columns + start) * panel_rows;
  const float *floats = (const float *)w->elements + at;
  const uint16_t *shorts = (const uint16_t *)w->elements + at;
  for (size_t j = 0; j < columns; ++j) {
    if (w->type == halftone_dense_f32) {
      out[j][0] = load(floats + 16 * j, 16);
    } else if (w->type == halftone_dense_f16) {
      out[j][0] = widened(load_halves(shorts + 16 * j, 16));
    } else {
      words bits = __builtin_convertvector(load_halves(shorts + 16 * j, 16), words) << 16;
      out[j][0] = __builtin_bit_cast(lanes, bits);
    }
  }
}

static void KERNEL(float_product)(const float *x, size_t x_stride, size_t x_rows,
                                  const halftone_matrix *w, size_t first, size_t count, float *out,
                                  size_t out_stride) {
  float_source source = {fill_quantized, w, w->rows, w->columns};
  float_products(&source, x, x_stride, x_rows, first, count, out, out_stride);
}

static void KERNEL(dense_product)(const float *x, size_t x_stride, size_t x_rows,
                                  const halftone_dense_matrix *w, size_t first, size_t count,
                                  float *out, size_t out_stride) {
  float_source source = {fill_dense, w, w->rows, w->columns};
  float_products(&source, x, x_stride, x_rows, first, count, out, out_stride);
}
