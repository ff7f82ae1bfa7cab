// SPDX-License-Identifier: MIT
// Products of float inputs with codes that stand for floats.
//
// Codes lie as in other packed matrices, so that a step's vector has a row in each 32-bit lane and four
// neighbouring columns in its bytes. Floats come out of a step sixteen rows at a time: small tables
// are permuted by the codes, minifloats are moved to the bits of halves, which are then widened.

// What codes are, constant where the functions that take it are inlined.
typedef struct {
  int bits;
  int way;
} level_code;

// The bits of a code that have a plane of their own.
INLINE int high_bits(const int bits) { return bits == 3 || bits == 5 ? 1 : bits == 6 ? 2 : 0; }

enum { way_sixteen, way_thirty_two, way_pairs, way_floats, way_memory };

// The same for all panels.
typedef struct {
  const halftone_level_matrix *w;
  lanes table[2];
  int16_t shift, mask;  // of minifloats: from the top of 16 bits to the half, and its bits
  size_t groups;
} level_task;

// Half a block, four steps: where its planes begin, and how far the plane of one bit is moved.
typedef struct {
  const uint8_t *low, *high;
  uint16_t moved;
} level_half;

INLINE level_half half_of(const uint8_t *block, const int bits, size_t half) {
  const int high = high_bits(bits), low = bits - high;
  const uint8_t *above = block + (size_t)low * step_bytes;
  return (level_half){block + half * (size_t)low * step_bytes / 2,
                      above + (high == 2 ? half * step_bytes : 0), (uint16_t)(4 * half)};
}

// Step `s`, 0...3, of half a block as bytes.
INLINE bytes64 level_step(const level_half h, const int bits, const size_t s) {
  const int high = high_bits(bits), low = bits - high;
  const size_t bit = s * (size_t)low;
  bytes64 step = load64(h.low + bit / 8 * step_bytes);
  if (low < 8) step = field(step, (int)(bit % 8), 0, (uint8_t)((1 << low) - 1));
  if (!high) return step;
  bytes64 part = load64(h.high);
  if (high == 1) {
    words64 wide = __builtin_bit_cast(words64, part) >> h.moved;
    part = __builtin_bit_cast(bytes64, wide);
  }
  const uint8_t mask = (uint8_t)(((1 << high) - 1) << low);
  return step | field(part, (int)s * high, low, mask);
}

// Codes of pairs, with 16 added to that which stands beside the mark of a victim.
INLINE bytes64 marked(bytes64 step) {
  words64 wide = __builtin_bit_cast(words64, step);
  bytes64 other = __builtin_bit_cast(bytes64, wide >> 8 | wide << 8);
  return step | (__builtin_bit_cast(bytes64, other == 8) & 16);
}

typedef uint16_t shorts32 __attribute__((ext_vector_type(32)));
typedef int16_t signed32 __attribute__((ext_vector_type(32)));

// Codes at the top of sixteen bits each become the bits of halves.
INLINE shorts32 half_bits(shorts32 top, const level_task *t) {
  signed32 moved = __builtin_bit_cast(signed32, top) >> t->shift;
  return __builtin_bit_cast(shorts32, moved & t->mask);
}

// Even and odd halves, sixteen of each.
INLINE void widen_both(shorts32 a, lanes *even, lanes *odd) {
  shorts32 apart = __builtin_shufflevector(a, a, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
                                           28, 30, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25,
                                           27, 29, 31);
  *even = widened(apart.lo);
  *odd = widened(apart.hi);
}

