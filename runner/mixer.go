package runner

import "slices"

// mixer is what a block does with normalized hidden states: attention, a feed-forward
// block, experts. A new one is a file of its own and a name in the rows of family.go.
type mixer interface {
	// needs adds the weights that every row needs.
	needs(p *part)
	// mix computes y from x, the rows of a batch.
	mix(p *pass, y, x []float32, b *batch) error
}

// textMixer is a mixer that looks at other rows of the text than the one it computes:
// its batches are whole texts, or go on where the text's state ends.
type textMixer interface {
	mixer
	// scratch is about what mix takes for one row, in numbers.
	scratch() int
	// newState is what is kept of a text without tokens.
	newState() state
}

// state is what a text mixer keeps of one text from token to token, in generation.
type state interface {
	// mark says that the text may be taken back to what it is now, or to any token
	// behind that. Until the next mark the state has to be able to.
	mark()
	// rewind forgets all but the first n tokens, which are no fewer than at the last
	// mark.
	rewind(n int)
}

// memory are the states of one text, by the mixer that keeps them. A mixer that shares
// what another one keeps asks for the state of that one.
type memory struct {
	states map[textMixer]state
}

func newMemory() *memory { return &memory{states: map[textMixer]state{}} }

// forget lets go of what is kept of the text.
func (m *memory) forget() { clear(m.states) }

// of is the state of a mixer, a new one at its first token.
func (m *memory) of(x textMixer) state {
	s := m.states[x]
	if s == nil {
		s = x.newState()
		m.states[x] = s
	}
	return s
}

// mark and rewind those of some layers.
func (m *memory) mark(ls []*layer) {
	m.each(ls, state.mark)
}

func (m *memory) rewind(ls []*layer, n int) {
	m.each(ls, func(s state) { s.rewind(n) })
}

func (m *memory) each(ls []*layer, fn func(s state)) {
	for _, l := range ls {
		for _, b := range l.blocks {
			if x, ok := b.mixer.(textMixer); ok {
				fn(m.of(x))
			}
		}
	}
}

// batch are rows that pass a mixer together.
type batch struct {
	first, n int // of the rows of the walk
	rows     int // all of them
	layer    int
	segs     []segment // of a text mixer: the texts that the rows belong to
	tokens   []int     // the token of each row
	// raw is what the norm in front of the mixer read, for those that look behind it.
	raw []float32
	// shelf has room for what a mixer leaves for the rows of a later one.
	shelf *shelf
}

// reach is how many rows the longest text has with those of the batch, and whether any
// of the texts goes on.
func (b *batch) reach() (longest int, keeps bool) { return reachOf(b.segs) }

func reachOf(segs []segment) (longest int, keeps bool) {
	for _, s := range segs {
		longest, keeps = max(longest, s.pos+s.n), keeps || s.memory != nil
	}
	return longest, keeps
}

// segment is a run of rows that continues one text.
type segment struct {
	first, n int     // rows of the batch
	pos      int     // position of the first
	memory   *memory // nil: the text begins and ends with the rows
	known    int     // tokens of the text, those behind the rows too, as of a prompt; 0: those of the rows
	piece    bool    // of a text that an evaluation takes in pieces, not of one that is generated
}

// knows is how many tokens of the text are known when the row at position pos is run: of
// few rows, which may be taken back, none behind it.
func (s *segment) knows(pos int, few bool) int {
	if few {
		return pos + 1
	}
	return max(s.known, s.pos+s.n)
}

// kv is the cache of keys and values of a mixer, nil when there is no memory.
func (s *segment) kv(x textMixer) *kvCache {
	if s.memory == nil {
		return nil
	}
	c := s.memory.of(x).(interface {
		kv() *kvCache
		reserve(n int)
	})
	c.reserve(s.known)
	return c.kv()
}

// kvCache is what attention of one layer keeps of one text: keys and values, or the
// latents and the rotated key that latent attention shares among heads.
type kvCache struct {
	a, b   []float32
	wa, wb int
}

// kv is c: a state that keeps more may embed it.
func (c *kvCache) kv() *kvCache { return c }

// reserve makes room for so many tokens.
func (c *kvCache) reserve(n int) {
	if n*c.wa > cap(c.a) {
		c.a = slices.Grow(c.a, n*c.wa-len(c.a))
	}
	if n*c.wb > cap(c.b) {
		c.b = slices.Grow(c.b, n*c.wb-len(c.b))
	}
}

// put stores rows from position pos on, forgetting what was behind.
func (c *kvCache) put(pos int, a, b []float32) {
	c.a = append(c.a[:pos*c.wa], a...)
	c.b = append(c.b[:pos*c.wb], b...)
}

func (c *kvCache) mark() {} // it can be taken back to any token

func (c *kvCache) rewind(n int) { c.a, c.b = c.a[:n*c.wa], c.b[:n*c.wb] }
