package outputs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"quern/internal/invalid"
	"quern/verify/metrics"
)

// Options say how to compare. Workers and Progress do not affect what is found.
type Options struct {
	Workers int // goroutines; 0: one a processor
	Worst   int // how many of the tokens with the highest KLD are listed
	// Experts is the number of experts of a layer where it is known, see
	// [metrics.Routing].
	Experts int
	// Progress, if set, is called from many goroutines with the bytes that were
	// read and those that there are to read.
	Progress func(done, total int64)
}

// Comparison is what two outputs files of the same text say about each other.
type Comparison struct {
	Sequences int                `json:"sequences"`
	Reference Reference          `json:"reference"`
	Metrics   metrics.Summary    `json:"metrics"`
	Positions []metrics.Range    `json:"positions"`
	Histogram metrics.Bins       `json:"kld_histogram"`
	Worst     []WorstToken       `json:"worst_tokens"`
	MTP       *MTP               `json:"mtp,omitempty"` // when both files have mtp_logits
	Hidden    []HiddenDifference `json:"hidden,omitempty"`
	// Routing compares the layers whose router indices both files have.
	Routing *metrics.RoutingReport `json:"routing,omitempty"`
	// Unpaired names the tensors that only one of the files has.
	Unpaired []string `json:"unpaired,omitempty"`

	// Tokens are those that Metrics is made of: of each sequence all rows but the
	// last, in order.
	Tokens []metrics.Token `json:"-"`
}

// Reference is how far logits are apart, over all rows, the last of each sequence
// among them. A logit that only one side excludes (−Inf) makes it infinite, null in
// JSON.
type Reference struct {
	MaxAbsLogitDiff    metrics.Figure  `json:"max_abs_logit_diff"`
	MaxAbsMTPLogitDiff *metrics.Figure `json:"max_abs_mtp_logit_diff"` // null without mtp_logits
}

// WorstToken is a token and where it stands: the row at Position of its sequence
// predicts Target, which follows it.
type WorstToken struct {
	Sequence  int            `json:"sequence"`
	Position  int            `json:"position"`
	Target    int            `json:"target"`
	KLD       metrics.Figure `json:"kld"`
	PBase     metrics.Figure `json:"p_base"`
	PQuant    metrics.Figure `json:"p_quant"`
	TopBase   int            `json:"top_base"`
	TopPBase  metrics.Figure `json:"top_p_base"`
	TopQuant  int            `json:"top_quant"`
	TopPQuant metrics.Figure `json:"top_p_quant"`
}

// MTP is the teacher-forced acceptance of both MTP layers, each by its own main
// model, and what the layers' predictions say about each other: those of row i are
// about token i+2, whose probability the figures of Summary are about.
type MTP struct {
	Tokens                     int             `json:"tokens"`
	AcceptanceBase             metrics.Figure  `json:"acceptance_base"`
	AcceptanceBaseUncertainty  metrics.Figure  `json:"acceptance_base_uncertainty"`
	AcceptanceQuant            metrics.Figure  `json:"acceptance_quant"`
	AcceptanceQuantUncertainty metrics.Figure  `json:"acceptance_quant_uncertainty"`
	AcceptanceDropUncertainty  metrics.Figure  `json:"acceptance_drop_uncertainty"`
	Summary                    metrics.Summary `json:"summary"`
}

// HiddenDifference is how far the inputs of a layer are apart.
type HiddenDifference struct {
	Layer  int            `json:"layer"`
	MaxAbs metrics.Figure `json:"max_abs_diff"`
	RMS    metrics.Figure `json:"rms"` // of base
	// Relative is MaxAbs/RMS, 0 where nothing differs.
	Relative metrics.Figure `json:"relative"`
	// SQNR is 10·log₁₀(Σx²/Σ(x−y)²) in dB, null where nothing differs.
	SQNR metrics.Figure `json:"sqnr_db"`
}

// Compare compares two files of the same text and vocabulary. Refused, with an error
// that matches invalid.Input, are other files, logits that are NaN or +Inf, hidden
// states that are not finite, and experts that make no sense.
func Compare(ctx context.Context, base, quant *File, o Options) (*Comparison, error) {
	if err := sameText(base, quant); err != nil {
		return nil, err
	}
	p, err := newPass(base, quant)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Sequences: len(base.IDs), Unpaired: unpaired(base, quant)}
	if err := p.run(ctx, o); err != nil {
		return nil, err
	}
	if c.Routing, err = compareRouting(ctx, base, quant, o.Experts); err != nil {
		return nil, err
	}
	for _, f := range []*File{base, quant} {
		if err := f.unchanged(); err != nil {
			return nil, err
		}
	}
	c.Tokens = p.logits.scored(base)
	c.Metrics = metrics.Summarize(c.Tokens)
	c.Histogram = metrics.Histogram(c.Tokens)
	c.Reference.MaxAbsLogitDiff = p.logits.maxAbs()
	if p.mtp != nil {
		d := p.mtp.maxAbs()
		c.Reference.MaxAbsMTPLogitDiff = &d
		c.MTP = p.acceptance(base)
	}
	for i := range p.hidden {
		c.Hidden = append(c.Hidden, p.hidden[i].difference(base.starts[len(base.IDs)]))
	}
	c.place(base, o.Worst)
	return c, nil
}

