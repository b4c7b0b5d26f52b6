package convert_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

// MXFP4 becomes NVFP4: the codes are copied, the scale of the tensor is 2⁸ below the
// largest scale of all parts that engines fuse, and groups within 17 powers of two of it
// keep every value. What lies below is rounded and counted, or refused.
func TestMXFP4IsCastToNVFP4(t *testing.T) {
	const rows, cols = 96, 320
	const expert = "model.layers.0.mlp.experts.1."
	within := func(top, span int64) func(row, group int64) uint8 {
		return func(row, group int64) uint8 { return uint8(top - (row*7+group*3)%(span+1)) }
	}
	input := func(span int64) string {
		var items []item
		for _, x := range []struct {
			part string
			top  int64
		}{{"gate", 120}, {"up", 123}, {"down", 110}} {
			reach := span
			if x.part == "gate" { // its largest scale lies 3 below that of up
				reach -= 3
			}
			for _, i := range mxfp4(rows, cols, within(x.top, reach)) {
				i.Name = strings.Replace(i.Name, castProj, expert+x.part+"_proj", 1)
				items = append(items, i)
			}
		}
		return checkpoint(t, strings.Replace(castConfig, "%s", "", 1), items...)
	}
	for _, c := range []struct {
		span  int64
		exact bool
	}{{4, true}, {17, true}, {18, false}, {30, false}} {
		in := open(t, input(c.span))
		out, m := made(t, in, convert.QuantizeOptions{Scheme: scheme.NVFP4})
		back, want := toBF16(t, out.Dir), toBF16(t, in.Dir)
		for part, top := range map[string]int{"gate": 123, "up": 123, "down": 110} {
			module := expert + part + "_proj"
			if s, w := scalar(t, out, module+".weight_scale_2"), float32(math.Ldexp(1, top-127-8)); s != w {
				t.Errorf("%d, %s: weight_scale_2 %v, want %v", c.span, part, s, w)
			}
			if s := scalar(t, out, module+".input_scale"); s != 1 {
				t.Errorf("input_scale %v", s)
			}
			if r, ok := out.Lookup(module + ".weight"); !ok || r.Tensor.DType != safetensors.U8 {
				t.Errorf("%s is %+v", module, r)
			}
			if c.exact && (!bytes.Equal(data(t, out, module+".weight"), data(t, in, module+".weight_packed")) || !bytes.Equal(data(t, back, module+".weight"), data(t, want, module+".weight"))) {
				t.Errorf("%d, %s: other codes or values", c.span, part)
			}
		}
		requantized := int64(0)
		for _, x := range m.Tensors {
			if !strings.HasSuffix(x.Name, ".weight") {
				continue
			}
			if x.Cast == nil || x.Cast.Groups != rows*cols/32 || c.exact != (x.Cast.Requantized == 0) || x.Cast.Changed > x.Cast.Requantized {
				t.Errorf("%d: %s: %+v", c.span, x.Name, x.Cast)
				continue
			}
			requantized += x.Cast.Requantized
		}
		o := convert.QuantizeOptions{Scheme: scheme.NVFP4, Lossless: true}
		_, err := convert.Run(t.Context(), in, mustPlan(t, in, o), t.TempDir(), convert.RunOptions{})
		if c.exact && err != nil || !c.exact && (!errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "--lossless")) {
			t.Errorf("%d: --lossless: %v, %d requantized", c.span, err, requantized)
		}
	}

	// A part in numbers beside one in codes shares no scale with it that is a power of two.
	items := mxfp4(rows, cols, within(120, 4))
	for i := range items {
		items[i].Name = strings.Replace(items[i].Name, castProj, expert+"gate_proj", 1)
	}
	items = append(items, floatItem(expert+"up_proj.weight", safetensors.BF16, make([]float32, rows*cols), rows, cols))
	mixed := open(t, checkpoint(t, strings.Replace(castConfig, "%s", "", 1), items...))
	if _, err := convert.PlanQuantize(mixed, convert.QuantizeOptions{Scheme: scheme.NVFP4}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "--requantize") {
		t.Errorf("codes beside numbers: %v", err)
	}
	if _, m := made(t, mixed, convert.QuantizeOptions{Scheme: scheme.NVFP4, Requantize: true}); m == nil {
		t.Error("nothing was made")
	}
}

// DeepSeek-V4 as it is released, experts in MXFP4 under names of its own and the rest in
// block FP8: the experts are cast, the rest and what the config says of it stays, and the
// experts are declared where that architecture's readers look.
func TestNVFP4OverFP8(t *testing.T) {
	const rows, cols = 64, 64
	const config = `{"model_type": "deepseek_v4", "architectures": ["DeepseekV4ForCausalLM"], "expert_dtype": "fp4", "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}}`
	var items []item
	for _, part := range []string{"w1", "w3", "w2"} {
		for _, x := range mxfp4(rows, cols, func(row, group int64) uint8 { return uint8(120 - (row+group)%9) }) {
			name, d := "layers.0.ffn.experts.0."+part, safetensors.F8E8M0
			if strings.HasSuffix(x.Name, "packed") {
				x.Name, d = name+".weight", safetensors.I8
			} else {
				x.Name = name + ".scale"
			}
			x.DType = d
			items = append(items, x)
		}
	}
	const attn = "layers.0.attn.wq_a"
	items = append(items, codes(attn+".weight", 128, 64), item{tensor(attn+".scale", safetensors.F8E8M0, 1, 1), []byte{120}})
	in := open(t, checkpoint(t, config, items...))
	o := convert.QuantizeOptions{Scheme: scheme.NVFP4}
	out, _ := made(t, in, o)
	for _, name := range []string{attn + ".weight", attn + ".scale"} {
		if !bytes.Equal(data(t, out, name), data(t, in, name)) {
			t.Errorf("%s is another", name)
		}
	}
	for _, part := range []string{"w1", "w2", "w3"} {
		name := "layers.0.ffn.experts.0." + part
		if !bytes.Equal(data(t, out, name+".weight"), data(t, in, name+".weight")) || scalar(t, out, name+".weight_scale_2") != 0x1p-15 {
			t.Errorf("%s: other codes, or another scale", name)
		}
	}
	q := declaredBy(t, mustPlan(t, in, o))
	if q.Method != "fp8" || q.Algo != "MIXED_PRECISION" || len(q.Layers) != 1 || q.Layers["layers.0.ffn.experts"]["quant_algo"] != "NVFP4" || len(q.Ignore) != 1 || q.Ignore[0] != attn {
		t.Errorf("%+v", q)
	}
	for _, word := range []string{`"moe_quant_algo": "NVFP4"`, `"expert_dtype": "fp4"`, `"scale_fmt": "ue8m0"`, `"kv_cache_quant_algo": null`} {
		if !strings.Contains(string(out.ConfigRaw), word) {
			t.Errorf("config.json has no %s: %s", word, out.ConfigRaw)
		}
	}
}
