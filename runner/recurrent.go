package runner

import "quern/runner/recur"

// recurrent is what mixers with a state of fixed size share: a convolution of their
// inputs, then heads that go through the text (runner/recur).
type recurrent struct {
	layer        recur.Layer
	width        int     // of the convolution
	kernel, bias *vector // of the convolution; no bias: nil
	skip         *vector // of Mamba-2, or nil
}

func (r *recurrent) needs(p *part) { p.vectors(r.kernel, r.bias, r.skip) }

// scratch is what advance takes for one row beside its arguments.
func (r *recurrent) scratch() int { return r.layer.Width }

// conv is the convolution without weights.
func (r *recurrent) conv() recur.Conv { return recur.Conv{Channels: r.layer.Width, Width: r.width} }

func (r *recurrent) newState() state {
	c := r.conv()
	return &recurrentState{layer: r.layer, conv: c, now: recur.NewState(&c, &r.layer)}
}

// advance goes on with texts by rows of inputs, decays and rates, and writes what the
// heads give; x is the mixer that the state is kept for. Few rows go one by one, so that
// what they give does not depend on how many there are.
func (r *recurrent) advance(p *pass, out, in, decay, rate []float32, x textMixer, segs []segment) {
	conv, layer := r.conv(), r.layer
	conv.Weight = p.weights.vector(r.kernel)
	if r.bias != nil {
		conv.Bias = p.weights.vector(r.bias)
	}
	if r.skip != nil {
		layer.Skip = p.weights.vector(r.skip)
	}
	for _, s := range segs {
		mark := p.arena.mark()
		part := inputs{in: in, decay: decay, rate: rate}.of(&layer, s.first, s.n)
		part.rows = p.arena.floats(s.n * layer.Width)
		var kept *recurrentState
		var now *recur.State
		if s.memory != nil {
			kept = s.memory.of(x).(*recurrentState)
			now = kept.now
		} else {
			now = &recur.State{Conv: p.arena.floats(conv.StateSize()), S: p.arena.floats(layer.StateSize())}
			clear(now.Conv)
			clear(now.S)
		}
		p.each(s.n, 8*layer.Width*conv.Width, func(first, n, _ int) {
			conv.Rows(part.rows[first*layer.Width:][:n*layer.Width], part.in, now.Conv, first, n)
		})
		size := layer.ValueHeads * layer.Values
		part.through(p, &layer, out[s.first*size:], now.S, s.n)
		conv.Push(now.Conv, part.in, s.n)
		if kept != nil {
			if !p.few { // which is never taken back
				kept.marked, kept.since = nil, inputs{}
			}
			kept.pushed(part, s.pos+s.n)
		}
		p.arena.release(mark)
	}
}

// through runs the heads of a layer over n rows, side by side.
func (x inputs) through(p *pass, l *recur.Layer, out, state []float32, n int) {
	scratch := p.arena.floats(p.workers * l.Scratch())
	p.jobs(l.ValueHeads, 4*n*l.Keys*l.Values, func(h, worker int) {
		room := scratch[worker*l.Scratch():][:l.Scratch()]
		if !p.few {
			l.Head(h, out, x.rows, x.decay, x.rate, state, n, room)
			return
		}
		for i := range n {
			one := x.of(l, i, 1)
			l.Head(h, out[i*l.ValueHeads*l.Values:], one.rows, one.decay, one.rate, state, 1, room)
		}
	})
}

// inputs are rows of what goes into a layer: what its convolution reads and gives, decays
// and rates.
type inputs struct{ in, rows, decay, rate []float32 }

// of are n of the rows.
func (x inputs) of(l *recur.Layer, first, n int) inputs {
	cut := func(x []float32, width int) []float32 {
		if x == nil {
			return nil
		}
		return x[first*width:][:n*width]
	}
	return inputs{in: cut(x.in, l.Width), rows: cut(x.rows, l.Width), decay: cut(x.decay, decays(l)), rate: cut(x.rate, l.ValueHeads)}
}

// decays is how many decays a row has.
func decays(l *recur.Layer) int {
	if l.ByChannel {
		return l.ValueHeads * l.Keys
	}
	return l.ValueHeads
}

// recurrentState is the state of a recurrent mixer. It cannot be taken back by tokens:
// what came since the mark is run again from the state at the mark.
type recurrentState struct {
	layer       recur.Layer // without Skip, which has no part in the state
	conv        recur.Conv  // without weights, likewise
	now, marked *recur.State
	n, at       int // tokens, now and at the mark
	since       inputs
}

// pushed notes rows that the state has gone through, up to token n.
func (s *recurrentState) pushed(x inputs, n int) {
	s.n = n
	if s.marked == nil {
		return
	}
	s.since.in = append(s.since.in, x.in...)
	s.since.rows = append(s.since.rows, x.rows...)
	s.since.decay = append(s.since.decay, x.decay...)
	s.since.rate = append(s.since.rate, x.rate...)
}

func (s *recurrentState) mark() {
	if s.marked == nil {
		s.marked = s.now.Clone()
	} else {
		s.marked.Set(s.now)
	}
	s.forget(0)
	s.at = s.n
}

// forget drops all but the first n rows since the mark.
func (s *recurrentState) forget(n int) {
	l := &s.layer
	s.since.in, s.since.rows = s.since.in[:n*l.Width], s.since.rows[:n*l.Width]
	s.since.decay, s.since.rate = s.since.decay[:n*decays(l)], s.since.rate[:n*l.ValueHeads]
}

func (s *recurrentState) rewind(n int) {
	if n == s.n {
		return
	}
	s.now.Set(s.marked)
	s.forget(n - s.at)
	s.n = n
	out, scratch := make([]float32, s.layer.ValueHeads*s.layer.Values), make([]float32, s.layer.Scratch())
	for i := range n - s.at {
		x := s.since.of(&s.layer, i, 1)
		for h := range s.layer.ValueHeads {
			s.layer.Head(h, out, x.rows, x.decay, x.rate, s.now.S, 1, scratch)
		}
	}
	s.conv.Push(s.now.Conv, s.since.in, n-s.at)
}
