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
// magnitude amax (and, with [SearchMSE], from a search around it), q is the E4M3
// code of w/s. Beside the codes it returns one [TileStats] a tile, from which
// [Stats] makes the figures that a manifest reports. [Dequantize] is the way
// back, for any granularity of scales.
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
// # Paths
//
// The scalar reference (path "generic") is always compiled and is what the other
// paths are held against, bit for bit: "table" (portable, one table of results a
// tile for BF16 sources), "avx2" and "avx512" (assembly). The best one that the
// machine has is chosen at start; [SetPath] and the environment variable
// QUERN_CPU name another.
package fp8
