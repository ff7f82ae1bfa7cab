// SPDX-License-Identifier: MIT
// The products of the set HALFTONE_SET, whose dot products are in HALFTONE_DOTS.
#include "../lanes.h"
#include "../halves.h"
#include "spans.h"
#include "inputs.h"
#include HALFTONE_DOTS
#include "decode.h"
#include "segments.h"
#include "vector.h"
#include "tiles.h"
#include "floats.h"
#include "levels.h"
#include "dual.h"
#include "outliers.h"
#include "table.h"
