package model

import "slices"

// qwen4 is Qwen3.8-Flash-Next: DeltaNet and gated attention with an indexer over blocks
// of keys, four streams of the residual with low-rank maps instead of norms, and
// embeddings of n-grams on ple_layer_ids, in split_ngram_parts tensors.
var qwen4 = []family{{
	name:    "qwen4_exp",
	types:   []string{"qwen4_exp", "qwen4_exp_text"},
	classes: []string{"Qwen4ExpForCausalLM", "Qwen4ExpForConditionalGeneration"},
	layer: []entry{
		{"self_attn.indexer.index_qk_proj", rule{role: Indexer, part: "qk"}},
		{"self_attn.indexer.q_layernorm", rule{role: Norm, part: "indexer.q_layernorm"}},
		{"self_attn.indexer.k_layernorm", rule{role: Norm, part: "indexer.k_layernorm"}},
		{"attn_hyper_connection.hc_norm", rule{role: HyperConnection, part: "attn_norm"}},
		{"attn_hyper_connection.block_inject_weight", rule{role: HyperConnection, part: "attn_inject"}},
		{"attn_hyper_connection.input_mix_weight_down", rule{role: HyperConnection, part: "attn_down"}},
		{"attn_hyper_connection.input_mix_weight_up", rule{role: HyperConnection, part: "attn_up"}},
		{"mlp_hyper_connection.hc_norm", rule{role: HyperConnection, part: "ffn_norm"}},
		{"mlp_hyper_connection.block_inject_weight", rule{role: HyperConnection, part: "ffn_inject"}},
		{"mlp_hyper_connection.input_mix_weight_down", rule{role: HyperConnection, part: "ffn_down"}},
		{"mlp_hyper_connection.input_mix_weight_up", rule{role: HyperConnection, part: "ffn_up"}},
		{"ple.key_proj", rule{role: LayerEmbedding, part: "key"}},
		{"ple.value_proj", rule{role: LayerEmbedding, part: "value"}},
		{"ple.ple_embedding.ngram_embedding", rule{role: LayerEmbedding, part: "table"}},
		{"ple.ple_embedding.ngram_embedding.shard_#", rule{role: LayerEmbedding, part: "table", flags: piece}},
		{"ple.ple_embedding.layer_multipliers", rule{role: Buffer, part: "layer_multipliers"}},
		{"ple.ple_embedding.ngram_heads_offsets", rule{role: Buffer, part: "ngram_heads_offsets"}},
		{"ple.ple_embedding.ngram_heads_vocab_sizes", rule{role: Buffer, part: "ngram_heads_vocab_sizes"}},
	},
	root: []entry{
		{"hyper_connection_mixer.hc_norm", rule{role: HyperConnection, part: "head_norm"}},
		{"hyper_connection_mixer.input_mix_weight_down", rule{role: HyperConnection, part: "head_down"}},
		{"hyper_connection_mixer.input_mix_weight_up", rule{role: HyperConnection, part: "head_up"}},
	},
	rows:  [][]row{qwen4Outer, gatedGQA, headNorms, qwen4Indexer, deltaNet, splitDelta, qwen4Streams, qwen4PLE, dense, experts, fusedExperts, sharedOne},
	fused: layout{},
}}

