package report

import (
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	arch "quern/formats/model"
	"quern/internal/svg"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
	"quern/verify/outputs"
)

var update = flag.Bool("update", false, "write testdata/small.html anew")

func TestPagesAreWellFormed(t *testing.T) {
	for name, r := range samples() {
		t.Run(name, func(t *testing.T) {
			s := html(t, r)
			if *pages != "" {
				if err := os.WriteFile(filepath.Join(*pages, name+".html"), []byte(s), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !utf8.ValidString(s) {
				t.Error("not UTF-8")
			}
			tags, err := elements(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, tag := range tags {
				switch name, _, _ := strings.Cut(tag, " "); name {
				case "script", "link", "img", "image", "iframe", "object", "embed", "use", "a":
					if tag != "a href" {
						t.Errorf("<%s>", tag)
					}
				}
				if strings.Contains(tag, " on") {
					t.Errorf("<%s> would run something", tag)
				}
			}
			for _, outside := range []string{"http:", "https:", "src=", "@import", "url(", "javascript:"} {
				if i := strings.Index(s, outside); i >= 0 {
					t.Errorf("the page has %q: %.60q", outside, s[i:])
				}
			}
			for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(s, -1) {
				if !strings.HasPrefix(m[1], "#") || !strings.Contains(s, `id="`+m[1][1:]+`"`) {
					t.Errorf("a link to %q", m[1])
				}
			}
			s = strings.ReplaceAll(s, gateWords["finite"].checks, "")
			for _, bad := range []string{"NaN", "Inf", "%!", "ZgotmplZ", "<nil>"} {
				if strings.Contains(s, bad) {
					t.Errorf("the page has %q", bad)
				}
			}
		})
	}
}

// V3 has 45,000 quantized tensors and 58 layers of 256 experts.
func TestPageOfALargeModelIsSmall(t *testing.T) {
	r := samples()["v3"]
	if n := len(r.Weights.Tensors); n < 45000 {
		t.Fatal(n, "tensors")
	}
	s := html(t, r)
	if n := len(s); n > 1_500_000 {
		t.Errorf("%d bytes", n)
	}
	// Of what is open at first nothing grows with layers times experts.
	open := regexp.MustCompile(`(?s)<details>.*?</details>|<details class="fold"><summary>.*?</div>\n</details></section>`).ReplaceAllString(s, "")
	if n := len(open) - len(pageCSS) - len(svg.Style); n > 150_000 {
		t.Errorf("%d bytes are open at first", n)
	}
}

func TestSameReportSameBytes(t *testing.T) {
	want := html(t, small())
	for range 5 {
		if html(t, small()) != want {
			t.Fatal("two pages of one report differ")
		}
	}
	for name, r := range samples() { // and the report is left as it is
		first := html(t, r)
		if again := html(t, r); again != first {
			t.Errorf("%s: two pages of one report differ", name)
		}
	}
}

// small is a report that is written by hand, so that its page can be read whole.
func small() *verify.Report {
	high, low := 32.5, 31.25
	m := metrics.Summarize([]metrics.Token{
		{Target: 1, NLLBase: 1, NLLQuant: 1.5, PBase: 0.5, PQuant: 0.25, KLD: 0.5, TopBase: 1, TopQuant: 2, Top5: 4},
		{Target: 2, NLLBase: 2, NLLQuant: 2, PBase: 0.25, PQuant: 0.25, KLD: 0, TopBase: 2, TopQuant: 2, Top5: 5},
	})
	r := &verify.Report{
		Checkpoint: "out/m-fp8", Baseline: "m", Tensors: 3, Bytes: 1500,
		Date:    time.Date(2026, 11, 29, 8, 30, 0, 0, time.FixedZone("", 3600)),
		Subject: &verify.Subject{Architecture: "qwen3_moe", Parameters: arch.Parameters{Total: 1250, Active: 800, MTP: 100}, Calibration: "00ff<"},
		Sizes:   []verify.RoleSize{{Role: "attention", Baseline: 2000, Bytes: 1000}, {Role: "norm", Baseline: 500, Bytes: 500}},
		Weights: &verify.WeightsReport{
			WorstSQNR: &low, WorstTensor: "b.weight", Quantized: 2, Kept: 1,
			Roles:   []verify.RoleError{{Role: "attention", Tensors: 2, SQNR: &low, Relative: 0.0274, Cosine: 0.999625, MaxAbs: 0.0625, Worst: "b.weight"}},
			Tensors: []verify.TensorError{{Name: "b.weight", Role: "attention", Scheme: "fp8", Floor: 31, SQNR: &low, Relative: 0.0274, Cosine: 0.999625, MaxAbs: 0.0625}, {Name: "a.weight", Role: "attention", Scheme: "fp8", Floor: 31, SQNR: &high, Relative: 0.0237, Cosine: 0.99972, MaxAbs: 0.03125}},
		},
		Warnings: []string{"config.json says nothing of the dtype"},
	}
	r.Add(
		verify.Gate{Name: "digest", Passed: true, Skipped: "there is no quern-manifest.json"},
		verify.Gate{Name: "finite", Value: 1, Failures: []string{`tensor "a.weight": 1 value is NaN`}},
		verify.Gate{Name: "sqnr", Value: low, Limit: 31, Passed: true},
	)
	r.AddBehaviour(verify.Behaviour{
		Setup: &verify.Setup{
			Version: "1.2.3", Context: 512, Score: "all", Activations: "fp8", Command: []string{"verify", "--text", "it's.txt", "out/m-fp8"},
			Sources: []verify.TextSource{{Name: "it's.txt", Digest: "00ff", Bytes: 12, Tokens: 3}},
		},
		Metrics: &m, Positions: []metrics.Range{{From: 0, To: 2, Summary: m}},
		Texts:     []evaluation.TextSummary{{Name: "it's.txt", Tokens: 3, Metrics: m}},
		Histogram: &metrics.Bins{Edges: []float64{0.01, 0.1, 1}, Counts: []int{1, 0, 1, 0}},
		Worst: []evaluation.WorstToken{{
			Text: 0, Position: 1, Target: 1, Before: []int{7}, KLD: 0.5, PBase: 0.5, PQuant: 0.25, TopBase: 1, TopQuant: 2,
			Show: &evaluation.Shown{Before: "a <b>\n\tc", Target: " d", TopBase: " d", TopQuant: ""},
		}},
		Routing: &metrics.RoutingReport{Overlap: 0.75, Top1: 0.5, Identical: 0.5, Layers: []metrics.LayerRouting{
			{Layer: 1, Tokens: 2, K: 2, Overlap: 0.75, OverlapUncertainty: 0.25, Top1: 0.5, Identical: 0.5, LoadBase: []int64{2, 2, 0}, LoadQuant: []int64{2, 1, 1}, Agreement: []metrics.Figure{1, 0.5, metrics.Figure(math.NaN())}},
		}},
		MTP:             &evaluation.MTP{Tokens: 10, AcceptanceBase: 0.5, UncertaintyBase: 0.1, AcceptanceQuant: 0.4, UncertaintyQuant: 0.1},
		TokensPerSecond: &[2]metrics.Figure{100, 200},
		Reference:       &outputs.Reference{MaxAbsLogitDiff: 0.125},
		Hidden:          []outputs.HiddenDifference{{Layer: 0, RMS: 1, SQNR: metrics.Figure(math.NaN())}, {Layer: 1, MaxAbs: 0.5, RMS: 2, Relative: 0.25, SQNR: 20}},
	})
	return r
}

func TestGolden(t *testing.T) {
	s := html(t, small())
	head, tail, _ := strings.Cut(s, "<style>")
	_, tail, _ = strings.Cut(tail, "</style>")
	got := head + "<style></style>" + tail // the style sheet is page.css
	const path = "testdata/small.html"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("line %d: %s\nwanted: %s\n(go test -update writes the file anew)", i+1, a[i], append(b, make([]string, len(a))...)[i])
			}
		}
		t.Fatal("lines are missing at the end")
	}
}

