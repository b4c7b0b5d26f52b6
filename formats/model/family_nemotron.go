package model

import (
	"quern/internal/invalid"
)

// nemotron is Nemotron-H: each layer is one block, of Mamba 2, attention, experts or a
// dense MLP. Experts have no gate; where moe_latent_size is given, they work in a
// latent space that the whole layer shares.
var nemotron = []family{{
	name: "nemotron_h", types: []string{"nemotron_h"}, classes: []string{"NemotronHForCausalLM"},
	layer: []entry{
		{"mixer.fc1_latent_proj", rule{role: ExpertLatent, part: "down"}},
		{"mixer.fc2_latent_proj", rule{role: ExpertLatent, part: "up"}},
		{"mixer.norm", rule{role: Norm, part: "mixer.norm"}},
	},
	rows: [][]row{
		{
			{key: "embeddings.weight", shape: []dim{vocab, hidden}, root: true},
			{key: "norm_f.weight", shape: []dim{hidden}, root: true},
			{key: "lm_head.weight", shape: []dim{vocab, hidden}, in: untied, root: true},
			{key: "norm.weight", shape: []dim{hidden}},
		},
		nemotronMTP,
		within(block("mamba"), mamba), within(block("attention"), renamed(gqa, "self_attn.", "mixer.")),
		within(block("mlp"), nemotronMLP), within(block("moe"), nemotronExperts),
	},
	fused: unknownLayout, mtpPrefix: "mtp.layers.",
	complete: func(c *Config) error {
		if !c.Has("use_conv_bias") && !c.Has("mamba_conv_bias") {
			c.MambaConvBias = true
		}
		if err := normalized(c); err != nil {
			return err
		}
		if err := nemotronBlocks("layers_block_type", c.BlockTypes); err != nil {
			return err
		}
		return nemotronBlocks("mtp_layers_block_type", c.MTPBlockTypes)
	},
}}

// nemotronWords are the letters of hybrid_override_pattern and the words that
// transformers 5 has for the same blocks.
var nemotronWords = map[string]string{
	"M": "mamba", "*": "attention", "E": "moe", "-": "mlp",
	"linear_attention": "mamba", "full_attention": "attention",
}

// nemotronBlocks brings the blocks of layers to one spelling.
func nemotronBlocks(key string, types []string) error {
	for i, t := range types {
		if name, ok := nemotronWords[t]; ok {
			types[i] = name
			continue
		}
		switch t {
		case "mamba", "attention", "moe", "mlp":
		default:
			return invalid.Errorf("%q: layer %d is %q, which is none of mamba (M), attention (*), moe (E) and mlp (-)", key, i, t)
		}
	}
	return nil
}

// block tells the layers of one kind.
func block(kind string) when {
	return func(c *Config, l int) bool { return c.BlockType(l) == kind }
}

// mtpEdge tells the first layer of a step of multi-token prediction (0), or the last (1).
func mtpEdge(back int) when {
	return func(c *Config, l int) bool {
		return l >= c.NumHiddenLayers && (l-c.NumHiddenLayers+back)%c.MTPStep() == 0
	}
}

var (
	mambaHeads = of(func(c *Config) int { return c.MambaHeads })
	mambaInner = of(func(c *Config) int { return c.MambaHeads * c.MambaHeadDim })
	mambaState = of(func(c *Config) int { return 2 * c.MambaGroups * c.MambaState })
	mambaConv  = plus(mambaInner, mambaState)

	// mamba projects the gate, what is convolved, and the step of each head at once.
	mamba = []row{
		{key: "mixer.in_proj.weight", shape: []dim{plus(mambaInner, mambaConv, mambaHeads), hidden}},
		{key: "mixer.conv1d.weight", shape: []dim{mambaConv, one, of(func(c *Config) int { return c.MambaConvKernel })}},
		{key: "mixer.conv1d.bias", shape: []dim{mambaConv}, in: func(c *Config, _ int) bool { return c.MambaConvBias }},
		{key: "mixer.A_log", shape: []dim{mambaHeads}},
		{key: "mixer.D", shape: []dim{mambaHeads}},
		{key: "mixer.dt_bias", shape: []dim{mambaHeads}},
		{key: "mixer.norm.weight", shape: []dim{mambaInner}},
		{key: "mixer.out_proj.weight", shape: []dim{hidden, mambaInner}},
	}
	// A step of multi-token prediction begins with a projection and ends with a norm.
	nemotronMTP = append(within(mtpEdge(0), []row{
		{key: "enorm.weight", shape: []dim{hidden}},
		{key: "hnorm.weight", shape: []dim{hidden}},
		{key: "eh_proj.weight", shape: []dim{hidden, hidden2}},
	}), within(mtpEdge(1), []row{{key: "final_layernorm.weight", shape: []dim{hidden}}})...)
	nemotronMLP = []row{
		{key: "mixer.up_proj.weight", shape: []dim{inner, hidden}},
		{key: "mixer.down_proj.weight", shape: []dim{hidden, inner}},
	}
	nemotronExperts = []row{
		{key: "mixer.gate.weight", shape: []dim{nExperts, hidden}},
		{key: "mixer.gate.e_score_correction_bias", shape: []dim{nExperts}},
		{key: "mixer.fc1_latent_proj.weight", shape: []dim{width, hidden}, in: isLatent},
		{key: "mixer.fc2_latent_proj.weight", shape: []dim{hidden, width}, in: isLatent},
		{key: "mixer.experts.#.up_proj.weight", shape: []dim{inner1, width}},
		{key: "mixer.experts.#.down_proj.weight", shape: []dim{width, inner1}},
		{key: "mixer.shared_experts.up_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "mixer.shared_experts.down_proj.weight", shape: []dim{hidden, innerS}, in: hasShared},
	}
)
