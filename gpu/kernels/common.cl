/*
 * The kernels of quern: one source that compiles as OpenCL C 1.2 and as CUDA C++.
 * The files are joined in the order common, quantize, dequantize, gemm, probe.
 *
 * Quantizing and dequantizing give the bits that package fp8 gives. So every
 * operation here is one that IEEE 754 binary32 has one answer for, products are
 * rounded before they are added (the compiler must fuse none: FP_CONTRACT OFF here,
 * -fmad=false when PTX is made), and sums are added in the order that fp8/doc.go
 * fixes.
 *
 * Every kernel runs in work-groups of 256 along one dimension.
 */
#ifdef __OPENCL_VERSION__
#pragma OPENCL FP_CONTRACT OFF
#define KERNEL(groups) __kernel __attribute__((reqd_work_group_size(256, 1, 1)))
#define INLINE static inline
#define GLOBAL __global
#define LOCAL __local
#define CONSTANT __constant
#define LOCAL_ARRAY(type, name, n) __local type name[n]
#define RESTRICT restrict
#define LID ((u32)get_local_id(0))
#define GID ((u32)get_group_id(0))
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define F2U(x) as_uint(x)
#define U2F(x) as_float(x)
#define CLZ(x) ((int)clz(x))
#define ATOMIC_ADD(p, x) atomic_add(p, x)
#ifdef ROLLED /* PoCL takes long to compile loops that are unrolled */
#define UNROLL
#else
#define UNROLL _Pragma("unroll")
#endif
#define FMA(a, b, c) fma(a, b, c)
#if defined(FP_FAST_FMAF) && !defined(HAS_FMA) /* the host may have said it */
#define HAS_FMA
#endif
typedef uchar u8;
typedef uint u32;
typedef ulong u64;
#else
#define KERNEL(groups) extern "C" __global__ __launch_bounds__(256, groups) /* at once on a multiprocessor */
#define INLINE static __device__ __forceinline__
#define GLOBAL
#define LOCAL
#define CONSTANT static __constant__
#define LOCAL_ARRAY(type, name, n) __shared__ type name[n]
#define RESTRICT __restrict__
#define LID ((u32)threadIdx.x)
#define GID ((u32)blockIdx.x)
#define BARRIER __syncthreads()
#define F2U(x) __float_as_uint(x)
#define U2F(x) __uint_as_float(x)
#define CLZ(x) __clz(x)
#define ATOMIC_ADD(p, x) atomicAdd(p, x)
#define UNROLL _Pragma("unroll")
#define FMA(a, b, c) fmaf(a, b, c)
#define HAS_FMA
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
#endif

#if defined(HAS_FMA) && !defined(SOFT_DIVISION)
#define FAST_DIVISION
#endif

#define TILE 128u
#define GROUP 256u

#define BF16 0
#define F16 1
#define F32 2
#define E4M3 3

#define INF 0x7f800000u
#define MAGNITUDE 0x7fffffffu
#define MIN_NORMAL 1.1754943508222875e-38f /* 2^-126 */

INLINE u32 larger(u32 a, u32 b) { return a > b ? a : b; }

/*
 * quotient is a/b, rounded to nearest even, for finite a >= 0 and normal b > 0.
 *
 * SOFT_DIVISION is for devices that do not divide so. Both significands are
 * brought to 24 bits; then mx/my lies between 1/2 and 2, and the integer quotient
 * of mx*2^26 by my has 26 or 27 bits, to which a bit is added that says whether
 * there was a remainder. The significand of the result and the bit below it are
 * among the upper 25; so that it lies above, below or at the middle of two
 * neighbours is decided exactly, in normal and in subnormal results, in which
 * more bits are cut off.
 */
