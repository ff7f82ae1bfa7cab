// SPDX-License-Identifier: MIT
#include "prelude.h"

// The sets that this CPU runs, fastest first.
static size_t available(const halftone_kernels *sets[3]) {
  size_t count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      sets[count++] = &halftone_set_avx512;
    sets[count++] = &halftone_set_avx2;
  }
#elif defined(__aarch64__)
  sets[count++] = &halftone_set_neon;
#endif
  sets[count++] = &halftone_set_generic;
  return count;
}

const halftone_kernels *halftone_kernels_best(void) {
  const halftone_kernels *sets[3];
  available(sets);
  return sets[0];
}

const halftone_kernels *halftone_kernels_named(const char *name) {
  const halftone_kernels *sets[3];
  size_t count = available(sets);
  for (size_t i = 0; i < count; ++i)
    if (strcmp(sets[i]->name, name) == 0) return sets[i];
  return NULL;
}
