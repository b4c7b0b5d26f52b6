package convert_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
	"quern/scheme"
)

// writers/NAME.safetensors are what torch makes of the experts by the rules of the
// formats: MXFP8 equal to ModelOpt's bytes, MXFP4 to torchao's EVEN, INT4 and FP8 by
// channel to compressed-tensors' on float32 weights.
func TestWritersEqual(t *testing.T) {
	source := open(t, filepath.Join("testdata", "writers", "bf16"))
	seven := group.Range7
	for name, o := range map[string]convert.QuantizeOptions{
		"fp8-channel": {Scheme: scheme.ChannelFP8},
		"mxfp8":       {Scheme: scheme.MXFP8},
		"mxfp4":       {Scheme: scheme.MXFP4},
		"int4":        {Scheme: scheme.INT4},
		"int4-range7": {Scheme: scheme.INT4, Range: &seven},
	} {
		t.Run(name, func(t *testing.T) {
			got := quantize(t, source.Dir, o)
			want := open(t, filepath.Join("testdata", "writers", name+".safetensors"))
			for r := range want.All() {
				name := r.Tensor.Name
				g, ok := got.Lookup(name)
				switch {
				case !ok:
					t.Errorf("%s is missing", name)
				case g.Tensor.DType != r.Tensor.DType || !slices.Equal(g.Tensor.Shape, r.Tensor.Shape):
					t.Errorf("%s: %s %v, want %s %v", name, g.Tensor.DType, g.Tensor.Shape, r.Tensor.DType, r.Tensor.Shape)
				case !bytes.Equal(data(t, got, name), data(t, want, name)):
					t.Errorf("%s differs", name)
				}
			}
			for r := range source.All() {
				name := r.Tensor.Name
				keeps := name == "model.norm.weight" || o.Scheme.Experts && !strings.Contains(name, ".experts.")
				g, ok := got.Lookup(name)
				if same := ok && g.Tensor.DType == safetensors.BF16 && bytes.Equal(data(t, got, name), data(t, source, name)); same != keeps {
					t.Errorf("%s is kept: %v", name, same)
				}
			}
			back := toBF16(t, got.Dir)
			if !slices.Equal(names(back), names(source)) {
				t.Errorf("back: %v", names(back))
			}
			// Values of codes with the range 7 give these codes again, those of others need not.
			again := quantize(t, back.Dir, o)
			if name == "int4-range7" {
				for _, x := range names(got) {
					if !bytes.Equal(data(t, again, x), data(t, got, x)) {
						t.Errorf("%s: the values give other codes", x)
					}
				}
			}
		})
	}
}

// Weights that were INT4 with the range 7 are recognised as such, others not, and a
// range that is asked for is taken.
func TestRangeIsChosen(t *testing.T) {
	source := filepath.Join("testdata", "writers", "bf16")
	seven, half := group.Range7, group.Range7Half
	first := quantize(t, source, convert.QuantizeOptions{Scheme: scheme.INT4, Range: &seven})
	back := toBF16(t, first.Dir)
	again := quantize(t, back.Dir, convert.QuantizeOptions{Scheme: scheme.INT4})
	for _, name := range names(first) {
		if !bytes.Equal(data(t, again, name), data(t, first, name)) {
			t.Errorf("%s did not come back", name)
		}
	}
	for _, c := range []struct {
		dir  string
		asks *group.Range
		want string
	}{{source, nil, "7.5"}, {back.Dir, nil, "7"}, {back.Dir, &half, "7.5"}, {source, &seven, "7"}} {
		p := mustPlan(t, open(t, c.dir), convert.QuantizeOptions{Scheme: scheme.INT4, Range: c.asks})
		if i := slices.IndexFunc(p.Options, func(o plan.Option) bool { return o.Name == "int4-range" }); i < 0 || p.Options[i].Value != c.want {
			t.Errorf("%s: %v", c.want, p.Options)
		}
	}
	zeros := checkpoint(t, `{"model_type": "qwen3_moe"}`, floatItem("model.layers.0.mlp.experts.0.down_proj.weight", safetensors.BF16, make([]float32, 8*64), 8, 64))
	p := mustPlan(t, open(t, zeros), convert.QuantizeOptions{Scheme: scheme.INT4})
	if slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "range") }) {
		t.Errorf("zeros are on every grid: %v", p.Notes)
	}
}

