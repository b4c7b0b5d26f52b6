package runner

import "fmt"

// walk is a way through the layers with hidden states: of all texts, layer by layer
// with weights that are streamed (evaluator), or of a few tokens that go on with one
// text, with weights that stay in memory (Generator). What it computes is the same.
type walk struct {
	*pass
	x      *Rows
	tokens []int // of the rows of x
	shelf  *shelf
	chunk  int // rows that pass a mixer at once that looks at one row at a time
	// groups are the rows that pass a text mixer at once, which takes so many numbers
	// of scratch memory a row.
	groups func(scratch int) []group
	// everyExpert applies every expert to every token, and throws away what others give.
	everyExpert bool
	// before and after, if set, are called around each layer; entered with what it
	// begins with, piece by piece.
	before, after func(l *layer) error
	entered       func(l *layer, first int, x []float32, rows int) error

	ids     []int32 // choices of routers
	weighed []float32
	whole   [1]group // of chunks, where there is one
}

// group are rows that pass a mixer together: for a text mixer whole texts, or a piece of
// a long one.
type group struct {
	first, n int
	segs     []segment
	last     bool // piece of its text, of which nothing is kept behind it
}

// through runs layers one after the other over all rows of x.
func (w *walk) through(ls []*layer) error {
	for i, l := range ls {
		if w.before != nil {
			if err := w.before(l); err != nil {
				return err
			}
		}
		for j := range l.blocks {
			var next *part
			switch {
			case j+1 < len(l.blocks):
				next = l.blocks[j+1].first
			case i+1 < len(ls):
				next = ls[i+1].blocks[0].first
			}
			if err := w.block(l, j, next); err != nil {
				return err
			}
			if !l.again(j) {
				w.weights.trim(l.blocks[j].first)
				w.weights.trim(l.blocks[j].behind)
			}
			w.arena.settle()
		}
		if w.after != nil {
			if err := w.after(l); err != nil {
				return err
			}
		}
		// Blocks may share a norm, so that vectors stay until the layer is done.
		for _, b := range l.blocks {
			w.weights.release(b.first)
			w.weights.release(b.behind)
		}
	}
	return nil
}

// block runs block j of a layer; next is what is needed behind it.
func (w *walk) block(l *layer, j int, next *part) error {
	b := l.blocks[j]
	if err := w.weights.hold(b.first); err != nil {
		return err
	}
	if x, ok := b.mixer.(*experts); ok {
		return w.routed(l, j, x, next)
	}
	w.weights.ahead(next)
	gs := w.chunks()
	if t, ok := b.mixer.(textMixer); ok {
		gs = w.groups(t.scratch())
	}
	return w.pieces(gs, func(at *batch, x []float32) error {
		keep := w.arena.floats(at.n * b.rule.keeps())
		h, y := w.arena.floats(at.n*w.m.hidden), w.arena.floats(at.n*w.m.hidden)
		if err := w.enter(l, j, at, h, x, keep); err != nil {
			return err
		}
		if err := b.mixer.mix(w.pass, y, h, at); err != nil {
			return fmt.Errorf("layer %d: %w", l.index, err)
		}
		return w.join(b, at, x, y, keep)
	})
}

// enter writes what a mixer reads of rows of x to h.
func (w *walk) enter(l *layer, j int, at *batch, h, x, keep []float32) error {
	if j == 0 && w.entered != nil {
		if err := w.entered(l, at.first, x, at.n); err != nil {
			return err
		}
	}
	b := l.blocks[j]
	at.layer, at.raw = l.index, b.rule.enter(w.pass, x, keep, at.n)
	if b.norm == nil {
		copy(h, at.raw)
		return nil
	}
	w.normalize(h, at.raw, at.n, w.m.hidden, b.norm)
	return nil
}

