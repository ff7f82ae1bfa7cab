// SPDX-License-Identifier: MIT
// Products with packed weight matrices, for running networks.
//
// A matrix W [rows, columns] is stored in panels of sixteen rows. Columns are padded to a multiple of
// 32 with codes that meet zero inputs, rows to a multiple of 16. One block covers sixteen rows and 32
// columns; its code of row r and column c belongs to step s = c / 4 (0..7) at byte p = 4*r + c % 4:
// the order in which a dot-product instruction wants four neighbouring inputs of sixteen outputs.
// Codes are unsigned and split into planes of bits, each a run of 64-byte vectors:
//
//   8 bits          vector s holds step s                                   (8 vectors)
//   4-bit plane     vector v holds steps 2v (low nibble) and 2v + 1         (4 vectors)
//   2-bit plane     vector v holds steps 4v + t at bits 2t and 2t + 1       (2 vectors)
//   1-bit plane     holds step s at bit s                                   (1 vector)
//
// 3 bits are a 2-bit plane and then a 1-bit plane (worth 4); 5 bits a 4-bit and a 1-bit plane (worth
// 16); 6 bits a 4-bit and a 2-bit plane (worth 16). A block is 64 * bits bytes; a panel is
// ceil(columns / 32) blocks, a matrix ceil(rows / 16) panels.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef enum {
  halftone_scale_f32,  // one float
  halftone_scale_f16,  // one half
  halftone_scale_i8,   // an int8 times the f16 super-scale of its 256 columns
} halftone_scale_type;

// W[i][j] = scale(i, j) * (value(code) - zero) + minimum(i, j), value(code) = table[code] or code.
typedef struct {
  size_t rows, columns;
  int bits;                       // 2, 3, 4, 5, 6 or 8
  int zero;                       // what is subtracted from every value, 0...255
  const uint8_t *table;           // what 4-bit codes stand for, 16 bytes; NULL: themselves
  size_t group;                   // columns per scale: 16, 32 or a multiple of 32; one scale a row
                                  // where it is >= columns
  halftone_scale_type scale_type;
  const void *scales;             // [panels][groups][16], groups = ceil(columns / group)
  const void *minima;             // the same type and shape (uint8 for _i8), or NULL: all 0
  const uint16_t *super_scales;   // _i8 only: [panels][ceil(columns / 256)][16] f16
  const uint16_t *super_minima;   // _i8 with minima: the same shape; minimum = super * uint8
  const float *row_sums;          // [rows padded]: sum over j of W[i][j]; needed for inputs with zeros
  const uint8_t *codes;           // [panels][blocks][64 * bits]
} halftone_matrix;

// Rows of float inputs as integers: x[r][j] ~ scales[r][j / group] * (codes[r][j] - zeros[r]).
typedef struct {
  size_t rows, columns;
  size_t stride;         // codes a row: columns padded to a multiple of 32; the padding is 0
  size_t group;          // columns per scale, a multiple of 32; >= columns for one a row
  const int8_t *codes;   // [rows][stride]
  const float *scales;   // [rows][ceil(columns / group)]
  const int32_t *sums;   // [rows][stride / 16]: sums of sixteen codes
  const float *zeros;    // [rows], only with one scale a row; NULL: all 0
} halftone_inputs;

// A dense matrix [rows, columns] in panels of sixteen rows: element (r, c) of a panel is at
// c * 16 + r, so panels are [ceil(rows / 16)][columns][16] elements.
typedef enum { halftone_dense_f32, halftone_dense_f16, halftone_dense_bf16 } halftone_dense_type;
typedef struct {
  size_t rows, columns;
  halftone_dense_type type;
  const void *elements;
} halftone_dense_matrix;

// Codes that stand for floats: W[i][j] = scale(i, j) * value(code), in the planes of bits above.
typedef enum {
  // value = levels[code]: 2^bits floats for 3, 4, 5, 6 or 8 bits
  halftone_levels_table,
  // 4 bits in pairs of columns 2k, 2k + 1: levels[code], but levels[16 + code] beside a column with code 8
  halftone_levels_pairs,
  // Minifloats of 5, 6 or 8 bits, sign first: the half that has the code's exponent and mantissa bits as
  // its lowest exponent and highest mantissa bits. That is ±2^(e - 15) * (1 + m / 2^M), or
  // ±2^-14 * m / 2^M where e = 0; 2^(15 - bias) belongs to the scales.
  halftone_levels_floats,
} halftone_level_kind;
typedef struct {
  size_t rows, columns;
  int bits;
  halftone_level_kind kind;
  int exponent_bits;              // of minifloats: 1...5, at most bits - 1
  const float *levels;            // of the other kinds
  size_t group;                   // columns per scale: 16 or a multiple of 32; one scale a row where
                                  // it is >= columns
  halftone_scale_type scale_type; // _f32 or _f16
  const void *scales;             // [panels][groups][16]
  const uint8_t *codes;           // [panels][blocks][64 * bits]
} halftone_level_matrix;

