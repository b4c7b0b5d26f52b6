package recur

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/internal/vec"
	"quern/runner/golden"
)

// twin is a layer in float64, token by token, written from doc.go.
func twin(l Layer, rows, decay, rate []float32, n int, state []float64) []float32 {
	out := make([]float32, n*l.ValueHeads*l.Values)
	d := l.decays()
	for h := range l.ValueHeads {
		s := state[h*l.Keys*l.Values:]
		for t := range n {
			row := rows[t*l.Width:]
			key := h / (l.ValueHeads / l.KeyHeads) * l.Keys
			q, k := vector(row[l.Q+key:][:l.Keys]), vector(row[l.K+key:][:l.Keys])
			if l.Normalize {
				unit(q, 1/math.Sqrt(float64(l.Keys)))
				unit(k, 1)
			}
			for j := range l.Values {
				held := 0.0
				for i := range l.Keys {
					s[i*l.Values+j] *= float64(decay[(t*l.ValueHeads+h)*d+i%d])
					held += k[i] * s[i*l.Values+j]
				}
				v := float64(row[l.V+h*l.Values+j])
				u := v
				if l.Delta {
					u -= held
				}
				u *= float64(rate[t*l.ValueHeads+h])
				o := 0.0
				for i := range l.Keys {
					s[i*l.Values+j] += k[i] * u
					o += q[i] * s[i*l.Values+j]
				}
				if l.Skip != nil {
					o += float64(l.Skip[h]) * v
				}
				out[(t*l.ValueHeads+h)*l.Values+j] = float32(o)
			}
		}
	}
	return out
}

func vector(x []float32) []float64 {
	v := make([]float64, len(x))
	for i := range x {
		v[i] = float64(x[i])
	}
	return v
}

func unit(x []float64, scale float64) {
	sum := 1e-6
	for _, v := range x {
		sum += v * v
	}
	for i := range x {
		x[i] *= scale / math.Sqrt(sum)
	}
}

func run(l Layer, rows, decay, rate, state []float32, n int) []float32 {
	out := make([]float32, n*l.ValueHeads*l.Values)
	scratch := make([]float32, l.Scratch())
	for h := range l.ValueHeads {
		l.Head(h, out, rows, decay, rate, state, n, scratch)
	}
	return out
}

var layers = map[string]Layer{
	"gated delta": GatedDelta(2, 6, 24, 16),
	"Kimi delta":  KimiDelta(3, 32),
	"Mamba-2":     Mamba2(2, 4, 16, 24, []float32{1, -2, 0.5, 3}),
}

// Chunks, tokens and any cut of a text equal the twin, also with decays near zero.
func TestTwin(t *testing.T) {
	for name, l := range layers {
		for _, n := range []int{1, 2, 15, 16, 17, 63, 64, 65, 150} {
			for _, small := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", name, n, small), func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(n), 7))
					rows, decay := make([]float32, n*l.Width), make([]float32, n*l.ValueHeads*l.decays())
					rate := make([]float32, n*l.ValueHeads)
					for i := range rows {
						rows[i] = float32(r.NormFloat64())
					}
					for i := range decay {
						decay[i] = float32(math.Exp(-r.Float64()))
						if small && r.IntN(3) == 0 {
							decay[i] = float32(math.Exp(-5 - 80*r.Float64()))
						}
					}
					for i := range rate {
						rate[i] = r.Float32()
					}
					want := twin(l, rows, decay, rate, n, make([]float64, l.StateSize()))
					whole := make([]float32, l.StateSize())
					golden.Near(t, "one pass", run(l, rows, decay, rate, whole, n), want, 2e-6)

					state := make([]float32, l.StateSize())
					var got []float32
					for at := 0; at < n; {
						c := min(n-at, 1+r.IntN(40))
						got = append(got, run(l, rows[at*l.Width:], decay[at*l.ValueHeads*l.decays():], rate[at*l.ValueHeads:], state, c)...)
						at += c
					}
					golden.Near(t, "in pieces", got, want, 2e-6)
					golden.Near(t, "state", state, whole, 2e-6)
				})
			}
		}
	}
}

