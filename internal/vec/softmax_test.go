package vec

import (
	"math"
	"testing"

	"quern/internal/cpu/cputest"
)

// Worst cases of roundings, in units of 2^−24: |x−max| for the subtraction, 2 for
// e^x, n/16+4 for the sum, and 4 more for its terms and the quotient.
func TestSoftmaxAccuracy(t *testing.T) {
	for _, n := range []int{1, 2, 15, 16, 17, 64, 500, 512, 4097} {
		for _, sigma := range []float64{0.01, 1, 10, 60} {
			for _, sink := range []float64{math.Inf(-1), -3, 0.5, 200} {
				in := normal(uint64(n), n, sigma)
				x := append([]float32(nil), in...)
				m := sink
				for _, v := range in {
					m = max(m, float64(v))
				}
				sum := math.Exp(sink - m)
				for _, v := range in {
					sum += math.Exp(float64(v) - m)
				}
				if math.IsInf(sink, -1) {
					Softmax(x)
				} else {
					SoftmaxSink(x, float32(sink))
				}
				for i, got := range x {
					d := float64(in[i]) - m
					want := math.Exp(d) / sum
					if d < -87 {
						if got > 1e-37 {
							t.Fatalf("%d elements, sigma %v, sink %v: element %d is %v, want %v", n, sigma, sink, i, got, want)
						}
						continue
					}
					bound := (-d+2+float64(n/16)+4+4)*0x1p-24*want + 0x1p-149
					if math.Abs(float64(got)-want) > bound {
						t.Fatalf("%d elements, sigma %v, sink %v: element %d is %v, want %v ± %v", n, sigma, sink, i, got, want, bound)
					}
				}
			}
		}
	}
}

func TestSoftmaxSpecial(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, c := range []struct{ in, want []float32 }{
			{nil, nil},
			{[]float32{3}, []float32{1}},
			{[]float32{-1e38}, []float32{1}},
			{[]float32{2, 2, 2, 2}, []float32{0.25, 0.25, 0.25, 0.25}},
			{[]float32{-inf, 7, -inf}, []float32{0, 1, 0}},
			{[]float32{0, -87, -200, -math.MaxFloat32}, []float32{1, 0, 0, 0}},
			{[]float32{math.MaxFloat32, -math.MaxFloat32}, []float32{1, 0}},
			{[]float32{-inf, -inf}, []float32{nan, nan}},
			{[]float32{1, nan}, []float32{nan, nan}},
			{[]float32{1, inf}, []float32{nan, nan}},
		} {
			x := append([]float32(nil), c.in...)
			Softmax(x)
			y := append([]float32(nil), c.in...)
			SoftmaxSink(y, -inf)
			for i, w := range c.want {
				if !same32(x[i], w) {
					t.Errorf("path %s: Softmax(%v) = %v, want %v", p.name, c.in, x, c.want)
					break
				}
				if !same32(y[i], w) {
					t.Errorf("path %s: SoftmaxSink(%v, -Inf) = %v, want %v", p.name, c.in, y, c.want)
					break
				}
			}
		}
		for _, c := range []struct {
			in   []float32
			sink float32
			want []float32
		}{
			{nil, 1, nil},
			{[]float32{5}, 5, []float32{0.5}},
			{[]float32{1, 1, 1}, 1, []float32{0.25, 0.25, 0.25}},
			{[]float32{-inf, -inf}, 0, []float32{0, 0}},
			{[]float32{1, -inf}, 300, []float32{0, 0}},
			{[]float32{300, -inf}, 1, []float32{1, 0}},
			{[]float32{1}, nan, []float32{nan}},
			{[]float32{1, 2}, inf, []float32{nan, nan}},
		} {
			x := append([]float32(nil), c.in...)
			SoftmaxSink(x, c.sink)
			for i, w := range c.want {
				if !same32(x[i], w) {
					t.Errorf("path %s: SoftmaxSink(%v, %v) = %v, want %v", p.name, c.in, c.sink, x, c.want)
					break
				}
			}
		}
	}
}
