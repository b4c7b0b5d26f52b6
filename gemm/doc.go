// Package gemm multiplies float32 activations by weight matrices in the form in
// which checkpoints store them: BF16, F16, F32, or E4M3 with block scales; row-major
// [out, in] or transposed.
//
// [Mul] is for many rows of activations (evaluation): weights are dequantized
// while they are packed into panels that stay in the first-level cache, and tiles
// of the output are kept in registers. [MulFew] is for one to eight rows (token
// generation): weights are read once, straight from where they lie.
//
// # Reproducible to the bit
//
// An output is a sum of float32 fused multiply-adds in a fixed order: one chain in
// [Mul], 16 lanes in [MulFew]. So results depend neither on the machine nor on the
// path, the number of workers, the block sizes or the other rows of a call. The
// chains of a long sum wait in memory between two blocks of inputs, which changes
// nothing. A weight is its code's value times its scale, rounded once, the same
// float32 number that fp8.Dequantize gives. Results that are NaN are NaN on every
// path, but which of the bit patterns of NaN is not specified.
//
// # BF16
//
// With [Options.BF16], weights and activations are rounded to BF16, to nearest
// even, and multiplied in pairs as VDPBF16PS does it: for inputs 2i and 2i+1, the
// product of the second ones is added first, each addition rounded as by a fused
// multiply-add; subnormal numbers, before and after, are zeros. A last input
// without a partner gets 0. Where the machine has no such instruction the usual
// kernels compute the same bits. Whether the instruction is any faster is the
// machine's affair: AVX512_BF16 may run at half the rate of float32.
//
// # Paths
//
// The scalar reference (path "generic") is always compiled, emulates the fused
// multiply-add exactly, and is what the others, "avx2" and "avx512" in assembly,
// are held against, bit for bit. The best one that the machine has is chosen at
// start; quern/internal/cpu names another.
package gemm
