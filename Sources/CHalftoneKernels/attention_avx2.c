// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define HALFTONE_SET avx2
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#define HALFTONE_FUSES
#define ATTENTION_ROWS 4
#define ATTENTION_SUMS 4
#include "attention_set.h"
#pragma clang attribute pop
#endif
