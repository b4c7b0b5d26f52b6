package convert_test

// Longer than 500 lines: one made-up calibration serves all tests that go by one.

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/fp8"
	"quern/internal/invalid"
)

// measured is a calibration in memory.
type measured struct {
	count    map[string]int64
	amax     map[string]float32
	squares  map[string][]float32
	cache    map[string]float32 // by path, space, kind
	identity string
	digest   [32]byte
}

func (m *measured) Count(module string) int64  { return m.count[module] }
func (m *measured) Channels(module string) int { return len(m.squares[module]) }
func (m *measured) InputAmax(module string) (float32, bool) {
	x, ok := m.amax[module]
	return x, ok
}

func (m *measured) MeanSquares(module string) ([]float32, bool) {
	x, ok := m.squares[module]
	return x, ok
}

func (m *measured) CacheAmax(attention, kind string) (float32, bool) {
	x, ok := m.cache[attention+" "+kind]
	return x, ok
}
func (m *measured) Identity() string { return m.identity }
func (m *measured) Digest() [32]byte { return m.digest }

func identify(*hf.Checkpoint) (string, error) { return "this model", nil }

// set gives a module statistics of its own, made from the name of its input.
func (m *measured) set(module, input string, in int64) {
	h := fnv.New64a()
	h.Write([]byte(input))
	r := rand.New(rand.NewPCG(h.Sum64(), 9))
	m.count[module], m.amax[module] = 10+r.Int64N(1000), 1+9*r.Float32()
	m.squares[module] = make([]float32, in)
	for i := range m.squares[module] {
		m.squares[module][i] = float32(math.Exp(3 * r.NormFloat64()))
	}
}

// forget makes a module one that was never reached.
func (m *measured) forget(modules ...string) *measured {
	for _, x := range modules {
		delete(m.count, x)
		delete(m.amax, x)
		delete(m.squares, x)
	}
	return m
}

// measure makes a calibration of all linears of c: modules that engines fuse have
// one input.
func measure(c *hf.Checkpoint) *measured {
	m := &measured{count: map[string]int64{}, amax: map[string]float32{}, squares: map[string][]float32{}, cache: map[string]float32{}, identity: "this model", digest: [32]byte{0xca, 0xfe}}
	for ref, t := range c.Classified() {
		if !t.Role.Linear() || t.Param != "weight" || len(ref.Tensor.Shape) != 2 {
			continue
		}
		input := t.Module
		if t.Fused != "" {
			input = t.Fused
		}
		m.set(t.Module, input, ref.Tensor.Shape[1])
		if i := strings.LastIndex(t.Module, "."); t.Role == model.Attention {
			for kind, amax := range map[string]float32{"k": 3, "v": 5} {
				m.cache[t.Module[:i]+" "+kind] = amax + float32(t.Layer)
			}
		}
	}
	return m
}

// latent makes the caches of m those of latent attention.
func (m *measured) latent() *measured {
	for key := range m.cache {
		path, _, _ := strings.Cut(key, " ")
		delete(m.cache, key)
		m.cache[path+" kv_latent"] = float32(len(path))
	}
	return m
}

// with asks for everything that goes by a calibration.
func with(m *measured) convert.QuantizeOptions {
	return convert.QuantizeOptions{Search: fp8.SearchWeighted, StaticActivations: true, CacheScales: true, Calibration: m, Identify: identify}
}

// tiny is a checkpoint of DeepSeek-V3's shape with its MTP layer, and what may have
// been measured of it.
func tiny(t testing.TB) (*hf.Checkpoint, *measured) {
	t.Helper()
	dir := t.TempDir()
	if err := synth.Tiny().Write(dir); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir)
	return c, measure(c).latent()
}

// made runs a plan.
func made(t testing.TB, c *hf.Checkpoint, o convert.QuantizeOptions) (*hf.Checkpoint, *manifest.Manifest) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	r, err := convert.Run(t.Context(), c, mustPlan(t, c, o), out, convert.RunOptions{Calibration: o.Calibration})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, out), r.Manifest
}

