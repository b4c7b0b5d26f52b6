package serving

import (
	"fmt"
	"strings"

	"quern/formats/model"
)

// static reports whether linears have fixed scales of their input.
func (f *Folder) static() bool {
	q := f.config.Quant
	return len(f.matrices) > 0 && (f.inputScales > 0 || q != nil && q.ActivationScheme == "static")
}

// mlxClasses are the classes of mlx-lm that dequantize FP8 blocks, by model_type
// (mlx-lm utils.py, MODEL_REMAPPING).
var mlxClasses = map[string]string{
	"deepseek_v3": "deepseek_v3", "kimi_k2": "deepseek_v3",
	"deepseek_v32": "deepseek_v32",
	"minimax":      "minimax", "minimax_m2": "minimax",
}

// mlxClass is the one of a config, "" if it has none. Of what lies in a wrapper
// another class takes care.
func mlxClass(c *model.Config) string {
	if c.Wrapper != "" {
		return ""
	}
	return mlxClasses[c.ModelType]
}

// mlxLayers finds tensors of layers that mlx-lm neither drops nor has.
func mlxLayers(f *Folder) (Note, bool) {
	class, layers := mlxClass(f.config), f.config.NumHiddenLayers
	const dropped = "model.layers.61" // and what else begins like that
	n := Note{Text: "has no place for the tensors of the multi-token prediction layer, and drops them only where it is layer 61"}
	switch {
	case class == "deepseek_v3" && layers > 61:
		n.Text = fmt.Sprintf("drops layer 61 as one of multi-token prediction, and this model has %d layers", layers)
		for _, name := range f.names {
			if strings.HasPrefix(name, dropped) {
				n.add(name)
			}
		}
	case class == "deepseek_v3":
		for _, name := range f.mtp {
			if !strings.HasPrefix(name, dropped) {
				n.add(name)
			}
		}
	case class == "minimax":
		n.Text = "has no place for the tensors of the multi-token prediction layer"
		for _, name := range f.mtp {
			n.add(name)
		}
	}
	return n, n.Tensors > 0
}

// tensorRTBlock compares the tile of a config with the one that its method must have.
func tensorRTBlock(f *Folder) (Note, bool) {
	want, ok := map[string][2]int{"fp8": {128, 128}, "mxfp8": {1, 32}}[f.method()]
	if !ok {
		return Note{}, false
	}
	b := f.config.Quant.WeightBlockSize
	return Note{Text: fmt.Sprintf("asserts a weight_block_size of %v under quant_method %s, and it is %v", want, f.method(), b)},
		len(b) == 2 && (b[0] != want[0] || b[1] != want[1])
}

// blackwellOnly is about MXFP8 under its own quant_method.
func blackwellOnly(f *Folder) (Note, bool) {
	return Note{Text: "loads quant_method mxfp8 from compute capability 10.0 on only (Blackwell)"}, f.method() == "mxfp8"
}

// denseMXFP4 finds linears other than experts whose weights are MXFP4 of
// compressed-tensors.
func denseMXFP4(f *Folder) (Note, bool) {
	n := Note{Text: "has MXFP4 of compressed-tensors for routed experts only"}
	if f.method() != "compressed-tensors" {
		return n, false
	}
	for _, g := range f.config.Quant.Groups {
		if g.NumBits == 4 && g.Type == "float" && g.Strategy == "group" && g.GroupSize == 32 {
			for _, m := range f.fours {
				n.add(m)
			}
		}
	}
	return n, n.Tensors > 0
}

// tensorRTGroups finds groups of compressed-tensors that it has no branch for: integer
// weights (Kimi's INT4), NVFP4 without activations, MXFP8.
func tensorRTGroups(f *Folder) (Note, bool) {
	if f.method() != "compressed-tensors" {
		return Note{}, false
	}
	for _, g := range f.config.Quant.Groups {
		what := ""
		switch {
		case g.Type == "int":
			what = fmt.Sprintf("INT%d weights", g.NumBits)
		case g.NumBits == 4 && g.Strategy == "tensor_group" && !g.Activations:
			what = "NVFP4 weights without quantized activations"
		case g.NumBits == 8 && g.Strategy == "group":
			what = "MXFP8 weights"
		default:
			continue
		}
		return Note{Text: "has no branch for " + what + " of compressed-tensors", Example: g.Name}, true
	}
	return Note{}, false
}

// blocksAlone finds experts of block FP8 in ModelOpt's form where no other scheme is beside
// it.
func blocksAlone(f *Folder) (Note, bool) {
	n := Note{Text: "take no experts of quant_algo FP8_PB_WO but in a checkpoint of mixed schemes"}
	if !strings.HasPrefix(f.method(), "modelopt") || !strings.EqualFold(f.config.Quant.Algo, "FP8_PB_WO") {
		return n, false
	}
	for i := range f.matrices {
		if m := &f.matrices[i]; m.meta.Role == model.RoutedExpert {
			n.add(m.name)
		}
	}
	return n, n.Tensors > 0
}
