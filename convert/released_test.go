package convert_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
)

// anyBytes is a tensor of random bytes, which of floats are numbers near 1 or 0.01, of
// powers of two such near 1, and of an order of columns those of groups.
func anyBytes(r *rand.Rand, name string, d safetensors.DType, shape ...int64) item {
	x := item{Tensor: safetensors.Tensor{Name: name, DType: d, Shape: shape}}
	n, err := safetensors.SizeOf(d, shape)
	if err != nil {
		panic(err)
	}
	x.raw = make([]byte, n)
	for i := range x.raw {
		x.raw[i] = byte(r.Uint32())
	}
	scale := strings.Contains(name, "scale") || strings.Contains(name, "biases")
	switch size := int(d.Bits() / 8); {
	case strings.HasSuffix(name, "weight_shape"):
	case strings.HasSuffix(name, "g_idx"):
		for i := 0; i < len(x.raw); i += 4 {
			binary.LittleEndian.PutUint32(x.raw[i:], r.Uint32()%2)
		}
	case d.IsFloat() && size > 1:
		for i := size - 1; i < len(x.raw); i += size {
			x.raw[i] = 0x3b + byte(i/size%2)
		}
	case scale:
		for i := range x.raw {
			x.raw[i] = 0x38 + x.raw[i]%16
		}
	}
	return x
}

func shaped(rows, cols int64) item {
	x := item{Tensor: safetensors.Tensor{Name: proj + ".weight_shape", DType: safetensors.I64, Shape: []int64{2}}}
	x.raw = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(rows)), uint64(cols))
	return x
}

// values decodes one weight after the other, from the bytes of tensors by the end of
// their names.
type values struct{ files map[string][]byte }

func (v values) of(end string) []byte {
	for name, raw := range v.files {
		if strings.HasSuffix(name, end) {
			return raw
		}
	}
	panic(end)
}

func (v values) nibble(end string, i int64) int64 { return int64(v.of(end)[i/2] >> (i % 2 * 4) & 15) }

// bits are bits of little-endian words that follow each other.
func (v values) bits(end string, at, n int64) (x int64) {
	for i := range n {
		x |= int64(v.of(end)[(at+i)/8]>>((at+i)%8)&1) << i
	}
	return x
}

func (v values) f16(end string, i int64) float32 {
	return fp8.F16ToFloat32(binary.LittleEndian.Uint16(v.of(end)[2*i:]))
}

func (v values) bf16(end string, i int64) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(v.of(end)[2*i:])) << 16)
}

func (v values) f32(end string, i int64) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(v.of(end)[4*i:]))
}

func (v values) e4m3(end string, i int64) float32 {
	c := v.of(end)[i]
	e, m := int(c>>3&15), float64(c&7)
	x := math.Ldexp(8+m, e-10)
	if e == 0 {
		x = math.Ldexp(m, -9)
	}
	if c>>7 != 0 {
		x = -x
	}
	return float32(x)
}

func (v values) power(end string, i int64) float32 {
	return float32(math.Ldexp(1, int(v.of(end)[i])-127))
}

func (v values) word(end string, i int64) int64 {
	return int64(binary.LittleEndian.Uint32(v.of(end)[4*i:]))
}

var fp4 = [...]float32{0, .5, 1, 1.5, 2, 3, 4, 6, float32(math.Copysign(0, -1)), -.5, -1, -1.5, -2, -3, -4, -6}

