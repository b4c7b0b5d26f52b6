package group

import (
	"fmt"

	"quern/fp8"
)

// ScaleRule says how MXFP4 chooses a power of two from the largest magnitude of a
// group.
type ScaleRule uint8

const (
	ScaleEven  ScaleRule = iota // amax rounded up from 1¾·2^k on, then its exponent − 2: compressed-tensors, torchao EVEN
	ScaleCeil                   // the least that keeps amax within 6: ModelOpt, torchao RCEIL
	ScaleFloor                  // the exponent of amax − 2: OCP MX, GGUF
)

// String returns the name that torchao gives the rule, in lower case.
func (r ScaleRule) String() string {
	switch r {
	case ScaleEven:
		return "even"
	case ScaleCeil:
		return "rceil"
	case ScaleFloor:
		return "floor"
	}
	return fmt.Sprintf("ScaleRule(%d)", uint8(r))
}

// mxfp4Rules are the rules in the order of their constants. The largest exponent of
// E2M1 is 2.
var mxfp4Rules = [...]*e8m0Rule{
	ScaleEven:  {divisor: 1, add: 1 << 21, minus: 2},
	ScaleCeil:  roundUp(e2m1Max),
	ScaleFloor: {divisor: 1, minus: 2},
}

// MXFP4 writes E2M1 codes, two a byte with the first in the low bits, and an E8M0
// scale for every 32 weights. A weight of −0 keeps its sign.
type MXFP4 struct{ Rule ScaleRule }

var mxfp4Layout = Layout{Group: 32, CodeBits: 4, ScaleBytes: 1}

// Layout implements [Format].
func (MXFP4) Layout() Layout { return mxfp4Layout }

// Encode implements [Format].
func (f MXFP4) Encode(dst Coded, rows []Row, m fp8.Matrix) error {
	if err := checkEncode(mxfp4Layout, &dst, rows, &m); err != nil {
		return err
	}
	if int(f.Rule) >= len(mxfp4Rules) {
		return fmt.Errorf("encoding: scale rule %v is unknown", f.Rule)
	}
	encode(mxfp4Layout, dst, rows, m, func(s *span) {
		s.p.e8m0Scales(s.scales, s.mult, s.amax, mxfp4Rules[f.Rule])
		s.p.encodeE2M1(s.codes, s.w, s.mult, true, s.row)
	})
	return nil
}

// Recode implements [Recoder].
func (MXFP4) Recode(dst Coded, m fp8.Matrix) error {
	rows := make([]Row, m.Rows)
	if err := checkEncode(mxfp4Layout, &dst, rows, &m); err != nil {
		return err
	}
	encode(mxfp4Layout, dst, rows, m, func(s *span) {
		e8m0Mults(s.mult, s.scales)
		s.p.encodeE2M1(s.codes, s.w, s.mult, true, s.row)
	})
	return nil
}

// Decode implements [Format].
func (MXFP4) Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error {
	if err := checkDecode(mxfp4Layout, dst, dstStride, elem, &src, rows, cols); err != nil {
		return err
	}
	decode(mxfp4Layout, dst, dstStride, elem, src, rows, cols, e8m0Mults, func(p *path) decoder { return p.decodeE2M1 })
	return nil
}

// MXFP8 writes E4M3 codes and an E8M0 scale for every 32 weights, the least power of
// two that keeps the group within 448, as ModelOpt does.
type MXFP8 struct{}

var (
	mxfp8Layout = Layout{Group: 32, CodeBits: 8, ScaleBytes: 1}
	mxfp8Rule   = roundUp(e4m3Max)
)

// Layout implements [Format].
func (MXFP8) Layout() Layout { return mxfp8Layout }

// Encode implements [Format].
func (MXFP8) Encode(dst Coded, rows []Row, m fp8.Matrix) error {
	if err := checkEncode(mxfp8Layout, &dst, rows, &m); err != nil {
		return err
	}
	encode(mxfp8Layout, dst, rows, m, func(s *span) {
		s.p.e8m0Scales(s.scales, s.mult, s.amax, mxfp8Rule)
		s.p.encodeE4M3(s.codes, s.w, s.mult, s.row)
	})
	return nil
}

// Decode implements [Format].
func (MXFP8) Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error {
	if err := checkDecode(mxfp8Layout, dst, dstStride, elem, &src, rows, cols); err != nil {
		return err
	}
	decode(mxfp8Layout, dst, dstStride, elem, src, rows, cols, e8m0Mults, func(p *path) decoder { return p.decodeE4M3 })
	return nil
}
