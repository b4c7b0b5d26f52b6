package container

import (
	"slices"

	"quern/formats/model"
	"quern/internal/strictjson"
	"quern/scheme"
)

// GptOss is the form of gpt-oss's release: the experts of a layer in X_blocks and
// X_scales, and quant_method mxfp4 in config.json (formats.md §5, formats-2026.md §4.3).
// Its readers take the experts of all layers for MXFP4 and nothing else.
var GptOss = &Container{
	Name: "gpt-oss",
	Forms: map[string]*Form{
		scheme.MXFP4Turned.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "_blocks", scheme.Scale: "_scales"}, Dynamic: true},
	},
	Config: func(d *Described) strictjson.Value {
		list := slices.Clone(released)
		for i := range d.Plan.Tensors {
			t := &d.Plan.Tensors[i]
			if t.Meta.Role == model.RoutedExpert && !t.Coded() && d.Schemes[t.Meta.Module] == nil && !slices.Contains(list, t.Meta.Module) {
				list = append(list, t.Meta.Module)
			}
		}
		return strictjson.Object(
			strictjson.Member{Key: "modules_to_not_convert", Value: texts(list)},
			strictjson.Member{Key: "quant_method", Value: strictjson.String("mxfp4")},
		)
	},
}

// released is modules_to_not_convert of gpt-oss-20b and gpt-oss-120b.
var released = []string{"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"}
