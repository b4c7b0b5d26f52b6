// Package safetensors reads and writes the headers of safetensors files: names,
// types, shapes and byte ranges of tensors. Tensor data never passes through it,
// except in the convenience [Write].
//
// A file is
//
//	8 bytes   N, the length of the header, unsigned, little-endian
//	N bytes   the header: a JSON object, padded at its end with spaces
//	the rest  the data section: the tensors' bytes, little-endian, row-major
//
// and the header maps each tensor's name to its entry
//
//	{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}
//
// with offsets in bytes from the start of the data section; the name __metadata__
// is reserved for an object of strings. The format is specified in the README of
// github.com/huggingface/safetensors; where that README is stricter than what
// readers in use accept, this package follows the README.
//
// # What is refused
//
// [ReadHeader] accepts a file only if every byte of it has exactly one meaning: the
// byte ranges of the tensors tile the data section from its start to the end of the
// file, without a gap, an overlap or a byte left over; each range has exactly the
// size of its dtype and shape; no name or key occurs twice, none is unknown or
// missing; text is UTF-8; numbers are plain decimal integers. Tensors without
// elements may lie on any boundary between others, or at either end.
//
// Sizes are checked without regard to dimensions of zero: the product of the other
// dimensions has to fit too, so [0, 2^62, 2^62] is refused in whatever order it is
// written, and each dimension has to fit an int64. A name may not be empty. No
// real tensor is lost to these rules, and arithmetic on shapes that passed them
// cannot overflow.
//
// All errors that blame the file match invalid.Input; errors of reading do not,
// and wrap the error of the reader. Neither names the file: the caller knows it.
package safetensors

import (
	"cmp"
	"slices"
	"strings"
)

// metadataKey is the one key of a header that names no tensor.
const metadataKey = "__metadata__"

// lengthBytes is the size of the header's length field.
const lengthBytes = 8

// Tensor describes one tensor of a file.
type Tensor struct {
	Name  string
	DType DType
	// Shape counts elements, those of packed types too (an F4 tensor of shape [4]
	// has 2 bytes). It is empty for a scalar, and may share memory with the shapes
	// of other tensors, so it is not to be appended to in place.
	Shape []int64
	// Begin and End are byte offsets from the start of the data section.
	Begin, End int64
}

// Elements is the number of elements: the product of the shape, 1 for a scalar.
// It is exact for every shape that [SizeOf] accepts.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes is the size of the tensor's data.
func (t Tensor) Bytes() int64 { return t.End - t.Begin }

// Header is what a file says about its tensors.
type Header struct {
	// Tensors are in the order of their bytes in the file. Those without bytes
	// come before the tensor that begins at their offset, by name.
	Tensors []Tensor
	// Metadata is nil when there is none, or an empty one.
	Metadata map[string]string
	// DataOffset is where the data section begins, in bytes from the start of the
	// file: 8 + N.
	DataOffset int64
	// Digest is the BLAKE3-256 of the first DataOffset bytes of the file.
	Digest [32]byte
}

// Limits bound what a header may ask for. A field that is zero or negative means
// the default.
type Limits struct {
	HeaderBytes int64 // of the JSON, with padding; default 100,000,000 (the format's own limit)
	NameBytes   int   // of one tensor's name; default 4096
	Rank        int   // dimensions of one tensor; default 8
	Tensors     int   // of one file; default 10,000,000
}

func (l Limits) withDefaults() Limits {
	if l.HeaderBytes <= 0 {
		l.HeaderBytes = 100_000_000
	}
	if l.NameBytes <= 0 {
		l.NameBytes = 4096
	}
	if l.Rank <= 0 {
		l.Rank = 8
	}
	if l.Tensors <= 0 {
		l.Tensors = 10_000_000
	}
	return l
}

// fileOrder is the order of [Header.Tensors].
func fileOrder(a, b Tensor) int {
	if c := cmp.Compare(a.Begin, b.Begin); c != 0 {
		return c
	}
	if c := cmp.Compare(a.End, b.End); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// sortTensors brings tensors into file order, which most files have already.
func sortTensors(ts []Tensor) {
	if !slices.IsSortedFunc(ts, fileOrder) {
		slices.SortFunc(ts, fileOrder)
	}
}
