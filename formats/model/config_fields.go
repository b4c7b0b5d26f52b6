package model

// field is a row of the table that reads a config: where the value of a key goes,
// and the greatest value that it may have.
type field struct {
	key string
	dst any // *int, *float64, *bool, *string, *[]int, *[]float64 or *[]string
	max int // of integers; 0 means maxSize. Of floats: anySign
}

// anySign marks a float that may be negative.
const anySign = -1

// fields are the keys of the config, in the order in which they are reported when
// several are wrong. Of several rows with one destination, the first key that has a
// value is used.
func (c *Config) fields() []field {
	return []field{
		{"model_type", &c.ModelType, 0},
		{"num_hidden_layers", &c.NumHiddenLayers, maxLayers},
		{"num_layers", &c.NumHiddenLayers, maxLayers}, // LongCat
		{"n_layers", &c.NumHiddenLayers, maxLayers},   // DBRX
		{"n_routed_experts", &c.NumExperts, maxExperts},
		{"num_experts", &c.NumExperts, maxExperts},
		{"num_local_experts", &c.NumExperts, maxExperts},
		{"moe_num_experts", &c.NumExperts, maxExperts},
		{"num_routed_experts", &c.NumExperts, maxExperts},
		{"hidden_size", &c.HiddenSize, 0},
		{"architectures", &c.Architectures, 0},
		{"dtype", &c.DType, 0},
		{"torch_dtype", &c.DType, 0},
		{"intermediate_size", &c.IntermediateSize, 0},
		{"vocab_size", &c.VocabSize, 0},
		{"max_position_embeddings", &c.MaxPositions, 0},
		{"hidden_act", &c.HiddenAct, 0},
		{"hidden_activation", &c.HiddenAct, 0}, // Gemma
		{"mlp_hidden_act", &c.HiddenAct, 0},    // Nemotron-H
		{"rms_norm_eps", &c.RMSNormEps, 0},
		{"layernorm_epsilon", &c.RMSNormEps, 0},  // MiMo
		{"layer_norm_eps", &c.RMSNormEps, 0},     // Cohere
		{"layer_norm_epsilon", &c.RMSNormEps, 0}, // Nemotron-H
		{"tie_word_embeddings", &c.TieEmbeddings, 0},
		{"bos_token_id", &c.BOS, 0},
		{"eos_token_id", &c.EOS, 0},

		{"num_attention_heads", &c.NumHeads, 0},
		{"num_key_value_heads", &c.NumKVHeads, 0},
		{"head_dim", &c.HeadDim, 0},
		{"attention_head_dim", &c.HeadDim, 0}, // Nemotron-H
		{"attention_bias", &c.AttentionBias, 0},
		{"qkv_bias", &c.QKVBias, 0},
		{"mlp_bias", &c.MLPBias, 0},
		{"use_qk_norm", &c.UseQKNorm, 0},
		{"sliding_window", &c.SlidingWindow, 0},
		{"sliding_window_size", &c.SlidingWindowSize, 0},
		{"layer_types", &c.LayerTypes, 0},
		{"full_attention_interval", &c.FullAttentionStep, maxLayers},
		{"layer_group_size", &c.FullAttentionStep, maxLayers}, // Ling
		{"num_attention_heads_per_layer", &c.HeadsByLayer, 0},
		{"swa_num_attention_heads", &c.SlidingHeads, 0},
		{"swa_num_key_value_heads", &c.SlidingKVHeads, 0},
		{"swa_head_dim", &c.SlidingHeadDim, 0},
		{"swa_v_head_dim", &c.SlidingValueDim, 0},
		{"num_global_key_value_heads", &c.GlobalKVHeads, 0},
		{"global_head_dim", &c.GlobalHeadDim, 0},
		{"attention_k_eq_v", &c.KEqV, 0},
		{"add_swa_attention_sink_bias", &c.SlidingSinks, 0},
		{"add_full_attention_sink_bias", &c.FullSinks, 0},
		{"attention_value_scale", &c.ValueScale, 0},
		{"attention_chunk_size", &c.ChunkSize, 0},
		{"no_rope_layers", &c.NoRopeLayers, 0},
		{"no_rope_layer_interval", &c.NoRopeStep, maxLayers},
		{"attn_temperature_tuning", &c.AttnTemperature, 0},
		{"attn_scale", &c.AttnScale, 0},
		{"floor_scale", &c.FloorScale, 0},
		{"attn_output_gate", &c.OutputGate, 0},
		{"mla_use_output_gate", &c.OutputGate, 0},
		{"mla_use_nope", &c.NoRope, 0},
		{"final_logit_softcapping", &c.FinalSoftcap, 0},
		{"embedding_multiplier", &c.EmbeddingMultiplier, 0},
		{"attention_multiplier", &c.AttentionMultiplier, 0},
		{"residual_multiplier", &c.ResidualMultiplier, 0},
		{"logits_scaling", &c.LogitsScaling, 0},
		{"logit_scale", &c.LogitScale, 0},
		{"num_kv_shared_layers", &c.KVSharedLayers, maxLayers},
		{"hidden_size_per_layer_input", &c.PerLayerInput, 0},

		{"q_lora_rank", &c.QLoraRank, 0},
		{"kv_lora_rank", &c.KVLoraRank, 0},
		{"qk_nope_head_dim", &c.QKNopeHeadDim, 0},
		{"qk_rope_head_dim", &c.QKRopeHeadDim, 0},
		{"v_head_dim", &c.VHeadDim, 0},
		{"index_n_heads", &c.IndexHeads, 0},
		{"index_head_dim", &c.IndexHeadDim, 0},
		{"index_topk", &c.IndexTopK, 0},
		{"indexer_types", &c.IndexerTypes, 0},
		{"index_topk_pattern", &c.IndexPattern, 0},
		{"index_topk_freq", &c.IndexFreq, maxLayers},
		{"index_skip_topk_offset", &c.IndexOffset, maxLayers},
		{"index_kpool", &c.IndexPool, 0},
		{"index_block_size", &c.IndexBlock, 0},
		{"sparse_block_size", &c.IndexBlock, 0}, // these within sparse_attention_config
		{"index_topk_blocks", &c.IndexBlocks, 0},
		{"sparse_topk_blocks", &c.IndexBlocks, 0},
		{"index_local_blocks", &c.IndexLocalBlocks, 0},
		{"sparse_local_block", &c.IndexLocalBlocks, 0},
		{"sparse_num_index_heads", &c.IndexHeads, 0},
		{"sparse_index_dim", &c.IndexHeadDim, 0},
		{"indexer_n_heads", &c.IndexHeads, 0}, // Qwen 4
		{"indexer_head_dim", &c.IndexHeadDim, 0},
		{"indexer_kv_heads", &c.IndexKVHeads, 0},
		{"indexer_budget", &c.IndexBudget, 0},
		{"indexer_compress_ratio", &c.IndexRatio, 0},
		{"kv_source_layers", &c.KVSourceLayers, maxLayers},

		{"o_groups", &c.OGroups, 0},
		{"o_lora_rank", &c.OLoraRank, 0},
		{"compress_ratios", &c.CompressRatios, 0},
		{"compress_rope_theta", &c.CompressRopeTheta, 0},
		{"num_hash_layers", &c.NumHashLayers, maxLayers},

		{"attn_res_block_size", &c.ResidualBlock, maxLayers},
		{"hc_mult", &c.HCMult, 1 << 10},
		{"hc_count", &c.HCMult, 1 << 10},
		{"hc_sinkhorn_iters", &c.HCIters, 0},
		{"hc_eps", &c.HCEps, 0},
		{"hc_magnitude", &c.HCMagnitude, 0},
		{"hc_lowrank", &c.HCLowRank, 0},

		{"linear_num_key_heads", &c.LinearKeyHeads, 0},
		{"linear_num_value_heads", &c.LinearValueHeads, 0},
		{"linear_key_head_dim", &c.LinearKeyHeadDim, 0},
		{"linear_value_head_dim", &c.LinearValueHeadDim, 0},
		{"linear_conv_kernel_dim", &c.LinearConvKernel, 0},
		{"short_conv_kernel_size", &c.LinearConvKernel, 0},
		{"linear_lower_bound", &c.LinearLowerBound, anySign}, // GLM-5.3
		{"kda_lower_bound", &c.LinearLowerBound, anySign},    // Ling
		{"gate_lower_bound", &c.LinearLowerBound, anySign},   // Kimi-K3
		{"use_full_rank_gate", &c.LinearFullGate, 0},

		{"mamba_num_heads", &c.MambaHeads, 0},
		{"mamba_head_dim", &c.MambaHeadDim, 0},
		{"n_groups", &c.MambaGroups, 0},
		{"ssm_state_size", &c.MambaState, 0},
		{"conv_kernel", &c.MambaConvKernel, 0},
		{"use_conv_bias", &c.MambaConvBias, 0},
		{"mamba_n_groups", &c.MambaGroups, 0}, // these in older configs of Nemotron-H
		{"mamba_d_conv", &c.MambaConvKernel, 0},
		{"mamba_conv_bias", &c.MambaConvBias, 0},

		{"ngram_size", &c.NGram.Size, 1 << 10},
		{"heads_per_ngram", &c.NGram.Heads, 1 << 10},
		{"ple_embed_dim", &c.NGram.EmbedDim, 0},
		{"ngram_vocab_size_base", &c.NGram.VocabBase, 0},
		{"make_ngram_vocab_size_divisible_by", &c.NGram.Multiple, 0},
		{"split_ngram_parts", &c.NGram.Parts, maxExperts},
		{"ple_conv_kernel_size", &c.NGram.ConvKernel, 0},
		{"ple_layer_ids", &c.NGram.Layers, maxLayers},

		{"num_experts_per_tok", &c.NumExpertsPerTok, maxExperts},
		{"num_experts_per_token", &c.NumExpertsPerTok, maxExperts}, // Kimi Linear
		{"experts_per_token", &c.NumExpertsPerTok, maxExperts},     // gpt_oss
		{"moe_k", &c.NumExpertsPerTok, maxExperts},                 // ERNIE
		{"moe_topk", &c.NumExpertsPerTok, maxExperts},              // Hunyuan, LongCat
		{"moe_top_k", &c.NumExpertsPerTok, maxExperts},             // DBRX, Step
		{"top_k_experts", &c.NumExpertsPerTok, maxExperts},         // Gemma 4
		{"n_shared_experts", &c.NumSharedExperts, maxExperts},
		{"num_shared_experts", &c.NumSharedExperts, maxExperts},
		{"moe_num_shared_experts", &c.NumSharedExperts, maxExperts}, // ERNIE
		{"num_shared_expert", &c.NumSharedExperts, maxExperts},      // Hunyuan
		{"moe_intermediate_size", &c.MoEIntermediateSize, 0},
		{"expert_ffn_hidden_size", &c.MoEIntermediateSize, 0}, // LongCat
		{"shared_expert_intermediate_size", &c.SharedIntermediateSize, 0},
		{"moe_shared_expert_intermediate_size", &c.SharedIntermediateSize, 0}, // Nemotron
		{"shared_intermediate_size", &c.SharedIntermediateSize, 0},            // MiniMax-M3
		{"share_expert_dim", &c.SharedIntermediateSize, 0},                    // Step
		{"dense_intermediate_size", &c.DenseIntermediateSize, 0},              // MiniMax-M3
		{"intermediate_size_mlp", &c.DenseIntermediateSize, 0},                // Llama 4
		{"ffn_hidden_size", &c.DenseIntermediateSize, 0},                      // LongCat
		{"prefix_dense_intermediate_size", &c.DenseIntermediateSize, 0},       // Cohere
		{"moe_latent_size", &c.LatentSize, 0},                                 // Nemotron
		{"routed_expert_hidden_size", &c.LatentSize, 0},                       // Kimi-K3
		{"zero_expert_num", &c.ZeroExperts, maxExperts},
		{"n_group", &c.NGroup, maxExperts},
		{"num_expert_group", &c.NGroup, maxExperts}, // Kimi Linear
		{"topk_group", &c.TopKGroup, maxExperts},
		{"first_k_dense_replace", &c.FirstKDense, maxLayers},
		{"num_dense_layers", &c.FirstKDense, maxLayers}, // Afmoe
		{"moe_layer_start_index", &c.MoELayerStart, maxLayers},
		{"moe_layer_end_index", &c.MoELayerEnd, maxLayers},
		{"decoder_sparse_step", &c.DecoderSparseStep, maxLayers},
		{"interleave_moe_layer_step", &c.DecoderSparseStep, maxLayers}, // Llama 4
		{"moe_layer_interval", &c.DecoderSparseStep, maxLayers},        // ERNIE
		{"moe_layers", &c.MoELayers, maxLayers},
		{"mlp_only_layers", &c.MLPOnlyLayers, maxLayers},
		{"mlp_layer_types", &c.MLPLayerTypes, 0},
		{"norm_topk_prob", &c.NormTopKProb, 0},
		{"moe_renormalize", &c.NormTopKProb, 0}, // Kimi Linear
		{"scoring_func", &c.ScoringFunc, 0},
		{"moe_router_activation_func", &c.ScoringFunc, 0}, // Kimi Linear
		{"expert_selection_fn", &c.ScoringFunc, 0},        // Cohere
		{"topk_method", &c.TopKMethod, 0},
		{"routed_scaling_factor", &c.RoutedScalingFactor, 0},
		{"router_scaling_factor", &c.RoutedScalingFactor, 0},     // Hunyuan 3
		{"route_scale", &c.RoutedScalingFactor, 0},               // Afmoe
		{"moe_router_scaling_factor", &c.RoutedScalingFactor, 0}, // Step
		{"swiglu_alpha", &c.SwigluAlpha, 0},
		{"swiglu_limit", &c.SwigluLimit, 0},

		{"num_nextn_predict_layers", &c.NumMTPLayers, maxLayers},
		{"mtp_num_hidden_layers", &c.NumMTPLayers, maxLayers},
		{"num_mtp_layers", &c.NumMTPLayers, maxLayers},

		{"rope_interleave", &c.RopeInterleave, 0},
		{"indexer_rope_interleave", &c.IndexerRopeInterleave, 0},
		{"rotary_dim", &c.RotaryDim, 0},
	}
}
