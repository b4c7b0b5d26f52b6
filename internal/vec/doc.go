// Package vec holds the float32 vector kernels of a transformer's forward pass
// besides the matrix product: norms, softmax, gated activations, rotary
// embeddings, extrema, the sums behind KL divergence and signal-to-noise ratios,
// and the rounding that an engine's FP8 activations would suffer.
//
// Every function works on one row; loops over rows, and threads, are the caller's.
// A destination is either one of the sources (the same elements) or disjoint from
// all of them. Slices of different lengths where equal ones are due panic.
//
// # Reproducible to the bit
//
// Same input gives the same bits on every machine and every path, NaN payloads
// excepted (a result that is NaN is just any NaN). All operations are those of
// IEEE 754 binary32 (binary64 in [ExpSums] and [Energies]), rounded one by one: no fused
// multiply-add, no approximate reciprocals, no library functions but the square
// root. And the order of sums is fixed:
//
//   - float32 sums have 16 lanes: lane j adds the elements j, j+16, j+32, … in this
//     order, starting from zero;
//   - the lanes are joined in pairs: l[i]+l[i+8] for i < 8, then of these l[i]+l[i+4]
//     for i < 4, then l[i]+l[i+2] for i < 2, then l[0]+l[1];
//   - float64 sums do the same with 8 lanes.
//
// So a result depends on the values of a row alone, never on what it is computed
// beside.
//
// # NaN and infinities
//
// They go where IEEE 754 takes them. What is not obvious is said at each function.
//
// # Paths
//
// The paths are "generic" (Go), "avx2" and "avx512"; quern/internal/cpu chooses. Both in
// assembly are written from one source, internal/_generate/vec.
package vec

//go:generate go run -C ../_generate ./vec
