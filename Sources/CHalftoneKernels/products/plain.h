// SPDX-License-Identifier: MIT
// Products in plain loops: what the other sets are held against.

// The value of byte p of step s in a packed block.
INLINE int plain_value(const halftone_matrix *w, const uint8_t *block, size_t s, size_t p) {
  int bits = w->bits, high = bits == 3 || bits == 5 ? 1 : bits == 6 ? 2 : 0, low = bits - high;
  size_t bit = s * (size_t)low;
  int value = block[bit / 8 * step_bytes + p] >> bit % 8 & ((1 << low) - 1);
  if (high) {
    bit = s * (size_t)high;
    block += (size_t)low * step_bytes;
    value |= (block[bit / 8 * step_bytes + p] >> bit % 8 & ((1 << high) - 1)) << low;
  }
  return w->table ? w->table[value] : value;
}

INLINE const uint8_t *plain_block(const halftone_matrix *w, size_t panel, size_t column) {
  size_t block = column / block_columns * step_bytes * (size_t)w->bits;
  return w->codes + panel * panel_bytes(w) + block;
}

// Element (row, column) of the matrix, less the minimum and before the scale.
INLINE int plain_code(const halftone_matrix *w, size_t row, size_t column) {
  size_t s = column % block_columns / 4, p = row % panel_rows * 4 + column % 4;
  return plain_value(w, plain_block(w, row / panel_rows, column), s, p) - w->zero;
}

static float plain_element(const halftone_inputs *x, const halftone_matrix *w, size_t r, size_t i) {
  size_t panel = i / panel_rows, lane = i % panel_rows;
  size_t groups = group_count(x->group, w->columns);
  size_t weight_groups = group_count(w->group, w->columns);
  float total = 0, inner = 0;
  span_plan plan;
  for (size_t start = 0; start < w->columns; start += span_columns) {
    plan_span(w, x->group, start, &plan);
    for (size_t k = 0, column = start; k < plan.count; ++k) {
      int32_t dot = 0, sum = 0;
      size_t end = smaller_size(column + plan.units[k] * (size_t)unit_columns, w->columns);
      for (; column < end; ++column) {
        int32_t code = x->codes[r * x->stride + column];
        dot += plain_code(w, i, column) * code;
        sum += code;
      }
      size_t group = plan.weight_group[k];
      inner = fmaf((float)dot, group_scales(w, panel, weight_groups, group)[lane], inner);
      if (w->minima)
        inner = fmaf((float)sum, group_minima(w, panel, weight_groups, group)[lane], inner);
      if (!plan.closes[k]) continue;
      total = fmaf(x->scales[r * groups + plan.input_group[k]], inner, total);
      inner = 0;
    }
  }
  return x->zeros ? fmaf(-(x->scales[r] * x->zeros[r]), w->row_sums[i], total) : total;
}

static void KERNEL(product)(const halftone_inputs *x, const halftone_matrix *w, size_t first,
                            size_t count, float *out, size_t out_stride) {
  size_t end = smaller_size((first + count) * panel_rows, w->rows);
  for (size_t r = 0; r < x->rows; ++r)
    for (size_t i = first * panel_rows; i < end; ++i)
      out[r * out_stride + i] = plain_element(x, w, r, i);
}

static void KERNEL(float_product)(const float *x, size_t x_stride, size_t x_rows,
                                  const halftone_matrix *w, size_t first, size_t count, float *out,
                                  size_t out_stride) {
  size_t end = smaller_size((first + count) * panel_rows, w->rows);
  size_t groups = group_count(w->group, w->columns);
  for (size_t i = first * panel_rows; i < end; ++i) {
    for (size_t r = 0; r < x_rows; ++r) {
      float sum = 0;
      for (size_t j = 0; j < w->columns; ++j) {
        size_t group = w->group >= w->columns ? 0 : j / w->group, lane = i % panel_rows;
        float weight = (float)plain_code(w, i, j);
        weight *= group_scales(w, i / panel_rows, groups, group)[lane];
        if (w->minima) weight += group_minima(w, i / panel_rows, groups, group)[lane];
        sum = fmaf(x[r * x_stride + j], weight, sum);
      }
      out[r * out_stride + i] = sum;
    }
  }
}

INLINE float plain_dense_element(const halftone_dense_matrix *w, size_t at) {
  if (w->type == halftone_dense_f32) return ((const float *)w->elements)[at];
  halves half = 0;
  half[0] = ((const uint16_t *)w->elements)[at];
  if (w->type == halftone_dense_f16) return widened(half)[0];
  return __builtin_bit_cast(lanes, __builtin_convertvector(half, words) << 16)[0];
}

static void KERNEL(dense_product)(const float *x, size_t x_stride, size_t x_rows,
                                  const halftone_dense_matrix *w, size_t first, size_t count,
                                  float *out, size_t out_stride) {
  size_t end = smaller_size((first + count) * panel_rows, w->rows);
  for (size_t i = first * panel_rows; i < end; ++i) {
    size_t at = i / panel_rows * w->columns * panel_rows + i % panel_rows;
    for (size_t r = 0; r < x_rows; ++r) {
      float sum = 0;
      for (size_t j = 0; j < w->columns; ++j)
        sum = fmaf(x[r * x_stride + j], plain_dense_element(w, at + j * panel_rows), sum);
      out[r * out_stride + i] = sum;
    }
  }
}
