// SPDX-License-Identifier: MIT
// The layout of packed weight matrices; HalftoneProducts.h describes it.
#include <string.h>

#include "HalftoneProducts.h"

enum { panel_rows = 16, block_columns = 32, vector_bytes = 64, steps = 8 };

// The planes of `bits`: their widths, lowest bits first. Returns how many.
static int planes_of(int bits, int widths[2]) {
  int high = bits == 3 || bits == 5 ? 1 : bits == 6 ? 2 : 0;
  widths[0] = bits - high;
  widths[1] = high;
  return high ? 2 : 1;
}

// The 64 codes of each step, in the order of the layout.
static void gather_block(const uint8_t *codes, size_t stride, uint8_t block[steps][vector_bytes]) {
  for (size_t r = 0; r < panel_rows; ++r)
    for (size_t s = 0; s < steps; ++s) memcpy(&block[s][4 * r], &codes[r * stride + 4 * s], 4);
}

static void scatter_block(uint8_t block[steps][vector_bytes], size_t stride, uint8_t *codes) {
  for (size_t r = 0; r < panel_rows; ++r)
    for (size_t s = 0; s < steps; ++s) memcpy(&codes[r * stride + 4 * s], &block[s][4 * r], 4);
}

void halftone_pack_panel(const uint8_t *codes, size_t stride, int bits, uint8_t *out) {
  int widths[2], planes = planes_of(bits, widths);
  uint8_t block[steps][vector_bytes];
  for (size_t column = 0; column < stride; column += block_columns) {
    gather_block(codes + column, stride, block);
    if (bits == 8) {
      memcpy(out, block, sizeof block);
      out += sizeof block;
      continue;
    }
    for (int plane = 0, low = 0; plane < planes; low += widths[plane++]) {
      int width = widths[plane], per_vector = 8 / width, mask = (1 << width) - 1;
      for (int v = 0; v < steps / per_vector; ++v, out += vector_bytes)
        for (int p = 0; p < vector_bytes; ++p) {
          int byte = 0;
          for (int t = 0; t < per_vector; ++t)
            byte |= (block[v * per_vector + t][p] >> low & mask) << (t * width);
          out[p] = (uint8_t)byte;
        }
    }
  }
}

void halftone_unpack_panel(const uint8_t *packed, size_t stride, int bits, uint8_t *codes) {
  int widths[2], planes = planes_of(bits, widths);
  uint8_t block[steps][vector_bytes];
  for (size_t column = 0; column < stride; column += block_columns) {
    memset(block, 0, sizeof block);
    for (int plane = 0, low = 0; plane < planes; low += widths[plane++]) {
      int width = widths[plane], per_vector = 8 / width, mask = (1 << width) - 1;
      for (int v = 0; v < steps / per_vector; ++v, packed += vector_bytes)
        for (int p = 0; p < vector_bytes; ++p)
          for (int t = 0; t < per_vector; ++t)
            block[v * per_vector + t][p] |= (uint8_t)((packed[p] >> (t * width) & mask) << low);
    }
    scatter_block(block, stride, codes + column);
  }
}
