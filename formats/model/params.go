package model

import (
	"strings"

	"quern/formats/safetensors"
)

// paramKind is what the name of a parameter alone says.
type paramKind uint8

const (
	plain  paramKind = iota // its own name decides, together with the module's
	weight                  // the module decides
	packed                  // the weight of the module, several values to an element
	bias
	multiplier // of the quantized weight of the module: weight = code · it
	scale      // what else belongs to the quantized weight of the module
	cacheScale // of activations kept in a cache, whatever the module
)

// params are the parameter names that mean the same in every module.
var params = map[string]paramKind{
	"weight": weight,
	"bias":   bias,

	"weight_packed": packed, // compressed-tensors: FP4 in U8, integers in I32
	"qweight":       packed, // GPTQ, AWQ

	"weight_scale_inv":    multiplier, // DeepSeek; in spite of its name
	"weight_scale":        multiplier, // compressed-tensors, modelopt
	"weight_scale_2":      scale,      // modelopt NVFP4, of the tensor
	"weight_global_scale": scale,      // compressed-tensors NVFP4, a divisor
	"weight_zero_point":   scale,
	"weight_shape":        scale, // of a packed weight
	"weight_g_idx":        scale,
	"pre_quant_scale":     scale, // modelopt AWQ: factors of the input
	"input_scale":         scale, // static activation scales
	"input_global_scale":  scale,
	"input_zero_point":    scale,
	"activation_scale":    scale,
	"scales":              scale, // GPTQ, AWQ, MLX
	"biases":              scale, // MLX: offsets of groups
	"qzeros":              scale,
	"g_idx":               scale,

	"k_scale":      cacheScale,
	"v_scale":      cacheScale,
	"q_scale":      cacheScale,
	"kv_scale":     cacheScale,
	"output_scale": cacheScale,
}

// fusedSuffixes are what is appended to the name of a parameter that holds all
// experts of a layer, as longer suffixes first.
var fusedSuffixes = []struct {
	suffix string
	kind   paramKind
	of     string // appended to the base: the weight that a scale belongs to
}{
	{"_weight_scale_inv", multiplier, ""},
	{"_weight_scale_2", scale, ""},
	{"_weight_scale", multiplier, ""},
	{"_input_scale", scale, ""},
	{"_scale_inv", multiplier, ""},
	{"_scale", multiplier, ""},
	{"_scales", scale, "_blocks"}, // MXFP4 of gpt-oss
	{"_blocks", packed, ""},
	{"_bias", bias, ""},
}

// resolve finds the rule of a tensor and what kind of parameter it is, and sets
// ScaleOf.
func (a *Arch) resolve(name string, t *Tensor, p *place, dtype safetensors.DType) (rule, paramKind, bool) {
	table := a.vocabulary.root
	if p.layer >= 0 {
		table = a.vocabulary.layer
	}
	kind := params[t.Param]
	if kind != plain {
		r, ok := table[string(p.path())]
		if kind == scale || kind == multiplier {
			t.ScaleOf = scaledWeight(name, t)
		}
		return r, kind, ok
	}
	if r, ok := table[string(p.with(t.Param))]; ok {
		return r, weight, true
	}
	r, ok := table[string(p.path())]
	if t.Param == "scale" && (dtype == safetensors.F8E8M0 || ok && scalable[r.role]) {
		t.ScaleOf = scaledWeight(name, t)
		return r, multiplier, ok
	}
	for i := range fusedSuffixes {
		s := &fusedSuffixes[i]
		base, cut := strings.CutSuffix(t.Param, s.suffix)
		if !cut {
			continue
		}
		r, ok := table[string(p.with(base))]
		if !ok || r.flags&fused3D == 0 {
			break
		}
		if s.kind == scale || s.kind == multiplier {
			t.ScaleOf = t.Module + "." + base + s.of
		}
		return r, s.kind, true
	}
	return r, plain, ok
}

// scalable are the roles in which a parameter named "scale" is that of a quantized
// weight (DeepSeek-V4), and not of a norm.
var scalable = [numRoles]bool{
	Attention: true, DenseMLP: true, RoutedExpert: true, SharedExpert: true, Indexer: true,
	IndexerGate: true, MTPProjection: true, Compressor: true, Head: true,
}

// scaledWeight returns the name of the module's weight, without allocating where
// the name of the scale begins with it.
func scaledWeight(name string, t *Tensor) string {
	if strings.HasPrefix(t.Param, "weight_") {
		return name[:len(name)-len(t.Param)+len("weight")]
	}
	return t.Module + ".weight"
}

// weightsPer returns how many weights one stored element holds.
func (a *Arch) weightsPer(t *Tensor, kind paramKind, dtype safetensors.DType) int64 {
	switch {
	case t.Role == Scale || t.Role == Buffer:
		return 0
	case dtype.IsFloat():
		return 1
	case kind != weight && kind != packed || t.Role == Unknown:
		return 0
	}
	switch dtype {
	case safetensors.U8: // FP4: modelopt, compressed-tensors, MXFP4 blocks
		return 2
	case safetensors.I8: // FP4 in DeepSeek-V4's experts, INT8 elsewhere
		if a.family.packsI8 && t.Role == RoutedExpert {
			return 2
		}
		return 1
	case safetensors.I32, safetensors.U32:
		return int64(32 / a.packedBits())
	}
	return 0
}

// packedBits is the width of the integers that 32-bit elements hold.
func (a *Arch) packedBits() int {
	if q := a.config.Quant; q != nil {
		for _, g := range q.Groups {
			if g.NumBits == 2 || g.NumBits == 4 || g.NumBits == 8 {
				return g.NumBits
			}
		}
		if q.Bits == 2 || q.Bits == 4 || q.Bits == 8 {
			return q.Bits
		}
	}
	return 4
}
