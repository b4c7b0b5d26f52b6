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
	err = g.finish(t.frame, z, x, n, g.draft.head, t.norm)
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
		if err := g.w.hold(g.mtpHead()); err != nil {
			return nil, err
		}
		out = append(out, pick(g.multiply(g.draft.matrix, nil, z, 1)))
	}
	return out, nil
}

// mtpHead is the part with the head that drafts are read from.
func (g *Generator) mtpHead() *part {
	if g.draft.matrix == g.m.head {
		return g.head
	}
	return g.draft.head
}
