package container

import (
	"fmt"
	"maps"
	"slices"

	"quern/internal/strictjson"
	"quern/scheme"
)

// CompressedTensors is the form of llm-compressor and of Kimi's releases: quant_method
// compressed-tensors, with groups that say how weights and activations are written
// (formats.md §3). Its readers refuse keys that they do not know.
var CompressedTensors = &Container{
	Name: "compressed-tensors",
	Forms: map[string]*Form{
		scheme.BlockFP8.Name:   {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448},
		scheme.ChannelFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448},
		scheme.TensorFP8.Name:  {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448, Vector: true},
		scheme.MXFP8.Name:      {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Dynamic: true},
		scheme.MXFP4.Name:      {Suffixes: map[scheme.Kind]string{scheme.Codes: "_packed", scheme.Scale: "_scale"}, Dynamic: true},
		scheme.INT4.Name:       {Suffixes: map[scheme.Kind]string{scheme.Codes: "_packed", scheme.Scale: "_scale", scheme.Dimensions: "_shape"}, Dynamic: true},
		// Scales of tensors and inputs are what ModelOpt's are the inverse of (formats-2026.md
		// §4.2).
		scheme.NVFP4.Name: {
			Suffixes: map[scheme.Kind]string{scheme.Codes: "_packed", scheme.Scale: "_scale", scheme.TensorScale: "_global_scale"},
			Divides:  true, Vector: true, Reach: 6 * 448, InputScale: 1, Input: "input_global_scale",
		},
	},
	Mixes: true,
	Config: func(d *Described) strictjson.Value {
		groups, format := strictjson.Object(), ""
		for i, s := range d.schemes() {
			f := compressions[s.Name]
			inputs := f.inputs
			if d.Static && f.fixed != nil {
				inputs = f.fixed
			}
			groups.Set(fmt.Sprintf("group_%d", i), strictjson.Object(
				strictjson.Member{Key: "format", Value: strictjson.String(f.format)},
				strictjson.Member{Key: "input_activations", Value: inputs.value()},
				strictjson.Member{Key: "output_activations", Value: null},
				strictjson.Member{Key: "targets", Value: texts(d.targets(s))},
				strictjson.Member{Key: "weights", Value: f.weights.value()},
			))
			if format != "" && format != f.format {
				format = "mixed-precision"
			} else {
				format = f.format
			}
		}
		cache := null
		if d.Caches {
			cache = tensor.value()
		}
		return strictjson.Object(
			strictjson.Member{Key: "config_groups", Value: groups},
			strictjson.Member{Key: "format", Value: strictjson.String(format)},
			strictjson.Member{Key: "ignore", Value: texts(d.Modules.Entries())},
			strictjson.Member{Key: "kv_cache_scheme", Value: cache},
			strictjson.Member{Key: "quant_method", Value: strictjson.String("compressed-tensors")},
			strictjson.Member{Key: "quantization_status", Value: strictjson.String("compressed")},
		)
	},
}

// schemes are those of all modules with codes, in the order of scheme.All.
func (d *Described) schemes() []*scheme.Scheme {
	if d.Scheme != nil {
		return []*scheme.Scheme{d.Scheme}
	}
	used := slices.Collect(maps.Values(d.Schemes))
	return slices.DeleteFunc(slices.Clone(scheme.All), func(s *scheme.Scheme) bool { return !slices.Contains(used, s) })
}

// targets are what a group names: all linears where it is the only one, else each module
// by its full path, for which TensorRT-LLM takes no class of several groups, and patterns
// are not renamed as paths are (formats.md §3.5, §3.6).
func (d *Described) targets(s *scheme.Scheme) []string {
	if d.Scheme != nil {
		return []string{"Linear"}
	}
	var list []string
	for module, is := range d.Schemes {
		if is == s {
			list = append(list, module)
		}
	}
	slices.Sort(list)
	return list
}

var null = strictjson.Value{Kind: strictjson.KindNull}

