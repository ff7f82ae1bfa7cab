// SPDX-License-Identifier: MIT
// The part of a product that a few columns of float inputs give, added to the rest.

// One column of sixteen rows as floats.
INLINE lanes weight_column(const halftone_matrix *w, size_t panel, size_t groups, size_t column,
                           bytes64 table, const code_kind kind) {
  const uint8_t *block =
      w->codes + panel * panel_bytes(w) + column / block_columns * step_bytes * (size_t)kind.bits;
  size_t group = group_at(w->group, w->columns, column).index;
  bytes64 steps[block_steps];
  decode_block(block, kind, table, steps);
  ints four = __builtin_bit_cast(ints, steps[column % block_columns / 4]);
  ints code = four >> (int)(column % 4 * 8) & 255;
  lanes weight = __builtin_convertvector(code - w->zero, lanes);
  weight *= group_scales(w, panel, groups, group);
  return w->minima ? weight + group_minima(w, panel, groups, group) : weight;
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
