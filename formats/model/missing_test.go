package model

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/formats/synth"

	"quern/formats/safetensors"
	"quern/internal/strictjson"
)

// TestExpectedShapes compares the shapes of every golden name with those that the
// config gives; the families of the goldens determine all of them.
func TestExpectedShapes(t *testing.T) {
	files, err := filepath.Glob("testdata/roles/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	// Made up, or (special) of shapes that contradict the config on purpose.
	skip := []string{"generic", "deepseek_v4", "kimi_k25", "qwen3_5_moe", "gpt_oss_mxfp4", "tiles_special"}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if slices.Contains(skip, name) {
			continue
		}
		a := Lookup(testConfig(t, name))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string][]int64)
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			all[f[0]] = parseShape(t, f[2])
		}
		meanings := make(map[Tensor]string)
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			shape := all[f[0]]
			dtype, err := safetensors.ParseDType(f[1])
			if err != nil {
				t.Fatal(err)
			}
			c := a.settled(all, f[0], dtype, shape)
			want, ok := a.ExpectedShape(c)
			if ok == (c.Role == Scale || c.Packed()) || ok && !slices.Equal(want, shape) {
				t.Errorf("%s: %s: %d, %v; it is %d", name, f[0], want, ok, shape)
			}
			// No two tensors mean the same: the runner finds them by what they mean.
			c.Module, c.Why, c.Fused = "", "", ""
			if other := meanings[c]; other != "" && c.Role != Scale && c.Role != Vision {
				t.Errorf("%s: %s means the same as %s", name, f[0], other)
			}
			meanings[c] = f[0]
		}
	}
}

// settled is what a checkpoint with tensors of the given shapes makes of a name.
func (a *Arch) settled(all map[string][]int64, name string, dtype safetensors.DType, shape []int64) Tensor {
	c := a.Classify(name, dtype, shape)
	if p, ok := all[a.Partner(&c, shape)]; ok {
		a.Orient(&c, dtype, shape, p)
	}
	return c
}

func TestExpectedShapeUnknown(t *testing.T) {
	v3 := Lookup(testConfig(t, "old_generation"))
	bare := Lookup(&Config{ModelType: "llama"})
	for _, c := range []struct {
		a    *Arch
		name string
	}{
		{v3, "model.layers.0.mlp.secret.weight"},
		{v3, "model.layers.4.mlp.experts.1.up_proj.weight_scale_inv"},
		{bare, "model.layers.0.self_attn.q_proj.weight"}, // no sizes in the config
		{Lookup(nil), "model.layers.0.self_attn.q_proj.weight"},
	} {
		if s, ok := c.a.ExpectedShape(c.a.Classify(c.name, safetensors.BF16, []int64{1, 1})); ok {
			t.Errorf("%s: %d", c.name, s)
		}
	}
}

func TestMissing(t *testing.T) {
	v3 := Lookup(testConfig(t, "old_generation"))
	all := make(map[string]bool)
	for _, x := range synth.Released().Tensors() {
		all[x.Name] = true
	}
	has := func(m map[string]bool) func(string) bool { return func(s string) bool { return m[s] } }
	if l := v3.Missing(has(all)); l.Count != 0 || l.Partial {
		t.Errorf("nothing is missing, got %+v", l)
	}

	part := maps.Clone(all)
	delete(part, "model.layers.5.mlp.experts.17.up_proj.weight")
	delete(part, "lm_head.weight")
	if l := v3.Missing(has(part)); l.String() != "lm_head.weight, model.layers.5.mlp.experts.17.up_proj.weight" || l.Count != 2 {
		t.Errorf("%+v", l)
	}

	// Without its MTP layer, as transformers saves it. Copies of embedding and head
	// are no lack.
	for name := range part {
		if strings.HasPrefix(name, "model.layers.61.") {
			delete(part, name)
		}
	}
	if l := v3.Missing(has(part)); l.Count != 2+4+9+2+3*257 || len(l.First) != 10 || !strings.HasSuffix(l.String(), fmt.Sprintf(" and %d more", l.Count-10)) {
		t.Errorf("%d: %s", l.Count, l)
	}

	// A part of a checkpoint under another root.
	kimi := Lookup(testConfig(t, "kimi_k25"))
	l := kimi.Missing(func(s string) bool { return s == "language_model.model.layers.2.input_layernorm.weight" })
	if l.First[0] != "language_model.model.embed_tokens.weight" || l.First[2] != "lm_head.weight" {
		t.Errorf("%+v", l.First)
	}
}

