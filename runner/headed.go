package runner

// headed are copies that end as a sum with weights of the model's own (DeepSeek-V4).
type headed struct {
	copies
	head *connection
}

func newHeaded(s *site) frame {
	c := newCopies(s).(copies)
	head, err := s.connection("head")
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return c
	}
	return headed{c, head}
}

func (h headed) needs(p *part) { h.head.needs(p, nil) }

func (h headed) collapse(p *pass, hidden, x []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	mix := p.arena.floats(rows * h.streams)
	p.linear(mix, x, rows, h.head.fn, nil)
	rule := h.head.with(p)
	p.each(rows, 2*h.width(), func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			rule.Head(hidden[r*h.hidden:][:h.hidden], x[r*h.width():][:h.width()], mix[r*h.streams:][:h.streams])
		}
	})
}
