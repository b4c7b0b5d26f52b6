package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/scheme"
)

// testdata/writers/bf16 is a part of a random qwen3_moe checkpoint, with an expert that
// holds zero blocks, blocks 300 times larger and 1000 times smaller, and every tie.
// writers/nvfp4.safetensors is what ModelOpt 0.47 makes of its experts, gate and up
// sharing weight_scale_2, input_scale 1.
func TestNVFP4EqualsModelOpt(t *testing.T) {
	in := filepath.Join("testdata", "writers", "bf16")
	got := quantize(t, in, convert.QuantizeOptions{Scheme: scheme.NVFP4})
	want := open(t, filepath.Join("testdata", "writers", "nvfp4.safetensors"))
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
	source := open(t, in)
	for r := range source.All() { // nvfp4 alone means the routed experts
		if name := r.Tensor.Name; !strings.Contains(name, ".experts.") && !bytes.Equal(data(t, got, name), data(t, source, name)) {
			t.Errorf("%s was to be kept", name)
		}
	}

	// The way back has the source's tensors again, and quantizing it once more changes
	// no code of blocks whose largest weight was a code's value.
	back := toBF16(t, got.Dir)
	if !slices.Equal(names(back), names(source)) {
		t.Errorf("back: %v", names(back))
	}
	for r := range source.All() {
		b, _ := back.Lookup(r.Tensor.Name)
		if b.Tensor.DType != safetensors.BF16 || !slices.Equal(b.Tensor.Shape, r.Tensor.Shape) {
			t.Errorf("back: %s is %s %v", r.Tensor.Name, b.Tensor.DType, b.Tensor.Shape)
		}
	}
}

// Both files that say what is quantized say the same.
func TestModelOptConfig(t *testing.T) {
	in := filepath.Join("testdata", "writers", "bf16")
	for _, s := range []*scheme.Scheme{scheme.NVFP4, scheme.TensorFP8} {
		p, err := convert.PlanQuantize(open(t, in), convert.QuantizeOptions{Scheme: s})
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Quant struct {
				Method string   `json:"quant_method"`
				Algo   string   `json:"quant_algo"`
				Ignore []string `json:"ignore"`
			} `json:"quantization_config"`
		}
		var beside struct {
			Quant struct {
				Algo    string   `json:"quant_algo"`
				Cache   *string  `json:"kv_cache_quant_algo"`
				Exclude []string `json:"exclude_modules"`
			} `json:"quantization"`
		}
		if err := json.Unmarshal([]byte(p.Config), &config); err != nil {
			t.Fatal(err)
		}
		if len(p.Beside) != 1 || p.Beside[0].Name != "hf_quant_config.json" {
			t.Fatalf("%+v", p.Beside)
		}
		if err := json.Unmarshal([]byte(p.Beside[0].Data), &beside); err != nil {
			t.Fatal(err)
		}
		if config.Quant.Method != "modelopt" || config.Quant.Algo != beside.Quant.Algo || !slices.Equal(config.Quant.Ignore, beside.Quant.Exclude) || beside.Quant.Cache != nil {
			t.Errorf("%s: %+v, %+v", s.Name, config, beside)
		}
		kept := slices.Contains(config.Quant.Ignore, "model.layers.2.self_attn.q_proj")
		if kept != s.Experts {
			t.Errorf("%s: q_proj is kept: %v", s.Name, kept)
		}
	}
}

// FP8 by tensor is what its rule says, and engines' fused matrices share the scale.
func TestTensorFP8(t *testing.T) {
	in := filepath.Join("testdata", "writers", "bf16")
	got, source := quantize(t, in, convert.QuantizeOptions{Scheme: scheme.TensorFP8}), open(t, in)
	values := func(name string) []float32 {
		raw := data(t, source, name)
		w := make([]float32, len(raw)/2)
		fp8.ElemBF16.Decode(w, raw)
		return w
	}
	most := func(names ...string) (amax float32) {
		for _, n := range names {
			for _, x := range values(n) {
				amax = max(amax, max(x, -x))
			}
		}
		return amax
	}
	const attn, expert = "model.layers.2.self_attn.", "model.layers.2.mlp.experts.1."
	for _, set := range [][]string{
		{attn + "q_proj.weight", attn + "k_proj.weight", attn + "v_proj.weight"},
		{attn + "o_proj.weight"},
		{expert + "gate_proj.weight", expert + "up_proj.weight"},
		{expert + "down_proj.weight"},
	} {
		want := most(set...) / 448
		for _, name := range set {
			if s := scalar(t, got, name+"_scale"); s != want {
				t.Errorf("%s: scale %v, want %v", name, s, want)
			}
			codes := data(t, got, name)
			for i, w := range values(name) {
				if c := fp8.E4M3FromFloat32(w / want); codes[i] != c {
					t.Fatalf("%s: code %d is %#x, want %#x", name, i, codes[i], c)
				}
			}
		}
	}
	if s := scalar(t, got, expert+"down_proj.input_scale"); s != 1 {
		t.Errorf("input_scale %v", s)
	}
}

// What cannot be written so is refused before anything is made.
func TestSchemeRefuses(t *testing.T) {
	odd := checkpoint(t, `{"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]}`,
		floatItem("model.layers.0.mlp.experts.0.down_proj.weight", safetensors.BF16, make([]float32, 8*40), 8, 40))
	if _, err := convert.PlanQuantize(open(t, odd), convert.QuantizeOptions{Scheme: scheme.NVFP4}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "down_proj") || !strings.Contains(err.Error(), "--keep") {
		t.Errorf("columns: %v", err)
	}
	var usage *convert.UsageError
	in := open(t, filepath.Join("testdata", "writers", "bf16"))
	if _, err := convert.PlanQuantize(in, convert.QuantizeOptions{Scheme: scheme.NVFP4, Container: container.DeepSeek}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "modelopt") {
		t.Errorf("container: %v", err)
	}
	if _, err := convert.PlanQuantize(in, convert.QuantizeOptions{Scheme: scheme.TensorFP8, Search: fp8.SearchMSE}); !errors.As(err, &usage) {
		t.Errorf("a search that the scheme does not have: %v", err)
	}
	coded := quantize(t, in.Dir, convert.QuantizeOptions{})
	if _, err := convert.PlanQuantize(coded, convert.QuantizeOptions{Scheme: scheme.NVFP4}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "convert --to bf16") {
		t.Errorf("codes: %v", err)
	}
	// With --requantize codes are surveyed and coded by their values.
	p, err := convert.PlanQuantize(coded, convert.QuantizeOptions{Scheme: scheme.TensorFP8, Requantize: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := convert.Run(context.Background(), coded, p, filepath.Join(t.TempDir(), "out"), convert.RunOptions{}); err != nil {
		t.Error(err)
	}
}