// TestMissingForms: fused and packed tensors are the tensors of the config too.
func TestMissingForms(t *testing.T) {
	for _, c := range []struct {
		config string
		absent string // what is reported, one layer cut down to it
		has    func(string) bool
	}{
		{"qwen3_5_moe", "", func(s string) bool {
			return !strings.Contains(s, ".experts.") || strings.HasSuffix(s, "experts.gate_up_proj") || strings.HasSuffix(s, "experts.down_proj")
		}},
		{"gpt_oss_mxfp4", "", func(s string) bool {
			return !strings.HasSuffix(s, "experts.gate_up_proj") && !strings.HasSuffix(s, "experts.down_proj")
		}},
		{"kimi_k25", "", func(s string) bool { return !strings.Contains(s, ".experts.") || strings.HasSuffix(s, "_packed") }},
		{"qwen3", "", func(s string) bool { return s != "lm_head.weight" }}, // tied
	} {
		a := Lookup(testConfig(t, c.config))
		if l := a.Missing(c.has); l.String() != c.absent {
			t.Errorf("%s: %s", c.config, l)
		}
	}
}

// TestMissingAbsurd: a config within the limits may still ask for a billion tensors.
func TestMissingAbsurd(t *testing.T) {
	v, err := strictjson.Parse([]byte(`{"model_type": "deepseek_v3", "num_hidden_layers": 10000, "n_routed_experts": 100000}`), strictjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(&v)
	if err != nil {
		t.Fatal(err)
	}
	if l := Lookup(c).Missing(func(string) bool { return false }); !l.Partial || len(l.First) != 10 {
		t.Errorf("%d, partial %v", l.Count, l.Partial)
	}
}

func TestExpertModule(t *testing.T) {
	a := Lookup(testConfig(t, "qwen3_5_moe"))
	for _, name := range []string{"mtp.layers.0.mlp.experts.gate_up_proj", "mtp.layers.0.mlp.experts.gate_up_proj.weight"} {
		c := a.Classify(name, safetensors.BF16, []int64{8, 48, 64})
		if !c.Quantize || !c.Fused3D {
			t.Errorf("%s: %+v", name, c)
		}
		if got := c.ExpertModule(7, "gate"); got != "mtp.layers.0.mlp.experts.7.gate_proj" {
			t.Error(got)
		}
	}
}

// TestMissingGoldens: of no checkpoint of transformers' is a tensor missing, but for
// the multi-token prediction that it does not save, and without any one of them one is.
func TestMissingGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/roles/2026_*.txt")
	if err != nil || len(files) < 31 {
		t.Fatal(files, err)
	}
	released, err := filepath.Glob("testdata/roles/quantized_*.txt")
	if err != nil {
		t.Fatal(err)
	}
	expert := regexp.MustCompile(`experts\.\d+\.`)
	for _, file := range append(files, released...) {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]bool) // the listings have two experts of each layer
		for line := range strings.Lines(string(data)) {
			all[expert.ReplaceAllString(strings.Fields(line)[0], "experts.0.")] = true
		}
		a := Lookup(testConfig(t, name))
		has := func(s string) bool { return all[expert.ReplaceAllString(s, "experts.0.")] }
		if l := a.Missing(has); l.Count != l.MTP {
			t.Errorf("%s: %s", name, l)
		}
		for key := range all {
			shape := []int64{1, 1}
			m := a.Classify(key, safetensors.BF16, shape)
			if m.Role != Norm || m.MTP || !strings.HasSuffix(key, ".weight") {
				continue
			}
			if l := a.Missing(func(s string) bool { return s != key && has(s) }); l.Count-l.MTP != 1 && a.required(&m) {
				t.Errorf("%s: without %s %d are missing", name, key, l.Count)
			}
		}
	}
}

// required reports whether the row of a name says that it has to be there.
func (a *Arch) required(t *Tensor) bool {
	var p place
	locate(t.Module, &p)
	rows := a.shapes[string(p.with(t.Param))]
	if p.layer < 0 {
		rows = a.outside[string(p.with(t.Param))]
	}
	return len(rows) > 0 && !rows[0].optional && rows[0].count == nil
}

// TestMissingSpellings: a block may have the name that it has in another architecture.
func TestMissingSpellings(t *testing.T) {
	data, err := os.ReadFile("testdata/roles/2026_kimi_linear.txt")
	if err != nil {
		t.Fatal(err)
	}
	a := Lookup(testConfig(t, "2026_kimi_linear"))
	all := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		name := strings.Replace(f[0], "layers.0.block_sparse_moe.", "layers.0.mlp.", 1) // as Kimi Linear was released
		shape := parseShape(t, f[2])
		for e := range 8 {
			all[strings.Replace(name, "experts.0.", fmt.Sprintf("experts.%d.", e), 1)] = true
		}
		c := a.Classify(name, safetensors.BF16, shape)
		if want, ok := a.ExpectedShape(c); !ok || !slices.Equal(want, shape) {
			t.Errorf("%s: %d, %v", name, want, ok)
		}
	}
	if l := a.Missing(func(s string) bool { return all[s] }); l.Count != 0 {
		t.Error(l)
	}
}
