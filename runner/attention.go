package runner

import (
	"math"
	"strings"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
)

// grouped is attention whose query heads share keys and values in groups.
type grouped struct {
	q, k, v, o     *matrix // without v keys are the values, too
	qBias, kBias   *vector
	vBias, oBias   *vector
	qNorm, kNorm   *norm         // or nil
	vNorm          *norm         // or nil (Gemma 4)
	sinks          *vector       // or nil
	gate           *matrix       // of the output, or nil
	index          *blockIndexer // or nil
	keys           selection     // nil: a row sees all that came before
	wide           bool          // norms run over all heads
	gated          bool          // q has a gate of the output beside each head
	heads, kvHeads int
	size           int // of a query and key head
	valueSize      int
	window         int   // 0: all positions
	chunk          int   // of a text, beyond which nothing is seen; 0: all of it
	whole          bool  // keys and values stay though no row sees them (tests)
	rope           *rope // nil: nothing rotates
	grow           func(position int) float32
	scale          float32
	valueScale     float32 // 1 but for MiMo
	clip           float32 // of queries, keys and values; 0: none
	manner
	module string
}

// manner is how grouped attention of a family differs from Llama's.
type manner struct {
	pairs    bool // rope turns neighbours, not halves
	late     bool // queries and keys are normalized behind it
	softplus bool // is what the gate of the output is, not sigmoid
	// rotates says which layers have positions; nil: those that the config says.
	rotates func(s *site) bool
	// adapt changes what was laid out; nil: nothing.
	adapt func(s *site, g *grouped)
}

func newGrouped(s *site) (mixer, error) {
	c, f := s.c, s.fam
	weight := func(part string) *matrix { return s.weight(model.Attention, part) }
	var r *rope
	if !f.still && c.RotatesAt(s.layer) && (f.rotates == nil || f.rotates(s)) {
		var err error
		if r, err = s.rope(); err != nil {
			return nil, err
		}
	}
	g := &grouped{
		q: weight("q"), k: weight("k"), o: weight("o"), wide: f.wideNorm, manner: f.manner,
		heads: c.HeadsOf(s.layer), kvHeads: c.KVHeadsOf(s.layer), size: c.HeadDimOf(s.layer), valueSize: c.ValueDimOf(s.layer),
		rope: r, grow: r.growth(), scale: s.scale(c.HeadDimOf(s.layer)), valueScale: 1,
	}
	if g.kvHeads <= 0 || g.heads%g.kvHeads != 0 {
		return nil, invalid.Errorf("config.json: layer %d has %d heads, which do not share %d keys and values evenly", s.layer, g.heads, g.kvHeads)
	}
	if !c.KEqV || s.has(model.Attention, "v") {
		g.v = weight("v")
	}
	qn, kn := g.size, g.size
	if g.wide {
		qn, kn = g.heads*g.size, g.kvHeads*g.size
	}
	if f.normalizes(c) {
		g.qNorm, g.kNorm = s.norm("q_norm", qn, eps(c)), s.norm("k_norm", kn, eps(c))
	}
	g.qBias, g.kBias = s.bias("q", g.heads*g.size), s.bias("k", g.kvHeads*g.size)
	g.vBias, g.oBias = s.bias("v", g.kvHeads*g.valueSize), s.bias("o", c.HiddenSize)
	g.sinks = s.optional(key{role: model.Sink, layer: s.layer}, g.heads)
	for _, role := range []model.Role{model.Attention, model.LinearAttentionGate} { // by channel, by head
		if s.has(role, "g") {
			g.gate = s.weight(role, "g")
		}
	}
	if f.allWindow || s.kind() == "sliding_attention" {
		g.window = c.SlidingWindow
	}
	g.module = strings.TrimSuffix(g.o.module, ".o_proj")
	if f.adapt != nil {
		f.adapt(s, g)
	}
	return g, s.err
}

func (g *grouped) needs(p *part) {
	p.matrices(g.q, g.k, g.v, g.o, g.gate)
	p.vectors(g.qBias, g.kBias, g.vBias, g.oBias, g.sinks)
	g.qNorm.needs(p)
	g.kNorm.needs(p)
	g.vNorm.needs(p)
	g.index.needs(p)
	if g.keys != nil {
		g.keys.needs(p)
	}
}

func (g *grouped) scratch() int {
	n := 2*g.heads*max(g.size, g.valueSize) + g.kvHeads*(g.size+g.valueSize) + g.index.scratch()
	if g.gated {
		n += 3 * g.heads * g.size
	}
	if g.gate != nil {
		n += g.gate.out
	}
	if g.keys != nil {
		n += g.keys.scratch()
	}
	return n
}

func (g *grouped) newState() state {
	cache := &kvCache{wa: g.kvHeads * g.size, wb: g.kvHeads * g.valueSize}
	if g.keys != nil {
		return withSelection(cache, g.keys)
	}
	if g.index != nil {
		return g.index.withIndex(cache)
	}
	return g.recent(cache)
}

