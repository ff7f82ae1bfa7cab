// SPDX-License-Identifier: MIT
// Array arithmetic, once in portable C, compiled once per instruction set and chosen at run time.
//
// Rules for every kernel. All arrays hold `n` elements unless said otherwise; they may be unaligned;
// outputs do not overlap inputs unless "in place" is said, except that element-wise kernels accept
// `out == a`. Nothing is allocated. Every set gives the same bits as the generic one: sums run in
// sixteen lanes that are added in a fixed order, and products are never fused with sums.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "HalftoneAttention.h"
#include "HalftoneBlocks.h"
#include "HalftoneProducts.h"

// Codes of sign, exponent and mantissa, which arithmetic finds without a search. The code of a magnitude
// from 2^(1-bias) on is its float bits, less `offset`, rounded to so many mantissa bits; below, it is the
// magnitude in units of 2^(1-bias-mantissa).
typedef struct {
  int shift;        // 23 - mantissa bits; 0 where the values are no such floats
  uint32_t offset;  // the float bits that belong to an exponent field of 0: (127 - bias) << 23
  uint32_t most;    // the code of the largest value
  uint32_t sign;    // the bit of negative numbers
  float normal;     // 2^(1-bias)
  float magic;      // 2^(1-bias-mantissa+23): a float whose unit is the smallest subnormal
} halftone_float_codes;

// The values of a format that are not one apart, in tables that a search halves `depth` times.
typedef struct {
  int depth;
  // Rising, 2^depth of them; after the last one it is repeated. These three tables have room for 16.
  const float *values;
  // bounds[i], 0 < i < 2^depth, is the least float nearer to values[i] than to values[i - 1], a tie
  // included where it goes up; infinite after the last value.
  const float *bounds;
  const float *codes;    // the code of each value, 0...255
  const float *decoded;  // the value of each of 256 codes
  float least, most;     // beyond these a number counts as clamped: half a step outside the range
  halftone_float_codes floats;  // gives the same codes and values as the tables
} halftone_levels;

// A grid. Uniform where levels is NULL: value = (code - zero) * scale, code an integer in [low, high].
// Else value = level * scale, zero is 0, and low and high are the outer levels.
typedef struct {
  float scale, zero, low, high;
  const halftone_levels *levels;
} halftone_grid;

