package container

import (
	"strings"

	"quern/convert/plan"
	"quern/internal/strictjson"
	"quern/scheme"
)

// ModelOpt is the form of NVIDIA's releases: quant_method modelopt in config.json, and
// hf_quant_config.json beside it, which some engines read alone (formats-2026.md §4.1,
// §6). Both come from one source.
var ModelOpt = &Container{
	Name: "modelopt",
	Forms: map[string]*Form{
		scheme.TensorFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448, InputScale: 1},
		// An input scale that is missing loads as 0, and 1 reaches 2688.
		scheme.NVFP4.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale", scheme.TensorScale: "_scale_2"}, Reach: 6 * 448, InputScale: 1},
	},
	Config: func(d *Described) strictjson.Value {
		a := algorithms[d.Scheme.Name]
		numbers := strictjson.Object(
			strictjson.Member{Key: "dynamic", Value: strictjson.Bool(false)},
			strictjson.Member{Key: "num_bits", Value: strictjson.Int(a.bits)},
			strictjson.Member{Key: "type", Value: strictjson.String("float")},
		)
		if a.group > 0 {
			numbers.Set("group_size", strictjson.Int(a.group))
		}
		group := strictjson.Object(
			strictjson.Member{Key: "input_activations", Value: numbers},
			strictjson.Member{Key: "weights", Value: numbers},
			strictjson.Member{Key: "targets", Value: texts([]string{"Linear"})},
		)
		q := strictjson.Object(
			strictjson.Member{Key: "config_groups", Value: strictjson.Object(strictjson.Member{Key: "group_0", Value: group})},
			strictjson.Member{Key: "ignore", Value: texts(d.Modules.Entries())},
			strictjson.Member{Key: "quant_algo", Value: strictjson.String(a.name)},
		)
		if d.Caches {
			q.Set("kv_cache_scheme", strictjson.Object(
				strictjson.Member{Key: "dynamic", Value: strictjson.Bool(false)},
				strictjson.Member{Key: "num_bits", Value: strictjson.Int(8)},
				strictjson.Member{Key: "type", Value: strictjson.String("float")},
			))
		}
		q.Set("producer", producer(d.Plan))
		q.Set("quant_method", strictjson.String("modelopt"))
		return q
	},
	Beside: func(d *Described) []plan.File {
		a := algorithms[d.Scheme.Name]
		cache := strictjson.Value{Kind: strictjson.KindNull}
		if d.Caches {
			cache = strictjson.String("FP8")
		}
		q := strictjson.Object(
			strictjson.Member{Key: "quant_algo", Value: strictjson.String(a.name)},
			strictjson.Member{Key: "kv_cache_quant_algo", Value: cache},
		)
		if a.group > 0 {
			q.Set("group_size", strictjson.Int(a.group))
		}
		q.Set("exclude_modules", texts(d.Modules.Entries()))
		root := strictjson.Object(
			strictjson.Member{Key: "producer", Value: producer(d.Plan)},
			strictjson.Member{Key: "quantization", Value: q},
		)
		return []plan.File{{Name: "hf_quant_config.json", Data: string(root.Indent("  ")) + "\n"}}
	},
}

// algorithms are ModelOpt's names of schemes, and what its readers ask of numbers.
var algorithms = map[string]struct {
	name        string
	bits, group int64
}{
	scheme.TensorFP8.Name: {"FP8", 8, 0},
	scheme.NVFP4.Name:     {"NVFP4", 4, 16},
}

// producer is the program that made the checkpoint.
func producer(p *plan.Plan) strictjson.Value {
	name, version, _ := strings.Cut(p.Tool, " ")
	return strictjson.Object(
		strictjson.Member{Key: "name", Value: strictjson.String(name)},
		strictjson.Member{Key: "version", Value: strictjson.String(version)},
	)
}
