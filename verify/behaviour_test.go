package verify

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"quern/verify/evaluation"
	"quern/verify/metrics"
	"quern/verify/outputs"
)

// apart is a comparison with the given figures.
func apart(kld, median, top, base, quant float64) *evaluation.Comparison {
	return &evaluation.Comparison{
		Metrics: metrics.Summary{Tokens: 100, KLDMean: metrics.Figure(kld), KLDMedian: metrics.Figure(median), SameTop: metrics.Figure(top)},
		Texts: []evaluation.TextSummary{
			{Name: "easy.txt", Metrics: metrics.Summary{KLDMean: 0.001}},
			{Name: "hard.txt", Metrics: metrics.Summary{KLDMean: 0.5}},
			{Name: "none.txt", Metrics: metrics.Summary{KLDMean: metrics.Figure(math.NaN())}},
		},
		Routing: &metrics.RoutingReport{Layers: []metrics.LayerRouting{{Layer: 3, Overlap: 0.99}, {Layer: 5, Overlap: 0.61}}},
		MTP:     &evaluation.MTP{Tokens: 99, AcceptanceBase: metrics.Figure(base), AcceptanceQuant: metrics.Figure(quant)},
		Worst:   []evaluation.WorstToken{{Text: 1, Position: 7, KLD: 3}},
	}
}

func TestBehaviourGates(t *testing.T) {
	nan := math.NaN()
	for _, x := range []struct {
		name   string
		c      *evaluation.Comparison
		failed string
	}{
		{"good", apart(0.02, 0.004, 0.95, 0.5, 0.481), ""},
		{"better than the baseline", apart(0, 0, 1, 0.5, 0.7), ""},
		{"mean", apart(0.0201, 0.001, 0.99, 0.5, 0.5), "kld_mean"},
		{"median", apart(0.001, 0.0041, 0.99, 0.5, 0.5), "kld_median"},
		{"top", apart(0.001, 0.001, 0.949, 0.5, 0.5), "same_top"},
		{"draft", apart(0.001, 0.001, 0.99, 0.5, 0.4799), "mtp_drop"},
		{"infinite", apart(math.Inf(1), 0.001, 0.99, 0.5, 0.5), "kld_mean"},
		{"no figure", apart(nan, 0.001, 0.99, 0.5, 0.5), "kld_mean"},
	} {
		r := &Report{}
		var b Behaviour
		b.Compared(x.c)
		r.AddBehaviour(b)
		var failed []string
		for _, g := range r.Gates {
			if !g.Passed {
				failed = append(failed, g.Name)
				if len(g.Failures) == 0 {
					t.Errorf("%s: gate %s says nothing", x.name, g.Name)
				}
			}
		}
		if got := strings.Join(failed, " "); got != x.failed || r.Passed != (x.failed == "") {
			t.Errorf("%s: failed %q, want %q", x.name, got, x.failed)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

// A failed gate points at the text, the layer and the token.
func TestBehaviourFailures(t *testing.T) {
	r := &Report{}
	var b Behaviour
	b.Compared(apart(0.03, 0.001, 0.99, 0.5, 0.1))
	r.AddBehaviour(b)
	lines := strings.Join(r.Gates[0].Failures, "\n")
	for _, want := range []string{`"hard.txt"`, "layer 5", "61.00 %", "number 7 of text 1"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is missing in\n%s", want, lines)
		}
	}
	if mtp := strings.Join(r.Gates[3].Failures, "\n"); !strings.Contains(mtp, "50.00 % → 10.00 %") {
		t.Error(mtp)
	}
	// Another limit judges again, and takes the lines away where all is well.
	if !r.SetLimit("kld_mean", 0.05) || !r.Gates[0].Passed || len(r.Gates[0].Failures) != 0 {
		t.Errorf("%+v", r.Gates[0])
	}
	if !r.SetLimit("same_top", 0.995) || r.Gates[2].Passed || len(r.Gates[2].Failures) == 0 {
		t.Errorf("%+v", r.Gates[2])
	}
	if !r.SetOff("same_top") || !r.SetOff("mtp_drop") || !r.Passed {
		t.Errorf("%+v", r.Gates)
	}
	if r.SetLimit("digest", 1) {
		t.Error("a gate that is not there got a limit")
	}
}

func TestReferredTokens(t *testing.T) {
	ids := [][]int{{1, 2, 3}, make([]int, 60)}
	for i := range ids[1] {
		ids[1][i] = i
	}
	diff := metrics.Figure(0.25)
	var b Behaviour
	b.Referred(&outputs.Comparison{
		Reference: outputs.Reference{MaxAbsLogitDiff: 0.5, MaxAbsMTPLogitDiff: &diff},
		Worst:     []outputs.WorstToken{{Sequence: 1, Position: 40, Target: 41}, {Sequence: 0, Position: 0, Target: 2}},
		MTP:       &outputs.MTP{Tokens: 2, AcceptanceBase: 0.5, AcceptanceQuant: 0.25},
	}, ids)
	if w := b.Worst[0]; w.Position != 41 || len(w.Before) != 24 || w.Before[23] != 40 {
		t.Errorf("%+v", w)
	}
	if w := b.Worst[1]; w.Position != 1 || len(w.Before) != 1 || w.Before[0] != 1 {
		t.Errorf("%+v", w)
	}
	if b.MTP.AcceptanceQuant != 0.25 || *b.Reference.MaxAbsMTPLogitDiff != 0.25 {
		t.Errorf("%+v", b)
	}
}
