package engine

import (
	"iter"

	"quern/convert/plan"
	"quern/scheme"
)

// What is in the page cache needs no reader. The worker itself reads it, in pieces that stay
// in its processor's cache while they are coded and hashed: memory is gone through once
// then, not three times.

// piece is how many bytes are read at once, where rows are short enough: with what is made
// of it, it fits a second level cache of a megabyte.
const piece = 512 << 10

// lies says where in its source the input of a chunk lies, if that is all it takes to make
// its output: n bytes in one run, from byte at on. Otherwise n is 0.
func (c *chunk) lies() (at, n int64) {
	t, g := c.job.tensor, &c.job.geo
	switch {
	case c.job.held != nil, t.Source.Order != nil, t.Source.Stride != 0, g.wide():
	case t.Op == plan.Copy, t.Op == plan.Cast:
		return c.span.first * g.in, c.span.n * g.in
	case t.Op == plan.Quantize && !g.floats:
		return c.span.Row * g.rowBytes(), c.span.Rows * g.rowBytes()
	}
	return 0, 0
}

// rowBytes is what a row takes in the source.
func (g *geometry) rowBytes() int64 { return g.sources[0].Size(scheme.Part{Rows: 1, Cols: g.cols}) }

// pass hands a chunk to fn: as it was read, or, where it lies near, piece by piece as it is
// read now.
func (e *engine) pass(c *chunk, scratch []byte, fn func(*chunk) error) error {
	if c.near == nil {
		return fn(c)
	}
	for p := range c.pieces() {
		at, n := p.lies()
		switch {
		case c.job.tensor.Op == plan.Copy:
			p.in = p.outs[0]
		case n <= int64(len(scratch)):
			p.in = scratch[:n]
		default:
			p.in = c.slab[:n]
		}
		if err := e.readView(c.near, &c.job.tensor.Source, p.in, at); err != nil {
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

// pieces cuts a chunk between rows, or elements, as its geometry allows.
func (c *chunk) pieces() iter.Seq[*chunk] {
	g := &c.job.geo
	return func(yield func(*chunk) bool) {
		if g.linear {
			step := piece / max(g.in, g.out)
			for done := int64(0); done < c.span.n; done += step {
				s := span{first: c.span.first + done, n: min(step, c.span.n-done)}
				if !yield(&chunk{job: c.job, span: s, outs: [][]byte{c.outs[0][done*g.out:][:s.n*g.out]}}) {
					return
				}
			}
			return
		}
		step := max(piece/g.rowBytes()/g.grain.Rows, 1) * g.grain.Rows
		for done := int64(0); done < c.span.Rows; done += step {
			s := span{Part: c.span.Part}
			s.Row, s.Rows = s.Row+done, min(step, s.Rows-done)
			p := &chunk{job: c.job, span: s}
			for n := range g.outputs {
				begin := g.outputs[n].Size(scheme.Part{Rows: done, Cols: s.Cols})
				p.outs = append(p.outs, c.outs[n][begin:][:g.outputs[n].Size(s.Part)])
			}
			if !yield(p) {
				return
			}
		}
	}
}
