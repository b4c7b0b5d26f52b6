package runner

// mtp is the layer of multi-token prediction behind the last layer, which predicts
// the token after the next (reference: DeepSeek-V3, arXiv 2412.19437 §2.2; the
// layout of eh_proj, embedding first, is that of the released weights).
type mtp struct {
	*layer
	embed, head, proj  *matrix
	enorm, hnorm, norm *norm
	joining, final     *part
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
