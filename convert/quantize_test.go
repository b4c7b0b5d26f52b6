package convert_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/formats/synth"
)

// holes writes a checkpoint of holes: headers and config only matter to plans.
func holes(t testing.TB, config string, tensors ...safetensors.Tensor) *hf.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	h, raw, err := safetensors.NewHeader(tensors, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	size := h.DataOffset
	for _, x := range h.Tensors {
		size = max(size, h.DataOffset+x.End)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tensor(name string, d safetensors.DType, shape ...int64) safetensors.Tensor {
	return safetensors.Tensor{Name: name, DType: d, Shape: shape}
}

const llama = `{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 256, "torch_dtype": "float32"}`

func mustPlan(t testing.TB, c *hf.Checkpoint, o convert.QuantizeOptions) *plan.Plan {
	t.Helper()
	p, err := convert.PlanQuantize(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The released DeepSeek-V3: what the published FP8 checkpoint holds.
func TestReleasedShape(t *testing.T) {
	dir := t.TempDir()
	if err := synth.Released().Write(dir); err != nil {
		t.Skip("no files with holes here:", err)
	}
	c := open(t, dir)
	if c.Len() != 46183 || len(c.Files) != 152 || c.Bytes() != 1368979721216 {
		t.Errorf("%d tensors, %d bytes in %d files; the BF16 form has 46183 and 1368979721216, here in 152", c.Len(), c.Bytes(), len(c.Files))
	}
	p := mustPlan(t, c, convert.QuantizeOptions{})
	got := p.Totals()
	if got.Tensors != 91991 || got.Bytes != 688574839360 {
		t.Errorf("%d tensors, %d bytes; the released checkpoint has 91991 and 688574839360", got.Tensors, got.Bytes)
	}
	if n := c.Parameters(); n != (model.Parameters{Total: 671026419200, Active: 37552297472, MTP: 13463426304}) {
		t.Errorf("parameters %+v", n)
	}
	for _, n := range p.Notes {
		t.Errorf("unexpected note: %s", n)
	}
}

// Eight bits instead of thirty-two: a quantized tensor and its scales take at
// most 25.1 % of a float32 source, the whole model with the rest in BF16 25.5 %.
func TestSizeAgainstFloat32(t *testing.T) {
	v := synth.Released()
	v.DType = safetensors.F32
	v.ShardBytes = 40 << 30
	dir := t.TempDir()
	if err := v.Write(dir); err != nil {
		t.Skip("no files with holes here:", err)
	}
	c := open(t, dir)
	p := mustPlan(t, c, convert.QuantizeOptions{KeepBF16: true})
	for i := range p.Tensors {
		x := &p.Tensors[i]
		if !x.Op.Quantizes() {
			continue
		}
		both := x.Bytes() + p.Tensors[i+1].Bytes()
		if share := float64(both) / float64(x.Source.Bytes()); share > 0.251 {
			t.Errorf("%s: %.2f %% of its source", x.Name, 100*share)
		}
	}
	if share := float64(p.Totals().Bytes) / float64(c.Bytes()); share > 0.255 {
		t.Errorf("the model takes %.2f %% of its source", 100*share)
	}
}

// modules_to_not_convert must mean the same however an engine matches it.
// Matching is written out anew here, with Go's regexp for Python's.
func TestIgnoreListReadings(t *testing.T) {
	for _, name := range []string{"deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "deepseek_v32", "glm4_moe", "gpt_oss", "kimi_k2", "llama", "minimax_m2", "mixtral", "qwen2_moe", "qwen3", "qwen3_5_moe", "qwen3_moe", "qwen3_next", "generic"} {
		t.Run(name, func(t *testing.T) {
			c := family(t, name)
			for _, o := range []convert.QuantizeOptions{{}, {KeepMTP: true}, {Keep: []string{map[bool]string{false: "*o_proj", true: "*q_proj"}[name == "generic"]}}} {
				p := mustPlan(t, c, o)
				for _, n := range p.Notes {
					if strings.Contains(n, "modules_to_not_convert") {
						t.Errorf("%+v: %s", o, n)
					}
				}
				checkReadings(t, p)
			}
		})
	}
}

// Names that no list can tell apart under every reading are reported.
func TestIgnoreListConflict(t *testing.T) {
	c := holes(t, llama,
		tensor("model.layers.0.mlp.gate.weight", safetensors.BF16, 8, 256), // prefix of the next
		tensor("model.layers.0.mlp.gate_proj.weight", safetensors.BF16, 512, 256),
		tensor("model.layers.0.mlp.up_proj.weight", safetensors.BF16, 512, 256),
	)
	notes := strings.Join(mustPlan(t, c, convert.QuantizeOptions{}).Notes, "\n")
	for _, want := range []string{"under prefix matching (transformers (re.match)) 1 modules", "under substring matching", "model.layers.0.mlp.gate_proj first"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note says %q:\n%s", want, notes)
		}
	}
	if strings.Contains(notes, "exact") {
		t.Errorf("exact matching is not at fault:\n%s", notes)
	}
}

// family is a checkpoint of holes with the kinds of tensors of an architecture,
// in layers with numbers that begin alike.
func family(t *testing.T, name string) *hf.Checkpoint {
	t.Helper()
	at := filepath.Join("..", "formats", "model", "testdata")
	config, err := os.ReadFile(filepath.Join(at, "config", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(at, "roles", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	layer := regexp.MustCompile(`layers\.(\d)\.`)
	seen := map[string]safetensors.Tensor{}
	for line := range strings.Lines(string(list)) {
		w := strings.Fields(line)
		if len(w) < 5 || strings.HasPrefix(line, "#") || !slices.Contains([]string{"BF16", "F16", "F32"}, w[1]) || w[4] == "scale" {
			continue // the lists also hold what quantized checkpoints have
		}
		var shape []int64
		if err := json.Unmarshal([]byte(w[2]), &shape); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		// Two lists show fused and single experts beside each other; no
		// checkpoint has both.
		if name == "generic" && len(shape) == 3 || name == "qwen3_5_moe" && strings.Contains(w[0], ".experts.7.") {
			continue
		}
		d, err := safetensors.ParseDType(w[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"layers.$1.", "layers.1$1."} {
			n := layer.ReplaceAllString(w[0], to)
			seen[n] = tensor(n, d, shape...)
		}
	}
	tensors := slices.Collect(maps.Values(seen))
	return holes(t, string(config), tensors...)
}

func checkReadings(t *testing.T, p *plan.Plan) {
	t.Helper()
	var config struct {
		Quant struct {
			Skip []string `json:"modules_to_not_convert"`
		} `json:"quantization_config"`
	}
	if err := json.Unmarshal([]byte(p.Config), &config); err != nil {
		t.Fatal(err)
	}
	skip := config.Quant.Skip
	readings := map[string]func(module, entry string) bool{
		"exact":     func(m, e string) bool { return m == e },
		"suffix":    strings.HasSuffix,
		"substring": strings.Contains,
		"prefix": func(m, e string) bool {
			return regexp.MustCompile("^" + e).MatchString(m)
		},
	}
	quantized := 0
	for i := range p.Tensors {
		x := &p.Tensors[i]
		if x.Meta.Param != "weight" || x.Meta.Role == model.Scale {
			continue
		}
		kept := x.DType != safetensors.F8E4M3
		if !kept {
			quantized++
		}
		for name, match := range readings {
			if got := slices.ContainsFunc(skip, func(e string) bool { return match(x.Meta.Module, e) }); got != kept {
				t.Errorf("%s: %s matching says kept=%v", x.Meta.Module, name, got)
			}
		}
	}
	if quantized == 0 && len(skip) > 0 {
		t.Error("nothing is quantized")
	}
}

func TestKeep(t *testing.T) {
	c := holes(t, llama,
		tensor("model.layers.0.self_attn.q_proj.weight", safetensors.BF16, 256, 256),
		tensor("model.layers.0.self_attn.k_proj.weight", safetensors.BF16, 64, 256),
		tensor("model.layers.0.self_attn.v_proj.weight", safetensors.BF16, 64, 256),
		tensor("model.layers.0.self_attn.o_proj.weight", safetensors.BF16, 256, 256),
		tensor("model.layers.0.mlp.gate_proj.weight", safetensors.BF16, 512, 256),
		tensor("model.layers.0.mlp.up_proj.weight", safetensors.BF16, 512, 256),
		tensor("model.layers.0.mlp.down_proj.weight", safetensors.BF16, 256, 512),
	)
	quantized := func(o convert.QuantizeOptions) string {
		var out []string
		p := mustPlan(t, c, o)
		for i := range p.Tensors {
			if p.Tensors[i].Op == plan.Quantize {
				out = append(out, p.Tensors[i].Meta.Part)
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, x := range []struct {
		o    convert.QuantizeOptions
		want string
	}{
		{convert.QuantizeOptions{}, "down gate k o q up v"},
		{convert.QuantizeOptions{Keep: []string{"*q_proj"}}, "down gate o up"}, // k and v follow
		{convert.QuantizeOptions{Keep: []string{"model.layers.0.mlp.up_proj"}}, "down k o q v"},
		{convert.QuantizeOptions{Keep: []string{"*mlp*"}}, "k o q v"},
		{convert.QuantizeOptions{KeepRagged: true}, "down gate o up"}, // k has 64 rows
	} {
		if got := quantized(x.o); got != x.want {
			t.Errorf("%+v: %q, want %q", x.o, got, x.want)
		}
	}
	// A typo must not quantize what was to be kept.
	var usage *convert.UsageError
	if _, err := convert.PlanQuantize(c, convert.QuantizeOptions{Keep: []string{"*q_proj", "*q_porj"}}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--keep *q_porj matches no module") {
		t.Errorf("a pattern that matches nothing: %v", err)
	}
}

func TestFusedExpertsAreSplit(t *testing.T) {
	config := `{"model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text", "num_hidden_layers": 1, "hidden_size": 256, "moe_intermediate_size": 128, "num_experts": 3, "num_experts_per_tok": 2}}`
	c := holes(t, config,
		tensor("model.language_model.layers.0.mlp.experts.gate_up_proj", safetensors.BF16, 3, 256, 256),
		tensor("model.language_model.layers.0.mlp.experts.down_proj", safetensors.BF16, 3, 256, 128),
	)
	p := mustPlan(t, c, convert.QuantizeOptions{})
	var got []string
	for i := range p.Tensors {
		if x := &p.Tensors[i]; x.Op == plan.Quantize {
			got = append(got, fmt.Sprintf("%s %v @%d", strings.TrimPrefix(x.Name, "model.language_model.layers.0.mlp."), x.Shape, x.Source.Offset))
		}
	}
	slices.Sort(got)
	want := []string{}
	for e := range 3 {
		at := e * 256 * 256 * 2
		want = append(want,
			fmt.Sprintf("experts.%d.gate_proj.weight [128 256] @%d", e, at+down(c)),
			fmt.Sprintf("experts.%d.up_proj.weight [128 256] @%d", e, at+128*256*2+down(c)),
			fmt.Sprintf("experts.%d.down_proj.weight [256 128] @%d", e, e*256*128*2))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// down is the size of the fused down projections, which lie first in the file.
func down(c *hf.Checkpoint) int {
	r, _ := c.Lookup("model.language_model.layers.0.mlp.experts.down_proj")
	return int(r.Tensor.Bytes())
}

// A float32 source: at least 31 dB for every tensor, in both forms of scales
// but for what powers of two cost.
func TestFloat32Accuracy(t *testing.T) {
	v := synth.Tiny()
	v.DType = safetensors.F32
	dir := t.TempDir()
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	c := quantize(t, dir, convert.QuantizeOptions{KeepBF16: true})
	raw, err := os.ReadFile(filepath.Join(c.Dir, manifest.Name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	quantized := 0
	for _, x := range m.Tensors {
		if x.Error == nil {
			continue
		}
		quantized++
		if x.Error.SQNR == nil || *x.Error.SQNR < 31 {
			t.Errorf("%s: %+v", x.Name, x.Error)
		}
		if x.Error.Saturated != 0 {
			t.Errorf("%s: %d weights saturate", x.Name, x.Error.Saturated)
		}
	}
	if quantized == 0 {
		t.Error("nothing was quantized")
	}
}
