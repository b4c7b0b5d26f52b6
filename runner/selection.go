package runner

// selection says which keys the rows of an attention see, where that is not all of them
// (sparse attention).
type selection interface {
	needs(p *part)
	// scratch is about what choose takes for one row, in numbers.
	scratch() int
	// newState is what it keeps of a text without tokens, nil if nothing.
	newState() state
	// choose chooses for the rows x of a batch, whose query latents are c. kept is what is
	// kept of the text of a segment, nil where that begins and ends with the rows.
	choose(p *pass, x, c []float32, b *batch, kept func(s *segment) state) (chosen, error)
}

// chosen are the keys that each row of a batch sees, by position in ascending order; nil
// for a row that sees all.
type chosen [][]int32

// of are the keys of a row.
func (c chosen) of(row int) []int32 {
	if c == nil {
		return nil
	}
	return c[row]
}

// selectedCache is a cache of keys and values with what a selection keeps beside it.
type selectedCache struct {
	kvCache
	selection state
}

func (c *selectedCache) mark() { c.selection.mark() }

func (c *selectedCache) rewind(n int) {
	c.kvCache.rewind(n)
	c.selection.rewind(n)
}

// withSelection is the state of a mixer with that cache and a selection, which may be nil.
func withSelection(c *kvCache, x selection) state {
	if x != nil {
		if s := x.newState(); s != nil {
			return &selectedCache{kvCache: *c, selection: s}
		}
	}
	return c
}

// selects lets the selection of a mixer choose, which may be nil.
func selects(p *pass, m textMixer, x selection, in, c []float32, b *batch) (chosen, error) {
	if x == nil {
		return nil, nil
	}
	return x.choose(p, in, c, b, func(s *segment) state {
		if s.memory == nil {
			return nil
		}
		if kept, ok := s.memory.of(m).(*selectedCache); ok {
			return kept.selection
		}
		return nil
	})
}

// shelfChosen is where a layer leaves the keys that it chose for those behind it which
// have no indexer of their own.
const shelfChosen = "chosen keys"

// leave puts the keys of segments that are longer than most on the shelf.
func (c chosen) leave(p *pass, b *batch, most int) error {
	if c == nil {
		return nil
	}
	r, err := b.shelf.of(shelfChosen, b.rows, most)
	if err != nil {
		return err
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	row := p.arena.floats(most)
	for _, s := range b.segs {
		for i := range s.n {
			ids := c[s.first+i]
			if ids == nil {
				continue
			}
			for k, id := range ids {
				row[k] = float32(id) // a text has less than 2²⁴ tokens
			}
			for k := len(ids); k < most; k++ {
				row[k] = -1
			}
			if err := r.put(b.first+s.first+i, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherited is the selection of a layer without an indexer: the keys that the last one
// with an indexer chose, at most so many.
type inherited int

func (inherited) needs(*part) {}

// latent is the latent attention of a layer, nil if it has another mixer.
func (l *layer) latent() *latent {
	for _, b := range l.blocks {
		if a, ok := b.mixer.(*latent); ok {
			return a
		}
	}
	return nil
}

// needed is the first layer whose leavings on the shelf layer l takes: chosen keys, or
// latents. It is l where it takes none.
func (m *Model) needed(l int) int {
	a, from := m.layers[l].latent(), l
	if a == nil {
		return l
	}
	if a.lent != nil {
		from = a.lent.from
	}
	if _, ok := a.keys.(inherited); !ok {
		return from
	}
	for k := l - 1; k >= 0; k-- {
		if b := m.layers[k].latent(); b != nil {
			if _, ok := b.keys.(inherited); !ok && b.keys != nil {
				return min(from, k)
			}
		}
	}
	return 0
}

// Resumable reports whether an evaluation can go on with a layer, given what the one before
// it ended with: not where a layer from there on takes what one before it has left.
func (m *Model) Resumable(layer int) bool {
	for l := layer; l < len(m.layers); l++ {
		if m.needed(l) < layer {
			return false
		}
	}
	return true
}

func (n inherited) scratch() int { return int(n) }

func (inherited) newState() state { return nil }

func (n inherited) choose(p *pass, _, _ []float32, b *batch, _ func(s *segment) state) (chosen, error) {
	var out chosen
	var buf []float32
	for _, s := range b.segs {
		for i := max(0, int(n)-s.pos); i < s.n; i++ { // those before see no more than n
			if out == nil {
				out, buf = make(chosen, b.n), make([]float32, n)
			}
			r, err := b.shelf.of(shelfChosen, b.rows, int(n))
			if err != nil {
				return nil, err
			}
			row, err := r.View(b.first+s.first+i, 1, buf)
			if err != nil {
				return nil, err
			}
			ids := make([]int32, 0, n)
			for _, id := range row {
				if id >= 0 {
					ids = append(ids, int32(id))
				}
			}
			out[s.first+i] = ids
		}
	}
	return out, nil
}
