package runner

import (
	"quern/formats/model"
	"quern/internal/vec"
)

// experts are a feed-forward block of which each token passes a few parts: walk.routed
// runs them.
type experts struct {
	router  *router
	experts []*mlp  // nil among them: one that gives what it reads (LongCat)
	parts   []*part // weights of each
	shared  *mlp    // nil when there is none
	gate    *matrix // of the shared expert (Qwen2-MoE), or nil
	onInput bool    // weights multiply what experts read (Llama 4)
	half    bool    // the mean of routed sum and shared expert (Cohere), not their sum
	latent  *latentExperts
}

// latentExperts are experts that work in another width than the hidden states have: one
// projection for all of them before, and a norm and one behind their sum (Kimi K3; the
// norm is nil in Nemotron).
type latentExperts struct {
	down, up *matrix
	norm     *norm
}

// width of what experts read and give.
func (x *experts) width(hidden int) int {
	if x.latent != nil {
		return x.latent.down.out
	}
	return hidden
}

func newExperts(s *site) (mixer, error) {
	r, err := newRouter(s)
	if err != nil {
		return nil, err
	}
	x := &experts{router: r, onInput: s.fam.weighInput, experts: make([]*mlp, s.c.NumExperts), parts: make([]*part, s.c.NumExperts)}
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
	for range s.c.ZeroExperts { // choices without weights, which give what they read
		x.experts, x.parts = append(x.experts, nil), append(x.parts, &part{})
	}
	if s.has(model.ExpertLatent, "down") {
		x.latent = &latentExperts{down: s.weight(model.ExpertLatent, "down"), up: s.weight(model.ExpertLatent, "up")}
	}
	if s.has(model.SharedExpert, "up") || s.has(model.SharedExpert, "gate_up") {
		x.shared = newMLP(s, model.SharedExpert, -1)
		if s.has(model.SharedExpertGate, "") {
			x.gate = s.weight(model.SharedExpertGate, "")
		}
	}
	return x, s.err
}

// zero is how many experts give what they read.
func (x *experts) zero() int {
	n := 0
	for _, e := range x.experts {
		if e == nil {
			n++
		}
	}
	return n
}

// needs adds what every token of the layer needs.
func (x *experts) needs(p *part) {
	x.router.needs(p)
	if x.shared != nil {
		x.shared.needs(p)
	}
	p.matrices(x.gate)
	if x.latent != nil {
		p.matrices(x.latent.down)
	}
}

// behind adds what the sum of the experts needs.
func (x *experts) behind(p *part) {
	if x.latent != nil {
		p.matrices(x.latent.up)
		x.latent.norm.needs(p)
	}
}

// read makes what experts read of normalized hidden states.
func (x *latentExperts) read(p *pass, dst, h []float32, rows int) {
	p.observe(h, rows, x.down)
	p.linear(dst, h, rows, x.down, nil)
}

// give adds to y what the sums of experts, which it overwrites, come to.
func (x *latentExperts) give(p *pass, y, sums []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	if x.norm != nil {
		p.normalize(sums, sums, rows, x.up.in, x.norm)
	}
	p.observe(sums, rows, x.up)
	z := p.arena.floats(rows * x.up.out)
	p.linear(z, sums, rows, x.up, nil)
	p.add(y, z, rows, x.up.out)
}

// apply computes one expert.
func (x *experts) apply(p *pass, e int, y, in []float32, rows int) {
	if x.experts[e] == nil {
		copy(y[:rows*x.width(p.m.hidden)], in)
		return
	}
	x.experts[e].forward(p, y, in, rows)
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
	if x.half {
		vec.Scale(y[:rows*hidden], 0.5)
	}
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
