package serving_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/serving"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/formats/synth"
)

// notes plans the quantization of a checkpoint of holes with these matrices.
func notes(t *testing.T, config string, o convert.QuantizeOptions, shapes map[string][]int64) []serving.Note {
	t.Helper()
	var list []safetensors.Tensor
	for name, s := range shapes {
		list = append(list, safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: s})
	}
	return planned(t, config, o, list).Notes()
}

// planned plans the quantization of a checkpoint of holes.
func planned(t *testing.T, config string, o convert.QuantizeOptions, list []safetensors.Tensor) *serving.Folder {
	t.Helper()
	c := folder(t, config, list)
	p, err := convert.PlanQuantize(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return serving.Planned(p, c)
}

// folder makes a checkpoint of holes.
func folder(t *testing.T, config string, list []safetensors.Tensor) *hf.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	h, raw, err := safetensors.NewHeader(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"model.safetensors": raw, "config.json": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), h.DataOffset+h.Tensors[len(h.Tensors)-1].End); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// find returns the note of an engine and severity.
func find(list []serving.Note, engine string, s serving.Severity) *serving.Note {
	for i := range list {
		if list[i].Engine == engine && list[i].Severity == s {
			return &list[i]
		}
	}
	return nil
}

const (
	llama    = `{"model_type": "llama"}`
	deepseek = `{"model_type": "deepseek_v3"}`
	down     = "model.layers.0.mlp.down_proj.weight"
	gate     = "model.layers.0.mlp.gate_proj.weight"
	up       = "model.layers.0.mlp.up_proj.weight"
	kvA      = "model.layers.0.self_attn.kv_a_proj_with_mqa.weight"
	qA       = "model.layers.0.self_attn.q_a_proj.weight"
)

// What transformers 5.23 does with ragged matrices, as it was measured: 576 rows
// (5 scale rows) raise, 448 and 144 rows are read with tiles of 112 and 72.
func TestTransformersTiles(t *testing.T) {
	for _, x := range []struct {
		rows, cols      int64
		refuse, misread bool
	}{
		{rows: 576, cols: 1024, refuse: true},
		{rows: 448, cols: 1024, misread: true},
		{rows: 144, cols: 1024, misread: true},
		{rows: 1024, cols: 448, misread: true},
		{rows: 1024, cols: 576, refuse: true},
		{rows: 1024, cols: 1024},
		{rows: 80, cols: 96}, // one tile: rows÷1 is right
	} {
		list := notes(t, llama, convert.QuantizeOptions{}, map[string][]int64{down: {x.rows, x.cols}})
		if got := find(list, "transformers without a GPU", serving.Refuses) != nil; got != x.refuse {
			t.Errorf("%d×%d: refuses %v, want %v", x.rows, x.cols, got, x.refuse)
		}
		if got := find(list, "transformers without a GPU", serving.Misreads) != nil; got != x.misread {
			t.Errorf("%d×%d: misreads %v, want %v", x.rows, x.cols, got, x.misread)
		}
	}
}

// --ragged keep takes the reason away, partners included.
func TestRaggedKeep(t *testing.T) {
	shapes := map[string][]int64{kvA: {576, 7168}, qA: {1536, 7168}, gate: {448, 1024}, up: {448, 1024}, down: {1024, 512}}
	list := notes(t, deepseek, convert.QuantizeOptions{KeepRagged: true}, shapes)
	for _, n := range list {
		if n.Severity == serving.Refuses || n.Severity == serving.Misreads {
			t.Errorf("%s %s: %s (%s)", n.Engine, n.Severity, n.Text, n.Example)
		}
	}
	if len(list) == 0 {
		t.Error("down_proj should still be quantized, with notes")
	}
}