typedef struct {
  const char *name;  // "generic", "avx2", "avx512", "neon"

  // --- conversion ---------------------------------------------------------------------------------
  void (*f16_to_f32)(const uint16_t *a, float *out, size_t n);
  void (*bf16_to_f32)(const uint16_t *a, float *out, size_t n);
  void (*f32_to_f16)(const float *a, uint16_t *out, size_t n);   // ties to even, overflow to infinity
  void (*f32_to_bf16)(const float *a, uint16_t *out, size_t n);  // ties to even, NaN stays NaN
  void (*i8_to_f32)(const int8_t *a, float *out, size_t n);

  // --- element by element -------------------------------------------------------------------------
  void (*add)(const float *a, const float *b, float *out, size_t n);
  void (*subtract)(const float *a, const float *b, float *out, size_t n);
  void (*multiply)(const float *a, const float *b, float *out, size_t n);
  void (*scale)(const float *a, float alpha, float *out, size_t n);       // alpha * a
  void (*axpy)(const float *x, float alpha, float *y, size_t n);          // y += alpha * x
  void (*clamp)(const float *a, float low, float high, float *out, size_t n);  // NaN becomes low
  void (*exp)(const float *a, float *out, size_t n);      // within 2 ulp; 0 below -104, inf above 89
  void (*log)(const float *a, float *out, size_t n);      // within 2 ulp for normal positive a
  void (*sigmoid)(const float *a, float *out, size_t n);  // 1 / (1 + exp(-a))
  void (*round)(const float *a, float *out, size_t n);    // ties to even

  // --- reductions ---------------------------------------------------------------------------------
  float (*sum)(const float *a, size_t n);
  float (*dot)(const float *a, const float *b, size_t n);
  float (*squared_distance)(const float *a, const float *b, size_t n);  // sum (a - b)^2
  // The smallest and largest element; NaN if any element is NaN; (inf, -inf) for n = 0.
  void (*extrema)(const float *a, size_t n, float *minimum, float *maximum);

  // --- rows of a transformer ----------------------------------------------------------------------
  // r = 1 / sqrt(mean(x^2) + epsilon); out = x * r * w. Returns r.
  float (*rms_norm)(const float *x, const float *w, float epsilon, float *out, size_t n);
  // dx = r*w*dy - x * r^3/n * sum(w*dy*x);  dw += dy*x*r unless dw is NULL.
  void (*rms_norm_pullback)(const float *x, const float *w, const float *dy, float r, float *dx,
                            float *dw, size_t n);
  // In place: x = exp(alpha*(x - max)) / sum. alpha > 0. Returns log(sum) + alpha*max.
  float (*softmax)(float *x, float alpha, size_t n);
  // ds = alpha * p * (dp - sum(p*dp)); ds may be dp.
  void (*softmax_pullback)(const float *p, const float *dp, float alpha, float *ds, size_t n);
  // out = gate * sigmoid(gate) * up
  void (*silu_multiply)(const float *gate, const float *up, float *out, size_t n);
  void (*silu_multiply_pullback)(const float *gate, const float *up, const float *dy, float *dgate,
                                 float *dup, size_t n);
  // Rotary embedding, halves paired: for i < half
  //   out[i] = x[i]*c[i] - x[half+i]*s[i];  out[half+i] = x[half+i]*c[i] + x[i]*s[i]. In place is fine.
  void (*rotate)(const float *x, const float *cosine, const float *sine, float *out, size_t half);

  // --- Small matrices -------------------------------------------------------------------------------
  // c[i*c_row + j] = sum over l < inner of a[i*a_row + l*a_column] * b[l*b_row + j], l ascending, for
  // i < m and j < n; added to c if `accumulate`. For operands that fit the cache.
  void (*small_product)(const float *a, size_t a_row, size_t a_column, const float *b, size_t b_row,
                        float *c, size_t c_row, size_t m, size_t n, size_t inner, int accumulate);

  // --- Adam ---------------------------------------------------------------------------------------
  // m = b1*m + (1-b1)*g;  v = b2*v + (1-b2)*g*g;  x -= rate * (m/c1) / (sqrt(v/c2) + epsilon)
  void (*adam)(float *x, const float *g, float *m, float *v, float rate, float b1, float b2, float c1,
               float c2, float epsilon, size_t n);

  // --- grids; rounding is to nearest, ties to even ---------------------------------------------------
  // Uniform ones: code = clamp(round(x / scale) + zero, low, high); low >= -128 and high <= 127. With
  // levels, here and below, the nearest level stands for the clamped code less zero, and the reach of
  // the levels for [low, high].
  void (*quantize)(const float *x, halftone_grid grid, int8_t *codes, size_t n);
  void (*dequantize)(const int8_t *codes, halftone_grid grid, float *out, size_t n);
  void (*round_trip)(const float *x, halftone_grid grid, float *out, size_t n);  // both of the above
  // sum |x - round_trip(x)|^power, power > 0
  float (*round_trip_error)(const float *x, halftone_grid grid, float power, size_t n);
  // The same where it is <= limit, else any number above limit, mostly found sooner; n <= 2^16.
  float (*round_trip_error_within)(const float *x, halftone_grid grid, float power, float limit,
                                   size_t n);
  // Straight-through: dx = dy where the code before clamping is in [low, high], else 0. Returns
  // d(scale) = sum dy * (inside ? round(x/scale) - x/scale : clamped code - zero)   (LSQ).
  float (*round_trip_pullback)(const float *x, halftone_grid grid, const float *dy, float *dx,
                               size_t n);

  // --- FlexRound on one row: S = scale * exp(v2 + v3 + v4), C = clamp(round(w / S), low-zero,
  // high-zero), out = scale * C; v4 may be NULL (zeros) -----------------------------------------------
  void (*flexround)(const float *w, const float *v2, float v3, const float *v4, halftone_grid grid,
                    float *out, size_t n);
  // With N = w/S and M = 1 where round(N) is in [low-zero, high-zero], else 0:
  //   dv2 = -scale*N*M*G;  *dv3 = sum(dv2);  *dl1 = sum(scale*C*G + dv2)
  void (*flexround_pullback)(const float *w, const float *v2, float v3, const float *v4,
                             halftone_grid grid, const float *g, float *dv2, float *dv3, float *dl1,
                             size_t n);

  // --- AdaRound on one row: h = clamp(1.2*sigmoid(v) - 0.1, 0, 1), or with `hard` 1 where v >= 0
  // and 0 elsewhere; out = scale * C, C = clamp(floor(w/scale) + h + zero, low, high) - zero ----------
  void (*adaround)(const float *w, const float *v, halftone_grid grid, int hard, float *out,
                   size_t n);
  // dv = (G*scale*U - lambda*beta*|2h-1|^(beta-1)*2*sign(2h-1)) * H * 1.2*sigmoid(v)*(1-sigmoid(v)),
  // h the soft one throughout; U = 1 where floor(w/scale)+h+zero is in [low, high], H = 1 where
  // 0 < h < 1. *dl1 = sum((scale*C - U*w)*G), the slope in ln(scale) with floor straight through; C
  // and U take the hard h where asked for. With lambda = 0 the second term of dv is not computed.
  // Returns the regulariser's sum 1 - |2h-1|^beta (0 if lambda = 0). With levels, the last one <= w/scale
  // stands for the floor and the distance to the next for its step of 1.
  float (*adaround_pullback)(const float *w, const float *v, halftone_grid grid, int hard,
                             const float *g, float lambda, float beta, float *dv, float *dl1,
                             size_t n);
  // The v at which h = f = w/scale - floor(w/scale): out = -ln(1.2 / (f + 0.1) - 1).
  void (*adaround_start)(const float *w, halftone_grid grid, float *out, size_t n);

  // --- dense bit streams, least significant bit first ------------------------------------------------
  // Stores (uint)(code - low) in `bits` bits each (2...8); out holds ceil(n*bits/8) bytes, all written.
  void (*pack)(const int8_t *codes, int low, int bits, uint8_t *out, size_t n);
  void (*unpack)(const uint8_t *packed, int low, int bits, int8_t *codes, size_t n);
} halftone_kernels;

// The fastest set that this CPU runs; never NULL.
const halftone_kernels *halftone_kernels_best(void);
// The set of that name, or NULL if this CPU or build lacks it.
const halftone_kernels *halftone_kernels_named(const char *name);

// Calls body(context, i) once for every i in 0..<count, on up to `threads` threads, the caller's
// among them, and returns when all have returned. The threads start once and wait between calls
// (spinning for some microseconds, then asleep). Calls from inside a body, and calls while another
// thread's call is under way, run on the caller's thread alone.
void halftone_parallel(size_t count, int threads, void (*body)(void *context, size_t index),
                       void *context);
