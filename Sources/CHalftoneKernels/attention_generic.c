// SPDX-License-Identifier: MIT
#include "prelude.h"
#define HALFTONE_SET generic
#define ATTENTION_ROWS 4
#define ATTENTION_SUMS 4
#include "attention_set.h"
