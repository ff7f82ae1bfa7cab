// SPDX-License-Identifier: MIT
// The products of levels.h and dual.h, and of outliers, in plain loops.

// Code (row, column) of planes of `bits` bits at `codes`.
INLINE int plain_plane_code(const uint8_t *codes, int bits, size_t columns, size_t row,
                            size_t column) {
  const halftone_matrix planes = {.columns = columns, .bits = bits, .codes = codes};
  return plain_code(&planes, row, column);
}

// What minifloats stand for, by their definition.
INLINE float plain_float(int code, int bits, int exponent_bits) {
  int mantissa_bits = bits - 1 - exponent_bits, mantissa = code & ((1 << mantissa_bits) - 1);
  int exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1);
  float fraction = (float)mantissa / (float)(1 << mantissa_bits);
  float size = exponent ? ldexpf(1 + fraction, exponent - 15) : ldexpf(fraction, -14);
  return code >> (bits - 1) ? -size : size;
}

INLINE float plain_level(const halftone_level_matrix *w, size_t row, size_t column) {
  int code = plain_plane_code(w->codes, w->bits, w->columns, row, column);
  if (w->kind == halftone_levels_floats) return plain_float(code, w->bits, w->exponent_bits);
  if (w->kind == halftone_levels_pairs) {
    int other = plain_plane_code(w->codes, w->bits, w->columns, row, column ^ 1);
    return w->levels[other == 8 ? code | 16 : code];
  }
  return w->levels[code];
}

INLINE float plain_level_scale(const halftone_level_matrix *w, size_t row, size_t group) {
  size_t groups = group_count(w->group, w->columns);
  size_t at = (row / panel_rows * groups + group) * panel_rows + row % panel_rows;
  if (w->scale_type == halftone_scale_f32) return ((const float *)w->scales)[at];
  halves half = 0;
  half[0] = ((const uint16_t *)w->scales)[at];
  return widened(half)[0];
}

static void KERNEL(level_product)(const float *x, size_t x_stride, size_t x_rows,
                                  const halftone_level_matrix *w, size_t first, size_t count,
                                  float *out, size_t out_stride) {
  size_t end = smaller_size((first + count) * panel_rows, w->rows);
  for (size_t r = 0; r < x_rows; ++r)
    for (size_t i = first * panel_rows; i < end; ++i) {
      float total = 0;
      for (size_t j = 0; j < w->columns;) {
        column_group group = group_at(w->group, w->columns, j);
        float inner = 0;
        for (; j < group.end; ++j) inner = fmaf(x[r * x_stride + j], plain_level(w, i, j), inner);
        total = fmaf(plain_level_scale(w, i, group.index), inner, total);
      }
      out[r * out_stride + i] = total;
    }
}

// The weight of eight bits.
INLINE int32_t plain_dual_weight(const halftone_dual_matrix *w, size_t row, size_t column) {
  size_t groups = group_count(w->group, w->columns);
  size_t group = group_at(w->group, w->columns, column).index;
  size_t at = (row / panel_rows * groups + group) * panel_rows + row % panel_rows;
  int code = plain_plane_code(w->codes, 4, w->columns, row, column);
  return (uint8_t)(w->factors[at] * code + w->offsets[at]) - 128;
}

static void KERNEL(dual_product)(const halftone_inputs *x, const halftone_dual_matrix *w,
                                 size_t first, size_t count, float *out, size_t out_stride) {
  size_t end = smaller_size((first + count) * panel_rows, w->rows);
  for (size_t r = 0; r < x->rows; ++r)
    for (size_t i = first * panel_rows; i < end; ++i) {
      int32_t dot = 0;
      for (size_t j = 0; j < w->columns; ++j)
        dot += plain_dual_weight(w, i, j) * x->codes[r * x->stride + j];
      float total = (float)dot * w->row_scales[i] * x->scales[r];
      if (x->zeros) total = fmaf(-(x->scales[r] * x->zeros[r]), w->row_sums[i], total);
      out[r * out_stride + i] = total;
    }
}

static void KERNEL(outlier_product)(const halftone_outliers *x, const halftone_matrix *w,
                                    size_t first, size_t count, float *out, size_t out_stride) {
  size_t end = smaller_size((first + count) * panel_rows, w->rows);
  size_t groups = group_count(w->group, w->columns);
  for (size_t r = 0; r < x->rows; ++r)
    for (size_t i = first * panel_rows; i < end; ++i)
      for (size_t k = 0; k < x->counts[r]; ++k) {
        size_t j = x->columns[r * x->stride + k], lane = i % panel_rows;
        size_t group = group_at(w->group, w->columns, j).index;
        float weight = (float)plain_code(w, i, j);
        weight *= group_scales(w, i / panel_rows, groups, group)[lane];
        if (w->minima) weight += group_minima(w, i / panel_rows, groups, group)[lane];
        float *sum = out + r * out_stride + i;
        *sum = fmaf(x->values[r * x->stride + k], weight, *sum);
      }
}
