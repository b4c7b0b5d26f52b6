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
	n := a.heads*(a.nope+a.rotated+a.valueSize) + 2*(a.rank+a.rotated)
	for _, m := range []*matrix{a.qA, a.gate} {
		if m != nil {
			n += m.out
		}
	}
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

// position normalizes the latents, rotates queries and the shared key, and gives queries
// the factor of scores.
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
				vec.Scale(q[row*a.heads*qk:][:a.heads*qk], a.scale)
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

// expanded makes the keys and values of heads, as in training: of some heads at a time,
// so that a long text needs no more room than they take, each with its keys and values
// one behind the other.
func (a *latent) expanded(p *pass, out, q, lat, shared []float32, keys chosen, rows int, segs []segment) {
	p.observe(lat, rows, a.kvB)
	mark := p.arena.mark()
	defer p.arena.release(mark)
	w := a.keyWeights(p)
	for i := range segs { // one by one: its keys are still in a near cache when they are used
		s := &segs[i]
		k := known{lat[s.first*a.rank:], shared[s.first*a.rotated:], s.n}
		if cache := s.kv(a); cache != nil {
			k = known{cache.a, cache.b, s.pos + s.n}
		}
		a.over(p, out, q, w, k, keys, segs[i:i+1])
	}
}

// known are latents and rotated keys that rows may see.
type known struct {
	lat, shared []float32
	n           int
}

// over is attention of a segment over what is known of its text.
func (a *latent) over(p *pass, out, q []float32, w *cutter, k known, keys chosen, segs []segment) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	qk, kv, n := a.nope+a.rotated, a.nope+a.valueSize, k.n
	sinks := a.sinks.of(p.weights)
	lat := p.rounded(k.lat[:n*a.rank], n, a.kvB)
	some := min(max(p.room/(n*(qk+a.valueSize)), 1), a.heads)
	widest, _ := reachOf(segs)
	blocks := p.blocksOf(segs, widest)
	allKeys, allValues := p.arena.floats(some*n*qk), p.arena.floats(some*n*a.valueSize)
	scores := p.arena.floats(p.workers * blocks.room)
	finite := make([]bool, some)
	h := heads{size: qk, valueSize: a.valueSize, keys: keys}
	for first := 0; first < a.heads; first += some {
		count := min(some, a.heads-first)
		each := product{workers: 1}
		if count < p.workers { // all of them for each head
			each = p.product
		}
		make1 := func(i int) {
			keys, values := allKeys[i*n*qk:][:n*qk], allValues[i*n*a.valueSize:][:n*a.valueSize]
			up, value := w.part((first+i)*kv, a.nope), w.part((first+i)*kv+a.nope, a.valueSize)
			each.mul(keys, qk, lat, a.rank, n, &up)
			each.mul(values, a.valueSize, lat, a.rank, n, &value)
			for r := range n {
				copy(keys[r*qk+a.nope:][:a.rotated], k.shared[r*a.rotated:])
			}
			finite[i] = vec.FirstNonFinite(values) < 0
		}
		if count < p.workers {
			for i := range count {
				make1(i)
			}
		} else {
			p.jobs(count, 2*n*kv*a.rank, func(i, _ int) { make1(i) })
		}
		p.jobs(count*len(blocks.all), n*qk, func(job, worker int) {
			i, b := job/len(blocks.all), &blocks.all[job%len(blocks.all)]
			s, head := &segs[b.seg], first+i
			h.block(
				out[((s.first+b.first)*a.heads+head)*a.valueSize:], a.heads*a.valueSize, q[((s.first+b.first)*a.heads+head)*qk:], a.heads*qk,
				attended{allKeys[i*n*qk:], qk, allValues[i*n*a.valueSize:], a.valueSize, finite[i]},
				s, b, scores[worker*blocks.room:][:blocks.room], sinkOf(sinks, head),
			)
		})
	}
}

// keyWeights are the weights of keys and values, as they can be cut.
func (a *latent) keyWeights(p *pass) *cutter {
	c := p.weights.coded(a.kvB)
	if c == nil {
		return &cutter{w: p.weights.matrix(a.kvB)}
	}
	w := gemm.Weight{Out: a.kvB.out, In: a.kvB.in, Format: gemm.F32, Data: raw(p.arena.floats(a.kvB.out * a.kvB.in))}
	g := c.grain()
	p.each((w.Out+g-1)/g, g*w.In, func(at, n, _ int) {
		c.mustDecode(w.Data[4*at*g*w.In:], at*g, min(n*g, w.Out-at*g))
	})
	return &cutter{w: &w}
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