func TestConv(t *testing.T) {
	for _, dilation := range []int{0, 3} {
		r := rand.New(rand.NewPCG(1, 2))
		c := &Conv{Channels: 5, Width: 4, Dilation: dilation, Weight: make([]float32, 20), Bias: make([]float32, 5)}
		const n = 11
		x := make([]float32, n*5)
		for _, s := range [][]float32{c.Weight, c.Bias, x} {
			for i := range s {
				s[i] = float32(r.NormFloat64())
			}
		}
		want := make([]float32, n*5)
		for i := range want {
			at, ch := i/5, i%5
			sum := float64(c.Bias[ch])
			for j := range 4 {
				if p := at - (3-j)*max(dilation, 1); p >= 0 {
					sum += float64(c.Weight[ch*4+j]) * float64(x[p*5+ch])
				}
			}
			want[i] = float32(sum / (1 + math.Exp(-sum)))
		}
		for cut := range n + 1 {
			for second := cut; second <= n; second++ {
				state, got := make([]float32, c.StateSize()), make([]float32, n*5)
				first := 0
				for _, to := range []int{cut, second, n} {
					c.Rows(got[first*5:], x[first*5:to*5], state, 0, to-first)
					c.Push(state, x[first*5:], to-first)
					first = to
				}
				golden.Near(t, fmt.Sprint(cut, second), got, want, 1e-6)
			}
		}
		part := make([]float32, 3*5)
		c.Rows(part, x, make([]float32, c.StateSize()), 4, 3)
		golden.Near(t, "part", part, want[4*5:7*5], 1e-6)
	}
}

// mix runs a layer with its convolution and state over n rows.
func mix(l *Layer, c *Conv, s *State, x, decay, rate []float32, n int) []float32 {
	rows := make([]float32, n*l.Width)
	c.Rows(rows, x, s.Conv, 0, n)
	c.Push(s.Conv, x, n)
	return run(*l, rows, decay, rate, s.S, n)
}

func conv(g *golden.Tensors, name string) *Conv {
	w := g.Get(name + ".weight")
	c := &Conv{Channels: g.Rows(name + ".weight"), Weight: w}
	c.Width = len(w) / c.Channels
	if g.Has(name + ".bias") {
		c.Bias = g.Get(name + ".bias")
	}
	return c
}

func sigmoids(x []float32) []float32 {
	y := slices.Clone(x)
	vec.Sigmoid(y, y)
	return y
}

func TestQwen3Next(t *testing.T) {
	g := golden.Read(t, "testdata/qwen3_next.safetensors")
	x := g.Get("delta.in.hidden_states")
	qkvz, ba := g.Linear("delta.in_proj_qkvz.weight", x), g.Linear("delta.in_proj_ba.weight", x)
	l := GatedDelta(2, 4, 16, 16)
	s := Split{KeyHeads: 2, ValueHeads: 4, Keys: 16, Values: 16}
	n := len(x) / 32
	qkv, z := make([]float32, n*l.Width), make([]float32, n*64)
	b, a := make([]float32, n*4), make([]float32, n*4)
	for i := range n {
		s.QKVZ(qkv[i*l.Width:][:l.Width], z[i*64:][:64], qkvz[i*192:][:192])
		s.BA(b[i*4:][:4], a[i*4:][:4], ba[i*8:][:8])
	}
	gatedDelta(t, g, &l, qkv, z, b, a)
}

func TestQwen35(t *testing.T) {
	g := golden.Read(t, "testdata/qwen3_5_moe.safetensors")
	x := g.Get("delta.in.hidden_states")
	l := GatedDelta(2, 4, 16, 16)
	gatedDelta(t, g, &l, g.Linear("delta.in_proj_qkv.weight", x), g.Linear("delta.in_proj_z.weight", x),
		g.Linear("delta.in_proj_b.weight", x), g.Linear("delta.in_proj_a.weight", x))
}