// Every form that is released becomes the product written out, in float32, rounded once,
// under the name and in the shape of the weight in numbers.
func TestReleasedForms(t *testing.T) {
	const (
		u8, i8, i32, u32       = safetensors.U8, safetensors.I8, safetensors.I32, safetensors.U32
		bf16, f16, f32         = safetensors.BF16, safetensors.F16, safetensors.F32
		e4m3, e8m0             = safetensors.F8E4M3, safetensors.F8E8M0
		v4                     = "layers.0.ffn.experts.0.w1"
		fused                  = "model.layers.0.mlp.experts.gate_up_proj"
		llama                  = `{"model_type": "llama", "num_hidden_layers": 1}`
		moe                    = `{"model_type": "qwen3_5_moe_text", "num_hidden_layers": 1, "hidden_size": 64, "moe_intermediate_size": 32, "num_experts": 2, "num_experts_per_tok": 1}`
		oss                    = `{"model_type": "gpt_oss", "num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 24, "num_local_experts": 2, "num_experts_per_tok": 1}`
		deepseek               = `{"model_type": "deepseek_v4", "num_hidden_layers": 1}`
		packQuantized          = `{"model_type": "llama", "num_hidden_layers": 1, "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": %d, "group_size": %s, "type": "int", "strategy": "%s", "symmetric": %v}}}}}`
		gptq                   = `{"model_type": "llama", "num_hidden_layers": 1, "quantization_config": {"quant_method": "gptq", "bits": %d, "group_size": 64, "desc_act": true, "checkpoint_format": "%s"}}`
		mlx                    = `{"model_type": "llama", "num_hidden_layers": 1, "quantization": {"group_size": %d, "bits": %d, "mode": "%s"}}`
		rows, cols       int64 = 24, 128
	)
	r := rand.New(rand.NewPCG(26, 11))
	x := func(name string, d safetensors.DType, shape ...int64) item {
		return anyBytes(r, name, d, shape...)
	}
	one := []int64{rows, cols}
	for _, c := range []struct {
		what, config string
		items        []item
		name         string
		shape        []int64
		value        func(v values, e, r, c int64) float32
	}{
		{
			"NVFP4 of compressed-tensors", llama,
			[]item{x(proj+".weight_packed", u8, rows, cols/2), x(proj+".weight_scale", e4m3, rows, cols/16), x(proj+".weight_global_scale", f32, 1), x(proj+".input_global_scale", f32, 1)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble("packed", r*cols+c)] * (v.e4m3("weight_scale", r*(cols/16)+c/16) / v.f32("weight_global_scale", 0))
			},
		},
		{
			"NVFP4 of ModelOpt", llama,
			[]item{x(proj+".weight", u8, rows, cols/2), x(proj+".weight_scale", e4m3, rows, cols/16), x(proj+".weight_scale_2", f32), x(proj+".input_scale", f32)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble(".weight", r*cols+c)] * (v.e4m3("weight_scale", r*(cols/16)+c/16) * v.f32("weight_scale_2", 0))
			},
		},
		{
			"NVFP4 of ModelOpt, experts in one tensor", moe,
			[]item{x(fused, u8, 2, 64, 32), x(fused+"_weight_scale", e4m3, 2, 64, 4), x(fused+"_weight_scale_2", f32, 2)},
			fused,
			[]int64{2, 64, 64},
			func(v values, e, r, c int64) float32 {
				return fp4[v.nibble("gate_up_proj", (e*64+r)*64+c)] * (v.e4m3("weight_scale", (e*64+r)*4+c/16) * v.f32("weight_scale_2", e))
			},
		},
		{
			"MXFP4 of compressed-tensors", llama,
			[]item{x(proj+".weight_packed", u8, rows, cols/2), x(proj+".weight_scale", u8, rows, cols/32)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble("packed", r*cols+c)] * v.power("scale", r*(cols/32)+c/32)
			},
		},
		{
			"MXFP4 of Quark", llama,
			[]item{x(proj+".weight", u8, rows, cols/2), x(proj+".weight_scale", u8, rows, cols/32)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble(".weight", r*cols+c)] * v.power("scale", r*(cols/32)+c/32)
			},
		},
		{
			"MXFP4 of Quark, experts in one tensor", moe,
			[]item{x(fused, u8, 2, 64, 32), x(fused+"_weight_scale", u8, 2, 64, 2)},
			fused,
			[]int64{2, 64, 64},
			func(v values, e, r, c int64) float32 {
				return fp4[v.nibble("gate_up_proj", (e*64+r)*64+c)] * v.power("scale", (e*64+r)*2+c/32)
			},
		},
		{
			"MXFP4 of DeepSeek-V4", deepseek,
			[]item{x(v4+".weight", i8, rows, cols/2), x(v4+".scale", e8m0, rows, cols/32)},
			v4 + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble(".weight", r*cols+c)] * v.power("scale", r*(cols/32)+c/32)
			},
		},
		{
			"MXFP4 of gpt-oss", oss,
			[]item{x(fused+"_blocks", u8, 2, 48, 2, 16), x(fused+"_scales", u8, 2, 48, 2)},
			fused,
			[]int64{2, 64, 48}, // inputs first
			func(v values, e, in, out int64) float32 {
				at := (e*48+out)*64 + in
				return fp4[v.nibble("blocks", at)] * v.power("scales", at/32)
			},
		},
		{
			"INT4 of Kimi", llama,
			[]item{x(proj+".weight_packed", i32, rows, cols/8), x(proj+".weight_scale", bf16, rows, cols/32), shaped(rows, cols)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return float32(v.nibble("packed", r*cols+c)-8) * v.bf16("scale", r*(cols/32)+c/32)
			},
		},
		{
			"INT8 with zero points of rows", fmt.Sprintf(packQuantized, 8, "null", "channel", false),
			[]item{x(proj+".weight_packed", i32, rows, cols/4), x(proj+".weight_scale", f16, rows, 1), x(proj+".weight_zero_point", i32, rows/4, 1), shaped(rows, cols)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return float32(int64(v.of("packed")[r*cols+c])-int64(v.of("zero_point")[r])) * v.f16("scale", r)
			},
		},
		{
			"INT4 with an order of inputs", fmt.Sprintf(packQuantized, 4, "64", "group", true),
			[]item{x(proj+".weight_packed", i32, rows, cols/8), x(proj+".weight_scale", bf16, rows, 2), x(proj+".weight_g_idx", i32, cols), shaped(rows, cols)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return float32(v.nibble("packed", r*cols+c)-8) * v.bf16("scale", r*2+v.word("g_idx", c))
			},
		},
		{
			"AWQ", `{"model_type": "llama", "num_hidden_layers": 1, "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64}}`,
			[]item{x(proj+".qweight", i32, cols, rows/8), x(proj+".scales", f16, 2, rows), x(proj+".qzeros", i32, 2, rows/8)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				at := r/8*32 + []int64{0, 16, 4, 20, 8, 24, 12, 28}[r%8]
				return float32(v.bits("qweight", c*rows*4+at, 4)-v.bits("qzeros", c/64*rows*4+at, 4)) * v.f16("scales", c/64*rows+r)
			},
		},
		{
			"GPTQ of 4 bits", fmt.Sprintf(gptq, 4, "gptq"),
			[]item{x(proj+".qweight", i32, cols/8, rows), x(proj+".scales", f16, 2, rows), x(proj+".qzeros", i32, 2, rows/8), x(proj+".g_idx", i32, cols)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				g := v.word("g_idx", c)
				q := v.bits("qweight", (c/8*rows+r)*32+c%8*4, 4)
				return float32(q-v.bits("qzeros", g*rows*4+r*4, 4)-1) * v.f16("scales", g*rows+r)
			},
		},
		{
			"GPTQ v2 of 8 bits", fmt.Sprintf(gptq, 8, "gptq_v2"),
			[]item{x(proj+".qweight", i32, cols/4, rows), x(proj+".scales", f16, 2, rows), x(proj+".qzeros", i32, 2, rows/4), x(proj+".g_idx", i32, cols)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				g := v.word("g_idx", c)
				q := v.bits("qweight", (c/4*rows+r)*32+c%4*8, 8)
				return float32(q-v.bits("qzeros", g*rows*8+r*8, 8)) * v.f16("scales", g*rows+r)
			},
		},
		{
			"MLX affine", fmt.Sprintf(mlx, 64, 3, "affine"),
			[]item{x(proj+".weight", u32, rows, cols*3/32), x(proj+".scales", bf16, rows, 2), x(proj+".biases", bf16, rows, 2)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				product := float32(v.bits(".weight", (r*cols+c)*3, 3)) * v.bf16("scales", r*2+c/64)
				return product + v.bf16("biases", r*2+c/64)
			},
		},
		{
			"MLX mxfp4", fmt.Sprintf(mlx, 32, 4, "mxfp4"),
			[]item{x(proj+".weight", u32, rows, cols/8), x(proj+".scales", u8, rows, cols/32)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble(".weight", r*cols+c)] * v.power("scales", r*(cols/32)+c/32)
			},
		},
		{
			"MLX nvfp4", fmt.Sprintf(mlx, 16, 4, "nvfp4"),
			[]item{x(proj+".weight", u32, rows, cols/8), x(proj+".scales", u8, rows, cols/16)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return fp4[v.nibble(".weight", r*cols+c)] * v.e4m3("scales", r*(cols/16)+c/16)
			},
		},
		{
			"MLX, experts in one tensor", strings.Replace(moe, "}", `, "quantization_config": {"group_size": 32, "bits": 4}}`, 1),
			[]item{x("model.layers.0.mlp.switch_mlp.down_proj.weight", u32, 1, 64, 4), x("model.layers.0.mlp.switch_mlp.down_proj.scales", bf16, 1, 64, 1), x("model.layers.0.mlp.switch_mlp.down_proj.biases", bf16, 1, 64, 1)},
			"model.layers.0.mlp.experts.0.down_proj.weight",
			[]int64{64, 32},
			func(v values, _, r, c int64) float32 {
				product := float32(v.nibble(".weight", r*32+c)) * v.bf16("scales", r)
				return product + v.bf16("biases", r)
			},
		},
		{
			"MXFP8", llama,
			[]item{codes(proj+".weight", rows, cols), x(proj+".weight_scale", u8, rows, cols/32)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return v.e4m3(".weight", r*cols+c) * v.power("scale", r*(cols/32)+c/32)
			},
		},
		{
			"INT8 of rows", fmt.Sprintf(packQuantized, 8, "null", "channel", true),
			[]item{x(proj+".weight", i8, rows, cols), x(proj+".weight_scale", bf16, rows, 1)},
			proj + ".weight", one,
			func(v values, _, r, c int64) float32 {
				return float32(int8(v.of(".weight")[r*cols+c])) * v.bf16("scale", r)
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			out := toBF16(t, checkpoint(t, c.config, c.items...))
			if out.Len() != 1 {
				t.Fatalf("%v", names(out))
			}
			if strings.Contains(string(out.ConfigRaw), "quantization") {
				t.Errorf("config.json still speaks of a quantization: %s", out.ConfigRaw)
			}
			ref, ok := out.Lookup(c.name)
			if !ok || ref.Tensor.DType != bf16 || !slices.Equal(ref.Tensor.Shape, c.shape) {
				t.Fatalf("%v", names(out))
			}
			v := values{map[string][]byte{}}
			for _, x := range c.items {
				v.files[x.Name] = x.raw
			}
			got := data(t, out, c.name)
			n := len(c.shape)
			in, outputs := c.shape[n-1], c.shape[n-2]
			for i := range int64(len(got) / 2) {
				e, row, col := i/in/outputs, i/in%outputs, i%in
				want := fp8.BF16FromFloat32(c.value(v, e, row, col))
				if g := binary.LittleEndian.Uint16(got[2*i:]); g != want {
					t.Fatalf("expert %d, row %d, column %d: %04x, want %04x", e, row, col, g, want)
				}
			}
		})
	}
}

