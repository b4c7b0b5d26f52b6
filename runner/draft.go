package runner

import "quern/internal/vec"

// follow shows the MTP layer the states that are pending, each with the token behind
// it: next holds the tokens of the last states but their first. One state stays
// pending when its next token is not known, as at the end of a prompt.
func (g *Generator) follow(tokens []int) error {
	d := g.m.hidden
	rows := len(g.pending)/d - 1 // the last one waits
	if rows <= 0 {
		return nil
	}
	next := tokens[len(tokens)-rows:]
	_, err := g.mtpRows(g.pending[:rows*d], next, g.mtpPos)
	if err != nil {
		return err
	}
	g.mtpPos += rows
	g.pending = append(g.pending[:0], g.pending[rows*d:]...)
	return nil
}

// mtpRows runs the MTP layer over states h with the tokens behind them, the first at
// position pos, and returns what its head reads.
func (g *Generator) mtpRows(h []float32, next []int, pos int) ([]float32, error) {
	t, d, n := g.m.mtp, g.m.hidden, len(next)
	emb, z := make([]float32, n*d), make([]float32, n*d)
	for i, id := range next {
		if err := g.embed(emb[i*d:][:d], t.embed, id); err != nil {
			return nil, err
		}
	}
	if err := g.w.hold(t.joining); err != nil {
		return nil, err
	}
	t.join(g.walk.pass, z, emb, h, n)
	return z, g.through([]*layer{t.layer}, z, next, pos, g.known-1, g.draft.head, t.norm)
}

// Draft predicts the k tokens behind tokens, the whole text so far, of which all but
// the last were run: pick chooses each from its logits. Beyond the first, the layer reads its own
// state behind its norm instead of the main model's: "recycling", as serving engines
// do. A layer that computes no numbers drafts nothing.
func (g *Generator) Draft(tokens []int, k int, pick func(logits []float32) int) ([]int, error) {
	d, p := g.m.hidden, g.walk.pass
	// All pending states now have a next token: tokens ends with it.
	rows := len(g.pending) / d
	p.few = rows <= MaxStep
	z, err := g.mtpRows(g.pending, tokens[len(tokens)-rows:], g.mtpPos)
	if err != nil {
		return nil, err
	}
	g.mtpPos += rows
	g.pending = g.pending[:0]
	// A guess upon a guess is forgotten below: its place is taken by the truth later.
	layers := []*layer{g.m.mtp.layer}
	g.text.mark(layers)
	defer g.text.rewind(layers, g.mtpPos)
	state := z[(rows-1)*d:]
	var out []int
	for i := range k {
		if i > 0 {
			p.few = true
			if state, err = g.mtpRows(state, out[i-1:], g.mtpPos+i-1); err != nil {
				return nil, err
			}
		}
		if vec.FirstNonFinite(state) >= 0 {
			break // a broken MTP layer drafts nothing, and harms nothing
		}
		if err := g.w.hold(g.mtpHead()); err != nil {
			return nil, err
		}
		out = append(out, pick(g.multiply(g.draft.matrix, nil, state, 1)))
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
