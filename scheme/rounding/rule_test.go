package rounding

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/fp8"
)

// scaled is E4M3 by a scale, number by number.
func scaled(x []float32, s float32) {
	for i, v := range x {
		x[i] = fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(v/s)) * s
	}
}

// The rules by their definitions, number by number: a row is rounded by itself.
var slow = map[*Rule]func(row []float32, scale float32){
	FP8Groups: func(row []float32, _ float32) {
		for g := range slices.Chunk(row, 128) {
			scaled(g, max(most(g), 1e-10)/448)
		}
	},
	FP8PowerGroups: func(row []float32, _ float32) {
		for g := range slices.Chunk(row, 128) {
			s := max(most(g), 1e-10) / 448
			scaled(g, float32(math.Exp2(math.Ceil(math.Log2(float64(s))))))
		}
	},
	FP8Rows:   func(row []float32, _ float32) { scaled(row, most(row)/448) },
	FP8Tensor: scaled,
	MXFP8: func(row []float32, _ float32) {
		for g := range slices.Chunk(row, 32) {
			scaled(g, fp8.E8M0ToFloat32(fp8.E8M0FromFloat32(most(g)/448)))
		}
	},
	MXFP4: func(row []float32, _ float32) {
		for g := range slices.Chunk(row, 32) {
			// From 1¾·2^k on, the next power of two.
			frac, exp := math.Frexp(float64(most(g)))
			if exp--; 2*frac >= 1.75 {
				exp++
			}
			nibbles(g, float32(math.Ldexp(1, exp-2)))
		}
	},
	NVFP4: func(row []float32, scale float32) {
		for g := range slices.Chunk(row, 16) {
			s := fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(most(g) / (6 * scale)))
			if s == 0 {
				clear(g)
				continue
			}
			nibbles(g, s*scale)
		}
	},
}

func nibbles(x []float32, s float32) {
	for i, v := range x {
		x[i] = fp8.E2M1ToFloat32(fp8.E2M1FromFloat32(v/s)) * s
	}
}

func most(x []float32) float32 {
	m := float32(0)
	for _, v := range x {
		m = max(m, v, -v)
	}
	return m
}

// Every rule rounds every row as its definition does, with scales that fit, that cut and
// that are far too wide.
func TestRules(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, rule := range All {
		if slow[rule] == nil {
			t.Errorf("%s has no twin", rule.Name)
			continue
		}
		if rule.Name == "" || rule.Title == "" || rule.Static != (rule.Reach > 0 && rule.Coarse > 1) {
			t.Errorf("%+v", rule)
		}
		for _, width := range []int{32, 96, 1280} {
			for _, scale := range []float32{0x1p-8, 0.003, 1, 40} {
				got := make([]float32, 5*width)
				for i := range got {
					got[i] = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(12)-6)))
				}
				want := slices.Clone(got)
				rule.Round(got, width, scale)
				for row := range slices.Chunk(want, width) {
					slow[rule](row, scale)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, rows of %d, scale %v: differs from its definition", rule.Name, width, scale)
				}
			}
		}
	}
}
