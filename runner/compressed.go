package runner

import (
	"strings"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/sparse"
)

// compressed is DeepSeek-V4's attention: one key, which is the value too, of each token
// within a window, and beyond that entries of several tokens each, all of them or those
// that an indexer chooses (runner/sparse says how they are made). Outputs go through
// one matrix a group of heads.
type compressed struct {
	qA, qB, kv, oA, oB *matrix
	qNorm, kvNorm      *norm
	sinks              *vector
	entries            *compressor   // nil: nothing beyond the window
	choice             *entryIndexer // nil: all entries

	heads, size, rotated, window, groups int
	rope                                 *rope
	eps, scale                           float32
	module                               string
}

func newCompressed(s *site) (mixer, error) {
	c := s.c
	weight := func(part string) *matrix { return s.weight(model.Attention, part) }
	ratio, kind := c.CompressRatio(s.layer), "main"
	if ratio > 0 {
		kind = "compress"
	}
	r, err := s.ropes.of(kind, c.QKRopeHeadDim)
	if err != nil {
		return nil, err
	}
	a := &compressed{
		qA: weight("q_a"), qB: weight("q_b"), kv: weight("kv"), oA: weight("o_a"), oB: weight("o_b"),
		qNorm: s.norm("q_norm", c.QLoraRank, eps(c)), kvNorm: s.norm("kv_norm", c.HeadDim, eps(c)),
		sinks: s.vector(key{role: model.Sink, layer: s.layer}, c.NumHeads),
		heads: c.NumHeads, size: c.HeadDim, rotated: c.QKRopeHeadDim, window: c.SlidingWindow, groups: c.OGroups,
		rope: r, eps: eps(c), scale: s.scale(c.HeadDim),
	}
	if s.err != nil {
		return nil, s.err
	}
	switch {
	case a.window <= 0:
		return nil, invalid.Errorf("config.json: attention with a window of %d tokens", a.window)
	case a.rotated > a.size:
		return nil, invalid.Errorf("config.json: %d rotated dimensions of heads of %d", a.rotated, a.size)
	case a.groups <= 0 || a.heads%a.groups != 0 || a.oA.out%a.groups != 0 || a.oA.in*a.groups != a.heads*a.size:
		return nil, invalid.Errorf("config.json: %d groups of %d heads with %d ranks", a.groups, a.heads, c.OLoraRank)
	}
	a.module = strings.TrimSuffix(a.oB.module, ".wo_b")
	if ratio == 0 {
		return a, nil
	}
	a.entries = s.compressor("", ratio, a.size, c.Overlaps(s.layer), r)
	if c.Overlaps(s.layer) {
		if a.choice, err = s.entryIndexer(ratio, r); err != nil {
			return nil, err
		}
	}
	return a, s.err
}

func (a *compressed) needs(p *part) {
	p.matrices(a.qA, a.qB, a.kv, a.oA, a.oB)
	p.vectors(a.sinks)
	a.qNorm.needs(p)
	a.kvNorm.needs(p)
	a.entries.needs(p)
	if a.choice != nil {
		a.choice.needs(p)
	}
}

func (a *compressed) scratch() int {
	n := 2*a.heads*a.size + 3*a.size + a.qA.out + a.oA.out + a.entries.scratch()
	if a.choice != nil {
		n += a.choice.scratch()
	}
	return n
}

func (a *compressed) newState() state {
	return &compressedState{window: windowCache{width: a.size, window: a.window}}
}

func (a *compressed) mix(p *pass, y, x []float32, b *batch) error {
	rows := b.n
	mark := p.arena.mark()
	defer p.arena.release(mark)
	c := p.arena.floats(rows * a.qA.out)
	q, kv := p.arena.floats(rows*a.heads*a.size), p.arena.floats(rows*a.size)
	p.observe(x, rows, a.qA, a.kv)
	p.linear(c, x, rows, a.qA, nil)
	p.normalize(c, c, rows, a.qA.out, a.qNorm)
	p.observe(c, rows, a.qB)
	p.linear(q, c, rows, a.qB, nil)
	p.linear(kv, x, rows, a.kv, nil)
	p.normalize(kv, kv, rows, a.size, a.kvNorm)
	a.level(p, q, rows)
	p.turn(a.rope, q, a.heads, a.size, b.segs, forth)
	p.turn(a.rope, kv, 1, a.size, b.segs, forth)
	p.cached(a.module, "kv_latent", kv, rows, a.size)
	raw := a.entries.project(p, x, rows)
	var chooser *entryScores
	if a.choice != nil {
		chooser = a.choice.project(p, x, c, b)
	}
	out := p.arena.floats(rows * a.heads * a.size)
	for i := range b.segs {
		s := &b.segs[i]
		kept := &compressedState{window: windowCache{width: a.size, window: a.window}}
		if s.memory != nil {
			kept = s.memory.of(a).(*compressedState)
		}
		kept.window.put(s.pos, kv[s.first*a.size:][:s.n*a.size], p.few)
		a.entries.push(p, &kept.entries, raw, s)
		a.attend(p, out, q, kept, chooser, s)
	}
	p.turn(a.rope, out, a.heads, a.size, b.segs, back)
	a.project(p, y, out, rows)
	return nil
}

