package runner

import "maps"

// Qwen's models with linear attention, and those that see. (Sources: modeling files of
// qwen3_next, qwen3_5, qwen3_5_moe, qwen3_vl and qwen3_vl_moe in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"qwen3_next": {
			mixers: hybrid, norms: rootMeanPlus, biases: qkvo, biasField: "attention_bias", headNorm: always, router: softmaxTopK,
			mtp: qwenMTP, computes: join(hybridFields, sparseSteps, partialRotation), judges: outputGate,
		},
		"qwen3_5_moe": {
			mixers: hybrid, norms: rootMeanPlus, biases: qkvo, biasField: "attention_bias", headNorm: always, router: softmaxTopK, normalized: true,
			mtp: qwenMTP, computes: join(hybridFields, partialRotation), judges: outputGate,
		},
		"qwen3_5": {
			mixers: hybrid, norms: rootMeanPlus, biases: qkvo, biasField: "attention_bias", headNorm: always,
			mtp: qwenMTP, computes: join(hybridFields, partialRotation), judges: outputGate,
		},
		"qwen3_vl": {mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", headNorm: always},
		"qwen3_vl_moe": {
			mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", headNorm: always, router: softmaxTopK, normalized: true,
			computes: sparseSteps,
		},
	})
}

var (
	hybrid = mixers{"linear_attention": newDelta, "full_attention": newGated}
	// hybridFields are read by formats/model; the state is float32 whatever
	// mamba_ssm_dtype says, and the layer of multi-token prediction has an embedding of its
	// own where the checkpoint has.
	hybridFields = set(`
		full_attention_interval linear_conv_kernel_dim linear_key_head_dim linear_num_key_heads linear_num_value_heads linear_value_head_dim
		mamba_ssm_dtype mtp_use_dedicated_embeddings
	`)
	outputGate = map[string]func(v value) bool{"attn_output_gate": value.on}
)

// qwenMTP lays out multi-token prediction as Qwen stores it, under "mtp.".
func qwenMTP(s *site) (*mtp, error) {
	return s.joined("pre_fc_norm_embedding", "pre_fc_norm_hidden")
}

// join is a set of all that are in some sets.
func join(sets ...map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}
