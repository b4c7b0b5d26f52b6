package runner

import (
	"quern/formats/model"
	"quern/internal/vec"
	"quern/runner/rotary"
)

// scaling multiplies queries by numbers of each head that grow with the position
// (rotary.Log).
type scaling struct {
	scale, bias *vector
	heads, size int
}

// scaling are those numbers of the layer, by the part that they are named after.
func (s *site) scaling(part string, heads, size int) *scaling {
	at := func(name string) *vector {
		return s.vector(key{role: model.Factor, layer: s.layer, part: part + name}, heads)
	}
	return &scaling{scale: at(".s"), bias: at(".b"), heads: heads, size: size}
}

// needs adds the numbers; of none, nothing.
func (x *scaling) needs(p *part) {
	if x != nil {
		p.vectors(x.scale, x.bias)
	}
}

// apply multiplies the queries of rows; none, nothing.
func (x *scaling) apply(p *pass, q []float32, segs []segment) {
	if x == nil {
		return
	}
	scale, bias := p.weights.vector(x.scale), p.weights.vector(x.bias)
	for _, s := range segs {
		p.each(s.n, x.heads*x.size, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				for h := range x.heads {
					vec.Scale(q[((s.first+i)*x.heads+h)*x.size:][:x.size], rotary.Log(s.pos+i, scale[h], bias[h]))
				}
			}
		})
	}
}
