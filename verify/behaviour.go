package verify

import (
	"fmt"
	"math"
	"slices"

	"quern/verify/evaluation"
	"quern/verify/metrics"
	"quern/verify/outputs"
)

// Behaviour is what running a model told. Fields are empty where they do not apply:
// Single is of one checkpoint, Reference and Hidden are of one against an outputs
// file, most others are of two models on the same texts.
type Behaviour struct {
	Setup     *Setup                     `json:"setup,omitempty"`
	Single    *evaluation.Single         `json:"model,omitempty"`
	Reference *outputs.Reference         `json:"reference,omitempty"`
	Hidden    []outputs.HiddenDifference `json:"hidden,omitempty"`

	Fast *evaluation.Fast `json:"fast,omitempty"` // figures are of products in BF16, which change so much

	Metrics         *metrics.Summary         `json:"metrics,omitempty"`
	Texts           []evaluation.TextSummary `json:"texts,omitempty"`
	Positions       []metrics.Range          `json:"positions,omitempty"`
	Histogram       *metrics.Bins            `json:"kld_histogram,omitempty"`
	Worst           []evaluation.WorstToken  `json:"worst_tokens,omitempty"`
	Routing         *metrics.RoutingReport   `json:"routing,omitempty"`
	MTP             *evaluation.MTP          `json:"mtp,omitempty"`
	TokensPerSecond *[2]metrics.Figure       `json:"tokens_per_second,omitempty"` // of baseline and checkpoint

	// Deployment are the figures with inputs rounded as engines do, beside Metrics, for
	// which they are not; SingleDeployment those of one model.
	Deployment       *metrics.Summary     `json:"metrics_deployment,omitempty"`
	DeploymentMTP    *evaluation.MTP      `json:"mtp_deployment,omitempty"`
	SingleDeployment *evaluation.Single   `json:"model_deployment,omitempty"`
	Rounded          []evaluation.Rounded `json:"quantized_inputs,omitempty"` // by rule

	// Static are the figures with the static scales for activations that the
	// checkpoint brings, beside Metrics, for which they are dynamic.
	Static    *metrics.Summary        `json:"metrics_static,omitempty"`
	Inputs    []evaluation.InputScale `json:"input_scales,omitempty"` // and what they are for
	StaticMTP *evaluation.MTP         `json:"mtp_static,omitempty"`
}

// Setup is what one has to know to repeat a run.
type Setup struct {
	Version     string       `json:"version"`               // of quern
	Context     int          `json:"context,omitempty"`     // tokens of a chunk
	Score       string       `json:"score,omitempty"`       // see corpus.ChunkOptions
	Activations string       `json:"activations,omitempty"` // of Metrics: "bf16" (as they come) or "engines", "fp8" (emulated)
	Sources     []TextSource `json:"sources,omitempty"`
	Command     []string     `json:"command,omitempty"` // arguments of the program
	Remarks     []string     `json:"remarks,omitempty"` // what of the checkpoint had no part in the figures
}

// TextSource is a text that models were run on.
type TextSource struct {
	Name   string `json:"name"`
	Digest string `json:"blake3"`
	Bytes  int64  `json:"bytes"`
	Tokens int    `json:"tokens"`
}

// Compared takes what two models make of the same texts.
func (b *Behaviour) Compared(c *evaluation.Comparison) {
	b.Metrics, b.Texts, b.Positions, b.Histogram, b.Worst = &c.Metrics, c.Texts, c.Positions, &c.Histogram, c.Worst
	b.Routing, b.MTP, b.TokensPerSecond, b.Inputs, b.Rounded = c.Routing, c.MTP, &c.TokensPerSecond, c.Inputs, c.Rounded
	if d := c.Deployment; d != nil {
		b.Deployment, b.DeploymentMTP = &d.Metrics, d.MTP
	}
}

// FastWords say what products in BF16 change.
func (b *Behaviour) FastWords() string {
	f := b.Fast
	return fmt.Sprintf("products were rounded to BF16 (--fast): against exact ones, over %d tokens of the checkpoint, mean KL divergence %s, 99 %% %s, largest %s, same likeliest token %s, ln of the ratio of perplexities %s",
		f.Tokens, figure(f.KLDMean, 2), figure(f.KLDP99, 2), figure(f.KLDMax, 2), percentFigure(f.SameTop), figure(f.LnPPLRatio, 2))
}

// Ran takes what one model makes of texts.
func (b *Behaviour) Ran(s *evaluation.Single) {
	b.Single, b.SingleDeployment, b.Rounded = s, s.Deployment, s.Rounded
}

