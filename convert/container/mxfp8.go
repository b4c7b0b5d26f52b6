package container

import (
	"quern/internal/strictjson"
	"quern/scheme"
)

// MXFP8 is the form of MiniMax-M3's release: X.weight_scale_inv of E8M0 bytes in U8, and
// quant_method mxfp8 in config.json (formats-2026.md §4.4, §6). The list of kept modules
// has two names: vLLM reads ignored_layers alone (0.32, modelopt.py,
// ModelOptMxFp8Config.from_config) and takes all linears for MXFP8 without it.
var MXFP8 = &Container{
	Name: "mxfp8",
	Forms: map[string]*Form{
		scheme.MXFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale_inv"}, Dynamic: true},
	},
	ExpertDType: "fp8",
	Config: func(d *Described) strictjson.Value {
		return strictjson.Object(
			strictjson.Member{Key: "activation_scheme", Value: strictjson.String("dynamic")},
			strictjson.Member{Key: "fmt", Value: strictjson.String("e4m3")},
			strictjson.Member{Key: "quant_method", Value: strictjson.String("mxfp8")},
			strictjson.Member{Key: "weight_block_size", Value: strictjson.Array(strictjson.Int(1), strictjson.Int(32))},
			strictjson.Member{Key: "scale_fmt", Value: strictjson.String("ue8m0")},
			strictjson.Member{Key: "ignored_layers", Value: texts(d.Modules.Entries())},
			strictjson.Member{Key: "modules_to_not_convert", Value: texts(d.Modules.Entries())},
		)
	},
}
