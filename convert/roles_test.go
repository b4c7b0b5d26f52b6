package convert_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/fp8"
	"quern/scheme"
)

// thirds is a checkpoint of DeepSeek-V3's shape that groups of 16 divide, with an odd
// number of experts.
func thirds(t testing.TB) *hf.Checkpoint {
	t.Helper()
	v := synth.Tiny()
	v.Hidden, v.MoEInter, v.Inter, v.Experts, v.QLora, v.KVLora = 144, 80, 208, 7, 48, 32
	dir := t.TempDir()
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// mix are options with roles as the command line gives them.
func mix(t testing.TB, to *scheme.Scheme, roles ...string) convert.QuantizeOptions {
	t.Helper()
	o := convert.QuantizeOptions{Scheme: to}
	for _, text := range roles {
		r, err := convert.ParseRole(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Roles = append(o.Roles, r)
	}
	return o
}

// declaredMix is what both files of ModelOpt's form say of modules.
type declaredMix struct {
	Method string                    `json:"quant_method"`
	Algo   string                    `json:"quant_algo"`
	Ignore []string                  `json:"ignore"`
	Layers map[string]map[string]any `json:"quantized_layers"`
	Groups map[string]map[string]any `json:"config_groups"`
	Cache  map[string]any            `json:"kv_cache_scheme"`
}

func declaredBy(t *testing.T, p *plan.Plan) declaredMix {
	t.Helper()
	var config struct {
		Quant declaredMix `json:"quantization_config"`
	}
	var beside struct {
		Quant struct {
			Algo    string                    `json:"quant_algo"`
			Cache   *string                   `json:"kv_cache_quant_algo"`
			Exclude []string                  `json:"exclude_modules"`
			Layers  map[string]map[string]any `json:"quantized_layers"`
		} `json:"quantization"`
	}
	if err := json.Unmarshal([]byte(p.Config), &config); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.Beside, func(f plan.File) bool { return f.Name == "hf_quant_config.json" })
	if i < 0 {
		t.Fatal("no hf_quant_config.json")
	}
	if err := json.Unmarshal([]byte(p.Beside[i].Data), &beside); err != nil {
		t.Fatal(err)
	}
	q, b := config.Quant, beside.Quant
	if q.Algo != b.Algo || !slices.Equal(q.Ignore, b.Exclude) || fmt.Sprint(q.Layers) != fmt.Sprint(b.Layers) || (q.Cache == nil) != (b.Cache == nil) {
		t.Errorf("config.json and hf_quant_config.json differ: %+v, %+v", q, b)
	}
	return q
}

// Each role is written as it was asked for, and both files name each module once.
func TestRoles(t *testing.T) {
	c := thirds(t)
	o := mix(t, scheme.NVFP4, "attention=fp8", "shared=fp8-tensor", "dense=nvfp4", "mtp=keep")
	p := mustPlan(t, c, o)
	want := func(m *model.Tensor) string {
		switch {
		case m.MTP || !m.Role.Linear():
			return ""
		case m.Role == model.Attention:
			return "FP8_PB_WO"
		case m.Role == model.SharedExpert:
			return "FP8"
		}
		return "NVFP4"
	}
	q := declaredBy(t, p)
	if q.Method != "modelopt_mixed" || q.Algo != "MIXED_PRECISION" || q.Groups != nil {
		t.Errorf("%+v", q)
	}
	said := maps.Clone(q.Layers)
	seen := map[string]int{}
	for i := range p.Tensors {
		x := &p.Tensors[i]
		if x.Meta.Param != "weight" || len(x.Source.Shape) != 2 || x.Meta.Role == model.Scale {
			continue
		}
		module := x.Meta.Module
		if x.Meta.Role == model.RoutedExpert && !x.Meta.MTP {
			module, _, _ = strings.Cut(module, ".experts.")
			module += ".experts"
		}
		algo := want(&x.Meta)
		seen[algo]++
		if got, _ := q.Layers[module]["quant_algo"].(string); got != algo {
			t.Errorf("%s is %q, want %q", x.Name, got, algo)
		}
		if slices.Contains(q.Ignore, x.Meta.Module) == (algo != "") {
			t.Errorf("%s: listed as ignored, and %q", x.Name, algo)
		}
		delete(said, module)
	}
	if len(said) > 0 || len(seen) != 4 {
		t.Errorf("nothing is called %v; %v", said, seen)
	}

	got, manifest := made(t, c, o)
	for _, x := range manifest.Tensors {
		if x.Error != nil && x.Error.SQNR != nil && *x.Error.SQNR < 19 {
			t.Errorf("%s: %.1f dB", x.Name, *x.Error.SQNR)
		}
	}
	if s, ok := got.Lookup("model.layers.1.self_attn.o_proj.weight_scale"); !ok || !slices.Equal(s.Tensor.Shape, []int64{2, 1, 2, 1}) || s.Tensor.DType != safetensors.F32 {
		t.Errorf("scales of FP8_PB_WO: %+v", s)
	}
	if _, ok := got.Lookup("model.layers.1.self_attn.o_proj.input_scale"); ok {
		t.Error("FP8_PB_WO has a scale of its input")
	}
	for _, module := range []string{"model.layers.1.mlp.experts.6.up_proj", "model.layers.0.mlp.down_proj", "model.layers.1.mlp.shared_experts.gate_proj"} {
		if s := scalar(t, got, module+".input_scale"); s != 1 {
			t.Errorf("%s: input_scale %v", module, s)
		}
	}
	if back := names(toBF16(t, got.Dir)); !slices.Equal(slices.Sorted(slices.Values(back)), slices.Sorted(slices.Values(names(c)))) {
		t.Errorf("back: other tensors: %v", back)
	}
	again, err := convert.PlanQuantize(c, mix(t, scheme.NVFP4, "mtp=keep", "dense=nvfp4", "shared=fp8-tensor", "attention=fp8"))
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, again) != digestOf(t, p) {
		t.Error("the order of --role changes the plan")
	}
}

