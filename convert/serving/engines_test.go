package serving_test

import (
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/serving"
	"quern/formats/safetensors"
)

const fp8 = `"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic", "modules_to_not_convert": [`

// coded is a weight in block FP8 with its scales, as a folder has it.
func coded(name string, rows, cols int64) []safetensors.Tensor {
	return []safetensors.Tensor{
		{Name: name, DType: safetensors.F8E4M3, Shape: []int64{rows, cols}},
		{Name: name + "_scale_inv", DType: safetensors.F32, Shape: []int64{(rows + 127) / 128, (cols + 127) / 128}},
	}
}

func bf16(name string, shape ...int64) []safetensors.Tensor {
	return []safetensors.Tensor{{Name: name, DType: safetensors.BF16, Shape: shape}}
}

func scalar(name string) []safetensors.Tensor {
	return []safetensors.Tensor{{Name: name, DType: safetensors.F32}}
}

func atHand(t *testing.T, config string, tensors ...[]safetensors.Tensor) *serving.Folder {
	t.Helper()
	return serving.AtHand(folder(t, config, slices.Concat(tensors...)))
}

// says reports whether an engine has a note of a severity with these words.
func says(list []serving.Note, e serving.Engine, s serving.Severity, words string) bool {
	return slices.ContainsFunc(list, func(n serving.Note) bool {
		return slices.Contains(n.Names, e) && n.Severity == s && strings.Contains(n.String(), words)
	})
}

// A folder is judged as it is: BF16 has no tiles, and what --ragged keep has made is
// not refused for what quantize would do to it.
func TestAtHand(t *testing.T) {
	for what, f := range map[string]*serving.Folder{
		"BF16": atHand(t, llama, bf16(gate, 448, 1024), bf16(up, 448, 1024), bf16(down, 1024, 448)),
		"ragged kept": atHand(t, `{"model_type": "llama", `+fp8+`"model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"]}}`,
			bf16(gate, 448, 1024), bf16(up, 448, 1024), coded(down, 1024, 512)),
	} {
		for _, n := range f.Notes() {
			if n.Severity == serving.Refuses && !slices.Contains(n.Names, serving.MLX) || n.Severity == serving.Misreads {
				t.Errorf("%s: %s %s", what, n.Engine, n.String())
			}
		}
	}
	ragged := atHand(t, `{"model_type": "llama", `+fp8+`]}}`, coded(gate, 448, 1024), coded(up, 448, 1024), coded(down, 1024, 448))
	if !says(ragged.Notes(), serving.VLLM, serving.Refuses, "gate_proj") || !says(ragged.Notes(), serving.Transformers, serving.Misreads, "tiles of rows") {
		t.Error("a ragged folder at hand is judged, too")
	}
}

// The cost of a remedy is what the command would add.
func TestRemedyCost(t *testing.T) {
	shapes := map[string][]int64{kvA: {576, 7168}, qA: {1536, 7168}, gate: {256, 1024}, up: {256, 1024}, down: {1024, 256}}
	size := func(o convert.QuantizeOptions) (n int64) {
		var list []safetensors.Tensor
		for name, s := range shapes {
			list = append(list, safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: s})
		}
		p, err := convert.PlanQuantize(folder(t, deepseek, list), o)
		if err != nil {
			t.Fatal(err)
		}
		return p.Totals().Bytes
	}
	n := find(notes(t, deepseek, convert.QuantizeOptions{}, shapes), "transformers without a GPU", serving.Refuses)
	if want := size(convert.QuantizeOptions{KeepRagged: true}) - size(convert.QuantizeOptions{}); n == nil || n.Cost != want || !strings.Contains(n.String(), "(+15.1 MB)") {
		t.Errorf("%+v, want %d bytes", n, want)
	}
	// The same of a folder at hand, and of BF16 for MLX.
	f := atHand(t, `{"model_type": "glm4_moe", `+fp8+`]}}`, coded(gate, 256, 1024), coded(up, 256, 1024), coded(down, 1024, 256))
	if n := find(f.Notes(), "MLX", serving.Refuses); n == nil || n.Cost != 3*(256*1024-4*16) {
		t.Errorf("%+v", n)
	}
}

