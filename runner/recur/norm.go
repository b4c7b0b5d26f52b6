package recur

import "quern/internal/vec"

// Norm is the gated norm behind a mixer, over groups of Group channels.
type Norm struct {
	Weight []float32 // as long as a group, or as a row
	Group  int
	Eps    float32
	// Sigmoid gates with sigmoid(gate) (Kimi delta attention) instead of silu(gate).
	Sigmoid bool
	// GateFirst gates before the norm (Mamba-2) instead of behind it.
	GateFirst bool
}

// Apply replaces the rows of x; gate has as many numbers and is overwritten.
func (n *Norm) Apply(x, gate []float32) {
	g := n.Group
	s := make([]float32, g)
	for at := 0; at < len(x); at += g {
		y, z := x[at:][:g], gate[at:][:g]
		vec.Sigmoid(s, z)
		if n.Sigmoid {
			copy(z, s)
		} else {
			vec.Mul(z, s)
		}
		if n.GateFirst {
			vec.Mul(y, z)
		}
		vec.RMSNorm(y, y, n.Weight[at%len(n.Weight):][:g], n.Eps)
		if !n.GateFirst {
			vec.Mul(y, z)
		}
	}
}