// place sorts the tokens by where they stand and by how bad they are.
func (c *Comparison) place(f *File, worst int) {
	sequences := make([]int, 0, len(c.Tokens))
	positions := make([]int, 0, len(c.Tokens))
	context := 0
	for s, ids := range f.IDs {
		context = max(context, len(ids))
		for i := range len(ids) - 1 {
			sequences, positions = append(sequences, s), append(positions, i)
		}
	}
	c.Positions = metrics.ByPosition(c.Tokens, positions, context)

	order := make([]int, len(c.Tokens))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(c.Tokens[j].KLD, c.Tokens[i].KLD) })
	c.Worst = []WorstToken{}
	for _, i := range order[:min(max(worst, 0), len(order))] {
		t := &c.Tokens[i]
		c.Worst = append(c.Worst, WorstToken{
			Sequence: sequences[i], Position: positions[i], Target: t.Target, KLD: metrics.Figure(t.KLD),
			PBase: metrics.Figure(t.PBase), PQuant: metrics.Figure(t.PQuant),
			TopBase: t.TopBase, TopPBase: metrics.Figure(t.TopPBase),
			TopQuant: t.TopQuant, TopPQuant: metrics.Figure(t.TopPQuant),
		})
	}
}

// sameText refuses files that cannot be compared, and says what differs.
func sameText(base, quant *File) error {
	differ := func(format string, args ...any) error {
		return invalid.Errorf("comparing %q with %q: %s", base.Path, quant.Path, fmt.Sprintf(format, args...))
	}
	if base.Vocab != quant.Vocab {
		return differ("%d logits a row against %d", base.Vocab, quant.Vocab)
	}
	if len(base.IDs) != len(quant.IDs) {
		return differ("%d sequences against %d", len(base.IDs), len(quant.IDs))
	}
	for s, ids := range base.IDs {
		other := quant.IDs[s]
		if len(ids) != len(other) {
			return differ("sequence %d has %d tokens against %d", s, len(ids), len(other))
		}
		for i, id := range ids {
			if id != other[i] {
				return differ("input_ids differ at sequence %d, position %d: %d against %d", s, i, id, other[i])
			}
		}
	}
	return nil
}

// unpaired names the tensors that only one of the files has.
func unpaired(base, quant *File) []string {
	names := func(f *File) (list []string) {
		if f.HasMTP {
			list = append(list, f.mtp.name)
		}
		for _, i := range f.Hidden {
			list = append(list, f.hidden[i].name)
		}
		for _, l := range f.Routers {
			list = append(list, f.routers[l].name)
		}
		return list
	}
	a, b := names(base), names(quant)
	var out []string
	for _, name := range a {
		if !slices.Contains(b, name) {
			out = append(out, name)
		}
	}
	for _, name := range b {
		if !slices.Contains(a, name) {
			out = append(out, name)
		}
	}
	return out
}

// compareRouting compares the layers whose router indices both files have; nil when
// there are none.
func compareRouting(ctx context.Context, base, quant *File, experts int) (*metrics.RoutingReport, error) {
	r := metrics.Routing{Experts: experts}
	some := false
	for _, l := range base.Routers {
		if _, ok := quant.routers[l]; !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a, k, err := base.Router(l)
		if err != nil {
			return nil, err
		}
		b, other, err := quant.Router(l)
		if err != nil {
			return nil, err
		}
		if k != other || len(a) != len(b) {
			return nil, invalid.Errorf("comparing %q with %q: tensor %q has %d rows of %d experts against %d of %d",
				base.Path, quant.Path, base.routers[l].name, len(a)/k, k, len(b)/other, other)
		}
		if err := r.Add(l, k, a, b); err != nil {
			return nil, fmt.Errorf("comparing %q with %q: %w", base.Path, quant.Path, err)
		}
		some = true
	}
	if !some {
		return nil, nil
	}
	report := r.Report()
	return &report, nil
}
