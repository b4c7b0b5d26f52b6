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
	"quern/internal/synth"
)

// notes plans the quantization of a checkpoint of holes with these matrices.
func notes(t *testing.T, config string, o convert.QuantizeOptions, shapes map[string][]int64) []serving.Note {
	t.Helper()
	dir := t.TempDir()
	var list []safetensors.Tensor
	for name, s := range shapes {
		list = append(list, safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: s})
	}
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
	p, err := convert.PlanQuantize(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return serving.Notes(p, c.Arch().Name())
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
		if got := find(list, "transformers 5.23", serving.Refuses) != nil; got != x.refuse {
			t.Errorf("%d×%d: refuses %v, want %v", x.rows, x.cols, got, x.refuse)
		}
		if got := find(list, "transformers 5.23", serving.Misreads) != nil; got != x.misread {
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
	if n := find(list, "vLLM", serving.Limits); n == nil || !strings.Contains(n.Text, "at most 4") {
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
	if n := find(list, "transformers 5.23", serving.Refuses); n == nil || n.Tensors != 2 || !strings.Contains(n.Example, "kv_a_proj_with_mqa.weight [576 7168]") {
		t.Errorf("%+v", n)
	}
	if n := find(list, "vLLM", serving.Limits); n == nil || !strings.Contains(n.Text, "at most 16") {
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
	if list := notes(t, llama, convert.QuantizeOptions{}, map[string][]int64{"model.norm.weight": {8}}); len(list) != 0 {
		t.Errorf("%v", list)
	}
}
