package runner_test

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/runner/golden"

	"quern/formats/hf"
	"quern/runner"
)

// Where scores of keys tie, what a row sees depends on how much of the text is known. Of a
// prompt all is: run in one piece or several, it ends as an evaluation of it does. A token
// behind it is run as the last one of the text so far, alone or among others.
func TestKnownText(t *testing.T) {
	for _, name := range []string{"deepseek_v32", "glm_moe_dsa", "glm_moe_dsa_shared", "deepseek_v4", "deepseek_v4_types", "minimax_m3_sparse", "hy_v4_indexed"} {
		t.Run(name, func(t *testing.T) {
			m := open(t, "testdata/models/"+name)
			r := rand.New(rand.NewPCG(11, 12))
			ids := text(r, m, 80)
			for _, n := range []int{1, 7, 8, 9, 11, 12, 13, 15, 16, 17, 31, 32, 33, 64, 79} {
				last := func(ids []int) []float64 {
					all := evaluated(t, m, [][]int{ids}, runner.Options{})[0]
					return all[len(all)-m.Vocab():]
				}
				g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{NoMTP: true})
				if err != nil {
					t.Fatal(err)
				}
				got, err := g.Prefill(ids[:n])
				if err != nil {
					t.Fatal(err)
				}
				want := last(ids[:n])
				if d := maxDiff(t, got, want); !(d <= 1e-5*max(1, deviation(want))) {
					t.Errorf("a prompt of %d tokens differs by %.3g", n, d)
				}
			}
		})
	}
}

// A prompt of more tokens than are run at once ends as an evaluation of it does.
func TestLongPrompt(t *testing.T) {
	for _, name := range []string{"deepseek_v32", "deepseek_v4", "minimax_m3"} {
		m := open(t, "testdata/models/"+name)
		ids := text(rand.New(rand.NewPCG(13, 14)), m, 530)
		all := evaluated(t, m, [][]int{ids}, runner.Options{})[0]
		want := all[len(all)-m.Vocab():]
		got, err := fresh(t, m, ids[:1]).Prefill(ids[1:])
		if err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(t, got, want); !(d <= 2e-5*max(1, deviation(want))) {
			t.Errorf("%s: differs by %.3g", name, d)
		}
	}
}