func gatedDelta(t *testing.T, g *golden.Tensors, l *Layer, qkv, z, b, a []float32) {
	d := Decay{ALog: g.Get("delta.A_log"), Bias: g.Get("delta.dt_bias")}
	d.Apply(a)
	c := conv(g, "delta.conv1d")
	out := mix(l, c, NewState(c, l), qkv, a, sigmoids(b), len(qkv)/l.Width)
	norm := Norm{Weight: g.Get("delta.norm.weight"), Group: 16, Eps: 1e-6}
	norm.Apply(out, z)
	golden.Near(t, "output", g.Linear("delta.out_proj.weight", out), g.Get("delta.out"), 3e-6)
}

func TestKimi(t *testing.T) {
	for name, lower := range map[string]float32{"kimi_linear": 0, "bailing_hybrid": -5, "glm5_next": -5} {
		t.Run(name, func(t *testing.T) {
			g := golden.Read(t, "testdata/"+name+".safetensors")
			x := g.Get("kda.in.hidden_states")
			n := len(x) / 32
			l := KimiDelta(4, 16)
			q, k, v := g.Linear("kda.q_proj.weight", x), g.Linear("kda.k_proj.weight", x), g.Linear("kda.v_proj.weight", x)
			var qkv []float32
			for i := range n {
				qkv = append(append(append(qkv, q[i*64:][:64]...), k[i*64:][:64]...), v[i*64:][:64]...)
			}
			low := func(a, b, full string) []float32 {
				if g.Has(full) {
					return g.Linear(full, x)
				}
				return g.Linear(b, g.Linear(a, x))
			}
			f := low("kda.forget_gate.f_a_proj.weight", "kda.forget_gate.f_b_proj.weight", "kda.forget_gate.f_proj.weight")
			gate := low("kda.g_a_proj.weight", "kda.g_b_proj.weight", "kda.g_proj.weight")
			d := Decay{ALog: g.Get("kda.forget_gate.A_log"), Bias: g.Get("kda.forget_gate.dt_bias"), Lower: lower}
			d.Apply(f)
			c := conv(g, "kda.conv1d")
			out := mix(&l, c, NewState(c, &l), qkv, f, sigmoids(g.Linear("kda.b_proj.weight", x)), n)
			eps := float32(1e-5)
			if name == "bailing_hybrid" {
				eps = 1e-6
			}
			norm := Norm{Weight: g.Get("kda.o_norm.weight"), Group: 16, Eps: eps, Sigmoid: true}
			norm.Apply(out, gate)
			golden.Near(t, "output", g.Linear("kda.o_proj.weight", out), g.Get("kda.out"), 3e-6)
		})
	}
}

func TestNemotron(t *testing.T) {
	g := golden.Read(t, "testdata/nemotron_h.safetensors")
	x := g.Get("mamba.in.0")
	n := len(x) / 32
	l := Mamba2(2, 8, 16, 16, g.Get("mamba.D"))
	p := g.Linear("mamba.in_proj.weight", x)
	z, xbc, dt := make([]float32, 0, n*128), make([]float32, 0, n*l.Width), make([]float32, 0, n*8)
	for i := range n {
		row := p[i*328:][:328]
		z, xbc, dt = append(z, row[:128]...), append(xbc, row[128:128+l.Width]...), append(dt, row[320:]...)
	}
	decay := make([]float32, n*8)
	Steps(decay, dt, g.Get("mamba.A_log"), g.Get("mamba.dt_bias"), 0.001, float32(math.Inf(1)))
	c := conv(g, "mamba.conv1d")
	out := mix(&l, c, NewState(c, &l), xbc, decay, dt, n)
	norm := Norm{Weight: g.Get("mamba.norm.weight"), Group: 64, Eps: 1e-5, GateFirst: true}
	norm.Apply(out, z)
	golden.Near(t, "output", g.Linear("mamba.out_proj.weight", out), g.Get("mamba.out"), 3e-6)
}

