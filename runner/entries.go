package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/sparse"
)

// compressor makes an entry of every few tokens (sparse.Pool), whose last channels turn by
// the position of the first of them.
type compressor struct {
	kv, gate   *matrix
	bias, norm *vector
	pool       sparse.Pool // without weights
	rope       *rope
}

// compressor lays one out by what stands before its parts.
func (s *site) compressor(prefix string, ratio, size int, overlap bool, r *rope) *compressor {
	weight := func(part string) *matrix { return s.weight(model.Compressor, prefix+part) }
	x := &compressor{
		kv: weight("kv"), gate: weight("gate"), rope: r,
		pool: sparse.Pool{Ratio: ratio, Size: size, Overlap: overlap, Eps: eps(s.c)},
		norm: s.vector(key{role: model.Norm, layer: s.layer, part: prefix + "compressor.norm"}, size),
	}
	x.bias = s.numbers(key{role: model.Compressor, layer: s.layer, part: prefix + "ape"}, ratio, x.pool.Width())
	return x
}

func (x *compressor) needs(p *part) {
	if x != nil {
		p.matrices(x.kv, x.gate)
		p.vectors(x.bias, x.norm)
	}
}

func (x *compressor) scratch() int {
	if x == nil {
		return 0
	}
	return 2 * x.pool.Width()
}

// every is how many tokens have an entry, far more than there are for none.
func (x *compressor) every() int {
	if x == nil {
		return 1 << 30
	}
	return x.pool.Ratio
}

// project are the rows of kv and gate.
func (x *compressor) project(p *pass, in []float32, rows int) (raw [2][]float32) {
	if x == nil {
		return raw
	}
	for i, m := range []*matrix{x.kv, x.gate} {
		raw[i] = p.arena.floats(rows * m.out)
		p.linear(raw[i], in, rows, m, nil)
	}
	return raw
}

// push adds the rows of a segment to what is kept of its text.
func (x *compressor) push(p *pass, kept *poolState, raw [2][]float32, s *segment) {
	if x == nil {
		return
	}
	pool := x.pool
	pool.Bias, pool.Norm = p.weights.vector(x.bias), p.weights.vector(x.norm)
	w, before := pool.Width(), len(kept.entries)
	kept.push(&pool, raw[0][s.first*w:][:s.n*w], raw[1][s.first*w:][:s.n*w], s.pos+s.n)
	d, size := x.rope.dims(), pool.Size
	table := x.rope.upTo(s.pos + s.n)
	for at := before; at < len(kept.entries); at += size {
		turn := table[at/size*pool.Ratio*d:][:d]
		vec.RotateInterleaved(kept.entries[at+size-d:][:d], turn[:d/2], turn[d/2:])
	}
}

// entryIndexer chooses among entries by scores of keys that are entries themselves.
type entryIndexer struct {
	q, weights *matrix
	keys       *compressor
	sparse.Indexer
	most int
	rope *rope
}

func (s *site) entryIndexer(ratio int, r *rope) (*entryIndexer, error) {
	c := s.c
	if c.IndexTopK <= 0 || c.IndexHeads <= 0 || c.IndexHeadDim < c.QKRopeHeadDim {
		return nil, invalid.Errorf("config.json: an indexer of %d heads of %d channels, %d of them rotated, that chooses %d entries", c.IndexHeads, c.IndexHeadDim, c.QKRopeHeadDim, c.IndexTopK)
	}
	return &entryIndexer{
		q: s.weight(model.Indexer, "q_b"), weights: s.weight(model.IndexerGate, ""),
		keys:    s.compressor("indexer.", ratio, c.IndexHeadDim, true, r),
		Indexer: sparse.Indexer{Heads: c.IndexHeads, Size: c.IndexHeadDim}, most: c.IndexTopK, rope: r,
	}, s.err
}

func (x *entryIndexer) needs(p *part) {
	p.matrices(x.q, x.weights)
	x.keys.needs(p)
}

func (x *entryIndexer) scratch() int { return x.Heads*(x.Size+1) + x.keys.scratch() + x.most }

// entryScores is what an indexer needs of rows to choose for them.
type entryScores struct {
	q, weights []float32
	raw        [2][]float32
}

func (x *entryIndexer) project(p *pass, in, c []float32, b *batch) *entryScores {
	e := &entryScores{q: p.arena.floats(b.n * x.Heads * x.Size), weights: p.arena.floats(b.n * x.Heads)}
	p.observe(c, b.n, x.q)
	p.linear(e.q, c, b.n, x.q, nil)
	p.turn(x.rope, e.q, x.Heads, x.Size, b.segs, forth)
	p.linear(e.weights, in, b.n, x.weights, nil)
	e.raw = x.keys.project(p, in, b.n)
	return e
}

// picker adds the keys of a segment to what is kept of its text, and gives the function
// that chooses entries for a row; nil means all that it may see. Which of equal scores are
// taken depends on how many entries the known tokens have (sparse.Selector).
func (x *entryIndexer) picker(p *pass, e *entryScores, kept *poolState, s *segment) func(r, worker int) []int32 {
	if x == nil {
		return func(int, int) []int32 { return nil }
	}
	x.keys.push(p, kept, e.raw, s)
	ratio := x.keys.pool.Ratio
	entries := func(pos int) int { return s.knows(pos, p.few) / ratio }
	known := entries(s.pos + s.n - 1)
	room := known + x.Scratch()
	scratch, selectors := p.arena.floats(p.workers*room), make([]sparse.Selector, p.workers)
	ids := make([][]int32, p.workers)
	return func(r, worker int) []int32 {
		pos, row := s.pos+r, s.first+r
		seen := (pos + 1) / ratio
		if seen <= x.most {
			return nil
		}
		scores := scratch[worker*room:][:entries(pos)]
		x.Score(scores[:seen], e.q[row*x.Heads*x.Size:][:x.Heads*x.Size], e.weights[row*x.Heads:][:x.Heads], kept.entries, scratch[worker*room+known:][:x.Scratch()])
		hide(scores[seen:])
		selectors[worker].Stable = p.m.stableTies
		ids[worker] = selectors[worker].Top(ids[worker][:0], scores, x.most)
		return ids[worker]
	}
}

// The ways in which heads turn: by the angle of their position, or back.
const (
	forth float32 = 1
	back  float32 = -1
)

// turn rotates pairs of the last channels of the heads of rows.
func (p *pass) turn(r *rope, x []float32, heads, size int, segs []segment, way float32) {
	d := r.dims()
	mark := p.arena.mark()
	defer p.arena.release(mark)
	for _, s := range segs {
		table := r.upTo(s.pos + s.n)
		sines := p.arena.floats(p.workers * d / 2)
		p.each(s.n, heads*size, func(first, n, worker int) {
			sin := sines[worker*d/2:][:d/2]
			for i := first; i < first+n; i++ {
				at := table[(s.pos+i)*d:][:d]
				for k, v := range at[d/2:] {
					sin[k] = way * v
				}
				for h := range heads {
					vec.RotateInterleaved(x[((s.first+i)*heads+h)*size+size-d:][:d], at[:d/2], sin)
				}
			}
		})
	}
}
