package hyper

import "quern/internal/vec"

// Gated are the gated residual streams of Qwen3.8.
type Gated struct{ Streams, Hidden int }

// Low turns down(y) into what up is multiplied with: silu(·/Streams).
func (g Gated) Low(low, scratch []float32) {
	vec.Scale(low, 1/float32(g.Streams))
	vec.Sigmoid(scratch[:len(low)], low)
	vec.Mul(low, scratch[:len(low)])
}

// In writes the block's input: the mean over streams of sigmoid(gate)⊙y, with gate the
// product with up, overwritten, and y the normed streams.
func (g Gated) In(in, y, gate []float32) {
	vec.Sigmoid(gate, gate)
	vec.Mul(gate, y)
	Mean(in, gate)
}

// Out adds the block's output to the streams x, inject being the product of y with the
// matrix of that name.
func (g Gated) Out(x, out, inject []float32) {
	for s := range g.Streams {
		vec.Axpy(x[s*g.Hidden:][:g.Hidden], 2*sigmoid(inject[s]/float32(g.Streams)), out)
	}
}
