package verify

import (
	"encoding/json"
	"strings"
	"testing"

	"quern/verify/evaluation"
	"quern/verify/metrics"
)

// scored is a comparison of so many tokens that agree, in so many chunks.
func scored(tokens, chunks int, kld, uncertainty float64) Behaviour {
	m := metrics.Summary{Tokens: tokens, Chunks: chunks, KLDMean: metrics.Figure(kld), KLDMeanUncertainty: metrics.Figure(uncertainty), SameTop: 1}
	return Behaviour{Metrics: &m}
}

func TestEvidence(t *testing.T) {
	for _, c := range []struct {
		name      string
		b         Behaviour
		undecided string // gates
		failed    string
	}{
		{"five tokens that agree", scored(5, 1, 0, 0), "kld_mean kld_median same_top evidence", ""},
		{"one", scored(1, 1, 0, 0), "kld_mean kld_median same_top evidence", ""},
		{"thousands", scored(4000, 8, 0.003, 0.0005), "", ""},
		{"thousands that scatter", scored(4000, 8, 0.003, 0.01), "kld_mean evidence", ""},
		{"few chunks", scored(4000, 2, 0.003, 0.002), "kld_mean evidence", ""},
		{"many chunks", scored(4000, 40, 0.003, 0.002), "", ""},
		{"five that differ", scored(5, 1, 0.5, 0.1), "kld_median same_top evidence", "kld_mean"},
	} {
		r := &Report{}
		r.AddBehaviour(c.b)
		var undecided, failed []string
		for _, g := range r.Gates {
			raw, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			if null := strings.Contains(string(raw), `"passed":null`); null != (g.Undecided != "") {
				t.Errorf("%s: %s", c.name, raw)
			}
			if g.Undecided != "" {
				undecided = append(undecided, g.Name)
			}
			if !g.Passed {
				failed = append(failed, g.Name)
			}
		}
		if u, f := strings.Join(undecided, " "), strings.Join(failed, " "); u != c.undecided || f != c.failed || r.Passed != (f == "") {
			t.Errorf("%s: undecided %q, failed %q", c.name, u, f)
		}
	}
}

// A limit that is given, gates that are switched off, and gates that have to be decided.
func TestRequire(t *testing.T) {
	few := func() *Report {
		r := &Report{}
		r.AddBehaviour(scored(5, 1, 0, 0))
		return r
	}
	r := few()
	if !r.SetLimit("evidence", 5) || r.gate("evidence").Undecided != "" || r.gate("same_top").Undecided == "" {
		t.Errorf("%+v", r.Gates)
	}
	if !r.SetLimit("same_top", 0.2) || r.gate("same_top").Undecided == "" { // 30 at least
		t.Errorf("%+v", r.gate("same_top"))
	}
	r = few()
	for _, name := range []string{"kld_mean", "kld_median", "same_top"} {
		r.SetOff(name)
	}
	if g := r.gate("evidence"); g.Undecided != "" || !r.Passed {
		t.Errorf("%+v", g)
	}
	for name, says := range map[string]string{
		"evidence": "5 tokens scored", "same_top": "too few tokens", "mtp_drop": "no multi-token prediction", "codes": "--baseline", "engines": "--engine", "digest": "looked at", "activations": "static scales",
	} {
		r := few()
		r.Require(name)
		if g := r.gate(name); r.Passed || g.Passed || len(g.Failures) != 1 || !strings.Contains(g.Failures[0], says) {
			t.Errorf("%s: %+v", name, g)
		}
	}
	r = &Report{}
	r.AddBehaviour(scored(4000, 8, 0.003, 0.0005))
	if r.Require("evidence"); !r.Passed {
		t.Errorf("%+v", r.Gates)
	}
}

func TestActivationsGate(t *testing.T) {
	for _, c := range []struct {
		rule               string
		scale, taken, amax float32
		passed             bool
	}{
		{"", 1, 0, 448, true},
		{"", 1, 0, 1700, true},
		{"", 1, 0, 1800, false},
		{"", 1, 0, 8, true},
		{"", 1, 0, 6, false},
		{"", 1, 0, 0, true},
		{"", 1, 2, 1800, true}, // another expert's scale is wider, and engines take that one
		{"", 1, 2, 8, false},
		// NVFP4: 1 reaches 2688, and what lies 28,672 times lower.
		{"nvfp4", 1, 0, 2688, true},
		{"nvfp4", 1, 0, 4 * 2689, false},
		{"nvfp4", 1, 0, 0.094, true},
		{"nvfp4", 1, 0, 0.0937, false},
	} {
		g := activationsGate([]evaluation.InputScale{{Module: "m", Scale: c.scale, Taken: c.taken, AMax: c.amax, Rule: c.rule}})
		if g.Passed != c.passed || c.passed != (len(g.Failures) == 0) {
			t.Errorf("%+v: %+v", c, g)
		}
	}
}
