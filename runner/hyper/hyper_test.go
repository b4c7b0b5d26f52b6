package hyper

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/internal/vec"
	"quern/runner/golden"
)

func TestConnections(t *testing.T) {
	for _, c := range []struct {
		file       string
		hidden     int
		eps        float32
		iterations int
	}{{"deepseek_v4", 64, 1e-6, 20}, {"hy_v4", 32, 1e-5, 0}} {
		t.Run(c.file, func(t *testing.T) {
			g := golden.Read(t, "testdata/"+c.file+".safetensors")
			x := g.Get("mix.in.0")
			w := 4 * c.hidden
			m := Connection{
				Streams: 4, Hidden: c.hidden, Base: g.Get("mix.base"), Scale: g.Get("mix.scale"),
				Eps: 1e-6, NormEps: c.eps, Magnitude: 2, Iterations: c.iterations,
			}
			if g.Rows("mix.fn") != m.Rows() {
				t.Fatalf("fn has %d rows, want %d", g.Rows("mix.fn"), m.Rows())
			}
			var in, post, comb []float32
			mix := g.Linear("mix.fn", x)
			for i := 0; i < len(x)/w; i++ {
				a, b := make([]float32, c.hidden), make([]float32, m.Weights())
				m.In(a, b, x[i*w:][:w], mix[i*m.Rows():][:m.Rows()])
				in, post, comb = append(in, a...), append(post, b[:4]...), append(comb, b[4:]...)
			}
			golden.Near(t, "post", post, g.Get("mix.out.0"), 1e-6)
			if c.iterations > 0 {
				golden.Near(t, "comb", comb, g.Get("mix.out.1"), 2e-6)
				golden.Near(t, "in", in, g.Get("mix.out.2"), 1e-6)
			} else {
				golden.Near(t, "in", in, g.Get("mix.out.1"), 1e-6)
			}
			h := Connection{Streams: 4, Hidden: c.hidden, Base: g.Get("head.hc_base"), Scale: g.Get("head.hc_scale"), Eps: 1e-6, NormEps: c.eps}
			x = g.Get("head.in.0")
			mix = g.Linear("head.hc_fn", x)
			var out []float32
			for i := 0; i < len(x)/w; i++ {
				a := make([]float32, c.hidden)
				h.Head(a, x[i*w:][:w], mix[i*4:][:4])
				out = append(out, a...)
			}
			golden.Near(t, "head", out, g.Get("head.out"), 1e-6)
		})
	}
}

// Out equals its formula in float64.
func TestOut(t *testing.T) {
	const n, h = 4, 24
	r := rand.New(rand.NewPCG(1, 1))
	for _, iterations := range []int{0, 20} {
		c := Connection{Streams: n, Hidden: h, Iterations: iterations}
		x, out, w := make([]float32, n*h), make([]float32, h), make([]float32, c.Weights())
		for _, s := range [][]float32{x, out, w} {
			for i := range s {
				s[i] = float32(r.NormFloat64())
			}
		}
		want := make([]float32, n*h)
		for k := range n {
			for d := range h {
				sum := float64(w[k]) * float64(out[d])
				for j := range n {
					switch {
					case iterations > 0:
						sum += float64(w[n+j*n+k]) * float64(x[j*h+d])
					case j == k:
						sum += float64(x[j*h+d])
					}
				}
				want[k*h+d] = float32(sum)
			}
		}
		c.Out(x, out, w, make([]float32, n*h))
		golden.Near(t, "streams", x, want, 1e-6)
	}
}

func TestSinkhorn(t *testing.T) {
	m := []float32{3, -1, 0.5, 2}
	sinkhorn(m, 2, 50, 0)
	for i := range 2 {
		if math.Abs(float64(m[i*2]+m[i*2+1]-1)) > 1e-5 || math.Abs(float64(m[i]+m[2+i]-1)) > 1e-5 {
			t.Fatal(m)
		}
	}
}

func TestMean(t *testing.T) {
	got := make([]float32, 2)
	Mean(got, []float32{1, 2, 3, 4, 5, 6, 7, 8})
	if !slices.Equal(got, []float32{4, 5}) {
		t.Fatal(got)
	}
}

func TestGated(t *testing.T) {
	g := golden.Read(t, "testdata/qwen4_exp.safetensors")
	x := g.Get("mix.in.0")
	m := Gated{Streams: 4, Hidden: 32}
	w := slices.Clone(g.Get("mix.hc_norm.weight"))
	for i := range w {
		w[i]++
	}
	y := make([]float32, len(x))
	for i := 0; i < len(x); i += 32 {
		vec.RMSNorm(y[i:i+32], x[i:i+32], w[i%128:][:32], 1e-6)
	}
	low := g.Linear("mix.input_mix_weight_down.weight", y)
	m.Low(low, make([]float32, len(low)))
	gate := g.Linear("mix.input_mix_weight_up.weight", low)
	inject := g.Linear("mix.block_inject_weight.weight", y)
	var in, weights []float32
	for i := 0; i < len(x)/128; i++ {
		a, b := make([]float32, 32), make([]float32, 128)
		m.In(a, y[i*128:][:128], gate[i*128:][:128])
		one := make([]float32, 32)
		one[0] = 1
		m.Out(b, one, inject[i*4:])
		in, weights = append(in, a...), append(weights, b[0], b[32], b[64], b[96])
	}
	golden.Near(t, "in", in, g.Get("mix.out.0"), 1e-6)
	golden.Near(t, "inject", weights, g.Get("mix.out.2"), 1e-6)
}
