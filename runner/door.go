package runner

import (
	"math"

	"quern/internal/vec"
)

// open multiplies the output of heads by a gate of a projection of its own: a number for
// each channel, or one a head (Afmoe, Laguna).
func (g *grouped) open(p *pass, out, x []float32, rows int) {
	if g.gate == nil {
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	n := g.gate.out
	gate := p.arena.floats(rows * n)
	p.linear(gate, x, rows, g.gate, nil)
	width := g.heads * g.valueSize
	per := width / n
	p.each(rows, 8*width, func(first, count, _ int) {
		gs := gate[first*n:][:count*n]
		if g.softplus {
			softplus(gs)
		} else {
			vec.Sigmoid(gs, gs)
		}
		o := out[first*width:][:count*width]
		if per == 1 {
			vec.Mul(o, gs)
			return
		}
		for i, v := range gs {
			vec.Scale(o[i*per:][:per], v)
		}
	})
}

// softplus is ln(1+eˣ), as torch computes it: x beyond 20.
func softplus(x []float32) {
	for i, v := range x {
		if v <= 20 {
			x[i] = float32(math.Log1p(math.Exp(float64(v))))
		}
	}
}
