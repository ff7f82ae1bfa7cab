// SPDX-License-Identifier: MIT
// All kernels of HalftoneAttention.h and their table, for the set HALFTONE_SET. A set may define
// HALFTONE_FUSES (it has fused products), ATTENTION_ROWS and ATTENTION_WIDE (the queries, and vectors
// of sixteen, whose sums fit its registers) and HALFTONE_DOTS_BF16.
#include "lanes.h"
#include "exponential.h"
#include "convert.h"
#include "cache.h"
#include "attend.h"
#include "bf16_product.h"

#define ATTENTION_QUOTED_(name) #name
#define ATTENTION_QUOTED(name) ATTENTION_QUOTED_(name)

const halftone_attention CONCATENATED(halftone_, attention, HALFTONE_SET) = {
    .name = ATTENTION_QUOTED(HALFTONE_SET),
    .store = KERNEL(store_rows),
    .attend = KERNEL(attend),
    .bf16_product = KERNEL(bf16_product),
};
