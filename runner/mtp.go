package runner

import "quern/formats/model"

// mtp is the layer of multi-token prediction behind the last layer, which predicts
// the token after the next (reference: DeepSeek-V3, arXiv 2412.19437 §2.2; the
// layout of eh_proj, embedding first, is that of the released weights).
type mtp struct {
	*layer
	embed, head, proj  *matrix // embed and head nil at first: those of the model
	enorm, hnorm, norm *norm
	joining, final     *part
}

// nextn lays the layer out as DeepSeek and GLM store it; nil when there is none.
func nextn(s *site) (*mtp, error) { return s.joined("enorm", "hnorm") }

// joined lays out a layer that has a projection of an embedding and a state, each behind a
// norm.
func (s *site) joined(enorm, hnorm string) (*mtp, error) {
	if !s.has(model.MTPProjection, "") {
		return nil, nil
	}
	l, err := s.lay()
	if err != nil {
		return nil, err
	}
	norm := func(part string) *norm { return s.norm(part, s.c.HiddenSize, eps(s.c)) }
	t := &mtp{layer: l, proj: s.weight(model.MTPProjection, ""), enorm: norm(enorm), hnorm: norm(hnorm), norm: norm("norm")}
	if s.has(model.Embedding, "") {
		t.embed = s.weight(model.Embedding, "")
	}
	if s.has(model.MTPHead, "") {
		t.head = s.weight(model.MTPHead, "")
	}
	return t, s.err
}

// join computes eh_proj([enorm(embedding) ‖ hnorm(state)]) for rows.
func (t *mtp) join(p *pass, out, emb, h []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	d := p.m.hidden
	both := p.arena.floats(rows * 2 * d)
	enorm, hnorm := t.enorm.of(p.weights), t.hnorm.of(p.weights)
	p.each(rows, 2*d, func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			enorm(both[2*r*d:][:d], emb[r*d:][:d])
			hnorm(both[(2*r+1)*d:][:d], h[r*d:][:d])
		}
	})
	p.observe(both, rows, t.proj)
	p.linear(out, both, rows, t.proj, nil)
}

// mtp runs the layer of multi-token prediction on the states of the main model.
func (e *evaluator) mtp(ev *Evaluation) error {
	m, t := e.m, e.m.mtp
	z, err := e.begin(ev.Texts, 1, m.Width())
	if err != nil {
		return err
	}
	ev.MTP, ev.MTPStarts = z, e.starts
	if z.n == 0 {
		return nil
	}
	// Embeddings: those that the main model read, or else in the states of the layer, which
	// have room for them where there is one stream.
	emb, from := e.embedded, ev.Starts
	if emb == nil {
		if emb, from = z, ev.MTPStarts; z.width != m.hidden {
			if emb, err = e.shelf.of(shelfEmbeddings, z.n, m.hidden); err != nil {
				return err
			}
		}
		if err := e.gather(emb, t.embed); err != nil {
			return err
		}
	}
	if err := e.weights.hold(t.joining); err != nil {
		return err
	}
	for i := range ev.Texts {
		first := from[i]
		if e.embedded != nil {
			first++ // from the second token on
		}
		if err := e.joinText(ev, emb, first, i); err != nil {
			return err
		}
	}
	e.weights.release(t.joining)
	if err := e.through([]*layer{t.layer}); err != nil {
		return err
	}
	ev.MTP, err = e.finish(t.final, t.norm, -1)
	return err
}

// joinText makes the inputs of the MTP layer for one text out of its embeddings, which
// begin with row at.
func (e *evaluator) joinText(ev *Evaluation, embeddings *Rows, at, text int) error {
	from, to := ev.MTPStarts[text], ev.MTPStarts[text+1]
	d := e.m.hidden
	for _, g := range chunksOf(to-from, e.chunk) {
		first, n := from+g.first, g.n
		mark := e.arena.mark()
		emb, err := embeddings.View(at+g.first, n, e.arena.floats(n*d))
		if err != nil {
			return err
		}
		h, err := ev.Hidden.View(ev.Starts[text]+g.first, n, e.arena.floats(n*d))
		if err != nil {
			return err
		}
		e.place.first = first
		out, x := e.arena.floats(n*d), e.arena.floats(n*e.x.width)
		e.m.mtp.join(e.pass, out, emb, h, n)
		e.m.frame.expand(e.pass, x, out, n)
		if err := e.x.put(first, x); err != nil {
			return err
		}
		e.arena.release(mark)
	}
	return nil
}
