package runner

// Qwen3.8-Flash-Next. (Source: modeling file of qwen4_exp in transformers 5.24.0.)
func init() {
	families["qwen4_exp"] = family{
		mixers: mixers{"linear_attention": newDelta, "full_attention": newPooledGated, "indexed_attention": newPooledGated},
		norms:  rootMeanPlus, headNorm: always, biases: qkvo, biasField: "attention_bias", router: softmaxTopK, normalized: true,
		arrange: gatedBlocks, frame: newGatedFrame, bare: true, mtp: noMTP,
		computes: join(hybridFields, partialRotation, set(`
			hc_count hc_lowrank indexer_budget indexer_compress_ratio indexer_head_dim indexer_kv_heads indexer_n_heads
			ngram_size heads_per_ngram ple_embed_dim ngram_vocab_size_base make_ngram_vocab_size_divisible_by split_ngram_parts
			ple_conv_kernel_size ple_layer_ids number_of_conv_states seed
		`)),
		judges: map[string]func(v value) bool{
			"attn_output_gate": value.on,
			"hidden_act":       isSiLU,
			"output_gate_type": isSiLU,
		},
	}
}

func isSiLU(v value) bool { s, _ := v.Str(); return s == "silu" || s == "swish" }