// Decays and steps equal their formulas in float64, far out too.
func TestGates(t *testing.T) {
	values := []float32{-100, -20, -3, -0.5, 0, 0.5, 3, 19.9, 20.1, 60}
	softplus := func(x float64) float64 {
		if x > 20 {
			return x
		}
		return math.Log1p(math.Exp(x))
	}
	d := Decay{ALog: []float32{-2, 1.5}, Bias: make([]float32, 2*len(values))}
	for _, lower := range []float32{0, -5} {
		d.Lower = lower
		var got, want []float32
		for range 2 {
			got = append(append(got, values...), values...)
		}
		for i := range got {
			d.Bias[i%len(d.Bias)] = 0.25
			rate, x := math.Exp(float64(d.ALog[i/len(values)%2])), float64(got[i])+0.25
			g := -rate * softplus(x)
			if lower != 0 {
				g = float64(lower) / (1 + math.Exp(-rate*x))
			}
			want = append(want, float32(math.Exp(g)))
		}
		d.Apply(got)
		golden.Near(t, "decays", got, want, 1e-6)
	}
	dt, decay := []float32{-100, 0, 30, 1}, make([]float32, 4)
	Steps(decay, dt, []float32{0, 1}, []float32{0.5, -0.5}, 0.001, 0.9)
	golden.Near(t, "steps", dt, []float32{0.001, float32(softplus(-0.5)), 0.9, 0.9}, 1e-6)
	golden.Near(t, "decays of steps", decay, []float32{float32(math.Exp(-0.001)), float32(math.Exp(-math.E * softplus(-0.5))), float32(math.Exp(-0.9)), float32(math.Exp(-0.9 * math.E))}, 1e-6)
}

// A draft is taken back by the state before it.
func TestTakeBack(t *testing.T) {
	g := golden.Read(t, "testdata/qwen3_5_moe.safetensors")
	c := conv(g, "delta.conv1d")
	l := GatedDelta(2, 4, 16, 16)
	r := rand.New(rand.NewPCG(3, 4))
	const n = 30
	x, decay, rate := make([]float32, n*l.Width), make([]float32, n*4), make([]float32, n*4)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for i := range rate {
		rate[i], decay[i] = r.Float32(), r.Float32()
	}
	s := NewState(c, &l)
	mix(&l, c, s, x, decay, rate, 20)
	kept := s.Clone()
	want := mix(&l, c, s, x[20*l.Width:], decay[20*4:], rate[20*4:], 5)
	mix(&l, c, s, x[25*l.Width:], decay[25*4:], rate[25*4:], 5)
	s.Set(kept)
	if got := mix(&l, c, s, x[20*l.Width:], decay[20*4:], rate[20*4:], 5); !slices.Equal(got, want) {
		t.Fatal("the rows behind a draft taken back differ")
	}
}

func BenchmarkHead(b *testing.B) {
	for name, l := range map[string]Layer{"gated delta": GatedDelta(1, 1, 128, 128), "Kimi delta": KimiDelta(1, 128)} {
		for _, n := range []int{1, 256} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				rows, decay, rate := make([]float32, n*l.Width), make([]float32, n*l.decays()), make([]float32, n)
				for i := range rows {
					rows[i] = float32(i%7) - 3
				}
				for i := range decay {
					decay[i] = 0.9
				}
				state, scratch := make([]float32, l.StateSize()), make([]float32, l.Scratch())
				out := make([]float32, n*l.Values)
				for b.Loop() {
					l.Head(0, out, rows, decay, rate, state, n, scratch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/token")
			})
		}
	}
}
