package runner

import (
	"maps"
	"slices"

	"quern/internal/strictjson"
)

// MiniMax-M3. (Source: modeling file of minimax_m3_vl in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"minimax_m3": {
			mixers: mixers{"full_attention": newGrouped, m3Sparse: newBlockSparse}, norms: rootMeanPlus, headNorm: always,
			router: sigmoidBiasShare, shifted: true, computes: m3Fields, judges: m3Judges,
		},
	})
}

const m3Sparse = "minimax_m3_sparse"

// m3Fields are read by formats/model, or say how images become tokens. Of rotary_dim
// transformers takes no notice.
var m3Fields = set(`
	dense_intermediate_size index_n_heads index_head_dim index_block_size index_topk_blocks index_local_blocks
	swiglu_alpha swiglu_limit partial_rotary_factor rotary_dim first_k_dense_replace
	image_grid_pinpoints image_seq_length img_token_compression_config multimodal_projector_bias num_reward_heads process_image_mode
	projector_hidden_act projector_hidden_size video_token_index vision_feature_layer vision_feature_select_strategy
`)

var m3Judges = map[string]func(v value) bool{
	"hidden_act":              func(v value) bool { s, _ := v.Str(); return s == "silu" || s == "swigluoai" },
	"qk_norm_type":            func(v value) bool { s, _ := v.Str(); return s == "per_head" },
	"use_qk_norm":             value.on,
	"use_gemma_norm":          value.on,
	"attention_output_gate":   value.off,
	"n_group":                 func(v value) bool { return v.off() || v.one() },
	"topk_group":              func(v value) bool { return v.off() || v.one() },
	"sparse_attention_config": sparseConfig,
}

// sparseConfig judges what a release says of its sparse layers beside the sizes, which
// formats/model reads: scores are the largest, no block is taken for being the first, and
// there are no values of the indexer's own.
func sparseConfig(v value) bool {
	sizes := []string{"sparse_attention_freq", "sparse_block_size", "sparse_topk_blocks", "sparse_local_block", "sparse_num_index_heads", "sparse_index_dim"}
	for i := range v.Members {
		m := value{v.fam, v.cfg, &v.Members[i].Value}
		switch key := v.Members[i].Key; {
		case slices.Contains(sizes, key), m.Kind == strictjson.KindNull:
		case key == "use_sparse_attention" && m.on(), key == "sparse_init_block" && m.off():
		case key == "sparse_score_type":
			if s, _ := m.Str(); s != "max" {
				return false
			}
		case key == "sparse_disable_index_value":
			for l := range m.Elems {
				if n, _ := m.Elems[l].Int64(); n != 1 && v.cfg.LayerType(l) == m3Sparse {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}
