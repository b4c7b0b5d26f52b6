package runner

import "quern/internal/vec"

// norm divides rows by their root mean square and multiplies them by a weight.
type norm struct {
	weight *vector
	eps    float32
}

// needs adds the weights; of no norm, none.
func (n *norm) needs(p *part) {
	if n != nil {
		p.vectors(n.weight)
	}
}

// normalize writes the norm of each row of x to dst, which may be x.
func (p *pass) normalize(dst, x []float32, rows, width int, n *norm) {
	weight := p.weights.vector(n.weight)
	p.each(rows, width, func(first, count, _ int) {
		for r := first; r < first+count; r++ {
			vec.RMSNorm(dst[r*width:][:width], x[r*width:][:width], weight, n.eps)
		}
	})
}
