// SPDX-License-Identifier: MIT
// Rows of a transformer.

static float KERNEL(rms_norm)(const float *x, const float *w, float epsilon, float *out, size_t n) {
  float mean = KERNEL(dot)(x, x, n) / (float)n;
  float r = 1 / __builtin_elementwise_sqrt(mean + epsilon);
  FOR_SIXTEEN(n, store(load(x + i, k) * r * load(w + i, k), out + i, k););
  return r;
}

static void KERNEL(rms_norm_pullback)(const float *x, const float *w, const float *dy, float r,
                                      float *dx, float *dw, size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, sum += load(w + i, k) * load(dy + i, k) * load(x + i, k););
  float common = r * r * r / (float)n * sum_of(sum);
  FOR_SIXTEEN(n, lanes xs = load(x + i, k), dys = load(dy + i, k);
              if (dw) store(load(dw + i, k) + dys * xs * r, dw + i, k);
              store(r * load(w + i, k) * dys - xs * common, dx + i, k););
}

static float KERNEL(softmax)(float *x, float alpha, size_t n) {
  lanes high = splat(-INFINITY), sum = 0;
  FOR_SIXTEEN(n, high = larger(load_or(x + i, k, -INFINITY), high););
  float maximum = largest_of(high);
  FOR_SIXTEEN(n, lanes e = exponential(alpha * (load_or(x + i, k, -INFINITY) - maximum));
              sum += e; store(e, x + i, k););
  float total = sum_of(sum), inverse = 1 / total;
  FOR_SIXTEEN(n, store(load(x + i, k) * inverse, x + i, k););
  return logarithm(splat(total))[0] + alpha * maximum;
}

static void KERNEL(softmax_pullback)(const float *p, const float *dp, float alpha, float *ds,
                                     size_t n) {
  float common = KERNEL(dot)(p, dp, n);
  FOR_SIXTEEN(n, store(alpha * load(p + i, k) * (load(dp + i, k) - common), ds + i, k););
}

static void KERNEL(silu_multiply)(const float *gate, const float *up, float *out, size_t n) {
  FOR_SIXTEEN(n, lanes g = load(gate + i, k);
              store(g * logistic(g) * load(up + i, k), out + i, k););
}

// d/dg (g s(g)) = s (1 + g (1 - s))
static void KERNEL(silu_multiply_pullback)(const float *gate, const float *up, const float *dy,
                                           float *dgate, float *dup, size_t n) {
  FOR_SIXTEEN(n, lanes g = load(gate + i, k), s = logistic(g), dys = load(dy + i, k);
              lanes derivative = s * (1 + g * (1 - s));
              store(dys * load(up + i, k) * derivative, dgate + i, k);
              store(dys * (g * s), dup + i, k););
}

// One vector of the type `V` from each half.
#define ROTATE(V)                                                                  \
  do {                                                                             \
    V a, b, c, s, low, high;                                                       \
    memcpy(&a, x + i, sizeof a), memcpy(&b, x + half + i, sizeof b);               \
    memcpy(&c, cosine + i, sizeof c), memcpy(&s, sine + i, sizeof s);              \
    low = a * c - b * s, high = b * c + a * s;                                     \
    memcpy(out + i, &low, sizeof low), memcpy(out + half + i, &high, sizeof high); \
    i += sizeof a / sizeof(float);                                                 \
  } while (0)

// Heads of a few elements are common in small models, so halves of 4 and 8 have vectors of their own.
static void KERNEL(rotate)(const float *x, const float *cosine, const float *sine, float *out,
                           size_t half) {
  size_t i = 0;
  while (half - i >= 16) ROTATE(lanes);
  if (half - i >= 8) ROTATE(lanes8);
  if (half - i >= 4) ROTATE(lanes4);
  while (half > i) ROTATE(float);
}
