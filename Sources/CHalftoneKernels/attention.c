// SPDX-License-Identifier: MIT
// What the sets of HalftoneAttention.h share, and the choice among them.
#include <string.h>

#include "HalftoneAttention.h"

extern const halftone_attention halftone_attention_generic;
#if defined(__x86_64__)
extern const halftone_attention halftone_attention_avx2, halftone_attention_avx512,
    halftone_attention_avx512bf16;
#elif defined(__aarch64__)
extern const halftone_attention halftone_attention_neon;
#endif

// The sets that this CPU runs, fastest first.
static size_t available(const halftone_attention *sets[4]) {
  size_t count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      if (__builtin_cpu_supports("avx512bf16")) sets[count++] = &halftone_attention_avx512bf16;
      sets[count++] = &halftone_attention_avx512;
    }
    sets[count++] = &halftone_attention_avx2;
  }
#elif defined(__aarch64__)
  sets[count++] = &halftone_attention_neon;
#endif
  sets[count++] = &halftone_attention_generic;
  return count;
}

const halftone_attention *halftone_attention_best(void) {
  const halftone_attention *sets[4];
  available(sets);
  return sets[0];
}

const halftone_attention *halftone_attention_named(const char *name) {
  const halftone_attention *sets[4];
  size_t count = available(sets);
  for (size_t i = 0; i < count; ++i)
    if (strcmp(sets[i]->name, name) == 0) return sets[i];
  return NULL;
}

size_t halftone_cache_row_bytes(halftone_cache_type type, size_t width) {
  switch (type) {
    case halftone_cache_f16: return 2 * width;
    case halftone_cache_i8: return width;
    case halftone_cache_i4: return width / 2;
  }
  return 0;
}

void halftone_pack_bf16(const uint16_t *b, size_t n, size_t k, uint16_t *out) {
  for (size_t panel = 0; panel < n; panel += 16)
    for (size_t l = 0; l < k; l += 2)
      for (size_t r = 0; r < 16; ++r)
        for (size_t e = 0; e < 2; ++e, ++out)
          *out = panel + r < n && l + e < k ? b[(panel + r) * k + l + e] : 0;
}
