package evaluation

import (
	"context"

	"quern/corpus"
	"quern/runner"
	"quern/verify/metrics"
)

// Fast is what products in BF16 change, by themselves: figures of a checkpoint with them
// against the same checkpoint without. What figures of a run with Options.Fast tell that
// is not well above these tells nothing.
type Fast struct {
	Tokens     int            `json:"tokens"` // that were run both ways
	KLDMean    metrics.Figure `json:"kld_mean"`
	KLDP99     metrics.Figure `json:"kld_p99"`
	KLDMax     metrics.Figure `json:"kld_max"`
	SameTop    metrics.Figure `json:"same_top"`
	LnPPLRatio metrics.Figure `json:"ln_ppl_ratio"`
}

// FastError runs a checkpoint over the first of the chunks with exact products and with
// those in BF16. It reads the weights twice more than a run does.
func FastError(ctx context.Context, m *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, o Options) (*Fast, error) {
	o.Records, o.Name, o.Renumbered = nil, "", nil // it is not gone on with: it is short
	x := Hold(m, texts, chunks[:min(len(chunks), 1)])
	defer x.Close()
	exact := o
	exact.Fast, o.Fast = false, true
	f, err := x.against(ctx, m, exact, o, way{what: "measuring what products in BF16 change"})
	if err != nil {
		return nil, err
	}
	s := metrics.Summarize(f.Tokens)
	return &Fast{Tokens: s.Tokens, KLDMean: s.KLDMean, KLDP99: s.KLDP99, KLDMax: s.KLDMax, SameTop: s.SameTop, LnPPLRatio: s.LnPPLRatio}, nil
}
