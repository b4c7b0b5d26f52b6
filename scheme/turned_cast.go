package scheme

import (
	"quern/fp8"
	"quern/group"
)

// Casts of experts that stay in one tensor, see turned.

// turnedCopy takes over MXFP4 that is in gpt-oss's form already.
func turnedCopy(p Params) cast {
	t := turned{group.MXFP4{}, 32, p.Each}
	return cast{
		band: 32,
		run: func(out, in [][]byte, _ *fp8.Grid, p Part, _ uint8) (group.Proof, error) {
			copy(out[0], in[0])
			copy(out[1], in[1])
			return group.Proof{Groups: p.Rows / 32 * p.Cols}, nil
		},
		decode: func(dst []byte, out [][]byte, p Part, r int64, _ uint8) error {
			return t.decodeBand(dst, int(p.Cols), fp8.ElemF32, t.band(out, p, r), p.Cols)
		},
	}
}

// turnedCast makes NVFP4 of it.
func turnedCast(p Params) cast {
	from := turned{group.MXFP4{}, 32, p.Each}
	return cast{
		band: 16,
		run: func(out, in [][]byte, _ *fp8.Grid, p Part, top uint8) (proof group.Proof, err error) {
			before := from.scratch()
			after := group.Coded{Codes: make([]byte, strip*16), CodeStride: 16, Scales: make([]byte, strip*2), ScaleStride: 2}
			to, cols := turned{size: 16}, int(p.Cols)
			err = from.bands(in, p, func(b *band) error {
				for c := 0; c < cols; c += strip {
					h := min(strip, cols-c)
					b.take(before, c, h)
					one, err := group.MXFP4ToNVFP4(after, before, h, 32, top)
					if err != nil {
						return err
					}
					if one.Changed > 0 && proof.Changed == 0 {
						proof.First = one.First
						proof.First.Row, proof.First.Group = int(b.first), (c+one.First.Row)/32
					}
					proof.Add(one)
					for k := range int64(2) {
						half := group.Coded{Codes: after.Codes[8*k:], CodeStride: 16, Scales: after.Scales[k:], ScaleStride: 2}
						to.band(out, p, b.first+16*k).put(half, c, h, 8, true)
					}
				}
				return nil
			})
			return proof, err
		},
		decode: func(dst []byte, out [][]byte, p Part, r int64, top uint8) error {
			s, err := group.MXFP4ToNVFP4Scale(top)
			if err != nil {
				return err
			}
			t := turned{group.NVFP4{Tensor: s}, 16, 0}
			return t.decodeBand(dst, int(p.Cols), fp8.ElemF32, t.band(out, p, r), p.Cols)
		},
	}
}
