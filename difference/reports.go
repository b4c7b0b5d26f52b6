package difference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"quern/verify"
	"quern/verify/metrics"
)

// Reports says in what two reports of verify differ.
type Reports struct {
	A       Judged   `json:"a"`
	B       Judged   `json:"b"`
	Remarks []string `json:"remarks"` // why figures of the two cannot be compared
	Figures []Figure `json:"figures"` // what models do, where both were run
	Gates   []Gate   `json:"gates"`   // of either
	Roles   []Role   `json:"roles"`   // of the weights, by name
}

// Judged is what one report is of.
type Judged struct {
	Name       string `json:"name"` // of the report, as it was given
	Checkpoint string `json:"checkpoint"`
	Baseline   string `json:"baseline,omitempty"`
	Bytes      int64  `json:"bytes"`
	Passed     bool   `json:"passed"`
}

// Figure is a number with its standard error on both sides; nil where a side lacks it.
type Figure struct {
	Name string          `json:"name"`
	A    *metrics.Figure `json:"a"`
	UA   *metrics.Figure `json:"a_uncertainty,omitempty"`
	B    *metrics.Figure `json:"b"`
	UB   *metrics.Figure `json:"b_uncertainty,omitempty"`
}

// Gate is a gate of two reports; nil where a side does not have it.
type Gate struct {
	Name string       `json:"name"`
	A    *verify.Gate `json:"a"`
	B    *verify.Gate `json:"b"`
}

// Role is the ratio of signal to noise of the weights of a role, in dB: nil, and not in
// JSON, where the side has no such weights, and infinite, null in JSON, where they are
// exact.
type Role struct {
	Name string          `json:"name"`
	A    *metrics.Figure `json:"a_sqnr_db,omitempty"`
	B    *metrics.Figure `json:"b_sqnr_db,omitempty"`
}

func reports(a, b *Record) *Reports {
	x, y := a.Report, b.Report
	d := &Reports{A: judged(a), B: judged(b), Remarks: remarks(x, y), Figures: figures(x, y), Gates: []Gate{}, Roles: []Role{}}
	pairs(x.Gates, y.Gates, func(g *verify.Gate) string { return g.Name }, func(name string, g, h *verify.Gate) {
		d.Gates = append(d.Gates, Gate{name, g, h})
	})
	var of [2][]verify.RoleError
	for i, r := range []*verify.Report{x, y} {
		if r.Weights != nil {
			of[i] = r.Weights.Roles
		}
	}
	pairs(of[0], of[1], func(r *verify.RoleError) string { return r.Role }, func(name string, g, h *verify.RoleError) {
		d.Roles = append(d.Roles, Role{name, ratio(g), ratio(h)})
	})
	slices.SortFunc(d.Roles, func(x, y Role) int { return cmp.Compare(x.Name, y.Name) })
	return d
}