// What clients did with quern's folders.
func TestClients(t *testing.T) {
	config := func(kind, more string, kept ...string) string {
		list := ""
		if len(kept) > 0 {
			list = `"` + strings.Join(kept, `", "`) + `"`
		}
		return `{"model_type": "` + kind + `", ` + more + fp8 + list + `]}}`
	}
	const (
		expert = "model.layers.0.mlp.experts.3."
		latent = `"kv_lora_rank": 512, `
		draft  = "model.layers.2.self_attn.o_proj"
	)
	mla := `"num_hidden_layers": 2, "num_nextn_predict_layers": 1, ` + latent
	for _, x := range []struct {
		what     string
		f        *serving.Folder
		engine   serving.Engine
		severity serving.Severity
		words    string
		not      bool
	}{
		{"MLX reads V3", atHand(t, config("deepseek_v3", latent), coded(down, 128, 128)), serving.MLX, serving.Refuses, "classes", true},
		{"and Kimi-K2", atHand(t, config("kimi_k2", latent), coded(down, 128, 128)), serving.MLX, serving.Refuses, "classes", true},
		{"and V3.2", atHand(t, config("deepseek_v32", latent), coded(down, 128, 128)), serving.MLX, serving.Refuses, "classes", true},
		{"and MiniMax", atHand(t, config("minimax_m2", ""), coded(down, 128, 128)), serving.MLX, serving.Refuses, "classes", true},
		{"and no other", atHand(t, config("glm4_moe", ""), coded(down, 128, 128)), serving.MLX, serving.Refuses, "convert --to bf16", false},
		{"MLX drops layer 61 only", atHand(t, config("deepseek_v3", mla), bf16(draft+".weight", 128, 128), coded(down, 128, 128)), serving.MLX, serving.Refuses, "layer 61", false},
		{"also of BF16", atHand(t, `{"model_type": "deepseek_v3", "num_hidden_layers": 2, "num_nextn_predict_layers": 1}`, bf16(draft+".weight", 128, 128)), serving.MLX, serving.Refuses, draft, false},
		{"which is that of V3", atHand(t, `{"model_type": "deepseek_v3", "num_hidden_layers": 61, "num_nextn_predict_layers": 1}`, bf16("model.layers.61.self_attn.o_proj.weight", 128, 128)), serving.MLX, serving.Refuses, "", true},
		{"V3.2 drops what lies behind", atHand(t, config("deepseek_v32", mla), bf16(draft+".weight", 128, 128), coded(down, 128, 128)), serving.MLX, serving.Informs, "drops", false},

		{"vLLM and latent cache scales", atHand(t, config("deepseek_v3", latent), coded(down, 128, 128), scalar("model.layers.0.self_attn.k_proj.k_scale")), serving.VLLM, serving.Misreads, "takes 1", false},
		{"SGLang takes them", atHand(t, config("deepseek_v3", latent), coded(down, 128, 128), scalar("model.layers.0.self_attn.k_proj.k_scale")), serving.SGLang, serving.Misreads, "", true},
		{"vLLM takes others", atHand(t, config("llama", ""), coded(down, 128, 128), scalar("model.layers.0.self_attn.k_proj.k_scale")), serving.VLLM, serving.Misreads, "", true},
		{"llama.cpp and cache scales", atHand(t, config("llama", ""), coded(down, 128, 128), scalar("model.layers.0.self_attn.k_proj.k_scale")), serving.LlamaCPP, serving.Refuses, "keys and values", false},
		{"MLX and cache scales", atHand(t, config("llama", ""), coded(down, 128, 128), scalar("model.layers.0.self_attn.k_proj.k_scale")), serving.MLX, serving.Refuses, "keys and values", false},
		{"llama.cpp and input scales", atHand(t, config("llama", ""), coded(down, 128, 128), scalar("model.layers.0.mlp.down_proj.input_scale")), serving.LlamaCPP, serving.Refuses, "activations", false},
		{"transformers and input scales", atHand(t, config("llama", ""), coded(down, 128, 128), scalar("model.layers.0.mlp.down_proj.input_scale")), serving.Transformers, serving.Misreads, "activation_scale", false},
		{"by the names that it wants", atHand(t, config("llama", ""), coded(down, 128, 128), scalar("model.layers.0.mlp.down_proj.activation_scale")), serving.Transformers, serving.Misreads, "activation_scale", true},

		{"joined experts, cut late", atHand(t, config("qwen3_moe", ""), coded(expert+"gate_proj.weight", 80, 128), coded(expert+"up_proj.weight", 80, 128)), serving.Transformers, serving.Misreads, "last scale of gate", false},
		{"joined experts, cut early", atHand(t, config("qwen3_moe", ""), coded(expert+"gate_proj.weight", 192, 128), coded(expert+"up_proj.weight", 192, 128)), serving.Transformers, serving.Refuses, "another shape", false},
		{"joined experts, whole", atHand(t, config("qwen3_moe", ""), coded(expert+"gate_proj.weight", 256, 128), coded(expert+"up_proj.weight", 256, 128)), serving.Transformers, serving.Misreads, "", true},

		{"SGLang's name for drafts", atHand(t, config("deepseek_v3", mla, draft), bf16(draft+".weight", 128, 128), coded(down, 128, 128)), serving.SGLang, serving.Misreads, "model.decoder.self_attn.o_proj", false},
		{"listed", atHand(t, config("deepseek_v3", mla, draft, "model.decoder.self_attn.o_proj"), bf16(draft+".weight", 128, 128), coded(down, 128, 128)), serving.SGLang, serving.Misreads, "", true},
		{"an emptied list", atHand(t, config("llama", ""), bf16(gate, 128, 128), coded(down, 128, 128)), serving.VLLM, serving.Misreads, "modules_to_not_convert", false},
		{"a list of parts", atHand(t, config("llama", "", "gate_proj"), bf16(gate, 128, 128), coded(down, 128, 128)), serving.VLLM, serving.Misreads, "gate_proj", false},
		{"which transformers matches", atHand(t, config("llama", "", "gate_proj"), bf16(gate, 128, 128), coded(down, 128, 128)), serving.Transformers, serving.Misreads, "", true},
		{"a layer too many", atHand(t, config("llama", "", "model.layers.1"), coded("model.layers.12.mlp.down_proj.weight", 128, 128)), serving.Transformers, serving.Misreads, "layers.12", false},
		{"experts by their block", atHand(t, config("qwen3_moe", "", "model.layers.0.mlp.experts"), bf16(expert+"up_proj.weight", 128, 128), coded(down, 128, 128)), serving.VLLM, serving.Misreads, "", true},
		{"a tied head", atHand(t, config("llama", `"tie_word_embeddings": true, `, "model.embed_tokens"), bf16("model.embed_tokens.weight", 64, 128), coded(down, 128, 128)), serving.Transformers, serving.Informs, "lm_head", false},
		{"listed", atHand(t, config("llama", `"tie_word_embeddings": true, `, "model.embed_tokens", "lm_head"), bf16("model.embed_tokens.weight", 64, 128), coded(down, 128, 128)), serving.Transformers, serving.Informs, "lm_head", true},

		{"TensorRT-LLM's tile", atHand(t, `{"model_type": "llama", "quantization_config": {"quant_method": "fp8", "weight_block_size": [32, 32]}}`, coded(down, 32, 32)), serving.TensorRT, serving.Refuses, "weight_block_size", false},
		{"its lack of INT4", atHand(t, `{"model_type": "llama", "quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 32}}}}}`, bf16(down, 32, 32)), serving.TensorRT, serving.Refuses, "INT4", false},
	} {
		if got := says(x.f.Notes(), x.engine, x.severity, x.words); got == x.not {
			t.Errorf("%s: %s %s %q is %v", x.what, x.engine, x.severity, x.words, got)
			for _, n := range x.f.Notes() {
				t.Logf("  %s %s %s", n.Engine, n.Severity, n.String())
			}
		}
	}
}

