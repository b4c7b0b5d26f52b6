package runner

import "maps"

// Mistral 4: latent attention whose queries grow with their position. (Source: modeling
// file of mistral4 in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"mistral4": {
			latent: true, mixers: mixers{"full_attention": newLatent}, biases: lora, biasField: "attention_bias",
			router: softmaxBestTwo, judges: map[string]func(v value) bool{"mlp_bias": value.off},
		},
	})
}