func digestOf(t *testing.T, p *plan.Plan) string {
	t.Helper()
	d, err := p.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What roles cannot be asked for.
func TestRolesRefused(t *testing.T) {
	for text, says := range map[string]string{
		"attention":       "ROLE=SCHEME",
		"attention=":      "ROLE=SCHEME",
		"attentions=fp8":  `no role "attentions": known are mtp, experts, shared, attention, dense`,
		"attention=fp4":   `no scheme "fp4"`,
		"attention=NVFP4": "and keep",
	} {
		if _, err := convert.ParseRole(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := thirds(t)
	var usage *convert.UsageError
	for _, x := range []struct {
		roles []string
		says  string
	}{
		{[]string{"shared=fp8", "shared=keep"}, "shared is given twice"},
		{[]string{"experts=keep", "shared=keep", "attention=keep", "dense=keep", "mtp=keep"}, "nothing to quantize"},
	} {
		if _, err := convert.PlanQuantize(c, mix(t, scheme.NVFP4, x.roles...)); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%v: %v", x.roles, err)
		}
	}
	llama := checkpoint(t, `{"model_type": "llama"}`, floatItem("model.layers.0.mlp.down_proj.weight", safetensors.BF16, make([]float32, 256), 16, 16))
	if _, err := convert.PlanQuantize(open(t, llama), mix(t, scheme.NVFP4, "dense=nvfp4", "experts=fp8")); !errors.As(err, &usage) || !strings.Contains(err.Error(), "no linear of that role") {
		t.Errorf("a role that the model lacks: %v", err)
	}
}

// Block FP8 that a mix leaves alone is taken over code by code, under ModelOpt's names.
func TestRolesOverCodes(t *testing.T) {
	c := thirds(t)
	coded := quantize(t, c.Dir, convert.QuantizeOptions{})
	o := convert.QuantizeOptions{Scheme: scheme.NVFP4, Requantize: true}
	got, _ := made(t, coded, o)
	q := declaredBy(t, mustPlan(t, coded, o))
	const proj = "model.layers.1.self_attn.o_proj"
	if q.Algo != "MIXED_PRECISION" || q.Layers[proj]["quant_algo"] != "FP8_PB_WO" || q.Layers["model.layers.1.mlp.experts"]["quant_algo"] != "NVFP4" {
		t.Errorf("%+v", q)
	}
	if string(data(t, got, proj+".weight")) != string(data(t, coded, proj+".weight")) || string(data(t, got, proj+".weight_scale")) != string(data(t, coded, proj+".weight_scale_inv")) {
		t.Error("codes or scales of attention are other ones")
	}
	if _, ok := got.Lookup(proj + ".weight_scale_inv"); ok {
		t.Error("scales are there under both names")
	}
	back, want := toBF16(t, got.Dir), toBF16(t, coded.Dir)
	if string(data(t, back, proj+".weight")) != string(data(t, want, proj+".weight")) {
		t.Error("attention has other values")
	}
}

// nvfp4Of is ModelOpt's rule written out in float32 (formats-2026.md §4.1).
func nvfp4Of(w []float32, amax float32) (codes, scales []byte, tensor float32) {
	tensor = 1
	if amax != 0 {
		tensor = amax / 2688
	}
	table := [8]float32{0, .5, 1, 1.5, 2, 3, 4, 6}
	codes = make([]byte, len(w)/2)
	for g := 0; g < len(w); g += 16 {
		most := float32(0)
		for _, x := range w[g : g+16] {
			most = max(most, max(x, -x))
		}
		r := most / (6 * tensor)
		if most == 0 {
			r = 1
		}
		s := fp8.E4M3FromFloat32(min(max(r, 0x1p-9), 448))
		scales = append(scales, s)
		mult := fp8.E4M3ToFloat32(s) * tensor
		for i, x := range w[g : g+16] {
			y, code := x/mult, 0
			neg := y < 0
			if neg {
				y = -y
			}
			for k := 1; k < 8; k++ {
				if d, best := math.Abs(float64(table[k]-y)), math.Abs(float64(table[code]-y)); d < best || d == best && k%2 == 0 {
					code = k
				}
			}
			if neg {
				code |= 8
			}
			codes[(g+i)/2] |= byte(code) << (4 * (i % 2))
		}
	}
	return codes, scales, tensor
}

// Fused experts of every layout, odd numbers of them, and parts that engines fuse
// become what the rule written out makes of each matrix.
func TestNVFP4OfFusedParts(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 4))
	values := func(n int64, scale float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = fp8.BF16ToFloat32(fp8.BF16FromFloat32(float32(r.NormFloat64() * scale * math.Exp(2*r.NormFloat64()))))
		}
		return out
	}
	const experts, inner, hidden = 5, 24, 32
	bf16 := func(name string, v []float32, shape ...int64) item {
		return floatItem(name, safetensors.BF16, v, shape...)
	}
	gateUp, down := values(experts*2*inner*hidden, .1), values(experts*hidden*32, .3)
	q, k, v := values(16*hidden, .2), values(8*hidden, .7), values(8*hidden, .1)
	const layer = "model.language_model.layers.0."
	in := checkpoint(t, `{"architectures": ["Qwen3_5MoeForConditionalGeneration"], "model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text"}}`,
		bf16(layer+"mlp.experts.gate_up_proj", gateUp, experts, 2*inner, hidden),
		bf16(layer+"mlp.experts.down_proj", down, experts, hidden, 32),
		bf16(layer+"self_attn.q_proj.weight", q, 16, hidden),
		bf16(layer+"self_attn.k_proj.weight", k, 8, hidden),
		bf16(layer+"self_attn.v_proj.weight", v, 8, hidden),
	)
	got, _ := made(t, open(t, in), mix(t, scheme.NVFP4, "attention=nvfp4"))
	amax := func(lists ...[]float32) (m float32) {
		for _, l := range lists {
			for _, x := range l {
				m = max(m, max(x, -x))
			}
		}
		return m
	}
	check := func(module string, w []float32, most float32) {
		t.Helper()
		codes, scales, tensor := nvfp4Of(w, most)
		if string(data(t, got, module+".weight")) != string(codes) || string(data(t, got, module+".weight_scale")) != string(scales) {
			t.Errorf("%s: other codes or scales", module)
		}
		if s := scalar(t, got, module+".weight_scale_2"); s != tensor {
			t.Errorf("%s: weight_scale_2 %v, want %v", module, s, tensor)
		}
		if s := scalar(t, got, module+".input_scale"); s != 1 {
			t.Errorf("%s: input_scale %v", module, s)
		}
	}
	for e := range experts {
		both := gateUp[e*2*inner*hidden:][:2*inner*hidden]
		at := fmt.Sprintf("%smlp.experts.%d.", layer, e)
		check(at+"gate_proj", both[:inner*hidden], amax(both))
		check(at+"up_proj", both[inner*hidden:], amax(both))
		own := down[e*hidden*32:][:hidden*32]
		check(at+"down_proj", own, amax(own))
	}
	for name, w := range map[string][]float32{"q": q, "k": k, "v": v} {
		check(layer+"self_attn."+name+"_proj", w, amax(q, k, v))
	}
}

