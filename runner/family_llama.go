package runner

import (
	"maps"

	"quern/runner/rotary"
)

// Meta's models behind Llama 3. (Source: modeling file of llama4 in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"llama4": {
			mixers: mixers{"full_attention": newGrouped, "chunked_attention": newGrouped}, biases: qkvo, biasField: "attention_bias",
			manner: manner{pairs: true, late: true, adapt: llamaAttention},
			router: topKSigmoid, weighInput: true,
			computes: set(`
				attention_chunk_size no_rope_layers no_rope_layer_interval attn_temperature_tuning attn_scale floor_scale
				intermediate_size_mlp interleave_moe_layer_step moe_layers
			`),
		},
	})
}

// llamaAttention: layers that rotate normalize queries and keys without weights, and see
// nothing beyond their chunk of a text; queries of the others grow with their position.
func llamaAttention(s *site, g *grouped) {
	c := s.c
	switch {
	case g.rope != nil && c.UseQKNorm:
		g.qNorm = bare(g.size, eps(c))
		g.kNorm = g.qNorm
	case g.rope == nil && c.AttnTemperature:
		g.grow = func(at int) float32 { return rotary.Temperature(at, c.FloorScale, c.AttnScale) }
	}
	if s.kind() == "chunked_attention" {
		g.chunk = c.ChunkSize
	}
}
