package runner

import "quern/internal/vec"

// residual is how a block joins the hidden states that layers hand on. These are one
// vector of the hidden size a token, or, with several streams, as wide as the frame of
// the model says.
type residual interface {
	// needs adds the weights of enter to first, those of leave to behind.
	needs(first, behind *part)
	// keeps is how many numbers a row hands from enter to leave.
	keeps() int
	// enter returns what the block reads of rows of x: x itself, or from the arena.
	enter(p *pass, x, keep []float32, rows int) []float32
	// leave takes the results y of the block into rows of x.
	leave(p *pass, x, y, keep []float32, rows int)
}

// sum is the residual rule of nearly all models: x += factor·y. (Granite has factors.)
type sum struct{ factor float32 }

func (sum) needs(_, _ *part) {}

func (sum) keeps() int { return 0 }

func (sum) enter(_ *pass, x, _ []float32, _ int) []float32 { return x }

func (s sum) leave(p *pass, x, y, _ []float32, rows int) {
	if s.factor != 1 {
		vec.Scale(y[:rows*p.m.hidden], s.factor)
	}
	p.add(x, y, rows, p.m.hidden)
}

// scaled is sum, then a number of the layer's own times all: x = scalar·(x + y) (Gemma 4).
type scaled struct {
	sum
	scalar *vector
}

func (s scaled) needs(_, behind *part) { behind.vectors(s.scalar) }

func (s scaled) leave(p *pass, x, y, keep []float32, rows int) {
	s.sum.leave(p, x, y, keep, rows)
	vec.Scale(x[:rows*p.m.hidden], p.weights.vector(s.scalar)[0])
}

// frame is what lies around the layers: how an embedding becomes what they hand on,
// and what they hand on one hidden state, for the final norm.
type frame interface {
	// width of a row that layers hand on.
	width() int
	// needs adds the weights of collapse.
	needs(p *part)
	// expand makes rows of x from hidden states, collapse these from rows of x. They are
	// called where the width is another than theirs.
	expand(p *pass, x, hidden []float32, rows int)
	collapse(p *pass, hidden, x []float32, rows int)
}

// single is the frame of models with one stream of that many numbers.
type single int

func (s single) width() int { return int(s) }

func (single) needs(*part) {}

func (s single) expand(_ *pass, x, hidden []float32, rows int) { copy(x[:rows*int(s)], hidden) }

func (s single) collapse(_ *pass, hidden, x []float32, rows int) { copy(hidden[:rows*int(s)], x) }