// A search for block scales is never worse than the plain rule, by its own measure; and
// scales of inputs come from a calibration where one is asked for.
func TestNVFP4Calibrated(t *testing.T) {
	c := thirds(t)
	m := measure(c).latent()
	plain, before := made(t, c, convert.QuantizeOptions{Scheme: scheme.NVFP4})
	o := with(m)
	o.Scheme = scheme.NVFP4
	weighted, _ := made(t, c, o)
	searched, after := made(t, c, convert.QuantizeOptions{Scheme: scheme.NVFP4, Search: fp8.SearchMSE})
	better := 0
	for i := range before.Tensors {
		b, a := before.Tensors[i], after.Tensors[i]
		if b.Error == nil {
			continue
		}
		if a.Error.Relative > b.Error.Relative {
			t.Errorf("%s: %v after a search, %v before", a.Name, a.Error.Relative, b.Error.Relative)
		}
		if a.Error.Relative < b.Error.Relative {
			better++
		}
	}
	if better == 0 {
		t.Error("the search has changed nothing")
	}
	read := func(c *hf.Checkpoint) *hf.Checkpoint { return toBF16(t, c.Dir) }
	p, w, s := read(plain), read(weighted), read(searched)
	for ref, meta := range c.Classified() {
		if meta.Role != model.RoutedExpert {
			continue
		}
		name, cols := ref.Tensor.Name, int(ref.Tensor.Shape[1])
		source := floats16(data(t, c, name))
		cost := func(c *hf.Checkpoint) (sum float64) {
			for i, x := range floats16(data(t, c, name)) {
				d := float64(source[i] - x)
				sum += d * d * float64(m.squares[meta.Module][i%cols])
			}
			return sum
		}
		// The way back rounds to BF16, which the search does not see.
		if is, was := cost(w), cost(p); is > was*1.001 {
			t.Errorf("%s: weighted %v, plain %v", name, is, was)
		}
		if is, other := cost(w), cost(s); is > other*1.001 {
			t.Errorf("%s: weighted %v, unweighted %v", name, is, other)
		}
		if got, want := scalar(t, weighted, meta.Module+".input_scale"), m.amax[meta.Module]/2688; got != want {
			t.Errorf("%s: input_scale %v, want %v", meta.Module, got, want)
		}
	}
	if q := declaredBy(t, mustPlan(t, c, o)); q.Cache["num_bits"] != 8.0 || q.Cache["type"] != "float" {
		t.Errorf("kv_cache_scheme: %v", q.Cache)
	}
}

// floats16 are values of BF16.
func floats16(raw []byte) []float32 {
	w := make([]float32, len(raw)/2)
	fp8.ElemBF16.Decode(w, raw)
	return w
}