// Weights of two levels: a code of four bits and its group's factor and offset make a weight of eight
// bits, which has one scale a row. W[i][j] = row_scales[i] * (((factor * code + offset) mod 256) - 128).
// At most 65,536 columns, so that sums of 32 bits hold every product: see dual_product.
typedef struct {
  size_t rows, columns;
  size_t group;              // columns per factor: a multiple of 32; one a row where it is >= columns
  const uint8_t *factors;    // [panels][groups][16]
  const uint8_t *offsets;    // [panels][groups][16]
  const float *row_scales;   // [rows padded]
  const float *row_sums;     // [rows padded]: sum over j of W[i][j]; needed for inputs with zeros
  const uint8_t *codes;      // [panels][blocks][256]
} halftone_dual_matrix;

// Elements of rows of inputs that are kept as floats, in ascending order of columns.
typedef struct {
  size_t rows;
  size_t stride;            // from one row's elements to the next
  const uint32_t *counts;   // [rows]
  const uint32_t *columns;  // [rows][stride]
  const float *values;      // [rows][stride]
} halftone_outliers;

typedef struct {
  const char *name;  // "generic", "avx2", "avx512", "avx512vnni", "neon", "neondot"

  // One row of inputs: codes = round(x / scale), ties to even, padded with zeros to `stride`, and the
  // sums of each sixteen. Per group of `group` columns (>= n for the whole row):
  // scale = max|x| / 127 (1 where that is 0), codes in [-127, 127].
  void (*quantize_inputs)(const float *x, size_t n, size_t group, int8_t *codes, size_t stride,
                          float *scales, int32_t *sums);
  // sums[i] = codes[16 i] + ... + codes[16 i + 15] for i < stride / 16.
  void (*sum_codes)(const int8_t *codes, size_t stride, int32_t *sums);

  // out[r * out_stride + i] = sum over j of x[r][j] * W[i][j], for the rows i of panels
  // first...first + count - 1 (rows at or after W.rows are not written) and every row r of inputs.
  //
  // Columns are cut where a group of weights or of inputs ends and at multiples of 512. In each piece
  // codes are multiplied and summed as integers, d = sum (value - zero) * code, exactly. Every set then
  // makes the same floats: inner = fma(d, scale, inner) and, with minima, inner = fma(sum of codes,
  // minimum, inner), in ascending order of columns; where a group of inputs ends, total = fma(scale of
  // the inputs, inner, total) and inner = 0; at last, with zeros, total = fma(-(scale * zero), row sum,
  // total). A result does not depend on the other rows or on the range of panels.
  //
  // Up to four rows are streamed; more need about 330 KB of stack, and run best with panels in
  // multiples of eight.
  void (*product)(const halftone_inputs *x, const halftone_matrix *w, size_t first, size_t count,
                  float *out, size_t out_stride);
  // The same with float inputs x[r * x_stride + j]: weight = scale * (value - zero), plus the minimum,
  // each rounded to float; sum = fma(x, weight, sum) in ascending order of columns, on every set.
  void (*float_product)(const float *x, size_t x_stride, size_t x_rows, const halftone_matrix *w,
                        size_t first, size_t count, float *out, size_t out_stride);
  void (*dense_product)(const float *x, size_t x_stride, size_t x_rows,
                        const halftone_dense_matrix *w, size_t first, size_t count, float *out,
                        size_t out_stride);
  // With float inputs and codes that stand for floats. Per group inner = fma(x, value(code), inner) from 0 on
  // in ascending order of columns, then total = fma(scale, inner, total), on every set.
  void (*level_product)(const float *x, size_t x_stride, size_t x_rows,
                        const halftone_level_matrix *w, size_t first, size_t count, float *out,
                        size_t out_stride);

  // With inputs of one scale a row: dot = sum over j of weight * code as whole numbers, out =
  // (float)dot * row scale * scale of the inputs, and with zeros fma(-(scale * zero), row sum, out).
  //
  // No sum overflows. Weights are w in -127...127 (-128 at most), codes c in -128...127. Where instructions
  // take unsigned weights, w + 128 is summed and 128 times the sum of the codes is subtracted before: at any
  // time one chain holds sum of w * c over the columns done less 128 * sum of c over the others, at most
  // 2^14 a column; with two chains the one that starts from the subtraction is at most 2^14 + 255 * 128 / 2
  // = 32,704 a column. 65,536 times that is 2,143,289,344 < 2^31.
  void (*dual_product)(const halftone_inputs *x, const halftone_dual_matrix *w, size_t first,
                       size_t count, float *out, size_t out_stride);

  // out[r * out_stride + i] += sum over the outliers of row r of value * W[i][column], as a chain of
  // fused additions to what is there; weights are rounded as in float_product.
  void (*outlier_product)(const halftone_outliers *x, const halftone_matrix *w, size_t first,
                          size_t count, float *out, size_t out_stride);
} halftone_products;

// The fastest set that this CPU runs; never NULL.
const halftone_products *halftone_products_best(void);
// The set of that name, or NULL if this CPU or build lacks it.
const halftone_products *halftone_products_named(const char *name);

// Writes one panel's codes from sixteen rows of unsigned codes [16][stride], stride a multiple of 32:
// stride / 32 blocks of 64 * bits bytes.
void halftone_pack_panel(const uint8_t *codes, size_t stride, int bits, uint8_t *out);
// The inverse.
void halftone_unpack_panel(const uint8_t *packed, size_t stride, int bits, uint8_t *codes);
