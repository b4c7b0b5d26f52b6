package vec

import (
	"math"
	"testing"

	"quern/internal/cpu/cputest"
)

var sizes = []int{1, 3, 16, 17, 64, 100, 128, 256, 1000, 7168}

func TestDot(t *testing.T) {
	for _, n := range sizes {
		a, b := normal(1, n, 1), normal(2, n, 1)
		var want, size float64
		for i := range a {
			want += float64(a[i]) * float64(b[i])
			size += math.Abs(float64(a[i]) * float64(b[i]))
		}
		bound := float64(n/16+1+4+1) * 0x1p-24 * size
		if got := float64(Dot(a, b)); math.Abs(got-want) > bound {
			t.Errorf("%d: %v, want %v ± %v", n, got, want, bound)
		}
	}
}

// The order of the sum is what doc.go says, written down differently: big numbers
// swallow small ones that meet them too early.
func TestDotOrder(t *testing.T) {
	ones := make([]float32, 64)
	for i := range ones {
		ones[i] = 1
	}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for lane := range 16 {
			// In one lane: 2^26, 1 (lost), −2^26, and a last 1.
			x := make([]float32, 64)
			x[lane], x[lane+16], x[lane+32], x[lane+48] = 0x1p26, 1, -0x1p26, 1
			if got := Dot(x, ones); got != 1 {
				t.Errorf("path %s: lane %d: %v, want 1", p.name, lane, got)
			}
			// Lanes that are joined at different times: lane and lane^8 first.
			for other := range 16 {
				for small := range 16 {
					if other == lane || small == lane || small == other {
						continue
					}
					x := make([]float32, 16)
					x[lane], x[other], x[small] = 0x1p26, -0x1p26, 1
					// 1 is lost if it meets either big number before they meet.
					want := float32(1)
					if meet(lane, small) < meet(lane, other) || meet(other, small) < meet(lane, other) {
						want = 0
					}
					if got := Dot(x, ones[:16]); got != want {
						t.Fatalf("path %s: lanes %d, %d, %d: %v, want %v", p.name, lane, other, small, got, want)
					}
				}
			}
		}
	}
}

// meet returns in which step lanes i and j are joined: lanes that are equal modulo
// 8 first, then modulo 4, 2 and 1.
func meet(i, j int) int {
	for step, m := range []int{8, 4, 2, 1} {
		if i%m == j%m {
			return step
		}
	}
	panic("lanes meet in the end")
}

func TestElementwise(t *testing.T) {
	for _, n := range sizes {
		x, y := normal(3, n, 2), normal(4, n, 2)
		axpy, add, mul, scale := clone(y), clone(y), clone(y), clone(x)
		Axpy(axpy, 1.1, x)
		Add(add, x)
		Mul(mul, x)
		Scale(scale, -3)
		for i := range x {
			p := float32(1.1 * x[i])
			if axpy[i] != y[i]+p || add[i] != y[i]+x[i] || mul[i] != y[i]*x[i] || scale[i] != -3*x[i] {
				t.Fatalf("%d: element %d: %v %v %v %v", n, i, axpy[i], add[i], mul[i], scale[i])
			}
		}
	}
}

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

func TestRMSNorm(t *testing.T) {
	for _, n := range sizes {
		for _, eps := range []float32{0, 1e-6, 1e-5, 3} {
			x, w, dst := normal(5, n, 0.01), normal(6, n, 1), make([]float32, n)
			var sum float64
			for _, v := range x {
				sum += float64(v) * float64(v)
			}
			inv := 1 / math.Sqrt(sum/float64(n)+float64(eps))
			check := func(what string, w []float32) {
				for i, got := range dst {
					want := float64(x[i]) * inv
					if w != nil {
						want *= float64(w[i])
					}
					bound := (float64(n/16+7)/2 + 5) * 0x1p-24 * math.Abs(want)
					if math.Abs(float64(got)-want) > bound {
						t.Fatalf("%s of %d, eps %v: element %d is %v, want %v ± %v", what, n, eps, i, got, want, bound)
					}
				}
			}
			RMSNorm(dst, x, w, eps)
			check("RMSNorm", w)
			RMSNorm(dst, x, nil, eps)
			check("weightless", nil)
		}
	}
}

func TestSiLUMul(t *testing.T) {
	gate, up, dst := normal(7, 5000, 20), normal(8, 5000, 1), make([]float32, 5000)
	SiLUMul(dst, gate, up)
	for i, got := range dst {
		g, u := float64(gate[i]), float64(up[i])
		if want := g / (1 + math.Exp(-g)) * u; ulps(got, want) > 4 {
			t.Fatalf("gate %v, up %v: %v, want %v", g, u, got, want)
		}
	}
}

func TestClampedSwiGLU(t *testing.T) {
	x, dst := normal(9, 10000, 6), make([]float32, 5000)
	const alpha, limit = 1.702, 7
	ClampedSwiGLU(dst, x, alpha, limit)
	for i, got := range dst {
		g, u := min(float64(x[2*i]), limit), max(-limit, min(float64(x[2*i+1]), limit))
		s := float64(float32(alpha)) * g
		want := (u + 1) * g / (1 + math.Exp(-s))
		// Rounding alpha·gate moves the exponent, rounding up+1 cancels near −1.
		bound := math.Abs(want)*(math.Abs(s)+8)*0x1p-24 + 0x1p-24*math.Abs(want/(u+1))
		if math.Abs(float64(got)-want) > bound {
			t.Fatalf("gate %v, up %v: %v, want %v ± %v", x[2*i], x[2*i+1], got, want, bound)
		}
	}
}

func TestRotate(t *testing.T) {
	for h := range 140 {
		x, angle := normal(10, 2*h, 1), normal(11, h, 3)
		c, s := make([]float32, h), make([]float32, h)
		inter := make([]float32, 2*h)
		for i, a := range angle {
			c[i], s[i] = float32(math.Cos(float64(a))), float32(math.Sin(float64(a)))
			inter[2*i], inter[2*i+1] = x[i], x[i+h]
		}
		half := clone(x)
		Rotate(half, c, s)
		RotateInterleaved(inter, c, s)
		for i := range c {
			wantX := float64(x[i])*float64(c[i]) - float64(x[i+h])*float64(s[i])
			wantY := float64(x[i+h])*float64(c[i]) + float64(x[i])*float64(s[i])
			bound := 0x1p-23 * math.Hypot(float64(x[i]), float64(x[i+h]))
			if math.Abs(float64(half[i])-wantX) > bound || math.Abs(float64(half[i+h])-wantY) > bound {
				t.Fatalf("half %d: pair %d is %v, %v, want %v, %v", h, i, half[i], half[i+h], wantX, wantY)
			}
			if inter[2*i] != half[i] || inter[2*i+1] != half[i+h] {
				t.Fatalf("interleaved %d: pair %d is %v, %v, want %v, %v", h, i, inter[2*i], inter[2*i+1], half[i], half[i+h])
			}
		}
	}
}