// Matrices that are cut into many parts are those that are read at once.
func TestReleasedFormsInParts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const rows, cols = 4096, 4096
	const oss = `{"model_type": "gpt_oss", "num_hidden_layers": 1, "hidden_size": 2048, "intermediate_size": 1024, "num_local_experts": 3, "num_experts_per_tok": 1}`
	const fused = "model.layers.0.mlp.experts.gate_up_proj"
	dir := checkpoint(t, oss,
		anyBytes(r, fused+"_blocks", safetensors.U8, 3, 2048, 64, 16), anyBytes(r, fused+"_scales", safetensors.U8, 3, 2048, 64),
		anyBytes(r, proj+".qweight", safetensors.I32, cols, rows/8), anyBytes(r, proj+".scales", safetensors.F16, cols/128, rows), anyBytes(r, proj+".qzeros", safetensors.I32, cols/128, rows/8),
	)
	in := open(t, dir)
	var want map[string][]byte
	for _, memory := range []int64{1 << 30, 96 << 20} {
		p, err := convert.PlanBF16(in, convert.BF16Options{})
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out")
		if _, err := convert.Run(t.Context(), in, p, out, convert.RunOptions{Memory: memory}); err != nil && !errors.Is(err, engine.ErrComplete) {
			t.Fatal(err)
		}
		c := open(t, out)
		got := map[string][]byte{}
		for _, name := range names(c) {
			name, _, _ = strings.Cut(name, " ")
			got[name] = data(t, c, name)
		}
		if want == nil {
			want = got
			continue
		}
		for name := range want {
			if !slices.Equal(want[name], got[name]) {
				t.Errorf("%s differs", name)
			}
		}
	}
}

