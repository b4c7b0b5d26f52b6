// Package columns holds the kernels of activation statistics: sums of squares by
// column and largest magnitudes by row, of a block of at most [Width] columns
// ([Squares]); and magnitudes counted in buckets ([Pairs]).
//
// The square of a float32 is exact in float64, so each element costs one rounding,
// that of the sum; rows are added in order, so the sums do not depend on how many rows
// a call has. Every path gives the same bits, NaN payloads excepted.
//
// The paths are "generic" (Go), "avx2" and "avx512"; quern/internal/cpu chooses.
package columns

//go:generate go run -C ../../internal/_generate ./columns
