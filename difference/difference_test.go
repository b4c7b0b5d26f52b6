package difference

import (
	"testing"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/safetensors"
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
}
