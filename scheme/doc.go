// Package scheme knows the ways in which checkpoints write the numbers of a matrix:
// which tensors stand for a weight, how codes and scales come from it, and how they
// give it back. A scheme is a row of [All] and a file; nothing outside this package
// and the arithmetic below it asks a dtype whether something has codes.
//
// # Coding
//
// [Scheme.Outputs] lists what a weight becomes: codes first, then any number of scales.
// Each output says how its elements lie over the matrix ([Output]), so that whoever
// moves bytes can cut the matrix into parts ([Part]) that are multiples of the scheme's
// [Grain], have each coded by itself, in any order and on any goroutine ([Coder]), and
// put the bytes of all outputs to their places. Codes, scales and statistics come out
// the same however the matrix was cut.
//
// A scheme with Survey takes the largest magnitude of the weight, and of all that must
// share a scale with it, before the first part is coded ([Job.Amax]).
//
// # Decoding
//
// E4M3 codes with scales of any layout are read by their [Grid]: blocks, channels, one
// scale for all, groups of a row, tiles of joined parts. Other codes are read by the
// scheme's Decode, from the bytes of the same outputs that a coding makes.
//
// # Names
//
// What the tensors of a scheme are called, and what config.json says of them, is the
// container's business (quern/convert/container); how a scheme is told from its
// neighbours in a checkpoint is [Recognise].
package scheme
