package convert

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/container"
	"quern/convert/modules"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/strictjson"
	"quern/scheme"
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
	if !q.checkpoint.HasConfig {
		return nil
	}
	d, err := q.described(p, list)
	if err != nil {
		return err
	}
	quant := q.Container.Config(d)
	if q.Container.Beside != nil {
		p.Beside = append(p.Beside, q.Container.Beside(d)...)
	}
	root := clone(q.checkpoint.ConfigValue)
	at := &root
	for _, c := range configs(&root) {
		if c.Get("quantization_config") != nil {
			at = c // where the input has it, the outermost if several have
			break
		}
	}
	at.Set("quantization_config", quant)
	for _, c := range slices.Backward(configs(&root)) {
		if c.Get("quantization_config") != nil && c != at {
			c.Delete("quantization_config")
		}
		c.Delete("compression_config") // an older name of the same
	}
	if d.Over != nil {
		// what their readers have for FP4 of either form
	} else if root.Get("expert_dtype") != nil || q.checkpoint.Arch().ExpertsInFP4() {
		// What engines assume without it is FP4 (vLLM deepseek_v4).
		if is := q.Container.ExpertDType; is != "" {
			root.Set("expert_dtype", strictjson.String(is))
		} else {
			root.Delete("expert_dtype")
		}
	}
	if q.KeepBF16 {
		setDType(&root)
	}
	p.Config = string(root.Indent("  ")) + "\n"
	return nil
}

// overFP8 reports whether routed experts become NVFP4 in a DeepSeek-V4 whose other
// weights are block FP8: they stay as they are then, and so does the config of them.
func (q *quantizer) overFP8() bool {
	quant := quantization(q.checkpoint)
	return q.checkpoint.Arch().ExpertsInFP4() && q.Container == container.ModelOpt && q.Scheme == scheme.NVFP4 && len(q.Roles) == 0 &&
		quant != nil && quant.Method == "fp8" && q.checkpoint.ConfigValue.Get("quantization_config") != nil
}

// described is what the container has to say of p.
func (q *quantizer) described(p *plan.Plan, list *modules.List) (*container.Described, error) {
	d := &container.Described{
		Plan: p, Schemes: map[string]*scheme.Scheme{}, Banks: map[string]string{}, Modules: list,
		Static: q.StaticActivations, Powers: true, Caches: q.CacheScales,
	}
	var used []*scheme.Scheme
	for i := range p.Tensors {
		t := &p.Tensors[i]
		d.Powers = d.Powers && (t.Quant.UE8M0 || !t.Coded())
		if m := &t.Meta; m.Role == model.RoutedExpert && m.Expert >= 0 {
			for _, module := range []string{m.Module, modules.Decoder(m)} {
				// of modules with codes the second name goes by itself in lists of schemes
				if at := strings.LastIndex(module, fmt.Sprintf(".%d.", m.Expert)); at >= 0 && (module == m.Module || !t.Coded()) {
					d.Banks[module] = module[:at]
				}
			}
		}
		if !t.Coded() {
			continue
		}
		s, err := scheme.Find(t.Quant.Scheme)
		if err != nil {
			return nil, err
		}
		s = s.Plain() // which config.json has words for
		d.Schemes[t.Meta.Module] = s
		if also := modules.Decoder(&t.Meta); list.Names(also) {
			d.Schemes[also] = s
		}
		if !slices.Contains(used, s) {
			used = append(used, s)
		}
	}
	if len(used) == 1 {
		d.Scheme = used[0]
	}
	if q.overFP8() && len(q.asIs) > 0 {
		d.Over = q.checkpoint.ConfigValue.Get("quantization_config")
	}
	return d, nil
}

// bf16Config is the stage that takes the quantization out of config.json.
func bf16Config(c *hf.Checkpoint) plan.Stage {
	return func(p *plan.Plan) error {
		if !c.HasConfig {
			return nil
		}
		root := clone(c.ConfigValue)
		for _, at := range slices.Backward(configs(&root)) {
			at.Delete("quantization_config")
			at.Delete("compression_config")
			at.Delete("expert_dtype")
			if model.IsMLX(at.Get("quantization")) {
				at.Delete("quantization")
			}
		}
		setDType(&root)
		p.Config = string(root.Indent("  ")) + "\n"
		return nil
	}
}

// setDType sets the dtype fields that are there (torch_dtype, or dtype since
// transformers 5), also those of the parts of a multimodal model; older readers know
// only torch_dtype, so a config without either gets that one.
func setDType(root *strictjson.Value) {
	found := false
	for _, at := range configs(root) {
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

// configs are root and the configs of parts that lie in it, outer ones first:
// text_config, llm_config, thinker_config and the text_config in that, and so on.
// The pointers are into root, and stale when a key is added to or taken from a config
// around them: who does that goes backward.
func configs(root *strictjson.Value) []*strictjson.Value {
	list := []*strictjson.Value{root}
	for i := range root.Members {
		m := &root.Members[i]
		if m.Value.Kind == strictjson.KindObject && strings.HasSuffix(m.Key, "_config") && m.Key != "quantization_config" && m.Key != "compression_config" {
			list = append(list, configs(&m.Value)...)
		}
	}
	return list
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
