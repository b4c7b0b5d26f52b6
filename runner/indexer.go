package runner

import (
	"math"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/sparse"
)

// indexer is the lightning indexer of DeepSeek-V3.2 and those behind it: a row sees the
// keys of the largest scores. Which of equal scores are taken depends, as in torch, on how
// many tokens the pass has (sparse.Selector): all that are known of the text.
type indexer struct {
	q, k, weights *matrix
	kNorm         *norm
	sparse.Indexer
	most   int // keys that a row sees
	rope   *rope
	first  int  // channel that is rotated
	pairs  bool // in pairs, not halves
	leaves bool // layers without an indexer follow
	// Without a query latent (Mistral Large 4): the norm of what queries are made from, and
	// what they are multiplied by; else nil.
	input *norm
	grows *scaling
}

// selection lays out how a layer of latent attention with an indexer chooses keys: in pairs
// as MLA's or in halves, on the first or the last channels, with that epsilon of keys.
func (s *site) selection(r *rope, pairs, last bool, eps float32) (selection, error) {
	c := s.c
	if c.IndexTopK <= 0 || c.IndexHeads <= 0 || c.IndexHeadDim < c.QKRopeHeadDim {
		return nil, invalid.Errorf("config.json: an indexer of %d heads of %d channels, %d of them rotated, that chooses %d keys", c.IndexHeads, c.IndexHeadDim, c.QKRopeHeadDim, c.IndexTopK)
	}
	if !c.HasIndexer(s.layer) {
		if s.layer == 0 {
			return nil, invalid.Errorf("config.json: layer 0 has no indexer, and there is no layer before it whose keys it could take")
		}
		return inherited(c.IndexTopK), nil
	}
	x := &indexer{
		q: s.weight(model.Indexer, "q_b"), k: s.weight(model.Indexer, "k"), weights: s.weight(model.IndexerGate, ""),
		kNorm:   s.layerNorm("indexer.k_norm", c.IndexHeadDim, eps),
		Indexer: sparse.Indexer{Heads: c.IndexHeads, Size: c.IndexHeadDim}, most: c.IndexTopK,
		rope: r, pairs: pairs, leaves: s.layer+1 < c.NumHiddenLayers && !c.HasIndexer(s.layer+1),
	}
	if last {
		x.first = c.IndexHeadDim - c.QKRopeHeadDim
	}
	return x, s.err
}

func (x *indexer) needs(p *part) {
	p.matrices(x.q, x.k, x.weights)
	x.kNorm.needs(p)
	x.input.needs(p)
	x.grows.needs(p)
}

func (x *indexer) scratch() int { return (x.Heads+1)*(x.Size+1) + x.most }

func (x *indexer) newState() state { return &keyCache{width: x.Size} }

func (x *indexer) choose(p *pass, in, c []float32, b *batch, kept func(s *segment) state) (chosen, error) {
	if x.input != nil {
		mark := p.arena.mark()
		defer p.arena.release(mark)
		c = p.arena.floats(b.n * x.q.in)
		p.normalize(c, in, b.n, x.q.in, x.input)
	}
	p.observe(in, b.n, x.k)
	p.observe(c, b.n, x.q)
	longest, keeps := b.reach()
	if longest <= x.most && !keeps {
		return nil, nil
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	k := p.arena.floats(b.n * x.Size)
	p.linear(k, in, b.n, x.k, nil)
	p.normalize(k, k, b.n, x.Size, x.kNorm)
	x.rotate(p, k, 1, b.segs)
	for i := range b.segs {
		if s := &b.segs[i]; s.memory != nil {
			kept(s).(*keyCache).put(s.pos, k[s.first*x.Size:][:s.n*x.Size])
		}
	}
	if longest <= x.most {
		return nil, nil
	}
	q, w := p.arena.floats(b.n*x.Heads*x.Size), p.arena.floats(b.n*x.Heads)
	p.linear(q, c, b.n, x.q, nil)
	x.grows.apply(p, q, b.segs)
	x.rotate(p, q, x.Heads, b.segs)
	p.linear(w, in, b.n, x.weights, nil)
	out := make(chosen, b.n)
	for i := range b.segs {
		s := &b.segs[i]
		if s.pos+s.n <= x.most {
			continue
		}
		keys := k[s.first*x.Size:]
		if s.memory != nil {
			keys = kept(s).(*keyCache).keys
		}
		known := s.knows(s.pos+s.n-1, p.few)
		room := known + x.Scratch()
		scratch, selectors := p.arena.floats(p.workers*room), make([]sparse.Selector, p.workers)
		p.jobs(s.n, x.Heads*x.Size*(s.pos+s.n), func(r, worker int) {
			pos, row := s.pos+r, s.first+r
			if pos < x.most {
				return
			}
			scores, rest := scratch[worker*room:][:s.knows(pos, p.few)], scratch[worker*room+known:][:x.Scratch()]
			x.Score(scores[:pos+1], q[row*x.Heads*x.Size:][:x.Heads*x.Size], w[row*x.Heads:][:x.Heads], keys, rest)
			hide(scores[pos+1:])
			selectors[worker].Stable = p.m.stableTies
			out[row] = selectors[worker].Top(make([]int32, 0, x.most), scores, x.most)
		})
	}
	if x.leaves {
		return out, out.leave(p, b, x.most)
	}
	return out, nil
}

// hide gives keys the score of those that a row does not see.
func hide(scores []float32) {
	for i := range scores {
		scores[i] = float32(math.Inf(-1))
	}
}

// rotate turns channels of the heads of rows.
func (x *indexer) rotate(p *pass, y []float32, heads int, segs []segment) {
	if x.rope == nil {
		return
	}
	d, turn := x.rope.dims(), vec.Rotate
	if x.pairs {
		turn = vec.RotateInterleaved
	}
	for _, s := range segs {
		table := x.rope.upTo(s.pos + s.n)
		p.each(s.n, heads*x.Size, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				at := table[(s.pos+i)*d:][:d]
				for h := range heads {
					turn(y[((s.first+i)*heads+h)*x.Size+x.first:][:d], at[:d/2], at[d/2:])
				}
			}
		})
	}
}

// keyCache is what an indexer keeps of a text: a key a token.
type keyCache struct {
	keys  []float32
	width int
}

// put stores rows from position pos on, forgetting what was behind.
func (c *keyCache) put(pos int, rows []float32) { c.keys = append(c.keys[:pos*c.width], rows...) }

func (*keyCache) mark() {} // it can be taken back to any token

func (c *keyCache) rewind(n int) { c.keys = c.keys[:n*c.width] }
