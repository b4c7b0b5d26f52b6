package runner

import (
	"strings"

	"quern/formats/model"
	"quern/gemm"
	"quern/internal/vec"
	"quern/runner/sparse"
)

// latentEps is the epsilon of the norms within latent attention: transformers uses
// its default there, whatever rms_norm_eps says.
const latentEps = 1e-6

// latent is multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1): keys
// and values of all heads are made from one latent a token, which is all that the
// cache keeps, beside one rotated key that the heads share.
type latent struct {
	q        *matrix // without a query latent; else nil
	qA, qB   *matrix
	qNorm    *norm
	kvA, kvB *matrix
	kvNorm   *norm
	o        *matrix
	gate     *matrix // of each head's output (Ling 3), or all of its channels (Hunyuan 4), or nil
	sinks    *vector // or nil

	qABias, kvABias, oBias *vector // or nil

	heads, rank              int
	nope, rotated, valueSize int
	rope                     *rope // nil: nothing rotates
	interleaved              bool
	scale                    float32
	keys                     selection // nil: a row sees all that came before
	grows                    *scaling  // of queries by head and position, or nil (Mistral Large 4)
	lent                     *lent     // latents and keys of another layer, or for others; or nil
	module                   string
}

func newLatent(s *site) (mixer, error) {
	c := s.c
	weight := func(part string) *matrix { return s.weight(model.Attention, part) }
	norms := float32(latentEps)
	if s.fam.ownEps {
		norms = eps(c)
	}
	scale := s.scale(c.QKHeadDim())
	var r *rope
	if !s.fam.still {
		var err error
		if r, err = s.rope(); err != nil {
			return nil, err
		}
		scale *= r.scale
	}
	a := &latent{
		kvA: weight("kv_a"), kvB: weight("kv_b"), kvNorm: s.norm("kv_a_layernorm", c.KVLoraRank, norms), o: weight("o"),
		heads: c.NumHeads, rank: c.KVLoraRank, nope: c.QKNopeHeadDim, rotated: c.QKRopeHeadDim, valueSize: c.VHeadDim,
		rope: r, interleaved: c.RopeInterleave || !c.Has("rope_interleave") && !s.fam.halves, scale: scale,
	}
	a.kvB.wide = true
	if s.has(model.LinearAttentionGate, "g") {
		a.gate = s.weight(model.LinearAttentionGate, "g")
	} else if s.has(model.Attention, "g") {
		a.gate = weight("g")
	}
	a.sinks = s.optional(key{role: model.Sink, layer: s.layer}, c.NumHeads)
	if c.QLoraRank > 0 {
		a.qA, a.qB, a.qNorm = weight("q_a"), weight("q_b"), s.norm("q_a_layernorm", c.QLoraRank, norms)
		a.qABias = s.bias("q_a", c.QLoraRank)
	} else {
		a.q = weight("q")
	}
	a.kvABias, a.oBias = s.bias("kv_a", c.KVLoraRank+c.QKRopeHeadDim), s.bias("o", c.HiddenSize)
	a.module = a.o.module[:max(0, strings.LastIndexByte(a.o.module, '.'))]
	return a, s.err
}

func (a *latent) needs(p *part) {
	p.matrices(a.q, a.qA, a.qB, a.kvA, a.kvB, a.o, a.gate)
	p.vectors(a.qABias, a.kvABias, a.oBias, a.sinks)
	a.qNorm.needs(p)
	a.kvNorm.needs(p)
	a.grows.needs(p)
	if a.keys != nil {
		a.keys.needs(p)
	}
}

func (a *latent) scratch() int {
	n := a.heads*(2*(a.nope+a.valueSize)+a.rotated) + 2*a.rank + a.rotated
	if a.keys != nil {
		n += a.keys.scratch()
	}
	return n
}

func (a *latent) newState() state {
	return withSelection(&kvCache{wa: a.rank, wb: a.rotated}, a.keys)
}

