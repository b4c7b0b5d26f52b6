package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/runner/hyper"
)

// connection is the residual rule of hyper-connections (DeepSeek-V4, GLM-5.3): a block
// reads a mix of several streams, and writes to all of them.
type connection struct {
	fn          *matrix
	base, scale *vector
	hyper.Connection
}

// connection is that of a block of the layer, by the beginning of its parts ("attn",
// "ffn"); behind the layers, which have no streams to give to, by "head".
func (s *site) connection(block string) (*connection, error) {
	c := s.c
	n := c.HCMult
	if n <= 0 || c.HCIters < 0 {
		return nil, invalid.Errorf("config.json: %d streams of the residual, mixed in %d steps", n, c.HCIters)
	}
	x := &connection{
		fn: s.weight(model.HyperConnection, block+"_fn"),
		Connection: hyper.Connection{
			Streams: n, Hidden: c.HiddenSize, Eps: float32(c.HCEps), NormEps: eps(c), Magnitude: 2, Iterations: c.HCIters,
		},
	}
	if c.Has("hc_magnitude") {
		x.Magnitude = float32(c.HCMagnitude)
	}
	scales := 3
	if x.Iterations == 0 {
		scales = 2
	}
	rows := x.Rows()
	if block == "head" {
		rows, scales = n, 1
	}
	part := func(name string, n int) *vector {
		return s.vector(key{role: model.HyperConnection, layer: s.layer, part: block + "_" + name}, n)
	}
	x.base, x.scale = part("base", rows), part("scale", scales)
	return x, s.err
}

// with gives the connection its weights.
func (c *connection) with(p *pass) hyper.Connection {
	x := c.Connection
	x.Base, x.Scale = p.weights.vector(c.base), p.weights.vector(c.scale)
	return x
}

func (c *connection) needs(first, _ *part) {
	first.matrices(c.fn)
	first.vectors(c.base, c.scale)
}

func (c *connection) keeps() int { return c.Weights() }

func (c *connection) enter(p *pass, x, keep []float32, rows int) []float32 {
	in := p.arena.floats(rows * c.Hidden)
	mark := p.arena.mark()
	defer p.arena.release(mark)
	n, w, width := c.Rows(), c.Weights(), c.Streams*c.Hidden
	mix := p.arena.floats(rows * n)
	p.linear(mix, x, rows, c.fn, nil)
	rule := c.with(p)
	p.each(rows, 4*width, func(first, count, _ int) {
		for r := first; r < first+count; r++ {
			rule.In(in[r*c.Hidden:][:c.Hidden], keep[r*w:][:w], x[r*width:][:width], mix[r*n:][:n])
		}
	})
	return in
}

func (c *connection) leave(p *pass, x, y, keep []float32, rows int) {
	w, width := c.Weights(), c.Streams*c.Hidden
	mark := p.arena.mark()
	defer p.arena.release(mark)
	scratch := p.arena.floats(p.workers * width)
	p.each(rows, c.Streams*width, func(first, count, worker int) {
		for r := first; r < first+count; r++ {
			c.Out(x[r*width:][:width], y[r*c.Hidden:][:c.Hidden], keep[r*w:][:w], scratch[worker*width:][:width])
		}
	})
}

// connected is a mixer and a feed-forward block, each behind a norm and between streams.
func connected(s *site) ([]*block, error) {
	blocks, err := sequential(s)
	if err != nil || s.behind() { // that of multi-token prediction has one stream
		return blocks, err
	}
	for i, name := range []string{"attn", "ffn"} {
		if blocks[i].rule, err = s.connection(name); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

// copies is the frame of models whose streams begin as copies of the embedding and end as
// their mean (GLM-5.3).
type copies struct{ streams, hidden int }

func newCopies(s *site) frame { return copies{max(s.c.HCMult, 1), s.c.HiddenSize} }

func (c copies) width() int { return c.streams * c.hidden }

func (copies) needs(*part) {}

func (c copies) expand(_ *pass, x, hidden []float32, rows int) {
	for r := range rows {
		for i := range c.streams {
			copy(x[r*c.width()+i*c.hidden:][:c.hidden], hidden[r*c.hidden:])
		}
	}
}

func (c copies) collapse(_ *pass, hidden, x []float32, rows int) {
	for r := range rows {
		hyper.Mean(hidden[r*c.hidden:][:c.hidden], x[r*c.width():][:c.width()])
	}
}
