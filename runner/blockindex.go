package runner

import (
	"quern/formats/model"
	"quern/gemm"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/sparse"
)

// blockIndexer is MiniMax-M3's: heads of its own score all keys, and the query heads that
// share one see the blocks of its best keys, those before their own among them
// (sparse.Blocks). Which of equal scores are taken depends on how many tokens of the text
// are known (sparse.Selector).
type blockIndexer struct {
	q, k         *matrix
	qNorm, kNorm *norm
	sparse.Blocks
	heads, size int
	rope        *rope
}

// newBlockSparse is grouped attention with such an indexer.
func newBlockSparse(s *site) (mixer, error) {
	m, err := newGrouped(s)
	if err != nil {
		return nil, err
	}
	g, c := m.(*grouped), s.c
	x := &blockIndexer{
		heads: c.IndexHeads, size: c.IndexHeadDim, rope: g.rope,
		Blocks: sparse.Blocks{Size: c.IndexBlock, Count: c.IndexBlocks, Local: c.IndexLocalBlocks},
	}
	if x.heads <= 0 || g.heads%x.heads != 0 || g.valueSize != g.size || x.size < g.rope.dims() || x.Size <= 0 || x.Count <= 0 || x.Local > x.Count {
		return nil, invalid.Errorf("config.json: an indexer of %d heads of %d channels, %d of them rotated, for %d heads of attention, that chooses %d blocks of %d keys, %d of them the last", x.heads, x.size, g.rope.dims(), g.heads, x.Count, x.Size, x.Local)
	}
	x.q, x.k = s.weight(model.Indexer, "q"), s.weight(model.Indexer, "k")
	x.qNorm, x.kNorm = s.norm("indexer.q_norm", x.size, eps(c)), s.norm("indexer.k_norm", x.size, eps(c))
	g.index = x
	return g, s.err
}

// reach is how many tokens see all that came before them.
func (x *blockIndexer) reach() int { return x.Count * x.Size }

func (x *blockIndexer) needs(p *part) {
	if x != nil {
		p.matrices(x.q, x.k)
		x.qNorm.needs(p)
		x.kNorm.needs(p)
	}
}

func (x *blockIndexer) scratch() int {
	if x == nil {
		return 0
	}
	return (x.heads + 1) * x.size
}

// withIndex is the state of attention with that cache and an indexer, which may be nil.
func (x *blockIndexer) withIndex(c *kvCache) state {
	if x == nil {
		return c
	}
	return &selectedCache{kvCache: *c, selection: &keyCache{width: x.size}}
}

// indexed are the queries and keys of an indexer for the rows of a batch.
type indexed struct{ q, k []float32 }

// project makes them; nil if there is no indexer.
func (x *blockIndexer) project(p *pass, in []float32, b *batch) *indexed {
	if x == nil {
		return nil
	}
	p.observe(in, b.n, x.q, x.k)
	e := &indexed{q: p.arena.floats(b.n * x.heads * x.size), k: p.arena.floats(b.n * x.size)}
	p.linear(e.q, in, b.n, x.q, nil)
	p.linear(e.k, in, b.n, x.k, nil)
	p.normalize(e.q, e.q, b.n*x.heads, x.size, x.qNorm)
	p.normalize(e.k, e.k, b.n, x.size, x.kNorm)
	d := x.rope.dims()
	for _, s := range b.segs {
		table := x.rope.upTo(s.pos + s.n)
		p.each(s.n, x.heads*x.size, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				at := table[(s.pos+i)*d:][:d]
				vec.Rotate(e.k[(s.first+i)*x.size:][:d], at[:d/2], at[d/2:])
				for h := range x.heads {
					vec.Rotate(e.q[((s.first+i)*x.heads+h)*x.size:][:d], at[:d/2], at[d/2:])
				}
			}
		})
	}
	return e
}

// attendTo is attend over the keys that an indexer chooses, or without one over all.
// Slices of rows begin with those of the segment.
func (g *grouped) attendTo(p *pass, out, q, keys, values []float32, e *indexed, s segment) {
	if e == nil {
		g.attend(p, out, q, keys, values, s)
		return
	}
	x := g.index
	indexKeys := e.k[s.first*x.size:]
	if s.memory != nil {
		kept := s.memory.of(g).(*selectedCache).selection.(*keyCache)
		kept.put(s.pos, indexKeys[:s.n*x.size])
		indexKeys = kept.keys
	}
	near := min(max(x.reach()-s.pos, 0), s.n)
	if near > 0 {
		all := s
		all.n = near
		g.attend(p, out, q, keys, values, all)
	}
	if near == s.n {
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	total := s.pos + s.n
	most := min(x.reach(), total)
	// Heads that share both a key head and a head of the indexer are computed together.
	per := divisor(g.heads/g.kvHeads, g.heads/x.heads)
	room := x.heads*total + most*(2*g.size+per)
	scratch := p.arena.floats(p.workers * room)
	selectors, chosen := make([]sparse.Selector, p.workers), make([]blockChoice, p.workers)
	qw, kw := g.heads*g.size, g.kvHeads*g.size
	p.jobs(s.n-near, 2*g.heads*g.size*most, func(job, worker int) {
		r := near + job
		pos := s.pos + r
		scores, rest := scratch[worker*room:][:x.heads*(pos+1)], scratch[worker*room+x.heads*total:][:most*(2*g.size+per)]
		w := gemm.Floats(indexKeys, pos+1, x.size, x.size, false)
		gemm.Mul(scores, pos+1, e.q[(s.first+r)*x.heads*x.size:], x.size, x.heads, &w, gemm.Options{Workers: 1})
		selectors[worker].Stable = p.m.stableTies
		choice := &chosen[worker]
		for h := 0; h < g.heads; h += per {
			if h%(g.heads/x.heads) == 0 {
				i := h / (g.heads / x.heads)
				choice.blocks = x.Choose(choice.blocks[:0], scores[i*(pos+1):][:pos+1], s.knows(pos, p.few), &selectors[worker])
				choice.keys = sparse.Keys(choice.keys[:0], choice.blocks, x.Size, pos+1)
			}
			n, at := len(choice.keys), h/(g.heads/g.kvHeads)*g.size
			k, v := rest[:n*g.size], rest[most*g.size:][:n*g.size]
			for i, id := range choice.keys {
				copy(k[i*g.size:][:g.size], keys[int(id)*kw+at:])
				copy(v[i*g.size:][:g.size], values[int(id)*kw+at:])
			}
			sparse.Attend(out[r*qw+h*g.size:], q[r*qw+h*g.size:], k, v, per, g.size, g.size, 1, nil, rest[2*most*g.size:][:per*n])
		}
	})
}

// blockChoice are the blocks and keys that a head of an indexer chose.
type blockChoice struct{ blocks, keys []int32 }

// divisor is the greatest that two numbers have in common.
func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
