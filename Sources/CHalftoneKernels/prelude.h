// SPDX-License-Identifier: MIT
// What every set includes before its target attribute is pushed.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "CHalftoneKernels.h"

// A fused product would give bits that depend on the machine.
#pragma clang fp contract(off)
// Vectors wider than a register only cross functions that are always inlined.
#pragma clang diagnostic ignored "-Wpsabi"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The kernels' bit streams are written for little-endian machines."
#endif

#define CONCATENATED_(a, b, c) a##b##_##c
#define CONCATENATED(a, b, c) CONCATENATED_(a, b, c)
#define KERNEL(name) CONCATENATED(halftone_, name, HALFTONE_SET)
#define INLINE static inline __attribute__((always_inline))

extern const halftone_kernels halftone_set_generic;
#if defined(__x86_64__)
extern const halftone_kernels halftone_set_avx2, halftone_set_avx512;
#elif defined(__aarch64__)
extern const halftone_kernels halftone_set_neon;
#endif