// level divides each query head by its root of the mean square.
func (a *compressed) level(p *pass, q []float32, rows int) {
	ones := p.arena.floats(a.size)
	for i := range ones {
		ones[i] = 1
	}
	p.each(rows*a.heads, a.size, func(first, n, _ int) {
		for h := first; h < first+n; h++ {
			head := q[h*a.size:][:a.size]
			vec.RMSNorm(head, head, ones, a.eps)
		}
	})
}

// attend computes the rows of a segment, each by itself: over its window, and the entries
// that it sees.
func (a *compressed) attend(p *pass, out, q []float32, kept *compressedState, chooser *entryScores, s *segment) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	sinks := p.weights.vector(a.sinks)
	pick := a.choice.picker(p, chooser, &kept.index, s)
	entries, ratio := kept.entries.entries, a.entries.every()
	most := a.window + len(entries)/a.size
	if a.choice != nil {
		most = min(most, a.window+a.choice.most)
	}
	room := most * (a.size + a.heads)
	scratch := p.arena.floats(p.workers * room)
	p.jobs(s.n, 2*a.heads*a.size*most, func(r, worker int) {
		pos, at := s.pos+r, (s.first+r)*a.heads*a.size
		keys := append(scratch[worker*room:][:0:most*a.size], kept.window.of(pos)...)
		if ids := pick(r, worker); ids != nil {
			keys = sparse.Gather(keys, entries, a.size, ids)
		} else {
			keys = append(keys, entries[:(pos+1)/ratio*a.size]...)
		}
		sparse.Attend(out[at:], q[at:], keys, keys, a.heads, a.size, a.size, a.scale, sinks, scratch[worker*room+most*a.size:][:most*a.heads])
	})
}

// project is the output of groups of heads, each by the rows of wo_a that are its own,
// then of all of them by wo_b.
func (a *compressed) project(p *pass, y, out []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	in, low := a.oA.in, a.oA.out/a.groups
	one, some := p.arena.floats(rows*in), p.arena.floats(rows*low)
	all := p.arena.floats(rows * a.oA.out)
	for g := range a.groups {
		for r := range rows {
			copy(one[r*in:][:in], out[r*a.groups*in+g*in:])
		}
		p.observe(one, rows, a.oA)
		p.rowsOf(some, one, rows, a.oA, g*low, low)
		for r := range rows {
			copy(all[r*a.oA.out+g*low:][:low], some[r*low:])
		}
	}
	p.observe(all, rows, a.oB)
	p.linear(y, all, rows, a.oB, nil)
}

// compressedState is what a text leaves: the keys of its window, entries, and those of the
// indexer.
type compressedState struct {
	window         windowCache
	entries, index poolState
}

func (s *compressedState) mark() {
	s.window.mark()
	s.entries.mark()
	s.index.mark()
}

func (s *compressedState) rewind(n int) {
	s.window.rewind(n)
	s.entries.rewind(n)
	s.index.rewind(n)
}

// windowCache has the rows of the last tokens that a window reaches, and those behind the
// mark that it may be taken back to.
type windowCache struct {
	width, window int
	rows          []float32
	from, n       int // position of the first row, and of the one behind the last
}

// put adds rows from position pos on. Of many, which are never taken back, there is a mark.
func (c *windowCache) put(pos int, rows []float32, few bool) {
	if !few {
		c.mark()
	}
	c.rows, c.n = append(c.rows, rows...), pos+len(rows)/c.width
}

// of is the window of the token at a position.
func (c *windowCache) of(pos int) []float32 {
	first := max(0, pos-c.window+1)
	return c.rows[(first-c.from)*c.width : (pos+1-c.from)*c.width]
}

func (c *windowCache) mark() {
	if drop := c.n - c.window + 1 - c.from; drop > c.window { // so that moving pays
		c.rows = append(c.rows[:0], c.rows[drop*c.width:]...)
		c.from += drop
	}
}

func (c *windowCache) rewind(n int) {
	c.rows, c.n = c.rows[:(n-c.from)*c.width], n
}
