// SPDX-License-Identifier: MIT
// The block formats of GGUF files: what a block holds, and its codes and scales one by one.
//
// Every format is W = scale * (value(code) - zero) + minimum with unsigned codes, as in packed
// matrices (HalftoneProducts.h), so a block is read by taking it apart and never through floats.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "HalftoneProducts.h"

typedef struct {
  uint32_t id;                    // the number of the type in GGUF files
  const char *name;               // as tools spell it: "Q4_K"
  size_t length, byte_count;      // elements and bytes of one block
  int bits, zero;
  size_t group;                   // elements per scale
  halftone_scale_type scale_type; // _i8: the block's own f16 factors are the super-scales
  int has_minima;
  const uint8_t *table;           // sixteen entries, or NULL
} halftone_block_format;

// NULL for what is no block format known here.
const halftone_block_format *halftone_block_format_of(uint32_t id);

// The codes of `count` consecutive blocks: count * length bytes.
void halftone_block_codes(const halftone_block_format *format, const uint8_t *blocks, size_t count,
                          uint8_t *codes);

// The scales of `count` consecutive blocks in elements of the format's scale type, element i at
// index i * stride; minima likewise (uint8 for _i8). Super-scales and super-minima are f16, one a
// block, and of formats with 8-bit scales only; minimum = super-minimum * uint8.
typedef struct {
  void *scales, *minima;
  uint16_t *super_scales, *super_minima;
  size_t stride;
} halftone_block_scales;
void halftone_block_take_scales(const halftone_block_format *format, const uint8_t *blocks,
                                size_t count, halftone_block_scales out);

// MXFP4 alone has powers of two as scales. 1 if all are exact as f16, or meet codes that are all 0.
int halftone_block_scales_are_halves(const uint8_t *mxfp4, size_t count);
void halftone_block_take_half_scales(const uint8_t *mxfp4, size_t count, uint16_t *scales,
                                     size_t stride);

// The numbers that `count` consecutive blocks stand for, each computed in float as above.
void halftone_block_values(const halftone_block_format *format, const uint8_t *blocks, size_t count,
                           float *values);

// Puts `count` blocks together: the inverse of the functions that take them apart. Scales of MXFP4
// are floats, powers of two; those of 6 bits are in -32...31 or, with minima, in 0...63.
void halftone_block_join(const halftone_block_format *format, const uint8_t *codes,
                         halftone_block_scales scales, size_t count, uint8_t *blocks);

// Rounds count * length finite floats to blocks.
void halftone_block_encode(const halftone_block_format *format, const float *x, size_t count,
                           uint8_t *blocks);
