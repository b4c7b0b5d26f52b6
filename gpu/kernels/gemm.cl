/*
 * Products: y[r][o] = sum over i of x[r][i]*w[o][i], for rows of x, y dense with
 * outs columns. x and w have rows of depth numbers, a multiple of 16, padded with
 * zeros. Every element of y is added up by one thread in the order of i: so it
 * depends neither on the number of rows nor on how a matrix was cut, and with fused
 * multiply-adds it has the bits that package gemm gives.
 *
 * A work-group makes 64x128 of y; it brings 16 columns of x and w at a time to
 * local memory, as float32 and transposed.
 */
#ifdef HAS_FMA
#define MULADD(a, b, c) FMA(a, b, c)
#else
#define MULADD(a, b, c) ((a) * (b) + (c))
#endif

#define GEMM_ROWS 64u
#define GEMM_OUTS 128u
#define GEMM_STEP 16u
#define X_STEP 17u /* float4 of a row in local memory: 64 numbers and 4 that keep banks apart */
#define W_STEP 33u

/* load_eight reads eight weights from column c of row o. */
INLINE void load_eight(int elem, float *v, GLOBAL const u32 *w, GLOBAL const float *scales, u64 at, u32 c, u32 tileCols) {
  if (elem == F32) {
    uint4 a = ((GLOBAL const uint4 *)w)[at / 4u], b = ((GLOBAL const uint4 *)w)[at / 4u + 1u];
    v[0] = U2F(a.x);
    v[1] = U2F(a.y);
    v[2] = U2F(a.z);
    v[3] = U2F(a.w);
    v[4] = U2F(b.x);
    v[5] = U2F(b.y);
    v[6] = U2F(b.z);
    v[7] = U2F(b.w);
  } else if (elem == BF16) {
    uint4 a = ((GLOBAL const uint4 *)w)[at / 8u];
    v[0] = U2F(a.x << 16);
    v[1] = U2F(a.x & 0xffff0000u);
    v[2] = U2F(a.y << 16);
    v[3] = U2F(a.y & 0xffff0000u);
    v[4] = U2F(a.z << 16);
    v[5] = U2F(a.z & 0xffff0000u);
    v[6] = U2F(a.w << 16);
    v[7] = U2F(a.w & 0xffff0000u);
  } else if (elem == F16) {
    uint4 a = ((GLOBAL const uint4 *)w)[at / 8u];
    u32 pairs[4];
    pairs[0] = a.x, pairs[1] = a.y, pairs[2] = a.z, pairs[3] = a.w;
    UNROLL
    for (u32 i = 0; i < 8u; i++) {
      u32 p = (pairs[i / 2u] >> (16u * (i & 1u))) & 0xffffu;
      u32 magnitude = (p & 0x7c00u) == 0x7c00u ? INF | (p & 0x3ffu) << 13 : F2U(f16_value(p));
      v[i] = U2F((p & 0x8000u) << 16 | magnitude);
    }
  } else {
    uint2 a = ((GLOBAL const uint2 *)w)[at / 8u];
    u32 bits[8];
    four_products(bits, a.x, scales, c, tileCols);
    four_products(bits + 4, a.y, scales, c + 4u, tileCols);
    UNROLL
    for (u32 i = 0; i < 8u; i++) v[i] = U2F(bits[i]);
  }
}

