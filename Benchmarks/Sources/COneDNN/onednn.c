// SPDX-License-Identifier: MIT
#include "COneDNN.h"

#if __has_include(<dnnl.h>)
#include <dnnl.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define TRY(call) \
  if ((call) != dnnl_success) return -1

// b in the layout that the product wants.
static int packed(dnnl_engine_t engine, dnnl_stream_t stream, const dnnl_memory_desc_t *from,
                  const dnnl_memory_desc_t *to, const uint16_t *b, dnnl_memory_t *out) {
  dnnl_memory_t source;
  dnnl_primitive_desc_t description;
  dnnl_primitive_t reorder;
  TRY(dnnl_memory_create(&source, from, engine, (void *)b));
  TRY(dnnl_memory_create(out, to, engine, DNNL_MEMORY_ALLOCATE));
  TRY(dnnl_reorder_primitive_desc_create(&description, from, engine, to, engine, NULL));
  TRY(dnnl_primitive_create(&reorder, description));
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, *out}};
  TRY(dnnl_primitive_execute(reorder, stream, 2, arguments));
  return dnnl_stream_wait(stream) == dnnl_success ? 0 : -1;
}

int onednn_bf16_times(const uint16_t *a, const uint16_t *b, float *out, size_t m, size_t n,
                      size_t k, double *seconds, int repetitions) {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  TRY(dnnl_engine_create(&engine, dnnl_cpu, 0));
  TRY(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
  dnnl_dims_t left = {(dnnl_dim_t)m, (dnnl_dim_t)k}, right = {(dnnl_dim_t)k, (dnnl_dim_t)n},
              result = {(dnnl_dim_t)m, (dnnl_dim_t)n};
  dnnl_memory_desc_t as, given, wanted, outs;
  TRY(dnnl_memory_desc_init_by_tag(&as, 2, left, dnnl_bf16, dnnl_ab));
  TRY(dnnl_memory_desc_init_by_tag(&given, 2, right, dnnl_bf16, dnnl_ba));
  TRY(dnnl_memory_desc_init_by_tag(&wanted, 2, right, dnnl_bf16, dnnl_format_tag_any));
  TRY(dnnl_memory_desc_init_by_tag(&outs, 2, result, dnnl_f32, dnnl_ab));
  dnnl_matmul_desc_t product;
  dnnl_primitive_desc_t description;
  dnnl_primitive_t primitive;
  TRY(dnnl_matmul_desc_init(&product, &as, &wanted, NULL, &outs));
  TRY(dnnl_primitive_desc_create(&description, &product, NULL, engine, NULL));
  TRY(dnnl_primitive_create(&primitive, description));
  const dnnl_memory_desc_t *layout =
      dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
  dnnl_memory_t source, weights, target;
  TRY(dnnl_memory_create(&source, &as, engine, (void *)a));
  if (packed(engine, stream, &given, layout, b, &weights) != 0) return -1;
  TRY(dnnl_memory_create(&target, &outs, engine, out));
  dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, target}};
  for (int i = 0; i < repetitions; ++i) {
    double start = now();
    TRY(dnnl_primitive_execute(primitive, stream, 3, arguments));
    TRY(dnnl_stream_wait(stream));
    seconds[i] = now() - start;
  }
  return 0;
}
#else
int onednn_bf16_times(const uint16_t *a, const uint16_t *b, float *out, size_t m, size_t n,
                      size_t k, double *seconds, int repetitions) {
  return -1;
}
#endif
