package group

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// rounder is a format that inputs go through.
type rounder interface {
	Format
	Round(x []float32)
}

// slow is what Round is by its definition: number by number, as package fp8 rounds.
func slow(f rounder, x []float32) {
	e4m3 := func(group []float32, s float32) {
		for i, v := range group {
			group[i] = fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(v/s)) * s
		}
	}
	e2m1 := func(group []float32, s float32) {
		for i, v := range group {
			if v == 0 && s != 0 {
				v = 0
			}
			group[i] = fp8.E2M1ToFloat32(fp8.E2M1FromFloat32(v/s)) * s
		}
	}
	size := f.Layout().Group
	if size == 0 {
		size = 16
	}
	for len(x) > 0 {
		g := x[:min(size, len(x))]
		x = x[len(g):]
		amax, odd := float32(0), false
		for _, v := range g {
			amax = max(amax, abs(v))
			odd = odd || v-v != 0
		}
		if odd {
			for i := range g {
				g[i] = float32(math.NaN())
			}
			continue
		}
		switch f := f.(type) {
		case FP8Tensor:
			e4m3(g, f.Tensor)
		case MXFP8:
			e4m3(g, fp8.E8M0ToFloat32(fp8.E8M0FromFloat32(amax/448)))
		case MXFP4:
			scale := make([]byte, 1)
			e8m0ScalesGeneric(scale, make([]float32, 2), []float32{amax}, mxfp4Rules[f.Rule])
			for i, v := range g { // −0 keeps its sign
				s := fp8.E8M0ToFloat32(scale[0])
				g[i] = fp8.E2M1ToFloat32(fp8.E2M1FromFloat32(v/s)) * s
			}
		case NVFP4:
			// cvt to E4M3 of amax/(6·s), which may be 0.
			s8 := fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(amax / (6 * f.Tensor)))
			if s8 == 0 {
				clear(g)
				continue
			}
			e2m1(g, s8*f.Tensor)
		}
	}
}

// Every path rounds inputs as the definition does, number by number, whatever they are.
func TestRound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	for _, path := range append([]string{"generic"}, fastPaths()...) {
		cputest.Use(t, path)
		for _, d := range distributions {
			for _, n := range []int{32, 96, 1024, 2048 + 64} {
				x := make([]float32, n)
				amax := float32(0)
				for i := range x {
					x[i] = float32(d.f(r, i))
					if a := abs(x[i]); a < float32(math.Inf(1)) {
						amax = max(amax, a)
					}
				}
				for _, f := range []rounder{
					MXFP8{},
					MXFP4{},
					MXFP4{Rule: ScaleCeil},
					FP8Tensor{Tensor: FP8Scale(amax)},
					FP8Tensor{Tensor: 1},
					FP8Tensor{Tensor: 0x1p-140},
					NVFP4{Tensor: NVFP4Scale(amax)},
					NVFP4{Tensor: 1},
					NVFP4{Tensor: 0x1p-10},
					NVFP4{Tensor: 0x1p-130},
				} {
					got, want := slices.Clone(x), slices.Clone(x)
					f.Round(got)
					slow(f, want)
					for i := range got {
						if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
							t.Fatalf("%s, %s, %#v: number %d of %d, %v, becomes %v instead of %v", path, d.name, f, i, n, x[i], got[i], want[i])
						}
					}
				}
			}
		}
	}
}

// A group with NaN or an infinity becomes NaN, and its neighbours are what they were. Rows
// need not be whole groups where a scale covers more.
func TestRoundOdd(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		for _, f := range []rounder{MXFP8{}, MXFP4{}, NVFP4{Tensor: 1}, FP8Tensor{Tensor: 1}} {
			x := make([]float32, 128)
			for i := range x {
				x[i] = float32(i)
			}
			want := slices.Clone(x)
			f.Round(want)
			x[40] = bad
			f.Round(x)
			size := max(f.Layout().Group, 16)
			for i := range x {
				if in := i/size == 40/size; in != (x[i] != x[i]) || !in && x[i] != want[i] {
					t.Errorf("%T: number %d is %v, want NaN: %v, else %v", f, i, x[i], in, want[i])
				}
			}
		}
	}
	row := []float32{1, -3, 448 * 7, 5, 0}
	want := slices.Clone(row)
	slow(FP8Tensor{Tensor: 7}, want)
	if RoundRow(row); !slices.Equal(row, want) {
		t.Errorf("%v, want %v", row, want)
	}
	row[1] = float32(math.NaN())
	if RoundRow(row); row[0] == row[0] || row[4] == row[4] {
		t.Errorf("%v", row)
	}
}
