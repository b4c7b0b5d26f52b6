/*
 * Tiles. A work-group takes one tile of 128x128. Its threads are 64 rows of 4;
 * a thread has, of two rows that are 64 apart, 4 columns in each of 8 blocks of
 * 16 columns: 64 weights. So each thread adds up 4 of the 16 lanes of its rows in
 * the order of columns, as fp8/doc.go asks, and what a row's threads read and
 * write lies side by side.
 *
 * Rows of the source and of the codes are stride elements apart, a multiple of 4;
 * what lies between a row's end and that is zero. Tiles of the edge are padded
 * with zeros, which changes no sum.
 */

/* flags */
#define UE8M0 1u    /* scales are powers of two */
#define SEARCH 2u   /* look for the scale with the least squared error */
#define WEIGHTED 4u /* factors has a number for each column */
#define GIVEN 8u    /* the scales are in stats already */

/* stats: 8 words a tile: scale, sum of squares, of errors, largest error, counts
 * of saturated, subnormal and zero codes, and these: */
#define STATS 8u
#define ZERO_TILE 1u
#define NON_FINITE 2u

#define CANDIDATES 20u
/* Distances in local memory that keep a warp's accesses on different banks. */
#define LANE_STEP 130u
#define SUM_STEP 129u

/* absmax*2^(k/16) and the factor 2^(k/8) of its cost, in the order of preference;
 * see fp8/search.go. The last three are those of UE8M0. */
CONSTANT float candidates[2u * (CANDIDATES + 3u)] = {
    1.0f,                    1.0f,
    0.95760328069857364694f, 0.91700404320467123174f,
    1.04427378242741384032f, 1.09050773266525765921f,
    0.91700404320467123174f, 0.84089641525371454303f,
    1.09050773266525765921f, 1.18920711500272106672f,
    0.87812608018664974156f, 0.77110541270397041181f,
    1.1387886347566916537f,  1.29683955465100966593f,
    0.84089641525371454303f, 0.7071067811865475244f,
    1.18920711500272106672f, 1.4142135623730950488f,
    1.24185781207348404859f, 1.54221082540794082361f,
    1.29683955465100966593f, 1.68179283050742908606f,
    1.3542555469368927283f,  1.83400808640934246349f,
    1.4142135623730950488f,  2.0f,
    1.47682614593949931139f, 2.18101546533051531841f,
    1.54221082540794082361f, 2.37841423000544213343f,
    1.61049033194925430818f, 2.59367910930201933187f,
    1.68179283050742908606f, 2.8284271247461900976f,
    1.75625216037329948311f, 3.08442165081588164722f,
    1.83400808640934246349f, 3.36358566101485817212f,
    1.91520656139714729387f, 3.66801617281868492697f,
    1.0f,                    1.0f,
    0.5f,                    0.25f,
    2.0f,                    4.0f,
};

/* words_of is how many words four weights take. */
INLINE u32 words_of(int elem) { return elem == F32 ? 4u : 2u; }

/* load_four reads four weights side by side, as they are stored: 16-bit ones lie
 * in x and y. Outside of the matrix they are zero. */
INLINE uint4 load_four(int elem, GLOBAL const u32 *at, int inside) {
  uint4 four;
  four.x = four.y = four.z = four.w = 0u;
  if (!inside) return four;
  if (elem == F32) return *(GLOBAL const uint4 *)at;
  uint2 two = *(GLOBAL const uint2 *)at;
  four.x = two.x;
  four.y = two.y;
  return four;
}

/* bits_of is the pattern of one of four weights. */
INLINE u32 bits_of(int elem, uint4 four, u32 v) {
  if (elem == F32) return v == 0u ? four.x : v == 1u ? four.y : v == 2u ? four.z : four.w;
  return ((v < 2u ? four.x : four.y) >> (16u * (v & 1u))) & 0xffffu;
}

