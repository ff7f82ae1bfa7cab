// SPDX-License-Identifier: MIT
// Dense bit streams. Eight codes, one a byte of a 64-bit word, are brought together in three steps:
// bytes to pairs of 2 bits, pairs to fours, fours to eight; 64 codes at a time fill 8 * bits bytes.

typedef uint64_t longs __attribute__((ext_vector_type(8)));
typedef uint32_t longs32 __attribute__((ext_vector_type(8)));
typedef uint16_t longs16 __attribute__((ext_vector_type(8)));
typedef uint8_t bytes64 __attribute__((ext_vector_type(64)));

// Moves each pair of `count`-bit fields that start `stride` bits apart together; and apart again.
// `mask` has the bits of every pair's first field.
#define FIELDS(count, every) ((((UINT64_C(1) << (count)) - 1)) * UINT64_C(every))
INLINE longs joined(longs x, int count, int stride, uint64_t mask) {
  return (x & mask) | ((x >> (stride - count)) & (mask << count));
}
INLINE longs parted(longs x, int count, int stride, uint64_t mask) {
  return (x & mask) | ((x & (mask << count)) << (stride - count));
}

// Writes 8 * bits bytes.
INLINE void pack64(const int8_t *codes, int low, int bits, uint8_t *out) {
  bytes64 code;
  memcpy(&code, codes, 64);
  code = (code - (uint8_t)low) & (uint8_t)((1 << bits) - 1);
  longs x = __builtin_bit_cast(longs, code);
  if (bits == 8) return (void)memcpy(out, &x, 64);
  x = joined(x, bits, 8, FIELDS(bits, 0x0001000100010001));
  x = joined(x, 2 * bits, 16, FIELDS(2 * bits, 0x0000000100000001));
  x = joined(x, 4 * bits, 32, FIELDS(4 * bits, 1));
  if (bits == 4) {
    longs32 y = __builtin_convertvector(x, longs32);
    memcpy(out, &y, 32);
  } else if (bits == 2) {
    longs16 y = __builtin_convertvector(x, longs16);
    memcpy(out, &y, 16);
  } else {
    uint8_t wide[64];
    for (int j = 0; j < 8; ++j) memcpy(wide + j * bits, (uint64_t[]){x[j]}, 8);
    memcpy(out, wide, 8 * (size_t)bits);
  }
}

// Reads 8 * bits bytes.
INLINE void unpack64(const uint8_t *packed, int low, int bits, int8_t *codes) {
  longs x;
  if (bits == 8) {
    memcpy(&x, packed, 64);
  } else if (bits == 4) {
    longs32 y;
    memcpy(&y, packed, 32);
    x = __builtin_convertvector(y, longs);
  } else if (bits == 2) {
    longs16 y;
    memcpy(&y, packed, 16);
    x = __builtin_convertvector(y, longs);
  } else {
    uint8_t wide[64] = {0};
    memcpy(wide, packed, 8 * (size_t)bits);
    for (int j = 0; j < 8; ++j) {
      uint64_t word;
      memcpy(&word, wide + j * bits, 8);
      x[j] = word;  // the masks of parted drop what is above 8 * bits
    }
  }
  if (bits < 8) {
    x = parted(x, 4 * bits, 32, FIELDS(4 * bits, 1));
    x = parted(x, 2 * bits, 16, FIELDS(2 * bits, 0x0000000100000001));
    x = parted(x, bits, 8, FIELDS(bits, 0x0001000100010001));
  }
  bytes64 code = __builtin_bit_cast(bytes64, x) + (uint8_t)low;
  memcpy(codes, &code, 64);
}

INLINE void pack_bits(const int8_t *codes, int low, int bits, uint8_t *out, size_t n) {
  size_t i = 0;
  for (; n - i >= 64; i += 64) pack64(codes + i, low, bits, out + i / 8 * (size_t)bits);
  if (i == n) return;
  int8_t rest[64];
  uint8_t packed[64];
  memset(rest, low, sizeof rest);
  memcpy(rest, codes + i, n - i);
  pack64(rest, low, bits, packed);
  memcpy(out + i / 8 * (size_t)bits, packed, ((n - i) * (size_t)bits + 7) / 8);
}

INLINE void unpack_bits(const uint8_t *packed, int low, int bits, int8_t *codes, size_t n) {
  size_t i = 0;
  for (; n - i >= 64; i += 64) unpack64(packed + i / 8 * (size_t)bits, low, bits, codes + i);
  if (i == n) return;
  uint8_t rest[64] = {0};
  int8_t unpacked[64];
  memcpy(rest, packed + i / 8 * (size_t)bits, ((n - i) * (size_t)bits + 7) / 8);
  unpack64(rest, low, bits, unpacked);
  memcpy(codes + i, unpacked, n - i);
}

#define FOR_BITS(call)          \
  switch (bits) {               \
    case 1: call(1); break;     \
    case 2: call(2); break;     \
    case 3: call(3); break;     \
    case 4: call(4); break;     \
    case 5: call(5); break;     \
    case 6: call(6); break;     \
    case 7: call(7); break;     \
    case 8: call(8); break;     \
  }

static void KERNEL(pack)(const int8_t *codes, int low, int bits, uint8_t *out, size_t n) {
#define PACK(bits) pack_bits(codes, low, bits, out, n)
  FOR_BITS(PACK)
#undef PACK
}

static void KERNEL(unpack)(const uint8_t *packed, int low, int bits, int8_t *codes, size_t n) {
#define UNPACK(bits) unpack_bits(packed, low, bits, codes, n)
  FOR_BITS(UNPACK)
#undef UNPACK
}