// What config.json says of each scheme in its containers, the list of what is kept aside.
func TestWritersConfig(t *testing.T) {
	in := open(t, filepath.Join("testdata", "writers", "bf16"))
	for _, c := range []struct {
		s    *scheme.Scheme
		c    *container.Container
		want string
	}{
		{scheme.ChannelFP8, nil, `{"config_groups": {"group_0": {"format": "float-quantized",
			"input_activations": {"block_structure": null, "dynamic": true, "group_size": null, "num_bits": 8, "scale_dtype": null, "strategy": "token", "symmetric": true, "type": "float"},
			"output_activations": null, "targets": ["Linear"],
			"weights": {"block_structure": null, "dynamic": false, "group_size": null, "num_bits": 8, "scale_dtype": null, "strategy": "channel", "symmetric": true, "type": "float"}}},
			"format": "float-quantized", "kv_cache_scheme": null, "quant_method": "compressed-tensors", "quantization_status": "compressed"}`},
		{scheme.INT4, nil, `{"config_groups": {"group_0": {"format": "pack-quantized", "input_activations": null, "output_activations": null, "targets": ["Linear"],
			"weights": {"block_structure": null, "dynamic": false, "group_size": 32, "num_bits": 4, "scale_dtype": null, "strategy": "group", "symmetric": true, "type": "int"}}},
			"format": "pack-quantized", "kv_cache_scheme": null, "quant_method": "compressed-tensors", "quantization_status": "compressed"}`},
		{scheme.MXFP4, nil, `{"config_groups": {"group_0": {"format": "mxfp4-pack-quantized", "input_activations": null, "output_activations": null, "targets": ["Linear"],
			"weights": {"block_structure": null, "dynamic": false, "group_size": 32, "num_bits": 4, "scale_dtype": "torch.uint8", "strategy": "group", "symmetric": true, "type": "float"}}},
			"format": "mxfp4-pack-quantized", "kv_cache_scheme": null, "quant_method": "compressed-tensors", "quantization_status": "compressed"}`},
		{scheme.MXFP8, container.CompressedTensors, `{"config_groups": {"group_0": {"format": "mxfp8-quantized",
			"input_activations": {"block_structure": null, "dynamic": true, "group_size": 32, "num_bits": 8, "scale_dtype": "torch.uint8", "strategy": "group", "symmetric": true, "type": "float"},
			"output_activations": null, "targets": ["Linear"],
			"weights": {"block_structure": null, "dynamic": false, "group_size": 32, "num_bits": 8, "scale_dtype": "torch.uint8", "strategy": "group", "symmetric": true, "type": "float"}}},
			"format": "mxfp8-quantized", "kv_cache_scheme": null, "quant_method": "compressed-tensors", "quantization_status": "compressed"}`},
		{scheme.MXFP8, nil, `{"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "mxfp8", "scale_fmt": "ue8m0", "weight_block_size": [1, 32]}`},
	} {
		p := mustPlan(t, in, convert.QuantizeOptions{Scheme: c.s, Container: c.c})
		var config struct {
			Quant map[string]any `json:"quantization_config"`
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(p.Config), &config); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		for _, list := range []string{"ignore", "ignored_layers", "modules_to_not_convert"} {
			if entries, ok := config.Quant[list].([]any); ok {
				if kept := slices.Contains(entries, any("model.layers.2.self_attn.q_proj")); kept != c.s.Experts {
					t.Errorf("%s: q_proj is listed: %v", c.s.Name, kept)
				}
			}
			delete(config.Quant, list)
		}
		if !reflect.DeepEqual(config.Quant, want) {
			t.Errorf("%s: %v", c.s.Name, config.Quant)
		}
	}
}