func (a *latent) mix(p *pass, y, x []float32, b *batch) error {
	rows, segs := b.n, b.segs
	mark := p.arena.mark()
	defer p.arena.release(mark)
	qk := a.nope + a.rotated
	q := p.arena.floats(rows * a.heads * qk)
	kva := p.arena.floats(rows * (a.rank + a.rotated))
	var qa []float32
	if a.q != nil {
		p.observe(x, rows, a.q, a.kvA)
		p.linear(q, x, rows, a.q, nil)
	} else {
		p.observe(x, rows, a.qA, a.kvA)
		qa = p.arena.floats(rows * a.qA.out)
		p.linear(qa, x, rows, a.qA, a.qABias)
		p.normalize(qa, qa, rows, a.qA.out, a.qNorm)
		p.observe(qa, rows, a.qB)
		p.linear(q, qa, rows, a.qB, nil)
	}
	if a.kvA != nil {
		p.linear(kva, x, rows, a.kvA, a.kvABias)
	}
	keys, err := selects(p, a, a.keys, x, qa, b)
	if err != nil {
		return err
	}
	lat, shared := p.arena.floats(rows*a.rank), p.arena.floats(rows*a.rotated)
	a.position(p, q, lat, shared, kva, segs)
	if err := a.lent.pass(p, lat, shared, b); err != nil {
		return err
	}
	a.grows.apply(p, q, segs)
	p.grow(q, a.heads*qk, a.rope.growth(), segs)
	p.cached(a.module, "kv_latent", lat, rows, a.rank)
	p.cached(a.module, "k", shared, rows, a.rotated)
	out := p.arena.floats(rows * a.heads * a.valueSize)
	for _, s := range segs {
		if kv := s.kv(a); kv != nil {
			kv.put(s.pos, lat[s.first*a.rank:][:s.n*a.rank], shared[s.first*a.rotated:][:s.n*a.rotated])
		}
	}
	if p.few {
		p.observe(lat, rows, a.kvB)
		a.absorbed(p, out, q, keys, segs)
	} else {
		a.expanded(p, out, q, lat, shared, keys, rows, segs)
	}
	a.gated(p, out, x, rows)
	p.observe(out, rows, a.o)
	p.linear(y, out, rows, a.o, a.oBias)
	return nil
}

// position normalizes the latents and rotates queries and the shared key.
func (a *latent) position(p *pass, q, lat, shared, kva []float32, segs []segment) {
	qk, d := a.nope+a.rotated, a.rotated
	norm := a.kvNorm.of(p.weights)
	for _, s := range segs {
		var table []float32
		if a.rope != nil {
			table = a.rope.upTo(s.pos + s.n)
		}
		p.each(s.n, a.heads*qk, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				row := s.first + i
				var at []float32
				if table != nil {
					at = table[(s.pos+i)*d:][:d]
				}
				if norm != nil {
					in := kva[row*(a.rank+d):][:a.rank+d]
					norm(lat[row*a.rank:][:a.rank], in[:a.rank])
					pe := shared[row*d:][:d]
					copy(pe, in[a.rank:])
					a.rotate(pe, at)
				}
				for h := range a.heads {
					a.rotate(q[(row*a.heads+h)*qk+a.nope:][:d], at)
				}
			}
		})
	}
}

func (a *latent) rotate(x, at []float32) {
	switch {
	case at == nil: // nothing rotates
	case a.interleaved:
		vec.RotateInterleaved(x, at[:len(x)/2], at[len(x)/2:])
	default:
		vec.Rotate(x, at[:len(x)/2], at[len(x)/2:])
	}
}

// expanded makes the keys and values of every head, as in training.
func (a *latent) expanded(p *pass, out, q, lat, shared []float32, keys chosen, rows int, segs []segment) {
	qk, kv, d := a.nope+a.rotated, a.nope+a.valueSize, a.rotated
	h := heads{size: qk, valueSize: a.valueSize, scale: a.scale, keys: keys}
	var fresh []float32 // of rows without a cache
	p.observe(lat, rows, a.kvB)
	sinks := a.sinks.of(p.weights)
	for _, s := range segs {
		mark := p.arena.mark()
		total := s.pos + s.n
		var wide, pe []float32
		if cache := s.kv(a); cache != nil {
			wide, pe = p.arena.floats(total*a.heads*kv), cache.b
			p.linear(wide, cache.a[:total*a.rank], total, a.kvB, nil)
		} else {
			if fresh == nil {
				fresh = p.arena.floats(rows * a.heads * kv)
				mark = p.arena.mark()
				p.linear(fresh, lat, rows, a.kvB, nil)
			}
			wide, pe = fresh[s.first*a.heads*kv:], shared[s.first*d:]
		}
		all := p.arena.floats(p.workers * total * qk)
		scores := p.arena.floats(p.workers * queryBlock * total)
		p.jobs(a.heads, s.n*total*qk, func(head, worker int) {
			k := all[worker*total*qk:][:total*qk]
			for i := range total {
				copy(k[i*qk:], wide[(i*a.heads+head)*kv:][:a.nope])
				copy(k[i*qk+a.nope:], pe[i*d:][:d])
			}
			h.many(
				out[(s.first*a.heads+head)*a.valueSize:], a.heads*a.valueSize, q[(s.first*a.heads+head)*qk:], a.heads*qk,
				k, qk, wide[head*kv+a.nope:], a.heads*kv, s, scores[worker*queryBlock*total:][:queryBlock*total], sinkOf(sinks, head),
			)
		})
		p.arena.release(mark)
	}
}

