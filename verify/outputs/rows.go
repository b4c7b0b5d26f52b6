package outputs

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/x448/float16"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// buffers hold a piece of any dtype.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 8*pieceElements)
	return &b
}}

// Logits reads n rows of a sequence's logits, from row first on. dst has room for
// exactly n·Vocab.
func (f *File) Logits(dst []float32, seq, first, n int) error {
	return f.tile(&f.logits, dst, seq, first, n, 0, f.Vocab)
}

// LogitsTile reads of each of n rows the logits of the ids from id on, width many.
func (f *File) LogitsTile(dst []float32, seq, first, n, id, width int) error {
	return f.tile(&f.logits, dst, seq, first, n, id, width)
}

// MTPLogits is Logits of the MTP layer, which has a row less.
func (f *File) MTPLogits(dst []float32, seq, first, n int) error {
	return f.tile(&f.mtp, dst, seq, first, n, 0, f.Vocab)
}

// MTPLogitsTile is LogitsTile of the MTP layer.
func (f *File) MTPLogitsTile(dst []float32, seq, first, n, id, width int) error {
	return f.tile(&f.mtp, dst, seq, first, n, id, width)
}

// HiddenWidth is the length of a row of hidden.{i}, 0 when there is no such tensor.
func (f *File) HiddenWidth(i int) int { return f.hidden[i].width }

// HiddenRows reads n rows of hidden.{i}. dst has room for exactly n·HiddenWidth(i).
func (f *File) HiddenRows(i int, dst []float32, seq, first, n int) error {
	t := f.hidden[i]
	return f.tile(&t, dst, seq, first, n, 0, t.width)
}

// Router reads the experts that layer l chose: rows of k, in the order of sequences
// and positions. An MTP layer has no row for the last token of a sequence.
func (f *File) Router(l int) (indices []int32, k int, err error) {
	t, ok := f.routers[l]
	if !ok {
		return nil, 0, fmt.Errorf("reading %q: it has no router.%d.indices", f.Path, l)
	}
	n := f.starts[len(f.starts)-1]
	if t.short {
		n -= len(f.IDs)
	}
	indices = make([]int32, n*t.width)
	bad := -1 // an index that is no int32
	values := make([]int, pieceElements)
	err = f.pieces(t.name, t.dtype, t.begin, len(indices), func(at int, p []byte) {
		values := values[:int64(len(p))*8/t.dtype.Bits()]
		decodeInts(values, p, t.dtype)
		for i, v := range values {
			indices[at+i] = int32(v)
			if bad < 0 && (v < 0 || v > math.MaxInt32) {
				bad = at + i
			}
		}
	})
	if err == nil && bad >= 0 {
		err = invalid.Errorf("tensor %q: row %d has an expert that is negative or beyond 2³¹", t.name, bad/t.width)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading %q: %w", f.Path, err)
	}
	return indices, t.width, nil
}

// count is how many rows of a sequence t has, of those that have a meaning.
func (f *File) count(t *tensor, seq int) int {
	n := f.starts[seq+1] - f.starts[seq]
	if t.short || t.name == f.mtp.name {
		n--
	}
	return n
}

// tile reads width columns from column col on, of n rows of a sequence.
func (f *File) tile(t *tensor, dst []float32, seq, first, n, col, width int) error {
	switch {
	case t.width == 0:
		return fmt.Errorf("reading %q: it has no such tensor", f.Path)
	case seq < 0 || seq >= len(f.IDs) || first < 0 || n < 0 || n > f.count(t, seq)-first:
		return fmt.Errorf("reading %q: tensor %q has no rows %d…%d of sequence %d", f.Path, t.name, first, first+n-1, seq)
	case col < 0 || width < 0 || width > t.width-col || len(dst) != n*width:
		return fmt.Errorf("reading %q: tensor %q: columns %d…%d of %d, into %d numbers for %d rows", f.Path, t.name, col, col+width-1, t.width, len(dst), n)
	}
	row := f.starts[seq] + first
	if t.short {
		row -= seq
	}
	if width == t.width { // rows are contiguous
		width, n = n*width, 1
	}
	for i := range n {
		offset := t.begin + (int64(row+i)*int64(t.width)+int64(col))*t.dtype.Bits()/8
		part := dst[i*width : i*width+width]
		err := f.pieces(t.name, t.dtype, offset, width, func(at int, p []byte) {
			decodeFloats(part[at:], p, t.dtype)
		})
		if err != nil {
			return fmt.Errorf("reading %q: %w", f.Path, err)
		}
	}
	return nil
}

// decodeFloats fills dst with the elements of p.
func decodeFloats(dst []float32, p []byte, d safetensors.DType) {
	switch d {
	case safetensors.F32:
		dst = dst[:len(p)/4]
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:]))
		}
	case safetensors.BF16:
		dst = dst[:len(p)/2]
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(p[2*i:])) << 16)
		}
	case safetensors.F16:
		dst = dst[:len(p)/2]
		for i := range dst {
			dst[i] = float16.Frombits(binary.LittleEndian.Uint16(p[2*i:])).Float32()
		}
	}
}

// decodeInts fills dst with the elements of p.
func decodeInts(dst []int, p []byte, d safetensors.DType) {
	switch d {
	case safetensors.I64:
		dst = dst[:len(p)/8]
		for i := range dst {
			dst[i] = int(int64(binary.LittleEndian.Uint64(p[8*i:])))
		}
	case safetensors.I32:
		dst = dst[:len(p)/4]
		for i := range dst {
			dst[i] = int(int32(binary.LittleEndian.Uint32(p[4*i:])))
		}
	}
}
