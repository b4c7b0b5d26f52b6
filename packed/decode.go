package packed

import (
	"fmt"
	"math"

	"quern/fp8"
)

// block is how many outputs are decoded at a time: words of layouts that run across
// them fill lines of the cache then.
const block = 64

// Decode writes rows outputs from row0 on as elements of type elem, ElemBF16 or
// ElemF32, row r of them from element r·dstStride on. The error says what does not
// fit.
func (m *Matrix) Decode(dst []byte, dstStride int, elem fp8.Elem, row0, rows int) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	if elem != fp8.ElemBF16 && elem != fp8.ElemF32 {
		return fmt.Errorf("decoding: no conversion to %v", elem)
	}
	if row0 < 0 || rows < 0 || row0 > m.Rows-rows {
		return fmt.Errorf("decoding: rows %d to %d of %d", row0, row0+rows, m.Rows)
	}
	if err := fp8.CheckRows("destination", len(dst)/elem.Size(), dstStride, rows, m.Cols); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	if rows == 0 || m.Cols == 0 {
		return nil
	}
	l := &layouts[m.Layout]
	b := m.newBlocks(min(block, rows))
	// The distance of rows of codes is an odd number of lines, so that those of a column
	// do not fall on each other in the cache.
	stride := (m.Cols+15)/64*64 + 64
	if stride/64%2 == 0 {
		stride += 64
	}
	q := make([]uint8, min(block, rows)*stride)
	for at := 0; at < rows; at += block {
		n := min(block, rows-at)
		l.codes(m, q, stride, row0+at, n)
		b.read(m, row0+at, n)
		for r := range n {
			out := dst[(at+r)*dstStride*elem.Size():][:m.Cols*elem.Size()]
			b.write(out, elem, q[r*stride:][:m.Cols], r)
		}
	}
	return nil
}

// blocks are the groups of a block of outputs, of each of them one after the other.
type blocks struct {
	path              *path
	n, size           int // groups of an output, inputs of a group
	zero, scale, bias []float32
	of                []int32   // the group of each input; nil: in order
	line              []float32 // scales of a group as they are stored across outputs
}

func (m *Matrix) newBlocks(rows int) *blocks {
	n := m.groups()
	b := &blocks{path: current.Load(), n: n, size: m.Group, zero: make([]float32, n*rows), scale: make([]float32, n*rows), bias: make([]float32, n*rows)}
	if b.size == 0 {
		b.size = m.Cols
	}
	for i := range b.bias {
		b.bias[i] = float32(math.Copysign(0, -1)) // which changes no number that it is added to
	}
	if layouts[m.Layout].across {
		b.line = make([]float32, rows)
	}
	for c := range len(m.GroupOf) / 4 {
		if word(m.GroupOf, c) != uint32(c/b.size) {
			b.of = make([]int32, m.Cols)
			for c := range b.of {
				b.of[c] = int32(word(m.GroupOf, c))
			}
			break
		}
	}
	return b
}

// read gathers what belongs to the groups of rows.
func (b *blocks) read(m *Matrix, row0, rows int) {
	l := &layouts[m.Layout]
	size := m.ScaleElem.Size()
	if l.across {
		for i := range b.n {
			m.ScaleElem.Decode(b.line[:rows], m.Scales[(i*m.Rows+row0)*size:])
			for r, s := range b.line[:rows] {
				b.scale[r*b.n+i] = s
			}
		}
	} else {
		m.ScaleElem.Decode(b.scale[:rows*b.n], m.Scales[row0*b.n*size:])
	}
	if m.Biases != nil {
		m.ScaleElem.Decode(b.bias[:rows*b.n], m.Biases[row0*b.n*size:])
	}
	for i := range b.zero[:rows*b.n] {
		switch {
		case m.Zeros != nil:
			b.zero[i] = float32(l.zeros(m, row0+i/b.n, i%b.n) + l.plus)
		case l.offset:
			b.zero[i] = float32(int(1) << (m.Bits - 1))
		}
	}
}

// write writes the values of row r of the block.
func (b *blocks) write(dst []byte, elem fp8.Elem, q []uint8, r int) {
	zero, scale, bias := b.zero[r*b.n:][:b.n], b.scale[r*b.n:][:b.n], b.bias[r*b.n:][:b.n]
	if b.of != nil {
		b.path.ordered(dst, elem, q, b.of, zero, scale)
		return
	}
	for i, s := range scale {
		first := i * b.size
		end := min(first+b.size, len(q))
		b.path.affine(dst[first*elem.Size():end*elem.Size()], elem, q[first:end], zero[i], s, bias[i])
	}
}