/* value_of is the magnitude of a finite weight. */
INLINE float value_of(int elem, u32 bits) {
  if (elem == F32) return U2F(bits & MAGNITUDE);
  return elem == BF16 ? U2F((bits & 0x7fffu) << 16) : f16_value(bits);
}

/* top_of is the largest magnitude of four weights and top, as a pattern: these are
 * ordered as the numbers are. */
INLINE u32 top_of(int elem, uint4 four, u32 top) {
  UNROLL
  for (u32 v = 0; v < 4u; v++) top = larger(top, bits_of(elem, four, v) & (elem == F32 ? MAGNITUDE : 0x7fffu));
  return top;
}

/* amax_of is the value of such a pattern, as bits. */
INLINE u32 amax_of(int elem, u32 top) {
  if (elem == F16 && top >= 0x7c00u) return INF | (top & 0x3ffu) << 13;
  return F2U(value_of(elem, top));
}

/* group_max is the largest x of the work-group, for all its threads. */
INLINE u32 group_max(LOCAL u32 *red, u32 lid, u32 x) {
  red[lid] = x;
  BARRIER;
  if (lid < 16u) {
    for (u32 j = 1u; j < 16u; j++) x = larger(x, red[lid + 16u * j]);
    red[lid] = x;
  }
  BARRIER;
  for (u32 j = 0u; j < 16u; j++) x = larger(x, red[j]);
  BARRIER;
  return x;
}

/* scale_of is the scale of a tile whose largest magnitude has the bits amax. */
INLINE float scale_of(u32 amax, u32 flags) {
  if (amax == 0u) return 1.0f;
  float s = quotient(U2F(amax), 448.0f);
  if (!(s >= MIN_NORMAL)) s = MIN_NORMAL;
  if (flags & UE8M0) s = U2F((F2U(s) + 0x7fffffu) & ~0x7fffffu); /* any bit below carries */
  return s;
}

/*
 * e4m3_round rounds y >= 0 to E4M3 after clamping it to 448: the value, and the
 * code in *code. See roundE4M3 in fp8/e4m3.go: y + 2^(e+20) is y on the grid of
 * E4M3, whose steps the low bits of the sum count.
 */
INLINE float e4m3_round(float y, u32 *code) {
  u32 b = F2U(y);
  if (b > 0x43e00000u) b = 0x43e00000u;
  u32 e = larger(b & INF, 121u << 23);
  float m = U2F(e + (20u << 23));
  float t = U2F(b) + m;
  *code = F2U(t) - F2U(m) + ((e - (121u << 23)) >> 20);
  return t - m;
}

/* put_lanes stores a thread's four lanes of a row. */
INLINE void put_lanes(LOCAL float *lanes, u32 lane, u32 row, const float *sums) {
  UNROLL
  for (u32 v = 0; v < 4u; v++) lanes[(lane + v) * LANE_STEP + row] = sums[v];
}

/* join adds the lanes of a row. */
INLINE float join(LOCAL const float *lanes, u32 row) {
  float a[8];
  UNROLL
  for (u32 i = 0; i < 8u; i++) a[i] = lanes[i * LANE_STEP + row] + lanes[(i + 8u) * LANE_STEP + row];
  UNROLL
  for (u32 i = 0; i < 4u; i++) a[i] += a[i + 4u];
  return (a[0] + a[2]) + (a[1] + a[3]);
}

/* add_rows adds the sums of the rows in their order. */
INLINE float add_rows(LOCAL const float *sums) {
  float s = 0.0f;
  for (u32 r = 0; r < TILE; r++) s += sums[r];
  return s;
}

/*
 * The scale of each tile, into stats. With SEARCH it is the candidate around
 * absmax with the least cost, see fp8/search.go. The tile is read again for each
 * candidate: it lies in a cache, and the divisions take longer.
 */
