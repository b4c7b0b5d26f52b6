package runner

import (
	"quern/formats/model"
	"quern/internal/vec"
)

// experts are a feed-forward block of which each token passes a few parts: walk.routed
// runs them.
type experts struct {
	router  *router
	experts []*mlp
	parts   []*part // weights of each
	shared  *mlp    // nil when there is none
	gate    *matrix // of the shared expert (Qwen2-MoE), or nil
}

func newExperts(s *site) (mixer, error) {
	r, err := newRouter(s)
	if err != nil {
		return nil, err
	}
	x := &experts{router: r, experts: make([]*mlp, s.c.NumExperts), parts: make([]*part, s.c.NumExperts)}
	for e := range x.experts {
		if s.fam.clamped {
			x.experts[e] = newClamped(s, e)
		} else {
			x.experts[e] = newMLP(s, model.RoutedExpert, e)
		}
		if s.err != nil {
			return nil, s.err
		}
		x.parts[e] = partOf(x.experts[e])
	}
	if s.has(model.SharedExpert, "gate") {
		x.shared = newMLP(s, model.SharedExpert, -1)
		if s.has(model.SharedExpertGate, "") {
			x.gate = s.weight(model.SharedExpertGate, "")
		}
	}
	return x, s.err
}

// needs adds what every token of the layer needs.
func (x *experts) needs(p *part) {
	x.router.needs(p)
	if x.shared != nil {
		x.shared.needs(p)
	}
	p.matrices(x.gate)
}

// mix is what every token gets: the shared expert with its gate, or zeros. Experts add
// to it.
func (x *experts) mix(p *pass, y, in []float32, b *batch) error {
	rows, hidden := b.n, p.m.hidden
	if x.shared == nil {
		clear(y[:rows*hidden])
		return nil
	}
	x.shared.forward(p, y, in, rows)
	if x.gate == nil {
		return nil
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	gate := p.arena.floats(rows)
	p.linear(gate, in, rows, x.gate, nil)
	vec.Sigmoid(gate, gate)
	for r, g := range gate {
		vec.Scale(y[r*hidden:][:hidden], g)
	}
	return nil
}
