// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__aarch64__)
#define HALFTONE_SET neon
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#include "set.h"
#endif
