package convert

import (
	"quern/convert/modules"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/strictjson"
)

// quantization is what the input's config says of its quantization, or nil.
func quantization(c *hf.Checkpoint) *model.Quantization {
	if c.Config == nil {
		return nil
	}
	return c.Config.Quant
}

// config is the stage that lists what is kept and declares the quantization in
// config.json. Order and unknown keys of the input's stay.
func (q *quantizer) config(p *plan.Plan) error {
	list := modules.Of(p, q.checkpoint.Config)
	p.Notes = append(p.Notes, list.Check()...)
	if len(list.Quantized) == 0 {
		p.Notes = append(p.Notes, "nothing is quantized: no tensor is a linear layer that the options allow")
		return nil
	}
	if !q.checkpoint.HasConfig {
		return nil
	}
	scheme, powers := "dynamic", true
	if q.StaticActivations {
		scheme = "static"
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		powers = powers && (t.Quant.UE8M0 || t.DType != safetensors.F8E4M3 || t.Meta.Role == model.Scale)
	}
	quant := strictjson.Object(
		strictjson.Member{Key: "activation_scheme", Value: strictjson.String(scheme)},
		strictjson.Member{Key: "fmt", Value: strictjson.String("e4m3")},
		strictjson.Member{Key: "quant_method", Value: strictjson.String("fp8")},
		strictjson.Member{Key: "weight_block_size", Value: strictjson.Array(strictjson.Int(128), strictjson.Int(128))},
	)
	if powers {
		quant.Set("scale_fmt", strictjson.String("ue8m0"))
	}
	var entries []strictjson.Value
	for _, m := range list.Entries() {
		entries = append(entries, strictjson.String(m))
	}
	quant.Set("modules_to_not_convert", strictjson.Array(entries...))
	root := clone(q.checkpoint.ConfigValue)
	text := root.Get("text_config")
	if root.Get("quantization_config") == nil && text.Get("quantization_config") != nil {
		text.Set("quantization_config", quant) // where the input has it
	} else {
		root.Set("quantization_config", quant)
	}
	root.Delete("compression_config") // an older name of the same
	if q.KeepBF16 {
		setDType(&root)
	}
	p.Config = string(root.Indent("  ")) + "\n"
	return nil
}

// bf16Config is the stage that takes the quantization out of config.json.
func bf16Config(c *hf.Checkpoint) plan.Stage {
	return func(p *plan.Plan) error {
		if !c.HasConfig {
			return nil
		}
		root := clone(c.ConfigValue)
		for _, at := range []*strictjson.Value{&root, root.Get("text_config")} {
			if at != nil {
				at.Delete("quantization_config")
				at.Delete("compression_config")
			}
		}
		setDType(&root)
		p.Config = string(root.Indent("  ")) + "\n"
		return nil
	}
}

// setDType sets the dtype fields that are there (torch_dtype, or dtype since
// transformers 5), also those of the text part; older readers know only
// torch_dtype, so a config without either gets that one.
func setDType(root *strictjson.Value) {
	found := false
	for _, at := range []*strictjson.Value{root, root.Get("text_config")} {
		if at == nil {
			continue
		}
		for _, key := range []string{"torch_dtype", "dtype"} {
			if v := at.Get(key); v != nil {
				at.Set(key, strictjson.String("bfloat16"))
				found = true
			}
		}
	}
	if !found {
		root.Set("torch_dtype", strictjson.String("bfloat16"))
	}
}

// clone copies what Set and Delete change, so that the checkpoint's own value
// stays as it was read.
func clone(v strictjson.Value) strictjson.Value {
	v.Members = append([]strictjson.Member(nil), v.Members...)
	for i := range v.Members {
		if v.Members[i].Value.Kind == strictjson.KindObject {
			v.Members[i].Value = clone(v.Members[i].Value)
		}
	}
	return v
}