// join takes what a mixer gave into rows of x, or sets it aside.
func (w *walk) join(b *block, at *batch, x, y, keep []float32) error {
	d := w.m.hidden
	if !b.behind.empty() {
		if err := w.weights.hold(b.behind); err != nil {
			return err
		}
	}
	if b.after != nil {
		w.normalize(y, y, at.n, d, b.after)
	}
	if b.with != "" {
		other, err := w.shelved(b.with, d, at)
		if err != nil {
			return err
		}
		w.add(y, other, at.n, d)
	}
	if b.aside != "" {
		r, err := w.shelf.of(b.aside, w.x.n, d)
		if err != nil {
			return err
		}
		return r.put(at.first, y[:at.n*d])
	}
	if b.joined != nil {
		w.normalize(y, y, at.n, d, b.joined)
	}
	b.rule.leave(w.pass, x, y, keep, at.n)
	return w.x.put(at.first, x)
}

// shelved are the rows of a batch that lie on the shelf under a name.
func (w *walk) shelved(name string, width int, at *batch) ([]float32, error) {
	r, err := w.shelf.of(name, w.x.n, width)
	if err != nil {
		return nil, err
	}
	return r.View(at.first, at.n, w.viewBuffer(r, at.n))
}

// chunks divides all rows into groups that are no texts.
func (w *walk) chunks() []group {
	if n := w.x.n; n <= w.chunk {
		w.whole[0] = group{n: n}
		return w.whole[:min(n, 1)]
	}
	return chunksOf(w.x.n, w.chunk)
}

func chunksOf(n, step int) []group {
	gs := make([]group, 0, (n+step-1)/step)
	for first := 0; first < n; first += step {
		gs = append(gs, group{first: first, n: min(step, n-first)})
	}
	return gs
}

// pieces calls fn with the rows of x, a group at a time.
func (w *walk) pieces(gs []group, fn func(at *batch, x []float32) error) error {
	for _, g := range gs {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		mark := w.arena.mark()
		x, err := w.x.View(g.first, g.n, w.viewBuffer(w.x, g.n))
		if err != nil {
			return err
		}
		w.place.first = g.first
		at := &batch{first: g.first, n: g.n, rows: w.x.n, segs: g.segs, shelf: w.shelf}
		if w.tokens != nil {
			at.tokens = w.tokens[g.first:][:g.n]
		}
		if err := fn(at, x); err != nil {
			return err
		}
		w.arena.release(mark)
		if g.last {
			g.segs[0].memory.forget()
		}
	}
	return nil
}

// viewBuffer is the memory that a view of n rows needs, nil if it needs none.
func (p *pass) viewBuffer(r *Rows, n int) []float32 {
	if r.file == nil {
		return nil
	}
	return p.arena.floats(n * r.width)
}

// shelf has what waits beside the hidden states, a row for each of theirs: what experts
// read and their sums, results that join later, and what mixers leave for later ones.
type shelf struct {
	spill bool
	dir   string
	rows  map[string]*Rows
	at    map[string]map[int64]int // where what is numbered otherwise lies in rows
}

func newShelf(spill bool, dir string) *shelf {
	return &shelf{spill: spill, dir: dir, rows: map[string]*Rows{}}
}

// of are n rows under a name, with what was put there before if that was as wide.
func (s *shelf) of(name string, n, width int) (*Rows, error) {
	if r := s.rows[name]; r != nil && r.resize(n, width) {
		return r, nil
	}
	s.rows[name].Close()
	r, err := newRows(n, width, s.spill, s.dir)
	if err != nil {
		return nil, err
	}
	s.rows[name] = r
	return r, nil
}

// index says where what is numbered otherwise lies in the rows under a name.
func (s *shelf) index(name string) map[int64]int {
	if s.at == nil {
		s.at = map[string]map[int64]int{}
	}
	if s.at[name] == nil {
		s.at[name] = map[int64]int{}
	}
	return s.at[name]
}

func (s *shelf) close() {
	for _, r := range s.rows {
		r.Close()
	}
}
