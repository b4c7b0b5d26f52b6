package evaluation

import (
	"context"

	"quern/corpus"
	"quern/runner"
	"quern/verify/metrics"
)

// Run runs one model over chunks of texts.
func Run(ctx context.Context, m *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, o Options) (*Single, error) {
	hooks, load := loads(m)
	ev, speed, err := timed(ctx, m, chunks, o.runner("running the checkpoint", hooks))
	if err != nil {
		return nil, err
	}
	defer ev.Close()
	r := &Single{TokensPerSecond: speed, Load: load()}
	h := newHeads(ctx, o, m.Vocab())
	tokens, tops, err := h.single(&states{rows: ev.Hidden, head: m.Head(o.runner("", nil))}, scored(chunks, ev.Starts), chunks, ev.Starts)
	if err != nil {
		return nil, err
	}
	if ev.MTP != nil {
		d, err := h.drafts(m, ev)
		if err != nil {
			return nil, err
		}
		g := guessesOf(ev, d, tops)
		rate := g.rate()
		r.MTP = &rate
	}
	r.Metrics = metrics.SummarizeOne(tokens)
	byText, at := make([][]metrics.OneToken, len(texts)), 0
	for _, c := range chunks {
		n := c.To - c.From
		byText[c.Text] = append(byText[c.Text], tokens[at:at+n]...)
		at += n
	}
	for i, t := range texts {
		r.Texts = append(r.Texts, SingleText{Name: t.Name, Tokens: len(t.IDs), Metrics: metrics.SummarizeOne(byText[i])})
	}
	return r, nil
}
