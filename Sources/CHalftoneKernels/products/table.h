// SPDX-License-Identifier: MIT
// The table of the products of the set HALFTONE_SET.
#define QUOTED_(name) #name
#define QUOTED(name) QUOTED_(name)

const halftone_products CONCATENATED(halftone_, products, HALFTONE_SET) = {
    .name = QUOTED(HALFTONE_SET),
    .quantize_inputs = KERNEL(quantize_inputs),
    .sum_codes = KERNEL(sum_codes),
    .product = KERNEL(product),
    .float_product = KERNEL(float_product),
    .dense_product = KERNEL(dense_product),
    .level_product = KERNEL(level_product),
    .dual_product = KERNEL(dual_product),
    .outlier_product = KERNEL(outlier_product),
};
