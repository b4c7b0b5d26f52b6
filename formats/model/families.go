package model

import "slices"

// family is what is special about one architecture. The vocabulary that it shares
// with others is in vocabulary.go.
type family struct {
	name    string
	types   []string // values of model_type
	classes []string // values of architectures
	layer   []entry  // names within a layer that the vocabulary lacks or reads otherwise
	root    []entry  // names outside of layers
	rows    [][]row  // its tensors and their shapes
	// complete gives a config what the architecture's own code takes for granted.
	complete func(*Config) error

	fused layout
	// mtpLayers is set when layers behind the last are multi-token prediction, even
	// if the config does not say how many there are.
	mtpLayers bool
	// mtpPrefix stands before the number of a layer of multi-token prediction that lies
	// apart from the others ("mtp.layers.").
	mtpPrefix string
	// mtpAlso are other beginnings of the names in such a layer, "#" for its number.
	mtpAlso []string
	// packsI8 is set when routed experts in I8 are FP4, two to a byte.
	packsI8 bool
}

// layout is how tensors that hold all experts of a layer are laid out.
type layout struct {
	transposed, interleaved bool
	// either is set when both orientations are published: the shape tells.
	either bool
	why    string // why they are kept; "" when they are divided and quantized
	whole  bool   // engines read them in one tensor of a layer only, in schemes that have a form for that
}

// unknownLayout keeps fused experts: two layouts are in use, and where hidden and
// expert size agree nothing in the file tells them apart.
var unknownLayout = layout{why: "experts fused into one tensor are divided only where their layout is known"}

// generic serves architectures that the table lacks, and files without a config.
var generic = family{name: "unknown", fused: unknownLayout}

// families is the table of architectures: each has its row, in a file of its vendor or
// kind (family_….go). Sources for names, shapes and what a config leaves out: the
// released checkpoints and their configs, and the configuration and modeling files of
// transformers 5.24 for the types of the same name, where nothing else is said.
var families = slices.Concat(
	deepseek, glm, qwen, kimi, hunyuan, minimax, mistral, llama, gemma, nemotron,
	mimo, longcat, qwen4, others,
)

// findFamily returns the row of a config, or generic. The model around the text part
// tells more than that: Kimi-K3's text part calls itself kimi_linear.
func findFamily(c *Config) *family {
	for _, t := range []string{c.Wrapper, c.ModelType} {
		for i := range families {
			if t != "" && slices.Contains(families[i].types, t) {
				return &families[i]
			}
		}
	}
	for _, class := range c.Architectures {
		for i := range families {
			if slices.Contains(families[i].classes, class) {
				return &families[i]
			}
		}
	}
	return &generic
}
