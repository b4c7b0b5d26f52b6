package runner_test

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/runner"
	"quern/source"
)

// Released quantized forms, read as they lie, against logits of their weights in float32
// (torch): MXFP4 of gpt-oss, INT4 of Kimi K2.5, FP8 by tensor and by channel, MXFP8 and
// NVFP4.
func TestQuantizedGoldens(t *testing.T) {
	dirs, err := filepath.Glob("testdata/quantized/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref := readReference(t, dir+"/reference.safetensors")
			checkOutputs(t, dir, ref, runner.Options{})
			checkOutputs(t, dir, ref, runner.Options{Memory: 1, TempDir: t.TempDir(), Workers: 1})
		})
	}
}

// FP8 experts of a layer in one tensor, with a scale for each row of each, are what their
// values in BF16 are, to the bit.
func TestStackedCodes(t *testing.T) {
	const src = "testdata/models/qwen3_5_moe"
	c, err := hf.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	files := source.New(c, nil)
	defer files.Close()
	var logit [2][]float32
	for k, coded := range []bool{true, false} {
		var tensors []safetensors.Tensor
		var data [][]byte
		add := func(name string, d safetensors.DType, raw []byte, shape ...int64) {
			tensors = append(tensors, safetensors.Tensor{Name: name, DType: d, Shape: shape, End: int64(len(raw))})
			data = append(data, raw)
		}
		p := plan.New(c)
		for i := range p.Tensors {
			x := &p.Tensors[i]
			raw := make([]byte, x.Source.Bytes())
			if err := files.Read(&x.Source, raw, 0); err != nil {
				t.Fatal(err)
			}
			if !x.Meta.Fused3D || x.DType != safetensors.BF16 {
				add(x.Name, x.DType, raw, x.Shape...)
				continue
			}
			rows, cols := x.Shape[0]*x.Shape[1], x.Shape[2]
			codes, wide, scales := make([]byte, rows*cols), make([]byte, 2*rows*cols), make([]byte, 4*rows)
			for r := range rows {
				s := float32(math.Ldexp(1, -int(9+r%3)))
				binary.LittleEndian.PutUint32(scales[4*r:], math.Float32bits(s))
				for at := r * cols; at < (r+1)*cols; at++ {
					w := fp8.BF16ToFloat32(binary.LittleEndian.Uint16(raw[2*at:]))
					codes[at] = fp8.E4M3FromFloat32(w / s)
					binary.LittleEndian.PutUint16(wide[2*at:], fp8.BF16FromFloat32(fp8.E4M3ToFloat32(codes[at])*s))
				}
			}
			if coded {
				add(x.Name, safetensors.F8E4M3, codes, x.Shape...)
				add(x.Name+"_scale", safetensors.F32, scales, x.Shape[0], x.Shape[1], 1)
			} else {
				add(x.Name, safetensors.BF16, wide, x.Shape...)
			}
		}
		m := written(t, c, tensors, data)
		ev, err := m.Evaluate(context.Background(), [][]int{readReference(t, src+"/reference.safetensors").ids()}, runner.Options{NoMTP: true})
		if err != nil {
			t.Fatal(err)
		}
		defer ev.Close()
		logit[k] = logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), m.Vocab())
	}
	if !slices.Equal(logit[0], logit[1]) {
		t.Error("the logits of codes differ from those of their values")
	}
}
