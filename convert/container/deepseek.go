package container

import (
	"quern/internal/strictjson"
	"quern/scheme"
)

// DeepSeek is the form of DeepSeek-V3's release: X.weight_scale_inv, and quant_method
// fp8 in config.json (design §5).
var DeepSeek = &Container{
	Name: "deepseek",
	Forms: map[string]*Form{
		scheme.BlockFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale_inv"}, Reach: 448},
	},
	ExpertDType: "fp8",
	Config: func(d *Described) strictjson.Value {
		activations := "dynamic"
		if d.Static {
			activations = "static"
		}
		q := strictjson.Object(
			strictjson.Member{Key: "activation_scheme", Value: strictjson.String(activations)},
			strictjson.Member{Key: "fmt", Value: strictjson.String("e4m3")},
			strictjson.Member{Key: "quant_method", Value: strictjson.String("fp8")},
			strictjson.Member{Key: "weight_block_size", Value: strictjson.Array(strictjson.Int(128), strictjson.Int(128))},
		)
		if d.Powers {
			q.Set("scale_fmt", strictjson.String("ue8m0"))
		}
		q.Set("modules_to_not_convert", texts(d.Modules.Entries()))
		return q
	},
}

// texts is a list of strings.
func texts(list []string) strictjson.Value {
	var values []strictjson.Value
	for _, s := range list {
		values = append(values, strictjson.String(s))
	}
	return strictjson.Array(values...)
}
