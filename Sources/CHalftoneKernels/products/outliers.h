// SPDX-License-Identifier: MIT
// The part of a product that a few columns of float inputs give, added to the rest.

// The bits of step `s` in a plane of `width` bits.
INLINE bytes64 plane_step(const uint8_t *plane, const int width, size_t s) {
  const size_t bit = s * (size_t)width;
  words64 wide = __builtin_bit_cast(words64, load64(plane + bit / 8 * step_bytes));
  wide >>= (uint16_t)(bit % 8);
  return __builtin_bit_cast(bytes64, wide) & (bytes64)(uint8_t)((1 << width) - 1);
}

// One column of sixteen rows as floats.
INLINE lanes weight_column(const halftone_matrix *w, size_t panel, size_t groups, size_t column,
                           bytes64 table, const code_kind kind) {
  const int high = high_bits(kind.bits), low = kind.bits - high;
  const size_t s = column % block_columns / 4;
  const uint8_t *block =
      w->codes + panel * panel_bytes(w) + column / block_columns * step_bytes * (size_t)kind.bits;
  bytes64 step = plane_step(block, low, s);
  if (high) {
    bytes64 above = plane_step(block + (size_t)low * step_bytes, high, s);
    step |= __builtin_bit_cast(bytes64, __builtin_bit_cast(words64, above) << (uint16_t)low);
  }
  if (kind.table) step = looked_up(step, table);
  ints code = __builtin_bit_cast(ints, step) >> (int)(column % 4 * 8) & 255;
  lanes weight = __builtin_convertvector(code - w->zero, lanes);
  weight *= group_scales(w, panel, groups, group_at(w->group, w->columns, column).index);
  if (!w->minima) return weight;
  return weight + group_minima(w, panel, groups, group_at(w->group, w->columns, column).index);
}

static void KERNEL(outlier_product)(const halftone_outliers *x, const halftone_matrix *w,
                                    size_t first, size_t count, float *out, size_t out_stride) {
  const size_t groups = group_count(w->group, w->columns);
  const bytes64 table = wide_table(w);
  for (size_t r = 0; r < x->rows; ++r) {
    const uint32_t *columns = x->columns + r * x->stride;
    const float *values = x->values + r * x->stride;
    for (size_t panel = first; panel < first + count && x->counts[r]; ++panel) {
      const size_t i = panel * panel_rows, rows = smaller_size(w->rows - i, panel_rows);
      lanes sum = load(out + r * out_stride + i, rows);
      FOR_KIND(w, for (size_t k = 0; k < x->counts[r]; ++k) {
        sum = fused(splat(values[k]), weight_column(w, panel, groups, columns[k], table, kind), sum);
      });
      store(sum, out + r * out_stride + i, rows);
    }
  }
}