var (
	qwen4Rank  = of(func(c *Config) int { return c.HCLowRank })
	qwen4Heads = of(func(c *Config) int { return (c.NGram.Size - 1) * c.NGram.Heads })
	qwen4Embed = of(func(c *Config) int { return c.NGram.EmbedDim })

	qwen4Rows = of(func(c *Config) int { return c.NGram.rows() })
	qwen4Dim  = of(func(c *Config) int { return c.NGram.EmbedDim / max((c.NGram.Size-1)*c.NGram.Heads, 1) })

	hasPLE when = func(c *Config, l int) bool { return slices.Contains(c.NGram.Layers, l+1) }

	qwen4Outer = []row{
		{key: "embed_tokens.weight", shape: []dim{vocab, hidden}, root: true},
		{key: "lm_head.weight", shape: []dim{vocab, hidden}, in: untied, root: true},
		{key: "hyper_connection_mixer.hc_norm.weight", shape: []dim{hcWidth}, root: true},
		{key: "hyper_connection_mixer.input_mix_weight_down.weight", shape: []dim{qwen4Rank, hcWidth}, root: true},
		{key: "hyper_connection_mixer.input_mix_weight_up.weight", shape: []dim{hcWidth, qwen4Rank}, root: true},
	}
	qwen4Indexer = within(isFull, []row{
		{key: "self_attn.indexer.index_qk_proj.weight", shape: []dim{of(func(c *Config) int { return (c.IndexHeads + c.IndexKVHeads) * c.IndexHeadDim }), hidden}},
		{key: "self_attn.indexer.q_layernorm.weight", shape: []dim{indexHead}},
		{key: "self_attn.indexer.k_layernorm.weight", shape: []dim{indexHead}},
	})
	qwen4Streams = []row{
		{key: "attn_hyper_connection.hc_norm.weight", shape: []dim{hcWidth}},
		{key: "attn_hyper_connection.block_inject_weight.weight", shape: []dim{streams, hcWidth}},
		{key: "attn_hyper_connection.input_mix_weight_down.weight", shape: []dim{qwen4Rank, hcWidth}},
		{key: "attn_hyper_connection.input_mix_weight_up.weight", shape: []dim{hcWidth, qwen4Rank}},
		{key: "mlp_hyper_connection.hc_norm.weight", shape: []dim{hcWidth}},
		{key: "mlp_hyper_connection.block_inject_weight.weight", shape: []dim{streams, hcWidth}},
		{key: "mlp_hyper_connection.input_mix_weight_down.weight", shape: []dim{qwen4Rank, hcWidth}},
		{key: "mlp_hyper_connection.input_mix_weight_up.weight", shape: []dim{hcWidth, qwen4Rank}},
	}
	qwen4PLE = within(hasPLE, []row{
		{key: "ple.conv1d.weight", shape: []dim{hcWidth, one, of(func(c *Config) int { return c.NGram.ConvKernel })}},
		{key: "ple.key_proj.weight", shape: []dim{hcWidth, qwen4Embed}},
		{key: "ple.value_proj.weight", shape: []dim{hidden, qwen4Embed}},
		{key: "ple.norm_conv.weight", shape: []dim{hcWidth}},
		{key: "ple.norm_key.weight", shape: []dim{hcWidth}},
		{key: "ple.norm_query.weight", shape: []dim{hcWidth}},
		{key: "ple.ple_embedding.layer_multipliers", shape: []dim{of(func(c *Config) int { return c.NGram.Size })}},
		{key: "ple.ple_embedding.ngram_embedding.shard_#.weight", shape: []dim{qwen4Rows, qwen4Dim}, count: of(func(c *Config) int { return c.NGram.Parts })},
		{key: "ple.ple_embedding.ngram_heads_offsets", shape: []dim{qwen4Heads}},
		{key: "ple.ple_embedding.ngram_heads_vocab_sizes", shape: []dim{qwen4Heads}},
	})
)

// rows is how many n-grams one tensor of a layer's table has: each head has a prime of
// its own, the first from VocabBase on, layers of embeddings going on where the one
// before ended, and the sum is rounded up to Multiple.
//
// It is known for the first of these layers only; of a later one the primes are larger.
func (g *NGram) rows() int {
	if g.Parts == 0 || g.Multiple == 0 || g.VocabBase < 2 || g.VocabBase > 1<<28 || g.Heads > 64 || len(g.Layers) != 1 {
		return 0
	}
	total, prime := 0, g.VocabBase-1
	for range min((g.Size-1)*g.Heads, 256) {
		for prime++; !isPrime(prime); prime++ {
		}
		total += prime
	}
	total = (total + g.Multiple - 1) / g.Multiple * g.Multiple
	if total%g.Parts != 0 {
		return 0
	}
	return total / g.Parts
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}
