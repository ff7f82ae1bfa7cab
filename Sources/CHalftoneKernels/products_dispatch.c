// SPDX-License-Identifier: MIT
#include "products/sets.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static int has_dot_products(void) {
  const unsigned long asimd_dp = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & asimd_dp) != 0;
}
#elif defined(__aarch64__)
// Every 64-bit Apple processor that runs the supported systems has them.
static int has_dot_products(void) { return 1; }
#endif

enum { most_sets = 4 };

// The sets that this CPU runs, fastest first.
static size_t available(const halftone_products *sets[most_sets]) {
  size_t count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      if (__builtin_cpu_supports("avx512vnni")) sets[count++] = &halftone_products_avx512vnni;
      sets[count++] = &halftone_products_avx512;
    }
    sets[count++] = &halftone_products_avx2;
  }
#elif defined(__aarch64__)
  if (has_dot_products()) sets[count++] = &halftone_products_neondot;
  sets[count++] = &halftone_products_neon;
#endif
  sets[count++] = &halftone_products_generic;
  return count;
}

const halftone_products *halftone_products_best(void) {
  const halftone_products *sets[most_sets];
  available(sets);
  return sets[0];
}

const halftone_products *halftone_products_named(const char *name) {
  const halftone_products *sets[most_sets];
  size_t count = available(sets);
  for (size_t i = 0; i < count; ++i)
    if (strcmp(sets[i]->name, name) == 0) return sets[i];
  return NULL;
}
