package model

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

func parse(t testing.TB, text string) (*Config, error) {
	t.Helper()
	v, err := strictjson.Parse([]byte(text), strictjson.Options{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return ParseConfig(&v)
}

func TestConfigOldGeneration(t *testing.T) {
	c := testConfig(t, "old_generation")
	if !c.Has("q_lora_rank") || c.Has("head_dim") || c.Has("ep_size") {
		t.Error("Has")
	}
	c.has, c.levels = nil, nil
	want := &Config{
		ModelType: "deepseek_v3", Architectures: []string{"DeepseekV3ForCausalLM"}, DType: "bfloat16",
		HiddenSize: 7168, IntermediateSize: 18432, NumHiddenLayers: 61, VocabSize: 129280, MaxPositions: 163840,
		HiddenAct: "silu", RMSNormEps: 1e-6, BOS: []int{0}, EOS: []int{1},
		NumHeads: 128, NumKVHeads: 128, HeadDim: 56,
		QLoraRank: 1536, KVLoraRank: 512, QKNopeHeadDim: 128, QKRopeHeadDim: 64, VHeadDim: 128,
		NumExperts: 256, NumExpertsPerTok: 8, NumSharedExperts: 1, MoEIntermediateSize: 2048, NGroup: 8, TopKGroup: 4,
		FirstKDense: 3, MoELayerFreq: 1, NormTopKProb: true, ScoringFunc: "sigmoid", TopKMethod: "noaux_tc",
		RoutedScalingFactor: 2.5, NumMTPLayers: 1,
		Rope: Rope{
			Theta: 1e4, Type: "yarn", Factor: 40, OriginalMax: 4096, BetaFast: 32, BetaSlow: 1,
			MScale: 1, MScaleAll: 1,
		},
		Quant: &Quantization{Method: "fp8", Fmt: "e4m3", ActivationScheme: "dynamic", WeightBlockSize: []int{128, 128}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	for layer, sparse := range map[int]bool{0: false, 2: false, 3: true, 60: true, 61: true} {
		if c.HasExperts(layer) != sparse {
			t.Errorf("layer %d has experts: %v", layer, !sparse)
		}
	}
}

// TestConfigGoldens reads the newer generation.
func TestConfigGoldens(t *testing.T) {
	v3 := testConfig(t, "deepseek_v3")
	if r := v3.Rope; r.Theta != 10000 || r.Type != "yarn" || r.Factor != 4 || r.OriginalMax != 256 || !v3.RopeInterleave || v3.DType != "bfloat16" {
		t.Errorf("deepseek_v3: %+v", r)
	}
	if c := testConfig(t, "deepseek_v2_lite"); c.QLoraRank != 0 || c.Rope.MScale != 0.707 {
		t.Errorf("deepseek_v2_lite: %+v", c)
	}
	if c := testConfig(t, "deepseek_v32"); c.IndexHeads != 4 || c.IndexHeadDim != 32 || c.IndexTopK != 16 || c.HasExperts(0) || !c.HasExperts(1) {
		t.Errorf("deepseek_v32: %+v", c)
	}
	if c := testConfig(t, "gpt_oss"); !c.Rope.NoTruncate || c.LayerType(0) != "sliding_attention" || c.ExpertSize() != 64 || c.SwigluLimit != 7 {
		t.Errorf("gpt_oss: %+v", c)
	}
	if c := testConfig(t, "glm4_moe"); c.Rope.PartialRotaryFactor != 0.5 || !c.UseQKNorm || !c.AttentionBias || c.HeadDim != 32 {
		t.Errorf("glm4_moe: %+v", c)
	}
	if c := testConfig(t, "qwen2_moe"); c.SharedSize() != 56 || !c.QKVBias || c.HeadDim != 16 || !c.HasExperts(0) {
		t.Errorf("qwen2_moe: %+v", c)
	}
	if c := testConfig(t, "qwen3_next"); c.LayerType(3) != "full_attention" || c.LayerType(4) != "full_attention" || c.LayerType(2) != "linear_attention" {
		t.Errorf("qwen3_next: %+v", c)
	}
	if c := testConfig(t, "qwen3_5_moe"); c.Wrapper != "qwen3_5_moe" || c.ModelType != "qwen3_5_moe_text" || c.NumMTPLayers != 1 || c.HiddenSize != 64 {
		t.Errorf("qwen3_5_moe: %+v", c)
	}
	c := testConfig(t, "kimi_k25")
	if c.Quant == nil || c.Quant.Format != "pack-quantized" || len(c.Quant.Groups) != 1 || c.Quant.Groups[0].NumBits != 4 || c.Quant.Groups[0].GroupSize != 32 {
		t.Errorf("kimi_k25: %+v", c.Quant)
	}
}

func TestConfigForms(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ok         func(*Config) bool
	}{
		{"list of freq", `{"num_hidden_layers":3,"n_routed_experts":4,"moe_layer_freq":[0,1,1]}`, func(c *Config) bool { return !c.HasExperts(0) && c.HasExperts(1) }},
		{"sparse step", `{"num_hidden_layers":4,"num_experts":4,"decoder_sparse_step":2,"mlp_only_layers":[3]}`, func(c *Config) bool {
			return !c.HasExperts(0) && c.HasExperts(1) && !c.HasExperts(3) && c.HasExperts(4)
		}},
		{"interval", `{"num_hidden_layers":8,"full_attention_interval":4}`, func(c *Config) bool {
			return c.LayerType(2) == "linear_attention" && c.LayerType(3) == "full_attention"
		}},
		{"mtp modules without use", `{"num_mtp_modules":3}`, func(c *Config) bool { return c.NumMTPLayers == 0 }},
		{"mtp modules", `{"num_mtp_modules":3,"use_mtp":true}`, func(c *Config) bool { return c.NumMTPLayers == 3 }},
		{"eos list", `{"eos_token_id":[1,2],"bos_token_id":-1}`, func(c *Config) bool { return len(c.EOS) == 2 && c.BOS == nil }},
		{"nulls", `{"q_lora_rank":null,"rope_scaling":null,"quantization_config":null,"text_config":null}`, func(c *Config) bool { return c.QLoraRank == 0 && c.Quant == nil }},
		{"size by layer, all alike", `{"moe_intermediate_size":[8,8]}`, func(c *Config) bool { return c.MoEIntermediateSize == 8 }},
		{"integers as Python writes floats", `{"num_hidden_layers":4e1,"max_position_embeddings":131072.0,"sliding_window":-1.0}`, func(c *Config) bool {
			return c.NumHiddenLayers == 40 && c.MaxPositions == 131072 && c.SlidingWindow == 0
		}},
		{"size by layer", `{"moe_intermediate_size":[8,9],"rope_theta":[1.0,2.0]}`, func(c *Config) bool { return c.MoEIntermediateSize == 0 && c.Rope.Theta == 0 }},
		{"rope by layer type", `{"rope_parameters":{"full_attention":{"rope_theta":1e6,"rope_type":"default"},"sliding_attention":{"rope_theta":1e4}}}`, func(c *Config) bool {
			return c.Rope.Theta == 1e6 && c.RopeByType["sliding_attention"].Theta == 1e4
		}},
		{"theta of windows beside", `{"rope_theta":5e6,"swa_rope_theta":1e4,"partial_rotary_factor":0.5}`, func(c *Config) bool {
			s := c.RopeByType["sliding_attention"]
			return c.Rope.Theta == 5e6 && c.RopeByType["full_attention"].Theta == 5e6 && s.Theta == 1e4 && s.PartialRotaryFactor == 0.5
		}},
		{"blocks by letter", `{"model_type":"nemotron_h","hybrid_override_pattern":"M*E-","n_routed_experts":4}`, func(c *Config) bool {
			return c.NumHiddenLayers == 4 && strings.Join(c.BlockTypes, " ") == "mamba attention moe mlp" && c.HasExperts(2) && !c.HasExperts(3)
		}},
		{"blocks by word", `{"model_type":"nemotron_h","layers_block_type":["linear_attention","full_attention","moe"]}`, func(c *Config) bool {
			return c.NumHiddenLayers == 3 && strings.Join(c.BlockTypes, " ") == "mamba attention moe"
		}},
		{"delta attention of Kimi", `{"model_type":"kimi_linear","num_hidden_layers":4,"linear_attn_config":{"num_heads":2,"head_dim":8,"short_conv_kernel_size":4,"gate_lower_bound":-5.0,"full_attn_layers":[4],"kda_layers":[1,2,3]}}`, func(c *Config) bool {
			return c.LayerType(2) == "linear_attention" && c.LayerType(3) == "full_attention" && c.LinearKeyHeads == 2 && c.LinearValueHeadDim == 8 && c.LinearConvKernel == 4 && c.LinearLowerBound == -5
		}},
		{"windows by layer", `{"model_type":"mimo_v2_flash","num_hidden_layers":3,"hybrid_layer_pattern":[0,1,0],"num_attention_heads":8,"num_key_value_heads":2,"head_dim":6,"v_head_dim":4,"sliding_window_size":16}`, func(c *Config) bool {
			return c.KVHeadsOf(0) == 2 && c.KVHeadsOf(1) == 4 && c.ValueDimOf(1) == 4 && c.HeadDimOf(1) == 6 && c.SlidingWindow == 17 && c.SlidingSinks
		}},
		{"heads of all tokens", `{"model_type":"gemma4_text","num_hidden_layers":2,"layer_types":["sliding_attention","full_attention"],"head_dim":4,"num_key_value_heads":4,"attention_k_eq_v":true,"per_layer_config":{"1":{"head_dim":8,"num_key_value_heads":2}}}`, func(c *Config) bool {
			return c.HeadDimOf(0) == 4 && c.KVHeadsOf(0) == 4 && c.HeadDimOf(1) == 8 && c.KVHeadsOf(1) == 2
		}},
		{"heads of all tokens by default", `{"model_type":"gemma4_text","num_hidden_layers":1,"head_dim":4}`, func(c *Config) bool { return c.HeadDimOf(0) == 512 }},
		{"shared indexers by step", `{"num_hidden_layers":8,"index_topk_freq":4,"index_skip_topk_offset":3}`, func(c *Config) bool {
			var own []int
			for l := range 9 {
				if c.HasIndexer(l) {
					own = append(own, l)
				}
			}
			return reflect.DeepEqual(own, []int{0, 1, 2, 6, 8}) // as indexer_types of GLM-5.2 has it, and the MTP layer
		}},
		{"experts by interval", `{"num_hidden_layers":6,"moe_num_experts":4,"moe_layer_start_index":1,"moe_layer_end_index":4,"moe_layer_interval":1}`, func(c *Config) bool {
			return !c.HasExperts(0) && c.HasExperts(1) && c.HasExperts(4) && !c.HasExperts(5)
		}},
		{"experts to the end", `{"num_hidden_layers":6,"moe_num_experts":4,"moe_layer_end_index":-1}`, func(c *Config) bool { return c.HasExperts(5) }},
		{"experts of Llama 4", `{"model_type":"llama4_text","num_hidden_layers":4,"num_local_experts":4,"interleave_moe_layer_step":2,"intermediate_size":8,"intermediate_size_mlp":16}`, func(c *Config) bool {
			return !c.HasExperts(0) && c.HasExperts(1) && c.DenseSize(0) == 16 && c.SharedSize() == 8 && !c.RotatesAt(3) && c.RotatesAt(2)
		}},
		{"a sparse indexer", `{"model_type":"minimax_m3","num_hidden_layers":2,"sparse_attention_config":{"sparse_attention_freq":[0,1],"sparse_num_index_heads":4,"sparse_index_dim":8,"sparse_block_size":16,"sparse_topk_blocks":2,"sparse_local_block":1}}`, func(c *Config) bool {
			return c.LayerType(0) == "full_attention" && c.LayerType(1) == "minimax_m3_sparse" && c.IndexHeads == 4 && c.IndexHeadDim == 8 && c.IndexBlock == 16 && c.IndexBlocks == 2 && c.IndexLocalBlocks == 1
		}},
		{"the model around the text", `{"model_type":"kimi_k3","text_config":{"model_type":"kimi_linear"}}`, func(c *Config) bool { return Lookup(c).Name() == "kimi_k3" }},
		{"text part first", `{"hidden_size":1,"dtype":"bfloat16","text_config":{"hidden_size":2}}`, func(c *Config) bool { return c.HiddenSize == 2 && c.DType == "bfloat16" }},
		{"unknown keys", `{"x":-1,"y":{"hidden_size":"a"}}`, func(*Config) bool { return true }},
		{"ignore lists", `{"quantization_config":{"quant_method":"fp8","ignored_layers":["a"],"modules_to_not_convert":["b"],"group_size":-1}}`, func(c *Config) bool { return c.Quant.NotConverted[0] == "a" }},
	} {
		got, err := parse(t, c.text)
		if err != nil || !c.ok(got) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestConfigImpossible(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                       "an array",
		`null`:                     "null",
		`{"num_hidden_layers":-1}`: `"num_hidden_layers": -1 is not an integer from 0 to 10000`,
		`{"num_hidden_layers":1000000000000000000,"n_routed_experts":1000000000000000000}`: `"num_hidden_layers": 1000000000000000000`,
		`{"num_hidden_layers":10001}`:                                                 "10001",
		`{"num_hidden_layers":1e-2}`:                                                  "1e-2",
		`{"num_hidden_layers":2.5}`:                                                   "2.5",
		`{"num_hidden_layers":1e9}`:                                                   "1e9",
		`{"num_hidden_layers":"2"}`:                                                   `"num_hidden_layers": a string instead of an integer`,
		`{"num_hidden_layers":99999999999999999999999999999999999999999999}`:          `a number is not`,
		`{"n_routed_experts":100001}`:                                                 "100001",
		`{"num_experts":4,"num_local_experts":-4}`:                                    `"num_local_experts": -4`,
		`{"hidden_size":2147483649}`:                                                  "2147483649",
		`{"hidden_size":true}`:                                                        `true instead of an integer`,
		`{"hidden_size":{}}`:                                                          "an object",
		`{"moe_intermediate_size":[8,-1]}`:                                            "-1",
		`{"rope_theta":-1}`:                                                           `"rope_theta": -1`,
		`{"rope_theta":[[1]]}`:                                                        "an array",
		`{"rope_theta":1e999}`:                                                        "1e999",
		`{"rope_scaling":{"factor":-4}}`:                                              `"rope_scaling": "factor": -4`,
		`{"rope_scaling":[]}`:                                                         "an array instead of an object",
		`{"rope_parameters":{"full_attention":{"rope_theta":"x"}}}`:                   "rope_parameters.full_attention",
		`{"tie_word_embeddings":1}`:                                                   "true or false",
		`{"model_type":3}`:                                                            "instead of a string",
		`{"architectures":["a",3]}`:                                                   "element 1: 3 instead of a string",
		`{"layer_types":"full"}`:                                                      "instead of a list",
		`{"mlp_only_layers":["a"]}`:                                                   "instead of an integer",
		`{"text_config":[]}`:                                                          `"text_config": an array`,
		`{"text_config":{"hidden_size":-1}}`:                                          "-1",
		`{"n_routed_experts":4,"num_experts_per_tok":5}`:                              "5 chosen of 4 experts",
		`{"n_group":2,"topk_group":3}`:                                                "3 chosen of 2 groups",
		`{"model_type":"nemotron_h","hybrid_override_pattern":"MX"}`:                  `"layers_block_type": layer 1 is "X"`,
		`{"num_hidden_layers":3,"compress_ratios":[0,4]}`:                             `"compress_ratios": 2 values for 3 layers`,
		`{"num_hidden_layers":2,"indexer_types":["full"]}`:                            `"indexer_types": 1 values for 2 layers`,
		`{"num_hidden_layers":2,"num_attention_heads_per_layer":[4]}`:                 "1 values for 2 layers",
		`{"linear_attn_config":{"num_heads":-1}}`:                                     `"linear_attn_config": "num_heads": -1`,
		`{"block_configs":[{"ffn":{"ffn_mult":-1}}]}`:                                 `"block_configs": element 0: "ffn_mult": -1`,
		`{"per_layer_config":{"1":{"head_dim":-1}}}`:                                  `"per_layer_config": "1": "head_dim": -1`,
		`{"logit_scale":-1}`:                                                          `"logit_scale": -1`,
		`{"quantization_config":"fp8"}`:                                               "a string instead of an object",
		`{"quantization_config":{"weight_block_size":[128]}}`:                         "weight_block_size",
		`{"quantization_config":{"weight_block_size":[0,128]}}`:                       "weight_block_size",
		`{"quantization_config":{"quant_method":1}}`:                                  "instead of a string",
		`{"quantization_config":{"config_groups":{"g":{"weights":{"num_bits":-4}}}}}`: `"config_groups": "g": "num_bits": -4`,
	} {
		_, err := parse(t, text)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		c     Config
		name  string
		known bool
	}{
		{Config{ModelType: "deepseek_v3"}, "deepseek_v3", true},
		{Config{ModelType: "qwen3_5_moe_text", Wrapper: "qwen3_5_moe"}, "qwen3_5_moe", true},
		{Config{ModelType: "strange", Wrapper: "kimi_k25"}, "deepseek_v3", true},
		{Config{ModelType: "strange", Architectures: []string{"Other", "GptOssForCausalLM"}}, "gpt_oss", true},
		{Config{ModelType: "strange"}, "unknown", false},
		{Config{}, "unknown", false},
	} {
		if a := Lookup(&c.c); a.Name() != c.name || a.Known() != c.known {
			t.Errorf("%+v: %s, %v", c.c, a.Name(), a.Known())
		}
	}
}

// FuzzConfig: no config may panic, be refused without blame, or give numbers beyond
// the limits that loops rely on.
func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/config/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := strictjson.Parse(data, strictjson.Options{})
		if err != nil {
			return
		}
		c, err := ParseConfig(&v)
		if err != nil {
			if !errors.Is(err, invalid.Input) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q", err)
			}
			return
		}
		if c.NumHiddenLayers < 0 || c.NumHiddenLayers > maxLayers || c.NumExperts < 0 || c.NumExperts > maxExperts {
			t.Fatalf("%d layers, %d experts", c.NumHiddenLayers, c.NumExperts)
		}
		a := Lookup(c)
		x := a.Classify("model.layers.1.self_attn.q_proj.weight", 0, []int64{2, 2})
		a.ExpectedShape(x)
		c.HasExperts(0)
		c.LayerType(3)
	})
}

// FuzzClassify: any string is a name.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{
		"model.layers.3.mlp.experts.7.gate_proj.weight_scale_inv", "mtp.0.head.weight", "a..b", ".", "", "weight",
		"model.layers.1.mlp.experts.gate_up_proj_scales", "model.model.visual", "layers.999999.x", "mtp.layers", "scale",
	} {
		f.Add(s)
	}
	archs := []*Arch{Lookup(nil)}
	for i := range families {
		archs = append(archs, Lookup(&Config{ModelType: families[i].types[0], NumHiddenLayers: 2, HiddenSize: 2, NumExperts: 2}))
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, a := range archs {
			for _, shape := range [][]int64{nil, {2}, {2, 2}, {2, 2, 2}} {
				c := a.Classify(name, 15, shape)
				if c.Quantize != (c.Why == "") || c.Quantize && !c.Role.Linear() || c.Role >= numRoles {
					t.Fatalf("%q: %+v", name, c)
				}
				a.ExpectedShape(c)
			}
		}
	})
}
