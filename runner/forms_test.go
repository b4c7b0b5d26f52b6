package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/gemm"
	"quern/gpu"
	"quern/group"
	"quern/internal/vec"
	"quern/runner"
)

// half is x, which it holds exactly, as an F16.
func half(x float64) uint16 {
	if x == 0 {
		return 0
	}
	m, e := math.Frexp(math.Abs(x)) // 0.5 ≤ m < 1
	h := uint16(e+14)<<10 | uint16(math.Round(m*2048))&1023
	if x < 0 {
		h |= 1 << 15
	}
	return h
}

// store stores all matrices but those that norms have in another form, whose numbers
// data then has.
func (m small) store(d safetensors.DType) {
	for _, p := range m {
		p.dtype = d
		for i, x := range p.data {
			switch d {
			case safetensors.BF16:
				p.data[i] = float64(math.Float32frombits(math.Float32bits(float32(x)) &^ 0xffff))
			case safetensors.F16:
				p.data[i] = math.Round(x*512) / 512
			}
		}
	}
}

// encode stores a matrix in E4M3 with a scale for each tile.
func (m small) encode(name, scaleName string, tileOut, tileIn int, shape ...int64) {
	p := m[name]
	out, in := int(p.shape[0]), int(p.shape[1])
	p.dtype, p.codes = safetensors.F8E4M3, make([]byte, out*in)
	scale := &parameter{shape: shape}
	for o := 0; o < out; o += tileOut {
		for i := 0; i < in; i += tileIn {
			largest := 0.0
			for r := o; r < min(o+tileOut, out); r++ {
				for c := i; c < min(i+tileIn, in); c++ {
					largest = max(largest, math.Abs(p.data[r*in+c]))
				}
			}
			s := float32(largest / 448)
			scale.data = append(scale.data, float64(s))
			for r := o; r < min(o+tileOut, out); r++ {
				for c := i; c < min(i+tileIn, in); c++ {
					code := fp8.E4M3FromFloat32(float32(p.data[r*in+c]) / s)
					p.codes[r*in+c] = code
					p.data[r*in+c] = float64(fp8.E4M3ToFloat32(code) * s)
				}
			}
		}
	}
	m[scaleName] = scale
}

// projections are the matrices of the layer.
func (m small) projections() []string {
	var names []string
	for name, p := range m {
		if strings.HasPrefix(name, at) && len(p.shape) == 2 {
			names = append(names, strings.TrimSuffix(name, ".weight"))
		}
	}
	return names
}

func silu(x float64) float64 { return x / (1 + math.Exp(-x)) }

// flat are the logits of a slow model.
func (m small) flat(ids []int, mix func(int, []float64) []float64) []float64 {
	var out []float64
	for _, row := range m.logits(ids, mix, silu) {
		out = append(out, row...)
	}
	return out
}

// agree holds evaluation and generation against logits.
func agree(t *testing.T, m *runner.Model, ids []int, want []float64, o runner.Options, bound float64) {
	t.Helper()
	ev, err := m.Evaluate(context.Background(), [][]int{ids}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	for _, tile := range []int{m.Vocab(), 3} {
		if d := maxDiff(t, logits(t, m.Head(o), ev.Hidden, m.Vocab(), tile), want); !(d <= bound) {
			t.Errorf("logits in tiles of %d differ by %.3g", tile, d)
		}
	}
	if o.Emulate {
		return
	}
	for _, memory := range []int64{0, 1} {
		g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{Memory: memory})
		if err != nil {
			t.Fatal(err)
		}
		last, err := g.Prefill(ids[:len(ids)-2])
		if err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(t, last, want[(len(ids)-3)*m.Vocab():][:m.Vocab()]); !(d <= bound) {
			t.Errorf("logits of the prompt differ by %.3g", d)
		}
		if last, err = g.Step(ids[len(ids)-2:]); err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(t, last, want[(len(ids)-2)*m.Vocab():]); !(d <= bound) {
			t.Errorf("generated logits differ by %.3g", d)
		}
	}
}

var someIDs = []int{3, 1, 4, 1, 5, 9, 2}