// What cannot be written so is refused before anything is made.
func TestWritersRefuse(t *testing.T) {
	const config, name = `{"model_type": "qwen3_moe"}`, "model.layers.0.mlp.experts.0.down_proj.weight"
	odd := checkpoint(t, config, floatItem(name, safetensors.BF16, make([]float32, 8*48), 8, 48))
	for _, s := range []*scheme.Scheme{scheme.MXFP8, scheme.MXFP4, scheme.INT4} {
		if _, err := convert.PlanQuantize(open(t, odd), convert.QuantizeOptions{Scheme: s}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "48 columns") || !strings.Contains(err.Error(), "--keep") {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	mustPlan(t, open(t, odd), convert.QuantizeOptions{Scheme: scheme.ChannelFP8})
	for _, o := range []convert.QuantizeOptions{
		{Scheme: scheme.MXFP4, Search: fp8.SearchMSE},
		{Scheme: scheme.MXFP8, MXScale: group.ScaleCeil},
		{Scheme: scheme.ChannelFP8, UE8M0: true},
		{Scheme: scheme.INT4, Container: container.MXFP8},
		{Scheme: scheme.INT4, Container: container.ModelOpt},
	} {
		var usage *convert.UsageError
		if _, err := convert.PlanQuantize(open(t, odd), o); !errors.As(err, &usage) {
			t.Errorf("%s: %v", o.Scheme.Name, err)
		}
	}
	for _, s := range []*scheme.Scheme{scheme.ChannelFP8, scheme.MXFP8, scheme.MXFP4, scheme.INT4} {
		values := make([]float32, 8*64)
		values[77] = float32(math.Inf(-1))
		bad := open(t, checkpoint(t, config, floatItem(name, safetensors.BF16, values, 8, 64)))
		p := mustPlan(t, bad, convert.QuantizeOptions{Scheme: s})
		if _, err := convert.Run(t.Context(), bad, p, filepath.Join(t.TempDir(), "out"), convert.RunOptions{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "row 1, column 13") {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// A search for INT4's scales never has a tensor worse than the plain rule, and one that
// is weighted goes by the calibration.
func TestINT4Search(t *testing.T) {
	c := open(t, filepath.Join("testdata", "writers", "bf16"))
	_, plain := made(t, c, convert.QuantizeOptions{Scheme: scheme.INT4})
	_, best := made(t, c, convert.QuantizeOptions{Scheme: scheme.INT4, Search: fp8.SearchMSE})
	better := 0
	for i := range plain.Tensors {
		a, b := plain.Tensors[i].Error, best.Tensors[i].Error
		switch {
		case a == nil && b == nil || a.SQNR == nil:
		case b.SQNR != nil && *b.SQNR < *a.SQNR:
			t.Errorf("%s: %v dB, without a search %v", plain.Tensors[i].Name, *b.SQNR, *a.SQNR)
		case b.SQNR == nil || *b.SQNR > *a.SQNR:
			better++
		}
	}
	if better == 0 {
		t.Error("nothing is better")
	}
	o := with(measure(c))
	o.Scheme, o.Search = scheme.INT4, fp8.SearchWeighted
	var usage *convert.UsageError
	if _, err := convert.PlanQuantize(c, o); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--act-scales static") {
		t.Errorf("%v", err)
	}
	o.StaticActivations, o.CacheScales = false, false
	_, weighted := made(t, c, o)
	differ := false
	for i := range best.Tensors {
		differ = differ || weighted.Tensors[i].BLAKE3 != best.Tensors[i].BLAKE3
		if b, w := best.Tensors[i].Error, weighted.Tensors[i].Error; b != nil && b.SQNR != nil && w.SQNR != nil && *w.SQNR > *b.SQNR {
			t.Errorf("%s: a weighted search has the smaller plain error", best.Tensors[i].Name)
		}
	}
	if !differ {
		t.Error("weights make no difference")
	}
}
