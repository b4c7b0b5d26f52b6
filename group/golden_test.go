package group

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// goldenTensor is one tensor of a file of goldens.
type goldenTensor struct {
	Shape   []int
	Offsets [2]int `json:"data_offsets"`
	data    []byte
}

// goldens are weights of experts and what ModelOpt (nvfp4, mxfp8), torchao (mxfp4)
// and compressed-tensors' rules in PyTorch (int4, fp8_channel) make of them. One
// expert holds blocks of zeros, a block far above and one far below the others, and
// every tie.
func goldens(t *testing.T) map[string]goldenTensor { return tensors(t, "testdata/writers.safetensors") }

// tensors reads a file of goldens.
func tensors(t *testing.T, file string) map[string]goldenTensor {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	all := map[string]goldenTensor{}
	if err := json.Unmarshal(data[8:8+n], &all); err != nil {
		t.Fatal(err)
	}
	for name, x := range all {
		x.data = data[8+int(n):][x.Offsets[0]:x.Offsets[1]]
		all[name] = x
	}
	return all
}

func TestGoldens(t *testing.T) {
	all := goldens(t)
	float := func(b []byte) float32 {
		var x [1]float32
		fp8.ElemF32.Decode(x[:], b)
		return x[0]
	}
	// name and scale tensor of each golden, and the format that makes it.
	cases := []struct {
		name, codes, scales string
		format              func(prefix string) Format
	}{
		{"nvfp4", ".weight", ".weight_scale", func(p string) Format {
			// gate and up share their scale.
			sets := []string{p}
			if s, ok := strings.CutSuffix(p, "down_proj"); !ok {
				s = s[:strings.LastIndexByte(s, '.')+1]
				sets = []string{s + "gate_proj", s + "up_proj"}
			}
			var top float32
			for _, name := range sets {
				x := all["bf16/"+name+".weight"]
				amax, _ := Amax(matrix(x))
				top = max(top, amax)
			}
			s := NVFP4Scale(top)
			if want := float(all["nvfp4/"+p+".weight_scale_2"].data); s != want {
				t.Errorf("%s: tensor scale %v, want %v", p, s, want)
			}
			return NVFP4{Tensor: s}
		}},
		{"mxfp4", ".weight_packed", ".weight_scale", func(string) Format { return MXFP4{} }},
		{"mxfp8", ".weight", ".weight_scale_inv", func(string) Format { return MXFP8{} }},
		{"int4_range7", ".weight_packed", ".weight_scale", func(string) Format { return INT4{Range: Range7} }},
		{"int4_range7.5", ".weight_packed", ".weight_scale", func(string) Format { return INT4{} }},
		{"fp8_channel", ".weight", ".weight_scale", func(string) Format { return FP8Rows{Scale: fp8.ElemBF16} }},
	}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		n := 0
		for _, name := range slices.Sorted(maps.Keys(all)) {
			prefix, ok := strings.CutPrefix(strings.TrimSuffix(name, ".weight"), "bf16/")
			if !ok {
				continue
			}
			m := matrix(all[name])
			for _, c := range cases {
				n++
				f := c.format(prefix)
				got, rows := encoded(t, f, m)
				if want := all[c.name+"/"+prefix+c.codes].data; !bytes.Equal(got.Codes, want) {
					t.Errorf("%s, %s: %s: codes differ", p.name, c.name, prefix)
				}
				if want := all[c.name+"/"+prefix+c.scales].data; !bytes.Equal(got.Scales, want) {
					t.Errorf("%s, %s: %s: scales differ", p.name, c.name, prefix)
				}
				var s Stats
				for i := range rows {
					if rows[i].NonFinite() {
						t.Errorf("%s, %s: %s: row %d is not finite", p.name, c.name, prefix, i)
					}
					s.Add(&rows[i])
				}
				if dB, _ := s.SQNR(); dB < 13 || dB > 40 {
					t.Errorf("%s, %s: %s: SQNR %v", p.name, c.name, prefix, dB)
				}
			}
		}
		if n == 0 {
			t.Fatal("no golden")
		}
	}
}

// What mlx 0.32.4 makes of random weights, and of its own codes. Its MXFP4 rounds
// scales up and has no −0, its NVFP4 has no scale of the tensor.
func TestMLX(t *testing.T) {
	all := tensors(t, "testdata/mlx.safetensors")
	m := matrix(all["w"])
	for name, f := range map[string]Format{"mxfp4": MXFP4{Rule: ScaleCeil}, "nvfp4": NVFP4{Tensor: 1}, "mxfp8": MXFP8{}} {
		q, s, d := all[name+".q"].data, all[name+".s"].data, all[name+".d"].data
		for _, p := range paths() {
			cputest.Use(t, p.name)
			l := f.Layout()
			src := Coded{Codes: q, Scales: s, CodeStride: l.CodeBytes(m.Cols), ScaleStride: l.Scales(m.Cols)}
			got := make([]byte, len(d))
			if err := f.Decode(got, m.Cols, fp8.ElemBF16, src, m.Rows, m.Cols); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, d) {
				t.Errorf("%s, %s: values differ", p.name, name)
			}
			coded, _ := encoded(t, f, m)
			if name != "nvfp4" && !bytes.Equal(coded.Scales, s) {
				t.Errorf("%s, %s: scales differ", p.name, name)
			}
			if name == "mxfp8" && !bytes.Equal(coded.Codes, q) {
				t.Errorf("%s, %s: codes differ", p.name, name)
			}
		}
	}
}

func matrix(x goldenTensor) fp8.Matrix {
	return fp8.Matrix{Data: x.data, Elem: fp8.ElemBF16, Rows: x.Shape[0], Cols: x.Shape[1], Stride: x.Shape[1]}
}

// dense returns a view without gaps for rows×cols weights.
func dense(l Layout, rows, cols int) Coded {
	c := Coded{CodeStride: l.CodeBytes(cols), ScaleStride: l.Scales(cols) * l.ScaleBytes}
	c.Codes = make([]byte, rows*c.CodeStride)
	c.Scales = make([]byte, rows*c.ScaleStride)
	return c
}

func encoded(t testing.TB, f Format, m fp8.Matrix) (Coded, []Row) {
	t.Helper()
	dst := dense(f.Layout(), m.Rows, m.Cols)
	rows := make([]Row, m.Rows)
	if err := f.Encode(dst, rows, m); err != nil {
		t.Fatal(err)
	}
	return dst, rows
}