// The four columns of step `s` of half a block.
INLINE void decode_levels(const level_task *t, const level_half half, const level_code code,
                          const size_t s, lanes out[4]) {
  if (code.way == way_sixteen && code.bits == 4) {
    // The permutation looks at four bits only, so that codes need not be cut out.
    ints pairs = __builtin_bit_cast(ints, load64(half.low + s / 2 * step_bytes));
    EACH(c, 4) out[c] = permuted(pairs >> (int)(8 * c + s % 2 * 4), t->table[0]);
    return;
  }
  bytes64 step = level_step(half, code.bits, s);
  if (code.way == way_floats) {
    words64 both = __builtin_bit_cast(words64, step);
    shorts32 even = half_bits(both << (16 - code.bits), t);
    shorts32 odd = half_bits(both << (8 - code.bits), t);
    widen_both(even, &out[0], &out[2]);
    widen_both(odd, &out[1], &out[3]);
    return;
  }
  if (code.way == way_pairs) step = marked(step);
  ints four = __builtin_bit_cast(ints, step);
  EACH(c, 4) {
    ints index = four >> (int)(8 * c);
    if (code.way == way_sixteen) out[c] = permuted(index, t->table[0]);
    else if (code.way == way_memory) out[c] = gathered(index & 255, t->w->levels);
    else out[c] = permuted_twice(index, t->table[0], t->table[1]);
  }
}

INLINE level_task task_of_levels(const halftone_level_matrix *w) {
  level_task t = {.w = w, .groups = group_count(w->group, w->columns)};
  if (w->kind == halftone_levels_floats) {
    int size = w->bits - 1, mantissa = size - w->exponent_bits;
    t.shift = (int16_t)(5 - w->exponent_bits);
    t.mask = (int16_t)(0x8000 | ((1 << size) - 1) << (10 - mantissa));
  } else if (w->bits <= 5) {
    size_t count = w->kind == halftone_levels_pairs ? 32 : (size_t)1 << w->bits;
    float table[32] = {0};
    memcpy(table, w->levels, count * sizeof *table);
    t.table[0] = load(table, 16);
    t.table[1] = load(table + 16, 16);
  }
  return t;
}

INLINE lanes level_scales(const level_task *t, size_t panel, size_t group) {
  size_t at = (panel * t->groups + group) * panel_rows;
  if (t->w->scale_type == halftone_scale_f32) return load((const float *)t->w->scales + at, 16);
  return widened(load_halves((const uint16_t *)t->w->scales + at, 16));
}

INLINE size_t level_panel_bytes(const halftone_level_matrix *w) {
  return (w->columns + block_columns - 1) / block_columns * step_bytes * (size_t)w->bits;
}

// Runs the statement with a constant `code`.
#define FOR_WAY(bits_, way_, ...)              \
  do {                                         \
    const level_code code = {bits_, way_};     \
    __VA_ARGS__                                \
  } while (0)
#define FOR_LEVELS(w, ...)                                                                  \
  do {                                                                                      \
    if ((w)->kind == halftone_levels_pairs) FOR_WAY(4, way_pairs, __VA_ARGS__);             \
    else if ((w)->kind == halftone_levels_floats) {                                         \
      if ((w)->bits == 8) FOR_WAY(8, way_floats, __VA_ARGS__);                              \
      else if ((w)->bits == 6) FOR_WAY(6, way_floats, __VA_ARGS__);                         \
      else FOR_WAY(5, way_floats, __VA_ARGS__);                                             \
    } else if ((w)->bits == 4) FOR_WAY(4, way_sixteen, __VA_ARGS__);                        \
    else if ((w)->bits == 3) FOR_WAY(3, way_sixteen, __VA_ARGS__);                          \
    else if ((w)->bits == 5) FOR_WAY(5, way_thirty_two, __VA_ARGS__);                       \
    else if ((w)->bits == 6) FOR_WAY(6, way_memory, __VA_ARGS__);                           \
    else FOR_WAY(8, way_memory, __VA_ARGS__);                                               \
  } while (0)

// One row of inputs over some panels at once, so that their chains of additions overlap.
typedef struct {
  size_t panel;
  const uint8_t *codes[float_panels];
  lanes inner[float_panels], total[float_panels];
} level_row;

// Where a group ends, its sum is scaled.
INLINE void close_group(const level_task *t, size_t group, const size_t panels, level_row *row) {
  EACH(p, panels) {
    row->total[p] = fused(level_scales(t, row->panel + p, group), row->inner[p], row->total[p]);
    row->inner[p] = splat(0);
  }
}

