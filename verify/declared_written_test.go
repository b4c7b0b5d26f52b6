package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/convert/manifest"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/verify"
)

// at is the map at a path of members.
func at(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m = m[key].(map[string]any)
	}
	return m
}

// quantAt changes quantization_config, or a map below it.
func quantAt(p patient, change func(m map[string]any), path ...string) {
	p.t.Helper()
	p.json("config.json", func(m map[string]any) { change(at(m, append([]string{"quantization_config"}, path...)...)) })
}

// What config.json says of packed codes fits them in every container, and whatever is
// changed in it is seen: by the gate, or because the codes are then no known form ("").
func TestDeclaredWritten(t *testing.T) {
	src := model(t)
	group := []string{"config_groups", "group_0"}
	weights := append(slices.Clone(group), "weights")
	type damage struct {
		name string
		do   func(p patient)
	}
	set := func(key string, value any, path ...string) func(p patient) {
		return func(p patient) { quantAt(p, func(m map[string]any) { setOrDelete(m, key, value) }, path...) }
	}
	beside := func(key string, value any) func(p patient) {
		return func(p patient) {
			p.json("hf_quant_config.json", func(m map[string]any) { setOrDelete(at(m, "quantization"), key, value) })
		}
	}
	compressed := []damage{
		{"group_size", set("group_size", 16, weights...)},
		{"num_bits", set("num_bits", 8, weights...)},
		{"type", func(p patient) {
			quantAt(p, func(m map[string]any) {
				m["type"] = map[string]string{"int": "float", "float": "int"}[m["type"].(string)]
			}, weights...)
		}},
		{"format of the group", set("format", "naive-quantized", group...)},
		{"format of another scheme", func(p patient) {
			quantAt(p, func(m map[string]any) { m["format"] = "nvfp4-pack-quantized" }, group...)
		}},
		{"targets others", set("targets", []string{"re:.*self_attn.*"}, group...)},
		{"no groups", set("config_groups", map[string]any{})},
		{"ignore emptied", set("ignore", []string{})},
		{"ignore with an expert", func(p patient) {
			quantAt(p, func(m map[string]any) {
				m["ignore"] = append(m["ignore"].([]any), "model.layers.2.mlp.experts.4.up_proj")
			})
		}},
		{"ignore without o_proj", func(p patient) {
			quantAt(p, func(m map[string]any) {
				m["ignore"] = slices.DeleteFunc(m["ignore"].([]any), func(x any) bool { return x == "model.layers.1.self_attn.o_proj" })
			})
		}},
		{"quant_method modelopt", set("quant_method", "modelopt")},
		{"removed", func(p patient) { p.set("quantization_config", nil) }},
	}
	modelopt := []damage{
		{"quant_algo FP8", set("quant_algo", "FP8")},
		{"group_size", set("group_size", 32, weights...)},
		{"ignore emptied", set("ignore", []string{})},
		{"quant_method compressed-tensors", set("quant_method", "compressed-tensors")},
		{"hf_quant_config: quant_algo", beside("quant_algo", "FP8")},
		{"hf_quant_config: group_size", beside("group_size", 32)},
		{"hf_quant_config: exclude_modules", beside("exclude_modules", []string{"lm_head"})},
		{"hf_quant_config: an expert excluded", beside("exclude_modules", []string{"*"})},
		{"hf_quant_config is no JSON", func(p patient) { write(p.t, filepath.Join(p.dir, "hf_quant_config.json"), []byte("{")) }},
	}
	mixed := []damage{
		{"a module of another algorithm", func(p patient) {
			quantAt(p, func(m map[string]any) { m["quant_algo"] = "FP8" }, "quantized_layers", "model.layers.1.mlp.experts")
		}},
		{"groups of another size", func(p patient) {
			quantAt(p, func(m map[string]any) { m["group_size"] = 32 }, "quantized_layers", "model.layers.1.mlp.experts")
		}},
		{"experts missing from the list", func(p patient) {
			quantAt(p, func(m map[string]any) { delete(m, "model.layers.1.mlp.experts") }, "quantized_layers")
		}},
		{"quantized_layers missing", set("quantized_layers", nil)},
		{"ignored though it has codes", func(p patient) {
			quantAt(p, func(m map[string]any) {
				m["ignore"] = append(m["ignore"].([]any), "model.layers.2.mlp.experts.4.up_proj")
			})
		}},
	}
	for _, c := range []struct {
		name    string
		o       convert.QuantizeOptions
		damages []damage
	}{
		{"int4", convert.QuantizeOptions{Scheme: scheme.INT4}, append(compressed,
			damage{"symmetric", set("symmetric", false, weights...)}, damage{"actorder", set("actorder", "group", weights...)})},
		{"mxfp4", convert.QuantizeOptions{Scheme: scheme.MXFP4}, compressed},
		{"nvfp4", convert.QuantizeOptions{Scheme: scheme.NVFP4}, modelopt},
		{"mixed", convert.QuantizeOptions{Scheme: scheme.NVFP4, Container: container.ModelOpt, Roles: []convert.RoleScheme{{Role: "attention", Scheme: scheme.BlockFP8}}}, mixed},
	} {
		whole := quantized(t, src, c.o)
		if err := os.Remove(filepath.Join(whole, manifest.Name)); err != nil {
			t.Fatal(err)
		}
		for _, d := range append([]damage{{"undamaged", nil}}, c.damages...) {
			t.Run(c.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				p := patient{t, filepath.Join(t.TempDir(), "damaged")}
				if err := os.CopyFS(p.dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				if d.do != nil {
					d.do(p)
				}
				r, err := verify.Integrity(context.Background(), open(t, p.dir), verify.Options{Workers: 1})
				if errors.Is(err, invalid.Input) && d.do != nil {
					t.Log(err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(r.Gates, func(g verify.Gate) bool { return g.Name == "config" })
				if g := r.Gates[i]; g.Passed != (d.do == nil) {
					t.Errorf("%+v", g)
				} else if !g.Passed {
					t.Log(g.Failures)
				}
			})
		}
	}
}

// What NVIDIA releases is no damage: older ones declare the quantization in
// hf_quant_config.json alone, and DeepSeek-V4's keeps quant_method fp8 for what is not
// experts, of which that file says nothing.
func TestDeclaredReleased(t *testing.T) {
	src := model(t)
	passes := func(p patient, want bool) {
		t.Helper()
		r, err := verify.Integrity(context.Background(), open(t, p.dir), verify.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Gates, func(g verify.Gate) bool { return g.Name == "config" })
		if g := r.Gates[i]; g.Passed != want {
			t.Errorf("%+v", g)
		}
	}
	beside := func(p patient, change func(m map[string]any)) {
		p.json("hf_quant_config.json", func(m map[string]any) { change(at(m, "quantization")) })
	}
	p := patient{t, quantized(t, src, convert.QuantizeOptions{Scheme: scheme.NVFP4, Keep: []string{"*.self_attn.*"}})}
	p.remove(manifest.Name)
	p.set("quantization_config", nil)
	passes(p, true)
	beside(p, func(m map[string]any) { m["exclude_modules"] = []string{"lm_head"} })
	passes(p, false)

	p = patient{t, quantized(t, src, convert.QuantizeOptions{})}
	p.remove(manifest.Name)
	routed := func(name string, _ *entry) bool { return strings.Contains(name, ".experts.") }
	p.tensors(func(l map[string]*entry) {
		maps.DeleteFunc(l, routed)
		nvfp4 := patient{t, quantized(t, src, convert.QuantizeOptions{Scheme: scheme.NVFP4})}
		nvfp4.tensors(func(list map[string]*entry) {
			for name, e := range list {
				if routed(name, e) {
					l[name] = e
				}
			}
		})
	})
	layers := map[string]any{}
	for i := 1; i <= 4; i++ {
		layers[fmt.Sprintf("model.layers.%d.mlp.experts", i)] = map[string]any{"quant_algo": "NVFP4", "group_size": 16}
	}
	both := map[string]any{"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
	quantAt(p, func(m map[string]any) {
		maps.Copy(m, both)
		m["moe_quant_algo"] = "NVFP4"
	})
	both["exclude_modules"] = []string{"*.self_attn.*", "*.shared_experts.*", "lm_head"}
	raw, err := json.Marshal(map[string]any{"quantization": both})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "hf_quant_config.json"), raw)
	passes(p, true)
	beside(p, func(m map[string]any) {
		at(m, "quantized_layers", "model.layers.2.mlp.experts")["quant_algo"] = "FP8"
	})
	passes(p, false)

	// An embedding alone in FP8 (modules_to_convert) has codes, too.
	p = patient{t, filepath.Join(t.TempDir(), "embedding")}
	if err := os.CopyFS(p.dir, os.DirFS(src)); err != nil {
		t.Fatal(err)
	}
	p.set("quantization_config", map[string]any{"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": []int{128, 128}, "modules_to_convert": []string{"model.embed_tokens"}})
	passes(p, false)
	p.tensors(func(l map[string]*entry) {
		e := l["model.embed_tokens.weight"]
		e.dtype, e.data = safetensors.F8E4M3, make([]byte, len(e.data)/2)
		l["model.embed_tokens.weight_scale"] = &entry{"model.embed_tokens.weight_scale", safetensors.F32, nil, []byte{0, 0, 0x80, 0x3f}}
	})
	passes(p, true)
}
