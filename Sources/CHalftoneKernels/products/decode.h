// SPDX-License-Identifier: MIT
// Packed blocks become bytes: one vector of 64 for each step of four columns.

typedef uint16_t words64 __attribute__((ext_vector_type(32)));

// What the codes of a matrix are, constant where the functions that take it are inlined.
typedef struct {
  int bits;
  int table;  // whether codes are looked up
} code_kind;

INLINE bytes64 load64(const void *a) {
  bytes64 x;
  memcpy(&x, a, sizeof x);
  return x;
}

// Bits from `low` on move to bit `to`; `mask` cuts off what came from neighbouring bytes.
INLINE bytes64 field(bytes64 x, int low, int to, uint8_t mask) {
  words64 wide = __builtin_bit_cast(words64, x);
  if (low > to) wide >>= (uint16_t)(low - to);
  if (low < to) wide <<= (uint16_t)(to - low);
  return __builtin_bit_cast(bytes64, wide) & (bytes64)mask;
}

// Adds the plane of `width` bits at `plane`, worth 2^to, to the steps. Returns what follows it.
INLINE const uint8_t *add_plane(const uint8_t *plane, const int width, const int to,
                                bytes64 steps[block_steps]) {
  const int per_vector = 8 / width;
  const uint8_t mask = (uint8_t)(((1 << width) - 1) << to);
#pragma clang loop unroll(full)
  for (int s = 0; s < block_steps; ++s) {
    bytes64 part = load64(plane + s / per_vector * step_bytes);
    if (width < 8) part = field(part, s % per_vector * width, to, mask);
    steps[s] = to ? steps[s] | part : part;
  }
  return plane + block_steps / per_vector * step_bytes;
}

INLINE void decode_block(const uint8_t *block, const code_kind kind, bytes64 table,
                         bytes64 steps[block_steps]) {
  const int high = kind.bits == 3 || kind.bits == 5 ? 1 : kind.bits == 6 ? 2 : 0;
  block = add_plane(block, kind.bits - high, 0, steps);
  if (high) add_plane(block, high, kind.bits - high, steps);
  if (kind.table)
    for (int s = 0; s < block_steps; ++s) steps[s] = looked_up(steps[s], table);
}

// Whether values may not fit seven bits.
INLINE int is_wide(code_kind kind) { return kind.table || kind.bits == 8; }

// The same as dot4 takes them: signed weights are 128 less where they are wide.
INLINE void decode_weights(const uint8_t *block, const code_kind kind, bytes64 table,
                           bytes64 steps[block_steps]) {
  decode_block(block, kind, table, steps);
  if (SIGNED_WEIGHTS && is_wide(kind))
    for (int s = 0; s < block_steps; ++s) steps[s] ^= (bytes64)(uint8_t)0x80;
}

// The table four times over, as byte shuffles within 128 bits want it.
INLINE bytes64 wide_table(const halftone_matrix *w) {
  bytes64 table = 0;
  if (!w->table) return table;
  uint8_t four[64];
  for (size_t i = 0; i < 64; ++i) four[i] = w->table[i % 16];
  return load64(four);
}

// What is subtracted from what decode_weights gives.
INLINE int32_t zero_of(const halftone_matrix *w) {
  return w->zero - (SIGNED_WEIGHTS && (w->table || w->bits == 8) ? 128 : 0);
}

// Runs the statement with a constant `kind`.
#define FOR_KIND(w, ...)                                                              \
  do {                                                                                \
    if ((w)->table) {                                                                 \
      const code_kind kind = {4, 1};                                                  \
      __VA_ARGS__                                                                     \
    } else if ((w)->bits == 2) {                                                      \
      const code_kind kind = {2, 0};                                                  \
      __VA_ARGS__                                                                     \
    } else if ((w)->bits == 3) {                                                      \
      const code_kind kind = {3, 0};                                                  \
      __VA_ARGS__                                                                     \
    } else if ((w)->bits == 4) {                                                      \
      const code_kind kind = {4, 0};                                                  \
      __VA_ARGS__                                                                     \
    } else if ((w)->bits == 5) {                                                      \
      const code_kind kind = {5, 0};                                                  \
      __VA_ARGS__                                                                     \
    } else if ((w)->bits == 6) {                                                      \
      const code_kind kind = {6, 0};                                                  \
      __VA_ARGS__                                                                     \
    } else {                                                                          \
      const code_kind kind = {8, 0};                                                  \
      __VA_ARGS__                                                                     \
    }                                                                                 \
  } while (0)
