// Package group is the arithmetic of formats whose scales cover groups of weights
// along a row: [NVFP4], [MXFP4], [MXFP8], [INT4], and FP8 with a scale for each row
// or tensor ([FP8Rows], [FP8Tensor]). [Format] is what they have in common. Number
// formats, and blocks of 128×128, are package fp8's.
//
// A group never crosses a row, so rows are independent of each other, and a row may
// be cut between groups: codes, scales and statistics come out the same, as long as
// the parts of a row are coded in the order of its columns, with the same [Row].
//
// # Values
//
// With the multiplier s of a group, a weight w gets the code of w/s, and the code of
// the number q stands for ŵ = q·s, both correctly rounded float32 operations. NVFP4's
// s is the product of block scale and tensor scale, rounded to float32. Rounding to
// codes goes to the nearest, ties to even, and stays within the largest code.
//
// # Reproducible to the bit
//
// Same input and options give the same codes, scales and statistics on every machine
// and every path. What is divided, multiplied and subtracted for codes and errors is
// float32; sums are float64, so that weights of any magnitude have a sum:
//
//   - a weight adds w² to one sum and (w−ŵ)² to the other, where w−ŵ is rounded to
//     float32; such squares are exact in float64, and a fused multiply-add changes
//     nothing;
//   - in a row, 8 lanes; lane j adds the columns j, j+8, j+16, … in this order;
//   - [Stats.Add] joins the lanes, l[i]+l[i+4] for i < 4, then l[i]+l[i+2] for i < 2,
//     then l[0]+l[1], and adds rows in index order.
//
// # Search for a scale
//
// A search tries, for one group after the other, the scale of the plain rule and some
// around it, in an order that the tables in search.go fix, and takes the first one whose cost is
// smallest. So a tie goes to the plain rule, then to the nearer scale, and no group
// ever costs more than with the plain rule.
//
// The cost is Σ(w−ŵ)²·u in float64: the square, which is exact, times u, rounded, in
// 8 lanes over the columns of the group, joined as those of rows are. u is 1, or for
// a weighted search the weight of the column, at least 2⁻²⁴ of the largest one of the
// group; 1 for all where that is 0. The sums in [Stats] are not weighted.
//
// # Paths
//
// The scalar reference (path "generic") is always compiled and is what the others,
// "table" (portable, without branches), and "avx2" and "avx512" in assembly, are held
// against, bit for bit.
// quern/internal/cpu names the one in use. The kernels of searches and decoders in
// assembly are written from one source for both, internal/_generate/group.
package group

//go:generate go run -C ../internal/_generate ./group
