// SPDX-License-Identifier: MIT
#include "prelude.h"
#define HALFTONE_SET generic
#include "lanes.h"
#include "halves.h"
#include "products/spans.h"
#include "products/inputs.h"
#include "products/plain.h"
#include "products/plain_levels.h"
#include "products/table.h"
