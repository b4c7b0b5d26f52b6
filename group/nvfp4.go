package group

import (
	"fmt"

	"quern/fp8"
)

// NVFP4 writes E2M1 codes, two a byte with the first in the low bits, and an E4M3
// scale for every 16 weights, which a float32 scale of the tensor multiplies. Rules
// and bytes are those of ModelOpt.
type NVFP4 struct {
	// Tensor is the scale of the tensor, from [NVFP4Scale].
	Tensor float32

	// Divides says that the container stores the inverse, by which block scales are
	// divided, as compressed-tensors does. Decode and Recode are given that in Tensor;
	// Encode chooses scales by Tensor as above and makes the codes that are nearest under
	// [NVFP4Inverse] of it.
	Divides bool

	// Search chooses other block scales than amax/6 where that is better.
	Search Search
}

// The tensor scales with which no product of scales is subnormal or overflows.
const (
	leastTensorScale = 0x1p-117
	mostTensorScale  = 0x1p118
)

// NVFP4Scale returns the tensor scale for weights of which amax is the largest
// magnitude, over all tensors that have to share a scale: amax/2688, at least 2⁻¹¹⁷,
// and 1 where all weights are 0.
func NVFP4Scale(amax float32) float32 {
	if amax == 0 {
		return 1
	}
	return max(amax/(e2m1Max*e4m3Max), leastTensorScale)
}

// NVFP4Inverse returns what a container that divides stores for a tensor scale.
func NVFP4Inverse(tensor float32) float32 { return 1 / tensor }

var nvfp4Layout = Layout{Group: 16, CodeBits: 4, ScaleBytes: 1}

// Layout implements [Format].
func (NVFP4) Layout() Layout { return nvfp4Layout }

// Encode implements [Format].
func (f NVFP4) Encode(dst Coded, rows []Row, m fp8.Matrix) error {
	if err := checkEncode(nvfp4Layout, &dst, rows, &m); err != nil {
		return err
	}
	if !(f.Tensor >= leastTensorScale && f.Tensor <= mostTensorScale) {
		return fmt.Errorf("encoding: no tensor scale from 2^-117 to 2^118: %v", f.Tensor)
	}
	if err := f.Search.check(m.Cols); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	read := f
	if f.Divides {
		read.Tensor = NVFP4Inverse(f.Tensor)
	}
	mults := read.mults()
	encode(nvfp4Layout, dst, rows, m, func(s *span) {
		s.row.lowGroups += s.p.nvfp4Scales(s.scales, s.mult, s.amax, f.Tensor)
		if f.Divides {
			mults.write(s.mult, s.scales)
		}
		f.search(s, mults)
		s.p.encodeE2M1(s.codes, s.w, s.mult, false, s.row)
	})
	return nil
}

// Recode implements [Recoder].
func (f NVFP4) Recode(dst Coded, m fp8.Matrix) error {
	rows := make([]Row, m.Rows)
	if err := checkEncode(nvfp4Layout, &dst, rows, &m); err != nil {
		return err
	}
	mults := f.mults()
	encode(nvfp4Layout, dst, rows, m, func(s *span) {
		mults.write(s.mult, s.scales)
		s.p.encodeE2M1(s.codes, s.w, s.mult, false, s.row)
	})
	return nil
}

// nvfp4Mults are the multipliers of block scales, by the code of the scale.
type nvfp4Mults [256]float32

func (f NVFP4) mults() *nvfp4Mults {
	table := new(nvfp4Mults)
	for c := range table {
		table[c] = fp8.E4M3ToFloat32(uint8(c))
		if f.Divides {
			table[c] /= f.Tensor
		} else {
			table[c] *= f.Tensor
		}
	}
	return table
}

func (t *nvfp4Mults) write(mult []float32, scales []byte) {
	for i, c := range scales {
		mult[i] = t[c]
	}
}

// Decode implements [Format].
func (f NVFP4) Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error {
	if err := checkDecode(nvfp4Layout, dst, dstStride, elem, &src, rows, cols); err != nil {
		return err
	}
	decode(nvfp4Layout, dst, dstStride, elem, src, rows, cols, f.mults().write, func(p *path) decoder { return p.decodeE2M1 })
	return nil
}
