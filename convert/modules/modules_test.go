package modules_test

import (
	"slices"
	"strings"
	"testing"

	"quern/convert/modules"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/strictjson"
)

// of lists the modules of tensors; those in codes have FP8 codes.
func of(t *testing.T, config string, codes []string, names ...string) *modules.List {
	t.Helper()
	v, err := strictjson.Parse([]byte(config), strictjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.ParseConfig(&v)
	if err != nil {
		t.Fatal(err)
	}
	a, p := model.Lookup(c), &plan.Plan{}
	for _, n := range names {
		d := safetensors.BF16
		if slices.Contains(codes, n) {
			d = safetensors.F8E4M3
		}
		p.Tensors = append(p.Tensors, plan.Tensor{Name: n, DType: d, Shape: []int64{128, 128}, Meta: a.Classify(n, d, []int64{128, 128})})
	}
	l := modules.Of(p, c)
	if notes := l.Check(); len(notes) > 0 {
		t.Errorf("%v", notes)
	}
	return l
}

// SGLang asks for the draft layer's linears by another name; what is no linear it
// does not ask for, and what has codes must not be listed.
func TestDraftLayer(t *testing.T) {
	const config = `{"model_type": "deepseek_v3", "num_hidden_layers": 2, "num_nextn_predict_layers": 1}`
	const o, down, gate, eh = "model.layers.2.self_attn.o_proj.weight", "model.layers.2.mlp.experts.0.down_proj.weight", "model.layers.2.mlp.gate.weight", "model.layers.2.eh_proj.weight"
	all := []string{o, down, gate, eh, "model.layers.1.self_attn.o_proj.weight"}
	got := of(t, config, []string{down}, all...).Entries()
	want := []string{"model.decoder.self_attn.o_proj", "model.layers.1.self_attn.o_proj", "model.layers.2.eh_proj", "model.layers.2.mlp.gate", "model.layers.2.self_attn.o_proj"}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	got = of(t, config, []string{o, down}, all...).Entries()
	if slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "decoder") }) {
		t.Errorf("%v", got)
	}
	// Under a wrapper the names keep what stands before them.
	got = of(t, config, nil, "language_model.model.layers.2.mlp.experts.7.up_proj.weight").Entries()
	if !slices.Contains(got, "language_model.model.decoder.mlp.experts.7.up_proj") {
		t.Errorf("%v", got)
	}
	// Qwen's draft layer has a name of its own, and one name could not tell two apart.
	if got := of(t, `{"model_type": "qwen3_next", "num_hidden_layers": 2, "num_nextn_predict_layers": 1}`, nil, "mtp.layers.0.mlp.down_proj.weight").Entries(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	two := strings.Replace(config, `layers": 1`, `layers": 2`, 1)
	if got := of(t, two, []string{o}, o, "model.layers.3.self_attn.o_proj.weight").Entries(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// A head that has no weight of its own is a module all the same.
func TestTiedHead(t *testing.T) {
	const tied = `{"model_type": "qwen3", "tie_word_embeddings": true}`
	for _, x := range []struct {
		config string
		names  []string
		want   string
	}{
		{tied, []string{"model.embed_tokens.weight"}, "lm_head model.embed_tokens"},
		{tied, []string{"model.language_model.embed_tokens.weight"}, "lm_head model.language_model.embed_tokens"},
		{tied, []string{"language_model.model.embed_tokens.weight"}, "language_model.lm_head language_model.model.embed_tokens"},
		{tied, []string{"model.embed_tokens.weight", "lm_head.weight"}, "lm_head model.embed_tokens"},
		{`{"model_type": "qwen3"}`, []string{"model.embed_tokens.weight"}, "model.embed_tokens"},
	} {
		if got := strings.Join(of(t, x.config, nil, x.names...).Entries(), " "); got != x.want {
			t.Errorf("%s %v: %s", x.config, x.names, got)
		}
	}
}