// absorbed takes the queries to the latents instead of the latents to keys: the same
// sums in another order, for few rows and many cached positions. All heads then share
// one key, so that the cache is read once for eight of them.
func (a *latent) absorbed(p *pass, out, q []float32, keys chosen, segs []segment) {
	qk, kv, d := a.nope+a.rotated, a.nope+a.valueSize, a.rotated
	w, sinks := p.weights.matrix(a.kvB), a.sinks.of(p.weights)
	one := gemm.Options{Workers: 1}
	row := w.In * bytesOf(w.Format)
	// part is the matrix of n rows from row first of head h.
	part := func(h, first, n int) gemm.Weight {
		u := *w
		u.Data = w.Data[(h*kv+first)*row:][:n*row]
		u.Out = n
		return u
	}
	for _, s := range segs {
		mark := p.arena.mark()
		toLatent := p.arena.floats(s.n * a.heads * a.rank)
		fromLatent := p.arena.floats(s.n * a.heads * a.rank)
		p.jobs(a.heads, s.n*a.nope*a.rank, func(h, _ int) {
			up := part(h, 0, a.nope)
			up.Transposed, up.Out, up.In = true, a.rank, a.nope
			gemm.MulFew(toLatent[h*a.rank:], a.heads*a.rank, q[(s.first*a.heads+h)*qk:], a.heads*qk, s.n, &up, one)
		})
		cache := s.kv(a)
		blocks := (a.heads + 7) / 8
		total := s.pos + s.n
		scores := p.arena.floats(blocks * 8 * total)
		for r := range s.n {
			width, latents, rotated := s.pos+r+1, cache.a, cache.b
			if ids := keys.of(s.first + r); ids != nil {
				width = len(ids)
				latents = sparse.Gather(p.arena.floats(width * a.rank)[:0], latents, a.rank, ids)
				rotated = sparse.Gather(p.arena.floats(width * d)[:0], rotated, d, ids)
			}
			lat := gemm.Floats(latents, width, a.rank, a.rank, false)
			pe := gemm.Floats(rotated, width, d, d, false)
			values := gemm.Floats(latents, a.rank, width, a.rank, true)
			p.jobs(blocks, 16*width*a.rank, func(b, _ int) {
				n := min(8, a.heads-8*b)
				sc := scores[b*8*total:][:n*width]
				at := r*a.heads + 8*b
				gemm.MulFew(sc, width, toLatent[at*a.rank:], a.rank, n, &lat, one)
				add := one
				add.Add = true
				gemm.MulFew(sc, width, q[(s.first*a.heads+at)*qk+a.nope:], qk, n, &pe, add)
				for h := range n {
					x := sc[h*width:][:width]
					vec.Scale(x, a.scale)
					softmax(x, sinkOf(sinks, 8*b+h))
				}
				gemm.MulFew(fromLatent[at*a.rank:], a.rank, sc, width, n, &values, one)
			})
		}
		p.jobs(a.heads, s.n*a.valueSize*a.rank, func(h, _ int) {
			values := part(h, a.nope, a.valueSize)
			gemm.MulFew(out[(s.first*a.heads+h)*a.valueSize:], a.heads*a.valueSize, fromLatent[h*a.rank:], a.heads*a.rank, s.n, &values, one)
		})
		p.arena.release(mark)
	}
}

// bytesOf is the size of an element.
func bytesOf(f gemm.Format) int {
	switch f {
	case gemm.F32:
		return 4
	case gemm.E4M3:
		return 1
	}
	return 2
}
