package card_test

import (
	"strings"
	"testing"

	"quern/convert/card"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/scheme"
)

// sample is a plan of a matrix in codes with its scale, and a vector that is kept.
func sample() (*plan.Plan, *manifest.Manifest) {
	view := plan.View{Name: "w", DType: safetensors.BF16, Shape: []int64{128, 128}}
	p := &plan.Plan{
		Tool: "quern 0.1.0", Command: "quantize", Config: `{"architectures": ["Some` + "`|" + `ForCausalLM"]}`, Calibration: "ab12", Card: true,
		Options: []plan.Option{{Name: "keep", Value: "*.0.* it's"}, {Name: "kv-scales", Value: "true"}, {Name: "requantize", Value: "false"}, {Name: "role", Value: "attention=fp8 shared=keep"}, {Name: "shard-size", Value: "5000000000"}, {Name: "to", Value: "nvfp4"}},
		Tensors: []plan.Tensor{
			{Name: "w", DType: safetensors.F8E4M3, Shape: []int64{128, 128}, Op: plan.Quantize, Source: view},
			{Name: "w_scale_inv", DType: safetensors.F32, Shape: []int64{1, 1}, Op: plan.ScaleOf, Source: view, Meta: model.Tensor{Role: model.Scale}},
			{Name: "v", DType: safetensors.BF16, Shape: []int64{128}, Op: plan.Copy, Source: plan.View{Name: "v", DType: safetensors.BF16, Shape: []int64{128}}, Group: 1},
		},
	}
	db := 31.4159
	return p, &manifest.Manifest{Tensors: []manifest.Tensor{{Name: "w", Error: &manifest.Error{SQNR: &db}}}}
}

// The source's front matter stays on top, quern's card follows, and then the source's:
// which comes back when quern's is taken out, byte for byte.
func TestRender(t *testing.T) {
	p, m := sample()
	for source, front := range map[string]string{
		"":                                "",
		"# A model\n\nIt is good.\n":      "",
		"---\nlicense: mit\n---\n# A\n":   "---\nlicense: mit\n---\n",
		"---\nlicense: mit\n---\n\n# A":   "---\nlicense: mit\n---\n",
		"\n\n# A":                         "",
		"---\nno end of the front matter": "",
	} {
		got := string(card.New(p, []byte(source)).Render(m))
		rest := source[len(front):]
		if !strings.HasPrefix(got, front+"<!-- card by quern") || !strings.HasSuffix(got, rest) {
			t.Errorf("%q becomes %q", source, got)
		}
		if back := string(card.Without([]byte(got))); back != source {
			t.Errorf("%q comes back as %q", source, back)
		}
		if again := string(card.New(p, []byte(got)).Render(m)); again != got {
			t.Errorf("a card of a card: %q", again)
		}
		for _, want := range []string{
			"# Quantized: " + scheme.BlockFP8.Name + "\n",
			"Some??ForCausalLM (16,512 parameters",
			`quern quantize --keep '*.0.*' --keep 'it'\''s' --kv-scales --role attention=fp8 --role shared=keep --to nvfp4 --calibration FILE IN OUT`,
			"| fp8, with a scale for each tile of 128×128 | 1 | 16.4 kB | 31.42 dB | 31.42 dB | `w` |",
			"digest `ab12`",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	}
	if raw := "no card of quern's"; string(card.Without([]byte(raw))) != raw {
		t.Error("a card without one is changed")
	}
}
