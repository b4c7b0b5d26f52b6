package fp8

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

// Under the scales that Quantize chose, Encode gives what Quantize gave.
func TestEncodeEqualsQuantize(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	for _, e := range allElems {
		m := source(e, 300, 200, 211, func(int) float64 { return r.NormFloat64() })
		for _, search := range []Search{SearchNone, SearchMSE} {
			want, tiles := make([]byte, 300*205), make([]TileStats, 6)
			if err := Quantize(want, 205, tiles, m, Options{Search: search}); err != nil {
				t.Fatal(err)
			}
			got, given := make([]byte, len(want)), make([]TileStats, len(tiles))
			for i := range given {
				given[i].Scale = tiles[i].Scale
			}
			if err := Encode(got, 205, given, m); err != nil {
				t.Fatal(err)
			}
			for i := range tiles {
				if given[i] != tiles[i] {
					t.Errorf("%v: tile %d: %+v, want %+v", e, i, given[i], tiles[i])
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%v: other codes", e)
			}
		}
	}
}

// Whatever the scale, all paths give the codes of the correctly rounded quotient.
func TestEncodePaths(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 2))
	for _, e := range allElems {
		m := source(e, 131, 150, 150, func(int) float64 {
			return r.NormFloat64() * math.Exp2(float64(r.IntN(12)-6))
		})
		for _, s := range []float32{0x1p-149, 0x1p-130, 0x1p-126, 1e-37, 1e-30, 1e-9, 0.0003, 0.01, 0x1p-7, 1, 17, 1e6, 1e30, math.MaxFloat32} {
			w := make([]float32, 150)
			for _, path := range append(fastPaths(), "generic") {
				cputest.Use(t, path)
				codes, tiles := make([]byte, 131*150), make([]TileStats, 4)
				for i := range tiles {
					tiles[i].Scale = s
				}
				if err := Encode(codes, 150, tiles, m); err != nil {
					t.Fatal(err)
				}
				for row := range 131 {
					e.decode(w, m.Data[row*150*e.Size():])
					for c := range w {
						if want := E4M3FromFloat32(w[c] / s); codes[row*150+c] != want {
							t.Fatalf("%s, %v, scale %v: %v has code %#02x, want %#02x", path, e, s, w[c], codes[row*150+c], want)
						}
					}
				}
			}
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	m := source(ElemF32, 1, 1, 1, func(int) float64 { return 1 })
	for _, s := range []float32{0, -1, float32(math.Inf(1)), float32(math.NaN())} {
		if err := Encode(make([]byte, 1), 1, []TileStats{{Scale: s}}, m); err == nil {
			t.Errorf("scale %v: no error", s)
		}
	}
}
