package runner

import (
	"quern/internal/vec"
)

// newGated is grouped attention whose q_proj gives a gate beside each query head: the
// heads' output is multiplied by its sigmoid (Qwen3-Next and those behind it).
func newGated(s *site) (mixer, error) {
	m, err := newGrouped(s)
	if err != nil {
		return nil, err
	}
	m.(*grouped).gated = true
	return m, nil
}

// gates are the gates of the output, nil where there are none; q gets the queries.
func (g *grouped) gates(p *pass, q, x []float32, rows int) []float32 {
	if !g.gated {
		p.linear(q, x, rows, g.q, g.qBias)
		return nil
	}
	gate := p.arena.floats(len(q))
	mark := p.arena.mark()
	defer p.arena.release(mark)
	both := p.arena.floats(2 * len(q))
	p.linear(both, x, rows, g.q, g.qBias)
	p.each(rows*g.heads, 2*g.size, func(first, n, _ int) {
		for h := first; h < first+n; h++ {
			copy(q[h*g.size:][:g.size], both[2*h*g.size:])
			copy(gate[h*g.size:][:g.size], both[(2*h+1)*g.size:])
		}
	})
	return gate
}

// open multiplies outputs by the sigmoid of their gates, which are overwritten.
func (p *pass) open(out, gate []float32, rows int) {
	if gate == nil {
		return
	}
	width := len(gate) / rows
	p.each(rows, 4*width, func(first, n, _ int) {
		g := gate[first*width:][:n*width]
		vec.Sigmoid(g, g)
		vec.Mul(out[first*width:][:n*width], g)
	})
}

// gated multiplies each head's output by the sigmoid of a number of its own (Ling 3), or
// each channel (Hunyuan 4).
func (a *latent) gated(p *pass, out, x []float32, rows int) {
	if a.gate == nil {
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	gate := p.arena.floats(rows * a.gate.out)
	if a.gate.out > a.heads {
		p.observe(x, rows, a.gate)
		p.linear(gate, x, rows, a.gate, nil)
		p.open(out, gate, rows)
		return
	}
	p.linear(gate, x, rows, a.gate, nil)
	vec.Sigmoid(gate, gate)
	p.each(rows*a.heads, a.valueSize, func(first, n, _ int) {
		for h := first; h < first+n; h++ {
			vec.Scale(out[h*a.valueSize:][:a.valueSize], gate[h])
		}
	})
}
