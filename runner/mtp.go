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
func nextn(s *site) (*mtp, error) {
	if !s.has(model.MTPProjection, "") {
		return nil, nil
	}
	l, err := s.lay()
	if err != nil {
		return nil, err
	}
	norm := func(part string) *norm { return s.norm(part, s.c.HiddenSize, eps(s.c)) }
	t := &mtp{layer: l, proj: s.weight(model.MTPProjection, ""), enorm: norm("enorm"), hnorm: norm("hnorm"), norm: norm("norm")}
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