// A layer that takes the keys of an earlier one cannot be gone on with from hidden states
// alone; from the others an evaluation ends as one that was not cut.
func TestResumeShared(t *testing.T) {
	m := open(t, "testdata/models/glm_moe_dsa_shared")
	r := rand.New(rand.NewPCG(15, 16))
	texts := [][]int{text(r, m, 40), text(r, m, 3), text(r, m, 21)}
	var states [][]float32
	whole, err := m.Evaluate(context.Background(), texts, runner.Options{Hooks: &runner.Hooks{Done: func(_ int, x *runner.Rows) error {
		states = append(states, rows(t, x))
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	for layer, can := range []bool{true, false, true, false, false, true} {
		if m.Resumable(layer) != can {
			t.Errorf("layer %d can be resumed at: %v", layer, !can)
		}
		if layer == 0 {
			continue
		}
		ev, err := m.Evaluate(context.Background(), texts, runner.Options{Resume: &runner.Resume{Layer: layer, Hidden: func(first int, x []float32) error {
			copy(x, states[layer-1][first*m.Width():])
			return nil
		}}})
		if (err == nil) != can {
			t.Errorf("resumed at layer %d: %v", layer, err)
		}
		if err == nil && !slices.Equal(rows(t, ev.Hidden), rows(t, whole.Hidden)) {
			t.Errorf("resumed at layer %d: other states", layer)
		}
		ev.Close()
	}
}

// What lies between a layer and the one that takes what it left cannot be gone on at either.
func TestResumable(t *testing.T) {
	for name, want := range map[string][]bool{
		"deepseek_v32": {true, true, true, true, true},
		"hy_v4":        {true, true, false, false, true},
	} {
		m := open(t, "testdata/models/"+name)
		for layer, can := range want {
			if m.Resumable(layer) != can {
				t.Errorf("%s: layer %d can be resumed at: %v", name, layer, !can)
			}
		}
	}
	// Layers of another kind between the two, and latents of other layers.
	for _, name := range []string{"glm5_next_shared", "mistral_large4_shared"} {
		m, some := open(t, "testdata/models/"+name), false
		for layer := range m.Layers() {
			some = some || !m.Resumable(layer)
		}
		if !some || !m.Resumable(0) || !m.Resumable(m.Layers()) {
			t.Errorf("%s: which layers can be resumed at?", name)
		}
	}
}

// edited is a checkpoint of testdata with other fields in its config; nil takes one away.
func edited(t *testing.T, name string, fields map[string]any) (*runner.Model, error) {
	t.Helper()
	src, dir := golden.Folder(t, "testdata/models/"+name), t.TempDir()
	files, err := filepath.Glob(src + "/model*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		abs, err := filepath.Abs(f)
		if err == nil {
			err = os.Symlink(abs, filepath.Join(dir, filepath.Base(f)))
		}
		if err != nil {
			t.Skip(err)
		}
	}
	raw, err := os.ReadFile(src + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	maps.Copy(config, fields)
	if raw, err = json.Marshal(config); err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(dir)
	if err != nil {
		return nil, err
	}
	m, err := runner.Open(c, nil)
	if err == nil {
		t.Cleanup(m.Close)
	}
	return m, err
}

type fields map[string]any

// What a config says that makes another model is named, and so is what is not there.
func TestSparseConfigs(t *testing.T) {
	four := func(s string) []string { return []string{s, s, s, s} }
	for _, x := range []struct {
		model  string
		fields fields
		words  string
	}{
		{"deepseek_v32", fields{"layer_types": four("mystery_attention")}, "mystery_attention"},
		{"deepseek_v32", fields{"index_topk": 0}, "chooses 0 keys"},
		{"deepseek_v32", fields{"index_head_dim": 4}, "shape"},
		{"deepseek_v32", fields{"indexer_rope_interleave": true}, `"indexer_rope_interleave" is true`},
		{"deepseek_v32", fields{"scoring_func": "softmax"}, `"scoring_func"`},
		{"deepseek_v32", fields{"swiglu_limit": 7.0}, `"swiglu_limit"`},
		{"glm_moe_dsa", fields{"indexer_rope_interleave": false}, `"indexer_rope_interleave" is false`},
		{"glm_moe_dsa", fields{"indexer_types": []string{"full", "full", "half", "full"}}, `"indexer_types"`},
		{"glm_moe_dsa", fields{"indexer_types": []string{"full"}}, `"indexer_types": 1 values for 4 layers`},
		{"glm_moe_dsa", fields{"indexer_types": []string{"shared", "full", "full", "full"}}, "layer 0"},
		{"glm_moe_dsa", fields{"indexer_types": []string{"full", "shared", "full", "full"}}, `layers.1.self_attn.indexer`},
		{"glm_moe_dsa_shared", fields{"indexer_types": []string{"full", "full", "full", "full", "full"}}, `layers.1.self_attn.indexer`},
		{"deepseek_v4", fields{"compress_ratios": []int{0, 16, 4, 16}}, `"compress_ratios": 4 values for 5 layers`},
		{"deepseek_v4", fields{"compress_ratios": []int{0, 16, 4, 16, 4, 0, 0}}, `"compress_ratios": 7 values for 5 layers`},
		{"deepseek_v4", fields{"compress_ratios": []int{0, 16, 4, 16, 0}}, `layers.4.attn.`},
		{"deepseek_v4", fields{"compress_ratios": []int{0, 16, 4, 8, 4}}, "shape"},
		{"deepseek_v4", fields{"scoring_func": "sigmoid"}, `"scoring_func"`},
		{"deepseek_v4", fields{"n_group": 4, "topk_group": 2}, `_group"`},
		{"deepseek_v4", fields{"hc_mult": 2}, "shape"},
		{"deepseek_v4", fields{"hidden_act": "gelu"}, `"hidden_act"`},
		{"deepseek_v4", fields{"norm_topk_prob": false}, `"norm_topk_prob"`},
		{"deepseek_v4", fields{"num_hash_layers": 2}, "tid2eid"},
		{"deepseek_v4", fields{"o_groups": 3}, ""},
		{"deepseek_v4", fields{"sliding_window": 0}, "window of 0"},
		{"deepseek_v4_types", fields{"layer_types": four("full_attention")}, `"layer_types": layer 0 is of type "full_attention"`},
		{"deepseek_v4_types", fields{"mlp_layer_types": four("dense")}, `"mlp_layer_types": layer 0 is of type "dense"`},
		{"deepseek_v4_types", fields{"compress_rates": map[string]int{"compressed_sparse_attention": 0}}, `"compress_rates": 0 tokens`},
		{"longcat_flash", fields{"zero_expert_type": "copy"}, `"zero_expert_type"`},
		{"longcat_flash", fields{"zero_expert_num": 3}, "shape"},
		{"longcat_flash", fields{"mla_scale_q_lora": false}, `"mla_scale_q_lora"`},
		{"longcat_flash", fields{"norm_topk_prob": true}, `"norm_topk_prob"`},
		{"mistral4", fields{"scoring_func": "sigmoid"}, `"scoring_func"`},
		{"minimax_m3_sparse", fields{"layer_types": []string{"full_attention", "minimax_m3_sparse", "lightning", "full_attention"}}, "lightning"},
		{"minimax_m3_sparse", fields{"index_topk_blocks": 0}, "chooses 0 blocks"},
		{"minimax_m3_sparse", fields{"index_local_blocks": 4}, "4 of them the last"},
		{"minimax_m3_sparse", fields{"index_n_heads": 3}, ""},
		{"minimax_m3_sparse", fields{"sparse_attention_config": map[string]any{"sparse_score_type": "mean"}}, `"sparse_attention_config"`},
		{"minimax_m3_sparse", fields{"use_gemma_norm": false}, `"use_gemma_norm"`},
		{"minimax_m3", fields{"layer_types": four("minimax_m3_sparse")}, "index"},
		{"hy_v4", fields{"rope_interleave": true}, `"rope_interleave"`},
		{"hy_v4", fields{"hc_sinkhorn_iters": 20}, `"hc_sinkhorn_iters"`},
	} {
		_, err := edited(t, x.model, x.fields)
		if !blames(err, x.words) {
			t.Errorf("%s with %v: %v", x.model, x.fields, err)
		}
	}
}

// Configs in other words are the same models.
func TestSpellings(t *testing.T) {
	types := []string{"sliding_attention", "heavily_compressed_attention", "compressed_sparse_attention", "heavily_compressed_attention", "compressed_sparse_attention"}
	for name, f := range map[string]map[string]fields{
		"deepseek_v4": {
			"rates":     {"compress_ratios": nil, "layer_types": types, "compress_rates": map[string]int{"compressed_sparse_attention": 4, "heavily_compressed_attention": 16}},
			"two rates": {"compress_ratios": nil, "layer_types": types, "compress_rate_csa": 4, "compress_rate_hca": 16},
			"ropes": {"rope_scaling": nil, "qk_rope_head_dim": nil, "partial_rotary_factor": 0.25, "rope_parameters": map[string]any{
				"main":     map[string]any{"rope_type": "default", "rope_theta": 10000.0},
				"compress": map[string]any{"rope_type": "yarn", "rope_theta": 160000.0, "factor": 16, "original_max_position_embeddings": 64, "beta_fast": 32, "beta_slow": 1, "attention_factor": 1.0},
			}},
			"hashes": {"num_hash_layers": nil, "mlp_layer_types": []string{"hash_moe", "moe", "moe", "moe", "moe"}},
			"mtp":    {"compress_ratios": []int{0, 16, 4, 16, 4, 0}},
		},
		"glm_moe_dsa_shared": {"pattern": {"indexer_types": nil, "index_topk_pattern": "FSFSS"}},
		"deepseek_v32":       {"types": {"layer_types": []string{"deepseek_sparse_attention", "deepseek_sparse_attention", "deepseek_sparse_attention", "deepseek_sparse_attention"}}},
		"glm_moe_dsa":        {"plain": {"indexer_types": nil, "layer_types": nil, "mlp_layer_types": nil, "indexer_rope_interleave": true}},
		"longcat_flash":      {"attentions": {"num_hidden_layers": 4}},
		"minimax_m3_sparse": {"release": {
			"layer_types": nil, "index_block_size": nil, "index_head_dim": nil, "index_local_blocks": nil, "index_n_heads": nil, "index_topk_blocks": nil, "hidden_act": "swigluoai",
			"sparse_attention_config": map[string]any{
				"sparse_attention_freq": []int{0, 1, 1, 1}, "sparse_block_size": 4, "sparse_topk_blocks": 3, "sparse_local_block": 1, "sparse_num_index_heads": 2, "sparse_index_dim": 16,
				"sparse_disable_index_value": []int{0, 1, 1, 1}, "sparse_init_block": 0, "sparse_score_type": "max", "use_sparse_attention": true,
			},
		}},
		"hy_v4": {"plain": {"layer_types": nil, "mlp_layer_types": nil}},
	} {
		ref := readReference(t, "testdata/models/"+name+"/reference.safetensors")
		for what, fields := range f {
			m, err := edited(t, name, fields)
			if err != nil {
				t.Errorf("%s: %s: %v", name, what, err)
				continue
			}
			if r := strings.Join(m.Remarks(), "; "); strings.Contains(r, "nobody") {
				t.Errorf("%s: %s: %s", name, what, r)
			}
			got := evaluated(t, m, [][]int{ref.ids()}, runner.Options{})[0]
			d := 0.0
			for i, v := range ref["logits"] {
				d = max(d, math.Abs(v-got[i]))
			}
			if !(d <= 2e-4*max(1, deviation(ref["logits"]))) {
				t.Errorf("%s: %s: logits differ by %.3g", name, what, d)
			}
		}
	}
}