INLINE void gemm(int elem, GLOBAL const float *x, GLOBAL const u32 *w, GLOBAL float *y, GLOBAL const float *scales,
                 GLOBAL const u32 *rowOf, u32 rows, u32 outs, u32 depth, u32 gridCols, u32 tileCols, u32 col0,
                 LOCAL float4 *xs, LOCAL float4 *ws) {
  u32 lid = LID, across = (outs + GEMM_OUTS - 1u) / GEMM_OUTS;
  u32 row0 = GID / across * GEMM_ROWS, out0 = GID % across * GEMM_OUTS;
  u32 xr = row0 + lid / 4u, xc = (lid & 3u) * 4u; /* what this thread brings of x */
  u32 wr = out0 + lid / 2u, wc = (lid & 1u) * 8u; /* and of w */
  u32 tx = lid & 15u, ty = lid / 16u;             /* and makes of y */
  LOCAL float *xl = (LOCAL float *)xs, *wl = (LOCAL float *)ws;
  GLOBAL const float *row_scales = scales;
  if (elem == E4M3 && wr < outs) row_scales = scales + (u64)rowOf[wr] * gridCols;
  float acc[4][8];
  UNROLL
  for (u32 i = 0; i < 4u; i++) {
    UNROLL
    for (u32 j = 0; j < 8u; j++) acc[i][j] = 0.0f;
  }
  for (u32 k0 = 0; k0 < depth; k0 += GEMM_STEP) {
    float4 a;
    float b[8];
    a.x = a.y = a.z = a.w = 0.0f;
    UNROLL
    for (u32 j = 0; j < 8u; j++) b[j] = 0.0f;
    if (xr < rows) a = ((GLOBAL const float4 *)x)[((u64)xr * depth + k0 + xc) / 4u];
    if (wr < outs) load_eight(elem, b, w, row_scales, (u64)wr * depth + k0 + wc, col0 + k0 + wc, tileCols);
    BARRIER; /* all are done with the last step */
    xl[(xc + 0u) * X_STEP * 4u + lid / 4u] = a.x;
    xl[(xc + 1u) * X_STEP * 4u + lid / 4u] = a.y;
    xl[(xc + 2u) * X_STEP * 4u + lid / 4u] = a.z;
    xl[(xc + 3u) * X_STEP * 4u + lid / 4u] = a.w;
    UNROLL
    for (u32 j = 0; j < 8u; j++) wl[(wc + j) * W_STEP * 4u + lid / 2u] = b[j];
    BARRIER;
    UNROLL
    for (u32 k = 0; k < GEMM_STEP; k++) {
      float4 p = xs[k * X_STEP + ty], q0 = ws[k * W_STEP + tx], q1 = ws[k * W_STEP + 16u + tx];
      float pv[4], qv[8];
      pv[0] = p.x, pv[1] = p.y, pv[2] = p.z, pv[3] = p.w;
      qv[0] = q0.x, qv[1] = q0.y, qv[2] = q0.z, qv[3] = q0.w;
      qv[4] = q1.x, qv[5] = q1.y, qv[6] = q1.z, qv[7] = q1.w;
      UNROLL
      for (u32 i = 0; i < 4u; i++) {
        UNROLL
        for (u32 j = 0; j < 8u; j++) acc[i][j] = MULADD(pv[i], qv[j], acc[i][j]);
      }
    }
  }
  UNROLL
  for (u32 i = 0; i < 4u; i++) {
    u32 r = row0 + ty * 4u + i;
    UNROLL
    for (u32 j = 0; j < 8u; j++) {
      u32 o = out0 + tx * 4u + (j & 3u) + (j / 4u) * 64u;
      if (r < rows && o < outs) y[(u64)r * outs + o] = acc[i][j];
    }
  }
}

#define GEMM(name, elem)                                                                                                 \
  KERNEL(3) void name(GLOBAL const float *RESTRICT x, GLOBAL const u32 *RESTRICT w, GLOBAL float *RESTRICT y,            \
                   GLOBAL const float *RESTRICT scales, GLOBAL const u32 *RESTRICT rowOf, u32 rows, u32 outs, u32 depth, \
                   u32 gridCols, u32 tileCols, u32 col0) {                                                               \
    LOCAL_ARRAY(float4, xs, GEMM_STEP *X_STEP);                                                                          \
    LOCAL_ARRAY(float4, ws, GEMM_STEP *W_STEP);                                                                          \
    gemm(elem, x, w, y, scales, rowOf, rows, outs, depth, gridCols, tileCols, col0, xs, ws);                             \
  }

GEMM(gemm_bf16, BF16)
GEMM(gemm_f16, F16)
GEMM(gemm_f32, F32)
GEMM(gemm_e4m3, E4M3)
