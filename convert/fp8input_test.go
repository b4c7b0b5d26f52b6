package convert_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
)

// item is a tensor with its data.
type item struct {
	safetensors.Tensor
	raw []byte
}

// checkpoint writes a folder with one weight file.
func checkpoint(t testing.TB, config string, items ...item) string {
	t.Helper()
	dir := t.TempDir()
	list := make([]safetensors.Tensor, len(items))
	for i := range items {
		list[i] = items[i].Tensor
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, list, map[string]string{"format": "pt"}, func(i int, w io.Writer) error {
		_, err := w.Write(items[i].raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"model.safetensors": b.Bytes(), "config.json": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func floatItem(name string, d safetensors.DType, values []float32, shape ...int64) item {
	x := item{Tensor: tensor(name, d, shape...)}
	for _, v := range values {
		switch d {
		case safetensors.F32:
			x.raw = binary.LittleEndian.AppendUint32(x.raw, math.Float32bits(v))
		case safetensors.BF16:
			x.raw = binary.LittleEndian.AppendUint16(x.raw, fp8.BF16FromFloat32(v))
		case safetensors.F16: // exact for the powers of two used here
			x.raw = binary.LittleEndian.AppendUint16(x.raw, uint16(int(math.Log2(float64(v)))+15)<<10)
		case safetensors.F8E8M0, safetensors.U8:
			x.raw = append(x.raw, uint8(int(math.Log2(float64(v)))+127))
		default:
			panic("dtype " + d.String())
		}
	}
	return x
}

// codes are random and never NaN.
func codes(name string, rows, cols int64) item {
	r := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	x := item{Tensor: tensor(name, safetensors.F8E4M3, rows, cols), raw: make([]byte, rows*cols)}
	for i := range x.raw {
		if x.raw[i] = byte(r.Uint32()); x.raw[i]&0x7f == 0x7f {
			x.raw[i]--
		}
	}
	return x
}

// powers are n random powers of two.
func powers(n int64) []float32 {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(math.Ldexp(1, r.IntN(8)-9))
	}
	return out
}

const (
	proj      = "model.layers.0.mlp.gate_proj"
	fp8Config = `{"model_type": "llama", "num_hidden_layers": 1, "vendor": {"z": 1, "a": [1e-5, 2.50]}, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]%s}}`
)

func withQuant(more string) string { return fmt.Sprintf(fp8Config, more) }

// Block FP8 goes through as it is: codes copied, scales renamed and widened.
func TestFP8InputIsTakenOver(t *testing.T) {
	for _, x := range []struct {
		scale string
		dtype safetensors.DType
	}{
		{"weight_scale_inv", safetensors.F32},
		{"weight_scale_inv", safetensors.BF16},
		{"weight_scale", safetensors.F16},
		{"weight_scale", safetensors.U8},
		{"scale", safetensors.F8E8M0},
	} {
		t.Run(x.scale+"/"+x.dtype.String(), func(t *testing.T) {
			w, s := codes(proj+".weight", 300, 200), powers(6)
			c := quantize(t, checkpoint(t, withQuant(""), w, floatItem(proj+"."+x.scale, x.dtype, s, 3, 2)), convert.QuantizeOptions{})
			if c.Len() != 2 || !bytes.Equal(data(t, c, proj+".weight"), w.raw) {
				t.Error("other codes")
			}
			for i, got := range floats(data(t, c, proj+".weight_scale_inv")) {
				if got != s[i] {
					t.Errorf("scale %d is %v, was %v", i, got, s[i])
				}
			}
			powerForm := x.dtype == safetensors.F8E8M0 || x.dtype == safetensors.U8
			if ue8m0 := c.Config.Quant.ScaleFmt == "ue8m0"; ue8m0 != powerForm {
				t.Errorf("scale_fmt %q", c.Config.Quant.ScaleFmt)
			}
		})
	}
}

func TestSecondRounding(t *testing.T) {
	in := checkpoint(t, withQuant(""), codes(proj+".weight", 300, 200), floatItem(proj+".weight_scale_inv", safetensors.F32, []float32{.1, .2, .3, .4, .5, .6}, 3, 2))
	_, err := convert.PlanQuantize(open(t, in), convert.QuantizeOptions{UE8M0: true})
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "28.4 dB") || !strings.Contains(err.Error(), "--requantize") {
		t.Errorf("a second rounding without being asked for: %v", err)
	}
	c := quantize(t, in, convert.QuantizeOptions{UE8M0: true, Requantize: true})
	for _, s := range floats(data(t, c, proj+".weight_scale_inv")) {
		if math.Float32bits(s)&0x7fffff != 0 {
			t.Errorf("scale %v is no power of two", s)
		}
	}
	raw, err := os.ReadFile(filepath.Join(c.Dir, manifest.Name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	recorded := false
	for _, o := range m.Options {
		recorded = recorded || o.Name == "requantize" && o.Value == "true"
	}
	if !recorded {
		t.Error("the manifest does not record --requantize")
	}
	// Declared as powers of two (DeepSeek-V3.1), F32 scales are taken at their word.
	declared := checkpoint(t, withQuant(`, "scale_fmt": "ue8m0"`), codes(proj+".weight", 300, 200), floatItem(proj+".weight_scale_inv", safetensors.F32, powers(6), 3, 2))
	if c := quantize(t, declared, convert.QuantizeOptions{UE8M0: true}); c.Config.Quant.ScaleFmt != "ue8m0" {
		t.Errorf("scale_fmt %q", c.Config.Quant.ScaleFmt)
	}
}

// Each layout of scales, against the definition: W[r,c] = q·s, rounded to BF16.
func TestDequantizeLayouts(t *testing.T) {
	const rows, cols = 300, 256
	type at func(r, c int64) int64
	for _, x := range []struct {
		name, config string
		shape        []int64
		index        at
	}{
		{"tensor []", withQuant(""), []int64{}, func(r, c int64) int64 { return 0 }},
		{"tensor [1]", withQuant(""), []int64{1}, func(r, c int64) int64 { return 0 }},
		{"row [o]", withQuant(""), []int64{rows}, func(r, c int64) int64 { return r }},
		{"row [o,1]", withQuant(""), []int64{rows, 1}, func(r, c int64) int64 { return r }},
		{"tile", withQuant(""), []int64{3, 2}, func(r, c int64) int64 { return r/128*2 + c/128 }},
		{"tile 4-D", withQuant(""), []int64{3, 1, 2, 1}, func(r, c int64) int64 { return r/128*2 + c/128 }},
		{"group of 32", withQuant(""), []int64{rows, 8}, func(r, c int64) int64 { return r*8 + c/32 }},
		{"tile of 64×32", `{"model_type": "llama", "quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 32]}}`, []int64{5, 8}, func(r, c int64) int64 { return r/64*8 + c/32 }},
		{"five parts of 60 rows", withQuant(""), []int64{5, 2}, func(r, c int64) int64 { return r/60*2 + c/128 }},
	} {
		t.Run(x.name, func(t *testing.T) {
			n := int64(1)
			for _, d := range x.shape {
				n *= d
			}
			s := make([]float32, n)
			for i := range s {
				s[i] = 0.01 + float32(i%97)*0.003
			}
			w := codes(proj+".weight", rows, cols)
			c := toBF16(t, checkpoint(t, x.config, w, floatItem(proj+".weight_scale", safetensors.F32, s, x.shape...)))
			got := data(t, c, proj+".weight")
			for i := range int64(rows * cols) {
				want := fp8.BF16FromFloat32(fp8.E4M3ToFloat32(w.raw[i]) * s[x.index(i/cols, i%cols)])
				if g := binary.LittleEndian.Uint16(got[2*i:]); g != want {
					t.Fatalf("row %d, column %d: %04x, want %04x", i/cols, i%cols, g, want)
				}
			}
			if c.Len() != 1 || c.Config.Quant != nil {
				t.Errorf("%d tensors, quantization %v", c.Len(), c.Config.Quant)
			}
		})
	}
}

func TestBF16OfTheRest(t *testing.T) {
	const bias = "model.layers.1.mlp.gate.e_score_correction_bias"
	c := toBF16(t, checkpoint(t, `{"dtype": "float32", "model_type": "deepseek_v3", "keep": 1}`,
		floatItem("model.norm.weight", safetensors.F32, []float32{1.00390625, 2}, 2), // halfway between two BF16: to even
		floatItem("model.embed_tokens.weight", safetensors.F32, []float32{1, 2, 3, 4}, 2, 2),
		floatItem(bias, safetensors.F32, []float32{1.00390625, 2}, 2),
		floatItem("model.layers.0.self_attn.q_proj.bias", safetensors.F32, []float32{1, 2}, 2)))
	for name, d := range map[string]safetensors.DType{"model.norm.weight": safetensors.BF16, "model.embed_tokens.weight": safetensors.BF16, bias: safetensors.F32, "model.layers.0.self_attn.q_proj.bias": safetensors.F32} {
		if r, ok := c.Lookup(name); !ok || r.Tensor.DType != d {
			t.Errorf("%s: %v, want %v", name, r.Tensor, d)
		}
	}
	if got := data(t, c, "model.norm.weight"); !bytes.Equal(got, []byte{0x80, 0x3f, 0x00, 0x40}) {
		t.Errorf("norm %x", got)
	}
	if c.Config.DType != "bfloat16" || c.ConfigValue.Get("keep") == nil {
		t.Errorf("config %s", c.ConfigRaw)
	}
}

// The input's config stays as it was, but for what has to change.
func TestConfigKeepsOrderAndUnknownKeys(t *testing.T) {
	c := quantize(t, checkpoint(t, withQuant(""), codes(proj+".weight", 128, 128), floatItem(proj+".weight_scale_inv", safetensors.F32, []float32{1}, 1, 1)), convert.QuantizeOptions{})
	got := string(c.ConfigRaw)
	want := `{
  "model_type": "llama",
  "num_hidden_layers": 1,
  "vendor": {
    "z": 1,
    "a": [
      1e-5,
      2.50
    ]
  },
  "quantization_config": {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [
      128,
      128
    ],
    "modules_to_not_convert": []
  }
}
`
	if got != want {
		t.Errorf("config.json is\n%s\nwant\n%s", got, want)
	}
}
