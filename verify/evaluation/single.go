package evaluation

import (
	"context"

	"quern/corpus"
	"quern/runner"
)

// Run runs one model over chunks of texts.
func Run(ctx context.Context, m *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, o Options) (*Single, error) {
	w, err := alone(ctx, m, chunks, 0, o)
	if err != nil {
		return nil, err
	}
	return w.Single(texts, chunks), nil
}

// alone runs one model in each way that is asked for over some chunks, the first of which
// has the number first.
func alone(ctx context.Context, m *runner.Model, chunks []corpus.Chunk, first int, o Options) (*Ways, error) {
	return waysOf(m, o, func(o Options, w way) (*Findings, error) { return once(ctx, m, chunks, first, o, w) })
}

// once runs one model, unless that was done before.
func once(ctx context.Context, m *runner.Model, chunks []corpus.Chunk, first int, o Options, w way) (*Findings, error) {
	name := o.Name + w.name
	if f := kept(o.Records, name); f != nil {
		return f, nil
	}
	load := loads{}
	o = o.holding(0, chunks)
	ev, seconds, err := timed(ctx, m, chunks, &o, w.what, name, load.count(experts(m)), gobTrail{&load})
	if err != nil {
		return nil, err
	}
	defer ev.Close()
	f := &Findings{Last: len(chunks), Load: load, Rows: ev.Starts[len(chunks)], Seconds: [2]float64{0, seconds}}
	o = o.holding(ev.Bytes(), nil)
	h := newHeads(ctx, o, m.Vocab())
	var tops []top
	if f.Alone, tops, err = h.single(&states{rows: ev.Hidden, head: m.Head(o.runner("", nil))}, scored(chunks, ev.Starts), chunks, ev.Starts); err != nil {
		return nil, err
	}
	if f.MTP = ev.MTP != nil; f.MTP {
		d, err := h.drafts(m, ev)
		if err != nil {
			return nil, err
		}
		f.Guesses[1] = guessesOf(ev, d, tops)
	}
	f.from(first)
	return f, keep(o.Records, name, f)
}
