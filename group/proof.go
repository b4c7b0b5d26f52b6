package group

import (
	"bytes"
	"fmt"

	"quern/fp8"
)

// Proof counts, group by group of the source, what became of the values that a cast
// moved to another format. Both sides were decoded to float32 and compared, bit for
// bit.
type Proof struct {
	Groups      int64 // all
	Requantized int64 // did not fit, and got codes anew
	Changed     int64 // hold a value that is not what it was

	First Misfit // the first of those of a part, where there are some
}

// Misfit is a group whose values a cast changes.
type Misfit struct {
	Row, Group int // in the part that was cast
	Below      int // powers of two that its scale lies below the largest one that shares a scale with it
	Reach      int // how many of those keep every value
}

// Add adds another part of a tensor, or another tensor, but for the First.
func (p *Proof) Add(o Proof) {
	p.Groups += o.Groups
	p.Requantized += o.Requantized
	p.Changed += o.Changed
}

// Lossless says that every value is what it was.
func (p *Proof) Lossless() bool { return p.Changed == 0 }

// compare counts the groups of n values of a row, as F32, in which two sides differ.
// misfit says what is known of one but where it is; nil: nothing.
func (p *Proof) compare(row int, a, b []byte, n int, misfit func(group int) Misfit) {
	for i := 0; i < len(a); i += 4 * n {
		p.Groups++
		if bytes.Equal(a[i:i+4*n], b[i:i+4*n]) {
			continue
		}
		if p.Changed++; p.Changed == 1 {
			if misfit != nil {
				p.First = misfit(i / (4 * n))
			}
			p.First.Row, p.First.Group = row, i/(4*n)
		}
	}
}

// RoundTrip says how many groups of m, of BF16 or F32, come back bit for bit when they
// are written in a format and decoded: all of them where m was decoded from such
// codes, as BF16 copies of INT4 checkpoints with the range 7 are. Formats without
// groups count rows.
func RoundTrip(f Format, m fp8.Matrix) (p Proof, err error) {
	if m.Elem != fp8.ElemBF16 && m.Elem != fp8.ElemF32 {
		return p, fmt.Errorf("comparing: no values of type %v", m.Elem)
	}
	l := f.Layout()
	if err := l.Check(m.Cols); err != nil {
		return p, fmt.Errorf("comparing: %w", err)
	}
	size := m.Elem.Size()
	group := l.Group
	if group == 0 {
		group = m.Cols
	}
	coded := Coded{Codes: make([]byte, l.CodeBytes(m.Cols)), Scales: make([]byte, l.Scales(m.Cols)*l.ScaleBytes)}
	coded.CodeStride, coded.ScaleStride = len(coded.Codes), len(coded.Scales)
	after := make([]byte, m.Cols*size)
	if m.Cols == 0 {
		return p, nil
	}
	for r := range m.Rows {
		one := m
		one.Data, one.Rows = m.Data[r*m.Stride*size:], 1
		if err := f.Encode(coded, make([]Row, 1), one); err != nil {
			return p, err
		}
		if err := f.Decode(after, m.Cols, m.Elem, coded, 1, m.Cols); err != nil {
			return p, err
		}
		for i := 0; i < len(after); i += group * size {
			p.Groups++
			if !bytes.Equal(after[i:i+group*size], one.Data[i:i+group*size]) {
				p.Changed++
			}
		}
	}
	return p, nil
}
