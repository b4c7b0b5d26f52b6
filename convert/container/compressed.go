package container

import (
	"quern/internal/strictjson"
	"quern/scheme"
)

// CompressedTensors is the form of llm-compressor and of Kimi's releases: quant_method
// compressed-tensors, with a group that says how weights and activations are written
// (formats.md §3). Its readers refuse keys that they do not know.
var CompressedTensors = &Container{
	Name: "compressed-tensors",
	Forms: map[string]*Form{
		scheme.BlockFP8.Name:   {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448},
		scheme.ChannelFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448},
		scheme.MXFP8.Name:      {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Dynamic: true},
		scheme.MXFP4.Name:      {Suffixes: map[scheme.Kind]string{scheme.Codes: "_packed", scheme.Scale: "_scale"}, Dynamic: true},
		scheme.INT4.Name:       {Suffixes: map[scheme.Kind]string{scheme.Codes: "_packed", scheme.Scale: "_scale", scheme.Dimensions: "_shape"}, Dynamic: true},
	},
	Config: func(d *Described) strictjson.Value {
		f := compressions[d.Scheme.Name]
		inputs := f.inputs
		if d.Static {
			inputs = &numbers{bits: 8, kind: "float", strategy: "tensor"}
		}
		group := strictjson.Object(
			strictjson.Member{Key: "format", Value: strictjson.String(f.format)},
			strictjson.Member{Key: "input_activations", Value: inputs.value()},
			strictjson.Member{Key: "output_activations", Value: null},
			strictjson.Member{Key: "targets", Value: texts([]string{"Linear"})},
			strictjson.Member{Key: "weights", Value: f.weights.value()},
		)
		cache := null
		if d.Caches {
			cache = (&numbers{bits: 8, kind: "float", strategy: "tensor"}).value()
		}
		return strictjson.Object(
			strictjson.Member{Key: "config_groups", Value: strictjson.Object(strictjson.Member{Key: "group_0", Value: group})},
			strictjson.Member{Key: "format", Value: strictjson.String(f.format)},
			strictjson.Member{Key: "ignore", Value: texts(d.Modules.Entries())},
			strictjson.Member{Key: "kv_cache_scheme", Value: cache},
			strictjson.Member{Key: "quant_method", Value: strictjson.String("compressed-tensors")},
			strictjson.Member{Key: "quantization_status", Value: strictjson.String("compressed")},
		)
	},
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
	dynamic  bool   // activations: scaled as they come
	powers   bool   // scales are E8M0
}

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
	if n.powers {
		scales = strictjson.String("torch.uint8")
	}
	return strictjson.Object(
		strictjson.Member{Key: "block_structure", Value: block},
		strictjson.Member{Key: "dynamic", Value: strictjson.Bool(n.dynamic)},
		strictjson.Member{Key: "group_size", Value: group},
		strictjson.Member{Key: "num_bits", Value: strictjson.Int(n.bits)},
		strictjson.Member{Key: "scale_dtype", Value: scales},
		strictjson.Member{Key: "strategy", Value: strictjson.String(n.strategy)},
		strictjson.Member{Key: "symmetric", Value: strictjson.Bool(true)},
		strictjson.Member{Key: "type", Value: strictjson.String(n.kind)},
	)
}

// compressions are the presets of compressed-tensors that schemes stand for. Inputs of
// four-bit weights stay as they are: weights alone are written.
var compressions = map[string]struct {
	format          string
	weights, inputs *numbers
}{
	scheme.BlockFP8.Name: {
		"float-quantized",
		&numbers{bits: 8, kind: "float", strategy: "block", block: true},
		&numbers{bits: 8, kind: "float", strategy: "group", group: 128, dynamic: true},
	},
	scheme.ChannelFP8.Name: {
		"float-quantized",
		&numbers{bits: 8, kind: "float", strategy: "channel"},
		&numbers{bits: 8, kind: "float", strategy: "token", dynamic: true},
	},
	scheme.MXFP8.Name: {
		"mxfp8-quantized",
		&numbers{bits: 8, kind: "float", strategy: "group", group: 32, powers: true},
		&numbers{bits: 8, kind: "float", strategy: "group", group: 32, powers: true, dynamic: true},
	},
	scheme.MXFP4.Name: {"mxfp4-pack-quantized", &numbers{bits: 4, kind: "float", strategy: "group", group: 32, powers: true}, nil},
	scheme.INT4.Name:  {"pack-quantized", &numbers{bits: 4, kind: "int", strategy: "group", group: 32}, nil},
}
