package plan_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// The parts of a fused tensor are views that cover it once, in order.
func TestExpertParts(t *testing.T) {
	for _, c := range []struct {
		part  string
		shape []int64
		names []string
	}{
		{"gate_up", []int64{2, 6, 5}, []string{"m.experts.0.gate_proj.weight", "m.experts.0.up_proj.weight", "m.experts.1.gate_proj.weight", "m.experts.1.up_proj.weight"}},
		{"down", []int64{3, 4, 5}, []string{"m.experts.0.down_proj.weight", "m.experts.1.down_proj.weight", "m.experts.2.down_proj.weight"}},
		{"gate_up", []int64{0, 6, 5}, nil},
	} {
		x := plan.Tensor{
			Name: "m.experts." + c.part + "_proj", DType: safetensors.BF16, Shape: c.shape, Op: plan.Copy,
			Source: plan.View{Name: "x", File: 2, DType: safetensors.BF16, Shape: c.shape, Offset: 1000},
			Meta:   model.Tensor{Role: model.RoutedExpert, Layer: 1, Expert: -1, Part: c.part, Module: "m.experts", Fused3D: true, Quantize: true},
		}
		parts, err := plan.ExpertParts(x)
		if err != nil || len(parts) != len(c.names) {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		next := x.Source.Offset
		for i := range parts {
			p := &parts[i]
			if p.Name != c.names[i] || p.Source.Offset != next || p.Source.Bytes() != p.Bytes() || p.Source.File != 2 || p.Source.Name != "x" || len(p.Shape) != 2 || p.Shape[1] != c.shape[2] {
				t.Errorf("%+v", p)
			}
			if want := i / (len(c.names) / int(c.shape[0])); p.Meta.Expert != want || p.Meta.Fused3D || !p.Meta.Quantize || (p.Meta.Fused == "") != (c.part == "down") {
				t.Errorf("%s: %+v", p.Name, p.Meta)
			}
			next += p.Bytes()
		}
		if next != x.Source.Offset+x.Bytes() {
			t.Errorf("the parts end at %d of %d", next, x.Source.Offset+x.Bytes())
		}
	}
	odd := plan.Tensor{Name: "x", DType: safetensors.BF16, Shape: []int64{2, 7, 5}, Meta: model.Tensor{Part: "gate_up"}}
	if _, err := plan.ExpertParts(odd); !errors.Is(err, invalid.Input) {
		t.Errorf("an odd number of rows: %v", err)
	}
}

// Every FP8 weight has one scale and every scale of a weight its weight.
func TestPairScales(t *testing.T) {
	weight := func(name string, d safetensors.DType) plan.Tensor {
		return plan.Tensor{Name: name, DType: d, Shape: []int64{2, 2}, Meta: model.Tensor{Role: model.Attention, Param: "weight"}}
	}
	scale := func(name, of, param string) plan.Tensor {
		return plan.Tensor{Name: name, DType: safetensors.F32, Shape: []int64{1}, Meta: model.Tensor{Role: model.Scale, ScaleOf: of, Param: param, Multiplies: param == "weight_scale_inv" || param == "weight_scale"}}
	}
	a, s := weight("a.weight", safetensors.F8E4M3), scale("a.weight_scale_inv", "a.weight", "weight_scale_inv")
	p := &plan.Plan{Tensors: []plan.Tensor{s, a, weight("b.weight", safetensors.BF16), scale("a.input_scale", "a.weight", "input_scale"), scale("b.weight_scale_inv", "b.weight", "weight_scale_inv")}}
	pairs, err := plan.PairScales(p)
	if err != nil || len(pairs) != 1 || p.Tensors[pairs["a.weight"]].Name != s.Name {
		t.Errorf("%v, %v", pairs, err)
	}
	for what, list := range map[string][]plan.Tensor{
		"no scale":         {a},
		"no weight":        {s},
		"two scales":       {a, s, scale("a.weight_scale", "a.weight", "weight_scale")},
		"an I8 weight":     {weight("a.weight", safetensors.I8), s},
		"a second level":   {a, s, scale("a.weight_scale_2", "a.weight", "weight_scale_2")},
		"only activations": {a, scale("a.input_scale", "a.weight", "input_scale")},
		"E5M2":             {weight("a.weight", safetensors.F8E5M2), s},
		"E4M3FNUZ":         {weight("a.weight", safetensors.F8E4M3FNUZ)},
	} {
		if _, err := plan.PairScales(&plan.Plan{Tensors: list}); !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The parts of a transposed tensor read, from any byte on, what turning the stored
// matrix round gives.
func TestExpertPartsTransposed(t *testing.T) {
	const experts, in, out = 3, 5, 8
	stored := make([]byte, 2*experts*in*out)
	for i := range experts * in * out {
		stored[2*i], stored[2*i+1] = byte(i), byte(i>>8)
	}
	for _, c := range []struct {
		part  string
		names int
	}{{"gate_up", 2}, {"down", 1}} {
		x := plan.Tensor{
			Name: "m.experts." + c.part + "_proj", DType: safetensors.BF16, Shape: []int64{experts, in, out}, Op: plan.Copy,
			Source: plan.View{Name: "x", DType: safetensors.BF16, Shape: []int64{experts, in, out}, Offset: 1000},
			Meta:   model.Tensor{Role: model.RoutedExpert, Part: c.part, Module: "m.experts", Fused3D: true, Transposed: true, Quantize: true},
		}
		parts, err := plan.ExpertParts(x)
		if err != nil || len(parts) != experts*c.names {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		for i := range parts {
			v := &parts[i].Source
			rows := int64(out / c.names)
			if !slices.Equal(v.Shape, []int64{rows, in}) || v.Bytes() != parts[i].Bytes() {
				t.Fatalf("%s: %v", parts[i].Name, v.Shape)
			}
			var want []byte
			for r := range rows {
				for k := range int64(in) {
					at := (int64(i/c.names)*in+k)*out + int64(i%c.names)*rows + r
					want = append(want, stored[2*at:2*at+2]...)
				}
			}
			for at := int64(0); at <= int64(len(want)); at += 2 {
				for end := at; end <= int64(len(want)); end += 2 {
					got := make([]byte, end-at)
					if err := v.Read(got, at, func(p []byte, off int64) error { copy(p, stored[off-1000:]); return nil }); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want[at:end]) {
						t.Fatalf("%s: bytes %d to %d are %v, want %v", parts[i].Name, at, end, got, want[at:end])
					}
				}
			}
		}
	}
}
