package convert_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/scheme"
)

// wholes is a checkpoint of DeepSeek-V3's shape whose rows are whole groups of every
// scheme.
func wholes(t testing.TB) *hf.Checkpoint {
	t.Helper()
	v := synth.Tiny()
	v.Hidden, v.Inter, v.MoEInter, v.QLora, v.KVLora = 160, 192, 96, 64, 32
	dir := t.TempDir()
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// vector is a float32 with the shape [1].
func vector(t *testing.T, c *hf.Checkpoint, name string) float32 {
	t.Helper()
	r, ok := c.Lookup(name)
	if !ok || r.Tensor.DType != safetensors.F32 || !slices.Equal(r.Tensor.Shape, []int64{1}) {
		t.Fatalf("%s: %v", name, r.Tensor)
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(data(t, c, name)))
}

// NVFP4 in compressed-tensors: ModelOpt's scales of groups, the inverse of its scales of
// tensors and inputs, each code the nearest under what readers multiply by, and the way
// back is that rounded once (formats-2026.md §4.2).
func TestNVFP4CompressedTensors(t *testing.T) {
	c := wholes(t)
	o := with(measure(c).latent())
	o.Scheme, o.Search, o.CacheScales = scheme.NVFP4, fp8.SearchNone, false
	theirs, _ := made(t, c, o)
	o.Container = container.CompressedTensors
	ours, _ := made(t, c, o)
	back := toBF16(t, ours.Dir)
	if is, was := slices.Sorted(slices.Values(names(back))), slices.Sorted(slices.Values(names(c))); !slices.Equal(is, was) {
		t.Errorf("back: %v", is)
	}
	grid := [16]float32{0, .5, 1, 1.5, 2, 3, 4, 6}
	for i, x := range grid[:8] {
		grid[8+i] = -x
	}
	tensors := 0
	for _, m := range c.Classified() {
		if m.Role != model.RoutedExpert {
			continue
		}
		tensors++
		name := m.Module + ".weight"
		g, s := vector(t, ours, name+"_global_scale"), scalar(t, theirs, name+"_scale_2")
		if g != 1/s {
			t.Errorf("%s: %v, and ModelOpt %v", name, g, s)
		}
		if in, ts := vector(t, ours, m.Module+".input_global_scale"), scalar(t, theirs, m.Module+".input_scale"); in != 1/ts {
			t.Errorf("%s: input %v, and ModelOpt %v", name, in, ts)
		}
		scales := data(t, ours, name+"_scale")
		if string(scales) != string(data(t, theirs, name+"_scale")) {
			t.Errorf("%s: other scales of groups", name)
		}
		source, codes, values := floats16(data(t, c, name)), data(t, ours, name+"_packed"), data(t, back, name)
		for k, w := range source {
			mult := fp8.E4M3ToFloat32(scales[k/16]) / g
			code := codes[k/2] >> (4 * (k % 2)) & 15
			x := grid[code] * mult
			if got := binary.LittleEndian.Uint16(values[2*k:]); got != fp8.BF16FromFloat32(x) && x != 0 {
				t.Fatalf("%s: value %d is %#x, %v", name, k, got, x)
			}
			for _, other := range grid {
				// As float32: ties of the quotient are decided there.
				if d, best := math.Abs(float64(w/mult-other)), math.Abs(float64(w/mult-grid[code])); d < best {
					t.Fatalf("%s: weight %d, %v, is %v, and %v would be nearer", name, k, w, grid[code], other)
				}
			}
		}
	}
	if tensors == 0 {
		t.Fatal("no experts")
	}
	q := groupsOf(t, mustPlan(t, c, o))
	if q.Format != "nvfp4-pack-quantized" || len(q.Groups) != 1 {
		t.Errorf("%+v", q)
	}
	in, w := q.Groups["group_0"].Inputs, q.Groups["group_0"].Weights
	if in["dynamic"] != "local" || in["strategy"] != "tensor_group" || in["group_size"] != 16.0 || w["scale_dtype"] != "torch.float8_e4m3fn" || w["dynamic"] != false {
		t.Errorf("inputs %v, weights %v", in, w)
	}
}

// compressedGroups is what config.json says in compressed-tensors' form.
type compressedGroups struct {
	Format string   `json:"format"`
	Ignore []string `json:"ignore"`
	Groups map[string]struct {
		Format  string         `json:"format"`
		Inputs  map[string]any `json:"input_activations"`
		Weights map[string]any `json:"weights"`
		Targets []string       `json:"targets"`
	} `json:"config_groups"`
}

func groupsOf(t *testing.T, p *plan.Plan) compressedGroups {
	t.Helper()
	var config struct {
		Quant compressedGroups `json:"quantization_config"`
	}
	if err := json.Unmarshal([]byte(p.Config), &config); err != nil {
		t.Fatal(err)
	}
	return config.Quant
}

// Several schemes are several groups, and each linear is a target of one of them, by its
// path, or ignored.
func TestMixedGroups(t *testing.T) {
	c := wholes(t)
	o := mix(t, scheme.NVFP4, "attention=fp8-channel", "shared=int4", "dense=mxfp4", "mtp=fp8-tensor")
	p := mustPlan(t, c, o)
	if len(p.Beside) != 0 {
		t.Error("hf_quant_config.json is ModelOpt's")
	}
	q := groupsOf(t, p)
	if q.Format != "mixed-precision" || len(q.Groups) != 5 {
		t.Fatalf("%s, %d groups", q.Format, len(q.Groups))
	}
	formats, at := map[string]string{}, map[string]string{}
	for name, g := range q.Groups {
		formats[g.Format+" "+g.Weights["strategy"].(string)] = name
		for _, target := range g.Targets {
			if at[target] != "" {
				t.Errorf("%s is in %s and %s", target, at[target], name)
			}
			at[target] = name
		}
	}
	for module, want := range map[string]string{
		"model.layers.1.mlp.experts.2.up_proj":        "nvfp4-pack-quantized tensor_group",
		"model.layers.1.self_attn.o_proj":             "float-quantized channel",
		"model.layers.1.mlp.shared_experts.down_proj": "pack-quantized group",
		"model.layers.0.mlp.gate_proj":                "mxfp4-pack-quantized group",
	} {
		if at[module] == "" || at[module] != formats[want] {
			t.Errorf("%s is in %q: %v", module, at[module], formats)
		}
	}
	for i := range p.Tensors {
		if m := &p.Tensors[i].Meta; m.Role.Linear() && m.Param != "" && (at[m.Module] != "") == slices.Contains(q.Ignore, m.Module) {
			t.Errorf("%s: in %q, ignored %v", m.Module, at[m.Module], !(at[m.Module] != ""))
		}
	}
	// One format for all is that of the whole.
	if q := groupsOf(t, mustPlan(t, c, mix(t, scheme.ChannelFP8, "experts=fp8"))); q.Format != "float-quantized" || len(q.Groups) != 2 {
		t.Errorf("%+v", q)
	}
	// Inputs with fixed scales are those of FP8 alone.
	o = with(measure(c).latent())
	o.Search, o.CacheScales = fp8.SearchNone, false
	o.Scheme, o.Roles = scheme.INT4, mix(t, nil, "attention=fp8-tensor").Roles
	p = mustPlan(t, c, o)
	for _, g := range groupsOf(t, p).Groups {
		if fixed := g.Format == "float-quantized"; fixed != (g.Inputs != nil) || fixed && (g.Inputs["strategy"] != "tensor" || g.Inputs["dynamic"] != false) {
			t.Errorf("%s: %v", g.Format, g.Inputs)
		}
	}
}

// MXFP8 in ModelOpt's form is the same bytes under ModelOpt's names.
func TestMXFP8ModelOpt(t *testing.T) {
	c := wholes(t)
	plain, _ := made(t, c, convert.QuantizeOptions{Scheme: scheme.MXFP8})
	o := convert.QuantizeOptions{Scheme: scheme.MXFP8, Container: container.ModelOpt}
	got, _ := made(t, c, o)
	q := declaredBy(t, mustPlan(t, c, o))
	if q.Method != "modelopt" || q.Algo != "MXFP8" || q.Groups["group_0"]["weights"].(map[string]any)["group_size"] != 32.0 {
		t.Errorf("%+v", q)
	}
	const w = "model.layers.1.self_attn.o_proj.weight"
	if string(data(t, got, w)) != string(data(t, plain, w)) || string(data(t, got, w+"_scale")) != string(data(t, plain, w+"_scale_inv")) {
		t.Error("codes or scales are other ones")
	}
	q = declaredBy(t, mustPlan(t, c, mix(t, scheme.NVFP4, "attention=mxfp8")))
	if q.Method != "modelopt_mixed" || q.Layers["model.layers.1.self_attn.o_proj"]["quant_algo"] != "MXFP8" {
		t.Errorf("%+v", q.Layers)
	}
}

// FP8 that is there, by row, by tensor or in groups, is taken over code by code beside
// experts in NVFP4, with the scale of its inputs where the container wants one.
func TestFP8IsTakenOver(t *testing.T) {
	c := wholes(t)
	calibrated := with(measure(c).latent())
	calibrated.Search, calibrated.CacheScales, calibrated.Scheme = fp8.SearchNone, false, scheme.TensorFP8
	const module = "model.layers.1.self_attn.o_proj"
	for _, x := range []struct {
		name         string
		from         convert.QuantizeOptions
		into         *container.Container
		before, is   string // name of the scale
		brings       bool
		want, denied string
	}{
		{"channel", convert.QuantizeOptions{Scheme: scheme.ChannelFP8}, container.CompressedTensors, "_scale", "_scale", false, "float-quantized", "--container compressed-tensors"},
		{"tensor", calibrated, nil, "_scale", "_scale", true, "FP8", ""},
		{"tensor in groups", calibrated, container.CompressedTensors, "_scale", "_scale", false, "float-quantized", ""},
		{"mxfp8", convert.QuantizeOptions{Scheme: scheme.MXFP8}, nil, "_scale_inv", "_scale", false, "MXFP8", ""},
		{"mxfp8 in groups", convert.QuantizeOptions{Scheme: scheme.MXFP8}, container.CompressedTensors, "_scale_inv", "_scale", false, "mxfp8-quantized", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			coded, _ := made(t, c, x.from)
			o := convert.QuantizeOptions{Scheme: scheme.NVFP4, Container: x.into, Requantize: true}
			p := mustPlan(t, coded, o)
			got, _ := made(t, coded, o)
			if string(data(t, got, module+".weight")) != string(data(t, coded, module+".weight")) || string(data(t, got, module+".weight"+x.is)) != string(data(t, coded, module+".weight"+x.before)) {
				t.Error("codes or scales of attention are other ones")
			}
			if x.into == nil {
				if q := declaredBy(t, p); q.Layers[module]["quant_algo"] != x.want {
					t.Errorf("%+v", q.Layers)
				}
			} else if q := groupsOf(t, p); !slices.ContainsFunc(slices.Collect(func(yield func(string) bool) {
				for _, g := range q.Groups {
					if slices.Contains(g.Targets, module) {
						yield(g.Format)
					}
				}
			}), func(f string) bool { return f == x.want }) {
				t.Errorf("%+v", q.Groups)
			}
			if _, has := got.Lookup(module + ".input_scale"); has != x.brings {
				t.Errorf("input_scale is there: %v", has)
			} else if has && scalar(t, got, module+".input_scale") != scalar(t, coded, module+".input_scale") {
				t.Error("input_scale is not the input's")
			}
			back, want := toBF16(t, got.Dir), toBF16(t, coded.Dir)
			if string(data(t, back, module+".weight")) != string(data(t, want, module+".weight")) {
				t.Error("attention has other values")
			}
			if x.denied == "" {
				return
			}
			_, err := convert.PlanQuantize(coded, convert.QuantizeOptions{Scheme: scheme.NVFP4, Requantize: true})
			if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), x.denied) {
				t.Errorf("in modelopt: %v", err)
			}
		})
	}
}
