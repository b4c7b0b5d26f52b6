// Package routing turns router logits into experts and their weights, for the rules
// that models of 2024–26 use. A rule is data:
//
//	families                                   score         choice by          weight
//	qwen3_moe, qwen3_next, qwen3_5_moe,        softmax       score              score/Σ
//	  qwen3_vl_moe, hunyuan_v1_moe
//	olmoe                                      softmax       score              score (norm_topk_prob: /Σ)
//	gemma4                                     softmax       score              score/Σ · per_expert_scale[e]
//	ernie4_5_moe                               softmax       score + bias       score/max(Σ, moe_norm_min)
//	longcat_flash                              softmax       score + bias       score · factor
//	mistral4, mistral_large4                   softmax       score, groups by   score/(Σ+1e-20) · factor
//	                                                         their best two
//	granitemoe, gpt_oss, cohere2_moe           logit         logit              softmax of the chosen
//	llama4, cohere2_moe (sigmoid)              logit         logit              sigmoid of the chosen (cohere2: /Σ)
//	deepseek_v3, dots1, exaone_moe, kimi_…,    sigmoid       score + bias,      score/(Σ+1e-20) · factor
//	  bailing_…, glm…, hy_v3, hy_v4,                         groups by their
//	  mimo_v2_flash, nemotron_h, solar_open                  best two
//	afmoe                                      sigmoid       score + bias       score/(Σ+1e-20) · route_scale
//	laguna, minimax_m2, minimax_m3             sigmoid       score + bias       score/Σ (factor on the experts' sum)
//	deepseek_v4                                √softplus     score + bias, or   score/(Σ+1e-20) · factor
//	                                                         tid2eid[token]
//	phimoe                                     [SparseMixer]
//
// Biases are e_score_correction_bias by their names; the weights never have them.
// laguna may cap logits first: tanh(l/c)·c. longcat's experts beyond the routed ones
// are zero experts: the token's input, times its weight. llama4 multiplies the expert's
// input, not its output, by the weight. gemma4's logits are of rms(x)·scale·Hidden^-½.
// hy_v3 calls the factor router_scaling_factor, laguna and M3 apply theirs to the sum
// of the routed experts.
//
// Among equal scores the expert of the lower index is chosen. Held against
// transformers 5.24.0 in testdata.
package routing
