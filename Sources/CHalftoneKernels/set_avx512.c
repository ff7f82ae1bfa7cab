// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
    apply_to = function)
#define HALFTONE_SET avx512
#define HALFTONE_ROUNDS
#define HALFTONE_GATHERS_512
#define HALFTONE_PRODUCT_ROWS 8
#define HALFTONE_CONVERTS_F16
#include "set.h"
#pragma clang attribute pop
#endif
