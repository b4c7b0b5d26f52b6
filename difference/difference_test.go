package difference

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
)

func tensor(name, digest string, sqnr float64) manifest.Tensor {
	t := manifest.Tensor{Name: name, File: "x", DType: safetensors.BF16, Shape: []int64{2, 3}, BLAKE3: digest}
	if sqnr != 0 {
		t.Error = &manifest.Error{SQNR: &sqnr}
	}
	return t
}

// Each kind of tensor is counted once: equal, changed, only on one side, renamed.
func TestManifests(t *testing.T) {
	a := &Record{Name: "a", Manifest: &manifest.Manifest{
		Tool: "quern x", Options: []plan.Option{{Name: "to", Value: "fp8"}, {Name: "same", Value: "1"}},
		Tensors: []manifest.Tensor{tensor("l.0.w", "1", 30), tensor("l.1.w", "2", 31), tensor("l.2.w", "3", 0), tensor("e.0.w", "4", 0), tensor("gone.w", "5", 0)},
	}}
	b := &Record{Name: "b", Manifest: &manifest.Manifest{
		Tool: "quern x", Options: []plan.Option{{Name: "search", Value: "mse"}, {Name: "same", Value: "1"}},
		Tensors: []manifest.Tensor{tensor("l.0.w", "1", 30), tensor("l.1.w", "9", 29), tensor("l.2.w", "3", 0), tensor("e.7.w", "4", 0), tensor("new.w", "6", 0)},
	}}
	d := manifests(a, b)
	if d.Same || d.Equal != 2 || d.Changed != 1 || d.OnlyA != 2 || d.OnlyB != 2 || d.Renamed != 1 {
		t.Errorf("%+v", d)
	}
	if len(d.Options) != 2 || d.Options[0] != (Option{"search", "", "mse"}) || d.Options[1] != (Option{"to", "fp8", ""}) {
		t.Errorf("options: %+v", d.Options)
	}
	if d := manifests(a, a); d.Groups == nil || d.Moved == nil || d.Options == nil {
		t.Errorf("a list is null in JSON: %+v", d)
	}
	if len(d.Moved) != 1 || d.Moved[0] != (Moved{"l.1.w", 31, 29}) {
		t.Errorf("moved: %+v", d.Moved)
	}
	if d.A.Bytes != 5*12 || len(d.Groups) != 4 {
		t.Errorf("%d bytes, groups %+v", d.A.Bytes, d.Groups)
	}
	for _, g := range d.Groups {
		if g.Name == "l.*" && (g.Equal != 2 || *g.A.SQNR != 31 || *g.B.Worst != 29) {
			t.Errorf("%+v", g)
		}
	}
	if d := manifests(a, a); !d.Same || d.Equal != 5 || len(d.Options) != 0 {
		t.Errorf("with itself: %+v", d)
	}
	// The same bytes under another dtype are another tensor.
	c := &Record{Manifest: &manifest.Manifest{Tensors: []manifest.Tensor{tensor("l.0.w", "1", 30)}}}
	e := &Record{Manifest: &manifest.Manifest{Tensors: []manifest.Tensor{tensor("l.0.w", "1", 30)}}}
	e.Manifest.Tensors[0].DType = safetensors.F16
	if d := manifests(c, e); d.Same || d.Changed != 1 {
		t.Errorf("other dtype: %+v", d)
	}
	// So it is under another name.
	e.Manifest.Tensors[0].Name = "other.w"
	if d := manifests(c, e); d.Renamed != 0 || d.OnlyA != 1 || d.OnlyB != 1 {
		t.Errorf("other dtype, other name: %+v", d)
	}
	// Shapes that no tensor has count nothing.
	e.Manifest.Tensors[0].Shape = []int64{-5}
	e.Manifest.Tensors = append(e.Manifest.Tensors, tensor("huge", "2", 0))
	e.Manifest.Tensors[1].Shape = []int64{1 << 62, 1 << 62}
	if d := manifests(c, e); d.B.Bytes != 0 {
		t.Errorf("%d bytes", d.B.Bytes)
	}
}

// Figures stand beside each other with what they are of: those of one model beside those
// of two, those with inputs rounded as engines do, and a word where the texts differ.
func TestReports(t *testing.T) {
	sources := func(digest string) *verify.Setup {
		return &verify.Setup{Context: 8, Sources: []verify.TextSource{{Name: "a", Digest: digest}}}
	}
	two := &Record{Name: "two", Report: &verify.Report{Baseline: "b", Behaviour: verify.Behaviour{
		Setup: sources("1"), Metrics: &metrics.Summary{Tokens: 5, PPLQuant: 7, KLDMean: 0.25}, Deployment: &metrics.Summary{KLDMean: 0.5, SameTop: 0.75},
	}}}
	one := func(digest string) *Record {
		return &Record{Name: "one", Report: &verify.Report{Behaviour: verify.Behaviour{
			Setup: sources(digest), Single: &evaluation.Single{Metrics: metrics.OneSummary{Tokens: 5, PPL: 8}},
		}}}
	}
	figure := func(d *Reports, name string) *Figure {
		i := slices.IndexFunc(d.Figures, func(f Figure) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("no %s in %+v", name, d.Figures)
		}
		return &d.Figures[i]
	}
	d := reports(two, one("1"))
	if f := figure(d, "perplexity"); *f.A != 7 || f.B == nil || *f.B != 8 {
		t.Errorf("%+v", f)
	}
	if f := figure(d, "mean KLD, inputs rounded"); *f.A != 0.5 || f.B != nil {
		t.Errorf("%+v", f)
	}
	if d := reports(one("1"), one("1")); len(d.Remarks) != 0 || len(d.Figures) != 1 {
		t.Errorf("%+v", d)
	}
	if d := reports(one("1"), one("2")); len(d.Remarks) != 1 || !strings.Contains(d.Remarks[0], "other texts") {
		t.Errorf("%q", d.Remarks)
	}
	// A role that a side lacks is not there, one that is exact is null.
	one1 := one("1")
	one1.Report.Weights = &verify.WeightsReport{Roles: []verify.RoleError{{Role: "attention"}}}
	if raw, err := json.Marshal(reports(one1, two).Roles); err != nil || string(raw) != `[{"name":"attention","a_sqnr_db":null}]` {
		t.Errorf("%s %v", raw, err)
	}
}