// scalar is the value of a tensor that must be one number without dimensions.
func scalar(t *testing.T, c *hf.Checkpoint, name string) float32 {
	t.Helper()
	r, ok := c.Lookup(name)
	if !ok {
		t.Errorf("%s is not there", name)
		return 0
	}
	if r.Tensor.DType != safetensors.F32 || len(r.Tensor.Shape) != 0 {
		t.Errorf("%s: %s %v", name, r.Tensor.DType, r.Tensor.Shape)
		return 0
	}
	return floats(data(t, c, name))[0]
}

// Codes and scales are those of fp8.Quantize with the module's mean squares.
func TestWeightedSearch(t *testing.T) {
	c, m := tiny(t)
	const lost = "model.layers.1.mlp.experts.2.down_proj"
	m.forget(lost)
	o := with(m)
	o.StaticActivations, o.CacheScales = false, false
	out, man := made(t, c, o)
	checked, differ := 0, 0
	for ref, x := range c.Classified() {
		if !x.Quantize {
			continue
		}
		rows, cols := ref.Tensor.Shape[0], ref.Tensor.Shape[1]
		quantize := func(o fp8.Options) ([]byte, []fp8.TileStats) {
			codes, tiles := make([]byte, rows*cols), make([]fp8.TileStats, ((rows+127)/128)*((cols+127)/128))
			if err := fp8.Quantize(codes, int(cols), tiles, fp8.Matrix{Data: data(t, c, ref.Tensor.Name), Elem: fp8.ElemBF16, Rows: int(rows), Cols: int(cols), Stride: int(cols)}, o); err != nil {
				t.Fatal(err)
			}
			return codes, tiles
		}
		want := fp8.Options{Search: fp8.SearchWeighted, Weights: m.squares[x.Module]}
		if x.Module == lost {
			want = fp8.Options{Search: fp8.SearchMSE}
		}
		codes, tiles := quantize(want)
		if string(codes) != string(data(t, out, ref.Tensor.Name)) {
			t.Errorf("%s: other codes", x.Module)
		}
		for i, s := range floats(data(t, out, ref.Tensor.Name+"_scale_inv")) {
			if s != tiles[i].Scale {
				t.Errorf("%s: scale %d is %v, want %v", x.Module, i, s, tiles[i].Scale)
			}
		}
		if plain, _ := quantize(fp8.Options{Search: fp8.SearchMSE}); string(plain) != string(codes) {
			differ++
		}
		checked++
	}
	if checked == 0 || differ == 0 {
		t.Errorf("%d weights, channels make a difference to %d", checked, differ)
	}
	if out.Config.Quant.ActivationScheme != "dynamic" {
		t.Errorf("scheme %q", out.Config.Quant.ActivationScheme)
	}
	for _, x := range man.Tensors {
		if x.Uncovered != (x.Name == lost+".weight") {
			t.Errorf("%s: uncovered %v", x.Name, x.Uncovered)
		}
	}
	if want := hex.EncodeToString(m.digest[:]); man.Calibration != want {
		t.Errorf("calibration %q, want %q", man.Calibration, want)
	}
	if notes := strings.Join(mustPlan(t, c, o).Notes, "\n"); notes != "the calibration never reached "+lost+": all channels count alike in the search for scales (mse)" {
		t.Errorf("notes: %s", notes)
	}
}

