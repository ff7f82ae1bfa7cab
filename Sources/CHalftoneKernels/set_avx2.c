// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define HALFTONE_SET avx2
#define HALFTONE_ROUNDS
#define HALFTONE_GATHERS_256
#define HALFTONE_CONVERTS_F16
#include "set.h"
#pragma clang attribute pop
#endif