func (g *grouped) mix(p *pass, y, x []float32, b *batch) error {
	rows, segs := b.n, b.segs
	mark := p.arena.mark()
	defer p.arena.release(mark)
	qw, kw, vw, ow := g.heads*g.size, g.kvHeads*g.size, g.kvHeads*g.valueSize, g.heads*g.valueSize
	q, k, v := p.arena.floats(rows*qw), p.arena.floats(rows*kw), p.arena.floats(rows*vw)
	p.observe(x, rows, g.q, g.k, g.v, g.gate)
	gate := g.gates(p, q, x, rows)
	p.linear(k, x, rows, g.k, g.kBias)
	if g.v != nil {
		p.linear(v, x, rows, g.v, g.vBias)
	} else {
		copy(v, k)
	}
	g.values(p, v, rows)
	g.position(p, q, rows, g.heads, g.qNorm, segs)
	g.position(p, k, rows, g.kvHeads, g.kNorm, segs)
	p.grow(q, qw, g.grow, segs)
	p.each(rows, qw, func(first, n, _ int) { vec.Scale(q[first*qw:][:n*qw], g.scale) })
	p.cached(g.module, "k", k, rows, kw)
	p.cached(g.module, "v", v, rows, vw)
	index := g.index.project(p, x, b)
	seen, err := selects(p, g, g.keys, x, nil, b)
	if err != nil {
		return err
	}
	out := p.arena.floats(rows * ow)
	for _, s := range segs {
		keys, values := k[s.first*kw:][:s.n*kw], v[s.first*vw:][:s.n*vw]
		if kv := s.kv(g); kv != nil {
			s.pos -= s.gone(g, p.few)
			kv.put(s.pos, keys, values)
			keys, values = kv.a, kv.b
		}
		if g.keys != nil {
			g.attendChosen(p, out[s.first*ow:], q[s.first*qw:], keys, values, seen, s)
			continue
		}
		g.attendTo(p, out[s.first*ow:], q[s.first*qw:], keys, values, index, s)
	}
	p.open(out, gate, rows)
	g.open(p, out, x, rows)
	p.observe(out, rows, g.o)
	p.linear(y, out, rows, g.o, g.oBias)
	return nil
}

// values changes value heads where a family does.
func (g *grouped) values(p *pass, v []float32, rows int) {
	g.clamp(v)
	if g.vNorm != nil {
		p.normalize(v, v, rows*g.kvHeads, g.valueSize, g.vNorm)
	}
	if g.valueScale != 1 {
		vec.Scale(v, g.valueScale)
	}
}

// clamp bounds what clip bounds.
func (g *grouped) clamp(x []float32) {
	if g.clip == 0 {
		return
	}
	for i, v := range x {
		x[i] = min(max(v, -g.clip), g.clip)
	}
}

// position normalizes and rotates the heads of rows.
func (g *grouped) position(p *pass, x []float32, rows, heads int, n *norm, segs []segment) {
	norm := n.of(p.weights)
	if norm == nil && g.rope == nil && g.clip == 0 {
		return
	}
	turn := vec.Rotate
	if g.pairs {
		turn = vec.RotateInterleaved
	}
	early, late := norm, norm
	if g.late {
		early = nil
	} else {
		late = nil
	}
	width, d := heads*g.size, 0
	for _, s := range segs {
		var table []float32
		if g.rope != nil {
			d, table = g.rope.dims(), g.rope.upTo(s.pos+s.n)
		}
		p.each(s.n, width, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				row := x[(s.first+i)*width:][:width]
				at := table[(s.pos+i)*d:][:d]
				if norm != nil && g.wide {
					norm(row, row)
				}
				g.clamp(row)
				for h := range heads {
					head := row[h*g.size:][:g.size]
					if early != nil && !g.wide {
						early(head, head)
					}
					turn(head[:d], at[:d/2], at[d/2:])
					if late != nil {
						late(head, head)
					}
				}
			}
		})
	}
}

// attend is softmax(q·kᵀ)·v for the rows of a segment.
func (g *grouped) attend(p *pass, out, q, keys, values []float32, s segment) {
	g.attendMany(p, out, q, keys, values, nil, s)
}

// attendMany is attend, over the keys that are chosen for rows of the batch.
func (g *grouped) attendMany(p *pass, out, q, keys, values []float32, seen chosen, s segment) {
	per, kw, vw := g.heads/g.kvHeads, g.kvHeads*g.size, g.kvHeads*g.valueSize
	var sinks []float32
	if g.sinks != nil {
		sinks = p.weights.vector(g.sinks)
	}
	h := heads{size: g.size, valueSize: g.valueSize, window: g.window, chunk: g.chunk, keys: seen}
	if p.few {
		total := s.pos + s.n
		scores := p.arena.floats(g.heads * total)
		for r := range s.n {
			p.jobs(g.kvHeads, per*(s.pos+r)*g.size*2, func(job, _ int) {
				at := r*g.heads + job*per
				sc := scores[job*per*total:]
				h.few(out[at*g.valueSize:], q[at*g.size:], keys[job*g.size:], values[job*g.valueSize:], kw, vw, s.pos+r, per, sc, sinkOf(sinks, job*per))
			})
		}
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	qw, ow := g.heads*g.size, g.heads*g.valueSize
	finite := vec.FirstNonFinite(values[:(s.pos+s.n)*vw]) < 0
	blocks := p.blocksOf([]segment{s}, s.pos+s.n)
	scores := p.arena.floats(p.workers * blocks.room)
	p.jobs(g.heads*len(blocks.all), queryBlock*(s.pos+s.n)*g.size, func(job, worker int) {
		head, b := job/len(blocks.all), &blocks.all[job%len(blocks.all)]
		h.block(
			out[b.first*ow+head*g.valueSize:], ow, q[b.first*qw+head*g.size:], qw,
			attended{keys[head/per*g.size:], kw, values[head/per*g.valueSize:], vw, finite},
			&s, b, scores[worker*blocks.room:][:blocks.room], sinkOf(sinks, head),
		)
	})
}

// softmaxScale is 1/√d.
func softmaxScale(d int) float32 { return float32(1 / math.Sqrt(float64(d))) }