#ifdef SOFT_DIVISION
INLINE float quotient(float a, float b) {
  u32 x = F2U(a), y = F2U(b);
  if (x == 0u) return 0.0f;
  int ex = (int)(x >> 23), e;
  u32 mx = x & 0x7fffffu, my = (y & 0x7fffffu) | 0x800000u;
  if (ex == 0) {
    int n = CLZ(mx) - 8;
    mx <<= n;
    ex = 1 - n;
  } else {
    mx |= 0x800000u;
  }
  u64 num = (u64)mx << 26;
  u64 q64 = num / my;
  u32 q = (u32)q64 | (u32)(q64 * my != num);
  e = ex - (int)(y >> 23) + 127; /* biased exponent, were q 27 bits long */
  if (q < 1u << 26) {
    q <<= 1;
    e -= 1;
  }
  if (e >= 255) return U2F(INF);
  u32 cut = 3u;
  if (e <= 0) { /* subnormal */
    cut += (u32)(1 - e);
    e = 1;
    if (cut > 27u) return 0.0f; /* less than half of the least number */
  }
  u32 m = q >> cut, rest = q & ((1u << cut) - 1u), half_ = 1u << (cut - 1u);
  m += (u32)(rest > half_ || (rest == half_ && (m & 1u)));
  /* The leading bit of m adds 1 to the exponent where it is there, and so does a
   * carry out of the significand. */
  return U2F(((u32)(e - 1) << 23) + m);
}
#else
#ifdef __OPENCL_VERSION__
INLINE float quotient(float a, float b) { return a / b; }
#else
INLINE float quotient(float a, float b) { return __fdiv_rn(a, b); }
#endif
#endif

/*
 * divisor is what dividing many numbers by one needs: the number and, where it is
 * of middling size, its reciprocal r, rounded to nearest.
 *
 * Then x/s is correctly rounded with fused multiply-adds alone: q = x*r is off by
 * two units in the last place at most, a step q + r*(x - q*s) brings that below
 * one, and for such a q and RN(1/s) the next step gives RN(x/s) (Markstein 1990;
 * Muller et al., Handbook of Floating-Point Arithmetic, on division with an FMA).
 * For x of 11 bits, which BF16 and F16 weights are, one step is enough: that was
 * tried for all pairs of significands. All of it as long as nothing under- or
 * overflows: s lies between 2^-60 and 2^60, x is at least 2^-60 and at most
 * 2^10*s. Smaller x take the long way.
 */
typedef struct {
  float s, r, least;
} divisor;

INLINE divisor divisor_of(float s) {
  divisor d;
  d.s = s;
  d.r = 0.0f;
  d.least = U2F(INF); /* all take the long way */
#ifdef FAST_DIVISION
  if (s >= 8.673617379884035e-19f && s <= 1.152921504606847e18f) {
    d.r = quotient(1.0f, s);
    d.least = 8.673617379884035e-19f; /* 2^-60 */
  }
#endif
  return d;
}

/* divide_four is x/s for four x of a type, rounded to nearest even; x is finite and
 * lies between 0 and 2^10*s. */
INLINE void divide_four(int elem, float *y, const float *x, divisor d) {
#ifdef FAST_DIVISION
  float low = x[0];
  UNROLL
  for (u32 v = 1; v < 4u; v++) low = x[v] < low ? x[v] : low;
  if (low >= d.least) {
    UNROLL
    for (u32 v = 0; v < 4u; v++) {
      float q = x[v] * d.r;
      if (elem == F32) q = FMA(FMA(-q, d.s, x[v]), d.r, q);
      y[v] = FMA(FMA(-q, d.s, x[v]), d.r, q);
    }
    return;
  }
#endif
  UNROLL
  for (u32 v = 0; v < 4u; v++) y[v] = quotient(x[v], d.s);
}

/* f16_value is the magnitude of a finite IEEE binary16 pattern: its bits are the
 * upper bits of the value times 2^-112, and that product is exact. */
INLINE float f16_value(u32 p) { return U2F((p & 0x7fffu) << 13) * 5.192296858534828e33f; }

/* e4m3_value is the value of an E4M3 code; of a NaN code, +-480. The bits of the
 * code are the upper bits of the value times 2^-120: that product is exact. */
INLINE float e4m3_value(u32 code) {
  return U2F((code & 0x80u) << 24 | (code & 0x7fu) << 20) * 1.329227995784916e36f;
}

/* bf16_round is the BF16 pattern nearest to x, which is no NaN. */
INLINE u32 bf16_round(float x) {
  u32 b = F2U(x);
  return (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
}
