package convert_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
	"quern/scheme"
)

const (
	ossExperts, ossHidden, ossInner = 3, 320, 192
	ossConfig                       = `{"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "num_hidden_layers": 1, "num_local_experts": 3, "hidden_size": 320, "intermediate_size": 192}`
	ossModule                       = "model.layers.0.mlp.experts."
	ossAttention                    = "model.layers.0.self_attn.o_proj.weight"
)

// ossInput is a gpt-oss of one layer, and its experts as matrices [out, in] by parameter.
func ossInput(t *testing.T) (in *hf.Checkpoint, matrices map[string][][]float32) {
	r := rand.New(rand.NewPCG(13, 20))
	matrices = map[string][][]float32{}
	items := []item{floatItem(ossAttention, safetensors.BF16, make([]float32, 64*320), 320, 64)}
	for _, x := range []struct {
		param   string
		in, out int
	}{{"gate_up_proj", ossHidden, 2 * ossInner}, {"down_proj", ossInner, ossHidden}} {
		all := make([]float32, 0, ossExperts*x.in*x.out)
		for range ossExperts {
			m := make([]float32, x.in*x.out)
			for i := range x.in {
				for o := range x.out {
					w := fp8.BF16ToFloat32(fp8.BF16FromFloat32(float32(r.NormFloat64()) * 0.02))
					if i/32 == 2 && o%7 == 0 { // groups of zeros
						w = 0
					}
					all, m[o*x.in+i] = append(all, w), w
				}
			}
			matrices[x.param] = append(matrices[x.param], m)
		}
		items = append(items, floatItem(ossModule+x.param, safetensors.BF16, all, ossExperts, int64(x.in), int64(x.out)))
	}
	return open(t, checkpoint(t, ossConfig, items...)), matrices
}

// coded are the codes and scales of a matrix by a format.
func coded(t *testing.T, f group.Format, w []float32, rows, cols int) (codes, scales []byte) {
	t.Helper()
	l := f.Layout()
	c := group.Coded{Codes: make([]byte, rows*l.CodeBytes(cols)), CodeStride: l.CodeBytes(cols), Scales: make([]byte, rows*l.Scales(cols)), ScaleStride: l.Scales(cols)}
	raw := floatItem("", safetensors.F32, w, int64(len(w)))
	if err := f.Encode(c, make([]group.Row, rows), fp8.Matrix{Data: raw.raw, Elem: fp8.ElemF32, Rows: rows, Cols: cols, Stride: cols}); err != nil {
		t.Fatal(err)
	}
	return c.Codes, c.Scales
}

// turnedBytes is a matrix of bytes turned round.
func turnedBytes(b []byte, rows, cols int) []byte {
	out := make([]byte, len(b))
	for r := range rows {
		for c := range cols {
			out[c*rows+r] = b[r*cols+c]
		}
	}
	return out
}

// Experts of gpt-oss become what coding each of them as a matrix gives: MXFP4 in blocks
// and scales, outputs first, as released; NVFP4 turned back and with one scale for all, as
// ModelOpt exports it. However little memory there is, bytes and statistics are the same.
func TestStackedExperts(t *testing.T) {
	in, matrices := ossInput(t)
	for _, s := range []*scheme.Scheme{scheme.MXFP4, scheme.NVFP4} {
		for _, search := range []fp8.Search{fp8.SearchNone, fp8.SearchMSE} {
			if s == scheme.MXFP4 && search != fp8.SearchNone {
				continue
			}
			o := convert.QuantizeOptions{Scheme: s, Search: search}
			out, m := made(t, in, o)
			for param, list := range matrices {
				rows := len(list[0]) / map[string]int{"gate_up_proj": ossHidden, "down_proj": ossInner}[param]
				cols := len(list[0]) / rows
				var codes, scales []byte
				var most float32
				for _, w := range list {
					for _, x := range w {
						most = max(most, x, -x)
					}
				}
				for _, w := range list {
					var f group.Format = group.MXFP4{}
					if s == scheme.NVFP4 {
						f = group.NVFP4{Tensor: group.NVFP4Scale(most), Search: group.Search{By: search}}
					}
					c, sc := coded(t, f, w, rows, cols)
					if s == scheme.NVFP4 {
						c, sc = turnedBytes(c, rows, cols/2), turnedBytes(sc, rows, cols/16)
					}
					codes, scales = append(codes, c...), append(scales, sc...)
				}
				names := []string{"_blocks", "_scales"}
				shape := fmt.Sprint([]int{ossExperts, rows, cols / 32, 16})
				if s == scheme.NVFP4 {
					names, shape = []string{"", "_weight_scale"}, fmt.Sprint([]int{ossExperts, cols / 2, rows})
					if got := scalar(t, out, ossModule+param+"_weight_scale_2"); got != group.NVFP4Scale(most) {
						t.Errorf("%s: %v, want %v", param, got, group.NVFP4Scale(most))
					}
					if got := scalar(t, out, ossModule+param+"_input_scale"); got != 1 {
						t.Errorf("%s: input scale %v", param, got)
					}
				}
				if r, ok := out.Lookup(ossModule + param + names[0]); !ok || fmt.Sprint(r.Tensor.Shape) != shape {
					t.Fatalf("%s%s: %v, want %s", param, names[0], r.Tensor.Shape, shape)
				}
				if !bytes.Equal(data(t, out, ossModule+param+names[0]), codes) || !bytes.Equal(data(t, out, ossModule+param+names[1]), scales) {
					t.Errorf("%s: %s %d differs from experts coded one by one", s.Name, param, search)
				}
			}
			again := filepath.Join(t.TempDir(), "again")
			r, err := convert.Run(t.Context(), in, mustPlan(t, in, o), again, convert.RunOptions{Memory: 76 << 20, Workers: 3})
			if err != nil {
				t.Fatal(err)
			}
			if a, b := r.Manifest.Tensors, m.Tensors; !reflect.DeepEqual(a, b) {
				t.Errorf("%s: bytes or statistics depend on memory: %+v, %+v", s.Name, a, b)
			}
			// decoded and coded again it is the same
			if back := toBF16(t, out.Dir); s == scheme.MXFP4 {
				once := quantize(t, back.Dir, o)
				for _, n := range names(out) {
					if !bytes.Equal(data(t, once, n), data(t, out, n)) {
						t.Errorf("%s is not the same through BF16", n)
					}
				}
			}
		}
	}
}

