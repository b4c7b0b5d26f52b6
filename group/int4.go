package group

import (
	"fmt"

	"quern/fp8"
)

// INT4 writes the integers −8…7 plus 8, eight to a little-endian 32-bit word with the
// first in the low bits, and a BF16 scale for every 32 weights: pack-quantized of
// compressed-tensors.
type INT4 struct {
	// Range says what the largest magnitude of a group becomes.
	Range Range

	// Search chooses other scales than amax/Range where that is better.
	Search Search
}

// Range is the number by which the largest magnitude of a group is divided.
type Range uint8

const (
	Range7Half Range = iota // 7½, as compressed-tensors does
	Range7                  // 7: values that such codes stand for come back as they were
)

// String returns the number.
func (r Range) String() string {
	switch r {
	case Range7Half:
		return "7.5"
	case Range7:
		return "7"
	}
	return fmt.Sprintf("Range(%d)", uint8(r))
}

var ranges = [...]float32{Range7Half: 7.5, Range7: 7}

var int4Layout = Layout{Group: 32, CodeBits: 4, ScaleBytes: 2}

// Layout implements [Format].
func (INT4) Layout() Layout { return int4Layout }

// Encode implements [Format].
func (f INT4) Encode(dst Coded, rows []Row, m fp8.Matrix) error {
	if err := checkEncode(int4Layout, &dst, rows, &m); err != nil {
		return err
	}
	if int(f.Range) >= len(ranges) {
		return fmt.Errorf("encoding: range %v is unknown", f.Range)
	}
	if err := f.Search.check(m.Cols); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	encode(int4Layout, dst, rows, m, func(s *span) {
		s.p.int4Scales(s.scales, s.mult, s.amax, ranges[f.Range])
		f.search(s)
		s.p.encodeINT4(s.codes, s.w, s.mult, s.row)
	})
	return nil
}

// Recode implements [Recoder].
func (INT4) Recode(dst Coded, m fp8.Matrix) error {
	rows := make([]Row, m.Rows)
	if err := checkEncode(int4Layout, &dst, rows, &m); err != nil {
		return err
	}
	encode(int4Layout, dst, rows, m, func(s *span) {
		bf16Mults(s.mult, s.scales)
		s.p.encodeINT4(s.codes, s.w, s.mult, s.row)
	})
	return nil
}

// Decode implements [Format].
func (INT4) Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error {
	if err := checkDecode(int4Layout, dst, dstStride, elem, &src, rows, cols); err != nil {
		return err
	}
	decode(int4Layout, dst, dstStride, elem, src, rows, cols, bf16Mults, func(p *path) decoder { return p.decodeINT4 })
	return nil
}
