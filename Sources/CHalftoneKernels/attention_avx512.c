// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__x86_64__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
    apply_to = function)
#define HALFTONE_SET avx512
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#define HALFTONE_FUSES
#define ATTENTION_ROWS 8
#define ATTENTION_SUMS 16
#include "attention_set.h"
#pragma clang attribute pop
#endif
