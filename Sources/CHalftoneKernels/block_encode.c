// SPDX-License-Identifier: MIT
// Floats to the block formats of GGUF files, by the rules that ggml's own quantizers follow, so
// that files are as good as theirs: the simple formats by their extremes, the others by a
// least-squares search over scales without weights from data.
#include <math.h>

#include "blocks.h"

// Groups with nothing above this are zeros.
static const float nothing = 1e-15f;

static int clamped(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

// To the nearest whole number, ties to even; exact up to 2^22, and far outside of any code beyond.
static int nearest(float value) {
  if (!(fabsf(value) < 4e6f)) return value > 0 ? 4000000 : -4000000;
  float shifted = value + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  return (bits & 0x7fffff) - 0x400000;
}

// The element of the largest size, the first of equal ones.
static float extreme(const float *x, int n) {
  float size = 0, result = 0;
  for (int i = 0; i < n; ++i)
    if (fabsf(x[i]) > size) {
      size = fabsf(x[i]);
      result = x[i];
    }
  return result;
}

// MARK: Formats with one or two halves for 32 or 256 elements

// Codes around `zero`: the extreme element gets the code of the largest distance from it.
static void encode_centered(const float *x, int zero, uint8_t *codes, uint16_t *scale) {
  float d = extreme(x, 32) / (float)-zero, inverse = d != 0 ? 1 / d : 0;
  for (int j = 0; j < 32; ++j)
    codes[j] = (uint8_t)clamped((int)(x[j] * inverse + ((float)zero + 0.5f)), 0, 2 * zero - 1);
  *scale = narrowed(d);
}

static void encode_affine(const float *x, int top, uint8_t *codes, uint16_t *scale,
                          uint16_t *minimum) {
  float low = x[0], high = x[0];
  for (int j = 1; j < 32; ++j) {
    if (x[j] < low) low = x[j];
    if (x[j] > high) high = x[j];
  }
  float d = (high - low) / (float)top, inverse = d != 0 ? 1 / d : 0;
  for (int j = 0; j < 32; ++j)
    codes[j] = (uint8_t)clamped((int)((x[j] - low) * inverse + 0.5f), 0, top);
  *scale = narrowed(d);
  *minimum = narrowed(low);
}

// Whole numbers of 1/127 or 1/1 of the extreme, ties away from zero.
static void encode_symmetric(const float *x, int n, int top, int zero, uint8_t *codes,
                             uint16_t *scale) {
  float d = fabsf(extreme(x, n)) / (float)top, inverse = d != 0 ? 1 / d : 0;
  for (int j = 0; j < n; ++j) codes[j] = (uint8_t)((int)roundf(x[j] * inverse) + zero);
  *scale = narrowed(d);
}

static void encode_powers(const float *x, const uint8_t *table, uint8_t *codes, float *scale) {
  float size = fabsf(extreme(x, 32));
  int e = size > 0 ? clamped((int)floorf(log2f(size)) + 125, 0, 254) : 0;
  *scale = power((uint8_t)e);
  for (int j = 0; j < 32; ++j) {
    float least = INFINITY;
    for (int code = 0; code < 16; ++code) {
      float error = fabsf((float)(table[code] - 12) * *scale - x[j]);
      if (error < least) {
        least = error;
        codes[j] = (uint8_t)code;
      }
    }
  }
}

// MARK: Searches

// The scale of codes -levels..<levels, and the codes plus levels, with the least squares weighted by x^2 among nineteen near
// the extreme's.
static float search_centered(const float *x, int n, int levels, uint8_t *codes) {
  float top = extreme(x, n), best = 0, scale = 0, chosen = (float)-levels / top;
  memset(codes, 0, (size_t)n);
  if (fabsf(top) < nothing) return 0;
  for (int step = 0; step < 20; ++step) {
    // 0 first, so that it wins among equals; then from -0.9 on.
    int shift = step == 0 ? 0 : step - 10;
    if (step > 0 && shift == 0) continue;
    float inverse = step == 0 ? (float)-levels / top : -((float)levels + 0.1f * (float)shift) / top;
    float products = 0, squares = 0;
    for (int i = 0; i < n; ++i) {
      float code = (float)clamped(nearest(inverse * x[i]), -levels, levels - 1), w = x[i] * x[i];
      products += w * x[i] * code;
      squares += w * code * code;
    }
    if (step == 0) {
      scale = squares != 0 ? products / squares : 0;
      best = scale * products;
    } else if (squares > 0 && products * products > best * squares) {
      scale = products / squares;
      best = scale * products;
      chosen = inverse;
    }
  }
  for (int i = 0; i < n; ++i)
    codes[i] = (uint8_t)(clamped(nearest(chosen * x[i]), -levels, levels - 1) + levels);
  return scale;
}

// The same with codes that are then moved one by one as long as that lowers the error.
static float search_descending(const float *x, int n, int levels, uint8_t *out) {
  float top = extreme(x, n), products = 0, squares = 0;
  int codes[16];
  memset(out, 0, (size_t)n);
  if (fabsf(top) < nothing) return 0;
  float inverse = (float)-levels / top;
  for (int i = 0; i < n; ++i) {
    codes[i] = clamped(nearest(inverse * x[i]), -levels, levels - 1);
    float w = x[i] * x[i], code = (float)codes[i];
    products += w * x[i] * code;
    squares += w * code * code;
  }
  for (int round = 0, changed = 1; round < 5 && changed; ++round) {
    changed = 0;
    for (int i = 0; i < n; ++i) {
      float w = x[i] * x[i], code = (float)codes[i];
      float others = products - w * x[i] * code;
      if (!(others > 0)) continue;
      float squared = squares - w * code * code;
      int moved = clamped(nearest(x[i] * squared / others), -levels, levels - 1);
      if (moved == codes[i]) continue;
      others += w * x[i] * (float)moved;
      squared += w * (float)moved * (float)moved;
      if (squared > 0 && others * others * squares > products * products * squared) {
        codes[i] = moved;
        products = others;
        squares = squared;
        changed = 1;
      }
    }
  }
  for (int i = 0; i < n; ++i) out[i] = (uint8_t)(codes[i] + levels);
  return squares > 0 ? products / squares : 0;
}

// A row of weighted elements and how their error counts.
typedef struct {
  const float *x, *weights;
  int n, top, is_absolute;
} affine_group;

static float affine_error(affine_group g, const uint8_t *codes, float scale, float low) {
  float error = 0;
  for (int i = 0; i < g.n; ++i) {
    float difference = scale * (float)codes[i] + low - g.x[i];
    error += g.weights[i] * (g.is_absolute ? fabsf(difference) : difference * difference);
  }
  return error;
}

// Scale and -minimum (from 0 on) of codes 0...top: the best of the line through codes made with the
// inverse scales (top + first + 0.1 k) / range, k = 0...steps, and of the range itself.
static float search_affine(affine_group g, float first, int steps, uint8_t *codes,
                           float *minus_minimum) {
  float low = g.x[0], high = g.x[0], sum_w = g.weights[0], sum_x = g.weights[0] * g.x[0];
  for (int i = 1; i < g.n; ++i) {
    if (g.x[i] < low) low = g.x[i];
    if (g.x[i] > high) high = g.x[i];
    sum_w += g.weights[i];
    sum_x += g.weights[i] * g.x[i];
  }
  if (low > 0) low = 0;
  *minus_minimum = -low;
  memset(codes, 0, (size_t)g.n);
  if (high == low) return 0;
  float range = high - low, start = low, inverse = (float)g.top / range, scale = 1 / inverse;
  for (int i = 0; i < g.n; ++i)
    codes[i] = (uint8_t)clamped(nearest(inverse * (g.x[i] - start)), 0, g.top);
  float best = affine_error(g, codes, scale, low);
  for (int step = 0; step <= steps; ++step) {
    uint8_t tried[32];
    // Codes are made from the best minimum so far, as ggml makes them.
    float origin = -*minus_minimum, sum_c = 0, sum_cc = 0, sum_xc = 0;
    inverse = (first + 0.1f * (float)step + (float)g.top) / (high - origin);
    for (int i = 0; i < g.n; ++i) {
      tried[i] = (uint8_t)clamped(nearest(inverse * (g.x[i] - origin)), 0, g.top);
      float w = g.weights[i], code = (float)tried[i];
      sum_c += w * code;
      sum_cc += w * code * code;
      sum_xc += w * code * g.x[i];
    }
    float determinant = sum_w * sum_cc - sum_c * sum_c;
    if (!(determinant > 0)) continue;
    float slope = (sum_w * sum_xc - sum_x * sum_c) / determinant;
    float offset = (sum_cc * sum_x - sum_c * sum_xc) / determinant;
    if (offset > 0) {
      offset = 0;
      slope = sum_xc / sum_cc;
    }
    float error = affine_error(g, tried, slope, offset);
    if (error < best) {
      memcpy(codes, tried, (size_t)g.n);
      best = error;
      scale = slope;
      *minus_minimum = -offset;
    }
  }
  return scale;
}

// MARK: Super-blocks of 256

static void encode_affine_k(const halftone_block_format *format, const float *x, uint8_t *codes,
                            halftone_block_scales out) {
  int n = (int)format->group, groups = 256 / n, top = (1 << format->bits) - 1;
  int highest = format->id == q2_k ? 15 : 63;
  float scales[16], minima[16], weights[32], most = 0, least = 0;
  for (int j = 0; j < groups; ++j) {
    const float *group = x + j * n;
    float squares = 0;
    for (int l = 0; l < n; ++l) squares += group[l] * group[l];
    float size = format->id == q2_k ? 0 : sqrtf(squares / 32);
    for (int l = 0; l < n; ++l) weights[l] = size + fabsf(group[l]);
    scales[j] = search_affine((affine_group){group, weights, n, top, format->id == q2_k},
                              format->id == q4_k ? -1.0f : -0.5f, format->id == q4_k ? 20 : 15,
                              codes + j * n, &minima[j]);
    if (scales[j] > most) most = scales[j];
    if (minima[j] > least) least = minima[j];
  }
  uint8_t *small = out.scales, *small_minima = out.minima;
  float to_scales = most > 0 ? (float)highest / most : 0;
  float to_minima = least > 0 ? (float)highest / least : 0;
  *out.super_scales = narrowed(most / (float)highest);
  *out.super_minima = narrowed(least / (float)highest) ^ 0x8000;
  for (int j = 0; j < groups; ++j) {
    small[j] = (uint8_t)clamped(nearest(to_scales * scales[j]), 0, highest);
    small_minima[j] = (uint8_t)clamped(nearest(to_minima * minima[j]), 0, highest);
    float d = widened(*out.super_scales) * (float)small[j];
    if (d == 0) continue;
    float minimum = widened(*out.super_minima ^ 0x8000) * (float)small_minima[j];
    for (int l = 0; l < n; ++l)
      codes[j * n + l] = (uint8_t)clamped(nearest((x[j * n + l] + minimum) / d), 0, top);
  }
}

static void encode_centered_k(const halftone_block_format *format, const float *x, uint8_t *codes,
                              halftone_block_scales out) {
  int levels = format->zero, highest = format->id == q6_k ? 128 : 32;
  int8_t *small = out.scales;
  float scales[16];
  for (int j = 0; j < 16; ++j)
    scales[j] = format->id == q6_k
                    ? search_centered(x + 16 * j, 16, levels, codes + 16 * j)
                    : search_descending(x + 16 * j, 16, levels, codes + 16 * j);
  float most = extreme(scales, 16);
  // A group whose scale is lost keeps the codes of the search, which stand for nothing then.
  if (format->id == q6_k && fabsf(most) < nothing) memset(codes, 0, 256);
  memset(small, format->id == q6_k ? 0 : -32, 16);
  *out.super_scales = 0;
  if (format->id == q6_k ? fabsf(most) < nothing : most == 0) return;
  float inverse = (float)-highest / most;
  *out.super_scales = narrowed(1 / inverse);
  for (int j = 0; j < 16; ++j) {
    small[j] = (int8_t)clamped(nearest(inverse * scales[j]), -highest, highest - 1);
    float d = widened(*out.super_scales) * (float)small[j];
    if (d == 0) continue;
    for (int l = 0; l < 16; ++l)
      codes[16 * j + l] =
          (uint8_t)(clamped(nearest(x[16 * j + l] / d), -levels, levels - 1) + levels);
  }
}

// MARK: The table of IQ4

// The nearest entry, the higher of two at equal distance.
static uint8_t nearest_entry(const uint8_t *table, float value) {
  uint8_t low = 0, high = 15;
  if (value <= (float)(table[0] - 128)) return 0;
  if (value >= (float)(table[15] - 128)) return 15;
  while (high - low > 1) {
    uint8_t middle = (uint8_t)((low + high) / 2);
    if (value < (float)(table[middle] - 128)) high = middle;
    else low = middle;
  }
  float below = value - (float)(table[low] - 128), above = (float)(table[high] - 128) - value;
  return below < above ? low : high;
}

static float search_table(const uint8_t *table, const float *x) {
  float top = extreme(x, 32), best = 0, scale = 0, first = (float)(table[0] - 128);
  if (fabsf(top) < nothing) return 0;
  for (int step = -8; step <= 7; ++step) {
    float d = -top / first;
    float inverse = step == -8 ? 1 / d : ((float)step + first) / top;
    float products = 0, squares = 0;
    for (int j = 0; j < 32; ++j) {
      float entry = (float)(table[nearest_entry(table, inverse * x[j])] - 128), w = x[j] * x[j];
      products += w * entry * x[j];
      squares += w * entry * entry;
    }
    if (step == -8) {
      scale = squares > 0 ? products / squares : 0;
      best = scale * products;
    } else if (squares > 0 && products * products > best * squares) {
      scale = products / squares;
      best = scale * products;
    }
  }
  return scale;
}

static void encode_table(const halftone_block_format *format, const float *x, uint8_t *codes,
                         halftone_block_scales out) {
  int groups = (int)(format->length / 32);
  float scales[8];
  for (int j = 0; j < groups; ++j) scales[j] = search_table(format->table, x + 32 * j);
  if (groups == 1) {
    *(uint16_t *)out.scales = narrowed(scales[0]);
    float inverse = scales[0] != 0 ? 1 / scales[0] : 0;
    for (int l = 0; l < 32; ++l) codes[l] = nearest_entry(format->table, inverse * x[l]);
    return;
  }
  int8_t *small = out.scales;
  float d = -extreme(scales, groups) / 32, inverse = d != 0 ? 1 / d : 0;
  *out.super_scales = narrowed(d);
  for (int j = 0; j < groups; ++j) {
    small[j] = (int8_t)clamped(nearest(inverse * scales[j]), -32, 31);
    float own = d * (float)small[j], own_inverse = own != 0 ? 1 / own : 0;
    for (int l = 0; l < 32; ++l)
      codes[32 * j + l] = nearest_entry(format->table, own_inverse * x[32 * j + l]);
  }
}

void halftone_block_encode(const halftone_block_format *format, const float *x, size_t count,
                           uint8_t *blocks) {
  _Alignas(8) uint8_t codes[256], scales[16], minima[16];
  uint16_t factor = 0, least = 0;
  halftone_block_scales out = {scales, minima, &factor, &least, 1};
  uint16_t *half = (uint16_t *)scales, *minimum = (uint16_t *)minima;
  for (size_t i = 0; i < count; ++i, x += format->length, blocks += format->byte_count) {
    switch (format->id) {
      case q4_0: case q5_0: encode_centered(x, format->zero, codes, half); break;
      case q4_1: case q5_1:
        encode_affine(x, (1 << format->bits) - 1, codes, half, minimum);
        break;
      case q8_0: encode_symmetric(x, 32, 127, 128, codes, half); break;
      case tq1_0: case tq2_0: encode_symmetric(x, 256, 1, 1, codes, half); break;
      case mxfp4: encode_powers(x, format->table, codes, (float *)scales); break;
      case q3_k: case q6_k: encode_centered_k(format, x, codes, out); break;
      case iq4_nl: case iq4_xs: encode_table(format, x, codes, out); break;
      default: encode_affine_k(format, x, codes, out); break;
    }
    halftone_block_join(format, codes, out, 1, blocks);
  }
}