// Each linear with codes has the scale of its input, beside the weight.
func TestInputScales(t *testing.T) {
	c, m := tiny(t)
	lost := []string{"model.layers.1.mlp.experts.2.down_proj", "model.layers.1.mlp.experts.3.gate_proj", "model.layers.1.mlp.experts.3.up_proj"}
	m.forget(lost...)
	o := with(m)
	o.Search, o.CacheScales = fp8.SearchNone, false
	out, man := made(t, c, o)
	var down, input float32 // of the layer's experts that were reached
	for ref, x := range c.Classified() {
		if x.Role == model.RoutedExpert && x.Layer == 1 && ref.Tensor.DType == safetensors.BF16 {
			if x.Part == "down" {
				down = max(down, m.amax[x.Module])
			} else {
				input = max(input, m.amax[x.Module])
			}
		}
	}
	n := 0
	for _, x := range c.Classified() {
		name := x.Module + ".input_scale"
		if !x.Quantize {
			if out.Has(name) {
				t.Errorf("%s: of a tensor that is kept", name)
			}
			continue
		}
		want := m.amax[x.Module] / 448
		switch {
		case x.Module == lost[0]:
			want = down / 448
		case slices.Contains(lost, x.Module):
			want = input / 448
		}
		if got := scalar(t, out, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
		n++
	}
	if n == 0 || out.Config.Quant.ActivationScheme != "static" {
		t.Errorf("%d scales, scheme %q", n, out.Config.Quant.ActivationScheme)
	}
	var marked []string
	for _, x := range man.Tensors {
		if x.Uncovered {
			marked = append(marked, strings.TrimSuffix(x.Name, ".input_scale"))
		}
	}
	if !slices.Equal(marked, lost) {
		t.Errorf("marked %v", marked)
	}
	p := mustPlan(t, c, o)
	if len(p.Notes) != 2 || !strings.Contains(p.Notes[0], "no engine that is known here") {
		t.Errorf("notes: %q", p.Notes)
	}
	if notes := p.Notes[len(p.Notes)-1]; notes != "the calibration never reached 3 modules ("+strings.Join(lost, ", ")+"): the largest input scale of the layer's other experts" {
		t.Errorf("notes: %s", notes)
	}
	// A scale lies in the file of its weight.
	o.ShardSize = 1
	p = mustPlan(t, c, o)
	file := map[string]string{}
	for _, s := range p.Shards {
		for _, i := range s.Tensors {
			file[p.Tensors[i].Name] = s.Name
		}
	}
	for i := range p.Tensors {
		if x := &p.Tensors[i]; x.Op == plan.Constant && file[x.Name] != file[x.Meta.ScaleOf] {
			t.Errorf("%s is in %s, its weight in %s", x.Name, file[x.Name], file[x.Meta.ScaleOf])
		}
	}
	// What is kept needs none.
	o.Keep = []string{"model.layers.0.*"}
	for i, p := 0, mustPlan(t, c, o); i < len(p.Tensors); i++ {
		if x := &p.Tensors[i]; x.Op == plan.Constant && x.Meta.Layer == 0 {
			t.Errorf("%s", x.Name)
		}
	}
}

const (
	llamaAttention = "model.layers.0.self_attn"
	llamaGate      = "model.layers.0.mlp.gate_proj"
)

// llamaHoles is a layer with grouped-query attention.
func llamaHoles(t testing.TB, more ...safetensors.Tensor) (*hf.Checkpoint, *measured) {
	t.Helper()
	list := []safetensors.Tensor{
		tensor(llamaAttention+".q_proj.weight", safetensors.BF16, 256, 256),
		tensor(llamaAttention+".k_proj.weight", safetensors.BF16, 64, 256),
		tensor(llamaAttention+".v_proj.weight", safetensors.BF16, 64, 256),
		tensor(llamaAttention+".o_proj.weight", safetensors.BF16, 256, 256),
		tensor(llamaGate+".weight", safetensors.BF16, 512, 256),
		tensor("model.layers.0.mlp.up_proj.weight", safetensors.BF16, 512, 256),
	}
	c := holes(t, llama, append(list, more...)...)
	return c, measure(c)
}

// constants are the values of a plan's constants.
func constants(p *plan.Plan) map[string]float32 {
	out := map[string]float32{}
	for i := range p.Tensors {
		if x := &p.Tensors[i]; x.Op == plan.Constant {
			out[x.Name] = x.Value
		}
	}
	return out
}

// Of latent attention both scales are the latent's; the MTP layer has its own.
func TestLatentCacheScales(t *testing.T) {
	c, m := tiny(t)
	m.cache["model.layers.1.self_attn k"] = 1000 // the rotated key, stored with the same scale
	o := with(m)
	o.Search, o.StaticActivations = fp8.SearchNone, false
	out, _ := made(t, c, o)
	for layer := range 3 {
		at := fmt.Sprintf("model.layers.%d.self_attn", layer)
		k, v := scalar(t, out, at+".k_proj.k_scale"), scalar(t, out, at+".v_proj.v_scale")
		want := float32(len(at)) / 448
		if layer == 1 {
			want = 1000. / 448
		}
		if k != want || v != want {
			t.Errorf("%s: %v and %v, want %v", at, k, v, want)
		}
	}
	if _, ok := out.Lookup("model.layers.0.self_attn.q_b_proj.input_scale"); ok || out.Config.Quant.ActivationScheme != "dynamic" {
		t.Error("nobody asked for static activations")
	}
}

func TestCacheScales(t *testing.T) {
	c, m := llamaHoles(t)
	o := with(m)
	o.Search, o.StaticActivations = fp8.SearchNone, false
	want := map[string]float32{llamaAttention + ".k_proj.k_scale": 3. / 448, llamaAttention + ".v_proj.v_scale": 5. / 448}
	if got := constants(mustPlan(t, c, o)); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	// Weights that are kept have caches too.
	o.Keep = []string{"*self_attn*"}
	if got := constants(mustPlan(t, c, o)); !maps.Equal(got, want) {
		t.Errorf("kept: %v", got)
	}
	// Old ones go, under whatever name; others stay.
	c, _ = llamaHoles(t, tensor(llamaAttention+".k_scale", safetensors.F32), tensor(llamaAttention+".v_proj.output_scale", safetensors.F32, 1),
		tensor(llamaAttention+".q_scale", safetensors.F32), tensor("model.layers.1.self_attn.k_proj.k_scale", safetensors.F32))
	p := mustPlan(t, c, o)
	names := map[string]plan.Op{}
	for i := range p.Tensors {
		if x := &p.Tensors[i]; x.Meta.Role == model.Scale {
			names[x.Name] = x.Op
		}
	}
	if len(names) != 6 || names[llamaAttention+".q_scale"] != plan.Copy || names["model.layers.1.self_attn.k_proj.k_scale"] != plan.Copy || names[llamaAttention+".k_proj.k_scale"] != plan.Constant {
		t.Errorf("%v", names)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "2 scales of keys and values that the input has are replaced") {
		t.Errorf("notes: %s", notes)
	}
}

// A block that was never reached gets no made-up scale; where none was, the
// calibration is of no use.
func TestCacheNotReached(t *testing.T) {
	c, m := tiny(t)
	delete(m.cache, "model.layers.2.self_attn kv_latent")
	o := with(m)
	p := mustPlan(t, c, o)
	if notes := p.Notes[len(p.Notes)-1]; notes != "the calibration never reached model.layers.2.self_attn: no scales of keys and values, for which engines take 1" {
		t.Errorf("notes: %s", notes)
	}
	for name := range constants(p) {
		if strings.HasPrefix(name, "model.layers.2.self_attn.k_proj") || strings.HasPrefix(name, "model.layers.2.self_attn.v_proj") {
			t.Errorf("%s", name)
		}
	}
	m.cache = map[string]float32{}
	if _, err := convert.PlanQuantize(c, o); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "--kv-scales") {
		t.Errorf("%v", err)
	}
	c, m = llamaHoles(t)
	delete(m.cache, llamaAttention+" v")
	if _, err := convert.PlanQuantize(c, with(m)); !errors.Is(err, invalid.Input) {
		t.Errorf("keys without values: %v", err)
	}
}

