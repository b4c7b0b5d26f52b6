package runner

import (
	"math"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/sparse"
)

// meanPools is the indexer of Qwen3.8: the mean of so many keys has a score, and a row sees
// the tokens of the best of those that are complete, and the ones behind these.
type meanPools struct {
	qk           *matrix // queries, then the key
	qNorm, kNorm *norm
	sparse.Indexer
	ratio, most int // tokens of an entry, and entries that a row sees
	rope        *rope
}

// newPooledGated is gated attention over keys that it chooses.
func newPooledGated(s *site) (mixer, error) {
	m, err := newGated(s)
	if err != nil {
		return nil, err
	}
	c := s.c
	g := m.(*grouped)
	x := &meanPools{
		Indexer: sparse.Indexer{Heads: c.IndexHeads, Size: c.IndexHeadDim}, ratio: c.IndexRatio, rope: g.rope,
		qk: s.weight(model.Indexer, "qk"), qNorm: s.norm("indexer.q_layernorm", c.IndexHeadDim, eps(c)), kNorm: s.norm("indexer.k_layernorm", c.IndexHeadDim, eps(c)),
	}
	if x.Heads <= 0 || c.IndexKVHeads != 1 || x.ratio <= 0 || c.IndexBudget <= 0 || c.IndexBudget%max(x.ratio, 1) != 0 || x.Size < g.rope.dims() {
		return nil, invalid.Errorf("config.json: an indexer of %d heads of %d channels and %d of keys that chooses %d keys in pools of %d", x.Heads, x.Size, c.IndexKVHeads, c.IndexBudget, x.ratio)
	}
	x.most = c.IndexBudget / x.ratio
	g.keys = x
	return g, s.err
}

func (x *meanPools) needs(p *part) {
	p.matrices(x.qk)
	x.qNorm.needs(p)
	x.kNorm.needs(p)
}

// width is how many keys a row sees at most. Rows before that position see all.
func (x *meanPools) width() int { return x.most*x.ratio + x.ratio - 1 }

func (x *meanPools) scratch() int { return (2*x.Heads+3)*x.Size + x.width() }

func (x *meanPools) newState() state { return &poolState{} }

func (x *meanPools) choose(p *pass, in, _ []float32, b *batch, kept func(s *segment) state) (chosen, error) {
	p.observe(in, b.n, x.qk)
	longest, keeps := b.reach()
	if longest <= x.width() && !keeps {
		return nil, nil
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	n, wide := x.Heads*x.Size, x.qk.out
	both, q, k := p.arena.floats(b.n*wide), p.arena.floats(b.n*n), p.arena.floats(b.n*x.Size)
	p.linear(both, in, b.n, x.qk, nil)
	for r := range b.n {
		copy(q[r*n:][:n], both[r*wide:])
		copy(k[r*x.Size:][:x.Size], both[r*wide+n:])
	}
	p.normalize(q, q, b.n*x.Heads, x.Size, x.qNorm)
	gate := p.arena.floats(len(k)) // of the mean
	clear(gate)
	pool := &sparse.Pool{Ratio: x.ratio, Size: x.Size, Norm: p.weights.vector(x.kNorm.weight), Eps: x.kNorm.eps}
	out := make(chosen, b.n)
	for i := range b.segs {
		s := &b.segs[i]
		state := &poolState{}
		if s.memory != nil {
			state = kept(s).(*poolState)
		} else if s.n <= x.width() {
			continue
		}
		before := len(state.entries)
		state.push(pool, k[s.first*x.Size:][:s.n*x.Size], gate[s.first*x.Size:][:s.n*x.Size], s.pos+s.n)
		for at := before; at < len(state.entries); at += x.Size {
			x.turn(state.entries[at:], at/x.Size*x.ratio)
		}
		if s.pos+s.n > x.width() {
			x.best(p, out, q, state.entries, s)
		}
	}
	return out, nil
}

// turn rotates a key or query by a position.
func (x *meanPools) turn(y []float32, pos int) {
	d := x.rope.dims()
	at := x.rope.upTo(pos + 1)[pos*d:][:d]
	vec.Rotate(y[:d], at[:d/2], at[d/2:])
}

// best chooses for the rows of a segment among the entries that are complete.
func (x *meanPools) best(p *pass, out chosen, q, entries []float32, s *segment) {
	weights := p.arena.floats(x.Heads) // the sum of heads, not their mean by roots
	for h := range weights {
		weights[h] = float32(math.Sqrt(float64(x.Heads)))
	}
	room := (s.pos+s.n)/x.ratio + x.Scratch()
	scratch, selectors := p.arena.floats(p.workers*room), make([]sparse.Selector, p.workers)
	x.rope.upTo(s.pos + s.n)
	p.jobs(s.n, x.Heads*x.Size*(s.pos+s.n)/x.ratio, func(r, worker int) {
		pos, row := s.pos+r, s.first+r
		if pos < x.width() {
			return
		}
		query := q[row*x.Heads*x.Size:][:x.Heads*x.Size]
		for h := range x.Heads {
			x.turn(query[h*x.Size:], pos)
		}
		complete := (pos + 1) / x.ratio
		scores := scratch[worker*room:][:complete]
		x.Score(scores, query, weights, entries, scratch[worker*room+complete:][:x.Scratch()])
		selectors[worker].Stable = p.m.stableTies
		best := selectors[worker].Top(nil, scores, x.most)
		out[row] = sparse.Tail(sparse.Keys(make([]int32, 0, x.width()), best, x.ratio, pos+1), x.ratio, pos+1)
	})
}

// attendChosen is attend over the keys that are chosen for the rows of a batch.
func (g *grouped) attendChosen(p *pass, out, q, keys, values []float32, seen chosen, s segment) {
	if !p.few || seen == nil {
		g.attendMany(p, out, q, keys, values, seen, s)
		return
	}
	kw, vw, qw, ow := g.kvHeads*g.size, g.kvHeads*g.valueSize, g.heads*g.size, g.heads*g.valueSize
	for r := range s.n {
		one := s
		one.first, one.n, one.pos = s.first+r, 1, s.pos+r
		mark := p.arena.mark()
		k, v := keys, values
		if ids := seen.of(s.first + r); ids != nil {
			one.pos = len(ids) - 1
			k = sparse.Gather(p.arena.floats(len(ids) * kw)[:0], keys, kw, ids)
			v = sparse.Gather(p.arena.floats(len(ids) * vw)[:0], values, vw, ids)
		}
		g.attend(p, out[r*ow:], q[r*qw:], k, v, one)
		p.arena.release(mark)
	}
}
