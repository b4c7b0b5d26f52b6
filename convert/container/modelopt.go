package container

import (
	"maps"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/internal/strictjson"
	"quern/scheme"
)

// ModelOpt is the form of NVIDIA's releases: quant_method modelopt in config.json, and
// hf_quant_config.json beside it, which some engines read alone (formats-2026.md §4.1,
// §6). Both come from one source. Where schemes are mixed each module is listed with
// its own, and quant_method is modelopt_mixed: SGLang ignores the list otherwise.
var ModelOpt = &Container{
	Name: "modelopt",
	Forms: map[string]*Form{
		// FP8_PB_WO has weights alone: inputs are scaled as they come.
		scheme.BlockFP8.Name:  {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Expanded: true, Dynamic: true},
		scheme.TensorFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Reach: 448, InputScale: 1},
		// Inputs get a power of two for every 32 as they come.
		scheme.MXFP8.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale"}, Dynamic: true},
		// An input scale that is missing loads as 0, and 1 reaches 2688.
		scheme.NVFP4Turned.Name: {
			Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_weight_scale", scheme.TensorScale: "_weight_scale_2"},
			Reach:    6 * 448, InputScale: 1, Input: "_input_scale",
		},
		scheme.NVFP4.Name: {Suffixes: map[scheme.Kind]string{scheme.Codes: "", scheme.Scale: "_scale", scheme.TensorScale: "_scale_2"}, Reach: 6 * 448, InputScale: 1},
	},
	Mixes: true,
	Config: func(d *Described) strictjson.Value {
		if d.Over != nil {
			return over(d)
		}
		q := strictjson.Object()
		if d.Scheme != nil && algorithms[d.Scheme.Name].inputs {
			q.Set("config_groups", strictjson.Object(strictjson.Member{Key: "group_0", Value: algorithms[d.Scheme.Name].group()}))
		}
		q.Set("ignore", texts(spared(d)))
		q.Set("quant_algo", strictjson.String(algorithm(d)))
		if d.Scheme == nil {
			q.Set("quantized_layers", layers(d))
		}
		if d.Caches {
			q.Set("kv_cache_scheme", strictjson.Object(
				strictjson.Member{Key: "dynamic", Value: strictjson.Bool(false)},
				strictjson.Member{Key: "num_bits", Value: strictjson.Int(8)},
				strictjson.Member{Key: "type", Value: strictjson.String("float")},
			))
		}
		q.Set("producer", producer(d.Plan))
		method := "modelopt"
		if d.Scheme == nil {
			method = "modelopt_mixed"
		}
		q.Set("quant_method", strictjson.String(method))
		return q
	},
	Beside: func(d *Described) []plan.File {
		cache := strictjson.Value{Kind: strictjson.KindNull}
		if d.Caches {
			cache = strictjson.String("FP8")
		}
		q := strictjson.Object(
			strictjson.Member{Key: "quant_algo", Value: strictjson.String(algorithm(d))},
			strictjson.Member{Key: "kv_cache_quant_algo", Value: cache},
		)
		if d.Over != nil {
			q.Set("group_size", strictjson.Int(algorithms[scheme.NVFP4.Name].size))
			q.Set("quantized_layers", experts(d))
			q.Set("exclude_modules", texts(others(d)))
		} else if d.Scheme == nil {
			q.Set("quantized_layers", layers(d))
		} else if g := algorithms[d.Scheme.Name].size; g > 0 {
			q.Set("group_size", strictjson.Int(g))
		}
		if d.Over == nil {
			q.Set("exclude_modules", texts(spared(d)))
		}
		root := strictjson.Object(
			strictjson.Member{Key: "producer", Value: producer(d.Plan)},
			strictjson.Member{Key: "quantization", Value: q},
		)
		return []plan.File{{Name: "hf_quant_config.json", Data: string(root.Indent("  ")) + "\n"}}
	},
}

// named is ModelOpt's name of a scheme, and what its readers ask of numbers.
type named struct {
	name       string
	bits, size int64 // of a code; weights of a group, 0 without groups
	inputs     bool  // inputs are quantized as weights are
}

// algorithms are the schemes that it has a name for.
var algorithms = map[string]named{
	scheme.BlockFP8.Name:  {"FP8_PB_WO", 8, 0, false},
	scheme.TensorFP8.Name: {"FP8", 8, 0, true},
	scheme.MXFP8.Name:     {"MXFP8", 8, 32, true},
	scheme.NVFP4.Name:     {"NVFP4", 4, 16, true},
}

// algorithm is quant_algo of a checkpoint.
func algorithm(d *Described) string {
	if d.Scheme == nil {
		return "MIXED_PRECISION"
	}
	return algorithms[d.Scheme.Name].name
}

// group is an algorithm as an entry of config_groups.
func (a named) group() strictjson.Value {
	numbers := strictjson.Object(
		strictjson.Member{Key: "dynamic", Value: strictjson.Bool(false)},
		strictjson.Member{Key: "num_bits", Value: strictjson.Int(a.bits)},
		strictjson.Member{Key: "type", Value: strictjson.String("float")},
	)
	if a.size > 0 {
		numbers.Set("group_size", strictjson.Int(a.size))
	}
	return strictjson.Object(
		strictjson.Member{Key: "input_activations", Value: numbers},
		strictjson.Member{Key: "weights", Value: numbers},
		strictjson.Member{Key: "targets", Value: texts([]string{"Linear"})},
	)
}

// layers is quantized_layers: each module with codes, and its algorithm. The experts of
// a layer have one entry together where they have one scheme: all readers know that
// name, and TensorRT-LLM looks for no other (formats-2026.md §6).
func layers(d *Described) strictjson.Value {
	banks := map[string]*scheme.Scheme{} // nil: experts differ, or some have no codes
	for module, bank := range d.Banks {
		if s, seen := banks[bank]; seen && s != d.Schemes[module] {
			banks[bank] = nil
		} else {
			banks[bank] = d.Schemes[module]
		}
	}
	entries := map[string]*scheme.Scheme{}
	for module, s := range d.Schemes {
		if bank := d.Banks[module]; bank != "" && banks[bank] != nil {
			module = bank
		}
		entries[module] = s
	}
	list := strictjson.Object()
	for _, module := range slices.Sorted(maps.Keys(entries)) {
		a := algorithms[entries[module].Name]
		entry := strictjson.Object(strictjson.Member{Key: "quant_algo", Value: strictjson.String(a.name)})
		if a.size > 0 {
			entry.Set("group_size", strictjson.Int(a.size))
		}
		list.Members = append(list.Members, strictjson.Member{Key: module, Value: entry})
	}
	return list
}

// spared are the modules without codes, and the experts of a layer as one where none of
// them has codes: SGLang asks for them by that name alone (0.5.23, modelopt_quant.py,
// ModelOptQuantConfig.is_layer_excluded).
func spared(d *Described) []string {
	coded := map[string]bool{}
	for module, bank := range d.Banks {
		if d.Schemes[module] != nil {
			coded[bank] = true
		}
	}
	list := d.Modules.Entries()
	for _, module := range d.Modules.Entries() {
		if bank := d.Banks[module]; bank != "" && !coded[bank] {
			list = append(list, bank)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// producer is the program that made the checkpoint.
func producer(p *plan.Plan) strictjson.Value {
	name, version, _ := strings.Cut(p.Tool, " ")
	return strictjson.Object(
		strictjson.Member{Key: "name", Value: strictjson.String(name)},
		strictjson.Member{Key: "version", Value: strictjson.String(version)},
	)
}
