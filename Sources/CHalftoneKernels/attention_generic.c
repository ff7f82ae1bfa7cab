// SPDX-License-Identifier: MIT
#include "prelude.h"
#define HALFTONE_SET generic
#define ATTENTION_ROWS 2
#define ATTENTION_WIDE 1
#include "attention_set.h"