// Weights of every form that is read stand for the numbers that they stand for: plain
// ones, and codes with scales of every layout, in layers, embedding and output head.
func TestForms(t *testing.T) {
	const block = `, "quantization_config": {"quant_method": "fp8", "weight_block_size": [4, 4], "activation_scheme": "dynamic"}`
	every := func(encode func(m small, module string, out, in int)) func(m small) {
		return func(m small) {
			for _, p := range append(m.projections(), "model.embed_tokens", "lm_head") {
				encode(m, p, int(m[p+".weight"].shape[0]), int(m[p+".weight"].shape[1]))
			}
		}
	}
	tiles := every(func(m small, p string, out, in int) {
		m.encode(p+".weight", p+".weight_scale_inv", 4, 4, int64(out+3)/4, int64(in+3)/4)
	})
	for what, x := range map[string]struct {
		config string
		store  func(m small)
	}{
		"F16":   {"", func(m small) { m.store(safetensors.F16) }},
		"BF16":  {"", func(m small) { m.store(safetensors.BF16) }},
		"F64":   {"", func(m small) { m.store(safetensors.F64) }},
		"tiles": {block, tiles},
		"one scale": {"", every(func(m small, p string, out, in int) {
			m.encode(p+".weight", p+".weight_scale", out, in)
		})},
		"rows": {"", every(func(m small, p string, out, in int) {
			m.encode(p+".weight", p+".weight_scale", 1, in, int64(out), 1)
		})},
		"groups of rows": {"", every(func(m small, p string, out, in int) {
			groups := 2 - in%2 // where they divide a row
			m.encode(p+".weight", p+".weight_scale", 1, in/groups, int64(out), int64(groups))
		})},
		// Two rows are a part, each with tiles of its own.
		"joined parts": {strings.Replace(block, "[4, 4]", "[5, 4]", 1), func(m small) {
			m.encode(at+"self_attn.q_proj.weight", at+"self_attn.q_proj.weight_scale_inv", 2, 4, 4, 2)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			for name, m := range map[string]small{llamaConfig: llamaLike(), mlaConfig: deepseekLike()} {
				if name == mlaConfig && what == "joined parts" {
					continue
				}
				x.store(m)
				mix := m.grouped()
				if name == mlaConfig {
					mix = m.latent()
				}
				want := m.flat(someIDs, mix)
				got, err := openSmall(t, m, name+x.config)
				if err != nil {
					t.Fatal(err)
				}
				agree(t, got, someIDs, want, runner.Options{}, 1e-5)
				agree(t, got, someIDs, want, runner.Options{Memory: 1, TempDir: t.TempDir()}, 1e-5)
			}
		})
	}
}