INLINE void scale_tile(int elem, GLOBAL const u32 *src, GLOBAL u32 *stats, GLOBAL const float *factors, u32 stride,
                       u32 rows, u32 flags, LOCAL float *lanes, LOCAL float *sums, LOCAL u32 *red) {
  u32 lid = LID, across = (stride + TILE - 1u) / TILE, lane = (lid & 3u) * 4u, words = words_of(elem);
  u32 row = GID / across * TILE + lid / 4u, col = GID % across * TILE + lane;
  GLOBAL const u32 *line0 = src + ((u64)row * stride + col) / 4u * words, *line1 = line0 + (u64)stride * 16u * words;
  GLOBAL u32 *out = stats + GID * STATS;
  u32 top = 0u;
  for (u32 i = 0; i < 8u; i++) {
    int within = col + 16u * i < stride;
    top = top_of(elem, load_four(elem, line0 + i * 4u * words, within && row < rows), top);
    top = top_of(elem, load_four(elem, line1 + i * 4u * words, within && row + 64u < rows), top);
  }
  u32 amax = amax_of(elem, group_max(red, lid, top));
  float s = scale_of(amax, flags);
  u32 first = flags & UE8M0 ? CANDIDATES : 0u, count = flags & UE8M0 ? 3u : CANDIDATES;
  /* No barrier stands under a condition: PoCL 3.1 loses what follows. */
  if (!(flags & SEARCH) || amax == 0u || amax >= INF) count = 0u;
  for (u32 k = 0; k < count; k++) {
    float sk = s * candidates[2u * (first + k)];
    float er[8];
    divisor by = divisor_of(sk);
    UNROLL
    for (u32 v = 0; v < 8u; v++) er[v] = 0.0f;
    if (sk >= MIN_NORMAL) {
      for (u32 i = 0; i < 8u; i++) {
        u32 c = col + 16u * i, code;
        uint4 four[2];
        float4 f;
        four[0] = load_four(elem, line0 + i * 4u * words, c < stride && row < rows);
        four[1] = load_four(elem, line1 + i * 4u * words, c < stride && row + 64u < rows);
        f.x = f.y = f.z = f.w = 1.0f;
        if (flags & WEIGHTED && c < stride) f = ((GLOBAL const float4 *)factors)[c / 4u];
        UNROLL
        for (u32 p = 0; p < 2u; p++) {
          float x[4], y[4];
          UNROLL
          for (u32 v = 0; v < 4u; v++) x[v] = value_of(elem, bits_of(elem, four[p], v));
          divide_four(elem, y, x, by);
          UNROLL
          for (u32 v = 0; v < 4u; v++) {
            float d = y[v] - e4m3_round(y[v], &code);
            float dd = d * d;
            float weighted = dd * (v == 0u ? f.x : v == 1u ? f.y : v == 2u ? f.z : f.w);
            er[p * 4u + v] += weighted;
          }
        }
      }
    }
    LOCAL float *turn = lanes + (k & 1u) * 16u * LANE_STEP; /* two sets by turns: one barrier a candidate */
    put_lanes(turn, lane, lid / 4u, er);
    put_lanes(turn, lane, lid / 4u + 64u, er + 4);
    BARRIER;
    if (lid < TILE) sums[k * SUM_STEP + lid] = join(turn, lid);
  }
  BARRIER;
  if (lid < count) {
    float cost = candidates[2u * (first + lid) + 1u] * add_rows(sums + lid * SUM_STEP);
    red[lid] = s * candidates[2u * (first + lid)] >= MIN_NORMAL ? F2U(cost) : INF;
  }
  BARRIER;
  if (lid == 0u) {
    float best = s;
    u32 least = INF; /* costs are >= 0: ordered as their bits */
    for (u32 k = 0; k < count; k++) {
      if (red[k] < least) {
        least = red[k];
        best = s * candidates[2u * (first + k)];
      }
    }
    out[0] = amax >= INF ? 0x7fc00000u : F2U(best);
    for (u32 i = 1u; i < STATS; i++) out[i] = 0u;
  }
}

