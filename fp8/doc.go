// Package fp8 is the arithmetic of block FP8: the number formats, and the
// kernels that turn 128×128 tiles of weights into E4M3 codes with one scale
// each, and back.
//
// # Number formats
//
// [E4M3FromFloat32] and its siblings convert single numbers. All of them round
// to nearest, ties to even, keep subnormals and the sign of zero, and saturate
// instead of producing infinities.
//
// # Tiles
//
// [Quantize] writes W ≈ q·s for every tile: s comes from the tile's largest
// magnitude amax, or from a search around that, q is the E4M3 code of w/s. Beside
// the codes it returns one [TileStats] a tile, from which [Stats] makes the figures
// that a manifest reports. [Dequantize] is the way back, for any granularity of
// scales.
//
// # Reproducible to the bit
//
// Same input and options give the same codes, scales and statistics on every
// machine and on every path, devices included. That works because every
// operation has one correct answer in IEEE 754 binary32 (division, addition and
// multiplication round to nearest even, subnormals are kept, products are
// rounded before they are added: no fused multiply-add), and because the order
// of the additions is fixed:
//
//   - in a row of a tile, 16 lanes; lane j adds the columns j, j+16, j+32, … in
//     this order, starting from zero;
//   - the 16 lanes are joined in pairs: l[i]+l[i+8] for i < 8, then of these
//     l[i]+l[i+4] for i < 4, then l[i]+l[i+2] for i < 2, then l[0]+l[1];
//   - the rows of a tile are added in index order, starting from zero;
//   - tiles are added in float64 in index order, by [Stats.Add].
//
// Padding a ragged tile with zeros changes nothing, because x+0 = x.
//
// # Search for a scale
//
// Let a be the scale that absmax gives, amax/448. A search tries the scales
// s = a·C, where C = 2^(k/16) for k = 0, −1, 1, −2, 2, −3, 3, −4, 4, 5, 6, …, 15
// (scales that are powers of two: k = 0, −16, 16), and takes the first one whose
// cost is strictly smallest. C, and D = 2^(k/8), are rounded to float32 and
// constants; the product a·C is rounded; scales below 2⁻¹²⁶ are left out. So a tie
// goes to absmax, then to the smaller |k|, and no tile ever costs more than with
// absmax.
//
// The cost of s is D·Σ(y−q)²·u, in these steps, each rounded to float32: y = w/s;
// d = y−q, where q is the value of the code of y; p = d·d; p·u, where u belongs to
// the column; the sum over the tile in the order given above; times D.
//
//   - [SearchMSE]: u = 1, so p·u = p.
//   - [SearchWeighted]: u = max(v/V, 2⁻²⁴), where v is the column's entry in
//     Options.Weights and V the largest entry of the tile's columns (128, fewer at
//     the right edge), the quotient rounded; u = 1 for all columns where V = 0. In
//     words: squares weigh as the mean square of what their input channel carries,
//     relative to the tile's strongest channel. [NormalizeWeights] computes u.
//
// A kernel may stop adding as soon as D times the partial sum is not below the
// least cost so far, because no term is negative and rounding is monotone; and it
// may leave out a scale that any proof shows not to win. A search changes the
// scale and what follows from it; the sums in [TileStats] are not weighted.
//
// # Paths
//
// The scalar reference (path "generic") is always compiled and is what the other
// paths are held against, bit for bit: "table" (portable, one table of results a
// tile for BF16 sources), "avx2" and "avx512" (assembly). All but the reference
// rule out most scales of a search by a histogram of the tile, where it is BF16. The
// best one that the machine has is chosen at start; quern/internal/cpu names another.
package fp8

//go:generate go run -C ../internal/_generate ./fp8
