// SPDX-License-Identifier: MIT
// All kernels of HalftoneAttention.h and their table, for the set HALFTONE_SET. A set may define
// HALFTONE_FUSES (it has fused products) and HALFTONE_DOTS_BF16; it defines ATTENTION_SUMS, the
// vectors of sixteen sums that its registers hold, and ATTENTION_ROWS, the most queries (4 or 8) at
// a time.
#include "lanes.h"
#include "exponential.h"
#include "halves.h"
#include "convert.h"
#include "cache.h"
#include "attend.h"
#include "bf16_operands.h"
#include "bf16_product.h"

#define ATTENTION_QUOTED_(name) #name
#define ATTENTION_QUOTED(name) ATTENTION_QUOTED_(name)

const halftone_attention CONCATENATED(halftone_, attention, HALFTONE_SET) = {
    .name = ATTENTION_QUOTED(HALFTONE_SET),
    .store = KERNEL(store_rows),
    .attend = KERNEL(attend),
    .bf16_rows = KERNEL(bf16_rows),
    .bf16_columns = KERNEL(bf16_columns),
    .bf16_product = KERNEL(bf16_product),
};