// numbers is QuantizationArgs of compressed-tensors: how weights or activations are
// written.
type numbers struct {
	bits     int64
	kind     string // float or int
	strategy string // what shares a scale
	group    int64  // weights of a group; 0: none
	block    bool   // of 128×128
	dynamic  dynamic
	scales   string // their dtype, where a strategy has several
}

// dynamic says which scales of activations are taken as they come.
type dynamic uint8

const (
	never   dynamic = iota
	always          // all
	locally         // those of groups, below one that the checkpoint brings
)

func (n *numbers) value() strictjson.Value {
	if n == nil {
		return null
	}
	block, group, scales := null, null, null
	if n.block {
		block = strictjson.Array(strictjson.Int(128), strictjson.Int(128))
	}
	if n.group > 0 {
		group = strictjson.Int(n.group)
	}
	if n.scales != "" {
		scales = strictjson.String(n.scales)
	}
	dynamic := strictjson.Bool(n.dynamic == always)
	if n.dynamic == locally {
		dynamic = strictjson.String("local")
	}
	return strictjson.Object(
		strictjson.Member{Key: "block_structure", Value: block},
		strictjson.Member{Key: "dynamic", Value: dynamic},
		strictjson.Member{Key: "group_size", Value: group},
		strictjson.Member{Key: "num_bits", Value: strictjson.Int(n.bits)},
		strictjson.Member{Key: "scale_dtype", Value: scales},
		strictjson.Member{Key: "strategy", Value: strictjson.String(n.strategy)},
		strictjson.Member{Key: "symmetric", Value: strictjson.Bool(true)},
		strictjson.Member{Key: "type", Value: strictjson.String(n.kind)},
	)
}

// tensor is FP8 with one scale, which the checkpoint brings.
var tensor = &numbers{bits: 8, kind: "float", strategy: "tensor"}

// compression is a preset of compressed-tensors.
type compression struct {
	format          string
	weights, inputs *numbers
	fixed           *numbers // inputs whose scales the checkpoint brings, where there can be
}

// compressions are the presets that schemes stand for. Inputs of MXFP4 and INT4 stay as
// they are: weights alone are written.
var compressions = map[string]compression{
	scheme.BlockFP8.Name: {
		"float-quantized",
		&numbers{bits: 8, kind: "float", strategy: "block", block: true},
		&numbers{bits: 8, kind: "float", strategy: "group", group: 128, dynamic: always}, tensor,
	},
	scheme.ChannelFP8.Name: {
		"float-quantized",
		&numbers{bits: 8, kind: "float", strategy: "channel"},
		&numbers{bits: 8, kind: "float", strategy: "token", dynamic: always}, tensor,
	},
	scheme.TensorFP8.Name: {
		"float-quantized", tensor,
		&numbers{bits: 8, kind: "float", strategy: "token", dynamic: always}, tensor,
	},
	scheme.MXFP8.Name: {
		"mxfp8-quantized",
		&numbers{bits: 8, kind: "float", strategy: "group", group: 32, scales: "torch.uint8"},
		&numbers{bits: 8, kind: "float", strategy: "group", group: 32, scales: "torch.uint8", dynamic: always}, nil,
	},
	scheme.NVFP4.Name: {
		"nvfp4-pack-quantized",
		&numbers{bits: 4, kind: "float", strategy: "tensor_group", group: 16, scales: "torch.float8_e4m3fn"},
		&numbers{bits: 4, kind: "float", strategy: "tensor_group", group: 16, scales: "torch.float8_e4m3fn", dynamic: locally}, nil,
	},
	scheme.MXFP4.Name: {"mxfp4-pack-quantized", &numbers{bits: 4, kind: "float", strategy: "group", group: 32, scales: "torch.uint8"}, nil, nil},
	scheme.INT4.Name:  {"pack-quantized", &numbers{bits: 4, kind: "int", strategy: "group", group: 32}, nil, nil},
}
