package scheme_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/scheme"
)

// What the packages that made forms say that these mean: a matrix in each, and its values
// in float32 by the package itself, equal to the bit.
func TestPackages(t *testing.T) {
	type form struct {
		name, form string // of the module in the fixture, of the scheme
		config     model.Quantization
		silent     bool // the config need not say it
	}
	for _, c := range []struct {
		fixture    string // made by a script in .ci/clients
		rows, cols int64
		forms      []form
	}{
		{"mlx", 32, 128, []form{ // mlx_forms.py: MLX 0.32.4
			{"affine2g32", "mlx-affine", model.Quantization{Bits: 2, GroupSize: 32}, true},
			{"affine3g64", "mlx-affine", model.Quantization{Bits: 3, GroupSize: 64}, true},
			{"affine4g64", "mlx-affine", model.Quantization{Bits: 4, GroupSize: 64}, true},
			{"affine5g32", "mlx-affine", model.Quantization{Bits: 5, GroupSize: 32}, true},
			{"affine6g64", "mlx-affine", model.Quantization{Bits: 6, GroupSize: 64}, true},
			{"affine8g128", "mlx-affine", model.Quantization{Bits: 8, GroupSize: 128}, true},
			{"mxfp44g32", "mxfp4", model.Quantization{Bits: 4, GroupSize: 32}, true},
			{"mxfp88g32", "mlx-mxfp8", model.Quantization{Bits: 8, GroupSize: 32}, true},
			{"nvfp44g16", "mlx-nvfp4", model.Quantization{Bits: 4, GroupSize: 16}, true},
		}},
		{"packed", 32, 32, []form{ // packed_forms.py: AutoAWQ 0.2.9, AutoGPTQ 0.7.1, GPTQModel 7.7.0
			{"awq4", "awq", model.Quantization{Method: "awq", Bits: 4, GroupSize: 16}, true},
			{"gptq4", "gptq", model.Quantization{Method: "gptq", Bits: 4, GroupSize: 16}, true},
			{"gptq8", "gptq", model.Quantization{Method: "gptq", Bits: 8, GroupSize: 16}, true},
			{"gptq4order", "gptq", model.Quantization{Method: "gptq", Bits: 4, GroupSize: 16}, true},
			{"gptq8order", "gptq", model.Quantization{Method: "gptq", Bits: 8, GroupSize: 16}, true},
			{"gptqv22order", "gptq-v2", model.Quantization{Method: "gptq", Checkpoint: "gptq_v2", Bits: 2, GroupSize: 16}, false},
			{"gptqv24order", "gptq-v2", model.Quantization{Method: "gptq", Checkpoint: "gptq_v2", Bits: 4, GroupSize: 16}, false},
			{"gptqv28order", "gptq-v2", model.Quantization{Method: "gptq", Checkpoint: "gptq_v2", Bits: 8, GroupSize: 16}, false},
		}},
	} {
		raw, stored := fixture(t, c.fixture)
		for _, x := range c.forms {
			t.Run(c.fixture+"/"+x.name, func(t *testing.T) {
				configs := []*model.Quantization{&x.config}
				if x.silent {
					configs = append(configs, nil)
				}
				for _, config := range configs {
					w, ok := stored[x.name+".weight"]
					if !ok {
						w = stored[x.name+".qweight"]
					}
					if w.Config = config; config == nil {
						w.Expect = c.cols
					}
					f, ok := scheme.Recognise(&w, func(param string) (scheme.Stored, bool) {
						s, ok := stored[x.name+"."+param]
						return s, ok
					})
					if !ok || f.Name != x.form || f.Rows != c.rows || f.Cols != c.cols {
						t.Fatalf("%v: %+v", ok, f)
					}
					in := [][]byte{raw[w.Name]}
					for _, s := range f.Scales {
						in = append(in, raw[s])
					}
					got := make([]byte, 4*f.Rows*f.Cols)
					if err := f.Decode(f.Params, got, int(f.Cols), fp8.ElemF32, in, scheme.Part{Rows: f.Rows, Cols: f.Cols}); err != nil {
						t.Fatal(err)
					}
					equalFloats(t, got, raw[x.name+".expected"])
				}
			})
		}
	}
}

// fixture reads the tensors of testdata/NAME.safetensors, as linears of attention.
func fixture(t *testing.T, name string) (raw map[string][]byte, stored map[string]scheme.Stored) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.ReadHeader(bytes.NewReader(data), int64(len(data)), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	raw, stored = map[string][]byte{}, map[string]scheme.Stored{}
	for i := range h.Tensors {
		x := &h.Tensors[i]
		raw[x.Name] = data[h.DataOffset+x.Begin : h.DataOffset+x.End]
		dot := strings.LastIndexByte(x.Name, '.')
		m := &model.Tensor{Role: model.Attention, Module: x.Name[:dot], Param: x.Name[dot+1:], Weights: 8}
		stored[x.Name] = scheme.Stored{Name: x.Name, DType: x.DType, Shape: x.Shape, Meta: m}
	}
	return raw, stored
}

// equalFloats holds F32 values against others; zeros may differ in sign.
func equalFloats(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d bytes, want %d", len(got), len(want))
	}
	differ := 0
	for i := 0; i < len(got); i += 4 {
		a := math.Float32frombits(binary.LittleEndian.Uint32(got[i:]))
		b := math.Float32frombits(binary.LittleEndian.Uint32(want[i:]))
		if a != b {
			if differ++; differ == 1 {
				t.Errorf("value %d: %v, the package has %v", i/4, a, b)
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d values differ", differ)
	}
}
