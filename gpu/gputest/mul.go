package gputest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/fp8"
	"quern/gemm"
	"quern/gpu"
)

func isDevice(err error) bool { return errors.Is(err, gpu.ErrDevice) }

// newWeight makes weights of a format.
func newWeight(f gemm.Format, out, in, stride int, r *rand.Rand) *gemm.Weight {
	w := &gemm.Weight{Format: f, Out: out, In: in, Stride: stride}
	normal := func(int, int) float32 { return float32(r.NormFloat64()) }
	switch f {
	case gemm.BF16:
		w.Data = newMatrix(fp8.ElemBF16, out, in, stride, normal).Data
	case gemm.F16:
		w.Data = newMatrix(fp8.ElemF16, out, in, stride, normal).Data
	case gemm.F32:
		w.Data = newMatrix(fp8.ElemF32, out, in, stride, normal).Data
	default:
		w.Data = make([]byte, out*stride)
		for i := range w.Data {
			w.Data[i] = byte(r.IntN(127) | r.IntN(2)<<7)
		}
		if out%2 == 0 {
			return w // all scales are 1
		}
		w.TileOut, w.TileIn = 128, []int{128, 64, 5}[r.IntN(3)]
		for range (out + w.TileOut - 1) / w.TileOut * ((in + w.TileIn - 1) / w.TileIn) {
			w.Scales = append(w.Scales, r.Float32()*0.01+0x1p-20)
		}
	}
	return w
}

func randomRows(rows, ldx int, r *rand.Rand) []float32 {
	x := make([]float32, rows*ldx)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// mul takes weights of all formats and odd shapes. A row's product does not depend
// on the rows beside it. Where the device fuses multiply-adds, the bits are those of
// package gemm.
func mul(t *testing.T, d gpu.Device) {
	r := rand.New(rand.NewPCG(13, 14))
	shapes := [][3]int{{1, 1, 1}, {1, 300, 257}, {8, 129, 64}, {65, 257, 130}, {3, 17, 1000}, {0, 3, 3}, {2, 0, 3}, {2, 3, 0}}
	equal, all := 0, 0
	for _, f := range []gemm.Format{gemm.BF16, gemm.F16, gemm.F32, gemm.E4M3} {
		for _, s := range shapes {
			rows, out, in := s[0], s[1], s[2]
			ldx, ldy := in+r.IntN(4), out+r.IntN(4)
			w := newWeight(f, out, in, in+r.IntN(4), r)
			x := randomRows(rows, ldx, r)
			y := slices.Repeat([]float32{untouched}, rows*ldy)
			name := fmt.Sprintf("%v, %d rows, %d outputs, %d inputs", f, rows, out, in)
			if err := d.Mul(y, ldy, x, ldx, rows, w).Wait(); err != nil {
				t.Fatal(name, err)
			}
			if err := gpu.CheckMul(y, ldy, x, ldx, rows, w); err != nil {
				t.Error(name, err)
			}
			for i, v := range y {
				if i%ldy >= out && v != untouched {
					t.Fatalf("%s: element %d of y lies between rows and has changed", name, i)
				}
			}
			if rows == 0 {
				continue
			}
			last := make([]float32, out)
			if err := d.Mul(last, out, x[(rows-1)*ldx:], ldx, 1, w).Wait(); err != nil {
				t.Fatal(name, err)
			}
			if !slices.Equal(last, y[(rows-1)*ldy:][:out]) {
				t.Errorf("%s: the last row alone is another than among others", name)
			}
			want := slices.Repeat([]float32{untouched}, rows*ldy)
			gemm.Mul(want, ldy, x, ldx, rows, w, gemm.Options{})
			if all++; slices.Equal(y, want) {
				equal++
			}
		}
	}
	t.Logf("%d of %d products have the bits of package gemm", equal, all)
	if d.Info().FMA && equal != all {
		t.Error("all should")
	}
	transposed := newWeight(gemm.F32, 30, 20, 20, r) // 20 outputs, 30 inputs
	transposed.Out, transposed.In, transposed.Transposed = 20, 30, true
	floats := gemm.Floats(randomRows(20, 30, r), 20, 30, 30, false)
	for _, w := range []*gemm.Weight{transposed, &floats} {
		x, y, want := randomRows(2, 30, r), make([]float32, 40), make([]float32, 40)
		gemm.Mul(want, 20, x, 30, 2, w, gemm.Options{})
		if err := d.Mul(y, 20, x, 30, 2, w).Wait(); err != nil || !slices.Equal(y, want) {
			t.Errorf("weights that are not stored row by row: %v", err)
		}
	}
}
