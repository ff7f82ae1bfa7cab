// SPDX-License-Identifier: MIT
// Intrinsics; their header declares the C library's select, whose name lanes.h uses.
#pragma once
#include <immintrin.h>
#define select chosen_lanes