// Inputs of FP8 weights are rounded as engines do: in groups with a scale of their own,
// also a power of two, or by the scale that the checkpoint brings.
func TestActivations(t *testing.T) {
	const scale = 0.02
	static := func(x []float32) {
		for i, v := range x {
			x[i] = fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(v/scale)) * scale
		}
	}
	const compressed = `{"config_groups": {"group_0": {"weights": {"num_bits": 8}, "input_activations": %s, "targets": ["Linear"]}}, "quant_method": "compressed-tensors"}`
	kinds := map[string]string{
		"fp8":     `{"quant_method": "fp8", "weight_block_size": [4, 4], %s}`,
		"channel": compressed,
		"tensor":  compressed,
	}
	for what, x := range map[string]struct {
		quant   string
		static  bool
		options runner.Options
		round   func(x []float32)
	}{
		"channel":              {`{"num_bits": 8, "dynamic": true}`, false, runner.Options{Emulate: true}, group.RoundRow},
		"channel, static":      {`{"num_bits": 8}`, true, runner.Options{Emulate: true}, static},
		"channel, alone":       {`null`, false, runner.Options{Emulate: true}, nil},
		"tensor":               {`{"num_bits": 8, "dynamic": true}`, false, runner.Options{Emulate: true}, group.RoundRow},
		"tensor, static":       {`{"num_bits": 8}`, true, runner.Options{Emulate: true}, static},
		"tensor, not emulated": {`{"num_bits": 8}`, true, runner.Options{}, nil},
		"groups":               {`"activation_scheme": "dynamic"`, false, runner.Options{Emulate: true}, func(x []float32) { vec.QuantizeGroups(x, false) }},
		"powers of two":        {`"activation_scheme": "dynamic", "scale_fmt": "ue8m0"`, false, runner.Options{Emulate: true}, func(x []float32) { vec.QuantizeGroups(x, true) }},
		"static":               {`"activation_scheme": "static"`, true, runner.Options{Emulate: true, StaticScales: true}, static},
		"static, not for":      {`"activation_scheme": "static"`, true, runner.Options{Emulate: true}, func(x []float32) { vec.QuantizeGroups(x, false) }},
		"none":                 {`"activation_scheme": "static"`, true, runner.Options{}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			m := llamaLike()
			kind, _, _ := strings.Cut(what, ",")
			if kinds[kind] == "" {
				kind = "fp8"
			}
			for _, p := range m.projections() {
				out, in := m[p+".weight"].shape[0], m[p+".weight"].shape[1]
				switch kind {
				case "fp8":
					m.encode(p+".weight", p+".weight_scale_inv", 4, 4, (out+3)/4, (in+3)/4)
				case "channel":
					m.encode(p+".weight", p+".weight_scale", 1, int(in), out, 1)
				case "tensor":
					m.encode(p+".weight", p+".weight_scale", int(out), int(in))
				}
				m[p+".weight"].round = x.round
				if x.static {
					m[p+".input_scale"] = &parameter{data: []float64{float64(float32(scale))}}
				}
			}
			got, err := openSmall(t, m, llamaConfig+`, "quantization_config": `+fmt.Sprintf(kinds[kind], x.quant))
			if err != nil {
				t.Fatal(err)
			}
			agree(t, got, someIDs, m.flat(someIDs, m.grouped()), x.options, 2e-5)
			scales, err := got.StaticScales()
			if err != nil {
				t.Fatal(err)
			}
			if got.HasStaticScales() != x.static || x.static && (len(scales) != 7 || scales["model.layers.0.self_attn.q_proj"].Stored != scale) {
				t.Errorf("static scales %v", scales)
			}
		})
	}
}

// A static scale that is none is an error that names its tensor.
func TestBrokenStaticScale(t *testing.T) {
	for _, scale := range []float64{0, -1, math.Inf(1), math.NaN()} {
		m := llamaLike()
		p := at + "self_attn.q_proj"
		m.encode(p+".weight", p+".weight_scale_inv", 4, 4, 2, 2)
		m[p+".input_scale"] = &parameter{data: []float64{scale}}
		got, err := openSmall(t, m, llamaConfig+`, "quantization_config": {"quant_method": "fp8", "weight_block_size": [4, 4], "activation_scheme": "static"}`)
		if err != nil {
			t.Fatal(err)
		}
		_, err = got.StaticScales()
		if err == nil || !strings.Contains(err.Error(), p+".input_scale") || !strings.Contains(err.Error(), "is no scale") {
			t.Errorf("%v: %v", scale, err)
		}
		if _, err := got.Evaluate(context.Background(), [][]int{{1}}, runner.Options{Emulate: true, StaticScales: true}); err == nil {
			t.Errorf("%v is computed with", scale)
		}
	}
}

// What a device is given is what the processor would compute; where it fails the
// processor does.
func TestDevice(t *testing.T) {
	m := open(t, tiny(t))
	ids := make([]int, 300)
	for i := range ids {
		ids[i] = i * 7 % m.Vocab()
	}
	ev, err := m.Evaluate(context.Background(), [][]int{ids}, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	want := rows(t, ev.Hidden)
	for _, d := range []*counting{{Device: gpu.CPU()}, {Device: gpu.CPU(), broken: true}} {
		on, err := m.Evaluate(context.Background(), [][]int{ids}, runner.Options{Device: d})
		if err != nil {
			t.Fatal(err)
		}
		got := rows(t, on.Hidden)
		on.Close()
		for i := range got {
			if !(math.Abs(float64(got[i]-want[i])) <= 1e-4) {
				t.Fatalf("state %d is %v instead of %v", i, got[i], want[i])
			}
		}
		if d.calls == 0 {
			t.Error("the device was not asked")
		}
	}
}

// counting counts products, and gives none when it is broken.
type counting struct {
	gpu.Device
	broken bool
	calls  int
}

func (c *counting) Mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) *gpu.Pending {
	c.calls++
	if c.broken {
		return gpu.NewPending(func() error { return errors.New("the device is gone") })
	}
	return c.Device.Mul(y, ldy, x, ldx, rows, w)
}
