package packed

import (
	"encoding/binary"
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
	q := make([]uint8, min(block, rows)*m.Cols)
	f32 := make([]byte, 4*m.Cols)
	groups := m.row()
	for at := 0; at < rows; at += block {
		n := min(block, rows-at)
		l.codes(m, q, row0+at, n)
		for r := range n {
			groups.read(m, row0+at+r)
			out := dst[(at+r)*dstStride*elem.Size():][:m.Cols*elem.Size()]
			codes := q[r*m.Cols:][:m.Cols]
			if elem == fp8.ElemF32 {
				groups.write(m, out, codes)
			} else {
				groups.write(m, f32, codes)
				fp8.CastBF16(out, f32, fp8.ElemF32)
			}
		}
	}
	return nil
}

// rowGroups are the groups of one output.
type rowGroups struct {
	scale, bias []float32
	zero        []int32
	of          []int32 // the group of each input
}

func (m *Matrix) row() *rowGroups {
	n := m.groups()
	g := &rowGroups{scale: make([]float32, n), bias: make([]float32, n), zero: make([]int32, n), of: make([]int32, m.Cols)}
	for c := range g.of {
		switch {
		case m.GroupOf != nil:
			g.of[c] = int32(word(m.GroupOf, c))
		case m.Group != 0:
			g.of[c] = int32(c / m.Group)
		}
	}
	return g
}

// read gathers what belongs to the groups of a row.
func (g *rowGroups) read(m *Matrix, row int) {
	l := &layouts[m.Layout]
	size := m.ScaleElem.Size()
	for i := range g.scale {
		at := row*len(g.scale) + i
		if l.across {
			at = i*m.Rows + row
		}
		m.ScaleElem.Decode(g.scale[i:i+1], m.Scales[at*size:])
		if m.Biases != nil {
			m.ScaleElem.Decode(g.bias[i:i+1], m.Biases[at*size:])
		}
		switch {
		case m.Zeros != nil:
			g.zero[i] = int32(l.zeros(m, row, i) + l.plus)
		case l.offset:
			g.zero[i] = 1 << (m.Bits - 1)
		}
	}
}

// write writes the values of one row, as F32.
func (g *rowGroups) write(m *Matrix, dst []byte, q []uint8) {
	if m.GroupOf == nil {
		size := m.Cols
		if m.Group != 0 {
			size = m.Group
		}
		for i, s := range g.scale {
			first := i * size
			end := min(first+size, m.Cols)
			run(dst[4*first:4*end], q[first:end], g.zero[i], s)
		}
	} else {
		for c, i := range g.of {
			run(dst[4*c:4*c+4], q[c:c+1], g.zero[i], g.scale[i])
		}
	}
	if m.Biases == nil {
		return
	}
	for c, i := range g.of {
		x := math.Float32frombits(binary.LittleEndian.Uint32(dst[4*c:]))
		binary.LittleEndian.PutUint32(dst[4*c:], math.Float32bits(x+g.bias[i]))
	}
}

// run writes (q−z)·s for codes of one group.
func run(dst []byte, q []uint8, z int32, s float32) {
	for i, code := range q {
		binary.LittleEndian.PutUint32(dst[4*i:4*i+4], math.Float32bits(float32(int32(code)-z)*s))
	}
}
