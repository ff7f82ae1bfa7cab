// SPDX-License-Identifier: MIT
#include "prelude.h"
#if defined(__aarch64__)
#define HALFTONE_SET neon
#define HALFTONE_ROUNDS
#define HALFTONE_CONVERTS_F16
#define HALFTONE_FUSES
#define ATTENTION_ROWS 4
#define ATTENTION_SUMS 4
#include "attention_set.h"
#endif
