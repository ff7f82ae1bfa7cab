// SPDX-License-Identifier: MIT
// The sets of products that a build may hold.
#pragma once
#include <string.h>

#include "HalftoneProducts.h"

extern const halftone_products halftone_products_generic;
#if defined(__x86_64__)
extern const halftone_products halftone_products_avx2, halftone_products_avx512,
    halftone_products_avx512vnni;
#elif defined(__aarch64__)
extern const halftone_products halftone_products_neon, halftone_products_neondot;
#endif