// Half of a block, four whole steps.
INLINE void add_half(const level_task *t, const level_code code, const float *x, size_t half,
                     const size_t panels, level_row *row) {
  level_half halves_of[float_panels];
  EACH(p, panels) halves_of[p] = half_of(row->codes[p], code.bits, half);
  EACH(s, 4)
    EACH(p, panels) {
      lanes weights[4];
      decode_levels(t, halves_of[p], code, s, weights);
      EACH(c, 4) row->inner[p] = fused(splat(x[4 * s + c]), weights[c], row->inner[p]);
    }
}

INLINE void level_row_panels(const level_task *t, const level_code code, const float *x,
                             const size_t panels, level_row *row) {
  const halftone_level_matrix *w = t->w;
  const size_t group = w->group >= w->columns ? w->columns : w->group;
  const size_t block_bytes = step_bytes * (size_t)code.bits;
  size_t column = 0, g = 0, end = group;
  while (column < w->columns) {
    float rest[block_columns];
    const float *from = x + column;
    if (w->columns - column < block_columns) {
      // Padding meets zeros.
      memset(rest, 0, sizeof rest);
      memcpy(rest, from, (w->columns - column) * sizeof *rest);
      from = rest;
    }
    EACH(p, panels)
      EACH(i, (size_t)code.bits)
        __builtin_prefetch(row->codes[p] + prefetch_distance / 2 + i * step_bytes);
    for (size_t half = 0; half < 2; ++half) {
      add_half(t, code, from + half * unit_columns, half, panels, row);
      column += unit_columns;
      if (column >= end && g < t->groups) {
        close_group(t, g++, panels, row);
        end = smaller_size(end + group, w->columns);
      }
    }
    EACH(p, panels) row->codes[p] += block_bytes;
  }
}

INLINE void level_row_product(const level_task *t, const level_code code, const float *x,
                              size_t panel, const size_t panels, float *out) {
  level_row row = {.panel = panel};
  EACH(p, panels) {
    row.codes[p] = t->w->codes + (panel + p) * level_panel_bytes(t->w);
    row.inner[p] = row.total[p] = splat(0);
  }
  level_row_panels(t, code, x, panels, &row);
  EACH(p, panels) {
    size_t i = (panel + p) * panel_rows;
    store(row.total[p], out + i, smaller_size(t->w->rows - i, panel_rows));
  }
}

static void KERNEL(level_one_row)(const level_task *t, const float *x, size_t first, size_t count,
                                  float *out) {
  FOR_LEVELS(t->w, {
    size_t p = 0;
    for (; p + LEVEL_PANELS <= count; p += LEVEL_PANELS)
      level_row_product(t, code, x, first + p, LEVEL_PANELS, out);
    for (; p < count; ++p) level_row_product(t, code, x, first + p, 1, out);
  });
}

// --- Many rows: some columns of up to four panels become floats in the cache ------------------------

typedef struct {
  lanes weights[float_columns][float_panels];
  lanes scales[float_columns / unit_columns][float_panels];
  lanes inner[float_chunk][float_panels];
  lanes total[float_chunk][float_panels];
} level_scratch;

static void fill_levels(const level_task *t, size_t panel, size_t start, size_t columns,
                        lanes (*out)[float_panels]) {
  const size_t bytes_of_block = step_bytes * (size_t)t->w->bits;
  const uint8_t *codes =
      t->w->codes + panel * level_panel_bytes(t->w) + start / block_columns * bytes_of_block;
  for (size_t j = 0; j < columns; j += block_columns, codes += bytes_of_block)
    FOR_LEVELS(t->w, for (size_t half = 0; half < 2; ++half) EACH(s, 4) {
      lanes weights[4];
      decode_levels(t, half_of(codes, code.bits, half), code, s, weights);
      EACH(c, 4) out[j + half * unit_columns + 4 * s + c][0] = weights[c];
    });
}

// A run of columns of one group, for some rows.
typedef struct {
  size_t first, columns;
  int opens, closes;  // whether the group begins and ends with it
  const lanes *scales;
} level_run;

