package group

import (
	"math"

	"quern/fp8"
)

// The inputs of a product go through a format as weights do, and come back at once: Round
// replaces numbers by the values of their codes. Every path gives the same bits, those of
// Encode and Decode with the same scales. A group with a number that is NaN or infinite
// becomes NaN.

// Round rounds x, some whole groups, as engines do with the inputs of NVFP4 weights: by
// the rule for weights, except that a group whose block scale rounds to 0 becomes 0. Tensor
// is the scale that the checkpoint brings for them.
func (f NVFP4) Round(x []float32) {
	// As the encoder: 6·tensor is a float32 product.
	six := e2m1Max * f.Tensor
	round(x, nvfp4Layout, f.Tensor >= leastTensorScale && f.Tensor <= mostTensorScale, func(s *span) {
		s.p.nvfp4Scales(s.scales, s.mult, s.amax, f.Tensor)
		var row Row
		s.p.encodeE2M1(s.codes, s.w, s.mult, false, &row)
		s.p.decodeE2M1(s.values(), fp8.ElemF32, s.codes, s.mult)
		for i, a := range s.amax {
			// 2⁻¹⁰ is the tie between 0 and the least scale, and belongs to 0.
			if a/six <= 0x1p-10 {
				clear(s.out[4*i*nvfp4Layout.Group:][:4*nvfp4Layout.Group])
			}
		}
	})
}

// Round rounds x, some whole groups.
func (MXFP8) Round(x []float32) {
	round(x, mxfp8Layout, true, func(s *span) {
		s.p.e8m0Scales(s.scales, s.mult, s.amax, mxfp8Rule)
		var row Row
		s.p.encodeE4M3(s.codes, s.w, s.mult, &row)
		s.p.decodeE4M3(s.values(), fp8.ElemF32, s.codes, s.mult)
	})
}

// Round rounds x, some whole groups.
func (f MXFP4) Round(x []float32) {
	round(x, mxfp4Layout, true, func(s *span) {
		s.p.e8m0Scales(s.scales, s.mult, s.amax, mxfp4Rules[f.Rule])
		var row Row
		s.p.encodeE2M1(s.codes, s.w, s.mult, true, &row)
		s.p.decodeE2M1(s.values(), fp8.ElemF32, s.codes, s.mult)
	})
}

// Round rounds x by the scale of the tensor: what is beyond 448 of it is cut.
func (f FP8Tensor) Round(x []float32) {
	usual := f.Tensor >= 0x1p-126 && f.Tensor <= math.MaxFloat32
	round(x, Layout{Group: unit, CodeBits: 8, ScaleBytes: 1}, usual, func(s *span) {
		for i := range s.mult {
			s.mult[i] = f.Tensor
		}
		var row Row
		s.p.encodeE4M3(s.codes, s.w, s.mult, &row)
		s.p.decodeE4M3(s.values(), fp8.ElemF32, s.codes, s.mult)
	})
}

// RoundRow rounds a row by a scale of its own, amax/448 of it in float32.
func RoundRow(row []float32) {
	p := current.Load()
	ws := scratches.Get().(*scratch)
	var top uint32
	for c := 0; c < len(row); c += spanLen {
		n := copy(ws.weights[:], row[c:])
		padded := (n + unit - 1) / unit * unit
		clear(ws.weights[n:padded])
		t, _ := p.amax(ws.amaxes[:1], ws.weights[:padded])
		top = max(top, t)
	}
	scratches.Put(ws)
	if top >= infinite {
		for i := range row {
			row[i] = float32(math.NaN())
		}
		return
	}
	FP8Tensor{Tensor: FP8Scale(math.Float32frombits(top))}.Round(row)
}

// values is where decoded numbers of a span go.
func (s *span) values() []byte { return s.out[:4*len(s.w)] }

// round gives code the spans of x, the last one padded with zeros to a whole group, and
// takes the values that it leaves. usual is false for scales that are no kernel's business.
func round(x []float32, l Layout, usual bool, code func(s *span)) {
	ws := scratches.Get().(*scratch)
	defer scratches.Put(ws)
	s := span{scratch: ws, p: current.Load()}
	if !usual {
		s.p = &genericPath
	}
	for len(x) > 0 {
		n := copy(ws.weights[:], x)
		padded := (n + l.Group - 1) / l.Group * l.Group
		clear(ws.weights[n:padded])
		s.w, s.amax, s.mult = ws.weights[:padded], ws.amaxes[:padded/l.Group], ws.mults[:padded/unit]
		s.codes, s.scales = ws.codes[:l.CodeBytes(padded)], ws.scales[:padded/l.Group]
		top, _ := s.p.amax(s.amax, s.w)
		if top < infinite {
			code(&s)
			fp8.ElemF32.Decode(x[:n], s.out[:4*n])
		} else {
			s.apart(x[:n], l, code)
		}
		x = x[n:]
	}
}

// apart is a span in which some groups are not finite: they become NaN, and the others
// are rounded with zeros in their place.
func (s *span) apart(x []float32, l Layout, code func(s *span)) {
	var odd [spanLen / unit]bool
	for i, a := range s.amax {
		if odd[i] = math.Float32bits(a) >= infinite; odd[i] {
			clear(s.w[i*l.Group:][:l.Group])
		}
	}
	s.p.amax(s.amax, s.w)
	code(s)
	fp8.ElemF32.Decode(x, s.out[:4*len(x)])
	for i := range x {
		if odd[i/l.Group] {
			x[i] = float32(math.NaN())
		}
	}
}
