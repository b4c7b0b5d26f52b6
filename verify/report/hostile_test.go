package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
	"quern/verify/outputs"
)

// named is the small report with s for everything that comes from elsewhere.
func named(s string) *verify.Report {
	r := small()
	r.Checkpoint, r.Baseline = s, s
	r.Warnings = []string{s}
	for i := range r.Gates {
		g := &r.Gates[i]
		for j := range g.Failures {
			g.Failures[j] = s
		}
		if g.Skipped != "" {
			g.Skipped = s
		}
	}
	for i := range r.Sizes {
		r.Sizes[i].Role = s
	}
	w := r.Weights
	w.WorstTensor = s
	for i := range w.Roles {
		w.Roles[i].Role, w.Roles[i].Worst = s, s
	}
	for i := range w.Tensors {
		w.Tensors[i].Name, w.Tensors[i].Role = s, s
	}
	r.Setup.Version, r.Setup.Score, r.Setup.Activations = s, s, s
	r.Setup.Command = []string{s, s}
	r.Setup.Sources[0].Name, r.Setup.Sources[0].Digest = s, s
	// Two of them, so that charts of texts are drawn.
	r.Texts = []evaluation.TextSummary{{Name: s, Metrics: *r.Metrics}, {Name: s, Metrics: *r.Metrics}}
	r.Worst[0].Show = &evaluation.Shown{Before: s, Target: s, TopBase: s, TopQuant: s}
	return r
}

var hostile = []string{
	`</script><script>alert(1)</script>`,
	`</title></style></svg><img src=x onerror=alert(1)>`,
	`" onload="alert(1)`, `' onload='alert(1)`, "`${x}`", `{{.}}`, `<!--`, `]]>`, `&lt;&#0;&`, `a=b`, `\u003c`,
	"\x00\x01\x1b[31m\x7f\u0085", "a\nb\rc\td\u2028e", "\u202e\u2066gnp.exe\u200b\ufeff", "\xff\xfe\xe2\x82", "\ufffd\ufffe\U000e0001\ue000",
	"http://example.org/x.png", "javascript:alert(1)", "url(x)",
}

// Whatever names are, the page has the elements that it has for harmless ones.
func TestHostileNames(t *testing.T) {
	plain := func(s string) []string {
		t.Helper()
		tags, err := elements(s)
		if err != nil {
			t.Fatal(err)
		}
		// Names are broken at points, and signs are marked: that may differ.
		return slices.DeleteFunc(tags, func(tag string) bool { return tag == "wbr" || tag == "i" || tag == "/i" })
	}
	want := plain(html(t, named("x")))
	for _, s := range append(hostile, strings.Repeat("<", 100_000), strings.Repeat("a.", 100_000)) {
		page := html(t, named(s))
		if got := plain(page); !slices.Equal(got, want) {
			t.Errorf("%.40q changes the elements of the page", s)
		}
		if len(page) > 300_000 {
			t.Errorf("%.40q makes a page of %d bytes", s, len(page))
		}
	}
}

func FuzzHostileNames(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := elements(html(t, named(s))); err != nil {
			t.Fatal(err)
		}
	})
}

// Figures that have no value are dashes.
func TestFiguresWithoutValue(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		f := metrics.Figure(bad)
		r := small()
		m := metrics.Summarize(nil)
		m.KLDMean, m.KLDMax, m.PPLBase, m.SameTop, m.DeltaPMean, m.LnPPLRatio = f, f, f, f, f, f
		r.Metrics, r.Texts = &m, []evaluation.TextSummary{{Name: "a", Metrics: m}, {Name: "b", Metrics: m}}
		r.Positions = []metrics.Range{{From: 0, To: 1, Summary: m}, {From: 1, To: 2, Summary: m}}
		r.Histogram = &metrics.Bins{Edges: []float64{1, 2}, Counts: []int{0, 0, 0}}
		r.MTP = &evaluation.MTP{Tokens: 1, AcceptanceBase: f, UncertaintyBase: f, AcceptanceQuant: f, UncertaintyQuant: f}
		r.Reference = &outputs.Reference{MaxAbsLogitDiff: f, MaxAbsMTPLogitDiff: &f}
		r.Hidden = []outputs.HiddenDifference{{Layer: 0, MaxAbs: f, RMS: f, Relative: f, SQNR: f}, {Layer: 1, MaxAbs: f, RMS: f, Relative: f, SQNR: f}}
		for i := range r.Routing.Layers {
			l := &r.Routing.Layers[i]
			l.Overlap, l.OverlapUncertainty, l.Top1, l.Identical, l.Agreement[0] = f, f, f, f, f
			l.LoadBase = make([]int64, 3) // nothing was chosen
		}
		r.Routing.Layers = append(r.Routing.Layers, metrics.LayerRouting{Layer: 2}) // of no experts
		r.Routing.Overlap = f
		r.Worst[0].KLD, r.Worst[0].PBase = f, f
		r.TokensPerSecond = &[2]metrics.Figure{f, f}
		db, worst := bad, float64(unmeasurable)
		r.Weights.Tensors[0].SQNR, r.Weights.Tensors[0].Relative, r.Weights.Tensors[0].Cosine = &db, math.MaxFloat64, bad
		r.Weights.Tensors[1].SQNR, r.Weights.WorstSQNR = &worst, &worst
		r.Gates = nil
		r.Add(verify.Gate{Name: "kld_mean", Value: bad, Limit: 0.02}, verify.Gate{Name: "sqnr", Value: bad, Limit: 31}, verify.Gate{Name: "digest", Value: bad, Limit: bad}, verify.Gate{Name: "same_top", Value: bad, Limit: 1})
		s := html(t, r)
		if _, err := elements(s); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"NaN", "Inf", "∞", "e+3", "10³⁰⁸"} {
			if i := strings.Index(s, word); i >= 0 {
				t.Errorf("%g: the page says %q", bad, s[max(0, i-60):i+20])
			}
		}
		if !strings.Contains(s, none) {
			t.Errorf("%g: no dash", bad)
		}
	}
}

// What is long is cut, and the page says so.
func TestLongListsAreCut(t *testing.T) {
	r := small()
	for range 5000 {
		r.Warnings = append(r.Warnings, "w")
		r.Texts = append(r.Texts, r.Texts[0])
		r.Worst = append(r.Worst, r.Worst[0])
		r.Setup.Sources = append(r.Setup.Sources, r.Setup.Sources[0])
		r.Weights.Tensors = append(r.Weights.Tensors, r.Weights.Tensors[1])
		r.Weights.Roles = append(r.Weights.Roles, r.Weights.Roles[0])
		r.Routing.Layers = append(r.Routing.Layers, r.Routing.Layers[0])
		r.Positions = append(r.Positions, r.Positions[0])
		r.Hidden = append(r.Hidden, r.Hidden[1])
	}
	r.Routing.Layers[0].LoadBase = make([]int64, maxCells+1)
	s := html(t, r)
	if _, err := elements(s); err != nil {
		t.Fatal(err)
	}
	if len(s) > 1_500_000 {
		t.Errorf("%d bytes", len(s))
	}
	for _, want := range []string{"and 4,801 more", "4,901 more texts are left out", "4,745 more layers are left out", "too many to draw"} {
		if !strings.Contains(s, want) {
			t.Errorf("nothing says %q", want)
		}
	}
}