// What quern itself writes is misread by no reading of its list.
func TestOwnListIsRead(t *testing.T) {
	const config = `{"model_type": "deepseek_v3", "num_hidden_layers": 1, "num_nextn_predict_layers": 1, "tie_word_embeddings": true}`
	shapes := map[string][]int64{"model.embed_tokens.weight": {256, 256}}
	for _, l := range []string{"0", "1"} {
		for _, m := range []string{"self_attn.o_proj", "self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa", "mlp.experts.0.up_proj", "mlp.experts.0.gate_proj", "mlp.gate"} {
			shapes["model.layers."+l+"."+m+".weight"] = []int64{256, 256}
		}
	}
	for _, o := range []convert.QuantizeOptions{{}, {KeepMTP: true}, {Keep: []string{"model.layers.1.self_attn.o_proj"}}, {Keep: []string{"*q_a_proj"}}} {
		for _, n := range notes(t, config, o, shapes) {
			if n.Severity == serving.Misreads || strings.Contains(n.Text, "lm_head") {
				t.Errorf("%v: %s: %s", o, n.Engine, n.String())
			}
		}
	}
}

func TestTargets(t *testing.T) {
	got, err := serving.ParseTargets("vllm:tp=8,SGLang")
	if err != nil || len(got) != 2 || got[0].String() != "vllm:tp=8" || got[1].String() != "sglang" {
		t.Errorf("%v %v", got, err)
	}
	for _, s := range []string{"", "vlm", "vllm:8", "vllm:tp=0", "vllm:tp=x", "vllm,"} {
		if _, err := serving.ParseTargets(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if _, err := serving.ParseTargets("ollama"); !strings.Contains(err.Error(), "llama.cpp") {
		t.Errorf("%v names none", err)
	}
	// 1536 rows are shared by 4 ranks and by 6, not by 8.
	f := atHand(t, `{"model_type": "deepseek_v3", `+fp8+`]}}`, coded(gate, 1536, 128), coded(up, 1536, 128), coded(down, 128, 1536))
	for tp, objections := range map[int]int{1: 0, 4: 0, 6: 0, 8: 1} {
		if got := f.Against(serving.Target{Engine: serving.VLLM, TensorParallel: tp}); len(got) != objections {
			t.Errorf("%d ranks: %+v", tp, got)
		}
	}
}
