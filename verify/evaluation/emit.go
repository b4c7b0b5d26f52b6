package evaluation

import (
	"context"

	"quern/corpus"
	"quern/runner"
	"quern/verify/outputs"
)

// Emit writes what a model makes of chunks as an outputs file: logits, those of
// multi-token prediction, the experts that were chosen, and with hidden the states
// that each layer begins with. Logits of long texts take much room.
func Emit(ctx context.Context, m *runner.Model, chunks []corpus.Chunk, path string, hidden bool, o Options) (err error) {
	spec := outputs.Spec{
		IDs: corpus.Sequences(chunks), Vocab: m.Vocab(), MTP: m.HasMTP() && longest(chunks) > 1,
		Metadata: map[string]string{"producer": "quern", "compute": "float32"},
	}
	for _, l := range m.Routed() {
		if !l.MTP || spec.MTP {
			spec.Routers = append(spec.Routers, outputs.RouterSpec{Layer: l.Layer, K: l.TopK, MTP: l.MTP})
		}
	}
	if hidden {
		for i := range m.Layers() + 1 {
			spec.Hidden = append(spec.Hidden, outputs.HiddenSpec{Layer: i, Width: hiddenWidth(m, i)})
		}
	}
	w, err := outputs.Create(path, spec)
	if err != nil {
		return err
	}
	defer w.Abort()
	e := &emitter{w: w, chunks: chunks, mtpLayer: -1}
	if m.HasMTP() {
		e.mtpLayer = m.Layers()
	}
	hooks := &runner.Hooks{Route: e.route}
	if hidden {
		hooks.Hidden = e.hidden
	}
	ro := o.runner("running the checkpoint", hooks)
	ro.NoMTP = !spec.MTP
	ev, err := m.Evaluate(ctx, e.start(), ro)
	if err != nil {
		return err
	}
	defer ev.Close()
	if e.err != nil {
		return e.err
	}
	h := newHeads(ctx, o.holding(ev.Bytes(), nil), m.Vocab())
	if err := e.logits(h, &states{rows: ev.Hidden, head: m.Head(o.runner("", nil))}, ev.Starts, w.Logits); err != nil {
		return err
	}
	if ev.MTP != nil {
		head, _ := m.MTPHead(o.runner("", nil))
		if err := e.logits(h, &states{rows: ev.MTP, head: head}, ev.MTPStarts, w.MTPLogits); err != nil {
			return err
		}
	}
	return w.Close()
}

// hiddenWidth is how wide the states are that a layer begins with: several streams' where
// the model has them, one behind the last layer.
func hiddenWidth(m *runner.Model, layer int) int {
	if layer < m.Layers() {
		return m.Width()
	}
	return m.Hidden()
}

func longest(chunks []corpus.Chunk) int {
	n := 0
	for _, c := range chunks {
		n = max(n, len(c.IDs))
	}
	return n
}

// emitter passes rows of an evaluation on to a file, sequence by sequence.
type emitter struct {
	w        *outputs.Writer
	chunks   []corpus.Chunk
	mtpLayer int
	starts   []int // of rows, and of the rows of the MTP layer
	mtp      []int
	err      error
}

func (e *emitter) start() [][]int {
	e.starts, e.mtp = []int{0}, []int{0}
	for i, c := range e.chunks {
		e.starts = append(e.starts, e.starts[i]+len(c.IDs))
		e.mtp = append(e.mtp, e.mtp[i]+len(c.IDs)-1)
	}
	return corpus.Sequences(e.chunks)
}

// pieces divides rows first to first+n where sequences begin.
func pieces(starts []int, first, n int, fn func(seq, row, at, n int) error) error {
	seq := 0
	for at := 0; at < n; {
		for starts[seq+1] <= first+at {
			seq++
		}
		m := min(n-at, starts[seq+1]-first-at)
		if err := fn(seq, first+at-starts[seq], at, m); err != nil {
			return err
		}
		at += m
	}
	return nil
}

func (e *emitter) route(layer, first int, ids []int32, _ []float32, k int) {
	starts := e.starts
	if layer == e.mtpLayer {
		starts = e.mtp
	}
	err := pieces(starts, first, len(ids)/k, func(seq, row, at, n int) error {
		return e.w.Router(layer, seq, row, ids[at*k:][:n*k])
	})
	if e.err == nil {
		e.err = err
	}
}

func (e *emitter) hidden(layer, first int, x []float32, rows int) error {
	width := len(x) / rows
	return pieces(e.starts, first, rows, func(seq, row, at, n int) error {
		return e.w.Hidden(layer, seq, row, x[at*width:][:n*width])
	})
}

// logits writes those of all rows.
func (e *emitter) logits(h *heads, s *states, starts []int, write func(seq, first, id, width int, values []float32) error) error {
	var failed error
	err := h.tiles([]*states{s}, func(first, n, id, width int) {
		err := pieces(starts, first, n, func(seq, row, at, m int) error {
			return write(seq, row, id, width, s.out[at*width:][:m*width])
		})
		if failed == nil {
			failed = err
		}
	}, func(int, int) error { return failed })
	if err == nil {
		err = failed
	}
	return err
}