// What is not read is named, and what looks like a form and does not fit says why.
func TestFormsThatAreNotRead(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	x := func(name string, d safetensors.DType, shape ...int64) item {
		return anyBytes(r, name, d, shape...)
	}
	const llama = `{"model_type": "llama", "num_hidden_layers": 1}`
	for _, c := range []struct {
		items []item
		say   []string
	}{
		{[]item{x(proj+".weight_packed", safetensors.I32, 24, 12), x(proj+".weight_scale", safetensors.BF16, 24, 5), shaped(24, 128)}, []string{"pack-quantized"}},
		{[]item{x(proj+".qweight", safetensors.I32, 128, 3), x(proj+".scales", safetensors.F16, 2, 32), x(proj+".qzeros", safetensors.I32, 2, 3)}, []string{"AWQ"}},
		{[]item{x(proj+".weight", safetensors.U8, 24, 64), x(proj+".weight_scale", safetensors.F8E4M3, 24, 8), x(proj+".weight_scale_2", safetensors.F32), x(proj+".pre_quant_scale", safetensors.BF16, 128)}, []string{"pre_quant_scale", "not read"}},
		{[]item{x(proj+".weight", safetensors.I8, 24, 64), x(proj+".weight_scale", safetensors.BF16, 24, 1)}, []string{"INT8, or INT4"}},
		{[]item{x(proj+".W_q", safetensors.U8, 24, 64)}, []string{"HQQ"}},
		{[]item{x(proj+".weight", safetensors.U8, 24, 64), x(proj+".weight_scale", safetensors.U8, 24, 5)}, []string{"Quark"}},
	} {
		in := open(t, checkpoint(t, llama, c.items...))
		_, err := convert.PlanBF16(in, convert.BF16Options{})
		if !errors.Is(err, invalid.Input) {
			t.Fatalf("%s: %v", c.items[0].Name, err)
		}
		for _, s := range c.say {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%v, want %q", err, s)
			}
		}
	}
}
