package runner

import "quern/internal/vec"

// follow shows the MTP layer the states that are pending, each with the token behind
// it: next holds the tokens of the last states but their first. One state stays
// pending when its next token is not known, as at the end of a prompt.
func (g *Generator) follow(tokens []int) error {
	d := g.m.mtp.reads(g.m)
	rows := len(g.pending)/d - 1 // the last one waits
	if rows <= 0 {
		return nil
	}
	next := tokens[len(tokens)-rows:]
	_, _, err := g.mtpRows(g.pending[:rows*d], next, g.mtpPos)
	if err != nil {
		return err
	}
	g.mtpPos += rows
	g.pending = append(g.pending[:0], g.pending[rows*d:]...)
	return nil
}

// mtpRows runs the MTP layer over states h with the tokens behind them, the first at
// position pos, and returns what its head reads, and states as those that it reads.
func (g *Generator) mtpRows(h []float32, next []int, pos int) (z, states []float32, err error) {
	t, d, n := g.m.mtp, g.m.hidden, len(next)
	emb, x := make([]float32, n*d), make([]float32, n*t.frame.width())
	for i, id := range next {
		if err := g.embed(emb[i*d:][:d], t.embed, id); err != nil {
			return nil, nil, err
		}
	}
	if err := g.w.hold(t.joining); err != nil {
		return nil, nil, err
	}
	t.join(g.walk.pass, t.frame, x, emb, h, n)
	if err := g.through([]*layer{t.layer}, t.frame, x, next, pos, g.known-1); err != nil {
		return nil, nil, err
	}
	z = x
	if t.raw || len(z) != n*d {
		z = make([]float32, n*d)
	}
	err = g.finish(t.frame, z, x, n, g.draft.final, t.norm)
	if states = z; t.raw {
		states = x
	}
	return z, states, err
}

// Draft predicts the k tokens behind tokens, the whole text so far, of which all but
// the last were run: pick chooses each from its logits. Beyond the first, the layer reads its own
// state behind its norm instead of the main model's: "recycling", as serving engines
// do. A layer that computes no numbers drafts nothing.
func (g *Generator) Draft(tokens []int, k int, pick func(logits []float32) int) ([]int, error) {
	d, width, p := g.m.hidden, g.m.mtp.reads(g.m), g.walk.pass
	// All pending states now have a next token: tokens ends with it.
	rows := len(g.pending) / width
	p.few = rows <= MaxStep
	z, states, err := g.mtpRows(g.pending, tokens[len(tokens)-rows:], g.mtpPos)
	if err != nil {
		return nil, err
	}
	g.mtpPos += rows
	g.pending = g.pending[:0]
	// A guess upon a guess is forgotten below: its place is taken by the truth later.
	layers := []*layer{g.m.mtp.layer}
	g.text.mark(layers)
	defer g.text.rewind(layers, g.mtpPos)
	state, z := states[(rows-1)*width:], z[(rows-1)*d:]
	if l := g.draft.short; l != nil {
		if err := l.learn(tokens); err != nil {
			return nil, err
		}
	}
	var out []int
	for i := range k {
		if i > 0 {
			p.few = true
			if z, state, err = g.mtpRows(state, out[i-1:], g.mtpPos+i-1); err != nil {
				return nil, err
			}
		}
		if vec.FirstNonFinite(z) >= 0 || vec.FirstNonFinite(state) >= 0 {
			break // a broken MTP layer drafts nothing, and harms nothing
		}
		logits, err := g.draftLogits(z)
		if err != nil {
			return nil, err
		}
		out = append(out, pick(logits))
	}
	return out, nil
}

// draftLogits are what a draft is chosen from behind state z.
func (g *Generator) draftLogits(z []float32) ([]float32, error) {
	d := &g.draft
	if d.short != nil {
		g.w.served += int64(len(d.short.weight.Data))
		return d.short.logits(z, g.m.vocab, g.walk.workers, &g.m.factors), nil
	}
	if err := g.w.hold(d.head); err != nil {
		return nil, err
	}
	return g.multiply(d.matrix, nil, z, 1), nil
}

// readDraft prepares what drafts are made with, and gives the parts that every draft needs;
// reserve bytes have to be left for experts.
func (g *Generator) readDraft(rows int, reserve int64) ([]*part, error) {
	t, d := g.m.mtp, &g.draft
	d.final = partOf(t.norm, t.frame)
	d.matrix, d.head = t.head, &part{}
	common := []*part{t.joining, d.final}
	if rows == 0 {
		rows = shortlistSize(g.m.vocab)
	}
	if n := t.head.rowBytes() * int64(rows); rows < g.m.vocab && t.head.plain() && g.w.reserve(n, reserve) {
		var err error
		d.short, err = newShortlist(t.head, g.m.files, rows)
		return common, err
	}
	// The releases hold a copy of the head for the MTP layer, of gigabytes.
	same, err := t.head.equal(g.m.head, g.m.files)
	if err != nil {
		return nil, err
	}
	if same {
		d.matrix, d.head = g.m.head, g.head
	} else {
		d.head.matrices(t.head)
	}
	return append(common, d.head), nil
}

// EndDrafts gives up drafting: there is nothing left to draft from.
func (g *Generator) EndDrafts() {
	g.mtp, g.pending = false, nil
}
