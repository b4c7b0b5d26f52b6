package runner

import (
	"context"
	"errors"
	"slices"

	"quern/gemm"
	"quern/internal/invalid"
	"quern/internal/vec"
)

// MaxStep is the largest number of tokens that Generator.Step takes at once: up to
// it, what is computed for a token does not depend on how many there are.
const MaxStep = 8

// GeneratorOptions say how to generate. None affects what is computed.
type GeneratorOptions struct {
	Workers int
	// Memory bounds the weights that are kept between tokens; 0: 4 GiB. Those that
	// do not fit are read again for every token.
	Memory int64
	// ExpertCache bounds the routed experts among them; 0: what Memory leaves.
	ExpertCache int64
	// NoMTP leaves out what drafting needs.
	NoMTP bool
}

// Generator runs one text token by token. It is not safe for concurrent use.
type Generator struct {
	m    *Model
	p    *pass
	w    *resident
	kv   []*kvCache // by layer, the MTP layer's last
	pos  int        // tokens that were run
	mtp  bool
	head *part // and the final norm

	layers []generatorLayer
	draft  struct {
		join, head *part
		matrix     *matrix // the output head
	}

	helpers []pass // with arenas of their own

	last []float32 // states behind the final norm of the last step
	// pending are the states whose following token the MTP layer has not seen.
	pending []float32
	mtpPos  int
	slab    []byte
	ids     []int32
	weights []float32
}

// generatorLayer are the parts of a layer.
type generatorLayer struct {
	*layer
	first, second *part
	experts       []*part
}

// NewGenerator prepares generation: what every token needs is read now.
func (m *Model) NewGenerator(ctx context.Context, o GeneratorOptions) (*Generator, error) {
	if o.Memory <= 0 {
		o.Memory = 4 << 30
	}
	w := newResident(m.files, o.Memory)
	g := &Generator{
		m: m, w: w, mtp: m.mtp != nil && !o.NoMTP,
		slab: make([]byte, m.embed.bytes()/int64(m.embed.out)),
		p:    &pass{m: m, ctx: ctx, workers: workersOf(o.Workers), product: product{workers: workersOf(o.Workers)}, weights: w, arena: &arena{}},
	}
	g.helpers = make([]pass, g.p.workers)
	for i := range g.helpers {
		g.helpers[i].arena = &arena{}
	}
	ls := m.layers
	if g.mtp {
		ls = append(slices.Clip(ls), m.mtp.layer)
		g.slab = make([]byte, max(len(g.slab), int(m.mtp.embed.bytes()/int64(m.mtp.embed.out))))
	}
	expert, common := int64(0), []*part{}
	for _, l := range ls {
		if a, ok := l.attn.(*latent); ok {
			w.wide[a.kvB] = true
		}
		gl := generatorLayer{layer: l, first: w.newPart(l.attentionUnit()), second: w.newPart(l.secondUnit())}
		common = append(common, gl.first, gl.second)
		if l.moe != nil {
			for _, x := range l.moe.experts {
				gl.experts = append(gl.experts, w.newPart(x.matrices(), x.vectors()))
			}
			expert = max(expert, gl.experts[0].size)
		}
		g.layers = append(g.layers, gl)
		a, b := l.attn.cacheWidth()
		g.kv = append(g.kv, &kvCache{wa: a, wb: b})
	}
	g.head = w.newPart([]*matrix{m.head}, []*vector{m.norm})
	common = append(common, g.head)
	if g.mtp {
		t := m.mtp
		g.draft.join = w.newPart([]*matrix{t.proj}, []*vector{t.enorm, t.hnorm})
		// The releases hold a copy of the head for the MTP layer, of gigabytes.
		same, err := t.head.equal(m.head, m.files)
		if err != nil {
			return nil, err
		}
		if g.draft.matrix = t.head; same {
			g.draft.matrix = m.head
			g.draft.head = w.newPart(nil, []*vector{t.norm})
		} else {
			g.draft.head = w.newPart([]*matrix{t.head}, []*vector{t.norm})
		}
		common = append(common, g.draft.join, g.draft.head)
	}
	for _, c := range common {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := w.pin(c, 2*expert); err != nil {
			return nil, err
		}
	}
	if o.ExpertCache > 0 {
		w.limit = min(w.limit, w.used+o.ExpertCache)
	}
	return g, nil
}

