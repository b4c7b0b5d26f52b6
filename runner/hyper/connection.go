package hyper

import (
	"math"

	"quern/internal/vec"
)

// Connection are the weights of a hyper-connection, without fn.
type Connection struct {
	Streams, Hidden int
	Base, Scale     []float32
	Eps, NormEps    float32
	Magnitude       float32 // of post
	// Iterations of Sinkhorn; 0 means that the streams are not mixed, and that post
	// has eps added (Hy4).
	Iterations int
}

// Rows is how many rows fn has.
func (c *Connection) Rows() int {
	if c.Iterations == 0 {
		return 2 * c.Streams
	}
	return (2 + c.Streams) * c.Streams
}

// Weights is how many numbers In leaves for Out: post and comb.
func (c *Connection) Weights() int { return c.Rows() - c.Streams }

// In writes the block's input to in (Hidden) and to weights (Weights) what Out needs. x is
// a row of streams, mix is fn·x (Rows numbers), overwritten.
func (c *Connection) In(in, weights, x, mix []float32) {
	n := c.Streams
	vec.Scale(mix, inverse(x, c.NormEps))
	for i := range mix {
		mix[i] = mix[i]*c.Scale[min(i/n, 2)] + c.Base[i]
	}
	collapse(in, x, mix[:n], c.Eps)
	for i, m := range mix[n : 2*n] {
		weights[i] = c.Magnitude * sigmoid(m)
		if c.Iterations == 0 {
			weights[i] += c.Eps
		}
	}
	if c.Iterations > 0 {
		comb := weights[n:][:n*n]
		copy(comb, mix[2*n:])
		sinkhorn(comb, n, c.Iterations, c.Eps)
	}
}

// Out replaces the streams x by those behind the block, whose output is out. scratch
// has room for a row of streams.
func (c *Connection) Out(x, out, weights, scratch []float32) {
	n, h := c.Streams, c.Hidden
	if c.Iterations > 0 {
		old, comb := scratch[:n*h], weights[n:]
		copy(old, x)
		clear(x)
		for k := range n {
			for j := range n {
				vec.Axpy(x[k*h:][:h], comb[j*n+k], old[j*h:][:h])
			}
		}
	}
	for k := range n {
		vec.Axpy(x[k*h:][:h], weights[k], out)
	}
}

// Head writes the one stream that is left behind the last layer: mix is hc_head_fn·x,
// overwritten.
func (c *Connection) Head(dst, x, mix []float32) {
	vec.Scale(mix, inverse(x, c.NormEps))
	for i := range mix {
		mix[i] = mix[i]*c.Scale[0] + c.Base[i]
	}
	collapse(dst, x, mix, c.Eps)
}

// Mean writes the mean of a row's streams.
func Mean(dst, x []float32) {
	clear(dst)
	for at := 0; at < len(x); at += len(dst) {
		vec.Add(dst, x[at:][:len(dst)])
	}
	vec.Scale(dst, float32(len(dst))/float32(len(x)))
}

// collapse writes Σ (sigmoid(m_i)+eps)·x_i.
func collapse(dst, x, m []float32, eps float32) {
	clear(dst)
	for i, v := range m {
		vec.Axpy(dst, sigmoid(v)+eps, x[i*len(dst):][:len(dst)])
	}
}

// inverse is 1/√(mean(x²)+eps).
func inverse(x []float32, eps float32) float32 {
	return float32(1 / math.Sqrt(float64(vec.SumSquares(x)/float32(len(x))+eps)))
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// sinkhorn makes m, n rows of n, nearly doubly stochastic.
func sinkhorn(m []float32, n, iterations int, eps float32) {
	for i := range n {
		vec.Softmax(m[i*n:][:n])
	}
	for i := range m {
		m[i] += eps
	}
	for k := range iterations {
		if k > 0 {
			for i := range n {
				sum := eps
				for _, v := range m[i*n:][:n] {
					sum += v
				}
				vec.Scale(m[i*n:][:n], 1/sum)
			}
		}
		for j := range n {
			sum := eps
			for i := range n {
				sum += m[i*n+j]
			}
			for i := range n {
				m[i*n+j] /= sum
			}
		}
	}
}
