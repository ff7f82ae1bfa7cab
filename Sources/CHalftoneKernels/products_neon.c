// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#define select chosen_lanes
#define HALFTONE_SET neon
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#define HALFTONE_DOTS "dot_neon.h"
#include "products/set.h"
#endif