// Referred takes what outputs say against those of a reference; ids are its tokens.
func (b *Behaviour) Referred(c *outputs.Comparison, ids [][]int) {
	b.Reference, b.Hidden, b.Metrics, b.Positions, b.Histogram, b.Routing = &c.Reference, c.Hidden, &c.Metrics, c.Positions, &c.Histogram, c.Routing
	for _, w := range c.Worst {
		seq := ids[w.Sequence]
		b.Worst = append(b.Worst, evaluation.WorstToken{
			Text: w.Sequence, Position: w.Position + 1, Target: w.Target, Before: seq[max(0, w.Position-23) : w.Position+1],
			KLD: w.KLD, PBase: w.PBase, PQuant: w.PQuant, TopBase: w.TopBase, TopQuant: w.TopQuant,
		})
	}
	if m := c.MTP; m != nil {
		b.MTP = &evaluation.MTP{
			Tokens: m.Tokens, AcceptanceBase: m.AcceptanceBase, UncertaintyBase: m.AcceptanceBaseUncertainty,
			AcceptanceQuant: m.AcceptanceQuant, UncertaintyQuant: m.AcceptanceQuantUncertainty, UncertaintyDrop: m.AcceptanceDropUncertainty,
		}
	}
}

// behaviourGates are the gates of what models do.
var behaviourGates = []string{"kld_mean", "kld_median", "same_top", "mtp_drop"}

// AddBehaviour takes what running models told, and its gates if two were compared.
// The limits are those for block FP8 of all linears: what it costs is about a third of
// them (peers: docs/verify.md), and what goes wrong costs more.
func (r *Report) AddBehaviour(b Behaviour) {
	r.Behaviour = b
	if b.Metrics == nil {
		return
	}
	s := b.Metrics
	gates := []Gate{
		{Name: "kld_mean", Value: float64(s.KLDMean), Uncertainty: &s.KLDMeanUncertainty, Limit: 0.02},
		{Name: "kld_median", Value: float64(s.KLDMedian), Uncertainty: &s.KLDMedianUncertainty, Limit: 0.004},
		{Name: "same_top", Value: float64(s.SameTop), Uncertainty: &s.SameTopUncertainty, Limit: 0.95},
	}
	if m := b.MTP; m != nil && m.Tokens > 0 {
		gates = append(gates, Gate{Name: "mtp_drop", Value: float64(m.AcceptanceBase - m.AcceptanceQuant), Uncertainty: &m.UncertaintyDrop, Limit: 0.02})
	} else {
		gates = append(gates, skipped("mtp_drop", "no multi-token prediction in both"))
	}
	for i := range gates {
		if gates[i].Skipped == "" {
			r.judge(&gates[i])
		}
	}
	if len(b.Inputs) > 0 {
		gates = append(gates, activationsGate(b.Inputs))
	}
	r.Add(append(gates, Gate{Name: "evidence", Passed: true})...)
}

// judge sets whether a gate of behaviour is passed, and says why not.
func (r *Report) judge(g *Gate) {
	g.Passed = g.Value <= g.Limit
	if g.AtLeast() {
		g.Passed = g.Value >= g.Limit
	}
	g.Failures = nil
	if g.Passed {
		return
	}
	switch g.Name {
	case "mtp_drop":
		g.Failures = []string{fmt.Sprintf("multi-token prediction: acceptance %s → %s of %d tokens", rate(r.MTP.AcceptanceBase), rate(r.MTP.AcceptanceQuant), r.MTP.Tokens)}
	case "kld_mean", "kld_median", "same_top":
		g.Failures = r.whereApart()
	}
}

// whereApart points at what models that are too far apart differ in.
func (r *Report) whereApart() []string {
	var lines []string
	if len(r.Texts) > 1 {
		worst := slices.MaxFunc(r.Texts, func(a, b evaluation.TextSummary) int {
			return compareFigures(a.Metrics.KLDMean, b.Metrics.KLDMean)
		})
		lines = append(lines, fmt.Sprintf("text %q is furthest apart: mean KLD %s", worst.Name, number(float64(worst.Metrics.KLDMean))))
	}
	if r.Routing != nil && len(r.Routing.Layers) > 0 {
		worst := slices.MinFunc(r.Routing.Layers, func(a, b metrics.LayerRouting) int { return compareFigures(a.Overlap, b.Overlap) })
		lines = append(lines, fmt.Sprintf("the routers agree least in layer %d: %s of the experts are the same", worst.Layer, rate(worst.Overlap)))
	}
	if len(r.Hidden) > 0 {
		worst := slices.MaxFunc(r.Hidden, func(a, b outputs.HiddenDifference) int { return compareFigures(a.Relative, b.Relative) })
		lines = append(lines, fmt.Sprintf("hidden states are furthest apart at the input of layer %d: %s of their RMS", worst.Layer, number(float64(worst.Relative))))
	}
	if r.Weights != nil && r.Weights.WorstSQNR != nil {
		lines = append(lines, fmt.Sprintf("tensor %q has the least SQNR: %s dB", r.Weights.WorstTensor, decibels(r.Weights.WorstSQNR)))
	}
	if len(r.Worst) > 0 {
		w := r.Worst[0]
		lines = append(lines, fmt.Sprintf("the worst token is number %d of text %d: KLD %s", w.Position, w.Text, number(float64(w.KLD))))
	}
	return lines
}

// compareFigures orders figures; what has no value is last.
func compareFigures(a, b metrics.Figure) int {
	switch x, y := float64(a), float64(b); {
	case math.IsNaN(x) || math.IsNaN(y):
		return 0
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func rate(f metrics.Figure) string { return fmt.Sprintf("%.2f %%", 100*float64(f)) }
