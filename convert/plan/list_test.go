package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"quern/convert"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/formats/synth"
)

// tiny opens a small V3-shaped checkpoint of several files.
func tiny(t *testing.T) *hf.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	if err := synth.Tiny().Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	ck, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ck
}

// New copies everything, in the order of the data.
func TestNew(t *testing.T) {
	ck := tiny(t)
	p := plan.New(ck)
	if len(p.Tensors) != ck.Len() || len(p.Input.Files) != len(ck.Files) || len(ck.Files) < 2 || p.Config != string(ck.ConfigRaw) || p.Input.Config == "" {
		t.Fatalf("%d tensors of %d, %d files", len(p.Tensors), ck.Len(), len(p.Input.Files))
	}
	if len(p.Input.Side) != 1 || p.Input.Side[0] != (plan.SideFile{Name: "tokenizer.json", Size: 2}) {
		t.Errorf("side files %v", p.Input.Side)
	}
	for i := range p.Tensors {
		x := &p.Tensors[i]
		ref, ok := ck.Lookup(x.Name)
		if !ok || x.Op != plan.Copy || x.Group != i || x.DType != ref.Tensor.DType || x.Source.DType != x.DType || x.Bytes() != ref.Tensor.Bytes() || x.Source.Bytes() != x.Bytes() {
			t.Errorf("%+v", x)
		}
		if f := p.Input.Files[x.Source.File]; f.Name != ref.File.Name || x.Source.Offset != ref.Tensor.Begin || f.Data != ref.File.Header.DataOffset || f.Size != ref.File.Size || len(f.Header) != 64 {
			t.Errorf("%s: %+v in %+v", x.Name, x.Source, f)
		}
		if i > 0 {
			if y := &p.Tensors[i-1]; y.Source.File > x.Source.File || y.Source.File == x.Source.File && y.Source.Offset > x.Source.Offset {
				t.Errorf("%s after %s", x.Name, y.Name)
			}
		}
	}
}

// Rows list every tensor once, file by file; groups add up to the same.
func TestRowsAndGroups(t *testing.T) {
	p, err := convert.PlanQuantize(tiny(t), convert.QuantizeOptions{ShardSize: 200 << 10})
	if err != nil {
		t.Fatal(err)
	}
	rows := p.Rows()
	totals := p.Totals()
	var bytes int64
	seen := map[string]bool{}
	file := ""
	for _, r := range rows {
		bytes += r.Bytes
		if seen[r.Name] || r.File < file {
			t.Errorf("%s in %s after %s", r.Name, r.File, file)
		}
		seen[r.Name], file = true, r.File
		if r.DType == safetensors.F8E4M3.String() != (r.Op == plan.Quantize.String()) || r.Role == "" || (r.Why == "") != (r.Op == plan.Quantize.String()) {
			t.Errorf("%+v", r)
		}
	}
	if len(rows) != totals.Tensors || bytes != totals.Bytes {
		t.Errorf("%d rows of %d bytes, totals %+v", len(rows), bytes, totals)
	}
	var tensors int
	bytes = 0
	groups := p.Groups()
	found := false
	for _, g := range groups {
		tensors += g.Tensors
		bytes += g.Bytes
		if g.Pattern == "model.layers.*.mlp.experts.*.gate_proj.weight" {
			found = true
			if g.Tensors != 8 || g.Op != "quantize" || g.From != "BF16" || g.DType != "F8_E4M3" || g.Bytes != 8*72*136 {
				t.Errorf("%+v", g)
			}
		}
	}
	if tensors != totals.Tensors || bytes != totals.Bytes || !found || len(groups) >= len(rows)/2 {
		t.Errorf("%d groups of %d tensors, %d bytes, totals %+v", len(groups), tensors, bytes, totals)
	}
}