// Of a merged matrix only the last part may be ragged: q_a + kv_a of DeepSeek-V3
// (1536 + 576 rows) is fine, gate + up with 448 rows each is not.
func TestRaggedMerge(t *testing.T) {
	list := notes(t, deepseek, convert.QuantizeOptions{}, map[string][]int64{kvA: {576, 7168}, qA: {1536, 7168}})
	if n := find(list, "vLLM, SGLang", serving.Refuses); n != nil {
		t.Errorf("q_a + kv_a: %+v", n)
	}
	list = notes(t, llama, convert.QuantizeOptions{}, map[string][]int64{gate: {448, 1024}, up: {448, 1024}})
	if n := find(list, "vLLM, SGLang", serving.Refuses); n == nil || n.Tensors != 1 || !strings.Contains(n.Example, "gate_proj") || !strings.Contains(n.Remedy, "--ragged keep") {
		t.Errorf("gate + up: %+v", n)
	}
}

// MiniMax-M2's experts of 1536 divide by 128 up to 4 ranks (1536/8 = 192).
func TestTensorParallel(t *testing.T) {
	list := notes(t, llama, convert.QuantizeOptions{}, map[string][]int64{gate: {1536, 3072}, up: {1536, 3072}, down: {3072, 1536}})
	if n := find(list, "vLLM, SGLang", serving.Limits); n == nil || !strings.Contains(n.Text, "at most 4") {
		t.Errorf("%+v", n)
	}
}

// The released DeepSeek-V3 shape: one ragged tensor a layer, served up to 16
// ranks, as the published checkpoint is.
func TestReleasedV3(t *testing.T) {
	v := synth.Released()
	shapes := map[string][]int64{}
	for _, x := range v.Tensors() {
		if strings.HasPrefix(x.Name, "model.layers.0.") || strings.HasPrefix(x.Name, "model.layers.3.") {
			shapes[x.Name] = x.Shape
		}
	}
	list := notes(t, deepseek, convert.QuantizeOptions{}, shapes)
	if n := find(list, "transformers without a GPU", serving.Refuses); n == nil || n.Tensors != 2 || !strings.Contains(n.Example, "kv_a_proj_with_mqa.weight [576 7168]") {
		t.Errorf("%+v", n)
	}
	if n := find(list, "vLLM, SGLang", serving.Limits); n == nil || !strings.Contains(n.Text, "at most 16") {
		t.Errorf("%+v", n)
	}
	if find(list, "vLLM on Blackwell", serving.Informs) == nil {
		t.Error("nothing about the second rounding on Blackwell")
	}
	list = notes(t, deepseek, convert.QuantizeOptions{UE8M0: true}, shapes)
	if find(list, "vLLM on Blackwell", serving.Informs) != nil {
		t.Error("powers of two are not rounded again")
	}
}