// Scales as for tiles: 1 where all is zero, never below 2⁻¹²⁶.
func TestScaleOfNothing(t *testing.T) {
	for amax, want := range map[float32]float32{0: 1, 0x1p-149: 0x1p-126, 448: 1, math.MaxFloat32: math.MaxFloat32 / 448} {
		c, m := llamaHoles(t)
		for module := range m.amax {
			m.amax[module] = amax
		}
		for key := range m.cache {
			m.cache[key] = amax
		}
		for name, got := range constants(mustPlan(t, c, with(m))) {
			if got != want {
				t.Errorf("amax %v: %s is %v, want %v", amax, name, got, want)
			}
		}
	}
}

// What cannot be gone by is said, with the module's name.
func TestBadCalibration(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for what, x := range map[string]struct {
		change func(m *measured)
		says   []string
	}{
		"another model":             {func(m *measured) { m.identity = "that model" }, []string{"of another model", "measured with that model, this is ", "this model"}},
		"NaN":                       {func(m *measured) { m.amax[llamaGate] = nan }, []string{llamaGate, "NaN"}},
		"infinite":                  {func(m *measured) { m.amax[llamaGate] = inf }, []string{llamaGate, "+Inf"}},
		"negative":                  {func(m *measured) { m.amax[llamaGate] = -1 }, []string{llamaGate, "-1"}},
		"counted, not measured":     {func(m *measured) { delete(m.amax, llamaGate) }, []string{llamaGate, "not there"}},
		"NaN in a cache":            {func(m *measured) { m.cache[llamaAttention+" v"] = nan }, []string{llamaAttention, "largest v", "NaN"}},
		"other channels":            {func(m *measured) { m.squares[llamaGate] = m.squares[llamaGate][1:] }, []string{llamaGate, "has 255 input channels", "has 256 columns"}},
		"not reached":               {func(m *measured) { m.forget(llamaAttention + ".o_proj") }, []string{llamaAttention + ".o_proj", "never reached", "--act-scales", "--keep"}},
		"partners with two inputs":  {func(m *measured) { m.amax[llamaGate] *= 2 }, []string{llamaGate, "up_proj", "one input"}},
		"one partner never reached": {func(m *measured) { m.forget(llamaAttention + ".k_proj") }, []string{llamaAttention + ".k_proj", "never reached"}},
	} {
		c, m := llamaHoles(t)
		x.change(m)
		_, err := convert.PlanQuantize(c, with(m))
		if !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, s := range x.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v does not say %q", what, err, s)
			}
		}
	}
}