INLINE void level_tile(level_scratch *s, const level_run *run, size_t row, size_t panel,
                       const float *x, size_t stride, const size_t rows, const size_t panels) {
  lanes sums[FLOAT_ROWS][float_panels];
  EACH(r, rows)
    EACH(p, panels) sums[r][p] = run->opens ? splat(0) : s->inner[row + r][panel + p];
  for (size_t j = run->first; j < run->first + run->columns; ++j)
    EACH(r, rows)
      EACH(p, panels)
        sums[r][p] = fused(splat(x[r * stride + j]), s->weights[j][panel + p], sums[r][p]);
  EACH(r, rows)
    EACH(p, panels) {
      if (run->closes)
        s->total[row + r][panel + p] =
            fused(run->scales[panel + p], sums[r][p], s->total[row + r][panel + p]);
      else s->inner[row + r][panel + p] = sums[r][p];
    }
}

INLINE void level_tiles(level_scratch *s, const level_run *run, size_t row, const float *x,
                        size_t stride, size_t panels, const size_t rows, const size_t wide) {
  size_t p = 0;
  for (; p + wide <= panels; p += wide) level_tile(s, run, row, p, x, stride, rows, wide);
  for (; p < panels; ++p) level_tile(s, run, row, p, x, stride, rows, 1);
}

static void KERNEL(level_chunk)(const level_task *t, const float *x, size_t stride, size_t rows,
                                size_t panel, size_t panels, float *out, size_t out_stride) {
  const halftone_level_matrix *w = t->w;
  level_scratch s;
  memset(s.total, 0, rows * sizeof s.total[0]);
  for (size_t start = 0; start < w->columns; start += float_columns) {
    const size_t columns = smaller_size(w->columns - start, float_columns);
    for (size_t p = 0; p < panels; ++p)
      fill_levels(t, panel + p, start, columns, (lanes(*)[float_panels]) & s.weights[0][p]);
    for (size_t j = 0; j < columns;) {
      column_group group = group_at(w->group, w->columns, start + j);
      size_t end = smaller_size(group.end - start, columns), r = 0;
      level_run run = {j, end - j, 0, group.end == start + end, s.scales[j / unit_columns]};
      run.opens = start + j == (w->group >= w->columns ? 0 : group.index * w->group);
      for (size_t p = 0; p < panels && run.closes; ++p)
        s.scales[j / unit_columns][p] = level_scales(t, panel + p, group.index);
      for (; r + FLOAT_ROWS <= rows; r += FLOAT_ROWS)
        level_tiles(&s, &run, r, x + r * stride + start, stride, panels, FLOAT_ROWS, FLOAT_WIDE);
      for (; r + 2 <= rows; r += 2)
        level_tiles(&s, &run, r, x + r * stride + start, stride, panels, 2, LEVEL_PANELS);
      for (; r < rows; ++r)
        level_tiles(&s, &run, r, x + r * stride + start, stride, panels, 1, float_panels);
      j = end;
    }
  }
  for (size_t r = 0; r < rows; ++r)
    for (size_t p = 0; p < panels; ++p) {
      size_t i = (panel + p) * panel_rows;
      store(s.total[r][p], out + r * out_stride + i, smaller_size(w->rows - i, panel_rows));
    }
}

static void KERNEL(level_product)(const float *x, size_t x_stride, size_t x_rows,
                                  const halftone_level_matrix *w, size_t first, size_t count,
                                  float *out, size_t out_stride) {
  const level_task t = task_of_levels(w);
  if (x_rows == 1) return KERNEL(level_one_row)(&t, x, first, count, out);
  for (size_t r = 0; r < x_rows; r += float_chunk)
    for (size_t p = 0; p < count; p += float_panels)
      KERNEL(level_chunk)(&t, x + r * x_stride, x_stride, smaller_size(x_rows - r, float_chunk),
                          first + p, smaller_size(count - p, float_panels), out + r * out_stride,
                          out_stride);
}