func TestNothingQuantized(t *testing.T) {
	c := folder(t, llama, []safetensors.Tensor{{Name: "model.norm.weight", DType: safetensors.BF16, Shape: []int64{8}}})
	if list := serving.AtHand(c).Notes(); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

// Scales of FP8 input that are powers of two stay what they are, so Blackwell's
// second rounding changes nothing; float scales it rounds, also where only some are.
func TestBlackwellTakenOver(t *testing.T) {
	quant := func(more string) string {
		return `{"model_type": "llama", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]` + more + `}}`
	}
	codes := func(name string, d safetensors.DType) []safetensors.Tensor {
		scale := map[safetensors.DType]string{safetensors.F8E8M0: "scale", safetensors.U8: "weight_scale"}[d]
		if scale == "" {
			scale = "weight_scale_inv"
		}
		return []safetensors.Tensor{
			{Name: name, DType: safetensors.F8E4M3, Shape: []int64{256, 256}},
			{Name: strings.TrimSuffix(name, "weight") + scale, DType: d, Shape: []int64{2, 2}},
		}
	}
	plain := []safetensors.Tensor{{Name: down, DType: safetensors.BF16, Shape: []int64{256, 256}}}
	for what, x := range map[string]struct {
		config  string
		o       convert.QuantizeOptions
		tensors [][]safetensors.Tensor
		rounds  bool
	}{
		"float scales":             {quant(""), convert.QuantizeOptions{}, [][]safetensors.Tensor{codes(down, safetensors.F32)}, true},
		"E8M0":                     {quant(""), convert.QuantizeOptions{}, [][]safetensors.Tensor{codes(down, safetensors.F8E8M0)}, false},
		"E8M0 in U8":               {quant(""), convert.QuantizeOptions{}, [][]safetensors.Tensor{codes(down, safetensors.U8)}, false},
		"declared":                 {quant(`, "scale_fmt": "ue8m0"`), convert.QuantizeOptions{}, [][]safetensors.Tensor{codes(down, safetensors.F32)}, false},
		"some of each":             {quant(""), convert.QuantizeOptions{}, [][]safetensors.Tensor{codes(gate, safetensors.F8E8M0), codes(up, safetensors.F32)}, true},
		"a float one beside them":  {quant(""), convert.QuantizeOptions{}, [][]safetensors.Tensor{codes(gate, safetensors.F8E8M0), codes(up, safetensors.F8E8M0), plain}, true},
		"a power of two beside it": {quant(""), convert.QuantizeOptions{UE8M0: true}, [][]safetensors.Tensor{codes(gate, safetensors.F8E8M0), codes(up, safetensors.F8E8M0), plain}, false},
		"rounded anew":             {quant(""), convert.QuantizeOptions{Requantize: true}, [][]safetensors.Tensor{codes(down, safetensors.F8E8M0)}, true},
		"rounded anew to powers":   {quant(""), convert.QuantizeOptions{Requantize: true, UE8M0: true}, [][]safetensors.Tensor{codes(down, safetensors.F32)}, false},
	} {
		var list []safetensors.Tensor
		for _, l := range x.tensors {
			list = append(list, l...)
		}
		c := folder(t, x.config, list)
		p, err := convert.PlanQuantize(c, x.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := find(serving.Planned(p, c).Notes(), "vLLM on Blackwell", serving.Informs) != nil; got != x.rounds {
			t.Errorf("%s: rounds again %v, want %v", what, got, x.rounds)
		}
		if got := strings.Contains(p.Config, `"scale_fmt": "ue8m0"`); got == x.rounds {
			t.Errorf("%s: the config says powers of two: %v", what, got)
		}
	}
}

// everywhere is a calibration in which each module has met 448 at most.
type everywhere struct{}

func (everywhere) Count(string) int64                       { return 1 }
func (everywhere) Channels(string) int                      { return 256 }
func (everywhere) InputAmax(string) (float32, bool)         { return 448, true }
func (everywhere) MeanSquares(string) ([]float32, bool)     { return nil, false }
func (everywhere) CacheAmax(_, kind string) (float32, bool) { return 448, kind != "kv_latent" }
func (everywhere) Identity() string                         { return "" }
func (everywhere) Digest() [32]byte                         { return [32]byte{} }

func identify(*hf.Checkpoint) (string, error) { return "", nil }

// Fixed scales of activations, and what is kept of keys and values, concern engines.
func TestActivationScales(t *testing.T) {
	shapes := map[string][]int64{down: {256, 256}, "model.layers.0.self_attn.o_proj.weight": {256, 256}}
	for _, x := range []struct {
		o                         convert.QuantizeOptions
		refuses, misreads, caches bool
	}{
		{convert.QuantizeOptions{}, false, false, false},
		{convert.QuantizeOptions{StaticActivations: true, Calibration: everywhere{}, Identify: identify}, true, true, false},
		{convert.QuantizeOptions{CacheScales: true, Calibration: everywhere{}, Identify: identify}, false, false, true},
	} {
		list := notes(t, llama, x.o, shapes)
		if got := find(list, "vLLM, SGLang", serving.Refuses) != nil; got != x.refuses {
			t.Errorf("%+v: vLLM and SGLang refuse: %v", x.o, got)
		}
		if got := find(list, "transformers on a GPU", serving.Misreads) != nil; got != x.misreads {
			t.Errorf("%+v: transformers misreads: %v", x.o, got)
		}
		if got := find(list, "vLLM, SGLang", serving.Informs) != nil; got != x.caches {
			t.Errorf("%+v: a word on caches: %v", x.o, got)
		}
	}
}
