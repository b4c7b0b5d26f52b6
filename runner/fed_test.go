package runner_test

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/group"
	"quern/runner"
	"quern/scheme/rounding"
	"quern/source"
)

// Inputs are rounded by the rule of each weight's own scheme, with the scale that its
// checkpoint brings; what has numbers of its own, or weights alone, takes them as they are.
func TestRoundedInputs(t *testing.T) {
	x := make([]float32, 256)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)*1.7) * math.Exp2(float64(i%9-4)))
	}
	for form, modules := range map[string]map[string]*rounding.Rule{
		"kimi_k25_int4":         {"language_model.model.layers.1.mlp.experts.0.up_proj": nil},
		"gpt_oss_mxfp4":         {"model.layers.0.mlp.experts.0.up_proj": nil},
		"llama_fp8_tensor":      {"model.layers.0.self_attn.o_proj": rounding.FP8Tensor, "lm_head": nil},
		"qwen3_moe_fp8_channel": {"model.layers.0.self_attn.q_proj": rounding.FP8Rows, "model.layers.1.mlp.experts.3.down_proj": rounding.FP8Rows, "lm_head": nil},
		"qwen3_moe_mxfp8":       {"model.layers.0.self_attn.q_proj": rounding.MXFP8, "model.layers.1.mlp.experts.3.down_proj": rounding.MXFP8},
		"qwen3_moe_nvfp4":       {"model.layers.1.mlp.experts.3.up_proj": rounding.NVFP4, "model.layers.0.self_attn.q_proj": nil},
	} {
		m := open(t, "testdata/quantized/"+form)
		all, err := m.StaticScales()
		if err != nil {
			t.Fatal(err)
		}
		list, err := m.RoundedInputs()
		if err != nil {
			t.Fatal(err)
		}
		for module, rule := range modules {
			name, got, width, err := m.Rounded(module, x)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(x[:len(got)])
			if rule != nil {
				rule.Round(want, width, all[module].Taken)
				if name != rule.Name || rule.Static != (all[module].Stored > 0) {
					t.Errorf("%s, %s: rule %q, scale %v", form, module, name, all[module])
				}
				if !slices.ContainsFunc(list, func(r runner.RoundedInputs) bool { return r.Rule == rule && r.Linears > 1 }) {
					t.Errorf("%s: %v", form, list)
				}
			}
			if (rule == nil) != (name == "") || !slices.Equal(got, want) {
				t.Errorf("%s, %s: rule %q gives other numbers", form, module, name)
			}
		}
	}
}

// rewritten is a copy of a checkpoint of one file, whose tensors change passes on.
func rewritten(t *testing.T, src string, change func(name string, data []byte) (string, []byte)) *runner.Model {
	t.Helper()
	c, err := hf.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	files := source.New(c, nil)
	defer files.Close()
	var tensors []safetensors.Tensor
	var data [][]byte
	p := plan.New(c)
	for i := range p.Tensors {
		x := &p.Tensors[i]
		raw := make([]byte, x.Source.Bytes())
		if err := files.Read(&x.Source, raw, 0); err != nil {
			t.Fatal(err)
		}
		name, raw := change(x.Name, raw)
		if name == "" {
			continue
		}
		tensors = append(tensors, safetensors.Tensor{Name: name, DType: x.DType, Shape: x.Shape, End: int64(len(raw))})
		data = append(data, raw)
	}
	return written(t, c, tensors, data)
}

// written is the model of a config and of tensors in one file.
func written(t *testing.T, c *hf.Checkpoint, tensors []safetensors.Tensor, data [][]byte) *runner.Model {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), c.ConfigRaw, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	err = safetensors.Write(f, tensors, nil, func(i int, w io.Writer) error {
		_, err := w.Write(data[i])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func number(x float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)) }

// Engines take the largest scale of all experts of a layer, of gate and up together and of
// down; input_global_scale is the reciprocal of input_scale, and without either the weights
// alone are in four bits.
func TestExpertsShareScales(t *testing.T) {
	const src = "testdata/quantized/qwen3_moe_nvfp4"
	scaleOf := func(name string) float32 {
		switch {
		case strings.Contains(name, "layers.1.mlp.experts.2.up_proj"):
			return 0.5
		case strings.Contains(name, "layers.1.mlp.experts.1.down_proj"):
			return 0.25
		}
		return 0.125
	}
	ids := readReference(t, src+"/reference.safetensors").ids()
	logit := map[string][]float32{}
	for _, how := range []string{"input_scale", "input_global_scale", "none"} {
		m := rewritten(t, src, func(name string, data []byte) (string, []byte) {
			base, ok := strings.CutSuffix(name, "input_scale")
			switch {
			case !ok:
				return name, data
			case how == "none":
				return "", nil
			case how == "input_scale":
				return name, number(scaleOf(name))
			}
			return base + how, number(1 / scaleOf(name))
		})
		scales, err := m.StaticScales()
		if err != nil {
			t.Fatal(err)
		}
		if how == "none" {
			if m.RoundsInputs() || m.HasStaticScales() || len(scales) > 0 {
				t.Errorf("weights alone have inputs that are rounded: %v", scales)
			}
		} else {
			for module, want := range map[string][2]float32{
				"model.layers.1.mlp.experts.2.up_proj":   {0.5, 0.5},
				"model.layers.1.mlp.experts.0.gate_proj": {0.125, 0.5},
				"model.layers.1.mlp.experts.0.down_proj": {0.125, 0.25},
				"model.layers.0.mlp.experts.0.down_proj": {0.125, 0.125},
			} {
				if s := scales[module]; s.Stored != want[0] || s.Taken != want[1] || s.Rule != rounding.NVFP4 {
					t.Errorf("%s, %s: %v instead of %v", how, module, s, want)
				}
			}
		}
		for i, o := range []runner.Options{{Emulate: true}, {Emulate: true, Memory: 1, TempDir: t.TempDir(), Workers: 1}, {}} {
			o.NoMTP = true
			ev, err := m.Evaluate(context.Background(), [][]int{ids[:20], ids[20:]}, o)
			if err != nil {
				t.Fatal(err)
			}
			got := logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), m.Vocab())
			ev.Close()
			switch i {
			case 0:
				logit[how] = got
			case 1:
				if !slices.Equal(got, logit[how]) {
					t.Errorf("%s: memory and workers change what is emulated", how)
				}
			case 2:
				if slices.Equal(got, logit[how]) != (how == "none") {
					t.Errorf("%s: emulating changes nothing, or weights alone", how)
				}
			}
		}
	}
	if !slices.Equal(logit["input_scale"], logit["input_global_scale"]) {
		t.Error("a scale and its reciprocal give other logits")
	}
}

// The rounding of rows that share nothing is that of each row.
func TestRowsAreRoundedAlone(t *testing.T) {
	a, b := []float32{3, 1, -7, 0.1}, []float32{0.003, 0.001, 0, -0.002}
	both := append(slices.Clone(a), b...)
	rounding.FP8Rows.Round(both, 4, 0)
	group.RoundRow(a)
	group.RoundRow(b)
	if !slices.Equal(both, append(a, b...)) {
		t.Errorf("%v", both)
	}
}
