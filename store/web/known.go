package web

// known are the names of files beside the weights that checkpoints have. Where a server
// shows no listing, these are asked for; a file of another name is not found.
var known = []string{
	"config.json", "generation_config.json", "model.safetensors.index.json", "model.safetensors",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.json", "merges.txt", "tokenizer.model", "tiktoken.model", "tekken.json", "spiece.model",
	"chat_template.jinja", "chat_template.json",
	"preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
	"hf_quant_config.json", "quantize_config.json", "quant_model_description.json",
	"quern-manifest.json", "quern-placement.json",
	"README.md", "LICENSE", "LICENSE.txt", "LICENSE.md",
}
