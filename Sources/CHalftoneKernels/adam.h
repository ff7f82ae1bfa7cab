// SPDX-License-Identifier: MIT
// x -= rate/c1 * m / (sqrt(v * 1/c2) + epsilon): the two quotients of scalars are taken once.

static void KERNEL(adam)(float *x, const float *g, float *m, float *v, float rate, float b1,
                         float b2, float c1, float c2, float epsilon, size_t n) {
  float step = rate / c1, inverse = 1 / c2, share1 = 1 - b1, share2 = 1 - b2;
  FOR_SIXTEEN(n, lanes gs = load(g + i, k);
              lanes first = b1 * load(m + i, k) + share1 * gs;
              lanes second = b2 * load(v + i, k) + share2 * gs * gs;
              store(first, m + i, k); store(second, v + i, k);
              lanes change = step * first / (square_root(second * inverse) + epsilon);
              store(load(x + i, k) - change, x + i, k););
}