// Len is the number of tokens that were run.
func (g *Generator) Len() int { return g.pos }

// Prefill runs a prompt and returns the logits behind its last token.
func (g *Generator) Prefill(tokens []int) ([]float32, error) {
	if len(tokens) == 0 {
		return nil, invalid.Errorf("the prompt is empty")
	}
	const step = 512
	for len(tokens) > 0 {
		n := min(step, len(tokens))
		if err := g.run(tokens[:n], false); err != nil {
			return nil, err
		}
		tokens = tokens[n:]
	}
	return g.logits(g.last[len(g.last)-g.m.hidden:], 1)
}

// Step runs 1 to MaxStep tokens behind those that were run and returns the logits
// behind each, one row after the other; they are valid until the next call.
func (g *Generator) Step(tokens []int) ([]float32, error) {
	if len(tokens) == 0 || len(tokens) > MaxStep {
		return nil, errors.New("runner: a step takes one to eight tokens")
	}
	if err := g.run(tokens, true); err != nil {
		return nil, err
	}
	return g.logits(g.last, len(tokens))
}

// Truncate forgets all tokens but the first n.
func (g *Generator) Truncate(n int) {
	back := g.pos - n
	g.pos = n
	keep := len(g.pending) - back*g.m.hidden
	g.pending = g.pending[:max(keep, 0)]
	if h := len(g.last) - back*g.m.hidden; h > 0 {
		g.last = g.last[:h]
	}
}

// run passes tokens through the layers and leaves their final states in last.
func (g *Generator) run(tokens []int, few bool) error {
	d, n := g.m.hidden, len(tokens)
	p := g.p
	p.few = few
	if cap(g.last) < n*d {
		g.last = make([]float32, n*d)
	}
	x := g.last[:n*d]
	for i, id := range tokens {
		if id < 0 || id >= g.m.vocab {
			return invalid.Errorf("token id %d is not in the vocabulary of %d", id, g.m.vocab)
		}
		if err := g.embed(x[i*d:][:d], g.m.embed, id); err != nil {
			return err
		}
	}
	for i := range g.m.layers {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := g.layer(&g.layers[i], g.kv[i], x, n, g.pos); err != nil {
			return err
		}
	}
	if err := g.w.hold(g.head); err != nil {
		return err
	}
	p.normalize(x, x, n, d, g.m.norm, eps(g.m.cfg))
	if i := vec.FirstNonFinite(x); i >= 0 {
		return invalid.Errorf("%q: the hidden state of position %d is %v in channel %d: the model computes no number there", g.m.c.Path, g.pos+i/d, x[i], i%d)
	}
	g.last = x
	g.pos += n
	if g.mtp {
		// Of a prompt the MTP layer sees each chunk at once, but for the last state,
		// whose next token is not known yet.
		g.pending = append(g.pending, x...)
		if !few {
			return g.follow(tokens)
		}
	}
	return nil
}

// embed reads a row of an embedding.
func (g *Generator) embed(dst []float32, table *matrix, id int) error {
	return table.row(g.m.files, dst, g.slab[:table.bytes()/int64(table.out)], id)
}

// layer runs one decoder layer over n rows of x at position pos.
func (g *Generator) layer(l *generatorLayer, kv *kvCache, x []float32, n, pos int) error {
	p, d := g.p, g.m.hidden
	mark := p.arena.mark()
	defer p.arena.release(mark)
	h, out := p.arena.floats(n*d), p.arena.floats(n*d)
	if err := g.w.hold(l.first); err != nil {
		return err
	}
	p.normalize(h, x, n, d, l.inputNorm, eps(g.m.cfg))
	l.attn.forward(p, out, h, n, []segment{{n: n, pos: pos, kv: kv}})
	vec.Add(x, out)
	p.normalize(h, x, n, d, l.postNorm, eps(g.m.cfg))
	if err := g.w.hold(l.second); err != nil {
		return err
	}
	if l.dense != nil {
		l.dense.forward(p, out, h, n)
		vec.Add(x, out)
		return nil
	}
	if err := g.experts(l, out, h, n); err != nil {
		return err
	}
	vec.Add(x, out)
	return nil
}

