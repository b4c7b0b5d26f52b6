package recur

import "quern/internal/vec"

// Conv is a causal depthwise convolution followed by SiLU:
//
//	y[t][c] = silu(bias[c] + Σ_j weight[c][j]·x[t−(Width−1−j)·Dilation][c])
//
// with zeros before the first row. The state are the last (Width−1)·Dilation rows of the
// input, oldest first.
type Conv struct {
	Channels, Width int
	Dilation        int       // 0 means 1
	Weight          []float32 // Channels·Width, as conv1d.weight holds it
	Bias            []float32 // Channels, or nil
}

// StateSize is how many numbers the state has.
func (c *Conv) StateSize() int { return c.keep() * c.Channels }

// keep is how many rows the state has.
func (c *Conv) keep() int { return (c.Width - 1) * max(c.Dilation, 1) }

// Rows writes rows first to first+n of the result to dst, which begins with row
// first. x are all rows of the pass, state is that before the pass. It changes
// neither, so that parts of a pass may be computed side by side.
func (c *Conv) Rows(dst, x, state []float32, first, n int) {
	w, k, keep := c.Channels, c.Width, c.keep()
	gate := make([]float32, w)
	for t := first; t < first+n; t++ {
		y := dst[(t-first)*w:][:w]
		if c.Bias != nil {
			copy(y, c.Bias)
		} else {
			clear(y)
		}
		for j := range k {
			src := x
			at := t - keep + j*max(c.Dilation, 1)
			if at < 0 {
				src, at = state, at+keep
			}
			row := src[at*w:][:w]
			for i, v := range row {
				y[i] += c.Weight[i*k+j] * v
			}
		}
		vec.Sigmoid(gate, y)
		vec.Mul(y, gate)
	}
}

// Push makes state that behind the n rows of x.
func (c *Conv) Push(state, x []float32, n int) {
	keep := c.keep()
	if n < keep {
		copy(state, state[n*c.Channels:])
		copy(state[(keep-n)*c.Channels:], x[:n*c.Channels])
		return
	}
	copy(state, x[(n-keep)*c.Channels:n*c.Channels])
}
