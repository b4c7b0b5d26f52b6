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
	// DraftHead is how many rows of the output head drafts are read from; 0: a quarter
	// of the vocabulary, at least 512, but all for sampled text. See shortlist.
	DraftHead int
}

// Generator runs one text token by token. It is not safe for concurrent use.
type Generator struct {
	m    *Model
	walk *walk
	w    *resident
	text *memory // what mixers keep
	pos  int     // tokens that were run
	// known are the tokens of a prompt that is being run.
	known int
	mtp   bool
	final *part // the final norm
	head  *part

	draft struct {
		final  *part
		short  *shortlist // or else the whole head:
		head   *part
		matrix *matrix
	}

	last []float32 // states behind the final norm of the last step
	// pending are the states whose following token the MTP layer has not seen.
	pending []float32
	mtpPos  int
	slab    []byte
}

// NewGenerator prepares generation: what every token needs is read now.
func (m *Model) NewGenerator(ctx context.Context, o GeneratorOptions) (*Generator, error) {
	if o.Memory <= 0 {
		o.Memory = 4 << 30
	}
	w := newResident(m.files, o.Memory)
	g := &Generator{
		m: m, w: w, mtp: m.mtp != nil && !o.NoMTP, text: newMemory(),
		slab: make([]byte, m.embed.bytes()/int64(m.embed.out)),
	}
	g.walk = &walk{pass: newPass(m, ctx, o.Workers, w), shelf: newShelf(false, ""), before: func(*layer) error { return ctx.Err() }}
	ls := m.layers
	if g.mtp {
		ls = append(slices.Clip(ls), m.mtp.layer)
		g.slab = make([]byte, max(len(g.slab), int(m.mtp.embed.bytes()/int64(m.mtp.embed.out))))
	}
	expert, common := int64(0), []*part{}
	for _, l := range ls {
		for _, b := range l.blocks {
			common = append(common, b.first, b.behind)
		}
		if x := l.routed(); x != nil {
			expert = max(expert, x.parts[0].resident)
		}
	}
	g.final, g.head = partOf(m.norm, m.frame), &part{}
	g.head.matrices(m.head)
	g.head.vectors(m.headBias)
	common = append(common, g.final, g.head)
	if g.mtp {
		draft, err := g.readDraft(o.DraftHead, 2*expert)
		if err != nil {
			return nil, err
		}
		common = append(common, draft...)
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
	g.known = g.pos + len(tokens)
	defer func() { g.known = 0 }()
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

// Truncate forgets all tokens but the first n, which are no fewer than before the last
// Step: what recurrent layers keep of a text cannot be taken back further.
func (g *Generator) Truncate(n int) {
	back := g.pos - n
	g.pos = n
	g.text.rewind(g.m.layers, n)
	if g.mtp {
		keep := len(g.pending) - back*g.m.mtp.reads(g.m)
		g.pending = g.pending[:max(keep, 0)]
	}
	if h := len(g.last) - back*g.m.hidden; h > 0 {
		g.last = g.last[:h]
	}
}

// run passes tokens through the layers and leaves their final states in last.
func (g *Generator) run(tokens []int, few bool) error {
	d, n := g.m.hidden, len(tokens)
	p := g.walk.pass
	p.few = few
	if err := g.m.checkLength(g.pos + n); err != nil {
		return err
	}
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
	if few {
		g.text.mark(g.m.layers)
	}
	if err := g.layers(x, tokens); err != nil {
		return err
	}
	if i := vec.FirstNonFinite(x); i >= 0 {
		return invalid.Errorf("%q: the hidden state of position %d is %v in channel %d: the model computes no number there", g.m.c.Path, g.pos+i/d, x[i], i%d)
	}
	g.last = x
	g.pos += n
	if g.mtp {
		// Of a prompt the MTP layer sees each chunk at once, but for the last state,
		// whose next token is not known yet.
		if !g.m.mtp.raw {
			g.pending = append(g.pending, x...)
		}
		if !few {
			return g.follow(tokens)
		}
	}
	return nil
}

// embed reads a row of an embedding, with its factor.
func (g *Generator) embed(dst []float32, table *matrix, id int) error {
	err := table.row(g.m.files, dst, g.slab[:table.bytes()/int64(table.out)], id)
	g.m.factors.embed(dst)
	return err
}

// layers passes embeddings h of tokens through the model and leaves final states in them.
func (g *Generator) layers(h []float32, tokens []int) error {
	w, n, width := g.walk, len(tokens), g.m.Width()
	mark := w.arena.mark()
	defer w.arena.release(mark)
	x := h
	if width != g.m.hidden {
		x = w.arena.floats(n * width)
		g.m.frame.expand(w.pass, x, h, n)
	}
	if err := g.through(g.m.layers, g.m.frame, x, tokens, g.pos, g.known); err != nil {
		return err
	}
	if g.mtp && g.m.mtp.raw {
		g.pending = append(g.pending, x[:n*width]...)
	}
	return g.finish(g.m.frame, h, x, n, g.final, g.m.norm)
}

// through passes rows of tokens, as wide as a frame, through layers. The tokens go on at
// position pos of a text of which so many are known.
func (g *Generator) through(ls []*layer, f frame, x []float32, tokens []int, pos, known int) error {
	w, n := g.walk, len(tokens)
	w.x, w.tokens, w.chunk = &Rows{n: n, width: f.width(), mem: x}, tokens, n
	w.groups = func(int) []group {
		return []group{{n: n, segs: []segment{{n: n, pos: pos, memory: g.text, known: known}}}}
	}
	return w.through(ls)
}

// finish makes final states h of rows x, which may be the same memory, with the norm behind
// the layers, which comes with a part.
func (g *Generator) finish(f frame, h, x []float32, n int, final *part, last *norm) error {
	if err := g.w.hold(final); err != nil {
		return err
	}
	d := g.m.hidden
	if f.width() != d {
		f.collapse(g.walk.pass, h, x, n)
		x = h
	}
	g.walk.normalize(h, x, n, d, last)
	return nil
}

// logits multiplies states with the output head.
func (g *Generator) logits(x []float32, rows int) ([]float32, error) {
	if err := g.w.hold(g.head); err != nil {
		return nil, err
	}
	return g.multiply(g.m.head, g.m.headBias, x, rows), nil
}

// multiply makes logits with an output head, which may have a bias.
func (g *Generator) multiply(head *matrix, bias *vector, x []float32, rows int) []float32 {
	out := make([]float32, rows*g.m.vocab)
	gemm.MulFew(out, g.m.vocab, x, g.m.hidden, rows, g.w.matrix(head), gemm.Options{Workers: g.walk.workers})
	if bias != nil {
		shift(out, g.w.vector(bias), rows)
	}
	g.m.factors.finish(out)
	return out
}
