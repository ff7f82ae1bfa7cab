// SPDX-License-Identifier: MIT
// What every processor of the architecture runs; the reference for the other sets' bits.
#include "prelude.h"
#define HALFTONE_SET generic
#include "set.h"
