// SPDX-License-Identifier: MIT
// exp, log, power and sigmoid of sixteen floats, with neither fused products nor tables.

// ln 2 in two parts; the first has nine significant bits, so n times it is exact.
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.1219444005469057e-4f

// exp(x) = 2^n exp(r), |r| <= ln(2)/2, exp(r) by its Taylor polynomial of degree 7, whose remainder
// is below a tenth of an ulp. 2^n is applied as two factors, so results underflow gradually. The
// worst error on all floats of one residue modulo 5, as bit patterns, is 1.1 ulp; of log, 0.9 ulp.
INLINE lanes exponential(lanes x) {
  const float magic = 0x1.8p23f;
  x = larger(splat(-104), smaller(splat(89), x));
  lanes shifted = x * 1.44269504f + magic;
  lanes n = shifted - magic;
  ints power = bits_of(shifted) - bits_of(splat(magic));
  lanes r = (x - n * LN2_HIGH) - n * LN2_LOW;
  lanes z = r * r;
  lanes p = (r * (1 / 120.0f) + 1 / 24.0f) + z * (r * (1 / 5040.0f) + 1 / 720.0f);
  p = (r * (1 / 6.0f) + 0.5f) + z * p;
  p = (p * z + r) + 1;
  ints half = power >> 1;
  lanes first = from_bits((half + 127) << 23), second = from_bits((power - half + 127) << 23);
  return p * first * second;
}

// log(x) = e ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2); with s = f / (2 + f) and z = s^2,
// log(1 + f) = f - f^2/2 + s (f^2/2 + z (2/3 + z (2/5 + z (2/7 + z 2/9)))).
INLINE lanes logarithm(lanes x) {
  ints tiny = x < 0x1p-126f;
  ints bits = bits_of(blend(tiny, x * 0x1p23f, x));
  ints exponent = (bits - 0x3f3504f3) >> 23;
  lanes f = from_bits(bits - (exponent << 23)) - 1;
  lanes e = __builtin_convertvector(exponent - (tiny & 23), lanes);
  lanes s = f / (f + 2), z = s * s, half = 0.5f * f * f;
  lanes p = (z * (2 / 5.0f) + 2 / 3.0f) + z * z * (z * (2 / 9.0f) + 2 / 7.0f);
  lanes result = e * LN2_HIGH + (f - (half - (s * (half + p * z) + e * LN2_LOW)));
  result = blend(x == 0, splat(-INFINITY), result);
  result = blend(x < INFINITY, result, x);
  return blend(x < 0, splat(NAN), result);
}

// a^p for a >= 0 and p > 0; 0 for a = 0.
INLINE lanes powered(lanes a, float p) {
  if (p == 2) return a * a;
  if (p == 1) return a;
  return exponential(p * logarithm(a));
}

INLINE lanes logistic(lanes x) { return 1 / (1 + exponential(-x)); }
