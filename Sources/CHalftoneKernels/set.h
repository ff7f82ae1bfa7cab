// SPDX-License-Identifier: MIT
// All kernels and their table, for the set HALFTONE_SET.
#include "lanes.h"
#include "exponential.h"
#include "halves.h"
#include "convert.h"
#include "elementwise.h"
#include "reduce.h"
#include "transformer.h"
#include "product.h"
#include "adam.h"
#include "levels.h"
#include "grid.h"
#include "flexround.h"
#include "adaround.h"
#include "pack.h"

#define QUOTED_(name) #name
#define QUOTED(name) QUOTED_(name)
#define ENTRY(member) .member = KERNEL(member)

const halftone_kernels CONCATENATED(halftone_, set, HALFTONE_SET) = {
    .name = QUOTED(HALFTONE_SET),
    ENTRY(f16_to_f32), ENTRY(bf16_to_f32), ENTRY(f32_to_f16), ENTRY(f32_to_bf16), ENTRY(i8_to_f32),
    ENTRY(add), ENTRY(subtract), ENTRY(multiply), ENTRY(scale), ENTRY(axpy), ENTRY(clamp),
    ENTRY(exp), ENTRY(log), ENTRY(sigmoid), ENTRY(round),
    ENTRY(sum), ENTRY(dot), ENTRY(squared_distance), ENTRY(extrema),
    ENTRY(rms_norm), ENTRY(rms_norm_pullback), ENTRY(softmax), ENTRY(softmax_pullback),
    ENTRY(silu_multiply), ENTRY(silu_multiply_pullback), ENTRY(rotate),
    ENTRY(small_product),
    ENTRY(adam),
    ENTRY(quantize), ENTRY(dequantize), ENTRY(round_trip), ENTRY(round_trip_error),
    ENTRY(round_trip_error_within),
    ENTRY(round_trip_pullback),
    ENTRY(flexround), ENTRY(flexround_pullback), ENTRY(adaround), ENTRY(adaround_pullback),
    ENTRY(adaround_start),
    ENTRY(pack), ENTRY(unpack),
};
