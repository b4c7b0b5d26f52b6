package container

import (
	"slices"

	"quern/internal/strictjson"
	"quern/scheme"
)

// DeepSeek-V4 with experts in NVFP4 keeps the config of its FP8, and says of the experts
// what is other: so NVIDIA's releases have it, and the readers of that architecture look
// for moe_quant_algo under quant_method fp8 (formats-2026.md §4.1).

// over is quantization_config of such a checkpoint.
func over(d *Described) strictjson.Value {
	q := *d.Over
	q.Members = slices.Clone(q.Members)
	a := algorithms[scheme.NVFP4.Name]
	q.Set("config_groups", strictjson.Object(strictjson.Member{Key: "group_0", Value: a.group()}))
	q.Set("group_size", strictjson.Int(a.size))
	q.Set("ignore", texts(others(d)))
	q.Set("kv_cache_quant_algo", strictjson.Value{Kind: strictjson.KindNull})
	q.Set("moe_quant_algo", strictjson.String(a.name))
	q.Set("producer", producer(d.Plan))
	q.Set("quant_algo", strictjson.String("MIXED_PRECISION"))
	q.Set("quantized_layers", experts(d))
	return q
}

// experts is quantized_layers of the experts alone.
func experts(d *Described) strictjson.Value {
	only := *d
	only.Schemes = map[string]*scheme.Scheme{}
	for module, s := range d.Schemes {
		if s == scheme.NVFP4 {
			only.Schemes[module] = s
		}
	}
	return layers(&only)
}

// others are all modules but those.
func others(d *Described) []string {
	list := d.Modules.Entries()
	for module, s := range d.Schemes {
		if s != scheme.NVFP4 {
			list = append(list, module)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
