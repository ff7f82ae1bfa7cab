// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__x86_64__)
#pragma clang attribute push( \
    __attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
    apply_to = function)
#define HALFTONE_SET avx512bf16
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#define HALFTONE_FUSES
#define HALFTONE_DOTS_BF16
#define ATTENTION_ROWS 8
#define ATTENTION_SUMS 16
#include "attention_set.h"
#pragma clang attribute pop
#endif
