/*
 * What the device's arithmetic is like, for the test at start: for each pair, both
 * ways to the quotient, the product and the sum.
 */
KERNEL(8) void probe(GLOBAL const float *RESTRICT a, GLOBAL const float *RESTRICT b, GLOBAL float *RESTRICT out, u32 n) {
  u32 i = GID * GROUP + LID;
  if (i >= n) return;
  float x[4], y[4];
  UNROLL
  for (u32 v = 0; v < 4u; v++) x[v] = a[i];
  divide_four(F32, y, x, divisor_of(b[i]));
  out[4u * i] = quotient(a[i], b[i]);
  out[4u * i + 1u] = y[3];
  out[4u * i + 2u] = a[i] * b[i];
  out[4u * i + 3u] = a[i] + b[i];
}

/* What the device's memory can do, for benchmarks: n blocks of 16 bytes. */
KERNEL(8) void copy(GLOBAL const uint4 *RESTRICT src, GLOBAL uint4 *RESTRICT dst, u32 n) {
  u32 i = GID * GROUP + LID;
  if (i < n) dst[i] = src[i];
}