// sectionIDs are those of the sections of a page.
func sectionIDs(s string) (ids []string) {
	for _, m := range regexp.MustCompile(`<section id="([^"]*)"`).FindAllStringSubmatch(s, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func TestSections(t *testing.T) {
	full := func() *verify.Report { return small() }
	all := []string{"gates", "warnings", "sizes", "weights", "model", "divergence", "positions", "texts", "routing", "tokens", "mtp", "reference", "repeat"}
	for _, c := range []struct {
		name   string
		change func(r *verify.Report)
		gone   []string
	}{
		{"full", func(*verify.Report) {}, nil},
		{"no gates", func(r *verify.Report) { r.Gates = nil }, []string{"gates"}},
		{"no warnings", func(r *verify.Report) { r.Warnings = nil }, []string{"warnings"}},
		{"no sizes", func(r *verify.Report) { r.Sizes = nil }, []string{"sizes"}},
		{"no weights", func(r *verify.Report) { r.Weights = nil }, []string{"weights"}},
		{"no metrics", func(r *verify.Report) { r.Metrics = nil }, []string{"model", "divergence"}},
		{"no positions", func(r *verify.Report) { r.Positions = nil }, []string{"positions"}},
		{"no texts", func(r *verify.Report) { r.Texts = nil }, []string{"texts"}},
		{"no routing", func(r *verify.Report) { r.Routing = nil }, []string{"routing"}},
		{"no layers", func(r *verify.Report) { r.Routing.Layers = nil }, []string{"routing"}},
		{"no tokens", func(r *verify.Report) { r.Worst = nil }, []string{"tokens"}},
		{"no mtp", func(r *verify.Report) { r.MTP = nil }, []string{"mtp"}},
		{"no drafts", func(r *verify.Report) { r.MTP.Tokens = 0 }, []string{"mtp"}},
		{"no reference", func(r *verify.Report) { r.Reference, r.Hidden = nil, nil }, []string{"reference"}},
		{"nothing run", func(r *verify.Report) { r.Behaviour = verify.Behaviour{} }, []string{"model", "divergence", "positions", "texts", "routing", "tokens", "mtp", "reference"}},
		{"nothing", func(r *verify.Report) { *r = verify.Report{Checkpoint: "x"} }, all[:len(all)-1]},
		{"no setup", func(r *verify.Report) { r.Setup = nil }, nil},
		{"no histogram", func(r *verify.Report) { r.Histogram = nil }, nil},
	} {
		r := full()
		c.change(r)
		want := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return slices.Contains(c.gone, id) })
		s := html(t, r)
		if got := sectionIDs(s); !slices.Equal(got, want) {
			t.Errorf("%s: sections %q, want %q", c.name, got, want)
		}
		if _, err := elements(s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got, want := sectionIDs(html(t, samples()["single"])), []string{"gates", "sizes", "model", "repeat"}; !slices.Equal(got, want) {
		t.Errorf("of one checkpoint: sections %q, want %q", got, want)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriterError(t *testing.T) {
	if err := HTML(brokenWriter{}, small()); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}
