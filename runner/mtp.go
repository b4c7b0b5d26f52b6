package runner

import "quern/formats/model"

// mtp is the layer of multi-token prediction behind the last layer, which predicts
// the token after the next (reference: DeepSeek-V3, arXiv 2412.19437 §2.2; the
// layout of eh_proj, embedding first, is that of the released weights).
type mtp struct {
	*layer
	joint
	embed, head    *matrix // nil at first: those of the model
	norm           *norm   // nil at first: that of the model
	joining, final *part
	// frame lies around the layer; nil at first: that of the model.
	frame frame
	// raw is set when it reads what the layers hand on, and not the final states.
	raw bool
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
	t := s.around(l)
	t.joint = &beside{proj: s.weight(model.MTPProjection, ""), enorm: s.width(enorm), hnorm: s.width(hnorm)}
	return t, s.err
}

// around is what lies around a layer: a head and an embedding where it has its own, and
// the norm behind it.
func (s *site) around(l *layer) *mtp {
	t := &mtp{layer: l}
	final := "norm"
	if s.has(model.Norm, "final_layernorm") {
		final = "final_layernorm"
	}
	t.norm = s.width(final)
	if s.has(model.Embedding, "") {
		t.embed = s.weight(model.Embedding, "")
	}
	if s.has(model.MTPHead, "") {
		t.head = s.weight(model.MTPHead, "")
	}
	return t
}

// width is a norm over a hidden state.
func (s *site) width(part string) *norm { return s.norm(part, s.c.HiddenSize, eps(s.c)) }

// alone lays out a layer with one stream in a model of several.
func alone(s *site) (*mtp, error) {
	t, err := nextn(s)
	if t != nil {
		t.frame = single(s.c.HiddenSize)
	}
	return t, err
}

// behind reports whether the layer is one of multi-token prediction.
func (s *site) behind() bool { return s.layer >= s.c.NumHiddenLayers }

// complete fills in what the layer shares with the model.
func (t *mtp) complete(m *Model) {
	if t.frame == nil {
		t.frame = m.frame
	}
	t.joining, t.final = partOf(t.joint), m.final
	if t.norm == nil {
		t.norm = m.norm
	} else {
		t.final = partOf(t.norm, t.frame)
	}
	if t.embed == nil {
		t.embed = m.embed
	}
	if t.head == nil {
		t.head = m.head
	}
}

// reads is the width of the states that the layer reads.
func (t *mtp) reads(m *Model) int {
	if t.raw {
		return m.Width()
	}
	return m.hidden
}

// mtp runs the layer of multi-token prediction on the states of the main model.
func (e *evaluator) mtp(ev *Evaluation) error {
	m, t := e.m, e.m.mtp
	z, err := e.begin(ev.Texts, 1, t.frame.width())
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
	ev.MTP, err = e.finish(t.frame, t.final, t.norm, -1)
	return err
}

// joinText makes the inputs of the MTP layer for one text out of its embeddings, which
// begin with row at.
func (e *evaluator) joinText(ev *Evaluation, embeddings *Rows, at, text int) error {
	from, to := ev.MTPStarts[text], ev.MTPStarts[text+1]
	d, w, states := e.m.hidden, e.m.mtp.reads(e.m), ev.Hidden
	if e.handed != nil {
		states = e.handed
	}
	for _, g := range chunksOf(to-from, e.chunk) {
		first, n := from+g.first, g.n
		mark := e.arena.mark()
		emb, err := embeddings.View(at+g.first, n, e.arena.floats(n*d))
		if err != nil {
			return err
		}
		h, err := states.View(ev.Starts[text]+g.first, n, e.arena.floats(n*w))
		if err != nil {
			return err
		}
		e.place.first = first
		x := e.arena.floats(n * e.x.width)
		e.m.mtp.join(e.pass, e.m.mtp.frame, x, emb, h, n)
		if err := e.x.put(first, x); err != nil {
			return err
		}
		e.arena.release(mark)
	}
	return nil
}