#define SCALE(name, elem)                                                                                                \
  KERNEL(3) void name(GLOBAL const u32 *RESTRICT src, GLOBAL u32 *RESTRICT stats, GLOBAL const float *RESTRICT factors,  \
                   u32 stride, u32 rows, u32 flags) {                                                                    \
    LOCAL_ARRAY(float, lanes, 2u * 16u * LANE_STEP);                                                                     \
    LOCAL_ARRAY(float, sums, CANDIDATES *SUM_STEP);                                                                      \
    LOCAL_ARRAY(u32, red, GROUP);                                                                                        \
    scale_tile(elem, src, stats, factors, stride, rows, flags, lanes, sums, red);                                        \
  }

SCALE(scale_bf16, BF16)
SCALE(scale_f16, F16)
SCALE(scale_f32, F32)

/*
 * Codes and statistics, and without GIVEN the scales of absmax. The tile is read
 * once and stays in registers.
 */
INLINE void quantize_tile(int elem, GLOBAL const u32 *src, GLOBAL u32 *codes, GLOBAL u32 *stats, u32 stride, u32 rows,
                          u32 flags, LOCAL float *lanes, LOCAL float *sums, LOCAL u32 *red, LOCAL u32 *counts) {
  u32 lid = LID, across = (stride + TILE - 1u) / TILE, lane = (lid & 3u) * 4u, words = words_of(elem);
  u32 row = GID / across * TILE + lid / 4u, col = GID % across * TILE + lane;
  u64 at = ((u64)row * stride + col) / 4u;
  GLOBAL u32 *out = stats + GID * STATS;
  uint4 four[16];
  u32 top = 0u;
  UNROLL
  for (u32 p = 0; p < 2u; p++) {
    GLOBAL const u32 *line = src + (at + (u64)stride * 16u * p) * words;
    UNROLL
    for (u32 i = 0; i < 8u; i++) {
      int inside = row + p * 64u < rows && col + i * 16u < stride;
      four[p * 8u + i] = load_four(elem, line + i * 4u * words, inside);
      top = top_of(elem, four[p * 8u + i], top);
    }
  }
  if (lid < 3u) counts[lid] = 0u;
  u32 amax = amax_of(elem, group_max(red, lid, top));
  /* Of a tile that is not finite nothing is asked but that. */
  float s = flags & GIVEN ? U2F(out[0]) : scale_of(amax, flags);
  divisor by = divisor_of(s);
  u32 worst = 0u, saturated = 0u, subnormal = 0u, zero = 0u;
  UNROLL
  for (u32 p = 0; p < 2u; p++) {
    float sq[4], er[4];
    GLOBAL u32 *line = codes + at + (u64)stride * 16u * p;
    UNROLL
    for (u32 v = 0; v < 4u; v++) sq[v] = er[v] = 0.0f;
    UNROLL
    for (u32 i = 0; i < 8u; i++) {
      u32 packed = 0u, rare = 0u, code[4];
      float x[4], y[4];
      UNROLL
      for (u32 v = 0; v < 4u; v++) x[v] = value_of(elem, bits_of(elem, four[p * 8u + i], v));
      divide_four(elem, y, x, by);
      UNROLL
      for (u32 v = 0; v < 4u; v++) {
        float d = U2F(F2U(y[v] - e4m3_round(y[v], &code[v])) & MAGNITUDE);
        float yy = y[v] * y[v], dd = d * d;
        sq[v] += yy;
        er[v] += dd;
        worst = larger(worst, F2U(d));
        rare |= (u32)(code[v] - 8u >= 0x76u); /* 0 to 7, or 448 */
        u32 sign = (bits_of(elem, four[p * 8u + i], v) >> (elem == F32 ? 24 : 8)) & 0x80u;
        packed |= (code[v] | sign) << (8u * v);
      }
      if (rare) {
        UNROLL
        for (u32 v = 0; v < 4u; v++) {
          saturated += (u32)(y[v] > 464.0f);
          subnormal += (u32)(code[v] - 1u < 7u);
          zero += (u32)(code[v] == 0u && x[v] != 0.0f);
        }
      }
      if (row + p * 64u < rows && col + i * 16u < stride) line[i * 4u] = packed;
    }
    put_lanes(lanes, lane, lid / 4u + p * 64u, sq);
    put_lanes(lanes + 16u * LANE_STEP, lane, lid / 4u + p * 64u, er);
  }
  if (saturated) ATOMIC_ADD(&counts[0], saturated);
  if (subnormal) ATOMIC_ADD(&counts[1], subnormal);
  if (zero) ATOMIC_ADD(&counts[2], zero);
  worst = group_max(red, lid, worst);
  u32 which = lid / TILE; /* 0: squares, 1: errors */
  sums[which * SUM_STEP + lid % TILE] = join(lanes + which * 16u * LANE_STEP, lid % TILE);
  BARRIER;
  if (lid == TILE) out[2] = F2U(add_rows(sums + SUM_STEP));
  if (lid == 0u) {
    out[0] = F2U(s);
    out[1] = F2U(add_rows(sums));
    out[3] = worst;
    out[4] = counts[0];
    out[5] = counts[1];
    out[6] = counts[2];
    out[7] = amax >= INF ? NON_FINITE : amax == 0u ? ZERO_TILE : 0u;
  }
}

