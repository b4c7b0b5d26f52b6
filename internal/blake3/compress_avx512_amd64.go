//go:build !noasm

package blake3

import "unsafe"

// A value is a chaining value: what a chunk, or a subtree, comes to.
type value [8]uint32

const (
	blockLen = 64
	chunkLen = 1024
	lanes    = 16 // that the kernel compresses side by side
)

// Flags of a block (the specification's table 3).
const (
	chunkStart = 1 << iota
	chunkEnd
	parent
	root
)

// compress16 compresses 16 inputs of so many blocks side by side, each from the
// initial value: lane i reads 64·blocks bytes at in+i·stride. The last block counts
// last bytes, and the rest of it must be 0. Lane i has the counter counter+i·step,
// where the sum must not carry out of 32 bits. Every block has the flags, the first
// also start, the last also end. With the stride 0 all lanes are alike; out[0] is the
// value then. out may begin where in does.
//
// A register holds one word of all lanes: Z0 to Z15 the state, Z16 to Z31 a block,
// which is transposed on its way in. The message is permuted by naming other
// registers. Four mixing functions run at once, so that the processor has always
// something to do that does not depend on what it has just begun.
//
//go:noescape
func compress16(out *[lanes]value, in *byte, stride, blocks uintptr, counter uint64, step, flags, start, end, last uint32)

// chunks16 computes the values of 16 whole chunks that lie one behind the other. The
// first one's counter is a multiple of 16.
func chunks16(out *[lanes]value, in *byte, counter uint64) {
	compress16(out, in, chunkLen, chunkLen/blockLen, counter, 1, 0, chunkStart, chunkEnd, blockLen)
}

// chunk computes the value of one chunk of n bytes, with zeros behind them to the end
// of the block.
func chunk(in *byte, n int, counter uint64) value {
	var out [lanes]value
	blocks := (n + blockLen - 1) / blockLen
	compress16(&out, in, 0, uintptr(blocks), counter, 0, 0, chunkStart, chunkEnd, uint32(n-blockLen*(blocks-1)))
	return out[0]
}

// parents16 computes the parents of 16 pairs of values that lie one behind the other.
func parents16(out *[lanes]value, in *[2 * lanes]value, flags uint32) {
	compress16(out, (*byte)(unsafe.Pointer(in)), blockLen, 1, 0, 0, parent|flags, 0, 0, blockLen)
}

// join computes the parent of two values.
func join(left, right value, flags uint32) value {
	var out [lanes]value
	in := [2]value{left, right}
	compress16(&out, (*byte)(unsafe.Pointer(&in)), 0, 1, 0, 0, parent|flags, 0, 0, blockLen)
	return out[0]
}
