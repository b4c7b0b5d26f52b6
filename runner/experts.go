package runner

import (
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
)

// experts are the second block of a layer with routed experts.
type experts struct {
	router  *router
	experts []*mlp
	shared  *mlp    // nil when there is none
	gate    *matrix // of the shared expert (Qwen2-MoE), or nil
}

func newExperts(b *builder, c *model.Config, f family, layer int) (*experts, error) {
	r, err := newRouter(b, c, f, layer)
	if err != nil {
		return nil, err
	}
	x := &experts{router: r, experts: make([]*mlp, c.NumExperts)}
	for e := range x.experts {
		if f.clamped {
			x.experts[e], err = newClamped(b, c, layer, e)
		} else {
			x.experts[e] = newMLP(b, c, f, model.RoutedExpert, layer, e)
		}
		if err != nil {
			return nil, err
		}
	}
	if b.has(key{role: model.SharedExpert, layer: layer, part: "gate"}) {
		x.shared = newMLP(b, c, f, model.SharedExpert, layer, -1)
		if k := (key{role: model.SharedExpertGate, layer: layer}); b.has(k) {
			x.gate = b.matrix(k)
		}
	}
	return x, nil
}

// newClamped lays out expert e of gpt_oss.
func newClamped(b *builder, c *model.Config, layer, e int) (*mlp, error) {
	hidden, inner := int64(c.HiddenSize), int64(c.ExpertSize())
	cut := func(part string, out, in int64) *matrix {
		t := b.find(key{role: model.RoutedExpert, layer: layer, part: part})
		if t == nil {
			return nil
		}
		if _, ok := plan.Elem(t.DType); !ok || len(t.Shape) != 3 {
			if b.err == nil {
				b.err = invalid.Errorf("tensor %q: the runner does not read experts as %s %v; a BF16 checkpoint has them as [experts, in, out]", t.Name, t.DType, t.Shape)
			}
			return nil
		}
		return &matrix{
			name: t.Name, module: t.Meta.ExpertModule(e, part), view: slice(t.Source, e, in, out),
			out: int(out), in: int(in), transposed: true,
		}
	}
	bias := func(part string, n int64) *vector {
		t := b.find(key{role: model.Bias, layer: layer, part: part})
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
	return f, b.err
}

// vectors lists those that every token of the layer needs.
func (x *experts) vectors() []*vector {
	vs := []*vector{x.router.bias, x.router.correct}
	if x.shared != nil {
		vs = append(vs, x.shared.vectors()...)
	}
	return vs
}

// common lists the matrices that every token of the layer needs.
func (x *experts) common() []*matrix {
	ms := []*matrix{x.router.weight}
	if x.shared != nil {
		ms = append(ms, x.shared.matrices()...)
	}
	if x.gate != nil {
		ms = append(ms, x.gate)
	}
	return ms
}

// route chooses experts for rows of normalized hidden states x, tokens first,
// first+1, … of the texts.
func (x *experts) route(p *pass, ids []int32, weights, in []float32, rows, layer, first int) {
	r := x.router
	mark := p.arena.mark()
	defer p.arena.release(mark)
	logits := p.arena.floats(rows * r.experts)
	p.linear(logits, in, rows, r.weight, r.bias)
	scratch := p.arena.floats(p.workers * 3 * r.experts)
	var correct []float32
	if r.correct != nil {
		correct = p.weights.vector(r.correct)
	}
	p.each(rows, r.experts*(r.topK+8), func(a, n, worker int) {
		for i := a; i < a+n; i++ {
			r.choose(ids[i*r.topK:][:r.topK], weights[i*r.topK:][:r.topK], logits[i*r.experts:][:r.experts], correct, scratch[worker*3*r.experts:][:3*r.experts])
		}
	})
	if p.hooks != nil && p.hooks.Route != nil {
		p.hooks.Route(layer, first, ids[:rows*r.topK], weights[:rows*r.topK], r.topK)
	}
}

// forward computes the gated feed-forward block for rows of x.
func (f *mlp) forward(p *pass, y, x []float32, rows int) {
	if rows == 0 {
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	h := p.arena.floats(rows * f.inner)
	if f.gateUp != nil {
		p.observe(x, rows, f.gateUp)
		both := p.arena.floats(rows * 2 * f.inner)
		p.linear(both, x, rows, f.gateUp, f.gateUpBias)
		p.each(rows, 8*f.inner, func(first, n, _ int) {
			vec.ClampedSwiGLU(h[first*f.inner:][:n*f.inner], both[2*first*f.inner:][:2*n*f.inner], f.clampAlpha, f.clampLimit)
		})
	} else {
		p.observe(x, rows, f.gate, f.up)
		up := p.arena.floats(rows * f.inner)
		p.linear(h, x, rows, f.gate, f.gateBias)
		p.linear(up, x, rows, f.up, f.upBias)
		p.each(rows, 4*f.inner, func(first, n, _ int) {
			a := h[first*f.inner:][:n*f.inner]
			f.act.times(a, up[first*f.inner:][:n*f.inner])
		})
	}
	p.observe(h, rows, f.down)
	p.linear(y, h, rows, f.down, f.downBias)
}

// always computes what every token gets: the shared expert with its gate, or zeros.
func (x *experts) always(p *pass, y, in []float32, rows, hidden int) {
	if x.shared == nil {
		clear(y[:rows*hidden])
		return
	}
	x.shared.forward(p, y, in, rows)
	if x.gate == nil {
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	gate := p.arena.floats(rows)
	p.linear(gate, in, rows, x.gate, nil)
	vec.Sigmoid(gate, gate)
	for r, g := range gate {
		vec.Scale(y[r*hidden:][:hidden], g)
	}
}