// What is released in MXFP4 stays that, byte for byte, through BF16 too, and is cast to
// NVFP4 without loss.
func TestStackedMXFP4(t *testing.T) {
	released := open(t, "../runner/testdata/quantized/gpt_oss_mxfp4")
	wide := toBF16(t, released.Dir)
	for _, in := range []*hf.Checkpoint{released, wide} {
		out := quantize(t, in.Dir, convert.QuantizeOptions{Scheme: scheme.MXFP4, Lossless: in == released})
		if out.Len() != released.Len() {
			t.Errorf("%d tensors of %d", out.Len(), released.Len())
		}
		for _, n := range names(released) {
			if !bytes.Equal(data(t, out, n), data(t, released, n)) {
				t.Errorf("%s differs", n)
			}
		}
		was, is := released.ConfigValue.Get("quantization_config"), out.ConfigValue.Get("quantization_config")
		for _, key := range []string{"quant_method", "modules_to_not_convert"} {
			if a, b := string(was.Get(key).Indent("")), string(is.Get(key).Indent("")); a != b {
				t.Errorf("%s is %s, released %s", key, b, a)
			}
		}
	}
	cast, m := made(t, released, convert.QuantizeOptions{Scheme: scheme.NVFP4, Lossless: true})
	n := int64(0)
	for _, x := range m.Tensors {
		if x.Cast != nil {
			if n += x.Cast.Groups; x.Cast.Changed+x.Cast.Requantized != 0 || x.Error.SQNR != nil {
				t.Errorf("%s: %+v %+v", x.Name, x.Cast, x.Error)
			}
		}
	}
	if n != 4*8*(64*2+64) {
		t.Errorf("%d groups were proved", n)
	}
	back := toBF16(t, cast.Dir)
	for _, n := range names(wide) {
		if !bytes.Equal(data(t, back, n), data(t, wide, n)) {
			t.Errorf("%s changed in NVFP4", n)
		}
	}
}

// Schemes that no engine reads in one tensor leave the experts alone, and say what is
// possible.
func TestStackedElsewhere(t *testing.T) {
	in, matrices := ossInput(t)
	for _, s := range scheme.All {
		p, err := convert.PlanQuantize(in, convert.QuantizeOptions{Scheme: s})
		switch {
		case s.Stacked() != nil:
			if err != nil {
				t.Error(err)
			}
			continue
		case s.Experts:
			if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "no engine reads "+s.Name+" in the fused experts of gpt_oss") {
				t.Errorf("%s: %v", s.Name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if text := strings.Join(p.Notes, "\n"); !strings.Contains(text, "which --to mxfp4 and --to nvfp4 write") {
			t.Errorf("%s: %s", s.Name, text)
		}
		out := quantize(t, in.Dir, convert.QuantizeOptions{Scheme: s})
		for param := range matrices {
			if !bytes.Equal(data(t, out, ossModule+param), data(t, in, ossModule+param)) {
				t.Errorf("%s: %s changed", s.Name, param)
			}
		}
	}
}
