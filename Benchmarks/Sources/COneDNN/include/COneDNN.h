// SPDX-License-Identifier: MIT
// oneDNN's product of bfloat16 matrices, for comparison.
#pragma once
#include <stddef.h>
#include <stdint.h>

// out [m, n] float = a [m, k] times b [n, k] transposed. Prepares once, packing b as oneDNN likes
// it, and then times `repetitions` runs one by one into `seconds`. Returns 0, or -1 without oneDNN.
int onednn_bf16_times(const uint16_t *a, const uint16_t *b, float *out, size_t m, size_t n,
                      size_t k, double *seconds, int repetitions);
