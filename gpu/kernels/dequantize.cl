/*
 * Codes to numbers. rowOf says which row of scales each row of the matrix has;
 * column c belongs to scale (col0+c)/tileCols of that row. A thread takes four
 * codes side by side; rows are stride apart, a multiple of 4, in codes and dst.
 * A NaN code gives a NaN of its sign, whatever its scale.
 */
INLINE u32 product_bits(u32 code, float s) {
  if ((code & 0x7fu) == 0x7fu) return 0x7fc00000u | (code & 0x80u) << 24;
  return F2U(e4m3_value(code) * s);
}

INLINE u32 bf16_bits(u32 b) { return (b & MAGNITUDE) > INF ? b >> 16 : bf16_round(U2F(b)); }

/* four_products multiplies the codes in four, from column c of a row on. */
INLINE void four_products(u32 *bits, u32 four, GLOBAL const float *scales, u32 c, u32 tileCols) {
  u32 j = c / tileCols;
  if (c + 3u < (j + 1u) * tileCols) {
    float s = scales[j];
    UNROLL
    for (u32 v = 0; v < 4u; v++) bits[v] = product_bits((four >> (8u * v)) & 0xffu, s);
  } else {
    for (u32 v = 0; v < 4u; v++) bits[v] = product_bits((four >> (8u * v)) & 0xffu, scales[(c + v) / tileCols]);
  }
}

#define DEQUANTIZE(name, elem)                                                                                           \
  KERNEL(8) void name(GLOBAL const u32 *RESTRICT codes, GLOBAL u32 *RESTRICT dst, GLOBAL const float *RESTRICT scales,   \
                   GLOBAL const u32 *RESTRICT rowOf, u32 stride, u32 rows, u32 gridCols, u32 tileCols, u32 col0) {       \
    u32 bits[4], wide = stride / 4u;                                                                                     \
    u64 at = (u64)GID * GROUP + LID;                                                                                     \
    if (at >= (u64)rows * wide) return;                                                                                  \
    u32 r = (u32)(at / wide), c = (u32)(at % wide) * 4u;                                                                 \
    four_products(bits, codes[at], scales + (u64)rowOf[r] * gridCols, col0 + c, tileCols);                               \
    if (elem == F32) {                                                                                                   \
      uint4 v;                                                                                                           \
      v.x = bits[0];                                                                                                     \
      v.y = bits[1];                                                                                                     \
      v.z = bits[2];                                                                                                     \
      v.w = bits[3];                                                                                                     \
      ((GLOBAL uint4 *)dst)[at] = v;                                                                                     \
    } else {                                                                                                             \
      uint2 v;                                                                                                           \
      v.x = bf16_bits(bits[0]) | bf16_bits(bits[1]) << 16;                                                               \
      v.y = bf16_bits(bits[2]) | bf16_bits(bits[3]) << 16;                                                               \
      ((GLOBAL uint2 *)dst)[at] = v;                                                                                     \
    }                                                                                                                    \
  }

DEQUANTIZE(dequantize_bf16, BF16)
DEQUANTIZE(dequantize_f32, F32)
