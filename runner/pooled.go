package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/runner/sparse"
)

// pooled is GLM-5.3's indexer: so many keys share an entry and a score, and a row sees the
// tokens of the best entries that are complete, and those behind the last of these.
type pooled struct {
	q, k, gate, weights *matrix
	bias                *vector
	kNorm               *norm
	sparse.Indexer
	ratio, most int  // tokens of an entry, and entries that a row sees
	leaves      bool // layers without an indexer follow
}

// pooledSelection lays it out for a layer of latent attention.
func (s *site) pooledSelection() (selection, error) {
	c := s.c
	if c.IndexTopK <= 0 || c.IndexHeads <= 0 || c.IndexHeadDim <= 0 || c.IndexPool <= 0 || c.IndexTopK%max(c.IndexPool, 1) != 0 {
		return nil, invalid.Errorf("config.json: an indexer of %d heads of %d channels that chooses %d keys in pools of %d", c.IndexHeads, c.IndexHeadDim, c.IndexTopK, c.IndexPool)
	}
	x := &pooled{ratio: c.IndexPool, most: c.IndexTopK / c.IndexPool, Indexer: sparse.Indexer{Heads: c.IndexHeads, Size: c.IndexHeadDim}}
	if !c.HasIndexer(s.layer) {
		for l := s.layer - 1; l >= 0; l-- {
			if c.LayerType(l) != "linear_attention" && c.HasIndexer(l) {
				return inherited(x.width()), nil
			}
		}
		return nil, invalid.Errorf("config.json: layer %d has no indexer, and there is no layer before it whose keys it could take", s.layer)
	}
	for l := s.layer + 1; l < c.NumHiddenLayers; l++ {
		if c.LayerType(l) != "linear_attention" {
			x.leaves = !c.HasIndexer(l)
			break
		}
	}
	x.q, x.k, x.weights = s.weight(model.Indexer, "q_b"), s.weight(model.Indexer, "k"), s.weight(model.IndexerGate, "")
	x.gate = s.weight(model.Compressor, "indexer.gate")
	x.bias = s.numbers(key{role: model.Compressor, layer: s.layer, part: "indexer.ape"}, x.ratio, x.Size)
	x.kNorm = s.layerNorm("indexer.k_norm", x.Size, indexerEps)
	return x, s.err
}

// width is how many keys a row sees at most. Rows before that position see all.
func (x *pooled) width() int { return x.most*x.ratio + x.ratio - 1 }

func (x *pooled) needs(p *part) {
	p.matrices(x.q, x.k, x.gate, x.weights)
	p.vectors(x.bias)
	x.kNorm.needs(p)
}

func (x *pooled) scratch() int { return (x.Heads+3)*(x.Size+1) + x.width() }

func (x *pooled) newState() state { return &poolState{} }

func (x *pooled) choose(p *pass, in, c []float32, b *batch, kept func(s *segment) state) (chosen, error) {
	p.observe(in, b.n, x.k)
	p.observe(c, b.n, x.q)
	longest, keeps := b.reach()
	if longest <= x.width() && !keeps {
		return nil, nil
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	k, gate := p.arena.floats(b.n*x.Size), p.arena.floats(b.n*x.Size)
	p.linear(k, in, b.n, x.k, nil)
	p.normalize(k, k, b.n, x.Size, x.kNorm)
	p.linear(gate, in, b.n, x.gate, nil)
	q, w := p.arena.floats(b.n*x.Heads*x.Size), p.arena.floats(b.n*x.Heads)
	p.linear(q, c, b.n, x.q, nil)
	p.linear(w, in, b.n, x.weights, nil)
	pool := &sparse.Pool{Ratio: x.ratio, Size: x.Size, Bias: p.weights.vector(x.bias)}
	out := make(chosen, b.n)
	for i := range b.segs {
		s := &b.segs[i]
		state := &poolState{}
		if s.memory != nil {
			state = kept(s).(*poolState)
		} else if s.n <= x.width() {
			continue
		}
		state.push(pool, k[s.first*x.Size:][:s.n*x.Size], gate[s.first*x.Size:][:s.n*x.Size], s.pos+s.n)
		if s.pos+s.n > x.width() {
			x.best(p, out, q, w, state.entries, s)
		}
	}
	if x.leaves && longest > x.width() {
		return out, out.leave(p, b, x.width())
	}
	return out, nil
}

// best chooses for the rows of a segment. Which of equal scores are taken depends on how
// many entries the known tokens have, incomplete ones too (sparse.Selector).
func (x *pooled) best(p *pass, out chosen, q, w, entries []float32, s *segment) {
	pools := func(pos int) int { return (s.knows(pos, p.few) + x.ratio - 1) / x.ratio }
	room := pools(s.pos+s.n-1) + x.Scratch()
	scratch, selectors := p.arena.floats(p.workers*room), make([]sparse.Selector, p.workers)
	p.jobs(s.n, x.Heads*x.Size*(s.pos+s.n)/x.ratio, func(r, worker int) {
		pos, row := s.pos+r, s.first+r
		if pos < x.width() {
			return
		}
		n, complete := pools(pos), (pos+1)/x.ratio
		scores := scratch[worker*room:][:n]
		x.Score(scores[:complete], q[row*x.Heads*x.Size:][:x.Heads*x.Size], w[row*x.Heads:][:x.Heads], entries, scratch[worker*room+n:][:x.Scratch()])
		hide(scores[complete:])
		selectors[worker].Stable = p.m.stableTies
		best := selectors[worker].Top(nil, scores, x.most)
		out[row] = sparse.Tail(sparse.Keys(make([]int32, 0, x.width()), best, x.ratio, pos+1), x.ratio, pos+1)
	})
}
