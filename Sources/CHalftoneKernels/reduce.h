// SPDX-License-Identifier: MIT
// Sums in sixteen lanes, then lane j + 8 is added to lane j, j + 4, j + 2, j + 1. Missing elements
// are zeros.

static float KERNEL(sum)(const float *a, size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, sum += load(a + i, k););
  return sum_of(sum);
}

static float KERNEL(dot)(const float *a, const float *b, size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, sum += load(a + i, k) * load(b + i, k););
  return sum_of(sum);
}

static float KERNEL(squared_distance)(const float *a, const float *b, size_t n) {
  lanes sum = 0;
  FOR_SIXTEEN(n, lanes d = load(a + i, k) - load(b + i, k); sum += d * d;);
  return sum_of(sum);
}

static void KERNEL(extrema)(const float *a, size_t n, float *minimum, float *maximum) {
  lanes low = splat(INFINITY), high = splat(-INFINITY);
  ints unordered = 0;
  FOR_SIXTEEN(n, lanes x = load_or(a + i, k, a[i]); low = smaller(x, low); high = larger(x, high);
              unordered |= x != x;);
  int any = __builtin_reduce_or(unordered);
  *minimum = any ? NAN : smallest_of(low);
  *maximum = any ? NAN : largest_of(high);
}