// pairs calls with what lists have under one name: those of a in their order, then
// those that only b has.
func pairs[T any](a, b []T, name func(*T) string, with func(string, *T, *T)) {
	find := func(list []T, n string) *T {
		if i := slices.IndexFunc(list, func(x T) bool { return name(&x) == n }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	for i := range a {
		with(name(&a[i]), &a[i], find(b, name(&a[i])))
	}
	for i := range b {
		if find(a, name(&b[i])) == nil {
			with(name(&b[i]), nil, &b[i])
		}
	}
}

func ratio(r *verify.RoleError) *metrics.Figure {
	if r == nil {
		return nil
	}
	f := metrics.Figure(math.Inf(1))
	if r.SQNR != nil {
		f = metrics.Figure(*r.SQNR)
	}
	return &f
}

func judged(r *Record) Judged {
	return Judged{Name: r.Name, Checkpoint: r.Report.Checkpoint, Baseline: r.Report.Baseline, Bytes: r.Report.Bytes, Passed: r.Report.Passed}
}

// remarks say why the figures of two reports are no pair: figures are compared on the
// same tokens of the same texts, against the same baseline.
func remarks(a, b *verify.Report) []string {
	list := []string{}
	if a.Baseline != b.Baseline {
		list = append(list, fmt.Sprintf("the baselines are %q and %q: what is measured against them compares only if they hold the same model", a.Baseline, b.Baseline))
	}
	n, m := tokens(a), tokens(b)
	if n == 0 || m == 0 {
		return list
	}
	s, t := a.Setup, b.Setup
	switch {
	case s == nil || t == nil:
		return append(list, "a report does not say which texts the model read")
	case !slices.EqualFunc(s.Sources, t.Sources, func(x, y verify.TextSource) bool { return x.Digest == y.Digest }):
		list = append(list, "the models read other texts: figures of what they say do not compare")
	case n != m || s.Context != t.Context || s.Score != t.Score:
		list = append(list, fmt.Sprintf("%d and %d tokens were scored, in chunks of %d and %d: figures compare only roughly", n, m, s.Context, t.Context))
	}
	if s.Activations != t.Activations {
		list = append(list, fmt.Sprintf("activations are %s and %s", s.Activations, t.Activations))
	}
	return list
}

// tokens is how many tokens the figures of a report are of, 0 where no model was run.
func tokens(r *verify.Report) int {
	switch {
	case r.Metrics != nil:
		return r.Metrics.Tokens
	case r.Single != nil:
		return r.Single.Metrics.Tokens
	}
	return 0
}

// measures are the figures of models that are shown, in their order: of a report nil where
// it has none.
var measures = []struct {
	name string
	of   func(*verify.Report) (value, uncertainty *metrics.Figure)
}{
	{"perplexity", func(r *verify.Report) (*metrics.Figure, *metrics.Figure) {
		switch {
		case r.Metrics != nil:
			return &r.Metrics.PPLQuant, &r.Metrics.PPLQuantUncertainty
		case r.Single != nil:
			return &r.Single.Metrics.PPL, &r.Single.Metrics.PPLUncertainty
		}
		return nil, nil
	}},
	{"mean KLD", ofTwo(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) { return &s.KLDMean, &s.KLDMeanUncertainty })},
	{"median KLD", ofTwo(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) {
		return &s.KLDMedian, &s.KLDMedianUncertainty
	})},
	{"99 % KLD", ofTwo(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) { return &s.KLDP99, nil })},
	{"largest KLD", ofTwo(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) { return &s.KLDMax, nil })},
	{"same top", ofTwo(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) { return &s.SameTop, &s.SameTopUncertainty })},
	{"drafts accepted", func(r *verify.Report) (*metrics.Figure, *metrics.Figure) {
		if r.MTP == nil {
			return nil, nil
		}
		return &r.MTP.AcceptanceQuant, &r.MTP.UncertaintyQuant
	}},
	{"mean KLD, inputs rounded", deployed(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) { return &s.KLDMean, &s.KLDMeanUncertainty })},
	{"same top, inputs rounded", deployed(func(s *metrics.Summary) (*metrics.Figure, *metrics.Figure) { return &s.SameTop, &s.SameTopUncertainty })},
}

// summaryFigure is a figure of two models.
type summaryFigure func(*metrics.Summary) (value, uncertainty *metrics.Figure)

func ofTwo(f summaryFigure) func(*verify.Report) (value, uncertainty *metrics.Figure) {
	return func(r *verify.Report) (*metrics.Figure, *metrics.Figure) { return f.in(r.Metrics) }
}

// deployed is f with inputs rounded as engines do, beside the one without.
func deployed(f summaryFigure) func(*verify.Report) (value, uncertainty *metrics.Figure) {
	return func(r *verify.Report) (*metrics.Figure, *metrics.Figure) { return f.in(r.Deployment) }
}

func (f summaryFigure) in(s *metrics.Summary) (value, uncertainty *metrics.Figure) {
	if s == nil {
		return nil, nil
	}
	return f(s)
}

// figures are those that one of two reports has.
func figures(a, b *verify.Report) []Figure {
	list := []Figure{}
	for _, m := range measures {
		f := Figure{Name: m.name}
		f.A, f.UA = m.of(a)
		f.B, f.UB = m.of(b)
		if f.A != nil || f.B != nil {
			list = append(list, f)
		}
	}
	return list
}