// A layer of which no expert was reached has nothing to borrow from, whatever
// other layers have.
func TestNoExpertReached(t *testing.T) {
	c, m := tiny(t)
	for module := range maps.Clone(m.count) {
		if strings.HasPrefix(module, "model.layers.2.mlp.experts.") {
			m.forget(module)
		}
	}
	if _, err := convert.PlanQuantize(c, with(m)); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "nor any other expert of its layer") {
		t.Errorf("%v", err)
	}
	o := with(m)
	o.KeepMTP = true // that layer is the MTP's
	mustPlan(t, c, o)
	o = with(m)
	o.StaticActivations = false // the search can do without
	p := mustPlan(t, c, o)
	n := 0
	for i := range p.Tensors {
		if x := &p.Tensors[i]; x.Uncovered {
			n++
			if x.Quant.Search != fp8.SearchMSE || x.Quant.Channels != "" {
				t.Errorf("%s: %+v", x.Name, x.Quant)
			}
		}
	}
	if notes := strings.Join(p.Notes, "\n"); n == 0 || !strings.Contains(notes, fmt.Sprintf("never reached %d modules (", n)) {
		t.Errorf("%d are marked: %s", n, notes)
	}
}

// What goes by a calibration needs one; one that nothing goes by leaves no trace.
func TestWithoutCalibration(t *testing.T) {
	c, m := llamaHoles(t)
	for flag, o := range map[string]convert.QuantizeOptions{
		"--search weighted": {Search: fp8.SearchWeighted}, "--act-scales static": {StaticActivations: true}, "--kv-scales": {CacheScales: true},
	} {
		_, err := convert.PlanQuantize(c, o)
		if u := (*convert.UsageError)(nil); !errors.As(err, &u) || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), "--calibration") {
			t.Errorf("%s: %v", flag, err)
		}
		o.Calibration, o.Identify = m, identify
		p := mustPlan(t, c, o)
		if p.Calibration != "cafe"+strings.Repeat("0", 60) {
			t.Errorf("%s: calibration %q", flag, p.Calibration)
		}
	}
	digest := func(o convert.QuantizeOptions) string {
		d, err := mustPlan(t, c, o).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	m.identity = "that model"
	if digest(convert.QuantizeOptions{}) != digest(convert.QuantizeOptions{Calibration: m}) {
		t.Error("a calibration that is not used changes the plan")
	}
}