// experts computes the second block of a layer with experts: for each row what every
// token gets, then its experts by ascending number, whatever else is in the batch.
func (g *Generator) experts(l *generatorLayer, out, h []float32, n int) error {
	p, d, k := g.p, g.m.hidden, l.moe.router.topK
	if cap(g.ids) < n*k {
		g.ids, g.weights = make([]int32, n*k), make([]float32, n*k)
	}
	ids, weights := g.ids[:n*k], g.weights[:n*k]
	l.moe.route(p, ids, weights, h, n, l.index, g.pos)
	l.moe.always(p, out, h, n, d)
	turns := g.turns(ids, n, k)
	// Of a prompt one expert after the other, each on all processors; of a step as
	// many at once as memory holds.
	step := len(turns)
	if !p.few || !g.w.fits(int64(step)*l.experts[0].size) {
		step = 1
	}
	for first := 0; first < len(turns); first += step {
		if err := g.together(l, turns[first:min(first+step, len(turns))], out, h, ids, weights, k); err != nil {
			return err
		}
	}
	return nil
}

// together adds the parts of some experts to out, in their order.
func (g *Generator) together(l *generatorLayer, turns []turn, out, h []float32, ids []int32, weights []float32, k int) error {
	p, d := g.p, g.m.hidden
	mark := p.arena.mark()
	defer p.arena.release(mark)
	total := 0
	for _, t := range turns {
		total += len(t.rows)
	}
	in, y := p.arena.floats(total*d), p.arena.floats(total*d)
	at := 0
	for i := range turns {
		t := &turns[i]
		t.at = at
		for _, r := range t.rows {
			copy(in[at*d:][:d], h[r*d:][:d])
			at++
		}
		if err := g.w.hold(l.experts[t.expert]); err != nil {
			return err
		}
	}
	forward := func(p *pass, t *turn) {
		l.moe.experts[t.expert].forward(p, y[t.at*d:], in[t.at*d:], len(t.rows))
	}
	if len(turns) == 1 {
		forward(p, &turns[0])
	} else {
		p.jobs(len(turns), 3*d*l.moe.experts[0].inner/8, func(i, worker int) { forward(g.helper(worker), &turns[i]) })
	}
	for _, t := range turns {
		for i, r := range t.rows {
			vec.Axpy(out[r*d:][:d], weightOf(ids, weights, r, k, t.expert), y[(t.at+i)*d:][:d])
		}
	}
	return nil
}

// turn is an expert with the rows that chose it, and where these are collected.
type turn struct {
	expert int
	rows   []int
	at     int
}

// turns lists the experts that n rows chose, by ascending number.
func (g *Generator) turns(ids []int32, n, k int) []turn {
	var turns []turn
	rows := make([]int, 0, n*k)
	for e := int32(-1); ; {
		next := int32(-1)
		for _, id := range ids {
			if id > e && (next < 0 || id < next) {
				next = id
			}
		}
		if e = next; e < 0 {
			return turns
		}
		first := len(rows)
		for r := range n {
			if slices.Contains(ids[r*k:][:k], e) {
				rows = append(rows, r)
			}
		}
		turns = append(turns, turn{expert: int(e), rows: rows[first:len(rows):len(rows)]})
	}
}

// helper is a pass for one of the goroutines that share the experts of a layer.
func (g *Generator) helper(worker int) *pass {
	h := &g.helpers[worker]
	h.m, h.ctx, h.workers, h.product, h.few, h.weights = g.m, g.p.ctx, 1, product{workers: 1}, g.p.few, g.w
	return h
}

// logits multiplies states with the output head.
func (g *Generator) logits(x []float32, rows int) ([]float32, error) {
	if err := g.w.hold(g.head); err != nil {
		return nil, err
	}
	return g.multiply(g.m.head, x, rows), nil
}

func (g *Generator) multiply(head *matrix, x []float32, rows int) []float32 {
	out := make([]float32, rows*g.m.vocab)
	gemm.MulFew(out, g.m.vocab, x, g.m.hidden, rows, g.w.matrix(head), gemm.Options{Workers: g.p.workers})
	return out
}
