// Package packed decodes weights that released checkpoints hold as integers of a few
// bits, packed in words: compressed-tensors' pack-quantized, AWQ, GPTQ, and the affine
// form of MLX. It only reads; what quern writes is package group's.
//
// All mean (q−z)·s for a weight with the code q, the zero point z and the scale s of
// its group, or q·s+b with the bias b of MLX; they differ in where the bits lie, which
// is a row of a table here. Codes and zero points are small integers and scales have
// at most 24 bits: of F16 and BF16 scales the product is exact in float32. It is
// rounded to BF16 once.
//
// Codes are brought to bytes first, by words of eight, then to numbers, on the best of
// the paths that quern/internal/cpu names: all equal the scalar reference bit for bit.
// internal/_generate/packed writes those in assembly.
package packed

//go:generate go run -C ../internal/_generate ./packed