#define QUANTIZE(name, elem, groups)                                                                                     \
  KERNEL(groups) void name(GLOBAL const u32 *RESTRICT src, GLOBAL u32 *RESTRICT codes, GLOBAL u32 *RESTRICT stats, u32 stride,\
                   u32 rows, u32 flags) {                                                                                \
    LOCAL_ARRAY(float, lanes, 2u * 16u * LANE_STEP);                                                                     \
    LOCAL_ARRAY(float, sums, 2u * SUM_STEP);                                                                             \
    LOCAL_ARRAY(u32, red, GROUP);                                                                                        \
    LOCAL_ARRAY(u32, counts, 4);                                                                                         \
    quantize_tile(elem, src, codes, stats, stride, rows, flags, lanes, sums, red, counts);                               \
  }

QUANTIZE(quantize_bf16, BF16, 3)
QUANTIZE(quantize_f16, F16, 3)
QUANTIZE(quantize_f32, F32, 2)

/* The largest magnitude of each tile, as bits. */
INLINE void amax_tile(int elem, GLOBAL const u32 *src, GLOBAL u32 *amax, u32 stride, u32 rows, LOCAL u32 *red) {
  u32 lid = LID, across = (stride + TILE - 1u) / TILE, top = 0u;
  u32 row = GID / across * TILE + lid / 4u, col = GID % across * TILE + (lid & 3u) * 4u, words = words_of(elem);
  UNROLL
  for (u32 p = 0; p < 2u; p++) {
    GLOBAL const u32 *line = src + ((u64)(row + p * 64u) * stride + col) / 4u * words;
    UNROLL
    for (u32 i = 0; i < 8u; i++) {
      int inside = row + p * 64u < rows && col + i * 16u < stride;
      top = top_of(elem, load_four(elem, line + i * 4u * words, inside), top);
    }
  }
  top = amax_of(elem, group_max(red, lid, top));
  if (lid == 0u) amax[GID] = top;
}

#define AMAX(name, elem)                                                                                                 \
  KERNEL(4) void name(GLOBAL const u32 *RESTRICT src, GLOBAL u32 *RESTRICT amax, u32 stride, u32 rows) {                 \
    LOCAL_ARRAY(u32, red, GROUP);                                                                                        \
    amax_tile(elem, src, amax, stride, rows, red);                                                                       \
  }

AMAX(amax_bf16, BF16)
AMAX(amax_f16, F16)
AMAX(amax_f32, F32)