// FP8 weights that are taken over get input scales as well; those that they have
// go, because the config says how activations are scaled.
func TestInputScalesOfFP8(t *testing.T) {
	dir := checkpoint(t, withQuant(""), codes(proj+".weight", 300, 200), floatItem(proj+".weight_scale_inv", safetensors.F32, powers(6), 3, 2), floatItem(proj+".input_scale", safetensors.F32, []float32{7}))
	c := open(t, dir)
	m := measure(c)
	o := convert.QuantizeOptions{StaticActivations: true, Calibration: m, Identify: identify}
	out, _ := made(t, c, o)
	if got, want := scalar(t, out, proj+".input_scale"), m.amax[proj]/448; got != want || out.Len() != 3 || out.Config.Quant.ActivationScheme != "static" {
		t.Errorf("%v, want %v; %d tensors, %q", got, want, out.Len(), out.Config.Quant.ActivationScheme)
	}
	p := mustPlan(t, c, o)
	if len(p.Notes) == 0 || !strings.Contains(p.Notes[len(p.Notes)-1], "the calibration's take their place") {
		t.Errorf("%v", p.Notes)
	}
	out, _ = made(t, out, convert.QuantizeOptions{})
	if out.Len() != 2 || out.Has(proj+".input_scale") || out.Config.Quant.ActivationScheme != "dynamic" {
		t.Errorf("%d tensors, %q", out.Len(), out.Config.Quant.ActivationScheme)
	}
	// Given new scales, they are weighed.
	o = with(m)
	o.CacheScales, o.Requantize = false, true
	p = mustPlan(t, c, o)
	if x := &p.Tensors[0]; x.Op != plan.Requantize || x.Quant.Search != fp8.SearchWeighted || x.Quant.Channels != proj {
		t.Errorf("%+v", x)
	}
}

// The parts of fused experts go by their own statistics, or by those of the matrix
// that holds gate and up.
func TestWeighedParts(t *testing.T) {
	config := `{"model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text", "num_hidden_layers": 1, "hidden_size": 256, "moe_intermediate_size": 128, "num_experts": 3, "num_experts_per_tok": 2}}`
	const experts = "model.language_model.layers.0.mlp.experts."
	c := holes(t, config, tensor(experts+"gate_up_proj", safetensors.BF16, 3, 256, 256), tensor(experts+"down_proj", safetensors.BF16, 3, 256, 128))
	m := measure(c)
	for e, parts := range [][]string{{"gate_proj", "up_proj", "down_proj"}, {"gate_up_proj", "down_proj"}} {
		for _, part := range parts {
			at := fmt.Sprintf("%s%d.%s", experts, e, part)
			in := int64(256)
			if part == "down_proj" {
				in = 128
			}
			m.set(at, at, in)
		}
	}
	m.amax[experts+"0.up_proj"] = m.amax[experts+"0.gate_proj"]
	p := mustPlan(t, c, convert.QuantizeOptions{Search: fp8.SearchWeighted, StaticActivations: true, Calibration: m, Identify: identify})
	for i := range p.Tensors {
		x := &p.Tensors[i]
		if x.Op != plan.Quantize {
			continue
		}
		want := x.Meta.Module
		if x.Meta.Expert == 1 {
			want = strings.NewReplacer("gate_proj", "gate_up_proj", "up_proj", "gate_up_proj").Replace(want)
		}
		if x.Meta.Expert == 2 {
			want = ""
		}
		if x.Quant.Channels != want || x.Uncovered != (want == "") {
			t.Errorf("%s: %+v", x.Name, x.Quant)
		}
	}
	got := constants(p)
	if len(got) != 9 || got[experts+"1.gate_proj.input_scale"] != m.amax[experts+"1.gate_up_proj"]/448 ||
		got[experts+"2.up_proj.input_scale"] != max(m.amax[experts+"0.up_proj"], m.amax[experts+"1.gate_up_proj"])/448 {
		t.Errorf("%v", got)
	}
}

// Another calibration is another run, and the same one goes on: bytes depend on it.
func TestCalibrationNamesTheRun(t *testing.T) {
	c, m := tiny(t)
	o := with(m)
	out := filepath.Join(t.TempDir(), "out")
	run := func(m *measured) error {
		o.Calibration = m
		_, err := convert.Run(t.Context(), c, mustPlan(t, c, o), out, convert.RunOptions{Calibration: m})
		return err
	}
	if err := run(m); err != nil {
		t.Fatal(err)
	}
	other := measure(c).latent()
	other.digest[31] = 1
	if err := run(other); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "the calibration file's digest was") {
		t.Errorf("%v", err)
	}
	if err := run(m); !errors.Is(err, engine.ErrComplete) {
		t.Errorf("the same again: %v", err)
	}
}
