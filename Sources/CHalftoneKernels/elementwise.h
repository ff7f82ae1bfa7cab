// SPDX-License-Identifier: MIT
// Element by element; every kernel reads its sixteen elements before it writes them.

static void KERNEL(add)(const float *a, const float *b, float *out, size_t n) {
  FOR_SIXTEEN(n, store(load(a + i, k) + load(b + i, k), out + i, k););
}

static void KERNEL(subtract)(const float *a, const float *b, float *out, size_t n) {
  FOR_SIXTEEN(n, store(load(a + i, k) - load(b + i, k), out + i, k););
}

static void KERNEL(multiply)(const float *a, const float *b, float *out, size_t n) {
  FOR_SIXTEEN(n, store(load(a + i, k) * load(b + i, k), out + i, k););
}

static void KERNEL(scale)(const float *a, float alpha, float *out, size_t n) {
  FOR_SIXTEEN(n, store(alpha * load(a + i, k), out + i, k););
}

static void KERNEL(axpy)(const float *x, float alpha, float *y, size_t n) {
  FOR_SIXTEEN(n, store(load(y + i, k) + alpha * load(x + i, k), y + i, k););
}

static void KERNEL(clamp)(const float *a, float low, float high, float *out, size_t n) {
  FOR_SIXTEEN(n, store(clamped(load(a + i, k), splat(low), splat(high)), out + i, k););
}

static void KERNEL(exp)(const float *a, float *out, size_t n) {
  FOR_SIXTEEN(n, store(exponential(load(a + i, k)), out + i, k););
}

static void KERNEL(log)(const float *a, float *out, size_t n) {
  FOR_SIXTEEN(n, store(logarithm(load(a + i, k)), out + i, k););
}

static void KERNEL(sigmoid)(const float *a, float *out, size_t n) {
  FOR_SIXTEEN(n, store(logistic(load(a + i, k)), out + i, k););
}

static void KERNEL(round)(const float *a, float *out, size_t n) {
  FOR_SIXTEEN(n, store(rounded(load(a + i, k)), out + i, k););
}
