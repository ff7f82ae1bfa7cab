// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#define select chosen_lanes
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define HALFTONE_SET neondot
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#define HALFTONE_HAS_DOT
#define HALFTONE_DOTS "dot_neon.h"
#include "products/set.h"
#pragma clang attribute pop
#endif
