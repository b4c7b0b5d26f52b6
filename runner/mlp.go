package runner

import (
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/glu"
)

// mlp is a gated feed-forward block: down(act(gate(x))·up(x)); without a gate
// down(act(up(x))).
type mlp struct {
	gate, up, down *matrix
	// gateUp holds gate and up in the alternating columns of gpt_oss; gate and up are
	// nil then.
	gateUp *matrix
	// joined holds all of gate and then all of up, which are nil then (MiniMax-M3).
	joined                 *matrix
	gateUpBias             *vector
	gateBias, upBias       *vector // or nil, as downBias
	downBias               *vector
	act                    activation
	clampAlpha, clampLimit float32
	alpha                  float32 // of the shifted activation, 0: another one
	limit                  float32 // of gate and up, 0: none (DeepSeek-V4, GLM-5.3)
	inner                  int
}

// newMLP lays out a feed-forward block of the layer: a dense or shared one (expert −1),
// or an expert.
func newMLP(s *site, role model.Role, expert int) *mlp {
	part := func(p string) *matrix {
		return s.matrix(key{role: role, layer: s.layer, expert: expert + 1, part: p, piece: s.piece})
	}
	f := &mlp{down: part("down"), act: activations[s.c.HiddenAct]}
	if expert < 0 && s.has(role, "gate_up") {
		f.joined = part("gate_up")
		f.inner = f.joined.out / 2
	} else {
		f.up = part("up")
		if f.inner = f.up.out; !s.fam.ungated {
			f.gate = part("gate")
		}
	}
	if s.fam.limited || s.fam.shifted || s.fam.limitedExperts && role == model.RoutedExpert {
		f.limit = float32(s.c.SwigluLimit)
	}
	if s.fam.shifted {
		f.alpha = float32(s.c.SwigluAlpha)
	}
	if s.fam.mlpBias && s.c.MLPBias && role != model.RoutedExpert {
		bias := func(p string, n int) *vector {
			return s.vector(key{role: model.Bias, layer: s.layer, part: p}, n)
		}
		f.gateBias, f.upBias, f.downBias = bias("gate", f.inner), bias("up", f.inner), bias("down", s.c.HiddenSize)
	}
	return f
}

// newClamped lays out expert e of gpt_oss.
func newClamped(s *site, e int) *mlp {
	c := s.c
	hidden, inner := int64(c.HiddenSize), int64(c.ExpertSize())
	cut := func(part string, out, in int64) *matrix {
		t := s.find(key{role: model.RoutedExpert, layer: s.layer, part: part})
		if t == nil {
			return nil
		}
		if t.Written != nil {
			return s.expert(t, e, part)
		}
		if _, ok := plan.Elem(t.DType); !ok || len(t.Shape) != 3 {
			if s.err == nil {
				s.err = invalid.Errorf("tensor %q: the runner does not read experts as %s %v; a BF16 checkpoint has them as [experts, in, out]", t.Name, t.DType, t.Shape)
			}
			return nil
		}
		return &matrix{
			name: t.Name, module: t.Meta.ExpertModule(e, part), view: slice(t.Source, e, in, out),
			out: int(out), in: int(in), transposed: true,
		}
	}
	bias := func(part string, n int64) *vector {
		t := s.find(key{role: model.Bias, layer: s.layer, part: part})
		if t == nil {
			return nil
		}
		return &vector{view: slice(t.Source, e, n), n: int(n)}
	}
	f := &mlp{
		gateUp: cut("gate_up", 2*inner, hidden), down: cut("down", hidden, inner), inner: int(inner),
		gateUpBias: bias("gate_up", 2*inner), downBias: bias("down", hidden),
		clampAlpha: float32(c.SwigluAlpha), clampLimit: float32(c.SwigluLimit),
	}
	// The releases of gpt_oss have no key for the first and may lack the second:
	// transformers' constants.
	if f.clampAlpha == 0 {
		f.clampAlpha = 1.702
	}
	if f.clampLimit == 0 {
		f.clampLimit = 7
	}
	return f
}

func (f *mlp) needs(p *part) {
	p.matrices(f.gateUp, f.joined, f.gate, f.up, f.down)
	p.vectors(f.gateUpBias, f.gateBias, f.upBias, f.downBias)
}

// mix is forward for a layer in which all tokens pass one block.
func (f *mlp) mix(p *pass, y, x []float32, b *batch) error {
	f.forward(p, y, x, b.n)
	return nil
}

// forward computes the gated feed-forward block for rows of x.
func (f *mlp) forward(p *pass, y, x []float32, rows int) {
	if rows == 0 {
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	h := p.arena.floats(rows * f.inner)
	switch {
	case f.joined != nil:
		f.divided(p, h, x, rows)
	case f.gate == nil && f.gateUp == nil:
		p.observe(x, rows, f.up)
		p.linear(h, x, rows, f.up, f.upBias)
		p.each(rows, 4*f.inner, func(first, n, _ int) { f.act.apply(h[first*f.inner:][:n*f.inner]) })
	case f.gateUp != nil:
		p.observe(x, rows, f.gateUp)
		both := p.arena.floats(rows * 2 * f.inner)
		p.linear(both, x, rows, f.gateUp, f.gateUpBias)
		p.each(rows, 8*f.inner, func(first, n, _ int) {
			vec.ClampedSwiGLU(h[first*f.inner:][:n*f.inner], both[2*first*f.inner:][:2*n*f.inner], f.clampAlpha, f.clampLimit)
		})
	default:
		p.observe(x, rows, f.gate, f.up)
		up := p.arena.floats(rows * f.inner)
		p.linear(h, x, rows, f.gate, f.gateBias)
		p.linear(up, x, rows, f.up, f.upBias)
		f.open(p, h, up, rows)
	}
	p.observe(h, rows, f.down)
	p.linear(y, h, rows, f.down, f.downBias)
}

// divided computes what lies behind gate and up, where one matrix gives both.
func (f *mlp) divided(p *pass, h, x []float32, rows int) {
	both, up := p.arena.floats(rows*2*f.inner), p.arena.floats(rows*f.inner)
	p.observe(x, rows, f.joined)
	p.linear(both, x, rows, f.joined, nil)
	for r := range rows {
		copy(h[r*f.inner:][:f.inner], both[2*r*f.inner:])
		copy(up[r*f.inner:][:f.inner], both[(2*r+1)*f.inner:])
	}
	f.open(p, h, up, rows)
}

// open multiplies up by the activation of the gate, into gate.
func (f *mlp) open(p *pass, gate, up []float32, rows int) {
	var scratch []float32
	if f.alpha > 0 {
		scratch = p.arena.floats(rows * f.inner)
	}
	p.each(rows, 4*f.inner, func(first, n, _ int) {
		from, to := first*f.inner, (first+n)*f.inner
		switch a, u := gate[from:to], up[from:to]; {
		case f.alpha > 0:
			glu.Alpha(a, u, scratch[from:to], f.alpha, f.limit)
		case f.limit > 0:
			glu.Clamped(a, u, f.limit)
		default:
			f.act.times(a, u)
		}
	})
}
