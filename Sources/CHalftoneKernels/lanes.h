// SPDX-License-Identifier: MIT
// Sixteen floats as one value, on every set; the compiler splits it where registers are narrower.

typedef float lanes __attribute__((ext_vector_type(16)));
typedef int32_t ints __attribute__((ext_vector_type(16)));
typedef uint32_t words __attribute__((ext_vector_type(16)));
typedef uint16_t halves __attribute__((ext_vector_type(16)));
typedef int8_t bytes __attribute__((ext_vector_type(16)));
typedef float lanes8 __attribute__((ext_vector_type(8)));
typedef float lanes4 __attribute__((ext_vector_type(4)));

// Runs the statements with i = 0, 16, 32, ... and k = 16, then once with the k < 16 that remain,
// so that an element's bits do not depend on where in the array it stands.
#define FOR_SIXTEEN(n, ...)                                                        \
  do {                                                                             \
    size_t i = 0;                                                                  \
    for (; (n) - i >= 16; i += 16) {                                               \
      const size_t k = 16;                                                         \
      __VA_ARGS__                                                                  \
    }                                                                              \
    if (i < (n)) {                                                                 \
      const size_t k = (n) - i;                                                    \
      __VA_ARGS__                                                                  \
    }                                                                              \
  } while (0)

INLINE lanes splat(float value) { return (lanes)value; }
INLINE ints bits_of(lanes a) { return __builtin_bit_cast(ints, a); }
INLINE lanes from_bits(ints a) { return __builtin_bit_cast(lanes, a); }

// The first k elements; the others are `fill`.
INLINE lanes load_or(const float *a, size_t k, float fill) {
  lanes x = splat(fill);
  if (k == 16) memcpy(&x, a, sizeof x);
  else memcpy(&x, a, k * sizeof *a);
  return x;
}

INLINE lanes load(const float *a, size_t k) { return load_or(a, k, 0); }

INLINE void store(lanes x, float *out, size_t k) {
  if (k == 16) memcpy(out, &x, sizeof x);
  else memcpy(out, &x, k * sizeof *out);
}

INLINE lanes load_codes(const int8_t *a, size_t k) {
  bytes x = 0;
  if (k == 16) memcpy(&x, a, sizeof x);
  else memcpy(&x, a, k);
  return __builtin_convertvector(x, lanes);
}

INLINE lanes blend(ints mask, lanes yes, lanes no) { return mask ? yes : no; }

// Zero from lane k on.
INLINE lanes first_of(lanes a, size_t k) {
  lanes x = 0;
  memcpy(&x, &a, k * sizeof(float));
  return x;
}

// The second operand where either is NaN, as the x86 instructions have it.
INLINE lanes smaller(lanes a, lanes b) { return blend(a < b, a, b); }
INLINE lanes larger(lanes a, lanes b) { return blend(a > b, a, b); }

// NaN becomes low.
INLINE lanes clamped(lanes a, lanes low, lanes high) { return smaller(larger(a, low), high); }

INLINE lanes magnitude(lanes a) { return from_bits(bits_of(a) & 0x7fffffff); }
INLINE lanes square_root(lanes a) { return __builtin_elementwise_sqrt(a); }

#if defined(HALFTONE_ROUNDS)
INLINE lanes rounded(lanes a) { return __builtin_elementwise_roundeven(a); }
INLINE lanes floored(lanes a) { return __builtin_elementwise_floor(a); }
#else
// |a| + 2^23 has no fraction bits, so the addition rounds to an integer, ties to even.
INLINE lanes rounded(lanes a) {
  lanes size = magnitude(a);
  lanes whole = (size + 0x1p23f) - 0x1p23f;
  lanes result = from_bits(bits_of(whole) | (bits_of(a) & (int32_t)0x80000000));
  return blend(size < 0x1p23f, result, a);
}
INLINE lanes floored(lanes a) {
  lanes nearest = rounded(a);
  return blend(nearest > a, nearest - 1, nearest);
}
#endif

INLINE float sum_of(lanes a) {
  lanes8 b = a.lo + a.hi;
  lanes4 c = b.lo + b.hi;
  return (c.x + c.z) + (c.y + c.w);
}
INLINE float smallest_of(lanes a) {
  lanes8 b = a.lo < a.hi ? a.lo : a.hi;
  lanes4 c = b.lo < b.hi ? b.lo : b.hi;
  float d = c.x < c.z ? c.x : c.z, e = c.y < c.w ? c.y : c.w;
  return d < e ? d : e;
}
INLINE float largest_of(lanes a) {
  lanes8 b = a.lo > a.hi ? a.lo : a.hi;
  lanes4 c = b.lo > b.hi ? b.lo : b.hi;
  float d = c.x > c.z ? c.x : c.z, e = c.y > c.w ? c.y : c.w;
  return d > e ? d : e;
}
