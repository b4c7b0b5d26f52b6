package runner

// lacking is what stands between the runner and architectures that it does not compute,
// though most of their blocks are here: by the name of the row in formats/model, or by
// model_type where there is none. (Sources: configs of the releases; mlx-lm 0.32.2 and vLLM
// 0.33.0 for K3 and V4.1.)
var lacking = map[string]string{
	"kimi_k3":      "its residuals, which are chosen among sums of earlier blocks (attn_res_block_size), a norm of experts in their latent space, and SiTU (hidden_act \"situ\")",
	"deepseek_v41": "its engrams, keys and choices that layers share in two stages, hyper-connections that the block before prepares, and keys and values that are rounded to FP8 and FP4 as a part of the function",
	"nemotron-nas": "layers without attention or without a feed-forward block (block_configs)",
}
